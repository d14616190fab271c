"""What a question consists of, and what its measurements get to work with."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.request import urlopen

from benchmarks.contenders import Client, Make

Figures = dict[str, float]


class Goal(NamedTuple):
    """How good a contender has to be; what is None does not matter."""

    times: float | None = None
    """Most, as a multiple of the floor."""

    most: float | None = None
    """Most, in the unit of the figure."""

    least: float | None = None
    """Least, in the unit of the figure."""

    over_socket: float | None = None
    """Most above the bare socket, in the unit of the figure."""


@dataclass(frozen=True)
class Row:
    """A figure of a case that the table shows."""

    figure: str
    label: str
    unit: str
    goals: Mapping[str, Goal] = field(default_factory=dict[str, Goal])


@dataclass(frozen=True)
class Case:
    """One measurement, taken with each contender in turn.

    Attributes:
        name: What the command line calls it.
        measure: Takes it, in the process of the contender.
        rows: What of its figures is shown.
        contenders: Who takes part.
        fresh: Whether it needs a new process, for the sake of the memory it measures.
        descriptors: How many open files it needs on either side.
        seconds: After how long it is given up.
    """

    name: str
    measure: Callable[[Bench], Awaitable[Figures]]
    rows: Sequence[Row]
    contenders: Sequence[str]
    fresh: bool = False
    descriptors: int = 0
    seconds: float = 120.0


@dataclass(frozen=True)
class Question:
    """What one file of benchmarks asks.

    Attributes:
        module: Name of the file, without the ending.
        title: The question.
        cases: Its measurements.
    """

    module: str
    title: str
    cases: Sequence[Case]


class Bench:
    """What a measurement gets.

    Args:
        contender: Name of the contender at hand.
        make: Makes clients of it.
        server: Where the fake server is.
        quick: Whether to measure less, to show only that it works.
    """

    def __init__(self, contender: str, make: Make, server: str, *, quick: bool) -> None:
        self.contender = contender
        self.quick = quick
        self._make = make
        self._server = server

    def client(self, mode: str, limit: int = 1) -> Client:
        """Return a new client.

        Args:
            mode: What the server is to answer.
            limit: How many connections it may have.
        """
        return self._make(f"{self._server}/{mode}", limit)

    def connections_open(self) -> int:
        """Return how many connections the server has, this one apart."""
        with urlopen(f"{self._server}/state/") as response:
            state: dict[str, Any] = json.load(response)
        return int(state["open"]) - 1

    def pick(self, full: int, quick: int) -> int:
        """Return the number for the run at hand."""
        return quick if self.quick else full

    @property
    def seconds(self) -> float:
        """How long to repeat something short."""
        return 0.1 if self.quick else 0.6


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value that a share of all lies below; NaN of none."""
    if not values:
        return math.nan
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def median(values: Sequence[float]) -> float:
    """Return the median; NaN of none."""
    return statistics.median(values) if values else math.nan


def check(got: object, wanted: object, what: str) -> None:
    """Make sure that a client has read what the server sent.

    Raises:
        AssertionError: If it hasn't.
    """
    if got != wanted:
        raise AssertionError(f"wrong {what}: {str(got)[:80]!r}, not {str(wanted)[:80]!r}")
