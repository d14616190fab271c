"""Streamed FIM answers fail, close and leak no more than those of chat."""

import asyncio
import gc
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from deepseek_async import (
    AsyncDeepSeek,
    Completion,
    CompletionStream,
    EventTooLargeError,
    IdleTimeoutError,
    ProgressTimeoutError,
    QueuedEvent,
    StreamInterruptedError,
    StreamServerError,
    Timeouts,
    TotalTimeoutError,
)

from .peer import (
    DONE,
    GUARD,
    KEEP_ALIVE,
    STREAM_HEAD,
    TERMINATOR,
    USAGE,
    Connection,
    answering,
    http_chunk,
    serving,
)

GAP: Any = {"model": "deepseek-v4-pro", "prompt": "def f():\n", "suffix": "\n"}


def piece(text: str, finish: str | None = None, **extra: Any) -> bytes:
    choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": finish}
    body = {
        "id": "5c41f2c8-0000-4000-8000-3f6d3a5d1a13",
        "object": "text_completion",
        "created": 1790000000,
        "model": "deepseek-v4-pro",
        "choices": [choice],
        **extra,
    }
    return b"data: " + json.dumps(body).encode() + b"\n\n"


FINISH = piece("", "stop", usage=USAGE)


def in_turn(*answers: bytes, stays: bool = False) -> Callable[[Connection], Awaitable[None]]:
    """Answer the n-th request with the n-th stream; each breaks off, or stops, at its end."""
    left = list(answers)

    async def handle(connection: Connection) -> None:
        while True:
            await connection.request()
            answer = left.pop(0)
            await connection.write(STREAM_HEAD + answer)
            if not answer.endswith(TERMINATOR):
                if not stays:
                    connection.finish()
                await connection.until_gone()
                return

    return handle


def chunked(*events: bytes, end: bool = False) -> bytes:
    return b"".join(map(http_chunk, events)) + (TERMINATOR if end else b"")


async def opened(client: AsyncDeepSeek, **params: Any) -> CompletionStream:
    stream: CompletionStream = await client.completions.create(**GAP, stream=True, **params)
    return stream


async def test_one_connection_serves_all() -> None:
    async with serving(answering(piece("a"), FINISH, DONE)) as (peer, client):
        for _ in range(5):
            stream = await opened(client)
            assert [chunk.choices[0].text async for chunk in stream] == ["a", ""]
            assert stream.saw_done
        assert peer.accepted == 1
        assert client.usage["deepseek-v4-pro"].total_tokens == 5 * USAGE["total_tokens"]


async def test_what_came_before_a_cut_is_delivered() -> None:
    async with serving(in_turn(chunked(piece("a"), piece("b")))) as (_, client):
        stream = await opened(client)
        seen: list[str] = []
        with pytest.raises(StreamInterruptedError) as caught:
            async for chunk in stream:
                seen.append(chunk.choices[0].text)
        assert seen == ["a", "b"]
        assert isinstance(caught.value.partial, Completion)
        assert caught.value.partial.choices[0].text == "ab"
        with pytest.raises(StreamInterruptedError):
            await anext(stream)
        assert client.usage.without_usage == client.usage.requests == 1


async def test_an_answer_that_did_not_begin_is_asked_for_again() -> None:
    script = in_turn(chunked(piece("")), b"", chunked(piece("a"), FINISH, DONE, end=True))
    async with serving(script, max_retries=2) as (_, client):
        stream = await opened(client)
        await stream.until_done()
        assert stream.completion().choices[0].text == "a"
        assert stream.attempts == 3
        assert client.usage.requests == 1


async def test_an_unterminated_end_counts() -> None:
    script = in_turn(chunked(piece("a"), b"data: [DONE]"))
    async with serving(script) as (_, client):
        stream = await opened(client)
        await stream.until_done()
        assert stream.saw_done


async def test_an_error_in_the_stream() -> None:
    script = in_turn(chunked(piece("a"), b'data: {"error": {"message": "x"}}\n\n', end=True))
    async with serving(script) as (_, client):
        stream = await opened(client)
        with pytest.raises(StreamServerError) as caught:
            await stream.until_done()
        assert caught.value.partial is not None


async def test_an_event_that_is_too_large() -> None:
    script = in_turn(chunked(piece("a"), piece("b" * 5000)))
    async with serving(script) as (_, client):
        stream = await opened(client, max_event_size=2000)
        with pytest.raises(EventTooLargeError):
            await stream.until_done()
        assert stream.completion().choices[0].text == "a"


CLOCKS: dict[str, tuple[Timeouts, type[Exception]]] = {
    "idle": (Timeouts(idle=0.2), IdleTimeoutError),
    "progress": (Timeouts(progress=0.2), ProgressTimeoutError),
    "total": (Timeouts(total=0.3), TotalTimeoutError),
}


@pytest.mark.parametrize(("clocks", "cls"), CLOCKS.values(), ids=CLOCKS)
async def test_clocks(clocks: Timeouts, cls: type[Exception]) -> None:
    script = in_turn(chunked(piece("a")), stays=True)
    async with serving(script) as (peer, client):
        stream = await opened(client, timeout=clocks)
        with pytest.raises(cls) as caught:
            await stream.until_done()
        partial: Any = vars(caught.value)["partial"]
        assert partial.choices[0].text == "a"
        await peer.until_open(0)


async def leave(stream: CompletionStream) -> None:
    async with stream:
        await anext(stream)


async def close(stream: CompletionStream) -> None:
    await anext(stream)
    await stream.aclose()


async def cancel(stream: CompletionStream) -> None:
    await anext(stream)
    task = asyncio.create_task(stream.until_done())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def close_beside(stream: CompletionStream) -> None:
    await anext(stream)
    task = asyncio.create_task(stream.until_done())
    await asyncio.sleep(0)
    await stream.aclose()
    with pytest.raises(StreamInterruptedError, match="closed or cancelled"):
        await task


@pytest.mark.parametrize("end", [leave, close, cancel, close_beside])
async def test_leaving_early_closes_the_connection(
    end: Callable[[CompletionStream], Awaitable[None]],
) -> None:
    script = in_turn(*[chunked(piece("a"))] * 2, stays=True)
    async with serving(script, max_concurrency=1) as (peer, client):
        stream = await opened(client)
        await end(stream)
        await peer.until_open(0)
        assert stream.completion().choices[0].text == "a"
        assert client.usage.requests == 1
        async with asyncio.timeout(GUARD):
            await leave(await opened(client))


async def test_dropping_a_stream_closes_its_connection() -> None:
    script = in_turn(*[chunked(piece("a"))] * 2, stays=True)
    async with serving(script, max_concurrency=1) as (peer, client):
        stream = await opened(client)
        await anext(stream)
        del stream
        gc.collect()
        await peer.until_open(0)
        assert client.usage.requests == 1
        events = client.completions.stream(**GAP)
        async with events:
            await anext(aiter(events))


async def test_only_one_task_may_read() -> None:
    script = in_turn(chunked(piece("a")), stays=True)
    async with serving(script) as (_, client):
        stream = await opened(client)
        await anext(stream)
        task = asyncio.create_task(stream.until_done())
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="another task"):
            await anext(stream)
        task.cancel()
        await asyncio.wait([task])


async def test_waiting_is_told() -> None:
    script = in_turn(chunked(KEEP_ALIVE, KEEP_ALIVE, piece("a"), FINISH, DONE, end=True))
    async with serving(script) as (_, client), client.completions.stream(**GAP) as stream:
        events = [event async for event in stream]
    assert [isinstance(event, QueuedEvent) for event in events].count(True) == 2
    assert events[-1].type == "done"


async def test_several_gaps_are_told_apart() -> None:
    both = [{"index": 1, "text": "x"}, {"index": 0, "text": "a"}]
    script = in_turn(
        chunked(piece("", choices=both), piece("", choices=both), FINISH, DONE, end=True)
    )
    async with serving(script) as (_, client), client.completions.stream(**GAP) as stream:
        assert [text async for text in stream.text_stream] == ["a", "a"]
    assert [choice.text for choice in stream.completion().choices] == ["aa", "xx"]
