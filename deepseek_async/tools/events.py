"""What a run of tools yields: the events of each answer, and what its tools do meanwhile."""

from typing import ClassVar, Literal

import msgspec

from deepseek_async.events import ChatEvent
from deepseek_async.types.chat import ChatCompletion


class TurnDoneEvent(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="turn.done"):
    """One answer of the model is complete; its tool calls, if any, run next."""

    turn: int
    """1 for the first request of the run."""

    completion: ChatCompletion
    type: ClassVar[Literal["turn.done"]] = "turn.done"


class ToolStartedEvent(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="tool.started"):
    """A tool begins to run."""

    turn: int

    index: int
    """Position among the calls of the turn, from 0."""

    id: str
    """``tool_call_id`` of the answer."""

    name: str

    arguments: str
    """JSON text as the model wrote it; it may be invalid."""

    type: ClassVar[Literal["tool.started"]] = "tool.started"


class ToolDoneEvent(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="tool.done"):
    """A tool has answered, or failed to."""

    turn: int

    index: int
    """Position among the calls of the turn, from 0."""

    id: str
    """``tool_call_id`` of the answer."""

    name: str

    content: str
    """What the model is told."""

    is_error: bool
    """The tool raised or ran out of time, or the model called it wrongly."""

    seconds: float
    """How long it ran; waiting for its turn doesn't count."""

    type: ClassVar[Literal["tool.done"]] = "tool.done"


ToolEvent = ToolStartedEvent | ToolDoneEvent

#: The events of each turn's answer, but for their ``done``, and those of the tools. ``done``
#: comes once, at the very end: with the last finish reason, and the usage of all turns.
ToolRunnerEvent = ChatEvent | TurnDoneEvent | ToolStartedEvent | ToolDoneEvent
