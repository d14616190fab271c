"""The connections of one event loop: the only module that knows aiohttp's client.

It knows nothing of JSON. aiohttp is not imported before it is needed.
"""

import asyncio
import contextlib
import functools
import io
import socket
import ssl as ssl_module
import weakref
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import msgspec

from deepseek_async.environment import bypasses_proxy
from deepseek_async.errors import (
    APIConnectionError,
    ConnectTimeoutError,
    DeepSeekError,
    PreflightError,
)
from deepseek_async.policy.clocks import Clocks
from deepseek_async.response import (
    Ending,
    HTTPResponse,
    Readers,
    close_socket,
    running_loop,
    told,
    watch,
)

if TYPE_CHECKING:
    import aiohttp
    from aiohttp import ClientResponse, ClientSession
    from yarl import URL

# aiohttp stops reading at twice this many unread bytes. Its default of 256 KiB also costs CPU: it
# re-enters its HTTP parser for each HTTP chunk that is read while the buffer holds less.
READ_BUFFER = 64 * 1024

# How long a new request waits for that terminator instead of opening a connection: less than a
# TCP and TLS handshake takes.
REUSE_WAIT = 0.25

# Seconds an idle connection is kept. Someone chatting writes every half minute or so.
KEEP_ALIVE = 75.0

# Seconds after which the kernel is told to probe a connection.
_PROBE_AFTER = 30.0

# aiohttp warns about larger bodies given as bytes, since sending one blocks the loop for long.
_LARGE_BODY = 512 * 1024


class HTTPRequest(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is sent."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None
    query: tuple[tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        # The headers hold the API key, the body what the user says.
        return f"HTTPRequest({self.method} {self.url})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("method", self.method), ("url", self.url)]


class StaleConnectionError(APIConnectionError):
    """A kept connection turned out to be closed before it brought a single byte."""


# Tasks whose request goes over a connection that had been kept.
Reusing = set["asyncio.Task[Any] | None"]


class _Probing:
    """Has the kernel probe the peers of connections that live long enough.

    A dead peer is then noticed while a request waits for minutes. Most connections don't live to
    need it, and the four system calls would be a fifth of what opening one costs.
    """

    def __init__(self) -> None:
        self._young: list[weakref.ref[Any]] = []

    def add(self, protocol: Any) -> None:
        """Take note of a new connection."""
        if not self._young:
            asyncio.get_running_loop().call_later(_PROBE_AFTER, self._begin)
        self._young.append(weakref.ref(protocol))

    def _begin(self) -> None:
        young, self._young = self._young, []
        for reference in young:
            protocol = reference()
            transport = None if protocol is None else protocol.transport
            sock = None if transport is None else transport.get_extra_info("socket")
            if sock is not None and sock.fileno() >= 0:
                _probe(sock)


def _probe(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    # Linux; macOS lacks the first of them.
    for name, seconds in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4)):
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), seconds)


def _connector(
    ssl: ssl_module.SSLContext | bool, readers: Readers, reusing: Reusing
) -> "aiohttp.TCPConnector":
    import aiohttp

    probing = _Probing()

    class Connector(aiohttp.TCPConnector):
        """Tells which tasks got a connection that has served another request before."""

        async def connect(self, req: Any, traces: Any, timeout: Any) -> Any:  # noqa: ASYNC109
            connection = await super().connect(req, traces, timeout)
            if watch(readers, connection.protocol):
                reusing.add(asyncio.current_task())
            else:
                probing.add(connection.protocol)
            return connection

    # No limit here: the gate is before it. aiohttp's default of 100 connections would let the
    # 101st stream wait without a word.
    return Connector(limit=0, keepalive_timeout=KEEP_ALIVE, ssl=ssl)


class LoopPool:
    """The session of one event loop."""

    def __init__(
        self,
        session: "ClientSession | None",
        proxies: Mapping[str, str],
        ssl: ssl_module.SSLContext | bool,
    ) -> None:
        self._session = session
        self._owned = session is None
        self._proxies = proxies
        self._ssl = ssl
        self._loop: asyncio.AbstractEventLoop | None = None
        self._guard: AsyncGenerator[None] | None = None
        # Those whose answer is complete but whose HTTP body has not ended; and in the order in
        # which they will be free, those that no request waits for.
        self._endings: set[Ending] = set()
        self._unclaimed: deque[Ending] = deque()
        self._readers: Readers = {}
        self._reusing: Reusing = set()
        self._urls: dict[tuple[str, tuple[tuple[str, str], ...]], tuple[URL, str | None]] = {}

    @property
    def closed(self) -> bool:
        """Whether it can't be used any more; a session of the caller's own is theirs to close."""
        return self._owned and (self._session is None or self._session.closed)

    async def open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Open the session. Does not suspend, so that no second task opens another."""
        self._loop = loop
        if self._owned:
            import aiohttp

            session = aiohttp.ClientSession(
                connector=_connector(self._ssl, self._readers, self._reusing),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),
                read_bufsize=READ_BUFFER,
                trust_env=False,
            )
            # aiohttp repeats a GET whose connection closes, without a word; we count attempts.
            # tests/loopback/test_retries.py fails if this private name goes away.
            cast("Any", session)._retry_connection = False
            self._session = session
        # The loop closes the asynchronous generators that were started on it before it ends:
        # the one way to learn of its end in time.
        self._guard = self._close_with_loop()
        await anext(self._guard)
        _guards.setdefault(loop, set()).add(self._guard)

    async def _close_with_loop(self) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            self._forget_guard()
            self._close_responses()
            if self._owned and self._session is not None:
                await self._session.close()

    async def aclose(self) -> None:
        """Close the session and its connections."""
        if self._guard is not None:
            await self._guard.aclose()

    def _forget_guard(self) -> None:
        loop, guard = self._loop, self._guard
        if loop is not None and guard is not None and loop in _guards:
            _guards[loop].discard(guard)
            if not _guards[loop]:
                del _guards[loop]

    def _close_responses(self) -> None:
        for reference in list(self._readers.values()):
            response = None if reference is None else reference()
            if response is not None:
                response.close()
        for ending in list(self._endings):
            ending.give_up()

    def discard(self) -> None:
        """Close the session without waiting, from any thread, whatever state its loop is in."""
        session, loop = self._session, self._loop
        if loop is None:
            return
        self._forget_guard()
        if not self._owned or session is None or session.closed:
            return
        connector = session.connector
        # Else aiohttp's finalizer would complain about it.
        session.detach()
        if loop.is_closed():
            # aiohttp closes nothing any more.
            for protocol in list(self._readers):
                close_socket(protocol.transport)
            _drop_connections(connector)
        elif loop is running_loop():
            _drop_connections(connector)
        else:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(_drop_connections, connector)

    async def send(
        self,
        request: HTTPRequest,
        authorization: str,
        clocks: Clocks,
        on_end: Callable[[], None],
    ) -> HTTPResponse:
        """Do what :meth:`SessionManager.send` describes."""
        loop = asyncio.get_running_loop()
        if self._unclaimed:
            await self._wait_for_ending(request, clocks.total_deadline)
        clocks.restart()
        now = loop.time()
        clocks.wait(now)
        deadline = clocks.deadline(now)
        session = self._session
        if session is None or session.closed:
            raise APIConnectionError("the session was closed")
        task = asyncio.current_task()
        response: ClientResponse | None = None
        error: DeepSeekError | None = None
        cause: Exception | None = None
        try:
            asked = self._request(session, request, authorization, clocks)
            response = await (asked if deadline is None else _within(deadline, asked))
        except _OutOfTimeError:
            now = loop.time() if deadline is None else max(deadline, loop.time())
            error = clocks.expired(now) or ConnectTimeoutError("timed out")
        except Exception as exc:
            error = _connection_error(exc, request, clocks, reused=task in self._reusing)
            cause = exc
        finally:
            clocks.stop(loop.time())
            self._reusing.discard(task)
        if response is None:
            assert error is not None
            # Outside the `except`: the request that aiohttp attaches to some exceptions holds the
            # API key, and must not travel along as context.
            raise error from (None if hasattr(cause, "request_info") else cause)
        result = HTTPResponse(self, response, clocks, on_end)
        if response.connection is not None:
            protocol = response.connection.protocol
            watch(self._readers, protocol)
            self._readers[protocol] = weakref.ref(result)
        return result

    async def _wait_for_ending(self, request: HTTPRequest, deadline: float | None) -> None:
        """Wait for a connection that will be free in a moment, if no other is free now."""
        origin = self._address(request)[0].origin()
        # Private, and only to save a wait: without it, nothing fails.
        free = getattr(self._session and self._session.connector, "_conns", {})
        if any(key.host == origin.host and free[key] for key in list(free)):
            return
        for ending in list(self._unclaimed):
            if ending.origin == origin and not ending.ended.done():
                self._unclaimed.remove(ending)
                wait = REUSE_WAIT
                if deadline is not None:
                    wait = min(wait, max(0.0, deadline - asyncio.get_running_loop().time()))
                await asyncio.wait([ending.ended], timeout=wait)
                return

    def _request(
        self, session: "ClientSession", request: HTTPRequest, authorization: str, clocks: Clocks
    ) -> "Awaitable[ClientResponse]":
        body: Any = request.body
        if body is not None and len(body) > _LARGE_BODY:
            body = io.BytesIO(body)
        url, proxy = self._address(request)
        return session.request(
            request.method,
            url,
            data=body,
            headers={"Authorization": authorization, **request.headers},
            allow_redirects=False,
            raise_for_status=False,
            proxy=proxy,
            ssl=self._ssl,
            timeout=_client_timeout(clocks.timeouts.connect),
            read_bufsize=READ_BUFFER,
        )

    def _address(self, request: HTTPRequest) -> "tuple[URL, str | None]":
        """Return the URL, parsed once, and the proxy for it."""
        key = (request.url, request.query)
        known = self._urls.get(key)
        if known is None:
            from yarl import URL

            url = URL(request.url).update_query(request.query)
            proxy = self._proxies.get(url.scheme)
            if proxy is not None and bypasses_proxy(url.host or "", self._proxies):
                proxy = None
            if len(self._urls) > 256:
                self._urls.clear()
            known = self._urls[key] = (url, proxy)
        return known

    def ending(self, ending: Ending) -> None:
        """Take note of a connection that is about to become free."""
        self._endings.add(ending)
        self._unclaimed.append(ending)
        ending.ended.add_done_callback(lambda _: self._ended(ending))

    def _ended(self, ending: Ending) -> None:
        self._endings.discard(ending)
        # Those at the front are the oldest; the rest is cleared as it gets there.
        while self._unclaimed and self._unclaimed[0].ended.done():
            self._unclaimed.popleft()


class _OutOfTimeError(Exception):
    """A clock of ours ran out before the response came."""


async def _within(deadline: float, asked: "Awaitable[ClientResponse]") -> "ClientResponse":
    """Wait for a response until ``deadline``, by the loop's clock in seconds."""
    timeout = asyncio.timeout_at(deadline)
    try:
        async with timeout:
            return await asked
    except TimeoutError:
        if timeout.expired():
            raise _OutOfTimeError from None
        raise


@functools.lru_cache(maxsize=64)
def _client_timeout(connect: float | None) -> "aiohttp.ClientTimeout":
    """Return aiohttp's form of the one clock that it keeps for us."""
    import aiohttp

    return aiohttp.ClientTimeout(total=None, connect=connect, sock_read=None)


# What watches for the end of a loop lives until then, whoever forgets a client.
_guards: dict[asyncio.AbstractEventLoop, set[AsyncGenerator[None]]] = {}


def _drop_connections(connector: Any) -> None:
    """Close the connections of a connector without waiting for them to be closed."""
    closing = connector.close()
    # Its first step closes all transports; the rest would wait until they are closed.
    with contextlib.suppress(StopIteration):
        closing.send(None)
    closing.close()


def _connection_error(
    exc: Exception, request: HTTPRequest, clocks: Clocks, *, reused: bool
) -> APIConnectionError | PreflightError:
    """Say in our terms why no response came.

    Raises:
        Exception: ``exc`` itself, if it isn't one of aiohttp's or the system's.
    """
    import aiohttp

    if not isinstance(exc, aiohttp.ClientError | OSError | ValueError | TypeError):
        raise exc
    host, connect = urlsplit(request.url).netloc, clocks.timeouts.connect
    if isinstance(exc, TimeoutError):
        return ConnectTimeoutError(f"no connection to {host} within {connect:g} s")
    if isinstance(exc, aiohttp.ClientHttpProxyError):
        return APIConnectionError(f"the proxy refused: {exc.status} {exc.message}")
    if isinstance(exc, aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError):
        error = APIConnectionError(f"TLS with {host} failed: {exc}")
        error.retryable = False
        return error
    if isinstance(exc, aiohttp.ClientConnectorDNSError):
        return APIConnectionError(f"the host name of {host} can't be resolved: {exc.os_error}")
    if isinstance(exc, aiohttp.ClientConnectorError):
        return APIConnectionError(f"can't connect to {host}: {exc.os_error}")
    if isinstance(exc, aiohttp.ClientResponseError):
        return APIConnectionError(f"{host} did not answer in HTTP: {exc.message}")
    if isinstance(exc, aiohttp.ClientConnectionError | OSError):
        cls = StaleConnectionError if reused else APIConnectionError
        return cls(f"{host} closed the connection before it answered: {told(exc)}")
    return PreflightError(f"the request can't be sent: {exc}")
