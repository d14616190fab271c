"""Boards and drives without a cluster, and what is said where an engine is missing."""

import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from deepseek_async.batch import ShardSettings, Stats
from deepseek_async.batch.source import Requests
from deepseek_async.errors import BatchError
from deepseek_async.integrations.boards import TTL, Board, Failure, Heard
from deepseek_async.integrations.dask import map_dask
from deepseek_async.integrations.driving import Drive
from deepseek_async.integrations.ray import answer_dataset, map_ray

SETTINGS = ShardSettings(api_key="sk-simulated")


def told(**values: int) -> dict[str, Any]:
    return msgspec.structs.asdict(Stats(**values))


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_board_divides_and_hears() -> None:
    clock = Clock()
    board = Board(10, clock=clock)
    assert board.renew("a", 50, told(in_flight=0)) == {"permits": 10, "over": False}
    assert board.renew("b", 50, told())["permits"] == 0
    assert board.renew("a", 50, told(permits=10, in_flight=5, done=3))["permits"] == 5
    # Not before the other one has confirmed that it has less.
    assert board.renew("b", 50, told())["permits"] == 0
    assert msgspec.convert(board.heard(), Heard).done == 3
    assert board.heard()["workers"] == 2
    # A killed worker is heard of no more, and its part is free.
    clock.now = TTL / 2
    board.renew("b", 50, told())
    clock.now = TTL + 0.1
    assert board.heard() == {"in_flight": 0, "permits": 0, "done": 0, "failed": 0, "workers": 1}
    assert board.renew("b", 50, told())["permits"] == 10
    board.stop()
    assert board.drop("b") == {"permits": 0, "over": True}
    assert board.heard()["workers"] == 0


def test_a_board_that_begins_anew_gives_nobody_more_than_they_have() -> None:
    clock = Clock()
    board = Board(10, restarted=True, clock=clock)
    assert board.renew("a", 50, told(permits=4, in_flight=4))["permits"] == 4
    assert board.renew("b", 50, told())["permits"] == 0
    assert board.renew("c", 50, told(permits=6, in_flight=6))["permits"] <= 6
    clock.now = TTL + 0.1
    assert board.renew("a", 50, told(permits=4))["permits"] == 10


class Broken:
    """A cluster where some shards fail some times."""

    def __init__(self, failures: dict[int, int], *, final: bool = False) -> None:
        self._failures = failures
        self._final = final
        self.submitted: list[int] = []
        self.stopped = 0

    def capacity(self) -> int:
        return 1

    def submit(self, source: Requests, shard_id: int) -> None:
        self.submitted.append(shard_id)

    def finished(self, seconds: float) -> list[tuple[int, Any]]:
        shard_id = self.submitted[-1]
        assert self._failures[shard_id] > 0
        self._failures[shard_id] -= 1
        return [(shard_id, Failure("OSError: no disk", self._final))]

    def heard(self) -> Heard:
        return Heard()

    def stop(self) -> None:
        self.stopped += 1


@pytest.mark.parametrize(
    ("retries", "final", "tries"), [(0, False, 1), (1, False, 2), (9, True, 1)]
)
def test_a_shard_that_fails_is_tried_again_unless_that_is_useless(
    retries: int, final: bool, tries: int, tmp_path: Path
) -> None:
    cluster = Broken({0: 99}, final=final)
    drive = Drive(cluster, iter([[]]), tmp_path, retries=retries, progress=None)
    with pytest.raises(BatchError, match=r"1 of 1 shards failed.*shard 0: OSError: no disk"):
        list(drive.reports())
    assert cluster.submitted == [0] * tries
    assert cluster.stopped == 1


def test_shards_are_read_only_as_far_ahead_as_needed(tmp_path: Path) -> None:
    read: list[int] = []

    def shards() -> Any:
        for number in range(1000):
            read.append(number)
            yield []

    cluster = Broken(dict.fromkeys(range(1000), 0))
    drive = Drive(cluster, shards(), tmp_path, retries=0, progress=None)
    with pytest.raises(AssertionError):
        next(drive.reports())
    assert len(read) < 10
    assert cluster.stopped == 1


@pytest.mark.parametrize("name", ["distributed", "ray"])
def test_what_is_missing_is_named(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "ray.data", None)
    extra = {"distributed": "dask", "ray": "ray"}[name]
    with pytest.raises(ImportError, match=rf'pip install "deepseek-async\[{extra}\]"'):
        if name == "distributed":
            map_dask(None, [], tmp_path, settings=SETTINGS)
        else:
            map_ray([], tmp_path, settings=SETTINGS)
    if name == "ray":
        with pytest.raises(ImportError, match=r"deepseek-async\[ray\]"):
            answer_dataset(None, tmp_path, settings=SETTINGS)
