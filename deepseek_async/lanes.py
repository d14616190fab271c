"""Places for batch jobs: what all jobs of a client may have under way with one model.

Calls made one by one come first. Jobs share what is left, by weight, below a limit that is found
by trying: :class:`deepseek_async.policy.adaptive.AdaptiveLimit`.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from deepseek_async.policy.adaptive import AdaptiveLimit, Outcome

#: Seconds between two looks at the limit.
TICK = 0.1

# How long a place is kept for a job that has been told of it, in seconds.
_PATIENCE = 0.5

# How long a tenth of the places is kept free for calls after one was made, in seconds.
_KEPT_FOR_CALLS = 60.0


class Places(Protocol):
    """What all requests of the client to the model, or to any, have to pass."""

    on_return: Callable[[], None] | None

    def take_spare(self, most: int) -> bool:
        """Take a place that nobody waits for; tells whether there was one."""
        ...

    def release(self) -> None:
        """Give a place back."""
        ...


class Lane:
    """The places of one job.

    Attributes:
        in_flight: How many it holds.
        weight: Its share, relative to those of other jobs.
        most: How many it may hold at most; None for no limit of its own.
        waiting: Whether it has asked in vain since, and still wants a place.
        woken: When it was last told of a place.
    """

    def __init__(
        self,
        lanes: "Lanes",
        wake: Callable[[], None],
        is_gone: Callable[[], bool],
        weight: float,
        most: int | None,
    ) -> None:
        self._lanes = lanes
        self.wake = wake
        self.is_gone = is_gone
        self.weight = weight
        self.most = most
        self.in_flight = 0
        self.waiting = False
        self.woken = -_PATIENCE

    @property
    def control(self) -> AdaptiveLimit:
        """The limit that all jobs share."""
        return self._lanes.control

    def take(self) -> float | None:
        """Take a place, if this job may have one now.

        Returns:
            The time of :func:`time.monotonic`, which :meth:`end` wants back; None if there is
            no place: ``wake`` is called when another job or call has given one back.
        """
        return self._lanes.take(self)

    def sampled(self, sent_at: float) -> bool:
        """Tell whether a request is one of those that are timed; see :meth:`began`."""
        return self._lanes.sampled(sent_at)

    def began(self, sent_at: float) -> None:
        """Take note that the answer to a timed request begins."""
        self._lanes.began(sent_at)

    def end(self, outcome: Outcome) -> None:
        """Give a place back."""
        self._lanes.end(self, outcome)

    def tick(self) -> None:
        """Let time have its effect on the limit; to be called about every :data:`TICK` seconds."""
        self._lanes.tick()

    def close(self) -> None:
        """Leave the rest to the others; what is still under way must be ended all the same."""
        self._lanes.close(self)


class Lanes:
    """The lanes of all jobs that use one model.

    Args:
        gate: What each request has to pass as well.
        ceiling: Most requests at once, those of calls included.
    """

    def __init__(self, gate: Places, ceiling: int) -> None:
        self._gate = gate
        self._ceiling = ceiling
        self.control = AdaptiveLimit(ceiling=ceiling)
        self._lock = threading.Lock()
        self._lanes: list[Lane] = []
        # Calls that have ended, in finalizers perhaps, which must not wait for the lock.
        self._ended: deque[None] = deque()
        self._calls = 0
        self._last_call = -_KEPT_FOR_CALLS
        self._ticked = 0.0

    def open(
        self,
        wake: Callable[[], None],
        is_gone: Callable[[], bool],
        *,
        weight: float,
        most: int | None,
        at_once: int,
    ) -> Lane:
        """Return a lane for another job."""
        self.bury()
        lane = Lane(self, wake, is_gone, weight, most)
        with self._lock:
            if at_once:
                self.control.start_with(at_once)
            self._lanes.append(lane)
            self._gate.on_return = self._wake_next
        return lane

    def close(self, lane: Lane) -> None:
        """Take a lane out."""
        with self._lock:
            if lane in self._lanes:
                self._lanes.remove(lane)
            if not self._lanes:
                self._gate.on_return = None
        self._wake_next()

    def bury(self) -> None:
        """Take back the places of jobs that ended with their event loop, without a word."""
        now = time.monotonic()
        lost = 0
        with self._lock:
            for lane in [lane for lane in self._lanes if lane.is_gone()]:
                self._lanes.remove(lane)
                lost += lane.in_flight
                for _ in range(lane.in_flight):
                    self.control.on_result(now, Outcome("neutral", now))
                lane.in_flight = 0
        for _ in range(lost):
            self._gate.release()

    def take(self, lane: Lane) -> float | None:
        """Take a place for a job; see :meth:`Lane.take`."""
        now = time.monotonic()
        with self._lock:
            self._settle_calls(now)
            # Then its own next end is when to ask again.
            lane.waiting = lane.most is None or lane.in_flight < lane.most
            if not lane.waiting or not self._has_room(now):
                return None
            if not (comes_later := self._comes_later(lane, now)):
                lane.waiting = not self._gate.take_spare(self._ceiling)
                if lane.waiting:
                    return None
                lane.in_flight += 1
                self.control.on_send(now)
        if comes_later:
            self._wake_next()
            return None
        return now

    def _has_room(self, now: float) -> bool:
        control = self.control
        if not control.may_send(now):
            return False
        if now - self._last_call >= _KEPT_FOR_CALLS:
            return True
        # A tenth of the places, and one at least, stays free for calls or is taken by them.
        limit = int(control.limit)
        reserve = max(1, limit // 10) - self._calls
        return control.in_flight + max(reserve, 0) < limit or control.in_flight == 0

    def _comes_later(self, lane: Lane, now: float) -> bool:
        share = lane.in_flight / lane.weight
        return any(
            other.in_flight / other.weight < share
            for other in self._lanes
            # One that doesn't come when it is told has lost its turn.
            if other.waiting and not _PATIENCE < now - other.woken < 10 * _PATIENCE
        )

    def sampled(self, sent_at: float) -> bool:
        """Tell whether a request is timed; see :meth:`Lane.sampled`."""
        with self._lock:
            return self.control.sampled(sent_at)

    def began(self, sent_at: float) -> None:
        """Take note that an answer begins; see :meth:`Lane.began`."""
        with self._lock:
            self.control.on_first_token(sent_at)

    def end(self, lane: Lane, outcome: Outcome) -> None:
        """Give back a place of a job; see :meth:`Lane.end`."""
        now = time.monotonic()
        with self._lock:
            lane.in_flight -= 1
            # It asks for another by itself.
            lane.woken = now
            self.control.on_result(now, outcome)
        # Wakes whoever comes next.
        self._gate.release()

    def wanted(self) -> int:
        """Return how many requests there would be under way if nobody else had a say."""
        with self._lock:
            if any(lane.waiting for lane in self._lanes):
                return max(self.control.in_flight, int(self.control.limit))
            return self.control.in_flight

    def tick(self) -> None:
        """Let time have its effect; see :meth:`Lane.tick`."""
        self.bury()
        now = time.monotonic()
        with self._lock:
            self._settle_calls(now)
            # Several jobs tick for the same limit.
            if now - self._ticked >= TICK * 0.9:
                self._ticked = now
                self.control.tick(now)

    def call_began(self) -> None:
        """Take note of a call beside the jobs."""
        now = time.monotonic()
        with self._lock:
            self._calls += 1
            self._last_call = now
            self.control.on_send(now)

    def call_ended(self) -> None:
        """Take note of its end; finalizers may do so."""
        self._ended.append(None)

    def call_refused(self, stated: int | None, current: int | None) -> None:
        """Take note that the server had no room for it."""
        now = time.monotonic()
        with self._lock:
            # Its place is given back by itself.
            self.control.on_send(now)
            self.control.on_result(
                now, Outcome("rejected", now, stated_limit=stated, stated_current=current)
            )

    def _settle_calls(self, now: float) -> None:
        while self._ended:
            self._ended.popleft()
            self._calls -= 1
            self.control.on_result(now, Outcome("neutral", now))

    def _wake_next(self) -> None:
        """Wake the job that has the least of its share; finalizers may call this."""
        now = time.monotonic()
        waiting = [
            lane for lane in list(self._lanes) if lane.waiting and now - lane.woken > _PATIENCE
        ]
        if waiting:
            lane = min(waiting, key=lambda lane: lane.in_flight / lane.weight)
            lane.woken = now
            lane.wake()
