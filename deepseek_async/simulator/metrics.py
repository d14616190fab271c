"""What the simulator counts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


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

    def enter(self) -> None:
        """Count a request that is being answered from now on."""
        self.in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)

    def leave(self) -> None:
        """Count a request that is no longer being answered."""
        self.in_flight -= 1
