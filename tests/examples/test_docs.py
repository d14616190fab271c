"""The programs of the documentation run, and the commands beside them do what they are for."""

import asyncio
import importlib
import importlib.util
import json
import logging
import re
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from deepseek_async import read_results
from deepseek_async.simulator import Reply
from deepseek_async.simulator.thread import SimulatorThread
from tests.examples.programs import (
    CLUSTERS,
    PROGRAMS,
    RECIPES,
    SCRIPTS,
    TESTS,
    WEB_APPS,
    Program,
)
from tests.examples.servers import GUARD, browser, environment, until

ANSWER = "So it is. " * 30


@pytest.fixture(scope="session")
def shared_sim() -> Iterator[SimulatorThread]:
    with SimulatorThread() as sim:
        yield sim


@pytest.fixture
def sim(
    shared_sim: SimulatorThread, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> SimulatorThread:
    shared_sim.reset()
    for name, value in environment(shared_sim).items():
        monkeypatch.setenv(name, value)
    # Some write files.
    monkeypatch.chdir(tmp_path)
    return shared_sim


@pytest.fixture
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Let nothing be logged that somebody would have to look at."""
    yield
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def run(program: Program, name: str) -> dict[str, Any]:
    """Run a program, and return what it defines."""
    namespace: dict[str, Any] = {"__name__": name}
    exec(compile(program.text, str(program), "exec"), namespace)
    return namespace


@pytest.mark.usefixtures("sim", "quiet")
@pytest.mark.parametrize("program", SCRIPTS, ids=str)
def test_a_program_runs(program: Program, capsys: pytest.CaptureFixture[str]) -> None:
    run(program, "__main__")
    told = capsys.readouterr()
    assert told.out.strip()
    assert told.err == ""


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("program", WEB_APPS, ids=str)
async def test_an_app_answers_its_commands(program: Program, sim: SimulatorThread) -> None:
    for package in re.findall(r"^from (fastapi|starlette)", program.text, re.MULTILINE):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"the program needs {package}, which is not installed")
    sim.script(Reply(ANSWER, reasoning="Hm.", times="forever"))
    async with _serving(run(program, "program")["app"]) as url, asyncio.timeout(GUARD):
        await _perform(program, url)


@asynccontextmanager
async def _serving(app: Any) -> AsyncGenerator[str]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        if isinstance(app, web.Application):
            runner = web.AppRunner(app)
            await runner.setup()
            await web.SockSite(runner, listening).start()
            yield url
            await runner.cleanup()
        else:
            pytest.importorskip("uvicorn", reason="uvicorn is not installed")
            uvicorn = importlib.import_module("uvicorn")
            server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
            running = asyncio.create_task(server.serve(sockets=[listening]))
            await until(lambda: server.started or running.done())
            yield url
            server.should_exit = True
            await running


async def _perform(program: Program, url: str) -> None:
    """Do what the commands of a program do."""
    commands = re.findall(r"^# curl (.*)'http://127.0.0.1:8000(/.*)'$", program.text, re.MULTILINE)
    run_id = "none"
    async with browser() as session:
        for options, path in commands:
            method = "POST" if "-X POST" in options else "GET"
            async with session.request(method, url + path.replace("RUN", run_id)) as response:
                assert response.ok, await response.text()
                if path.startswith("/chat?"):
                    run_id = (await response.json())["run"]
                elif method == "GET":
                    assert "So it is." in await response.text()
                    is_stream = response.content_type == "text/event-stream"
                    assert is_stream == ("-N" in options)


@pytest.mark.usefixtures("sim")
@pytest.mark.parametrize("program", CLUSTERS, ids=str)
def test_a_cluster_answers(program: Program, tmp_path: Path) -> None:
    distributed: Any = pytest.importorskip("distributed", reason="distributed is not installed")
    lines = [
        json.dumps({"custom_id": name, "body": {"messages": [{"role": "user", "content": name}]}})
        for name in "abc"
    ]
    (tmp_path / "requests.jsonl").write_text("\n".join(lines))
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, dashboard_address="127.0.0.1:0", memory_limit=0
    ) as cluster:
        text = program.text.replace("tcp://10.0.0.1:8786", cluster.scheduler_address)
        run(program._replace(text=text.replace("/shared", str(tmp_path))), "__main__")
    results = read_results(tmp_path / "answers.jsonl")
    assert sorted(result.custom_id for result in results) == ["a", "b", "c"]


async def test_the_tests_pass(tmp_path: Path) -> None:
    for program in TESTS:
        path = tmp_path / f"test_{program.page}_{program.number}.py"
        path.write_text(program.text, encoding="utf-8")
    command = [sys.executable, "-W", "error", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    command += ["-p", "deepseek_async.simulator.pytest_plugin", "-p", "no:deepseek_async"]
    command += ["-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function"]
    process = await asyncio.to_thread(
        subprocess.run, command, cwd=tmp_path, capture_output=True, text=True, timeout=GUARD * 3
    )
    assert process.returncode == 0, process.stdout + process.stderr


def test_nothing_else_is_a_program() -> None:
    known = [*SCRIPTS, *WEB_APPS, *CLUSTERS, *TESTS, *RECIPES]
    assert [each for each in PROGRAMS if each not in known and each.page != "README"] == []
    libraries = [re.findall(r"^(?:import|from) (\w+)", each.text)[0] for each in RECIPES]
    assert libraries == ["streamlit", "gradio", "textual"]
