"""One streamed answer on the screen."""

import asyncio
from dataclasses import dataclass
from typing import Unpack

from rich.text import Text

from deepseek_async import (
    ChatCompletion,
    ChatParams,
    ContentDeltaEvent,
    QueuedEvent,
    ReasoningDeltaEvent,
)
from deepseek_async.cli.clean import one_line
from deepseek_async.cli.connection import Connection
from deepseek_async.cli.meter import Meter, Reading
from deepseek_async.cli.prose import Prose, RawText
from deepseek_async.cli.screen import Screen, StatusLine

_COMPLETE = frozenset({"stop", "tool_calls", None})


class AnswerView:
    """Shows the reasoning, then the answer, as they come.

    On a terminal the reasoning is dimmed. Elsewhere it goes to stderr, so that a file or pipe
    gets the answer alone, unless ``together`` is set.

    Args:
        screen: Where to.
        reasoning: Whether to show the reasoning.
        together: Whether both go to stdout even if that is no terminal.
    """

    def __init__(self, screen: Screen, *, reasoning: bool = True, together: bool = False) -> None:
        self._screen = screen
        self._shows_reasoning = reasoning
        self._together = together or screen.live
        self._part: Prose | RawText | None = None
        self._in_answer = False

    def reasoning(self, delta: str) -> None:
        """Show more of the reasoning."""
        if not self._shows_reasoning or self._in_answer or not delta:
            return
        if self._part is None:
            if self._screen.live:
                self._part = Prose(self._screen, "dim")
            else:
                self._label("Reasoning:")
                self._part = RawText(self._screen, aside=not self._together)
        self._part.feed(delta)

    def content(self, delta: str) -> None:
        """Show more of the answer."""
        if not delta:
            return
        if not self._in_answer:
            self._in_answer = True
            if self._part is not None:
                self._part.finish()
                console = self._screen.console if self._together else self._screen.notes
                console.print()
                if not self._screen.live and self._together:
                    self._label("Answer:")
            self._part = Prose(self._screen) if self._screen.live else RawText(self._screen)
        assert self._part is not None
        self._part.feed(delta)

    def finish(self) -> None:
        """End the line that is being written."""
        if self._part is not None:
            self._part.finish()

    def _label(self, text: str) -> None:
        console = self._screen.console if self._together else self._screen.notes
        console.print(Text(text))


@dataclass(frozen=True)
class Answer:
    """A whole answer and what it took."""

    completion: ChatCompletion
    reading: Reading

    @property
    def shortened(self) -> str | None:
        """Why the answer is not all the model had to say; None if it is."""
        choices = self.completion.choices
        reason = choices[0].finish_reason if choices else None
        return None if reason in _COMPLETE else one_line(str(reason), 60)


class Follower:
    """Asks for an answer and shows it.

    Attributes:
        text: The answer's text so far, also after a failure.
    """

    def __init__(self, screen: Screen, view: AnswerView) -> None:
        self._view = view
        self._status = StatusLine(screen.notes, live=screen.live)
        self._pieces: list[str] = []

    @property
    def text(self) -> str:
        """The answer's text so far."""
        return "".join(self._pieces)

    async def follow(self, connection: Connection, **params: Unpack[ChatParams]) -> Answer:
        """Send the request and show what comes.

        Raises:
            DeepSeekError: If the answer does not come to its end; what came has been shown.
        """
        meter = Meter(asyncio.get_running_loop().time)
        self._status.show("waiting for the first token")
        try:
            async with connection.client.chat.completions.stream(**params) as stream:
                async for event in stream:
                    match event:
                        case QueuedEvent():
                            self._status.show(
                                "waiting in the server's queue", elapsed=event.elapsed
                            )
                        case ReasoningDeltaEvent():
                            self._status.clear()
                            meter.tick()
                            self._view.reasoning(event.delta)
                        case ContentDeltaEvent():
                            self._status.clear()
                            meter.tick()
                            self._pieces.append(event.delta)
                            self._view.content(event.delta)
                        case _:
                            pass
                completion = stream.completion()
        finally:
            self._status.clear()
            self._view.finish()
        reading = meter.read(completion.usage, completion.model, priced=connection.priced)
        return Answer(completion, reading)
