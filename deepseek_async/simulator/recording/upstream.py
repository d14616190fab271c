"""The host behind a recorder: requests go to it as they are, answers come back block by block.

Of the simulator, this module alone uses aiohttp's client. The package's own client can't do it: a
proxy passes on any path, header and body, and must not check, retry or decode anything.
"""

from __future__ import annotations

import asyncio
import errno
import functools
import io
import re
import urllib.request
from collections.abc import Iterable
from typing import Any, cast
from urllib.parse import urlsplit

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from deepseek_async.simulator.recording.exchange import End
from deepseek_async.simulator.recording.headers import is_decoded

# Without one, a host that drops packets is told from a slow one by nobody.
_CONNECT_SECONDS = 30.0
_READ_BUFFER = 64 * 1024
# Of an answer's head; more than servers send.
_MAX_HEADER = 64 * 1024


class UpstreamError(Exception):
    """The host didn't answer, or not to the end."""

    def __init__(self, end: End, reason: str) -> None:
        super().__init__(reason)
        self.end: End = end
        self.reason = reason


class UpstreamAnswer:
    """An answer whose head is there."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.status = response.status
        self.headers = list(response.headers.items())
        self._response = response
        self._closed = _wake_when_closed(response)
        # Hosts may compress though asked not to; aiohttp has undone what it knows.
        if is_decoded(response.headers.get("Content-Encoding", "")):
            self.headers = [
                (name, value)
                for name, value in self.headers
                if name.lower() not in ("content-encoding", "content-length")
            ]

    @property
    def content_length(self) -> int | None:
        """Bytes of the body, if the host said so."""
        for name, value in self.headers:
            if name.lower() == "content-length" and value.isdecimal():
                return int(value)
        return None

    async def read(self) -> bytes:
        """Return the next block, one HTTP chunk at the most; empty at the end.

        Raises:
            UpstreamError: The connection broke, and all that had come before was returned.
        """
        content = self._response.content
        while True:
            try:
                block, is_chunk = await content.readchunk()
            except Exception as exc:
                # Reading raises what broke the connection before what came is read. aiohttp has
                # no public way to it.
                hidden = cast("Any", content)
                if hidden._buffer:
                    return cast("bytes", hidden._read_nowait(-1))
                raise _error(self._lost() or exc) from None
            # The reader of an answer that can't have a body always says that a chunk has ended.
            if block or not is_chunk or content.at_eof():
                return block

    def close(self) -> None:
        """Close the connection."""
        self._response.close()

    def _lost(self) -> BaseException | None:
        """Why the connection is lost, if it is; the reader is told of the body alone."""
        closed = self._closed
        if closed is None or not closed.done() or closed.cancelled():
            return None
        lost = closed.exception()
        return None if lost is None else lost.__cause__


class Upstream:
    """The host.

    Args:
        base_url: What stands before the paths of requests.

    Raises:
        ValueError: It can't be one; secrets in it aren't quoted.
    """

    def __init__(self, base_url: str) -> None:
        self.base_url = _checked(base_url)
        self._session: aiohttp.ClientSession | None = None
        host = urlsplit(self.base_url).hostname or ""
        self._proxy = _proxy_of(self.base_url, host)

    async def open(self) -> None:
        """Get ready to ask."""
        session = aiohttp.ClientSession(
            # Each request has a connection of its own: a kept one that the host closes meanwhile
            # would look like a host that doesn't answer.
            connector=aiohttp.TCPConnector(limit=0, force_close=True),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS),
            read_bufsize=_READ_BUFFER,
            max_line_size=_MAX_HEADER,
            max_field_size=_MAX_HEADER,
            # Reads netrc as well, and would add a password from there.
            trust_env=False,
        )
        # aiohttp repeats a GET whose connection closes; the client would not learn of it.
        cast("Any", session)._retry_connection = False
        self._session = session

    async def close(self) -> None:
        """Close all connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def ask(
        self, method: str, target: str, headers: Iterable[tuple[str, str]], body: bytes
    ) -> UpstreamAnswer:
        """Send a request.

        Args:
            method: In upper case.
            target: Path and query, escaped as the client did.
            headers: Sent as they are.
            body: Of any size.

        Raises:
            UpstreamError: No answer came.
        """
        assert self._session is not None
        sent = CIMultiDict(headers)
        sent["Accept-Encoding"] = "identity"
        try:
            response = await self._session.request(
                method,
                URL(self.base_url + target, encoded=True),
                # A file object: aiohttp warns of large bytes.
                data=io.BytesIO(body) if body else None,
                headers=sent,
                skip_auto_headers=("Accept", "Content-Type", "User-Agent"),
                allow_redirects=False,
                proxy=self._proxy,
            )
        except Exception as exc:
            # Not chained: aiohttp attaches the request to some, and with it the key.
            raise _error(exc) from None
        return UpstreamAnswer(response)


def _error(exc: BaseException) -> UpstreamError:
    # Some name the proxy as the environment has it, with its password.
    said = re.sub(r"//[^/@\s]*@", "//", str(exc))
    # Any failure before there is a connection: of names, TCP or TLS.
    if isinstance(exc, aiohttp.ClientConnectorError | aiohttp.ClientSSLError | TimeoutError):
        return UpstreamError("refused", f"no connection: {said}")
    is_reset = getattr(exc, "errno", None) == errno.ECONNRESET
    return UpstreamError("reset" if is_reset else "cut", f"{type(exc).__name__}: {said}")


def _checked(base_url: str) -> str:
    url = base_url.strip().rstrip("/")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as exc:
        raise ValueError(f"this isn't a URL to record from: {exc}") from None
    if parts.username is not None or parts.password is not None:
        raise ValueError("the URL to record from has a password in it: clients send the key")
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError(
            f"the URL to record from starts with https:// or http://, not {base_url!r}"
        )
    if parts.query or parts.fragment:
        raise ValueError("the URL to record from has no query and no fragment")
    return url


def _proxy_of(url: str, host: str) -> str | None:
    """The proxy that the environment names for a host, but for this machine."""
    if host in ("127.0.0.1", "::1", "localhost"):
        return None
    proxies = urllib.request.getproxies_environment()
    # Undocumented but old; it knows the rules of no_proxy.
    if cast("Any", urllib.request).proxy_bypass_environment(host, proxies):
        return None
    return proxies.get(urlsplit(url).scheme)


def _wake_when_closed(response: aiohttp.ClientResponse) -> asyncio.Future[None] | None:
    """Tell the reader of a body that its connection closes.

    aiohttp closes a connection whose chunk framing is broken without a word to the one who reads
    the body (seen with 3.14.5).

    Returns:
        What says why it was closed; None: it was before.
    """
    connection = response.connection
    if connection is None or connection.protocol is None:
        return None
    closed = connection.protocol.closed
    if closed is not None:
        closed.add_done_callback(functools.partial(_on_closed, response.content))
    return closed


def _on_closed(content: aiohttp.StreamReader, closed: asyncio.Future[None]) -> None:
    if not closed.cancelled():
        # Looked at, so that asyncio does not complain that nobody did.
        closed.exception()
    if not content.is_eof() and content.exception() is None:
        content.set_exception(aiohttp.ClientPayloadError("the HTTP framing is invalid"))
