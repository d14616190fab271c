"""The programs of docs/realtime.md run, and its commands do what they are for.

So does the web app of the README, which tests/test_readme.py only imports.
"""

import asyncio
import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deepseek_async.simulator import Reply
from deepseek_async.simulator.thread import SimulatorThread
from tests.examples.servers import FOLDER, GUARD, App, browser, environment, serving, uvicorn

ROOT = FOLDER.parents[1]
GUIDE = (ROOT / "docs" / "realtime.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROGRAMS: list[str] = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
SCRIPTS = [program for program in PROGRAMS if "asyncio.run(main())" in program]
OF_README: list[str] = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
WEB_APPS = [program for program in PROGRAMS + OF_README if "# curl " in program]
ANSWER = "So it is. " * 30


def name_of(program: str) -> str:
    """Name a program by the first of the library's names that it imports for its purpose."""
    imported = re.findall(r"^from deepseek_async\S* import (.*)$", program, re.MULTILINE)
    number = PROGRAMS.index(program) if program in PROGRAMS else "README"
    return f"{number} {imported[-1].split(',')[0]}"


@pytest.fixture
def sim() -> Iterator[SimulatorThread]:
    with SimulatorThread() as sim:
        sim.script(Reply(ANSWER, reasoning="Hm.", times="forever"))
        yield sim


@pytest.mark.parametrize("program", SCRIPTS, ids=map(name_of, SCRIPTS))
async def test_a_program_runs(program: str, sim: SimulatorThread, tmp_path: Path) -> None:
    path = tmp_path / "program.py"
    path.write_text(program, encoding="utf-8")
    process = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-W", "error", str(path)],
        env=environment(sim),
        capture_output=True,
        text=True,
        timeout=GUARD * 3,
        check=False,
    )
    assert (process.returncode, process.stderr) == (0, "")
    assert process.stdout.strip()


@pytest.mark.parametrize("program", WEB_APPS, ids=map(name_of, WEB_APPS))
async def test_an_app_answers_its_commands(
    program: str, sim: SimulatorThread, tmp_path: Path
) -> None:
    for package in re.findall(r"^from (fastapi|starlette)", program, re.MULTILINE):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"the program needs {package}, which is not installed")
    (tmp_path / "program.py").write_text(
        program.replace("port=8000", "port=int(__import__('sys').argv[1])"), encoding="utf-8"
    )
    command = ["program.py", "PORT"] if "run_app" in program else uvicorn("program")
    with serving("program", command, tmp_path, sim) as app:
        await asyncio.wait_for(_perform(program, app), GUARD)


async def _perform(program: str, app: App) -> None:
    commands = re.findall(r"^# curl (.*)'http://127.0.0.1:8000(/.*)'$", program, re.MULTILINE)
    run = "none"
    async with browser() as session:
        for options, path in commands:
            method = "POST" if "-X POST" in options else "GET"
            url = app.url + path.replace("RUN", run)
            async with session.request(method, url) as response:
                assert response.ok, await response.text()
                if path.startswith("/chat?"):
                    run = (await response.json())["run"]
                elif method == "GET":
                    assert "So it is." in await response.text()
                    is_stream = response.content_type == "text/event-stream"
                    assert is_stream == ("-N" in options)


def test_every_other_program_is_a_recipe() -> None:
    recipes = [program for program in PROGRAMS if program not in SCRIPTS + WEB_APPS]
    libraries = [re.findall(r"^(?:import|from) (\w+)", program)[0] for program in recipes]
    # tests/examples/test_recipes.py runs these.
    assert libraries == ["streamlit", "gradio", "textual"]
