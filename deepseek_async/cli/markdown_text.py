"""An answer's Markdown on a terminal, while it comes."""

import asyncio
import re
import time

from deepseek_async.cli.clean import printable
from deepseek_async.cli.markdown import Blocks, Row, rows_of
from deepseek_async.cli.screen import Screen
from deepseek_async.cli.tail import Tail

# As often as the eye needs.
_FRAME_SECONDS = 0.1
# Long blocks are drawn less often, so that drawing takes no more than a part of the time.
_PAUSE_PER_COST = 16
# What may still become a list, a heading, a rule or a fence is no text yet.
_MARKS = re.compile(r"[ \t]*(?:[-+*_#>|~`=]+|\d{1,9}[.)])[ \t]*")
_BLANK = Row("", 0)


class MarkdownText:
    """Prints Markdown that comes in pieces.

    Finished blocks are printed once and never touched again. What is still being written is
    redrawn, at most ten times a second and by the event loop, which has to run.

    Args:
        screen: A terminal.
    """

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._blocks = Blocks()
        self._tail = Tail(screen)
        self._has_printed = False
        self._next_frame = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._failure: OSError | None = None

    def feed(self, text: str) -> None:
        """Show ``text``: at once, or with the next frame."""
        self._check()
        self._blocks.feed(printable(text))
        if self._timer is not None:
            return
        loop = asyncio.get_running_loop()
        if loop.time() >= self._next_frame:
            self._draw()
        else:
            self._timer = loop.call_at(self._next_frame, self._on_time)

    def finish(self) -> None:
        """Show the rest in its final form; the cursor is at the start of a line then."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        try:
            self._check()
            if done := self._rows(self._blocks.finish()):
                self._tail.show(done, ())
        finally:
            self._tail.close()

    def _check(self) -> None:
        """Raise what a frame met with: it is drawn by the event loop, which would only log it."""
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _on_time(self) -> None:
        self._timer = None
        try:
            self._draw()
        except OSError as exc:
            self._failure = exc

    def _draw(self) -> None:
        started = time.perf_counter()
        done = self._rows(self._blocks.take())
        self._tail.show(done, self._growing())
        cost = time.perf_counter() - started
        pause = max(_FRAME_SECONDS, cost * _PAUSE_PER_COST)
        self._next_frame = asyncio.get_running_loop().time() + pause

    def _growing(self) -> list[Row]:
        text = self._blocks.rest
        start = text.rfind("\n") + 1
        if _MARKS.fullmatch(text, start):
            text = text[:start]
        return self._separated(self._rows_of(text)) if text.strip() else []

    def _rows(self, blocks: list[str]) -> list[Row]:
        """Return the rows of finished blocks."""
        rows: list[Row] = []
        for block in blocks:
            if shown := self._separated(self._rows_of(block)):
                rows += shown
                self._has_printed = True
        return rows

    def _rows_of(self, block: str) -> list[Row]:
        return rows_of(block, self._screen.console, self._screen.width)

    def _separated(self, rows: list[Row]) -> list[Row]:
        return [_BLANK, *rows] if rows and self._has_printed else rows
