"""Where output goes: answers to stdout, notes about them to stderr."""

import asyncio
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

from rich.console import Console
from rich.control import Control
from rich.segment import ControlType
from rich.text import Text
from rich.theme import Theme

from deepseek_async.cli.clean import printable

# Longer lines are hard to read.
_MAX_WIDTH = 100

# Of Markdown: nothing that a light terminal can't show.
_THEME = Theme(
    {
        "markdown.code": "cyan",
        "markdown.h1": "bold underline",
        "markdown.h2": "bold underline",
        "markdown.h3": "bold",
        "markdown.h4": "bold",
        "markdown.h5": "italic",
        "markdown.h6": "italic",
        "markdown.hr": "dim",
        "markdown.block_quote": "italic",
        "markdown.item.bullet": "bold",
        "markdown.item.number": "bold",
        "markdown.link": "underline",
        "markdown.link_url": "cyan",
        "markdown.table.border": "dim",
        "markdown.table.header": "bold",
    }
)


class _Console(Console):
    """A console that leaves a broken pipe to the command."""

    def on_broken_pipe(self) -> NoReturn:
        # Rich would raise SystemExit, which ends an event loop halfway.
        raise BrokenPipeError


@dataclass(frozen=True)
class Screen:
    """The two outputs of a command."""

    console: Console
    """Standard output."""

    notes: Console
    """Standard error."""

    live: bool
    """Whether standard output is a terminal on which lines can be redrawn."""

    on_terminal: bool = True
    """Whether standard output is a terminal of any kind."""

    @property
    def aside(self) -> Console:
        """Where goes what is not the answer: not into a file or pipe that takes the answer."""
        return self.console if self.live else self.notes

    @property
    def width(self) -> int:
        """Columns for text, as of now: terminals are resized."""
        return min(self.console.width, _MAX_WIDTH)

    def line(self, text: str = "", style: str = "") -> None:
        """Print a line on standard output; on a terminal it is wrapped at words."""
        self.console.print(Text(text, style=style), soft_wrap=not self.live)

    def write(self, text: str) -> None:
        """Print a piece of data: as it is, but for what a terminal would obey."""
        write(self.console, printable(text) if self.on_terminal else text)

    def note(self, text: str, style: str = "dim") -> None:
        """Print a line beside the answer."""
        self.aside.print(Text(text, style=style), soft_wrap=not self.live)


def new_console(**options: Any) -> Console:
    """Make a console that takes text for what it is: no markup, no colours by guess."""
    return _Console(highlight=False, markup=False, emoji=False, theme=_THEME, **options)


def open_screen(*, plain: bool = False) -> Screen:
    """Make the screen of this process.

    Args:
        plain: Whether to do without colours and redrawing.
    """
    options: dict[str, Any] = {"force_terminal": False, "color_system": None} if plain else {}
    # Bound to what they are now: functions that the model calls may print elsewhere.
    console = new_console(file=sys.stdout, **options)
    notes = new_console(file=sys.stderr, **options)
    live = not plain and sys.stdout.isatty() and not console.is_dumb_terminal
    return Screen(console, notes, live, sys.stdout.isatty())


def write(console: Console, text: str) -> None:
    """Write a piece of text as it is; a console's own functions make spaces of tabs."""
    console.file.write(text)
    console.file.flush()


class StatusLine:
    """A line that says what is being waited for, and for how long; gone when that comes.

    On a terminal it is redrawn every second, elsewhere printed once for each new text. Nothing
    else may be printed while it is shown, and the cursor must be at the start of a line.
    """

    def __init__(self, console: Console, *, live: bool) -> None:
        self._console = console
        self._live = live
        self._text = ""
        self._since = 0.0
        self._told = ""
        self._timer: asyncio.TimerHandle | None = None

    def show(self, text: str, *, elapsed: float = 0.0) -> None:
        """Say that ``text`` has been waited for since ``elapsed`` seconds."""
        loop = asyncio.get_running_loop()
        self._text = text
        self._since = loop.time() - elapsed
        if self._live:
            self._draw()
        elif text != self._told and elapsed > 0:
            self._told = text
            self._console.print(Text(f"{text}, {elapsed:.0f} s"), soft_wrap=True)

    def give_way(self, write: Callable[[], None]) -> None:
        """Let ``write`` print whole lines, and go on below them."""
        was_shown = self._timer is not None
        self.clear()
        write()
        if was_shown:
            self._draw()

    def clear(self) -> None:
        """Take the line away."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._erase()

    def _draw(self) -> None:
        loop = asyncio.get_running_loop()
        elapsed = loop.time() - self._since
        if self._timer is not None:
            self._timer.cancel()
        # At the next full second, so that none is skipped.
        self._timer = loop.call_later(1.001 - elapsed % 1, self._draw)
        # Nobody needs to know of a wait this short, and the line would flash.
        if elapsed < 1:
            return
        self._erase()
        line = Text(f"{self._text}, {elapsed:.0f} s", style="dim", overflow="ellipsis")
        # One column less than there are: a full line may wrap, which can't be erased.
        line.truncate(self._console.width - 1)
        self._console.print(line, end="", soft_wrap=True)

    def _erase(self) -> None:
        self._console.control(Control(ControlType.CARRIAGE_RETURN, (ControlType.ERASE_IN_LINE, 2)))
