"""The whole answer again and again while it grows, for interfaces that replace what they show."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Protocol, TypeVar

from deepseek_async.combinators.frames import ReadAhead, seconds_of
from deepseek_async.events import QueuedEvent, RawEvent

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class Growing(Protocol[R_co]):
    """A stream that can be asked what has come so far, such as those of ``.stream()``."""

    def __aiter__(self) -> AsyncIterator[object]: ...

    @property
    def snapshot(self) -> R_co:
        """The answer so far."""
        ...


def snapshots(stream: Growing[R], fps: float = 10) -> AsyncGenerator[R]:
    """Yield the answer so far, each time it has grown, at most so many times a second.

    The last one is the whole answer, and comes as soon as it is complete; where the stream fails,
    the last one is what there was, and then its error is raised. None is yielded twice. Whoever
    is slow misses some, and holds nothing up. Closing the generator, and dropping it, closes the
    stream.

    Each costs time in proportion to the answer: choose ``fps`` for the eye, not for the tokens.

    Args:
        stream: What ``.stream()`` returned.
        fps: Most answers a second.

    Raises:
        ValueError: If ``fps`` is not above 0.
    """
    return _snapshots(stream, seconds_of(fps))


async def _snapshots(stream: Growing[R], frame: float) -> AsyncGenerator[R]:
    now = asyncio.get_running_loop().time
    due = now()
    news = _News()
    last: R | None = None
    async with ReadAhead(stream, news) as ahead:
        ended = False
        while not ended:
            await ahead.wait(due)
            ended = ahead.ended
            if not news:
                break
            snapshot = stream.snapshot
            due = now() + frame
            news.seen()
            ahead.go_on()
            if last is None or snapshot != last:
                last = snapshot
                yield snapshot
        ahead.raise_failure()


class _News:
    """Whether anything has come of the answer since the last look."""

    def __init__(self) -> None:
        self._any = False

    def __bool__(self) -> bool:
        return self._any

    def add(self, event: object, /) -> bool:
        """Take note of an event; it can wait for the frame."""
        if not isinstance(event, QueuedEvent | RawEvent):
            self._any = True
        return False

    def seen(self) -> None:
        """Take note that somebody looked."""
        self._any = False
