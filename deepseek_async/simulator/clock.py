"""The simulator's clock: real time that tests can push forward."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable


class Clock:
    """Real time plus what `advance` added.

    Args:
        wall: Seconds since the epoch.
        monotonic: Seconds that never go back, from any origin.
    """

    def __init__(
        self,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._offset = 0.0
        # Tests may advance it from several threads.
        self._lock = threading.Lock()
        self._on_advance: list[Callable[[], None]] = []

    def now(self) -> float:
        """Seconds since the epoch; becomes `created` of replies."""
        return self._wall() + self._offset

    def monotonic(self) -> float:
        """Seconds from an arbitrary origin, for measuring waits."""
        return self._monotonic() + self._offset

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass at once: everything planned for them is sent without waiting.

        Raises:
            ValueError: `seconds` is negative or not finite.
        """
        if seconds < 0:
            raise ValueError(f"time can't go back ({seconds} s)")
        if not math.isfinite(seconds):
            raise ValueError(f"time goes on by a number of seconds, not by {seconds}")
        with self._lock:
            self._offset += seconds
        for callback in tuple(self._on_advance):
            callback()

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call `callback` after each `advance`, in its thread; returns the way to stop that."""
        self._on_advance.append(callback)
        return lambda: self._on_advance.remove(callback)
