"""Scales of a chart: where their lines are, and how fast a total grew."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import ceil, floor, log10

from deepseek_async.batch.amounts import DAY, LEAST

# Steps of seconds, minutes and hours that people count in.
_TIME_STEPS = (
    *(1, 2, 5, 10, 15, 30),
    *(60 * minutes for minutes in (1, 2, 5, 10, 15, 30)),
    *(3600 * hours for hours in (1, 2, 3, 6, 12)),
)


def value_ticks(most: float, lines: int = 5) -> list[float]:
    """Return round values from 0 to at least ``most``, at most ``lines`` above 0."""
    step = _round_up(most / lines) if most > LEAST else 1 / lines
    return [step * number for number in range(max(1, ceil(most / step - 1e-9)) + 1)]


def time_ticks(seconds: float, lines: int = 10) -> list[float]:
    """Return round times from 0 to at most ``seconds``."""
    least = seconds / lines
    if least > _TIME_STEPS[-1]:
        step = DAY * _round_up(least / DAY)
    elif least > 1:
        step = next(step for step in _TIME_STEPS if step >= least)
    else:
        step = _round_up(least)
    return [step * number for number in range(floor(seconds / step + 1e-9) + 1)]


def _round_up(value: float) -> float:
    """Return the next 1, 2 or 5 times a power of ten."""
    power: float = 10.0 ** floor(log10(value))
    return power * next(digit for digit in (1, 2, 5, 10) if digit * power >= value * (1 - 1e-9))


def rates(times: Sequence[float], totals: Sequence[float], columns: int) -> list[float]:
    """Return how fast a total grew, in each of so many equal parts of the time.

    Args:
        times: When it was looked at, in ascending order; at least two different ones.
        totals: What it was then.
        columns: How many parts.
    """
    width = (times[-1] - times[0]) / columns
    at = _interpolation(times, totals)
    edges = [at(times[0] + width * column) for column in range(columns + 1)]
    return [max(0.0, after - before) / width for before, after in pairwise(edges)]


def _interpolation(times: Sequence[float], totals: Sequence[float]) -> Callable[[float], float]:
    """Return the total at a time, for times asked for in ascending order."""
    index = 0

    def at(time: float) -> float:
        nonlocal index
        while index < len(times) - 2 and times[index + 1] <= time:
            index += 1
        before, after = times[index], times[index + 1]
        share = min(1.0, (time - before) / (after - before)) if after > before else 1.0
        return totals[index] + share * (totals[index + 1] - totals[index])

    return at
