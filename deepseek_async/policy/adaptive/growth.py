"""How the limit rises, and how far it falls when the server refuses a request.

Three ways up. At first it doubles. When the server has named its limit and nobody else uses the
account, that limit is kept exactly, and from time to time one request more shows whether it still
holds. Else it is CUBIC, known from TCP: slowly near the level at which requests were refused last,
faster the longer that is ago; clients that do so come to equal shares.

Source: RFC 9438 (CUBIC), with constants for requests that take seconds.
"""

import math
from collections import deque
from enum import Enum
from statistics import median

# What is left after a refusal; slots/s³ of the curve; slots/s at least; factor per second at most.
_CUT = 0.9
_CURVE = 0.015
_LEAST_RISE = 0.5
_SLOPE = 1.5

# The limit rises no faster than answers come, or it would fill a queue for minutes before that
# shows. By so many for each answer: if the server refuses or the wait is measured, if neither is
# known, if requests are queued. By so many without any answer, at first and once the wait is
# measured; what isn't used is saved up, to so many or a share of the limit.
_PER_ANSWER = 3.0
_PER_ANSWER_AT_FIRST = 2.0
_PER_ANSWER_IN_QUEUE = 0.5
_FIRST_CREDIT = 16.0
_CREDIT_WHEN_MEASURED = 48.0
_LEAST_CREDIT = 8.0
_CREDIT_SHARE = 0.5

# In what share of the seconds that an answer takes it doubles at first, and within which seconds.
_DOUBLES_IN_SHARE = 0.7
_DOUBLES_IN = (0.25, 10.0)

# Seconds after which a refusal is no longer of the burst that lowered the limit.
_LONGEST_BURST = 1.0

# Seconds for which a stated limit is not passed.
_STATED_FOR = 30.0

# A limit that is kept exactly: seconds until it is tried whether there is more room, after it was
# found to rise, to fall, and at most; not before so many answers; seconds between the steps up.
_KEPT_AFTER_RISE = 6.0
_KEPT_AFTER_FALL = 8.0
_KEPT_AT_MOST = 30.0
_ANSWERS_BETWEEN = 40
_STEP_EVERY = 0.1
_STEP_GROWS = 1.5

# It is tried sooner after so many answers, among which one refusal is little, and so many times as
# long as one of them takes.
_MANY_ANSWERS = 120
_MANY_TIMES = 2.5

# So many above the limit that was kept, or that share of it, are more than what answers on their
# way back leave free: there is much more room, and the limit doubles as at first.
_MUCH_MORE = 4.0
_MUCH_MORE_SHARE = 0.05


class Way(Enum):
    """How the limit rises."""

    DOUBLING = "doubling"
    CUBIC = "cubic"
    KEPT = "kept"


class Growth:
    """The limit while the server is well.

    Attributes:
        limit: How many at once.
        ceiling: The most that it rises to.
        way: How it rises now.
        answers: How many there have been.
    """

    def __init__(self, start: float, ceiling: float) -> None:
        self.limit = min(max(1.0, start), ceiling)
        self.way = Way.DOUBLING
        self.answers = 0
        self.ceiling = ceiling
        self._credit = _FIRST_CREDIT
        self._per_answer = _PER_ANSWER_AT_FIRST
        self._took: deque[float] = deque(maxlen=64)
        # The level of the last refusals, and how long the curve has risen towards it.
        self._before = 0.0
        self._age = 0.0
        # When the limit was lowered last: who was sent before doesn't lower it again.
        self._lowered = float("-inf")
        self._stated = self.ceiling
        self._stated_until = float("-inf")
        # The limit that is kept; for how long it is, and is to be; the next step from it.
        self._level = self.ceiling
        self._kept_for = 0.0
        self._keep = self._pause = _KEPT_AFTER_RISE
        self._answers_since = 0
        self._step = 1.0
        self._step_every = _STEP_EVERY

    def answered(self, took: float | None) -> None:
        """Take note of an answer, and how many seconds it took."""
        self.answers += 1
        self._answers_since += 1
        most = max(_LEAST_CREDIT, _CREDIT_SHARE * self.limit)
        self._credit = min(max(self._credit, most), self._credit + self._per_answer)
        if took is not None:
            self._took.append(took)

    def refused(
        self,
        now: float,
        sent_at: float | None,
        in_flight: int,
        stated: int | None,
        counted: int | None,
    ) -> None:
        """Take note of a refusal.

        Args:
            now: When it came.
            sent_at: When the request was sent, if known.
            in_flight: How many are under way besides it.
            stated: The limit that the server named.
            counted: How many it counted, this one included.
        """
        # This server refuses rather than let us wait.
        self._per_answer = _PER_ANSWER
        # Of one whose time is unknown: whether a burst must be over.
        is_new = (now - _LONGEST_BURST if sent_at is None else sent_at) > self._lowered
        room = max(1.0, float(stated)) if stated is not None else None
        if room is not None:
            self._stated = room
            self._stated_until = now + _STATED_FOR
        if sent_at is not None:
            # What a step has brought must be known before the next one.
            self._step_every = max(_STEP_EVERY, 1.5 * (now - sent_at))
        if not is_new:
            # One of a burst: each of them lowers it by one, down to what is known.
            known = float(in_flight)
            if room is not None and self.way is Way.KEPT:
                known = room
                # What was sent by now knew the limit of before.
                self._lowered = now
            self._lower(min(self.limit, max(1.0, known)))
            return
        # When it was sent no more were under way: the limit has only risen since.
        own = max(int(self.limit), in_flight + 1)
        if room is not None and own >= (counted if counted is not None else room + 1.0):
            self._keep_at(room)
        else:
            self.way = Way.CUBIC
            self._lower(max(1.0, _CUT * min(self.limit, float(in_flight))))
        self._lowered = now

    def wait_is_measured(self) -> None:
        """Take note that waiting will be seen at once, so that the limit may rise faster."""
        self._per_answer = _PER_ANSWER
        self._credit = max(self._credit, _CREDIT_WHEN_MEASURED)

    def resume(self, limit: float, before: float) -> None:
        """Go on with another limit, and rise to the one before."""
        self.way = Way.CUBIC
        self.limit = max(1.0, limit)
        self._before = before
        self._age = 0.0

    def rise_slowly(self) -> None:
        """Take note that requests wait: what is sent now shows its effect much later."""
        self._per_answer = _PER_ANSWER_IN_QUEUE
        if self.way is Way.DOUBLING:
            self.resume(self.limit, self.limit)

    def rise(self, now: float, seconds: float) -> None:
        """Let the limit rise, all places being taken for so many seconds."""
        if self.way is Way.DOUBLING:
            limit = self._doubled(seconds)
            # How fast answers come is known from the first one on.
            most = limit if self._took else self.limit * _SLOPE**seconds
        elif self.way is Way.CUBIC:
            limit, most = self._on_curve(now, seconds), self.limit * _SLOPE**seconds
        else:
            limit = self._one_step(seconds)
            most = max(self.limit * _SLOPE**self._step_every, self._doubled(seconds))
        limit = min(limit, most, self.limit + self._credit, self.ceiling)
        if limit > self.limit:
            self._credit -= limit - self.limit
            self.limit = limit

    def _typical(self) -> float:
        """Return the seconds that answers take; 0 if there were none."""
        return median(self._took) if self._took else 0.0

    def _doubled(self, seconds: float) -> float:
        shortest, longest = _DOUBLES_IN
        doubles_in = min(longest, max(shortest, _DOUBLES_IN_SHARE * self._typical()))
        factor: float = 2.0 ** (seconds / doubles_in)
        return self.limit * factor

    def _on_curve(self, now: float, seconds: float) -> float:
        past = self._age + seconds - math.cbrt(self._before * (1.0 - _CUT) / _CURVE)
        limit = max(self.limit + _LEAST_RISE * seconds, self._before + _CURVE * past**3)
        if now < self._stated_until and limit >= self._stated:
            # The clock stands still, or the limit would leap when this is over.
            return self._stated
        self._age += seconds
        return limit

    def _one_step(self, seconds: float) -> float:
        """Try whether there is more room: by one request, then by ever more of them."""
        self._kept_for += seconds
        if self._kept_for < self._keep and not self._is_kept_long():
            return self.limit
        if self._answers_since < _ANSWERS_BETWEEN and self._kept_for < _KEPT_AT_MOST:
            return self.limit
        self._keep = self._kept_for + self._step_every
        step = self._step
        self._step *= _STEP_GROWS
        if self.limit - self._level >= max(_MUCH_MORE, _MUCH_MORE_SHARE * self._level):
            return max(self.limit + step, self._doubled(seconds))
        return self.limit + step

    def _is_kept_long(self) -> bool:
        """Tell whether so much has been answered that another try costs next to nothing."""
        return (
            self._step == 1.0
            and self._answers_since >= _MANY_ANSWERS
            and self._kept_for >= _MANY_TIMES * self._typical()
        )

    def _keep_at(self, room: float) -> None:
        if self.way is not Way.KEPT or room > self._level:
            self._pause = _KEPT_AFTER_RISE
        elif room < self._level:
            self._pause = _KEPT_AFTER_FALL
        else:
            self._pause = min(_KEPT_AT_MOST, 2.0 * self._pause)
        self.way = Way.KEPT
        self.limit = self._level = min(room, self.ceiling)
        self._kept_for = 0.0
        self._keep = self._pause
        self._answers_since = 0
        self._step = 1.0

    def _lower(self, limit: float) -> None:
        self.limit = limit
        if self.way is Way.KEPT:
            self._level = limit
            return
        self.way = Way.CUBIC
        level = limit / _CUT
        # Who finds less room than before leaves some to others.
        self._before = level if level >= self._before else 0.95 * level
        self._age = 0.0
