"""What an answer took: tokens, money, time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from deepseek_async import ChatCompletion, Completion, Usage

# Below it a rate says more about the network's buffers than about the model.
_MIN_SECONDS = 0.02


@dataclass(frozen=True)
class Reading:
    """What one answer, or several together, took."""

    usage: Usage | None = None
    """None: the server didn't say."""

    cost: Decimal | None = None
    """In US dollars; None if the price is unknown."""

    first_token_seconds: float | None = None
    tokens_per_second: float | None = None
    requests: int = 1


class Meter:
    """Measures one answer from its request to its end.

    Args:
        clock: Seconds from any origin.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._started = clock()
        self._first: float | None = None
        self._last: float | None = None
        self._writing = 0.0

    def tick(self) -> None:
        """Take note that a part of the answer came."""
        now = self._clock()
        if self._first is None:
            self._first = now
        if self._last is not None:
            self._writing += now - self._last
        self._last = now

    def pause(self) -> None:
        """Take note that the model writes nothing until the next part, for another request."""
        self._last = None

    def read(
        self, usage: Usage | None, *completions: ChatCompletion | Completion, priced: bool
    ) -> Reading:
        """Return what has been measured.

        Args:
            usage: What the server counted, of all completions together.
            *completions: The answer; with those that led to it, if tools were called.
            priced: Whether DeepSeek's prices apply.
        """
        cost = total_cost([each.cost() for each in completions]) if priced else None
        requests = sum(_requests(each) for each in completions)
        if self._first is None:
            return Reading(usage, cost, requests=requests)
        rate = None
        if usage is not None and self._writing >= _MIN_SECONDS:
            rate = usage.completion_tokens / self._writing
        return Reading(usage, cost, self._first - self._started, rate, requests)


def _requests(completion: ChatCompletion | Completion) -> int:
    segments = completion.segments if isinstance(completion, ChatCompletion) else None
    return len(segments) if segments else 1


def total_cost(costs: Sequence[Decimal | None]) -> Decimal | None:
    """Return what several answers cost together; None if that of one is unknown."""
    known = [cost for cost in costs if cost is not None]
    return sum(known, Decimal(0)) if known and len(known) == len(costs) else None


def meter_line(reading: Reading, shortened: str | None = None) -> str:
    """Return a reading as one line.

    Args:
        reading: What the answer took.
        shortened: Why it ended before the model was done; None if it did not.
    """
    parts: list[str] = []
    usage = reading.usage
    if reading.requests > 1:
        parts.append(f"{reading.requests} requests")
    if usage is None:
        parts.append("no token counts")
    else:
        cached = f" ({usage.cached_tokens:,} cached)" if usage.cached_tokens else ""
        parts += [f"{usage.prompt_tokens:,} in{cached}", f"{usage.completion_tokens:,} out"]
        parts.append("cost unknown" if reading.cost is None else dollars(reading.cost))
    if reading.first_token_seconds is not None:
        parts.append(f"first token {seconds(reading.first_token_seconds)}")
    if reading.tokens_per_second is not None:
        parts.append(f"{reading.tokens_per_second:.0f} tokens/s")
    if shortened is not None:
        parts.append(f"ended early: {shortened}")
    return " · ".join(parts)


def dollars(amount: Decimal) -> str:
    """Return an amount with two digits that count: requests cost parts of a cent."""
    if not amount:
        return "$0"
    places = max(2, 1 - amount.adjusted())
    return f"${amount:.{places}f}"


def seconds(value: float) -> str:
    """Return a time as read by people."""
    return f"{value:.2f} s" if value < 10 else f"{value:.0f} s"
