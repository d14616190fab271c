"""A DeepSeek that costs next to nothing: bytes rendered in advance, no HTTP library.

The first part of the path says what to answer, so that a base URL picks it for any client:

    answer             a small plain answer
    late-MS            the same after MS milliseconds
    burst-N            N chunks of text, an HTTP chunk for each, all in one write
    blocks-N           the same bytes in HTTP chunks of 16 KiB, as from a buffering proxy
    kept-N             burst with a keep-alive comment after every event
    tools-N            two tool calls in N fragments
    ascii-N            burst, in ASCII without reasoning
    trickle-N-US       a write for each event, US microseconds after the one before
    paced-N-MS         N chunks, one in MS milliseconds; the text of each is when it was due, in
                       microseconds of the machine's monotonic clock
    state              as JSON: connections open and accepted

Run: python -m benchmarks.server (it prints its port)
"""

# Methods are those of `asyncio.Protocol`.
# ruff: noqa: D102

from __future__ import annotations

import asyncio
import functools
import json
import random
import sys
import time
from collections.abc import Iterator
from typing import cast

from benchmarks import payloads
from benchmarks.machine import SERVER, pin, raise_descriptor_limit

_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"cache-control: no-cache\r\nx-ds-trace-id: 6f3b1c0d9e8a47258c1d2e3f4a5b6c7d\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)
_TERMINATOR = b"0\r\n\r\n"
_PROXY_BLOCK = 16 * 1024


def _http_chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _response(body: bytes) -> bytes:
    head = (
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
        f"x-ds-trace-id: 6f3b1c0d9e8a47258c1d2e3f4a5b6c7d\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


_ANSWER = _response(payloads.ANSWER)
_PACED_END = b"".join(map(_http_chunk, payloads.END)) + _TERMINATOR


@functools.cache
def _writes(kind: str, count: int) -> tuple[bytes, ...]:
    """Return a stream as HTTP chunks, the head with the first and the terminator with the last."""
    match kind:
        case "tools":
            events = payloads.tool_events(count)
        case "ascii":
            events = payloads.plain_events(count)
        case _:
            events = payloads.text_events(count)
    if kind == "kept":
        events = [each + payloads.KEEP_ALIVE for each in events[:-1]] + events[-1:]
    elif kind == "blocks":
        data = b"".join(events)
        events = [data[at : at + _PROXY_BLOCK] for at in range(0, len(data), _PROXY_BLOCK)]
    first, *middle, last = map(_http_chunk, events)
    return (_STREAM_HEAD + first, *middle, last + _TERMINATOR)


@functools.lru_cache(maxsize=16)
def _whole(kind: str, count: int) -> bytes:
    return b"".join(_writes(kind, count))


class Pacer:
    """Writes to all paced streams, in steps of a millisecond, with one timer."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._due: dict[int, list[tuple[Connection, int, int]]] = {}
        self._step: int | None = None

    def add(self, connection: Connection, count: int, period: int) -> None:
        """Begin a stream somewhere in its period, so that not all are due at once."""
        now = int(self._loop.time() * 1000)
        first = now + 2 + random.randrange(period)
        self._due.setdefault(first, []).append((connection, count, period))
        if self._step is None:
            self._step = now
            self._advance()

    def _advance(self) -> None:
        now = int(self._loop.time() * 1000)
        step = now if self._step is None else self._step
        while step <= now:
            if due := self._due.pop(step, None):
                self._write(step, due)
            step += 1
        self._step = step if self._due else None
        if self._due:
            self._loop.call_at(step / 1000, self._advance)

    def _write(self, step: int, due: list[tuple[Connection, int, int]]) -> None:
        data = _http_chunk(payloads.event({"content": f"{step * 1000:016d} "}))
        for connection, left, period in due:
            transport = connection.transport
            if transport is None:
                continue
            if left > 1:
                transport.write(data)
                self._due.setdefault(step + period, []).append((connection, left - 1, period))
            else:
                transport.write(data + _PACED_END)


class Connection(asyncio.Protocol):
    """One connection; requests on it come one after the other."""

    opened = 0
    accepted = 0

    def __init__(self, loop: asyncio.AbstractEventLoop, pacer: Pacer) -> None:
        self._loop = loop
        self._pacer = pacer
        self._buffer = b""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Those of uvloop have another base class.
        self.transport = cast("asyncio.Transport", transport)
        Connection.opened += 1
        Connection.accepted += 1

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        Connection.opened -= 1

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end].lower()
            _, found, rest = head.partition(b"\r\ncontent-length:")
            size = int(rest.partition(b"\r\n")[0]) if found else 0
            if len(self._buffer) < end + 4 + size:
                return
            self._buffer = self._buffer[end + 4 + size :]
            self._answer(head.split(b" ", 2)[1].decode().split("/")[1])

    def _answer(self, asked: str) -> None:
        assert self.transport is not None
        kind, *numbers = asked.split("-")
        match kind, [int(number) for number in numbers]:
            case "answer", []:
                self.transport.write(_ANSWER)
            case "late", [delay]:
                self._loop.call_later(delay / 1000, self._write_late)
            case "trickle", [count, gap]:
                self._trickle(iter(_writes(kind, count)), gap / 1e6, time.monotonic())
            case "paced", [count, period]:
                self.transport.write(_STREAM_HEAD)
                self._pacer.add(self, count, period)
            case "state", []:
                state = {"open": Connection.opened, "accepted": Connection.accepted}
                self.transport.write(_response(json.dumps(state).encode()))
            case _, [count]:
                self.transport.write(_whole(kind, count))
            case _:
                self.transport.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")

    def _write_late(self) -> None:
        if self.transport is not None:
            self.transport.write(_ANSWER)

    def _trickle(self, events: Iterator[bytes], gap: float, due: float) -> None:
        if self.transport is None:
            return
        # Busy, for timers are too coarse: this core has nothing else to do.
        while time.monotonic() < due:
            continue
        data = next(events, None)
        if data is not None:
            self.transport.write(data)
            self._loop.call_soon(self._trickle, events, gap, due + gap)


async def serve() -> None:
    """Serve until killed; the port goes to the standard output."""
    loop = asyncio.get_running_loop()
    pacer = Pacer(loop)
    server = await loop.create_server(lambda: Connection(loop, pacer), "127.0.0.1", 0, backlog=8192)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    pin(SERVER)
    raise_descriptor_limit()
    if sys.platform == "win32":
        asyncio.run(serve())
        return
    try:
        import uvloop
    except ImportError:
        asyncio.run(serve())
    else:
        uvloop.run(serve())


if __name__ == "__main__":
    main()
