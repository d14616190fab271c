"""`policy.schedule`: work at off-peak prices only, unless a deadline presses.

At peak prices DeepSeek works from 9 to 12 and from 14 to 18 in Beijing, on working days.
"""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepseek_async.errors import PreflightError
from deepseek_async.policy.schedule import OffPeakSchedule, Verdict
from deepseek_async.pricing import BEIJING, PRICES, Hours, Price, PriceTable

FLASH, PRO = "deepseek-flash", "deepseek-v4-pro"
MINUTE = timedelta(minutes=1)


def beijing(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BEIJING)


FRIDAY_10 = beijing("2026-11-20T10:00")
FRIDAY_12 = beijing("2026-11-20T12:00")
FRIDAY_14 = beijing("2026-11-20T14:00")
FRIDAY_18 = beijing("2026-11-20T18:00")
MONDAY_9 = beijing("2026-11-23T09:00")
MONDAY_12 = beijing("2026-11-23T12:00")

MOMENTS: dict[str, tuple[datetime, bool, datetime]] = {
    "in the morning peak": (FRIDAY_10, False, FRIDAY_12),
    "its last moment": (FRIDAY_12 - timedelta(microseconds=1), False, FRIDAY_12),
    "its end": (FRIDAY_12, True, FRIDAY_14),
    "the begin of the next": (FRIDAY_14, False, FRIDAY_18),
    "the last moment before": (FRIDAY_14 - timedelta(microseconds=1), True, FRIDAY_14),
    "the weekend": (FRIDAY_18, True, MONDAY_9),
    "Saturday at ten": (beijing("2026-11-21T10:00"), True, MONDAY_9),
    "Monday at nine": (MONDAY_9, False, MONDAY_12),
}


@pytest.mark.parametrize(("now", "run", "until"), MOMENTS.values(), ids=MOMENTS)
def test_it_runs_out_of_peak_hours(now: datetime, run: bool, until: datetime) -> None:
    verdict = OffPeakSchedule([FLASH]).decide(now)
    assert verdict == Verdict(run, until, "off_peak" if run else "peak")


def test_a_holiday_has_no_peak() -> None:
    friday = FRIDAY_10.date()
    schedule = OffPeakSchedule([FLASH], is_holiday=lambda day: day == friday)
    assert schedule.decide(FRIDAY_10) == Verdict(True, MONDAY_9, "off_peak")
    known = PRICES.with_holidays(lambda day: day == date(2026, 11, 23))
    tuesday = MONDAY_9 + timedelta(days=1)
    assert OffPeakSchedule([FLASH], prices=known).decide(FRIDAY_18).until == tuesday


def test_it_answers_in_the_zone_of_the_question() -> None:
    verdict = OffPeakSchedule([FLASH]).decide(FRIDAY_10.astimezone(UTC))
    assert verdict.until.tzinfo is UTC
    assert verdict.until == FRIDAY_12


def test_a_moment_needs_a_time_zone() -> None:
    with pytest.raises(ValueError, match="tzinfo"):
        OffPeakSchedule([FLASH]).decide(FRIDAY_10.replace(tzinfo=None))
    with pytest.raises(PreflightError, match="deadline 2026-11-20 10:00:00 has no time zone"):
        OffPeakSchedule(deadline=FRIDAY_10.replace(tzinfo=None))


def test_models_without_a_peak_run_at_any_time() -> None:
    for models in ([], ["qwen"]):
        verdict = OffPeakSchedule(models).decide(FRIDAY_10)
        assert (verdict.run, verdict.reason) == (True, "off_peak")
        assert verdict.until > FRIDAY_10 + timedelta(days=13)


def test_a_model_that_comes_later_counts() -> None:
    schedule = OffPeakSchedule()
    assert schedule.decide(FRIDAY_10).run
    schedule.watch(FLASH)
    schedule.watch(FLASH)
    assert not schedule.decide(FRIDAY_10).run


def daily(first: int, end: int) -> list[Price]:
    hours = Hours(((time(first), time(end)),), UTC)
    one = Decimal(1)
    return [Price(datetime(2026, 1, 1, tzinfo=UTC), one, one, one, hours, Decimal(2))]


def test_any_model_at_its_peak_is_enough() -> None:
    prices = PriceTable({"USD": {"day": daily(6, 18), "night": daily(20, 4)}})
    schedule = OffPeakSchedule(["day", "night"], prices=prices)
    noon = datetime(2026, 11, 20, 12, tzinfo=UTC)
    assert schedule.decide(noon) == Verdict(False, noon.replace(hour=18), "peak")
    assert schedule.decide(noon.replace(hour=19)).until == noon.replace(hour=20)
    assert schedule.decide(noon.replace(hour=5)).run


def test_it_does_not_wait_for_what_never_comes() -> None:
    prices = PriceTable({"USD": {"day": daily(6, 18), "night": daily(18, 6)}})
    verdict = OffPeakSchedule(["day", "night"], prices=prices).decide(FRIDAY_10)
    assert (verdict.run, verdict.reason) == (True, "always_peak")
    assert not OffPeakSchedule(["day"], prices=prices).decide(FRIDAY_10 + timedelta(hours=5)).run


def test_requests_under_way_when_the_peak_begins_are_kept_out_of_it() -> None:
    schedule = OffPeakSchedule([FLASH], lead=10 * MINUTE)
    before = FRIDAY_14 - 11 * MINUTE
    assert schedule.decide(before) == Verdict(True, before + MINUTE, "off_peak")
    assert schedule.decide(before + MINUTE) == Verdict(False, FRIDAY_18, "peak")
    assert schedule.decide(FRIDAY_18) == Verdict(True, MONDAY_9 - 10 * MINUTE, "off_peak")


def test_peaks_with_little_time_between_them_are_one() -> None:
    schedule = OffPeakSchedule([FLASH], lead=timedelta(hours=3))
    assert schedule.decide(FRIDAY_10).until == FRIDAY_12
    assert schedule.decide(FRIDAY_12) == Verdict(False, FRIDAY_18, "peak")


# Deadlines. At one item a second, `remaining` is the seconds that the rest takes; a quarter of
# them is kept in reserve.

HOUR = 3600
DEADLINES: dict[str, tuple[datetime, datetime, int | None, float | None, bool]] = {
    # now, deadline, remaining, rate, runs
    "time enough after the peak": (FRIDAY_10, FRIDAY_14, int(1.5 * HOUR), 1.0, False),
    "just enough": (FRIDAY_10, FRIDAY_14, int(1.6 * HOUR), 1.0, False),
    "not quite enough": (FRIDAY_10, FRIDAY_14, int(1.6 * HOUR) + 1, 1.0, True),
    "enough at twice the rate": (FRIDAY_10, FRIDAY_14, int(3.2 * HOUR), 2.0, False),
    "in the same peak": (FRIDAY_10, FRIDAY_12 - MINUTE, 1, 1.0, True),
    "at its end": (FRIDAY_10, FRIDAY_12, 1, 1.0, True),
    "passed": (FRIDAY_10, FRIDAY_10 - MINUTE, 1, 1.0, True),
    "now": (FRIDAY_10, FRIDAY_10, 1, 1.0, True),
    "nothing left to do": (FRIDAY_10, FRIDAY_12, 0, 1.0, False),
    "over the second peak": (FRIDAY_10, FRIDAY_18 + 60 * MINUTE, int(2.4 * HOUR), 1.0, False),
    "not enough over the second peak": (FRIDAY_10, FRIDAY_18, int(2.4 * HOUR), 1.0, True),
    "over the weekend": (FRIDAY_10, MONDAY_9, 50 * HOUR, 1.0, False),
    "more than a weekend": (FRIDAY_10, MONDAY_9, 53 * HOUR, 1.0, True),
    "rest unknown, half is off-peak": (FRIDAY_10, FRIDAY_14, None, 1.0, False),
    "rate unknown, half is off-peak": (FRIDAY_10, FRIDAY_14, 10**9, None, False),
    "no rate": (FRIDAY_10, FRIDAY_14, 10**9, 0.0, False),
    "rest unknown, less than half is": (FRIDAY_10, FRIDAY_14 - MINUTE, None, 1.0, True),
    "in a year": (FRIDAY_10, FRIDAY_10 + timedelta(days=365), 200 * 24 * HOUR, 1.0, False),
    "in a year, and too much": (FRIDAY_10, FRIDAY_10 + timedelta(days=365), 10**9, 1.0, True),
}


@pytest.mark.parametrize(
    ("now", "deadline", "remaining", "rate", "run"), DEADLINES.values(), ids=DEADLINES
)
def test_a_deadline_goes_before_the_price(
    now: datetime, deadline: datetime, remaining: int | None, rate: float | None, run: bool
) -> None:
    schedule = OffPeakSchedule([FLASH], deadline=deadline)
    verdict = schedule.decide(now, remaining=remaining, rate=rate)
    assert verdict == Verdict(run, FRIDAY_12, "deadline" if run else "peak")


def test_off_peak_hours_are_used_whatever_the_deadline() -> None:
    schedule = OffPeakSchedule([FLASH], deadline=FRIDAY_10)
    assert schedule.decide(FRIDAY_12, remaining=5, rate=1.0).reason == "off_peak"


def test_it_pauses_again_once_the_rest_fits() -> None:
    schedule = OffPeakSchedule([FLASH], deadline=FRIDAY_14)
    assert schedule.decide(FRIDAY_10, remaining=6000, rate=1.0).run
    assert not schedule.decide(FRIDAY_10 + 5 * MINUTE, remaining=5700, rate=1.0).run
    assert schedule.decide(FRIDAY_12, remaining=5700, rate=1.0).run


def test_the_rate_during_a_pause_says_nothing() -> None:
    schedule = OffPeakSchedule([FLASH], deadline=FRIDAY_14)
    assert not schedule.decide(FRIDAY_10, remaining=5000, rate=1.0).run
    for rate in (0.5, 0.0, None, 0.01):
        assert not schedule.decide(FRIDAY_10 + MINUTE, remaining=5000, rate=rate).run
    assert schedule.decide(FRIDAY_10 + MINUTE, remaining=6000, rate=5.0).run
    assert not schedule.decide(FRIDAY_10 + MINUTE, remaining=6000, rate=5.0).run


def test_the_first_rate_counts_during_a_pause_too() -> None:
    schedule = OffPeakSchedule([FLASH], deadline=FRIDAY_14)
    assert not schedule.decide(FRIDAY_10, remaining=6000).run
    assert schedule.decide(FRIDAY_10, remaining=6000, rate=1.0).run


def test_a_deadline_counts_real_hours_where_the_clock_changes() -> None:
    # In New York 02:00 to 03:00 is missing on 2027-03-14: between these clocks lie 10 hours.
    zone = ZoneInfo("America/New_York")
    noon, night = datetime(2027, 3, 13, 18, tzinfo=zone), datetime(2027, 3, 14, 5, tzinfo=zone)
    prices = PriceTable({"USD": {"m": daily(22, 0)}})
    schedule = OffPeakSchedule(["m"], prices=prices, deadline=night)
    # One of them is at peak.
    assert schedule.decide(noon, remaining=int(9 / 1.25 * HOUR), rate=1.0).reason == "peak"
    assert schedule.decide(noon, remaining=int(9 / 1.25 * HOUR) + 1, rate=1.0).run


@given(st.integers(0, 30 * 24 * 60), st.sampled_from([0, 7, 150]))
def test_what_it_says_is_what_the_prices_say(minutes: int, lead: int) -> None:
    now = FRIDAY_10 + minutes * MINUTE
    schedule = OffPeakSchedule([FLASH, PRO], lead=lead * MINUTE)
    verdict = schedule.decide(now)
    moments = [now + step * MINUTE for step in range(lead + 1)]
    assert verdict.run is not any(PRICES.is_peak(moment, FLASH) for moment in moments)
    assert verdict.until > now
    # Asked in any order, it says the same.
    schedule.decide(now - timedelta(days=3))
    assert schedule.decide(now) == verdict
    assert schedule.decide(verdict.until - timedelta(microseconds=1)) == verdict
