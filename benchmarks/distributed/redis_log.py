"""Runs of two web processes, read by browsers that come back to either of them."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp

from benchmarks.distributed.redis_server import RedisServer
from benchmarks.processes import Process
from deepseek_async.simulator import Reply, SimulatorThread

_BEGINS_WITHIN = 30.0
#: Only a hang takes so long, in seconds.
GUARD = 60.0
_WORDS = ["word ", "a", "中文", "😀", "é", "\n\n", "long " * 20]
_TEXTS = ("text", "reasoning")


class Web(Process):
    """A web process.

    Attributes:
        address: Its URL.
    """

    def __init__(self, redis: str, upstream: str) -> None:
        super().__init__(
            sys.executable, "benchmarks.distributed.redis_worker", "web", redis, upstream
        )
        self.address = ""

    def begin(self) -> None:
        """Wait until it serves."""
        port = self.line(_BEGINS_WITHIN).strip()
        if not port:
            raise RuntimeError("a web process did not begin")
        self.address = f"http://127.0.0.1:{port}"

    def kill(self) -> None:
        """End it as the system does that has no memory left."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()


class Reader:
    """A browser that shows one run.

    Args:
        http: Its connections.
        run: Id of the run.
    """

    def __init__(self, http: aiohttp.ClientSession, run: str) -> None:
        self._http = http
        self._run = run
        self.cursor: str | None = None
        self.position = 0
        self.text = ""
        self.is_whole = True
        self.cuts = 0
        self.end: dict[str, Any] | None = None
        self.ended_at: float | None = None

    def shows(self, text: str) -> bool:
        """Tell whether it shows all of a text, and nothing twice."""
        return self.is_whole and self.text == text

    async def read(self, web: Web, batches: int | None = None) -> None:
        """Read on where it was, from one of the processes; so many batches, then it is cut."""
        headers = {} if self.cursor is None else {"Last-Event-ID": self.cursor}
        url = f"{web.address}/runs/{self._run}/events"
        async with self._http.get(url, headers=headers) as response:
            if response.status != 200:
                # Its process is gone, or Redis is, for a moment.
                await asyncio.sleep(0.05)
                return
            cursor = None
            async for line in response.content:
                if line.startswith(b"id: "):
                    cursor = line[4:].strip().decode()
                elif line.startswith(b"data: "):
                    self._take(json.loads(line[6:]), cursor)
                    batches = None if batches is None else batches - 1
                    if batches == 0 or self.ended_at is not None:
                        break
            # Not kept: what is cut is the connection.
            response.close()

    async def roam(self, webs: list[Web], rng: random.Random) -> None:
        """Read to the end, through connections that break and come back to any process."""
        while self.ended_at is None:
            try:
                await self.read(rng.choice(webs), rng.randint(1, 3))
            except aiohttp.ClientError:
                await asyncio.sleep(0.05)
            self.cuts += self.ended_at is None

    async def stay(self, webs: list[Web]) -> None:
        """Read to the end from the first process that is there."""
        while self.ended_at is None:
            for web in webs:
                try:
                    await self.read(web)
                    break
                except aiohttp.ClientError:
                    continue

    def _take(self, batch: dict[str, Any], cursor: str | None) -> None:
        if batch.get("reset"):
            self.text, self.position = "", 0
        # A piece that is missing, or there twice, is seen here or in the text.
        self.is_whole = self.is_whole and batch["from"] == self.position
        self.position = batch["to"]
        self.text += "".join(piece[1] for piece in batch["d"] if piece[0] in _TEXTS)
        if cursor is not None:
            self.cursor = cursor
        if "done" in batch:
            self.end = batch["done"]
            self.ended_at = time.monotonic()


class Service:
    """Two web processes with one Redis, and their upstream.

    Args:
        redis: What they share.
        simulator: Their upstream.
        webs: The processes.
        http: The connections of the browsers.
    """

    def __init__(
        self,
        redis: RedisServer,
        simulator: SimulatorThread,
        webs: list[Web],
        http: aiohttp.ClientSession,
    ) -> None:
        self.redis = redis
        self.simulator = simulator
        self.webs = webs
        self.http = http
        self._runs = 0

    async def start(self, web: Web, text: str, seconds: float) -> str:
        """Start a run that takes so long; return its id."""
        self._runs += 1
        tokens = len(text) / 3
        self.simulator.script(Reply(text, reasoning="Hm.", tokens_per_second=tokens / seconds))
        run = f"run-{self._runs}"
        async with self.http.post(f"{web.address}/start/{run}") as response:
            response.raise_for_status()
        return run

    def reader(self, run: str) -> Reader:
        """Return a browser that shows a run."""
        return Reader(self.http, run)


@asynccontextmanager
async def service(directory: Path) -> AsyncIterator[Service]:
    """Begin, and end, all of it."""
    with (
        RedisServer(directory) as redis,
        SimulatorThread() as simulator,
        Web(redis.url, simulator.base_url) as one,
        Web(redis.url, simulator.base_url) as two,
    ):
        for web in (one, two):
            web.begin()
        # Browsers open their connections anew after each cut.
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        async with aiohttp.ClientSession(connector=connector) as http:
            yield Service(redis, simulator, [one, two], http)


class Cuts(NamedTuple):
    """What readers had at the end whose connections broke again and again."""

    readers: int
    cuts: int
    broken: int
    """Readers that lost something, or had it twice."""


async def cut(
    serving: Service, *, cuts: int, readers: int = 25, seconds: float = 4.0, away: float = 0.0
) -> Cuts:
    """Read runs through connections that break, and come back to either process.

    Args:
        serving: The processes.
        cuts: How many at least.
        readers: Of each run.
        seconds: How long each run takes.
        away: For how many seconds Redis is stopped in the middle of each.
    """
    rng = random.Random(1)
    count = Cuts(0, 0, 0)
    while count.cuts < cuts:
        text = "".join(rng.choices(_WORDS, k=600))
        run = await serving.start(rng.choice(serving.webs), text, seconds)
        each = [serving.reader(run) for _ in range(readers)]
        async with asyncio.timeout(GUARD), asyncio.TaskGroup() as group:
            for reader in each:
                group.create_task(reader.roam(serving.webs, rng))
            if away:
                await asyncio.sleep(seconds / 3)
                serving.redis.stop()
                await asyncio.sleep(away)
                await asyncio.to_thread(serving.redis.start)
        count = Cuts(
            count.readers + readers,
            count.cuts + sum(reader.cuts for reader in each),
            count.broken + sum(not reader.shows("Hm." + text) for reader in each),
        )
    return count


async def stopped(serving: Service) -> float:
    """Stop a run from the other process; return the seconds until its readers were told.

    Raises:
        RuntimeError: If they were told something else.
    """
    one, two = serving.webs
    run = await serving.start(one, "word " * 1000, 30.0)
    readers = [serving.reader(run), serving.reader(run)]
    reading = [
        asyncio.create_task(reader.stay([web]))
        for reader, web in zip(readers, serving.webs, strict=True)
    ]
    async with asyncio.timeout(GUARD):
        await _until(lambda: all(reader.text for reader in readers))
        begun = time.monotonic()
        async with serving.http.post(f"{two.address}/runs/{run}/stop") as response:
            response.raise_for_status()
        await _until(lambda: not serving.simulator.metrics.in_flight)
        await asyncio.gather(*reading)
    if any(reader.end != {"status": "stopped", "reason": "stopped"} for reader in readers):
        raise RuntimeError(f"readers were told {[reader.end for reader in readers]}")
    return max(
        time.monotonic() - begun,
        *(reader.ended_at - begun for reader in readers if reader.ended_at),
    )


async def writer_killed(serving: Service, *, readers: int = 10) -> float:
    """Kill the process that reads the upstream; return the seconds until all readers were told.

    Those who read from it come back to the other one.

    Raises:
        RuntimeError: If they were told something else.
    """
    one, two = serving.webs
    run = await serving.start(one, "word " * 1000, 30.0)
    each = [serving.reader(run) for _ in range(readers)]
    reading = [
        asyncio.create_task(reader.stay([one, two] if number % 2 else [two]))
        for number, reader in enumerate(each)
    ]
    async with asyncio.timeout(GUARD):
        await _until(lambda: all(reader.text for reader in each))
        begun = time.monotonic()
        one.kill()
        await asyncio.gather(*reading)
    if any(reader.end is None or reader.end["status"] != "failed" for reader in each):
        raise RuntimeError(f"readers were told {[reader.end for reader in each]}")
    return max(reader.ended_at - begun for reader in each if reader.ended_at)


async def _until(condition: Callable[[], bool]) -> None:
    """Wait for what happens in other processes."""
    while not condition():  # noqa: ASYNC110 - which have no event
        await asyncio.sleep(0.002)
