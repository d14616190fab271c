"""Where the workers of one run ask for permits, hear of its end, and are heard of.

A :class:`Board` is in one process of a cluster; adapters make it reachable. What goes in and out
are plain values.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, TypedDict

import msgspec

from deepseek_async.batch import LeaseTable, ShardReport, ShardSettings, Stats, run_shard
from deepseek_async.batch.documented_limits import documented_limit
from deepseek_async.batch.source import Requests
from deepseek_async.errors import BatchLockedError, BatchSettingsError, PreflightError
from deepseek_async.integrations.clients import shared_client

#: Seconds that permits last: after so long the part of a killed worker is free again.
TTL = 3.0

# How often and how long a shard waits for one that is still ending somewhere, in seconds.
_LOCKED_STEP, _LOCKED_STEPS = 0.5, 20

# What another try would not mend: a source that can't be one is a TypeError.
_USELESS = (BatchSettingsError, PreflightError, TypeError)


def limit_of(settings: ShardSettings, given: int | None, otherwise: int) -> int:
    """Return how many requests there may be at once: what was given, or what DeepSeek documents.

    Raises:
        PreflightError: If the given number is below 1.
    """
    total = given
    if total is None:
        total = documented_limit(settings.model) or otherwise
    # A table finds what can't be a limit.
    return LeaseTable(total, ttl=TTL).total(0.0)


class Asked(TypedDict):
    """What a board answers."""

    permits: int
    over: bool


class Heard(msgspec.Struct, frozen=True):
    """What the workers of a run do at a moment."""

    in_flight: int = 0
    permits: int = 0
    done: int = 0
    """Items answered by the shards that are running."""

    failed: int = 0
    workers: int = 0
    """Shards that are running."""


class Board:
    """The permits of one run, and whether it is over.

    Args:
        total: Most requests at once, of all shards together.
        restarted: Whether there was another one before: what that one handed out may still be used,
            so nobody gets more than they have until it has ended.
        clock: Returns seconds that only go forward.

    Raises:
        PreflightError: If the total is below 1.
    """

    def __init__(
        self, total: int, *, restarted: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._table = LeaseTable(total, ttl=TTL)
        self._clock = clock
        self._settled_at = clock() + TTL if restarted else clock()
        self._stats: dict[str, Stats] = {}
        self._is_over = False

    def renew(self, worker: str, want: int, stats: Mapping[str, Any]) -> Asked:
        """Return how many requests a worker may have under way, and whether it is to stop."""
        told = msgspec.convert(stats, Stats)
        now = self._clock()
        if now < self._settled_at:
            want = max(1, min(want, told.permits))
        permits = self._table.renew(worker, want, told, now)
        if now < self._settled_at:
            permits = min(permits, told.permits)
        self._stats[worker] = told
        return {"permits": permits, "over": self._is_over}

    def drop(self, worker: str) -> Asked:
        """Take back the permits of a worker that has ended."""
        self._table.drop(worker)
        self._stats.pop(worker, None)
        return {"permits": 0, "over": self._is_over}

    def stop(self) -> None:
        """End the run: each worker hears of it within a second or so."""
        self._is_over = True

    def heard(self) -> dict[str, int]:
        """Return what the workers do, as the fields of :class:`Heard`."""
        granted = self._table.granted(self._clock())
        self._stats = {name: each for name, each in self._stats.items() if name in granted}
        return {
            "in_flight": sum(each.in_flight for each in self._stats.values()),
            "permits": sum(granted.values()),
            "done": sum(each.done for each in self._stats.values()),
            "failed": sum(each.failed for each in self._stats.values()),
            "workers": len(granted),
        }


class AskBoard(Protocol):
    """Asks a board from a worker; raises whatever its cluster does if that fails."""

    def __call__(self, action: str, **values: Any) -> Awaitable[Asked]:
        """Have the board do what one of its methods does."""
        ...


class BoardLimiter:
    """A board as a :class:`LeaseLimiter`, which also hears that the run is over.

    Args:
        ask: Asks the board.
    """

    def __init__(self, ask: AskBoard) -> None:
        self._ask = ask
        self.over = asyncio.Event()
        """Set once the run is over."""

    @property
    def ttl(self) -> float:
        """Seconds that permits last, unless renewed."""
        return TTL

    async def renew(self, worker: str, want: int, stats: Stats) -> int:
        """Return how many requests a worker may have under way for the next ``ttl`` seconds."""
        values = msgspec.structs.asdict(stats)
        asked = await self._ask("renew", worker=worker, want=want, stats=values)
        if asked["over"]:
            self.over.set()
            return 0
        return asked["permits"]

    async def drop(self, worker: str) -> None:
        """Take back the permits of a worker that has ended."""
        await self._ask("drop", worker=worker)


class Failure(msgspec.Struct, frozen=True):
    """Why a shard did not come to its end. Unlike an exception it can always be sent around."""

    text: str
    is_final: bool = False
    """Whether another try would fail as well."""


async def run_task(
    source: Requests, out_dir: str, shard_id: int, settings: ShardSettings, limiter: BoardLimiter
) -> ShardReport | Failure:
    """Run a shard until its end or that of the run.

    Returns:
        What it did, or why it failed; nothing is raised but a cancellation.
    """
    shard = asyncio.create_task(_run(source, out_dir, shard_id, settings, limiter))
    over = asyncio.create_task(limiter.over.wait())
    try:
        await asyncio.wait([shard, over], return_when=asyncio.FIRST_COMPLETED)
    finally:
        over.cancel()
        if not shard.done():
            shard.cancel()
            # Of two cancellations neither leaves it running.
            await asyncio.wait([shard])
    if shard.cancelled():
        return Failure("the run was ended", is_final=True)
    return shard.result()


async def _run(
    source: Requests, out_dir: str, shard_id: int, settings: ShardSettings, limiter: BoardLimiter
) -> ShardReport | Failure:
    left = _LOCKED_STEPS
    while True:
        try:
            async with shared_client(settings) as client:
                return await run_shard(
                    source, out_dir, shard_id, settings=settings, limiter=limiter, client=client
                )
        except BatchLockedError as exc:
            # A worker that was given up for lost may still be ending.
            if not left:
                return _failure(exc)
        except Exception as exc:
            return _failure(exc)
        left -= 1
        await asyncio.sleep(_LOCKED_STEP)


def _failure(exc: Exception) -> Failure:
    return Failure(f"{type(exc).__name__}: {exc}", isinstance(exc, _USELESS))
