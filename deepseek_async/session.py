"""The connections of a client, over all event loops.

One aiohttp session per event loop, opened by the first request and closed with its loop. aiohttp
itself is imported by that first request: it takes longer to import than all the rest.
"""

import asyncio
import concurrent.futures
import contextlib
import importlib
import os
import ssl as ssl_module
import threading
import warnings
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from deepseek_async.connections import HTTPRequest, LoopPool
from deepseek_async.environment import proxies_by_scheme
from deepseek_async.policy.clocks import Clocks
from deepseek_async.response import HTTPResponse

if TYPE_CHECKING:
    from aiohttp import ClientSession

# How long closing waits for an event loop in another thread, in seconds.
CLOSE_WAIT = 5.0

# An error body is read up to here.
MAX_ERROR_BODY = 256 * 1024

# A module is in sys.modules before its import is complete, so that alone does not tell.
_imported = threading.Event()


def _import_aiohttp() -> None:
    importlib.import_module("aiohttp")
    _imported.set()


class SessionManager:
    """Sessions and connections of one client, over all event loops.

    Args:
        session: A session of the caller: used, never closed.
        proxy: URL of an HTTP proxy; wins over the environment.
        ssl: TLS context, False to skip verification, None for the system's authorities.
        trust_env: Use the proxies that the environment names.
    """

    def __init__(
        self,
        *,
        session: "ClientSession | None" = None,
        proxy: str | None = None,
        ssl: ssl_module.SSLContext | bool | None = None,
        trust_env: bool = True,
    ) -> None:
        self._callers_session = session
        self._proxy = proxy
        self._ssl = ssl
        self._trust_env = trust_env
        self._lock = threading.Lock()
        self._pools: dict[asyncio.AbstractEventLoop, LoopPool] = {}
        self._pid = os.getpid()
        self.closed = False

    def send(
        self,
        request: HTTPRequest,
        authorization: str,
        clocks: Clocks,
        *,
        on_end: Callable[[], None],
    ) -> Awaitable[HTTPResponse]:
        """Send a request and return its response once the headers are there.

        Args:
            request: What to send.
            authorization: Value of the ``Authorization`` header, if the request has none.
            clocks: The clocks of the call.
            on_end: Called once, from any thread, when the connection is no longer in use.

        Raises:
            APIConnectionError: If no response came; StaleConnectionError if only because the
                connection had been kept for too long.
            APITimeoutError: If a clock ran out.
        """
        pool = self._pools.get(asyncio.get_running_loop())
        if pool is None or pool.closed or self.closed or self._pid != os.getpid():
            return self._open_and_send(request, authorization, clocks, on_end)
        # Not awaited here: each coroutine that waits is one more for the garbage collector.
        return pool.send(request, authorization, clocks, on_end)

    async def _open_and_send(
        self,
        request: HTTPRequest,
        authorization: str,
        clocks: Clocks,
        on_end: Callable[[], None],
    ) -> HTTPResponse:
        pool = await self._pool()
        return await pool.send(request, authorization, clocks, on_end)

    async def open(self) -> None:
        """Open the session of the running loop, which imports aiohttp."""
        self.closed = False
        await self._pool()

    async def aclose(self) -> None:
        """Close the sessions of all loops."""
        self.closed = True
        if self._pid != os.getpid():
            self._abandon()
        with self._lock:
            pools = list(self._pools.items())
            self._pools.clear()
        for loop, pool in pools:
            await _close_on(loop, pool)

    async def _pool(self) -> LoopPool:
        if self.closed:
            raise RuntimeError("the client is closed; create a new one, or enter it again")
        if self._pid != os.getpid():
            self._abandon()
        loop = asyncio.get_running_loop()
        pool = self._pools.get(loop)
        if pool is None and not _imported.is_set():
            # It takes a tenth of a second, for which the loop must not stand still.
            await asyncio.to_thread(_import_aiohttp)
            pool = self._pools.get(loop)
        if pool is None or pool.closed:
            pool = LoopPool(
                self._callers_session,
                proxies_by_scheme(self._proxy, self._trust_env),
                True if self._ssl is None else self._ssl,
            )
            with self._lock:
                # Loops that ended took their sessions along.
                for other, old in list(self._pools.items()):
                    if old.closed or other.is_closed():
                        del self._pools[other]
                        old.discard()
                self._pools[loop] = pool
            await pool.open(loop)
        return pool

    def _abandon(self) -> None:
        """Forget the sessions that a fork has copied: their sockets are the parent's.

        To close them would take them out of the parent's selector, too. They must not even be
        finalized, so they are made immortal.
        """
        import ctypes

        # A thread that did not survive the fork may have held the old one.
        self._lock = threading.Lock()
        for pool in self._pools.values():
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(pool))
        self._pools.clear()
        self._pid = os.getpid()

    def __del__(self) -> None:
        # A pool is closed by aclose() or by its loop; what is still open here was forgotten.
        if self._pid != os.getpid():
            self._abandon()
            return
        pools = [pool for pool in self._pools.values() if not pool.closed]
        if pools:
            warnings.warn(
                "an AsyncDeepSeek client was not closed; use `async with client` or "
                "`await client.aclose()`",
                ResourceWarning,
                stacklevel=2,
            )
        for pool in pools:
            pool.discard()


async def _close_on(loop: asyncio.AbstractEventLoop, pool: LoopPool) -> None:
    """Close a pool on the loop that it belongs to."""
    if loop is asyncio.get_running_loop():
        await pool.aclose()
        return
    if loop.is_running():
        closed: concurrent.futures.Future[None] = concurrent.futures.Future()

        def close() -> None:
            task = loop.create_task(pool.aclose())
            task.add_done_callback(lambda _: closed.set_result(None))

        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(close)
            # That loop may stop before it comes to it.
            await asyncio.wait([asyncio.wrap_future(closed)], timeout=CLOSE_WAIT)
    pool.discard()
