"""Many streams at once, each with its own pace: what ``bench_paced`` and ``bench_memory`` share."""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass, field

from benchmarks.contenders import Client
from benchmarks.machine import cpu_seconds, resident_bytes
from benchmarks.questions import Bench, Figures, check, quantile

# Seconds from when all streams have begun to when their events count.
_SETTLE = 0.2
# Seconds after which streams that should have ended are given up.
_PATIENCE = 45.0


@dataclass
class _Moment:
    """What had been used by a moment."""

    at: float
    cpu: float
    memory: int | None


def _now() -> _Moment:
    return _Moment(time.monotonic(), cpu_seconds(), resident_bytes())


@dataclass
class _Watch:
    """What happens to the streams of one client."""

    streams: int
    begun: int = 0
    all_begun: _Moment | None = None
    first_ended: _Moment | None = None
    # When each event was due, and by how much it was late, in seconds.
    events: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])

    def count_start(self) -> None:
        self.begun += 1
        if self.begun == self.streams:
            self.all_begun = _now()


class _Sink:
    """Looks at the clock for every event of one stream, and at their order."""

    def __init__(self, watch: _Watch) -> None:
        self._watch = watch
        self._last = 0.0
        self.count = 0

    def append(self, piece: str) -> None:
        at = time.monotonic()
        due = int(piece) / 1e6
        self._watch.events.append((due, at - due))
        if not self.count:
            self._watch.count_start()
        self.count += 1
        if due <= self._last:
            raise AssertionError("events out of order")
        self._last = due


async def _follow(client: Client, watch: _Watch, count: int) -> None:
    sink = _Sink(watch)
    await client.read(sink, [])
    check(sink.count, count, "number of events")
    if watch.first_ended is None:
        watch.first_ended = _now()


async def read_many(
    bench: Bench, streams: int, quick_streams: int, period: int, seconds: int
) -> Figures:
    """Read ``streams`` answers at once, of an event every ``period`` milliseconds each."""
    streams = bench.pick(streams, quick_streams)
    seconds = bench.pick(seconds, 2)
    count = max(2, seconds * 1000 // period)
    client = bench.client(f"paced-{count}-{period}", streams + 8)
    # The first one imports what the library needs.
    warm_up = bench.client("burst-5")
    await warm_up.read([], [])
    await warm_up.aclose()
    watch = _Watch(streams)
    begun = _now()
    tasks = [asyncio.create_task(_follow(client, watch, count)) for _ in range(streams)]
    _, unfinished = await asyncio.wait(tasks, timeout=count * period / 1000 + _PATIENCE)
    ended = _now()
    for task in unfinished:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    await client.aclose()
    lost = [result for result in results if result is not None]
    figures = {
        "streams": float(streams),
        "lost": float(len(lost)),
        "cpu_us_each_event": (ended.cpu - begun.cpu) / max(1, len(watch.events)) * 1e6,
    }
    for wrong in lost:
        if isinstance(wrong, AssertionError):
            raise wrong
    return {**figures, **_steady(watch, begun, ended)}


def _steady(watch: _Watch, begun: _Moment, ended: _Moment) -> Figures:
    """Return what held while all streams ran; of the whole time, if they never all did."""
    first, last = watch.all_begun or begun, watch.first_ended or ended
    if last.at - first.at < 2 * _SETTLE:
        first, last = begun, ended
    settled = first.at + _SETTLE
    late = [lag for due, lag in watch.events if settled < due < last.at]
    memory = math.nan
    if watch.all_begun is not None and watch.all_begun.memory and begun.memory:
        memory = (watch.all_begun.memory - begun.memory) / watch.streams / 1024
    return {
        "core_share": (last.cpu - first.cpu) / (last.at - first.at),
        "late_p50_ms": quantile(late, 0.5) * 1e3,
        "late_p99_ms": quantile(late, 0.99) * 1e3,
        "kib_each": memory,
        "opening_seconds": math.nan if watch.all_begun is None else watch.all_begun.at - begun.at,
    }
