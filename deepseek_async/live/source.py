"""What a run reads: whatever tells an answer, opened and closed the same way."""

import inspect
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, cast

from deepseek_async import ChatEventStream, ChatStream

Events = AsyncIterable[Any]

#: A stream, a tool runner, any async iterator of events; what can be awaited for one; or a function
#: that returns either when the run begins.
Source = Events | Awaitable[Events] | Callable[[], Events | Awaitable[Events]]


@asynccontextmanager
async def opened(source: Source, *, raw: bool) -> AsyncGenerator[tuple[Any, AsyncIterator[Any]]]:
    """Open a source; it is closed at once when the block is left.

    Args:
        source: Where the answer comes from.
        raw: Whether the upstream's own events are wanted too, from sources that have them.

    Yields:
        What the source turned out to be, and its events.

    Raises:
        TypeError: If it is no source.
    """
    made: Any = source
    if callable(made) and not hasattr(made, "__aiter__"):
        made = made()
    if inspect.isawaitable(made):
        made = await made
    if not hasattr(made, "__aiter__"):
        raise TypeError(
            "an answer is told by a stream, a tool runner, or an async iterator of events, not by "
            f"{type(made).__name__}; a function that makes one is called when the run begins"
        )
    if isinstance(made, ChatStream):
        made = ChatEventStream.over(made)
    if raw and isinstance(made, ChatEventStream):
        # The events of several requests don't make one stream: those are told without.
        with suppress(RuntimeError):
            made.with_raw()
    if isinstance(made, AbstractAsyncContextManager):
        async with cast("AbstractAsyncContextManager[Any]", made) as entered:
            yield entered, aiter(entered)
        return
    stream = cast("Any", made)
    try:
        yield stream, aiter(stream)
    finally:
        if hasattr(stream, "aclose"):
            await stream.aclose()


def abandon(source: object) -> None:
    """Let go of a source that was not opened."""
    if inspect.iscoroutine(source):
        # One that nobody awaits complains.
        source.close()
