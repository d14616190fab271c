"""First come, first served: how many calls may be under way, over all threads and loops."""

import asyncio
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import NamedTuple

from deepseek_async.errors import ConcurrencyLimitError
from deepseek_async.lanes import Lane, Lanes
from deepseek_async.policy.concurrency import RECOVERY, ConcurrencyLimit


class _Waiter:
    """A task that waits for a slot.

    Attributes:
        gone: Whether it has given up.
    """

    __slots__ = ("_future", "_loop", "_open", "_slot", "gone")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._future: asyncio.Future[None] = loop.create_future()
        # Tokens: to take one is atomic, whatever thread or finalizer comes first. The first is
        # for the one who ends the waiting, the second for the one who then gives the slot back.
        self._open = [None]
        self._slot = [None]
        self.gone = False

    async def wait(self, timeout: float | None) -> bool:  # noqa: ASYNC109
        """Wait for the slot for ``timeout`` seconds; True if it has come."""
        await asyncio.wait([self._future], timeout=timeout)
        return self._future.done()

    def give_up(self) -> bool:
        """Wait no longer; True if a slot was granted in the same moment, to be given back."""
        self.gone = True
        return not _take(self._open) and _take(self._slot)

    def grant(self) -> bool:
        """End the waiting; False if it has been given up."""
        return _take(self._open)

    def wake(self) -> bool:
        """Resume the task; False if its loop is gone and the slot is to be taken back."""
        try:
            self._loop.call_soon_threadsafe(self._set_result)
        except RuntimeError:
            return not _take(self._slot)
        return True

    def _set_result(self) -> None:
        if not self._future.done():
            self._future.set_result(None)


def _take(token: list[None]) -> bool:
    try:
        token.pop()
    except IndexError:
        return False
    return True


class Gate:
    """A FIFO semaphore that tasks of any event loop can wait for.

    Args:
        limit: Returns how many slots there are; asked whenever one is taken or given back.
        recheck: Seconds after which those who wait ask again, for a limit that changes with
            time; None for one that does not.
    """

    def __init__(self, limit: Callable[[], int], recheck: float | None = None) -> None:
        self._limit = limit
        self._recheck = recheck
        self._lock = threading.Lock()
        self._waiters: deque[_Waiter] = deque()
        # Slots given back but not yet handed on; appended to without the lock.
        self._returned: deque[None] = deque()
        self.on_return: Callable[[], None] | None = None
        """Is told of slots that nobody waited for; may be called by finalizers."""

        self.on_wait: Callable[[], None] | None = None
        """Is told of tasks that have to wait, in the thread of each."""

        self.active = 0
        """How many slots are taken."""

        self.rejected = 0
        """How many requests the server refused for want of room (429)."""

        self.stated: int | None = None
        """The limit that it stated in the last of these."""

        self._shared: int | None = None

    def limit_to(self, most: int | None) -> None:
        """Hand out no more than ``most`` slots, from now on; None: as many as there are."""
        with self._lock:
            self._shared = most
            self._grant()
        self._hand_on()
        if self.on_return is not None:
            self.on_return()

    def waiting(self) -> int:
        """Return how many wait for a slot."""
        with self._lock:
            count = sum(not waiter.gone for waiter in self._waiters)
        self._hand_on()
        return count

    def refused(self, stated: int | None) -> None:
        """Take note that the server had no room for a request."""
        with self._lock:
            self.rejected += 1
            self.stated = stated
        self._hand_on()

    def acquire_now(self) -> bool:
        """Take a slot if one is free and nobody waits for it; tells whether that was so."""
        with self._lock:
            taken = not self._waiters and self._has_slot()
            if taken:
                self.active += 1
        if self._returned:
            self._hand_on()
        return taken

    def take_spare(self, most: int) -> bool:
        """Take a slot that nobody waits for, unless ``most`` are taken; tells whether it did."""
        with self._lock:
            while self._waiters and self._waiters[0].gone:
                self._waiters.popleft()
            taken = not self._waiters and self.active < most and self._is_allowed()
            if taken:
                self.active += 1
        if self._returned:
            self._hand_on()
        return taken

    async def acquire(self) -> None:
        """Take a slot, after those who came before."""
        waiter = None
        with self._lock:
            if not self._waiters and self._has_slot():
                self.active += 1
            else:
                waiter = _Waiter(asyncio.get_running_loop())
                self._waiters.append(waiter)
                # A limit that rose by itself has room for those who wait.
                self._grant()
        self._hand_on()
        if waiter is None:
            return
        if self.on_wait is not None:
            self.on_wait()
        try:
            while not await waiter.wait(self._recheck):
                # A lowered limit rises with time, which nobody is told of.
                with self._lock:
                    self._grant()
                self._hand_on()
        except BaseException:
            # Also when the garbage collector ends a task of a loop that is gone.
            if waiter.give_up():
                self.release()
            raise

    def release(self) -> None:
        """Give a slot back. May be called from any thread, and from finalizers.

        A finalizer may run in the middle of any of these methods, in the thread that holds the
        lock. So this never waits for the lock: whoever holds it hands the slot on.
        """
        self._returned.append(None)
        self._hand_on()

    def _hand_on(self) -> None:
        """Give what was returned to those who wait; to be called whenever the lock was held."""
        while self._returned and self._lock.acquire(blocking=False):
            try:
                while self._returned:
                    self._returned.popleft()
                    self.active -= 1
                self._grant()
            finally:
                self._lock.release()
            if self.on_return is not None:
                self.on_return()

    def _grant(self) -> None:
        waiters = self._waiters
        while waiters and (waiters[0].gone or self._has_slot()):
            waiter = waiters.popleft()
            if waiter.grant():
                self.active += 1
                if not waiter.wake():
                    self.active -= 1

    def _has_slot(self) -> bool:
        return self.active < self._limit() and self._is_allowed()

    def _is_allowed(self) -> bool:
        return self._shared is None or self.active < self._shared


class Slot:
    """The place of one attempt; given back once, however often that is asked for."""

    __slots__ = ("_gate", "_held", "_lanes", "_limit")

    def __init__(
        self, gate: Gate, limit: ConcurrencyLimit | None, lanes: Lanes | None = None
    ) -> None:
        self._gate = gate
        self._limit = limit
        self._lanes = lanes
        self._held = True
        if lanes is not None:
            lanes.call_began()

    def refused(self, error: ConcurrencyLimitError) -> None:
        """Take note that the server found too many requests under way.

        The place may have been given back already: it is with the end of the error's body.
        """
        self._gate.refused(error.limit)
        if self._limit is not None:
            active = self._gate.active + (not self._held)
            self._limit.refused(time.monotonic(), active, error.limit)
        if self._lanes is not None:
            self._lanes.call_refused(error.limit, error.current)

    def release(self) -> None:
        """Give the place back."""
        if self._held:
            self._held = False
            if self._lanes is not None:
                self._lanes.call_ended()
            self._gate.release()

    def __del__(self) -> None:
        self.release()


class Load(NamedTuple):
    """What is to be done for one model: for the one that has most of it, if there are several."""

    in_flight: int
    wanted: int
    """How many requests could be under way: these, those that wait, and what jobs would send."""

    rejected: int
    """Requests to all models that the server refused for want of room (429)."""

    stated_limit: int | None
    """The lowest limit that it stated in the last of these, for whichever model."""


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
        self._lanes: dict[str, Lanes] = {}
        self._most = self._hard_limit
        if isinstance(self._max_concurrency, int):
            self._most = min(self._max_concurrency, self._hard_limit)
        self._all = Gate(lambda: self._most)
        # Of other processes' making, whose share is not this one's.
        self._shared: int | None = None
        self._on_wait: Callable[[], None] | None = None

    def limit_to(self, most: int | None, on_wait: Callable[[], None] | None = None) -> None:
        """Let no more than ``most`` requests to each model be under way, from now on.

        Args:
            most: How many; None: only the client's own limit counts.
            on_wait: Is told, in any thread, when a call has to wait.
        """
        self._for(None)
        self._shared = most
        self._on_wait = on_wait
        for gate in [self._all, *list(self._by_model.values())]:
            gate.on_wait = on_wait
            gate.limit_to(most)

    @property
    def is_shared(self) -> bool:
        """Whether :meth:`limit_to` limits them."""
        self._for(None)
        return self._shared is not None

    def load(self) -> Load:
        """Return what is under way, and what is to be done."""
        self._for(None)
        gates = [self._all, *list(self._by_model.values())]
        wanted = {id(gate): gate.active + gate.waiting() for gate in gates}
        for model, lanes in list(self._lanes.items()):
            gate, _ = self._for(model)
            wanted[id(gate)] = max(wanted[id(gate)], lanes.wanted())
        stated = [gate.stated for gate in gates if gate.stated is not None]
        return Load(
            in_flight=max(gate.active for gate in gates),
            wanted=max(wanted.values()),
            rejected=sum(gate.rejected for gate in gates),
            stated_limit=min(stated, default=None),
        )

    def acquire_now(self, model: str | None) -> Slot | None:
        """Return a place for a request to ``model``, None if there is none at the moment."""
        gate, limit = self._for(model)
        if not gate.acquire_now():
            return None
        return Slot(gate, limit, self._lanes.get(model or "") if self._lanes else None)

    async def acquire(self, model: str | None) -> Slot:
        """Wait for a place for a request to ``model`` (None: not to a model)."""
        gate, limit = self._for(model)
        # In all models where they share a gate.
        for lanes in list(self._lanes.values()):
            lanes.bury()
        await gate.acquire()
        return Slot(gate, limit, self._lanes.get(model or ""))

    def lane(
        self,
        model: str,
        wake: Callable[[], None],
        *,
        is_gone: Callable[[], bool] = lambda: False,
        weight: float = 1.0,
        most: int | None = None,
        at_once: int = 0,
    ) -> Lane:
        """Return a lane for the requests of a batch job to ``model``, beside all other calls.

        Args:
            model: The model, whose limit all jobs of the client share.
            wake: Called, from any thread, when it is worth asking for a place again.
            is_gone: Tells whether the job will never give back its places.
            weight: The job's share, relative to those of others.
            most: Most requests of the job at once.
            at_once: How many to begin with, if nothing is known of the limit yet.
        """
        gate, _ = self._for(model)
        lanes = self._lanes.get(model)
        if lanes is None:
            ceiling = self._most if gate is self._all else self._ceilings[model]
            ceiling = min(ceiling, self._hard_limit)
            lanes = self._lanes.setdefault(model, Lanes(gate, ceiling))
        return lanes.open(wake, is_gone, weight=weight, most=most, at_once=at_once)

    def learned(self, model: str) -> int:
        """Return how many requests to a model batch jobs have found there may be; 0 for unknown."""
        lanes = self._lanes.get(model)
        return 0 if lanes is None else int(lanes.control.limit)

    def _for(self, model: str | None) -> tuple[Gate, ConcurrencyLimit | None]:
        if self._pid != os.getpid():
            # Calls of the parent process are not ours to wait for.
            self._reset()
        gate = self._all
        limit = None
        if self._max_concurrency == "auto" and model is not None and model in self._ceilings:
            gate = self._gate_of(model)
            limit = self._limits[model]
        return gate, limit

    def _gate_of(self, model: str) -> Gate:
        gate = self._by_model.get(model)
        if gate is None:
            ceiling = min(self._ceilings[model], self._hard_limit)
            limit = self._limits.setdefault(model, ConcurrencyLimit(ceiling))
            gate = self._by_model.setdefault(
                model, Gate(lambda: limit.limit(time.monotonic()), recheck=RECOVERY / 10)
            )
            gate.on_wait = self._on_wait
            gate.limit_to(self._shared)
        return gate


class HeldPlaces:
    """The gates of calls whose place somebody else holds: a batch job, for each of its items."""

    def acquire_now(self, model: str | None) -> "HeldPlaces":
        """Return a place."""
        return self

    async def acquire(self, model: str | None) -> "HeldPlaces":
        """Return a place."""
        return self

    def refused(self, error: ConcurrencyLimitError) -> None:
        """Leave it to the holder, who sees the error as well."""

    def release(self) -> None:
        """Leave it to the holder."""
