"""``batch`` in a process of its own: signals, a terminal, pipes, a full disk."""

import json
import resource
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pytest

from deepseek_async.simulator import Reply, Simulator

from .conftest import GUARD_SECONDS, Pty, StartSimulator, command, environment, run_command, started
from .test_batch import line, names_in

OpenPty = Callable[..., Pty]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "requests.jsonl"
    path.write_text("".join(f"{line(f'item-{n}', f'Number {n}')}\n" for n in range(20)))
    return path


@pytest.fixture
def out(source: Path) -> Path:
    return source.with_name("answers.jsonl")


@pytest.fixture
def stuck(start_simulator: StartSimulator, monkeypatch: pytest.MonkeyPatch) -> Simulator:
    """A server that answers the requests with a number below 10, and the others never."""
    sim = start_simulator()
    sim.script(
        Reply(
            match=lambda body: "Number 1" in body["messages"][-1]["content"][:-1],
            first_token_seconds=3600.0,
            times="forever",
        )
    )
    monkeypatch.setenv("DEEPSEEK_API_KEY", "sk-of-the-tests")
    monkeypatch.setenv("DEEPSEEK_BASE_URL", sim.base_url)
    return sim


def arguments(source: Path, out: Path, *options: str) -> list[str]:
    return ["batch", "run", str(source), str(out), "--cache", "off", *options]


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + GUARD_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def read_until(stream: IO[bytes] | None, text: bytes) -> bytes:
    assert stream is not None
    seen = b""
    while text not in seen:
        piece = stream.readline()
        assert piece, seen
        seen += piece
    return seen


def uncovered() -> dict[str, str]:
    """Return an environment in which nothing measures coverage, and writes files for that."""
    return {k: v for k, v in environment().items() if not k.startswith("COVERAGE")}


def answered(out: Path) -> int:
    return len(names_in(out)) if out.exists() else 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_ctrl_c_waits_for_what_is_under_way(
    number: signal.Signals,
    source: Path,
    out: Path,
    start_simulator: StartSimulator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sim = start_simulator(first_token_seconds=1.5)
    monkeypatch.setenv("DEEPSEEK_API_KEY", "sk-of-the-tests")
    options = ("--base-url", sim.base_url, "--max-concurrency", "10")
    with started(*arguments(source, out, *options)) as running:
        wait_for(lambda: len(sim.requests) == 10)
        running.send_signal(number)
        stdout, stderr = running.communicate(timeout=GUARD_SECONDS)
    assert running.returncode == 130
    assert b"stopping: " in stderr
    assert stderr.endswith(f"go on with: deepseek-async batch resume {out}\ninterrupted\n".encode())
    assert b"answers.jsonl: stopped early after" in stdout
    assert answered(out) == len(sim.requests) == 10


def test_two_ctrl_c_stop_at_once_and_keep_the_answers(
    source: Path, out: Path, stuck: Simulator
) -> None:
    with started(*arguments(source, out)) as running:
        wait_for(lambda: answered(out) == 10)
        running.send_signal(signal.SIGINT)
        read_until(running.stderr, b"stopping: ")
        running.send_signal(signal.SIGINT)
        stdout, stderr = running.communicate(timeout=GUARD_SECONDS)
    assert running.returncode == 130
    assert b"stopping at once" in stderr
    assert stderr.endswith(b"interrupted\n")
    assert b"10 answered, 0 failed, 10 not sent" in stdout
    assert answered(out) == 10


def test_a_killed_run_goes_on(source: Path, out: Path, stuck: Simulator) -> None:
    with started(*arguments(source, out)) as running:
        wait_for(lambda: answered(out) == 10)
        running.kill()
        running.wait(GUARD_SECONDS)
    status = run_command("batch", "status", str(out), "--json")
    found = json.loads(status.stdout)
    assert (found["answered"], found["remaining"], found["running"]) == (10, 10, None)
    done = run_command("batch", "resume", str(out), "--simulate", "--force", "--pace", "0")
    assert done.returncode == 0
    assert sorted(names_in(out)) == sorted(f"item-{n}" for n in range(20))


def test_a_terminal_shows_a_bar_and_stops_in_good_order(
    source: Path, out: Path, stuck: Simulator, open_pty: OpenPty
) -> None:
    lines = source.read_text().splitlines()
    source.write_text("\n".join([*lines, "bad"]))
    terminal = open_pty(*arguments(source, out))
    terminal.expect("bad line: requests.jsonl line 21 is not JSON")
    terminal.expect("━")
    terminal.expect("11/21 52%")
    terminal.expect("10 answered · 1 failed · 10 in flight of ")
    terminal.expect("tokens/s · cost unknown")
    terminal.type("\x03")
    terminal.expect("stopping: waiting for 10 requests under way")
    terminal.type("\x03")
    terminal.expect("answers.jsonl: stopped early after")
    terminal.expect("go on with: ")
    terminal.expect("interrupted")
    assert terminal.status() == 130
    # The cursor is back.
    assert terminal.shown.count("\x1b[?25l") == terminal.shown.count("\x1b[?25h") == 1


def test_a_dumb_terminal_gets_lines(
    source: Path, out: Path, server: Simulator, open_pty: OpenPty
) -> None:
    terminal = open_pty(*arguments(source, out), TERM="dumb")
    terminal.expect("answers.jsonl: completed after")
    assert terminal.status() == 0
    assert "━" not in terminal.shown
    assert "\x1b" not in terminal.shown


def test_nothing_but_the_report_goes_into_a_pipe(
    source: Path, out: Path, server: Simulator
) -> None:
    done = run_command(*arguments(source, out, "--simulate", "--pace", "0"))
    assert done.returncode == 0
    assert done.stdout.startswith("answers.jsonl: completed after")
    assert done.stdout.endswith(f"  results   {out}\n")
    assert "\x1b" not in done.stdout + done.stderr
    assert "\r" not in done.stdout + done.stderr


def test_a_report_that_nobody_reads_ends_quietly(
    source: Path, out: Path, server: Simulator
) -> None:
    with started(*arguments(source, out)) as running:
        assert running.stdout is not None
        running.stdout.close()
        assert running.stderr is not None
        err = running.stderr.read()
        assert running.wait(GUARD_SECONDS) == 1
    assert b"rror" not in err
    assert answered(out) == 20


def test_a_disk_without_room_is_told_and_keeps_what_was_written(
    source: Path, out: Path, server: Simulator
) -> None:
    def limit_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))

    done = subprocess.run(
        command(*arguments(source, out, "--max-concurrency", "2", "--durability", "each")),
        capture_output=True,
        env=uncovered(),
        preexec_fn=limit_files,
        timeout=GUARD_SECONDS,
        check=False,
        text=True,
    )
    assert done.returncode == 1
    assert f"error: {out} can't be written: File too large; " in done.stderr
    assert "what is finished is kept; go on with: " in done.stderr
    assert "answers.jsonl: broken off after" in done.stdout
    kept = answered(out)
    assert 0 < kept < 20
    assert f"{kept} answered" in done.stdout
    assert run_command("batch", "resume", str(out)).returncode == 0
    assert sorted(names_in(out)) == sorted(f"item-{n}" for n in range(20))


def test_a_full_disk_at_the_beginning_is_told(source: Path, out: Path, server: Simulator) -> None:
    def limit_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))

    done = subprocess.run(
        command(*arguments(source, out)),
        capture_output=True,
        env=uncovered(),
        preexec_fn=limit_files,
        timeout=GUARD_SECONDS,
        check=False,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "can't be written: File too large" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not server.requests
