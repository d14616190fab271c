"""A browser that is a bare socket: it reads what it likes, and leaves as it likes."""

import asyncio
import base64
import json
import socket
import struct
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

#: Generous: tests wait for events, and this only ends those that would hang.
GUARD = 20.0


class Browser:
    """One connection.

    Args:
        port: Of the server, on loopback.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        #: What has been read of the response and not been handed out.
        self.read = b""

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.leave()

    async def ask(
        self, path: str, *, method: str = "GET", body: bytes = b"", headers: str = ""
    ) -> None:
        """Send a request; header lines end with CRLF."""
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}"
        if body:
            head += f"Content-Length: {len(body)}\r\n"
        self._writer.write(f"{head}\r\n".encode() + body)
        await self._writer.drain()

    async def upgrade(self, path: str) -> None:
        """Open a WebSocket."""
        key = base64.b64encode(bytes(16)).decode()
        await self.ask(
            path,
            headers=(
                "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
            ),
        )
        head = await self.until(b"\r\n\r\n")
        assert b" 101 " in head, head

    async def until(self, end: bytes) -> bytes:
        """Read until something has come, and return all up to there."""
        async with asyncio.timeout(GUARD):
            while end not in self.read:
                data = await self._reader.read(65536)
                assert data, f"the server closed the connection after {self.read!r}"
                self.read += data
        got, _, self.read = self.read.partition(end)
        return got + end

    async def response(self) -> "Response":
        """Read a response to its end."""
        head = (await self.until(b"\r\n\r\n")).decode("latin-1")
        status, *lines = head.split("\r\n")
        headers = {
            name.lower(): value for name, _, value in (line.partition(": ") for line in lines)
        }
        code = int(status.split(" ")[1])
        if "chunked" in headers.get("transfer-encoding", ""):
            return Response(code, headers, await self._chunks())
        size = int(headers.get("content-length", "0"))
        async with asyncio.timeout(GUARD):
            while len(self.read) < size:
                self.read += await self._reader.read(65536)
        body, self.read = self.read[:size], self.read[size:]
        return Response(code, headers, body)

    async def _chunks(self) -> bytes:
        body = b""
        while size := int(await self.until(b"\r\n"), 16):
            while len(self.read) < size + 2:
                async with asyncio.timeout(GUARD):
                    self.read += await self._reader.read(65536)
            body += self.read[:size]
            self.read = self.read[size + 2 :]
        await self.until(b"\r\n")
        return body

    async def response_body(self) -> bytes:
        """Read the rest of a chunked response, from anywhere within its first chunk."""
        async with asyncio.timeout(GUARD):
            while not self.read.endswith(b"0\r\n\r\n"):
                data = await self._reader.read(65536)
                assert data
                self.read += data
        return self.read

    def leave(self, *, reset: bool = False) -> None:
        """Close the connection, with FIN or RST."""
        if reset and not self._writer.is_closing():
            sock = self._writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.close()


class Response:
    """A response that was read to its end."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        message: str = self.json["error"]["message"]
        return message

    @property
    def objects(self) -> list[dict[str, Any]]:
        """The objects of a stream of server-sent events."""
        return [json.loads(data) for data in data_of(self.body)]

    @property
    def cursors(self) -> list[str]:
        """The ids of a stream of server-sent events."""
        lines = self.body.decode().split("\n")
        return [line[4:] for line in lines if line.startswith("id: ")]

    @property
    def text(self) -> str:
        """The answer that a stream in the native format tells."""
        return text_of(self.objects)


def data_of(body: bytes) -> list[str]:
    """Return the data of each server-sent event."""
    found: list[str] = []
    for event in body.decode().split("\n\n"):
        lines = [line[6:] for line in event.split("\n") if line.startswith("data: ")]
        if lines:
            found.append("\n".join(lines))
    return found


def text_of(objects: list[dict[str, Any]]) -> str:
    """Return the text that objects of the native format tell."""
    return "".join(told[1] for each in objects for told in each["d"] if told[0] == "text")


async def fetch(port: int, path: str, **request: Any) -> Response:
    """Send a request and read the response."""
    async with Browser(port) as browser:
        await browser.ask(path, **request)
        return await browser.response()


async def until(is_so: Callable[[], bool]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(GUARD):
        while not is_so():
            await asyncio.sleep(0.002)


async def connected(port: int) -> Browser:
    """Return a browser for a server that may not listen yet."""
    async with asyncio.timeout(GUARD):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return Browser(port)
