"""First come, first served: how many calls may be under way, over all threads and loops."""

import asyncio
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping

from deepseek_async.errors import ConcurrencyLimitError
from deepseek_async.policy.concurrency import ConcurrencyLimit


class _Waiter:
    __slots__ = ("future", "granted", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.future: asyncio.Future[None] = loop.create_future()
        self.granted = False

    def wake(self) -> bool:
        """Resume the waiting task; False if its loop is gone."""
        try:
            self.loop.call_soon_threadsafe(self._set_result)
        except RuntimeError:
            return False
        return True

    def _set_result(self) -> None:
        if not self.future.done():
            self.future.set_result(None)


class Gate:
    """A FIFO semaphore that tasks of any event loop can wait for.

    Args:
        limit: Returns how many slots there are; asked whenever one is taken or given back.
    """

    def __init__(self, limit: Callable[[], int]) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._waiters: deque[_Waiter] = deque()
        self.active = 0
        """How many slots are taken."""

    async def acquire(self) -> None:
        """Take a slot, after those who came before."""
        with self._lock:
            if not self._waiters and self.active < self._limit():
                self.active += 1
                return
            waiter = _Waiter(asyncio.get_running_loop())
            self._waiters.append(waiter)
        try:
            await waiter.future
        except BaseException:
            with self._lock:
                if not waiter.granted:
                    self._waiters.remove(waiter)
                    raise
            # The slot was given to us in the moment we were cancelled.
            self.release()
            raise

    def release(self) -> None:
        """Give a slot back. May be called from any thread."""
        with self._lock:
            self.active -= 1
            while self._waiters and self.active < self._limit():
                waiter = self._waiters.popleft()
                waiter.granted = True
                self.active += waiter.wake()


class Slot:
    """The place of one attempt; given back once, however often that is asked for."""

    __slots__ = ("_gate", "_limit")

    def __init__(self, gate: Gate | None, limit: ConcurrencyLimit | None) -> None:
        self._gate = gate
        self._limit = limit

    def refused(self, error: ConcurrencyLimitError) -> None:
        """Take note that the server found too many requests under way."""
        if self._limit is not None and self._gate is not None:
            self._limit.refused(time.monotonic(), self._gate.active, error.limit)

    def release(self) -> None:
        """Give the place back."""
        gate, self._gate = self._gate, None
        if gate is not None:
            gate.release()

    def __del__(self) -> None:
        self.release()


class Gates:
    """The gates of one client.

    Args:
        max_concurrency: A number for one gate over all calls, or ``"auto"``: each model up to
            its documented ceiling, lowered by what the server says.
        ceilings: The ceilings by model; models not in it have none.
        hard_limit: What the process can bear at all, whatever is asked for.
    """

    def __init__(
        self, max_concurrency: int | str, ceilings: Mapping[str, int], hard_limit: int
    ) -> None:
        self._max_concurrency = max_concurrency
        self._ceilings = ceilings
        self._hard_limit = hard_limit
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._limits: dict[str, ConcurrencyLimit] = {}
        self._by_model: dict[str, Gate] = {}
        if isinstance(self._max_concurrency, int):
            limit = min(self._max_concurrency, self._hard_limit)
        else:
            limit = self._hard_limit
        self._all = Gate(lambda: limit)

    async def acquire(self, model: str | None) -> Slot:
        """Wait for a place for a request to ``model`` (None: not to a model)."""
        if self._pid != os.getpid():
            # Calls of the parent process are not ours to wait for.
            self._reset()
        gate = self._all
        limit = None
        if self._max_concurrency == "auto" and model is not None and model in self._ceilings:
            gate = self._gate_of(model)
            limit = self._limits[model]
        await gate.acquire()
        return Slot(gate, limit)

    def _gate_of(self, model: str) -> Gate:
        gate = self._by_model.get(model)
        if gate is None:
            ceiling = min(self._ceilings[model], self._hard_limit)
            limit = self._limits.setdefault(model, ConcurrencyLimit(ceiling))
            gate = self._by_model.setdefault(model, Gate(lambda: limit.limit(time.monotonic())))
        return gate
