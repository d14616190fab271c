"""Plain calls that stop when the browser has left."""

import asyncio
from collections.abc import Awaitable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar, cast

from deepseek_async.live.source import abandon
from deepseek_async.web.connection_watch import watched
from deepseek_async.web.leaving import Receive, disconnect, unless_gone

T = TypeVar("T")


async def while_connected(receive: Any, awaitable: Awaitable[T]) -> T:
    """Await something, and cancel it within milliseconds when the client leaves.

    Servers tell their applications that a client has left; nobody listens during a plain
    ``await``, so that an answer is waited for, and paid for, that nobody will read::

        completion = await while_connected(request, client.chat.completions.create(...))

    Read the body of the request before: afterwards it can't be read, and waiting for it hangs.

    Args:
        receive: The ``receive`` of ASGI, a ``Request`` of Starlette or FastAPI, of Litestar, or of
            aiohttp.web.
        awaitable: What to wait for. It runs in a task of its own, which has ended when this
            returns or raises.

    Returns:
        What came of it; even if the client left in the same moment.

    Raises:
        ClientGone: If the client left, and the awaitable was cancelled for it. Any other exception
            is the awaitable's own.
        TypeError: If the first argument is none of these.
    """
    with _leaving(receive, awaitable) as gone:
        return await unless_gone(gone, awaitable)


def _leaving(
    connection: Any, awaitable: Awaitable[Any]
) -> "AbstractContextManager[asyncio.Future[None]]":
    """Return what is done when the client has left."""
    receive: Any = getattr(connection, "receive", connection)
    if hasattr(connection, "transport"):
        return watched(connection.transport)
    if callable(receive):
        return nullcontext(asyncio.ensure_future(disconnect(cast("Receive", receive))))
    abandon(awaitable)
    raise TypeError(
        "while_connected takes the `receive` of ASGI, or the request of Starlette, FastAPI, "
        f"Litestar or aiohttp.web; got {type(connection).__name__}"
    )
