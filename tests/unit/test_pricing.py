"""`pricing`: which price holds when, and what a request costs."""

from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepseek_async.pricing import (
    BEIJING,
    PRICES,
    Hours,
    Price,
    PriceTable,
    Rates,
    charge,
    cost,
)
from deepseek_async.types import (
    ChatCompletion,
    Completion,
    CompletionTokensDetails,
    PromptTokensDetails,
    Usage,
)

MILLION = 1_000_000

# Saturday in Beijing: off-peak all day.
WEEKEND = datetime(2026, 11, 21, 10, tzinfo=BEIJING)
# Friday in Beijing, at peak.
PEAK = datetime(2026, 11, 20, 10, tzinfo=BEIJING)
OFF_PEAK = datetime(2026, 11, 20, 20, tzinfo=BEIJING)

CHAT, REASONER, CODER = "deepseek-chat", "deepseek-reasoner", "deepseek-coder"
FLASH, PRO, V4_FLASH = "deepseek-flash", "deepseek-v4-pro", "deepseek-v4-flash"
VISION = "deepseek-v4-flash-vision-exp"

# What a million tokens cost (hit, miss, output), by hand from the pages named in
# `pricing.history`: list price, times two at peak.
LIST = {
    # V2.5 and V3
    "the first cached price": (CHAT, "2024-08-02T00:00Z", "USD", "0.014 0.14 0.28"),
    "before it": (CHAT, "2024-08-01T23:59:59Z", "USD", None),
    "V2 in yuan": (CHAT, "2024-10-01T00:00Z", "CNY", "0.1 1 2"),
    "coder": (CODER, "2024-10-01T00:00Z", "USD", "0.014 0.14 0.28"),
    "coder in yuan": (CODER, "2024-12-25T23:59:59Z", "CNY", "0.1 1 2"),
    "coder after V2.5": (CODER, "2024-12-26T00:00Z", "USD", None),
    "coder today": (CODER, "2026-11-20T12:00Z", "USD", None),
    "V3 at the price of V2": (CHAT, "2024-12-26T00:00Z", "USD", "0.014 0.14 0.28"),
    "its last second": (CHAT, "2025-02-08T15:59:59Z", "USD", "0.014 0.14 0.28"),
    "V3 at its own": (CHAT, "2025-02-08T16:00Z", "USD", "0.07 0.27 1.10"),
    "V3 in yuan": (CHAT, "2025-02-20T00:00Z", "CNY", "0.5 2 8"),
    "R1": (REASONER, "2025-01-20T00:00Z", "USD", "0.14 0.55 2.19"),
    "before R1": (REASONER, "2025-01-19T23:59:59Z", "USD", None),
    "R1 in yuan": (REASONER, "2025-02-01T00:00Z", "CNY", "1 4 16"),
    # Cheap nights
    "the day before them": (CHAT, "2025-02-25T20:00Z", "USD", "0.07 0.27 1.10"),
    "the first one": (CHAT, "2025-02-26T16:30Z", "USD", "0.035 0.135 0.55"),
    "a second too early": (CHAT, "2025-02-26T16:29:59Z", "USD", "0.07 0.27 1.10"),
    "past midnight": (CHAT, "2025-06-08T00:29:59.999999Z", "USD", "0.035 0.135 0.55"),
    "in the morning": (CHAT, "2025-06-08T00:30Z", "USD", "0.07 0.27 1.10"),
    "by night, R1": (REASONER, "2025-06-08T20:00Z", "USD", "0.035 0.135 0.55"),
    "by day, R1": (REASONER, "2025-06-08T12:00Z", "USD", "0.14 0.55 2.19"),
    "by night in yuan": (CHAT, "2025-06-09T00:30+08:00", "CNY", "0.25 1 4"),
    "by day in yuan": (CHAT, "2025-06-09T08:30+08:00", "CNY", "0.5 2 8"),
    "by night in yuan, R1": (REASONER, "2025-06-09T08:29+08:00", "CNY", "0.25 1 4"),
    "by day in yuan, R1": (REASONER, "2025-06-09T00:29+08:00", "CNY", "1 4 16"),
    "by day on a Sunday": (REASONER, "2025-06-08T16:29Z", "USD", "0.14 0.55 2.19"),
    # V3.1 and V3.2
    "the last day of R1": (REASONER, "2025-09-05T15:59:59Z", "USD", "0.14 0.55 2.19"),
    "V3.1": (CHAT, "2025-09-05T16:00Z", "USD", "0.07 0.56 1.68"),
    "V3.1 thinking": (REASONER, "2025-09-05T16:00Z", "USD", "0.07 0.56 1.68"),
    "no cheap night any more": (CHAT, "2025-09-05T20:00Z", "USD", "0.07 0.56 1.68"),
    "V3.1 in yuan": (CHAT, "2025-09-10T00:00Z", "CNY", "0.5 4 12"),
    "V3.2": (CHAT, "2025-09-29T00:00Z", "USD", "0.028 0.28 0.42"),
    "V3.2 thinking": (REASONER, "2026-04-23T23:59:59Z", "USD", "0.028 0.28 0.42"),
    "V3.2 in yuan": (REASONER, "2026-01-01T00:00Z", "CNY", "0.2 2 3"),
    # V4
    "V4 flash": (V4_FLASH, "2026-04-24T00:00Z", "USD", "0.028 0.14 0.28"),
    "before V4": (V4_FLASH, "2026-04-23T23:59:59Z", "USD", None),
    "V4 by its old name": (CHAT, "2026-04-24T00:00Z", "USD", "0.028 0.14 0.28"),
    "V4 flash, the last minute": (V4_FLASH, "2026-04-26T12:14:59Z", "USD", "0.028 0.14 0.28"),
    "V4 flash with cheap hits": (V4_FLASH, "2026-04-26T12:15Z", "USD", "0.0028 0.14 0.28"),
    "V4 flash in yuan": (V4_FLASH, "2026-05-01T00:00Z", "CNY", "0.02 1 2"),
    "V4 flash with dear hits in yuan": (V4_FLASH, "2026-04-25T00:00Z", "CNY", "0.2 1 2"),
    "old name after its end": (REASONER, "2026-08-10T00:00Z", "USD", "0.0028 0.14 0.28"),
    "V4 pro at the list price": (PRO, "2026-04-24T12:00Z", "USD", "0.145 1.74 3.48"),
    "V4 pro at a quarter of it": (PRO, "2026-04-25T12:00Z", "USD", "0.03625 0.435 0.87"),
    "V4 pro with cheap hits": (PRO, "2026-04-26T12:15Z", "USD", "0.003625 0.435 0.87"),
    "V4 pro when the discount was to end": (
        PRO,
        "2026-06-01T00:00Z",
        "USD",
        "0.003625 0.435 0.87",
    ),
    "V4 pro in yuan": (PRO, "2026-06-01T00:00Z", "CNY", "0.025 3 6"),
    # Peak hours, every day
    "V4 flash, before peak hours": (V4_FLASH, "2026-08-16T15:59:59Z", "USD", "0.0028 0.14 0.28"),
    "V4 flash, off-peak": (V4_FLASH, "2026-08-16T16:00Z", "USD", "0.007 0.22 0.66"),
    "V4 flash, peak": (V4_FLASH, "2026-08-17T01:00Z", "USD", "0.014 0.44 1.32"),
    "V4 flash, peak on a Saturday": (V4_FLASH, "2026-08-22T02:00Z", "USD", "0.014 0.44 1.32"),
    "V4 flash, peak in yuan": (V4_FLASH, "2026-08-18T14:00+08:00", "CNY", "0.10 3 9"),
    "old name, peak": (CHAT, "2026-08-18T06:00Z", "USD", "0.014 0.44 1.32"),
    "V4 pro, off-peak": (PRO, "2026-08-16T16:00Z", "USD", "0.022 0.66 1.98"),
    "V4 pro, peak": (PRO, "2026-08-17T09:59:59Z", "USD", "0.044 1.32 3.96"),
    "V4 pro, peak on a Saturday": (PRO, "2026-08-22T02:00Z", "USD", "0.044 1.32 3.96"),
    "vision": (VISION, "2026-08-21T12:00Z", "USD", "0.007 0.22 0.66"),
    "before vision": (VISION, "2026-08-20T23:59Z", "USD", None),
    "vision, peak in yuan": (VISION, "2026-09-01T09:00+08:00", "CNY", "0.10 3 9"),
    # V4.1, peak hours on working days
    "V4 flash, its last second": (V4_FLASH, "2026-09-10T03:59:59Z", "USD", "0.014 0.44 1.32"),
    "before flash": (FLASH, "2026-09-10T03:59:59Z", "USD", None),
    "flash": (FLASH, "2026-09-10T04:00Z", "USD", "0.003 0.15 0.60"),
    "V4 flash billed as flash": (V4_FLASH, "2026-09-10T04:00Z", "USD", "0.003 0.15 0.60"),
    "vision billed as flash": (VISION, "2026-09-10T06:00Z", "USD", "0.006 0.30 1.20"),
    "V3.2 billed as flash": (REASONER, "2026-11-20T20:00+08:00", "USD", "0.003 0.15 0.60"),
    "flash, peak": (FLASH, "2026-11-20T10:00+08:00", "USD", "0.006 0.30 1.20"),
    "flash, Saturday": (FLASH, "2026-11-21T10:00+08:00", "USD", "0.003 0.15 0.60"),
    "flash in yuan": (FLASH, "2026-11-20T20:00+08:00", "CNY", "0.02 1 4"),
    "flash in yuan, peak": (FLASH, "2026-11-20T10:00+08:00", "CNY", "0.04 2 8"),
    "pro, where it was to be flash": (PRO, "2026-09-14T04:00Z", "USD", "0.022 0.66 1.98"),
    "pro, peak": (PRO, "2026-11-20T10:00+08:00", "USD", "0.044 1.32 3.96"),
    "pro, Sunday": (PRO, "2026-09-13T10:00+08:00", "USD", "0.022 0.66 1.98"),
    "pro in yuan": (PRO, "2026-11-20T20:00+08:00", "CNY", "0.15 4.5 13.5"),
    "pro in yuan, peak": (PRO, "2026-11-20T10:00+08:00", "CNY", "0.30 9 27"),
    # Unknown
    "model": ("gpt-4", "2026-11-20T12:00Z", "USD", None),
    "id of a host": ("deepseek-v4.1-flash-expires-on-0910", "2026-09-09T12:00Z", "USD", None),
    "id with a prefix": ("deepseek/deepseek-flash", "2026-11-20T12:00Z", "USD", None),
    "currency": (FLASH, "2026-11-20T12:00Z", "EUR", None),
}


@pytest.mark.parametrize(("model", "at", "currency", "prices"), LIST.values(), ids=LIST)
def test_a_million_tokens_cost_the_list_price(
    model: str, at: str, currency: str, prices: str | None
) -> None:
    costs = [
        cost(
            model,
            hit_tokens=hit * MILLION,
            miss_tokens=miss * MILLION,
            output_tokens=output * MILLION,
            at=datetime.fromisoformat(at),
            currency=currency,
        )
        for hit, miss, output in ((1, 0, 0), (0, 1, 0), (0, 0, 1))
    ]
    assert costs == ([None] * 3 if prices is None else list(map(Decimal, prices.split())))


# One request: 1,152 tokens found in the cache, 48 not, 200 generated.
REQUESTS = {
    # 1152 * 0.003 + 48 * 0.15 + 200 * 0.60 = 3.456 + 7.2 + 120
    "flash": (FLASH, OFF_PEAK, "USD", "0.000130656"),
    "flash, peak": (FLASH, PEAK, "USD", "0.000261312"),
    # 1152 * 0.15 + 48 * 4.5 + 200 * 13.5 = 172.8 + 216 + 2700
    "pro in yuan": (PRO, OFF_PEAK, "CNY", "0.0030888"),
    # 1152 * 0.14 + 48 * 0.55 + 200 * 2.19 = 161.28 + 26.4 + 438
    "R1 by day": (REASONER, datetime(2025, 6, 9, 12, tzinfo=UTC), "USD", "0.00062568"),
    # 1152 * 0.003625 + 48 * 0.435 + 200 * 0.87 = 4.176 + 20.88 + 174
    "V4 pro": (PRO, datetime(2026, 7, 1, tzinfo=UTC), "USD", "0.000199056"),
}


@pytest.mark.parametrize(("model", "at", "currency", "expected"), REQUESTS.values(), ids=REQUESTS)
def test_the_kinds_of_tokens_add_up(model: str, at: datetime, currency: str, expected: str) -> None:
    total = cost(
        model, hit_tokens=1152, miss_tokens=48, output_tokens=200, at=at, currency=currency
    )
    assert total == Decimal(expected)


def test_huge_counts_are_exact() -> None:
    rates = Rates(Decimal("0.003625"), Decimal("0.435"), Decimal("0.87"))
    tokens = 10**15 + 1
    assert charge(rates, tokens, tokens, tokens) == Decimal("1308625000.000001308625")


MOMENTS = {
    "before the morning": ("2026-11-20T00:59:59.999999Z", False),
    "morning begins": ("2026-11-20T01:00:00Z", True),
    "morning ends": ("2026-11-20T03:59:59.999999Z", True),
    "noon": ("2026-11-20T04:00:00Z", False),
    "before the afternoon": ("2026-11-20T05:59:59Z", False),
    "afternoon begins": ("2026-11-20T06:00:00Z", True),
    "afternoon ends": ("2026-11-20T09:59:59Z", True),
    "evening": ("2026-11-20T10:00:00Z", False),
    "Saturday": ("2026-11-21T02:00:00Z", False),
    "Sunday": ("2026-11-22T02:00:00Z", False),
    "Monday": ("2026-11-23T02:00:00Z", True),
    "Monday in Beijing, Sunday in New York": ("2026-11-22T21:30:00-05:00", True),
    "Friday in New York, Saturday in Beijing": ("2026-11-20T21:30:00-05:00", False),
    "no sooner than the hour of another zone": ("2026-11-20T09:30:00+00:00", True),
    "Saturday of August": ("2026-08-22T02:00:00Z", True),
    "day of 2025": ("2025-06-09T12:00:00Z", True),
    "night of 2025": ("2025-06-09T20:00:00Z", False),
    "one price for the whole day": ("2026-07-01T02:00:00Z", False),
    "no price": ("2020-01-01T02:00:00Z", False),
}


@pytest.mark.parametrize(("moment", "peak"), MOMENTS.values(), ids=MOMENTS)
def test_peak_hours_are_working_hours_in_beijing(moment: str, peak: bool) -> None:
    assert PRICES.is_peak(datetime.fromisoformat(moment)) is peak


def test_peak_hours_are_those_of_the_model() -> None:
    at = datetime(2026, 9, 10, 3, tzinfo=UTC)
    models = (V4_FLASH, PRO, FLASH, "unknown")
    assert [PRICES.is_peak(at, model) for model in models] == [True, True, False, False]


def test_a_holiday_has_no_peak_hours() -> None:
    asked: list[date] = []

    def is_holiday(day: date) -> bool:
        asked.append(day)
        return day == date(2026, 10, 1)

    table = PRICES.with_holidays(is_holiday)
    holiday = datetime(2026, 10, 1, 9, 30, tzinfo=BEIJING)
    # Still September in New York: the day that counts is Beijing's.
    assert not table.is_peak(holiday.astimezone(ZoneInfo("America/New_York")))
    assert table.is_peak(datetime(2026, 10, 8, 9, 30, tzinfo=BEIJING))
    assert asked == [date(2026, 10, 1), date(2026, 10, 8)]
    assert PRICES.is_peak(holiday)
    assert not table.with_prices({}).is_peak(holiday)
    assert table.with_holidays(None).is_peak(holiday)
    usage = Usage(completion_tokens=MILLION)
    assert usage.cost(FLASH, at=holiday, prices=table) == Decimal("0.60")
    assert usage.cost(FLASH, at=holiday) == Decimal("1.20")


def test_holidays_meant_nothing_while_every_day_had_peak_hours() -> None:
    table = PRICES.with_holidays(lambda day: True)
    assert table.is_peak(datetime(2026, 8, 20, 10, tzinfo=BEIJING), PRO)
    assert not table.is_peak(PEAK, PRO)


NEXT = {
    "off-peak already": ("2026-11-20T12:30+08:00", "2026-11-20T12:30+08:00"),
    "in the morning": ("2026-11-20T09:00+08:00", "2026-11-20T12:00+08:00"),
    "in the afternoon": ("2026-11-20T17:59:59.5+08:00", "2026-11-20T18:00+08:00"),
    "as the afternoon ends": ("2026-11-20T18:00+08:00", "2026-11-20T18:00+08:00"),
    "weekend": ("2026-11-21T09:00+08:00", "2026-11-21T09:00+08:00"),
    "told in the zone asked in": ("2026-11-19T21:00-05:00", "2026-11-19T23:00-05:00"),
    "peak hours end with a price": ("2026-09-10T03:00Z", "2026-09-10T04:00Z"),
    "list price of 2025": ("2025-06-08T00:30Z", "2025-06-08T16:30Z"),
    "no price": ("2020-01-01T02:00Z", "2020-01-01T02:00Z"),
}


@pytest.mark.parametrize(("at", "expected"), NEXT.values(), ids=NEXT)
def test_the_next_off_peak_moment(at: str, expected: str) -> None:
    moment = datetime.fromisoformat(at)
    found = PRICES.next_off_peak(moment)
    assert found == datetime.fromisoformat(expected)
    assert found.utcoffset() == moment.utcoffset()


def test_off_peak_may_begin_with_a_holiday_or_the_end_of_a_price() -> None:
    office = Hours(((time(9), time(0)),), working_days=True)
    first = datetime(2026, 11, 2, tzinfo=BEIJING)
    entry = Price(first, Decimal(1), Decimal(1), Decimal(1), office, Decimal(2))
    late = datetime(2026, 11, 20, 22, 30, tzinfo=BEIJING)
    table = PriceTable({"USD": {"m": (entry,)}})
    assert table.next_off_peak(late, "m") == datetime(2026, 11, 21, tzinfo=BEIJING)

    end = datetime(2026, 11, 20, 23, tzinfo=BEIJING)
    ending = Price(first, Decimal(1), Decimal(1), Decimal(1), office, Decimal(2), end)
    assert PriceTable({"USD": {"m": (ending,)}}).next_off_peak(late, "m") == end


def test_full_days_of_work_end_with_the_week() -> None:
    always = Hours(((time(0), time(12)), (time(12), time(0))), working_days=True)
    entry = Price(
        datetime(2026, 1, 1, tzinfo=UTC), Decimal(1), Decimal(1), Decimal(1), always, Decimal(2)
    )
    table = PriceTable({"USD": {"m": (entry,)}})
    monday = datetime(2026, 11, 16, 8, tzinfo=BEIJING)
    assert table.next_off_peak(monday, "m") == datetime(2026, 11, 21, tzinfo=BEIJING)
    holidays = table.with_holidays({date(2026, 11, 18)}.__contains__)
    assert holidays.next_off_peak(monday, "m") == datetime(2026, 11, 18, tzinfo=BEIJING)


@given(
    at=st.datetimes(datetime(2024, 1, 1), datetime(2027, 1, 1)).map(
        lambda moment: moment.replace(tzinfo=UTC)
    ),
    model=st.sampled_from([CHAT, REASONER, CODER, FLASH, PRO, V4_FLASH, VISION, "unknown"]),
    part=st.floats(0, 1),
)
def test_within_a_period_nothing_changes(at: datetime, model: str, part: float) -> None:
    period = PRICES.period(model, at)
    assert period.start <= at < period.end
    assert period.peak == PRICES.is_peak(at, model)
    last = min(period.end, datetime(2030, 1, 1, tzinfo=UTC)) - timedelta(microseconds=1)
    other = period.start + (last - period.start) * part
    for currency in ("USD", "CNY"):
        expected = period.rates.get(currency)
        assert expected == PRICES.rates(model, at, currency) == PRICES.rates(model, other, currency)


def test_a_period_ends_where_the_price_changes() -> None:
    period = PRICES.period(FLASH, datetime(2026, 11, 20, 14, tzinfo=BEIJING))
    assert period.start == datetime(2026, 11, 20, 14, tzinfo=BEIJING)
    assert period.end == datetime(2026, 11, 20, 18, tzinfo=BEIJING)
    assert period.rates["CNY"] == Rates(Decimal("0.04"), Decimal(2), Decimal(8))


NAIVE: dict[str, Any] = {
    "cost": lambda at: cost(FLASH, hit_tokens=0, miss_tokens=0, output_tokens=0, at=at),
    "cost of an unknown model": lambda at: cost(
        "unknown", hit_tokens=0, miss_tokens=0, output_tokens=0, at=at
    ),
    "lookup": lambda at: PRICES.lookup(FLASH, at),
    "rates": lambda at: PRICES.rates(FLASH, at),
    "is_peak": PRICES.is_peak,
    "next_off_peak": PRICES.next_off_peak,
    "period": lambda at: PRICES.period(FLASH, at),
    "since": lambda at: Price(at, Decimal(0), Decimal(0), Decimal(0)),
}


@pytest.mark.parametrize("ask", NAIVE.values(), ids=NAIVE)
def test_a_time_without_zone_is_refused(ask: Any) -> None:
    with pytest.raises(ValueError, match="tzinfo"):
        ask(datetime(2026, 11, 21))


@pytest.mark.parametrize("ask", NAIVE.values(), ids=NAIVE)
@pytest.mark.parametrize("moment", [1795256217, "2026-11-21"])
def test_what_is_no_moment_is_refused(ask: Any, moment: Any) -> None:
    with pytest.raises(TypeError, match="a moment is a datetime"):
        ask(moment)


def test_of_several_prices_the_newest_in_force_counts() -> None:
    def since(month: int, miss: int) -> Price:
        return Price(datetime(2026, month, 1, tzinfo=UTC), Decimal(0), Decimal(miss), Decimal(0))

    table = PriceTable({"USD": {"m": (since(3, 3), since(7, 7), since(5, 5))}})
    found = [
        table.lookup("m", datetime(2026, month, 15, tzinfo=UTC), "USD") for month in (2, 4, 6, 8)
    ]
    assert [price and price.miss for price in found] == [None, 3, 5, 7]
    assert [price.miss for price in table.history("m")] == [7, 5, 3]
    assert table.history("m", "CNY") == table.history("other") == ()


def test_a_table_of_ones_own() -> None:
    # Nights of a host in Virginia, past midnight, at prices of their own.
    zone = ZoneInfo("America/New_York")
    nights = Hours(((time(22), time(6)),), zone)
    entry = Price(
        datetime(2026, 1, 1, tzinfo=UTC),
        Decimal(0),
        Decimal(3),
        Decimal(9),
        nights,
        Rates(Decimal(0), Decimal(4), Decimal(10)),
    )
    table = PriceTable({"EUR": {"m": [entry]}})
    hours = [21, 22, 23, 0, 5, 6]
    peaks = [table.is_peak(datetime(2026, 7, 4, hour, tzinfo=zone)) for hour in hours]
    assert peaks == [False, True, True, True, True, False]
    usage = Usage(prompt_tokens=MILLION, completion_tokens=MILLION)
    night, day = (datetime(2026, 7, 4, hour, tzinfo=zone) for hour in (3, 12))
    assert usage.cost("m", at=night, prices=table, currency="EUR") == 14
    assert usage.cost("m", at=day, prices=table, currency="EUR") == 12
    assert usage.cost("m", at=day, prices=table) is None
    assert table.next_off_peak(night) == datetime(2026, 7, 4, 6, tzinfo=zone)


def test_an_hour_that_comes_twice_has_its_peak_twice() -> None:
    # On 2026-11-01, New York has the hour from 01:00 to 02:00 first at UTC-4, then at UTC-5.
    zone = ZoneInfo("America/New_York")
    night = Hours(((time(1), time(1, 30)),), zone)
    first = datetime(2026, 1, 1, tzinfo=UTC)
    price = Price(first, Decimal(1), Decimal(2), Decimal(3), night, Decimal(2))
    table = PriceTable({"USD": {"m": (price,)}})
    for hour in (5, 6):
        begin = datetime(2026, 11, 1, hour, tzinfo=UTC)
        end = begin + timedelta(minutes=30)
        for at in (begin + timedelta(minutes=15), (end - timedelta(minutes=1)).astimezone(zone)):
            period = table.period("m", at)
            assert (period.start, period.end, period.peak) == (begin, end, True)
            assert table.next_off_peak(at, "m").astimezone(UTC) == end
        assert not table.period("m", end).peak


def test_a_price_may_have_another_factor() -> None:
    hours = Hours(((time(9), time(12)),), timezone(timedelta(hours=8)), working_days=True)
    first = datetime(2026, 1, 1, tzinfo=UTC)
    price = Price(first, Decimal(0), Decimal(1), Decimal(0), hours, Decimal("1.5"))
    table = PriceTable({"USD": {"m": (price,)}})
    total = cost("m", hit_tokens=0, miss_tokens=MILLION, output_tokens=0, at=PEAK, prices=table)
    assert total == Decimal("1.5")


def test_a_price_holds_no_longer_than_it_says() -> None:
    first, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
    table = PriceTable(
        {"USD": {"m": [Price(first, Decimal(0), Decimal(1), Decimal(0), until=end)]}}
    )
    last = end - timedelta(microseconds=1)
    assert [table.rates("m", at) is None for at in (first, last, end)] == [False, False, True]
    assert table.period("m", last)[:2] == (first, end)


def test_prices_can_be_added() -> None:
    mine = Price(datetime(2026, 1, 1, tzinfo=UTC), Decimal(1), Decimal(2), Decimal(3))
    table = PRICES.with_prices(
        {
            "USD": {"mine": [mine], "host/flash": PRICES.history(FLASH), FLASH: [mine]},
            "EUR": {"mine": [mine]},
        }
    )
    assert (
        table.rates("mine", PEAK) == table.rates("mine", PEAK, "EUR") == Rates(*map(Decimal, "123"))
    )
    assert table.rates("host/flash", PEAK) == PRICES.rates(FLASH, PEAK)
    # Replaced where it was named, and there alone.
    assert table.history(FLASH) == (mine,)
    assert table.history(FLASH, "CNY") == PRICES.history(FLASH, "CNY")
    assert table.history(PRO) == PRICES.history(PRO)
    assert PRICES.lookup("mine", PEAK) is None


ALL_DAY = {
    "two halves": ((time(0), time(12)), (time(12), time(0))),
    "past midnight": ((time(6), time(22)), (time(20), time(7))),
}


@pytest.mark.parametrize("windows", ALL_DAY.values(), ids=ALL_DAY)
def test_hours_that_never_end_are_refused(windows: tuple[tuple[time, time], ...]) -> None:
    with pytest.raises(ValueError, match="never end"):
        Hours(windows)


def test_hours_that_cannot_be_meant_are_refused() -> None:
    with pytest.raises(ValueError, match="no hours"):
        Hours(((time(9), time(9)),))
    with pytest.raises(ValueError, match="without tzinfo"):
        Hours(((time(9, tzinfo=UTC), time(10, tzinfo=UTC)),))


def test_prices_that_cannot_be_meant_are_refused() -> None:
    first = datetime(2026, 1, 1, tzinfo=UTC)
    hours = Hours(((time(9), time(12)),))
    with pytest.raises(ValueError, match="both hours and peak"):
        Price(first, Decimal(1), Decimal(1), Decimal(1), hours)
    with pytest.raises(ValueError, match="both hours and peak"):
        Price(first, Decimal(1), Decimal(1), Decimal(1), peak=Decimal(2))
    inexact: Any = 0.15
    for prices in (
        {"miss": inexact},
        {"hours": hours, "peak": inexact},
        {"hours": hours, "peak": Rates(Decimal(1), inexact, Decimal(1))},
    ):
        with pytest.raises(TypeError, match=r"pass Decimal\('0.15'\), not 0.15"):
            Price(
                **{"since": first, "hit": Decimal(1), "miss": Decimal(1), "output": Decimal(1)}
                | prices
            )


# Charged as hits and misses.
USAGES = {
    "hits and misses": (
        Usage(prompt_tokens=30, prompt_cache_hit_tokens=10, prompt_cache_miss_tokens=20),
        (10, 20),
    ),
    "all hits": (
        Usage(prompt_tokens=30, prompt_cache_hit_tokens=30, prompt_cache_miss_tokens=0),
        (30, 0),
    ),
    "both ways of telling hits": (
        Usage(
            prompt_tokens=30,
            prompt_cache_hit_tokens=10,
            prompt_cache_miss_tokens=20,
            prompt_tokens_details=PromptTokensDetails(cached_tokens=10),
        ),
        (10, 20),
    ),
    "hits alone": (Usage(prompt_tokens=30, prompt_cache_hit_tokens=10), (10, 20)),
    "misses alone": (Usage(prompt_tokens=30, prompt_cache_miss_tokens=20), (10, 20)),
    "hits in the details": (
        Usage(prompt_tokens=30, prompt_tokens_details=PromptTokensDetails(cached_tokens=10)),
        (10, 20),
    ),
    "details without hits": (
        Usage(prompt_tokens=30, prompt_tokens_details=PromptTokensDetails()),
        (0, 30),
    ),
    "no word of a cache": (Usage(prompt_tokens=30), (0, 30)),
    "less than the prompt": (
        Usage(prompt_tokens=30, prompt_cache_hit_tokens=5, prompt_cache_miss_tokens=6),
        (5, 6),
    ),
    "more than the prompt": (
        Usage(prompt_tokens=30, prompt_cache_hit_tokens=50, prompt_cache_miss_tokens=60),
        (50, 60),
    ),
    "more hits than the prompt has tokens": (
        Usage(prompt_tokens=30, prompt_cache_hit_tokens=40),
        (40, 0),
    ),
    "more misses than the prompt has tokens": (
        Usage(prompt_tokens=30, prompt_cache_miss_tokens=40),
        (0, 40),
    ),
    "nothing": (Usage(), (0, 0)),
}


@pytest.mark.parametrize(("usage", "tokens"), USAGES.values(), ids=USAGES)
def test_usage_is_billed_by_hits_and_misses(usage: Usage, tokens: tuple[int, int]) -> None:
    hit, miss = tokens
    assert (
        usage.cost(FLASH, at=WEEKEND) == (hit * Decimal("0.003") + miss * Decimal("0.15")) / MILLION
    )
    assert usage.cached_tokens == hit


def test_reasoning_is_part_of_the_output() -> None:
    details = CompletionTokensDetails(reasoning_tokens=900_000)
    usage = Usage(completion_tokens=MILLION, completion_tokens_details=details)
    assert usage.cost(FLASH, at=WEEKEND) == Decimal("0.60")


@pytest.mark.parametrize("cls", [ChatCompletion, Completion])
class TestCostOfAResult:
    USAGE = Usage(prompt_tokens=MILLION, completion_tokens=MILLION)

    def make(
        self,
        cls: type[ChatCompletion] | type[Completion],
        model: str = "deepseek-flash",
        created: datetime | None = None,
        usage: Usage | None = USAGE,
    ) -> ChatCompletion | Completion:
        seconds = int(created.timestamp()) if created is not None else 0
        return cls(id="c", choices=[], model=model, created=seconds, usage=usage)

    def test_the_time_is_that_of_the_answer(
        self, cls: type[ChatCompletion] | type[Completion]
    ) -> None:
        assert self.make(cls, created=PEAK).cost() == Decimal("1.50")
        assert self.make(cls, created=OFF_PEAK).cost() == Decimal("0.75")

    def test_another_time_may_be_given(self, cls: type[ChatCompletion] | type[Completion]) -> None:
        assert self.make(cls, created=PEAK).cost(at=OFF_PEAK) == Decimal("0.75")

    def test_without_any_time_the_cost_is_unknown(
        self, cls: type[ChatCompletion] | type[Completion]
    ) -> None:
        assert self.make(cls).cost() is None
        assert self.make(cls).cost(at=OFF_PEAK) == Decimal("0.75")

    def test_without_usage_the_cost_is_unknown(
        self, cls: type[ChatCompletion] | type[Completion]
    ) -> None:
        assert self.make(cls, created=PEAK, usage=None).cost() is None

    def test_the_price_is_that_of_the_model_that_answered(
        self, cls: type[ChatCompletion] | type[Completion]
    ) -> None:
        assert self.make(cls, model="deepseek-v4-pro", created=OFF_PEAK).cost() == Decimal("2.64")
        assert self.make(cls, model="other", created=OFF_PEAK).cost() is None

    def test_the_currency_may_be_cny(self, cls: type[ChatCompletion] | type[Completion]) -> None:
        assert self.make(cls, created=OFF_PEAK).cost(currency="CNY") == Decimal(5)

    def test_another_table_may_be_given(self, cls: type[ChatCompletion] | type[Completion]) -> None:
        assert self.make(cls, created=PEAK).cost(prices=PriceTable({})) is None

    def test_a_time_without_zone_is_refused(
        self, cls: type[ChatCompletion] | type[Completion]
    ) -> None:
        with pytest.raises(ValueError, match="tzinfo"):
            self.make(cls, created=PEAK).cost(at=datetime(2026, 11, 21))
