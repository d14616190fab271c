"""One delta a frame instead of one a token."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable
from typing import Generic, TypeVar

from deepseek_async.combinators.deltas import read_delta, with_text
from deepseek_async.combinators.frames import ReadAhead, close_source, seconds_of

E = TypeVar("E")


def coalesce(events: AsyncIterable[E], fps: float = 30, max_chars: int = 2048) -> AsyncGenerator[E]:
    """Merge the deltas that come within a frame, for those who pay for each: browsers, terminals.

    Neighbouring deltas of the same kind become one: ``content.delta``, ``reasoning.delta``,
    ``tool_calls.function.arguments.delta`` of one call, or pieces of text if that is what
    ``events`` yields. The first delta after a pause of a frame or longer goes out at once, then
    at most one of a kind each frame. All other events pass at once, after the deltas that came
    before them. Nothing changes its order.

    The source is read while whoever iterates is busy: a slow one gets longer deltas, not more of
    them. What the source raises is raised after all that came before it. Closing the generator,
    and dropping it, closes the source: an event stream closes its connection.

    Args:
        events: A stream of events, a ``ToolRunner``, a ``text_stream``, or anything like them.
        fps: Frames a second; 0 passes everything on as it comes.
        max_chars: When so many characters are held they go out without waiting for the frame.

    Raises:
        ValueError: If ``fps`` is negative or no number, or ``max_chars`` below 1.
    """
    if max_chars < 1:
        raise ValueError(f"max_chars is at least 1, got {max_chars}")
    if fps == 0:
        return _passed_on(events)
    return _coalesced(events, seconds_of(fps), max_chars)


async def _passed_on(events: AsyncIterable[E]) -> AsyncGenerator[E]:
    iterator = aiter(events)
    try:
        async for event in iterator:
            yield event
    finally:
        await close_source(iterator)


async def _coalesced(events: AsyncIterable[E], frame: float, most: int) -> AsyncGenerator[E]:
    held = _Merging[E](most)
    now = asyncio.get_running_loop().time
    due = now()
    async with ReadAhead(events, held) as ahead:
        ended = False
        while not ended:
            await ahead.wait(due)
            ended = ahead.ended
            if held.deltas:
                due = now() + frame
            taken = held.take()
            ahead.go_on()
            for event in taken:
                yield event
        ahead.raise_failure()


class _Merging(Generic[E]):
    """Events, with neighbouring deltas merged.

    Attributes:
        deltas: Whether there are deltas among them.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._events: list[E] = []
        # The delta that more may be added to: an event like it, what it belongs to, its pieces.
        self._like: E | None = None
        self._belongs_to: object = None
        self._pieces: list[str] = []
        self._size = 0
        self.deltas = False

    def __bool__(self) -> bool:
        return bool(self._events or self._pieces)

    def add(self, event: E, /) -> bool:
        """Hold an event; True if it can't wait for the frame."""
        delta = read_delta(event)
        if delta is None:
            self._merge()
            self._events.append(event)
            return True
        belongs_to, text = delta
        if belongs_to != self._belongs_to:
            self._merge()
            self._like = event
            self._belongs_to = belongs_to
        self._pieces.append(text)
        self.deltas = True
        # Empty ones count as well: they take their place.
        self._size += len(text) or 1
        return self._size >= self._most

    def take(self) -> list[E]:
        """Return all that is held, in order, and hold it no more."""
        self._merge()
        events, self._events = self._events, []
        self._size = 0
        self.deltas = False
        return events

    def _merge(self) -> None:
        like, pieces = self._like, self._pieces
        if like is not None:
            self._events.append(like if len(pieces) == 1 else with_text(like, "".join(pieces)))
            self._pieces = []
        self._like = self._belongs_to = None
