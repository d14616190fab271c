"""``fim``: arguments, what is piped in, what comes out."""

import re

import pytest

from deepseek_async.cli.app import run
from deepseek_async.cli.connection import Target
from deepseek_async.cli.failures import UsageProblem
from deepseek_async.cli.fim import FimOptions, fill, split_gap
from deepseek_async.simulator import Fault, Reply, Simulator

from .conftest import Terminal, run_command
from .test_asking import body_of
from .test_commands import give

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def server(server: Simulator, monkeypatch: pytest.MonkeyPatch) -> Simulator:
    """A simulator where other hosts are asked: not all have DeepSeek's beta address."""
    monkeypatch.setenv("DEEPSEEK_BASE_URL", f"{server.base_url}/beta")
    return server


def test_the_gap_is_filled_and_nothing_else_put_out(server: Simulator, capsys: Captured) -> None:
    server.script(Reply("\treturn a + b\x0c"))
    assert run(["fim", "def add(a, b):\n<fill>\n\nprint(1)\n"]) == 0
    out, err = capsys.readouterr()
    assert out == "\treturn a + b\x0c"
    assert re.fullmatch(r"\d+ in · \d+ out · cost unknown · first token .*\n", err)
    body = body_of(server)
    assert body["model"] == "deepseek-v4-pro"
    assert body["prompt"] == "def add(a, b):\n"
    assert body["suffix"] == "\n\nprint(1)\n"
    assert "echo" not in body


def test_options_become_parameters(server: Simulator, capsys: Captured) -> None:
    options = ["--suffix", ")", "-m", "deepseek-flash", "--max-tokens", "9", "--temperature", "0"]
    assert run(["fim", "f(", *options, "--stop", "\n", "--stop", ";", "--echo"]) == 0
    body = body_of(server)
    assert (body["prompt"], body["suffix"], body["model"]) == ("f(", ")", "deepseek-flash")
    assert (body["max_tokens"], body["temperature"]) == (9, 0)
    assert (body["stop"], body["echo"]) == (["\n", ";"], True)
    assert capsys.readouterr().out.startswith("f(")


def test_the_text_is_piped_in_as_it_is(
    server: Simulator, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    give(monkeypatch, b"  x = <fill>\n\n")
    assert run(["fim"]) == 0
    body = body_of(server)
    assert (body["prompt"], body["suffix"]) == ("  x = ", "\n\n")
    give(monkeypatch, b"x = \n")
    assert run(["fim"]) == 0
    body = body_of(server)
    assert body["prompt"] == "x = \n"
    assert "suffix" not in body


@pytest.mark.parametrize(
    ("text", "suffix", "parts"),
    [
        ("a", None, ("a", None)),
        ("a", "b", ("a", "b")),
        ("a<fill>", None, ("a", "")),
        ("<fill>b", None, ("", "b")),
    ],
)
def test_a_marker_splits_the_text(
    text: str, suffix: str | None, parts: tuple[str, str | None]
) -> None:
    assert split_gap(text, suffix) == parts


@pytest.mark.parametrize(
    ("text", "suffix", "told"),
    [
        ("<fill>a<fill>", None, "2 times <fill>"),
        ("a<fill>b", "c", "exclude each other"),
        ("", None, "empty"),
        ("<fill>", None, "empty"),
    ],
)
def test_texts_without_one_gap_are_refused(text: str, suffix: str | None, told: str) -> None:
    with pytest.raises(UsageProblem, match=told):
        split_gap(text, suffix)


def test_without_a_key_or_a_prompt_it_is_wrong_usage(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(["fim", "a"]) == 2
    assert "try deepseek-async fim --simulate" in capsys.readouterr().err
    give(monkeypatch, b"")
    assert run(["fim", "--simulate"]) == 2
    monkeypatch.setattr("sys.stdin", None)
    assert run(["fim", "--simulate"]) == 2
    assert capsys.readouterr().err.count("error: no prompt: ") == 2


def test_a_broken_answer_fails(server: Simulator, capsys: Captured) -> None:
    server.script(Reply("one two three four"))
    server.faults(Fault("cut", after_events=2))
    assert run(["fim", "a"]) == 1
    out, err = capsys.readouterr()
    assert out == "one two"
    assert err.startswith("error: ")
    assert err.count("\n") == 1


async def test_on_a_terminal_it_ends_with_a_line(server: Simulator, live: Terminal) -> None:
    server.script(
        Reply("one\x1b[1m", queue_seconds=0.2),
        Reply("two\n", finish_reason="length"),
    )
    options = FimOptions("deepseek-v4-pro", "a")
    assert await fill(Target(), options, live.screen) == 0
    assert live.text.startswith("one[1m\n\x1b[2m")
    assert await fill(Target(), options, live.screen) == 0
    assert "\ntwo\n\x1b[2m" in live.text
    assert "early: length" in live.text


def test_it_works_in_a_pipe_without_a_key() -> None:
    done = run_command("fim", "--simulate", given=b"def f(x):\n\treturn <fill>\n")
    assert done.returncode == 0
    assert done.stdout
    assert not done.stdout.endswith("\n")
