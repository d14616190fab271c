"""How fast answers come: fixed times, or times drawn from a seeded distribution."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass

from deepseek_async.simulator.frames import Timing


@dataclass(frozen=True, slots=True)
class Constant:
    """Always the same."""

    value: float

    def __post_init__(self) -> None:
        _check("value", self.value, self.value >= 0)

    def draw(self, rng: random.Random) -> float:
        """The value."""
        del rng
        return self.value


@dataclass(frozen=True, slots=True)
class Uniform:
    """Anything between two values, all equally likely."""

    low: float
    high: float

    def __post_init__(self) -> None:
        _check("low", self.low, self.low >= 0)
        _check("high", self.high, self.high >= self.low)

    def draw(self, rng: random.Random) -> float:
        """A value."""
        return rng.uniform(self.low, self.high)


@dataclass(frozen=True, slots=True)
class LogNormal:
    """Mostly near `median`, now and then far above: what times to first tokens look like.

    Two of three values lie between ``median / e**sigma`` and ``median * e**sigma``.
    """

    median: float
    sigma: float = 0.5

    def __post_init__(self) -> None:
        _check("median", self.median, self.median > 0)
        _check("sigma", self.sigma, self.sigma >= 0)

    def draw(self, rng: random.Random) -> float:
        """A value."""
        return self.median * math.exp(self.sigma * rng.gauss(0.0, 1.0))


Distribution = Constant | Uniform | LogNormal
Amount = float | Distribution


def check_amount(name: str, amount: Amount | None) -> None:
    """Check what is given for a time or a pace; distributions have checked themselves.

    Raises:
        ValueError: It is a number that can't be one; the message begins with `name`.
    """
    if isinstance(amount, float | int):
        _check(name, amount, amount >= 0)


def check_seconds(name: str, seconds: float) -> None:
    """Check a time that may be infinite.

    Raises:
        ValueError: It is negative, or not a number; the message begins with `name`.
    """
    if not seconds >= 0:
        raise ValueError(f"{name} can't be {seconds}")


class Pacer:
    """Draws the times of answers; the same seed gives the same times."""

    def __init__(self, seed: int) -> None:
        # Of its own, so that ids and texts don't depend on how fast they come.
        self._rng = random.Random(f"{seed}:pace")

    def timing(
        self,
        *,
        queue: float = 0.0,
        first_token: Amount = 0.0,
        tokens_per_second: Amount | None = None,
        keep_alive: float = 10.0,
    ) -> Timing:
        """The times of one answer.

        Args:
            queue: Seconds of keep-alives before it begins.
            first_token: Seconds from there to the first token.
            tokens_per_second: Its pace; a distribution is drawn from anew for each token. None:
                as fast as the client reads.
            keep_alive: Seconds between keep-alives.
        """
        first = first_token if isinstance(first_token, float | int) else self._draw(first_token)
        if tokens_per_second is None:
            return Timing(queue, first, 0.0, keep_alive)
        if isinstance(tokens_per_second, Constant):
            tokens_per_second = tokens_per_second.value
        if isinstance(tokens_per_second, float | int):
            per_token = 1 / tokens_per_second if tokens_per_second else 0.0
            return Timing(queue, first, per_token, keep_alive)
        # A generator of its own: answers are played side by side, in no fixed order.
        own = random.Random(self._rng.getrandbits(32))
        return Timing(queue, first, 0.0, keep_alive, _gaps(tokens_per_second, own))

    def _draw(self, amount: Distribution) -> float:
        return amount.draw(self._rng)


def _gaps(pace: Distribution, rng: random.Random) -> Iterator[float]:
    while True:
        drawn = pace.draw(rng)
        yield 1 / drawn if drawn > 0 else 0.0


def _check(name: str, value: float, is_fine: bool) -> None:
    if not (is_fine and math.isfinite(value)):
        raise ValueError(f"{name} can't be {value}")
