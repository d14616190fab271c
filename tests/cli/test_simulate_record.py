"""``simulate --record`` and ``--replay``."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from pathlib import Path

import pytest

from deepseek_async import AsyncDeepSeek
from deepseek_async.cli.app import run
from deepseek_async.cli.simulate import Recorded, record_or_replay
from deepseek_async.simulator import Simulator

from .conftest import GUARD_SECONDS, Terminal, run_command, started

KEY = "sk-of-the-recording-tests"


def test_a_recording_is_replayed_by_another_process(
    server: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "recorded"
    monkeypatch.setenv("EXTRA", "extra-secret")
    answers: list[str] = []
    arguments = ["--record", server.base_url, "--out", str(folder), "--redact-env", "EXTRA"]
    for mode in (arguments, ["--replay", str(folder), "--pace", "0", "--redact-env", "EXTRA"]):
        with started("simulate", "--port", "0", *mode) as serving:
            assert serving.stdout is not None
            said = ""
            while "AsyncDeepSeek(" not in said:
                line = serving.stdout.readline().decode()
                assert line
                said += line
            url = re.findall(r'base_url="(http://[\d.:]+)"', said)[0]
            done = run_command(
                "chat", "Is this an extra-secret?", "--base-url", url, DEEPSEEK_API_KEY=KEY
            )
            assert done.returncode == 0, done.stderr
            answers.append(done.stdout.replace("extra-secret", "[redacted]"))
            serving.send_signal(signal.SIGINT)
            _, err = serving.communicate(timeout=GUARD_SECONDS)
        assert serving.returncode == 0
        assert err == b""
    assert answers[0] == answers[1]
    stored = "".join(path.read_text() for path in folder.iterdir())
    assert stored
    assert KEY not in stored
    assert "extra-secret" not in stored


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--record", "http://x"], "--record URL and --out FOLDER are given together"),
        (["--out", "x"], "--record URL and --out FOLDER are given together"),
        (["--record", "http://x", "--out", "x", "--replay", "y"], "exclude each other"),
        (["--record", "http://x", "--out", "x", "--pace", "1"], "--pace can't be given"),
        (["--record", "http://x", "--out", "x", "--seed", "1"], "--seed can't be given"),
        (["--record", "ftp://x", "--out", "x"], "starts with https:// or http://"),
        (["--replay", "x", "--force", "--script", "y"], "--script and --force can't be given"),
        (["--replay", "x", "--redact-env", "NONE"], "there is nothing in this variable"),
        (["--replay", "x", "--redact-env", "SHORT"], "at least 6 characters"),
        (["--pace", "0", "--force"], "--pace and --force can't be given with neither"),
    ],
)
def test_what_makes_no_sense_is_wrong_usage(
    arguments: list[str],
    told: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SHORT", "abc")
    (tmp_path / "x").mkdir()
    assert run(["simulate", "--port", "0", *arguments]) == 2
    err = capsys.readouterr().err
    assert told in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1


def test_recordings_are_not_overwritten_unasked(
    server: Simulator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "000001.get.models.json").write_text("precious")
    arguments = ["simulate", "--port", "0", "--record", server.base_url, "--out", str(tmp_path)]
    assert run(arguments) == 2
    assert "there are 1 recording already: choose another folder" in capsys.readouterr().err
    assert (tmp_path / "000001.get.models.json").read_text() == "precious"


def test_folders_that_can_not_be_used_are_told(
    server: Simulator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.write_text("")
    assert run(["simulate", "--port", "0", "--replay", str(tmp_path / "none")]) == 1
    assert "none: No such file" in capsys.readouterr().err
    assert run(["simulate", "--port", "0", "--replay", str(tmp_path)]) == 2
    assert "there is no recording" in capsys.readouterr().err
    arguments = ["--record", server.base_url, "--out", str(file / "in")]
    assert run(["simulate", "--port", "0", *arguments]) == 1
    assert "Not a directory" in capsys.readouterr().err
    port = server.base_url.rpartition(":")[2]
    arguments = ["--record", server.base_url, "--out", str(tmp_path / "new")]
    assert run(["simulate", "--port", port, *arguments]) == 1
    assert f"port {port} on 127.0.0.1 is in use" in capsys.readouterr().err


async def test_what_is_not_stored_is_told_at_once(
    piped: Terminal, server: Simulator, tmp_path: Path
) -> None:
    folder = tmp_path / "gone"
    recorded = Recorded(record=server.base_url, out=folder, force=True)
    task = asyncio.create_task(record_or_replay(piped.screen, "127.0.0.1", 0, recorded))
    while "AsyncDeepSeek" not in piped.text:
        assert not task.done()
        await asyncio.sleep(0.001)
    os.rmdir(folder)
    url = re.findall(r'base_url="(http://[\d.:]+)"', piped.text)[0]
    async with AsyncDeepSeek(api_key=KEY, base_url=url) as client:
        assert (await client.models.list()).data
    task.cancel()
    with pytest.raises(OSError, match="1 exchange could not be stored"):
        await task
    assert "exchange 1 (GET /models) could not be stored" in piped.notes
    assert "answers still go through" in piped.notes
