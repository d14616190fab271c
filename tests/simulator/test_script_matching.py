"""Scripted answers: which requests they are for, how often, and how fast they come."""

from __future__ import annotations

import json
import statistics
from itertools import pairwise
from typing import Any

import pytest

from deepseek_async.simulator import (
    Constant,
    Fault,
    LogNormal,
    Replay,
    Reply,
    Uniform,
    When,
)
from deepseek_async.simulator.pace import Amount, Pacer
from deepseek_async.simulator.scripted import take

from .conftest import Start
from .loopback import Client, chat

TOOLS = [{"type": "function", "function": {"name": name}} for name in ("weather", "clock")]
ANSWERED = [
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello"},
    {"role": "user", "content": "And now?"},
]


@pytest.mark.parametrize(
    ("when", "body", "fits"),
    [
        (When(), chat(), True),
        (When(text="ell"), chat("Hello"), True),
        (When(text="Hello"), chat("Hi"), False),
        (When(tools="clock"), chat(tools=TOOLS), True),
        (When(tools=["clock", "weather"]), chat(tools=TOOLS), True),
        (When(tools="calendar"), chat(tools=TOOLS), False),
        (When(tools=[]), chat(), True),
        (When(tools=[]), chat(tools=TOOLS), False),
        (When(turn=1), chat(), True),
        (When(turn=2), chat(messages=ANSWERED), True),
        (When(turn=1), chat(messages=ANSWERED), False),
        (When(model="deepseek-flash"), chat(), True),
        (When(model="deepseek-v4-pro"), chat(), False),
        (When(user_id="ann"), chat(user_id="ann"), True),
        (When(user_id="ann"), chat(), False),
        (When(stream=True), chat(stream=True), True),
        (When(stream=False), chat(stream=True), False),
        (When(text="Hello", turn=2), chat("Hello"), False),
    ],
)
def test_an_answer_is_for_requests_that_fit_all_that_is_said(
    when: When, body: dict[str, Any], *, fits: bool
) -> None:
    asked = body["messages"][-1]["content"]
    script: list[Reply | Replay] = [Reply("x", match=when)]
    assert (take(script, body, asked) is not None) is fits
    assert bool(script) is not fits


def test_an_answer_is_used_as_often_as_told() -> None:
    script: list[Reply | Replay] = [
        Reply("twice", times=2),
        Reply("for ever", times="forever"),
        Reply("never"),
    ]
    found = [take(script, chat(), "Hi") for _ in range(5)]
    texts = [reply.text for reply in found if isinstance(reply, Reply)]
    assert texts == ["twice", "twice", "for ever", "for ever", "for ever"]
    assert len(script) == 2


def test_recordings_can_be_used_again(tmp_path: Any) -> None:
    script: list[Reply | Replay] = [Replay(b"data: [DONE]\n\n", times=2)]
    assert [take(script, chat(), "") is not None for _ in range(3)] == [True, True, False]


@pytest.mark.parametrize("make", [Reply, lambda times: Replay(b"", times=times)])
def test_an_answer_for_no_request_is_refused(make: Any) -> None:
    with pytest.raises(ValueError, match="at least one request, not 0"):
        make(times=0)


async def test_arguments_and_text_can_be_values(client: Client) -> None:
    client.sim.script(
        Reply(tool_calls=[("weather", {"city": "Ulm"}), ("clock", "raw {")]),
        Reply.json({"answer": [1, None]}, reasoning="Hm"),
    )
    calls = (await client.json(chat(tools=TOOLS)))["choices"][0]["message"]["tool_calls"]
    assert [call["function"]["arguments"] for call in calls] == ['{"city": "Ulm"}', "raw {"]
    message = (await client.json(chat(thinking=None)))["choices"][0]["message"]
    assert message["content"] == '{"answer": [1, null]}'
    assert message["reasoning_content"] == "Hm"


async def test_a_scripted_answer_can_have_its_own_fault(client: Client) -> None:
    client.sim.script(
        Reply("a", fault=Fault("bad_gateway")),
        Reply("b", fault=Fault("error")),
        Reply("c", fault=Fault("rate_limit", retry_after=3)),
        Reply("d"),
    )
    found = [await client.post() for _ in range(4)]
    assert [status for status, _, _ in found] == [502, 200, 429, 200]
    assert found[0][1]["content-type"] == "text/html"
    assert list(json.loads(found[1][2])) == ["error"]
    assert found[2][1]["retry-after"] == "3"


def gaps(pace: Amount, count: int, seed: int = 1) -> list[float]:
    timing = Pacer(seed).timing(tokens_per_second=pace)
    at = [timing.at(token) for token in range(count + 1)]
    return [after - before for before, after in pairwise(at)]


def test_a_constant_pace_is_even() -> None:
    assert gaps(Constant(20.0), 3) == pytest.approx([0.05] * 3)
    assert gaps(20, 3) == pytest.approx([0.05] * 3)


def test_a_drawn_pace_varies_around_its_middle_and_repeats() -> None:
    found = gaps(Uniform(10.0, 40.0), 1000)
    assert 1 / 40 <= min(found) < 1 / 35
    assert 1 / 12 < max(found) <= 1 / 10
    assert found == gaps(Uniform(10.0, 40.0), 1000)
    assert found != gaps(Uniform(10.0, 40.0), 1000, seed=2)


def test_first_tokens_are_drawn_for_each_answer() -> None:
    pacer = Pacer(3)
    found = [pacer.timing(first_token=LogNormal(0.5, 0.5)).first for _ in range(2001)]
    assert statistics.median(found) == pytest.approx(0.5, rel=0.1)
    assert statistics.mean(found) > statistics.median(found)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Constant(-1),
        lambda: Uniform(2, 1),
        lambda: Uniform(-1, 1),
        lambda: LogNormal(0),
        lambda: LogNormal(1, -1),
        lambda: LogNormal(float("inf")),
    ],
)
def test_distributions_without_sense_are_refused(make: Any) -> None:
    with pytest.raises(ValueError, match="can't be"):
        make()


async def test_distributions_pace_real_answers(start: Start) -> None:
    client = await start(
        tokens_per_second=Uniform(500.0, 1000.0), first_token_seconds=Constant(0.02)
    )
    assert len(await client.chunks(chat())) > 3
    await client.json(chat())
