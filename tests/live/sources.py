"""Sources of answers that misbehave, and readers that check what they get."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any

from deepseek_async import ContentDeltaEvent, ReasoningDeltaEvent
from deepseek_async.live import Batch, LiveEvent, ResetEvent, Run

# No test waits longer for anything.
GUARD = 20.0


async def pieces(*told: Any, gate: asyncio.Event | None = None) -> AsyncGenerator[Any]:
    """Tell some events or text, one each turn of the loop, and wait for a gate before the end."""
    for piece in told:
        yield piece
        await asyncio.sleep(0)
    if gate is not None:
        await gate.wait()


async def endless() -> AsyncGenerator[str]:
    """Tell without an end."""
    while True:
        yield "word "
        await asyncio.sleep(0.001)


async def silent() -> AsyncGenerator[str]:
    """Tell nothing, for ever."""
    await asyncio.Event().wait()
    yield "never"


async def until(condition: Callable[[], object]) -> None:
    """Wait for something that has no event."""
    async with asyncio.timeout(GUARD):
        while not condition():
            await asyncio.sleep(0.002)


async def all_of(run: Run, after: str | None = None) -> list[Batch]:
    """Read a run to its end."""
    async with asyncio.timeout(GUARD):
        return [batch async for batch in run.read(after, heartbeat=None)]


def text_of(events: list[LiveEvent]) -> str:
    """Return all that deltas add, of whatever kind."""
    kinds = (ContentDeltaEvent, ReasoningDeltaEvent)
    return "".join(event.delta for event in events if isinstance(event, kinds))


class Page:
    """What a browser makes of what it gets."""

    def __init__(self) -> None:
        self.cursor: str | None = None
        self.position = 0
        self.events: list[LiveEvent] = []
        self.resets = 0
        self.batches = 0
        self.ended = False

    def take(self, batch: Batch) -> None:
        if batch.events and isinstance(batch.events[0], ResetEvent):
            self.events = []
            self.position = 0
            self.resets += 1
        assert batch.start == self.position
        assert batch.end >= batch.start
        self.position = batch.end
        self.cursor = batch.cursor
        if batch.end > batch.start:
            self.events += [event for event in batch.events if not isinstance(event, ResetEvent)]
        self.batches += 1
        self.ended = batch.last

    async def read(self, run: Run, batches: int | None = None) -> None:
        """Read on where it was; so many batches, then the connection is cut."""
        reading = run.read(self.cursor, heartbeat=None)
        try:
            async for batch in reading:
                self.take(batch)
                if batches is not None:
                    batches -= 1
                    if batches == 0:
                        return
            self.ended = True
        finally:
            await reading.aclose()


async def as_iterator(told: AsyncIterator[Any]) -> AsyncIterator[Any]:
    """Hide that something is more than an iterator."""
    async for event in told:
        yield event
