"""Is anything lost, written twice, or paid for again, when a batch is killed?

Processes that run a batch, one after another on the same files, are killed with SIGKILL at random;
after half of the kills the end of a file is cut off, zeroed, or overwritten, as far as it was not
acknowledged. A job that came to its end is followed by the next one. The server counts what it was
asked; a process tells which items it was handed.

Run: python -m benchmarks.batch.crash [--runs N] [--seed N]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import select
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import msgspec

from benchmarks.batch.fast_server import FastServer, client_of, number_of, requests
from benchmarks.batch.figures import Figures
from benchmarks.batch.server import Manner

RUNS = 200

#: Items of a job.
ITEMS = 5000

# Requests at once.
_AT_ONCE = 100

#: Items that may be sent again after a kill: those under way, and the journal's last group.
MOST_AGAIN = _AT_ONCE + 1000

# A process is killed so many seconds after its first answer at most; a fifth of them so long after
# their start, while they begin or repair the files.
_LONGEST_LIFE = 1.5
_SHORTEST_LIFE = (0.1, 1.0)

_ROOT = Path(__file__).parents[2]


async def work(out: Path, address: str, first: int) -> None:
    """Run the batch; tell each item that was handed out."""
    numbers = range(first, first + ITEMS)
    async with client_of(address) as client:
        job = client.batch(requests(numbers), out=out, max_concurrency=_AT_ONCE)
        async with job:
            async for item in job:
                assert item.completion is not None, item.error
                _tell(f"{number_of(item.custom_id)}\n")
        assert job.report().ok
    _tell("end\n")


def _tell(text: str) -> None:
    try:
        os.write(1, text.encode())
    except BrokenPipeError:
        # Who was to kill this process is gone.
        os._exit(1)


class Life(NamedTuple):
    """What a process did until it was killed."""

    told: list[int]
    """Items that it was handed."""

    is_finished: bool


def live(out: Path, address: str, first: int, rng: random.Random | None) -> Life:
    """Run a process, and kill it at random; without a generator, let it finish."""
    command = [sys.executable, "-m", "benchmarks.batch.crash", "--work", str(out)]
    process = subprocess.Popen(
        [*command, "--address", address, "--first", str(first)],
        stdout=subprocess.PIPE,
        cwd=_ROOT,
    )
    with process:
        assert process.stdout is not None
        if rng is not None:
            if rng.random() < 0.8:
                assert select.select([process.stdout], [], [], 60)[0], "the process does nothing"
                time.sleep(rng.uniform(0, _LONGEST_LIFE))
            else:
                time.sleep(rng.uniform(*_SHORTEST_LIFE))
            process.kill()
        told = process.stdout.read().decode()
    # A line that was cut off was not told.
    lines = told.split("\n")[:-1]
    numbers = [int(line) for line in lines if line != "end"]
    is_finished = "end" in lines
    assert rng is not None or is_finished, "the process failed"
    return Life(numbers, is_finished)


def lines_of(path: Path) -> list[tuple[int, int]]:
    """Return where the whole lines of a file end, and the numbers of their items."""
    found: list[tuple[int, int]] = []
    position = 0
    for line in path.read_bytes().splitlines(keepends=True) if path.exists() else ():
        position += len(line)
        try:
            if line.endswith(b"\n"):
                found.append((position, number_of(msgspec.json.decode(line)["custom_id"])))
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
    return found


def damage(path: Path, acknowledged: set[int], rng: random.Random) -> None:
    """Spoil the end of a file, as far as it was not acknowledged."""
    if not path.exists():
        return
    safe = max((end for end, number in lines_of(path) if number in acknowledged), default=0)
    content = path.read_bytes()
    place = rng.randint(safe, len(content))
    rest = {
        "cut": b"",
        "zeroed": b"\0" * (len(content) - place),
        "garbage": rng.randbytes(rng.randint(0, 10_000)),
    }
    path.write_bytes(content[:place] + rest[rng.choice(list(rest))])


class Watch:
    """What is seen of all runs."""

    def __init__(self, folder: Path, server: FastServer, rng: random.Random) -> None:
        self._folder = folder
        self._server = server
        self._rng = rng
        self._job = 0
        self._acknowledged: set[int] = set()
        self.lost = 0
        self.twice = 0
        self.acknowledged = 0
        self.repeated = 0
        self.unfinished = 0
        """Kills at which something was under way or not written."""

        self.most_again = 0
        """Items that had been sent at a kill and were not in the file afterwards."""

    @property
    def _out(self) -> Path:
        return self._folder / f"job-{self._job}.jsonl"

    @property
    def _first(self) -> int:
        return self._job * ITEMS

    def run(self) -> None:
        """Run a process and kill it; look at what it left."""
        rng, server = self._rng, self._server
        life = live(self._out, server.address, self._first, rng)
        # Its requests have ended when the server knows that it is gone.
        while server.state().in_flight:
            time.sleep(0.01)
        self._take(life)
        if rng.random() < 0.5:
            damage(self._out, self._acknowledged, rng)
        kept = {number for _, number in lines_of(self._out)}
        asked = server.asked()[self._first : self._first + ITEMS]
        again = sum(
            bool(count) and number not in kept for number, count in enumerate(asked, self._first)
        )
        self.most_again = max(self.most_again, again)
        self.unfinished += bool(again)
        if life.is_finished:
            self._next_job()

    def _take(self, life: Life) -> None:
        lines = Counter(number for _, number in lines_of(self._out))
        # An item told again had been lost.
        self.lost += len(self._acknowledged & set(life.told))
        self.twice += len(life.told) - len(set(life.told))
        self._acknowledged.update(life.told)
        self.lost += len(self._acknowledged - lines.keys())
        self.twice += sum(count - 1 for count in lines.values())

    def finish(self) -> None:
        """Let the last job come to its end."""
        life = live(self._out, self._server.address, self._first, None)
        self._take(life)
        self._next_job()

    def _next_job(self) -> None:
        numbers = {number for _, number in lines_of(self._out)}
        wanted = set(range(self._first, self._first + ITEMS))
        self.lost += len(wanted - numbers)
        asked = self._server.asked()[self._first : self._first + ITEMS]
        self.repeated += sum(asked) - ITEMS
        self.acknowledged += len(self._acknowledged)
        self._acknowledged.clear()
        self._job += 1


def ask(runs: int, seed: int, folder: Path) -> Figures:
    """Take the figures."""
    figures = Figures(f"{runs} processes killed, seed {seed}")
    rng = random.Random(seed)
    # Each run is of at most one job, the last of one more.
    manner = Manner(items=(runs + 1) * ITEMS, seconds=0.02, spread=0.8)
    with FastServer(manner) as server:
        watch = Watch(folder, server, rng)
        begun = time.perf_counter()
        for _ in range(runs):
            watch.run()
        watch.finish()
        seconds = time.perf_counter() - begun
    figures.add("items acknowledged", watch.acknowledged)
    figures.add("acknowledged and lost, or never answered", watch.lost, most=0)
    figures.add("in the file twice, or acknowledged twice", watch.twice, most=0)
    figures.add("kills with something under way", watch.unfinished)
    figures.add("paid again after a kill, most", watch.most_again, most=MOST_AGAIN)
    figures.add("paid again in all, per kill", watch.repeated / max(1, runs))
    figures.add("seconds", seconds)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    for name in ("--work", "--address"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    parser.add_argument("--first", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work is not None:
        asyncio.run(work(Path(options.work), options.address, options.first))
        return
    with tempfile.TemporaryDirectory() as folder:
        ask(options.runs, options.seed, Path(folder)).finish()


if __name__ == "__main__":
    main()
