"""`gate`: slots are handed out in order, over loops and threads, and never lost or doubled."""

import asyncio
import gc
import os
import threading
import warnings
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest

from deepseek_async.errors import ConcurrencyLimitError
from deepseek_async.gate import Gate, Gates, Slot
from deepseek_async.policy.concurrency import ConcurrencyLimit

T = TypeVar("T")

# Only a hang gets here.
GUARD = 30.0


def gate_of(limit: int) -> Gate:
    return Gate(lambda: limit)


async def settle() -> None:
    """Let every task run until it waits."""
    for _ in range(10):
        await asyncio.sleep(0)


async def waiting(gate: Gate) -> "asyncio.Task[None]":
    """Return a task that has come to wait for a slot."""
    task = asyncio.create_task(gate.acquire())
    await settle()
    assert not task.done()
    return task


class LoopThread:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()

    def start(self, coro: Coroutine[Any, Any, T]) -> "Future[T]":
        return asyncio.run_coroutine_threadsafe(coro, self.loop)

    def run(self, coro: Coroutine[Any, Any, T]) -> T:
        return self.start(coro).result(GUARD)

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(GUARD)
        self.loop.close()


@contextmanager
def loop_threads(count: int) -> Iterator[list[LoopThread]]:
    threads = [LoopThread() for _ in range(count)]
    try:
        yield threads
    finally:
        for thread in threads:
            thread.stop()


async def test_slots_are_taken_at_once_up_to_the_limit() -> None:
    gate = gate_of(2)
    await gate.acquire()
    await gate.acquire()
    assert gate.active == 2


async def test_beyond_the_limit_one_waits_for_a_slot() -> None:
    gate = gate_of(1)
    await gate.acquire()
    task = await waiting(gate)
    gate.release()
    await task
    assert gate.active == 1


async def test_a_slot_given_back_is_free() -> None:
    gate = gate_of(1)
    await gate.acquire()
    gate.release()
    assert gate.active == 0
    await gate.acquire()


async def test_the_first_to_come_is_the_first_served() -> None:
    gate = gate_of(1)
    await gate.acquire()
    order: list[int] = []

    async def take(number: int) -> None:
        await gate.acquire()
        order.append(number)
        gate.release()

    tasks = [asyncio.create_task(take(number)) for number in range(20)]
    await settle()
    gate.release()
    await asyncio.gather(*tasks)
    assert order == list(range(20))
    assert gate.active == 0


async def test_nobody_overtakes_those_who_wait() -> None:
    gate = gate_of(1)
    await gate.acquire()
    first = await waiting(gate)
    gate.release()
    # The slot belongs to `first`, which has not run yet.
    late = asyncio.create_task(gate.acquire())
    await settle()
    assert first.done()
    assert not late.done()
    gate.release()
    await late


def test_the_order_holds_over_two_loops() -> None:
    gate = gate_of(1)
    order: list[int] = []

    async def take(number: int) -> None:
        await gate.acquire()
        order.append(number)
        gate.release()

    async def begin(number: int) -> "asyncio.Task[None]":
        task = asyncio.create_task(take(number))
        await settle()
        return task

    async def end(task: "asyncio.Task[None]") -> None:
        await task

    with loop_threads(2) as threads:
        threads[0].run(gate.acquire())
        tasks = [(threads[i % 2], threads[i % 2].run(begin(i))) for i in range(20)]
        gate.release()
        for thread, task in tasks:
            thread.run(end(task))
    assert order == list(range(20))
    assert gate.active == 0


def test_two_loops_together_stay_below_the_limit() -> None:
    gate = gate_of(3)
    seen: list[int] = []

    async def take() -> None:
        await gate.acquire()
        seen.append(gate.active)
        await asyncio.sleep(0)
        gate.release()

    async def many() -> None:
        await asyncio.gather(*(take() for _ in range(300)))

    with loop_threads(2) as threads:
        for future in [thread.start(many()) for thread in threads]:
            future.result(GUARD)
    assert max(seen) <= 3
    assert len(seen) == 600
    assert gate.active == 0


def test_a_slot_may_be_given_back_from_another_thread() -> None:
    gate = gate_of(1)
    with loop_threads(1) as (thread,):
        thread.run(gate.acquire())
        future = thread.start(gate.acquire())
        thread.run(settle())
        other = threading.Thread(target=gate.release)
        other.start()
        other.join(GUARD)
        future.result(GUARD)
    assert gate.active == 1


async def test_one_who_is_cancelled_while_waiting_loses_the_place_alone() -> None:
    gate = gate_of(1)
    await gate.acquire()
    first, second, third = [await waiting(gate) for _ in range(3)]
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    gate.release()
    await first
    gate.release()
    await third
    assert gate.active == 1


async def test_one_who_is_cancelled_in_the_moment_of_the_grant_hands_the_slot_on() -> None:
    gate = gate_of(1)
    await gate.acquire()
    first, second = [await waiting(gate) for _ in range(2)]
    gate.release()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    await second
    assert gate.active == 1
    gate.release()
    assert gate.active == 0


async def test_a_slot_granted_to_one_who_was_just_cancelled_goes_to_the_next() -> None:
    gate = gate_of(1)
    await gate.acquire()
    first, second = [await waiting(gate) for _ in range(2)]
    first.cancel()
    gate.release()
    with pytest.raises(asyncio.CancelledError):
        await first
    await second
    assert gate.active == 1


async def test_all_who_are_cancelled_leave_the_gate_as_it_was() -> None:
    gate = gate_of(2)
    await gate.acquire()
    await gate.acquire()
    tasks = [await waiting(gate) for _ in range(20)]
    for i, task in enumerate(tasks):
        task.cancel()
        if i == 10:
            gate.release()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in results)
    assert gate.active == 1
    gate.release()
    assert gate.active == 0
    await gate.acquire()


async def test_a_timeout_around_the_wait_ends_it() -> None:
    gate = gate_of(1)
    await gate.acquire()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await gate.acquire()
    gate.release()
    assert gate.active == 0


def begun(gate: Gate) -> tuple[asyncio.AbstractEventLoop, Coroutine[Any, Any, None]]:
    """Return a closed loop and a coroutine of it that still waits at the gate."""
    loop = asyncio.new_event_loop()
    coro = gate.acquire()

    async def begin() -> None:
        # As a task does, but without one that would complain about its end.
        coro.send(None)

    loop.run_until_complete(begin())
    loop.close()
    return loop, coro


async def test_one_whose_loop_was_closed_is_passed_over() -> None:
    gate = gate_of(1)
    await gate.acquire()
    _, lost = await asyncio.to_thread(begun, gate)
    alive = await waiting(gate)
    gate.release()
    await alive
    assert gate.active == 1
    lost.close()
    assert gate.active == 1
    gate.release()
    assert gate.active == 0


async def test_one_whose_loop_was_closed_and_who_is_gone_is_passed_over() -> None:
    gate = gate_of(1)
    await gate.acquire()
    _, lost = await asyncio.to_thread(begun, gate)
    lost.close()
    alive = await waiting(gate)
    gate.release()
    await alive
    assert gate.active == 1


async def test_a_slot_that_nobody_alive_waits_for_is_free() -> None:
    gate = gate_of(1)
    await gate.acquire()
    _, lost = await asyncio.to_thread(begun, gate)
    gate.release()
    assert gate.active == 0
    lost.close()
    assert gate.active == 0
    await gate.acquire()


def futures() -> int:
    """Return how many futures of the running loop there are, tasks aside."""
    gc.collect()
    loop = asyncio.get_running_loop()
    return sum(
        type(each) is asyncio.Future and each.get_loop() is loop for each in gc.get_objects()
    )


async def test_those_who_gave_up_are_forgotten_while_the_gate_stays_shut() -> None:
    gate = gate_of(1)
    await gate.acquire()
    before = futures()
    tasks = [await waiting(gate) for _ in range(20)]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    tasks.clear()
    del task
    last = await waiting(gate)
    # That of `last`, and what pytest may have.
    assert futures() - before < 5
    gate.release()
    await last


async def test_a_limit_that_rose_by_itself_serves_those_who_wait_when_the_next_one_comes() -> None:
    limit = 1
    gate = Gate(lambda: limit)
    await gate.acquire()
    first = await waiting(gate)
    limit = 2
    second = asyncio.create_task(gate.acquire())
    await first
    await settle()
    assert not second.done()
    gate.release()
    await second


async def test_a_limit_that_rose_serves_several_with_one_release() -> None:
    limit = 1
    gate = Gate(lambda: limit)
    await gate.acquire()
    tasks = [await waiting(gate) for _ in range(3)]
    limit = 2
    gate.release()
    await asyncio.gather(*tasks[:2])
    assert not tasks[2].done()
    gate.release()
    await tasks[2]


async def test_a_limit_that_fell_below_what_is_taken_lets_nobody_in() -> None:
    limit = 3
    gate = Gate(lambda: limit)
    for _ in range(3):
        await gate.acquire()
    limit = 1
    task = await waiting(gate)
    gate.release()
    gate.release()
    await settle()
    assert not task.done()
    gate.release()
    await task


async def within_the_lock(action: Callable[[Gate], None]) -> Gate:
    """Do something where a finalizer may strike: while this thread is inside the gate."""
    inside: list[Callable[[Gate], None]] = []

    def limit() -> int:
        if inside:
            inside.pop()(gate)
        return 2

    gate = Gate(limit)
    await gate.acquire()
    await gate.acquire()
    inside.append(action)
    async with asyncio.timeout(GUARD):
        # With a finalizer that waits for the lock, this would hang for good.
        await gate.acquire()
    return gate


async def test_a_slot_may_be_given_back_by_a_finalizer_inside_the_gate() -> None:
    gate = await within_the_lock(Gate.release)
    assert gate.active == 2


async def test_a_slot_may_be_dropped_inside_the_gate() -> None:
    def drop(gate: Gate) -> None:
        Slot(gate, None)

    gate = await within_the_lock(drop)
    assert gate.active == 2


def test_one_may_be_destroyed_inside_the_gate() -> None:
    lost: list[Coroutine[Any, Any, None]] = []

    def limit() -> int:
        if lost:
            lost.pop().close()
        return 1

    gate = Gate(limit)
    asyncio.run(gate.acquire())
    lost.append(begun(gate)[1])
    gate.release()
    assert gate.active == 0


async def test_a_slot_is_given_back_once() -> None:
    gate = gate_of(2)
    await gate.acquire()
    await gate.acquire()
    slot = Slot(gate, None)
    slot.release()
    slot.release()
    del slot
    assert gate.active == 1


async def test_a_slot_that_is_dropped_is_given_back() -> None:
    gate = gate_of(1)
    await gate.acquire()
    slot = Slot(gate, None)
    assert gate.active == 1
    del slot
    gc.collect()
    assert gate.active == 0


def refusal(limit: int | None) -> ConcurrencyLimitError:
    error = ConcurrencyLimitError("too many", status_code=429)
    error.limit = limit
    return error


@pytest.mark.parametrize("released", [False, True])
async def test_a_refused_slot_counts_among_those_under_way(released: bool) -> None:
    gate = gate_of(8)
    for _ in range(8):
        await gate.acquire()
    limit = ConcurrencyLimit(500)
    slot = Slot(gate, limit)
    if released:
        # The body of the error has been read to its end.
        slot.release()
    slot.refused(refusal(None))
    # Three quarters of 8.
    assert limit.limit(0.0) == 6


def auto(**ceilings: int) -> Gates:
    return Gates("auto", ceilings, 1000)


async def blocked(gates: Gates, model: str | None) -> bool:
    """Tell whether a call to ``model`` would have to wait."""
    task = asyncio.create_task(gates.acquire(model))
    await settle()
    if task.done():
        task.result().release()
        return False
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return True


async def test_a_number_is_one_gate_over_all_models() -> None:
    gates = Gates(2, {"flash": 100}, 1000)
    slots = [await gates.acquire("flash"), await gates.acquire("pro")]
    assert [await blocked(gates, model) for model in ("flash", "pro", None)] == [True] * 3
    slots.pop().release()
    assert not await blocked(gates, None)


async def test_auto_goes_up_to_the_ceiling_of_each_model() -> None:
    gates = auto(flash=2, pro=1)
    slots = [await gates.acquire(model) for model in ("flash", "flash", "pro")]
    assert [await blocked(gates, model) for model in ("flash", "pro")] == [True, True]
    slots.pop().release()
    assert [await blocked(gates, model) for model in ("flash", "pro")] == [True, False]


async def test_auto_knows_no_ceiling_of_other_models() -> None:
    gates = auto(flash=1)
    slots = [await gates.acquire(model) for model in ("other", "other", None, "flash")]
    assert not await blocked(gates, "other")
    assert len(slots) == 4


@pytest.mark.parametrize(("asked", "model"), [(5, "flash"), ("auto", "flash"), ("auto", "other")])
async def test_the_process_can_bear_no_more_than_its_limit(asked: int | str, model: str) -> None:
    gates = Gates(asked, {"flash": 5}, 1)
    slot = await gates.acquire(model)
    assert await blocked(gates, model)
    slot.release()


async def test_auto_goes_below_the_ceiling_after_a_refusal() -> None:
    gates = auto(flash=100, pro=100)
    slots = [await gates.acquire("flash") for _ in range(3)]
    slots[0].refused(refusal(2))
    slots.pop(0).release()
    assert await blocked(gates, "flash")
    assert not await blocked(gates, "pro")
    slots.pop().release()
    assert not await blocked(gates, "flash")


async def test_a_number_is_not_lowered_by_a_refusal() -> None:
    gates = Gates(2, {"flash": 100}, 1000)
    slot = await gates.acquire("flash")
    slot.refused(refusal(1))
    assert not await blocked(gates, "flash")


async def test_another_process_starts_with_free_gates(monkeypatch: pytest.MonkeyPatch) -> None:
    gates = Gates(1, {}, 1000)
    parents = await gates.acquire("flash")
    pid = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: pid + 1)
    ours = await gates.acquire("flash")
    # What the parent process holds is not given back to our gate.
    parents.release()
    assert await blocked(gates, "flash")
    ours.release()
    assert not await blocked(gates, "flash")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
async def test_a_fork_starts_with_free_gates() -> None:
    gates = Gates(1, {}, 1000)
    slot = await gates.acquire("flash")
    with warnings.catch_warnings():
        # Python 3.12 warns about forks beside threads; there may be some of other tests.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        # Nothing but this may run in the child: pytest is not ours to end.
        status = 1
        try:
            coro = gates.acquire("flash")
            try:
                coro.send(None)
            except StopIteration:
                status = 0
        finally:
            os._exit(status)
    _, status = await asyncio.to_thread(os.waitpid, pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert await blocked(gates, "flash")
    slot.release()
