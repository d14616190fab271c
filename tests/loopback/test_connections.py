"""Proxies, TLS, sessions of the caller's own, and what goes over the wire besides the body."""

import asyncio
import socket
import ssl
import warnings

import aiohttp
import pytest
import trustme

from deepseek_async import APIConnectionError, APIStatusError, AsyncDeepSeek, DeepSeekWarning
from tests.loopback.peer import (
    ASK,
    DONE,
    FINISH,
    GUARD,
    ROLE,
    Connection,
    Peer,
    Request,
    answering,
    json_response,
    plain,
    serving,
    text,
)


async def echo_head(connection: Connection) -> None:
    """Answer with the request's line and headers."""
    while True:
        request = await connection.request()
        lines = [f"{name}: {value}" for name, value in request.headers.items()]
        await connection.write(plain("\n".join([request.path, *lines])))


async def test_redirects_are_not_followed_with_the_key() -> None:
    async with Peer(answering(ROLE, FINISH, DONE)) as target:

        async def redirect(connection: Connection) -> None:
            await connection.request()
            head = f"HTTP/1.1 307 Moved\r\nlocation: {target.base_url}\r\ncontent-length: 0\r\n\r\n"
            await connection.write(head.encode())

        async with serving(redirect) as (_, client):
            with pytest.raises(APIStatusError, match="set base_url to the final address") as caught:
                await client.chat.completions.create(**ASK)
        assert caught.value.status_code == 307
        assert target.base_url in str(caught.value)
        assert target.accepted == 0


async def test_cookies_are_neither_kept_nor_sent() -> None:
    seen: list[Request] = []

    async def handle(connection: Connection) -> None:
        while True:
            seen.append(await connection.request())
            await connection.write(plain("x").replace(b"content-type", b"set-cookie: a=b\r\nx", 1))

    async with serving(handle) as (_, client):
        for _ in range(2):
            await client.chat.completions.create(**ASK)
    assert all("cookie" not in request.headers for request in seen)


async def test_connections_have_nodelay_and_after_a_while_keep_alive(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def handle(connection: Connection) -> None:
        await connection.request()
        await connection.stream(ROLE, text("x"), end=False)
        await connection.until_gone()

    async with asyncio.timeout(GUARD), serving(handle) as (peer, client):
        made: list[socket.socket] = []
        real = socket.socket

        class Recorder(real):  # type: ignore[valid-type, misc]
            def __init__(self, *args: object, **kwargs: object) -> None:
                super().__init__(*args, **kwargs)
                made.append(self)

        monkeypatch.setattr("socket.socket", Recorder)
        monkeypatch.setattr("deepseek_async.connections._PROBE_AFTER", 0.01)
        streams = [await client.chat.completions.create(**ASK, stream=True) for _ in range(2)]
        for stream in streams:
            await anext(stream)
        # One that is closed before its time comes is left alone.
        await streams[1].aclose()
        await asyncio.sleep(0.02)
        (ours,) = (
            each
            for each in made
            if each.fileno() >= 0 and f":{each.getpeername()[1]}" in peer.base_url
        )
        assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
        while not ours.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE):
            await asyncio.sleep(0.01)
        assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60
        await streams[0].aclose()


async def test_more_connections_than_aiohttps_default_limit_are_open_at_once() -> None:
    active = 0
    everyone = asyncio.Event()

    async def handle(connection: Connection) -> None:
        nonlocal active
        await connection.request()
        active += 1
        if active == 150:
            everyone.set()
        await everyone.wait()
        await connection.stream(ROLE, text("x"), FINISH, DONE)
        await connection.until_gone()

    async with asyncio.timeout(GUARD), serving(handle) as (_, client):
        async with asyncio.TaskGroup() as group:
            for _ in range(150):
                group.create_task(client.chat.completions.stream(**ASK).until_done())


async def test_large_bodies_are_sent_without_a_warning() -> None:
    content = "ü" * 3_000_000
    sizes: list[int] = []

    async def handle(connection: Connection) -> None:
        request = await connection.request()
        sizes.append(len(request.json["messages"][0]["content"]))
        assert "content-length" in request.headers
        await connection.write(plain("x"))

    messages = [{"role": "user", "content": content}]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        async with asyncio.timeout(GUARD), serving(handle) as (_, client):
            await client.chat.completions.create(model="deepseek-flash", messages=messages)
    assert sizes == [len(content)]


async def test_a_session_of_the_caller_is_used_and_left_open() -> None:
    async with Peer(echo_head) as peer, aiohttp.ClientSession(headers={"x-mine": "1"}) as session:
        async with peer.client(session=session) as client:
            completion = await client.chat.completions.create(**ASK)
        assert "x-mine: 1" in (completion.choices[0].message.content or "")
        assert not session.closed


async def test_streams_over_the_callers_session_end_with_the_client() -> None:
    async def handle(connection: Connection) -> None:
        await connection.request()
        await connection.stream(ROLE, text("x"), end=False)
        await connection.until_gone()

    async with asyncio.timeout(GUARD), Peer(handle) as peer, aiohttp.ClientSession() as session:
        async with peer.client(session=session) as client:
            stream = await client.chat.completions.create(**ASK, stream=True)
            await anext(stream)
        await peer.until_open(0)


async def test_a_closed_session_of_the_caller_is_told() -> None:
    async with Peer(echo_head) as peer:
        session = aiohttp.ClientSession()
        await session.close()
        async with peer.client(session=session) as client:
            with pytest.raises(APIConnectionError, match="closed"):
                await client.chat.completions.create(**ASK)


async def test_a_proxy_given_is_used() -> None:
    async with Peer(echo_head) as proxy:
        client = AsyncDeepSeek(
            "sk-test", base_url="http://api.example.test/v1", proxy=proxy.base_url, max_retries=0
        )
        async with client:
            completion = await client.chat.completions.create(**ASK)
        content = completion.choices[0].message.content or ""
        assert content.startswith("http://api.example.test/v1/chat/completions")


async def test_proxies_of_the_environment_are_used_unless_excluded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with Peer(echo_head) as proxy, Peer(echo_head) as direct:
        monkeypatch.setenv("http_proxy", proxy.base_url)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        for base_url, trust in [
            ("http://api.example.test", True),
            (direct.base_url, True),
        ]:
            async with AsyncDeepSeek("sk-test", base_url=base_url, trust_env=trust) as client:
                await client.chat.completions.create(**ASK)
        monkeypatch.delenv("no_proxy")
        async with AsyncDeepSeek("sk-test", base_url=direct.base_url, trust_env=False) as client:
            await client.chat.completions.create(**ASK)
        assert (proxy.accepted, direct.accepted) == (1, 2)


async def test_a_proxy_that_refuses_is_told_without_the_key() -> None:
    async def refuse(connection: Connection) -> None:
        await connection.request()
        await connection.write(
            b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n"
        )

    async with Peer(refuse) as proxy:
        client = AsyncDeepSeek(
            "sk-secret", base_url="https://api.example.test", proxy=proxy.base_url, max_retries=0
        )
        async with client:
            with pytest.raises(APIConnectionError, match="407") as caught:
                await client.chat.completions.create(**ASK)
    exc: BaseException | None = caught.value
    while exc is not None:
        assert "sk-secret" not in repr(exc)
        assert "sk-secret" not in repr(vars(exc))
        exc = exc.__cause__ or exc.__context__


class TLSServer:
    """A peer behind TLS."""

    def __init__(self) -> None:
        self.authority = trustme.CA()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert("127.0.0.1").configure_cert(self._context)
        self._server: asyncio.Server | None = None
        self.gone = asyncio.Event()

    @property
    def base_url(self) -> str:
        assert self._server is not None
        return f"https://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(reader, writer)
        try:
            while True:
                await connection.request()
                await connection.stream(ROLE, text("x"), FINISH, DONE)
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            self.gone.set()
        finally:
            writer.close()

    async def __aenter__(self) -> "TLSServer":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()


async def test_a_tls_context_given_is_used() -> None:
    async with asyncio.timeout(GUARD), TLSServer() as server:
        context = ssl.create_default_context()
        server.authority.configure_trust(context)
        async with AsyncDeepSeek("sk-test", base_url=server.base_url, ssl=context) as client:
            assert await client.chat.completions.stream(**ASK).get_final_text() == "x"
            assert await client.chat.completions.stream(**ASK).get_final_text() == "x"
        await server.gone.wait()


async def test_verification_can_be_switched_off() -> None:
    async with asyncio.timeout(GUARD), TLSServer() as server:
        async with AsyncDeepSeek("sk-test", base_url=server.base_url, ssl=False) as client:
            assert await client.chat.completions.stream(**ASK).get_final_text() == "x"


async def test_a_certificate_nobody_vouches_for_is_refused_at_once() -> None:
    async with asyncio.timeout(GUARD), TLSServer() as server:
        async with AsyncDeepSeek("sk-test", base_url=server.base_url, max_retries=5) as client:
            with pytest.raises(APIConnectionError, match=r"TLS with 127\.0\.0\.1") as caught:
                await client.chat.completions.create(**ASK)
        assert not caught.value.retryable
        assert caught.value.attempts == 1


async def test_plain_http_on_a_tls_port_is_an_error() -> None:
    async with asyncio.timeout(GUARD), TLSServer() as server:
        url = server.base_url.replace("https", "http")
        async with AsyncDeepSeek("sk-test", base_url=url, max_retries=0) as client:
            with pytest.raises(APIConnectionError):
                await client.chat.completions.create(**ASK)


async def test_a_server_that_does_not_speak_http_is_told_without_the_key() -> None:
    async def handle(connection: Connection) -> None:
        await connection.request()
        await connection.write(b"220 mail.example.test ESMTP\r\n\r\n")

    async with asyncio.timeout(GUARD), Peer(handle) as peer:
        client = AsyncDeepSeek("sk-secret", base_url=peer.base_url, max_retries=0)
        async with client:
            with pytest.raises(APIConnectionError, match="did not answer in HTTP") as caught:
                await client.chat.completions.create(**ASK)
    exc: BaseException | None = caught.value
    while exc is not None:
        assert "sk-secret" not in repr(exc) + repr(vars(exc))
        exc = exc.__cause__ or exc.__context__


async def test_a_host_name_that_does_not_exist_is_told() -> None:
    client = AsyncDeepSeek("sk-test", base_url="http://no-such-host.invalid", max_retries=0)
    async with client:
        with pytest.raises(APIConnectionError, match=r"no-such-host\.invalid can't be resolved"):
            await client.chat.completions.create(**ASK)


def test_a_limit_above_the_file_descriptors_is_lowered_with_a_warning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _: (1024, 4096))
    with pytest.warns(DeepSeekWarning, match="lowered to 960") as caught:
        AsyncDeepSeek("sk-test", max_concurrency=5000)
    assert len(caught) == 1
    assert caught[0].filename == __file__


def test_a_limit_within_the_file_descriptors_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _: (1024, 4096))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        AsyncDeepSeek("sk-test", max_concurrency=500)
        AsyncDeepSeek("sk-test")


async def test_an_error_body_without_end_is_cut_off() -> None:
    async def handle(connection: Connection) -> None:
        await connection.request()
        await connection.write(b"HTTP/1.1 400 Bad\r\nconnection: close\r\n\r\n")
        while True:
            await connection.write(b"x" * 65536)

    async with asyncio.timeout(GUARD), serving(handle) as (peer, client):
        with pytest.raises(APIStatusError) as caught:
            await client.chat.completions.create(**ASK)
        assert len(str(caught.value)) < 2000
        await peer.until_open(0)


async def test_models_and_balance_use_the_same_connection() -> None:
    async def handle(connection: Connection) -> None:
        while True:
            request = await connection.request()
            assert request.method == "GET"
            if request.path == "/models":
                await connection.write(json_response({"object": "list", "data": [{"id": "m"}]}))
            else:
                await connection.write(json_response({"is_available": True, "balance_infos": []}))

    async with asyncio.timeout(GUARD), serving(handle) as (peer, client):
        assert [model.id for model in await client.models.list()] == ["m"]
        assert (await client.user.balance()).is_available
        assert peer.accepted == 1


async def test_an_answer_that_comes_before_the_whole_request_ends_the_connection() -> None:
    """What is left of the request would be taken for the next one."""
    size = 32 * 1024 * 1024
    gone: list[asyncio.Event] = []

    async def handle(connection: Connection) -> None:
        gone.append(connection.gone)
        if len(gone) == 1:
            await connection.head()
        else:
            await connection.request()
        await connection.write(plain("x"))
        await connection.until_gone()

    async with asyncio.timeout(GUARD), serving(handle, max_retries=0) as (peer, client):
        messages = [{"role": "user", "content": "x" * size}]
        early = await client.chat.completions.create(model="deepseek-flash", messages=messages)
        assert early.choices[0].message.content == "x"
        await gone[0].wait()
        assert (await client.chat.completions.create(**ASK)).attempts == 1
        assert peer.accepted == 2
