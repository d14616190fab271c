"""A server of bare sockets that does exactly what a test says, byte by byte."""

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from deepseek_async import AsyncDeepSeek

#: Generous: tests wait for events, and this only ends those that would hang.
GUARD = 20.0

STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"x-ds-trace-id: 0123456789abcdef0123456789abcdef\r\ntransfer-encoding: chunked\r\n\r\n"
)
TERMINATOR = b"0\r\n\r\n"
DONE = b"data: [DONE]\n\n"
KEEP_ALIVE = b": keep-alive\n\n"


def http_chunk(data: bytes) -> bytes:
    """Frame data as one chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(delta: dict[str, Any] | None = None, finish: str | None = None, **extra: Any) -> bytes:
    """Render one chunk of an answer as DeepSeek does."""
    choice = {"index": 0, "delta": delta or {}, "logprobs": None, "finish_reason": finish}
    body = {
        "id": "5c41f2c8-0000-4000-8000-3f6d3a5d1a11",
        "object": "chat.completion.chunk",
        "created": 1790000000,
        "model": "deepseek-flash",
        "choices": [choice],
        **extra,
    }
    return b"data: " + json.dumps(body, ensure_ascii=False).encode() + b"\n\n"


ROLE = event({"role": "assistant", "content": ""})
USAGE = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
FINISH = event({"content": ""}, "stop", usage=USAGE)


def text(piece: str) -> bytes:
    """Render a chunk that adds to the text."""
    return event({"content": piece})


def plain(content: str) -> bytes:
    """Render a whole plain answer."""
    return json_response(
        {
            "id": "5c41f2c8-0000-4000-8000-3f6d3a5d1a12",
            "object": "chat.completion",
            "created": 1790000000,
            "model": "deepseek-flash",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": content},
                    "logprobs": None,
                    "finish_reason": "stop",
                }
            ],
            "usage": USAGE,
        }
    )


def json_response(body: Any, status: str = "200 OK") -> bytes:
    """Render a response with a JSON body."""
    data = json.dumps(body, ensure_ascii=False).encode()
    return (
        f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(data)}\r\n\r\n".encode()
        + data
    )


class Request:
    """A request as it came."""

    def __init__(self, line: str, headers: dict[str, str], body: bytes) -> None:
        self.method, self.path, _ = line.split(" ", 2)
        self.headers = headers
        self.body = body

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Connection:
    """One accepted connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.gone = asyncio.Event()

    async def head(self) -> bytes:
        """Read the head of the next request, and leave its body."""
        return await self._reader.readuntil(b"\r\n\r\n")

    async def request(self) -> Request:
        """Read the next request."""
        head = await self.head()
        line, *lines = head.decode("latin-1").split("\r\n")
        headers = dict(each.lower().split(": ", 1) for each in lines if each)
        # Names in lower case, values as they came.
        for each in lines:
            if each:
                name, value = each.split(": ", 1)
                headers[name.lower()] = value
        size = int(headers.get("content-length", "0"))
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while True:
                length = int((await self._reader.readline()).strip(), 16)
                data = await self._reader.readexactly(length + 2)
                if not length:
                    break
                body += data[:-2]
        else:
            body = await self._reader.readexactly(size)
        return Request(line, headers, body)

    async def write(self, *parts: bytes) -> None:
        """Send each part with a write of its own."""
        for part in parts:
            self._writer.write(part)
            await self._writer.drain()

    async def stream(self, *events: bytes, end: bool = True) -> None:
        """Send a whole streamed answer, one HTTP chunk an event."""
        body = b"".join(map(http_chunk, events))
        await self.write(STREAM_HEAD + body + (TERMINATOR if end else b""))

    async def until_gone(self) -> None:
        """Wait until the client has closed its end."""
        with contextlib.suppress(ConnectionError):
            while await self._reader.read(65536):
                pass
        self.gone.set()

    def finish(self) -> None:
        """Close with FIN."""
        self._writer.close()

    def reset(self) -> None:
        """Close with RST, after what was written has gone out."""
        sock = self._writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.close()


Handler = Callable[[Connection], Awaitable[None]]


class Peer:
    """The listening side.

    Attributes:
        accepted: How many connections have been accepted.
        open: How many of them are open.
    """

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.accepted = 0
        self.open = 0
        self.changed = asyncio.Condition()
        self.failures: list[BaseException] = []

    @property
    def base_url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def client(self, **options: Any) -> AsyncDeepSeek:
        """Return a client of this server that takes it for DeepSeek."""
        options = {"max_retries": 0, "dialect": "deepseek", "trust_env": False, **options}
        return AsyncDeepSeek("sk-test", base_url=self.base_url, **options)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.accepted += 1
        self.open += 1
        try:
            await self._handler(Connection(reader, writer))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        except asyncio.CancelledError:
            # Only the end of the test cancels handlers; the server of streams would log it.
            pass
        except BaseException as exc:
            self.failures.append(exc)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()
            self.open -= 1
            self._tasks.discard(task)
            async with self.changed:
                self.changed.notify_all()

    async def until_open(self, count: int) -> None:
        """Wait until no more than ``count`` connections are open."""
        async with asyncio.timeout(GUARD), self.changed:
            await self.changed.wait_for(lambda: self.open <= count)

    async def __aenter__(self) -> "Peer":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=4096)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=GUARD)
        if self.failures:
            raise self.failures[0]


@asynccontextmanager
async def serving(handler: Handler, **options: Any) -> AsyncGenerator[tuple[Peer, AsyncDeepSeek]]:
    """Run a server, and a client of it, for a block."""
    async with Peer(handler) as peer, peer.client(**options) as client:
        yield peer, client


def answering(*events: bytes) -> Handler:
    """Return a handler that gives every request on a connection the same streamed answer."""

    async def handle(connection: Connection) -> None:
        while True:
            await connection.request()
            await connection.stream(*events)

    return handle


ASK: Any = {"model": "deepseek-flash", "messages": [{"role": "user", "content": "Hello"}]}
