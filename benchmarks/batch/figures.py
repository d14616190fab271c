"""Figures and the goals that they have to reach, as a small table."""

from __future__ import annotations

import platform
import sys
import time


class Figures:
    """The figures of one question.

    Args:
        title: What is asked.
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self._lines: list[str] = []
        self.missed: list[str] = []
        """The goals that were not reached."""

        self.failed: list[str] = []
        """Those of them for which noise is no excuse."""

    def add(
        self,
        label: str,
        value: float,
        unit: str = "",
        *,
        least: float | None = None,
        most: float | None = None,
        binding: bool = False,
    ) -> None:
        """Add a figure.

        Args:
            label: What it is.
            value: The figure.
            unit: Its unit; ``"%"`` has the value, a share, shown in percent.
            least: The goal, if it has one.
            most: The same.
            binding: Noise is no excuse for missing it.
        """
        scale = 100.0 if unit == "%" else 1.0
        goals = [
            f"{word} {_number(goal * scale)}"
            for word, goal in (("at least", least), ("at most", most))
            if goal is not None
        ]
        # So that NaN misses any goal.
        reached = (least is None or value >= least) and (most is None or value <= most)
        line = f"{label:<52}{_number(value * scale):>12} {unit:<8}{', '.join(goals)}"
        if not reached:
            line += "  MISSED"
            missed = f"{label}: {_number(value * scale)} {unit}, goal {goals[0]}"
            self.missed.append(missed)
            if binding:
                self.failed.append(missed)
        self._lines.append(line.rstrip())

    def finish(self) -> None:
        """Print the table, and exit with 1 if a goal was missed."""
        if not self.show():
            sys.exit(1)

    def show(self) -> bool:
        """Print the table; tell whether all goals were reached."""
        print(self._title)
        print(time.strftime("%Y-%m-%d"), f"Python {platform.python_version()}, {sys.platform}")
        print("\n".join(self._lines), flush=True)
        if self.missed:
            print("MISSED:", "; ".join(self.missed))
        return not self.missed


def _number(value: float) -> str:
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.1f}" if abs(value) >= 100 else f"{value:.4g}"
