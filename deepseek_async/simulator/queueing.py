"""Waiting for inference: which of the slots is free when.

How long each answer takes is known when it is planned, so that the wait of the next one is too;
no callbacks, and a simulated day of queueing costs no more than its requests.
"""

from __future__ import annotations

import heapq


class Slots:
    """Slots that answers are inferred in, first come, first served.

    Args:
        capacity: How many there are.
    """

    def __init__(self, capacity: int) -> None:
        self._free_at = [0.0] * capacity

    def next_free(self, now: float) -> float:
        """When a request that comes now can begin; seconds of the same clock."""
        return max(now, self._free_at[0])

    def take(self, until: float) -> None:
        """Take the slot that is free first, until then."""
        heapq.heapreplace(self._free_at, until)

    def release(self, until: float, now: float) -> None:
        """Free a slot that was taken `until` then, if nobody waits for it already."""
        if until > now and until in self._free_at:
            self._free_at[self._free_at.index(until)] = now
            heapq.heapify(self._free_at)
