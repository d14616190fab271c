"""The commands, run in this process."""

import asyncio
import io
import re
import socket
import sys
import warnings
from collections.abc import Iterator
from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from deepseek_async import Balance
from deepseek_async.cli import account, chat, commands
from deepseek_async.cli.app import run
from deepseek_async.cli.asking import ChatOptions
from deepseek_async.cli.chat import ask_once, converse, read_line
from deepseek_async.cli.connection import Target
from deepseek_async.cli.demo import DemoOptions, run_demo
from deepseek_async.cli.simulate import serve
from deepseek_async.simulator import Fault, Replay, Reply, Simulator

from .conftest import Terminal

SIMULATED = Target(simulate=True)
ESC = "\x1b"
NO_CHOICES = b'data: {"id": "1", "choices": []}\n\ndata: [DONE]\n\n'
OPTIONS = ChatOptions("deepseek-flash")

Captured = pytest.CaptureFixture[str]


def lines_of(*lines: str) -> Iterator[str]:
    yield from lines
    raise EOFError


def give(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def test_demo_without_a_key_says_so_and_ends_with_a_summary(capsys: Captured) -> None:
    assert run(["demo", "--pace", "0", "--requests", "12"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("No DEEPSEEK_API_KEY found: running on the built-in simulator")
    assert "Olbers' paradox" in out
    assert "✓ get_weather(city='Lisbon', unit='celsius')" in out
    assert "12/12 requests" in out
    # Of each but the first one, 256.
    assert re.search(r"cache hits +0 +0 +2,816\n", out)
    for row in ("tokens in", "cache hits", "cost", "first token", "tokens/s", "requests/s"):
        assert row in out
    assert ESC not in out
    assert err == ""


def test_demo_with_a_key_asks_the_server(server: Simulator, capsys: Captured) -> None:
    assert run(["demo", "--requests", "3"]) == 0
    out = capsys.readouterr().out
    assert f"deepseek-flash at {server.base_url}" in out
    assert "billed" not in out
    assert len(server.requests) == 5


def test_demo_can_be_made_to_simulate(server: Simulator, capsys: Captured) -> None:
    assert run(["demo", "--simulate", "--pace", "0", "--requests", "2"]) == 0
    assert "deepseek-flash at the built-in simulator" in capsys.readouterr().out
    assert not server.requests


def test_demo_counts_failed_requests(server: Simulator, capsys: Captured) -> None:
    is_fan_out = lambda body: "max_tokens" in body  # noqa: E731
    server.script(Reply.error("content_risk", match=is_fan_out))
    assert run(["demo", "--requests", "5"]) == 1
    out, err = capsys.readouterr()
    assert "5/5 requests" in out
    assert (
        err
        == "error: 1 of 5 requests failed, the first with: 400: Content Exists Risk"
        + (err[err.index(" (request id") :])
    )


def test_demo_stops_when_the_balance_is_used_up(server: Simulator, capsys: Captured) -> None:
    is_fan_out = lambda body: "max_tokens" in body  # noqa: E731
    server.script(*[Reply.error("insufficient_balance", match=is_fan_out)] * 4)
    assert run(["demo", "--requests", "4"]) == 1
    assert "402: Insufficient Balance" in capsys.readouterr().err


async def test_demo_draws_a_bar_on_a_terminal(live: Terminal) -> None:
    options = DemoOptions("deepseek-flash", requests=4, pace=20)
    assert await run_demo(SIMULATED, options, live.screen, keyless=True) == 0
    assert "━" in live.text
    assert "4/4" in live.text
    assert "• " not in live.text
    # The cursor is hidden while the bar is drawn.
    assert live.text.count("\x1b[?25l") == live.text.count("\x1b[?25h") == 1


async def test_demo_says_how_many_requests_run_at_a_time(piped: Terminal) -> None:
    options = DemoOptions("deepseek-flash", requests=500, pace=0)
    assert await run_demo(SIMULATED, options, piped.screen, keyless=False) == 0
    assert "3. 500 requests, 400 at a time" in piped.text


@pytest.mark.parametrize(("limit", "told"), [(84, "12 requests, 10 at a time"), (-1, "at once")])
async def test_demo_keeps_below_the_descriptor_limit(
    limit: int, told: str, piped: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _: (limit, limit))
    options = DemoOptions("deepseek-flash", requests=12, pace=0)
    assert await run_demo(SIMULATED, options, piped.screen, keyless=False) == 0
    assert told in piped.text


async def test_demo_ends_when_its_output_breaks(piped: Terminal) -> None:
    class Broken(io.StringIO):
        def write(self, text: str) -> int:
            if "5/5 requests" in text:
                raise BrokenPipeError
            return super().write(text)

    piped.screen.console.file = Broken()
    options = DemoOptions("deepseek-flash", requests=5, pace=0)
    with pytest.raises(BrokenPipeError):
        await run_demo(SIMULATED, options, piped.screen, keyless=False)


def test_chat_answers_one_question(server: Simulator, capsys: Captured) -> None:
    server.script(Reply("Because \x1b[31mit is.", reasoning="Well."))
    assert run(["chat", "Why?", "--system", "Be brief."]) == 0
    out, err = capsys.readouterr()
    assert out == "Because [31mit is.\n"
    assert err.startswith("Reasoning:\nWell.\n\n")
    assert " out · cost unknown · first token " in err
    body = server.requests[0].body
    assert body is not None
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert "thinking" not in body


def test_chat_can_do_without_reasoning(server: Simulator, capsys: Captured) -> None:
    server.script(Reply("Yes.", reasoning="Hm."), Reply("No.", reasoning="Hm."))
    assert run(["chat", "?", "--no-thinking", "--plain", "--model", "deepseek-v4-pro"]) == 0
    assert run(["chat", "?", "--hide-reasoning"]) == 0
    out, err = capsys.readouterr()
    assert out == "Yes.\nNo.\n"
    assert "Hm." not in err
    body = server.requests[0].body
    assert body is not None
    assert body["thinking"] == {"type": "disabled"}
    assert body["model"] == "deepseek-v4-pro"


def test_chat_tells_of_an_answer_that_ended_early(server: Simulator, capsys: Captured) -> None:
    server.script(Reply("Half", finish_reason="length"))
    assert run(["chat", "?"]) == 0
    assert "ended early: length" in capsys.readouterr().err


def test_chat_reads_the_prompt_from_a_pipe(
    server: Simulator, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    give(monkeypatch, b"How?\xff\n")
    assert run(["chat"]) == 0
    body = server.requests[0].body
    assert body is not None
    assert body["messages"][-1]["content"] == "How?\ufffd"
    assert capsys.readouterr().out


def test_chat_shows_the_queue(server: Simulator, capsys: Captured) -> None:
    server.script(Reply("Here.", queue_seconds=0.2))
    assert run(["chat", "?"]) == 0
    assert "waiting in the server's queue, 0 s" in capsys.readouterr().err


async def test_chat_on_a_terminal_shows_all_in_one_place(live: Terminal) -> None:
    assert await ask_once("Hello", SIMULATED, OPTIONS, live.screen) == 0
    assert f"{ESC}[2m" in live.text
    assert "tokens/s" in live.text
    assert "simulator" in live.text


@pytest.mark.parametrize("given", [b"", b" \n"])
def test_chat_without_any_prompt_is_wrong_usage(
    given: bytes, server: Simulator, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    give(monkeypatch, given)
    assert run(["chat"]) == 2
    monkeypatch.setattr(sys, "stdin", None)
    assert run(["chat"]) == 2
    assert run(["chat", " "]) == 2
    assert capsys.readouterr().err.count("error: ") == 3


def test_chat_tells_what_a_cut_stream_brought(server: Simulator, capsys: Captured) -> None:
    server.script(Reply("one two three four", reasoning="hm"))
    server.faults(Fault("cut", after_events=4))
    assert run(["chat", "?"]) == 1
    out, err = capsys.readouterr()
    assert out == "one two\n"
    assert "received 7 characters of the answer and 2 of its reasoning" in err


ERRORS = {
    "insufficient_balance": "402: Insufficient Balance",
    "rate_limit": "429: Rate limit reached",
    "concurrency_limit": "429: Your current concurrency",
}


@pytest.mark.parametrize(("name", "line"), ERRORS.items())
def test_chat_tells_refusals_in_one_line(
    name: str, line: str, server: Simulator, capsys: Captured
) -> None:
    server.script(*[Reply.error(name, retry_after=0)] * 5)
    assert run(["chat", "?"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"error: {line}")
    assert err.count("\n") == 1


def test_a_wrong_key_is_told_and_not_shown(
    server: Simulator, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEPSEEK_API_KEY", "sk-bad-secret-1234")
    for arguments in (["chat", "?"], ["models"], ["balance"], ["demo"]):
        assert run(arguments) == 1
    err = capsys.readouterr().err
    assert err.count("401: ") == err.count("\n") == 4
    assert "check DEEPSEEK_API_KEY" in err
    assert "secret" not in err


@pytest.mark.parametrize("url", ["localhost:1", "ftp://x", "http://", "http://user:pw@x"])
def test_a_bad_base_url_is_wrong_usage(url: str, server: Simulator, capsys: Captured) -> None:
    assert run(["chat", "?", "--base-url", url]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: base_url")
    assert "pw" not in err.replace("password", "")


@pytest.mark.parametrize("arguments", [["chat", "?"], ["models"], ["balance"]])
def test_no_key_is_wrong_usage(arguments: list[str], capsys: Captured) -> None:
    assert run(arguments) == 2
    err = capsys.readouterr().err
    assert "set DEEPSEEK_API_KEY" in err
    assert "--simulate" in err


def test_simulator_and_base_url_exclude_each_other(capsys: Captured) -> None:
    assert run(["demo", "--simulate", "--base-url", "http://x"]) == 2
    assert run(["demo", "--base-url", "http://x"]) == 2
    err = capsys.readouterr().err
    assert "exclude each other" in err
    assert "no API key" in err


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["nope"], "error: No such command 'nope'"),
        (["chat", "--nope"], "error: No such option: --nope"),
        (["demo", "--requests", "0"], "error: Invalid value for '--requests': "),
    ],
)
def test_wrong_usage_is_told_in_one_line(arguments: list[str], line: str, capsys: Captured) -> None:
    assert run(arguments) == 2
    err = capsys.readouterr().err
    assert err.startswith(line)
    assert err.endswith(" --help\n")
    assert err.count("\n") == 1


def test_help_comes_without_a_command(capsys: Captured) -> None:
    assert run([]) == 2
    assert "Usage: deepseek-async" in "".join(capsys.readouterr())


@pytest.mark.parametrize("name", ["demo", "chat", "fim", "simulate", "models", "balance"])
def test_help_has_an_example(name: str, capsys: Captured) -> None:
    assert run([name, "--help"]) == 0
    out = capsys.readouterr().out
    assert f"deepseek-async {name}" in out.partition("Example: ")[2]
    assert name == "simulate" or "--pace" not in out


def test_version(capsys: Captured) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("deepseek-async ")


def test_models_and_balance_are_tables(capsys: Captured) -> None:
    assert run(["models", "--simulate"]) == 0
    assert run(["balance", "--simulate"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["deepseek-flash", "deepseek"] in rows
    assert ["USD", "15.50", "0.50", "15.00"] in rows


def test_balance_fails_if_nothing_is_left(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    class User:
        async def balance(self) -> Balance:
            return Balance(is_available=False, balance_infos=[])

    client = SimpleNamespace(client=SimpleNamespace(user=User()))
    monkeypatch.setattr(account, "connect", lambda target: nullcontext(client))
    assert run(["balance", "--simulate"]) == 1
    assert "does not suffice" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_a_closed_output_loses_what_goes_there(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, name, None)
    assert run(["models", "--simulate"]) == 0
    getattr(sys, name).close()


def test_simulate_tells_that_a_port_is_taken(capsys: Captured) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert run(["simulate", "--port", port]) == 1
    err = capsys.readouterr().err
    assert err == (
        f"error: port {port} on 127.0.0.1 is in use: choose another one with --port, or 0 for any\n"
    )


def test_simulate_tells_that_it_cannot_listen(capsys: Captured) -> None:
    # An address for documentation: no machine has it.
    assert run(["simulate", "--host", "192.0.2.1", "--port", "0"]) == 1
    assert "error: can't listen on 192.0.2.1 port 0: " in capsys.readouterr().err


def test_simulate_ends_with_ctrl_c(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    async def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "serve", interrupted)
    assert run(["simulate"]) == 0
    assert capsys.readouterr().err == ""


async def test_simulate_introduces_itself_and_stops(piped: Terminal) -> None:
    task = asyncio.create_task(serve(piped.screen, "127.0.0.1", 0, {"seed": 1}))
    async with asyncio.timeout(10):
        while "AsyncDeepSeek" not in piped.text:
            await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert "curl -N http://127.0.0.1:" in piped.text


@pytest.mark.parametrize(
    ("raised", "status", "told"),
    [
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (BrokenPipeError(), 1, ""),
        (SystemExit(1), 1, ""),
        (SystemExit("x"), 1, ""),
        (OSError(28, "No space left on device"), 1, "error: No space left on device\n"),
    ],
)
def test_what_ends_a_command_becomes_its_status(
    raised: BaseException,
    status: int,
    told: str,
    capsys: Captured,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def failing(*_: object, **options: object) -> None:
        raise raised

    monkeypatch.setattr(commands, "show_models", failing)
    # What replaces stdout after a broken pipe would replace that of the tests.
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert run(["models", "--simulate"]) == status
    assert capsys.readouterr().err == told


def test_warnings_are_one_line(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    async def warning(*_: object, **options: object) -> int:
        warnings.simplefilter("always")
        warnings.warn("few\ndescriptors", stacklevel=1)
        return 0

    monkeypatch.setattr(commands, "show_models", warning)
    assert run(["models", "--simulate"]) == 0
    assert capsys.readouterr().err == "warning: few descriptors\n"


def test_conversation_remembers_until_reset(server: Simulator, live: Terminal) -> None:
    lines = lines_of("My name is Ada.", "", "/help", "What is my name?", "/reset", "And now?")
    options = ChatOptions("deepseek-flash", system="Be kind.")
    assert converse(lines.__next__, Target(), options, live.screen) == 0
    sent = [len(request.body["messages"]) for request in server.requests if request.body]
    assert sent == [2, 4, 2]
    assert "forgotten" in live.text


@pytest.mark.parametrize("word", ["/exit", "/quit"])
def test_conversation_ends_when_asked_to(word: str, piped: Terminal) -> None:
    assert converse(lines_of(word).__next__, SIMULATED, OPTIONS, piped.screen) == 0
    assert "the built-in simulator" in piped.notes


def test_conversation_survives_a_failed_answer(server: Simulator, piped: Terminal) -> None:
    server.script(Reply.error("content_risk"), Replay(NO_CHOICES))
    lines = lines_of("one", "two", "three")
    assert converse(lines.__next__, Target(), OPTIONS, piped.screen) == 0
    assert "error: 400: Content Exists Risk" in piped.notes
    body = server.requests[-1].body
    assert body is not None
    assert body["messages"] == [{"role": "user", "content": "three"}]


def test_conversation_ends_with_a_wrong_key(
    server: Simulator, piped: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEPSEEK_API_KEY", "sk-bad-0000")
    assert converse(lines_of("one", "two").__next__, Target(), OPTIONS, piped.screen) == 1
    assert len(server.requests) == 1


def test_conversation_ignores_ctrl_c_at_the_prompt(piped: Terminal) -> None:
    pressed = iter([True])

    def read() -> str:
        if next(pressed, False):
            raise KeyboardInterrupt
        raise EOFError

    assert converse(read, SIMULATED, OPTIONS, piped.screen) == 0
    assert "Ctrl-D leaves" in piped.notes


def test_conversation_fails_when_its_output_breaks(piped: Terminal) -> None:
    class Broken(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    piped.screen.console.file = Broken()
    with pytest.raises(BrokenPipeError):
        converse(lines_of("one").__next__, SIMULATED, OPTIONS, piped.screen)


def test_lines_are_read_with_input_on_a_terminal(
    live: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(chat, "importlib", SimpleNamespace(import_module=missing))
    monkeypatch.setattr(live.out, "isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda prompt: f"{prompt}typed")
    assert read_line(live.screen)() == "> typed"


def test_lines_are_read_from_stdin_when_stdout_is_a_file(
    piped: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    give(monkeypatch, b"one\n")
    read = read_line(piped.screen)
    assert read() == "one\n"
    with pytest.raises(EOFError):
        read()
    assert piped.notes == "> > "
