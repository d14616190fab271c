"""Figures of all rounds to one table and one JSON document."""

from __future__ import annotations

import json
import math
import platform
import time
from typing import Any, NamedTuple

from benchmarks.contenders import CONTENDERS, FLOOR
from benchmarks.questions import Case, Goal, Question, Row, median

_SOCKET = "socket"


class Result(NamedTuple):
    """What one contender did in one round."""

    question: str
    case: str
    contender: str
    round: int
    figures: dict[str, float]
    waited: float
    error: str | None


class Line(NamedTuple):
    """A row of the table."""

    question: str
    case: str
    row: Row
    medians: dict[str, float]

    def ratio(self, contender: str) -> float | None:
        """Return how many times as much as the floor; None if there is nothing to compare."""
        floor = self.medians.get(FLOOR)
        if not floor or contender == FLOOR or math.isnan(floor):
            return None
        return self.medians[contender] / floor

    def missed(self, contender: str) -> str | None:
        """Say which goal a contender missed, if it did."""
        goal, value = self.row.goals.get(contender, Goal()), self.medians[contender]
        ratio, socket = self.ratio(contender), self.medians.get(_SOCKET)
        unit = f" {self.row.unit}" if self.row.unit else ""
        if goal.times is not None and ratio is not None and ratio > goal.times:
            return f"{ratio:.2f} x floor, goal {goal.times:g}"
        if goal.most is not None and not value <= goal.most:
            return f"{value:.4g}{unit}, goal at most {goal.most:g}"
        if goal.least is not None and not value >= goal.least:
            return f"{value:.4g}{unit}, goal at least {goal.least:g}"
        if goal.over_socket is not None and socket is not None:
            over = value - socket
            if not over <= goal.over_socket:
                return f"{over:.4g}{unit} over the socket, goal {goal.over_socket:g}"
        return None


class Report:
    """What a run has found.

    Attributes:
        versions: What each contender ran.
        skipped: Who did not take part, and why.
    """

    def __init__(self, *, quick: bool, rounds: int) -> None:
        self._quick = quick
        self._rounds = rounds
        self._results: list[Result] = []
        self._cases: dict[tuple[str, str], Case] = {}
        self.versions: dict[str, dict[str, str]] = {}
        self.skipped: list[str] = []

    def add(
        self, question: Question, case: Case, contender: str, round_: int, answer: dict[str, Any]
    ) -> None:
        """Take the answer of a contender."""
        self._cases[question.module, case.name] = case
        self._results.append(
            Result(
                question.module,
                case.name,
                contender,
                round_,
                answer.get("figures", {}),
                answer.get("waited", 0.0),
                answer.get("error"),
            )
        )

    @property
    def errors(self) -> list[str]:
        """What went wrong, each once; peers may fail as they like."""
        return self._failures(ours=True)

    def _failures(self, *, ours: bool) -> list[str]:
        found = {
            f"{result.question} {result.case} {result.contender}: {result.error}"
            for result in self._results
            if result.error is not None and (result.contender != "openai") == ours
        }
        return sorted(found)

    def lines(self) -> list[Line]:
        """Return the rows of the table, with medians over the rounds."""
        lines: list[Line] = []
        for (question, name), case in self._cases.items():
            for row in case.rows:
                medians: dict[str, float] = {}
                for contender in case.contenders:
                    values = [
                        result.figures[row.figure]
                        for result in self._results
                        if (result.question, result.case) == (question, name)
                        and result.contender == contender
                        and row.figure in result.figures
                    ]
                    if values:
                        medians[contender] = median(values)
                lines.append(Line(question, name, row, medians))
        return lines

    @property
    def _waited(self) -> float:
        return median([result.waited for result in self._results if result.error is None])

    def table(self) -> str:
        """Return the table, and below it what has to be known to read it."""
        lines = self.lines()
        seen = [who for who in CONTENDERS if any(who in line.medians for line in lines)]
        cells = [["", "", *seen]] + [
            [line.row.label, line.row.unit, *(_cell(line, who) for who in seen)] for line in lines
        ]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        text = [
            f"{time.strftime('%Y-%m-%d')}, {platform.machine()}, medians of {self._rounds}"
            f"{', quick' if self._quick else ''}; in brackets: x floor; ! misses its goal"
        ]
        for name, unit, *values in cells:
            padded = [value.rjust(width) for value, width in zip(values, widths[2:], strict=True)]
            text.append("  ".join([name.ljust(widths[0]), unit.ljust(widths[1]), *padded]).rstrip())
        text.append("")
        text += [f"{who}: {CONTENDERS[who].label}; {_told(self.versions[who])}" for who in seen]
        text.append(f"Clients waited for their core {self._waited:.0%} of the time (median).")
        text += [f"Skipped: {reason}" for reason in self.skipped]
        text += [f"Failed: {reason}" for reason in [*self.errors, *self._failures(ours=False)]]
        for line in lines:
            for who in line.medians:
                if (missed := line.missed(who)) is not None:
                    text.append(f"Missed: {line.row.label}, {who}: {missed}")
        return "\n".join(text)

    def json(self) -> str:
        """Return all figures, of all rounds."""
        rows = [
            {
                "question": line.question,
                "case": line.case,
                "figure": line.row.figure,
                "label": line.row.label,
                "unit": line.row.unit,
                "medians": line.medians,
                "ratios": {who: line.ratio(who) for who in line.medians if who != FLOOR},
                "missed": {
                    who: missed for who in line.medians if (missed := line.missed(who)) is not None
                },
            }
            for line in self.lines()
        ]
        document = {
            "date": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "machine": platform.platform(),
            "quick": self._quick,
            "rounds": self._rounds,
            "waited": self._waited,
            "versions": self.versions,
            "skipped": self.skipped,
            "errors": self.errors + self._failures(ours=False),
            "rows": rows,
            "results": [result._asdict() for result in self._results],
        }
        return json.dumps(_without_nan(document), indent=1, ensure_ascii=False) + "\n"


def _told(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _cell(line: Line, contender: str) -> str:
    value = line.medians.get(contender)
    if value is None:
        return ""
    text = f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
    ratio = line.ratio(contender)
    if ratio is not None:
        text += f" ({ratio:.2f})"
    return text + ("!" if line.missed(contender) is not None else "")


def _without_nan(value: Any) -> Any:
    """Replace what JSON has no word for."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {name: _without_nan(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return value
