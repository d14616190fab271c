"""``chat --tool``: functions from files and modules, and how their calls are shown."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deepseek_async import ToolDoneEvent, ToolStartedEvent
from deepseek_async.cli.app import run
from deepseek_async.cli.asking import ChatOptions
from deepseek_async.cli.chat import ask_once, converse
from deepseek_async.cli.connection import Target
from deepseek_async.cli.failures import UsageProblem
from deepseek_async.cli.screen import StatusLine
from deepseek_async.cli.tool_calls import ToolRunView
from deepseek_async.cli.tool_files import load_tools
from deepseek_async.simulator import Reply, Simulator

from .conftest import Terminal
from .screens import shown
from .test_asking import body_of
from .test_commands import lines_of

Captured = pytest.CaptureFixture[str]

SOURCE = '''
from dataclasses import dataclass
from deepseek_async import tool
from city_data import SUN

@dataclass
class Place:
    name: str

def weather(city: str) -> str:
    """Tell the weather."""
    return f"{SUN} in {city}"

@tool(name="where")
async def find(place: Place) -> Place:
    return place

def broken(city: str) -> str:
    raise RuntimeError("no\\nsatellite")

def untyped(city): ...

def odd(city: type) -> str: ...

number = 3
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "city_tools.py").write_text(SOURCE)
    (tmp_path / "city_data.py").write_text('SUN = "sunny"\n')
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith(("city_", "_tools_")):
            del sys.modules[name]


def calling(*calls: tuple[str, dict[str, object]], text: str | None = None) -> Reply:
    return Reply(text, tool_calls=calls)


def test_functions_come_from_files_and_modules(folder: Path) -> None:
    named = ["city_tools.py:weather", str(folder / "city_tools.py:find"), "city_tools:broken"]
    assert [tool.name for tool in load_tools(named)] == ["weather", "where", "broken"]


def test_a_file_is_run_once(folder: Path) -> None:
    (folder / "once.py").write_text("made = []\ndef f() -> str: ...\ndef g() -> str: ...\n")
    first, second = load_tools(["once.py:f", "once.py:g"])
    assert first.__wrapped__.__globals__ is second.__wrapped__.__globals__  # type: ignore[attr-defined]  # set by update_wrapper


def test_a_file_does_not_stand_in_for_a_module_of_its_name(folder: Path) -> None:
    (folder / "json.py").write_text("def f() -> str: ...\n")
    load_tools(["json.py:f"])
    assert sys.modules["json"] is json


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("city_tools.py", "--tool takes FILE.py:function or module:function, got 'city_tools.py'"),
        ("city_tools.py:", "got 'city_tools.py:'"),
        (":weather", "got ':weather'"),
        ("nope.py:f", "--tool: there is no file nope.py"),
        ("nope:f", "there is no module nope; a file is named with its ending: nope.py"),
        ("city_tools.nope:f", "there is no module city_tools.nope"),
        ("city_tools.py:nope", "has no function 'nope'; its functions: weather, find, broken, "),
        ("city_data.py:nope", "city_data.py has no function 'nope'; its functions: none"),
        ("city_tools.py:number", "number of city_tools.py is no function but of type int"),
        ("city_tools.py:untyped", "city_tools.py: untyped() can't be a tool: its parameter 'city'"),
        ("city_tools.py:odd", "city_tools.py: odd() can't be a tool, because of its parameter"),
        ("city_tools.py:Place", "Place is a class; only what does something is a tool"),
        ("syntax.py:f", "syntax.py, line 2: "),
        ("raising.py:f", "raising.py can't be run: ValueError: bad luck"),
        ("exiting.py:f", "exiting.py can't be run: SystemExit: 3"),
        ("needing.py:f", "needing.py can't be run: ModuleNotFoundError: No module named 'nope'"),
        ("needing:f", "needing can't be run: ModuleNotFoundError: No module named 'nope'"),
        ("asserting.py:f", "asserting.py can't be run: AssertionError"),
    ],
)
def test_what_cannot_be_a_tool_is_told(name: str, told: str, folder: Path) -> None:
    (folder / "syntax.py").write_text("x = 1\ndef f(:\n")
    (folder / "raising.py").write_text("raise ValueError('bad luck')\n")
    (folder / "exiting.py").write_text("raise SystemExit(3)\n")
    (folder / "needing.py").write_text("import nope\n")
    (folder / "asserting.py").write_text("assert False\n")
    with pytest.raises(UsageProblem, match=re.escape(told)):
        load_tools([name])


def test_a_missing_tool_is_wrong_usage(folder: Path, capsys: Captured) -> None:
    assert run(["chat", "Hi", "--simulate", "--tool", "nope.py:f"]) == 2
    assert capsys.readouterr().err == "error: --tool: there is no file nope.py\n"
    assert run(["chat", "Hi", "--simulate", *["--tool", "city_tools.py:weather"] * 2]) == 2
    assert capsys.readouterr().err.startswith('error: two tools are named "weather"')


def test_the_model_calls_functions_of_this_machine(
    folder: Path, server: Simulator, capsys: Captured
) -> None:
    server.script(
        calling(("weather", {"city": "Oslo"}), ("broken", {"city": "Bonn"})),
        Reply("It is sunny.", reasoning="So."),
    )
    tools = ["--tool", "city_tools.py:weather", "--tool", "city_tools.py:broken"]
    assert run(["chat", "Weather?", *tools]) == 0
    out, err = capsys.readouterr()
    assert out == "It is sunny.\n"
    lines = err.splitlines()
    for line in (
        "→ weather(city='Oslo')",
        "→ broken(city='Bonn')",
        "← weather: sunny in Oslo",
        "✗ broken: Error: RuntimeError: no satellite",
    ):
        assert line in lines
    assert lines[-1].startswith("2 requests · ")
    assert "Reasoning:\nSo.\n" in err


async def test_calls_are_dimmed_on_a_terminal(
    folder: Path, server: Simulator, live: Terminal
) -> None:
    server.script(
        calling(("weather", {"city": "Oslo"}), text="Let me see."), Reply("It is **sunny**.")
    )
    options = ChatOptions("deepseek-flash", tools=load_tools(["city_tools.py:weather"]))
    assert await ask_once("Weather?", Target(), options, live.screen) == 0
    assert (
        "\x1b[2m→ weather(city='Oslo')\x1b[0m\n\x1b[2m← weather: sunny in Oslo\x1b[0m\n"
        in live.text
    )
    assert "It is \x1b[1msunny\x1b[0m.\n" in live.text
    assert shown(live.text)[:4] == [
        "Let me see.", "→ weather(city='Oslo')", "← weather: sunny in Oslo", "It is sunny.",
    ]  # fmt: skip


def test_calls_stay_part_of_a_conversation(
    folder: Path, server: Simulator, piped: Terminal
) -> None:
    server.script(calling(("weather", {"city": "Oslo"})), Reply("Sunny."), Reply("Yes."))
    options = ChatOptions("deepseek-flash", tools=load_tools(["city_tools.py:weather"]))
    assert converse(lines_of("Weather?", "Sure?").__next__, Target(), options, piped.screen) == 0
    messages = body_of(server)["messages"]
    assert [message["role"] for message in messages] == [
        "user", "assistant", "tool", "assistant", "user",
    ]  # fmt: skip


def test_an_answer_that_was_cut_off_is_one_all_the_same(
    folder: Path, server: Simulator, piped: Terminal
) -> None:
    server.script(Reply("Half", finish_reason="length"), Reply("Whole."))
    options = ChatOptions("deepseek-flash", tools=load_tools(["city_tools.py:weather"]))
    assert converse(lines_of("One", "Two").__next__, Target(), options, piped.screen) == 0
    assert piped.text == "Half\nWhole.\n"
    assert "ended early: length" in piped.notes
    messages = body_of(server)["messages"]
    assert messages[1]["content"] == "Half"


def test_calls_that_were_cut_off_fail(folder: Path, server: Simulator, capsys: Captured) -> None:
    server.script(Reply(tool_calls=[("weather", {"city": "Oslo"})], finish_reason="length"))
    assert run(["chat", "Weather?", "--tool", "city_tools.py:weather"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "error: the answer was cut off" in err
    assert "→" not in err


def test_a_model_that_never_answers_fails(
    folder: Path, server: Simulator, capsys: Captured
) -> None:
    server.script(*[calling(("weather", {"city": "Oslo"}))] * 10)
    assert run(["chat", "Weather?", "--tool", "city_tools.py:weather"]) == 1
    told = "error: the model calls tools again and again and gives no answer; ask for less "
    told += "at once, or allow more with --max-turns"
    assert capsys.readouterr().err.splitlines()[-1] == told


async def test_several_calls_are_waited_for_by_name(live: Terminal) -> None:
    status = StatusLine(live.screen.notes, live=False)
    told: list[str] = []
    status.show = lambda text, *, elapsed=0.0: told.append(text)  # type: ignore[method-assign]  # what it is given counts
    view = ToolRunView(live.screen, status)
    view.started(ToolStartedEvent(1, 0, "a", "f", '{"x": 1}'))
    view.started(ToolStartedEvent(1, 1, "b", "g", "[oops"))
    view.done(ToolDoneEvent(1, 0, "a", "f", "long " * 100, False, 0.1))
    view.done(ToolDoneEvent(1, 1, "b", "g", "no", True, 0.1))
    assert told == ["running f", "running f, g", "running g", "waiting for the first token"]
    lines = live.text.replace("\x1b[2m", "").replace("\x1b[0m", "").replace("\n", " ")
    assert "→ f(x=1) → g([oops) ← f: long long" in lines
    assert "… ✗ g: no" in lines
