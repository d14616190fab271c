"""`policy.adaptive` in simulated time: how much of a hidden limit is used, and what is wasted.

The scenarios and their goals are those of ``batch.md`` 3.3; the figures of a run are printed by
``python -m benchmarks.bench_concurrency``. Seeds are fixed, so that nothing comes out by chance.
Nearly each runs twice: with streamed samples, and driven by the limit alone.
"""

from __future__ import annotations

from statistics import mean

import pytest

from tests.unit.concurrency_sim import (
    TABLE,
    Scenario,
    always,
    constant,
    hold_out,
    simulate,
    steps,
    storms,
)

BOTH = pytest.mark.parametrize("samples", [True, False], ids=["samples", "limit-alone"])


@BOTH
def test_s1_a_constant_limit(samples: bool) -> None:
    result = simulate(TABLE["s1"], samples=samples)
    assert result.utilisation >= 96
    assert result.waste <= 0.5
    assert result.seconds_until_busy(450) <= 30


@BOTH
def test_s2_a_limit_that_falls_and_comes_back(samples: bool) -> None:
    result = simulate(TABLE["s2"], samples=samples)
    assert result.utilisation >= 94
    assert result.rejected_between(600, 660) <= 100
    assert result.seconds_until_busy(360, since=1200) <= 60


@BOTH
def test_s3_a_limit_that_shrinks_with_the_balance(samples: bool) -> None:
    result = simulate(TABLE["s3"], samples=samples)
    assert result.utilisation >= 94
    assert result.waste <= 2.5


@pytest.mark.parametrize("name", ["s4", "s4b"])
@BOTH
def test_s4_a_server_that_queues(name: str, samples: bool) -> None:
    result = simulate(TABLE[name], samples=samples)
    assert result.utilisation >= 99
    assert result.dropped == 0


def test_s5_a_limit_that_moves_at_random() -> None:
    results = [simulate(TABLE[f"s5 walk {seed}"]) for seed in (1, 2, 3)]
    assert mean(result.utilisation for result in results) >= 87
    assert mean(result.waste for result in results) <= 4


def test_s6_two_clients() -> None:
    result = simulate(TABLE["s6"])
    assert result.utilisation >= 95
    assert result.fairness(900, 3000) >= 0.95


def test_s6b_four_clients() -> None:
    result = simulate(TABLE["s6b"])
    assert result.utilisation >= 95
    assert result.fairness(1200, 3000) >= 0.95


@BOTH
def test_s7_a_limit_below_the_start(samples: bool) -> None:
    result = simulate(TABLE["s7"], samples=samples)
    assert result.utilisation >= 97
    assert result.rejects / 900 <= 0.5


@BOTH
def test_s8_storms(samples: bool) -> None:
    result = simulate(TABLE["s8"], samples=samples)
    assert result.utilisation >= 88
    assert result.waste <= 4


@BOTH
def test_s9_answers_of_minutes(samples: bool) -> None:
    result = simulate(TABLE["s9"], samples=samples)
    assert result.utilisation >= 96


def test_a_server_that_is_down_is_left_alone_until_it_is_back() -> None:
    down = Scenario(constant(100), 300, faults=storms(1.0, every=100, seconds=60))
    result = simulate(down)
    # Two probes a second, what was under way as it began, and no more.
    assert result.failed < 2 * 120 + 200


@BOTH
def test_answers_of_a_third_of_a_second(samples: bool) -> None:
    """The limit is found, and found again, in about ten times as long as an answer takes."""
    quick = Scenario(
        steps((0, 400), (5, 80), (30, 400)), 37, tokens=15, sigma=0.3, faults=always(0.01),
        round_trip=0.01,
    )  # fmt: skip
    result = simulate(quick, samples=samples)
    assert result.utilisation >= 78
    assert result.waste <= 4
    assert result.seconds_until_busy(360) <= 3
    assert result.seconds_until_busy(360, since=30) <= 3


@BOTH
def test_the_hold_out_set(samples: bool) -> None:
    """Regimes that the controller was not made with."""
    results = [simulate(scenario, samples=samples) for scenario in hold_out().values()]
    assert len(results) >= 14
    assert mean(result.utilisation for result in results) >= 90
    assert sum(result.dropped for result in results) == 0
