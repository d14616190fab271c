"""What ``.stream()`` yields: an answer as it grows, told in events.

No event holds the text so far: to build it for each would cost the square of its length. It is
in ``stream.snapshot`` when asked for.
"""

from typing import Any, ClassVar, Literal

import msgspec

from deepseek_async.types.chat import ChatCompletionChunk, TokenLogprob
from deepseek_async.types.usage import Usage


class QueuedEvent(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="queued"):
    """The server keeps the connection alive but has not begun to answer."""

    elapsed: float
    """Seconds since the request was sent."""

    type: ClassVar[Literal["queued"]] = "queued"


class ReasoningDeltaEvent(
    msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="reasoning.delta"
):
    """More of the reasoning."""

    delta: str
    type: ClassVar[Literal["reasoning.delta"]] = "reasoning.delta"


class ReasoningDoneEvent(
    msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="reasoning.done"
):
    """The reasoning is over; comes before whatever follows it."""

    text: str | None
    """The whole reasoning; None with ``accumulate=False``."""

    type: ClassVar[Literal["reasoning.done"]] = "reasoning.done"


class ContentDeltaEvent(
    msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="content.delta"
):
    """More of the answer's text."""

    delta: str
    type: ClassVar[Literal["content.delta"]] = "content.delta"


class ContentDoneEvent(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="content.done"):
    """The text is complete; comes with the finish reason."""

    text: str | None
    """The whole text; None with ``accumulate=False``."""

    type: ClassVar[Literal["content.done"]] = "content.done"


class ArgumentsDeltaEvent(
    msgspec.Struct,
    frozen=True,
    gc=False,
    tag_field="type",
    tag="tool_calls.function.arguments.delta",
):
    """More of the arguments of a tool call; the first one of a call may be empty."""

    index: int
    id: str
    name: str
    arguments_delta: str
    type: ClassVar[Literal["tool_calls.function.arguments.delta"]] = (
        "tool_calls.function.arguments.delta"
    )


class ArgumentsDoneEvent(
    msgspec.Struct,
    frozen=True,
    gc=False,
    tag_field="type",
    tag="tool_calls.function.arguments.done",
):
    """A tool call is complete; comes with the finish reason, never after a cut."""

    index: int
    id: str
    name: str

    arguments: str
    """JSON text as the model wrote it; it may be invalid."""

    type: ClassVar[Literal["tool_calls.function.arguments.done"]] = (
        "tool_calls.function.arguments.done"
    )

    def parsed(self) -> Any:
        """Return the arguments decoded.

        Raises:
            ValueError: If they are not valid JSON.
        """
        return msgspec.json.decode(self.arguments or "{}")


class LogprobsDeltaEvent(
    msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="logprobs.delta"
):
    """Log probabilities of the next tokens."""

    content: list[TokenLogprob] | None
    reasoning_content: list[TokenLogprob] | None
    type: ClassVar[Literal["logprobs.delta"]] = "logprobs.delta"


class ChunkEvent(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="chunk"):
    """The chunk itself, before the events made of it; only with ``chunks=True``."""

    chunk: ChatCompletionChunk
    type: ClassVar[Literal["chunk"]] = "chunk"


class RawEvent(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="raw"):
    """An event of the server, or a comment, as it came; only with ``with_raw()``."""

    data: bytes
    """The bytes, with the blank line that ends them; together they are the body."""

    type: ClassVar[Literal["raw"]] = "raw"


class ResumedEvent(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="resumed"):
    """A new segment of the answer begins."""

    reason: str
    """The finish reason or failure that ended the segment before."""

    attempt: int
    type: ClassVar[Literal["resumed"]] = "resumed"


class DoneEvent(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="done"):
    """The answer is complete. The last event."""

    finish_reason: str | None
    usage: Usage | None
    type: ClassVar[Literal["done"]] = "done"


ChatEvent = (
    QueuedEvent
    | ReasoningDeltaEvent
    | ReasoningDoneEvent
    | ContentDeltaEvent
    | ContentDoneEvent
    | ArgumentsDeltaEvent
    | ArgumentsDoneEvent
    | LogprobsDeltaEvent
    | ChunkEvent
    | RawEvent
    | ResumedEvent
    | DoneEvent
)
