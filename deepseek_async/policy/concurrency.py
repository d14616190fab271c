"""How many requests may be under way at once."""

#: Seconds after which a lowered limit has doubled.
RECOVERY = 10.0


class ConcurrencyLimit:
    """A limit that falls when the server says so and comes back by itself.

    Args:
        ceiling: The most requests at once, when nothing is known to the contrary.
    """

    def __init__(self, ceiling: int) -> None:
        self.ceiling = ceiling
        self._lowered: int | None = None
        self._lowered_at = 0.0

    def limit(self, now: float) -> int:
        """Return how many requests may be under way.

        Args:
            now: Seconds of a monotonic clock.
        """
        if self._lowered is None:
            return self.ceiling
        doublings = max(0.0, now - self._lowered_at) / RECOVERY
        # The exponent is bounded: after long silence 2**x would overflow.
        limit = int(self._lowered * 2.0 ** min(doublings, 30.0))
        if limit >= self.ceiling:
            self._lowered = None
            return self.ceiling
        return limit

    def refused(self, now: float, active: int, stated: int | None) -> None:
        """Lower the limit after a 429.

        Args:
            now: Seconds of a monotonic clock.
            active: How many requests were under way, the refused one included.
            stated: The limit that the server named; it shrinks with the account's balance.
        """
        target = stated if stated is not None else active * 3 // 4
        self._lowered = max(1, min(target, self.limit(now)))
        self._lowered_at = now
