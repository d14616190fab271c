"""Answers over WebSockets, in ASGI and aiohttp.web."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from deepseek_async.live import Live, LiveStoreError
from deepseek_async.simulator import Reply, Simulator
from deepseek_async.web import aiohttp_ws, asgi_ws
from tests.web.apps import QUESTION
from tests.web.browser import GUARD, text_of, until
from tests.web.serving import serving, tasks
from tests.web.test_live_routes import Words, reading, source

TEXT = "Rain is water that falls."


@pytest.fixture(params=["asgi", "aiohttp"])
def kind(request: pytest.FixtureRequest) -> str:
    value: str = request.param
    return value


class Socket:
    """A client's side."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self.objects: list[dict[str, Any]] = []

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(GUARD):
            value: dict[str, Any] = await self._socket.receive_json()
        if "hb" not in value:
            self.objects.append(value)
        return value

    async def say(self, message: str | bytes | dict[str, Any]) -> None:
        if isinstance(message, bytes):
            await self._socket.send_bytes(message)
        else:
            text = message if isinstance(message, str) else json.dumps(message)
            await self._socket.send_str(text)

    async def rest(self) -> int | None:
        """Read to the end; return the code it was closed with."""
        async with asyncio.timeout(GUARD):
            async for message in self._socket:
                value = json.loads(message.data)
                if "hb" not in value:
                    self.objects.append(value)
        return self._socket.close_code

    @property
    def text(self) -> str:
        return text_of(self.objects)


def app_of(kind: str, make: Callable[[], Any], **options: Any) -> Any:
    if kind == "aiohttp":

        async def handler(request: web.Request) -> web.StreamResponse:
            return await aiohttp_ws(request, make(), **options)

        app = web.Application()
        app.router.add_get("/", handler)
        return app

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        await asgi_ws(scope, receive, send, make(), **options)

    return asgi


@asynccontextmanager
async def opened(
    kind: str, make: Callable[[], Any], query: str = "", **options: Any
) -> AsyncGenerator[Socket]:
    async with serving(app_of(kind, make, **options)) as port, aiohttp.ClientSession() as session:
        async with session.ws_connect(f"http://127.0.0.1:{port}/{query}") as socket:
            yield Socket(socket)


async def test_an_answer_is_told_to_its_end(kind: str) -> None:
    async with Simulator() as sim, sim.client() as client:
        sim.script(Reply(TEXT, reasoning="Hm."))
        async with opened(kind, lambda: client.chat.completions.stream(**QUESTION)) as socket:
            assert await socket.rest() == 1000
    assert socket.text == TEXT
    last = socket.objects[-1]
    assert last["done"] == {"status": "done", "finish_reason": "stop"}
    for each in socket.objects:
        assert each["id"].endswith(f".{each['to']}")


async def test_the_client_may_stop_the_answer(kind: str) -> None:
    async with Live() as live:
        run, words = await reading(live, "Rain")
        async with opened(kind, lambda: run) as socket:
            await socket.next()
            await socket.say({"stop": 1})
            assert await socket.rest() == 1000
        assert words.closed
        assert socket.objects[-1]["done"]["status"] == "stopped"


async def test_stopping_can_be_forbidden(kind: str) -> None:
    async with Live() as live:
        run, words = await reading(live, "Rain")
        async with opened(kind, lambda: run, allow_stop=False) as socket:
            await socket.next()
            await socket.say({"stop": 1})
            assert await socket.rest() == 1008
        assert run.status == "running"
        assert not words.closed


async def test_a_stop_that_reaches_nobody_is_an_error(kind: str) -> None:
    async with Live() as live:
        run, _ = await reading(live, "Rain")

        async def broken() -> None:
            raise LiveStoreError("the store is down")

        run.stop = broken  # type: ignore[method-assign]  # as a run of another process does
        async with opened(kind, lambda: run) as socket:
            await socket.next()
            await socket.say({"stop": 1})
            assert await socket.rest() == 1011


async def test_the_cursor_is_in_the_query_or_the_first_message(kind: str) -> None:
    async with Live() as live:
        run, words = await reading(live, "Rain is water")
        epoch = run.cursor.split(".")[0]
        async with opened(kind, lambda: run, f"?after={epoch}.5") as by_query:
            words.go_on.set()
            assert await by_query.rest() == 1000
        assert by_query.text == "is waterend"
        async with opened(kind, lambda: run, f"?after={run.cursor}") as over:
            assert await over.rest() == 1000
        assert over.objects == []


async def test_the_client_may_go_back(kind: str) -> None:
    async with Live() as live:
        # A run that ends when nobody reads it, not even for a moment.
        words = Words("Rain is water")
        run = await live.start(source(words), fps=0)
        async with opened(kind, lambda: run) as socket:
            await socket.next()
            epoch = run.cursor.split(".")[0]
            for position in (5, 0, 8, 3):
                await socket.say({"after": f"{epoch}.{position}"})
                assert (await socket.next())["from"] == position
            assert run.readers == 1
            words.go_on.set()
            assert await socket.rest() == 1000
        assert run.status == "done"


async def test_a_flood_of_wishes_is_one_reader(kind: str) -> None:
    async with Live() as live:
        run, words = await reading(live, "Rain is water" * 1000)
        async with opened(kind, lambda: run) as socket:
            epoch = run.cursor.split(".")[0]
            before = tasks()
            for i in range(2000):
                await socket.say({"after": f"{epoch}.{i}"})
            words.go_on.set()
            assert await socket.rest() == 1000
            assert len(tasks() - before) < 10
        assert run.status == "done"


@pytest.mark.parametrize("count", [2, 10])
async def test_wishes_that_come_together_are_no_leaving(kind: str, count: int) -> None:
    async with Live() as live:
        # A run that ends when nobody reads it, not even for a moment.
        words = Words("Rain is water")
        run = await live.start(source(words), fps=0)
        async with serving(app_of(kind, lambda: run)) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(
                b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            )
            await reader.readuntil(b"\r\n\r\n")
            await until(lambda: run.readers == 1)
            epoch = run.cursor.split(".")[0]
            wish = json.dumps({"after": f"{epoch}.3"}).encode()
            # All in one packet; with a mask of zeros, which changes nothing.
            writer.write((bytes([0x81, 0x80 | len(wish)]) + bytes(4) + wish) * count)
            async with asyncio.timeout(GUARD):
                await reader.readuntil(b'"from":3')
            words.go_on.set()
            assert await run.wait() == "done"
            writer.close()
            await until(lambda: run.readers == 0)


async def test_who_asks_again_and_reads_nothing_gets_one_answer(kind: str) -> None:
    async with Live(max_bytes=64 << 20) as live:
        run, words = await reading(live, "Rain is water" * 400_000)
        async with serving(app_of(kind, lambda: run)) as port, aiohttp.ClientSession() as session:
            async with session.ws_connect(f"http://127.0.0.1:{port}/", max_msg_size=0) as raw:
                transport = raw._writer.transport
                transport.pause_reading()
                for _ in range(50):
                    await raw.send_json({"after": "another.1"})
                # Until the server has read them all.
                await asyncio.sleep(0.1)
                words.go_on.set()
                assert await run.wait() == "done"
                transport.resume_reading()
                socket = Socket(raw)
                assert await socket.rest() == 1000
        whole = sum("reset" in each for each in socket.objects)
        assert 1 <= whole <= 5


@pytest.mark.parametrize(
    "message",
    ["", "no JSON", "[1]", '"stop"', '{"after": 3}', b"\xff\xfe", '{"after": "%s"}' % ("x" * 500)],
)
async def test_what_is_not_understood_closes_the_socket(
    kind: str, message: str | bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with Live() as live:
        run, _ = await reading(live, "Rain")
        async with opened(kind, lambda: run) as socket:
            await socket.next()
            await socket.say(message)
            assert await socket.rest() == 1008
    assert caplog.text == ""


async def test_a_message_is_bounded(kind: str) -> None:
    async with Live() as live:
        run, _ = await reading(live, "Rain")
        async with opened(kind, lambda: run) as socket:
            await socket.next()
            await socket.say("x" * 100_000)
            assert await socket.rest() in (1008, 1009)


async def test_what_is_not_known_is_overlooked(kind: str) -> None:
    async with Live() as live:
        run, words = await reading(live, "Rain")
        async with opened(kind, lambda: run) as socket:
            await socket.next()
            await socket.say({"colour": "blue"})
            words.go_on.set()
            assert await socket.rest() == 1000
    assert socket.text == "Rainend"


async def test_a_cursor_that_nobody_ever_sent_is_refused(kind: str) -> None:
    async with Live() as live:
        run, _ = await reading(live, "Rain")
        async with opened(kind, lambda: run, "?after=" + "x" * 500) as socket:
            assert await socket.rest() == 1008


async def test_draining_tells_to_come_back(kind: str) -> None:
    async with Live() as live:
        run, _ = await reading(live, "Rain")
        async with opened(kind, lambda: run) as socket:
            await socket.next()
            await live.drain(0.05)
            assert await socket.rest() == 1001
        assert socket.objects[-1]["drain"] == {"retry": 1.0}


async def test_a_failure_closes_with_its_kind(kind: str) -> None:
    async with Simulator() as sim, sim.client(api_key="sk-bad-key", max_retries=0) as client:
        async with opened(kind, lambda: client.chat.completions.stream(**QUESTION)) as socket:
            assert await socket.rest() == 1011
        assert socket.objects[-1]["done"]["kind"] == "refused"
        assert "sk-" not in json.dumps(socket.objects)


async def test_silence_is_broken_by_signs_of_life(kind: str) -> None:
    async with Live() as live:
        run, _ = await reading(live, "Rain")
        async with opened(kind, lambda: run, heartbeat=0.05) as socket:
            await socket.next()
            for _ in range(3):
                assert await socket.next() == {"hb": 1}


async def test_whoever_leaves_leaves_nothing(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    async with Simulator(tokens_per_second=200) as sim, sim.client() as client:
        app = app_of(kind, lambda: client.chat.completions.stream(**QUESTION), fps=0)
        async with serving(app) as port:
            before = tasks()
            for count in range(6):
                async with aiohttp.ClientSession() as session:
                    connecting = await session.ws_connect(f"http://127.0.0.1:{port}/")
                    for _ in range(count):
                        await connecting.receive()
                    transport = connecting._response.connection
                    assert transport is not None
                    if count % 2:
                        assert transport.transport is not None
                        transport.transport.abort()
            await until(lambda: sim.metrics.open_connections == 0)
            await until(lambda: not tasks() - before)
    assert caplog.text == ""


class Gone(Exception):
    """What a framework may raise for a client that has left."""


@pytest.mark.parametrize("exception", [BrokenPipeError, Gone])
@pytest.mark.parametrize("sends", range(3))
async def test_servers_and_frameworks_that_raise_are_understood(
    exception: type[Exception], sends: int
) -> None:
    messages = [{"type": "websocket.connect"}]
    left = sends

    async def receive() -> Any:
        if messages:
            return messages.pop()
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        nonlocal left
        if not left:
            raise exception
        left -= 1

    async def words() -> AsyncGenerator[str]:
        yield "Rain"
        await asyncio.Event().wait()

    before = tasks()
    scope = {"type": "websocket", "query_string": b""}
    await asgi_ws(scope, receive, send, words, heartbeat=0.01)
    assert tasks() == before


async def test_a_client_that_left_before_the_handshake_is_no_error() -> None:
    async def receive() -> Any:
        return {"type": "websocket.disconnect"}

    async def never(*_: Any) -> Any:
        raise AssertionError

    await asgi_ws({"type": "websocket"}, receive, never, never)


async def test_a_receive_that_raises_is_told() -> None:
    messages = [{"type": "websocket.connect"}]

    async def receive() -> Any:
        if messages:
            return messages.pop()
        raise LookupError("no such message")

    async def send(message: Any) -> None:
        await asyncio.sleep(0)

    async def words() -> AsyncGenerator[str]:
        yield "Rain"
        await asyncio.Event().wait()

    before = tasks()
    with pytest.raises(LookupError, match="no such message"):
        await asgi_ws({"type": "websocket", "query_string": b""}, receive, send, words)
    assert tasks() == before


async def test_a_query_that_cannot_be_read_is_refused() -> None:
    messages = [{"type": "websocket.connect"}]
    sent: list[Any] = []

    async def receive() -> Any:
        return messages.pop()

    async def send(message: Any) -> None:
        sent.append(message)

    async def never() -> Any:
        raise AssertionError

    query = b"&".join([b"f=1"] * 1000)
    await asgi_ws({"type": "websocket", "query_string": query}, receive, send, never)
    assert sent[-1]["code"] == 1008


async def test_it_answers_nothing_but_sockets() -> None:
    async def receive() -> Any:
        return {"type": "websocket.receive", "text": ""}

    async def send(message: Any) -> None:
        raise AssertionError(message)

    async def never() -> AsyncGenerator[str]:
        yield ""

    with pytest.raises(RuntimeError, match="answers WebSockets, not http"):
        await asgi_ws({"type": "http"}, receive, send, never)
    with pytest.raises(RuntimeError, match="accepts the WebSocket itself"):
        await asgi_ws({"type": "websocket"}, receive, send, never)
    with pytest.raises(TypeError, match="an answer comes from"):
        await asgi_ws({"type": "websocket"}, receive, send, 3)  # type: ignore[arg-type]
