"""Do shards on a cluster keep the limit, lose nothing, and cost little?

The simulator, in a process of its own, thinks 0.2 s about each request and counts. A single process
answers all requests, then two processes of a cluster do, with the same limit on requests at once;
the clusters have started, but their first permits, the end of the last shard, and the proof that
all is there once count. Then the cluster does it again, and one of its processes is killed halfway:
what it had under way is paid again, and answers that it had not written yet.

Run: python -m benchmarks.distributed [dask|ray] [--reduced]
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import msgspec

from benchmarks.batch.figures import Figures
from benchmarks.distributed.engines import ENGINES, WORKERS, Engine
from benchmarks.distributed.server import SimulatorProcess
from benchmarks.machine import raise_descriptor_limit
from deepseek_async import AsyncDeepSeek
from deepseek_async.batch import ShardReport, ShardSettings, read_results
from deepseek_async.batch.options import Durability
from deepseek_async.batch.shard_parts import split_requests

_THINKS = 0.2

_TOLERATED = 1.02

# So much of the limit is used while all workers are busy.
_BUSY = 0.75

# After so long an answer is on the disk, in seconds: it waits for others, then for the disk.
_WRITTEN_WITHIN = 0.1

# Shards: clusters are slow to begin each, and some must have ended when a worker is killed.
_SHARDS = 8


class Goal(NamedTuple):
    """What is asked of an engine."""

    items: int
    share: float
    """Of the throughput of a single process."""

    reduced: int


GOALS = {"dask": Goal(20_000, 0.9, 2_000), "ray": Goal(5_000, 0.7, 2_000)}


def write_requests(path: Path, items: int) -> None:
    """Write the requests to a file."""
    encode = msgspec.json.Encoder().encode
    with path.open("wb") as file:
        for number in range(items):
            content = f"#{number} " + "x" * 300
            body = {
                "messages": [{"role": "user", "content": content}],
                "thinking": {"type": "disabled"},
                "max_tokens": 16,
            }
            file.write(encode({"custom_id": f"item-{number}", "body": body}) + b"\n")


async def single(source: Path, out: Path, address: str, limit: int) -> float:
    """Answer all in this process; return the seconds."""
    async with AsyncDeepSeek(
        api_key="sk-simulated", base_url=address, dialect="deepseek", trust_env=False
    ) as client:
        job = client.batch(source, out=out, model="deepseek-flash", max_concurrency=limit)
        begun = time.perf_counter()
        report = await job.run()
        assert report.ok, str(report)
        return time.perf_counter() - begun


class Question:
    """What is asked of one engine, with the files for it."""

    def __init__(
        self, name: str, folder: Path, items: int, limit: int, durability: Durability
    ) -> None:
        self._durability: Durability = durability
        self._folder = folder
        self._items = items
        self._limit = limit
        self._source = folder / "in.jsonl"
        self._goal = GOALS[name]
        self._figures = Figures(
            f"{name}: {items:,} requests of {_THINKS:g} s, {limit} at once, {WORKERS} processes"
        )
        write_requests(self._source, items)

    def ask(self, engine: Engine, server: SimulatorProcess, *, show: bool) -> Figures:
        """Take the figures.

        Args:
            engine: The cluster.
            server: The simulator.
            show: No goal for the throughput.
        """
        figures = self._figures
        out = self._folder / "single.jsonl"
        alone = asyncio.run(single(self._source, out, server.address, self._limit))
        counted = server.counted(over=True)
        assert (counted.items, counted.again) == (self._items, 0)
        seconds, _ = self._run(engine, server, "whole")
        counted = server.counted(over=True)
        figures.add("a single process, requests per second", self._items / alone)
        figures.add("the cluster, requests per second", self._items / seconds)
        least = None if show else self._goal.share
        figures.add("of the single process", alone / seconds, "%", least=least)
        most = self._limit * _TOLERATED
        figures.add("requests at once, most", counted.peak_in_flight, most=most)
        figures.add("requests sent twice", counted.again, most=0, binding=True)
        self._lines("whole")
        self._kill(engine, server, most)
        return figures

    def _kill(self, engine: Engine, server: SimulatorProcess, most: float) -> None:
        figures = self._figures
        seconds, killed = self._run(engine, server, "killed", kill_at=self._items // 2)
        counted = server.counted(over=True)
        figures.add("with a worker killed halfway, requests per second", self._items / seconds)
        figures.add("requests at once, most", counted.peak_in_flight, most=most)
        figures.add("requests under way on the killed worker", counted.disconnects)
        # Its half of the limit, whether the simulator had begun with all of it or not, and answers
        # that had come, but not to the disk.
        sent = max(counted.disconnects, self._limit / WORKERS)
        unwritten = _WRITTEN_WITHIN * self._items / seconds / WORKERS
        figures.add("requests paid again", counted.again, most=sent + unwritten)
        figures.add("workers killed", killed, least=1, most=1)
        self._lines("killed")

    def _run(
        self, engine: Engine, server: SimulatorProcess, name: str, *, kill_at: int | None = None
    ) -> tuple[float, int]:
        """Run all on the cluster; return the seconds, and how many workers were killed."""
        settings = ShardSettings(
            api_key="sk-simulated",
            base_url=server.address,
            dialect="deepseek",
            model="deepseek-flash",
            trust_env=False,
            durability=self._durability,
        )
        reports: list[ShardReport] = []
        done = threading.Event()
        killed: list[int] = []

        def kill() -> None:
            while not done.wait(0.05):
                counted = server.counted()
                # Not between two shards: both processes are to have something to lose.
                is_busy = counted.in_flight >= _BUSY * self._limit
                if counted.requests >= (kill_at or 0) and is_busy and reports:
                    engine.kill_worker(reports)
                    killed.append(1)
                    return

        killer = threading.Thread(target=kill)
        begun = time.perf_counter()
        parts = split_requests(self._source, size=self._items // _SHARDS)
        if kill_at is not None:
            killer.start()
        try:
            for report in engine.run(parts, self._folder / name, settings, self._limit):
                assert report.ok, str(report)
                reports.append(report)
        finally:
            seconds = time.perf_counter() - begun
            done.set()
            if kill_at is not None:
                killer.join()
        return seconds, len(killed)

    def _lines(self, name: str) -> None:
        lines: Counter[str] = Counter()
        for path in (self._folder / name).glob("*.jsonl"):
            lines.update(result.custom_id for result in read_results(path))
        once = lines == {f"item-{number}": 1 for number in range(self._items)}
        self._figures.add("items with one answer", once, least=1, most=1, binding=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("engines", nargs="*", metavar="|".join(ENGINES))
    parser.add_argument("--reduced", action="store_true", help="few requests, no pace to reach")
    parser.add_argument("--limit", type=int, default=256, help="requests at once")
    parser.add_argument("--durability", choices=("group", "each"), default="group")
    parser.add_argument("--attempts", type=int, default=3, help="for each; machines are shared")
    options = parser.parse_args()
    for name in options.engines:
        if name not in ENGINES:
            parser.error(f"there is no {name!r}")
    raise_descriptor_limit()
    missed: list[str] = []
    for name in options.engines or ENGINES:
        if importlib.util.find_spec({"dask": "distributed"}.get(name, name)) is None:
            print(f"{name}: not installed, left out")
        elif not any(_reached(name, options) for _ in range(options.attempts)):
            missed.append(name)
    if missed:
        sys.exit(f"goals missed: {', '.join(missed)}")


def _reached(name: str, options: argparse.Namespace) -> bool:
    """Ask one engine; tell whether it has reached the goals."""
    goal = GOALS[name]
    items = goal.reduced if options.reduced else goal.items
    with (
        tempfile.TemporaryDirectory() as folder,
        SimulatorProcess(_THINKS) as server,
        ENGINES[name]() as engine,
    ):
        question = Question(name, Path(folder), items, options.limit, options.durability)
        figures = question.ask(engine, server, show=options.reduced)
    reached = figures.show()
    if figures.failed:
        sys.exit("FAILED: " + "; ".join(figures.failed))
    return reached


if __name__ == "__main__":
    main()
