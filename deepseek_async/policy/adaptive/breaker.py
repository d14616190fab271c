"""When most requests fail: only as many more as show when that is over."""

from collections import deque

# Failures within so many seconds that open the breaker: so many, and that share of all results.
_WINDOW = 10.0
_LEAST_FAILED = 5
_FAILED_SHARE = 0.3

# While it is open: seconds between two probes, and how many must be accepted to close it.
_PROBE_EVERY = 0.5
_PROBES_ACCEPTED = 5

# A probe that has not failed after so many seconds, or twice as long as failing took, is accepted.
_LEAST_SURVIVAL = 2.0


class Breaker:
    """Opens when a server fails, closes when requests get through again.

    Attributes:
        is_open: Whether only probes may be sent.
    """

    def __init__(self) -> None:
        self.is_open = False
        self._results: deque[tuple[float, bool]] = deque()
        self._failed = 0
        self._opened_at = 0.0
        self._survival = _LEAST_SURVIVAL
        self._next_probe = 0.0
        self._probes: deque[float] = deque()
        self._accepted = 0

    def may_probe(self, now: float) -> bool:
        """Tell whether another probe is due."""
        return now >= self._next_probe

    def on_send(self, now: float) -> None:
        """Take note of a request; while the breaker is open it is a probe."""
        if self.is_open:
            self._probes.append(now)
            self._next_probe = max(self._next_probe + _PROBE_EVERY, now + 0.5 * _PROBE_EVERY)

    def succeeded(self, now: float, sent_at: float | None) -> None:
        """Take note of a request that was let through, or refused by a server in good health."""
        self._add(now, failed=False)
        if self.is_open and self._take_probe(sent_at):
            self._accepted += 1

    def failed(self, now: float, sent_at: float | None) -> bool:
        """Take note of a failure; tells whether the breaker opened."""
        self._add(now, failed=True)
        if self.is_open:
            if self._take_probe(sent_at):
                self._accepted = 0
            return False
        if self._failed < _LEAST_FAILED or self._failed <= _FAILED_SHARE * len(self._results):
            return False
        self.is_open = True
        self._opened_at = now
        took = now - sent_at if sent_at is not None else 0.0
        self._survival = max(_LEAST_SURVIVAL, 2.0 * took)
        self._next_probe = now + _PROBE_EVERY
        self._probes.clear()
        self._accepted = 0
        return True

    def tick(self, now: float) -> bool:
        """Let time pass; tells whether the breaker closed."""
        if not self.is_open:
            return False
        while self._probes and now - self._probes[0] >= self._survival:
            self._probes.popleft()
            self._accepted += 1
        if self._accepted < _PROBES_ACCEPTED:
            return False
        self.is_open = False
        self._results.clear()
        self._failed = 0
        return True

    def _add(self, now: float, *, failed: bool) -> None:
        self._results.append((now, failed))
        self._failed += failed
        while now - self._results[0][0] > _WINDOW:
            self._failed -= self._results.popleft()[1]

    def _take_probe(self, sent_at: float | None) -> bool:
        """Take a request from the probes; tells whether it was one."""
        if sent_at is None:
            # Then nobody knows; an old one would have been answered by now.
            known = bool(self._probes)
            if known:
                self._probes.popleft()
            return known
        if sent_at not in self._probes:
            return False
        self._probes.remove(sent_at)
        return True
