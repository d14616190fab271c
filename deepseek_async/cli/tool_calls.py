"""Tool calls on the screen: while the model still writes them, and while they run."""

from typing import cast

import msgspec
from rich.text import Text

from deepseek_async import (
    ArgumentsDeltaEvent,
    ArgumentsDoneEvent,
    ToolDoneEvent,
    ToolStartedEvent,
)
from deepseek_async.cli.clean import one_line, printable
from deepseek_async.cli.screen import Screen, StatusLine

#: What the status line says until the model writes.
WAITING = "waiting for the first token"

# Results may be whole documents; they are for the model.
_MAX_RESULT = 200


class ToolCallView:
    """Shows names and arguments as they grow, a line for each call.

    Nothing is redrawn. Should the model switch between calls, a new line goes on with the one it
    switched to.
    """

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._current: int | None = None
        self._done = 0

    def grow(self, event: ArgumentsDeltaEvent) -> None:
        """Show more of a call."""
        line = Text()
        if event.index != self._current:
            if self._current is not None:
                line.append("\n")
            self._current = event.index
            line.append(f"  {event.index + 1}  ", "dim")
            line.append(one_line(event.name, 60), "bold cyan")
            line.append(" ")
        # Spaces count inside strings; only line breaks would spoil the line.
        line.append(printable(event.arguments_delta).replace("\n", " "))
        self._screen.console.print(line, end="", soft_wrap=True)

    def done(self, event: ArgumentsDoneEvent) -> None:
        """Show that a call is complete, and whether its arguments can be read."""
        self.finish()
        line = Text("  ")
        try:
            arguments = event.parsed()
        except ValueError:
            line.append("✗ ", "bold red")
            line.append(f"call {event.index + 1}: the arguments are not valid JSON")
        else:
            self._done += 1
            line.append("✓ ", "bold green")
            line.append(call_line(event.name, arguments))
        self._screen.console.print(line, soft_wrap=True)

    def finish(self) -> None:
        """End the line that is being written."""
        if self._current is not None:
            self._current = None
            self._screen.console.print()


class ToolRunView:
    """Shows the calls of tools that run here, and what they return.

    Args:
        screen: Where to.
        status: Where to say what is waited for.
    """

    def __init__(self, screen: Screen, status: StatusLine) -> None:
        self._screen = screen
        self._status = status
        self._running: dict[int, str] = {}
        self._written: int | None = None

    @property
    def are_running(self) -> bool:
        """Whether a call is shown as running."""
        return bool(self._running)

    def written(self, event: ArgumentsDeltaEvent) -> None:
        """Take note that the model writes a call; the cursor is at the start of a line."""
        if event.index != self._written:
            self._written = event.index
            self._status.show(f"calling {one_line(event.name, 60)}")

    def started(self, event: ToolStartedEvent) -> None:
        """Show a call that begins to run."""
        self._written = None
        self._running[event.index] = one_line(event.name, 60)
        self._tell(f"→ {call_line(event.name, _decoded(event.arguments))}")

    def done(self, event: ToolDoneEvent) -> None:
        """Show what the model is told."""
        del self._running[event.index]
        mark = "✗" if event.is_error else "←"
        self._tell(one_line(f"{mark} {event.name}: {event.content}", _MAX_RESULT))

    def printed(self, line: str) -> None:
        """Show a line that a function printed."""
        self._status.give_way(lambda: self._screen.note(line))

    def _tell(self, line: str) -> None:
        self._status.clear()
        self._screen.note(line)
        running = ", ".join(self._running.values())
        self._status.show(f"running {running}" if running else WAITING)


def call_line(name: str, arguments: object) -> str:
    """Return a call as Python would write it."""
    if not isinstance(arguments, dict):
        return one_line(f"{name}({arguments if isinstance(arguments, str) else ''})")
    named = cast("dict[str, object]", arguments)
    listed = ", ".join(f"{name}={value!r}" for name, value in named.items())
    return one_line(f"{name}({listed})")


def _decoded(arguments: str) -> object:
    """Return the arguments of a call; the text itself if it isn't JSON."""
    try:
        return msgspec.json.decode(arguments or "{}")
    except msgspec.DecodeError:
        return arguments
