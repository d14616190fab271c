"""What the simulator counts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

# Longer ones are counted as this long.
_MAX_LAG_MS = 10_000


@dataclass(slots=True)
class Lag:
    """How late the simulator itself is with what it has to write, in whole milliseconds."""

    counts: list[int] = field(default_factory=lambda: [0] * (_MAX_LAG_MS + 1))

    def add(self, seconds: float) -> None:
        """Count one write."""
        self.counts[min(int(seconds * 1000), _MAX_LAG_MS)] += 1

    def quantile(self, share: float) -> float:
        """Seconds that `share` of the writes, from 0 to 1, were late at most."""
        left = share * sum(self.counts)
        for milliseconds, count in enumerate(self.counts):
            left -= count
            if left <= 0 and count:
                return (milliseconds + 1) / 1000
        return 0.0

    def clear(self) -> None:
        """Count anew."""
        self.counts = [0] * (_MAX_LAG_MS + 1)


@dataclass(slots=True)
class Metrics:
    """Counters since the simulator was made; live, not a copy."""

    requests: int = 0
    """Requests whose body has arrived, refused ones included."""
    open_connections: int = 0
    """Client connections open now, idle ones included."""
    in_flight: int = 0
    """Requests being answered now."""
    peak_in_flight: int = 0
    """The highest `in_flight` so far."""
    events_sent: int = 0
    """SSE events written, ``[DONE]`` included, comments not."""
    bytes_sent: int = 0
    """Body bytes written."""
    disconnects: int = 0
    """Answers that the client's disconnect ended early."""
    statuses: Counter[int] = field(default_factory=Counter[int])
    """Answers by HTTP status; connections closed before the headers aren't in it."""
    lag: Lag = field(default_factory=Lag)
    """How late paced writes were, rounded up; what `Clock.advance` makes due doesn't count."""

    def enter(self) -> None:
        """Count a request that is being answered from now on."""
        self.in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)

    def leave(self) -> None:
        """Count a request that is no longer being answered."""
        self.in_flight -= 1
