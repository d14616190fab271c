"""Logs of runs in Redis, where every process of an application finds them."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote
from weakref import WeakKeyDictionary

from deepseek_async.integrations.redis.log_scripts import APPEND, CLOSE, RAISE, READ
from deepseek_async.integrations.redis.news import Looks, News
from deepseek_async.integrations.redis.server import Server
from deepseek_async.live import LiveFullError, LogForgottenError, LogReplacedError

# Seconds that Redis may take to answer; less than the patience of those who ask a store.
_TIMEOUT = 4.0
# Bytes that an entry of a stream takes beside its data, about.
_ENTRY = 64
# How many entries are read at once.
_PAGE = 100
# How many characters of the epochs that a log had before are kept: about a hundred.
_BEFORE = 1000
# Of how many logs it is remembered what this process has written to them.
_MOST_EPOCHS = 10_000
# For whoever has had a position: behind all that there is of it.
_BEHIND = -1
# For how many seconds a log that is gone may come again: a Redis that was started anew is empty
# until the process that reads the upstream has told it all of it again.
_BACK_WITHIN = 10.0


class RedisLogStore:
    """A :class:`~deepseek_async.live.LogStore` for all processes that use one Redis.

    ``Live(store=RedisLogStore("redis://localhost:6379/0"))`` in each process of an application lets
    any of them show and stop the runs of any other. How soon readers are told that a process has
    died is up to :class:`~deepseek_async.live.Live`: three to four times ``sign_every``.

    One connection of each process listens for what is new; a few more are used as needed. When
    Redis is away for a moment, readers in other processes go on after it where they were, also if
    it has forgotten everything; readers in the process of the run notice nothing.

    Belongs to the event loop of the ``Live`` it is given to. An async context manager that closes
    its connections: leave it after the ``Live``.

    Args:
        redis: URL of the server, such as ``redis://:password@host:6379/0`` (``rediss://`` for TLS),
            or a ``redis.asyncio.Redis`` of your own, without ``decode_responses``.
        ttl: For how many seconds a log or a flag is kept after it was last written to; longer than
            the ``sign_every`` of the ``Live``.
        max_bytes: Most bytes of one log.
        max_connections: Most connections of this process.
        prefix: What the names of all keys and channels begin with; one of its own for each
            application, if several use one Redis.

    Raises:
        ImportError: If redis-py is not installed.
        ValueError: If an argument is out of its range.
    """

    def __init__(
        self,
        redis: Any,
        *,
        ttl: float = 300.0,
        max_bytes: int = 16 << 20,
        max_connections: int = 16,
        prefix: str = "deepseek-async:",
    ) -> None:
        if not (0 < ttl < float("inf") and max_bytes >= 1 and max_connections >= 2):
            raise ValueError(
                "ttl is above 0, max_bytes from 1 up and max_connections from 2; got "
                f"ttl={ttl}, max_bytes={max_bytes}, max_connections={max_connections}"
            )
        self._server = Server(redis, timeout=_TIMEOUT, max_connections=max_connections)
        self._ttl = max(1, round(ttl * 1000))
        self._max_bytes = max_bytes
        self._prefix = prefix
        self._news: WeakKeyDictionary[asyncio.AbstractEventLoop, News] = WeakKeyDictionary()
        # By run: what a log has to be for this process to close it.
        self._epochs: OrderedDict[str, str] = OrderedDict()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections of this event loop."""
        news = self._news.pop(asyncio.get_running_loop(), None)
        if news is not None:
            await news.aclose()
        await self._server.aclose()

    async def append(self, run: str, cursor: str, data: bytes) -> None:
        """Add a record to a log.

        Raises:
            LogReplacedError: If the log has another epoch by now, or was closed.
            LogForgottenError: If there is no such log, and this is not its first record.
            LiveFullError: If it would have more than ``max_bytes``.
            redis.RedisError: If Redis is away.
        """
        epoch, _, position = cursor.rpartition(".")
        keys = [*self._keys_of(run), self._flag(run)]
        became = await self._run(
            APPEND, keys, epoch, int(position), data, self._ttl, self._max_bytes, _ENTRY, _BEFORE
        )
        if became == b"replaced":
            raise LogReplacedError(f"the log of {run!r} is closed, or another one's by now")
        if became == b"forgotten":
            raise LogForgottenError(f"there is no log of {run!r}, or not any more")
        if became == b"full":
            raise LiveFullError(
                f"the log of {run!r} would have more than {self._max_bytes:,} bytes"
            )
        self._note_epoch(run, epoch)

    async def read(self, run: str, after: str | None) -> AsyncGenerator[tuple[str, bytes]]:
        """Yield the records of a log behind a cursor, those that come later too.

        Raises:
            redis.RedisError: If Redis is away.
        """
        keys = self._keys_of(run)
        epoch, at, number = None, 0, 1
        if after is not None:
            epoch, _, position = after.rpartition(".")
            at, number = int(position), _BEHIND
        gone_at: float | None = None
        with Looks(self._news_of_loop(), keys[1]) as looks:
            while True:
                told = await self._run(READ, keys, at, number, _PAGE)
                found, is_closed, at, number, entries = told
                if found is not None:
                    gone_at = None
                    epoch = found.decode() if epoch is None else epoch
                    if found.decode() != epoch:
                        return
                elif epoch is None:
                    return
                else:
                    gone_at = _now() if gone_at is None else gone_at
                    if _now() - gone_at > _BACK_WITHIN:
                        return
                for entry, data in entries:
                    at, last = map(int, entry.split(b"-"))
                    number = last + 1
                    yield f"{epoch}.{at}", data
                if len(entries) < _PAGE:
                    if is_closed:
                        return
                    await looks.again()

    async def close(self, run: str) -> None:
        """Take note that a log is complete, if it is still the one that was written here.

        Raises:
            redis.RedisError: If Redis is away.
        """
        epoch = self._epochs.get(run, "")
        await self._run(CLOSE, self._keys_of(run), self._ttl, epoch)
        if self._epochs.get(run) == epoch:
            del self._epochs[run]

    async def stop(self, run: str) -> None:
        """Raise a flag.

        Raises:
            redis.RedisError: If Redis is away.
        """
        await self._run(RAISE, [self._flag(run)], self._ttl)

    async def watch_stop(self, run: str) -> None:
        """Return when a flag is up.

        Raises:
            redis.RedisError: If Redis is away.
        """
        flag = self._flag(run)
        with Looks(self._news_of_loop(), flag) as looks:
            while not await self._server.ask(self._server.client().exists(flag)):
                await looks.again()

    def _note_epoch(self, run: str, epoch: str) -> None:
        self._epochs[run] = epoch
        self._epochs.move_to_end(run)
        if len(self._epochs) > _MOST_EPOCHS:
            self._epochs.popitem(last=False)

    async def _run(self, script: str, keys: list[bytes], *arguments: Any) -> Any:
        call = self._server.client().register_script(script)
        return await self._server.ask(call(keys=keys, args=arguments))

    def _news_of_loop(self) -> News:
        loop = asyncio.get_running_loop()
        news = self._news.get(loop)
        if news is None:
            news = self._news[loop] = News(self._server.client())
        return news

    def _keys_of(self, run: str) -> list[bytes]:
        """Return the names of the hash and the stream of a log."""
        return [self._name("run", run), self._name("log", run)]

    def _flag(self, run: str) -> bytes:
        # Of a run, and beside it, in a cluster.
        return self._name("flag", run)

    def _name(self, kind: str, run: str) -> bytes:
        # No id can be mistaken for another, or for what tells a cluster where a key is.
        name = quote(run, safe="", errors="surrogatepass")
        return f"{self._prefix}{kind}:{{{name}}}".encode()


def _now() -> float:
    return asyncio.get_running_loop().time()
