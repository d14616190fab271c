"""Script files: what they can say, and what is said about their mistakes."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import re
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from deepseek_async import AsyncDeepSeek
from deepseek_async.cli.app import run
from deepseek_async.simulator import (
    Constant,
    Fault,
    LogNormal,
    Options,
    Replay,
    Reply,
    ScriptFileError,
    Simulator,
    Uniform,
    When,
    load_script,
)

DOCUMENT = Path(__file__).parents[2] / "docs" / "simulator.md"


def written(folder: Path, content: object) -> Path:
    path = folder / "script.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_the_documented_example_can_be_loaded(tmp_path: Path) -> None:
    example = re.search(r"```json\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert example is not None
    (tmp_path / "recorded.sse").write_bytes(b"data: [DONE]\n\n")
    script = load_script(written(tmp_path, example[1]))
    assert script.options == {
        "tokens_per_second": 40.0,
        "first_token_seconds": LogNormal(0.4, 0.5),
        "seed": 3,
    }
    assert script.replies == [
        Reply(
            reasoning="I should look it up.",
            tool_calls=(("weather", {"city": "Ulm"}),),
            match=When(text="weather", tools=["weather"], turn=1),
        ),
        Reply("It is 21 degrees.", match=When(turn=2), times="forever"),
        Reply('{"answer": 42}'),
        Reply.error("overloaded", retry_after=1, times=2),
        Replay(tmp_path / "recorded.sse", step=7, match=When(model="deepseek-v4-pro")),
        Reply("Cut", fault=Fault("cut", after_events=3)),
    ]
    assert script.faults == [
        Fault("rate_limit", times=3),
        None,
        Fault("cut", after_events=2, rate=0.05),
    ]


def test_a_script_can_set_every_option(tmp_path: Path) -> None:
    said = {"balance": {"USD": "1.50"}, "max_concurrency": "deepseek", "capacity": 2}
    options = load_script(written(tmp_path, {"options": said})).options
    assert options == {**said, "balance": {"USD": Decimal("1.50")}}
    Simulator(**options)
    every = dict.fromkeys((field.name for field in dataclasses.fields(Options)), None)
    # Null leaves all as it is but the one whose default isn't None.
    assert load_script(written(tmp_path, {"options": every})).options == {"cache_interval": None}


def test_an_empty_script_says_nothing(tmp_path: Path) -> None:
    script = load_script(written(tmp_path, {}))
    assert (script.options, script.replies, script.faults) == ({}, [], [])


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (3, 3.0),
        ({"constant": 3}, Constant(3.0)),
        ({"uniform": {"low": 1, "high": 2}}, Uniform(1.0, 2.0)),
        ({"lognormal": {"median": 2}}, LogNormal(2.0)),
    ],
)
def test_times_can_be_distributions(tmp_path: Path, said: object, expected: object) -> None:
    content = {"replies": [{"text": "x", "tokens_per_second": said}]}
    reply = load_script(written(tmp_path, content)).replies[0]
    assert isinstance(reply, Reply)
    assert reply.tokens_per_second == expected


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"replys": []}, "the file: object contains unknown field `replys`"),
        ({"replies": [{}, {"txt": "x"}]}, "replies[1]: object contains unknown field `txt`"),
        ({"replies": [{"when": {"turn": "2"}}]}, "replies[0].when.turn: expected `int | null`"),
        ({"replies": [{"text": "a", "json": 1}]}, "replies[0]: text and json can't be given"),
        ({"replies": [{"error": "none"}]}, "replies[0]: no error 'none'; there are"),
        ({"replies": [{"times": 0}]}, "replies[0]: a reply is for at least one request"),
        ({"replies": [{"replay": "x", "step": 0}]}, "replies[0]: a piece has at least one byte"),
        (
            {"faults": [{"kind": "cut"}, {"kind": "bang"}]},
            "faults[1]: no fault 'bang'; there are close",
        ),
        ({"faults": [{"kind": "cut", "rate": 2}]}, "faults[0]: a rate is from 0 to 1"),
        ({"options": {"tokens_per_second": {}}}, "options.tokens_per_second: give one of"),
        ({"options": {"seed": None, "sed": 1}}, "options: object contains unknown field `sed`"),
        ('{"replies": [\n  {"text": "x",}\n]}', "line 2, column 16: "),
        ('{"replies": [', "not JSON: "),
        ({"replies": [{"txt": "x"}]}, "replies[0]: object contains unknown field `txt`; known are"),
        ({"replies": [{"text": "x", "when": {"turn": 0}}]}, "replies[0]: turns are counted from 1"),
        # What would change nothing is a misunderstanding.
        ({"replies": [{"error": "overloaded", "reasoning": "x"}]}, "replies[0]: reasoning can't"),
        ({"replies": [{"replay": "x", "tool_calls": [{"name": "f"}]}]}, "replies[0]: tool_calls"),
        ({"replies": [{"text": "x", "step": 7}]}, "replies[0]: step can't be given with text"),
        ({"replies": [{"text": "x", "status": 503}]}, "replies[0]: text can't be given with"),
        ({"replies": [{"body": "x", "reasoning": "y"}]}, "replies[0]: reasoning can't be given"),
        ({"replies": [{"fault": {"kind": "cut", "rate": 0.5}}]}, "replies[0]: fault: rate and"),
        ({"replies": [{"usage": {"prompt_tokens": "x"}}]}, "replies[0]: usage.prompt_tokens is a"),
        ({"replies": [{"headers": {"A": "b\r\nC: d"}}]}, "replies[0]: header A can't be"),
    ],
)
def test_mistakes_are_told_with_their_place(tmp_path: Path, content: object, problem: str) -> None:
    (tmp_path / "x").write_bytes(b"data")
    path = written(tmp_path, content)
    with pytest.raises(ScriptFileError) as caught:
        load_script(path)
    assert str(caught.value).startswith(f"{path}: {problem}")


def test_a_missing_recording_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_script(written(tmp_path, {"replies": [{"replay": "nothing.sse"}]}))


async def test_a_script_file_runs(tmp_path: Path) -> None:
    content: dict[str, Any] = {
        "options": {"seed": 1},
        "replies": [{"text": "Hello!", "when": {"text": "Hi"}}],
        "faults": [{"kind": "rate_limit"}],
    }
    script = load_script(written(tmp_path, content))
    async with Simulator(**script.options) as sim, sim.client() as client:
        sim.script(*script.replies)
        sim.faults(*script.faults)
        found = await client.chat.completions.create(
            model="deepseek-flash", messages=[{"role": "user", "content": "Hi"}]
        )
    assert found.choices[0].message.content == "Hello!"
    assert found.attempts == 2


def test_the_command_tells_what_is_wrong_with_a_script(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, {"replies": [{"txt": "x"}]})
    assert run(["simulate", "--port", "0", "--script", str(path)]) == 2
    assert "replies[0]: object contains unknown field `txt`" in capsys.readouterr().err
    path = written(tmp_path, {"options": {"keep_alive_seconds": 0}})
    assert run(["simulate", "--port", "0", "--script", str(path)]) == 2
    assert "options: keep_alive_seconds must be positive" in capsys.readouterr().err
    assert run(["simulate", "--port", "0", "--script", str(tmp_path / "none.json")]) == 1
    assert "none.json: No such file" in capsys.readouterr().err


async def test_the_command_serves_a_script(tmp_path: Path) -> None:
    content = {"options": {"seed": 1}, "replies": [{"text": "Hello!"}]}
    path = written(tmp_path, content)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "deepseek_async", "simulate", "--port", "0"),
        *("--script", str(path)),
        cwd=DOCUMENT.parents[1],
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "200"},
    )
    assert process.stdout is not None
    try:
        line = (await process.stdout.readline()).decode()
        found = re.search(r"http://127\.0\.0\.1:\d+", line)
        assert found is not None
        async with AsyncDeepSeek("sk-any", base_url=found[0]) as client:
            completion = await client.chat.completions.create(
                model="deepseek-flash", messages=[{"role": "user", "content": "Hi"}]
            )
        assert completion.choices[0].message.content == "Hello!"
    finally:
        process.terminate()
        await process.wait()


def test_errors_can_have_faults(tmp_path: Path) -> None:
    content = {"replies": [{"error": "overloaded", "fault": {"kind": "delay", "seconds": 2}}]}
    reply = load_script(written(tmp_path, content)).replies[0]
    assert (reply.status, reply.fault) == (503, Fault("delay", seconds=2))


def test_the_mark_of_windows_editors_is_no_mistake_but_other_encodings_are(tmp_path: Path) -> None:
    path = tmp_path / "script.json"
    path.write_bytes(b'\xef\xbb\xbf{"options": {"cache_interval": null}}')
    assert load_script(path).options == {"cache_interval": None}
    path.write_bytes(b'{"replies": [\n{"text": "\xe9"}]}')
    with pytest.raises(ScriptFileError, match="line 2, column 11: this isn't UTF-8"):
        load_script(path)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"era": "2023"}, "no era '2023'; there are 2024-06"),
        ({"max_concurrency": "many"}, "max_concurrency is a number or 'deepseek', not 'many'"),
        ({"tokens_per_second": -4}, "tokens_per_second can't be -4"),
    ],
)
def test_the_command_tells_which_option_makes_no_sense(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: dict[str, Any], problem: str
) -> None:
    path = written(tmp_path, {"options": options})
    assert run(["simulate", "--port", "0", "--script", str(path)]) == 2
    assert f"script.json: options: {problem}" in " ".join(capsys.readouterr().err.split())
