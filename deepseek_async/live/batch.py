"""What a reader is handed at once."""

from typing import Any

from deepseek_async.live.events import LiveEvent


class Batch:
    """Events of a run that a reader has not had yet, neighbouring deltas joined.

    Readers that are equally far share one object, and whatever is kept in ``encoded``. Without
    events it is a heartbeat: nothing came for a while.

    Attributes:
        events: What was told, in order.
        cursor: Where to go on: read again ``after`` it, here or on another connection.
        start: The position in the run's log at which it begins: characters and events before it.
        end: The position behind it; equal to ``start`` for heartbeats and for what is only true
            for the moment, such as ``queued``.
        seconds: When it was told, in seconds since the run was started.
        last: Whether nothing follows.
        encoded: What encoders made of it, by format; theirs to fill.
    """

    __slots__ = ("cursor", "encoded", "end", "events", "last", "seconds", "start")

    def __init__(
        self,
        events: list[LiveEvent],
        cursor: str,
        start: int,
        end: int,
        seconds: float,
        *,
        last: bool = False,
    ) -> None:
        self.events = events
        self.cursor = cursor
        self.start = start
        self.end = end
        self.seconds = seconds
        self.last = last
        self.encoded: dict[Any, Any] = {}

    def __repr__(self) -> str:
        told = ", ".join(event.type for event in self.events) or "heartbeat"
        return f"<Batch {self.start}..{self.end}: {told}>"
