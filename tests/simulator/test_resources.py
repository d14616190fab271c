"""What resources have in common: raw responses, options of client and call, totals."""

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest

from deepseek_async import AsyncDeepSeek, DeepSeekWarning, PreflightError, Usage
from deepseek_async.simulator import Fault, Reply, Simulator
from deepseek_async.types.usage import CompletionTokensDetails, PromptTokensDetails, add_usage

ASKED: list[dict[str, Any]] = [{"role": "user", "content": "Hello"}]
CHAT: dict[str, Any] = {"model": "deepseek-flash", "messages": ASKED}


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator() as simulator:
        yield simulator


@pytest.fixture
async def api(sim: Simulator) -> AsyncIterator[AsyncDeepSeek]:
    async with sim.client() as client:
        yield client


async def test_models_and_balance_with_their_responses(api: AsyncDeepSeek) -> None:
    models = await api.models.with_raw_response.list()
    assert models.status == 200
    assert models.body is not None
    assert models.body.startswith(b'{"object":"list"')
    assert models.parse().data == (await api.models.list()).data
    balance = await api.user.with_raw_response.balance()
    assert {info.currency for info in balance.parse().balance_infos} == {"CNY", "USD"}
    assert all(isinstance(info.total_balance, Decimal) for info in balance.parse().balance_infos)


# Options of the client and of a call.

HISTORY = [
    *ASKED,
    {"role": "assistant", "content": "a", "reasoning_content": "r"},
    {"role": "user", "content": "More"},
]


async def test_reasoning_replay_of_client_and_call(sim: Simulator) -> None:
    async with sim.client(reasoning_replay="drop") as client:
        chat = client.chat.completions
        await chat.create(model="deepseek-flash", messages=HISTORY)
        await chat.create(model="deepseek-flash", messages=HISTORY, reasoning_replay="keep")
        copy = client.with_options(reasoning_replay="keep")
        await copy.chat.completions.create(model="deepseek-flash", messages=HISTORY)
    sent = [(request.body or {})["messages"][1] for request in sim.requests]
    assert ["reasoning_content" in message for message in sent] == [False, True, True]


async def test_preflight_of_client_and_call(sim: Simulator) -> None:
    ignored: dict[str, Any] = {**CHAT, "temperature": 0.5}
    async with sim.client(preflight="off") as client:
        await client.chat.completions.create(**ignored)
        with pytest.warns(DeepSeekWarning, match="temperature") as caught:
            await client.chat.completions.create(**ignored, preflight="on")
        assert caught[0].filename == __file__, "the warning points at the user's line"
        with pytest.warns(DeepSeekWarning, match="temperature"):
            await client.with_options(preflight="on").chat.completions.create(**ignored)


WRONG = {
    "preflight": "no",
    "reasoning_replay": "maybe",
}


@pytest.mark.parametrize(("name", "value"), WRONG.items())
async def test_options_that_cannot_be_meant(
    api: AsyncDeepSeek, sim: Simulator, name: str, value: Any
) -> None:
    option: Any = {name: value}
    with pytest.raises(PreflightError, match=f"{name} must be one of .* got '{value}'"):
        await api.chat.completions.create(**CHAT, **option)
    with pytest.raises(PreflightError, match=f"{name} must be one of"):
        api.with_options(**option)
    with pytest.raises(PreflightError, match=f"{name} must be one of"):
        sim.client(**option)


async def test_extra_body_is_looked_at_as_well(api: AsyncDeepSeek) -> None:
    with pytest.raises(PreflightError, match="tool_choice"):
        await api.chat.completions.create(
            **CHAT,
            tools=[{"type": "function", "function": {"name": "f"}}],
            extra_body={"tool_choice": "required"},
        )


# What all answers of a client have used.


async def test_every_answer_counts_once(sim: Simulator, api: AsyncDeepSeek) -> None:
    sim.script(Reply("one two three", times="forever"))
    chat = api.chat.completions
    answers = [await chat.create(**CHAT)]
    stream = await chat.create(**CHAT, stream=True)
    await stream.until_done()
    answers.append(stream.completion())
    async with api.with_options(max_retries=0).chat.completions.stream(
        **CHAT, thinking=False, auto_continue=5, max_tokens=2
    ) as events:
        await events.until_done()
        answers.append(events.completion())
    filled = await api.completions.create(model="deepseek-v4-pro", prompt="x")
    total: Usage | None = None
    for answer in answers:
        total = add_usage(total, answer.usage)
    assert total is not None
    flash = api.usage["deepseek-flash"]
    assert flash.requests == len(sim.requests) - 1 == 4
    assert flash.prompt_tokens == total.prompt_tokens
    assert flash.completion_tokens == total.completion_tokens
    assert set(api.usage) == {"deepseek-flash", "deepseek-v4-pro"}
    cost = api.usage.cost()
    assert cost is not None
    assert cost == sum(answer.cost() or 0 for answer in (*answers, filled))


async def test_an_answer_that_was_cut_counts_without_usage(
    sim: Simulator, api: AsyncDeepSeek
) -> None:
    sim.script(Reply("one two three", tokens_per_second=10))
    stream = await api.chat.completions.create(**CHAT, stream=True)
    await anext(stream)
    await stream.aclose()
    await stream.aclose()
    sim.faults(Fault("cut", after_events=3))
    stream = await api.chat.completions.create(**CHAT, stream=True)
    with pytest.raises(Exception, match="broke"):
        await stream.until_done()
    await stream.aclose()
    assert api.usage["deepseek-flash"].without_usage == 2


async def test_what_brought_nothing_does_not_count(sim: Simulator, api: AsyncDeepSeek) -> None:
    sim.faults(Fault("overloaded"), Fault("cut", after_events=0))
    stream = await api.chat.completions.create(**CHAT, stream=True)
    await stream.until_done()
    assert stream.attempts == 3
    assert api.usage["deepseek-flash"].requests == 1


async def test_usage_that_comes_late_counts(sim: Simulator, api: AsyncDeepSeek) -> None:
    sim.faults(Fault("usage_chunk"))
    stream = await api.chat.completions.create(**CHAT, stream=True)
    await stream.until_done()
    assert api.usage["deepseek-flash"].without_usage == 0


async def test_a_host_with_odd_clocks_is_counted(sim: Simulator, api: AsyncDeepSeek) -> None:
    sim.script(
        Reply(
            body={
                "id": "1",
                "model": "m",
                "created": 10**15,
                "choices": [],
                "usage": {"prompt_tokens": 1},
            }
        )
    )
    completion = await api.chat.completions.create(**CHAT)
    assert completion.cost() is None
    assert api.usage["m"].prompt_tokens == 1


# Sums of token counts.


def usage(prompt: int, hit: int | None = None, miss: int | None = None, **more: Any) -> Usage:
    return Usage(
        prompt_tokens=prompt, prompt_cache_hit_tokens=hit, prompt_cache_miss_tokens=miss, **more
    )


SUMS: dict[str, tuple[Usage | None, Usage | None, Usage | None]] = {
    "nothing": (None, None, None),
    "one": (usage(1), None, usage(1)),
    "the other": (None, usage(1), usage(1)),
    "both": (usage(1), usage(2), usage(3)),
    "hits and misses": (usage(5, 2, 3), usage(7, 7, 0), usage(12, 9, 3)),
    "of one only": (usage(5, 2, 3), usage(7), usage(12, 2, 10)),
    "details": (
        usage(1, prompt_tokens_details=PromptTokensDetails(cached_tokens=1)),
        usage(
            1,
            prompt_tokens_details=PromptTokensDetails(cached_tokens=2),
            completion_tokens_details=CompletionTokensDetails(reasoning_tokens=3),
        ),
        usage(
            2,
            prompt_tokens_details=PromptTokensDetails(cached_tokens=3),
            completion_tokens_details=CompletionTokensDetails(reasoning_tokens=3),
        ),
    ),
}


@pytest.mark.parametrize(("one", "other", "together"), SUMS.values(), ids=SUMS)
def test_token_counts_add_up(one: Usage | None, other: Usage | None, together: Usage) -> None:
    assert add_usage(one, other) == together
