"""The README's programs run, and its commands are those that CI runs."""

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from deepseek_async.simulator import Simulator

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
COMMANDS = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)


def name_of(program: str) -> str:
    """Name a program by the heading above it."""
    before = README[: README.index(program)]
    headings: list[str] = re.findall(r"^#+ (.*)$", before, re.MULTILINE)
    return f"{headings[-1]} {before.count('```python')}"


@pytest.mark.parametrize("program", PROGRAMS, ids=map(name_of, PROGRAMS))
async def test_a_program_of_the_readme_runs(program: str, tmp_path: Path) -> None:
    path = tmp_path / "test_readme_program.py"
    path.write_text(program, encoding="utf-8")
    command = [sys.executable, "-W", "error"]
    if "def test_" in program:
        command += ["-m", "pytest", "-q", "-o", "asyncio_mode=auto", "-p", "no:cacheprovider"]
        command += ["-o", "asyncio_default_fixture_loop_scope=function"]
    async with Simulator() as sim:
        process = await _run([*command, str(path)], tmp_path, sim.base_url)
    assert process.returncode == 0, process.stdout + process.stderr
    assert process.stderr == ""
    assert "print(" not in program or process.stdout.strip()


async def _run(
    command: list[str], folder: Path, base_url: str
) -> "subprocess.CompletedProcess[str]":
    environment = {
        **os.environ,
        "DEEPSEEK_API_KEY": "sk-readme",
        "DEEPSEEK_BASE_URL": base_url,
        "DEEPSEEK_DIALECT": "deepseek",
    }
    if "pytest" in command:
        # That program names the real address itself, and mocks it.
        del environment["DEEPSEEK_BASE_URL"]

    def run() -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            command,
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return await asyncio.to_thread(run)


def test_ci_runs_the_readmes_second_command() -> None:
    assert len(COMMANDS) == 2
    assert "demo" in COMMANDS[0]
    assert COMMANDS[1].strip() in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
