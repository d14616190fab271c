"""Terminals that tests can look at, and the Markdown that they show."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable
from io import StringIO
from typing import Any

import pyte

from deepseek_async.cli.markdown import Blocks, rows_of
from deepseek_async.cli.screen import new_console

from .conftest import Pty

_SGR = re.compile(r"\x1b\[[\d;]*m")


class Emulator:
    """A terminal with what has scrolled away."""

    def __init__(self, rows: int = 24, columns: int = 80) -> None:
        self.screen: Any = pyte.HistoryScreen(columns, rows, history=10_000, ratio=0.001)
        self._stream: Any = pyte.Stream(self.screen)

    def feed(self, text: str) -> None:
        self._stream.feed(text)

    @property
    def lines(self) -> list[str]:
        """All lines, from the first one in the history to the last one that isn't blank."""
        above = [
            "".join(line[column].data for column in range(self.screen.columns))
            for line in self.screen.history.top
        ]
        lines = [line.rstrip() for line in (*above, *self.screen.display)]
        while lines and not lines[-1]:
            lines.pop()
        return lines


def shown(text: str, columns: int = 80) -> list[str]:
    """Return the lines that a terminal shows after ``text``."""
    emulator = Emulator(columns=columns)
    emulator.feed(text.replace("\n", "\r\n"))
    return emulator.lines


def expected(blocks: Iterable[str], columns: int = 80) -> list[str]:
    """Return the lines that show Markdown, block by block."""
    console = new_console(file=StringIO(), force_terminal=True, width=columns)
    lines: list[str] = []
    for block in blocks:
        if rows := rows_of(block, console, min(columns, 100)):
            lines += ["", *(_SGR.sub("", row.text) for row in rows)]
    return lines[1:]


def blocks_of(text: str) -> list[str]:
    blocks = Blocks()
    blocks.feed(text)
    return blocks.finish()


class ScreenPty(Pty):
    """The command on a terminal that can be looked at. It doesn't wrap lines anew."""

    def __init__(
        self, *arguments: str, rows: int = 24, columns: int = 80, **variables: str
    ) -> None:
        self.emulator = Emulator(rows, columns)
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        variables.setdefault("TERM", "linux")
        super().__init__(*arguments, rows=rows, columns=columns, **variables)

    def take(self, data: bytes) -> None:
        text = self._decoder.decode(data)
        self.shown += text
        self.emulator.feed(text)

    def resize(self, rows: int, columns: int) -> None:
        super().resize(rows, columns)
        self.emulator.screen.resize(rows, columns)

    @property
    def lines(self) -> list[str]:
        return self.emulator.lines
