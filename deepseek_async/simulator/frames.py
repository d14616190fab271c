"""Frames: the timed body bytes of an answer.

A frame says when, which bytes, and what they are. Answers are lazy iterators of frames, so that
ten thousand paced streams cost their state and not their text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple

KEEP_ALIVE_COMMENT = b": keep-alive\n\n"
KEEP_ALIVE_LINE = b"\n"


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


class Frame(NamedTuple):
    """Bytes of the body, without HTTP framing."""

    at: float
    """Seconds after the request arrived; infinity: never."""
    data: bytes
    kind: Kind


@dataclass(slots=True)
class Timing:
    """When the parts of an answer come; all in seconds."""

    queue: float = 0.0
    """Until the request leaves the queue; keep-alives come meanwhile, the first one at once."""
    first_token: float = 0.0
    """From then to the first token."""
    per_token: float = 0.0
    """Between tokens."""
    keep_alive: float = 10.0
    """Between keep-alives."""
    gaps: Iterator[float] | None = None
    """Drawn times between tokens, instead of `per_token`."""
    _token: int = 0
    _drawn: float = 0.0

    @property
    def first(self) -> float:
        """When the first token comes."""
        return self.queue + self.first_token

    def hasten(self, seconds: float) -> None:
        """Let it leave the queue so much earlier; frames that were made already keep their time."""
        self.queue = max(self.queue - seconds, 0.0)

    def at(self, token: int) -> float:
        """When token number `token`, from 0, comes; with `gaps`, ask in order."""
        if self.gaps is None:
            return self.queue + self.first_token + token * self.per_token
        while self._token < token:
            self._drawn += next(self.gaps)
            self._token += 1
        return self.queue + self.first_token + self._drawn


def keep_alives(timing: Timing, until: float, data: bytes) -> Iterator[Frame]:
    """Keep-alives of a wait that ends at `until`; one at once only if there is a queue."""
    at = 0.0 if timing.queue > 0 else timing.keep_alive
    # The queue may become shorter meanwhile.
    queue = timing.queue
    while at < until - (queue - timing.queue):
        yield Frame(at, data, Kind.KEEP_ALIVE)
        at += timing.keep_alive


def plain(body: bytes, at: float, timing: Timing) -> Iterator[Frame]:
    """A JSON body, after the empty lines of the wait for it."""
    # Now, and not when the first frame is asked for: `at` is of now, too.
    queue = timing.queue

    def frames() -> Iterator[Frame]:
        yield from keep_alives(timing, at - (queue - timing.queue), KEEP_ALIVE_LINE)
        yield Frame(at - (queue - timing.queue), body, Kind.BODY)

    return frames()


def pieces(parts: Iterable[bytes], pause: float) -> Iterator[Frame]:
    """A recorded body, one write a part."""
    for number, part in enumerate(parts):
        yield Frame(number * pause, part, Kind.PIECE)
