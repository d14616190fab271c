"""A DeepSeek for relays: each token says when it was written, and each leave is timed.

Besides ``POST /chat/completions``, whose last message is the JSON of a `Manner`:

    GET /asked/N     answered when the request of stream N has come
    GET /left/N      answered when its connection is closed, with the time, in nanoseconds of the
                     machine's monotonic clock
    GET /finish      ends all paced streams with their next token, and those to come
    GET /begin       does so no more
    GET /state       what was written and how late; forgets the lateness

Run: python -m benchmarks.realtime.upstream CORE (it prints its port)
"""

# Methods are those of `asyncio.Protocol`.
# ruff: noqa: D102

from __future__ import annotations

import asyncio
import random
import sys
import time
from functools import partial
from typing import cast

import msgspec

from benchmarks import payloads
from benchmarks.machine import raise_descriptor_limit
from benchmarks.realtime.manner import TOKEN_DIGITS, TOKEN_MARK, Manner
from benchmarks.realtime.processes import keep_to, start_line

_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"cache-control: no-cache\r\nx-ds-trace-id: 6f3b1c0d9e8a47258c1d2e3f4a5b6c7d\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)
_TERMINATOR = b"0\r\n\r\n"

# Tokens to a write where they come as fast as the socket takes them.
_BURST = 100


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


_STAMP = "#" * TOKEN_DIGITS
_BEFORE, _AFTER = _chunk(payloads.event({"content": TOKEN_MARK + _STAMP})).split(_STAMP.encode())
_START = _chunk(payloads.event({"role": "assistant", "content": ""}))
_END = b"".join(map(_chunk, payloads.END)) + _TERMINATOR


class State(msgspec.Struct, kw_only=True):
    """What has been by now."""

    open: int
    """Connections."""

    late_p99: float
    """Milliseconds from when a paced token was due to when it was written, since the last time."""

    sent: dict[int, list[int]]
    """When each token of each stream was written, in microseconds; of those that began since the
    last time."""


class _Body(msgspec.Struct):
    messages: list[dict[str, str]]
    stream: bool = False


class Streams:
    """What is known of all streams, and who waits to hear of them."""

    def __init__(self) -> None:
        self.sent: dict[int, list[int]] = {}
        self.late: list[float] = []
        self.open = 0
        self.finishing = False
        self._happened: dict[tuple[str, int], int] = {}
        self._waiting: dict[tuple[str, int], list[asyncio.Transport]] = {}

    def happened(self, what: str, stream: int) -> None:
        """Tell those who wait for it."""
        now = time.monotonic_ns()
        self._happened[what, stream] = now
        for transport in self._waiting.pop((what, stream), ()):
            if not transport.is_closing():
                transport.write(_response(now))

    def tell(self, what: str, stream: int, transport: asyncio.Transport) -> None:
        """Answer when it has happened."""
        if (when := self._happened.get((what, stream))) is not None:
            transport.write(_response(when))
        else:
            self._waiting.setdefault((what, stream), []).append(transport)

    def state(self) -> State:
        """Return the state, and forget what is told of the past in it."""
        late = sorted(self.late)
        state = State(
            open=self.open,
            late_p99=late[len(late) * 99 // 100] * 1000 if late else 0.0,
            sent=self.sent,
        )
        self.sent, self.late = {}, []
        return state


def _response(said: object) -> bytes:
    body = msgspec.json.encode(said)
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


class Pacer:
    """Writes to all paced streams, in steps of a millisecond, with one timer."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._due: dict[int, list[Answer]] = {}
        self._step: int | None = None

    def add(self, answer: Answer, milliseconds: int) -> None:
        """Let an answer write its next token."""
        now = int(self._loop.time() * 1000)
        self._due.setdefault(now + max(1, milliseconds), []).append(answer)
        if self._step is None:
            self._step = now
            self._advance()

    def _advance(self) -> None:
        now = int(self._loop.time() * 1000)
        step = now if self._step is None else self._step
        while step <= now:
            for answer in self._due.pop(step, ()):
                wait = answer.write_token(step / 1000)
                if wait is not None:
                    self._due.setdefault(step + wait, []).append(answer)
            step += 1
        self._step = step if self._due else None
        if self._due:
            self._loop.call_at(step / 1000, self._advance)


class Answer:
    """The answer to one request."""

    def __init__(self, connection: Connection, manner: Manner, sent: list[int]) -> None:
        self._connection = connection
        self._manner = manner
        self._sent = sent

    def begin(self, pacer: Pacer) -> None:
        """Write the head; the tokens follow."""
        transport = self._connection.transport
        if transport is None:
            return
        transport.write(_HEAD + _START)
        manner = self._manner
        if manner.period:
            # Somewhere in the period, so that not all are due at once.
            pacer.add(self, manner.first_after + random.randrange(manner.period))
        else:
            self.write_burst()

    def write_token(self, due: float) -> int | None:
        """Write the next token; return the milliseconds to the one after it."""
        transport = self._connection.transport
        manner, sent = self._manner, self._sent
        if transport is None or len(sent) == manner.silent_from:
            return None
        now = time.monotonic()
        self._connection.streams.late.append(now - due)
        data = self._token(int(now * 1e6))
        if len(sent) < manner.tokens and not self._connection.streams.finishing:
            transport.write(data)
            return manner.pause if len(sent) == manner.pause_at else manner.period
        transport.write(data + _END)
        self._connection.answer = None
        return None

    def write_burst(self) -> None:
        """Write until the socket is full or all is written."""
        manner, sent, connection = self._manner, self._sent, self._connection
        while connection.transport is not None and not connection.full:
            count = min(_BURST, manner.tokens - len(sent))
            if not count:
                connection.transport.write(_END)
                connection.answer = None
                return
            stamp = time.monotonic_ns() // 1000
            connection.transport.write(b"".join([self._token(stamp) for _ in range(count)]))

    def _token(self, stamp: int) -> bytes:
        self._sent.append(stamp)
        return b"%b%016d%b" % (_BEFORE, stamp, _AFTER)


class Connection(asyncio.Protocol):
    """One connection; requests on it come one after the other."""

    def __init__(self, loop: asyncio.AbstractEventLoop, streams: Streams, pacer: Pacer) -> None:
        self._loop = loop
        self._pacer = pacer
        self._buffer = b""
        self._stream: int | None = None
        self.streams = streams
        self.answer: Answer | None = None
        self.full = False
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Those of uvloop have another base class.
        self.transport = cast("asyncio.Transport", transport)
        self.streams.open += 1

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self.streams.open -= 1
        if self._stream is not None:
            self.streams.happened("left", self._stream)

    def pause_writing(self) -> None:
        self.full = True

    def resume_writing(self) -> None:
        self.full = False
        if self.answer is not None:
            self.answer.write_burst()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end].lower()
            _, found, rest = head.partition(b"\r\ncontent-length:")
            size = int(rest.partition(b"\r\n")[0]) if found else 0
            if len(self._buffer) < end + 4 + size:
                return
            body = self._buffer[end + 4 : end + 4 + size]
            self._buffer = self._buffer[end + 4 + size :]
            if head.startswith(b"post "):
                self._asked(msgspec.json.decode(body, type=_Body))
            else:
                self._tell(head.split(b" ", 2)[1].decode())

    def _tell(self, path: str) -> None:
        assert self.transport is not None
        what, _, stream = path[1:].partition("/")
        if what in ("finish", "begin"):
            self.streams.finishing = what == "finish"
            self.transport.write(_response(None))
        elif what == "state":
            self.transport.write(_response(self.streams.state()))
        else:
            self.streams.tell(what, int(stream), self.transport)

    def _asked(self, body: _Body) -> None:
        manner = msgspec.json.decode(body.messages[-1]["content"], type=Manner)
        self._stream = manner.stream
        sent = self.streams.sent[manner.stream] = []
        answer = Answer(self, manner, sent)
        if not manner.period:
            self.answer = answer
        self.streams.happened("asked", manner.stream)
        if manner.head_after is not None:
            begin = partial(answer.begin, self._pacer)
            self._loop.call_later(manner.head_after / 1000, begin)


async def serve() -> None:
    """Serve until killed; the port goes to the standard output."""
    loop = asyncio.get_running_loop()
    streams, pacer = Streams(), Pacer(loop)
    server = await loop.create_server(
        lambda: Connection(loop, streams, pacer), "127.0.0.1", 0, backlog=8192
    )
    start_line(server.sockets[0].getsockname()[1])
    await server.serve_forever()


def main() -> None:
    keep_to(int(sys.argv[1]))
    raise_descriptor_limit()
    import uvloop

    uvloop.run(serve())


if __name__ == "__main__":
    main()
