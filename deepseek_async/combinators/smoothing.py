"""Text that comes in jerks, at an even pace."""

import asyncio
import math
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Callable
from typing import Generic, TypeVar

from deepseek_async.combinators.deltas import read_delta, with_text
from deepseek_async.combinators.frames import ReadAhead, seconds_of
from deepseek_async.combinators.graphemes import cluster_at

E = TypeVar("E")

#: Most characters that are held; hosts would have to send 260,000 a second to reach it.
MAX_HELD = 65_536


def smooth(events: AsyncIterable[E], lag: float = 0.25, fps: float = 30) -> AsyncGenerator[E]:
    """Let text flow evenly that comes in jerks, at the price of a short delay.

    Each frame gets so much of what is held that all of it is out in time: no character waits
    longer than ``lag``, however fast the text comes. The pace counts characters, not words, so
    that languages without spaces flow like others. Characters that a reader takes for one, such
    as a letter with its accents, a flag or a family of emoji, come in one piece; the last of what
    is held may still get an accent and waits for what follows, or until its ``lag`` is over.

    Only deltas are held, those :func:`coalesce` merges, and of one kind at a time. Any other
    event, and a delta of another kind, sends out what is held before it at once, and so does the
    end. Nothing changes its order.

    What the source raises is raised after all that came before it. Closing the generator, and
    dropping it, closes the source: an event stream closes its connection.

    Args:
        events: A stream of events, a ``ToolRunner``, a ``text_stream``, or anything like them.
        lag: Most seconds that a character is held back.
        fps: Frames a second.

    Raises:
        ValueError: If ``lag`` or ``fps`` is not above 0.
    """
    if not 0 < lag < math.inf:
        raise ValueError(f"lag is a number of seconds above 0, got {lag!r}")
    return _smoothed(events, lag, seconds_of(fps))


async def _smoothed(events: AsyncIterable[E], lag: float, frame: float) -> AsyncGenerator[E]:
    now = asyncio.get_running_loop().time
    held = _Backlog[E](Pace(lag, frame), now)
    due = now()
    async with ReadAhead(events, held) as ahead:
        ended = False
        while not ended:
            await ahead.wait(due)
            ended = ahead.ended
            due = now() + frame
            taken = held.flush() if ended else held.take()
            ahead.go_on()
            for event in taken:
                yield event
        ahead.raise_failure()


class Pace:
    """How much of a text is due when. Knows no clock: times are arguments, in seconds.

    Args:
        lag: Most seconds from :meth:`add` to :meth:`due`.
        frame: Seconds until :meth:`due` is asked again.

    Attributes:
        size: How many characters are held.
    """

    def __init__(self, lag: float, frame: float) -> None:
        self._lag = lag
        self._frame = frame
        self._text = ""
        self._pieces: list[str] = []
        # When what came must be out, and how many characters that were; one entry a frame.
        self._deadlines: deque[tuple[float, int]] = deque()
        self.size = 0

    def add(self, text: str, now: float) -> None:
        """Hold more text."""
        self._pieces.append(text)
        self.size += len(text)
        deadlines = self._deadlines
        if deadlines and deadlines[-1][0] > now + self._lag - self._frame:
            deadline, size = deadlines[-1]
            deadlines[-1] = (deadline, size + len(text))
        else:
            deadlines.append((now + self._lag, len(text)))

    def due(self, now: float) -> str:
        """Return what is due in this frame, "" if nothing is."""
        if not self.size:
            return ""
        wanted, overdue = self._wanted(now)
        text = self._joined()
        start, end = cluster_at(text, wanted - 1)
        if end == len(text) and start >= overdue:
            # It may still grow.
            end = start
        return self._let_go(end)

    def rest(self) -> str:
        """Return all that is held."""
        self._joined()
        return self._let_go(self.size)

    def _wanted(self, now: float) -> tuple[int, int]:
        """Return how many characters this frame should get, and how many it must get."""
        if self.size >= MAX_HELD:
            return self.size, 1
        frame = self._frame
        wanted, overdue, size = 1, 0, 0
        for deadline, added in self._deadlines:
            size += added
            left = deadline - now
            if left <= frame:
                # The next frame would be too late.
                wanted = overdue = size
            else:
                # An even pace from now on that has these out in time.
                wanted = max(wanted, math.ceil(size * frame / left))
        return wanted, overdue

    def _joined(self) -> str:
        if self._pieces:
            self._text = "".join([self._text, *self._pieces])
            self._pieces.clear()
        return self._text

    def _let_go(self, end: int) -> str:
        text, self._text = self._text[:end], self._text[end:]
        self.size -= end
        deadlines = self._deadlines
        while deadlines and deadlines[0][1] <= end:
            end -= deadlines.popleft()[1]
        if end:
            deadline, size = deadlines[0]
            deadlines[0] = (deadline, size - end)
        return text


class _Backlog(Generic[E]):
    """The deltas of one kind that are held, and what has to wait for them."""

    def __init__(self, pace: Pace, now: Callable[[], float]) -> None:
        self._pace = pace
        self._now = now
        # An event like those that are held; what they belong to.
        self._like: E | None = None
        self._belongs_to: object = None
        self._next: list[E] = []

    def __bool__(self) -> bool:
        return bool(self._pace.size or self._next)

    def add(self, event: E, /) -> bool:
        """Hold an event; True if it can't wait for the frame."""
        delta = read_delta(event)
        if delta is not None:
            belongs_to, text = delta
            if belongs_to == self._belongs_to or not self._pace.size:
                self._belongs_to = belongs_to
                self._like = event
                if text:
                    self._pace.add(text, self._now())
                return self._pace.size >= MAX_HELD
        self._next.append(event)
        return True

    def take(self) -> list[E]:
        """Return what is due in this frame, in order."""
        if not self._next:
            return self._events(self._pace.due(self._now()))
        events = self._events(self._pace.rest())
        (event,) = self._next
        self._next.clear()
        if read_delta(event) is None:
            return [*events, event]
        self.add(event)
        return [*events, *self._events(self._pace.due(self._now()))]

    def flush(self) -> list[E]:
        """Return all that is held, in order."""
        events = self.take() if self._next else []
        return [*events, *self._events(self._pace.rest())]

    def _events(self, text: str) -> list[E]:
        like = self._like
        return [with_text(like, text)] if text and like is not None else []
