"""Work that ends when whoever asked for it has left."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from deepseek_async.errors import DeepSeekError

T = TypeVar("T")

# As frameworks type them, which is not all in one way.
Message = Any
Scope = Any
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[Any]]

GONE = "the client closed the connection before all was answered"


class ClientGone(DeepSeekError):
    """Whoever asked has closed the connection: there is nobody to answer any more."""


async def disconnect(receive: Receive) -> None:
    """Wait until an ASGI server tells that the client has left."""
    while True:
        message = await receive()
        if message["type"] in ("http.disconnect", "websocket.disconnect"):
            return


async def unless_gone(gone: "asyncio.Future[None]", work: Awaitable[T]) -> T:
    """Do some work, or cancel it when the client leaves.

    The work is done in a task of its own, and that has ended when this returns or raises.

    Args:
        gone: Is done when the client has left; cancelled at the end.
        work: What to do.

    Returns:
        What came of it, even if the client left in the same moment, or the work did not let
        itself be cancelled.

    Raises:
        ClientGone: If it was cancelled since the client left. Any other exception is that of the
            work, or of the watch for the client.
    """
    try:
        task = asyncio.ensure_future(work)
        was_done = await _done_before(task, gone)
    finally:
        await end(gone)
    if task.cancelled() and not was_done:
        if not gone.cancelled() and (exc := gone.exception()) is not None:
            raise exc
        raise ClientGone(GONE)
    return task.result()


async def _done_before(task: "asyncio.Future[Any]", gone: "asyncio.Future[None]") -> bool:
    """Wait for a task, or end it when the client leaves; return whether it ended by itself."""
    try:
        try:
            await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        finally:
            was_done = task.done()
            await end(task)
    except asyncio.CancelledError:
        if not task.cancelled() and (exc := task.exception()) is not None:
            # As if it had been awaited right here.
            raise exc from None
        raise
    return was_done


async def end(*tasks: "asyncio.Future[Any]") -> None:
    """Cancel tasks and wait for their ends; further cancellations are for them, too."""
    cancelled: asyncio.CancelledError | None = None
    for task in tasks:
        task.cancel()
    while waiting := [task for task in tasks if not task.done()]:
        try:
            await asyncio.wait(waiting)
        except asyncio.CancelledError as exc:
            cancelled = exc
            for task in waiting:
                task.cancel()
    if cancelled is not None:
        raise cancelled
