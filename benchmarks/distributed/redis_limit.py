"""One limit for four processes: how full it is, whether it holds, and what a loss of Redis does."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

from benchmarks.distributed.redis_server import RedisServer
from benchmarks.distributed.server import SimulatorProcess
from benchmarks.processes import Process

LIMIT = 100

# Two of each.
_MANNERS = ("calls", "shard", "calls", "shard")

# The simulator thinks so long about each request, in seconds.
_THINKS = 0.4
_SAMPLE_EVERY = 0.02
_ENDS_WITHIN = 30.0
# How long it may take until each has its share of what the first ones took, in seconds.
_SETTLES = 2.0

# So much of the limit in use is all of it: a place is free for a moment between two requests.
_BACK = 0.95


class Caller(Process):
    """A process that has a share of the limit."""

    def __init__(self, manner: str, redis: str, upstream: str, directory: Path) -> None:
        super().__init__(
            sys.executable,
            "benchmarks.distributed.redis_worker",
            *(manner, redis, upstream, str(LIMIT), str(directory)),
        )

    def begin(self) -> None:
        """Wait until it works."""
        if self.line(_ENDS_WITHIN).strip() != "begun":
            raise RuntimeError("a process did not begin")

    def kill(self) -> None:
        """End it as the system does that has no memory left."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def end(self) -> None:
        """Let it end."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def counted(self) -> Counter[str]:
        """Return what it has counted when it has ended."""
        return Counter(msgspec.json.decode(self.line(_ENDS_WITHIN), type=dict[str, int]))


class Watch:
    """Watches how many requests the simulator has under way.

    Args:
        simulator: The simulator.
    """

    def __init__(self, simulator: SimulatorProcess) -> None:
        self._simulator = simulator
        self._lock = threading.Lock()
        self._samples: list[tuple[float, int]] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._ended.set()
        self._thread.join()

    def used(self, seconds: float) -> tuple[float, int]:
        """Watch for so long; return the share of the limit that is in use, and the peak.

        The peak is that since it was asked for last.
        """
        begun = time.monotonic()
        time.sleep(seconds)
        while not (counts := [count for at, count in self._samples if at >= begun]):
            time.sleep(_SAMPLE_EVERY)
        with self._lock:
            peak = self._simulator.counted(over=True).peak_in_flight
        return sum(counts) / len(counts) / LIMIT, peak

    def back_after(self, begun: float, most: float) -> float:
        """Wait until all of the limit is in use; return how long that took, or ``most``."""
        while time.monotonic() < begun + most:
            if self._samples and self._samples[-1][0] > begun + 2 * _SAMPLE_EVERY:
                at, count = self._samples[-1]
                if count >= _BACK * LIMIT:
                    return at - begun
            time.sleep(_SAMPLE_EVERY / 2)
        return most

    def _watch(self) -> None:
        while not self._ended.wait(_SAMPLE_EVERY):
            with self._lock:
                count = self._simulator.counted().in_flight
            self._samples.append((time.monotonic(), count))


@contextmanager
def _callers(directory: Path, redis: RedisServer) -> Iterator[tuple[Watch, list[Caller]]]:
    with ExitStack() as stack:
        simulator = stack.enter_context(SimulatorProcess(_THINKS))
        callers = [
            stack.enter_context(Caller(manner, redis.url, simulator.address, directory))
            for manner in _MANNERS
        ]
        for caller in callers:
            caller.begin()
        yield stack.enter_context(Watch(simulator)), callers


class Killed(NamedTuple):
    """What a limit was used for, and what became of the share of a process."""

    used: float
    peak: int
    back_after: float
    peak_after: int
    failed: int


def killed(directory: Path, *, seconds: float) -> Killed:
    """Use the limit, and kill one of the processes.

    Args:
        directory: For files.
        seconds: How long to watch.
    """
    with RedisServer(directory) as redis, _callers(directory, redis) as (watch, callers):
        watch.back_after(time.monotonic(), _ENDS_WITHIN)
        _, begun_peak = watch.used(_SETTLES)
        used, peak = watch.used(seconds)
        callers[0].kill()
        back_after = watch.back_after(time.monotonic(), 20.0)
        _, peak_after = watch.used(seconds)
        counts = _counted(callers[1:])
    return Killed(used, max(begun_peak, peak), back_after, peak_after, counts["failed"])


class Away(NamedTuple):
    """What became of the limit when Redis was stopped and started again."""

    used: float
    peak: int
    back_after: float
    used_after: float
    peak_after: int
    failed: int


def away(directory: Path, *, seconds: float, within: float = 5.0) -> Away:
    """Stop Redis, and start it again, empty.

    Args:
        directory: For files.
        seconds: How long Redis is away, and how long to watch when all is as before.
        within: How long that may take, in seconds.
    """
    with RedisServer(directory) as redis, _callers(directory, redis) as (watch, callers):
        watch.back_after(time.monotonic(), _ENDS_WITHIN)
        watch.used(_SETTLES)
        redis.stop()
        used, peak = watch.used(seconds)
        redis.start()
        back_at = time.monotonic()
        back_after = within
        # In slices: the limit holds from the end of the last one on that it did not hold in.
        while (left := back_at + within - time.monotonic()) > 0:
            share, most = watch.used(min(0.5, left))
            if share >= 0.9 and most <= LIMIT * 1.02:
                back_after = min(back_after, time.monotonic() - back_at)
            else:
                back_after = within
        used_after, peak_after = watch.used(seconds)
        counts = _counted(callers)
    return Away(used, peak, back_after, used_after, peak_after, counts["failed"])


def _counted(callers: list[Caller]) -> Counter[str]:
    for caller in callers:
        caller.end()
    counts = sum((caller.counted() for caller in callers), Counter[str]())
    for name, count in counts.items():
        if name not in ("answered", "failed"):
            print(f"{count} x {name}", flush=True)
    return counts
