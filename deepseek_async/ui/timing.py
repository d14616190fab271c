"""What an answer took, measured where it arrives: a page that is opened later can't know it."""

import asyncio
from typing import Any, Self

from deepseek_async import (
    ArgumentsDeltaEvent,
    ChatCompletion,
    ChatEventStream,
    ContentDeltaEvent,
    MessageParam,
    ReasoningDeltaEvent,
    ToolRunner,
    ToolRunnerEvent,
    TurnDoneEvent,
    Usage,
)

_DELTAS = (ContentDeltaEvent, ReasoningDeltaEvent, ArgumentsDeltaEvent)


class Timed:
    """A stream or a tool runner, as a source of a run, that remembers when its parts came.

    Args:
        stream: The stream, or the tool runner.
        asked: The conversation up to the question.
        sent: How many messages the request had, instructions included.

    Attributes:
        first_seconds: From its opening to the first part of the answer; None before that.
        writing_seconds: How long the model wrote; waiting for tools and requests doesn't count.
    """

    def __init__(
        self, stream: ChatEventStream | ToolRunner, asked: list[MessageParam], sent: int
    ) -> None:
        self._stream = stream
        self._asked = asked
        self._sent = sent
        self._clock = asyncio.get_running_loop().time
        self._opened = self._clock()
        self._last: float | None = None
        self.first_seconds: float | None = None
        self.writing_seconds = 0.0

    async def __aenter__(self) -> Self:
        await self._stream.__aenter__()
        return self

    async def __aexit__(self, *exc_info: Any) -> None:
        await self._stream.__aexit__(*exc_info)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ToolRunnerEvent:
        event = await anext(self._stream)
        if isinstance(event, _DELTAS):
            self._tick()
        elif isinstance(event, TurnDoneEvent):
            self._last = None
        return event

    @property
    def usage(self) -> Usage | None:
        """The token counts of all requests together."""
        return self._stream.usage

    @property
    def bytes_received(self) -> int:
        """Bytes of the answer so far, keep-alives included; 0 where that isn't told."""
        return getattr(self._stream, "bytes_received", 0)

    @property
    def completion(self) -> Any:
        """What the stream calls by this name."""
        return self._stream.completion

    @property
    def completions(self) -> list[ChatCompletion]:
        """The answer of each turn of a tool run."""
        return self._stream.completions if isinstance(self._stream, ToolRunner) else []

    def messages(self) -> list[MessageParam]:
        """Return the conversation, with what of the answer can be sent again.

        Raises:
            RuntimeError: If there is no answer.
        """
        if isinstance(self._stream, ToolRunner):
            return [*self._asked, *self._stream.messages[self._sent :]]
        said = [choice.message for choice in self._stream.completion().choices[:1]]
        return [*self._asked, *(each for each in said if each.content)]

    def _tick(self) -> None:
        now = self._clock()
        if self.first_seconds is None:
            self.first_seconds = now - self._opened
        if self._last is not None:
            self.writing_seconds += now - self._last
        self._last = now
