"""What happens on the socket: pace, disconnects, backpressure, faults, replays."""

from __future__ import annotations

import asyncio
import json
import socket
import struct

import aiohttp
import pytest
import yarl

from deepseek_async.simulator import Fault, Replay, Reply, Simulator

from .conftest import Start
from .loopback import GUARD_SECONDS, Client, RawConnection, chat, until


async def opened(client: Client) -> RawConnection:
    """A stream whose head has been read."""
    connection = await RawConnection.open(client.sim, chat(stream=True))
    await connection.head()
    return connection


def is_running(sim: Simulator) -> bool:
    try:
        return bool(sim.base_url)
    except RuntimeError:
        return False


async def test_advancing_the_clock_ends_waits(client: Client) -> None:
    client.sim.script(Reply("one two", queue_seconds=3600, tokens_per_second=0.001))
    connection = await opened(client)
    assert await connection.chunk() == b": keep-alive\n\n"
    client.sim.clock.advance(3600)
    found = [await connection.chunk() for _ in range(361)]
    assert found[:359] == [b": keep-alive\n\n"] * 359
    assert b'"role":"assistant"' in found[359]
    client.sim.clock.advance(1000)
    assert b" two" in await connection.chunk()
    await connection.close()


async def test_a_paced_stream_takes_its_time(start: Start) -> None:
    client = await start(tokens_per_second=100.0)
    client.sim.script(Reply("a b c d e f g h i j k"))
    loop = asyncio.get_running_loop()
    before = loop.time()
    await client.chunks(chat())
    assert loop.time() - before >= 0.095


async def test_the_headers_come_before_the_queue_ends(client: Client) -> None:
    client.sim.script(Reply("Hi", queue_seconds=3600))
    connection = await RawConnection.open(client.sim, chat())
    assert b"Transfer-Encoding: chunked" in await connection.head()
    assert await connection.chunk() == b"\n"
    client.sim.clock.advance(4000)
    found = [await connection.chunk() for _ in range(360)]
    assert found[-1].startswith(b'{"id"')
    assert await connection.chunk() == b""
    await connection.close()


async def test_a_client_that_leaves_ends_its_stream_at_once(client: Client) -> None:
    sim = client.sim
    sim.script(Reply("one two", queue_seconds=3600))
    connection = await opened(client)
    assert (sim.metrics.in_flight, sim.metrics.open_connections) == (1, 1)
    await connection.close()
    await until(lambda: sim.metrics.in_flight == 0)
    await until(lambda: sim.metrics.open_connections == 0)
    assert sim.metrics.disconnects == 1


async def test_clients_that_reset_at_once_are_no_errors_of_the_server(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    sim = client.sim
    at = yarl.URL(sim.base_url)
    assert at.host is not None
    assert at.port is not None
    body = json.dumps(chat(stream=True)).encode()
    head = (
        "POST /chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sk-raw\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    for _ in range(50):
        with socket.create_connection((at.host, at.port)) as asking:
            asking.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            asking.sendall(head.encode() + body)
        await asyncio.sleep(0)
    await until(lambda: sim.metrics.requests > 0 and sim.metrics.open_connections == 0)
    await until(lambda: sim.metrics.in_flight == 0)
    assert sim.metrics.disconnects > 0
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_a_client_that_does_not_read_costs_little(client: Client) -> None:
    sim = client.sim
    # About 100 MB of events, far more than kernel buffers hold.
    sim.script(Reply("word " * 400_000))
    connection = await opened(client)
    transport = connection.writer.transport
    assert isinstance(transport, asyncio.ReadTransport)
    transport.pause_reading()
    seen = -1
    while sim.metrics.bytes_sent != seen:
        seen = sim.metrics.bytes_sent
        for _ in range(20):
            await asyncio.sleep(0.001)
    assert seen < 50_000_000
    assert sim.metrics.in_flight == 1
    # Others aren't held up, and the stream goes on when the client does.
    assert (await client.post())[0] == 200
    transport.resume_reading()
    await connection.chunk()
    await until(lambda: sim.metrics.bytes_sent > seen)
    await connection.close()


async def test_streams_run_side_by_side(start: Start) -> None:
    client = await start(tokens_per_second=200.0)
    count = 50
    found = await asyncio.gather(*(client.chunks(chat(f"n{n}")) for n in range(count)))
    assert len({chunks[0]["id"] for chunks in found}) == count
    assert client.sim.metrics.peak_in_flight == count
    assert client.sim.metrics.statuses == {200: count}
    assert client.sim.metrics.events_sent == sum(len(chunks) + 1 for chunks in found)


async def test_too_many_at_once_are_refused(start: Start) -> None:
    client = await start(max_concurrency=1)
    client.sim.script(Reply("Hi", queue_seconds=3600))
    connection = await opened(client)
    status, _, data = await client.post()
    assert status == 429
    assert b"Your current concurrency is 2, which exceeds your concurrency limit of 1" in data
    assert (await client.request("GET", "/models"))[0] == 200
    await connection.close()
    await until(lambda: client.sim.metrics.in_flight == 0)
    assert (await client.post())[0] == 200


async def test_a_connection_is_used_again_after_a_stream(client: Client) -> None:
    for _ in range(3):
        await client.chunks(chat())
    assert client.sim.metrics.open_connections == 1


async def test_a_cut_delivers_what_came_before(client: Client) -> None:
    client.sim.faults(Fault("cut", after_events=2))
    connection = await opened(client)
    rest = await connection.rest()
    assert rest.count(b"data: ") == 2
    assert not rest.endswith(b"0\r\n\r\n")
    await connection.close()


async def test_a_cut_after_bytes_is_exact(client: Client) -> None:
    client.sim.faults(Fault("cut", after_bytes=100))
    connection = await opened(client)
    assert len(await connection.chunk()) == 100
    assert await connection.rest() == b""
    await connection.close()


async def test_a_reset_is_one(client: Client) -> None:
    client.sim.faults(Fault("reset", after_events=2))
    connection = await opened(client)
    with pytest.raises(ConnectionResetError):
        await connection.chunks()
    await connection.close()
    assert client.sim.metrics.disconnects == 0


@pytest.mark.parametrize("kind", ["cut", "reset"])
async def test_a_plain_reply_can_break_off(client: Client, kind: str) -> None:
    client.sim.faults(Fault("cut" if kind == "cut" else "reset", after_bytes=10))
    with pytest.raises(aiohttp.ClientError):
        await client.post()


async def test_a_connection_can_close_before_the_headers(client: Client) -> None:
    client.sim.faults(Fault("close"))
    connection = await RawConnection.open(client.sim, chat())
    assert await connection.rest() == b""
    await connection.close()
    assert client.sim.metrics.statuses == {}


async def test_headers_can_be_late(client: Client) -> None:
    client.sim.faults(Fault("delay", seconds=3600))
    connection = await RawConnection.open(client.sim, chat())
    await until(lambda: client.sim.metrics.in_flight == 1)
    assert client.sim.metrics.statuses == {}
    client.sim.clock.advance(3600)
    assert (await connection.head()).startswith(b"HTTP/1.1 200")
    await connection.close()


async def test_a_stall_ends_when_the_client_leaves(client: Client) -> None:
    client.sim.faults(Fault("stall", after_events=1))
    connection = await opened(client)
    await connection.chunk()
    client.sim.clock.advance(1_000_000)
    assert client.sim.metrics.events_sent == 1
    await connection.close()
    await until(lambda: client.sim.metrics.in_flight == 0)


async def test_a_stall_can_keep_alive(start: Start) -> None:
    client = await start(keep_alive_seconds=0.01)
    client.sim.faults(Fault("stall", after_events=1, keep_alive=True))
    connection = await opened(client)
    found = [await connection.chunk() for _ in range(5)]
    assert found[1:] == [b": keep-alive\n\n"] * 4
    await connection.close()


@pytest.mark.parametrize("stream", [True, False])
async def test_a_body_can_be_only_whitespace(client: Client, *, stream: bool) -> None:
    client.sim.faults(Fault("whitespace"))
    status, _, data = await client.post(chat(stream=stream))
    assert (status, data) == (200, b"\n\n\n")


async def test_an_error_object_ends_a_stream(client: Client) -> None:
    client.sim.faults(Fault("error", after_events=2))
    _, _, data = await client.post(chat(stream=True))
    assert data.split(b"\n\n")[2].startswith(b'data: {"error":{"message":')
    assert b"[DONE]" not in data


async def test_faults_are_used_in_order(client: Client) -> None:
    client.sim.faults(None, Fault("omit_done"), Fault("omit_finish"))
    found = [(await client.post(chat(stream=True)))[2] for _ in range(4)]
    assert [b"[DONE]" in data for data in found] == [True, False, True, True]
    assert [b'"finish_reason":"stop"' in data for data in found] == [True, True, False, True]


async def test_a_replay_is_byte_exact(client: Client) -> None:
    data = b': keep-alive\n\ndata: {"a":"\xe4\xbd\xa0"}\r\n\r\ndata: [DONE]'
    for replay in (Replay(data), Replay(data, 5), Replay(data, [3, 20]), Replay(data, step=1)):
        client.sim.script(replay)
        status, headers, found = await client.post(chat(stream=True))
        assert (status, found) == (200, data)
        assert headers["content-type"] == "text/event-stream; charset=utf-8"


async def test_each_piece_of_a_replay_is_a_chunk(client: Client) -> None:
    client.sim.script(Replay(b"data: abc\n\n", [4, 7], pause=3600.0, status=202))
    connection = await RawConnection.open(client.sim, chat())
    assert (await connection.head()).startswith(b"HTTP/1.1 202")
    found = [await connection.chunk()]
    for _ in range(2):
        client.sim.clock.advance(3600)
        found.append(await connection.chunk())
    assert found == [b"data", b": a", b"bc\n\n"]
    assert await connection.chunk() == b""
    await connection.close()


async def test_stopping_ends_open_streams() -> None:
    sim = Simulator()
    await sim.start()
    sim.script(Reply("Hi", queue_seconds=3600))
    connection = await RawConnection.open(sim, chat(stream=True))
    await connection.head()
    async with asyncio.timeout(GUARD_SECONDS):
        await sim.stop()
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await connection.chunks()
    await connection.close()
    with pytest.raises(RuntimeError, match="isn't running"):
        _ = sim.base_url
    await sim.stop()


async def test_a_simulator_starts_only_once(client: Client) -> None:
    with pytest.raises(RuntimeError, match="already"):
        await client.sim.start()


async def test_a_taken_port_is_an_error(client: Client) -> None:
    port = int(client.sim.base_url.rpartition(":")[2])
    with pytest.raises(OSError, match="in use"):
        await Simulator(port=port).start()


async def test_serving_for_ever_ends_with_cancellation() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    sim = Simulator(port=port)
    task = asyncio.create_task(sim.serve_forever())
    await until(lambda: is_running(sim))
    assert sim.base_url == f"http://127.0.0.1:{port}"
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not is_running(sim)
