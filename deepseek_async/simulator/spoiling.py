"""What faults do to answers: functions from frames to frames."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, cast

import msgspec

from deepseek_async.simulator.faults import Fault
from deepseek_async.simulator.frames import (
    DATA_EVENTS,
    KEEP_ALIVE_COMMENT,
    KEEP_ALIVE_LINE,
    Frame,
    Kind,
    Timing,
)

if TYPE_CHECKING:
    from deepseek_async.simulator.core import Plan

# What `after_events` counts.
_COUNTED = DATA_EVENTS | {Kind.BODY, Kind.PIECE}
_GARBAGE = b'data: {"id":"00000000-0000-4000\n\n'
_SERVER_ERROR = (
    b'{"error":{"message":"Internal Server Error","type":"internal_error",'
    b'"param":null,"code":"internal_error"}}'
)
# Source: https://openrouter.ai/docs/api-reference/errors
_OPENROUTER_ERROR = b'"error":{"code":502,"message":"Provider disconnected unexpectedly"}'
_OPENROUTER_CHUNK = (
    b'data: {"id":"gen-1","object":"chat.completion.chunk","created":0,'
    b'"model":"deepseek/deepseek-chat","provider":"DeepSeek",%b,"choices":[{"index":0,'
    b'"delta":{"content":""},"finish_reason":"error"}]}\n\n' % _OPENROUTER_ERROR
)
_OPENROUTER_COMMENT = b": OPENROUTER PROCESSING\n\n"
_BARE_COMMENT = b":\n\n"
_WHITESPACE_LINES = 3

# A chunk or a whole answer, as JSON.
Value = dict[str, Any]


def spoil(plan: Plan, fault: Fault, keep_alive_seconds: float) -> None:
    """Spoil a planned answer.

    Args:
        plan: Is changed.
        fault: One that doesn't come instead of the answer.
        keep_alive_seconds: Between keep-alives.
    """
    if fault.kind == "delay":
        plan.delay = fault.seconds or 0.0
        return
    if fault.kind == "whitespace":
        plan.status = 200
    frames = plan.frames
    if plan.body is not None:
        if not plan.is_chunked:
            plan.headers["Content-Length"] = str(len(plan.body))
        frames = iter((Frame(0.0, plan.body, Kind.BODY),))
        plan.body = None
    if fault.kind not in ("cut", "reset"):
        # The body's length changes, or isn't what matters.
        plan.headers.pop("Content-Length", None)
        plan.is_chunked = True
    plan.frames = with_fault(frames, fault, Timing(keep_alive=keep_alive_seconds))


def with_fault(frames: Iterable[Frame], fault: Fault, timing: Timing) -> Iterator[Frame]:
    """Spoil an answer; faults that come before the body aren't for frames.

    Bodies that aren't JSON, and recordings, take only what is done to connections and bytes.
    """
    match fault.kind:
        case "cut":
            return _ended(frames, fault, Kind.CUT)
        case "reset":
            return _ended(frames, fault, Kind.RESET)
        case "stall":
            return _stalled(frames, fault, timing)
        case "trickle":
            return _trickled(frames, fault.seconds or 0.0)
        case "whitespace":
            return _whitespace(timing)
        case "truncated":
            return _truncated(frames, fault)
        case "garbage":
            return _with_garbage(frames, fault)
        case "error" | "openrouter_error":
            return _with_error(frames, fault)
        case "omit_done":
            return (frame for frame in frames if frame.kind is not Kind.DONE)
        case "omit_finish":
            return (frame for frame in frames if frame.kind is not Kind.FINISH)
        case "empty_choices":
            return _with_empty_choices(frames, fault)
        case "null_deltas":
            return _with_null_deltas(frames)
        case "usage_chunk":
            return _with_usage_chunk(frames)
        case "host_comments":
            return _with_comments(frames)
        case "duplicate_ids":
            return _changed(frames, _SameId())
        case "blank_ids":
            return _changed(frames, _blank_ids)
        case "missing_index":
            return _changed(frames, _without_index)
        case "repeated_names":
            return _changed(frames, _RepeatedNames())
        case "close" | "delay" | "rate_limit" | "overloaded" | "bad_gateway":
            return iter(frames)


def _ended(frames: Iterable[Frame], fault: Fault, kind: Kind) -> Iterator[Frame]:
    events_left = math.inf if fault.after_events is None else fault.after_events
    bytes_left = math.inf if fault.after_bytes is None else fault.after_bytes
    if math.isinf(events_left) and math.isinf(bytes_left):
        events_left = 0
    at = 0.0
    for frame in frames:
        if events_left <= 0 or bytes_left <= 0:
            break
        at = frame.at
        if len(frame.data) > bytes_left:
            yield frame._replace(data=frame.data[: int(bytes_left)])
            break
        yield frame
        bytes_left -= len(frame.data)
        events_left -= frame.kind in _COUNTED
    yield Frame(at, b"", kind)


def _stalled(frames: Iterable[Frame], fault: Fault, timing: Timing) -> Iterator[Frame]:
    left = fault.after_events or 0
    late = 0.0
    at = 0.0
    for frame in frames:
        if left == 0 and not late:
            late = math.inf if fault.seconds is None else fault.seconds
            if fault.keep_alive:
                is_plain = frame.kind in (Kind.BODY, Kind.PIECE)
                data = KEEP_ALIVE_LINE if is_plain else KEEP_ALIVE_COMMENT
                beat = at + timing.keep_alive
                while beat < frame.at + late:
                    yield Frame(beat, data, Kind.KEEP_ALIVE)
                    beat += timing.keep_alive
        at = frame.at
        yield frame._replace(at=at + late)
        left -= frame.kind in _COUNTED


def _trickled(frames: Iterable[Frame], pause: float) -> Iterator[Frame]:
    at = 0.0
    for frame in frames:
        at = max(at, frame.at)
        for start in range(len(frame.data)):
            yield Frame(at, frame.data[start : start + 1], Kind.PIECE)
            at += pause


def _whitespace(timing: Timing) -> Iterator[Frame]:
    for number in range(_WHITESPACE_LINES):
        yield Frame(timing.first + number * timing.per_token, KEEP_ALIVE_LINE, Kind.KEEP_ALIVE)


def _truncated(frames: Iterable[Frame], fault: Fault) -> Iterator[Frame]:
    left = fault.after_events or 0
    for frame in frames:
        if frame.kind in _COUNTED and left == 0:
            end = len(frame.data) // 2 if fault.after_bytes is None else fault.after_bytes
            yield frame._replace(data=frame.data[:end])
            return
        yield frame
        left -= frame.kind in _COUNTED


def _with_garbage(frames: Iterable[Frame], fault: Fault) -> Iterator[Frame]:
    return _inserted(frames, fault, lambda _: [_GARBAGE])


def _with_error(frames: Iterable[Frame], fault: Fault) -> Iterator[Frame]:
    is_foreign = fault.kind == "openrouter_error"
    left = fault.after_events or 0
    at = 0.0
    for frame in frames:
        if frame.kind is Kind.BODY:
            yield frame._replace(data=b"{%b}" % _OPENROUTER_ERROR if is_foreign else _SERVER_ERROR)
            return
        if left == 0 and frame.kind in _COUNTED:
            break
        at = frame.at
        yield frame
        left -= frame.kind in _COUNTED
    data = _OPENROUTER_CHUNK if is_foreign else b"data: " + _SERVER_ERROR + b"\n\n"
    yield Frame(at, data, Kind.EVENT)


def _with_empty_choices(frames: Iterable[Frame], fault: Fault) -> Iterator[Frame]:
    def empty(value: Value) -> None:
        value["choices"] = []

    def events(frame: Frame) -> list[bytes]:
        value = _decoded(frame)
        if value is None or frame.kind is Kind.BODY:
            return []
        value.pop("usage", None)
        none: list[Value] = []
        return [_event({**value, "choices": none}), _event({**value, "choices": None})]

    bodies_changed = (
        next(_changed([frame], empty)) if frame.kind is Kind.BODY else frame for frame in frames
    )
    return _inserted(bodies_changed, fault, events)


def _with_null_deltas(frames: Iterable[Frame]) -> Iterator[Frame]:
    def spell_out(value: Value) -> None:
        for answer in _answers(value):
            for key in ("role", "content", "reasoning_content", "tool_calls"):
                answer.setdefault(key, None)

    def null_delta(frame: Frame) -> list[bytes]:
        value = _decoded(frame)
        if value is None or frame.kind is Kind.BODY:
            return []
        choice = {"index": 0, "delta": None, "logprobs": None, "finish_reason": None}
        return [_event({**value, "choices": [choice]})]

    once = Fault("null_deltas", after_events=1)
    return _inserted(_changed(frames, spell_out), once, null_delta)


def _with_usage_chunk(frames: Iterable[Frame]) -> Iterator[Frame]:
    for frame in frames:
        value = _decoded(frame) if frame.kind is Kind.FINISH else None
        if value is None or not value.get("usage"):
            yield frame
            continue
        usage = value.pop("usage")
        yield frame._replace(data=_event(value))
        extra: Value = {**value, "choices": list[Value](), "usage": usage}
        yield Frame(frame.at, _event(extra), Kind.EVENT)


def _with_comments(frames: Iterable[Frame]) -> Iterator[Frame]:
    comments = itertools.cycle([_OPENROUTER_COMMENT, _BARE_COMMENT])
    for frame in frames:
        if frame.kind in DATA_EVENTS:
            yield Frame(frame.at, next(comments), Kind.KEEP_ALIVE)
        elif frame.kind is Kind.BODY:
            yield Frame(frame.at, b"\n         \n", Kind.KEEP_ALIVE)
        yield frame


def _inserted(
    frames: Iterable[Frame], fault: Fault, events: Callable[[Frame], list[bytes]]
) -> Iterator[Frame]:
    """Insert events before the one that `after_events` counts to."""
    left = fault.after_events or 0
    is_due = True
    for frame in frames:
        if is_due and left == 0 and frame.kind in _COUNTED:
            is_due = False
            for event in events(frame):
                yield Frame(frame.at, event, Kind.EVENT)
        yield frame
        left -= frame.kind in _COUNTED


def _changed(frames: Iterable[Frame], change: Callable[[Value], None]) -> Iterator[Frame]:
    """Change the JSON of chunks and bodies."""
    for frame in frames:
        value = _decoded(frame)
        if value is None:
            yield frame
            continue
        change(value)
        is_body = frame.kind is Kind.BODY
        yield frame._replace(data=msgspec.json.encode(value) if is_body else _event(value))


def _decoded(frame: Frame) -> Value | None:
    if frame.kind not in (Kind.EVENT, Kind.FINISH, Kind.BODY):
        return None
    try:
        return msgspec.json.decode(frame.data.removeprefix(b"data: "), type=Value)
    except msgspec.DecodeError:
        return None


def _event(value: Value) -> bytes:
    return b"data: " + msgspec.json.encode(value) + b"\n\n"


def _answers(value: Value) -> Iterator[Value]:
    for choice in _objects(value.get("choices")):
        yield from _objects([choice.get("delta"), choice.get("message")])


def _calls(value: Value) -> Iterator[Value]:
    """The tool calls that have a function; scripted bodies may have anything in their place."""
    for answer in _answers(value):
        for call in _objects(answer.get("tool_calls")):
            if isinstance(call.get("function"), dict):
                yield call


def _objects(value: object) -> list[Value]:
    items = cast("list[object]", value) if isinstance(value, list) else []
    return [cast("Value", item) for item in items if isinstance(item, dict)]


def _without_index(value: Value) -> None:
    for call in _calls(value):
        call.pop("index", None)


def _blank_ids(value: Value) -> None:
    for call in _calls(value):
        function = call["function"]
        if "name" not in function:
            # As DashScope's: every delta has the keys, only the first one has the name.
            function["name"] = ""
        call["id"] = ""


class _SameId:
    """Gives all tool calls the id of the first one."""

    def __init__(self) -> None:
        self._id: str | None = None

    def __call__(self, value: Value) -> None:
        for call in _calls(value):
            if call.get("id"):
                self._id = self._id or call["id"]
                call["id"] = self._id


class _RepeatedNames:
    """Repeats id and name of a tool call in each of its deltas."""

    def __init__(self) -> None:
        self._heads: dict[object, tuple[str, str]] = {}

    def __call__(self, value: Value) -> None:
        for call in _calls(value):
            function, index = call["function"], call.get("index", 0)
            if call.get("id"):
                self._heads[index] = (call["id"], function.get("name", ""))
            if index in self._heads:
                call["id"], function["name"] = self._heads[index]
                call["type"] = "function"
