"""From the engine to the consumer: finished items, in the order that was asked for."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

#: Finished items that may wait for the consumer before no more are sent.
MOST_READY = 1000

#: Finished items that may wait for an earlier one before no more of the input is read.
MOST_EARLY = 10_000


class Delivery(Generic[T]):
    """Hands finished items to one consumer.

    Args:
        ordered: Whether they come in the order of the input.
        on_taken: Called when the consumer has made room.
    """

    def __init__(self, *, ordered: bool, on_taken: Callable[[], None]) -> None:
        self._ordered = ordered
        self._on_taken = on_taken
        self._ready: deque[T] = deque()
        self._early: dict[int, T | None] = {}
        self._next = 0
        self._ended = False
        self._error: BaseException | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._discards = False

    @property
    def is_full(self) -> bool:
        """Whether the consumer is so far behind that no more should be sent."""
        return len(self._ready) >= MOST_READY

    @property
    def has_backlog(self) -> bool:
        """Whether so many items wait, for the consumer or each other, that no more should come."""
        return self.is_full or len(self._early) >= MOST_EARLY

    @property
    def has_ended(self) -> bool:
        """Whether nothing more comes."""
        return self._ended

    @property
    def ahead_of(self) -> int:
        """Index of the item that all others wait for, when ordered."""
        return self._next

    def put(self, index: int, item: T | None) -> None:
        """Take a finished item, or None for an index at which there is nothing to hand out."""
        if self._discards:
            return
        if not self._ordered:
            if item is not None:
                self._ready.append(item)
        else:
            self._early[index] = item
            while self._next in self._early:
                found = self._early.pop(self._next)
                self._next += 1
                if found is not None:
                    self._ready.append(found)
        if self._ready:
            self._wake()

    def end(self, error: BaseException | None = None) -> None:
        """Take note that nothing more comes.

        Args:
            error: What the consumer is told behind the last item.
        """
        if self._ended:
            return
        self._ended = True
        self._error = error
        # Behind a gap that will not be filled.
        for index in sorted(self._early):
            found = self._early.pop(index)
            if found is not None:
                self._ready.append(found)
        self._wake()

    async def get(self) -> T | None:
        """Return the next item; None at the end.

        Raises:
            RuntimeError: If another task waits for the next item.
        """
        while not self._ready:
            if self._ended:
                if self._error is not None:
                    error, self._error = self._error, None
                    raise error
                return None
            if self._waiter is not None:
                raise RuntimeError("another task is reading the items of this job at the moment")
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        was_full = self.is_full
        item = self._ready.popleft()
        if was_full:
            self._on_taken()
        return item

    async def discard(self) -> None:
        """Wait for the end; nobody wants the items."""
        self._discards = True
        self._ready.clear()
        self._early.clear()
        self._on_taken()
        await self.get()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
