"""Our own format: as little as a page needs, exact positions, any number of runs on one stream.

Each server-sent event has the cursor as its ``id`` and a JSON object as its data; docs/realtime.md
is its description for those who read it.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from deepseek_async import (
    ArgumentsDeltaEvent,
    ArgumentsDoneEvent,
    ChunkEvent,
    ContentDeltaEvent,
    ContentDoneEvent,
    DoneEvent,
    QueuedEvent,
    ReasoningDeltaEvent,
    ReasoningDoneEvent,
    TurnDoneEvent,
)
from deepseek_async.live import (
    FAILURES,
    Batch,
    DrainEvent,
    FailedEvent,
    LiveEvent,
    ResetEvent,
    Run,
    StoppedEvent,
)

_encode = msgspec.json.Encoder(decimal_format="number").encode

# What the deltas have told already.
_SILENT = (ContentDoneEvent, ReasoningDoneEvent, ChunkEvent)


class NativeFormat:
    """One JSON object for each batch.

    Args:
        show_errors: Tell readers the text of exceptions, instead of what is fit for everybody.
    """

    name: ClassVar[str] = "native"
    headers: ClassVar[Mapping[str, str]] = {}
    raw: ClassVar[bool] = False

    def __init__(self, *, show_errors: bool = False) -> None:
        self._show_errors = show_errors

    def begin(self, run: Run, told: list[LiveEvent]) -> None:
        """Return nothing: each batch stands for itself."""

    def encode(self, run: Run, state: None, batch: Batch) -> tuple[bytes, None]:
        """Return a batch as one server-sent event.

        What is only true for the moment has no id, so that a cursor never names it.
        """
        data = _encode(message(run, batch, show_errors=self._show_errors))
        if not has_cursor(batch):
            return b"data: %b\n\n" % data, None
        if isinstance(drain := batch.events[-1], DrainEvent):
            # For browsers that come back by themselves.
            retry = b"retry: %d\n" % (drain.retry * 1000)
            return b"%bid: %b\ndata: %b\n\n" % (retry, batch.cursor.encode(), data), None
        return b"id: %b\ndata: %b\n\n" % (batch.cursor.encode(), data), None


def object_with_cursor(run: Run, batch: Batch, *, show_errors: bool) -> bytes:
    """Return a batch as JSON that says itself where it ends, in ``"id"``; once for all readers."""
    key = ("native object", show_errors)
    kept: bytes | None = batch.encoded.get(key)
    if kept is None:
        data = message(run, batch, show_errors=show_errors)
        if has_cursor(batch):
            data["id"] = batch.cursor
        kept = batch.encoded[key] = _encode(data)
    return kept


def has_cursor(batch: Batch) -> bool:
    """Return whether a batch is behind where one could go on.

    After a reset that is where the new log is, even if nothing has been told there yet: whoever
    has thrown away the text must not come back with the old cursor.
    """
    is_reset = bool(batch.events) and isinstance(batch.events[0], ResetEvent)
    return batch.end != batch.start or batch.last or is_reset


def message(run: Run, batch: Batch, *, show_errors: bool = False) -> dict[str, Any]:
    """Return a batch as the JSON object that tells of it."""
    told: list[Any] = []
    data: dict[str, Any] = {
        "run": run.id,
        "from": batch.start,
        "to": batch.end,
        "t": round(batch.seconds, 3),
    }
    data["d"] = told
    for event in batch.events:
        kind = type(event)
        if kind is ContentDeltaEvent:
            told.append(("text", event.delta))  # type: ignore[union-attr]  # see kind
        elif kind is ReasoningDeltaEvent:
            told.append(("reasoning", event.delta))  # type: ignore[union-attr]  # see kind
        else:
            _tell(run, event, told, data, show_errors=show_errors)
    return data


def _tell(
    run: Run, event: LiveEvent, told: list[Any], data: dict[str, Any], *, show_errors: bool
) -> None:
    """Add what is rarer than text."""
    if isinstance(event, ArgumentsDeltaEvent):
        told.append((f"tool:{event.index}", event.arguments_delta, event.name, event.id))
    elif isinstance(event, ArgumentsDoneEvent):
        told.append(("tool.ready", {"index": event.index, "id": event.id, "name": event.name}))
    elif isinstance(event, QueuedEvent):
        told.append(("queued", round(event.elapsed, 1)))
    elif isinstance(event, ResetEvent):
        data["reset"] = True
    elif isinstance(event, DrainEvent):
        data["drain"] = {"retry": event.retry}
    elif isinstance(event, DoneEvent | StoppedEvent | FailedEvent) and run.status != "running":
        data["done"] = _ending(run, event, show_errors=show_errors)
        data["usage"] = run.usage
        data["cost"] = run.cost
    elif isinstance(event, TurnDoneEvent):
        # Without its answer, which has been told.
        reason = event.completion.choices[0].finish_reason if event.completion.choices else None
        told.append((event.type, {"turn": event.turn, "finish_reason": reason}))
    elif not isinstance(event, _SILENT):
        told.append((event.type, event))


def _ending(
    run: Run, event: DoneEvent | StoppedEvent | FailedEvent, *, show_errors: bool
) -> dict[str, Any]:
    if isinstance(event, DoneEvent):
        return {"status": run.status, "finish_reason": event.finish_reason}
    if isinstance(event, StoppedEvent):
        return {"status": run.status, "reason": event.reason}
    public = FAILURES.get(event.kind, FAILURES["error"])
    return {
        "status": run.status,
        "kind": event.kind,
        "message": event.message if show_errors else public,
        "retryable": event.retryable,
    }
