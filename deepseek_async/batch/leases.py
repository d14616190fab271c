"""A limit shared by several processes: each has permits for a few seconds and renews them.

The account has one limit, however many processes use it. Somewhere a :class:`LeaseTable` divides
it; each process asks for its part a few times in that many seconds, and a part whose process is
silent goes to the others. What has once been handed out counts until its holder has confirmed that
it uses less, so that all together never have more under way than there is.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Never, Protocol

import msgspec

from deepseek_async.errors import PreflightError

#: Seconds that permits last, unless renewed.
TTL = 3.0

# How long a limit that the server stated is taken for the true one, in seconds.
_STATED_HOLDS = 30.0


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker tells when it renews its permits."""

    in_flight: int = 0
    """Its requests under way."""

    permits: int = 0
    """The permits that it has had so far; 0 if it is new."""

    limit: int = 0
    """How many requests it would have under way by its own judgement and its permits."""

    done: int = 0
    """Items answered, since it began."""

    failed: int = 0
    """Items that failed for good, since it began."""

    rejected: int = 0
    """Requests that the server refused for want of room (429) since it last told."""

    stated_limit: int | None = None
    """The limit that the server stated in the last of these; None if it stated none."""


class LeaseLimiter(Protocol):
    """Divides a limit between workers. Adapters put one into their cluster."""

    @property
    def ttl(self) -> float:
        """Seconds that permits last, unless renewed."""
        ...

    async def renew(self, worker: str, want: int, stats: Stats) -> int:
        """Return how many requests a worker may have under way for the next ``ttl`` seconds.

        Args:
            worker: Its name, unlike that of any other.
            want: How many it could use; never below 1.
            stats: How it is doing.
        """
        ...

    async def drop(self, worker: str) -> None:
        """Take back the permits of a worker that has ended."""
        ...


class _Lease:
    """The part of one worker.

    Attributes:
        want: How many requests it could use.
        granted: How many it may have under way.
        held: How many it may still have under way, having had more before.
        until: When that ends, unless renewed.
    """

    __slots__ = ("granted", "held", "until", "want")

    def __init__(self) -> None:
        self.want = self.granted = self.held = 0
        self.until = 0.0


class LeaseTable:
    """Who may have how many requests under way.

    No clock of its own: `now` are seconds of a monotonic clock, the same in all calls.

    Args:
        total: Most requests at once, of all workers together.
        ttl: Seconds that permits last, unless renewed.

    Raises:
        PreflightError: If one of them is not above 0.
    """

    def __init__(self, total: int, *, ttl: float = TTL) -> None:
        if total < 1:
            raise PreflightError(f"total must be a whole number from 1 up, got {total!r}")
        if not 0 < ttl < float("inf"):
            raise PreflightError(f"ttl must be a number of seconds above 0, got {ttl!r}")
        self.ttl = ttl
        self._total = total
        self._stated = total
        self._stated_until = float("-inf")
        self._leases: dict[str, _Lease] = {}

    def total(self, now: float) -> int:
        """Return how many there may be: less for half a minute if the server stated so."""
        return min(self._total, self._stated) if now < self._stated_until else self._total

    def granted(self, now: float) -> Mapping[str, int]:
        """Return the permits of all workers."""
        self._forget_silent(now)
        return {worker: lease.granted for worker, lease in self._leases.items()}

    def renew(self, worker: str, want: int, stats: Stats, now: float) -> int:
        """Return how many requests a worker may have under way for the next ``ttl`` seconds.

        Workers share fairly: none gets more than another that wants more. A newcomer gets what is
        free, perhaps 0, and its full part once the others have confirmed that they have less.
        """
        self._forget_silent(now)
        if stats.stated_limit is not None:
            self._stated = max(1, stats.stated_limit)
            self._stated_until = now + _STATED_HOLDS
        lease = self._leases.setdefault(worker, _Lease())
        lease.want = max(1, want)
        lease.until = now + self.ttl
        total = self.total(now)
        others = sum(each.held for each in self._leases.values() if each is not lease)
        # Who has that much already takes it from nobody, even if all together have too much.
        free = max(0, total - others, stats.permits)
        lease.granted = min(self._share(lease, total, now), free)
        # It may have sent more before it hears of this, and its requests don't end at once.
        lease.held = max(lease.granted, stats.permits, stats.in_flight)
        return lease.granted

    def drop(self, worker: str) -> None:
        """Take back the permits of a worker that has ended; nothing happens if it has none."""
        self._leases.pop(worker, None)

    def _share(self, lease: _Lease, total: int, now: float) -> int:
        leases = list(self._leases.values())
        wants = [each.want for each in leases]
        if sum(wants) <= total:
            return lease.want
        return fair_shares(wants, total, turn=int(now / self.ttl))[leases.index(lease)]

    def _forget_silent(self, now: float) -> None:
        silent = [worker for worker, lease in self._leases.items() if lease.until < now]
        for worker in silent:
            del self._leases[worker]


def fair_shares(wants: Sequence[int], total: int, *, turn: int = 0) -> list[int]:
    """Divide a number: nobody gets more than they want, nor more than others who want more.

    Nothing is left over as long as anybody wants it; what can't be divided evenly goes to the
    first ones. Where there is less than one for each they take turns: nobody waits for ever.

    Args:
        wants: How much each could use.
        total: What there is.
        turn: Counts the turns.
    """
    shares = list(wants)
    left = max(0, total)
    waiting = sorted(range(len(wants)), key=wants.__getitem__)
    for place, number in enumerate(waiting):
        level, rest = divmod(left, len(waiting) - place)
        if wants[number] > level:
            served = sorted(waiting[place:])
            first = turn * rest if level == 0 else 0
            for position, other in enumerate(served):
                shares[other] = level + ((position - first) % len(served) < rest)
            break
        left -= wants[number]
    return shares


class Leases:
    """A limit for several shards in one process; a :class:`LeaseLimiter`.

    May be used from any thread and event loop.

    Args:
        total: Most requests at once, of all shards together.
        ttl: Seconds that permits last, unless renewed.
        clock: Returns seconds that only go forward.

    Raises:
        PreflightError: If a number is not above 0.
    """

    def __init__(
        self, total: int, *, ttl: float = TTL, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._table = LeaseTable(total, ttl=ttl)
        self._clock = clock
        self._lock = threading.Lock()

    @property
    def ttl(self) -> float:
        """Seconds that permits last, unless renewed."""
        return self._table.ttl

    async def renew(self, worker: str, want: int, stats: Stats) -> int:
        """Return how many requests a worker may have under way for the next ``ttl`` seconds."""
        with self._lock:
            return self._table.renew(worker, want, stats, self._clock())

    async def drop(self, worker: str) -> None:
        """Take back the permits of a worker that has ended."""
        with self._lock:
            self._table.drop(worker)

    def granted(self) -> Mapping[str, int]:
        """Return the permits of all workers."""
        with self._lock:
            return self._table.granted(self._clock())

    def __reduce__(self) -> Never:
        # A copy in each process would hand out the whole limit again.
        raise TypeError(
            "Leases divide a limit within one process and can't be sent to another; give the "
            "workers a LeaseLimiter that asks the process with the Leases"
        )
