"""One limit for several processes, divided in Redis."""

import asyncio
import logging
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from deepseek_async.batch import Stats
from deepseek_async.errors import PreflightError
from deepseek_async.integrations.redis.lease_script import RENEW, STATED_HOLDS
from deepseek_async.integrations.redis.server import Server

_logger = logging.getLogger("deepseek_async")

#: Seconds that permits last, unless renewed: after so long the share of a killed process is free.
TTL = 3.0

# Whoever renews waits for a third of the ttl; it has an answer before, from Redis or without it.
_PATIENCE = 1 / 6
# While Redis is away: for how many times the ttl everybody keeps what they had. It fits what they
# did then, and not for ever.
_KEPT_FOR = 10
# Each worker asks one question at a time.
_MAX_CONNECTIONS = 8


class RedisLimiter:
    """A :class:`~deepseek_async.batch.LeaseLimiter` for all processes that use one Redis.

    Give it to ``client.limited_by(...)`` for the calls and batches of a web worker, and to
    :func:`~deepseek_async.batch.run_shard` for shards; any mixture of these shares the limit, each
    according to what it wants; if there are more of them than ``total``, they take turns. The share
    of a process that is killed is back after ``ttl`` seconds.

    While Redis is away each process keeps what it had last; after ten times ``ttl``, and from the
    beginning if it is new, it takes an equal part by the number of workers that it knows of. The
    log has one warning, and no request fails. When Redis is back, nobody gets more than they have
    for the first ``ttl`` seconds, so that the limit holds also if Redis has forgotten everything; a
    new process waits that long for its first permits.

    May be used in several event loops. An async context manager that closes its connections.

    Args:
        redis: URL of the server, such as ``redis://:password@host:6379/0`` (``rediss://`` for TLS),
            or a ``redis.asyncio.Redis`` of your own.
        total: Most requests to one model at once, of all processes together.
        name: Of the limit: an account, if there are several.
        ttl: Seconds that permits last, unless renewed.
        processes: How many processes there are, about: for one that has not reached Redis yet.
        prefix: What the names of all keys begin with.

    Raises:
        ImportError: If redis-py is not installed.
        PreflightError: If a number is not above 0.
        ValueError: If ``redis`` is neither of the two.
    """

    def __init__(
        self,
        redis: Any,
        total: int,
        *,
        name: str = "default",
        ttl: float = TTL,
        processes: int = 4,
        prefix: str = "deepseek-async:",
    ) -> None:
        if total < 1 or processes < 1:
            raise PreflightError(
                "total and processes are whole numbers from 1 up, got "
                f"total={total!r}, processes={processes!r}"
            )
        if not 0 < ttl < float("inf"):
            raise PreflightError(f"ttl must be a number of seconds above 0, got {ttl!r}")
        self._arguments = (total, name, ttl, processes, prefix)
        self._total = total
        self._name = name
        self._ttl = ttl
        self._key = f"{prefix}limit:{{{name}}}"
        self._patience = ttl * _PATIENCE
        self._server = Server(redis, timeout=self._patience, max_connections=_MAX_CONNECTIONS)
        # What there was last, for when Redis is away.
        self._last: dict[str, int] = {}
        self._workers = processes
        self._away_since: float | None = None

    def __repr__(self) -> str:
        return f"<RedisLimiter {self._name!r}: {self._total} requests>"

    def __reduce__(self) -> tuple[Any, ...]:
        if self._server.url is None:
            raise TypeError("a RedisLimiter with a client of yours can't be sent; give it a URL")
        return _made, (self._server.url, *self._arguments)

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
        await self._server.aclose()

    @property
    def ttl(self) -> float:
        """Seconds that permits last, unless renewed."""
        return self._ttl

    async def renew(self, worker: str, want: int, stats: Stats) -> int:
        """Return how many requests a worker may have under way for the next ``ttl`` seconds.

        Never fails: when Redis is away it is what the worker had last.

        Args:
            worker: Its name, unlike that of any other.
            want: How many it could use; never below 1.
            stats: How it is doing.
        """
        client = self._server.client()
        renew = client.register_script(RENEW)
        arguments = (
            worker,
            max(1, want),
            self._total,
            max(1, round(self._ttl * 1000)),
            stats.permits,
            stats.in_flight,
            0 if stats.stated_limit is None else max(1, stats.stated_limit),
            STATED_HOLDS,
        )
        try:
            async with asyncio.timeout(self._patience):
                call = renew(keys=[self._key], args=arguments)
                granted, workers = await self._server.ask(call)
        except self._server.errors as exc:
            return self._without_redis(worker, want, exc)
        if self._away_since is not None:
            self._away_since = None
            _logger.info("Redis is back, and divides the limit %r again", self._name)
        self._workers = workers
        self._last[worker] = granted
        return int(granted)

    async def drop(self, worker: str) -> None:
        """Take back the permits of a worker that has ended."""
        self._last.pop(worker, None)
        client = self._server.client()
        async with asyncio.timeout(self._patience):
            await self._server.ask(client.hdel(self._key, f"w:{worker}"))

    async def granted(self) -> Mapping[str, int]:
        """Return the permits of all workers of all processes.

        Raises:
            redis.RedisError: If Redis is away.
        """
        client = self._server.client()
        seconds, micros = await self._server.ask(client.time())
        now = seconds * 1000 + micros // 1000
        fields: dict[bytes, bytes] = await self._server.ask(client.hgetall(self._key))
        granted: dict[str, int] = {}
        for field, value in fields.items():
            kind, _, worker = field.decode().partition(":")
            if kind == "w":
                until, _, permits, _ = map(int, value.split())
                if until >= now:
                    granted[worker] = permits
        return granted

    def _without_redis(self, worker: str, want: int, error: Exception) -> int:
        now = asyncio.get_running_loop().time()
        share = self._total // self._workers
        if worker in self._last and now - (self._away_since or now) < _KEPT_FOR * self._ttl:
            share = self._last[worker]
        if self._away_since is None:
            self._away_since = now
            reason = str(error) or f"no answer within {self._patience:g} s"
            _logger.warning(
                "Redis does not divide the limit %r (%s: %s); each process goes on with a share "
                "of its own, here %d, until it does",
                self._name,
                type(error).__name__,
                reason,
                max(1, share),
            )
        return max(1, min(want, share))


def _made(url: str, total: int, name: str, ttl: float, processes: int, prefix: str) -> RedisLimiter:
    return RedisLimiter(url, total, name=name, ttl=ttl, processes=processes, prefix=prefix)
