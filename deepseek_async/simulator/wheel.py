"""One timer for all streams: what is due in the same few milliseconds runs together.

A sleeping task per stream costs a timer and two context switches a token; ten thousand streams of
fifty tokens a second would need half a million of them a second.
"""

from __future__ import annotations

import asyncio
import heapq
import math
from typing import Protocol

from deepseek_async.simulator.clock import Clock
from deepseek_async.simulator.metrics import Lag

TICK = 0.005
"""Seconds of a slot; no human sees tokens come finer than that."""


class Turning(Protocol):
    """Something that the wheel turns to."""

    def step(self, now: float) -> float | None:
        """Do what is due at `now`; return when to come back, None for never.

        A time that isn't after `now` means the next turn of the event loop.
        """
        ...


class Wheel:
    """Calls `step` of everything added, at its time by `clock`; lives in one event loop.

    Args:
        clock: Says what is due.
        lag: Counts how late steps are.
    """

    def __init__(self, clock: Clock, lag: Lag | None = None) -> None:
        self._clock = clock
        self._lag = lag or Lag()
        self._loop = asyncio.get_running_loop()
        self._slots: dict[int, list[Turning]] = {}
        self._order: list[int] = []
        self._soon: list[Turning] = []
        self._timer: asyncio.TimerHandle | None = None
        self._armed: float = math.inf
        self._unsubscribe = clock.subscribe(self._wake)

    def add(self, item: Turning, at: float) -> None:
        """Call ``item.step`` at `at`, monotonic seconds of the clock; infinity is never."""
        if at <= self._clock.monotonic():
            if not self._soon:
                self._loop.call_soon(self._run_soon)
            self._soon.append(item)
        elif at < math.inf:
            slot = math.ceil(at / TICK)
            waiting = self._slots.get(slot)
            if waiting is None:
                self._slots[slot] = [item]
                heapq.heappush(self._order, slot)
                self._arm()
            else:
                waiting.append(item)

    def run(self, item: Turning) -> None:
        """Step `item` now, then whenever it asks to."""
        now = self._clock.monotonic()
        at = item.step(now)
        if at is not None:
            self.add(item, at)

    def rerun(self, item: Turning) -> None:
        """Step `item` now, instead of when it asked to."""
        for waiting in (self._soon, *self._slots.values()):
            if item in waiting:
                waiting.remove(item)
        self.run(item)

    def close(self) -> None:
        """Forget everything that waits."""
        self._unsubscribe()
        self._slots.clear()
        self._order.clear()
        self._soon.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        if not self._order or self._order[0] >= self._armed:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._armed = self._order[0]
        delay = self._armed * TICK - self._clock.monotonic()
        self._timer = self._loop.call_later(max(delay, 0.0), self._turn)

    def _turn(self, *, jumped: bool = False) -> None:
        self._timer = None
        self._armed = math.inf
        # The event loop's timers may fire a little early by its coarser clock.
        current = math.floor(self._clock.monotonic() / TICK + 0.01)
        while self._order and self._order[0] <= current:
            slot = heapq.heappop(self._order)
            due = slot * TICK
            for item in self._slots.pop(slot):
                now = self._clock.monotonic()
                # From the slot's beginning: what is in it was due then at the earliest.
                if not jumped:
                    self._lag.add(now - due + TICK)
                # At least the slot's own time, so that what is due in it never needs a second
                # visit.
                at = item.step(max(due, now))
                if at is not None:
                    self.add(item, at)
        self._arm()

    def _run_soon(self) -> None:
        items, self._soon = self._soon, []
        for item in items:
            self.run(item)

    def _wake(self) -> None:
        # The clock may be advanced from another thread.
        self._loop.call_soon_threadsafe(self._jump)

    def _jump(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._turn(jumped=True)
