"""Tool calls on the screen while the model still writes them."""

from typing import cast

from rich.text import Text

from deepseek_async import ArgumentsDeltaEvent, ArgumentsDoneEvent
from deepseek_async.cli.clean import one_line, printable
from deepseek_async.cli.screen import Screen


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
            named = cast("dict[str, object]", arguments if isinstance(arguments, dict) else {})
            listed = ", ".join(f"{name}={value!r}" for name, value in named.items())
            line.append("✓ ", "bold green")
            line.append(one_line(f"{event.name}({listed})"))
        self._screen.console.print(line, soft_wrap=True)

    def finish(self) -> None:
        """End the line that is being written."""
        if self._current is not None:
            self._current = None
            self._screen.console.print()
