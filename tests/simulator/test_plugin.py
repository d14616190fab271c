"""The pytest plugin, in test runs of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLUGIN = "deepseek_async.simulator.pytest_plugin"

SYNC = """
import asyncio
import threading

import pytest


def ask(client, **options):
    messages = [{"role": "user", "content": "Hi"}]
    return client.chat.completions.create(
        model="deepseek-flash", messages=messages, **options
    )


def test_a_simulator_in_a_thread(deepseek_simulator, deepseek_client):
    from deepseek_async.simulator import Fault, Reply

    deepseek_simulator.script(Reply("Hello!"))
    deepseek_simulator.faults(Fault("rate_limit"))
    found = asyncio.run(ask(deepseek_client))
    assert found.choices[0].message.content == "Hello!"
    assert found.attempts == len(deepseek_simulator.requests) == 2
    assert deepseek_simulator.metrics.statuses == {429: 1, 200: 1}


def test_nothing_is_left_of_the_test_before(deepseek_simulator):
    assert deepseek_simulator.requests == []
    assert deepseek_simulator.metrics.requests == 0


def test_several_loops_and_an_open_stream(deepseek_simulator, deepseek_client):
    async def first_chunk():
        stream = await ask(deepseek_client, stream=True)
        return await anext(stream)

    for _ in range(3):
        asyncio.run(first_chunk())


def test_the_clock_is_the_tests(deepseek_simulator, deepseek_client):
    from deepseek_async.simulator import Reply

    deepseek_simulator.script(Reply("Hello!", queue_seconds=3600))

    async def main():
        stream = await ask(deepseek_client, stream=True)
        deepseek_simulator.clock.advance(3600)
        async for _ in stream:
            pass
        return stream.completion()

    assert asyncio.run(main()).choices[0].message.content == "Hello!"


@pytest.mark.deepseek_simulator(max_concurrency=0)
def test_options_come_from_the_marker(deepseek_client):
    from deepseek_async import ConcurrencyLimitError

    with pytest.raises(ConcurrencyLimitError):
        asyncio.run(ask(deepseek_client.with_options(max_retries=0)))


def test_the_environment_is_the_simulators(deepseek_environment):
    from deepseek_async import AsyncDeepSeek

    async def main():
        async with AsyncDeepSeek() as client:
            return await ask(client)

    asyncio.run(main())
    assert len(deepseek_environment.requests) == 1


def test_a_server_can_go_away(deepseek_simulator, deepseek_client):
    from deepseek_async import APIConnectionError

    asyncio.run(deepseek_client.models.list())
    deepseek_simulator.stop()
    with pytest.raises(APIConnectionError):
        asyncio.run(ask(deepseek_client.with_options(max_retries=0)))


def test_no_thread_is_left():
    assert [thread.name for thread in threading.enumerate()] == ["MainThread"]
"""

ASYNC = """
import pytest

{mark}


async def test_one(deepseek_simulator, deepseek_client):
    from deepseek_async.simulator import Reply

    deepseek_simulator.script(Reply("Hello!"))
    found = await deepseek_client.chat.completions.create(
        model="deepseek-flash", messages=[{{"role": "user", "content": "Hi"}}]
    )
    assert found.choices[0].message.content == "Hello!"


async def test_another_with_an_open_stream(deepseek_client):
    stream = await deepseek_client.chat.completions.create(
        model="deepseek-flash", messages=[{{"role": "user", "content": "Hi"}}], stream=True
    )
    await anext(stream)
"""


def run(folder: Path, test: str, *arguments: str) -> str:
    (folder / "test_it.py").write_text(test)
    done = subprocess.run(
        [
            # The entry point, where it is installed, is the same plugin.
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:deepseek_async"),
            *("-p", PLUGIN, "-W", "error"),
            *("-p", "no:cacheprovider", "--rootdir", str(folder), *arguments),
        ],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONASYNCIODEBUG": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_synchronous_tests_use_the_fixtures(tmp_path: Path) -> None:
    assert "8 passed" in run(tmp_path, SYNC, "-p", "no:asyncio")


@pytest.mark.parametrize(
    ("mark", "arguments"),
    [
        ("", ["-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function"]),
        (
            "pytestmark = pytest.mark.anyio\n@pytest.fixture\ndef anyio_backend():\n"
            "    return 'asyncio'",
            ["-p", "no:asyncio"],
        ),
    ],
    ids=["pytest-asyncio", "anyio"],
)
def test_coroutines_use_the_fixtures(tmp_path: Path, mark: str, arguments: list[str]) -> None:
    assert "2 passed" in run(tmp_path, ASYNC.format(mark=mark), *arguments)


def test_the_marker_is_listed(tmp_path: Path) -> None:
    assert "deepseek_simulator(**options)" in run(tmp_path, SYNC, "-p", "no:asyncio", "--markers")


def test_loading_the_plugin_imports_next_to_nothing() -> None:
    code = (
        "import sys, pytest\n"
        "before = set(sys.modules)\n"
        f"import {PLUGIN}\n"
        "new = {n for n in set(sys.modules) - before if n.split('.')[0] in "
        "('deepseek_async', 'aiohttp', 'msgspec', 'anyio', 'asyncio')}\n"
        "print(sorted(new))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    # Its parents, which import their names when they are first used, and itself.
    assert eval(done.stdout) == [
        "deepseek_async",
        "deepseek_async._version",
        "deepseek_async.lazy",
        "deepseek_async.simulator",
        PLUGIN,
    ]
