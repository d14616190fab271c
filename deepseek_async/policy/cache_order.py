"""Which request of a batch next, so that prompts find their beginning in the cache.

All requests of a document sent at once find nothing in the cache: none has ended when the last one
starts. Hence requests are looked ahead at, those with a common beginning form a group, and of each
group one is sent, then another, and the rest when the cache has what they share. Meanwhile others
are sent, so that all places are taken.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Hashable
from heapq import heappop, heappush
from typing import Generic, TypeVar

import msgspec

from deepseek_async.policy.cache_advice import EarlyDifference, Samples
from deepseek_async.policy.cache_gate import Lessons, Verdict, decide, is_warm
from deepseek_async.policy.cache_text import cache_text
from deepseek_async.policy.cache_tree import LEAST_PREFIX, Item, Lesson, Prefix, PrefixTree

__all__ = ["CacheOrder", "CacheReport", "EarlyDifference", "cache_text"]

K = TypeVar("K", bound=Hashable)

# Requests that make a group worth the wait.
_GROUP = 4
# Of a longer prompt so short a beginning isn't worth the wait: one part in so many.
_LEAST_SHARE = 8
# Texts that end so soon behind their prefix have no end of their own: they are the same prompt.
_SAME = 64


class CacheReport(msgspec.Struct, frozen=True, kw_only=True):
    """What the order has done for the cache."""

    items: int = 0
    """Requests seen."""

    groups: int = 0
    """Beginnings shared by four requests or more."""

    grouped: int = 0
    """Requests that were handed out as members of a group."""

    held: int = 0
    """Requests that waited for the cache."""

    prompt_tokens: int = 0
    """Of all answered requests that told."""

    hit_tokens: int = 0
    """Those of them that came from the cache."""

    prefix_tokens: int = 0
    """Those that stood in a shared beginning, about: the most that the cache could give."""

    gained_tokens: int = 0
    """``hit_tokens`` of requests that had waited: without the wait most would be misses."""

    leaders: int = 2
    """Requests that it takes to have their beginning in the cache, as learnt by now."""

    early_difference: EarlyDifference | None = None
    """Why prompts share less than they could."""


class CacheOrder(Generic[K]):
    """Hands out requests in the order they came in, but holds some back for the cache.

    Requests that share no beginning of 1024 bytes, and of an eighth of their text, with three
    others are never held back. Leaders of groups come first, so that the rest is ready in time.

    Args:
        window_items: Requests looked ahead at.
        window_bytes: The same in bytes of their texts.
    """

    def __init__(self, *, window_items: int = 10_000, window_bytes: int = 64 << 20) -> None:
        self._window_items = window_items
        self._window_bytes = window_bytes
        self._tree: PrefixTree[K] = PrefixTree(group=_GROUP, memory=window_bytes // 4)
        self._lessons = Lessons()
        self._samples = Samples()
        self._closed = False
        self._ready: list[tuple[bool, int, Item[K]]] = []
        self._alone: deque[Prefix[K]] = deque()
        self._unsure: dict[Prefix[K], None] = {}
        self._timers: list[tuple[float, int, Prefix[K]]] = []
        self._out: dict[K, Item[K]] = {}
        self._waiting = 0
        self._size = 0
        self._added = 0
        self._released = 0
        self._timers_set = 0
        self._groups = 0
        self._grouped = 0
        self._held = 0
        self._prompt_tokens = 0
        self._hit_tokens = 0
        self._prefix_tokens = 0.0
        self._gained_tokens = 0

    def __len__(self) -> int:
        """Count the requests that have not been handed out."""
        return self._waiting

    @property
    def full(self) -> bool:
        """Whether nothing more should be added now."""
        return self._waiting >= self._window_items or self._size >= self._window_bytes

    def add(self, item: K, text: bytes, now: float) -> None:
        """Take a request.

        Args:
            item: Whatever stands for it; no other that is not done may equal it.
            text: What `cache_text` returns for it. It isn't kept whole.
            now: Seconds of a monotonic clock.
        """
        if self._closed:
            raise RuntimeError("nothing can be added after close()")
        entry = Item(item, self._added, len(text))
        self._added += 1
        self._waiting += 1
        self._size += entry.size
        if entry.size < LEAST_PREFIX:
            heappush(self._ready, (True, entry.number, entry))
            return
        self._samples.add(text)
        grown = self._tree.add(entry, text, self._released)
        for prefix in grown:
            self._groups += 1
            prefix.number = self._groups
            for member in prefix.few or ():
                if member.waits and _is_worth(prefix, member):
                    self._wait_for(prefix, member, now)
            prefix.few = None
        if entry.gate is None:
            for prefix in self._tree.path(entry):
                if prefix.few is None and _is_worth(prefix, entry):
                    self._wait_for(prefix, entry, now)
                    break
            else:
                heappush(self._ready, (True, entry.number, entry))
        for prefix in grown:
            self._consider(prefix, now)

    def close(self) -> None:
        """Say that nothing more will be added; what the texts share needn't be known any more."""
        self._closed = True
        self._tree.forget()

    def next(self, now: float) -> K | None:
        """Hand out a request to send now; None: there is none, or all wait (see `wake_at`).

        Args:
            now: Seconds of a monotonic clock.
        """
        self._fire(now)
        while self._ready:
            item = heappop(self._ready)[2]
            gate = item.gate
            if item.waits and (gate is None or gate.open or gate.leader is item):
                self._hand_out(item, now)
                return item.handle
        return self._guess(now)

    def wake_at(self, now: float) -> float | None:
        """Return when `next` may have one though nothing else happens; None: never.

        Args:
            now: Seconds of a monotonic clock.
        """
        timers = self._timers
        while timers and timers[0][2].timer != timers[0][0]:
            heappop(timers)
        return max(now, timers[0][0]) if timers else None

    def done(
        self, item: K, now: float, *, ok: bool, prompt_tokens: int = 0, hit_tokens: int = 0
    ) -> None:
        """Take note that a request has ended for good.

        Args:
            item: One that was handed out.
            now: Seconds of a monotonic clock.
            ok: Whether it was answered.
            prompt_tokens: Of its prompt; 0: unknown.
            hit_tokens: Those of them that came from the cache.
        """
        entry = self._out.pop(item)
        self._prompt_tokens += prompt_tokens
        self._hit_tokens += hit_tokens
        if entry.held:
            self._gained_tokens += hit_tokens
        self._learn(entry, prompt_tokens, hit_tokens, now)
        for prefix in self._tree.path(entry):
            if entry.released <= prefix.born:
                continue
            if not ok:
                prefix.failed += 1
            else:
                prefix.ended += 1
                if prefix.ended <= 2:
                    prefix.ended_at = now
            if prompt_tokens and is_warm(prefix, entry.size, prompt_tokens, hit_tokens):
                self._open(prefix)
            self._consider(prefix, now)
        self._tree.ended(entry)

    def report(self) -> CacheReport:
        """Return what has been done by now."""
        return CacheReport(
            items=self._added,
            groups=self._groups,
            grouped=self._grouped,
            held=self._held,
            prompt_tokens=self._prompt_tokens,
            hit_tokens=self._hit_tokens,
            prefix_tokens=round(self._prefix_tokens),
            gained_tokens=self._gained_tokens,
            leaders=self._lessons.leaders,
            early_difference=self._samples.early_difference(),
        )

    def _wait_for(self, prefix: Prefix[K], item: Item[K], now: float) -> None:
        """Let an item wait for a prefix, longer than the one it has waited for."""
        before = item.gate
        item.gate = prefix
        if prefix.open:
            heappush(self._ready, (True, item.number, item))
        else:
            item.held = True
            prefix.queue.append(item)
            self._consider(prefix, now)
        if before is not None and before.leader is item:
            before.leader = None
            if item.lesson is Lesson.PROBE:
                item.lesson = None
                self._lessons.probes -= 1
            self._consider(before, now)

    def _consider(self, prefix: Prefix[K], now: float) -> None:
        """Decide whether a prefix opens, or another leader goes, or when to ask again."""
        queue = prefix.queue
        while queue and not (queue[0].waits and queue[0].gate is prefix):
            queue.popleft()
        if prefix.open or not queue or prefix.leader is not None:
            return
        if prefix.timer < now:
            self._make_up(prefix, now)
        verdict = decide(prefix, self._lessons, now)
        if verdict is Verdict.OPEN:
            self._open(prefix)
        elif verdict is Verdict.LEAD:
            self._lead(prefix, now)
        else:
            if not self._lessons.confirmed:
                self._unsure[prefix] = None
            self._wake(prefix, verdict)

    def _open(self, prefix: Prefix[K]) -> None:
        prefix.open = True
        prefix.timer = math.inf
        self._unsure.pop(prefix, None)
        for item in prefix.queue:
            if item.waits and item.gate is prefix:
                heappush(self._ready, (True, item.number, item))
        prefix.queue.clear()

    def _guess(self, now: float) -> K | None:
        """Hand out a second leader beside the first, rather than nothing."""
        while self._alone:
            prefix = self._alone.popleft()
            is_alone = prefix.led == 1 and not prefix.ended and prefix.queue
            if is_alone and self._lessons.may_guess(prefix):
                self._lead(prefix, now)
                return self.next(now)
        return None

    def _lead(self, prefix: Prefix[K], now: float) -> None:
        """Let the first item that waits for a prefix go."""
        item = prefix.leader = prefix.queue.popleft()
        item.held = False
        if prefix.ended >= 2:
            item.lesson = Lesson.PROBE
            self._lessons.probes += 1
        prefix.asked = now
        heappush(self._ready, (False, item.number, item))

    def _hand_out(self, item: Item[K], now: float) -> None:
        item.waits = False
        self._released += 1
        item.released = self._released
        self._waiting -= 1
        self._size -= item.size
        self._out[item.handle] = item
        self._tree.handed_out(item)
        gate = item.gate
        if gate is not None:
            self._grouped += 1
            self._held += item.held
            if gate.leader is item:
                gate.leader = None
                # Neither is the wait for a place that it is handed out for.
                gate.since += now - gate.asked
                if not gate.led:
                    self._alone.append(gate)
            self._give_lesson(item, gate, now)
        for prefix in self._tree.path(item):
            if not prefix.led:
                prefix.since = now
            prefix.led += 1
            self._consider(prefix, now)

    def _give_lesson(self, item: Item[K], gate: Prefix[K], now: float) -> None:
        """Note what the answer to a request will tell about the cache."""
        if gate.ended >= 2:
            item.waited = now - gate.ended_at
            if gate.open and not gate.tried and item.lesson is None:
                gate.tried = True
                item.lesson = Lesson.LATER
        elif gate.led == 1 and gate.ended and item.size - gate.length >= _SAME:
            item.lesson = Lesson.SECOND

    def _learn(self, item: Item[K], prompt_tokens: int, hit_tokens: int, now: float) -> None:
        """Take the lesson of an answer."""
        gate, lessons = item.gate, self._lessons
        if gate is None:
            return
        probe = item.lesson is Lesson.PROBE
        lessons.probes -= probe
        if not prompt_tokens:
            return
        self._prefix_tokens += prompt_tokens * gate.length / item.size
        hit = is_warm(gate, item.size, prompt_tokens, hit_tokens)
        sure = lessons.confirmed
        if item.lesson is Lesson.SECOND:
            lessons.second(hit=hit)
        elif item.lesson is not None:
            lessons.third(hit=hit, waited=item.waited)
        # A group that has nothing left to find out with leaves that to others.
        if sure != lessons.confirmed or (probe and not gate.queue):
            unsure, self._unsure = self._unsure, {}
            for prefix in unsure:
                self._consider(prefix, now)

    def _wake(self, prefix: Prefix[K], at: float) -> None:
        if at < prefix.timer:
            prefix.timer = at
            self._timers_set += 1
            heappush(self._timers, (at, self._timers_set, prefix))

    def _fire(self, now: float) -> None:
        timers = self._timers
        while timers and timers[0][0] <= now:
            at, _, prefix = heappop(timers)
            if prefix.timer == at:
                self._make_up(prefix, now)
                self._consider(prefix, now)

    def _make_up(self, prefix: Prefix[K], now: float) -> None:
        """Stop a timer; if nobody asked when it ran out, there was no free place.

        That isn't the group's fault: the time doesn't count.
        """
        prefix.since += now - prefix.timer
        prefix.timer = math.inf


def _is_worth(prefix: Prefix[K], item: Item[K]) -> bool:
    return prefix.length * _LEAST_SHARE >= item.size
