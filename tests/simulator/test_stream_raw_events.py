"""``with_raw()``: the bytes of an answer among its events, all of them and in order."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from deepseek_async import (
    AsyncDeepSeek,
    ChatEvent,
    ContentDeltaEvent,
    DoneEvent,
    QueuedEvent,
    RawEvent,
    StreamInterruptedError,
    StreamServerError,
)
from deepseek_async.simulator import Fault, Replay, Reply, Simulator

from .loopback import GUARD_SECONDS

PARAMS: dict[str, Any] = {
    "model": "deepseek-flash",
    "messages": [{"role": "user", "content": "Hello"}],
}
ANSWER = Reply("Grüße, 世界 👩‍👩‍👧!\n\n" * 20, reasoning="Hm. " * 30)


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator() as simulator:
        yield simulator


@pytest.fixture
async def api(sim: Simulator) -> AsyncIterator[AsyncDeepSeek]:
    async with sim.client(max_retries=0) as client:
        yield client


def chunk(delta: str, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": delta}, "finish_reason": finish}
    return json.dumps({"id": "x", "choices": [choice]}).encode()


def body(events: list[ChatEvent]) -> bytes:
    return b"".join(event.data for event in events if isinstance(event, RawEvent))


# Bodies as other servers write them.
BODIES: dict[str, bytes] = {
    "LF": b"data: %b\n\ndata: %b\n\ndata: [DONE]\n\n" % (chunk("a"), chunk("", "stop")),
    "CRLF": b"data: %b\r\n\r\ndata: %b\r\n\r\ndata: [DONE]\r\n\r\n"
    % (chunk("a"), chunk("", "stop")),
    "CR": b"data: %b\r\rdata: %b\r\rdata: [DONE]\r\r" % (chunk("a"), chunk("", "stop")),
    "other fields": b"id: 7\nretry: 5\nevent: x\ndata:%b\n\n: c\n\ndata: %b\n\ndata: [DONE]\n\n"
    % (chunk("a"), chunk("", "stop")),
    "unterminated [DONE]": b"data: %b\n\ndata: [DONE]" % chunk("a", "stop"),
    "no [DONE], unterminated rest": b"data: %b\n\n: bye" % chunk("a", "stop"),
    "a byte order mark": b"\xef\xbb\xbfdata: %b\n\ndata: [DONE]\n\n" % chunk("a", "stop"),
    "more after [DONE]": b"data: %b\n\ndata: [DONE]\n\n: bye\n\n" % chunk("a", "stop"),
}


@pytest.mark.parametrize("given", BODIES.values(), ids=BODIES)
async def test_all_data_is_the_body_byte_for_byte(
    sim: Simulator, api: AsyncDeepSeek, given: bytes
) -> None:
    sim.script(Replay(given, times=3))
    async with asyncio.timeout(GUARD_SECONDS):
        async with api.chat.completions.stream(**PARAMS).with_raw() as stream:
            events = [event async for event in stream]
        chunks = await api.chat.completions.create(**PARAMS, stream=True)
        raw = [event async for event in chunks.raw()]
        async with api.chat.completions.stream(**PARAMS) as stream:
            plain = [event async for event in stream]
    assert body(events) == b"".join(raw) == given
    assert [event.data for event in events if isinstance(event, RawEvent)] == raw
    assert [event for event in events if not isinstance(event, RawEvent)] == plain
    assert isinstance(events[-1], DoneEvent)


async def test_the_bytes_of_an_answer_are_those_that_raw_yields(
    sim: Simulator, api: AsyncDeepSeek
) -> None:
    sim.script(ANSWER)
    chunks = await api.chat.completions.create(**PARAMS, stream=True)
    recorded = b"".join([event async for event in chunks.raw()])
    sim.script(Replay(recorded))
    async with api.chat.completions.stream(**PARAMS).with_raw() as stream:
        events = [event async for event in stream]
    assert body(events) == recorded
    assert stream.completion().text == ANSWER.text


async def test_the_bytes_come_before_the_events_made_of_them(
    sim: Simulator, api: AsyncDeepSeek
) -> None:
    sim.script(ANSWER)
    seen = b""
    told = ""
    async with api.chat.completions.stream(**PARAMS).with_raw() as stream:
        async for event in stream:
            if isinstance(event, RawEvent):
                assert event.data.endswith(b"\n\n")
                seen += event.data
            elif isinstance(event, ContentDeltaEvent):
                told += event.delta
                assert _text_in(seen).startswith(told)
    assert told == ANSWER.text


def _text_in(data: bytes) -> str:
    lines = [line[6:] for line in data.split(b"\n") if line.startswith(b"data: {")]
    deltas = [choice["delta"] for line in lines for choice in json.loads(line)["choices"]]
    return "".join(delta.get("content") or "" for delta in deltas)


async def test_keep_alives_are_among_them(sim: Simulator, api: AsyncDeepSeek) -> None:
    sim.script(Reply("Hello", queue_seconds=60))
    async with asyncio.timeout(GUARD_SECONDS):
        async with api.chat.completions.stream(**PARAMS).with_raw() as stream:
            assert await anext(stream) == RawEvent(b": keep-alive\n\n")
            assert isinstance(await anext(stream), QueuedEvent)
            sim.clock.advance(60)
            events = [event async for event in stream]
    assert body(events).endswith(b"data: [DONE]\n\n")


async def test_fim_has_them_as_well(sim: Simulator, api: AsyncDeepSeek) -> None:
    sim.script(Reply("return a + b"))
    async with api.completions.stream(model="deepseek-v4-pro", prompt="def").with_raw() as stream:
        events = [event async for event in stream]
    assert body(events).endswith(b"data: [DONE]\n\n")
    assert stream.completion().text == "return a + b"


async def test_what_came_before_a_cut_is_yielded_first(sim: Simulator, api: AsyncDeepSeek) -> None:
    sim.script(Reply("one two three four five", fault=Fault("cut", after_events=4)))
    events: list[ChatEvent] = []
    async with asyncio.timeout(GUARD_SECONDS):
        async with api.chat.completions.stream(**PARAMS).with_raw() as stream:
            with pytest.raises(StreamInterruptedError):
                async for event in stream:
                    events.append(event)
    assert body(events).count(b"data: {") == 4


async def test_what_came_with_a_failure_is_yielded_first(
    sim: Simulator, api: AsyncDeepSeek
) -> None:
    first, last = b"data: %b\n\n" % chunk("a"), b'data: {"error": {"message": "busy"}}\n\n'
    sim.script(Replay(first + last), Replay(last))
    for given in (first + last, last):
        events: list[ChatEvent] = []
        async with api.chat.completions.stream(**PARAMS).with_raw() as stream:
            with pytest.raises(StreamServerError):
                async for event in stream:
                    events.append(event)
            assert body(events) == given
            with pytest.raises(StreamServerError):
                await anext(stream)


async def test_an_attempt_in_vain_leaves_nothing_of_its_block(sim: Simulator) -> None:
    good = b"data: %b\n\ndata: [DONE]\n\n" % chunk("a", "stop")
    sim.script(Replay(b'data: {"error": {"message": "busy"}}\n\n'), Replay(good))
    async with sim.client(max_retries=2) as api:
        async with api.chat.completions.stream(**PARAMS).with_raw() as stream:
            events = [event async for event in stream]
    assert stream.attempts == 2
    assert body(events) == good


async def test_with_raw_comes_before_reading(sim: Simulator, api: AsyncDeepSeek) -> None:
    sim.script(Reply("one two", times="forever"))
    async with api.chat.completions.stream(**PARAMS) as stream:
        assert stream.with_raw().with_raw() is stream, "after the request was sent, and again"
        await anext(stream)
        with pytest.raises(RuntimeError, match="already being read as events"):
            await anext(stream.text_stream)
    async with api.chat.completions.stream(**PARAMS) as stream:
        await anext(stream)
        with pytest.raises(RuntimeError, match="too late"):
            stream.with_raw()
    async with api.chat.completions.stream(**PARAMS) as stream:
        await anext(stream.text_stream)
        with pytest.raises(RuntimeError, match="too late"):
            stream.with_raw()


async def test_the_events_of_several_requests_make_no_body(api: AsyncDeepSeek) -> None:
    plain: dict[str, Any] = {**PARAMS, "thinking": False}
    for stream in (
        api.chat.completions.stream(**plain, resume=1),
        api.chat.completions.stream(**plain, auto_continue=1),
    ):
        with pytest.raises(RuntimeError, match="one request"):
            stream.with_raw()


async def test_reading_to_the_end_without_events_keeps_no_bytes(
    sim: Simulator, api: AsyncDeepSeek
) -> None:
    sim.script(Reply("one two three", queue_seconds=60))
    async with asyncio.timeout(GUARD_SECONDS):
        async with api.chat.completions.stream(**PARAMS).with_raw() as stream:
            assert await anext(stream) == RawEvent(b": keep-alive\n\n")
            sim.clock.advance(60)
            assert await stream.get_final_text() == "one two three"
    # That of the keep-alive is left; memory has no other witness than this.
    assert len(stream._events) <= 1  # pyright: ignore[reportPrivateUsage]


async def test_a_dropped_stream_closes_as_ever(sim: Simulator, api: AsyncDeepSeek) -> None:
    sim.script(Reply("one two three", fault=Fault("stall", after_events=3)))
    stream = api.chat.completions.stream(**PARAMS).with_raw()
    await anext(stream)
    del stream
    async with asyncio.timeout(GUARD_SECONDS):
        while not sim.metrics.disconnects:
            await asyncio.sleep(0.002)
