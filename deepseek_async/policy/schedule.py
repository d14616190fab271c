"""Work at off-peak prices only: run now, or pause until when.

A deadline goes before the price: once the rest could not be finished in the off-peak hours that are
left, the job runs at peak prices too, until it could again.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Literal, NamedTuple

import msgspec

from deepseek_async.errors import PreflightError
from deepseek_async.policy.tariff import Tariff
from deepseek_async.pricing import PRICES, PriceTable
from deepseek_async.pricing.table import check_zone

# How far the hours are looked up; what lies behind is taken to be alike.
_AHEAD = timedelta(days=14)

# Off-peak time there must be, as a multiple of what the rest seems to take: rates vary.
_SLACK = 1.25

# Where nobody knows what the rest takes, the share of the time left that must be off-peak.
_UNKNOWN_SHARE = 0.5

_NO_TIME = timedelta(0)


class Verdict(msgspec.Struct, frozen=True):
    """Whether to send requests."""

    run: bool

    until: datetime
    """The next moment at which the hours make another answer likely; in the zone of the question.
    Under a deadline the answer may change at any time, as items are finished."""

    reason: Literal["off_peak", "peak", "deadline", "always_peak"]
    """``"deadline"``: it is peak time, but the rest would not be finished otherwise.
    ``"always_peak"``: there are no off-peak hours to wait for."""


class Stretch(NamedTuple):
    """A time without a change between peak and off-peak."""

    start: datetime
    end: datetime
    peak: bool


class OffPeakSchedule:
    """Decides when a job runs that is to cost no peak prices.

    Args:
        models: The models it asks. It is peak time when it is for any of them; a model without
            known peak hours has none.
        prices: The price table; DeepSeek's own by default.
        is_holiday: Tells whether a day in Beijing is a public holiday, at off-peak prices as a
            whole. By default what the table knows; DeepSeek's own knows none.
        deadline: When all is to be finished, with a time zone.
        lead: How long before a peak no request is sent any more: those under way then may be
            charged as at peak.

    Raises:
        PreflightError: If the deadline has no time zone.
    """

    def __init__(
        self,
        models: Iterable[str] = (),
        *,
        prices: PriceTable | None = None,
        is_holiday: Callable[[date], bool] | None = None,
        deadline: datetime | None = None,
        lead: timedelta = _NO_TIME,
    ) -> None:
        if deadline is not None and deadline.tzinfo is None:
            raise PreflightError(
                f"the deadline {deadline} has no time zone: pass one with a tzinfo, such as "
                "datetime(2026, 12, 1, 8, tzinfo=UTC) or datetime(...).astimezone()"
            )
        table = PRICES if prices is None else prices
        self._prices = table if is_holiday is None else table.with_holidays(is_holiday)
        self._deadline = None if deadline is None else deadline.astimezone(UTC)
        self._lead = lead
        self._tariffs: dict[str, Tariff] = {}
        self._last: Stretch | None = None
        self._is_paused = False
        self._rate: float | None = None
        for model in models:
            self.watch(model)

    def watch(self, model: str) -> None:
        """Take a further model into account."""
        if model not in self._tariffs:
            self._tariffs[model] = Tariff(self._prices, model)
            self._last = None

    def decide(
        self, now: datetime, *, remaining: int | None = None, rate: float | None = None
    ) -> Verdict:
        """Tell whether to send requests now.

        To be asked as often as one likes: it takes less than 1 µs, at peak under a deadline 0.2 ms.

        Args:
            now: The moment; must carry a time zone.
            remaining: Items that are not finished; None if unknown. Needed for a deadline only.
            rate: Items finished in a second of late; None if unknown. During a pause the one from
                before it counts.

        Raises:
            ValueError: If ``now`` carries no time zone.
        """
        check_zone(now)
        # In UTC, where the clocks never go back.
        at = now.astimezone(UTC)
        stretch = self._last
        if stretch is None or not stretch.start <= at < stretch.end:
            stretch = self._last = next(self._stretches(at, at + _AHEAD))
        until = stretch.end.astimezone(now.tzinfo)
        if not stretch.peak:
            self._is_paused = False
            return Verdict(True, until, "off_peak")
        if stretch.end - stretch.start >= _AHEAD:
            return Verdict(True, until, "always_peak")
        if rate and (not self._is_paused or self._rate is None):
            self._rate = rate
        self._is_paused = not self._presses(at, remaining, self._rate)
        return Verdict(not self._is_paused, until, "peak" if self._is_paused else "deadline")

    def _presses(self, now: datetime, remaining: int | None, rate: float | None) -> bool:
        """Tell whether the rest can't be finished in off-peak hours, if it can be at all."""
        if self._deadline is None or remaining == 0:
            return False
        left = self._deadline - now
        if left <= _NO_TIME:
            return True
        off_peak = self._off_peak(now, min(left, _AHEAD)) * max(1.0, left / _AHEAD)
        if remaining is None or rate is None:
            return off_peak < left * _UNKNOWN_SHARE
        return off_peak.total_seconds() < remaining / rate * _SLACK

    def _off_peak(self, now: datetime, duration: timedelta) -> timedelta:
        stretches = self._stretches(now, now + duration)
        return sum((end - start for start, end, peak in stretches if not peak), _NO_TIME)

    def _stretches(self, at: datetime, until: datetime) -> Iterator[Stretch]:
        """Yield what the time from one moment to another consists of."""
        start = moment = at
        while moment < until:
            end, peak = self._change(moment)
            while end < until:
                next_end, next_peak = self._change(end)
                if next_peak != peak:
                    break
                end = next_end
            if peak or end >= until:
                yield Stretch(start, min(end, until), peak)
                start = end
            else:
                # A peak follows, and begins for us a little earlier.
                early = max(start, end - self._lead)
                if start < early:
                    yield Stretch(start, early, False)
                start = early
            moment = end

    def _change(self, at: datetime) -> tuple[datetime, bool]:
        """Return when prices may change next, and whether it is peak time until then."""
        periods = [tariff.period(at) for tariff in self._tariffs.values()]
        if not periods:
            return at + _AHEAD, False
        return min(period.end for period in periods), any(period.peak for period in periods)
