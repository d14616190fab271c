"""`totals`: what the requests of a program used and cost."""

import threading
import tracemalloc
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepseek_async.pricing import BEIJING, PRICES, Price, PriceTable
from deepseek_async.totals import ModelTotals, UsageTotals
from deepseek_async.types import CompletionTokensDetails, PromptTokensDetails, Usage

MILLION = 1_000_000
FLASH, PRO = "deepseek-flash", "deepseek-v4-pro"
PEAK = datetime(2026, 11, 20, 10, tzinfo=BEIJING)
OFF_PEAK = datetime(2026, 11, 20, 20, tzinfo=BEIJING)
BEFORE = datetime(2026, 7, 1, tzinfo=UTC)

USAGE = Usage(
    prompt_tokens=3 * MILLION,
    completion_tokens=MILLION,
    total_tokens=4 * MILLION,
    prompt_cache_hit_tokens=2 * MILLION,
    prompt_cache_miss_tokens=MILLION,
    prompt_tokens_details=PromptTokensDetails(cached_tokens=2 * MILLION),
    completion_tokens_details=CompletionTokensDetails(reasoning_tokens=400_000),
)


def test_requests_add_up_by_model() -> None:
    totals = UsageTotals()
    totals.record(FLASH, USAGE, at=OFF_PEAK)
    totals.record(FLASH, Usage(prompt_tokens=5, completion_tokens=7), at=OFF_PEAK)
    totals.record(PRO, USAGE, at=OFF_PEAK)
    assert list(totals) == [FLASH, PRO]
    assert len(totals) == totals.total.requests - 1 == 2
    flash = totals[FLASH]
    assert (flash.requests, flash.prompt_tokens, flash.completion_tokens) == (
        2,
        3 * MILLION + 5,
        MILLION + 7,
    )
    assert (flash.reasoning_tokens, flash.cached_tokens) == (400_000, 2 * MILLION)
    assert flash.total_tokens == 4 * MILLION + 12
    assert totals.total.total_tokens == 8 * MILLION + 12


def test_each_request_is_charged_at_its_own_time() -> None:
    totals = UsageTotals()
    # Back and forth, as answers of different length come in.
    for at in (OFF_PEAK, PEAK, OFF_PEAK, PEAK):
        totals.record(FLASH, USAGE, at=at)
    totals.record("deepseek-v4-flash", USAGE, at=BEFORE)
    # 2 * 0.003 + 0.15 + 0.60, and twice that at peak.
    assert totals[FLASH].cost() == 2 * Decimal("0.756") + 2 * Decimal("1.512")
    # 2 * 0.0028 + 0.14 + 0.28
    assert totals["deepseek-v4-flash"].cost() == Decimal("0.4256")
    assert totals.cost() == Decimal("4.9616")
    # 2 * 0.02 + 1 + 4, six times, and 2 * 0.02 + 1 + 2
    assert totals.cost("CNY") == Decimal("33.28")


def test_what_a_host_leaves_out_is_charged_as_by_usage() -> None:
    totals = UsageTotals()
    usage = Usage(
        prompt_tokens=MILLION, prompt_tokens_details=PromptTokensDetails(cached_tokens=MILLION)
    )
    totals.record(FLASH, usage, at=OFF_PEAK)
    assert totals.cost() == usage.cost(FLASH, at=OFF_PEAK) == Decimal("0.003")
    assert totals[FLASH].cached_tokens == MILLION


MOMENTS = st.datetimes(datetime(2025, 1, 1), datetime(2026, 12, 31)).map(
    lambda moment: moment.replace(tzinfo=UTC)
)
COUNTS = st.integers(0, 10**7)


@given(
    st.lists(
        st.tuples(st.sampled_from(["deepseek-chat", FLASH, PRO]), MOMENTS, COUNTS, COUNTS, COUNTS)
    )
)
def test_the_cost_is_the_sum_of_the_costs(
    requests: list[tuple[str, datetime, int, int, int]],
) -> None:
    totals = UsageTotals()
    costs: list[Decimal | None] = []
    for model, at, hit, miss, output in requests:
        usage = Usage(
            completion_tokens=output, prompt_cache_hit_tokens=hit, prompt_cache_miss_tokens=miss
        )
        totals.record(model, usage, at=at)
        costs.append(usage.cost(model, at=at, currency="CNY"))
    known = [each for each in costs if each is not None]
    assert totals.unpriced == len(costs) - len(known)
    assert totals.cost("CNY", known_only=True) == sum(known, Decimal(0))
    assert totals.cost("CNY") == (sum(known, Decimal(0)) if len(known) == len(costs) else None)


def test_an_unknown_price_makes_the_sum_unknown() -> None:
    totals = UsageTotals()
    totals.record(FLASH, USAGE, at=OFF_PEAK)
    totals.record("llama", USAGE, at=OFF_PEAK)
    totals.record(FLASH, USAGE, at=BEFORE)
    assert totals.unpriced == 2
    assert totals.cost() is None
    assert totals.cost(known_only=True) == Decimal("0.756")
    assert totals["llama"].cost() is None
    assert totals["llama"].cost(known_only=True) == 0
    assert (totals["llama"].unpriced, totals[FLASH].unpriced) == (1, 1)


def test_a_price_in_another_currency_is_no_price() -> None:
    price = Price(datetime(2026, 1, 1, tzinfo=UTC), Decimal(1), Decimal(1), Decimal(1))
    totals = UsageTotals(PriceTable({"EUR": {"m": [price]}, "USD": {}}))
    totals.record("m", USAGE, at=PEAK)
    assert totals.unpriced == 0
    assert totals.cost("EUR") == 4
    assert totals.cost() is None
    assert totals.cost(known_only=True) == 0


def test_another_table_may_be_given() -> None:
    totals = UsageTotals(PRICES.with_holidays({date(2026, 11, 20)}.__contains__))
    totals.record(FLASH, USAGE, at=PEAK)
    assert totals.cost() == Decimal("0.756")


def test_requests_without_token_counts_are_counted() -> None:
    totals = UsageTotals()
    totals.record(FLASH, None, at=PEAK)
    totals.record(FLASH, USAGE, at=OFF_PEAK)
    totals.record("llama", None, at=PEAK)
    assert (totals.requests, totals.without_usage, totals.unpriced) == (3, 2, 0)
    assert totals.cost() == Decimal("0.756")
    assert totals["llama"] == ModelTotals(requests=1, without_usage=1)


def test_nothing_costs_nothing() -> None:
    totals = UsageTotals()
    assert totals.cost() == totals.requests == len(totals) == 0
    assert str(totals) == "no requests"
    assert totals.total == ModelTotals()
    assert FLASH not in totals
    with pytest.raises(KeyError, match=FLASH):
        _ = totals[FLASH]


def test_a_snapshot_stays_as_it_is() -> None:
    totals = UsageTotals()
    totals.record(FLASH, USAGE, at=OFF_PEAK)
    before = totals.snapshot()
    totals.record(FLASH, USAGE, at=OFF_PEAK)
    assert before[FLASH].requests == 1
    assert totals == totals.snapshot()
    assert totals != before


def test_totals_can_begin_anew() -> None:
    totals = UsageTotals()
    totals.record(FLASH, USAGE, at=PEAK)
    totals.reset()
    assert totals.requests == 0
    totals.record(FLASH, USAGE, at=OFF_PEAK)
    assert totals.cost() == Decimal("0.756")


def test_a_time_without_zone_is_refused() -> None:
    totals = UsageTotals()
    for usage in (USAGE, None):
        with pytest.raises(ValueError, match="tzinfo"):
            totals.record(FLASH, usage, at=datetime(2026, 11, 21))
    assert totals.requests == 0


def test_totals_can_be_read() -> None:
    totals = UsageTotals()
    totals.record(FLASH, USAGE, at=OFF_PEAK)
    assert str(totals) == (
        "deepseek-flash: 1 request, 3,000,000 tokens in (2,000,000 cached), "
        "1,000,000 out (400,000 reasoning), 0.756 USD, 5.04 CNY"
    )
    totals.record("llama", None, at=PEAK)
    totals.record("llama", Usage(prompt_tokens=10), at=PEAK)
    assert str(totals).splitlines()[1:] == [
        "llama: 2 requests, 1 without token counts, 10 tokens in (0 cached), 0 out (0 reasoning), "
        "1 request without a known price",
        "together: 3 requests, 1 without token counts, 3,000,010 tokens in (2,000,000 cached), "
        "1,000,000 out (400,000 reasoning), 0.756 USD, 5.04 CNY, "
        "1 request without a known price",
    ]
    assert repr(totals).startswith("UsageTotals({'deepseek-flash': ModelTotals(requests=1")


def test_threads_lose_nothing() -> None:
    totals = UsageTotals()
    usage = Usage(prompt_tokens=1, completion_tokens=1)

    def record(moments: list[datetime]) -> None:
        for i in range(5000):
            totals.record(FLASH, usage, at=moments[i % len(moments)])

    threads = [threading.Thread(target=record, args=([OFF_PEAK, PEAK][:n],)) for n in (1, 2, 1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert totals[FLASH].requests == totals[FLASH].completion_tokens == 20_000
    # 5,000 of them at peak.
    assert totals.cost() == Decimal("0.75") * 25_000 / MILLION


def test_many_requests_take_no_more_memory_than_few() -> None:
    totals = UsageTotals()

    def record(first: datetime, count: int) -> None:
        for i in range(count):
            totals.record("deepseek-chat", USAGE, at=first + i * timedelta(minutes=97))

    # Months that have the same prices, at peak and off it.
    record(datetime(2026, 9, 10, 4, tzinfo=UTC), 200)
    tracemalloc.start()
    record(datetime(2026, 9, 20, tzinfo=UTC), 2000)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 20_000
    assert totals.requests == 2200


def test_a_stream_finalized_while_another_records_is_not_lost() -> None:
    totals = UsageTotals()

    class Finalizing:
        """Token counts at whose sight the garbage collector finds another stream."""

        prompt_tokens, completion_tokens = USAGE.prompt_tokens, USAGE.completion_tokens
        prompt_cache_miss_tokens = USAGE.prompt_cache_miss_tokens
        completion_tokens_details = None

        @property
        def prompt_cache_hit_tokens(self) -> int | None:
            totals.record(FLASH, USAGE, at=PEAK)
            return USAGE.prompt_cache_hit_tokens

    seen: Any = Finalizing()
    totals.record(FLASH, seen, at=OFF_PEAK)
    totals.record(FLASH, USAGE, at=OFF_PEAK)
    peak, off_peak = (USAGE.cost(FLASH, at=at) for at in (PEAK, OFF_PEAK))
    assert peak is not None
    assert off_peak is not None
    assert totals.requests == 3
    assert totals.cost() == peak + 2 * off_peak
