"""A DeepSeek for batches that costs next to nothing and remembers each item.

Items are told apart by a number in their prompt, ``item 000000123``, which is repeated in the
answer. What it was asked and what it sent is counted for each of them, and how many of the places
that it offered were taken, as an integral over time.

Run: python -m benchmarks.batch.server OPTIONS (JSON of `Manner`; it prints its port)
"""

# Methods are those of `asyncio.Protocol`.
# ruff: noqa: D102

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import msgspec

from benchmarks import payloads
from benchmarks.machine import SERVER, cpu_seconds, pin, raise_descriptor_limit

MARK = "item "
DIGITS = 9

# Seconds between two looks at what is due: a timer for each request would cost more.
_STEP = 0.002

# Kinds of answers with different usage.
_KINDS = 32


class Manner(msgspec.Struct, kw_only=True, frozen=True):
    """How the server behaves."""

    items: int
    """Numbers of items are below this."""

    seconds: float = 0.05
    """That an answer takes, on average."""

    spread: float = 0.0
    """An answer takes up to this share less or more."""

    limits: list[tuple[int, int]] = []
    """From so many answers on: the most requests at once; more are refused (429)."""

    busy: float = 0.0
    """Share of the requests that find it overloaded (503)."""

    cut: float = 0.0
    """Share of the answers that break off in the middle."""

    prompt_tokens: int = 40
    output_tokens: tuple[int, int] = (1, 200)
    """The fewest and the most."""

    seed: int = 0


class State(msgspec.Struct, kw_only=True):
    """What has been by now."""

    asked: int = 0
    """Requests for an answer."""

    accepted: int = 0
    """Those not refused."""

    answered: int = 0
    """Whole answers sent."""

    items: int = 0
    """Items that have an answer."""

    rejected: int = 0
    rejected_late: int = 0
    """Of these, after the first 2,000 requests."""

    busy: int = 0
    cut: int = 0
    in_flight: int = 0
    most_in_flight: int = 0
    prompt_tokens: int = 0
    """That would be on the bill, answers that broke off included."""

    output_tokens: int = 0
    offered: float = 0.0
    """Seconds times places that could have been taken, since the first request: no more than there
    were items without an answer."""

    taken: float = 0.0
    """Seconds times places that were."""

    cpu: float = 0.0


def _response(status: str, body: bytes) -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\n"
        f"x-ds-trace-id: 6f3b1c0d9e8a47258c1d2e3f4a5b6c7d\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _error(status: str, message: str, kind: str) -> bytes:
    error = {"message": message, "type": kind, "param": None, "code": "invalid_request_error"}
    return _response(status, msgspec.json.encode({"error": error}))


_BALANCE = _response(
    "200 OK",
    b'{"is_available":true,"balance_infos":[{"currency":"USD","total_balance":"100.00",'
    b'"granted_balance":"0.00","topped_up_balance":"100.00"}]}',
)
_OVERLOADED = _error(
    "503 Service Unavailable",
    "Service is too busy. We advise users to temporarily switch to alternative LLM API service "
    "providers.",
    "service_unavailable_error",
)
_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"x-ds-trace-id: 6f3b1c0d9e8a47258c1d2e3f4a5b6c7d\r\ntransfer-encoding: chunked\r\n\r\n"
)
_NUMBER = b"#" * DIGITS

# Decides about the price.
_CREATED = int(time.time())


def _refusal(current: int, limit: int) -> bytes:
    return _error(
        "429 Too Many Requests",
        f"Too many requests. Your current concurrency is {current}, which exceeds your concurrency "
        f"limit of {limit} based on your remaining balance. Please top up your balance to restore "
        "your concurrency.",
        "rate_limit_error",
    )


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _event(delta: dict[str, Any], finish: str | None = None, **extra: Any) -> bytes:
    return payloads.event(delta, finish, created=_CREATED, **extra)


class Answer:
    """An answer of one length, whole and as a stream, but for the number in it."""

    def __init__(self, prompt_tokens: int, output_tokens: int) -> None:
        self.output_tokens = output_tokens
        usage = {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": output_tokens,
            "total_tokens": prompt_tokens + output_tokens,
            "prompt_tokens_details": {"cached_tokens": 0},
            "prompt_cache_hit_tokens": 0,
            "prompt_cache_miss_tokens": prompt_tokens,
        }
        text = MARK + _NUMBER.decode() + " " + "word " * 40
        whole = {
            "id": "5d0c1f2e-77a4-4c1b-9a51-0f6c2be94a10",
            "object": "chat.completion",
            "created": _CREATED,
            "model": payloads.MODEL,
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": text},
                    "logprobs": None,
                    "finish_reason": "stop",
                }
            ],
            "usage": usage,
        }
        self._whole = _response("200 OK", msgspec.json.encode(whole)).split(_NUMBER)
        first = _event({"role": "assistant", "content": ""})
        self.begin = _STREAM_HEAD + _chunk(first)
        rest = (
            _event({"content": text}) + _event({"content": ""}, "stop", usage=usage) + payloads.DONE
        )
        self._rest = (_chunk(rest) + b"0\r\n\r\n").split(_NUMBER)

    def bytes_for(self, number: bytes, *, streamed: bool) -> bytes:
        """Return the answer to an item; of a stream all but its beginning."""
        return number.join(self._rest if streamed else self._whole)


class Books:
    """What is known of all items, and of time."""

    def __init__(self, manner: Manner, clock: Callable[[], float]) -> None:
        self.manner = manner
        self.asked = bytearray(manner.items)
        self.answered = bytearray(manner.items)
        self.state = State()
        self.random = random.Random(manner.seed)
        low, high = manner.output_tokens
        lengths = [low + (high - low) * kind // (_KINDS - 1) for kind in range(_KINDS)]
        self.answers = [Answer(manner.prompt_tokens, length) for length in lengths]
        self._limits = list(manner.limits)
        self._limit: int | None = None
        self._clock = clock
        self._counted_at: float | None = None
        self._follow_limits()

    def _follow_limits(self) -> None:
        while self._limits and self.state.answered >= self._limits[0][0]:
            self._limit = self._limits.pop(0)[1]

    def count_time(self) -> None:
        """Add what was offered and taken since the last time."""
        now = self._clock()
        if self._counted_at is not None:
            state = self.state
            passed = now - self._counted_at
            offered = self.manner.items - state.items
            if self._limit is not None:
                offered = min(offered, self._limit)
            state.offered += offered * passed
            state.taken += min(offered, state.in_flight) * passed
        self._counted_at = now

    def refusal(self, number: int) -> bytes | None:
        """Take note of a request; return why it isn't answered, if so."""
        self.count_time()
        state = self.state
        state.asked += 1
        if self.asked[number] < 255:
            self.asked[number] += 1
        if self._limit is not None and state.in_flight >= self._limit:
            state.rejected += 1
            state.rejected_late += state.asked > 2000
            return _refusal(state.in_flight + 1, self._limit)
        if self.manner.busy and self.random.random() < self.manner.busy:
            state.busy += 1
            return _OVERLOADED
        state.accepted += 1
        state.in_flight += 1
        state.most_in_flight = max(state.most_in_flight, state.in_flight)
        return None

    def ended(self, number: int, answer: Answer, *, cut: bool) -> None:
        """Take note of the end of an answer."""
        self.count_time()
        state = self.state
        state.in_flight -= 1
        state.prompt_tokens += self.manner.prompt_tokens
        state.output_tokens += answer.output_tokens
        if cut:
            state.cut += 1
            return
        state.answered += 1
        state.items += not self.answered[number]
        if self.answered[number] < 255:
            self.answered[number] += 1
        self._follow_limits()


class Wheel:
    """Calls back when time has come, in steps."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._due: dict[int, list[Callable[[], None]]] = {}
        self._step: int | None = None

    def call_later(self, seconds: float, call: Callable[[], None]) -> None:
        now = int(self._loop.time() / _STEP)
        due = now + max(1, round(seconds / _STEP))
        if due in self._due:
            self._due[due].append(call)
            return
        self._due[due] = [call]
        if self._step is None:
            self._step = now
            self._loop.call_later(_STEP, self._advance)

    def _advance(self) -> None:
        now = int(self._loop.time() / _STEP)
        assert self._step is not None
        for step in range(self._step, now + 1):
            for call in self._due.pop(step, ()):
                call()
        self._step = now if self._due else None
        if self._due:
            self._loop.call_later(_STEP, self._advance)


class Connection(asyncio.Protocol):
    """Answers the requests of one connection."""

    def __init__(self, books: Books, wheel: Wheel) -> None:
        self._books = books
        self._wheel = wheel
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        # What ends when the client goes.
        self._open: tuple[int, Answer] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._open is not None:
            # Whoever leaves pays for what has been written by then.
            number, answer = self._open
            self._open = None
            self._books.ended(number, answer, cut=True)

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
                self._asked(body)
            else:
                self._tell(head.split(b" ", 2)[1])

    def _tell(self, path: bytes) -> None:
        books = self._books
        books.count_time()
        if path == b"/state":
            books.state.cpu = cpu_seconds()
            self._write(_response("200 OK", msgspec.json.encode(books.state)))
        elif path == b"/asked":
            self._write(_response("200 OK", bytes(books.asked)))
        elif path == b"/answered":
            self._write(_response("200 OK", bytes(books.answered)))
        else:
            self._write(_BALANCE)

    def _asked(self, body: bytes) -> None:
        books = self._books
        start = body.index(b'"' + MARK.encode()) + 1 + len(MARK)
        number = body[start : start + DIGITS]
        refusal = books.refusal(int(number))
        if refusal is not None:
            self._write(refusal)
            return
        manner, chance = books.manner, books.random
        answer = books.answers[int(_KINDS * chance.random())]
        cut = manner.cut > 0 and chance.random() < manner.cut
        seconds = manner.seconds * (1 + manner.spread * (2 * chance.random() - 1))
        streamed = b'"stream":true' in body
        self._open = (int(number), answer)
        if streamed:
            self._write(answer.begin)
        self._wheel.call_later(
            seconds, partial(self._answer, answer, number, streamed=streamed, cut=cut)
        )

    def _answer(self, answer: Answer, number: bytes, *, streamed: bool, cut: bool) -> None:
        if self._open is None:
            return
        self._open = None
        data = answer.bytes_for(number, streamed=streamed)
        self._books.ended(int(number), answer, cut=cut)
        if cut:
            self._write(data[: len(data) // 2])
            if self._transport is not None:
                self._transport.close()
            return
        self._write(data)

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)


async def serve(manner: Manner) -> None:
    """Serve until killed; the port goes to the standard output."""
    loop = asyncio.get_running_loop()
    books, wheel = Books(manner, loop.time), Wheel(loop)
    server = await loop.create_server(
        lambda: Connection(books, wheel), "127.0.0.1", 0, backlog=8192
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    manner = msgspec.json.decode(sys.argv[1], type=Manner)
    pin(SERVER)
    raise_descriptor_limit()
    if sys.platform == "win32":
        asyncio.run(serve(manner))
        return
    try:
        import uvloop
    except ImportError:
        asyncio.run(serve(manner))
    else:
        uvloop.run(serve(manner))


if __name__ == "__main__":
    main()
