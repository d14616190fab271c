"""The last rows of a terminal, drawn anew as they grow, below rows that are never touched again."""

import os
from collections.abc import Sequence

from deepseek_async.cli.keys import KeyEcho
from deepseek_async.cli.markdown import Row
from deepseek_async.cli.screen import Screen

# While it is off, a row takes one row, whatever the terminal thinks of the width of its characters.
_WRAP_OFF, _WRAP_ON = "\x1b[?7l", "\x1b[?7h"
_ERASE_LINE, _ERASE_BELOW = "\x1b[K", "\x1b[J"
_MORE_ABOVE = Row("…", 1)


class Tail:
    """Draws rows that still change, and leaves them when they are done.

    The cursor stands at the start of the row below them, so they are never more than the screen
    has but one: what has scrolled away can't be taken back. Only rows that differ are written.

    Args:
        screen: A terminal, on which nobody else writes until :meth:`close`.
    """

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._keys = KeyEcho(screen.console.file)
        self._rewraps = _rewraps_lines()
        self._drawn: list[Row] = []
        self._width = 0

    def show(self, done: Sequence[Row], growing: Sequence[Row]) -> None:
        """Show rows in place of those that were still growing.

        Args:
            done: Rows that stay as they are.
            growing: Rows below them that may change; of too many, the last ones are shown.
        """
        self._keys.off()
        width, height = self._size()
        most = max(1, height - 1)
        tail = list(growing[-most:])
        if len(growing) > most > 1:
            tail[0] = _MORE_ABOVE
        rows = [*done, *tail]
        kept = self._kept(rows, len(done)) if width == self._width else 0
        self._write(self._drawn[kept:], done[kept:], tail[max(0, kept - len(done)) :], width)
        self._drawn = tail
        self._width = width

    def close(self) -> None:
        """Leave the terminal to others."""
        self._drawn = []
        self._keys.on()

    def _size(self) -> tuple[int, int]:
        """Return the columns and rows that there are now, whatever COLUMNS and LINES say."""
        console = self._screen.console
        try:
            return os.get_terminal_size(console.file.fileno())
        except (OSError, ValueError):
            return console.size

    def _kept(self, rows: Sequence[Row], done: int) -> int:
        """Return how many rows are on the screen already."""
        kept = 0
        for old, new in zip(self._drawn, rows, strict=False):
            # A row that may have been cut off at the margin is written once more, wrapped.
            if old != new or (kept < done and not new.certain):
                break
            kept += 1
        return kept

    def _write(
        self, gone: Sequence[Row], done: Sequence[Row], tail: Sequence[Row], width: int
    ) -> None:
        parts: list[str] = []
        erase = _ERASE_LINE if gone else ""
        if gone:
            parts.append(f"\r\x1b[{self._height(gone, width)}A")
        parts += [f"{erase}{row.text}\n" for row in done]
        if tail:
            parts += [_WRAP_OFF, *(f"{erase}{row.text}\n" for row in tail), _WRAP_ON]
        if gone:
            # Last: tmux keeps in its history what is erased from the top of the screen down.
            parts.append(_ERASE_BELOW)
        if parts:
            file = self._screen.console.file
            # At once: the terminal shouldn't show a half of it.
            file.write("".join(parts))
            file.flush()

    def _height(self, rows: Sequence[Row], width: int) -> int:
        if width >= self._width or not self._rewraps:
            return len(rows)
        return sum(max(1, -(-row.cells // max(1, width))) for row in rows)


def _rewraps_lines() -> bool:
    """Tell whether the terminal wraps lines anew when it gets narrower; else it cuts them off."""
    term = os.environ.get("TERM", "")
    if term.startswith("screen"):
        return "TMUX" in os.environ
    return term != "linux" and "XTERM_VERSION" not in os.environ
