"""Figures beside their goals, as a small table and as JSON.

A machine that is busy with other work makes everything slower, so that a goal of time that is
missed is shown and no more; a text that was not complete is never noise, and fails.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.machine import raise_descriptor_limit
from benchmarks.realtime.measuring import Figures, median
from benchmarks.realtime.processes import cores, keep_to


class Goal(NamedTuple):
    """What a figure should be."""

    most: float | None = None
    least: float | None = None

    def reached_by(self, value: float) -> bool:
        """Say whether it is; NaN never is."""
        return (self.least is None or value >= self.least) and (
            self.most is None or value <= self.most
        )

    def told(self, scale: float) -> str:
        """Return it in words."""
        pairs = (("at least", self.least), ("at most", self.most))
        return ", ".join(f"{word} {_number(v * scale)}" for word, v in pairs if v is not None)


class Report:
    """The figures of one question.

    Args:
        title: What is asked.
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self._lines: list[str] = []
        self._rows: list[dict[str, Any]] = []
        self._kept: list[dict[str, Any]] = []
        self._conditions: list[Figures] = []
        self._failed: list[str] = []

    def add(
        self,
        label: str,
        value: float,
        unit: str = "",
        goal: Goal | None = None,
        *,
        binding: bool = False,
        note: str = "",
    ) -> None:
        """Add a figure.

        Args:
            label: What it is.
            value: The figure.
            unit: Its unit; ``"%"`` has the value, a share, shown in percent.
            goal: What it should be.
            binding: Noise is no excuse: the run fails if it is missed.
            note: What else has to be known.
        """
        scale = 100.0 if unit == "%" else 1.0
        line = f"{label:<58}{_number(value * scale):>12} {unit:<14}"
        told = goal.told(scale) if goal is not None else ""
        line += told + (f" ({note})" if note else "")
        reached = goal is None or goal.reached_by(value)
        if not reached:
            line += "  FAILED" if binding else "  missed"
            if binding:
                self._failed.append(label)
        self._lines.append(line.rstrip())
        self._rows.append(
            {"label": label, "value": value, "unit": unit, "goal": told, "reached": reached}
        )

    def keep(self, question: str, contender: str, count: int, figures: Figures) -> None:
        """Keep a single measurement for the JSON."""
        named = {"question": question, "contender": contender, "count": count}
        self._kept.append({**named, **figures._asdict()})

    def conditions(self, found: Sequence[Figures]) -> None:
        """Take note of how quiet the machine was."""
        self._conditions += found

    def finish(self, path: Path | None) -> None:
        """Print the table, write the JSON, and exit with 1 if something failed."""
        print(self._title)
        print(time.strftime("%Y-%m-%d %H:%M"), f"Python {platform.python_version()}")
        print("\n".join(self._lines))
        if self._conditions:
            print(_told_conditions(self._conditions))
        print(flush=True)
        if path is not None:
            kept = {"title": self._title, "rows": self._rows, "measured": self._kept}
            path.write_text(json.dumps(_without_nan(kept), indent=1, ensure_ascii=False) + "\n")
        if self._failed:
            sys.exit("FAILED: " + "; ".join(self._failed))


def prepare(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Parse the options, and make ready this process, in which the browsers are."""
    parser.add_argument("--json", type=Path, help="file for all figures of all rounds")
    options = parser.parse_args()
    raise_descriptor_limit()
    return options


def stay_off_the_relay() -> tuple[int, int]:
    """Keep this process off the relay's core; return that, and the one of all others."""
    relay, others = cores()
    keep_to(others)
    return relay, others


def _told_conditions(found: Sequence[Figures]) -> str:
    waited = median(found, "upstream_waited")
    return (
        f"(medians: others had the relay's core {median(found, 'relay_waited'):.0%} of the time, "
        f"upstream and browsers shared theirs: the upstream waited {waited:.0%},"
        f" was late by {median(found, 'upstream_late'):.1f} ms at p99)"
    )


def _number(value: float) -> str:
    if math.isnan(value):
        return "nothing"
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.1f}" if abs(value) >= 100 else f"{value:.3g}"


def _without_nan(value: Any) -> Any:
    """Replace what JSON has no word for."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {name: _without_nan(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return value
