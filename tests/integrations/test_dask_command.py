"""``batch run --dask``: from a file to a file, and on from there with the other commands."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deepseek_async.cli.app import run
from deepseek_async.simulator import Reply, SimulatorThread

from .shards import GUARD, asked, item, unpaid, write_items

needs_dask = pytest.mark.usefixtures("dask")

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def dask() -> None:
    pytest.importorskip(
        "distributed", reason='needs the extra dask: pip install "deepseek-async[dask]"'
    )


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatorThread]:
    for name in list(os.environ):
        if name.startswith("DEEPSEEK_"):
            monkeypatch.delenv(name)
    with SimulatorThread() as sim:
        monkeypatch.setenv("DEEPSEEK_API_KEY", "sk-of-the-tests")
        monkeypatch.setenv("DEEPSEEK_BASE_URL", sim.base_url)
        monkeypatch.setenv("DEEPSEEK_DIALECT", "deepseek")
        yield sim


def batch(captured: Captured, *arguments: str | Path) -> tuple[int, str, str]:
    status = run(["batch", *map(str, arguments)])
    out, err = captured.readouterr()
    return status, out, err


@needs_dask
def test_run_retry_and_resume(server: SimulatorThread, tmp_path: Path, capsys: Captured) -> None:
    source, out = write_items(tmp_path / "in.jsonl", 30), tmp_path / "out.jsonl"
    server.script(Reply.error("content_risk", match="Say item-7."))
    command = ("run", source, out, "--dask", "local:2", "--cache", "off")
    status, told, err = batch(capsys, *command)
    assert status == 1
    assert "  items     30 read, 29 answered, 1 failed\n" in told
    assert "  requests  30 sent\n" in told
    assert "send again what failed with: deepseek-async batch retry" in err
    assert "sk-of-the-tests" not in "".join(
        path.read_text() for path in tmp_path.rglob("*.json*") if path.is_file()
    )
    # The same again sends nothing, not even what failed.
    sent = len(server.requests)
    status, told, _ = batch(capsys, *command, "--json")
    report = json.loads(told)
    assert (status, report["skipped"], report["dead_letter_count"]) == (1, 30, 1)
    assert (report["outcome"], report["requests"]) == ("completed", len(server.requests) - sent)
    # What it wrote is a results file like any other.
    assert batch(capsys, "retry", out)[0] == 0
    assert len(out.read_bytes().splitlines()) == 30
    with source.open("a") as file:
        file.write(json.dumps(item("late")) + "\n")
    assert batch(capsys, "resume", out)[0] == 0
    assert len(out.read_bytes().splitlines()) == 31
    assert asked(server)["late"] == 1
    # The shards know nothing of that.
    status, _, err = batch(capsys, *command)
    assert status == 2
    assert "go on with batch resume or batch retry" in err


@needs_dask
def test_what_makes_no_sense(server: SimulatorThread, tmp_path: Path, capsys: Captured) -> None:
    source, out = write_items(tmp_path / "in.jsonl", 3), tmp_path / "out.jsonl"
    for options, reason in (
        (("local:2", "--budget-usd", "1"), "hold for one process"),
        (("local:2", "--chart", tmp_path / "a.svg"), "--chart draws the run of one process"),
        (("tcp://127.0.0.1:1", "--simulate"), "--simulate is for workers on this machine"),
        (("nonsense://a:1",), "--dask nonsense://a:1: no cluster answers there"),
    ):
        status, _, err = batch(capsys, "run", source, out, "--dask", *options)
        assert (status, reason in err) == (2, True), err
    parquet = tmp_path / "in.parquet"
    parquet.write_bytes(b"PAR1")
    status, _, err = batch(capsys, "run", parquet, out, "--dask", "local:1")
    assert status == 2
    assert "--dask takes JSONL" in err
    assert not out.exists()
    shards = tmp_path / "out.shards"
    shards.mkdir()
    (shards / "cut.txt").write_text("another\n")
    status, _, err = batch(capsys, "run", source, out, "--dask", "local:1")
    assert status == 2
    assert "has the shards of another input" in err


def test_one_process_does_not_ask_again_what_shards_have(
    server: SimulatorThread, tmp_path: Path, capsys: Captured
) -> None:
    source, out = write_items(tmp_path / "in.jsonl", 3), tmp_path / "out.jsonl"
    shards = tmp_path / "out.shards"
    shards.mkdir()
    (shards / "shard-00000.jsonl").write_text("{}\n")
    status, _, err = batch(capsys, "run", source, out)
    assert status == 2
    assert "go on with --dask" in err
    assert not server.requests
    assert batch(capsys, "run", source, out, "--force")[0] == 0
    assert batch(capsys, "run", source, out)[0] == 0
    assert len(server.requests) == 3


@needs_dask
def test_an_empty_account_is_no_failure(
    server: SimulatorThread, tmp_path: Path, capsys: Captured
) -> None:
    source, out = write_items(tmp_path / "in.jsonl", 5), tmp_path / "out.jsonl"
    server.script(unpaid())
    options = ("--dask", "local:1", "--cache", "off", "--model", "deepseek-v4-pro", "--dedupe")
    status, told, err = batch(capsys, "run", source, out, *options)
    assert status == 3, err
    assert "out.shards: stopped: the account's balance is used up" in told
    # With other options it would be another batch.
    go_on = " --dask local:1 --model deepseek-v4-pro --dedupe --cache off\n"
    assert err.startswith("stopped: the account's balance is used up; go on with: ")
    assert err.endswith(go_on)
    server.reset()
    status, _, err = batch(capsys, "run", source, out, "--dask", "local:1", "--cache", "off")
    assert status == 1
    assert "begun with other settings: model was 'deepseek-v4-pro'" in err
    assert not server.requests
    assert batch(capsys, "run", source, out, *options)[0] == 0


@needs_dask
def test_lines_without_a_request(server: SimulatorThread, tmp_path: Path, capsys: Captured) -> None:
    source, out = tmp_path / "in.jsonl", tmp_path / "new" / "out.jsonl"
    source.write_text("\n\n")
    status, told, err = batch(capsys, "run", source, out, "--dask", "local:1")
    assert (status, err) == (0, "")
    assert "0 read, 0 answered" in told
    # That is no continuation of a batch with answers: they would be replaced by nothing.
    write_items(source, 3)
    assert batch(capsys, "run", source, out, "--dask", "local:1")[0] == 0
    source.write_text("\n\n")
    status, _, err = batch(capsys, "run", source, out, "--dask", "local:1")
    assert status == 2
    assert "has the shards of another input" in err
    assert len(out.read_bytes().splitlines()) == 3


@needs_dask
def test_simulated_answers_stay_apart(
    server: SimulatorThread, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = write_items(tmp_path / "in.jsonl", 3), tmp_path / "out.jsonl"
    # Nobody there: the simulator is not behind a proxy.
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    simulated = ("--dask", "local:1", "--simulate", "--pace", "0")
    status, told, err = batch(capsys, "run", source, out, *simulated)
    assert (status, "3 answered" in told) == (0, True), err
    out.unlink()
    status, _, err = batch(capsys, "run", source, out, "--dask", "local:1")
    assert status == 2
    assert "the answers in out.shards are simulated ones, and real ones would be added" in err
    assert server.metrics.requests == 0


def test_without_the_extra(
    server: SimulatorThread, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    source = write_items(tmp_path / "in.jsonl", 3)
    status, _, err = batch(capsys, "run", source, tmp_path / "out.jsonl", "--dask", "local:2")
    assert status == 2
    assert err == (
        'error: to run on Dask takes the library distributed: pip install "deepseek-async[dask]"\n'
    )


@needs_dask
@pytest.mark.skipif(sys.platform == "win32", reason="process groups")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_keeps_what_is_finished(
    server: SimulatorThread, tmp_path: Path, number: signal.Signals, capsys: Captured
) -> None:
    source, out = write_items(tmp_path / "in.jsonl", 20), tmp_path / "out.jsonl"
    server.script(Reply("slow", queue_seconds=600, match="Say item-3.", times="forever"))
    command: list[str | Path] = ["run", source, out, "--dask", "local:2", "--cache", "off"]
    process = subprocess.Popen(
        [sys.executable, "-m", "deepseek_async", "batch", *map(str, command)],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        deadline = time.monotonic() + GUARD
        while len(asked(server)) < 20 or server.metrics.in_flight > 1:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        # Ctrl-C reaches the workers, too.
        send = os.killpg if number == signal.SIGINT else os.kill
        send(process.pid, number)
        _, err = process.communicate(timeout=GUARD)
    assert process.returncode == 130, err
    assert "Traceback" not in err, err
    assert "go on with: deepseek-async batch run" in err or "batch run" in err, err
    assert not out.exists()
    server.reset()
    status, told, _ = batch(capsys, *command)
    assert status == 0, told
    assert "1 answered, 0 failed, 19 finished before" in told
    assert asked(server) == {"item-3": 1}
