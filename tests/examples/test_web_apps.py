"""The web apps of `examples/web_apps`, each in a real server, seen from a browser."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from deepseek_async.live import FAILURES
from deepseek_async.simulator import Reply
from tests.examples.servers import (
    APPS,
    GUARD,
    App,
    Apps,
    browser,
    events_of,
    text_in,
    until,
)

ANSWER = "".join(f"Word {number}. " for number in range(60))
QUESTION = {"question": "Why?"}
# Says nothing, until its reader leaves.
SILENT = Reply("Too late.", first_token_seconds=600)
# Is long under way.
SLOW = Reply(ANSWER, tokens_per_second=20)
# Of each kind, when the process ends.
READERS = 5


@pytest.fixture(scope="session", params=APPS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def app(apps: Apps, name: str) -> App:
    return apps.app(name)


async def start(session: aiohttp.ClientSession, app: App) -> str:
    """Start an answer, and return where it is."""
    async with session.post(f"{app.url}/chat", json=QUESTION) as response:
        assert response.ok, await response.text()
        return f"{app.url}/chat/{(await response.json())['run']}"


async def read(
    session: aiohttp.ClientSession, run: str, after: str = "", least: float = float("inf")
) -> tuple[str, str, dict[str, Any]]:
    """Read until there are so many characters, or to the end.

    Returns:
        The text, the cursor behind it, and the last batch.
    """
    headers = {"Last-Event-ID": after} if after else {}
    text, cursor = "", after
    last: dict[str, Any] = {}
    async with session.get(f"{run}/events", headers=headers) as response:
        async for position, data in events_of(response):
            text, cursor, last = text + text_in(data), position, data
            if len(text) >= least:
                # Without reading to the end, the connection is cut.
                break
    return text, cursor, last


async def test_a_plain_answer(app: App) -> None:
    app.sim.script(Reply("Because."))
    async with browser() as session, session.post(f"{app.url}/ask", json=QUESTION) as response:
        assert await response.json() == {"answer": "Because."}
    body: Any = app.sim.requests[-1].body
    assert body["messages"][-1] == {"role": "user", "content": "Why?"}


async def test_a_plain_answer_that_nobody_waits_for(app: App) -> None:
    app.sim.script(SILENT, Reply("Still here."))
    async with browser() as session:
        asking = asyncio.ensure_future(session.post(f"{app.url}/ask", json=QUESTION))
        await until(lambda: app.sim.metrics.in_flight)
        asking.cancel()
        await until(lambda: not app.sim.metrics.in_flight)
        async with session.post(f"{app.url}/ask", json=QUESTION) as response:
            assert await response.json() == {"answer": "Still here."}


async def test_a_failure_tells_nothing_of_the_account(app: App) -> None:
    app.sim.script(Reply.error("insufficient_balance"))
    async with browser() as session, session.post(f"{app.url}/ask", json=QUESTION) as response:
        assert response.status == 502
        assert (await response.json())["error"]["message"] == FAILURES["refused"]


async def test_a_question_that_is_too_long(app: App) -> None:
    question = {"question": "x" * 5000}
    async with browser() as session:
        for path in ("/ask", "/chat"):
            async with session.post(f"{app.url}{path}", json=question) as response:
                assert response.status in (400, 422)
    assert app.sim.requests == []


async def test_a_stream(app: App) -> None:
    app.sim.script(Reply(ANSWER))
    async with browser() as session:
        async with session.get(f"{app.url}/stream", params=QUESTION) as response:
            batches = [data async for _, data in events_of(response)]
    assert "".join(map(text_in, batches)) == ANSWER
    assert batches[-1]["done"] == {"status": "done", "finish_reason": "stop"}


@pytest.mark.parametrize("reply", [SILENT, SLOW], ids=["silent", "flowing"])
async def test_a_stream_whose_reader_leaves(app: App, reply: Reply) -> None:
    app.sim.script(reply)
    async with browser() as session:
        async with session.get(f"{app.url}/stream", params=QUESTION) as response:
            assert response.status == 200
            await until(lambda: app.sim.metrics.in_flight)
        await until(lambda: not app.sim.metrics.in_flight)


async def test_an_answer_is_read_on_after_a_cut(app: App) -> None:
    app.sim.script(Reply(ANSWER, tokens_per_second=800))
    async with browser() as session:
        run = await start(session, app)
        begun, cursor, _ = await read(session, run, least=40)
        late_tab = asyncio.ensure_future(read(session, run))
        rest, cursor, last = await read(session, run, after=cursor)
        assert last["done"]["status"] == "done"
        assert begun + rest == ANSWER
        assert rest
        assert (await late_tab)[0] == ANSWER
        assert (await read(session, run))[0] == ANSWER
        assert len(app.sim.requests) == 1
        # What keeps a browser from coming again and again.
        headers = {"Last-Event-ID": cursor}
        async with session.get(f"{run}/events", headers=headers) as response:
            assert response.status == 204


async def test_stop_ends_an_answer(app: App) -> None:
    app.sim.script(SLOW)
    async with browser() as session:
        run = await start(session, app)
        begun, cursor, _ = await read(session, run, least=10)
        async with session.post(f"{run}/stop") as response:
            assert response.ok
        await until(lambda: not app.sim.metrics.in_flight)
        rest, _, last = await read(session, run, after=cursor)
        assert ANSWER.startswith(begun + rest)
        assert last["done"] == {"status": "stopped", "reason": "stopped"}


async def test_an_answer_is_for_whoever_asked(app: App) -> None:
    app.sim.script(SLOW)
    async with browser() as session, browser() as stranger:
        run = await start(session, app)
        await start(stranger, app)
        for other in (stranger, browser()):
            async with other, other.get(f"{run}/events") as response:
                assert response.status in (403, 404)
        async with browser() as other, other.post(f"{run}/stop") as response:
            assert response.status in (403, 404)
        assert (await read(session, run, least=10))[0]
        async with session.post(f"{run}/stop") as response:
            assert response.ok
    await until(lambda: not app.sim.metrics.in_flight)


async def test_several_answers_on_one_connection(app: App) -> None:
    if app.name == "litestar":
        pytest.skip("its routes are written out, and this one is not")
    app.sim.script(Reply(ANSWER, tokens_per_second=800, times="forever"))
    async with browser() as session, browser() as stranger:
        cursors = {(await start(session, app)).rpartition("/")[2]: None for _ in range(3)}
        texts = dict.fromkeys(cursors, "")
        mux = f"{app.url}/chat/mux"
        async with session.post(mux, json={"runs": cursors}) as response:
            async for _, data in events_of(response):
                texts[data["run"]] += text_in(data)
        async with stranger.post(mux, json={"runs": cursors}) as response:
            assert response.status == 403
    assert set(texts.values()) == {ANSWER}


async def test_an_answer_over_a_websocket(app: App) -> None:
    app.sim.script(Reply(ANSWER))
    async with browser() as session:
        async with session.ws_connect(f"{app.url}/ws", params=QUESTION) as ws:
            batches = [json.loads(message.data) async for message in ws]
            assert ws.close_code == 1000
    assert "".join(map(text_in, batches)) == ANSWER
    assert batches[-1]["done"]["status"] == "done"


@pytest.mark.parametrize("reply", [SILENT, SLOW], ids=["silent", "flowing"])
async def test_a_websocket_whose_reader_leaves(app: App, reply: Reply) -> None:
    app.sim.script(reply)
    async with browser() as session:
        async with session.ws_connect(f"{app.url}/ws", params=QUESTION):
            await until(lambda: app.sim.metrics.in_flight)
        await until(lambda: not app.sim.metrics.in_flight)


async def test_a_websocket_that_says_stop(app: App) -> None:
    app.sim.script(SLOW)
    async with browser() as session:
        async with session.ws_connect(f"{app.url}/ws", params=QUESTION) as ws:
            await ws.receive_json()
            await ws.send_json({"stop": 1})
            batches = [json.loads(message.data) async for message in ws]
    assert batches[-1]["done"]["status"] == "stopped"
    await until(lambda: not app.sim.metrics.in_flight)


# The last one, since it ends the process; whoever asks for it afterwards gets another.
async def test_sigterm_with_open_streams(app: App, apps: Apps) -> None:
    app.sim.script(Reply("Slow. " * 500, tokens_per_second=10, times="forever"))
    async with browser() as session:
        async with asyncio.timeout(GUARD):
            endings = await _endings(app, session)
    await asyncio.to_thread(app.process.wait, GUARD)
    assert app.sim.metrics.in_flight == 0
    apps.end(app.name)
    assert endings == [{"retry": 1.0}] * len(endings)


async def _endings(app: App, session: aiohttp.ClientSession) -> list[Any]:
    """Open streams of all kinds, end the process, and return how each was sent away."""
    responses = [await session.get(f"{app.url}/stream", params=QUESTION) for _ in range(READERS)]
    for _ in range(READERS):
        run = await start(session, app)
        responses.append(await session.get(f"{run}/events"))
    sockets = [await session.ws_connect(f"{app.url}/ws", params=QUESTION) for _ in range(READERS)]
    await until(lambda: app.sim.metrics.in_flight == 3 * READERS)
    reading = [asyncio.ensure_future(_stream_drained(response)) for response in responses]
    listening = [asyncio.ensure_future(_socket_drained(ws)) for ws in sockets]
    app.process.terminate()
    return [*await asyncio.gather(*reading), *await asyncio.gather(*listening)]


async def _stream_drained(response: aiohttp.ClientResponse) -> Any:
    """Read to the end, which must be a proper one: a cut body would raise."""
    batches = [data async for _, data in events_of(response)]
    return batches[-1].get("drain")


async def _socket_drained(ws: aiohttp.ClientWebSocketResponse) -> Any:
    batches = [json.loads(message.data) async for message in ws]
    if ws.close_code == 1012:
        # uvicorn closes WebSockets, too, as for a restart; where the process was late, before
        # they were told.
        return {"retry": 1.0}
    assert ws.close_code == 1001
    return batches[-1].get("drain")
