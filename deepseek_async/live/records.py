"""What a run leaves in a store: records, and the flags that tell of its readers."""

from decimal import Decimal
from typing import Any, Literal, cast

import msgspec

from deepseek_async import ChatEvent, QueuedEvent, ToolRunnerEvent, Usage
from deepseek_async.live.events import FailedEvent, LiveEvent, StoppedEvent

Status = Literal["running", "done", "stopped", "failed"]

#: How long a flag tells of readers, in seconds of the run.
SLOT = 5.0

_Stored = ChatEvent | ToolRunnerEvent | FailedEvent | StoppedEvent
_KNOWN = tuple(
    cls
    for cls in _Stored.__args__
    if cls is not QueuedEvent  # what is in no log
)


class Ending(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a run ended; its last event is the last one of the record."""

    status: Status
    usage: Usage | None = None
    cost: Decimal | None = None


class Record(msgspec.Struct, frozen=True, omit_defaults=True):
    """Some of a run's log. Without events, a sign of life; the first one of a run is that too."""

    start: int
    """The position at which it begins; where it ends is its cursor's."""

    seconds: float
    """When it was told, in seconds since the run began."""

    sign_every: float
    """After how many seconds at most another record follows."""

    events: list[msgspec.Raw] = []
    queued: QueuedEvent | None = None
    ending: Ending | None = None

    owner: str | None = None
    """Whose it is; in the first record of a run."""

    def told(self) -> list[LiveEvent]:
        """Return its events.

        Raises:
            ValueError: If they can't be decoded: another version of the library wrote them.
        """
        return [_decoded(raw) for raw in self.events]


class OtherEvent(dict[str, Any]):
    """An event of the application's own, as another process gets it: its fields."""

    @property
    def type(self) -> str:
        """What kind of event it is."""
        return str(self.get("type"))


_encode = msgspec.msgpack.Encoder(decimal_format="string").encode
_record = msgspec.msgpack.Decoder(Record)
_event = msgspec.msgpack.Decoder(cast("type[_Stored]", _Stored))
_fields = msgspec.msgpack.Decoder(dict[str, Any])


def encoded(
    start: int,
    seconds: float,
    sign_every: float,
    events: list[LiveEvent],
    *,
    queued: QueuedEvent | None = None,
    ending: Ending | None = None,
    owner: str | None = None,
) -> bytes:
    """Return a record as bytes; see :class:`Record`."""
    raw = [msgspec.Raw(_encoded(event)) for event in events]
    return _encode(Record(start, seconds, sign_every, raw, queued, ending, owner))


def decoded(data: bytes) -> Record:
    """Return the record that bytes tell.

    Raises:
        ValueError: If they tell none.
    """
    return _record.decode(data)


def read_flags(run_id: str, epoch: str, seconds: float, *, around: bool) -> list[str]:
    """Return the names of the flags that tell that a run is read.

    Each stands for a few seconds of the run, so that it need not be taken down.

    Args:
        run_id: Id of the run.
        epoch: Its epoch.
        seconds: How long ago it began.
        around: Those that count at this time, by clocks that differ a little; else those to raise.
    """
    slot = int(seconds / SLOT)
    slots = (slot - 1, slot, slot + 1) if around else (slot, slot + 1)
    return [f"{run_id}\nread.{epoch}.{each}" for each in slots]


def kept_flag(run_id: str, epoch: str) -> str:
    """Return the name of the flag that the writer of a run raises.

    Where it is up, the store answers, and has not forgotten those of the readers.

    Args:
        run_id: Id of the run.
        epoch: Its epoch.
    """
    return f"{run_id}\nkept.{epoch}"


def _encoded(event: LiveEvent) -> bytes:
    if isinstance(event, _KNOWN):
        return _encode(event)
    fields: Any = msgspec.to_builtins(event)
    if not isinstance(fields, dict):
        fields = {"value": fields}
    return _encode({**fields, "type": event.type})


def _decoded(raw: msgspec.Raw) -> LiveEvent:
    try:
        return cast("LiveEvent", _event.decode(raw))
    except msgspec.ValidationError:
        return cast("LiveEvent", OtherEvent(_fields.decode(raw)))
