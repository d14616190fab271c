"""``fim``: the text between a prompt and a suffix."""

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from deepseek_async import Completion, CompletionParams, ContentDeltaEvent, QueuedEvent
from deepseek_async.cli.answer import early_end
from deepseek_async.cli.connection import Connection, Target, connect
from deepseek_async.cli.failures import FINE, UsageProblem
from deepseek_async.cli.meter import Meter, Reading, meter_line
from deepseek_async.cli.screen import Screen, StatusLine
from deepseek_async.cli.tool_calls import WAITING

#: Marks the gap in a text.
MARKER = "<fill>"


@dataclass(frozen=True)
class FimOptions:
    """What to fill, and how. What is None is left to the server."""

    model: str
    prompt: str
    suffix: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    stop: Sequence[str] = ()
    echo: bool = False

    def params(self) -> CompletionParams:
        """Return the parameters of the request."""
        params: CompletionParams = {"model": self.model, "prompt": self.prompt}
        if self.suffix is not None:
            params["suffix"] = self.suffix
        if self.max_tokens is not None:
            params["max_tokens"] = self.max_tokens
        if self.temperature is not None:
            params["temperature"] = self.temperature
        if self.stop:
            params["stop"] = list(self.stop)
        if self.echo:
            params["echo"] = True
        return params


def piped_text() -> str:
    """Read the text from standard input, as it is: spaces at its ends count.

    Raises:
        UsageProblem: If that is a terminal, or there is nothing to read.
    """
    # None if the process was started with its standard input closed.
    stdin: Any = sys.stdin
    text = ""
    if stdin is not None and not stdin.isatty():
        text = stdin.buffer.read().decode(errors="replace")
    if not text:
        raise UsageProblem('no prompt: pass one, as in fim "def add(", or pipe one in')
    return text


def split_gap(text: str, suffix: str | None) -> tuple[str, str | None]:
    """Return what stands before the gap, and behind it; None if nothing is known of that.

    Args:
        text: With or without the marker of the gap.
        suffix: What stands behind the gap, where the text doesn't tell.

    Raises:
        UsageProblem: If there are several gaps, or no text at all.
    """
    count = text.count(MARKER)
    if count > 1:
        raise UsageProblem(f"the text has {count} times {MARKER}: only one gap can be filled")
    if count and suffix is not None:
        raise UsageProblem(f"--suffix and {MARKER} in the text exclude each other: choose one")
    prompt, _, rest = text.partition(MARKER)
    behind = rest if count else suffix
    if not prompt and not behind:
        raise UsageProblem("the prompt is empty: there is nothing to go by")
    return prompt, behind


async def fill(target: Target, options: FimOptions, screen: Screen) -> int:
    """Fill the gap and show it as it comes; a file or pipe gets the text alone."""
    async with connect(target) as connection:
        completion, reading = await _follow(connection, options, screen)
    reasons = [choice.finish_reason for choice in completion.choices]
    screen.note(meter_line(reading, early_end(reasons[0]) if reasons else None))
    return FINE


async def _follow(
    connection: Connection, options: FimOptions, screen: Screen
) -> tuple[Completion, Reading]:
    status = StatusLine(screen.notes, live=screen.live)
    meter = Meter(asyncio.get_running_loop().time)
    status.show(WAITING)
    last = "\n"
    try:
        async with connection.client.completions.stream(**options.params()) as stream:
            async for event in stream:
                if isinstance(event, QueuedEvent):
                    status.show("waiting in the server's queue", elapsed=event.elapsed)
                elif isinstance(event, ContentDeltaEvent):
                    status.clear()
                    meter.tick()
                    screen.write(event.delta)
                    last = event.delta[-1:]
            completion = stream.completion()
    finally:
        status.clear()
        # What is told next begins a line. A file or pipe gets what was filled in, and no more.
        if screen.on_terminal and last != "\n":
            screen.line()
    return completion, meter.read(completion.usage, completion, priced=connection.priced)
