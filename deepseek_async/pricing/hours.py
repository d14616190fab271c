"""Hours of the day in which another tariff holds."""

from collections.abc import Callable, Iterator
from datetime import date, datetime, time, timedelta, timezone, tzinfo

import msgspec

#: China has had no summer time since 1991.
BEIJING = timezone(timedelta(hours=8), "Beijing")

_DAY = timedelta(days=1)
_MIDNIGHT = time()


class Hours(msgspec.Struct, frozen=True):
    """Hours of the day, every day or on working days.

    Raises:
        ValueError: If a window is empty or has a time zone of its own, or no hour is left out.
    """

    windows: tuple[tuple[time, time], ...]
    """The first moment of each window, and the first one after it; ``time(0)`` as an end is
    midnight. A window that ends before it begins goes on past midnight."""

    zone: tzinfo = BEIJING
    """Where the clock that counts stands."""

    working_days: bool = False
    """Only Mondays to Fridays in that zone that are no holidays."""

    def __post_init__(self) -> None:
        for first, end in self.windows:
            if first.tzinfo is not None or end.tzinfo is not None:
                raise ValueError("the windows of Hours are in its zone: pass times without tzinfo")
            if first == end:
                raise ValueError(f"a window from {first} to {end} has no hours")
        if not self.working_days and self._cover_the_day():
            raise ValueError("these Hours never end: make their prices those of the whole day")

    def include(self, at: datetime, is_holiday: Callable[[date], bool] | None = None) -> bool:
        """Tell whether a moment falls into these hours.

        Args:
            at: The moment; must carry a time zone.
            is_holiday: Tells whether a day of the zone is a holiday.
        """
        local = at.astimezone(self.zone)
        if not any(_within(local.time(), first, end) for first, end in self.windows):
            return False
        if not self.working_days:
            return True
        return local.weekday() < 5 and not (is_holiday is not None and is_holiday(local.date()))

    def edges(self, at: datetime) -> Iterator[datetime]:
        """Yield the moments around ``at`` at which :meth:`include` may change its answer.

        At least one of them is later, and one not later, than ``at``.
        """
        clock = {_MIDNIGHT, *(moment for window in self.windows for moment in window)}
        today = at.astimezone(self.zone).date()
        for day in (today - _DAY, today, today + _DAY):
            for moment in clock:
                # Twice on a day on which the clock goes back.
                yield datetime.combine(day, moment, self.zone)
                yield datetime.combine(day, moment.replace(fold=1), self.zone)

    def _cover_the_day(self) -> bool:
        starts = (_MIDNIGHT, *(end for _, end in self.windows))
        return all(
            any(_within(moment, first, end) for first, end in self.windows) for moment in starts
        )


def _within(moment: time, first: time, end: time) -> bool:
    if first < end:
        return first <= moment < end
    return moment >= first or moment < end
