"""`pricing`: which price holds when, and what a request costs."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from deepseek_async.pricing import PRICES, Price, PriceTable, cost
from deepseek_async.types import ChatCompletion, Completion, PromptTokensDetails, Usage

BEIJING = timezone(timedelta(hours=8))
MILLION = 1_000_000

# Saturday in Beijing: off-peak all day.
WEEKEND = datetime(2026, 11, 21, 10, tzinfo=BEIJING)
# Friday in Beijing, at peak.
PEAK = datetime(2026, 11, 20, 10, tzinfo=BEIJING)
OFF_PEAK = datetime(2026, 11, 20, 20, tzinfo=BEIJING)

MOMENTS = {
    "before the morning": ("2026-11-20T00:59:59Z", False),
    "morning begins": ("2026-11-20T01:00:00Z", True),
    "morning ends": ("2026-11-20T03:59:59Z", True),
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
}


@pytest.mark.parametrize(("moment", "peak"), MOMENTS.values(), ids=MOMENTS)
def test_peak_hours_are_working_hours_in_beijing(moment: str, peak: bool) -> None:
    assert PRICES.is_peak(datetime.fromisoformat(moment)) is peak


def test_a_holiday_has_no_peak_hours() -> None:
    asked: list[date] = []

    def is_holiday(day: date) -> bool:
        asked.append(day)
        return day == date(2026, 10, 1)

    table = PriceTable({}, is_holiday=is_holiday)
    # Still September in UTC: the day that counts is Beijing's.
    assert not table.is_peak(datetime(2026, 10, 1, 9, 30, tzinfo=BEIJING).astimezone(UTC))
    assert table.is_peak(datetime(2026, 10, 8, 9, 30, tzinfo=BEIJING))
    assert asked == [date(2026, 10, 1), date(2026, 10, 8)]


# https://api-docs.deepseek.com/quick_start/pricing, per million: hit, miss, output.
LIST = {
    "flash, off-peak": ("deepseek-flash", OFF_PEAK, "USD", ("0.003", "0.15", "0.60")),
    "flash, peak": ("deepseek-flash", PEAK, "USD", ("0.006", "0.30", "1.20")),
    "pro, off-peak": ("deepseek-v4-pro", OFF_PEAK, "USD", ("0.022", "0.66", "1.98")),
    "pro, peak": ("deepseek-v4-pro", PEAK, "USD", ("0.044", "1.32", "3.96")),
    "flash, off-peak, CNY": ("deepseek-flash", OFF_PEAK, "CNY", ("0.02", "1", "4")),
    "flash, peak, CNY": ("deepseek-flash", PEAK, "CNY", ("0.04", "2", "8")),
    "pro, off-peak, CNY": ("deepseek-v4-pro", OFF_PEAK, "CNY", ("0.15", "4.5", "13.5")),
    "pro, peak, CNY": ("deepseek-v4-pro", PEAK, "CNY", ("0.30", "9", "27")),
    "older name of flash": ("deepseek-v4-flash", OFF_PEAK, "USD", ("0.003", "0.15", "0.60")),
}


@pytest.mark.parametrize(("model", "at", "currency", "prices"), LIST.values(), ids=LIST)
def test_a_million_tokens_cost_the_list_price(
    model: str, at: datetime, currency: str, prices: tuple[str, str, str]
) -> None:
    costs = [
        cost(
            model,
            hit_tokens=hit * MILLION,
            miss_tokens=miss * MILLION,
            output_tokens=output * MILLION,
            at=at,
            currency=currency,
        )
        for hit, miss, output in ((1, 0, 0), (0, 1, 0), (0, 0, 1))
    ]
    assert costs == list(map(Decimal, prices))


def test_the_kinds_of_tokens_add_up() -> None:
    total = cost("deepseek-flash", hit_tokens=1000, miss_tokens=10, output_tokens=1, at=WEEKEND)
    assert total == Decimal("0.0000051")


UNKNOWN = {
    "model": ("gpt-4", WEEKEND, "USD"),
    "currency": ("deepseek-flash", WEEKEND, "EUR"),
    "time before the first price": (
        "deepseek-flash",
        datetime(2026, 9, 10, 3, 59, 59, tzinfo=UTC),
        "USD",
    ),
}


@pytest.mark.parametrize(("model", "at", "currency"), UNKNOWN.values(), ids=UNKNOWN)
def test_what_is_unknown_has_no_price(model: str, at: datetime, currency: str) -> None:
    total = cost(model, hit_tokens=1, miss_tokens=1, output_tokens=1, at=at, currency=currency)
    assert total is None


def test_a_price_holds_from_its_first_second() -> None:
    assert PRICES.lookup("deepseek-flash", datetime(2026, 9, 10, 4, tzinfo=UTC), "USD") is not None


@pytest.mark.parametrize("model", ["deepseek-flash", "unknown"])
def test_a_time_without_zone_is_refused(model: str) -> None:
    with pytest.raises(ValueError, match="tzinfo"):
        cost(model, hit_tokens=0, miss_tokens=0, output_tokens=0, at=datetime(2026, 11, 21))


def test_of_several_prices_the_newest_in_force_counts() -> None:
    def since(month: int, miss: int) -> Price:
        return Price(datetime(2026, month, 1, tzinfo=UTC), Decimal(0), Decimal(miss), Decimal(0))

    table = PriceTable({"USD": {"m": (since(3, 3), since(7, 7), since(5, 5))}})
    found = [
        table.lookup("m", datetime(2026, month, 15, tzinfo=UTC), "USD") for month in (2, 4, 6, 8)
    ]
    assert [price and price.miss for price in found] == [None, 3, 5, 7]


def test_a_table_may_have_another_peak_factor() -> None:
    price = Price(datetime(2026, 1, 1, tzinfo=UTC), Decimal(0), Decimal(1), Decimal(0), Decimal(3))
    table = PriceTable({"USD": {"m": (price,)}})
    total = cost("m", hit_tokens=0, miss_tokens=MILLION, output_tokens=0, at=PEAK, prices=table)
    assert total == 3


USAGES = {
    "hits and misses": (
        Usage(prompt_tokens=30, prompt_cache_hit_tokens=10, prompt_cache_miss_tokens=20),
        (10, 20),
    ),
    "hits alone": (Usage(prompt_tokens=30, prompt_cache_hit_tokens=10), (10, 20)),
    "hits in the details": (
        Usage(prompt_tokens=30, prompt_tokens_details=PromptTokensDetails(cached_tokens=10)),
        (10, 20),
    ),
    "no word of a cache": (Usage(prompt_tokens=30), (0, 30)),
}


@pytest.mark.parametrize(("usage", "tokens"), USAGES.values(), ids=USAGES)
def test_usage_is_billed_by_hits_and_misses(usage: Usage, tokens: tuple[int, int]) -> None:
    hit, miss = tokens
    expected = cost("deepseek-flash", hit_tokens=hit, miss_tokens=miss, output_tokens=0, at=WEEKEND)
    assert usage.cost("deepseek-flash", at=WEEKEND) == expected


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
