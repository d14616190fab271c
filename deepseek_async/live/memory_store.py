"""Logs in the memory of this process."""

import asyncio
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import AsyncGenerator

from deepseek_async.live.errors import LiveFullError, LogForgottenError, LogReplacedError

# Bytes that a record takes beside its data.
_RECORD = 150
# How many epochs that a log had before are known.
_BEFORE = 100
# Flags of readers and stops are small, and several belong to a run.
_FLAGS_PER_RUN = 8


class _Log:
    """One log."""

    def __init__(self, epoch: str, before: list[str]) -> None:
        self.epoch = epoch
        self.before = before
        self.records: list[tuple[str, bytes]] = []
        self.positions: list[int] = []
        self.size = 0
        self.expires = 0.0
        # Nothing follows: it is complete, or was forgotten.
        self.closed = False
        self._waiting: set[asyncio.Future[None]] = set()

    def wake(self) -> None:
        for future in self._waiting:
            if not future.done():
                future.set_result(None)

    async def news(self) -> None:
        """Wait for :meth:`wake`."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        try:
            await future
        finally:
            self._waiting.discard(future)

    def end(self) -> None:
        self.closed = True
        self.wake()


class MemoryLogStore:
    """A :class:`LogStore` in memory: for tests of several :class:`Live`, and as an example.

    It serves the objects of one event loop; for several processes a store needs a server.

    Args:
        ttl: For how many seconds a log or a flag is kept after it was last written to.
        max_runs: Most logs to hold. For a new one the oldest that is complete makes room; if none
            is, it is refused.
        max_bytes: Most bytes of one log.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(
        self, ttl: float = 300.0, max_runs: int = 10_000, max_bytes: int = 16 << 20
    ) -> None:
        if not (ttl > 0 and max_runs >= 1 and max_bytes >= 1):
            raise ValueError(
                "ttl is above 0, max_runs and max_bytes are from 1 up; got "
                f"ttl={ttl}, max_runs={max_runs}, max_bytes={max_bytes}"
            )
        self._ttl = ttl
        self._max_runs = max_runs
        self._max_bytes = max_bytes
        # Both in the order in which they were written to.
        self._logs: OrderedDict[str, _Log] = OrderedDict()
        self._flags: OrderedDict[str, float] = OrderedDict()
        self._watches: dict[str, set[asyncio.Future[None]]] = {}

    def __len__(self) -> int:
        return len(self._logs)

    async def append(self, run: str, cursor: str, data: bytes) -> None:
        """Add a record to a log.

        Raises:
            LogReplacedError: If the log has another epoch by now, or was closed.
            LogForgottenError: If there is no such log, and this is not its first record.
            LiveFullError: If it would have more than ``max_bytes``, or there are too many logs.
        """
        now = self._expire()
        epoch, _, number = cursor.rpartition(".")
        position = int(number)
        log = self._logs.get(run)
        if position == 0 and (log is None or epoch not in (log.epoch, *log.before)):
            log = self._begin(run, epoch)
        if log is None:
            raise LogForgottenError(f"there is no log of {run!r}, or not any more")
        if log.epoch != epoch or log.closed:
            raise LogReplacedError(f"the log of {run!r} is closed, or another one's by now")
        size = len(data) + _RECORD
        if log.size + size > self._max_bytes:
            raise LiveFullError(
                f"the log of {run!r} would have more than {self._max_bytes:,} bytes"
            )
        log.size += size
        log.records.append((cursor, data))
        log.positions.append(position)
        log.expires = now + self._ttl
        self._logs.move_to_end(run)
        log.wake()

    async def read(self, run: str, after: str | None) -> AsyncGenerator[tuple[str, bytes]]:
        """Yield the records of a log behind a cursor, those that come later too."""
        self._expire()
        log = self._logs.get(run)
        if log is None:
            return
        index = 0
        if after is not None:
            epoch, _, number = after.rpartition(".")
            if epoch != log.epoch:
                return
            index = bisect_right(log.positions, int(number))
        while True:
            while index < len(log.records):
                yield log.records[index]
                index += 1
            if log.closed:
                return
            await log.news()

    async def close(self, run: str) -> None:
        """Take note that a log is complete."""
        now = self._expire()
        if (log := self._logs.get(run)) is not None:
            log.expires = now + self._ttl
            self._logs.move_to_end(run)
            log.end()

    async def stop(self, run: str) -> None:
        """Raise a flag."""
        self._flags[run] = self._expire() + self._ttl
        self._flags.move_to_end(run)
        if len(self._flags) > self._max_runs * _FLAGS_PER_RUN:
            self._flags.popitem(last=False)
        for future in self._watches.get(run, ()):
            if not future.done():
                future.set_result(None)

    async def watch_stop(self, run: str) -> None:
        """Return when a flag is up."""
        self._expire()
        if run in self._flags:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        watches = self._watches.setdefault(run, set())
        watches.add(future)
        try:
            await future
        finally:
            watches.discard(future)
            if not watches:
                self._watches.pop(run, None)

    def _begin(self, run: str, epoch: str) -> _Log:
        before: list[str] = []
        if (old := self._logs.pop(run, None)) is not None:
            before = [old.epoch, *old.before][:_BEFORE]
            old.end()
        self._flags.pop(run, None)
        if len(self._logs) >= self._max_runs:
            oldest = next((name for name, log in self._logs.items() if log.closed), None)
            if oldest is None:
                raise LiveFullError(f"there are {len(self._logs)} logs, and none is complete")
            del self._logs[oldest]
        log = self._logs[run] = _Log(epoch, before)
        return log

    def _expire(self) -> float:
        """Forget what nobody has written to for long; return the time."""
        now = asyncio.get_running_loop().time()
        while self._logs and (log := next(iter(self._logs.values()))).expires <= now:
            self._logs.popitem(last=False)
            log.end()
        while self._flags and next(iter(self._flags.values())) <= now:
            self._flags.popitem(last=False)
        return now
