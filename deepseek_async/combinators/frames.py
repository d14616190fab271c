"""Reading a source ahead, and handing on what was read a number of times a second."""

import asyncio
import math
from collections.abc import AsyncIterable
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

E = TypeVar("E")
E_contra = TypeVar("E_contra", contravariant=True)


def seconds_of(fps: float) -> float:
    """Return the length of a frame, in seconds.

    Raises:
        ValueError: If there can't be so many frames a second.
    """
    if not 0 < fps < math.inf:
        raise ValueError(f"fps is a number of frames a second above 0, got {fps!r}")
    return 1 / fps


class Held(Protocol[E_contra]):
    """What has been read and not yet been handed on; true if there is anything."""

    def __bool__(self) -> bool: ...

    def add(self, item: E_contra, /) -> bool:
        """Hold one more; True if it can't wait, and nothing may be read before it is taken."""
        ...


class ReadAhead(Generic[E]):
    """Reads a source in a task, and tells when what was read is due.

    An async context manager; leaving it ends the task and closes the source. All of the source
    runs in that task, so that timeouts and task groups inside of it work as ever. The task reads
    on while nobody waits: whoever is slow finds more in what is held, not more to do.

    Args:
        source: Read until its end, and closed if it has an ``aclose``.
        held: Where to what was read goes.
    """

    def __init__(self, source: AsyncIterable[E], held: Held[E]) -> None:
        self._source = source
        self._held = held
        self._task: asyncio.Task[None] | None = None
        self._some = asyncio.Event()
        self._pressing = asyncio.Event()
        self._taken = asyncio.Event()
        self._closing = False
        self._error: BaseException | None = None
        self.ended = False
        """Whether nothing more will come."""

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._read())
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._task is not None
        self._closing = True
        # What the source failed with before does not matter to whoever has left.
        self._error = None
        self._task.cancel()
        # A cancellation here leaves the task alone: it is about to end by itself.
        await asyncio.wait([self._task])
        self.raise_failure()

    async def wait(self, until: float) -> None:
        """Wait until something is held, and then until a time of the loop, unless it can't wait."""
        await self._some.wait()
        loop = asyncio.get_running_loop()
        if not self._pressing.is_set() and loop.time() < until:
            timer = loop.call_at(until, self._pressing.set)
            try:
                await self._pressing.wait()
            finally:
                timer.cancel()

    def go_on(self) -> None:
        """Read on, now that what was due has been taken."""
        self._pressing.clear()
        if not self._held:
            self._some.clear()
        self._taken.set()

    def raise_failure(self) -> None:
        """Raise what the source failed with, if it did."""
        error, self._error = self._error, None
        if error is not None:
            try:
                raise error
            finally:
                # The traceback refers to this frame: without a cycle, it goes when it is dropped.
                del error

    async def _read(self) -> None:
        held, some = self._held, self._some
        try:
            iterator = aiter(self._source)
            try:
                async for item in iterator:
                    if held.add(item):
                        await self._until_taken()
                    elif not some.is_set() and held:
                        some.set()
                    if self._closing:
                        # The source has overheard that it was cancelled.
                        break
            finally:
                await close_source(iterator)
        except Exception as exc:
            # Raised to whoever takes, once all that was read before has been taken.
            self._error = exc
        except asyncio.CancelledError as exc:
            # Unless it is leaving that did it, the source was cancelled from elsewhere.
            if not self._closing:
                self._error = exc
        finally:
            self.ended = True
            some.set()
            self._pressing.set()

    async def _until_taken(self) -> None:
        self._taken.clear()
        self._some.set()
        self._pressing.set()
        await self._taken.wait()


async def close_source(source: object) -> None:
    """Close a source, if it is one that can be closed."""
    aclose = getattr(source, "aclose", None)
    if aclose is not None:
        await aclose()
