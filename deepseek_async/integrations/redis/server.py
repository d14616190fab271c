"""A Redis server, as both parts of this package reach it."""

import asyncio
import contextlib
import importlib
from collections.abc import Awaitable, Iterable
from typing import Any
from weakref import WeakKeyDictionary

# After how many timeouts a call is given up: it may wait for a connection, make one, be retried.
_TIMEOUTS = 5
# How long a cancelled task may take before it is cancelled again, in seconds.
_CANCEL_EVERY = 0.1


def import_redis() -> Any:
    """Return the module ``redis.asyncio``.

    Raises:
        ImportError: If it is not installed.
    """
    try:
        return importlib.import_module("redis.asyncio")
    except ImportError as exc:
        raise ImportError(
            'to share something through Redis takes the library redis: pip install "'
            'deepseek-async[redis]"',
            name="redis",
        ) from exc


class Server:
    """A server, with connections for each event loop that asks it.

    Args:
        redis: Its URL, or a client of the application's own, which is never closed and stays in
            its event loop.
        timeout: How long it may take to answer, in seconds.
        max_connections: Most connections of one event loop; whoever needs another one waits.

    Raises:
        ImportError: If redis-py is not installed.
        ValueError: If the URL is none, or what is got would be decoded.
    """

    def __init__(self, redis: Any, *, timeout: float, max_connections: int) -> None:
        self._library = import_redis()
        self._timeout = timeout
        self._max_connections = max_connections
        self.url: str | None = None
        self._own: Any = None
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, Any] = WeakKeyDictionary()
        # Calls that nobody may wait for any more.
        self._calls: set[asyncio.Future[Any]] = set()
        if isinstance(redis, str):
            self.url = redis
            # So that a URL that can't be one is found here.
            pool = self._checked_pool()
        elif isinstance(redis, self._library.Redis):
            self._own = redis
            pool = redis.connection_pool
        else:
            raise ValueError(
                "redis is a URL, such as redis://localhost:6379/0, or a redis.asyncio.Redis; got "
                f"{type(redis)!r}"
            )
        if pool.get_encoder().decode_responses:
            raise ValueError(
                "with decode_responses what is got is decoded, and not all of it is text: give a "
                "client, or a URL, without"
            )

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """What calls of the client raise when the server is away, or does not do what is asked."""
        return (self._library.RedisError, OSError, TimeoutError)

    def client(self) -> Any:
        """Return the client of the running event loop."""
        if self._own is not None:
            return self._own
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None:
            client = self._library.Redis.from_pool(self._pool())
            self._clients[loop] = client
        return client

    async def ask(self, call: Awaitable[Any]) -> Any:
        """Wait for a call of the client.

        If that is cancelled, the call comes to its end all the same, within a few timeouts:
        redis-py 8.1 swallows some cancellations, and with the others it closes the connection.

        Raises:
            ConnectionError: If this is closed meanwhile, or nothing is heard for long.
        """
        future = asyncio.ensure_future(call)
        self._calls.add(future)
        future.add_done_callback(self._ended)
        # A client of the application's own may have no timeout.
        giving_up = future.get_loop().call_later(self._timeout * _TIMEOUTS, future.cancel)
        future.add_done_callback(lambda _: giving_up.cancel())
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not future.cancelled() or (task is not None and task.cancelling()):
                raise
        except self._library.ReadOnlyError:
            # The server is none to write to any more; its name may be another one's by now.
            with contextlib.suppress(Exception):  # What is told is why.
                await self.client().connection_pool.disconnect(inuse_connections=False)
            raise
        raise ConnectionError("no answer, and none will come: it was given up, or closed")

    async def aclose(self) -> None:
        """Close the connections of the running event loop."""
        loop = asyncio.get_running_loop()
        await ended(call for call in list(self._calls) if call.get_loop() is loop)
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()

    def _ended(self, call: "asyncio.Future[Any]") -> None:
        self._calls.discard(call)
        if not call.cancelled():
            # It may concern nobody.
            call.exception()

    def _checked_pool(self) -> Any:
        """Return what :meth:`_pool` does.

        Raises:
            ValueError: If the URL is none.
        """
        try:
            pool = self._pool()
            # Unknown options are found here only. Nothing is connected yet.
            pool.make_connection()
        except (TypeError, ValueError):
            # Without its text, which may have a part of the password.
            pool = None
        if pool is None:
            raise ValueError(
                "this is no URL of a Redis server: its scheme is redis, rediss or unix, its port a "
                "number, its options are those of redis-py's connections, and what is special in a "
                'password (such as "/", "#", "@") is percent-encoded'
            )
        return pool

    def _pool(self) -> Any:
        retries = importlib.import_module("redis.asyncio.retry")
        backoff = importlib.import_module("redis.backoff")
        return self._library.BlockingConnectionPool.from_url(
            self.url,
            max_connections=self._max_connections,
            timeout=self._timeout,
            socket_timeout=self._timeout,
            socket_connect_timeout=self._timeout,
            # Once, for a connection that was closed while nobody used it.
            retry=retries.Retry(backoff.NoBackoff(), 1),
        )


async def ended(futures: "Iterable[asyncio.Future[Any]]") -> None:
    """Cancel tasks until they have ended; see :meth:`Server.ask`."""
    pending = set(futures)
    while pending:
        for future in pending:
            future.cancel()
        _, pending = await asyncio.wait(pending, timeout=_CANCEL_EVERY)
