"""Browsers: raw sockets in one loop, which keeps what came when and looks at it later.

A browser costs a system call and an append for each read, so that hundreds of them can share a core
with the upstream; frames and texts are found in what was kept after all is over.
"""

from __future__ import annotations

import gc
import heapq
import itertools
import math
import select
import socket
import struct
import time
from collections.abc import Callable, Sequence
from functools import partial

from benchmarks.realtime.manner import TOKEN_MARK

_MARK = TOKEN_MARK.encode()
_READ = 256 * 1024
_LONGEST_WAIT = 0.05


class Browser:
    """One connection and what came over it.

    Args:
        port: Of the relay.
        request: All of it, in bytes.
        stalls: Reads nothing more after the first token.
        buffer: Bytes that the kernel may hold for it unread; None for its default.

    Attributes:
        parts: What came, with the nanosecond when it did.
        begun: Its first token has come.
        opened: The nanosecond in which the request was sent.
        ended: The other side closed.
    """

    def __init__(
        self,
        port: int,
        request: bytes,
        *,
        stalls: bool = False,
        buffer: int | None = None,
    ) -> None:
        self._port = port
        self._request = request
        self._buffer = buffer
        self.stalls = stalls
        self.parts: list[tuple[int, bytes]] = []
        self.begun = False
        self.opened = 0
        self.ended = False
        self.socket: socket.socket | None = None

    def open(self) -> socket.socket:
        """Connect and ask."""
        self.socket = socket.socket()
        if self._buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._buffer)
        self.socket.connect(("127.0.0.1", self._port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.opened = time.monotonic_ns()
        self.socket.sendall(self._request)
        return self.socket

    def read(self) -> bytes:
        """Wait for what comes next and keep it."""
        assert self.socket is not None
        data = self.socket.recv(_READ)
        self.parts.append((time.monotonic_ns(), data))
        return data

    def leave(self, *, reset: bool = False) -> None:
        """Close the connection, with a reset if wanted, as when the network is cut."""
        if self.socket is None:
            return
        if reset:
            linger = struct.pack("ii", 1, 0)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.socket.close()
        self.socket = None


def get(path: str) -> bytes:
    """Return a request after which the server closes, as bytes."""
    return (
        f"GET {path} HTTP/1.1\r\nhost: relay\r\naccept: text/event-stream\r\n"
        "connection: close\r\n\r\n"
    ).encode()


class Crowd:
    """Many browsers at once.

    Args:
        browsers: They open one after the other.
        ramp: Seconds over which they do.
    """

    def __init__(self, browsers: Sequence[Browser], ramp: float) -> None:
        self.browsers = browsers
        self._order = itertools.count()
        self._calls: list[tuple[float, int, Callable[[], object]]] = []
        self._poll = select.epoll()
        self._open: dict[int, Browser] = {}
        self._left = sum(not browser.stalls for browser in browsers)
        self._waiting = len(browsers)
        self._begun_call: Callable[[], object] | None = None
        self._deadline = math.inf
        for i, browser in enumerate(browsers):
            self.call(ramp * i / len(browsers), partial(self._connect, browser))

    def call(self, after: float, function: Callable[[], object]) -> None:
        """Call a function in so many seconds."""
        heapq.heappush(self._calls, (time.monotonic() + after, next(self._order), function))

    def call_when_begun(self, function: Callable[[], object], limit: float) -> None:
        """Call a function when all have got their first token, in so many seconds at the latest."""
        self._begun_call = function
        self.call(limit, self._all_begun)

    def give_up(self, after: float) -> None:
        """Read for so many seconds more at most."""
        self._deadline = time.monotonic() + after

    def run(self) -> None:
        """Read until all have ended, or it is given up."""
        gc.collect()
        # What is kept grows for seconds; looking through it again and again would be lag.
        gc.disable()
        try:
            while self._left and (now := time.monotonic()) < self._deadline:
                while self._calls and self._calls[0][0] <= now:
                    heapq.heappop(self._calls)[2]()
                due = self._calls[0][0] - now if self._calls else _LONGEST_WAIT
                for descriptor, _ in self._poll.poll(max(0.0, min(due, _LONGEST_WAIT))):
                    self._read(descriptor)
        finally:
            gc.enable()

    def leave(self) -> None:
        """Close all connections."""
        self._poll.close()
        for browser in self.browsers:
            browser.leave()

    def _all_begun(self) -> None:
        function, self._begun_call = self._begun_call, None
        if function is not None:
            function()

    def _connect(self, browser: Browser) -> None:
        opened = browser.open()
        opened.setblocking(False)
        self._open[opened.fileno()] = browser
        self._poll.register(opened, select.EPOLLIN)

    def _read(self, descriptor: int) -> None:
        browser = self._open[descriptor]
        try:
            data = browser.read()
        except ConnectionError:
            data = b""
        if not browser.begun and (_MARK in data or not data):
            browser.begun = True
            self._waiting -= 1
            if not self._waiting:
                self._all_begun()
        if not data:
            browser.ended = True
            self._left -= not browser.stalls
        elif not (browser.stalls and browser.begun):
            return
        self._poll.unregister(descriptor)
        del self._open[descriptor]
