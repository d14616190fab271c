"""Dividing a limit: never more than there is, nothing wasted, nobody without."""

import asyncio
import pickle
import threading
from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepseek_async import PreflightError
from deepseek_async.batch.leases import Leases, LeaseTable, Stats, fair_shares
from deepseek_async.batch.renewal import pause_until_renewal

SHARES = {
    "nobody": ([], 10, []),
    "all get what they want": ([3, 4], 10, [3, 4]),
    "evenly": ([50, 50], 60, [30, 30]),
    "what one leaves goes to the others": ([5, 100, 100], 65, [5, 30, 30]),
    "the rest goes to the first ones": ([9, 9, 9], 11, [4, 4, 3]),
    "one each": ([9, 9, 9], 3, [1, 1, 1]),
    "fewer than there are": ([9, 9, 9], 2, [1, 1, 0]),
    "nothing there": ([9, 9], 0, [0, 0]),
}


@pytest.mark.parametrize(("wants", "total", "expected"), SHARES.values(), ids=SHARES)
def test_shares(wants: list[int], total: int, expected: list[int]) -> None:
    assert fair_shares(wants, total) == expected


@given(st.lists(st.integers(1, 200), max_size=12), st.integers(0, 400), st.integers(0, 20))
def test_shares_are_fair_and_waste_nothing(wants: list[int], total: int, turn: int) -> None:
    shares = fair_shares(wants, total, turn=turn)
    assert sum(shares) == min(total, sum(wants))
    assert all(0 <= share <= want for share, want in zip(shares, wants, strict=True))
    for share, want in zip(shares, wants, strict=True):
        if share < want:
            assert share >= max(shares) - 1
    if total >= len(wants):
        assert all(share >= 1 for share in shares)


@given(st.lists(st.integers(0, 300), min_size=1, max_size=10), st.integers(1, 500))
def test_after_two_rounds_each_has_its_share(wants: Sequence[int], total: int) -> None:
    table = LeaseTable(total)
    permits = dict.fromkeys(range(len(wants)), 0)
    # In the first each has what the former ones left; in the second they confirm that they have
    # less.
    for now in (0.0, 0.5, 1.0, 1.5):
        for number, want in enumerate(wants):
            stats = Stats(permits=permits[number], in_flight=permits[number])
            permits[number] = table.renew(str(number), want, stats, now)
    # An idle one keeps one place, to begin at once when it has something.
    expected = fair_shares([max(1, want) for want in wants], total)
    assert list(permits.values()) == expected
    assert list(table.granted(2.0).values()) == expected


def test_where_there_is_less_than_one_for_each_all_have_their_turn() -> None:
    table = LeaseTable(2)
    permits = dict.fromkeys(map(str, range(5)), 0)
    served: set[str] = set()
    for step in range(60):
        for worker, had in permits.items():
            stats = Stats(permits=had, in_flight=had)
            permits[worker] = table.renew(worker, 9, stats, step * 0.5)
        assert sum(permits.values()) <= 2
        served.update(worker for worker, has in permits.items() if has)
    assert served == set(permits)


PAUSES = {
    "as usual": (False, 0, 8.0),
    "moving": (True, 0, 1.0),
    "moving, and refused": (True, 5, 1.0),
    "refused once": (False, 1, 2.0),
    "refused again": (False, 2, 4.0),
    "refused for good": (False, 3, 8.0),
    "refused for ever": (False, 10**6, 8.0),
}


@pytest.mark.parametrize(("is_moving", "refused", "expected"), PAUSES.values(), ids=PAUSES)
def test_how_soon_permits_are_renewed(is_moving: bool, refused: int, expected: float) -> None:
    pause = pause_until_renewal(24.0, is_moving=is_moving, times_refused=refused)
    assert pause == expected


class Worker:
    """What a worker may do at most, between what it hears from the table."""

    def __init__(self, name: str, random: Random) -> None:
        self.name = name
        self._random = random
        self.permits = 0
        self.in_flight = 0
        self._reply: int | None = None

    def act(self, table: LeaseTable) -> None:
        """Do something."""
        action = self._random.choice(("fill", "send", "finish", "renew", "hear", "hear", "lose"))
        if action == "fill":
            self.in_flight = max(self.in_flight, self.permits)
        elif action == "send" and self.in_flight < self.permits:
            self.in_flight = self._random.randint(self.in_flight, self.permits)
        elif action == "finish":
            self.in_flight = self._random.randint(0, self.in_flight)
        elif action == "renew":
            # The answer may come late, or not at all: more is sent meanwhile, by the old permits.
            stats = Stats(permits=self.permits, in_flight=self.in_flight)
            self._reply = table.renew(self.name, self._random.choice((1, 5, 20, 100)), stats, 0.0)
        elif action == "hear" and self._reply is not None:
            self.permits, self._reply = self._reply, None
        elif action == "lose":
            self._reply = None


@pytest.mark.parametrize("seed", range(20))
def test_never_more_under_way_than_there_is(seed: int) -> None:
    random = Random(seed)
    total = random.choice((3, 10, 40))
    table = LeaseTable(total)
    workers = [Worker(str(number), random) for number in range(4)]
    most = 0
    for step in range(1000):
        random.choice(workers).act(table)
        if not step % 50:
            gone = workers.pop(0)
            table.drop(gone.name)
            workers.append(Worker(str(step), random))
        in_flight = sum(worker.in_flight for worker in workers)
        most = max(most, in_flight)
        assert in_flight <= total
    assert most >= 0.9 * total


def test_a_newcomer_waits_until_the_others_have_less() -> None:
    table = LeaseTable(100)
    assert table.renew("a", 100, Stats(), 0.0) == 100
    assert table.renew("b", 100, Stats(), 0.1) == 0
    # Told to have half; but 100 were sent before.
    assert table.renew("a", 100, Stats(permits=100, in_flight=100), 1.0) == 50
    assert table.renew("b", 100, Stats(), 1.1) == 0
    assert table.renew("a", 100, Stats(permits=50, in_flight=80), 2.0) == 50
    assert table.renew("b", 100, Stats(), 2.1) == 20
    assert table.renew("a", 100, Stats(permits=50, in_flight=50), 3.0) == 50
    assert table.renew("b", 100, Stats(permits=20, in_flight=20), 3.1) == 50


def test_silence_frees_a_share() -> None:
    table = LeaseTable(10, ttl=3.0)
    assert table.renew("a", 10, Stats(), 0.0) == 10
    assert table.renew("b", 10, Stats(), 3.0) == 0
    assert table.renew("b", 10, Stats(), 3.1) == 10
    assert table.granted(3.2) == {"b": 10}


def test_what_is_dropped_is_free_at_once() -> None:
    table = LeaseTable(10)
    table.renew("a", 10, Stats(), 0.0)
    table.drop("a")
    table.drop("never there")
    assert table.renew("b", 10, Stats(), 0.1) == 10


def test_a_stated_limit_holds_for_half_a_minute() -> None:
    table = LeaseTable(100)
    stats = Stats(permits=60, in_flight=60, rejected=1, stated_limit=39)
    assert table.renew("a", 100, stats, 0.0) == 39
    assert table.total(0.0) == 39
    assert table.renew("a", 100, Stats(permits=39, in_flight=39), 29.9) == 39
    assert table.renew("a", 100, Stats(permits=39, in_flight=39), 30.0) == 100


@pytest.mark.parametrize(("stated", "expected"), [(0, 1), (7, 7), (500, 100)])
def test_the_last_stated_limit_counts(stated: int, expected: int) -> None:
    table = LeaseTable(100)
    table.renew("a", 100, Stats(stated_limit=5), 0.0)
    table.renew("a", 100, Stats(stated_limit=stated), 1.0)
    assert table.total(2.0) == expected


@pytest.mark.parametrize(("total", "ttl"), [(0, 3.0), (-1, 3.0), (5, 0.0), (5, float("inf"))])
def test_numbers_that_make_no_sense(total: int, ttl: float) -> None:
    with pytest.raises(PreflightError, match="must be"):
        LeaseTable(total, ttl=ttl)


async def test_leases_go_by_their_clock() -> None:
    now = 0.0
    leases = Leases(10, ttl=2.0, clock=lambda: now)
    assert leases.ttl == 2.0
    assert await leases.renew("a", 10, Stats()) == 10
    assert leases.granted() == {"a": 10}
    now = 2.5
    assert leases.granted() == {}
    assert await leases.renew("b", 4, Stats()) == 4
    await leases.drop("b")
    assert leases.granted() == {}


def test_leases_may_be_used_from_several_threads() -> None:
    leases = Leases(100)

    async def renew(name: str) -> None:
        for _ in range(200):
            granted = await leases.renew(name, 100, Stats())
            assert 0 <= granted <= 100
            await leases.drop(name)

    threads = [
        threading.Thread(target=asyncio.run, args=(renew(str(number)),)) for number in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert leases.granted() == {}


def test_leases_are_not_sent_to_other_processes() -> None:
    with pytest.raises(TypeError, match="can't be sent to another"):
        pickle.dumps(Leases(10))
