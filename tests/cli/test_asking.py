"""Options of ``chat``, JSON mode, and JSON for scripts."""

import json
from typing import Any

import pytest

from deepseek_async import DeepSeekWarning
from deepseek_async.cli.app import run
from deepseek_async.cli.asking import ChatOptions
from deepseek_async.cli.chat import ask_once, converse
from deepseek_async.cli.connection import Target
from deepseek_async.simulator import Fault, Replay, Reply, Simulator

from .conftest import StartSimulator, Terminal
from .test_commands import NO_CHOICES, lines_of

Captured = pytest.CaptureFixture[str]
INSTRUCTION = "Answer with one JSON object, and nothing else."
JSON_OPTIONS = ChatOptions("deepseek-flash", json=True)


def body_of(server: Simulator) -> dict[str, Any]:
    body = server.requests[-1].body
    assert body is not None
    return dict(body)


def test_what_is_not_asked_for_is_not_sent(server: Simulator, capsys: Captured) -> None:
    assert run(["chat", "Hi"]) == 0
    assert set(body_of(server)) == {"model", "messages", "stream"}


def test_options_become_parameters(server: Simulator, capsys: Captured) -> None:
    options = "-m deepseek-v4-pro --thinking --effort low --max-tokens 50 --temperature 1"
    assert run(["chat", "Hi", *options.split(), "--stop", "END", "--stop", "\n\n"]) == 0
    body = body_of(server)
    assert body["model"] == "deepseek-v4-pro"
    assert body["thinking"] == {"type": "enabled"}
    assert body["reasoning_effort"] == "low"
    assert body["max_tokens"] == 50
    assert body["temperature"] == 1
    assert body["stop"] == ["END", "\n\n"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--effort", "silly"], "error: reasoning_effort must be one of "),
        (["--max-tokens", "0"], "error: Invalid value for '--max-tokens'"),
        (["--auto-continue", "-1"], "error: Invalid value for '--auto-continue'"),
        (["--resume", "5000"], "error: resume must be a whole number from 0 to 1000"),
    ],
)
def test_what_cannot_be_meant_is_told_in_one_line(
    arguments: list[str], told: str, capsys: Captured
) -> None:
    assert run(["chat", "Hi", "--simulate", *arguments]) == 2
    err = capsys.readouterr().err
    assert err.startswith(told)
    assert err.count("\n") == 1


@pytest.mark.filterwarnings("default::deepseek_async.DeepSeekWarning")
def test_what_has_no_effect_is_warned_of_in_one_line(capsys: Captured) -> None:
    assert issubclass(DeepSeekWarning, UserWarning)
    assert run(["chat", "Hi", "--simulate", "--temperature", "0.3", "--hide-reasoning"]) == 0
    err = capsys.readouterr().err
    assert err.startswith("warning: temperature=0.3 has no effect while thinking")
    assert "pass --no-thinking if you need it" in err
    assert ".py" not in err
    assert err.count("\n") == 2


def test_a_long_answer_is_continued(capsys: Captured) -> None:
    arguments = ["--no-thinking", "--max-tokens", "6", "--auto-continue", "2"]
    assert run(["chat", "Hi", "--simulate", *arguments]) == 0
    out, err = capsys.readouterr()
    assert len(out.split()) > 6
    assert err.startswith("3 requests · ")
    assert "$0.0" in err


@pytest.fixture
def deepseek(start_simulator: StartSimulator, monkeypatch: pytest.MonkeyPatch) -> Simulator:
    """A simulator in place of the built-in one, so that it can be scripted."""
    sim = start_simulator()

    def running(**options: object) -> _Running:
        return _Running(sim)

    monkeypatch.setattr("deepseek_async.simulator.Simulator", running)
    return sim


class _Running:
    def __init__(self, sim: Simulator) -> None:
        self._sim = sim

    async def __aenter__(self) -> Simulator:
        return self._sim

    async def __aexit__(self, *exc_info: object) -> None:
        pass


def test_a_broken_answer_is_resumed(deepseek: Simulator, capsys: Captured) -> None:
    deepseek.script(Reply("one two three four"), Reply(" five"))
    deepseek.faults(Fault("cut", after_events=3))
    assert run(["chat", "Count", "--simulate", "--no-thinking", "--resume", "2"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("one two")
    assert "2 requests" in err


def test_json_goes_out_whole_and_as_it_is(server: Simulator, capsys: Captured) -> None:
    server.script(Reply('{"a":\t"\u202eb"}', reasoning="Hm."))
    assert run(["chat", "Fruit?", "--json"]) == 0
    out, err = capsys.readouterr()
    assert out == '{"a":\t"\u202eb"}\n'
    assert "Hm." in err
    body = body_of(server)
    assert body["response_format"] == {"type": "json_object"}
    assert body["messages"] == [
        {"role": "system", "content": INSTRUCTION},
        {"role": "user", "content": "Fruit?"},
    ]


@pytest.mark.parametrize(
    ("prompt", "given", "system"),
    [
        ("Fruit as json", None, None),
        ("Fruit", "As JSON.", "As JSON."),
        ("Fruit", None, INSTRUCTION),
        ("Fruit", "Brief.", f"Brief.\n\n{INSTRUCTION}"),
    ],
)
def test_the_word_json_is_added_where_it_is_missing(
    prompt: str, given: str | None, system: str | None
) -> None:
    options = ChatOptions("m", given, json=True)
    expected = [] if system is None else [{"role": "system", "content": system}]
    assert options.beginning(prompt) == expected


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (Reply("Sure! {}"), "the answer is not JSON: JSON is malformed: "),
        (Reply('{"a": 1'), "the answer is not JSON: Input data was truncated; it begins with "),
        (Reply('{"a"', finish_reason="length"), "the answer is not JSON, since it was cut off; "),
        (Reply(" "), "the answer is empty, as happens in JSON mode; "),
        (Replay(NO_CHOICES), "the answer is empty, as happens in JSON mode; "),
    ],
)
def test_what_is_not_json_fails_and_is_not_put_out(
    reply: Reply | Replay, told: str, server: Simulator, capsys: Captured
) -> None:
    server.script(reply)
    assert run(["chat", "JSON?", "--json"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[-1].startswith(f"error: {told}")


async def test_json_on_a_terminal_is_shown_as_it_comes(server: Simulator, live: Terminal) -> None:
    server.script(Reply('{"a": "**b** `c`"}\n'))
    assert await ask_once("JSON?", Target(), JSON_OPTIONS, live.screen) == 0
    assert live.text.startswith('{"a": "**b** `c`"}\n\x1b[2m')


def test_a_conversation_goes_on_after_an_answer_that_is_not_json(
    server: Simulator, piped: Terminal
) -> None:
    server.script(Reply("Sure!"), Reply('{"b": 2}'))
    assert converse(lines_of("One", "Two").__next__, Target(), JSON_OPTIONS, piped.screen) == 0
    assert piped.text == '{"b": 2}\n'
    assert "error: the answer is not JSON" in piped.notes
    messages = body_of(server)["messages"]
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "user"]


def test_a_conversation_ends_with_what_it_cost(live: Terminal) -> None:
    options = ChatOptions("deepseek-flash", thinking=False)
    target = Target(simulate=True)
    assert converse(lines_of("One", "Two").__next__, target, options, live.screen) == 0
    assert "2 answers · $0.0" in live.text.splitlines()[-1]
    assert converse(lines_of("One").__next__, target, options, live.screen) == 0
    assert "1 answer" not in live.text


def test_models_and_balance_are_json_for_scripts(capsys: Captured) -> None:
    assert run(["models", "--simulate", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert listed["data"][0]["id"] == "deepseek-flash"
    assert run(["balance", "--simulate", "--json"]) == 0
    balance = json.loads(capsys.readouterr().out)
    assert balance["is_available"] is True
    amounts = {info["currency"]: info["total_balance"] for info in balance["balance_infos"]}
    assert amounts == {"CNY": "110.00", "USD": "15.50"}
