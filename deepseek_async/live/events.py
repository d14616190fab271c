"""What a run tells its readers beside the events of the answer."""

from typing import ClassVar, Literal

import msgspec

from deepseek_async import ChatEvent, ToolRunnerEvent


class ResetEvent(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="reset"):
    """The cursor is of no use here: forget what was shown, the whole answer so far follows."""

    type: ClassVar[Literal["reset"]] = "reset"


class FailedEvent(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="failed"):
    """The answer will not be completed. The last event."""

    kind: str
    """What went wrong, one of :data:`~deepseek_async.live.FAILURES`."""

    message: str
    """The exception's text: for logs and the people who run the service, not for its users."""

    retryable: bool = False
    """Whether the same question, asked a little later, may be answered."""

    type: ClassVar[Literal["failed"]] = "failed"


class StoppedEvent(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="stopped"):
    """The run was stopped before the answer was complete. The last event."""

    reason: str
    """``"stopped"``: somebody called stop; ``"left"``: nobody read it any more; ``"drained"``: the
    process is ending."""

    type: ClassVar[Literal["stopped"]] = "stopped"


class DrainEvent(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="drain"):
    """The process is ending: read on elsewhere. The last event of this reader, not of the run."""

    retry: float
    """Seconds to wait before the next try."""

    type: ClassVar[Literal["drain"]] = "drain"


LiveEvent = ChatEvent | ToolRunnerEvent | ResetEvent | FailedEvent | StoppedEvent | DrainEvent
