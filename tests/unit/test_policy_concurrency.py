"""`policy.concurrency`: the limit falls when the server says so, and comes back."""

import pytest

from deepseek_async.policy.concurrency import RECOVERY, ConcurrencyLimit


def test_a_limit_starts_at_its_ceiling() -> None:
    assert ConcurrencyLimit(500).limit(0.0) == 500


REFUSALS = {
    "the limit that the server stated": (40, 39, 39),
    "three quarters of what was under way": (40, None, 30),
    "at least one": (1, None, 1),
    "at least one, whatever the server says": (5, 0, 1),
    "never above the ceiling": (40, 9999, 500),
}


@pytest.mark.parametrize(("active", "stated", "limit"), REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_lowers_the_limit_to(active: int, stated: int | None, limit: int) -> None:
    concurrency = ConcurrencyLimit(500)
    concurrency.refused(1000.0, active, stated)
    assert concurrency.limit(1000.0) == limit


def test_refusals_in_a_row_do_not_raise_the_limit() -> None:
    concurrency = ConcurrencyLimit(500)
    concurrency.refused(1000.0, 40, 20)
    concurrency.refused(1000.0, 400, None)
    assert concurrency.limit(1000.0) == 20


@pytest.mark.parametrize(("doublings", "limit"), [(0, 10), (1, 20), (2, 40), (3.5, 113), (5, 320)])
def test_a_lowered_limit_doubles_with_each_period(doublings: float, limit: int) -> None:
    concurrency = ConcurrencyLimit(500)
    concurrency.refused(1000.0, 40, 10)
    assert concurrency.limit(1000.0 + doublings * RECOVERY) == limit


@pytest.mark.parametrize("doublings", [6, 1e6])
def test_a_lowered_limit_comes_back_to_the_ceiling(doublings: float) -> None:
    concurrency = ConcurrencyLimit(500)
    concurrency.refused(1000.0, 40, 10)
    assert concurrency.limit(1000.0 + doublings * RECOVERY) == 500
    # It stays there: to have come back is not undone by an earlier time.
    assert concurrency.limit(1000.0) == 500


def test_a_clock_that_goes_backwards_does_not_lower_the_limit() -> None:
    concurrency = ConcurrencyLimit(500)
    concurrency.refused(1000.0, 40, 10)
    assert concurrency.limit(0.0) == 10
