"""Connections that break: what arrived first is delivered first, and a cut is never success."""

import asyncio
from collections.abc import Callable

import aiohttp
import pytest

from deepseek_async import AsyncDeepSeek, StreamInterruptedError
from tests.loopback.peer import (
    ASK,
    DONE,
    FINISH,
    GUARD,
    ROLE,
    STREAM_HEAD,
    TERMINATOR,
    Connection,
    http_chunk,
    serving,
    text,
)

EVENTS = [ROLE, text("Hel"), text("lo"), FINISH, DONE]
BODY = b"".join(map(http_chunk, EVENTS)) + TERMINATOR

ENDS: dict[str, Callable[[Connection], None]] = {
    "FIN": Connection.finish,
    "RST": Connection.reset,
}


def delivered_before(cut: int) -> int:
    """Return how many whole events stand in the first ``cut`` bytes of the body."""
    count = position = 0
    for each in EVENTS:
        # An event is there with its blank line, even if its HTTP chunk is not closed.
        data_end = position + len(http_chunk(each)) - 2
        position += len(http_chunk(each))
        if cut >= data_end and each is not DONE:
            count += 1
    return count


async def read(client: AsyncDeepSeek, pause: asyncio.Event | None) -> tuple[int, str, bool]:
    """Read a stream; return chunks, text, and whether it ended as complete."""
    stream = await client.chat.completions.create(**ASK, stream=True)
    if pause is not None:
        await pause.wait()
    chunks = 0
    try:
        async for _ in stream:
            chunks += 1
    except StreamInterruptedError as exc:
        partial = exc.partial
        got = "" if partial is None else partial.choices[0].message.content or ""
        assert (partial is None) == (chunks == 0)
        assert stream.completion().choices == ([] if partial is None else partial.choices)
        return chunks, got, False
    return chunks, stream.completion().choices[0].message.content or "", True


@pytest.mark.parametrize("slow", [False, True], ids=["reading", "reader away"])
@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
async def test_a_cut_at_any_byte_delivers_what_came_and_is_no_success(
    end: Callable[[Connection], None], slow: bool
) -> None:
    cut = 0
    gone = asyncio.Event()

    async def handle(connection: Connection) -> None:
        await connection.request()
        await connection.write(STREAM_HEAD + BODY[:cut])
        # Long enough for the bytes to be on their way before a reset discards the rest.
        await asyncio.sleep(0.002)
        end(connection)
        await asyncio.sleep(0.002)
        gone.set()

    # With its last bracket: no line end needs to follow [DONE].
    done_at = len(BODY) - len(TERMINATOR) - len("\n\n\r\n")
    async with asyncio.timeout(5 * GUARD), serving(handle) as (_, client):
        for cut in range(len(BODY)):
            gone.clear()
            chunks, content, complete = await read(client, gone if slow else None)
            assert complete == (cut >= done_at), cut
            assert chunks == delivered_before(cut), cut
            assert content == ["", "", "Hel", "Hello", "Hello"][chunks], cut


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
async def test_everything_a_slow_reader_left_behind_is_delivered(
    end: Callable[[Connection], None],
) -> None:
    pieces = [text(f"{i} ") for i in range(300)]

    async def handle(connection: Connection) -> None:
        await connection.request()
        await connection.stream(ROLE, *pieces, end=False)
        await asyncio.sleep(0.05)
        end(connection)

    async with serving(handle) as (_, client):
        stream = await client.chat.completions.create(**ASK, stream=True)
        await anext(stream)
        await asyncio.sleep(0.2)
        with pytest.raises(StreamInterruptedError) as caught:
            async for _ in stream:
                pass
    assert caught.value.partial is not None
    expected = "".join(f"{i} " for i in range(300))
    assert caught.value.partial.choices[0].message.content == expected


async def test_done_in_the_bytes_before_a_cut_means_complete() -> None:
    async def handle(connection: Connection) -> None:
        await connection.request()
        await connection.stream(*EVENTS, end=False)
        connection.reset()

    async with serving(handle) as (_, client):
        stream = await client.chat.completions.create(**ASK, stream=True)
        await asyncio.sleep(0.05)
        assert len([chunk async for chunk in stream]) == 4
        assert stream.saw_done


async def test_a_dirty_cut_after_the_finish_reason_is_an_interruption() -> None:
    async def handle(connection: Connection) -> None:
        await connection.request()
        await connection.stream(*EVENTS[:-1], end=False)
        connection.finish()

    async with serving(handle) as (_, client):
        stream = await client.chat.completions.create(**ASK, stream=True)
        with pytest.raises(StreamInterruptedError) as caught:
            async for _ in stream:
                pass
    assert caught.value.partial is not None
    assert caught.value.partial.choices[0].finish_reason == "stop"


async def test_a_body_without_length_ends_cleanly_with_the_connection() -> None:
    async def handle(connection: Connection) -> None:
        await connection.request()
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
        await connection.write(head + b"".join(EVENTS[:-1]))
        connection.finish()

    async with serving(handle) as (_, client):
        stream = await client.chat.completions.create(**ASK, stream=True)
        assert len([chunk async for chunk in stream]) == 4
        assert not stream.saw_done


async def test_broken_chunk_framing_is_an_interruption() -> None:
    opened = asyncio.Event()

    async def handle(connection: Connection) -> None:
        await connection.request()
        await connection.write(STREAM_HEAD + http_chunk(ROLE) + http_chunk(text("x")))
        # In one read with the headers, it would spoil those as well.
        await opened.wait()
        await connection.write(b"this is no chunk size\r\n")
        await connection.until_gone()

    async with asyncio.timeout(GUARD), serving(handle) as (_, client):
        stream = await client.chat.completions.create(**ASK, stream=True)
        opened.set()
        with pytest.raises(StreamInterruptedError) as caught:
            async for _ in stream:
                pass
    assert caught.value.partial is not None


def test_aiohttp_still_has_what_the_drain_needs() -> None:
    # response.py reads these private names; without them bytes before a cut are lost.
    reader = aiohttp.StreamReader
    assert hasattr(reader, "_read_nowait")
    assert "_buffer" in reader.__slots__
