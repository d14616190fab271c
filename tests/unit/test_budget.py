"""`policy.budget`: money is set aside before a request is sent, and settled when it has ended."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepseek_async.errors import PreflightError
from deepseek_async.policy.budget import Ledger, RecentOutputs, Reservation
from deepseek_async.policy.request_size import (
    FIM_OUTPUT_CEILING,
    OUTPUT_CEILINGS,
    request_size,
)
from deepseek_async.policy.tariff import Tariff
from deepseek_async.pricing import BEIJING, PRICES, Price, PriceTable, Rates
from deepseek_async.tokens import estimate_tokens
from deepseek_async.types import Usage
from deepseek_async.types.batch import Budget

FLASH, PRO = "deepseek-flash", "deepseek-v4-pro"
MILLION = 1_000_000
# A Friday; the peaks are from 9 to 12 and from 14 to 18.
OFF_PEAK = datetime(2026, 11, 20, 20, tzinfo=BEIJING)
PEAK = datetime(2026, 11, 20, 10, tzinfo=BEIJING)
BEFORE_PEAK = datetime(2026, 11, 20, 8, 55, tzinfo=BEIJING)
NOTHING = PriceTable({})


def usage(prompt: int, output: int, hit: int = 0) -> Usage:
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=output,
        total_tokens=prompt + output,
        prompt_cache_hit_tokens=hit,
        prompt_cache_miss_tokens=prompt - hit,
    )


def reserve(
    ledger: Ledger,
    model: str = FLASH,
    *,
    prompt: int = 1000,
    output: int | None = 500,
    at: datetime = OFF_PEAK,
) -> Reservation:
    reservation = ledger.reserve(model, prompt_tokens=prompt, max_output=output, at=at)
    assert reservation is not None
    return reservation


WRONG_BUDGETS: dict[str, tuple[dict[str, Any], str]] = {
    "no limit": ({"strict": True}, "needs a limit"),
    "0 dollars": ({"usd": 0}, "Budget.usd must be a number of dollars above 0, got 0"),
    "negative": ({"usd": -1.5}, "above 0, got -1.5"),
    "not a number": ({"usd": float("nan")}, "above 0, got nan"),
    "not a Decimal number": ({"usd": Decimal("sNaN")}, "above 0"),
    "text": ({"usd": "20"}, "got '20'"),
    "a truth": ({"usd": True}, "got True"),
    "0 tokens": ({"tokens": 0}, "Budget.tokens must be a whole number above 0, got 0"),
    "a part of a token": ({"tokens": 1.5}, "got 1.5"),
    "a true token": ({"usd": 1, "tokens": True}, "got True"),
}


@pytest.mark.parametrize(("given_", "message"), WRONG_BUDGETS.values(), ids=WRONG_BUDGETS)
def test_a_wrong_budget_is_refused(given_: dict[str, Any], message: str) -> None:
    with pytest.raises(PreflightError, match=message):
        Budget(**given_)


def test_a_limit_in_dollars_is_what_is_written() -> None:
    assert Budget(usd=0.1).usd_limit == Decimal("0.1")
    assert Budget(usd=20).usd_limit == 20
    assert Budget(usd=Decimal("0.10")).usd_limit == Decimal("0.1")
    assert Budget(tokens=5).usd_limit is None


def test_what_is_reserved_counts_as_spent() -> None:
    # 1000 tokens in, 500 out: 0.00015 + 0.0003 dollars.
    ledger = Ledger(Budget(usd=0.001))
    first, _ = reserve(ledger), reserve(ledger)
    assert ledger.reserved_usd == Decimal("0.0009")
    assert ledger.reserve(FLASH, prompt_tokens=1000, max_output=500, at=OFF_PEAK) is None
    assert not ledger.exhausted
    assert ledger.settle(first, usage(1000, 100), at=OFF_PEAK) == Decimal("0.00021")
    assert (ledger.spent_usd, ledger.reserved_usd) == (Decimal("0.00021"), Decimal("0.00045"))
    assert (ledger.spent_tokens, ledger.reserved_tokens) == (1100, 1500)
    reserve(ledger, prompt=1000, output=300)


def test_a_limit_is_reached_exactly() -> None:
    ledger = Ledger(Budget(usd=0.0009, tokens=3000))
    reserve(ledger)
    reserve(ledger)
    assert ledger.reserve(FLASH, prompt_tokens=1, max_output=1, at=OFF_PEAK) is None


def test_tokens_are_limited_too() -> None:
    ledger = Ledger(Budget(tokens=2000), prices=NOTHING)
    reservation = reserve(ledger, "m")
    assert ledger.reserve("m", prompt_tokens=400, max_output=101, at=OFF_PEAK) is None
    assert ledger.settle(reservation, usage(1000, 499), at=OFF_PEAK) is None
    assert (ledger.spent_tokens, ledger.unpriced) == (1499, 1)
    assert ledger.spent_usd == 0
    assert reserve(ledger, "m", prompt=400, output=101).usd is None


def test_it_is_exhausted_once_waiting_is_no_use() -> None:
    ledger = Ledger(Budget(tokens=2000))
    seen = [ledger.exhausted]
    open_ = reserve(ledger)
    assert ledger.reserve(FLASH, prompt_tokens=1000, max_output=500, at=OFF_PEAK) is None
    seen.append(ledger.exhausted)
    ledger.settle(open_, usage(1000, 500), at=OFF_PEAK)
    # What was given back may be enough.
    seen.append(ledger.exhausted)
    assert ledger.reserve(FLASH, prompt_tokens=1000, max_output=500, at=OFF_PEAK) is None
    seen.append(ledger.exhausted)
    reserve(ledger, prompt=100, output=100)
    seen.append(ledger.exhausted)
    assert seen == [False, False, False, True, False]


def test_without_a_budget_everything_fits_and_is_counted() -> None:
    ledger = Ledger()
    for _ in range(3):
        ledger.settle(reserve(ledger, prompt=10**9, output=None), usage(MILLION, 0), at=PEAK)
    assert ledger.spent_usd == Decimal("0.90")
    assert ledger.reserved_usd == 0
    assert not ledger.exhausted


def test_a_request_that_was_refused_is_free() -> None:
    ledger = Ledger(Budget(usd=1))
    assert ledger.settle(reserve(ledger), None, at=OFF_PEAK) == 0
    assert ledger.spent_usd == ledger.reserved_usd == 0
    assert ledger.spent_tokens == ledger.unpriced == 0


def test_a_request_cut_short_counts_as_what_was_set_aside() -> None:
    ledger = Ledger(Budget(usd=1))
    cost = ledger.settle(reserve(ledger), None, at=OFF_PEAK, may_be_billed=True)
    assert cost == ledger.spent_usd == ledger.unconfirmed_usd == Decimal("0.00045")
    assert ledger.spent_tokens == 1500
    ledger = Ledger(Budget(tokens=10_000), prices=NOTHING)
    assert ledger.settle(reserve(ledger, "m"), None, at=OFF_PEAK, may_be_billed=True) is None
    assert ledger.unconfirmed_usd == 0
    assert (ledger.unpriced, ledger.spent_tokens) == (1, 1500)


def test_a_request_is_settled_once() -> None:
    ledger = Ledger(Budget(usd=1))
    reservation = reserve(ledger)
    ledger.settle(reservation, usage(1000, 5), at=OFF_PEAK)
    with pytest.raises(ValueError, match="settled before"):
        ledger.settle(reservation, None, at=OFF_PEAK)
    assert ledger.reserved_usd == 0


def test_the_model_that_answered_decides_about_the_price() -> None:
    ledger = Ledger(Budget(usd=100))
    million = usage(MILLION, 0)
    assert ledger.settle(reserve(ledger), million, model=PRO, at=OFF_PEAK) == Decimal("0.66")
    # Of one that nobody knows the price, the one asked for.
    assert ledger.settle(reserve(ledger), million, model="snapshot", at=OFF_PEAK) == Decimal("0.15")
    assert ledger.unpriced == 0


def test_a_price_that_ended_meanwhile_leaves_what_was_set_aside() -> None:
    price = Price(OFF_PEAK - timedelta(days=1), Decimal(0), Decimal(1), Decimal(2), until=OFF_PEAK)
    ledger = Ledger(Budget(usd=10), prices=PriceTable({"USD": {"m": [price]}}))
    reservation = reserve(ledger, "m", at=OFF_PEAK - timedelta(seconds=1))
    assert ledger.settle(reservation, usage(1, 1), at=OFF_PEAK) == Decimal("0.002")


def test_hosts_that_tell_no_cache_pay_the_whole_prompt() -> None:
    ledger = Ledger(Budget(usd=1))
    told = Usage(prompt_tokens=MILLION, completion_tokens=0)
    assert ledger.settle(reserve(ledger), told, at=OFF_PEAK) == Decimal("0.15")


def test_hits_cost_less() -> None:
    ledger = Ledger(Budget(usd=1))
    told = usage(MILLION, 0, hit=MILLION)
    assert ledger.settle(reserve(ledger), told, at=OFF_PEAK) == Decimal("0.003")


def test_a_budget_in_dollars_needs_a_price() -> None:
    ledger = Ledger(Budget(usd=1))
    with pytest.raises(PreflightError, match=r"'gpt-x'.*Budget\(tokens=...\)"):
        ledger.check("gpt-x", OFF_PEAK)
    with pytest.raises(PreflightError, match="no price of model 'gpt-x' is known"):
        ledger.reserve("gpt-x", prompt_tokens=1, max_output=1, at=OFF_PEAK)
    ledger.check(FLASH, OFF_PEAK)
    Ledger(Budget(tokens=1)).check("gpt-x", OFF_PEAK)


def test_a_moment_needs_a_time_zone() -> None:
    ledger = Ledger(Budget(usd=1))
    naive = datetime(2026, 11, 20)
    with pytest.raises(ValueError, match="tzinfo"):
        ledger.reserve(FLASH, prompt_tokens=1, max_output=1, at=naive)
    with pytest.raises(ValueError, match="tzinfo"):
        ledger.settle(reserve(ledger), None, at=naive)


# What an output is expected to be


def test_few_answers_are_not_believed() -> None:
    outputs = RecentOutputs()
    assert outputs.expected() == 4096
    for tokens in (10, 9000):
        outputs.add(tokens)
    assert outputs.expected() == 9000
    outputs = RecentOutputs()
    for _ in range(19):
        outputs.add(10)
    assert outputs.expected() == 4096
    outputs.add(10)
    assert outputs.expected() == 10


def test_of_a_hundred_outputs_five_are_longer() -> None:
    outputs = RecentOutputs()
    for tokens in range(1, 101):
        outputs.add(tokens)
    assert outputs.expected() == 95


@given(st.lists(st.integers(0, 1000), min_size=20, max_size=1100))
def test_the_last_outputs_count(lengths: list[int]) -> None:
    outputs = RecentOutputs()
    for tokens in lengths:
        outputs.add(tokens)
    recent = sorted(lengths[-500:])
    assert sum(tokens <= outputs.expected() for tokens in recent) >= 0.95 * len(recent)
    assert sum(tokens < outputs.expected() for tokens in recent) < 0.95 * len(recent)


def test_outputs_of_the_past_are_what_is_set_aside() -> None:
    ledger = Ledger(Budget(tokens=10**9))
    assert reserve(ledger, output=None).tokens == 1000 + 4096
    for _ in range(20):
        ledger.settle(reserve(ledger), usage(1000, 70), at=OFF_PEAK)
    assert reserve(ledger, output=None).tokens == 1000 + 70
    assert reserve(ledger, output=50).tokens == 1000 + 50
    assert reserve(ledger, PRO, output=None).tokens == 1000 + 4096, "each model has its own"


# The worst case


def test_the_worst_case_is_the_longest_output() -> None:
    ledger = Ledger(Budget(tokens=10**9, strict=True))
    assert reserve(ledger, output=None).tokens == 1000 + 393_216
    assert reserve(ledger, output=50_000).tokens == 1000 + 50_000
    with pytest.raises(PreflightError, match=r"'m' can be isn't known.*max_tokens"):
        ledger.reserve("m", prompt_tokens=1, max_output=None, at=OFF_PEAK)


PEAK_STARTS: dict[str, tuple[datetime, int, str]] = {
    "long before": (OFF_PEAK, 1000, "0.15"),
    "in it": (PEAK, 1000, "0.3"),
    "just before: it may wait": (BEFORE_PEAK, 1, "0.3"),
    "hours before, but long": (BEFORE_PEAK - timedelta(hours=3), 200_000, "0.3"),
    "hours before, and short": (BEFORE_PEAK - timedelta(hours=3), 1000, "0.15"),
}


@pytest.mark.parametrize(("at", "output", "price"), PEAK_STARTS.values(), ids=PEAK_STARTS)
def test_the_worst_case_has_the_dearest_price_until_its_end(
    at: datetime, output: int, price: str
) -> None:
    ledger = Ledger(Budget(usd=100, strict=True))
    one = reserve(ledger, prompt=MILLION, output=output, at=at)
    two = reserve(ledger, prompt=0, output=output, at=at)
    assert one.usd is not None
    assert two.usd is not None
    assert one.usd - two.usd == Decimal(price)


def test_the_worst_case_takes_hits_for_misses_where_those_are_dearer() -> None:
    price = Price(BEFORE_PEAK, Decimal(3), Decimal(1), Decimal(0))
    table = PriceTable({"USD": {"m": [price]}})
    strict = Ledger(Budget(usd=100, strict=True), prices=table)
    assert reserve(strict, "m", prompt=MILLION).usd == 3
    assert reserve(Ledger(Budget(usd=100), prices=table), "m", prompt=MILLION).usd == 1


MAX_PROMPT, MAX_OUTPUT = 50_000, 8192


@given(
    st.data(),
    st.decimals(Decimal("0.0001"), 5, places=4),
    st.sampled_from([OFF_PEAK, PEAK, BEFORE_PEAK]),
)
def test_a_strict_limit_is_never_passed(data: st.DataObject, limit: Decimal, at: datetime) -> None:
    ledger = Ledger(Budget(usd=limit, strict=True))
    open_: list[tuple[Reservation, int, int, datetime]] = []
    for _ in range(data.draw(st.integers(1, 60))):
        at += timedelta(seconds=data.draw(st.integers(0, 90)))
        settles: bool = data.draw(st.booleans())
        if open_ and settles:
            reservation, prompt, output, sent = open_.pop(data.draw(st.integers(0, len(open_) - 1)))
            end = data.draw(st.sampled_from(["answer", "cut", "refused"]))
            told = None
            if end == "answer":
                hit = data.draw(st.integers(0, prompt))
                told = usage(prompt, data.draw(st.integers(0, output)), hit)
            # Charged by a moment at which it was under way.
            when = min(at, sent + timedelta(seconds=600))
            ledger.settle(reservation, told, at=when, may_be_billed=end == "cut")
        else:
            prompt = data.draw(st.integers(0, MAX_PROMPT))
            output = data.draw(st.integers(1, MAX_OUTPUT))
            made = ledger.reserve(FLASH, prompt_tokens=prompt, max_output=output, at=at)
            if made is not None:
                open_.append((made, prompt, output, at))
        assert ledger.spent_usd + ledger.reserved_usd <= limit
    for reservation, *_ in open_:
        ledger.settle(reservation, None, at=at)
    assert ledger.reserved_usd == ledger.reserved_tokens == 0
    assert ledger.spent_usd <= limit


@pytest.mark.parametrize("at", [OFF_PEAK, BEFORE_PEAK])
def test_a_strict_limit_holds_with_2500_requests_under_way(at: datetime) -> None:
    # The worst case of one is 0.0015 dollars, at peak 0.003: some 2,500 fit.
    limit = Decimal("3.75") if at is OFF_PEAK else Decimal("7.5")
    ledger = Ledger(Budget(usd=limit, strict=True))
    open_: list[Reservation] = []
    while True:
        made = ledger.reserve(FLASH, prompt_tokens=2000, max_output=2000, at=at)
        if made is None:
            break
        open_.append(made)
    assert len(open_) == 2500
    for reservation in open_:
        ledger.settle(reservation, usage(2000, 2000), at=at + timedelta(minutes=8))
    assert ledger.spent_usd == limit
    assert ledger.reserve(FLASH, prompt_tokens=1, max_output=1, at=at) is None
    assert ledger.exhausted


def test_a_limit_that_is_not_strict_is_passed_by_what_outputs_exceed_the_usual_ones() -> None:
    ledger = Ledger(Budget(usd=1))
    for _ in range(20):
        ledger.settle(reserve(ledger), usage(1000, 100), at=OFF_PEAK)
    open_: list[Reservation] = []
    while (
        made := ledger.reserve(FLASH, prompt_tokens=1000, max_output=None, at=OFF_PEAK)
    ) is not None:
        open_.append(made)
    assert ledger.spent_usd + ledger.reserved_usd > Decimal("0.999")
    for reservation in open_:
        ledger.settle(reservation, usage(1000, 100), at=OFF_PEAK)
    assert Decimal("0.999") < ledger.spent_usd <= 1


# Prices in a while


def test_a_tariff_says_the_same_as_the_table() -> None:
    tariff = Tariff(PRICES, FLASH)
    for hours in [*range(300), 5000, 10, *range(400, 420)]:
        at = OFF_PEAK + timedelta(hours=hours, minutes=hours % 60)
        assert tariff.at(at) == PRICES.rates(FLASH, at)


def test_a_tariff_forgets_the_past() -> None:
    tariff = Tariff(PRICES, FLASH)
    periods = list(tariff.periods(OFF_PEAK, OFF_PEAK + timedelta(days=100)))
    assert len(periods) > 400
    assert all(one.end == two.start for one, two in pairwise(periods))
    assert periods[0] == tariff.period(OFF_PEAK)


def test_the_dearest_of_each_price() -> None:
    day = timedelta(days=1)
    prices = [
        Price(OFF_PEAK, Decimal(1), Decimal(5), Decimal(7)),
        Price(OFF_PEAK + day, Decimal(2), Decimal(4), Decimal(8), until=OFF_PEAK + 2 * day),
    ]
    tariff = Tariff(PriceTable({"USD": {"m": prices}}), "m")
    one = Rates(Decimal(1), Decimal(5), Decimal(7))
    both = Rates(Decimal(2), Decimal(5), Decimal(8))
    assert tariff.dearest(OFF_PEAK, OFF_PEAK + day / 2) == one
    assert tariff.dearest(OFF_PEAK, OFF_PEAK + day) == both
    assert tariff.dearest(OFF_PEAK, OFF_PEAK + 3 * day) == both
    assert tariff.dearest(OFF_PEAK + 2 * day, OFF_PEAK + 3 * day) is None
    assert tariff.dearest(OFF_PEAK - 2 * day, OFF_PEAK - day) is None
    assert Tariff(NOTHING, "m").dearest(OFF_PEAK, OFF_PEAK + day) is None
    later = PriceTable({"USD": {"m": prices}, "CNY": {"m": [Price(PEAK, *one)]}})
    assert Tariff(later, "m").dearest(PEAK - day, PEAK + day / 24) is None


# Sizes

CHAT: dict[str, Any] = {
    "model": FLASH,
    "messages": [
        {"role": "system", "content": "You are terse."},
        {"role": "user", "content": "Weather in 杭州?"},
    ],
}
FIM = {"model": FLASH, "prompt": "def f(", "suffix": "return 1"}


def test_a_prompt_is_expected_as_estimated() -> None:
    assert request_size(CHAT).prompt_tokens == estimate_tokens(CHAT["messages"])
    tools = [{"type": "function", "function": {"name": "f"}}]
    with_tools = {**CHAT, "tools": tools}
    assert request_size(with_tools).prompt_tokens == estimate_tokens(CHAT["messages"], tools=tools)
    assert request_size(FIM).prompt_tokens == estimate_tokens("def f(") + estimate_tokens(
        "return 1"
    )


@pytest.mark.parametrize(
    "body",
    [
        {"messages": 5},
        {"messages": [5, None, "x"]},
        {"messages": [{"content": {"text": "x"}}]},
        {"messages": [{"content": ["x", {"image_url": 7}, {"image_url": {"url": None}}]}]},
        {"messages": [], "tools": 5},
        {"messages": [{"tool_calls": 5}]},
        {"prompt": ["x"]},
        {"messages": [{"content": object()}], "model": ["x"]},
        {"max_tokens": "many", "n": "two"},
        {"messages": [{"role": "user", "content": "half a character: \ud800"}]},
        {},
    ],
)
def test_what_cannot_be_sent_has_a_size_too(body: dict[str, Any]) -> None:
    expected = request_size(body)
    assert expected.prompt_tokens >= 0
    assert expected.max_output is None
    assert request_size(body, worst=True).prompt_tokens >= expected.prompt_tokens


@given(st.lists(st.text(max_size=200), min_size=1, max_size=5))
def test_no_prompt_has_more_tokens_than_bytes(texts: list[str]) -> None:
    body = {**CHAT, "messages": [{"role": "user", "content": text} for text in texts]}
    size = request_size(body, worst=True).prompt_tokens
    assert size > sum(len(text.encode("utf-8", "replace")) for text in texts)
    assert size >= request_size(body).prompt_tokens


def test_an_image_counts_by_its_area() -> None:
    url = "data:image/png;base64," + "A" * 1_000_000
    parts: list[Any] = [
        {"type": "image_url", "image_url": {"url": url}},
        {"type": "text", "text": "?"},
    ]
    body = {**CHAT, "messages": [{"role": "user", "content": parts}]}
    assert request_size(body, worst=True).prompt_tokens < 2000
    parts[0]["image_url"] = url
    assert request_size(body, worst=True).prompt_tokens < 2000


OUTPUTS: dict[str, tuple[dict[str, Any], int | None]] = {
    "given": ({**CHAT, "max_tokens": 100}, 100),
    "under the other name": ({**CHAT, "max_completion_tokens": 100}, 100),
    "under both": ({**CHAT, "max_tokens": 5, "max_completion_tokens": 100}, 100),
    "as something extra": ({**CHAT, "max_tokens": 5, "extra_body": {"max_tokens": 100}}, 100),
    "continued twice": ({**CHAT, "max_tokens": 100, "auto_continue": 1, "resume": 1}, 300),
    "never continued": ({**CHAT, "max_tokens": 100, "auto_continue": 0, "resume": None}, 100),
    "not given": (CHAT, OUTPUT_CEILINGS[FLASH]),
    "null": ({**CHAT, "max_tokens": None}, OUTPUT_CEILINGS[FLASH]),
    "below 1": ({**CHAT, "max_tokens": 0}, OUTPUT_CEILINGS[FLASH]),
    "FIM": (FIM, FIM_OUTPUT_CEILING),
    "several answers": ({**CHAT, "max_tokens": 100, "n": 3}, 300),
    "one answer": ({**CHAT, "max_tokens": 100, "n": 1}, 100),
    "another model": ({**CHAT, "model": "qwen"}, None),
}


@pytest.mark.parametrize(("body", "most"), OUTPUTS.values(), ids=OUTPUTS)
def test_the_longest_output(body: dict[str, Any], most: int | None) -> None:
    assert request_size(body).max_output == most


def test_an_answer_of_several_requests_is_in_the_prompts_of_the_later_ones() -> None:
    body = {**CHAT, "max_tokens": 100}
    one = request_size(body, worst=True)
    assert request_size(body, worst=True, requests=3) == (3 * one.prompt_tokens + 300, 300)
    assert request_size(body, requests=3) == (request_size(body).prompt_tokens, 300)
    # `auto_continue` adds some 20 bytes.
    continued = request_size({**body, "auto_continue": 2}, worst=True)
    assert continued.prompt_tokens - (3 * one.prompt_tokens + 300) in range(100)
    assert continued.max_output == 300


def test_times_are_compared_across_zones() -> None:
    ledger = Ledger(Budget(usd=1))
    reservation = reserve(ledger, prompt=MILLION, output=1, at=PEAK.astimezone(UTC))
    assert reservation.usd == Decimal("0.3000012")
