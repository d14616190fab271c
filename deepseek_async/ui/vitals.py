"""How the server does: the lag of its event loop, and its share of a core."""

import asyncio
import time
from collections import deque

_EVERY = 0.05
# What is told is the worst of so many looks: the last second.
_LOOKS = 20


class Vitals:
    """Looks at the event loop and the CPU clock, 20 times a second, until closed."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._lags: deque[float] = deque([0.0], maxlen=_LOOKS)
        self._clocks: deque[tuple[float, float]] = deque(maxlen=_LOOKS)
        self._due = self._loop.time()
        self._timer = self._loop.call_at(self._due, self._look)

    @property
    def lag(self) -> float:
        """How late the event loop was at worst within the last second, in seconds."""
        return max(self._lags)

    @property
    def cpu(self) -> float:
        """The share of a core that this process took within the last second."""
        if len(self._clocks) < 2:
            return 0.0
        (began, used), (now, used_now) = self._clocks[0], self._clocks[-1]
        return (used_now - used) / (now - began)

    def close(self) -> None:
        """Look no more."""
        self._timer.cancel()

    def _look(self) -> None:
        now = self._loop.time()
        self._lags.append(max(now - self._due, 0.0))
        self._clocks.append((now, time.process_time()))
        self._due = now + _EVERY
        self._timer = self._loop.call_at(self._due, self._look)
