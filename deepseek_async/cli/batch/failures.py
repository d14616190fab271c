"""Failures of a batch, told while it runs: the first of each kind, then their number."""

import logging
from collections import Counter
from collections.abc import Callable

from deepseek_async.batch import BatchItem
from deepseek_async.cli.clean import one_line
from deepseek_async.cli.failures import describe
from deepseek_async.errors import APIStatusError, DeepSeekError, PreflightError, RateLimitError

# How many failures are told in full.
_LINES = 3
_KINDS = 5

# Kinds that are counted apart: what servers say has no end.
_MOST_KINDS = 50
_OTHER = "other failures"

# A name that the library made is a digest of this length, of which nobody needs to see all.
_NAME = 24

_IN_OPTIONS = {
    "pass force=True": "pass --force",
    "pass model=...": "pass --model",
    "run the same call again": "run the same command again",
    "a budget in usd": "--budget-usd",
    "give Budget(tokens=...) instead": "give --budget-tokens instead",
    ", or a price table that has it (PRICES.with_prices)": "",
}


def in_batch_options(text: str) -> str:
    """Return what the library says to programs as it is said to users of the command line."""
    for said, meant in _IN_OPTIONS.items():
        text = text.replace(said, meant)
    return text


def tell_error(exc: Exception) -> str:
    """Return what went wrong in one line."""
    return in_batch_options(describe(exc))


class Failures:
    """What failed in one run.

    Args:
        tell: Prints a line.
        letters: Name of the file of failed requests.
    """

    def __init__(self, tell: Callable[[str], None], letters: str) -> None:
        self._tell = tell
        self._letters = letters
        self.unreadable = 0
        """Items of the input that are no requests."""
        self.kinds: Counter[str] = Counter()
        """What went wrong with the others -> how many items."""
        self._troubles: set[str] = set()

    @property
    def count(self) -> int:
        """How many items failed."""
        return self.unreadable + self.kinds.total()

    @property
    def is_the_model(self) -> bool:
        """Whether the only complaint is about the name of the model, as far as one can tell."""
        return len(self.kinds) == 1 and all(
            kind.startswith(("400:", "404:")) and "model" in kind.lower() for kind in self.kinds
        )

    def add(self, item: BatchItem) -> None:
        """Take note of a failed item."""
        error = item.error
        assert error is not None
        if isinstance(error, PreflightError) and not item.attempts:
            self._add_unreadable(error)
            return
        kind = kind_of(error)
        if kind not in self.kinds and len(self.kinds) >= _MOST_KINDS:
            kind = _OTHER
        self.kinds[kind] += 1
        if self.kinds[kind] == 1 and len(self.kinds) <= _KINDS:
            self._tell(f"failed: {one_line(item.custom_id, _NAME)}: {tell_error(error)}")

    def _add_unreadable(self, error: PreflightError) -> None:
        self.unreadable += 1
        if self.unreadable <= _LINES:
            self._tell(f"bad line: {tell_error(error)}")
        elif self.unreadable == _LINES + 1:
            self._tell(f"more bad lines: see {self._letters}")

    def add_trouble(self, error: DeepSeekError) -> None:
        """Take note of a failure after which a request is sent again."""
        # That is how the limit is found.
        if isinstance(error, RateLimitError) or len(self._troubles) >= _KINDS:
            return
        kind = kind_of(error)
        if kind not in self._troubles:
            self._troubles.add(kind)
            self._tell(f"will be sent again: {tell_error(error)}")


class TroubleLog(logging.Handler):
    """Finds in the library's log what requests are sent again after.

    Args:
        failures: Is told of it.
    """

    def __init__(self, failures: Failures) -> None:
        super().__init__(logging.DEBUG)
        self._failures = failures

    def emit(self, record: logging.LogRecord) -> None:
        """Look at a record."""
        # What ends the run is told at its end.
        if record.levelno > logging.DEBUG or not isinstance(record.args, tuple):
            return
        for value in record.args:
            if isinstance(value, DeepSeekError):
                self._failures.add_trouble(value)


def kind_of(error: Exception) -> str:
    """Return what a failure is counted under."""
    message = error.message if isinstance(error, DeepSeekError) else str(error)
    name = str(error.status_code) if isinstance(error, APIStatusError) else type(error).__name__
    return in_batch_options(one_line(f"{name}: {message}", 120))
