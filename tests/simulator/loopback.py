"""Two ways to talk to a simulator: a plain aiohttp session, and raw sockets."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Callable
from typing import Any

import aiohttp

from deepseek_async.simulator import Simulator

# Generous: reached only when something hangs.
GUARD_SECONDS = 20.0

Answer = tuple[int, dict[str, str], bytes]


class Client:
    """A plain HTTP client of one simulator."""

    def __init__(self, sim: Simulator, session: aiohttp.ClientSession) -> None:
        self.sim = sim
        self.session = session

    async def post(
        self,
        body: dict[str, Any] | bytes | None = None,
        path: str = "/chat/completions",
        **headers: str,
    ) -> Answer:
        """POST and read all; headers replace the usual ones, an empty one is left out."""
        return await self.request("POST", path, chat() if body is None else body, **headers)

    async def request(
        self, method: str, path: str, body: dict[str, Any] | bytes = b"", **headers: str
    ) -> Answer:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {
            "Authorization": "Bearer sk-test",
            "Content-Type": "application/json",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        async with self.session.request(
            method,
            self.sim.base_url + path,
            # A file object: aiohttp warns of large bytes.
            data=io.BytesIO(data),
            headers={name: value for name, value in sent.items() if value},
            skip_auto_headers=("Content-Type",),
        ) as response:
            received = {name.lower(): value for name, value in response.headers.items()}
            return response.status, received, await response.read()

    async def json(self, body: dict[str, Any], path: str = "/chat/completions") -> Any:
        status, _, data = await self.post(body, path)
        assert status == 200, data
        return json.loads(data)

    async def chunks(self, body: dict[str, Any], path: str = "/chat/completions") -> list[Any]:
        """Chunks of a stream that must end with [DONE]."""
        status, _, data = await self.post({**body, "stream": True}, path)
        assert status == 200, data
        events = data.decode().split("\n\n")
        assert events[-2:] == ["data: [DONE]", ""]
        return [json.loads(event.removeprefix("data: ")) for event in events[:-2]]


class RawConnection:
    """A socket that has sent one request."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, sim: Simulator, body: dict[str, Any], limit: int = 2**16) -> RawConnection:
        host, port = sim.base_url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=limit)
        data = json.dumps(body).encode()
        head = (
            "POST /chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sk-raw\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
        )
        writer.write(head.encode() + data)
        return cls(reader, writer)

    async def head(self) -> bytes:
        async with asyncio.timeout(GUARD_SECONDS):
            return await self.reader.readuntil(b"\r\n\r\n")

    async def chunk(self) -> bytes:
        """The next HTTP chunk; empty at the end of the body."""
        async with asyncio.timeout(GUARD_SECONDS):
            size = int(await self.reader.readuntil(b"\r\n"), 16)
            data = await self.reader.readexactly(size + 2)
        return data[:-2]

    async def chunks(self) -> list[bytes]:
        """The chunks up to the end of the body."""
        found: list[bytes] = []
        while chunk := await self.chunk():
            found.append(chunk)
        return found

    async def rest(self) -> bytes:
        """All up to the end of the connection."""
        async with asyncio.timeout(GUARD_SECONDS):
            return await self.reader.read()

    async def close(self) -> None:
        self.writer.close()


def chat(text: str = "Hello", **fields: Any) -> dict[str, Any]:
    """A chat request with thinking off."""
    return {
        "model": "deepseek-flash",
        "messages": [{"role": "user", "content": text}],
        "thinking": {"type": "disabled"},
        **fields,
    }


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that other tasks bring about."""
    async with asyncio.timeout(GUARD_SECONDS):
        while not condition():  # nothing signals the simulator's counters
            # Not a fixed time: a turn of the event loop and a little rest for the processor.
            await asyncio.sleep(0.001)
