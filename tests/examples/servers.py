"""Example apps as processes of their own, and the simulator that they ask."""

import asyncio
import importlib.util
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from deepseek_async import SSEDecoder
from deepseek_async.simulator.thread import SimulatorThread

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "web_apps"
APPS = ("fastapi", "starlette", "litestar", "aiohttp")

# What the apps may log: failures that tests bring about.
LOGGED = ("InsufficientBalanceError", "ServerOverloadedError")

# No test passes sooner for it; what hangs fails after so many seconds.
GUARD = 20.0


@dataclass
class App:
    """A running app."""

    name: str
    url: str
    process: "subprocess.Popen[str]"
    sim: SimulatorThread


class Apps:
    """The example apps, each started when a test asks for it, and used by all that do."""

    def __init__(self) -> None:
        self._started: dict[str, tuple[App, ExitStack]] = {}

    def app(self, name: str) -> App:
        """Return an app in which nothing goes on, with a simulator that knows nothing yet."""
        if name not in self._started:
            stack = ExitStack()
            self._started[name] = stack.enter_context(_running(name)), stack
        app, _ = self._started[name]
        app.sim.reset()
        assert app.sim.metrics.in_flight == 0
        return app

    def end(self, name: str) -> None:
        """End an app, which must have had nothing to complain about."""
        _, stack = self._started.pop(name)
        stack.close()

    def close(self) -> None:
        """End them all."""
        with ExitStack() as stack:
            for name in self._started:
                stack.callback(self.end, name)


@contextmanager
def _running(name: str) -> Iterator[App]:
    """Start an example, and end it.

    It writes nothing to its standard error: no traceback, no warning, nothing unclosed.
    """
    needed = () if name == "aiohttp" else (name, "uvicorn", "websockets")
    for package in needed:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"the app needs {package}, which is not installed")
    command = ["aiohttp_app.py"] if name == "aiohttp" else _uvicorn(f"{name}_app")
    with SimulatorThread() as sim, _serving(name, command, sim) as app:
        yield app


def _uvicorn(module: str) -> list[str]:
    """Return the arguments for Python that serve an app; its port is to be put in place of PORT."""
    options = ["--port", "PORT", "--log-level", "warning", "--timeout-graceful-shutdown", "3"]
    return ["-m", "uvicorn", f"{module}:app", *options]


@contextmanager
def _serving(name: str, command: list[str], sim: SimulatorThread) -> Iterator[App]:
    app = _start(name, command, sim)
    try:
        yield app
    finally:
        app.process.terminate()
        try:
            _, errors = app.process.communicate(timeout=GUARD)
        except subprocess.TimeoutExpired:
            app.process.kill()
            app.process.communicate()
            raise
    lines = errors.splitlines()
    unexpected = [line for line in lines if not any(expected in line for expected in LOGGED)]
    assert not unexpected, errors


def _start(name: str, command: list[str], sim: SimulatorThread) -> App:
    # Another process may take the port between the two moments.
    for _ in range(3):
        port = _free_port()
        arguments = [str(port) if part == "PORT" else part for part in command]
        process = subprocess.Popen(
            [sys.executable, "-W", "always::ResourceWarning", *arguments],
            cwd=FOLDER,
            env={**os.environ, **environment(sim), "PORT": str(port)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        if _listens(port, process):
            return App(name, f"http://127.0.0.1:{port}", process, sim)
        _, errors = process.communicate()
    raise AssertionError(f"{name} did not start: {errors}")


def environment(sim: SimulatorThread) -> dict[str, str]:
    """Return what is in the environment of a program that asks the simulator."""
    return {
        "DEEPSEEK_API_KEY": "sk-example",
        "DEEPSEEK_BASE_URL": sim.base_url,
        "DEEPSEEK_DIALECT": "deepseek",
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _listens(port: int, process: "subprocess.Popen[str]") -> bool:
    deadline = time.monotonic() + GUARD
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.02)
        else:
            return True
    process.kill()
    return False


async def until(condition: Callable[[], object]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(GUARD):
        while not condition():
            await asyncio.sleep(0.01)


def browser() -> aiohttp.ClientSession:
    """Return something with cookies, as a browser has them, and no patience without end."""
    return aiohttp.ClientSession(
        cookie_jar=aiohttp.CookieJar(unsafe=True), timeout=aiohttp.ClientTimeout(GUARD)
    )


async def events_of(response: aiohttp.ClientResponse) -> AsyncIterator[tuple[str, Any]]:
    """Yield the id and the JSON of each event."""
    assert response.status == 200, await response.text()
    assert response.content_type == "text/event-stream"
    decoder = SSEDecoder()
    async for block in response.content.iter_any():
        for event in decoder.feed(block):
            data = event.data if event.data == "[DONE]" else msgspec.json.decode(event.data)
            yield decoder.last_event_id, data


def text_in(data: dict[str, Any]) -> str:
    """Return the new text of a batch in the native format."""
    return "".join(value for kind, value, *_ in data["d"] if kind == "text")
