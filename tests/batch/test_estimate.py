"""`batch.estimate`: what a batch will take, before it is sent."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepseek_async.batch.estimate import (
    OUTPUT_TOKENS,
    UNKNOWN_CEILING,
    BatchEstimator,
    CostRange,
    estimate_batch,
)
from deepseek_async.batch.shared_prefixes import SharedPrefixes
from deepseek_async.errors import PreflightError
from deepseek_async.pricing import BEIJING, PriceTable
from deepseek_async.tokens import estimate_tokens

FLASH, PRO = "deepseek-flash", "deepseek-v4-pro"
NOW = datetime(2026, 11, 20, 20, tzinfo=BEIJING)
DOCUMENT = "All happy families are alike. " * 400
MILLION = 1_000_000


def chat(question: str, *, system: str = "", model: str | None = FLASH, **more: Any) -> Any:
    messages = [{"role": "system", "content": system}, {"role": "user", "content": question}]
    named = {} if model is None else {"model": model}
    return {**named, "messages": messages[not system :], **more}


def test_requests_that_share_nothing_have_one_cost() -> None:
    bodies = [chat(f"{number} is a number") for number in range(10)]
    found = estimate_batch(bodies, at=NOW)
    prompt = sum(estimate_tokens(body["messages"]) for body in bodies)
    assert (found.items, found.models, found.invalid) == (10, {FLASH: 10}, 0)
    assert (found.prompt_tokens, found.shared_tokens) == (prompt, 0)
    assert (found.output_tokens, found.most_output_tokens) == (10 * OUTPUT_TOKENS, None)
    cost = (prompt * Decimal("0.15") + 10 * OUTPUT_TOKENS * Decimal("0.60")) / MILLION
    assert found.off_peak == CostRange(cost, cost)
    assert found.peak == CostRange(2 * cost, 2 * cost)
    assert (found.most_usd, found.unpriced) == (None, 0)


def test_what_two_requests_began_with_is_in_the_cache_for_the_third() -> None:
    def shared(count: int) -> float:
        found = estimate_batch((chat(f"{n}?", system=DOCUMENT) for n in range(count)), at=NOW)
        return found.shared_tokens / found.prompt_tokens

    assert [shared(count) for count in (1, 2)] == [0, 0]
    assert shared(3) == pytest.approx(1 / 3, abs=0.01)
    assert shared(100) == pytest.approx(0.98, abs=0.01)
    found = estimate_batch((chat(f"{n}?", system=DOCUMENT) for n in range(100)), at=NOW)
    assert found.off_peak is not None
    saved = found.shared_tokens * (Decimal("0.15") - Decimal("0.003")) / MILLION
    assert found.off_peak.high - found.off_peak.low == saved


def test_the_beginning_of_a_long_message_is_shared_too() -> None:
    found = estimate_batch(chat(DOCUMENT + f"{n}?") for n in range(100))
    assert found.shared_tokens / found.prompt_tokens == pytest.approx(0.9, abs=0.1)


NOT_SHARED: dict[str, list[Any]] = {
    "short beginnings": [chat(f"{n}?", system="Be brief.") for n in range(20)],
    "differences at the begin": [chat(DOCUMENT, system=f"It is {n} o'clock.") for n in range(20)],
    "other users": [chat(DOCUMENT, user_id=str(n)) for n in range(20)],
    "other settings only": [chat("?", response_format={"type": "x" * 5000}) for _ in range(20)],
    "no prompt": [{"model": FLASH}] * 20,
}


@pytest.mark.parametrize("bodies", NOT_SHARED.values(), ids=NOT_SHARED)
def test_there_is_no_cache_for(bodies: list[Any]) -> None:
    assert estimate_batch(bodies).shared_tokens == 0


def test_fim_shares_its_prompt() -> None:
    bodies = [{"model": FLASH, "prompt": DOCUMENT, "suffix": f"{n}"} for n in range(10)]
    found = estimate_batch(bodies)
    assert found.shared_tokens / found.prompt_tokens == pytest.approx(0.8, abs=0.01)


def test_max_tokens_bounds_the_outputs() -> None:
    bodies = [chat("?", max_tokens=100), chat("?", max_completion_tokens=5000)]
    found = estimate_batch(bodies, output_tokens=800, at=NOW)
    assert found.output_tokens == 900
    assert found.most_output_tokens == 5100
    prompt = 2 * Decimal("0.15") * found.prompt_tokens / MILLION
    assert found.most_usd == prompt + 5100 * Decimal("1.20") / MILLION
    assert estimate_batch([*bodies, chat("?")]).most_output_tokens is None
    assert estimate_batch([chat("?"), *bodies]).most_output_tokens is None


def test_unknown_models_have_no_price() -> None:
    found = estimate_batch([chat("?"), chat("?", model="qwen"), chat("?", model=None)], at=NOW)
    assert found.models == {FLASH: 1, "qwen": 1, "": 1}
    assert found.unpriced == 2
    assert found.most_usd is None
    assert found.off_peak == estimate_batch([chat("?")], at=NOW).off_peak
    nothing = estimate_batch([chat("?", max_tokens=5)], prices=PriceTable({}), at=NOW)
    assert (nothing.off_peak, nothing.peak, nothing.most_usd) == (None, None, None)


def test_requests_without_a_model_go_to_that_of_the_job() -> None:
    bodies = [chat("?", model=None), chat("?", model=PRO)]
    assert estimate_batch(bodies, model=FLASH).models == {FLASH: 1, PRO: 1}


def many(count: int, model: str = FLASH) -> Iterable[Any]:
    return (chat("?", model=model) for _ in range(count))


TIMES: dict[str, tuple[Iterable[Any], int | None, int, float]] = {
    # bodies, concurrency, requests at once, seconds; an output takes 21 s.
    "one request": (many(1), None, 1, 21),
    "all at once": (many(50), None, 50, 21),
    "half at once": (many(100), 50, 50, 42),
    "never more than the server takes": (many(6000, PRO), 4000, 500, 252),
    "a host of which nothing is known": (many(300, "qwen"), None, UNKNOWN_CEILING, 63),
    "a host that takes much": (many(300, "qwen"), 150, 150, 42),
    "models side by side": ([*many(1000), *many(1000, PRO)], None, 1500, 42),
    "nothing": ([], None, 0, 0),
}


@pytest.mark.parametrize(("bodies", "given_", "at_once", "seconds"), TIMES.values(), ids=TIMES)
def test_how_long_it_takes(
    bodies: Iterable[Any], given_: int | None, at_once: int, seconds: float
) -> None:
    found = estimate_batch(bodies, concurrency=given_)
    assert found.concurrency == at_once
    assert found.seconds == pytest.approx(seconds)


def test_it_reads_well() -> None:
    estimator = BatchEstimator(output_tokens=500, at=NOW)
    for number in range(1000):
        estimator.add(chat(f"{number}?", system=DOCUMENT, max_tokens=1000))
    estimator.add_invalid()
    assert str(estimator.estimate()) == (
        "requests: 1,000 to deepseek-flash; 1 more can't be sent\n"
        "prompts: about 3.61M tokens, of which up to 100% may come from the cache\n"
        "outputs: 500k tokens if 500 each on average, at most 1M\n"
        "cost: $0.312 to $0.841 off-peak, $0.625 to $1.68 at peak; at most $2.28\n"
        "time: about 11 s, 1,000 at once"
    )


def test_it_reads_well_without_prices() -> None:
    found = estimate_batch([chat("Hello there", model="qwen"), chat("?", model=None)])
    assert str(found) == (
        "requests: 1 to qwen, 1 to no model\n"
        "prompts: about 13 tokens\n"
        "outputs: 2k tokens if 1,000 each on average\n"
        "cost of 2 requests: no price is known\n"
        "time: about 21 s, 2 at once"
    )
    assert str(estimate_batch([])) == "requests: none"


def test_models_without_a_peak_have_one_cost() -> None:
    before = datetime(2026, 7, 1, tzinfo=BEIJING)
    found = estimate_batch([chat("?", model="deepseek-chat")], at=before)
    assert "cost: $0.000281\n" in str(found)


@pytest.mark.parametrize("name", ["output_tokens", "concurrency"])
def test_wrong_assumptions_are_refused(name: str) -> None:
    numbers: dict[str, Any] = {name: 0}
    with pytest.raises(PreflightError, match=f"{name} must be above 0, got 0"):
        estimate_batch([], **numbers)
    with pytest.raises(ValueError, match="tzinfo"):
        BatchEstimator(at=NOW.replace(tzinfo=None))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3000)), max_size=12))
def test_a_share_is_what_two_prompts_before_began_with(prompts: list[tuple[int, int]]) -> None:
    texts = [str(kind) * length for kind, length in prompts]
    prefixes = SharedPrefixes()
    for number, text in enumerate(texts):
        share = prefixes.add({"prompt": text})
        in_common = sorted(
            (len(text) if other == text else common(text, other)) for other in texts[:number]
        )
        best = in_common[-2] if len(in_common) >= 2 else 0
        assert 0 <= share <= 1
        assert share * (len(text) + 3) <= best + 3


def common(one: str, other: str) -> int:
    return next(
        (n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b),
        min(len(one), len(other)),
    )


def test_memory_is_bounded() -> None:
    prefixes = SharedPrefixes(100)
    shared = "x" * 2000
    for number in range(500):
        assert prefixes.add({"prompt": f"{number}" + shared}) == 0
    assert [prefixes.add({"prompt": shared}) > 0.9 for _ in range(4)] == [False, False, True, True]
    # When beginnings that many share fill it, no further ones are taken in.
    for number in range(200):
        for _ in range(2):
            prefixes.add({"prompt": f"{number}" + shared})
    assert prefixes.add({"prompt": shared}) > 0.9
    assert [prefixes.add({"prompt": "y" * 2000}) for _ in range(4)] == [0, 0, 0, 0]
