"""Waiting for inference: which answer has a slot when.

How long each answer takes is known when it is planned, so that the wait of the next one is too;
no callbacks, and a simulated day of queueing costs no more than its requests. Only when a client
leaves before its time are those behind it told that they begin earlier.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True, eq=False)
class Turn:
    """The time of one answer in a slot; seconds of the same clock as all others."""

    begins: float
    lasts: float
    on_earlier: list[Callable[[float], None]] = field(default_factory=list[Callable[[float], None]])
    """Called with the seconds that it begins earlier than was said."""

    @property
    def ends(self) -> float:
        """When the slot is free again."""
        return self.begins + self.lasts


class Slots:
    """Slots that answers are inferred in, first come, first served.

    Args:
        capacity: How many there are.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._free_at = [0.0] * capacity
        # In the order of their coming; a dict, because most leave from its middle.
        self._turns: dict[Turn, None] = {}

    def next_free(self, now: float) -> float:
        """When a request that comes now can begin; seconds of the same clock."""
        return max(now, self._free_at[0])

    def take(self, now: float, lasts: float) -> Turn:
        """Take the slot that is free first, for so many seconds."""
        turn = Turn(self.next_free(now), lasts)
        heapq.heapreplace(self._free_at, turn.ends)
        self._turns[turn] = None
        return turn

    def leave(self, turn: Turn, now: float) -> None:
        """End a turn; if that is before its time, those who wait move up."""
        if turn not in self._turns:
            return
        del self._turns[turn]
        if turn.ends > now:
            self._move_up(now)

    def _move_up(self, now: float) -> None:
        free_at = [turn.ends for turn in self._turns if turn.begins <= now < turn.ends]
        free_at += [now] * (self._capacity - len(free_at))
        heapq.heapify(free_at)
        moved: list[tuple[Turn, float]] = []
        for turn in self._turns:
            if turn.begins > now:
                begins = max(now, free_at[0])
                heapq.heapreplace(free_at, begins + turn.lasts)
                if begins < turn.begins:
                    moved.append((turn, turn.begins - begins))
                    turn.begins = begins
        self._free_at = free_at
        for turn, earlier in moved:
            for tell in turn.on_earlier:
                tell(earlier)
