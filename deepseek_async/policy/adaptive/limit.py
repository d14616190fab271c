"""The limit itself: what raises it and what lowers it."""

from deepseek_async.policy.adaptive.breaker import Breaker
from deepseek_async.policy.adaptive.growth import Growth, Way
from deepseek_async.policy.adaptive.outcome import Outcome
from deepseek_async.policy.adaptive.waiting import Waiting

# After it was open, the breaker leaves so much of the limit before.
_AFTER_BREAKER = 0.7

# Waiting at the server, in seconds: from here on the limit doesn't rise; while it doubles, it ends
# that; the limit is lowered, to a wait of so many, no oftener than that.
_WAIT_HOLDS = 15.0
_WAIT_ENDS_DOUBLING = 5.0
_WAIT_CUTS = 60.0
_WAIT_AFTER_CUT = 30.0
_CUTS_EVERY = 30.0

# What a request that was closed in the queue leaves of the limit.
_CLOSED_LEAVES = 0.7


class AdaptiveLimit:
    """A limit that follows what the server lets through.

    Tell it of each request that is sent and of what became of it, let it tick four times a second,
    and keep no more than ``int(limit)`` under way: that suffices. It has no clock of its own: `now`
    are seconds of a monotonic clock, the same one in all calls; going backwards does no harm.

    It knows more with samples: if the requests for which :meth:`sampled` says so are streamed, and
    the first part of their answers is told to :meth:`on_first_token`.

    Attributes:
        in_flight: How many requests are under way.

    Args:
        ceiling: The most requests at once.
        start: How many at first.
    """

    def __init__(self, *, ceiling: int, start: float = 16.0) -> None:
        self.in_flight = 0
        ceiling = max(1, ceiling)
        self._growth = Growth(start, float(ceiling))
        self._breaker = Breaker()
        self._waiting = Waiting()
        self._now = float("-inf")
        self._ticked: float | None = None
        self._most = 0
        self._before_breaker = start
        self._cut_at = float("-inf")

    @property
    def limit(self) -> float:
        """How many may be under way at once; its whole part counts. Never below 1."""
        if self._breaker.is_open:
            due = self._breaker.may_probe(self._now)
            return max(1.0, self.in_flight + due)
        return self._growth.limit

    @property
    def breaker_open(self) -> bool:
        """Whether so much fails that only probes may be sent."""
        return self._breaker.is_open

    def start_with(self, limit: float) -> None:
        """Begin with a higher limit, unless the server has shown one."""
        if self._growth.way is Way.DOUBLING:
            self._growth.limit = min(max(self._growth.limit, limit), self._growth.ceiling)

    def may_send(self, now: float) -> bool:
        """Tell whether another request may be sent now."""
        now = self._at(now)
        if self._breaker.is_open:
            return self._breaker.may_probe(now)
        return self.in_flight < int(self._growth.limit)

    def on_send(self, now: float) -> None:
        """Take note of a request that is sent."""
        self.in_flight += 1
        self._most = max(self._most, self.in_flight)
        self._breaker.on_send(self._at(now))

    def sampled(self, sent_at: float) -> bool:
        """Tell whether to stream a request that was just sent, to see when its answer begins."""
        return self._waiting.sampled(sent_at)

    def on_first_token(self, sent_at: float, now: float | None = None) -> None:
        """Take note that the answer to a sampled request begins, `now` or about now."""
        now = self._now if now is None else self._at(now)
        if self._waiting.began(now, sent_at):
            self._growth.wait_is_measured()

    def on_result(self, now: float, outcome: Outcome) -> None:
        """Take note of the end of a request."""
        now = self._at(now)
        self.in_flight = max(0, self.in_flight - 1)
        sent_at = outcome.sent_at
        if sent_at is not None:
            self._waiting.ended(now, sent_at, answered=outcome.kind == "ok")
        if outcome.was_queued_too_long(now):
            self._cut(now, _CLOSED_LEAVES)
        elif outcome.kind == "ok":
            self._breaker.succeeded(now, sent_at)
            self._growth.answered(now - sent_at if sent_at is not None else None)
        elif outcome.kind == "rejected":
            self._breaker.succeeded(now, sent_at)
            self._growth.refused(
                now, sent_at, self.in_flight, outcome.stated_limit, outcome.stated_current
            )
        elif outcome.kind == "failed" and self._breaker.failed(now, sent_at):
            self._before_breaker = self._growth.limit

    def tick(self, now: float) -> None:
        """Let time have its effect; to be called at least four times a second."""
        now = self._at(now)
        # After a long silence the limit doesn't leap.
        seconds = min(1.0, now - self._ticked) if self._ticked is not None else 0.0
        self._ticked = now
        most, self._most = max(self._most, self.in_flight), self.in_flight
        if self._breaker.tick(now):
            self._growth.resume(_AFTER_BREAKER * self._before_breaker, self._before_breaker)
        if not self._breaker.is_open and self._may_rise(now, most):
            self._growth.rise(now, seconds)

    def _at(self, now: float) -> float:
        # A clock that goes backwards stands still.
        self._now = max(self._now, now)
        return self._now

    def _may_rise(self, now: float, most: int) -> bool:
        growth = self._growth
        wait = self._waiting.seconds(now)
        if wait > _WAIT_CUTS:
            self._cut(now, max(0.5, _WAIT_AFTER_CUT / wait))
        if most < int(0.9 * int(growth.limit)):
            # The places aren't used: nothing would be learned.
            return False
        if not self._waiting.is_measured:
            if growth.way is Way.KEPT:
                # This server refuses; long answers look like waiting.
                return True
        elif growth.way is Way.DOUBLING and wait > _WAIT_ENDS_DOUBLING:
            growth.rise_slowly()
        return wait <= _WAIT_HOLDS and not self._waiting.is_unknown

    def _cut(self, now: float, share: float) -> None:
        if now - self._cut_at >= _CUTS_EVERY:
            self._cut_at = now
            self._growth.resume(share * self._growth.limit, share * self._growth.limit)
            self._growth.rise_slowly()
            self._waiting.on_cut(now)
