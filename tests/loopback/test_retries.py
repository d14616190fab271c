"""When a request is sent again, seen from the server."""

import asyncio

import pytest

from deepseek_async import (
    APIConnectionError,
    ConcurrencyLimitError,
    FirstEventTimeoutError,
    ServerOverloadedError,
    StreamInterruptedError,
    StreamServerError,
    Timeouts,
    TotalTimeoutError,
)
from tests.loopback.peer import (
    ASK,
    DONE,
    FINISH,
    GUARD,
    KEEP_ALIVE,
    ROLE,
    STREAM_HEAD,
    Connection,
    Handler,
    http_chunk,
    json_response,
    plain,
    serving,
    text,
)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every backoff take no time."""
    monkeypatch.setattr("random.random", lambda: 0.0)


def in_turn(*handlers: Handler) -> Handler:
    """Return a handler that treats each connection differently, the last ones alike."""
    remaining = list(handlers)

    async def handle(connection: Connection) -> None:
        await (remaining.pop(0) if len(remaining) > 1 else remaining[0])(connection)

    return handle


async def hang_up(connection: Connection) -> None:
    await connection.request()
    connection.finish()


async def answer(connection: Connection) -> None:
    while True:
        request = await connection.request()
        if request.json.get("stream"):
            await connection.stream(ROLE, text("x"), FINISH, DONE)
        else:
            await connection.write(plain("x"))


def cut_after(*events: bytes) -> Handler:
    async def handle(connection: Connection) -> None:
        await connection.request()
        await connection.stream(*events, end=False)
        await asyncio.sleep(0.01)
        connection.finish()

    return handle


BEFORE_DATA = {
    "before the headers": hang_up,
    "after the headers": cut_after(),
    "while queued": cut_after(KEEP_ALIVE, KEEP_ALIVE),
    "after the role": cut_after(ROLE),
}


@pytest.mark.parametrize("failing", BEFORE_DATA.values(), ids=BEFORE_DATA)
async def test_a_stream_is_reissued_before_its_first_data(failing: Handler) -> None:
    async with (
        asyncio.timeout(GUARD),
        serving(in_turn(failing, answer), max_retries=1) as (
            peer,
            client,
        ),
    ):
        stream = await client.chat.completions.create(**ASK, stream=True)
        content = [chunk.choices[0].delta.content async for chunk in stream]
        assert "".join(piece or "" for piece in content) == "x"
        assert stream.attempts == 2
        completion = stream.completion()
        assert completion.attempts == 2
        assert completion.choices[0].message.content == "x"
        assert peer.accepted == 2


async def test_a_stream_is_not_reissued_after_its_first_data() -> None:
    async with (
        asyncio.timeout(GUARD),
        serving(in_turn(cut_after(ROLE, text("x")), answer), max_retries=5) as (peer, client),
    ):
        with pytest.raises(StreamInterruptedError) as caught:
            await client.chat.completions.stream(**ASK).until_done()
        assert caught.value.attempts == peer.accepted == 1


async def test_an_error_object_before_data_is_retried() -> None:
    error = b'data: {"error":{"message":"busy","code":503}}\n\n'
    async with (
        asyncio.timeout(GUARD),
        serving(in_turn(cut_after(error), answer), max_retries=1) as (_, client),
    ):
        assert await client.chat.completions.stream(**ASK).get_final_text() == "x"


async def test_an_error_object_that_blames_the_request_is_not_retried() -> None:
    error = b'data: {"error":{"message":"bad","type":"invalid_request_error"}}\n\n'
    async with (
        asyncio.timeout(GUARD),
        serving(in_turn(cut_after(error), answer), max_retries=5) as (peer, client),
    ):
        with pytest.raises(StreamServerError):
            await client.chat.completions.stream(**ASK).until_done()
        assert peer.accepted == 1


async def test_retries_end_with_the_last_failure() -> None:
    async with asyncio.timeout(GUARD), serving(hang_up, max_retries=3) as (peer, client):
        with pytest.raises(APIConnectionError, match="4 attempts") as caught:
            await client.chat.completions.create(**ASK)
        assert caught.value.attempts == peer.accepted == 4


async def test_a_timeout_after_the_headers_is_not_retried() -> None:
    async def stall(connection: Connection) -> None:
        await connection.request()
        await connection.write(STREAM_HEAD)
        await connection.until_gone()

    timeouts = Timeouts(first_event=0.1)
    async with (
        asyncio.timeout(GUARD),
        serving(stall, max_retries=5, timeout=timeouts) as (
            peer,
            client,
        ),
    ):
        with pytest.raises(FirstEventTimeoutError):
            await client.chat.completions.stream(**ASK).until_done()
        assert peer.accepted == 1


async def test_a_plain_answer_that_breaks_off_is_retried() -> None:
    async def break_off(connection: Connection) -> None:
        await connection.request()
        await connection.write(plain("x")[:-20])
        connection.finish()

    async with (
        asyncio.timeout(GUARD),
        serving(in_turn(break_off, answer), max_retries=1) as (
            _,
            client,
        ),
    ):
        completion = await client.chat.completions.create(**ASK)
        assert completion.choices[0].message.content == "x"
        assert completion.attempts == 2


@pytest.mark.parametrize("reset", [False, True], ids=["FIN", "RST"])
async def test_a_stale_connection_is_retried_once_for_free(reset: bool) -> None:
    async def once(connection: Connection) -> None:
        await connection.request()
        await connection.write(plain("x"))
        # The client believes that this connection lives on.
        await connection.request()
        connection.reset() if reset else connection.finish()

    async with (
        asyncio.timeout(GUARD),
        serving(in_turn(once, answer), max_retries=0) as (
            peer,
            client,
        ),
    ):
        assert (await client.chat.completions.create(**ASK)).attempts == 1
        second = await client.chat.completions.create(**ASK)
        assert second.attempts == 2
        assert peer.accepted == 2


async def test_a_new_connection_that_closes_is_not_stale() -> None:
    async with asyncio.timeout(GUARD), serving(hang_up, max_retries=0) as (peer, client):
        with pytest.raises(APIConnectionError, match="before it answered") as caught:
            await client.chat.completions.create(**ASK)
        assert caught.value.attempts == peer.accepted == 1


async def test_the_stale_retry_is_not_repeated() -> None:
    """All kept connections are stale: one free retry, then the failure counts."""
    ready = asyncio.Event()
    waiting = 0

    async def once(connection: Connection) -> None:
        nonlocal waiting
        await connection.request()
        waiting += 1
        if waiting == 3:
            ready.set()
        await ready.wait()
        await connection.write(plain("x"))
        await connection.request()
        connection.finish()

    async with asyncio.timeout(GUARD), serving(once, max_retries=0) as (_, client):
        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(client.chat.completions.create(**ASK))
        with pytest.raises(APIConnectionError) as caught:
            await client.chat.completions.create(**ASK)
        assert caught.value.attempts == 2


async def test_the_total_timeout_ends_retries_too() -> None:
    async def refuse(connection: Connection) -> None:
        while True:
            await connection.request()
            await connection.write(
                json_response({"error": {"message": "busy"}}, "503 Service Unavailable").replace(
                    b"content-type", b"retry-after: 30\r\ncontent-type", 1
                )
            )

    async with asyncio.timeout(GUARD), serving(refuse, max_retries=5, timeout=5.0) as (_, client):
        with pytest.raises(TotalTimeoutError) as caught:
            await client.chat.completions.create(**ASK)
        assert isinstance(caught.value.__cause__, ServerOverloadedError)


async def test_a_stream_refused_with_429_lowers_the_limit_and_comes_through() -> None:
    message = (
        "Your current concurrency is 3, which exceeds your concurrency limit of 2 based on your "
        "remaining balance."
    )
    active = refused = 0
    peak = 0

    async def limited(connection: Connection) -> None:
        nonlocal active, refused, peak
        while True:
            await connection.request()
            if active >= 2:
                refused += 1
                body = {"error": {"message": message, "type": "rate_limit_error"}}
                await connection.write(json_response(body, "429 Too Many Requests"))
                continue
            active += 1
            peak = max(peak, active)
            await asyncio.sleep(0.02)
            active -= 1
            await connection.stream(ROLE, text("x"), FINISH, DONE)

    async with asyncio.timeout(GUARD), serving(limited, max_retries=20) as (_, client):
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(client.chat.completions.stream(**ASK).get_final_text())
                for _ in range(12)
            ]
        assert [task.result() for task in tasks] == ["x"] * 12
        # The first wave finds out; those after it wait instead of being refused.
        assert 1 <= refused <= 24


async def test_the_limit_of_a_429_is_told() -> None:
    async def refuse(connection: Connection) -> None:
        await connection.request()
        text = "Your current concurrency is 40, which exceeds your concurrency limit of 39"
        await connection.write(json_response({"error": {"message": text}}, "429 Too Many"))

    async with asyncio.timeout(GUARD), serving(refuse) as (_, client):
        with pytest.raises(ConcurrencyLimitError) as caught:
            await client.chat.completions.create(**ASK)
        assert (caught.value.limit, caught.value.current) == (39, 40)


async def test_a_slow_reader_never_times_out() -> None:
    pieces = [text(f"{i} ") for i in range(5)]

    async def handle(connection: Connection) -> None:
        await connection.request()
        await connection.write(STREAM_HEAD + http_chunk(ROLE))
        for each in pieces:
            await asyncio.sleep(0.02)
            await connection.write(http_chunk(each))
        await connection.write(http_chunk(FINISH + DONE) + b"0\r\n\r\n")

    timeouts = Timeouts(idle=0.5, progress=0.5, first_event=0.5)
    async with asyncio.timeout(GUARD), serving(handle, timeout=timeouts) as (_, client):
        stream = await client.chat.completions.create(**ASK, stream=True)
        await asyncio.sleep(0.7)
        async for _ in stream:
            await asyncio.sleep(0.15)
        assert stream.completion().choices[0].message.content == "0 1 2 3 4 "


async def test_a_plain_answer_may_take_longer_than_idle_before_its_first_byte() -> None:
    async def think(connection: Connection) -> None:
        await connection.request()
        await asyncio.sleep(0.4)
        await connection.write(plain("x"))

    async with asyncio.timeout(GUARD), serving(think, timeout=Timeouts(idle=0.1)) as (_, client):
        completion = await client.chat.completions.create(**ASK)
        assert completion.choices[0].message.content == "x"


async def test_blank_lines_before_a_plain_answer_keep_it_alive() -> None:
    body = plain("x").split(b"\r\n\r\n", 1)[1]
    head = (
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    )

    async def queue(connection: Connection) -> None:
        await connection.request()
        await connection.write(head)
        for _ in range(6):
            await connection.write(http_chunk(b"\n"))
            await asyncio.sleep(0.1)
        await connection.write(http_chunk(body) + b"0\r\n\r\n")

    async with asyncio.timeout(GUARD), serving(queue, timeout=Timeouts(idle=0.4)) as (_, client):
        completion = await client.chat.completions.create(**ASK)
        assert completion.choices[0].message.content == "x"
