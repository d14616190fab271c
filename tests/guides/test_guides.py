"""The programs of DeepSeek's guides run as they are, with `compat` in place of the OpenAI SDK.

Each stands in ``programs`` as somebody would write it who has read the guide and wants it
asynchronous. The address in it is the real one; its copy here has the simulator's instead.
"""

import asyncio
import json
import os
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from deepseek_async.simulator import Reply, Simulator, When

PROGRAMS = Path(__file__).parent / "programs"
ADDRESS = "https://api.deepseek.com"

# The guides never close their client. ResourceWarnings are off unless Python is told otherwise.
WARNINGS = ("-W", "error", "-W", "ignore::ResourceWarning")


async def run(name: str, sim: Simulator, folder: Path) -> str:
    """Run a program to its end and return what it prints."""
    text = (PROGRAMS / f"{name}.py").read_text(encoding="utf-8")
    program = folder / f"{name}.py"
    program.write_text(text.replace(ADDRESS, sim.base_url), encoding="utf-8")
    environment = {
        **os.environ,
        "DEEPSEEK_API_KEY": "sk-guides",
        "DEEPSEEK_BASE_URL": sim.base_url,
        # What the real address would be taken for.
        "DEEPSEEK_DIALECT": "deepseek",
        "PYTHONIOENCODING": "utf-8",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *WARNINGS,
        str(program),
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        stdout, stderr = await asyncio.wait_for(process.communicate(), timeout=60)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert stderr.decode() == ""
    assert process.returncode == 0
    return stdout.decode()


def bodies(sim: Simulator) -> list[dict[str, Any]]:
    return [request.body or {} for request in sim.requests]


def paths(sim: Simulator) -> list[str]:
    return [request.path for request in sim.requests]


def parameters(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name != "messages"}


def test_every_program_is_run_by_a_test() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    names = [path.stem for path in PROGRAMS.glob("*.py")]
    assert len(names) == 10
    assert [name for name in names if f'"{name}"' not in source] == []


def test_the_programs_name_the_real_address_and_import_nothing_else_of_ours() -> None:
    for path in PROGRAMS.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert ADDRESS in text or 'os.environ.get("DEEPSEEK_BASE_URL")' in text
        assert text.count("deepseek_async") == 1
        assert "from deepseek_async.compat import AsyncOpenAI\n" in text


async def test_the_first_call(tmp_path: Path) -> None:
    async with Simulator() as sim:
        sim.script(Reply("I am a model.", reasoning="They ask who I am."))
        assert await run("first_call", sim, tmp_path) == "I am a model.\n"
        assert parameters(bodies(sim)[0]) == {
            "model": "deepseek-v4-pro",
            "thinking": {"type": "enabled"},
            "reasoning_effort": "high",
        }


TURNS = (
    Reply("9.9 is.", reasoning="0.90 is more than 0.11.", match="9.11"),
    Reply("Three times.", reasoning="n-i-n-e, t-e-e-n.", match="nineteen"),
)


async def test_thinking_over_two_turns(tmp_path: Path) -> None:
    async with Simulator() as sim:
        sim.script(*TURNS)
        printed = await run("thinking", sim, tmp_path)
        assert printed.splitlines() == [
            "reasoning_content='0.90 is more than 0.11.'",
            "content='9.9 is.'",
            "reasoning_content='n-i-n-e, t-e-e-n.'",
            "content='Three times.'",
        ]
        first, second = bodies(sim)
        assert second["messages"] == [
            *first["messages"],
            {
                "role": "assistant",
                "content": "9.9 is.",
                "reasoning_content": "0.90 is more than 0.11.",
            },
            {"role": "user", "content": "How many times is the letter e in 'nineteen'?"},
        ]


async def test_thinking_over_two_turns_streamed(tmp_path: Path) -> None:
    async with Simulator() as sim:
        sim.script(*TURNS)
        printed = await run("thinking_streamed", sim, tmp_path)
        assert printed.splitlines() == [
            "reasoning_content='0.90 is more than 0.11.'",
            "content='9.9 is.'",
            "reasoning_content='n-i-n-e, t-e-e-n.'",
            "content='Three times.'",
        ]
        first, second = bodies(sim)
        assert parameters(first) == parameters(second)
        assert first["stream"] is True
        assert second["messages"][1] == {
            "role": "assistant",
            "reasoning_content": "0.90 is more than 0.11.",
            "content": "9.9 is.",
        }


async def test_a_chat_of_two_rounds(tmp_path: Path) -> None:
    async with Simulator() as sim:
        sim.script(Reply("The Volga."), Reply("The Danube."))
        printed = await run("multi_round_chat", sim, tmp_path)
        assert "The Volga." in printed.splitlines()[0]
        assert "The Danube." in printed.splitlines()[1]
        first, second = bodies(sim)
        assert [message["role"] for message in second["messages"]] == ["user", "assistant", "user"]
        assert second["messages"][1]["content"] == "The Volga."
        assert parameters(first) == parameters(second) == {"model": "deepseek-flash"}


async def test_json_output(tmp_path: Path) -> None:
    async with Simulator() as sim:
        sim.script(Reply.json({"question": "Who wrote Faust?", "answer": "Goethe"}))
        assert await run("json_output", sim, tmp_path) == "Who wrote Faust? Goethe\n"
        assert bodies(sim)[0]["response_format"] == {"type": "json_object"}


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("weather_tool", "/chat/completions"),
        ("weather_tool_strict", "/beta/chat/completions"),
    ],
)
async def test_a_weather_tool(name: str, path: str, tmp_path: Path) -> None:
    # With the spaces that the model wrote, which must come back.
    arguments = '{"location":  "Ulm, Germany"}'
    async with Simulator() as sim:
        sim.script(
            Reply(tool_calls=[("get_weather", arguments)], match=When(tools="get_weather", turn=1)),
            Reply("It is 24 degrees.", match=When(turn=2)),
        )
        printed = await run(name, sim, tmp_path)
        assert printed.splitlines() == [
            "User:  What is the weather like in Ulm?",
            "Call:  get_weather {'location': 'Ulm, Germany'}",
            "Model: It is 24 degrees.",
        ]
        assert paths(sim) == [path, path]
        question, answer, result = bodies(sim)[1]["messages"]
        (call,) = answer["tool_calls"]
        assert question == bodies(sim)[0]["messages"][0]
        assert call["function"] == {"name": "get_weather", "arguments": arguments}
        assert result == {"role": "tool", "tool_call_id": call["id"], "content": "24℃"}
        strict = bodies(sim)[1]["tools"][0]["function"].get("strict")
        assert strict is (True if name.endswith("strict") else None)


async def test_thinking_with_two_tools_over_two_turns(tmp_path: Path) -> None:
    ulm = {"location": "Ulm", "date": "2026-11-22"}
    bremen = {"location": "Bremen", "date": "2026-11-22"}
    async with Simulator() as sim:
        sim.script(
            Reply("Let me see.", reasoning="First the date.", tool_calls=[("get_date", {})]),
            Reply(reasoning="Tomorrow is the 22nd.", tool_calls=[("get_weather", ulm)]),
            Reply("Fog in Ulm.", reasoning="That is it."),
            Reply(reasoning="The date is known.", tool_calls=[("get_weather", bremen)]),
            Reply("Fog in Bremen, too.", reasoning="Done."),
        )
        printed = await run("thinking_with_tools", sim, tmp_path)
        assert printed.splitlines() == [
            "1.1 reasoning_content='First the date.' content='Let me see.'",
            "get_date: 2026-11-21",
            "1.2 reasoning_content='Tomorrow is the 22nd.' content=''",
            "get_weather: Fog in Ulm on 2026-11-22, 3~7℃",
            "1.3 reasoning_content='That is it.' content='Fog in Ulm.'",
            "2.1 reasoning_content='The date is known.' content=''",
            "get_weather: Fog in Bremen on 2026-11-22, 3~7℃",
            "2.2 reasoning_content='Done.' content='Fog in Bremen, too.'",
        ]
        sent = [body["messages"] for body in bodies(sim)]
        # Each request begins with all of the one before it: what the prompt cache lives on.
        for earlier, later in pairwise(sent):
            assert json.dumps(later[: len(earlier)]) == json.dumps(earlier)
        answers = [message for message in sent[-1] if message["role"] == "assistant"]
        assert [answer["reasoning_content"] for answer in answers] == [
            "First the date.",
            "Tomorrow is the 22nd.",
            "That is it.",
            "The date is known.",
        ]


async def test_a_prefix_with_a_code_fence(tmp_path: Path) -> None:
    async with Simulator() as sim:
        sim.script(Reply("def merge_sort(items):\n    ...\n```\nThat was it."))
        printed = await run("prefix_completion", sim, tmp_path)
        assert printed == "def merge_sort(items):\n    ...\n\n"
        assert paths(sim) == ["/beta/chat/completions"]
        assert bodies(sim)[0]["messages"][1] == {
            "role": "assistant",
            "content": "```python\n",
            "prefix": True,
        }
        assert bodies(sim)[0]["stop"] == ["```"]


async def test_fim_of_a_fibonacci_function(tmp_path: Path) -> None:
    gap = "\n    if n < 2:\n        return n\n"
    async with Simulator() as sim:
        sim.script(Reply(gap, match="fibonacci"))
        assert await run("fim", sim, tmp_path) == f"{gap}\n"
        assert paths(sim) == ["/beta/completions"]
        assert bodies(sim)[0] == {
            "model": "deepseek-flash",
            "prompt": "def fibonacci(n):",
            "suffix": "    return fibonacci(n - 1) + fibonacci(n - 2)",
            "max_tokens": 128,
        }
