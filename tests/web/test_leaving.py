"""The upstream is closed when the browser leaves: each situation, on each server."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import aiohttp
import pytest

from deepseek_async.simulator import Fault, Reply, Simulator
from tests.web.apps import SERVERS
from tests.web.browser import connected, data_of, text_of, until

ROOT = Path(__file__).parents[2]

# How long the upstream may live on. Far above what it takes, for busy machines.
_GONE = 2.0


@dataclass(frozen=True)
class Served:
    """A server in a process of its own."""

    name: str
    port: int


@pytest.fixture(scope="module", params=SERVERS)
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """Each server in turn; at the end it must have said nothing on stderr."""
    name: str = request.param
    if find_spec(name) is None:
        pytest.skip(f"{name} is not installed")
    errors = tmp_path_factory.mktemp("web") / "stderr"
    with (
        errors.open("w") as stderr,
        subprocess.Popen(
            [sys.executable, "-m", "tests.web.apps", name],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            # Granian's worker is a process of its own.
            start_new_session=True,
        ) as process,
    ):
        assert process.stdout is not None
        try:
            yield Served(name, int(process.stdout.readline()))
        finally:
            # Not terminated: how they end is not asked here, and some say goodbye.
            os.killpg(process.pid, signal.SIGKILL)
    assert errors.read_text() == ""


async def test_flowing(served: Served, reset: bool) -> None:
    async with Simulator(tokens_per_second=20) as sim:
        await leave(sim, served, "/stream", b'["reasoning"', reset=reset)


async def test_silent(served: Served, reset: bool) -> None:
    async with Simulator() as sim:
        sim.script(Reply("Rain is water.", reasoning="", fault=Fault("stall", after_events=3)))
        await leave(sim, served, "/stream", b'["text"', reset=reset)


async def test_before_the_first_byte(served: Served, reset: bool) -> None:
    async with Simulator() as sim:
        sim.faults(Fault("delay", seconds=60))
        await leave(sim, served, "/stream", b": ok", reset=reset)


async def test_plain_await(served: Served, reset: bool) -> None:
    async with Simulator() as sim:
        sim.faults(Fault("delay", seconds=60))
        await leave(sim, served, "/await", b"", reset=reset)


async def test_web_socket(served: Served, reset: bool) -> None:
    async with Simulator(tokens_per_second=20) as sim:
        await leave(sim, served, "/ws", b'["reasoning"', reset=reset)


async def test_silent_web_socket(served: Served, reset: bool) -> None:
    async with Simulator() as sim:
        sim.faults(Fault("delay", seconds=60))
        await leave(sim, served, "/ws", b'{"hb":1}', reset=reset)


async def test_whole_answers_come_through(served: Served) -> None:
    async with Simulator() as sim, aiohttp.ClientSession() as session:
        await connected(served.port)
        address = f"http://127.0.0.1:{served.port}"
        query = f"upstream={sim.base_url}"
        sim.script(*[Reply("Rain is water.", reasoning="")] * 3)
        async with session.get(f"{address}/stream?{query}") as response:
            objects = [json.loads(data) for data in data_of(await response.read())]
        assert text_of(objects) == "Rain is water."
        async with session.get(f"{address}/await?{query}") as response:
            assert response.status == 204
        async with session.ws_connect(f"{address}/ws?{query}") as socket:
            objects = [json.loads(message.data) async for message in socket]
            assert socket.close_code == 1000
        assert text_of([each for each in objects if "hb" not in each]) == "Rain is water."


@pytest.fixture(params=[False, True], ids=["FIN", "RST"])
def reset(request: pytest.FixtureRequest) -> bool:
    value: bool = request.param
    return value


async def leave(sim: Simulator, served: Served, path: str, after: bytes, *, reset: bool) -> None:
    """Ask, leave when something has come, and wait until the upstream is closed."""
    async with await connected(served.port) as browser:
        url = f"{path}?upstream={sim.base_url}"
        await (browser.upgrade(url) if path == "/ws" else browser.ask(url))
        if after:
            await browser.until(after)
        await until(lambda: len(sim.requests) == 1 and sim.metrics.open_connections == 1)
        browser.leave(reset=reset)
        async with asyncio.timeout(_GONE):
            await until(lambda: sim.metrics.open_connections == 0)
