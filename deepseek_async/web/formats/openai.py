"""OpenAI's chat completion chunks: what every client of that API reads.

Where the upstream's own events are at hand, they are passed on byte for byte; where they are not
(any more), chunks are made of the events. The format knows no way to resume; those who can may
use the ``id`` lines, which the others overlook.

Nothing but events with data may end with an empty line: OpenAI's own client, once it has seen an
``id``, takes any empty line for the end of an event.
"""

import time
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, NamedTuple
from weakref import WeakKeyDictionary

import msgspec

from deepseek_async import (
    ArgumentsDeltaEvent,
    ContentDeltaEvent,
    DoneEvent,
    LogprobsDeltaEvent,
    QueuedEvent,
    ReasoningDeltaEvent,
    TurnDoneEvent,
    Usage,
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

_encode = msgspec.json.Encoder().encode
_DONE = b"data: [DONE]\n\n"
# DeepSeek's finish reason of an answer whose generation was interrupted.
_ABORTED = "aborted"
# Runs that chunks were made for have one time in all of them.
_created: "WeakKeyDictionary[Run, int]" = WeakKeyDictionary()


class _Sent(msgspec.Struct):
    error: Any = None


class Told(NamedTuple):
    """What a reader knows that has been told some chunks."""

    begun: bool = False
    calls: int = 0
    """How many tool calls it knows."""
    first_of_turn: int = 0
    """How many of them are of the turns before."""


class OpenAIFormat:
    """The upstream's own chunks, or some that tell the same.

    Args:
        show_errors: Tell readers the text of exceptions, instead of what is fit for everybody.
    """

    name: ClassVar[str] = "openai"
    headers: ClassVar[Mapping[str, str]] = {}
    raw: ClassVar[bool] = True

    def __init__(self, *, show_errors: bool = False) -> None:
        self._show_errors = show_errors

    def begin(self, run: Run, told: list[LiveEvent]) -> Told | None:
        """Return what a reader knows that has been told these events."""
        return _all(told)

    def encode(self, run: Run, state: Told | None, batch: Batch) -> tuple[bytes, Told | None]:
        """Return a batch as chunks, the last one with the cursor behind all of them.

        What a reader knows is looked up when it is needed, which is never where all of the
        upstream's own events are at hand: None then.
        """
        if batch.end == batch.start and not batch.last:
            return _moment(batch), state
        raw = run.raw_between(batch.start, batch.end)
        if raw is None:
            told = state or _all(run.events_before(batch.start))
            chunks, state = _made(run, told, batch)
        else:
            chunks, state = _passed_on(raw), None
        chunks += self._ending(run, batch.events, made=raw is None)
        reset = b": reset\n" if isinstance(batch.events[0], ResetEvent) else b""
        return reset + _with_id(chunks, batch.cursor), state

    def _ending(self, run: Run, events: list[LiveEvent], *, made: bool) -> bytes:
        """Return what the last event of a run or a reader adds."""
        event = events[-1]
        if isinstance(event, DoneEvent) and run.status != "running" and made:
            return _DONE
        if isinstance(event, StoppedEvent):
            return _data(_chunk(run, {}, _ABORTED)) + _DONE
        if isinstance(event, FailedEvent):
            public = FAILURES.get(event.kind, FAILURES["error"])
            return _error(event.kind, event.message if self._show_errors else public)
        if isinstance(event, DrainEvent):
            return _error("lost", FAILURES["lost"])
        return b""


def _moment(batch: Batch) -> bytes:
    """Return what is only true for the moment, as DeepSeek says it itself: in a comment."""
    queued = any(isinstance(event, QueuedEvent) for event in batch.events)
    return b": keep-alive\n" if queued else b""


def _with_id(chunks: bytes, cursor: str) -> bytes:
    """Put the cursor into the last event: who is cut off before has not had them all."""
    last = chunks.rfind(b"\n\n", 0, -2) + 2
    if last == 1:
        last = 0
    return b"%bid: %b\n%b" % (chunks[:last], cursor.encode(), chunks[last:]) if chunks else b""


def _passed_on(raw: bytes) -> bytes:
    """Return the upstream's events without those that are not for clients.

    That is keep-alives, ours being sent whether it is slow or not, and its errors: theirs is told
    in our words.
    """
    if b"\r" in raw:
        # In JSON it would be written \\r: these are line ends.
        raw = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if not (raw.startswith(b":") or b"\n:" in raw or b'"error"' in raw):
        return raw
    events: list[bytes] = []
    for event in raw.split(b"\n\n"):
        lines = [line for line in event.split(b"\n") if line and not line.startswith(b":")]
        if lines and not _is_error(lines):
            events.append(b"\n".join(lines) + b"\n\n")
    return b"".join(events)


def _is_error(lines: list[bytes]) -> bool:
    data = b"\n".join(line[5:] for line in lines if line.startswith(b"data:"))
    try:
        return msgspec.json.decode(data, type=_Sent).error is not None
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False


def _made(run: Run, told: Told, batch: Batch) -> tuple[bytes, Told]:
    """Return chunks that tell a batch, and what their reader knows then."""
    chunks: list[bytes] = []
    for event in batch.events:
        chunks += map(_data, _chunks(run, told, event))
        told = _after(told, event)
    return b"".join(chunks), told


def _all(events: list[LiveEvent]) -> Told:
    """Return what a reader knows that has been told these events."""
    told = Told()
    for event in events:
        told = _after(told, event)
    return told


def _after(told: Told, event: LiveEvent) -> Told:
    if isinstance(event, ResetEvent):
        return Told()
    if isinstance(event, ArgumentsDeltaEvent):
        calls = max(told.calls, told.first_of_turn + event.index + 1)
        return Told(True, calls, told.first_of_turn)
    if isinstance(event, TurnDoneEvent):
        # The next answer counts its calls from 0 again.
        return Told(told.begun, told.calls, told.calls)
    if isinstance(event, ContentDeltaEvent | ReasoningDeltaEvent):
        return told if told.begun else Told(True)
    return told


def _chunks(run: Run, told: Told, event: LiveEvent) -> Iterator[dict[str, Any]]:
    """Yield the chunks that tell an event."""
    delta: dict[str, Any] = {} if told.begun else {"role": "assistant"}
    if isinstance(event, ContentDeltaEvent):
        yield _chunk(run, delta | {"content": event.delta})
    elif isinstance(event, ReasoningDeltaEvent):
        yield _chunk(run, delta | {"content": None, "reasoning_content": event.delta})
    elif isinstance(event, ArgumentsDeltaEvent):
        yield _chunk(run, delta | {"tool_calls": [_call(told, event)]})
    elif isinstance(event, LogprobsDeltaEvent):
        chunk = _chunk(run, {})
        chunk["choices"][0]["logprobs"] = {
            "content": event.content,
            "reasoning_content": event.reasoning_content,
        }
        yield chunk
    elif isinstance(event, DoneEvent) and run.status != "running":
        yield _chunk(run, delta, event.finish_reason or "stop", event.usage)


def _call(told: Told, event: ArgumentsDeltaEvent) -> dict[str, Any]:
    index = told.first_of_turn + event.index
    function: dict[str, Any] = {"arguments": event.arguments_delta}
    if index < told.calls:
        return {"index": index, "function": function}
    function["name"] = event.name
    return {"index": index, "id": event.id, "type": "function", "function": function}


def _chunk(
    run: Run, delta: dict[str, Any], finish_reason: str | None = None, usage: Usage | None = None
) -> dict[str, Any]:
    created = _created.setdefault(run, int(time.time()))
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    return {
        # Nobody but the upstream's own chunks tells the real ones before the answer has ended, and
        # they should not change on the way.
        "id": run.id,
        "object": "chat.completion.chunk",
        "created": created,
        "model": "deepseek",
        "choices": [choice],
        "usage": usage,
    }


def _error(code: str, message: str) -> bytes:
    error = {"message": message, "type": "server_error", "param": None, "code": code}
    return _data({"error": error})


def _data(value: Any) -> bytes:
    return b"data: %b\n\n" % _encode(value)
