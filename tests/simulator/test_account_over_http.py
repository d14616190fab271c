"""Eras, limits and queues through the server: what only a connection can show."""

from __future__ import annotations

import json

import aiohttp
import pytest

from deepseek_async.simulator import Reply

from .conftest import Start
from .loopback import RawConnection, chat, until


async def test_options_of_the_core_are_options_of_the_simulator(start: Start) -> None:
    client = await start(era="2025-03", balance={"CNY": "5.00"})
    _, _, data = await client.request("GET", "/user/balance")
    assert json.loads(data)["balance_infos"][0]["total_balance"] == "5.00"
    _, _, data = await client.request("GET", "/models")
    models = [model["id"] for model in json.loads(data)["data"]]
    assert models == ["deepseek-chat", "deepseek-reasoner"]
    reply = await client.json(chat(model="deepseek-chat"))
    assert reply["system_fingerprint"].endswith("_prod0225")
    status, headers, _ = await client.post(b'{"model": 1}')
    assert (status, headers["content-type"]) == (422, "text/plain; charset=utf-8")


async def test_a_wrong_option_is_refused_at_once(start: Start) -> None:
    with pytest.raises(ValueError, match="era"):
        await start(era="2019-01")


async def test_the_streams_of_2024_end_without_a_line_end(start: Start) -> None:
    client = await start(era="2024-06")
    _, _, data = await client.post(chat(model="deepseek-chat", stream=True))
    assert data.endswith(b"\r\n\r\ndata: [DONE]")


async def test_a_client_that_leaves_makes_room(start: Start) -> None:
    client = await start(max_concurrency=1, capacity=1)
    client.sim.script(Reply("x", first_token_seconds=3600))
    connection = await RawConnection.open(client.sim, chat(stream=True))
    await connection.head()
    assert (await client.post())[0] == 429
    await connection.close()
    await until(lambda: client.sim.metrics.in_flight == 0)
    assert (await client.post())[0] == 200


async def test_the_clock_moves_the_queue(start: Start) -> None:
    client = await start(capacity=1, keep_alive_seconds=3600)
    client.sim.script(Reply("first", first_token_seconds=60), Reply("second"))
    first = await RawConnection.open(client.sim, chat(stream=True))
    await first.head()
    second = await RawConnection.open(client.sim, chat(stream=True))
    await second.head()
    assert await second.chunk() == b": keep-alive\n\n"
    client.sim.clock.advance(61)
    assert b"second" in b"".join(await second.chunks())
    assert b"first" in b"".join(await first.chunks())
    await first.close()
    await second.close()


async def test_a_request_that_waits_too_long_loses_its_connection(start: Start) -> None:
    client = await start(capacity=1)
    client.sim.script(Reply("x", first_token_seconds=700))
    first = await RawConnection.open(client.sim, chat(stream=True))
    await first.head()
    second = await RawConnection.open(client.sim, chat())
    assert b"200 OK" in await second.head()
    client.sim.clock.advance(601)
    # Line feeds, the end of the body, and of the connection.
    rest = await second.rest()
    assert rest.replace(b"1\r\n\n\r\n", b"") == b"0\r\n\r\n"
    await first.close()
    await second.close()


async def test_an_empty_account_is_a_402(start: Start) -> None:
    client = await start(balance={"USD": 0})
    status, _, data = await client.post()
    assert (status, json.loads(data)["error"]["type"]) == (402, "unknown_error")


async def test_the_limit_holds_for_many_connections(start: Start) -> None:
    client = await start(max_concurrency="deepseek", first_token_seconds=3600)
    body = chat(model="deepseek-v4-pro")
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        url = f"{client.sim.base_url}/chat/completions"
        answers = [
            await session.post(
                url, json={**body, "stream": True}, headers={"Authorization": "Bearer sk-x"}
            )
            for _ in range(501)
        ]
        statuses = [answer.status for answer in answers]
        for answer in answers:
            answer.close()
    assert (statuses.count(200), statuses[-1]) == (500, 429)
