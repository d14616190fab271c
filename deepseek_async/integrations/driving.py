"""The side of a run that hands out shards and collects what they did, for any cluster."""

import heapq
import logging
import os
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sized
from pathlib import Path
from typing import Protocol

import msgspec

from deepseek_async.batch import MergeReport, ShardReport, ShardSettings, merge_shards
from deepseek_async.batch.source import Requests
from deepseek_async.errors import BatchError, PreflightError
from deepseek_async.integrations.boards import Failure, Heard
from deepseek_async.integrations.shard_checks import ShardChecks, check_shards

logger = logging.getLogger("deepseek_async")

# Shards that wait in the cluster, beyond those that can run at once: a worker that is free begins
# at once, and no more than these are held there.
_AHEAD = 4

# Between two looks at what the workers do, in seconds.
_LOOK_EVERY = 0.5

# Before a shard that failed is run again; twice as long each time.
_FIRST_PAUSE = 1.0

# Outcomes after which no other shard would get an answer either.
_FOR_ALL = {"unpaid", "refused"}

# Failed shards that are told one by one.
_MOST_TOLD = 5


class ShardsProgress(msgspec.Struct, frozen=True, kw_only=True):
    """Where a run of many shards stands at a moment."""

    shards: int | None
    """How many there are; None if nobody knows."""

    finished: int
    """Shards that have come to their end."""

    failed_shards: int
    """Shards that failed for good."""

    running: int

    succeeded: int
    """Items answered, by the shards that are running too."""

    failed: int
    """Items that failed for good."""

    skipped: int
    """Items that had been finished before, of the shards that are finished."""

    in_flight: int
    """Requests under way, as far as workers have told: a moment ago."""

    permits: int
    """Requests that the workers may have under way."""

    seconds: float


#: Called about twice a second where the shards were handed out.
OnProgress = Callable[[ShardsProgress], None]


class Cluster(Protocol):
    """Runs shards somewhere. None of it is called from two threads at once."""

    def capacity(self) -> int:
        """Return how many shards can run at once, by now."""
        ...

    def submit(self, source: Requests, shard_id: int) -> None:
        """Have a shard run. If its worker is lost, it runs again elsewhere."""
        ...

    def finished(self, seconds: float) -> list[tuple[int, ShardReport | Failure]]:
        """Wait for shards to end, not longer than so many seconds."""
        ...

    def heard(self) -> Heard:
        """Return what the workers do."""
        ...

    def stop(self) -> None:
        """End the run, and wait some seconds for its shards; called once."""
        ...


class _Waiting(msgspec.Struct, order=True):
    """A shard that is to run again; the one that is due first is the least."""

    due: float
    shard_id: int
    source: Requests


class Drive:
    """One run.

    Args:
        cluster: Runs the shards.
        shards: Their sources, by their numbers from 0.
        out_dir: Where their files are.
        settings: How they are run.
        retries: How often a shard that fails is run again.
        progress: Is told where the run stands.
        into: The file for the results of all shards.
        check: Make sure at the end that each item is there once. Without it no file is looked at.

    Raises:
        PreflightError: If these can't be meant.
    """

    def __init__(
        self,
        cluster: Cluster,
        shards: Iterable[Requests],
        out_dir: Path,
        *,
        settings: ShardSettings,
        retries: int,
        progress: OnProgress | None = None,
        into: str | os.PathLike[str] | None = None,
        check: bool = True,
    ) -> None:
        check_shards(shards)
        if retries < 0:
            raise PreflightError(f"retries must be a number from 0 up, got {retries!r}")
        if into is not None and not check:
            raise PreflightError(
                "with check=False no file is looked at, so the results can't be written to "
                f"{str(into)!r}: leave out one of both"
            )
        self._cluster = cluster
        self._total = len(shards) if isinstance(shards, Sized) else None
        self._shards: Iterator[tuple[int, Requests]] = enumerate(shards)
        self._out_dir = out_dir
        self._retries = retries
        self._progress = progress
        self._into = into
        self._check = check
        self._checks = ShardChecks(out_dir if check else None, settings)
        self._began = self._looked = time.monotonic()
        self._is_read = self._has_warned = False
        self._running: dict[int, Requests] = {}
        self._waiting: list[_Waiting] = []
        self._tries: dict[int, int] = {}
        self._failures: dict[int, Failure] = {}
        self._ended_for_all: ShardReport | None = None
        self._count = self._finished = 0
        self._succeeded = self._failed = self._skipped = 0

    def reports(self) -> Generator[ShardReport]:
        """Yield the reports of shards as they come to their end.

        Raises:
            BatchError: At the end, if a shard failed for good.
        """
        try:
            while self._has_work():
                self._submit()
                for shard_id, ended in self._ended():
                    report = self._take(shard_id, ended)
                    if report is not None:
                        yield report
                self._tell()
        finally:
            self._cluster.stop()
        self._tell(last=True)
        self._raise_failures()

    def merge(self) -> MergeReport | None:
        """Check that each item of all shards is there once, if that is wanted.

        Raises:
            BatchError: If it isn't.
        """
        if not self._check:
            return None
        return merge_shards(self._out_dir, into=self._into, shards=range(self._count))

    def _has_work(self) -> bool:
        if self._ended_for_all is not None:
            return False
        return bool(not self._is_read or self._running or self._waiting)

    def _submit(self) -> None:
        capacity = self._cluster.capacity()
        if not capacity and not self._has_warned:
            self._has_warned = True
            logger.warning("the cluster has no workers; the shards wait for the first")
        most = capacity + _AHEAD
        while len(self._running) < most and (shard := self._next(most)) is not None:
            shard_id, source = shard
            self._running[shard_id] = source
            self._cluster.submit(source, shard_id)

    def _next(self, most: int) -> tuple[int, Requests] | None:
        if self._waiting and self._waiting[0].due <= time.monotonic():
            again = heapq.heappop(self._waiting)
            return again.shard_id, again.source
        # Where all fail for a while, what waits must not become the whole input.
        if self._is_read or len(self._waiting) >= most:
            return None
        shard = next(self._shards, None)
        if shard is None:
            self._is_read = True
            return None
        self._checks.check(*shard)
        self._count += 1
        return shard

    def _ended(self) -> list[tuple[int, ShardReport | Failure]]:
        if self._running:
            return self._cluster.finished(_LOOK_EVERY)
        if self._waiting:
            # What is left waits to be tried again.
            time.sleep(_LOOK_EVERY)
        return []

    def _take(self, shard_id: int, ended: ShardReport | Failure) -> ShardReport | None:
        source = self._running.pop(shard_id)
        if isinstance(ended, ShardReport):
            self._finished += 1
            self._succeeded += ended.succeeded
            self._failed += ended.failed
            self._skipped += ended.skipped
            if ended.outcome in _FOR_ALL:
                self._ended_for_all = ended
            return ended
        tries = self._tries[shard_id] = self._tries.get(shard_id, 0) + 1
        if ended.is_final or tries > self._retries:
            self._failures[shard_id] = ended
        else:
            due = time.monotonic() + _FIRST_PAUSE * 2 ** (tries - 1)
            heapq.heappush(self._waiting, _Waiting(due, shard_id, source))
        return None

    def _tell(self, *, last: bool = False) -> None:
        now = time.monotonic()
        if self._progress is None or (now - self._looked < _LOOK_EVERY and not last):
            return
        self._looked = now
        heard = Heard() if last else self._cluster.heard()
        self._progress(
            ShardsProgress(
                shards=self._total,
                finished=self._finished,
                failed_shards=len(self._failures),
                running=heard.workers,
                succeeded=self._succeeded + heard.done,
                failed=self._failed + heard.failed,
                skipped=self._skipped,
                in_flight=heard.in_flight,
                permits=heard.permits,
                seconds=now - self._began,
            )
        )

    def _raise_failures(self) -> None:
        ended = self._ended_for_all
        if ended is not None:
            raise BatchError(
                f"shard {ended.shard_id} ended with {ended.error or ended.outcome}, as all others "
                "would; what is finished is kept, make the same call again to go on"
            )
        if not self._failures:
            return
        told = [
            f"shard {shard_id}: {self._failures[shard_id].text}"
            for shard_id in sorted(self._failures)[:_MOST_TOLD]
        ]
        if len(self._failures) > _MOST_TOLD:
            told.append(f"{len(self._failures) - _MOST_TOLD:,} more")
        raise BatchError(
            f"{len(self._failures):,} of {self._count:,} shards failed, the others are finished: "
            f"{'; '.join(told)}. Make the same call again to run what is missing"
        )


def run(drive: Drive) -> Generator[ShardReport, None, MergeReport | None]:
    """Yield the reports of all shards, and return what they did together."""
    yield from drive.reports()
    return drive.merge()
