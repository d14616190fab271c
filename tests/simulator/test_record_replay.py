"""Recorders and replayers over real sockets."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from deepseek_async import APIConnectionError, NotFoundError, StreamInterruptedError
from deepseek_async.simulator import Fault, Recorder, Replayer, Reply, Simulator
from deepseek_async.simulator.recording import recorder as recorder_module
from deepseek_async.simulator.recording.exchange import Exchange
from deepseek_async.simulator.recording.folder import load

from .loopback import GUARD_SECONDS, Client, RawConnection, chat, until

KEY = "sk-recorded-0123456789"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def talking_to(server: Simulator) -> AsyncIterator[Client]:
    timeout = aiohttp.ClientTimeout(total=GUARD_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        yield Client(server, session)


@asynccontextmanager
async def raw_host(serve: Serve) -> AsyncIterator[str]:
    """A host that says what no server says that speaks HTTP well."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def saying(*parts: bytes) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for part in parts:
            writer.write(part)
            await writer.drain()
        writer.close()

    return serve


def exchanges(folder: Path) -> list[Exchange]:
    return [exchange for _, exchange in load(folder)]


def files(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def test_what_was_recorded_is_replayed(tmp_path: Path) -> None:
    requests: list[tuple[str, str, dict[str, Any] | bytes]] = [
        ("POST", "/chat/completions", chat()),
        ("POST", "/chat/completions", chat(stream=True)),
        ("POST", "/beta/completions", {"model": "deepseek-v4-pro", "prompt": "def f"}),
        ("POST", "/chat/completions", chat(model="none")),
        ("POST", "/chat/completions", b"{not json"),
        ("GET", "/models?x=1&y=%C3%A4", b""),
        ("GET", "/user/balance", b""),
        ("GET", "/nowhere", b""),
    ]
    async with Simulator(keep_alive_seconds=0.01) as sim:
        sim.script(Reply("Hello!"), Reply("Grüße 🔑", queue_seconds=0.05))
        async with Recorder(sim.base_url, tmp_path) as recorder, talking_to(recorder) as client:
            live = [await client.request(*request) for request in requests]
            assert [request.path for request in recorder.requests] == [
                request.path for request in sim.requests
            ]
            assert recorder.metrics.requests == len(requests)
    stored = exchanges(tmp_path)
    assert [exchange.body for exchange in stored] == [body for _, _, body in live]
    assert b": keep-alive" in stored[1].blocks[0].data
    async with Replayer(tmp_path) as replayer, talking_to(replayer) as client:
        replayed = [await client.request(*request) for request in requests]
        assert replayer.requests[0].body == chat()
    for (status, headers, body), (again, headers_again, body_again) in zip(
        live, replayed, strict=True
    ):
        assert (again, body_again) == (status, body)
        for name in ("content-type", "x-ds-trace-id", "content-length", "transfer-encoding"):
            assert headers_again.get(name) == headers.get(name)


async def test_a_stream_comes_through_block_by_block(tmp_path: Path) -> None:
    gate = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"accept-encoding: identity" in head.lower()
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
        await gate.wait()
        writer.write(b"3\r\ntwo\r\n5\r\nthree\r\n0\r\n\r\n")
        await writer.drain()
        writer.close()

    async with raw_host(serve) as url, Recorder(url, tmp_path) as recorder:
        connection = await RawConnection.open(recorder, chat())
        head = await connection.head()
        # The host sends none.
        assert b"content-type" not in head.lower()
        assert await connection.chunk() == b"one"
        gate.set()
        assert await connection.chunks() == [b"two", b"three"]
        await connection.close()
    (stored,) = exchanges(tmp_path)
    assert [block.data for block in stored.blocks] == [b"one", b"two", b"three"]
    times = [block.ms for block in stored.blocks]
    assert times == sorted(times)
    async with Replayer(tmp_path, pace=0) as replayer:
        connection = await RawConnection.open(replayer, chat())
        assert b"content-type" not in (await connection.head()).lower()
        assert await connection.chunks() == [b"one", b"two", b"three"]
        await connection.close()


async def test_recorded_times_are_waited_for(tmp_path: Path) -> None:
    async with Simulator(keep_alive_seconds=1000) as sim:
        sim.script(Reply("Hello!", queue_seconds=3600))
        async with Recorder(sim.base_url, tmp_path) as recorder, talking_to(recorder) as client:
            asked = asyncio.create_task(client.post(chat(stream=True)))
            await until(lambda: sim.metrics.bytes_sent > 0)
            sim.clock.advance(3600)
            _, _, body = await asked
    (path,) = files(tmp_path)
    said = json.loads(path.read_text())
    # As if it had taken an hour.
    for block in said["body"][1:]:
        block["ms"] += 3_600_000
    said["end"]["ms"] += 3_600_000
    path.write_text(json.dumps(said))
    async with Replayer(tmp_path) as replayer, talking_to(replayer) as client:
        asked = asyncio.create_task(client.post(chat(stream=True)))
        await until(lambda: replayer.metrics.bytes_sent > 0)
        replayer.clock.advance(3599)
        await asyncio.sleep(0)
        assert not asked.done()
        replayer.clock.advance(60)
        assert (await asked)[2] == body
    async with Replayer(tmp_path, pace=0) as replayer, talking_to(replayer) as client:
        assert (await client.post(chat(stream=True)))[2] == body


@pytest.mark.parametrize(
    ("fault", "end", "stream"),
    [
        (Fault("close"), "cut", True),
        (Fault("close"), "cut", False),
        (Fault("cut"), "cut", True),
        (Fault("cut"), "cut", False),
        (Fault("cut", after_bytes=100), "cut", True),
        (Fault("cut", after_bytes=100), "cut", False),
        # A plain answer is one event.
        (Fault("cut", after_events=3), "cut", True),
        (Fault("reset", after_events=3), "reset", True),
    ],
)
async def test_a_cut_is_replayed_as_a_cut(
    tmp_path: Path, fault: Fault, end: str, stream: bool
) -> None:
    async def failure(server: Simulator) -> tuple[type[Exception], str]:
        async with server.client(api_key=KEY, max_retries=0) as client:
            kinds = (APIConnectionError, StreamInterruptedError)
            with pytest.raises(kinds) as caught:
                answer: Any = await client.chat.completions.create(**chat(stream=stream))
                async for _ in answer:
                    pass
            partial = getattr(caught.value, "partial", None)
            return caught.type, partial.choices[0].message.content if partial else ""

    async with Simulator() as sim:
        sim.faults(fault)
        async with Recorder(sim.base_url, tmp_path) as recorder:
            live = await failure(recorder)
    (stored,) = exchanges(tmp_path)
    assert stored.end == end, stored.reason
    assert stored.reason
    async with Replayer(tmp_path, pace=0) as replayer:
        assert await failure(replayer) == live


async def test_a_get_that_is_not_answered_is_asked_once(tmp_path: Path) -> None:
    async with Simulator() as sim:
        sim.faults(Fault("close"))
        async with Recorder(sim.base_url, tmp_path) as recorder:
            async with recorder.client(api_key=KEY, max_retries=0) as client:
                with pytest.raises(APIConnectionError):
                    await client.models.list()
        assert len(sim.requests) == 1


async def test_a_host_that_is_not_there(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        async with Recorder(url, tmp_path) as recorder:
            async with recorder.client(api_key=KEY, max_retries=0) as client:
                with pytest.raises(APIConnectionError):
                    await client.models.list()
    (stored,) = exchanges(tmp_path)
    assert (stored.end, stored.answer) == ("refused", None)
    async with Replayer(tmp_path) as replayer:
        async with replayer.client(max_retries=0) as client:
            with pytest.raises(APIConnectionError):
                await client.models.list()


@pytest.mark.parametrize(
    ("parts", "kept"),
    [
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"], b"half"),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"], b"half"),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n"], None),
        ([b"no HTTP at all\r\n\r\n"], None),
        ([], None),
    ],
    ids=["length", "chunks", "framing", "no HTTP", "nothing"],
)
async def test_what_came_before_a_cut_is_kept(
    tmp_path: Path, parts: list[bytes], kept: bytes | None
) -> None:
    async with raw_host(saying(*parts)) as url, Recorder(url, tmp_path) as recorder:
        connection = await RawConnection.open(recorder, chat())
        live = await connection.rest()
        await connection.close()
    (stored,) = exchanges(tmp_path)
    assert stored.end == "cut"
    if kept is not None:
        assert stored.body == kept
    async with Replayer(tmp_path, pace=0) as replayer:
        connection = await RawConnection.open(replayer, chat())
        replayed = await connection.rest()
        await connection.close()
    assert replayed.partition(b"\r\n\r\n")[2] == live.partition(b"\r\n\r\n")[2]
    if kept is not None:
        assert kept in live


async def test_a_body_that_ends_with_its_connection_is_whole(tmp_path: Path) -> None:
    parts = [b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nall of it"]
    async with raw_host(saying(*parts)) as url, Recorder(url, tmp_path) as recorder:
        async with talking_to(recorder) as client:
            assert (await client.post())[2] == b"all of it"
    assert [stored.end for stored in exchanges(tmp_path)] == ["complete"]


async def test_what_is_compressed_all_the_same_is_stored_as_text(tmp_path: Path) -> None:
    import gzip

    data = gzip.compress(b'{"text": "Hello"}')
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(data)
    async with raw_host(saying(head + data)) as url, Recorder(url, tmp_path) as recorder:
        async with talking_to(recorder) as client:
            _, headers, body = await client.post()
    assert body == b'{"text": "Hello"}'
    assert "content-encoding" not in headers
    assert exchanges(tmp_path)[0].body == body


async def test_a_client_that_leaves_closes_the_connection_to_the_host(tmp_path: Path) -> None:
    async with Simulator(tokens_per_second=20) as sim:
        async with Recorder(sim.base_url, tmp_path) as recorder:
            connection = await RawConnection.open(recorder, chat(stream=True))
            await connection.head()
            await connection.chunk()
            assert sim.metrics.open_connections == 1
            await connection.close()
            await until(lambda: sim.metrics.open_connections == 0)
            assert sim.metrics.disconnects == 1
            assert recorder.metrics.disconnects == 1
    (stored,) = exchanges(tmp_path)
    assert stored.end == "left"
    assert stored.blocks
    # What came then nobody knows.
    async with Replayer(tmp_path, pace=0) as replayer:
        connection = await RawConnection.open(replayer, chat(stream=True))
        assert (await connection.rest()).endswith(stored.blocks[-1].data + b"\r\n")
        await connection.close()


async def test_a_client_that_leaves_before_an_answer(tmp_path: Path) -> None:
    async with Simulator() as sim:
        sim.faults(Fault("delay", seconds=3600))
        async with Recorder(sim.base_url, tmp_path) as recorder:
            connection = await RawConnection.open(recorder, chat())
            await until(lambda: len(sim.requests) == 1)
            await connection.close()
            await until(lambda: sim.metrics.open_connections == 0)
    (stored,) = exchanges(tmp_path)
    assert (stored.end, stored.answer) == ("left", None)


async def test_a_client_that_leaves_after_the_last_event_had_all(tmp_path: Path) -> None:
    rest = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        event = b"data: [DONE]\n\n"
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        writer.write(b"%x\r\n%b\r\n" % (len(event), event))
        await rest.wait()
        writer.close()

    async with raw_host(serve) as url, Recorder(url, tmp_path) as recorder:
        connection = await RawConnection.open(recorder, chat())
        await connection.head()
        await connection.chunk()
        await connection.close()
        await until(lambda: recorder.metrics.disconnects == 1)
        rest.set()
    async with Replayer(tmp_path) as replayer, talking_to(replayer) as client:
        assert (await client.post(chat()))[2] == b"data: [DONE]\n\n"


async def test_a_recorder_that_stops_stores_what_there_was(tmp_path: Path) -> None:
    async with Simulator(tokens_per_second=20) as sim:
        async with Recorder(sim.base_url, tmp_path) as recorder:
            connection = await RawConnection.open(recorder, chat(stream=True))
            await connection.head()
            await connection.chunk()
        await connection.close()
    assert [stored.end for stored in exchanges(tmp_path)] == ["left"]
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []


async def test_the_same_request_gets_its_recordings_in_order(tmp_path: Path) -> None:
    async with Simulator() as sim:
        sim.faults(Fault("rate_limit", retry_after=0))
        sim.script(Reply("One"), Reply("Two"))
        async with Recorder(sim.base_url, tmp_path) as recorder, talking_to(recorder) as client:
            live = [await client.post(chat()) for _ in range(3)]
    async with Replayer(tmp_path, pace=0) as replayer, talking_to(replayer) as client:
        replayed = [await client.post(chat()) for _ in range(4)]
        assert [body for _, _, body in replayed] == [body for _, _, body in [*live, live[2]]]
        assert [status for status, _, _ in replayed] == [429, 200, 200, 200]
        assert replayed[0][1]["retry-after"] == "0"
        replayer.reset()
        assert (await client.post(chat()))[0] == 429


async def test_what_was_not_recorded_is_refused_and_explained(tmp_path: Path) -> None:
    async with Simulator() as sim, Recorder(sim.base_url, tmp_path) as recorder:
        async with talking_to(recorder) as client:
            await client.post(chat("Hello"))
    async with Replayer(tmp_path) as replayer:
        async with replayer.client(api_key=KEY) as api:
            with pytest.raises(NotFoundError) as caught:
                await api.chat.completions.create(**chat(f"Hello {KEY}"))
        assert len(replayer.requests) == 1
        async with talking_to(replayer) as client:
            # Half a character, which JSON can hold and an answer can't.
            assert (await client.post(chat("\ud83d")))[0] == 404
            status, headers, body = await client.request("GET", "/models?x=%ff")
    told = str(caught.value)
    assert f"{tmp_path} has no recording of this POST /chat/completions" in told
    assert "the nearest is 000001.post.chat-completions.json: its messages[0].content is" in told
    assert KEY not in told
    assert (status, headers["content-type"]) == (404, "application/json")
    error = json.loads(body)["error"]
    assert error["code"] == "not_recorded"
    assert "its path is /chat/completions, not /models" in error["message"]


async def test_many_at_once_are_told_apart(tmp_path: Path) -> None:
    texts = [f"Question {number}" for number in range(50)]

    async def ask_all(server: Simulator) -> list[bytes]:
        async with talking_to(server) as client:
            answers = await asyncio.gather(*[client.post(chat(text)) for text in texts])
        return [body for _, _, body in answers]

    async with Simulator() as sim, Recorder(sim.base_url, tmp_path) as recorder:
        live = await ask_all(recorder)
    async with Replayer(tmp_path, pace=0) as replayer:
        assert await ask_all(replayer) == live


async def test_the_proxy_of_the_environment_is_used_for_other_machines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bytes] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readline())
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await writer.drain()
        writer.close()

    async with raw_host(proxy) as url:
        for name in ("http_proxy", "HTTP_PROXY"):
            monkeypatch.setenv(name, url)
        monkeypatch.setenv("no_proxy", "excepted.invalid")
        async with Recorder("http://host.invalid/base/", tmp_path) as recorder:
            async with talking_to(recorder) as client:
                assert (await client.request("GET", "/models"))[2] == b"ok"
        async with Recorder("http://excepted.invalid", tmp_path / "other") as recorder:
            async with talking_to(recorder) as client:
                with pytest.raises(aiohttp.ClientError):
                    await client.post(chat())
    assert asked == [b"GET http://host.invalid/base/models HTTP/1.1\r\n"]


async def test_faults_meet_replays_too(tmp_path: Path) -> None:
    async with Simulator() as sim, Recorder(sim.base_url, tmp_path) as recorder:
        async with talking_to(recorder) as client:
            await client.post(chat())
            await client.request("GET", "/models")
    async with Replayer(tmp_path, pace=0) as replayer, talking_to(replayer) as client:
        replayer.faults(Fault("overloaded"), None, Fault("truncated", after_bytes=None))
        assert (await client.post(chat()))[0] == 503
        assert (await client.post(chat()))[0] == 200
        assert (await client.request("GET", "/models"))[0] == 200


async def test_secrets_are_not_stored(tmp_path: Path) -> None:
    async with Simulator() as sim:
        sim.script(Reply(body=f'{{"quoted": "{KEY}", "other": "extra-secret"}}', status=401))
        async with Recorder(sim.base_url, tmp_path, redact=["extra-secret"]) as recorder:
            async with talking_to(recorder) as client:
                status, _, body = await client.post(
                    chat(f"My key is {KEY}"),
                    Authorization=f"Bearer {KEY}",
                    Cookie="session=cookie-0123456789",
                    OpenAI_Organization="org-0123456789",
                )
            seen = json.dumps([dict(request.headers) for request in recorder.requests])
    assert (status, KEY.encode() in body) == (401, True)
    text = files(tmp_path)[0].read_text()
    for secret in (KEY, "extra-secret", "cookie-0123456789", "org-0123456789", "Bearer"):
        assert secret not in text
        assert secret not in seen
    # The same request matches, with whatever key it is sent.
    async with Replayer(tmp_path, redact=["extra-secret"]) as replayer:
        async with talking_to(replayer) as client:
            other = "sk-another-9876543210"
            found = await client.post(chat(f"My key is {other}"), Authorization=f"Bearer {other}")
    assert found[2] == b'{"quoted": "[redacted]", "other": "[redacted]"}'


async def test_what_can_not_be_stored_is_told_and_goes_through(tmp_path: Path) -> None:
    told: list[str] = []
    folder = tmp_path / "gone"
    async with Simulator() as sim:
        recorder = Recorder(sim.base_url, folder, on_problem=told.append)
        await recorder.start()
        folder.rmdir()
        async with talking_to(recorder) as client:
            for _ in range(2):
                assert (await client.post(chat()))[0] == 200
        with pytest.raises(OSError, match="2 exchanges could not be stored: No such file"):
            await recorder.stop()
        # It was told.
        await recorder.start()
        await recorder.stop()
    assert len(told) == 2
    assert told[0].startswith(f"{folder}: exchange 1 (POST /chat/completions) could not be stored")


async def test_an_answer_without_end_is_passed_on_and_not_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from deepseek_async.simulator.recording import draft

    monkeypatch.setattr(draft, "MAX_STORED", 100)
    told: list[str] = []
    async with Simulator() as sim:
        recorder = Recorder(sim.base_url, tmp_path, on_problem=told.append)
        await recorder.start()
        async with talking_to(recorder) as client:
            assert len((await client.post(chat()))[2]) > 100
        with pytest.raises(OSError, match="longer than"):
            await recorder.stop()
    assert "its answer is longer than" in told[0]
    assert files(tmp_path) == []


async def test_keys_are_forgotten_at_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_module, "_MAX_KEYS", 2)
    async with Simulator() as sim, Recorder(sim.base_url, tmp_path) as recorder:
        async with talking_to(recorder) as client:
            for number in range(4):
                await client.request("GET", "/models", Authorization=f"Bearer sk-number-{number}")
        assert list(recorder._keys) == ["sk-number-2", "sk-number-3"]


@pytest.mark.parametrize(
    "url",
    ["ftp://x", "api.deepseek.com", "http://", "http://x:y", "http://u:p@x", "https://x?key=1"],
)
def test_a_host_that_can_not_be_one_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(ValueError, match="URL to record from") as caught:
        Recorder(url, tmp_path)
    assert "u:p" not in str(caught.value)


async def test_arguments_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="redact is a list"):
        Recorder("http://x", tmp_path, redact="secret")
    with pytest.raises(ValueError, match="at least 6"):
        Recorder("http://x", tmp_path, redact=["short"])
    with pytest.raises(RuntimeError, match="script a Simulator"):
        Recorder("http://x", tmp_path).script(Reply("Hello"))
    with pytest.raises(RuntimeError, match="spoil the replay"):
        Recorder("http://x", tmp_path).faults(Fault("cut"))
    async with Simulator() as sim, Recorder(sim.base_url, tmp_path) as recorder:
        async with talking_to(recorder) as client:
            await client.request("GET", "/models")
        with pytest.raises(RuntimeError, match="running already"):
            await recorder.start()
    with pytest.raises(FileExistsError):
        await Recorder("http://x", tmp_path).start()
    with pytest.raises(RuntimeError, match="script a Simulator"):
        Replayer(tmp_path).script(Reply("Hello"))
    with pytest.raises(ValueError, match="redact is a list"):
        Replayer(tmp_path, redact="secret")
    for pace in (-1, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="pace"):
            Replayer(tmp_path, pace=pace)


async def test_a_port_that_is_taken_leaves_nothing_open(tmp_path: Path) -> None:
    async with Simulator() as sim:
        port = int(sim.base_url.rpartition(":")[2])
        with pytest.raises(OSError, match="in use"):
            await Recorder(sim.base_url, tmp_path, port=port).start()


async def test_a_broken_request_is_refused(tmp_path: Path) -> None:
    async with Simulator() as sim, Recorder(sim.base_url, tmp_path) as recorder:
        async with talking_to(recorder) as client:
            status, _, _ = await client.request(
                "POST", "/chat/completions", b"not gzip", Content_Encoding="gzip"
            )
    assert status == 400
    assert files(tmp_path) == []
