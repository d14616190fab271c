"""The worker's side of a lease: asks for permits, and holds a job or a client to them."""

import asyncio
import contextlib
import logging
import math
from collections.abc import Awaitable, Coroutine
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

from deepseek_async.batch.leases import LeaseLimiter, Stats

logger = logging.getLogger("deepseek_async")

T = TypeVar("T")

# Renewals in the lifetime of a permit: two may fail.
_RENEWALS = 3

# The same while they change.
_QUICK_RENEWALS = 24

# How many to ask for beyond what the job would send now. While its answers are quick, its limit
# doubles between two renewals.
_GROWTH = 2.0
_HEADROOM = 32

# Who waits for more than it was known to want asks at once, but not oftener than so many times.
_HURRIED_RENEWALS = 60

# What a worker allows itself that has heard nothing for so long that its permits have ended.
_WITHOUT_LEASE = 1


def pause_until_renewal(ttl: float, *, is_moving: bool, times_refused: int) -> float:
    """Return how long to wait before permits are renewed, in seconds.

    Args:
        ttl: How long they last.
        is_moving: Whether permits are on their way from one worker to another, or a job grows into
            them.
        times_refused: How many times in a row there were fewer than were asked for. Others have
            what is meant for a new worker until they renew theirs; it asks often at first, and
            where there is no more, as rarely as they do.
    """
    quick, usual = ttl / _QUICK_RENEWALS, ttl / _RENEWALS
    if is_moving:
        return quick
    if times_refused:
        return min(usual, quick * 2.0 ** min(times_refused, 10))
    return usual


class Standing(Protocol):
    """Where a holder stands: a :class:`BatchProgress`, or what a client says of its calls."""

    @property
    def in_flight(self) -> int:
        """How many requests are under way."""
        ...

    @property
    def limit(self) -> int:
        """How many there may be."""
        ...

    @property
    def read(self) -> int:
        """How many items have been begun or wait."""
        ...

    @property
    def finished(self) -> int:
        """How many are over."""
        ...

    @property
    def succeeded(self) -> int:
        """How many were answered."""
        ...

    @property
    def failed(self) -> int:
        """How many failed for good."""
        ...

    @property
    def rejected(self) -> int:
        """How many requests were refused for want of room (429)."""
        ...

    @property
    def paused(self) -> str | None:
        """Why nothing is sent at the moment; None if something is."""
        ...


class Holder(Protocol):
    """Who holds permits: a :class:`BatchJob`, or the calls of a client."""

    @property
    def stated_limit(self) -> int | None:
        """How many requests the server said there may be when it last refused one (429)."""
        ...

    def limit_to(self, most: int) -> None:
        """Have no more than ``most`` requests under way, from now on."""
        ...

    def progress(self) -> Standing:
        """Return where it stands."""
        ...


class Renewal:
    """Keeps the permits of a holder while it runs, and gives them back.

    A limiter that can't be reached stops nothing: the last permits hold until their end, and one
    request at a time is sent from then on.

    Args:
        holder: A job that has not begun, or the calls of a client.
        limiter: Hands out the permits.
        worker: The name to ask under, unlike that of any other worker.
        headroom: How many permits to ask for beyond what is known to be needed.
        first: How many to ask for at first, if that is more: nothing is under way yet to tell.
    """

    def __init__(
        self,
        holder: Holder,
        limiter: LeaseLimiter,
        worker: str,
        *,
        headroom: int = _HEADROOM,
        first: int = 0,
    ) -> None:
        self._holder = holder
        self._limiter = limiter
        self._worker = worker
        self._headroom = headroom
        self._first = first
        # How many times in a row it got less than it wanted.
        self._times_refused = 0
        self._ttl = limiter.ttl
        self._permits = 0
        self._wanted = 0
        self._asked_at = self._until = -math.inf
        self._rejected = 0
        self._is_moving = True
        self._has_warned = False
        self._is_stopping = False
        self._woken = asyncio.Event()
        self._hurrying: asyncio.TimerHandle | None = None
        self._keeping: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._holder.limit_to(0)
        try:
            await self._renew()
        except BaseException:
            # Cancelled, and perhaps counted by the limiter all the same.
            await _shielded(self._end())
            raise
        self._keeping = asyncio.create_task(self._keep())
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await _shielded(self._end())

    def hurry(self) -> None:
        """Ask for more soon: something waits.

        Of no effect where it was known that there would be something to wait, and how much.
        """
        if self._hurrying is None and self._permits >= self._wanted:
            soon = self._asked_at + self._ttl / _HURRIED_RENEWALS
            self._hurrying = asyncio.get_running_loop().call_at(soon, self._woken.set)

    async def _end(self) -> None:
        try:
            # Not cancelled: a renewal that is under way must not arrive behind the drop.
            self._is_stopping = True
            self._woken.set()
            self._hurry_no_more()
            if self._keeping is not None:
                await self._keeping
        finally:
            await self._drop()

    async def _keep(self) -> None:
        while not await self._is_stopped_within(self._pause()):
            self._give_up_expired()
            await self._renew()

    def _pause(self) -> float:
        """Return the seconds until the next renewal."""
        pause = pause_until_renewal(
            self._ttl, is_moving=self._is_moving, times_refused=self._times_refused
        )
        left = self._until - _now()
        return min(pause, left) if left > 0 else pause

    async def _is_stopped_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        self._woken.clear()
        return self._is_stopping

    def _give_up_expired(self) -> None:
        """Go on without a lease when it is over: the limiter may have given it to others."""
        if _now() >= self._until:
            self._permit(_WITHOUT_LEASE)

    async def _renew(self) -> None:
        self._hurry_no_more()
        asked_at = self._asked_at = _now()
        left = self._until - asked_at
        progress = self._holder.progress()
        rejected = progress.rejected - self._rejected
        stats = Stats(
            in_flight=progress.in_flight,
            permits=self._permits,
            limit=progress.limit,
            done=progress.succeeded,
            failed=progress.failed,
            rejected=rejected,
            stated_limit=self._holder.stated_limit if rejected else None,
        )
        patience = self._ttl / _RENEWALS
        if left > 0:
            patience = min(patience, left)
        try:
            self._wanted = self._want()
            renewal = self._limiter.renew(self._worker, self._wanted, stats)
            permits = max(0, int(await _within(patience, renewal)))
        except Exception as exc:
            # Whatever it is made of: a worker that ends would lose more than the limit.
            self._failed(exc)
            self._give_up_expired()
            return
        # The limiter began to count later than that.
        self._until = asked_at + self._ttl
        self._rejected = progress.rejected
        # At its beginning a job doubles what it sends within a fraction of a second.
        is_growing = progress.limit >= self._permits < permits
        is_shrinking = permits < max(self._permits, progress.in_flight)
        self._is_moving = not permits or is_growing or is_shrinking
        self._times_refused = self._times_refused + 1 if permits < self._wanted else 0
        self._permit(permits)
        # This process may have slept since it asked.
        self._give_up_expired()

    def _want(self) -> int:
        """Return how many requests there could be under way until the next renewal."""
        progress = self._holder.progress()
        if progress.paused is not None:
            return 1
        want = math.ceil(progress.limit * _GROWTH) + self._headroom
        if progress.read:
            want = min(want, progress.read - progress.finished)
        first, self._first = self._first, 0
        return max(1, want, first)

    def _failed(self, error: Exception) -> None:
        self._is_moving = False
        left = self._until - _now()
        if self._has_warned:
            return
        self._has_warned = True
        reason = "does not answer"
        if not isinstance(error, TimeoutError):
            reason = f"fails with {type(error).__name__}: {error}"
        then = "it sends one request at a time until it does"
        if left > 0:
            then = f"its last {self._permits} hold for another {left:.1f} s, then {then}"
        logger.warning("the limiter has no permits for %s: it %s; %s", self._worker, reason, then)

    def _permit(self, permits: int) -> None:
        self._permits = permits
        self._holder.limit_to(permits)

    def _hurry_no_more(self) -> None:
        if self._hurrying is not None:
            self._hurrying.cancel()
            self._hurrying = None

    async def _drop(self) -> None:
        try:
            await _within(self._ttl / _RENEWALS, self._limiter.drop(self._worker))
        except Exception as exc:
            # The permits end by themselves.
            logger.debug("the permits of %s could not be given back: %s", self._worker, exc)


def _now() -> float:
    return asyncio.get_running_loop().time()


async def _within(seconds: float, call: Awaitable[T]) -> T:
    """Wait for a limiter.

    Raises:
        TimeoutError: If it takes too long.
        Exception: Whatever it raises.
    """
    try:
        async with asyncio.timeout(seconds):
            return await call
    except asyncio.CancelledError as exc:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        # A future of the limiter was, as happens when its cluster goes down.
        raise ConnectionError("its answer was cancelled") from exc


async def _shielded(step: Coroutine[Any, Any, None]) -> None:
    """Wait for a step; it comes to its end even if this is cancelled."""
    task = asyncio.create_task(step)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        # Both were asked to end: the step is short.
        await asyncio.wait([task])
        raise
