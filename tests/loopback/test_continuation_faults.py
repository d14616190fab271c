"""What goes wrong where one request of an answer ends and the next begins."""

import asyncio
import gc
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from deepseek_async import (
    AsyncDeepSeek,
    ChatStream,
    DeepSeekWarning,
    InsufficientBalanceError,
    PreflightError,
    RateLimitError,
    StreamInterruptedError,
    StreamServerError,
    Timeouts,
    TotalTimeoutError,
)

from .peer import (
    ASK,
    DONE,
    FINISH,
    GUARD,
    KEEP_ALIVE,
    ROLE,
    STREAM_HEAD,
    TERMINATOR,
    USAGE,
    Connection,
    Request,
    event,
    http_chunk,
    json_response,
    plain,
    serving,
    text,
)

LENGTH = event({"content": ""}, "length", usage=USAGE)
ABORTED = event({}, "aborted")
REFUSED = (
    b'data: {"error": {"message": "Content Exists Risk", "type": "invalid_request_error"}}\n\n'
)

Answer = Callable[[Connection], Awaitable[None]]


class Script:
    """Answers the requests of all connections in turn, one after the other."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.requests: list[Request] = []
        self.came = asyncio.Condition()

    async def __call__(self, connection: Connection) -> None:
        while True:
            request = await connection.request()
            async with self.came:
                self.requests.append(request)
                self.came.notify_all()
            await self.answers[len(self.requests) - 1](connection)

    async def until(self, count: int) -> None:
        """Wait until so many requests have come."""
        async with asyncio.timeout(GUARD), self.came:
            await self.came.wait_for(lambda: len(self.requests) >= count)

    @property
    def bodies(self) -> list[Any]:
        return [request.json for request in self.requests]


def head(trace: str) -> bytes:
    return STREAM_HEAD.replace(b"0123456789abcdef0123456789abcdef", trace.encode())


def whole(*events: bytes, trace: str = "a") -> Answer:
    """A stream that ends as it should."""

    async def answer(connection: Connection) -> None:
        await connection.write(head(trace) + b"".join(map(http_chunk, events)) + TERMINATOR)

    return answer


def cut(*events: bytes, trace: str = "a") -> Answer:
    """A stream whose connection breaks."""

    async def answer(connection: Connection) -> None:
        await connection.write(head(trace) + b"".join(map(http_chunk, events)))
        connection.finish()
        await connection.until_gone()

    return answer


def stalled(*events: bytes, keep_alive: bool = False) -> Answer:
    """A stream that stops, and its connection doesn't."""

    async def answer(connection: Connection) -> None:
        await connection.write(head("a") + b"".join(map(http_chunk, events)))
        while keep_alive:
            await connection.write(http_chunk(KEEP_ALIVE))
            await asyncio.sleep(0.02)
        await connection.until_gone()

    return answer


def refused(status: str) -> Answer:
    async def answer(connection: Connection) -> None:
        await connection.write(json_response({"error": {"message": "Broke"}}, status))

    return answer


async def silent(connection: Connection) -> None:
    await connection.until_gone()


async def opened(client: AsyncDeepSeek, **params: Any) -> ChatStream:
    stream: ChatStream = await client.chat.completions.create(stream=True, **ASK, **params)
    return stream


def said(stream: ChatStream) -> str | None:
    return stream.completion().choices[0].message.content


def partial_text(error: Any) -> str | None:
    content: str | None = error.partial.choices[0].message.content
    return content


async def test_a_refused_reissue_of_a_later_segment_keeps_the_text() -> None:
    script = Script(cut(ROLE, text("one")), cut(ROLE), refused("402 Payment Required"))
    async with serving(script, max_retries=2) as (_, client):
        stream = await opened(client, resume=1)
        with pytest.raises(StreamInterruptedError, match="Broke") as caught:
            await stream.until_done()
    assert isinstance(caught.value.__cause__, InsufficientBalanceError)
    assert not caught.value.retryable
    assert partial_text(caught.value) == "one"


async def test_no_time_for_another_attempt_keeps_the_text() -> None:
    script = Script(cut(ROLE, text("one")), *[cut(ROLE)] * 50)
    async with serving(script, max_retries=50) as (_, client):
        stream = await opened(client, resume=1, timeout=0.5)
        with pytest.raises(TotalTimeoutError) as caught:
            await stream.until_done()
    assert partial_text(caught.value) == "one"


async def test_a_refusal_uses_no_resumption() -> None:
    script = Script(whole(ROLE, text("one"), LENGTH, DONE), refused("402 Payment Required"))
    async with serving(script) as (_, client):
        stream = await opened(client, auto_continue=1, resume=3)
        with pytest.raises(StreamInterruptedError, match=r"\(length\).*Broke") as caught:
            await stream.until_done()
    assert len(script.requests) == 2
    assert partial_text(caught.value) == "one"


async def test_refusals_for_being_too_many_are_retried() -> None:
    busy = refused("429 Too Many Requests")
    script = Script(whole(ROLE, text("one"), LENGTH, DONE), *[busy] * 3)
    async with serving(script, max_retries=2) as (_, client):
        stream = await opened(client, auto_continue=1)
        with pytest.raises(StreamInterruptedError) as caught:
            await stream.until_done()
    assert isinstance(caught.value.__cause__, RateLimitError)
    assert caught.value.retryable
    assert (len(script.requests), caught.value.attempts) == (4, 4)


CALL = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
FINISHED: dict[str, tuple[bytes, bytes]] = {
    "stop": (text("one"), FINISH),
    "filtered": (text("one"), event({}, "content_filter", usage=USAGE)),
    "tool call": (event({"content": "one", "tool_calls": [CALL]}), event({}, "tool_calls")),
}


@pytest.mark.parametrize("how", ["cut", "idle", "progress"])
@pytest.mark.parametrize("events", FINISHED.values(), ids=FINISHED)
async def test_a_finished_answer_is_not_continued(how: str, events: tuple[bytes, bytes]) -> None:
    answer = (
        cut(ROLE, *events) if how == "cut" else stalled(ROLE, *events, keep_alive=how == "progress")
    )
    script = Script(answer)
    clocks = Timeouts(idle=0.3 if how == "idle" else None, progress=0.3)
    async with serving(script) as (_, client):
        stream = await opened(client, resume=1, timeout=clocks)
        assert [chunk async for chunk in stream]
        assert said(stream) == "one"
        assert not stream.saw_done
        assert client.usage.requests == 1
    assert len(script.requests) == len(stream.segments) == 1


async def test_without_resume_a_cut_behind_the_end_is_told() -> None:
    script = Script(cut(ROLE, text("one"), FINISH))
    async with serving(script) as (_, client):
        stream = await opened(client, auto_continue=3)
        with pytest.raises(StreamInterruptedError):
            await stream.until_done()
    assert said(stream) == "one"


async def test_an_error_behind_the_limit_is_told() -> None:
    script = Script(whole(ROLE, text("one"), LENGTH, REFUSED))
    async with serving(script) as (_, client):
        stream = await opened(client, auto_continue=3, resume=3)
        with pytest.raises(StreamServerError, match="Content Exists Risk"):
            await stream.until_done()
    assert len(script.requests) == 1


@pytest.mark.parametrize("keep_alive", [False, True])
async def test_an_end_that_does_not_come_ends_the_segment(keep_alive: bool) -> None:
    script = Script(
        stalled(ROLE, text("one"), LENGTH, keep_alive=keep_alive),
        whole(ROLE, text(" two"), FINISH, DONE),
    )
    clocks = Timeouts(idle=5 if keep_alive else 0.3, progress=0.3 if keep_alive else 5)
    async with serving(script) as (_, client):
        stream = await opened(client, auto_continue=1, timeout=clocks)
        await stream.until_done()
    assert said(stream) == "one two"
    assert [segment.continued_after for segment in stream.segments] == ["length", None]


async def at_the_next_request(script: Script, stream: ChatStream) -> None:
    await script.until(2)


async def at_the_pause(script: Script, stream: ChatStream) -> None:
    async with asyncio.timeout(GUARD):
        while len(stream.segments) < 2:
            await asyncio.sleep(0)


SEAMS: dict[str, tuple[tuple[Answer, ...], Callable[[Script, ChatStream], Awaitable[None]]]] = {
    "opening after the limit": ((whole(ROLE, text("one"), LENGTH, DONE), silent),
                                at_the_next_request),
    "opening after a cut": ((cut(ROLE, text("one")), silent), at_the_next_request),
    "waiting for the first chunk": ((cut(ROLE, text("one")), stalled()), at_the_next_request),
    "pausing": ((whole(ROLE, text("one"), ABORTED, DONE),), at_the_pause),
}  # fmt: skip


@pytest.mark.parametrize("cancelled", [True, False])
@pytest.mark.parametrize(("answers", "moment"), SEAMS.values(), ids=SEAMS)
async def test_leaving_in_the_seam(
    answers: tuple[Answer, ...],
    moment: Callable[[Script, ChatStream], Awaitable[None]],
    cancelled: bool,
) -> None:
    script = Script(*answers)
    async with serving(script, max_concurrency=1) as (peer, client):
        stream = await opened(client, auto_continue=1, resume=2)
        reading = asyncio.create_task(stream.until_done())
        await moment(script, stream)
        if cancelled:
            reading.cancel()
        else:
            await stream.aclose()
        with pytest.raises(asyncio.CancelledError if cancelled else StreamInterruptedError):
            async with asyncio.timeout(GUARD):
                await reading
        assert said(stream) == "one"
        with pytest.raises(StreamInterruptedError, match="closed or cancelled"):
            await anext(stream)
        assert len(script.requests) == len(answers), "nothing was sent for nobody"
        assert client.usage.requests == 1
        # Only a free connection may be left, and the only place is free.
        await peer.until_open(1)
        script.answers.append(whole(ROLE, text("x"), FINISH, DONE))
        async with asyncio.timeout(GUARD):
            await (await opened(client)).until_done()


@pytest.mark.parametrize("cancelled", [True, False])
async def test_leaving_while_waiting_for_a_place(cancelled: bool) -> None:
    end = asyncio.Event()

    async def ends_later(connection: Connection) -> None:
        await connection.write(head("a") + http_chunk(text("one") + LENGTH))
        await end.wait()
        await connection.write(http_chunk(DONE) + TERMINATOR)

    script = Script(ends_later, stalled(text("x")), whole(ROLE, text("y"), FINISH, DONE))
    async with serving(script, max_concurrency=1) as (_, client):
        stream = await opened(client, auto_continue=1)
        reading = asyncio.create_task(stream.until_done())
        first_in_line = asyncio.create_task(opened(client))
        await asyncio.sleep(0)
        end.set()
        other = await first_in_line
        if cancelled:
            reading.cancel()
        else:
            await stream.aclose()
        with pytest.raises(asyncio.CancelledError if cancelled else StreamInterruptedError):
            async with asyncio.timeout(GUARD):
                await reading
        await other.aclose()
        async with asyncio.timeout(GUARD):
            await (await opened(client)).until_done()
    assert len(script.requests) == 3
    assert [body["messages"] for body in script.bodies] == [ASK["messages"]] * 3


async def test_closing_while_the_first_request_waits() -> None:
    script = Script(silent, whole(ROLE, text("y"), FINISH, DONE))
    async with serving(script, max_concurrency=1) as (_, client):
        events = client.chat.completions.stream(**ASK)
        entering = asyncio.create_task(events.__aenter__())
        await script.until(1)
        await events.aclose()
        with pytest.raises(StreamInterruptedError, match="closed or cancelled"):
            async with asyncio.timeout(GUARD):
                await entering
        async with asyncio.timeout(GUARD):
            await (await opened(client)).until_done()


async def test_closing_from_another_thread() -> None:
    script = Script(whole(ROLE, text("one"), LENGTH, DONE), silent)
    async with serving(script) as (_, client):
        stream = await opened(client, auto_continue=1)
        reading = asyncio.create_task(stream.until_done())
        await script.until(2)
        await asyncio.to_thread(lambda: asyncio.run(stream.aclose()))
        with pytest.raises(StreamInterruptedError, match="closed or cancelled"):
            async with asyncio.timeout(GUARD):
                await reading


async def test_a_stream_dropped_in_the_seam_leaves_nothing() -> None:
    script = Script(whole(ROLE, text("one"), LENGTH, DONE), stalled(), whole(FINISH, DONE))
    async with serving(script, max_concurrency=1) as (peer, client):
        stream = client.chat.completions.stream(auto_continue=1, **ASK)
        await stream.__aenter__()
        async for told in stream:
            if told.type == "resumed":
                break
        await script.until(2)
        del stream, told
        gc.collect()
        await peer.until_open(0)
        await (await opened(client)).until_done()


async def test_a_dropped_stream_is_in_the_totals() -> None:
    script = Script(stalled(ROLE, text("one")))
    async with serving(script) as (_, client):
        stream = await opened(client)
        async for _ in stream:
            break
        assert client.usage.requests == 0
        del stream
        gc.collect()
        assert client.usage["deepseek-flash"].without_usage == 1


async def test_each_segment_has_its_own_request_id() -> None:
    async def gone(connection: Connection) -> None:
        connection.reset()
        await connection.until_gone()

    script = Script(whole(text("one"), LENGTH, DONE, trace="a"), gone, gone)
    async with serving(script) as (_, client):
        stream = await opened(client, auto_continue=1)
        with pytest.raises(StreamInterruptedError):
            await stream.until_done()
    assert [segment.request_id for segment in stream.segments] == ["a", None]


async def test_what_a_void_attempt_said_is_void() -> None:
    odd = event({"role": "assistant"}, usage=USAGE, id="void")
    other = event({"role": "assistant"}, choices=[{"index": 1, "delta": {}}])
    script = Script(
        cut(odd, other),
        whole(ROLE, text("one"), event({}, "length"), DONE),
        whole(ROLE, text(" two"), event({}, "stop"), DONE),
    )
    async with serving(script, max_retries=1) as (_, client):
        stream = await opened(client, auto_continue=1)
        chunks = [chunk async for chunk in stream if chunk.id != "void"]
    assert said(stream) == "one two"
    assert {chunk.id for chunk in chunks} == {"5c41f2c8-0000-4000-8000-3f6d3a5d1a11"}
    assert stream.usage is None


async def test_the_request_goes_on_byte_by_byte() -> None:
    script = Script(
        whole(ROLE, text("one"), LENGTH, DONE),
        whole(ROLE, text(" two"), LENGTH, DONE),
        whole(ROLE, text(" three"), FINISH, DONE),
    )
    message: dict[str, Any] = {"role": "user", "content": "Hello \u4e2d\u6587"}
    tools: list[Any] = [{"type": "function", "function": {"name": "f", "description": "\u00e4"}}]
    async with serving(script) as (_, client):
        stream: ChatStream = await client.chat.completions.create(
            stream=True, model="deepseek-flash", messages=iter([message]), tools=tools,
            auto_continue=2, extra_body={"x": {"b": 1, "a": 1.0}},
        )  # fmt: skip
        message["content"] = "something else"
        tools.clear()
        await stream.until_done()
    assert said(stream) == "one two three"
    first, *later = [request.body for request in script.requests]
    end = first.index(b"]")
    for prefix, body in zip(["one", "one two"], later, strict=True):
        added = b',{"role":"assistant","content":"%b","prefix":true}' % prefix.encode()
        assert body == first[:end] + added + first[end:]


async def test_several_answers_are_not_one() -> None:
    script = Script()
    async with serving(script) as (_, client):
        with pytest.raises(PreflightError, match="n=2"):
            await opened(client, auto_continue=1, extra_body={"n": 2})
    assert not script.requests


async def test_where_nothing_continues_the_answer_is_asked_for_whole() -> None:
    async def answer(connection: Connection) -> None:
        await connection.write(plain("one"))

    script = Script(answer, answer)
    async with serving(script, dialect="generic") as (_, client):
        with pytest.warns(DeepSeekWarning, match="no effect") as caught:
            completion = await client.chat.completions.create(**ASK, auto_continue=1)
        assert [each.filename for each in caught] == [__file__]
        assert completion.choices[0].message.content == "one"
        await client.chat.completions.create(**ASK, resume=1, preflight="off")
    assert [("stream" in body) for body in script.bodies] == [False, False]


async def test_an_answer_may_become_a_tool_call() -> None:
    thought = event({"reasoning_content": "hm"})
    script = Script(
        whole(ROLE, thought, text("one"), LENGTH, DONE),
        whole(ROLE, thought, event({"tool_calls": [CALL]}), event({}, "tool_calls"), DONE),
    )
    async with serving(script) as (_, client):
        completion = await client.chat.completions.create(**ASK, auto_continue=5, resume=5)
    message = completion.choices[0].message
    assert (message.content, message.reasoning_content) == ("one", "hmhm")
    assert message.tool_calls is not None
    assert message.tool_calls[0].function.arguments == "{}"
    assert completion.choices[0].finish_reason == "tool_calls"


async def test_two_hundred_segments_are_one_answer() -> None:
    script = Script(
        *[whole(ROLE, text(f"{number} "), LENGTH, DONE) for number in range(199)],
        whole(ROLE, text("end"), FINISH, DONE),
    )
    async with serving(script) as (peer, client):
        stream = await opened(client, auto_continue=1000)
        await stream.until_done()
        assert client.usage.requests == 200
        assert peer.accepted == 1
    assert said(stream) == "".join(f"{number} " for number in range(199)) + "end"
    assert stream.usage is not None
    assert stream.usage.total_tokens == 200 * USAGE["total_tokens"]
    assert json.loads(script.requests[-1].body)["messages"][-1]["prefix"] is True


async def test_a_continuation_meets_a_stale_connection_for_free_as_well() -> None:
    """Each request of an answer may go over a kept connection that turns out to be closed."""
    both = asyncio.Event()

    async def greet(connection: Connection) -> None:
        # Two at once, so that two connections are kept.
        if len(script.requests) == 2:
            both.set()
        await both.wait()
        await connection.write(plain("x"))

    async def hang_up(connection: Connection) -> None:
        connection.finish()
        await connection.until_gone()

    script = Script(
        greet,
        greet,
        hang_up,
        whole(ROLE, text("one "), LENGTH, DONE),
        hang_up,
        whole(ROLE, text("two"), FINISH, DONE),
    )
    async with asyncio.timeout(GUARD), serving(script, max_retries=0) as (peer, client):
        async with asyncio.TaskGroup() as group:
            for _ in range(2):
                group.create_task(client.chat.completions.create(**ASK))
        stream = await opened(client, auto_continue=1)
        await stream.until_done()
        assert said(stream) == "one two"
        assert (stream.attempts, peer.accepted) == (4, 3)
