"""Answers of a server, coalesced, smoothed, shown as they grow; and left in the middle."""

import asyncio
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from itertools import pairwise
from typing import Any

import pytest

from deepseek_async import (
    AsyncDeepSeek,
    ChatCompletion,
    ChatEventStream,
    Completion,
    ContentDeltaEvent,
    QueuedEvent,
    StreamInterruptedError,
    coalesce,
    smooth,
    snapshots,
)
from deepseek_async.simulator import Fault, Reply, Simulator

from .loopback import GUARD_SECONDS

TEXT = "Eine Familie 👩‍👩‍👧 geht über die Straße 中文。\r\n" * 40
PARAMS: dict[str, Any] = {
    "model": "deepseek-flash",
    "messages": [{"role": "user", "content": "Hello"}],
}
TOOLS: dict[str, Any] = {
    **PARAMS,
    "tools": [
        {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
        for name in ("add", "mul")
    ],
}


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator() as simulator:
        yield simulator


@pytest.fixture
async def api(sim: Simulator) -> AsyncIterator[AsyncDeepSeek]:
    async with sim.client() as client:
        yield client


async def eventually(happened: Callable[[], bool]) -> None:
    """Wait for something that another task or the server does."""
    async with asyncio.timeout(GUARD_SECONDS):
        while not happened():
            await asyncio.sleep(0.002)


def kinds(events: list[Any]) -> list[str]:
    """Return the types of events, each as often as it comes after another."""
    types = [event.type for event in events]
    return [kind for kind, before in zip(types, ["", *types], strict=False) if kind != before]


COMBINATORS: dict[str, Callable[[ChatEventStream], AsyncGenerator[Any]]] = {
    "coalesce": coalesce,
    "coalesce, fps=0": lambda stream: coalesce(stream, fps=0),
    "coalesce, small": lambda stream: coalesce(stream, max_chars=16),
    "smooth": lambda stream: smooth(stream, lag=0.05, fps=100),
    "both": lambda stream: coalesce(smooth(stream, lag=0.02, fps=200)),
}


@pytest.mark.parametrize("combine", COMBINATORS.values(), ids=COMBINATORS)
async def test_events_add_up_to_the_same_answer(
    sim: Simulator,
    api: AsyncDeepSeek,
    combine: Callable[[ChatEventStream], AsyncGenerator[Any]],
) -> None:
    calls = [("add", {"first": 20_000, "second": 22}), ("mul", {"first": 6, "second": 7})]
    reply = Reply(TEXT, reasoning="Hm. " * 50, tool_calls=calls)
    sim.script(reply, reply)
    async with asyncio.timeout(GUARD_SECONDS):
        async with api.chat.completions.stream(**TOOLS) as stream:
            plain: list[Any] = [event async for event in stream]
        async with api.chat.completions.stream(**TOOLS) as stream:
            combined: list[Any] = [event async for event in combine(stream)]
            assert stream.completion().text == TEXT
            assert stream.completion().reasoning == "Hm. " * 50
    for kind in ("content.delta", "reasoning.delta"):
        told = [[e.delta for e in events if e.type == kind] for events in (combined, plain)]
        assert "".join(told[0]) == "".join(told[1])
    assert kinds(combined) == kinds(plain)
    told = [
        [
            getattr(e, "text", getattr(e, "arguments", e.type))
            for e in events
            if "delta" not in e.type
        ]
        for events in (combined, plain)
    ]
    assert told[0] == told[1]
    opened = [e for e in combined if e.type.endswith("arguments.delta") and not e.arguments_delta]
    assert [event.name for event in opened] == ["add", "mul"]


async def test_bare_text_goes_through_as_well(sim: Simulator, api: AsyncDeepSeek) -> None:
    sim.script(Reply(TEXT, times="forever"))
    async with asyncio.timeout(GUARD_SECONDS):
        async with api.chat.completions.stream(**PARAMS) as stream:
            assert "".join([piece async for piece in coalesce(stream.text_stream)]) == TEXT
        async with api.chat.completions.stream(**PARAMS) as stream:
            pieces = [piece async for piece in smooth(stream.text_stream, lag=0.05, fps=200)]
    assert "".join(pieces) == TEXT


async def test_tool_runs_can_be_coalesced(sim: Simulator, api: AsyncDeepSeek) -> None:
    def add(first: int, second: int) -> int:
        """Add two numbers."""
        return first + second

    sim.script(Reply(tool_calls=[("add", {"first": 40, "second": 2})]), Reply("It is 42."))
    async with asyncio.timeout(GUARD_SECONDS):
        async with api.chat.completions.run_tools(**PARAMS, tools=[add]) as runner:
            told = kinds([event async for event in coalesce(runner)])
    assert told.index("tool.done") < told.index("content.delta") < told.index("done")
    assert runner.completion is not None
    assert runner.completion.text == "It is 42."


async def test_deltas_are_merged(sim: Simulator, api: AsyncDeepSeek) -> None:
    sim.script(Reply("word " * 2000, tokens_per_second=20_000))
    async with asyncio.timeout(GUARD_SECONDS):
        async with api.chat.completions.stream(**PARAMS) as stream:
            events = [event async for event in coalesce(stream, fps=5, max_chars=100_000)]
    deltas = [event.delta for event in events if isinstance(event, ContentDeltaEvent)]
    assert "".join(deltas) == "word " * 2000
    assert len(deltas) < 400


async def test_a_cut_comes_after_what_was_received(sim: Simulator, api: AsyncDeepSeek) -> None:
    for combine in COMBINATORS.values():
        sim.script(Reply("one two three four five six", fault=Fault("cut", after_events=5)))
        seen: list[str] = []
        async with asyncio.timeout(GUARD_SECONDS):
            async with api.chat.completions.stream(**PARAMS) as stream:
                with pytest.raises(StreamInterruptedError) as caught:
                    async for event in combine(stream):
                        if isinstance(event, ContentDeltaEvent):
                            seen.append(event.delta)
        partial: Any = caught.value.partial
        assert seen
        assert "".join(seen) == partial.text


async def test_what_has_not_been_told_yet_is_part_of_the_final_answer(
    sim: Simulator, api: AsyncDeepSeek
) -> None:
    sim.script(Reply("one two three four five six", times="forever"))
    async with api.chat.completions.stream(**PARAMS) as stream:
        await anext(stream)
        assert await stream.get_final_text() == "one two three four five six"
    async with api.chat.completions.stream(**PARAMS) as stream:
        async for _ in stream.text_stream:
            break
        assert (await stream.get_final_completion()).text == "one two three four five six"


async def test_reading_on_to_the_end_keeps_what_was_received_of_chunks(
    sim: Simulator, api: AsyncDeepSeek
) -> None:
    sim.script(Reply("one two three four five six"))
    stream = await api.chat.completions.create(**PARAMS, stream=True)
    async for chunk in stream:
        if any(choice.delta.content for choice in chunk.choices):
            break
    await stream.until_done()
    assert stream.completion().text == "one two three four five six"


# Snapshots


async def test_snapshots_grow_to_the_whole_answer(sim: Simulator, api: AsyncDeepSeek) -> None:
    sim.script(Reply("word " * 300, reasoning="hm " * 300, tokens_per_second=4000))
    async with asyncio.timeout(GUARD_SECONDS):
        async with api.chat.completions.stream(**PARAMS) as stream:
            shown = [snapshot async for snapshot in stream.snapshots(fps=50)]
    assert shown[-1] == stream.completion()
    assert (shown[-1].text, shown[-1].reasoning) == ("word " * 300, "hm " * 300)
    assert len(shown) > 2
    for before, after in pairwise(shown):
        assert before != after
        assert after.text.startswith(before.text)
        assert after.reasoning.startswith(before.reasoning)


async def test_few_snapshots_of_a_long_answer(sim: Simulator, api: AsyncDeepSeek) -> None:
    sim.script(Reply("word " * 4000))
    async with asyncio.timeout(GUARD_SECONDS):
        async with api.chat.completions.stream(**PARAMS) as stream:
            shown = [len(each.text) async for each in snapshots(stream, fps=0.01)]
    assert len(shown) <= 2
    assert shown[-1] == 20_000


async def test_snapshots_of_fim(sim: Simulator, api: AsyncDeepSeek) -> None:
    sim.script(Reply("return a + b"))
    async with api.completions.stream(model="deepseek-v4-pro", prompt="def add(a, b):") as stream:
        shown = [snapshot async for snapshot in stream.snapshots()]
    assert all(isinstance(each, Completion) for each in shown)
    assert shown[-1].text == "return a + b"
    assert shown[-1] == stream.completion()


async def test_nothing_is_shown_while_the_request_waits(sim: Simulator, api: AsyncDeepSeek) -> None:
    sim.script(Reply("Hello", queue_seconds=60))
    async with api.chat.completions.stream(**PARAMS) as stream:
        growing = stream.snapshots(fps=1000)
        first = asyncio.create_task(anext(growing))
        await eventually(lambda: sim.metrics.in_flight == 1 and stream.bytes_received > 0)
        await asyncio.sleep(0.02)
        assert not first.done()
        sim.clock.advance(60)
        async with asyncio.timeout(GUARD_SECONDS):
            shown = [await first, *[snapshot async for snapshot in growing]]
    assert all(each.choices for each in shown)
    assert shown[-1].text == "Hello"


async def test_an_answer_that_is_cut_shows_what_came(sim: Simulator, api: AsyncDeepSeek) -> None:
    sim.script(Reply("one two three four five six", fault=Fault("cut", after_events=5)))
    shown: list[ChatCompletion] = []
    async with asyncio.timeout(GUARD_SECONDS):
        async with api.chat.completions.stream(**PARAMS) as stream:
            with pytest.raises(StreamInterruptedError) as caught:
                async for snapshot in stream.snapshots(fps=0.01):
                    shown.append(snapshot)
    partial: Any = caught.value.partial
    assert shown[-1].text == partial.text != ""


async def test_without_accumulation_there_is_nothing_to_show(api: AsyncDeepSeek) -> None:
    stream = api.chat.completions.stream(**PARAMS, accumulate=False)
    with pytest.raises(RuntimeError, match="accumulate=False"):
        stream.snapshots()
    with pytest.raises(ValueError, match="fps"):
        api.chat.completions.stream(**PARAMS).snapshots(fps=0)


async def test_text_and_reasoning_are_those_of_the_first_answer(
    sim: Simulator, api: AsyncDeepSeek
) -> None:
    sim.script(Reply(tool_calls=[("add", {})]), Reply("x"))
    async with api.chat.completions.stream(**TOOLS) as stream:
        completion = await stream.get_final_completion()
    assert (completion.text, completion.reasoning) == ("", "")
    assert {"text", "reasoning"}.isdisjoint(completion.model_dump())
    copy = completion.model_copy()
    assert copy == completion
    assert copy.to_json() == completion.to_json()
    completion.choices.clear()
    assert (completion.text, completion.reasoning) == ("", "")
    filling = await api.completions.create(model="deepseek-v4-pro", prompt="y")
    assert filling.text == filling.choices[0].text == "x"
    assert "text" not in filling.model_dump()
    filling.choices.clear()
    assert filling.text == ""


# Leaving in the middle

VIEWS: dict[str, Callable[[ChatEventStream], AsyncGenerator[Any]]] = {
    "text_stream": lambda stream: stream.text_stream,
    "reasoning_stream": lambda stream: stream.reasoning_stream,
    "snapshots": lambda stream: stream.snapshots(fps=1000),
    **COMBINATORS,
    "coalesced text": lambda stream: coalesce(stream.text_stream),
    "smoothed reasoning": lambda stream: smooth(stream.reasoning_stream),
}
views = pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)


@views
async def test_all_views_are_real_async_generators(
    api: AsyncDeepSeek, view: Callable[[ChatEventStream], AsyncGenerator[Any]]
) -> None:
    assert inspect.isasyncgen(view(api.chat.completions.stream(**PARAMS)))


async def by_break(generator: AsyncGenerator[Any]) -> None:
    async for _ in generator:
        break


async def by_aclose(generator: AsyncGenerator[Any]) -> None:
    await anext(generator)
    await generator.aclose()


async def by_cancellation(generator: AsyncGenerator[Any]) -> None:
    begun = asyncio.Event()

    async def read() -> None:
        async for _ in generator:
            begun.set()

    task = asyncio.create_task(read())
    await begun.wait()
    task.cancel()
    await asyncio.wait([task])


LEAVES = [by_break, by_aclose, by_cancellation]


def endless(sim: Simulator) -> None:
    """Let the server begin an answer, text and reasoning, that doesn't end."""
    sim.script(Reply("word " * 30, reasoning="hm " * 30, fault=Fault("stall", after_events=50)))


@views
@pytest.mark.parametrize("leave", LEAVES)
async def test_leaving_within_the_block_leaves_no_task_and_no_connection(
    sim: Simulator,
    api: AsyncDeepSeek,
    view: Callable[[ChatEventStream], AsyncGenerator[Any]],
    leave: Callable[[AsyncGenerator[Any]], Awaitable[None]],
) -> None:
    endless(sim)
    before = len(asyncio.all_tasks())
    async with asyncio.timeout(GUARD_SECONDS):
        async with api.chat.completions.stream(**PARAMS) as stream:
            await leave(view(stream))
        await eventually(lambda: sim.metrics.disconnects == 1)
        await eventually(lambda: sim.metrics.in_flight == 0)
    await eventually(lambda: len(asyncio.all_tasks()) <= before)


@views
@pytest.mark.parametrize("leave", LEAVES)
async def test_a_view_that_is_left_closes_a_stream_that_nobody_else_has(
    sim: Simulator,
    api: AsyncDeepSeek,
    view: Callable[[ChatEventStream], AsyncGenerator[Any]],
    leave: Callable[[AsyncGenerator[Any]], Awaitable[None]],
) -> None:
    endless(sim)
    await leave(view(api.chat.completions.stream(**PARAMS)))
    await eventually(lambda: sim.metrics.disconnects == 1)


@pytest.mark.parametrize("name", ["snapshots", *COMBINATORS])
async def test_closing_a_combinator_closes_the_stream_at_once(
    sim: Simulator, api: AsyncDeepSeek, name: str
) -> None:
    endless(sim)
    async with api.chat.completions.stream(**PARAMS) as stream:
        await by_aclose(VIEWS[name](stream))
        await eventually(lambda: sim.metrics.disconnects == 1)
        with pytest.raises(StreamInterruptedError):
            await stream.get_final_completion()


async def test_a_queued_event_passes_at_once(sim: Simulator, api: AsyncDeepSeek) -> None:
    sim.script(Reply("Hello", queue_seconds=60))
    async with asyncio.timeout(GUARD_SECONDS):
        async with api.chat.completions.stream(**PARAMS) as stream:
            events = coalesce(stream, fps=0.01)
            assert isinstance(await anext(events), QueuedEvent)
            await events.aclose()
