"""Who leaves a connection of aiohttp.web, which tells nobody while nothing is written.

A handler is only cancelled for it if the server was started with ``handler_cancellation=True``,
which is not ours to decide. But an event loop tells a connection's protocol that it is lost, and
protocols can be exchanged: one that passes everything on stands before the server's for as long
as somebody waits.
"""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any


@contextmanager
def watched(transport: asyncio.Transport | None) -> "Generator[asyncio.Future[None]]":
    """Yield what is done when the connection is lost; None: it is lost already."""
    gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    if transport is None or transport.is_closing():
        gone.set_result(None)
        yield gone
        return
    protocol = transport.get_protocol()
    watch = protocol if isinstance(protocol, _Watch) else _Watch(transport, protocol)
    watch.waiting.add(gone)
    try:
        yield gone
    finally:
        watch.waiting.discard(gone)
        watch.leave_if_idle()


class _Watch(asyncio.Protocol):
    """Stands before the server's protocol and notes when the connection is lost.

    Attributes:
        waiting: What to end then.
    """

    def __init__(self, transport: asyncio.Transport, protocol: asyncio.BaseProtocol) -> None:
        self.waiting: set[asyncio.Future[None]] = set()
        self._is_lost = False
        self._transport = transport
        # Of any kind that receives data: transports don't say of which.
        self._protocol: Any = protocol
        transport.set_protocol(self)

    def leave_if_idle(self) -> None:
        """Put the server's protocol back if nobody waits any more."""
        # One of TLS that is lost can't be asked for its protocol.
        if not self.waiting and not self._is_lost and self._transport.get_protocol() is self:
            self._transport.set_protocol(self._protocol)

    def data_received(self, data: bytes) -> None:
        self._protocol.data_received(data)

    def eof_received(self) -> bool | None:
        # The connection is lost once all is written: never, to one that does not read.
        self._tell()
        keep_open: bool | None = self._protocol.eof_received()
        return keep_open

    def pause_writing(self) -> None:
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        self._protocol.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_lost = True
        self._tell()
        self._protocol.connection_lost(exc)

    def _tell(self) -> None:
        for gone in self.waiting:
            if not gone.done():
                gone.set_result(None)
