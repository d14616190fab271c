"""`lanes`: jobs share what calls leave, by weight; nothing is taken twice or lost."""

import asyncio
import gc
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from deepseek_async.errors import ConcurrencyLimitError
from deepseek_async.gate import Gates, HeldPlaces
from deepseek_async.lanes import Lane
from deepseek_async.policy.adaptive import Outcome

MODEL = "flash"
OK = Outcome("ok", 0.0)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that lanes see."""
    now = [1000.0]
    # Theirs alone: the event loop needs the real one.
    monkeypatch.setattr("deepseek_async.lanes.time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def gates_of(ceiling: int) -> Gates:
    return Gates("auto", {MODEL: ceiling}, 10_000)


def nothing() -> None:
    return None


def lane_of(
    gates: Gates,
    wake: Callable[[], None] = nothing,
    *,
    weight: float = 1.0,
    most: int | None = None,
) -> Lane:
    return gates.lane(MODEL, wake, at_once=1000, most=most, weight=weight)


def take_all(lane: Lane) -> int:
    count = 0
    while lane.take() is not None:
        count += 1
    return count


def test_a_lone_job_takes_every_place_up_to_the_ceiling(clock: list[float]) -> None:
    lane = lane_of(gates_of(7))
    assert take_all(lane) == 7
    assert lane.in_flight == 7
    lane.end(OK)
    assert take_all(lane) == 1


def test_a_job_keeps_its_own_limit(clock: list[float]) -> None:
    lane = lane_of(gates_of(7), most=3)
    assert take_all(lane) == 3
    # Its own next end is when to ask again: it need not be told.
    assert not lane.waiting


def test_a_job_begins_slowly_where_nothing_is_known(clock: list[float]) -> None:
    lane = gates_of(2500).lane(MODEL, nothing)
    assert take_all(lane) == 16


async def test_calls_come_before_jobs(clock: list[float]) -> None:
    gates = gates_of(3)
    lane = lane_of(gates)
    assert take_all(lane) == 3
    waiting = asyncio.create_task(gates.acquire(MODEL))
    await asyncio.sleep(0)
    lane.end(OK)
    assert lane.take() is None
    slot = await asyncio.wait_for(waiting, 5)
    slot.release()
    # One of the three is kept for calls for a while.
    assert lane.take() is None
    clock[0] += 61
    assert lane.take() is not None


async def test_places_are_kept_free_for_a_while_after_a_call(clock: list[float]) -> None:
    gates = gates_of(20)
    lane = lane_of(gates)
    (await gates.acquire(MODEL)).release()
    # A tenth of 20.
    assert take_all(lane) == 18
    slot = await gates.acquire(MODEL)
    lane.end(OK)
    # One of the two that were kept is used by a call.
    assert take_all(lane) == 1
    slot.release()
    clock[0] += 61
    assert take_all(lane) == 2


async def test_a_call_counts_until_it_ends_even_if_it_is_dropped(clock: list[float]) -> None:
    gates = gates_of(3)
    lane = lane_of(gates)
    slot = await gates.acquire(MODEL)
    clock[0] += 61
    assert take_all(lane) == 2
    del slot
    gc.collect()
    assert take_all(lane) == 1


async def test_a_refused_call_lowers_the_limit_of_jobs(clock: list[float]) -> None:
    gates = gates_of(1000)
    lane = lane_of(gates)
    slot = gates.acquire_now(MODEL)
    assert slot is not None
    error = ConcurrencyLimitError("...", status_code=429)
    error.limit, error.current = 10, 11
    slot.refused(error)
    slot.release()
    assert lane.control.limit <= 10
    lane.tick()
    assert lane.control.in_flight == 0


def test_jobs_are_told_of_places_in_the_order_of_their_shares(clock: list[float]) -> None:
    gates = gates_of(8)
    told: list[str] = []
    light = lane_of(gates, lambda: told.append("light"))
    heavy = lane_of(gates, lambda: told.append("heavy"), weight=3.0)
    assert take_all(light) == 8
    assert heavy.take() is None
    for _ in range(6):
        clock[0] += 10
        light.end(OK)
        assert told.pop() == "heavy"
        # The other one has not come yet, and is waited for.
        assert light.take() is None
        assert heavy.take() is not None
        assert heavy.take() is None
    assert (light.in_flight, heavy.in_flight) == (2, 6)
    clock[0] += 10
    heavy.end(OK)
    assert heavy.take() is not None


def test_a_job_that_does_not_come_loses_its_turn(clock: list[float]) -> None:
    gates = gates_of(2)
    first = lane_of(gates)
    second = lane_of(gates)
    assert take_all(first) == 2
    assert second.take() is None
    clock[0] += 10
    first.end(OK)
    assert first.take() is None
    clock[0] += 1
    assert first.take() is not None


def test_a_closed_lane_is_waited_for_no_more(clock: list[float]) -> None:
    gates = gates_of(2)
    first = lane_of(gates)
    second = lane_of(gates)
    assert take_all(first) == 2
    assert second.take() is None
    second.close()
    second.close()
    first.end(OK)
    assert first.take() is not None


def test_what_is_under_way_when_a_lane_closes_is_given_back_later(clock: list[float]) -> None:
    gates = gates_of(1)
    told: list[str] = []
    first = lane_of(gates)
    second = lane_of(gates, lambda: told.append("second"))
    assert first.take() is not None
    assert second.take() is None
    first.close()
    clock[0] += 10
    first.end(OK)
    assert told
    assert second.take() is not None


def test_jobs_tick_one_limit_together(clock: list[float]) -> None:
    gates = gates_of(100)
    first, second = gates.lane(MODEL, nothing), gates.lane(MODEL, nothing)
    assert first.control is second.control
    for _ in range(40):
        clock[0] += 0.25
        while first.take() is not None:
            clock[0] += 0.0001
        first.tick()
        second.tick()
        while first.in_flight:
            first.end(Outcome("ok", clock[0] - 0.2))
    assert first.control.limit > 16


def test_a_number_limits_the_jobs_of_all_models_together(clock: list[float]) -> None:
    gates = Gates(5, {}, 10_000)
    lanes = [gates.lane(model, nothing, at_once=100) for model in ("a", "b")]
    assert sum(map(take_all, lanes)) == 5


async def test_the_places_of_items_are_held_by_their_job() -> None:
    held = HeldPlaces()
    assert held.acquire_now(MODEL) is held
    assert await held.acquire(MODEL) is held
    held.refused(ConcurrencyLimitError("...", status_code=429))
    held.release()
