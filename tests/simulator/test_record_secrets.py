"""What hosts and clients do that could bring a secret into a recording, or the recording down."""

from __future__ import annotations

import asyncio
import base64
import json
import urllib.parse
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from deepseek_async.simulator import Recorder, Replayer, Reply, Simulator
from deepseek_async.simulator.recording import draft
from deepseek_async.simulator.recording.exchange import Block
from deepseek_async.simulator.recording.folder import load
from deepseek_async.simulator.recording.headers import credentials
from deepseek_async.simulator.recording.redaction import Redactor

from .loopback import GUARD_SECONDS, Client, RawConnection, chat
from .test_record_redaction import exchange
from .test_record_replay import raw_host, saying

KEY = "sk-recorded-0123456789"
SIGNATURE = "signed-0123456789"


@asynccontextmanager
async def recording(url: str, folder: Path, **options: Any) -> AsyncGenerator[Client]:
    """A client of a recorder."""
    timeout = aiohttp.ClientTimeout(total=GUARD_SECONDS)
    async with Recorder(url, folder, **options) as recorder:
        async with aiohttp.ClientSession(timeout=timeout) as session:
            yield Client(recorder, session)


def written(folder: Path) -> str:
    """All that is stored, the names of files included."""
    return "\n".join(f"{path.name}\n{path.read_text()}" for path in sorted(folder.iterdir()))


async def test_a_secret_in_the_address_of_the_host_is_not_stored(tmp_path: Path) -> None:
    async with Simulator() as sim:
        url = f"{sim.base_url}/accounts/account-0123456789"
        async with recording(url, tmp_path, redact=["account-0123456789"]) as client:
            await client.request("GET", "/models")
    assert "account-0123456789" not in written(tmp_path)
    assert "/accounts/[redacted]" in written(tmp_path)


async def test_a_secret_in_a_path_is_neither_stored_nor_told(tmp_path: Path) -> None:
    told: list[str] = []
    folder = tmp_path / "gone"
    async with Simulator() as sim:
        recorder = Recorder(sim.base_url, folder, redact=["path-secret"], on_problem=told.append)
        await recorder.start()
        folder.rmdir()
        async with aiohttp.ClientSession() as session:
            await Client(recorder, session).request("GET", "/bots/path-secret/models")
        with pytest.raises(OSError, match="could not be stored"):
            await recorder.stop()
    assert len(told) == 1
    assert "path-secret" not in told[0]
    assert "GET /bots/[redacted]/models" in told[0]


async def test_a_signed_address_of_a_redirect_is_not_stored(tmp_path: Path) -> None:
    address = f"https://files.invalid/a?X-Amz-Signature={SIGNATURE}&x=1"
    body = f'<a href="{address}">here</a>'.encode()
    head = (
        f"HTTP/1.1 302 Found\r\nLocation: {address}\r\nContent-Type: text/html\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    async with raw_host(saying(head.encode() + body)) as url:
        async with Recorder(url, tmp_path) as recorder:
            connection = await RawConnection.open(recorder, chat())
            assert SIGNATURE.encode() in await connection.head()
            await connection.close()
    assert SIGNATURE not in written(tmp_path)
    assert "X-Amz-Signature=[redacted]&x=1" in written(tmp_path)


async def test_an_escaped_key_of_a_query_is_found_unescaped(tmp_path: Path) -> None:
    async with Simulator() as sim:
        sim.script(Reply(body='{"bad": "key+/0123456789", "cookie": "cookie=0123456789"}'))
        async with recording(sim.base_url, tmp_path) as client:
            await client.post(
                path="/chat/completions?subscription-key=key%2B%2F0123456789",
                Cookie="session=cookie%3D0123456789",
            )
    text = written(tmp_path)
    for secret in ("key+/0123456789", "key%2B", "cookie=0123456789", "cookie%3D"):
        assert secret not in text
    assert "subscription-key=[redacted]" in text


def test_a_key_after_a_tab_is_a_key() -> None:
    headers = [("Authorization", f"Bearer\t{KEY}"), ("X-Api-Key", ""), ("Api-Key", " ")]
    assert list(credentials(headers)) == [KEY]


@given(st.binary(max_size=99), st.binary(max_size=99), st.sampled_from([21, 57]))
@example(bytes(33) + b"\xf8", b"", 21)
@example(b"\xff" * 34, b"\xff" * 30, 57)
def test_base64_that_is_broken_into_lines_is_searched(
    before: bytes, behind: bytes, width: int
) -> None:
    data = before + KEY.encode() + behind
    for end in ("\n", "\r\n"):
        lines = [data[at : at + width] for at in range(0, len(data), width)]
        wrapped = end.join(base64.b64encode(line).decode() for line in lines)
        for text in (wrapped, f"-----BEGIN-----{end}{wrapped}{end}-----END-----"):
            in_json = json.dumps({"a": text, "b": json.dumps({"c": text})})
            for form in (text, in_json, urllib.parse.quote(text)):
                redacted = Redactor([KEY]).data(form.encode())
                assert b"[redacted]" in redacted
                if form is in_json:
                    compact = "".join(json.loads(redacted)["a"].split())
                else:
                    compact = "".join(urllib.parse.unquote(redacted.decode()).split())
                for offset in range(3):
                    whole = base64.b64encode(bytes(offset) + KEY.encode()).decode()
                    assert whole[4:-4] not in compact


@pytest.mark.parametrize("secret", [KEY, "Grüße \\ 🔑", 'a "quoted" one'])
async def test_a_secret_that_a_model_spells_out_is_not_stored(tmp_path: Path, secret: str) -> None:
    reply = Reply(
        f"It is {secret}, and {secret}.",
        reasoning=f"They want {secret}.",
        tool_calls=[("store", {"key": secret, "n": 1}), ("other", {"key": "x"})],
    )
    asked = chat(f"Say {secret}", thinking={"type": "enabled"})
    async with Simulator() as sim:
        sim.script(reply)
        async with Recorder(sim.base_url, tmp_path, redact=[secret]) as recorder:
            async with recorder.client(api_key="sk-0123456789") as client:
                async with client.chat.completions.stream(**asked) as stream:
                    live = await stream.get_final_completion()
    assert secret in live.text
    ((_, stored),) = load(tmp_path)
    # No event held all of it.
    assert len(stored.blocks) > 10
    async with Replayer(tmp_path, pace=0, redact=[secret]) as replayer:
        async with replayer.client() as client:
            async with client.chat.completions.stream(**asked) as stream:
                again = await stream.get_final_completion()
    message = again.choices[0].message
    assert message.content == "It is [redacted], and [redacted]."
    assert message.reasoning_content == "They want [redacted]."
    first, second = message.tool_calls or []
    assert json.loads(first.function.arguments) == {"key": "[redacted]", "n": 1}
    assert second.function == (live.choices[0].message.tool_calls or [])[1].function
    assert again.usage == live.usage


@given(
    st.lists(st.text(max_size=3), max_size=12),
    st.integers(0, 30),
    st.lists(st.integers(0, 400), max_size=5),
    st.booleans(),
)
def test_events_are_changed_where_they_spell_a_secret_only(
    pieces: list[str], at: int, cuts: list[int], is_ascii: bool
) -> None:
    text = "".join(pieces)
    spelled = [*pieces[:at], *KEY, *pieces[at:]]
    data = b": keep-alive\n\n" + b"".join(event(piece, is_ascii) for piece in spelled)
    bounds = [0, *sorted({cut for cut in cuts if cut < len(data)}), len(data)]
    blocks = [Block(0, data[start:end]) for start, end in pairwise(bounds)]
    redacted = Redactor([KEY]).exchange(exchange(blocks=blocks)).body
    before = "".join(pieces[:at])
    assert said(redacted) == f"{before}[redacted]{text[len(before) :]}"
    untouched = b"".join(event(piece, is_ascii) for piece in pieces[:at])
    assert redacted.startswith(b": keep-alive\n\n" + untouched)
    assert len(redacted.split(b"\n\n")) == len(data.split(b"\n\n"))
    # Without a secret nothing is.
    blocks = [Block(0, event(piece, is_ascii)) for piece in pieces]
    assert list(Redactor([KEY]).exchange(exchange(blocks=blocks)).blocks) == blocks


def test_pieces_are_found_beside_broken_events_and_in_lists() -> None:
    events = [
        b'{"parts": ["It is ", "sk-recorded"], "other": [1, null]}',
        b"{broken}",
        b'{"parts": ["-0123456789", "!"], "other": ["sk-recorded"]}',
    ]
    blocks = [Block(0, b"data: " + each + b"\r\n\r\n") for each in events]
    redacted = Redactor([KEY]).exchange(exchange(blocks=blocks)).body
    assert redacted.decode().split("\r\n\r\n") == [
        'data: {"parts": ["It is ", "[redacted]"], "other": [1, null]}',
        "data: {broken}",
        'data: {"parts": ["", "!"], "other": ["sk-recorded"]}',
        "",
    ]


def event(piece: str, is_ascii: bool) -> bytes:
    value = {"id": "1", "choices": [{"index": 0, "delta": {"content": piece}}], "n": 1.50}
    return b"data: " + json.dumps(value, ensure_ascii=is_ascii).encode("utf-8", "replace") + b"\n\n"


def said(data: bytes) -> str:
    events = [part for part in data.split(b"\n\n") if part.startswith(b"data: ")]
    values = [json.loads(part.removeprefix(b"data: ")) for part in events]
    return "".join(value["choices"][0]["delta"]["content"] for value in values)


async def test_what_is_in_an_unknown_encoding_is_passed_on_and_not_stored(tmp_path: Path) -> None:
    told: list[str] = []
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: x-secret\r\nContent-Length: 3\r\n\r\nabc"
    async with raw_host(saying(head)) as url:
        recorder = Recorder(url, tmp_path, on_problem=told.append)
        await recorder.start()
        connection = await RawConnection.open(recorder, chat())
        assert b"content-encoding: x-secret" in (await connection.head()).lower()
        await connection.close()
        with pytest.raises(OSError, match="secrets can't be searched for"):
            await recorder.stop()
    assert "its answer is in x-secret" in told[0]
    assert written(tmp_path) == ""


async def test_a_request_in_an_unknown_encoding_is_passed_on_and_not_stored(
    tmp_path: Path,
) -> None:
    told: list[str] = []
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await writer.drain()
        writer.close()

    async with raw_host(serve) as url:
        recorder = Recorder(url, tmp_path, on_problem=told.append)
        await recorder.start()
        async with aiohttp.ClientSession() as session:
            client = Client(recorder, session)
            status, _, _ = await client.request("POST", "/x", b"??", Content_Encoding="x-secret")
        with pytest.raises(OSError, match="could not be stored"):
            await recorder.stop()
    assert status == 200
    assert b"content-encoding: x-secret" in seen[0].lower()
    assert "its request is in x-secret" in told[0]


async def test_headers_that_are_not_utf8_come_through(tmp_path: Path) -> None:
    head = (
        b"HTTP/1.1 200 OK\r\nServer: caf\xe9\r\nX-Request-Id: id-\xe9\r\n"
        b"Content-Length: 2\r\n\r\nok"
    )
    async with raw_host(saying(head)) as url, recording(url, tmp_path) as client:
        status, headers, body = await client.post()
    assert (status, body) == (200, b"ok")
    assert headers["server"] == "caf\xe9"
    ((_, stored),) = load(tmp_path)
    assert stored.answer is not None
    assert stored.answer.headers["x-request-id"] == "id-\xe9"


@pytest.mark.parametrize("target", [b"*", b"/caf\xe9?x=\xe9", b"http://elsewhere.invalid/models"])
async def test_strange_targets_go_to_the_host_or_nowhere(tmp_path: Path, target: bytes) -> None:
    async with Simulator() as sim:
        async with Recorder(sim.base_url, tmp_path) as recorder:
            host, port = recorder.base_url.removeprefix("http://").split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(b"OPTIONS %b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % target)
            async with asyncio.timeout(GUARD_SECONDS):
                answer = await reader.read()
            writer.close()
    assert answer.split(b" ", 2)[1] in (b"400", b"404", b"405"), answer
    for _, stored in load(tmp_path) if written(tmp_path) else []:
        assert stored.end == "complete"
        assert stored.target.startswith("/")


async def test_a_password_of_a_proxy_is_not_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
    async with raw_host(saying(refusal)) as url:
        for name in ("https_proxy", "HTTPS_PROXY"):
            monkeypatch.setenv(name, url.replace("//", "//someone:proxy-password@"))
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        async with recording("https://host.invalid", tmp_path) as client:
            with pytest.raises(aiohttp.ClientError):
                await client.post()
    ((_, stored),) = load(tmp_path)
    assert stored.answer is None
    assert "407" in stored.reason
    assert "proxy-password" not in written(tmp_path)


@pytest.mark.parametrize("status", [204, 304])
async def test_an_answer_without_a_body_ends(tmp_path: Path, status: int) -> None:
    head = b"HTTP/1.1 %d X\r\nRetry-After: 1\r\n\r\n" % status
    async with raw_host(saying(head)) as url, recording(url, tmp_path) as client:
        live = await client.request("GET", "/models")
    ((_, stored),) = load(tmp_path)
    assert stored.end == "complete"
    async with Replayer(tmp_path) as replayer, aiohttp.ClientSession() as session:
        again = await Client(replayer, session).request("GET", "/models")
    assert (live[0], live[2], live[1]["retry-after"]) == (status, b"", "1")
    assert (again[0], again[2], again[1]["retry-after"]) == (status, b"", "1")


async def test_the_length_that_head_tells_is_told_again(tmp_path: Path) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
    async with raw_host(saying(head)) as url, recording(url, tmp_path) as client:
        assert (await client.request("HEAD", "/models"))[1]["content-length"] == "5"
    async with Replayer(tmp_path) as replayer, aiohttp.ClientSession() as session:
        _, headers, _ = await Client(replayer, session).request("HEAD", "/models")
    assert headers["content-length"] == "5"


async def test_a_status_of_no_standard_can_be_read_again(tmp_path: Path) -> None:
    head = b"HTTP/1.1 999 No\r\nContent-Length: 2\r\n\r\nno"
    async with raw_host(saying(head)) as url, recording(url, tmp_path) as client:
        assert (await client.post())[0] == 999
    async with Replayer(tmp_path) as replayer, aiohttp.ClientSession() as session:
        assert (await Client(replayer, session).post())[0] == 999


async def test_an_answer_byte_by_byte_is_bounded_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each byte takes more in memory than it does in the file.
    monkeypatch.setattr(draft, "MAX_STORED", 10_000)
    chunks = b"1\r\nx\r\n" * 1_000
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with raw_host(saying(head + chunks + b"0\r\n\r\n")) as url:
        recorder = Recorder(url, tmp_path, on_problem=lambda problem: None)
        await recorder.start()
        async with aiohttp.ClientSession() as session:
            assert (await Client(recorder, session).post())[2] == b"x" * 1_000
        with pytest.raises(OSError, match="longer than"):
            await recorder.stop()


async def test_a_recorder_whose_stop_is_cancelled_leaves_nothing_open(tmp_path: Path) -> None:
    async with Simulator(tokens_per_second=20) as sim:
        recorder = Recorder(sim.base_url, tmp_path)
        await recorder.start()
        connection = await RawConnection.open(recorder, chat(stream=True))
        await connection.chunk() if await connection.head() else None
        stopping = asyncio.create_task(recorder.stop())
        await asyncio.sleep(0)
        stopping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stopping
        assert recorder._upstream._session is None
        await connection.close()
