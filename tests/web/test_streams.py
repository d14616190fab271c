"""Answers on the wire, over ASGI and aiohttp.web: what is sent, and when."""

import asyncio
import gc
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping
from typing import Any

import pytest
from aiohttp import web

from deepseek_async import AsyncDeepSeek, ContentDeltaEvent
from deepseek_async.live import Live, Run
from deepseek_async.simulator import Fault, Reply, Simulator
from deepseek_async.web import aiohttp_sse, asgi_sse, sse_bytes
from tests.web.apps import QUESTION
from tests.web.browser import Browser, data_of, fetch, text_of, until
from tests.web.serving import serving, tasks

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

TEXT = "Rain is water that falls. 雨は水です。"


def app_of(kind: str, make: Callable[[], Any], **options: Any) -> Any:
    """Return an application that answers everything with what is made."""
    if kind == "aiohttp":

        async def handler(request: web.Request) -> web.StreamResponse:
            return await aiohttp_sse(request, make(), **options)

        app = web.Application()
        app.router.add_get("/", handler)
        return app

    async def asgi(scope: Scope, receive: Receive, send: Send) -> None:
        await asgi_sse(make(), **options)(scope, receive, send)

    return asgi


@pytest.fixture(params=["asgi", "aiohttp"])
def kind(request: pytest.FixtureRequest) -> str:
    value: str = request.param
    return value


def stream(client: AsyncDeepSeek) -> Any:
    return client.chat.completions.stream(**QUESTION)


async def test_an_answer_is_told_to_its_end(kind: str) -> None:
    async with Simulator() as sim, sim.client() as client:
        sim.script(Reply(TEXT, reasoning="Hm."))
        async with serving(app_of(kind, lambda: stream(client))) as port:
            response = await fetch(port, "/")
    assert response.status == 200
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-accel-buffering"] == "no"
    assert response.headers["content-encoding"] == "identity"
    assert response.body.startswith(b": ok\n\n")
    assert response.text == TEXT
    assert response.objects[-1]["done"] == {"status": "done", "finish_reason": "stop"}
    assert response.objects[-1]["usage"]["completion_tokens"] > 0
    assert response.objects[0]["from"] == 0
    for before, after in zip(response.objects, response.objects[1:], strict=False):
        assert before["to"] == after["from"]
    assert [cursor.split(".")[1] for cursor in response.cursors] == [
        str(each["to"]) for each in response.objects
    ]


async def test_a_head_request_asks_nothing_of_upstream(kind: str) -> None:
    async with Simulator() as sim, sim.client() as client:
        async with serving(app_of(kind, lambda: stream(client))) as port:
            async with Browser(port) as browser:
                await browser.ask("/", method="HEAD")
                head = await browser.until(b"\r\n\r\n")
        assert b"200" in head
        assert b"text/event-stream" in head.lower()
        assert len(sim.requests) == 0


async def test_a_head_request_leaves_no_call_that_nobody_awaits(kind: str) -> None:
    async def create() -> AsyncGenerator[str]:
        raise AssertionError("nobody asked for it")

    # A warning that it was never awaited is an error here.
    async with serving(app_of(kind, create)) as port:
        async with Browser(port) as browser:
            await browser.ask("/", method="HEAD")
            assert b"200" in await browser.until(b"\r\n\r\n")
    gc.collect()


async def test_the_response_begins_and_lives_before_the_upstream_answers(kind: str) -> None:
    async with Simulator() as sim, sim.client() as client:
        sim.faults(Fault("delay", seconds=60))
        async with serving(app_of(kind, lambda: stream(client), heartbeat=0.05)) as port:
            async with Browser(port) as browser:
                await browser.ask("/")
                await browser.until(b": ok\n\n")
                for _ in range(3):
                    await browser.until(b":\n")


async def test_the_queue_is_visible(kind: str) -> None:
    async with Simulator(keep_alive_seconds=0.05) as sim, sim.client() as client:
        sim.script(Reply(TEXT, reasoning="", queue_seconds=0.2))
        async with serving(app_of(kind, lambda: stream(client))) as port:
            response = await fetch(port, "/")
    queued = [each for each in response.objects if each["d"] and each["d"][0][0] == "queued"]
    assert queued
    assert queued[0]["from"] == queued[0]["to"] == 0
    assert response.text == TEXT


@pytest.mark.parametrize(
    ("fault", "status", "kind_told"),
    [
        ("rate_limit", 503, "busy"),
        ("overloaded", 503, "busy"),
        ("close", 502, "broken"),
        ("key", 502, "refused"),
        ("cut", 502, "broken"),
        (400, 400, "invalid"),
    ],
)
async def test_a_failure_is_a_status_if_one_waits_for_it(
    kind: str, fault: Any, status: int, kind_told: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with Simulator() as sim, failing(sim, fault) as client:
        async with serving(app_of(kind, lambda: stream(client), wait_first=10)) as port:
            response = await fetch(port, "/")
            sim.faults()
        assert response.status == status
        assert response.json["error"]["code"] == kind_told
        assert ("retry-after" in response.headers) == (status == 503)
        assert "sk-" not in response.body.decode()
        assert "sk-" not in caplog.text


@pytest.mark.parametrize("fault", ["rate_limit", "overloaded", "close", "key", "cut", 400])
async def test_a_failure_is_told_in_the_stream_otherwise(
    kind: str, fault: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with Simulator() as sim, failing(sim, fault) as client:
        async with serving(app_of(kind, lambda: stream(client))) as port:
            response = await fetch(port, "/")
    assert response.status == 200
    done = response.objects[-1]["done"]
    assert done["status"] == "failed"
    assert done["kind"] in ("busy", "broken", "refused", "invalid")
    # Nothing of what the server said, or of the key.
    assert "sk-" not in response.body.decode()
    assert "Authentication" not in response.body.decode()
    assert "sk-" not in caplog.text


def failing(sim: Simulator, fault: Any) -> AsyncDeepSeek:
    """Return a client whose next request fails."""
    if fault == "key":
        return sim.client(api_key="sk-bad-key", max_retries=0)
    if isinstance(fault, int):
        sim.script(Reply(status=fault, body={"error": {"message": "no such model"}}))
    else:
        sim.faults(Fault(fault))
    return sim.client(max_retries=0)


async def test_a_status_that_waits_in_vain_is_sent_when_the_time_is_over(kind: str) -> None:
    async with Simulator() as sim, sim.client() as client:
        sim.faults(Fault("delay", seconds=60))
        app = app_of(kind, lambda: stream(client), wait_first=0.1, heartbeat=0.02)
        async with serving(app) as port:
            async with Browser(port) as browser:
                await browser.ask("/")
                await browser.until(b": ok\n\n")
                await browser.until(b":\n")


async def test_whoever_leaves_while_the_status_waits_is_noticed(kind: str) -> None:
    async with Simulator() as sim, sim.client() as client:
        sim.faults(Fault("delay", seconds=60))
        async with serving(app_of(kind, lambda: stream(client), wait_first=60)) as port:
            before = tasks()
            async with Browser(port) as browser:
                await browser.ask("/")
                await until(lambda: sim.metrics.in_flight == 1)
            await until(lambda: sim.metrics.open_connections == 0)
            await until(lambda: len(tasks() - before) == 0)


async def test_what_the_upstream_says_about_coming_back_is_passed_on(kind: str) -> None:
    async with Simulator() as sim, sim.client(max_retries=0) as client:
        for told, expected in ((7, "7"), (100_000, "3600")):
            sim.faults(Fault("rate_limit", retry_after=told))
            async with serving(app_of(kind, lambda: stream(client), wait_first=10)) as port:
                response = await fetch(port, "/")
            assert response.headers["retry-after"] == expected


async def test_an_answer_in_time_comes_as_always(kind: str) -> None:
    async with Simulator() as sim, sim.client() as client:
        sim.script(Reply(TEXT))
        async with serving(app_of(kind, lambda: stream(client), wait_first=10)) as port:
            assert (await fetch(port, "/")).text == TEXT


async def test_a_server_that_raises_when_the_client_has_left_is_understood() -> None:
    closed = asyncio.Event()

    async def words() -> AsyncGenerator[str]:
        try:
            yield "Rain"
            await asyncio.Event().wait()
        finally:
            closed.set()

    async def receive() -> Any:
        await asyncio.Event().wait()

    for sends in range(3):
        closed.clear()
        left = sends

        async def send(message: Any) -> None:
            nonlocal left
            if not left:
                raise BrokenPipeError
            left -= 1

        before = tasks()
        scope = {"type": "http", "method": "GET", "headers": []}
        await asgi_sse(words)(scope, receive, send)
        assert tasks() == before
        assert closed.is_set() == (sends > 1)


async def test_requests_may_follow_one_another_on_a_connection(kind: str) -> None:
    async with Simulator() as sim, sim.client() as client:
        sim.script(Reply(TEXT), Reply("Snow."))
        async with serving(app_of(kind, lambda: stream(client))) as port:
            async with Browser(port) as browser:
                # The second one comes while the first is answered.
                await browser.ask("/")
                await browser.until(b": ok\n\n")
                await browser.ask("/")
                first = await browser.until(b"0\r\n\r\n")
                second = await browser.response()
    assert b"falls" in first
    assert second.text == "Snow."


async def test_an_exception_of_the_source_may_be_shown(kind: str) -> None:
    async def broken() -> AsyncGenerator[str]:
        yield "Rain "
        raise LookupError("the gauge is gone")

    for show_errors, message in ((False, "Something went wrong."), (True, "the gauge is gone")):
        async with serving(app_of(kind, broken, show_errors=show_errors)) as port:
            response = await fetch(port, "/")
        assert response.text == "Rain "
        assert response.objects[-1]["done"]["message"] == message


async def test_a_reader_that_comes_back_gets_exactly_the_rest(kind: str) -> None:
    async with Simulator() as sim, sim.client() as client, Live() as live:
        sim.script(Reply(TEXT, reasoning=""))
        run = await live.start(lambda: stream(client), on_disconnect="continue", fps=0)
        await run.wait()
        end = int(run.cursor.split(".")[1])
        epoch = run.cursor.split(".")[0]
        async with serving(app_of(kind, lambda: run)) as port:
            for position in range(end):
                header = f"Last-Event-ID: {epoch}.{position}\r\n"
                response = await fetch(port, "/", headers=header)
                assert TEXT.endswith(response.text)
                assert len(response.text) == max(len(TEXT) - position, 0)
            had_all = await fetch(port, "/", headers=f"Last-Event-ID: {run.cursor}\r\n")
            other = await fetch(port, "/", headers="Last-Event-ID: 12345678.5\r\n")
    assert had_all.status == 204
    assert had_all.body == b""
    assert other.objects[0]["reset"]
    assert other.text == TEXT


async def test_a_connection_for_each_event_loses_and_doubles_nothing(kind: str) -> None:
    more = asyncio.Semaphore(0)

    async def words() -> AsyncGenerator[str]:
        for i in range(50):
            await more.acquire()
            yield f"{i} "

    async with Live() as live:
        run = await live.start(words(), on_disconnect="continue", fps=0)
        told: list[dict[str, Any]] = []
        async with serving(app_of(kind, lambda: run)) as port:
            cursor = ""
            while not (told and "done" in told[-1]):
                async with Browser(port) as browser:
                    await browser.ask("/", headers=f"Last-Event-ID: {cursor}\r\n")
                    await browser.until(b": ok\n\n")
                    more.release()
                    event = await browser.until(b"\n\n")
                cursor = event.partition(b"id: ")[2].partition(b"\n")[0].decode()
                told += map(json.loads, data_of(event))
    assert text_of(told) == "".join(f"{i} " for i in range(50))
    assert len(told) >= 50


async def test_readers_share_what_was_encoded() -> None:
    async with Live() as live:
        go = asyncio.Event()

        async def words() -> AsyncGenerator[str]:
            await go.wait()
            yield "Rain"

        run = await live.start(words())
        readers = [sse_bytes(run) for _ in range(3)]
        for reader in readers:
            assert await anext(reader) == b": ok\n\n"
        pieces = [asyncio.ensure_future(anext(reader)) for reader in readers]
        await asyncio.sleep(0)
        go.set()
        first, *others = await asyncio.gather(*pieces)
        assert all(piece is first for piece in others)
        for reader in readers:
            await reader.aclose()


@pytest.mark.parametrize("source", [3, "Rain", None, {"a": 1}])
def test_what_is_no_source_is_refused_at_once(source: Any) -> None:
    for answer in (asgi_sse, sse_bytes):
        with pytest.raises(TypeError, match="an answer comes from a run, a stream"):
            answer(source)


async def test_an_unknown_format_is_refused_with_the_names_of_all() -> None:
    async def never() -> AsyncGenerator[str]:
        yield ""

    async def made() -> Any:
        return never()

    with pytest.raises(ValueError, match='"native", "openai", "ai-sdk", "ag-ui"; got \'xml\''):
        # Its coroutine is closed, not forgotten: that would be a warning.
        asgi_sse(made(), format="xml")
    for wrong in ({"heartbeat": 0}, {"fps": -1}, {"wait_first": -1}, {"heartbeat": float("nan")}):
        with pytest.raises(ValueError, match="is a number of seconds"):
            asgi_sse(never, **wrong)


async def test_a_source_that_turns_out_to_be_none_is_told(kind: str) -> None:
    async with serving(app_of(kind, lambda: lambda: 3)) as port:
        response = await fetch(port, "/")
    assert response.objects[-1]["done"]["kind"] == "error"


async def test_a_cursor_that_nobody_ever_sent_is_refused(kind: str) -> None:
    async with Live() as live:
        run = await live.start(words())
        async with serving(app_of(kind, lambda: run)) as port:
            for cursor in ("x" * 200, "r\xe4in.3"):
                response = await fetch(port, "/", headers=f"Last-Event-ID: {cursor}\r\n")
                assert response.status == 400
                assert response.error == "the cursor is not one that was ever sent"


async def words() -> AsyncGenerator[Any]:
    for word in ("Rain ", "is ", "water."):
        yield ContentDeltaEvent(word)


async def test_a_slow_reader_holds_up_nobody_and_takes_no_memory(kind: str) -> None:
    count, piece = 3000, "x" * 1000
    read_on = asyncio.Event()

    async def many() -> AsyncGenerator[str]:
        for i in range(count):
            yield piece
            if i % 50 == 0:
                await asyncio.sleep(0)
        await read_on.wait()

    async with Live(max_bytes=16 << 20) as live:
        run = await live.start(many(), fps=0, on_disconnect="continue")
        async with serving(app_of(kind, lambda: run)) as port:
            async with Browser(port) as slow:
                await slow.ask("/")
                await slow.until(b": ok")
                # Stops reading; the other one has it all meanwhile.
                slow._reader._transport.pause_reading()  # type: ignore[attr-defined]
                async with Browser(port) as quick:
                    await quick.ask("/")
                    got = 0
                    while got < count * len(piece):
                        event = await quick.until(b"\n\n")
                        if b"data: " in event:
                            got += len(
                                text_of([json.loads(data_of(event[event.index(b"id:") :])[0])])
                            )
                    assert run.readers == 2
                slow._reader._transport.resume_reading()  # type: ignore[attr-defined]
                read_on.set()
                response = await slow.response_body()
        objects = [json.loads(data) for data in data_of(response)]
        assert text_of(objects) == piece * count
        # What it missed came at once, not in thousands of pieces.
        assert len(objects) < count / 4


@pytest.mark.parametrize("reset", [False, True], ids=["FIN", "RST"])
async def test_whoever_stops_reading_and_leaves_is_noticed(kind: str, reset: bool) -> None:
    async def many() -> AsyncGenerator[str]:
        for _ in range(300):
            yield "x" * 100_000
            await asyncio.sleep(0)
        await asyncio.Event().wait()

    async with Live(max_bytes=64 << 20) as live:
        run = await live.start(many(), fps=0)
        async with serving(app_of(kind, lambda: run)) as port:
            async with Browser(port) as browser:
                await browser.ask("/")
                await browser.until(b": ok")
                browser._reader._transport.pause_reading()  # type: ignore[attr-defined]
                await until(lambda: run.size >= 30_000_000)
                browser.leave(reset=reset)
            async with asyncio.timeout(2):
                assert await run.wait() == "stopped"


async def test_whoever_leaves_in_the_middle_leaves_nothing(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with Simulator(tokens_per_second=200) as sim, sim.client() as client:
        async with serving(app_of(kind, lambda: stream(client), fps=0)) as port:
            before = tasks()
            for events in range(12):
                async with Browser(port) as browser:
                    await browser.ask("/")
                    for _ in range(events):
                        await browser.until(b"\n\n")
                    browser.leave(reset=events % 2 == 0)
            await until(lambda: not tasks() - before)
            await until(lambda: sim.metrics.open_connections == 0)
            await until(lambda: not Run.all_running())
    assert caplog.text == ""
