"""Frames: the timed body bytes of an answer, and what faults do to them.

A frame says when, which bytes, and what they are. Answers are lazy iterators of frames, so that
ten thousand paced streams cost their state and not their text; a fault is a function from frames
to frames.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from enum import Enum, auto
from typing import NamedTuple

from deepseek_async.simulator.scripted import Fault

KEEP_ALIVE_COMMENT = b": keep-alive\n\n"
KEEP_ALIVE_LINE = b"\n"
_GARBAGE = b'data: {"id":"00000000-0000-4000\n\n'
_SERVER_ERROR = (
    b'{"error":{"message":"Internal Server Error","type":"internal_error",'
    b'"param":null,"code":"internal_error"}}'
)
_WHITESPACE_LINES = 3


class Kind(Enum):
    """What a frame's bytes are."""

    EVENT = auto()
    """One data event of a stream."""
    FINISH = auto()
    """The event with the finish reason."""
    DONE = auto()
    """``data: [DONE]``."""
    KEEP_ALIVE = auto()
    """A comment or an empty line."""
    BODY = auto()
    """A whole body."""
    PIECE = auto()
    """A part of a body that must be written by itself."""
    CUT = auto()
    """No bytes: the connection ends with FIN."""
    RESET = auto()
    """No bytes: the connection ends with RST."""


DATA_EVENTS = frozenset({Kind.EVENT, Kind.FINISH, Kind.DONE})
# What `after_events` counts.
_COUNTED = DATA_EVENTS | {Kind.BODY, Kind.PIECE}


class Frame(NamedTuple):
    """Bytes of the body, without HTTP framing."""

    at: float
    """Seconds after the request arrived; infinity: never."""
    data: bytes
    kind: Kind


class Timing(NamedTuple):
    """When the parts of an answer come; all in seconds."""

    queue: float = 0.0
    """Until the request leaves the queue; keep-alives come meanwhile, the first one at once."""
    first_token: float = 0.0
    """From then to the first token."""
    per_token: float = 0.0
    """Between tokens."""
    keep_alive: float = 10.0
    """Between keep-alives."""

    @property
    def first(self) -> float:
        """When the first token comes."""
        return self.queue + self.first_token

    def at(self, token: int) -> float:
        """When token number `token`, from 0, comes."""
        return self.first + token * self.per_token


def keep_alives(timing: Timing, until: float, data: bytes) -> Iterator[Frame]:
    """Keep-alives of a wait that ends at `until`; one at once only if there is a queue."""
    at = 0.0 if timing.queue > 0 else timing.keep_alive
    while at < until:
        yield Frame(at, data, Kind.KEEP_ALIVE)
        at += timing.keep_alive


def plain(body: bytes, at: float, timing: Timing) -> Iterator[Frame]:
    """A JSON body, after the empty lines of the wait for it."""
    yield from keep_alives(timing, at, KEEP_ALIVE_LINE)
    yield Frame(at, body, Kind.BODY)


def pieces(parts: Iterable[bytes], pause: float) -> Iterator[Frame]:
    """A recorded body, one write a part."""
    for number, part in enumerate(parts):
        yield Frame(number * pause, part, Kind.PIECE)


def with_fault(frames: Iterable[Frame], fault: Fault, timing: Timing) -> Iterator[Frame]:
    """Spoil an answer; faults that come before the headers aren't for frames."""
    match fault.kind:
        case "cut":
            return _ended(frames, fault, Kind.CUT)
        case "reset":
            return _ended(frames, fault, Kind.RESET)
        case "stall":
            return _stalled(frames, fault, timing)
        case "error":
            return _with_error(frames, fault)
        case "garbage":
            return _with_garbage(frames, fault)
        case "omit_done":
            return (frame for frame in frames if frame.kind is not Kind.DONE)
        case "omit_finish":
            return (frame for frame in frames if frame.kind is not Kind.FINISH)
        case "whitespace":
            return _whitespace(timing)
        case "delay" | "close":
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


def _with_error(frames: Iterable[Frame], fault: Fault) -> Iterator[Frame]:
    left = fault.after_events or 0
    at = 0.0
    for frame in frames:
        if frame.kind is Kind.BODY:
            yield frame._replace(data=_SERVER_ERROR)
            return
        if left == 0:
            break
        at = frame.at
        yield frame
        left -= frame.kind in _COUNTED
    yield Frame(at, b"data: " + _SERVER_ERROR + b"\n\n", Kind.EVENT)


def _with_garbage(frames: Iterable[Frame], fault: Fault) -> Iterator[Frame]:
    left = fault.after_events or 0
    inserted = False
    for frame in frames:
        if left == 0 and not inserted:
            inserted = True
            yield Frame(frame.at, _GARBAGE, Kind.EVENT)
        yield frame
        left -= frame.kind in _COUNTED


def _whitespace(timing: Timing) -> Iterator[Frame]:
    for number in range(_WHITESPACE_LINES):
        yield Frame(timing.first + number * timing.per_token, KEEP_ALIVE_LINE, Kind.KEEP_ALIVE)
