"""``@pytest.mark.deepseek_replay``, in test runs of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deepseek_async.simulator import Recorder, RecordingThread, Reply, SimulatorThread

ROOT = Path(__file__).parents[2]
PLUGIN = "deepseek_async.simulator.pytest_plugin"
KEY = "sk-of-the-plugin-tests"

TEST = """
import asyncio

import pytest
from deepseek_async import AsyncDeepSeek


def ask(client, text):
    return asyncio.run(client.chat.completions.create(
        model="deepseek-flash", messages=[{"role": "user", "content": text}]
    ))


@pytest.mark.deepseek_replay("recordings/one")
def test_client(deepseek_simulator, deepseek_client):
    assert ask(deepseek_client, "Hi").choices[0].message.content == "Recorded!"
    assert len(deepseek_simulator.requests) == 1


@pytest.mark.deepseek_replay("recordings/two", pace=0, redact_env=["EXTRA"])
@pytest.mark.parametrize("text", ["One", "extra-secret"])
def test_environment(deepseek_environment, text):
    async def main():
        async with AsyncDeepSeek() as client:
            return await client.chat.completions.create(
                model="deepseek-flash", messages=[{"role": "user", "content": text}]
            )

    assert asyncio.run(main()).choices[0].message.content == "Recorded!"
"""


@pytest.fixture
def host() -> Iterator[str]:
    with SimulatorThread(keys=[KEY]) as sim:
        sim.script(Reply("Recorded!", times="forever"))
        yield sim.base_url


def run(
    folder: Path, *arguments: str, test: str = TEST, **variables: str
) -> subprocess.CompletedProcess[str]:
    (folder / "test_it.py").write_text(test)
    environment = {name: value for name, value in os.environ.items() if "DEEPSEEK" not in name}
    return subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:deepseek_async", "-p", PLUGIN),
            *("-W", "error", "-p", "no:cacheprovider", "-p", "no:asyncio"),
            *("--rootdir", str(folder), *arguments),
        ],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(ROOT), "EXTRA": "extra-secret", **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_test_records_and_replays(tmp_path: Path, host: str) -> None:
    real = {"DEEPSEEK_API_KEY": KEY, "DEEPSEEK_BASE_URL": host}
    done = run(tmp_path)
    assert "nothing is recorded yet: run this test with --deepseek-record" in done.stdout
    done = run(tmp_path, "--deepseek-record")
    assert "recording asks the real host: set DEEPSEEK_API_KEY" in done.stdout
    done = run(tmp_path, "--deepseek-record", **real)
    assert "3 passed" in done.stdout, done.stdout + done.stderr
    files = sorted(path for path in tmp_path.rglob("*.json"))
    assert [path.parent.name for path in files] == ["one", "two", "two"]
    for path in files:
        assert KEY not in path.read_text()
        assert "extra-secret" not in path.read_text()
    before = [path.read_bytes() for path in files]
    # Without the host.
    done = run(tmp_path)
    assert "3 passed" in done.stdout, done.stdout + done.stderr
    done = run(tmp_path, DEEPSEEK_RECORD="1", **real)
    assert "there are recordings already" in done.stdout
    assert "3 errors" in done.stdout
    assert [path.read_bytes() for path in files] == before
    done = run(tmp_path, "--deepseek-record-force", **real)
    assert "3 passed" in done.stdout, done.stdout + done.stderr
    assert sorted(path for path in tmp_path.rglob("*.json")) == files
    assert [path.read_bytes() for path in files] != before
    done = run(tmp_path, "-k", "client", DEEPSEEK_RECORD="force", **real)
    assert "1 passed" in done.stdout, done.stdout + done.stderr


WRONG = """
import pytest


@pytest.mark.deepseek_replay()
def test_no_folder(deepseek_simulator):
    pass


@pytest.mark.deepseek_replay("x", speed=1)
def test_unknown_option(deepseek_simulator):
    pass


@pytest.mark.deepseek_replay("x")
@pytest.mark.deepseek_simulator(seed=1)
def test_both(deepseek_simulator):
    pass


@pytest.mark.deepseek_replay("damaged")
def test_damaged(deepseek_simulator):
    pass
"""


def test_what_is_wrong_is_told_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "1.json").write_text('{"format":\n}')
    done = run(tmp_path, test=WRONG)
    assert "4 errors" in done.stdout, done.stdout + done.stderr
    assert "missing 1 required positional argument: 'folder'" in done.stdout
    assert "unexpected keyword argument 'speed'" in done.stdout
    assert "exclude each other" in done.stdout
    assert "1.json: line 2: " in done.stdout
    assert "Traceback" not in done.stdout
    done = run(tmp_path, "--deepseek-record", test=WRONG, DEEPSEEK_API_KEY="x" * 9,
               DEEPSEEK_BASE_URL="ftp://x")  # fmt: skip
    assert "the URL to record from" in done.stdout


def test_the_marker_and_the_options_are_listed(tmp_path: Path) -> None:
    assert "deepseek_replay(folder" in run(tmp_path, "--markers").stdout
    assert "--deepseek-record" in run(tmp_path, "--help").stdout


def test_a_recorder_in_a_thread_tells_what_it_could_not_store(tmp_path: Path) -> None:
    import asyncio

    folder = tmp_path / "gone"
    with SimulatorThread() as sim:
        thread = RecordingThread(Recorder(sim.base_url, folder, on_problem=lambda _: None))
        thread.start()
        folder.rmdir()

        async def main() -> None:
            async with thread.client(api_key=KEY) as client:
                await client.models.list()

        asyncio.run(main())
        with pytest.raises(OSError, match="could not be stored"):
            thread.stop()
        assert not thread.is_running
