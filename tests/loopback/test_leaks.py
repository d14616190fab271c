"""Leaving a stream at any moment, any number of times, leaves nothing behind."""

import asyncio
import gc
import os
import threading
import warnings
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from deepseek_async import AsyncDeepSeek, ChatStream
from tests.loopback.peer import (
    ASK,
    DONE,
    FINISH,
    GUARD,
    ROLE,
    STREAM_HEAD,
    TERMINATOR,
    Connection,
    Peer,
    answering,
    http_chunk,
    serving,
    text,
)


def sockets() -> int:
    """Count this process's open sockets."""
    count = 0
    for name in os.listdir("/proc/self/fd"):
        try:
            count += os.readlink(f"/proc/self/fd/{name}").startswith("socket:")
        except OSError:
            continue
    return count


async def endless(connection: Connection) -> None:
    """Begin an answer and wait for the client to leave."""
    await connection.request()
    await connection.write(STREAM_HEAD + http_chunk(ROLE + text("Hel")))
    await connection.until_gone()


async def leave_by_break(client: AsyncDeepSeek) -> None:
    async with await client.chat.completions.create(**ASK, stream=True) as stream:
        async for _ in stream:
            break


async def leave_by_exception(client: AsyncDeepSeek) -> None:
    with pytest.raises(KeyError):
        async with client.chat.completions.stream(**ASK) as stream:
            async for _ in stream:
                raise KeyError


async def leave_by_cancellation(client: AsyncDeepSeek) -> None:
    began = asyncio.Event()

    async def read() -> None:
        async with client.chat.completions.stream(**ASK) as stream:
            async for _ in stream.text_stream:
                began.set()

    task = asyncio.create_task(read())
    await began.wait()
    task.cancel()
    await asyncio.wait([task])


async def leave_by_timeout(client: AsyncDeepSeek) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            async with client.chat.completions.stream(**ASK) as stream:
                await stream.until_done()


async def leave_without_closing(client: AsyncDeepSeek) -> None:
    async for _ in await client.chat.completions.create(**ASK, stream=True):
        return


async def leave_events_without_closing(client: AsyncDeepSeek) -> None:
    async for _ in client.chat.completions.stream(**ASK):
        return


LEAVES = [
    leave_by_break,
    leave_by_exception,
    leave_by_cancellation,
    leave_by_timeout,
    leave_without_closing,
    leave_events_without_closing,
]


@pytest.mark.parametrize("leave", LEAVES)
async def test_leaving_500_times_leaves_nothing_without_the_garbage_collector(
    leave: Callable[[AsyncDeepSeek], Awaitable[None]],
) -> None:
    times = 100 if leave is leave_by_timeout else 500
    gc.collect()
    gc.disable()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            async with asyncio.timeout(3 * GUARD), serving(endless) as (peer, client):
                await leave(client)
                await peer.until_open(0)
                base, tasks = sockets(), len(asyncio.all_tasks())
                for _ in range(times):
                    await leave(client)
                await peer.until_open(0)
                while sockets() > base or len(asyncio.all_tasks()) > tasks:
                    await asyncio.sleep(0.001)
                assert peer.accepted >= times
    finally:
        gc.enable()


async def test_leaving_closes_the_socket_while_the_caller_goes_on() -> None:
    async with asyncio.timeout(GUARD), serving(endless) as (peer, client):
        stream = await client.chat.completions.create(**ASK, stream=True)
        await anext(stream)
        await stream.aclose()
        await peer.until_open(0)


async def test_a_dropped_stream_is_freed_without_the_garbage_collector() -> None:
    async with asyncio.timeout(GUARD), serving(endless) as (peer, client):
        gc.collect()
        gc.disable()
        try:
            stream = await client.chat.completions.create(**ASK, stream=True)
            await anext(stream)
            gone = weakref.ref(stream)
            del stream
            assert gone() is None
            await peer.until_open(0)
        finally:
            gc.enable()


async def test_a_stream_dropped_in_another_thread_closes_its_connection() -> None:
    async with asyncio.timeout(GUARD), serving(endless) as (peer, client):
        held: list[ChatStream] = [await client.chat.completions.create(**ASK, stream=True)]
        await anext(held[0])
        thread = threading.Thread(target=held.clear)
        thread.start()
        await peer.until_open(0)
        thread.join()


def test_a_stream_dropped_after_its_loop_is_silent() -> None:
    held: list[Any] = []

    async def main() -> None:
        async with Peer(endless) as peer:
            client = peer.client()
            held.append(await client.chat.completions.create(**ASK, stream=True))
            await anext(held[0])

    before = sockets()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        asyncio.run(main())
        held.clear()
        gc.collect()
    assert sockets() == before


def test_a_stream_dropped_after_a_loop_closed_the_hard_way_is_silent() -> None:
    # Without shutdown_asyncgens nothing tells the client that its loop ends.
    server = Peer(endless)
    started = threading.Event()
    stop: asyncio.Event
    server_loop: asyncio.AbstractEventLoop

    async def serve() -> None:
        nonlocal stop, server_loop
        stop, server_loop = asyncio.Event(), asyncio.get_running_loop()
        async with server:
            started.set()
            await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    started.wait(GUARD)
    loop = asyncio.new_event_loop()
    try:
        clients = [server.client()]

        async def open_stream() -> ChatStream:
            stream: ChatStream = await clients[0].chat.completions.create(**ASK, stream=True)
            await anext(stream)
            return stream

        before = sockets()
        stream = loop.run_until_complete(open_stream())
        loop.close()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            del stream
            gc.collect()
        assert sockets() <= before
        with pytest.warns(ResourceWarning, match="not closed") as caught:
            clients.clear()
            gc.collect()
        assert len(caught) == 1
    finally:
        server_loop.call_soon_threadsafe(stop.set)
        thread.join(GUARD)


async def test_a_forgotten_client_warns_once_and_closes_its_connections() -> None:
    async with asyncio.timeout(GUARD), Peer(answering(ROLE, FINISH, DONE)) as peer:
        client = peer.client()
        await client.chat.completions.stream(**ASK).until_done()
        copy = client.with_options(max_retries=1)
        with pytest.warns(ResourceWarning) as caught:
            del client, copy
            gc.collect()
            await peer.until_open(0)
        assert [str(each.message).split(";")[0] for each in caught] == [
            "an AsyncDeepSeek client was not closed"
        ]


async def test_an_unused_client_needs_no_closing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        client = AsyncDeepSeek("sk-test")
        del client
        gc.collect()


LATE_ENDS = {"at once": 0, "in a later segment": 1, "a while later": 3}


@pytest.mark.parametrize("late", LATE_ENDS.values(), ids=LATE_ENDS)
async def test_500_streams_read_to_their_end_share_one_connection(late: int) -> None:
    async def handle(connection: Connection) -> None:
        while True:
            await connection.request()
            await connection.stream(ROLE, text("x"), FINISH, DONE, end=not late)
            if late:
                await asyncio.sleep(0.001 * late)
                await connection.write(TERMINATOR)

    async with asyncio.timeout(3 * GUARD), serving(handle) as (peer, client):
        for _ in range(500):
            stream = await client.chat.completions.create(**ASK, stream=True)
            async for _ in stream:
                pass
        assert peer.accepted == 1


async def test_iteration_ends_with_done_though_the_body_does_not() -> None:
    async def handle(connection: Connection) -> None:
        await connection.request()
        await connection.stream(ROLE, text("x"), FINISH, DONE, end=False)
        await connection.until_gone()

    async with asyncio.timeout(GUARD), serving(handle) as (peer, client):
        assert await client.chat.completions.stream(**ASK).get_final_text() == "x"
        assert peer.open == 1
        # A body that does not end within a second is given up.
        await peer.until_open(0)


async def test_a_client_closed_right_after_done_leaves_no_warning() -> None:
    async def handle(connection: Connection) -> None:
        await connection.request()
        await connection.stream(ROLE, text("x"), FINISH, DONE, end=False)
        await connection.until_gone()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        async with asyncio.timeout(GUARD), Peer(handle) as peer:
            async with peer.client() as client:
                await client.chat.completions.stream(**ASK).until_done()
            await peer.until_open(0)
        gc.collect()


async def test_a_reader_that_does_not_read_holds_the_server_back() -> None:
    sent = 0
    stuck = asyncio.Event()

    async def flood(connection: Connection) -> None:
        nonlocal sent
        await connection.request()
        await connection.write(STREAM_HEAD)
        block = http_chunk(text("x" * 60_000))
        try:
            while True:
                async with asyncio.timeout(0.5):
                    await connection.write(block)
                sent += len(block)
        except TimeoutError:
            stuck.set()

    async with asyncio.timeout(GUARD), serving(flood) as (_, client):
        stream = await client.chat.completions.create(**ASK, stream=True)
        await stuck.wait()
        # The kernel's buffers on both sides, and 128 KiB of ours.
        assert sent < 16 * 1024 * 1024
        await stream.aclose()
