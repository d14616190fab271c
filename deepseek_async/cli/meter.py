"""What an answer took: tokens, money, time."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from deepseek_async import Usage

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


class Meter:
    """Measures one answer from its request to its end.

    Args:
        clock: Seconds from any origin.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._started = clock()
        self._first: float | None = None
        self._last = 0.0

    def tick(self) -> None:
        """Take note that a part of the answer came."""
        self._last = self._clock()
        if self._first is None:
            self._first = self._last

    def read(self, usage: Usage | None, model: str, *, priced: bool) -> Reading:
        """Return what has been measured.

        Args:
            usage: What the server counted.
            model: The model that answered.
            priced: Whether DeepSeek's prices apply.
        """
        cost = None
        if usage is not None and priced:
            cost = usage.cost(model, at=datetime.now(UTC))
        if self._first is None:
            return Reading(usage, cost)
        span = self._last - self._first
        rate = None
        if usage is not None and span >= _MIN_SECONDS:
            rate = usage.completion_tokens / span
        return Reading(usage, cost, self._first - self._started, rate)


def meter_line(reading: Reading) -> str:
    """Return a reading as one line."""
    parts: list[str] = []
    usage = reading.usage
    if usage is None:
        parts.append("no token counts")
    else:
        cached = f" ({usage.cached_tokens:,} cached)" if usage.cached_tokens else ""
        parts += [f"{usage.prompt_tokens:,} in{cached}", f"{usage.completion_tokens:,} out"]
    if reading.cost is not None:
        parts.append(dollars(reading.cost))
    if reading.first_token_seconds is not None:
        parts.append(f"first token {seconds(reading.first_token_seconds)}")
    if reading.tokens_per_second is not None:
        parts.append(f"{reading.tokens_per_second:.0f} tokens/s")
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
