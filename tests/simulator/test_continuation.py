"""An answer that breaks off goes on as one: nothing lost, nothing doubled, all accounted for."""

import asyncio
import os
import random
from collections.abc import AsyncIterator, Callable
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepseek_async import (
    AsyncDeepSeek,
    ChatCompletion,
    ContentDeltaEvent,
    ContentDoneEvent,
    DeepSeekWarning,
    DoneEvent,
    InsufficientBalanceError,
    PreflightError,
    ReasoningDeltaEvent,
    ResumedEvent,
    Segment,
    StreamInterruptedError,
    Timeouts,
    TotalTimeoutError,
    Usage,
)
from deepseek_async.simulator import Fault, Reply, Simulator
from deepseek_async.types.usage import add_usage

from .loopback import GUARD_SECONDS

ASKED: list[dict[str, Any]] = [{"role": "user", "content": "A long text, please."}]

# Code, emphasis, umlauts, Chinese, an emoji of several code points, blank lines, spaces in a row.
_PIECES = (
    *("word", " other", "  ", "\n\n", "ä", "ß", "中文", "。", "👩‍👩‍👧"),
    *("`x = 1`", "**bold**", '"', "\\", ",", "\t"),
)


def long_text(seed: int, length: int = 20_000) -> str:
    chosen = random.Random(seed)
    pieces: list[str] = []
    while sum(map(len, pieces)) < length:
        pieces += chosen.choices(_PIECES, k=1000)
    return "".join(pieces)[:length]


def params(**more: Any) -> dict[str, Any]:
    return {"model": "deepseek-flash", "messages": ASKED, "thinking": False, **more}


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
            await asyncio.sleep(0.005)


def sums_up(completion: ChatCompletion, segments: list[Segment]) -> None:
    total: Usage | None = None
    for segment in segments:
        total = add_usage(total, segment.usage)
    assert completion.usage == total
    assert len({segment.request_id for segment in segments}) == len(segments)
    assert all(segment.continued_after for segment in segments[:-1])
    assert segments[-1].continued_after is None


# In two tests, so that two processes share them. .ci/nightly tries two hundred texts in all.
@pytest.mark.parametrize("how", ["cut", "reset"])
@settings(max_examples=int(os.environ.get("DEEPSEEK_TEST_TEXTS", "25")), deadline=None)
@given(
    seed=st.integers(0, 2**32),
    max_tokens=st.none() | st.integers(300, 6000),
    cuts=st.lists(st.integers(2_000, 1_500_000), max_size=5),
)
def test_a_long_text_comes_whole_however_it_is_cut(
    how: Literal["cut", "reset"], seed: int, max_tokens: int | None, cuts: list[int]
) -> None:
    text = long_text(seed)

    async def run() -> None:
        async with Simulator() as sim, sim.client(max_retries=0) as api:
            sim.script(Reply(text, times="forever"))
            for after_bytes in cuts:
                sim.faults(Fault(how, after_bytes=after_bytes))
            more: dict[str, Any] = {} if max_tokens is None else {"max_tokens": max_tokens}
            stream = await api.chat.completions.create(
                stream=True, auto_continue=100, resume=len(cuts), **params(**more)
            )
            received = ""
            async for chunk in stream:
                received += chunk.choices[0].delta.content or ""
            assert received == text
            completion = stream.completion()
            assert completion.choices[0].message.content == text
            assert completion.choices[0].finish_reason == stream.finish_reason == "stop"
            assert len(sim.requests) == len(stream.segments) == stream.attempts
            sums_up(completion, stream.segments)
            assert completion.segments == (stream.segments if len(stream.segments) > 1 else None)

    asyncio.run(run())


def contents(sim: Simulator) -> list[Any]:
    """Return the messages of all requests but the first."""
    return [request.body["messages"] for request in list(sim.requests)[1:] if request.body]


async def test_the_rest_is_asked_for_as_a_prefix(sim: Simulator, api: AsyncDeepSeek) -> None:
    sim.script(Reply("one two three four five", times="forever"))
    completion = await api.chat.completions.create(
        auto_continue=5, max_tokens=2, stop=["five"], **params()
    )
    assert completion.choices[0].message.content == "one two three four "
    assert contents(sim) == [
        [*ASKED, {"role": "assistant", "content": "one two", "prefix": True}],
        [*ASKED, {"role": "assistant", "content": "one two three four", "prefix": True}],
    ]
    paths = [request.path for request in sim.requests]
    assert paths == ["/chat/completions", "/beta/chat/completions", "/beta/chat/completions"]
    bodies = [dict(request.body or {}) for request in sim.requests]
    assert {body.pop("max_tokens") for body in bodies} == {2}
    assert [sorted(body) for body in bodies] == [
        ["messages", "model", "stop", "stream", "thinking"]
    ] * 3


async def test_events_tell_of_the_seam(sim: Simulator, api: AsyncDeepSeek) -> None:
    sim.script(Reply("one two three", times="forever"))
    async with api.chat.completions.stream(
        auto_continue=2, max_tokens=2, chunks=True, **params()
    ) as stream:
        events = [event async for event in stream]
    chunks = [event.chunk for event in events if event.type == "chunk"]
    assert len({chunk.id for chunk in chunks}) == 1
    assert [c.finish_reason for chunk in chunks for c in chunk.choices if c.finish_reason] == [
        "stop"
    ]
    told = [event for event in events if event.type != "chunk"]
    assert told == [
        ContentDeltaEvent("one"),
        ContentDeltaEvent(" two"),
        ResumedEvent("length", 2),
        ContentDeltaEvent(" three"),
        ContentDoneEvent("one two three"),
        DoneEvent("stop", stream.usage),
    ]
    assert stream.usage is not None
    assert stream.usage.completion_tokens == 3
    sums_up(stream.completion(), stream.segments)


async def test_reasoning_goes_on_as_well(sim: Simulator, api: AsyncDeepSeek) -> None:
    sim.script(Reply("five six", reasoning="one two three four", times="forever"))
    async with api.chat.completions.stream(
        auto_continue=9, max_tokens=2, **params(thinking=True)
    ) as stream:
        events = [event async for event in stream]
    thoughts = [event.delta for event in events if isinstance(event, ReasoningDeltaEvent)]
    assert "".join(thoughts) == "one two three four"
    assert [event.type for event in events].count("reasoning.done") == 1
    message = stream.completion().choices[0].message
    assert (message.reasoning_content, message.content) == ("one two three four", "five six")
    assert contents(sim)[0][-1] == {
        "role": "assistant",
        "content": "",
        "reasoning_content": "one two",
        "prefix": True,
    }


async def test_a_prefix_of_the_caller_stays_at_the_beginning(
    sim: Simulator, api: AsyncDeepSeek
) -> None:
    begun = {"role": "assistant", "name": "x", "content": "zero ", "prefix": True}
    sim.script(Reply("zero one two three four", times="forever"))
    completion = await api.chat.completions.create(
        auto_continue=9, max_tokens=3, **params(messages=[*ASKED, begun])
    )
    assert completion.choices[0].message.content == "one two three four"
    assert contents(sim)[0][1:] == [{**begun, "content": "zero one two three"}]
    assert begun["content"] == "zero "


GIVEN_UP = ("insufficient_system_resource", "aborted")


@pytest.mark.parametrize("reason", GIVEN_UP)
async def test_a_server_that_gives_up_is_asked_to_go_on(
    sim: Simulator, api: AsyncDeepSeek, reason: str
) -> None:
    sim.script(Reply("one two", finish_reason=reason), Reply("one two three"))
    stream = await api.chat.completions.create(stream=True, resume=1, **params())
    await stream.until_done()
    assert stream.completion().choices[0].message.content == "one two three"
    assert [segment.continued_after for segment in stream.segments] == [reason, None]
    assert [segment.finish_reason for segment in stream.segments] == [reason, "stop"]


async def test_a_server_that_gives_up_at_once_is_asked_again(
    sim: Simulator, api: AsyncDeepSeek
) -> None:
    sim.script(Reply("", finish_reason=GIVEN_UP[0]), Reply("one"))
    completion = await api.chat.completions.create(resume=1, **params())
    assert completion.choices[0].message.content == "one"
    assert contents(sim) == [ASKED]


async def test_an_error_in_the_stream_is_survived(sim: Simulator, api: AsyncDeepSeek) -> None:
    sim.script(Reply("one two three", times="forever"))
    sim.faults(Fault("error", after_events=3))
    stream = await api.chat.completions.create(stream=True, resume=1, **params())
    await stream.until_done()
    assert stream.completion().choices[0].message.content == "one two three"
    assert stream.segments[0].continued_after == "server_error"
    assert stream.segments[0].usage is None


@pytest.mark.parametrize("clock", ["idle", "progress"])
async def test_a_stall_is_survived(sim: Simulator, api: AsyncDeepSeek, clock: str) -> None:
    sim.script(Reply("one two three", times="forever"))
    sim.faults(Fault("stall", after_events=3, keep_alive=clock == "progress"))
    timeouts = Timeouts(idle=30, progress=0.3) if clock == "progress" else Timeouts(idle=0.3)
    async with api.chat.completions.stream(resume=1, timeout=timeouts, **params()) as stream:
        events = [event async for event in stream]
    assert ResumedEvent("stall", 2) in events
    assert stream.completion().choices[0].message.content == "one two three"


async def test_the_total_clock_is_not_survived(sim: Simulator, api: AsyncDeepSeek) -> None:
    sim.faults(Fault("stall", after_events=3))
    with pytest.raises(TotalTimeoutError) as caught:
        await api.chat.completions.create(resume=5, timeout=0.5, **params())
    assert caught.value.partial is not None
    assert len(sim.requests) == 1


async def test_what_cannot_be_continued_further_ends_as_it_did(
    sim: Simulator, api: AsyncDeepSeek
) -> None:
    sim.script(Reply("one two three four five six seven", times="forever"))
    completion = await api.chat.completions.create(auto_continue=2, max_tokens=2, **params())
    assert completion.choices[0].finish_reason == "length"
    assert completion.choices[0].message.content == "one two three four five six"
    assert completion.segments is not None
    assert len(completion.segments) == 3


async def test_after_the_last_resumption_the_cut_is_told(
    sim: Simulator, api: AsyncDeepSeek
) -> None:
    sim.script(Reply("one two three four", times="forever"))
    sim.faults(Fault("cut", after_events=2, times=2))
    stream = await api.chat.completions.create(stream=True, resume=1, **params())
    with pytest.raises(StreamInterruptedError) as caught:
        await stream.until_done()
    assert caught.value.attempts == 2
    partial = caught.value.partial
    assert partial is not None
    assert partial.choices[0].message.content == "one two"
    assert partial.choices[0].finish_reason is None
    assert [segment.continued_after for segment in stream.segments] == ["cut", None]
    assert partial.segments == stream.segments


async def test_a_segment_that_brings_nothing_is_retried(sim: Simulator) -> None:
    sim.script(Reply("one two three", times="forever"))
    sim.faults(Fault("cut", after_events=2), Fault("overloaded"), Fault("cut", after_events=1))
    async with sim.client(max_retries=2) as api:
        stream = await api.chat.completions.create(stream=True, resume=1, **params())
        await stream.until_done()
    assert stream.completion().choices[0].message.content == "one two three"
    assert stream.attempts == len(sim.requests) == 4
    assert [segment.attempts for segment in stream.segments] == [1, 4]


async def test_a_segment_that_brings_nothing_may_use_a_resumption(sim: Simulator) -> None:
    sim.script(Reply("one two three", times="forever"))
    sim.faults(Fault("cut", after_events=2), Fault("cut", after_events=1))
    async with sim.client(max_retries=0) as api:
        stream = await api.chat.completions.create(stream=True, resume=2, **params())
        await stream.until_done()
    assert stream.completion().choices[0].message.content == "one two three"
    assert [segment.continued_after for segment in stream.segments] == ["cut", "cut", None]


async def test_a_continuation_that_is_refused_keeps_what_there_was(sim: Simulator) -> None:
    sim.script(Reply("one two three"), Reply(status=402, body={"error": {"message": "Broke"}}))
    async with sim.client() as api:
        stream = await api.chat.completions.create(
            stream=True, auto_continue=1, max_tokens=2, **params()
        )
        with pytest.raises(StreamInterruptedError, match=r"\(length\).*Broke") as caught:
            await stream.until_done()
    assert isinstance(caught.value.__cause__, InsufficientBalanceError)
    assert not caught.value.retryable
    assert caught.value.partial is not None
    assert caught.value.partial.choices[0].message.content == "one two"


async def test_a_tool_call_is_never_continued(sim: Simulator, api: AsyncDeepSeek) -> None:
    tools = [{"type": "function", "function": {"name": "f"}}]
    sim.script(Reply(tool_calls=[("f", '{"a": "b c d e f g h"}')], times="forever"))
    completion = await api.chat.completions.create(
        auto_continue=5, max_tokens=4, tools=tools, **params()
    )
    assert completion.choices[0].finish_reason == "length"
    assert len(sim.requests) == 1
    sim.faults(Fault("cut", after_events=4))
    with pytest.raises(StreamInterruptedError):
        await api.chat.completions.create(resume=5, tools=tools, **params())
    assert len(sim.requests) == 2


async def test_nothing_before_the_limit_is_not_asked_again(
    sim: Simulator, api: AsyncDeepSeek
) -> None:
    sim.script(Reply("", finish_reason="length", times="forever"))
    completion = await api.chat.completions.create(auto_continue=5, **params())
    assert completion.choices[0].finish_reason == "length"
    assert completion.segments is None
    assert len(sim.requests) == 1


async def test_other_hosts_are_not_asked_to_continue(sim: Simulator) -> None:
    sim.script(Reply("one two three", times="forever"))
    async with sim.client(dialect="generic") as api:
        with pytest.warns(DeepSeekWarning, match="auto_continue and resume have no effect"):
            completion = await api.chat.completions.create(
                auto_continue=5, max_tokens=2, **params()
            )
    assert completion.choices[0].message.content == "one two"


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "negative": ({"auto_continue": -1}, "auto_continue must be a whole number from 0 to 1000"),
    "true": ({"resume": True}, "resume must be a whole number"),
    "no text kept": ({"resume": 1, "accumulate": False}, "need accumulate=True"),
}


@pytest.mark.parametrize(("given", "message"), BAD.values(), ids=BAD)
async def test_what_cannot_be_meant_is_refused(
    sim: Simulator, api: AsyncDeepSeek, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(PreflightError, match=message):
        api.chat.completions.stream(**params(**given))
    assert not sim.requests


async def test_a_raw_response_is_that_of_one_request(sim: Simulator, api: AsyncDeepSeek) -> None:
    with pytest.raises(PreflightError, match="one request"):
        await api.chat.completions.with_raw_response.create(auto_continue=1, **params())
    stream = await api.chat.completions.create(stream=True, resume=1, **params())
    with pytest.raises(RuntimeError, match="one request"):
        await anext(stream.raw())
    await stream.aclose()


async def test_leaving_at_the_seam_leaves_nothing_behind(
    sim: Simulator, api: AsyncDeepSeek
) -> None:
    sim.script(Reply("one two three four", times="forever"))
    async with api.chat.completions.stream(auto_continue=9, max_tokens=2, **params()) as stream:
        async for event in stream:
            if event.type == "resumed":
                break
    await eventually(lambda: sim.metrics.in_flight == 0)


async def test_cancelling_while_the_next_segment_opens(sim: Simulator, api: AsyncDeepSeek) -> None:
    sim.script(Reply("one two three"), Reply("one two three", queue_seconds=60))
    stream = await api.chat.completions.create(
        stream=True, auto_continue=1, max_tokens=2, **params()
    )
    task = asyncio.create_task(stream.until_done())
    await eventually(lambda: len(sim.requests) == 2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await eventually(lambda: sim.metrics.in_flight == 0)
    assert stream.completion().choices[0].message.content == "one two"
    with pytest.raises(StreamInterruptedError):
        await anext(stream)
