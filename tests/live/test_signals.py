"""Acceptance 6: a server that is told to end gives every reader a proper end, and is gone."""

import asyncio
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from deepseek_async import ContentDeltaEvent
from deepseek_async.live import DrainEvent, Live, Run
from deepseek_async.simulator import Reply, Simulator

from .sources import GUARD, all_of, endless, silent, until

STREAMS = 100
ROOT = Path(__file__).parents[2]

# Each server, how it is told to serve, and the status with which it ends on SIGTERM.
SERVERS: dict[str, tuple[list[str], int]] = {
    "uvicorn": (["uvicorn", "tests.live.apps:asgi", "--loop=asyncio", "--port={port}"], -15),
    "uvicorn, uvloop": (["uvicorn", "tests.live.apps:asgi", "--loop=uvloop", "--port={port}"], -15),
    "hypercorn": (
        ["hypercorn", "tests.live.apps:asgi", "--workers=0", "--bind=127.0.0.1:{port}"],
        0,
    ),
    "hypercorn, uvloop": (
        [
            *("hypercorn", "tests.live.apps:asgi", "--workers=0", "--bind=127.0.0.1:{port}"),
            "--worker-class=uvloop",
        ],
        0,
    ),
    "granian": (
        ["granian", "tests.live.apps:asgi", "--interface=asgi", "--loop=asyncio", "--port={port}"],
        0,
    ),
    "granian, uvloop": (
        ["granian", "tests.live.apps:asgi", "--interface=asgi", "--loop=uvloop", "--port={port}"],
        0,
    ),
    "aiohttp": (["tests.live.apps", "{port}"], 0),
    "aiohttp, uvloop": (["tests.live.apps", "{port}", "uvloop"], 0),
}
NOISE = ("traceback", "warning", "unclosed", "exception", "error", "never")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def serving(
    arguments: list[str], base_url: str, **environment: str
) -> AsyncGenerator[tuple[asyncio.subprocess.Process, int]]:
    """Serve the application with a server, in a process of its own."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "default", "-m"),
        *(argument.format(port=port) for argument in arguments),
        cwd=ROOT,
        env={
            **os.environ,
            "DEEPSEEK_API_KEY": "sk-test",
            "DEEPSEEK_BASE_URL": base_url,
            "PYTHONASYNCIODEBUG": "",
            **environment,
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process, port
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def connected(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to a server that may still be beginning."""
    async with asyncio.timeout(GUARD):
        while True:
            try:
                return await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.05)


async def stream(port: int, path: str, begun: asyncio.Semaphore) -> bytes:
    """Read a response to the end of its connection; count down when text has come."""
    reader, writer = await connected(port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    data = b""
    told = False
    while more := await reader.read(65536):
        data += more
        if not told and b'"d":[[' in data:
            told = True
            begun.release()
        if data.endswith(b"\r\n0\r\n\r\n"):
            break
    writer.close()
    return data


CASES = [
    *((server, signal.SIGTERM, "") for server in SERVERS),
    ("uvicorn", signal.SIGTERM, "with a store"),
    # Ctrl-C.
    ("uvicorn", signal.SIGINT, ""),
    ("aiohttp", signal.SIGINT, ""),
]


@pytest.mark.parametrize(
    ("server", "number", "store"),
    CASES,
    ids=[f"{server} {number.name} {store}".strip() for server, number, store in CASES],
)
async def test_every_reader_gets_a_proper_end_and_the_process_is_gone(
    server: str, number: signal.Signals, store: str
) -> None:
    arguments, status = SERVERS[server]
    for package in (arguments[0].partition(".")[0], *(["uvloop"] if "uvloop" in server else [])):
        if find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    async with Simulator() as sim:
        sim.script(Reply("word " * 500, tokens_per_second=5, times=STREAMS))
        async with serving(arguments, sim.base_url, WITH_STORE=store) as (process, port):
            begun = asyncio.Semaphore(0)
            streams = [
                asyncio.create_task(stream(port, ["/bare", "/run"][i % 2], begun))
                for i in range(STREAMS)
            ]
            async with asyncio.timeout(2 * GUARD):
                for _ in streams:
                    await begun.acquire()
            told_at = time.perf_counter()
            process.send_signal(number)
            async with asyncio.timeout(2 * GUARD):
                responses = await asyncio.gather(*streams)
                output, errors = await process.communicate()
            # Shown with -s, and of failures.
            print(f"{server}: gone after {time.perf_counter() - told_at:.2f} s")  # noqa: T201 - a figure
    assert sum(b'"drain":{"retry":1' in response for response in responses) == STREAMS
    assert sum(response.endswith(b"\r\n0\r\n\r\n") for response in responses) == STREAMS
    assert process.returncode == (status if number == signal.SIGTERM else 0)
    said = (output + errors).decode()
    assert [line for line in said.splitlines() if any(word in line.lower() for word in NOISE)] == []


class Handled:
    """A handler of signals that takes note of them."""

    def __init__(self) -> None:
        self.signals: list[int] = []

    def __call__(self, number: int, frame: object) -> None:
        self.signals.append(number)


@pytest.fixture
def handled() -> Any:
    handler = Handled()
    before = signal.signal(signal.SIGUSR1, handler)
    yield handler
    signal.signal(signal.SIGUSR1, before)


SIGNALS = (signal.SIGUSR1,)


async def test_a_signal_drains_all_that_runs_and_goes_on_to_what_was_there(
    handled: Handled,
) -> None:
    async with Live() as live:
        live.drain_on_signal(0.2, SIGNALS)
        run = await live.start(endless())
        # One that no Live knows of, as those behind a response.
        private = Run("p", endless(), on_disconnect="continue")
        readers = [asyncio.create_task(all_of(each)) for each in (run, private)]
        await until(lambda: run.readers and private.readers)
        signal.raise_signal(signal.SIGUSR1)
        assert handled.signals == [signal.SIGUSR1]
        for reader in readers:
            (*_, last) = await reader
            assert last.events[-1] == DrainEvent(1.0)
        assert await run.wait() == await private.wait() == "stopped"
        # The second one is not ours.
        signal.raise_signal(signal.SIGUSR1)
        assert len(handled.signals) == 2
    assert signal.getsignal(signal.SIGUSR1) is handled


async def test_what_begins_after_the_signal_is_drained_too(handled: Handled) -> None:
    async with Live() as live:
        live.drain_on_signal(0.1, SIGNALS)
        run = await live.start(endless())
        signal.raise_signal(signal.SIGUSR1)
        assert await run.wait() == "stopped"
        # Behind the response to a request that came before the signal, and took a while.
        late = Run("late", endless(), on_disconnect="continue")
        (*_, last) = await all_of(late)
        assert last.events[-1] == DrainEvent(1.0)
        await late.stop()
    async with live:
        # Begun anew.
        run = await live.start(endless())
        async for batch in run.read():
            assert isinstance(batch.events[0], ContentDeltaEvent)
            break
        await run.stop()


async def test_handlers_of_the_loop_are_called_too() -> None:
    loop = asyncio.get_running_loop()
    called = asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR1, called.set)
    try:
        async with Live() as live:
            live.drain_on_signal(0.1, SIGNALS)
            run = await live.start(silent())
            signal.raise_signal(signal.SIGUSR1)
            async with asyncio.timeout(GUARD):
                await called.wait()
                assert await run.wait() == "stopped"
    finally:
        loop.remove_signal_handler(signal.SIGUSR1)


async def test_what_came_after_us_is_left_alone(handled: Handled) -> None:
    later = Handled()
    async with Live() as live:
        live.drain_on_signal(0.1, SIGNALS)
        signal.signal(signal.SIGUSR1, later)
    assert signal.getsignal(signal.SIGUSR1) is later


async def test_asked_twice_it_is_the_same_as_once(handled: Handled) -> None:
    async with Live() as live:
        live.drain_on_signal(0.1, SIGNALS)
        live.drain_on_signal(0.1, SIGNALS)
        signal.raise_signal(signal.SIGUSR1)
        assert len(handled.signals) == 1
    assert signal.getsignal(signal.SIGUSR1) is handled


async def test_two_lives_drain_together(handled: Handled) -> None:
    async with Live() as one, Live() as two:
        one.drain_on_signal(0.1, SIGNALS)
        two.drain_on_signal(0.1, SIGNALS)
        runs = [await one.start(silent()), await two.start(silent())]
        signal.raise_signal(signal.SIGUSR1)
        assert [await run.wait() for run in runs] == ["stopped", "stopped"]
        assert len(handled.signals) == 1
    assert signal.getsignal(signal.SIGUSR1) is handled


async def test_without_a_handler_it_says_so(caplog: pytest.LogCaptureFixture) -> None:
    assert not Live().drain_on_signal(1.0, (signal.SIGUSR1, signal.SIGUSR2))
    assert "nothing handles SIGUSR1 or SIGUSR2" in caplog.text
    assert "lifespan" in caplog.text


def test_a_signal_after_the_loop_has_ended_reaches_who_was_there(handled: Handled) -> None:
    async def main() -> Live:
        live = Live()
        live.drain_on_signal(0.1, SIGNALS)
        return live

    # Held, and never closed.
    live = asyncio.run(main())
    signal.raise_signal(signal.SIGUSR1)
    assert handled.signals == [signal.SIGUSR1]
    assert len(live) == 0


def test_outside_the_main_thread_it_says_so(
    handled: Handled, caplog: pytest.LogCaptureFixture
) -> None:
    async def drain() -> None:
        # As in the test client of Starlette: the application runs all the same.
        async with Live() as live:
            assert not live.drain_on_signal(1.0, SIGNALS)

    thread = threading.Thread(target=lambda: asyncio.run(drain()))
    thread.start()
    thread.join()
    assert "main thread" in caplog.text
    assert signal.getsignal(signal.SIGUSR1) is handled


def test_without_a_loop_it_says_so(handled: Handled) -> None:
    with pytest.raises(RuntimeError, match="loop"):
        Live().drain_on_signal(1.0, SIGNALS)
