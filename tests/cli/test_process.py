"""The real command in another process: pipes, signals, a terminal."""

import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from deepseek_async import __main__
from deepseek_async.simulator import Fault, Reply, Simulator

from .conftest import GUARD_SECONDS, Pty, run_command, started

OpenPty = Callable[..., Pty]


def test_demo_is_readable_without_a_terminal() -> None:
    done = run_command("demo", "--pace", "0", "--requests", "20")
    assert done.returncode == 0
    assert "Summary" in done.stdout
    assert "\x1b" not in done.stdout
    assert "\r" not in done.stdout
    assert done.stderr == ""


def test_chat_talks_to_a_simulate_process() -> None:
    with started("simulate", "--port", "0") as serving:
        assert serving.stdout is not None
        found = re.search(r"http://[\d.:]+\d", serving.stdout.readline().decode())
        assert found is not None
        done = run_command("chat", "Hello", "--base-url", found.group(), DEEPSEEK_API_KEY="sk-any")
        assert done.returncode == 0
        assert "simulator" in done.stdout
        serving.send_signal(signal.SIGINT)
        _, err = serving.communicate(timeout=GUARD_SECONDS)
    assert serving.returncode == 0
    assert err == b""


def test_chat_reads_a_piped_prompt(server: Simulator) -> None:
    done = run_command("chat", given="Grüße".encode())
    assert done.returncode == 0
    assert "Grüße" in done.stdout


def test_a_missing_prompt_is_wrong_usage(server: Simulator) -> None:
    done = run_command("chat")
    assert done.returncode == 2
    assert done.stderr.startswith("error: no prompt")


def test_a_server_that_is_down_is_told_in_one_line(server: Simulator) -> None:
    done = run_command("models", "--base-url", "http://127.0.0.1:1")
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


def test_a_wrong_key_is_told_in_one_line(server: Simulator) -> None:
    done = run_command("chat", "Hello", DEEPSEEK_API_KEY="sk-bad-secret-1234")
    assert done.returncode == 1
    assert done.stderr.startswith("error: 401")
    assert done.stderr.count("\n") == 1
    assert "secret" not in done.stderr


@pytest.mark.parametrize(
    "arguments", [("demo", "--pace", "0"), ("chat", "--simulate", "Hello"), ("--help",)]
)
def test_a_broken_pipe_ends_quietly(arguments: tuple[str, ...]) -> None:
    with started(*arguments) as running:
        assert running.stdout is not None
        running.stdout.close()
        assert running.stderr is not None
        err = running.stderr.read()
        assert running.wait(GUARD_SECONDS) == 1
    assert b"rror" not in err


def test_ctrl_c_stops_a_piped_answer(server: Simulator) -> None:
    server.script(Reply("one two three"))
    server.faults(Fault("stall", after_events=2))
    with started("chat", "Hello", "--no-thinking") as running:
        assert running.stdout is not None
        assert running.stdout.read(3) == b"one"
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=GUARD_SECONDS)
    assert running.returncode == 130
    assert out == b"\n"
    assert err == b"interrupted\n"


def test_output_arrives_while_it_is_made(server: Simulator) -> None:
    server.script(Reply("one two three", reasoning="hm"))
    server.faults(Fault("stall", after_events=2))
    with started("demo") as running:
        assert running.stdout is not None
        seen = b""
        while b"hm" not in seen:
            piece = running.stdout.read(1)
            assert piece, seen
            seen += piece


def test_a_conversation_on_a_terminal(server: Simulator, open_pty: OpenPty) -> None:
    server.script(Reply("It is **blue**.", reasoning="Colours."), Reply("Yes."))
    terminal = open_pty("chat")
    terminal.expect("> ")
    terminal.type("Colour?\r")
    terminal.expect("Colours.")
    terminal.expect("\x1b[1mblue")
    terminal.expect(" out")
    terminal.expect("> ")
    terminal.type("Sure?\r")
    terminal.expect("Yes.")
    terminal.expect("> ")
    terminal.type("\x04")
    assert terminal.status() == 0
    bodies = [request.body for request in server.requests]
    assert [len(body["messages"]) for body in bodies if body] == [1, 3]


def test_ctrl_c_stops_the_answer_and_not_the_conversation(
    server: Simulator, open_pty: OpenPty
) -> None:
    server.script(Reply("one two three"), Reply("Never."), Reply("Here."))
    server.faults(Fault("stall", after_events=3), Fault("stall", after_events=0))
    terminal = open_pty("chat", "--no-thinking")
    terminal.expect("> ")
    terminal.type("Count.\r")
    terminal.expect("one")
    terminal.interrupt(until="stopped")
    terminal.expect("> ")
    terminal.type("Wait.\r")
    terminal.expect("waiting for the first token")
    terminal.interrupt(until="stopped")
    terminal.expect("> ")
    terminal.type("never mind")
    terminal.expect("never mind")
    terminal.interrupt(until="Ctrl-D leaves")
    terminal.type("Still there?\r")
    terminal.expect("Here.")
    terminal.expect("> ")
    terminal.type("/exit\r")
    assert terminal.status() == 0
    body = server.requests[-1].body
    assert body is not None
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "user"]


SLOW = """
import asyncio, time

def sleep(city: str) -> str:
    time.sleep(3600)

async def wait(city: str) -> str:
    await asyncio.sleep(3600)
"""


def test_tools_run_on_a_terminal(tmp_path: Path, open_pty: OpenPty) -> None:
    source = tmp_path / "shop.py"
    source.write_text("def price(fruit: str) -> float:\n    return 1.5\n")
    terminal = open_pty("chat", "Apples?", "--simulate", "--tool", f"{source}:price")
    terminal.expect("→ price(fruit=")
    terminal.expect("← price: 1.5")
    terminal.expect("price answered 1.5")
    terminal.expect("2 requests")
    assert terminal.status() == 0


@pytest.mark.parametrize("function", ["sleep", "wait"])
def test_ctrl_c_stops_tools(function: str, tmp_path: Path, open_pty: OpenPty) -> None:
    source = tmp_path / "slow.py"
    source.write_text(SLOW)
    named = f"{source}:{function}"
    terminal = open_pty("chat", "Now?", "--simulate", "--no-thinking", "--tool", named)
    terminal.expect(f"→ {function}(")
    terminal.interrupt(until="interrupted")
    assert terminal.status() == 130


def test_one_ctrl_c_is_enough_while_a_tool_sleeps_in_its_thread(tmp_path: Path) -> None:
    source = tmp_path / "slow.py"
    source.write_text(
        SLOW.replace("    time.sleep", "    print('asleep', flush=True)\n    time.sleep")
    )
    with started("chat", "Now?", "--simulate", "--no-thinking", "--tool", f"{source}:sleep") as run:
        assert run.stderr is not None
        # Only once the thread runs does the interpreter wait for it.
        assert b"asleep\n" in iter(run.stderr.readline, b"")
        run.send_signal(signal.SIGINT)
        _, err = run.communicate(timeout=GUARD_SECONDS)
    assert run.returncode == 130
    assert err.decode().endswith("interrupted\n")


def test_a_tool_that_was_given_up_does_not_hold_up_the_end(
    server: Simulator, tmp_path: Path
) -> None:
    server.script(Reply(tool_calls=[("sleep", {"city": "Oslo"})]), Reply("Never mind."))
    source = tmp_path / "slow.py"
    source.write_text(SLOW)
    tool = ["--tool", f"{source}:sleep", "--tool-timeout", "0.2"]
    # It sleeps for an hour: what ends here is not waited for.
    done = run_command("chat", "Now?", "--no-thinking", *tool)
    assert done.returncode == 0
    assert done.stdout == "Never mind.\n"


def test_ctrl_c_stops_tools_and_not_the_conversation(
    server: Simulator, tmp_path: Path, open_pty: OpenPty
) -> None:
    server.script(Reply(tool_calls=[("wait", {"city": "Oslo"})]), Reply("Here."))
    source = tmp_path / "slow.py"
    source.write_text(SLOW)
    terminal = open_pty("chat", "--tool", f"{source}:wait")
    terminal.expect("> ")
    terminal.type("Now?\r")
    terminal.expect("→ wait(city='Oslo')")
    terminal.interrupt(until="stopped")
    terminal.expect("> ")
    terminal.type("Still there?\r")
    terminal.expect("Here.")
    terminal.expect("> ")
    terminal.type("\x04")
    assert terminal.status() == 0
    body = server.requests[-1].body
    assert body is not None
    assert [message["role"] for message in body["messages"]] == ["user"]


def test_ctrl_c_stops_filling_in(server: Simulator) -> None:
    server.script(Reply("one two three"))
    server.faults(Fault("stall", after_events=2))
    with started("fim", "a", "--base-url", f"{server.base_url}/beta") as running:
        assert running.stdout is not None
        assert running.stdout.read(3) == b"one"
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=GUARD_SECONDS)
    assert running.returncode == 130
    assert err == b"interrupted\n"


def test_fim_on_a_terminal_wants_a_prompt(open_pty: OpenPty) -> None:
    terminal = open_pty("fim", "--simulate")
    terminal.expect("error: no prompt")
    assert terminal.status() == 2


def test_a_queue_is_shown_on_a_terminal(server: Simulator, open_pty: OpenPty) -> None:
    server.script(Reply("Here.", queue_seconds=60))
    terminal = open_pty("chat", "Hello")
    terminal.expect("waiting in the server's queue, 1 s")
    server.clock.advance(60)
    terminal.expect("Here.")
    assert terminal.status() == 0


def test_plain_and_dumb_terminals_get_no_control_sequences(
    server: Simulator, open_pty: OpenPty
) -> None:
    for arguments, kind in ((["--plain"], "xterm"), ([], "dumb")):
        server.script(Reply("It is **blue**."))
        terminal = open_pty("chat", "Colour?", *arguments, TERM=kind)
        terminal.expect("It is **blue**.")
        assert terminal.status() == 0
        assert "\x1b" not in terminal.shown


def test_the_demo_on_a_terminal_is_coloured(open_pty: OpenPty) -> None:
    terminal = open_pty("demo", "--pace", "30", "--requests", "5")
    terminal.expect("\x1b[2m")
    terminal.expect("5/5")
    terminal.expect("Summary")
    assert terminal.status() == 0


@pytest.mark.parametrize("name", ["typer", "rich"])
def test_missing_packages_are_named(name: str, blocked_modules: Callable[[str], str]) -> None:
    done = run_command("demo", PYTHONPATH=blocked_modules(name))
    assert done.returncode == 2
    assert 'pip install "deepseek-async[cli]"' in done.stderr
    assert done.stderr.count("\n") == 1


def test_main_runs_the_command_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["deepseek-async", "--version"])
    assert __main__.main() == 0
    assert capsys.readouterr().out


@pytest.mark.parametrize("name", ["typer", "rich.text"])
def test_main_tells_what_is_missing(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "deepseek_async.cli.app", raising=False)
    monkeypatch.setitem(sys.modules, name, None)
    assert __main__.main() == 2
    assert "pip install" in capsys.readouterr().err


def test_main_does_not_hide_other_missing_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "deepseek_async.cli.app", None)
    with pytest.raises(ModuleNotFoundError):
        __main__.main()


def test_main_takes_ctrl_c_at_any_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(arguments: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("deepseek_async.cli.app.run", interrupted)
    assert __main__.main() == 130
