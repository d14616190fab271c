"""Closing at awkward moments: while connecting, between attempts, from elsewhere."""

import asyncio
import gc
import threading
import warnings

import pytest

from deepseek_async import (
    APIConnectionError,
    APIStatusError,
    AsyncDeepSeek,
    RateLimitError,
    StreamInterruptedError,
    Timeouts,
    TotalTimeoutError,
)
from deepseek_async import connections as connections_module
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
    json_response,
    plain,
    serving,
    text,
)


async def test_closing_a_stream_while_it_opens_leaves_no_connection_and_no_place() -> None:
    asked, answer = asyncio.Event(), asyncio.Event()

    async def handle(connection: Connection) -> None:
        await connection.request()
        asked.set()
        await answer.wait()
        await connection.write(STREAM_HEAD + http_chunk(ROLE))
        await connection.until_gone()

    async with asyncio.timeout(GUARD), serving(handle, max_concurrency=1) as (peer, client):
        gc.disable()
        try:
            stream = client.chat.completions.stream(**ASK)
            task = asyncio.create_task(stream.until_done())
            await asked.wait()
            await stream.aclose()
            answer.set()
            with pytest.raises(StreamInterruptedError):
                await task
            await peer.until_open(0)
            # The place is free again.
            async with await client.chat.completions.create(**ASK, stream=True):
                pass
        finally:
            gc.enable()


async def test_closing_a_stream_between_attempts_sends_nothing_more() -> None:
    requests = 0
    failed = asyncio.Event()

    async def handle(connection: Connection) -> None:
        nonlocal requests
        await connection.request()
        requests += 1
        await connection.stream(ROLE, end=False)
        connection.finish()
        failed.set()

    async with asyncio.timeout(GUARD), serving(handle, max_retries=5) as (_, client):
        stream = await client.chat.completions.create(**ASK, stream=True)
        await anext(stream)
        task = asyncio.create_task(anext(stream))
        await failed.wait()
        while not task.done() and requests < 2:
            await stream.aclose()
            await asyncio.sleep(0.005)
        with pytest.raises(StreamInterruptedError):
            await task
        assert requests == 1


async def test_closing_the_client_between_attempts_tells_the_failure() -> None:
    refused = asyncio.Event()

    async def handle(connection: Connection) -> None:
        await connection.request()
        refused.set()
        await connection.until_gone()

    async with asyncio.timeout(GUARD), Peer(handle) as peer:
        client = peer.client(max_retries=5)
        task = asyncio.create_task(client.chat.completions.create(**ASK))
        await refused.wait()
        await client.aclose()
        with pytest.raises(APIConnectionError):
            await task


def test_loops_are_not_kept_alive_by_a_client_that_is_never_closed() -> None:
    async def use(client: AsyncDeepSeek) -> None:
        await client.chat.completions.stream(**ASK).until_done()

    async def main() -> None:
        async with Peer(answering(ROLE, FINISH, DONE)) as peer:
            client = peer.client()
            for _ in range(3):
                await asyncio.to_thread(asyncio.run, use(client))
            assert not [loop for loop in connections_module._guards if loop.is_closed()]
            await client.aclose()

    asyncio.run(main())
    assert not connections_module._guards


async def test_pooled_connections_of_a_loop_closed_the_hard_way_are_closed_with_the_client() -> (
    None
):
    async with asyncio.timeout(GUARD), Peer(answering(ROLE, FINISH, DONE)) as peer:
        client = peer.client()

        def work() -> None:
            loop = asyncio.new_event_loop()
            loop.run_until_complete(client.chat.completions.stream(**ASK).until_done())
            loop.close()

        await asyncio.to_thread(work)
        assert peer.open == 1
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            await client.aclose()
            await peer.until_open(0)


async def test_raw_begins_anew_with_a_new_attempt() -> None:
    first = True

    async def handle(connection: Connection) -> None:
        nonlocal first
        await connection.request()
        if first:
            first = False
            await connection.stream(ROLE + text("lost")[:30], end=False)
            await asyncio.sleep(0.01)
            connection.finish()
            return
        await connection.stream(ROLE, text("x"), FINISH, DONE)

    async with asyncio.timeout(GUARD), serving(handle, max_retries=3) as (_, client):
        stream = await client.chat.completions.create(**ASK, stream=True)
        events = [each async for each in stream.raw()]
    assert events[-4:] == [ROLE, text("x"), FINISH, DONE]
    assert all(each.startswith(b"data: {") and each.endswith(b"}\n\n") for each in events[:-1])


async def test_a_snapshot_after_a_reissue_is_of_the_new_attempt() -> None:
    first = True

    async def handle(connection: Connection) -> None:
        nonlocal first
        await connection.request()
        if first:
            first = False
            await connection.stream(ROLE.replace(b"5c41f2c8", b"11111111"), end=False)
            await asyncio.sleep(0.01)
            connection.finish()
            return
        await connection.stream(ROLE.replace(b"5c41f2c8", b"22222222"), text("x"), FINISH, DONE)

    async with asyncio.timeout(GUARD), serving(handle, max_retries=3) as (_, client):
        async with client.chat.completions.stream(**ASK, chunks=True) as stream:
            ids: list[tuple[str, str]] = []
            async for each in stream:
                if each.type == "chunk":
                    ids.append((each.chunk.id[:8], stream.snapshot.id[:8]))
    assert {chunk for chunk, _ in ids} == {"11111111", "22222222", "5c41f2c8"}
    assert ids[1] == ("22222222", "22222222")


async def test_an_error_without_its_body_is_told_by_its_status(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("deepseek_async.caller._ERROR_BODY_TIMEOUT", 0.1)

    async def handle(connection: Connection) -> None:
        await connection.request()
        await connection.write(b"HTTP/1.1 500 Oops\r\ncontent-length: 50\r\n\r\n")
        await connection.until_gone()

    async with asyncio.timeout(GUARD), serving(handle) as (peer, client):
        with pytest.raises(APIStatusError) as caught:
            await client.chat.completions.create(**ASK)
        assert caught.value.status_code == 500
        await peer.until_open(0)


async def test_the_total_timeout_closes_a_stream_that_nobody_reads() -> None:
    async def handle(connection: Connection) -> None:
        await connection.request()
        await connection.write(STREAM_HEAD + http_chunk(ROLE) + http_chunk(text("x")))
        await connection.until_gone()

    async with asyncio.timeout(GUARD), serving(handle, timeout=0.3) as (peer, client):
        stream = await client.chat.completions.create(**ASK, stream=True)
        await anext(stream)
        await peer.until_open(0)
        with pytest.raises(TotalTimeoutError):
            async for _ in stream:
                pass


@pytest.mark.parametrize("end", [Connection.finish, Connection.reset], ids=["FIN", "RST"])
async def test_an_unterminated_done_before_a_dirty_cut_is_complete(end: object) -> None:
    async def handle(connection: Connection) -> None:
        await connection.request()
        await connection.stream(ROLE, text("x"), FINISH, b"data: [DONE]", end=False)
        await asyncio.sleep(0.02)
        assert callable(end)
        end(connection)

    async with asyncio.timeout(GUARD), serving(handle) as (_, client):
        assert await client.chat.completions.stream(**ASK).get_final_text() == "x"


async def test_a_get_is_sent_no_more_often_than_it_says() -> None:
    requests = 0

    async def handle(connection: Connection) -> None:
        nonlocal requests
        await connection.request()
        requests += 1
        connection.finish()

    async with asyncio.timeout(GUARD), serving(handle) as (_, client):
        with pytest.raises(APIConnectionError) as caught:
            await client.models.list()
    assert requests == caught.value.attempts == 1


async def test_a_request_does_not_wait_for_a_terminator_while_a_connection_is_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Were it to wait, it would wait past the guard.
    monkeypatch.setattr("deepseek_async.connections.REUSE_WAIT", 10 * GUARD)
    monkeypatch.setattr("deepseek_async.response.RELEASE_TIMEOUT", 10 * GUARD)
    connections = 0
    go_on = asyncio.Event()

    async def handle(connection: Connection) -> None:
        nonlocal connections
        connections += 1
        late = connections == 1
        while True:
            request = await connection.request()
            if request.json.get("stream"):
                await connection.stream(ROLE, FINISH, DONE, end=not late)
                if late:
                    await go_on.wait()
                    await connection.write(TERMINATOR)
            else:
                await connection.write(plain("x"))

    async with asyncio.timeout(GUARD), serving(handle) as (_, client):
        first = await client.chat.completions.create(**ASK, stream=True)
        await client.chat.completions.create(**ASK)
        async for _ in first:
            pass
        await client.chat.completions.create(**ASK)
        assert connections == 2
        go_on.set()


async def test_a_key_that_the_server_quotes_is_blotted_out() -> None:
    async def handle(connection: Connection) -> None:
        await connection.request()
        body = {"error": {"message": "Incorrect API key: sk-test", "param": ["sk-test"]}}
        await connection.write(json_response(body, "401 Unauthorized"))

    async with asyncio.timeout(GUARD), serving(handle) as (_, client):
        with pytest.raises(APIStatusError) as caught:
            await client.chat.completions.create(**ASK)
    assert "sk-test" not in f"{caught.value} {caught.value.body} {caught.value.args}"
    assert "Incorrect API key: ****" in str(caught.value)


async def test_a_status_101_leaves_no_warning() -> None:
    async def handle(connection: Connection) -> None:
        await connection.request()
        await connection.write(
            b"HTTP/1.1 101 Switching\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n"
        )
        await connection.until_gone()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        timeouts = Timeouts(idle=0.5)
        async with asyncio.timeout(GUARD), serving(handle, timeout=timeouts) as (peer, client):
            with pytest.raises((APIStatusError, APIConnectionError)):
                await client.chat.completions.create(**ASK)
            await peer.until_open(0)
        gc.collect()


async def test_a_malformed_retry_after_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.random", lambda: 0.0)

    async def handle(connection: Connection) -> None:
        while True:
            await connection.request()
            await connection.write(
                b"HTTP/1.1 429 No\r\nretry-after: Mon, 99999999999999999999 Jan 2020 00:00:00 GMT"
                b"\r\ncontent-length: 0\r\n\r\n"
            )

    async with asyncio.timeout(GUARD), serving(handle, max_retries=1) as (_, client):
        with pytest.raises(RateLimitError) as caught:
            await client.chat.completions.create(**ASK)
    assert caught.value.attempts == 2


async def test_a_copy_does_not_open_what_its_original_closed() -> None:
    async with Peer(answering(ROLE, FINISH, DONE)) as peer:
        client = peer.client()
        copy = client.with_options(max_retries=1)
        await client.aclose()
        async with copy:
            with pytest.raises(RuntimeError, match="closed"):
                await copy.chat.completions.create(**ASK)


def test_a_loop_that_stops_does_not_hold_up_closing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deepseek_async.session.CLOSE_WAIT", 0.1)
    started, stop = threading.Event(), threading.Event()
    loop = asyncio.new_event_loop()

    async def main() -> None:
        async with Peer(answering(ROLE, FINISH, DONE)) as peer:
            client = peer.client()

            def work() -> None:
                loop.run_until_complete(client.chat.completions.stream(**ASK).until_done())

                async def block() -> None:
                    started.set()
                    stop.wait(GUARD)

                # Running, but deaf.
                loop.run_until_complete(block())

            thread = threading.Thread(target=work)
            thread.start()
            await asyncio.to_thread(started.wait)
            async with asyncio.timeout(GUARD):
                await client.aclose()
            stop.set()
            await asyncio.to_thread(thread.join)

    asyncio.run(main())
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    gc.collect()
