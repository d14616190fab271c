"""The calls of a client as the holder of permits: a limit shared with other processes."""

import asyncio
import os
import secrets
import socket
from types import TracebackType
from typing import Self

import msgspec

from deepseek_async.batch.leases import LeaseLimiter
from deepseek_async.batch.renewal import Renewal
from deepseek_async.gate import Gates

# Permits beyond those in use: a call that comes alone need not ask for one.
_HEADROOM = 2


class _Standing(msgspec.Struct):
    """Where the calls stand: as the progress of a job, with what calls have of it."""

    in_flight: int
    limit: int
    rejected: int
    read: int = 0
    finished: int = 0
    succeeded: int = 0
    failed: int = 0
    paused: str | None = None


class _Calls:
    """What a client does, and the limit to it."""

    def __init__(self, gates: Gates) -> None:
        self._gates = gates
        self._loop = asyncio.get_running_loop()
        # Refused before: the limit that was stated then need not be the one of now.
        self._rejected = gates.load().rejected
        self.renewal: Renewal | None = None

    @property
    def stated_limit(self) -> int | None:
        return self._gates.load().stated_limit

    def limit_to(self, most: int) -> None:
        self._gates.limit_to(most, self._waits)

    def progress(self) -> _Standing:
        load = self._gates.load()
        return _Standing(load.in_flight, load.wanted, load.rejected - self._rejected)

    def _waits(self) -> None:
        """Ask for another permit; from any thread."""
        try:
            self._loop.call_soon_threadsafe(self._hurry)
        except RuntimeError:
            # The loop that asks was closed without a word, and what it was given holds.
            return

    def _hurry(self) -> None:
        if self.renewal is not None:
            self.renewal.hurry()


class Sharing:
    """Holds the calls and jobs of a client to permits, while it is entered.

    Args:
        gates: Those of the client.
        limiter: Hands out the permits.
    """

    def __init__(self, gates: Gates, limiter: LeaseLimiter) -> None:
        self._gates = gates
        self._limiter = limiter
        self._renewal: Renewal | None = None

    async def __aenter__(self) -> Self:
        if self._gates.is_shared:
            raise RuntimeError("another limiter limits the calls of this client already")
        calls = _Calls(self._gates)
        name = f"{socket.gethostname()}:{os.getpid()}/{secrets.token_hex(4)}"
        self._renewal = calls.renewal = Renewal(calls, self._limiter, name, headroom=_HEADROOM)
        try:
            await self._renewal.__aenter__()
        except BaseException:
            self._gates.limit_to(None)
            raise
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        renewal, self._renewal = self._renewal, None
        if renewal is None:
            return
        try:
            await renewal.__aexit__(exc_type, exc, traceback)
        finally:
            self._gates.limit_to(None)
