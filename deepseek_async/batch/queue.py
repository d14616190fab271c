"""The items of a job that wait to be sent to one model."""

import heapq
from collections import deque

import msgspec

from deepseek_async.batch.entries import Entry
from deepseek_async.lanes import Lane
from deepseek_async.policy.budget import Reservation
from deepseek_async.policy.cache_order import CacheOrder, CacheReport
from deepseek_async.policy.cache_text import cache_text


class Work(msgspec.Struct, gc=False, eq=False):
    """An item on its way. There may be ten thousand: the garbage collector needn't look at them."""

    entry: Entry
    """What to send."""

    model: str
    """To which model."""

    is_fim: bool
    """Whether it is fill-in-the-middle."""

    attempts: int = 0
    """How many times it has been sent."""

    failures: int = 0
    """How many of these count against it."""

    probes: int = 0
    """How many failed while most requests did, which is not held against it at first."""

    answers: int = 0
    """How many answers the job had when the first of these failed."""

    refused_since: float | None = None
    """When it was first sent in vain by no fault of its own: for want of room, or because most
    requests failed; in seconds of :func:`time.monotonic`."""

    is_retry: bool = False
    """Whether it is sent again after another failure than a refusal for want of room."""

    sent_at: float = 0.0
    """When it was last sent, in seconds of :func:`time.monotonic`."""

    sampled: bool = False
    """Whether its answer comes in parts, to see how long it is queued."""

    reservation: Reservation | None = None
    """What is set aside of the budget for it."""

    twins: list[Entry] | None = None
    """Further items with the same request, which get the same answer."""


class InputOrder:
    """The order of the input, for jobs that don't look at the cache."""

    # Enough that no place stays free while the input is read.
    _WINDOW = 2500
    _WINDOW_BYTES = 64 << 20

    def __init__(self) -> None:
        self._waiting: deque[Work] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def full(self) -> bool:
        """Whether nothing more should be added now."""
        return len(self._waiting) >= self._WINDOW or self._bytes >= self._WINDOW_BYTES

    def add(self, work: Work) -> None:
        """Take an item."""
        self._waiting.append(work)
        self._bytes += work.entry.size

    def next(self) -> Work | None:
        """Hand out the next item."""
        if not self._waiting:
            return None
        work = self._waiting.popleft()
        self._bytes -= work.entry.size
        return work


class ModelQueue:
    """What waits for one model, in the order in which it is sent.

    Args:
        lane: The places of the job there.
        for_cache: Whether items with a common beginning are kept together, and the first of them
            sent ahead, for the server's cache.
    """

    def __init__(self, lane: Lane, *, for_cache: bool) -> None:
        self.lane = lane
        self._cache: CacheOrder[Work] | None = CacheOrder() if for_cache else None
        self._order = InputOrder()
        self._retries: list[tuple[float, int, Work]] = []
        self._count = 0
        self._next: Work | None = None

    @property
    def is_full(self) -> bool:
        """Whether no more of the input should be read now."""
        return self._order.full if self._cache is None else self._cache.full

    @property
    def retries(self) -> int:
        """How many items wait to be sent again."""
        return len(self._retries)

    @property
    def waiting(self) -> int:
        """How many items wait, those to be sent again included."""
        order = len(self._order) if self._cache is None else len(self._cache)
        return order + len(self._retries) + (self._next is not None)

    def add(self, work: Work, now: float) -> None:
        """Take an item."""
        if self._cache is None:
            self._order.add(work)
        else:
            self._cache.add(work, cache_text(work.entry.body), now)

    def close(self) -> None:
        """Take note that no more items come."""
        if self._cache is not None:
            self._cache.close()

    def send_again(self, work: Work, due: float) -> None:
        """Put back an item that is to be sent again, before all others.

        Args:
            work: The item.
            due: When, in seconds of :func:`time.monotonic`.
        """
        self._count += 1
        heapq.heappush(self._retries, (due, self._count, work))

    def peek(self, now: float) -> Work | None:
        """Return the item that is to be sent next; None if there is none at the moment."""
        if self._next is not None and self._is_overtaken(self._next, now):
            self.send_again(self._next, now)
            self._next = None
        if self._next is None:
            if self._retries and self._retries[0][0] <= now:
                self._next = heapq.heappop(self._retries)[2]
            elif self._cache is None:
                self._next = self._order.next()
            else:
                self._next = self._cache.next(now)
        return self._next

    def _is_overtaken(self, work: Work, now: float) -> bool:
        """Tell whether an earlier item is due again, that an ordered consumer may wait for."""
        if not self._retries:
            return False
        due, _, earlier = self._retries[0]
        return due <= now and earlier.entry.index < work.entry.index

    def pop(self) -> None:
        """Take out what :meth:`peek` returned."""
        self._next = None

    def done(
        self, work: Work, now: float, *, ok: bool, prompt_tokens: int = 0, hit_tokens: int = 0
    ) -> None:
        """Take note that an item has ended for good."""
        if self._cache is not None:
            self._cache.done(work, now, ok=ok, prompt_tokens=prompt_tokens, hit_tokens=hit_tokens)

    def cache_report(self) -> CacheReport | None:
        """Return what the order had to do with the server's cache."""
        return None if self._cache is None else self._cache.report()
