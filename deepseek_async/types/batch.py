"""What a batch job is given and what it tells, as plain structs."""

from decimal import Decimal
from typing import Any

import msgspec

from deepseek_async.errors import PreflightError


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """The most that one run of a job may spend. With both limits, whichever is reached first.

    What a request may cost is set aside before it is sent, and replaced by what it did cost once
    its answer is there. A job without money left stops; that is an outcome, not an error.

    Raises:
        PreflightError: If no limit is given, or one is not a number above 0.
    """

    usd: float | Decimal | None = None
    """US dollars. Needs models whose prices are known."""

    tokens: int | None = None
    """Tokens, those of the prompts and of the answers together."""

    strict: bool = False
    """How much is set aside for a request. False: its prompt as estimated, and an output as long as
    95 % of the recent ones; the limit may be passed by what the requests under way exceed
    that. True: the worst case, its ``max_tokens`` at the dearest price that may hold until it
    ends, so that the limit is kept; give ``max_tokens``, or few requests are under way at once."""

    def __post_init__(self) -> None:
        if self.usd is None and self.tokens is None:
            raise PreflightError(
                "a Budget needs a limit: Budget(usd=20) or Budget(tokens=5_000_000)"
            )
        # Annotated, but nothing has checked that.
        if self.usd is not None and not _is_positive(self.usd, (int, float, Decimal)):
            raise PreflightError(
                f"Budget.usd must be a number of dollars above 0, got {self.usd!r}"
            )
        if self.tokens is not None and not _is_positive(self.tokens, (int,)):
            raise PreflightError(
                f"Budget.tokens must be a whole number above 0, got {self.tokens!r}"
            )

    @property
    def usd_limit(self) -> Decimal | None:
        """The limit in dollars as it is written: ``Budget(usd=0.1)`` means a tenth."""
        return None if self.usd is None else Decimal(str(self.usd))


def _is_positive(value: object, kinds: tuple[type, ...]) -> bool:
    if isinstance(value, bool) or not isinstance(value, kinds):
        return False
    if isinstance(value, Decimal) and value.is_nan():
        # Can't be compared.
        return False
    number: Any = value
    return bool(number > 0)


class BatchSample(msgspec.Struct, frozen=True, gc=False):
    """Where a job stood at one moment. All counts are those since it began."""

    t: float
    """Seconds since the job began."""

    limit: float
    """How many requests might be under way at once."""

    in_flight: int
    """How many were."""

    done: int = 0
    """Items answered."""

    failed: int = 0
    """Items that failed for good."""

    tokens: int = 0
    """Tokens of prompts and answers."""

    cost_usd: float = 0.0
    """What it cost, as far as prices are known."""

    rejected: int = 0
    """Requests refused because too many were under way (429)."""
