"""The web apps of `examples/web_apps` when their process is told to end."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from deepseek_async.simulator import Reply
from tests.examples.servers import APPS, GUARD, App, browser, events_of, running, until

QUESTION = {"question": "Why?"}
READERS = 5


async def last_event(response: aiohttp.ClientResponse) -> dict[str, Any]:
    """Read to the end, which must be a proper one: a cut body would raise."""
    events: list[dict[str, Any]] = [data async for _, data in events_of(response)]
    return events[-1]


@pytest.mark.parametrize("name", APPS)
async def test_sigterm_with_open_streams(name: str) -> None:
    with running(name) as app:
        app.sim.script(Reply("Slow. " * 500, tokens_per_second=10, times="forever"))
        async with browser() as session:
            async with asyncio.timeout(GUARD):
                endings = await _endings(app, session)
        await asyncio.to_thread(app.process.wait, GUARD)
        assert app.sim.metrics.in_flight == 0
    assert [ending["drain"] for ending in endings] == [{"retry": 1.0}] * len(endings)


async def _endings(app: App, session: aiohttp.ClientSession) -> list[dict[str, Any]]:
    """Open streams of all kinds, end the process, and return what each was told last."""
    responses = [await session.get(f"{app.url}/stream", params=QUESTION) for _ in range(READERS)]
    for _ in range(READERS):
        async with session.post(f"{app.url}/chat", json=QUESTION) as response:
            run = (await response.json())["run"]
        responses.append(await session.get(f"{app.url}/chat/{run}/events"))
    sockets = [await session.ws_connect(f"{app.url}/ws", params=QUESTION) for _ in range(READERS)]
    await until(lambda: app.sim.metrics.in_flight == 3 * READERS)
    reading = [asyncio.ensure_future(last_event(response)) for response in responses]
    listening = [asyncio.ensure_future(_last_message(ws)) for ws in sockets]
    app.process.terminate()
    return [*await asyncio.gather(*reading), *await asyncio.gather(*listening)]


async def _last_message(ws: aiohttp.ClientWebSocketResponse) -> dict[str, Any]:
    messages: list[dict[str, Any]] = [json.loads(message.data) async for message in ws]
    # uvicorn closes WebSockets too, a moment later: with 1012, a restart.
    assert ws.close_code in (1001, 1012)
    return messages[-1]
