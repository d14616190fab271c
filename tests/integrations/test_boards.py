"""Boards and drives without a cluster, and what is said where an engine is missing."""

import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from deepseek_async.batch import ShardReport, ShardSettings, Stats, split_requests
from deepseek_async.batch.shard import run_shard
from deepseek_async.batch.source import Requests
from deepseek_async.errors import BatchError, BatchSettingsError, PreflightError
from deepseek_async.integrations.boards import TTL, Board, Failure, Heard, limit_of
from deepseek_async.integrations.dask import map_dask
from deepseek_async.integrations.driving import Drive, ShardsProgress
from deepseek_async.integrations.ray import answer_dataset, map_ray
from deepseek_async.simulator import Simulator

from .shards import items, write_items

SETTINGS = ShardSettings(api_key="sk-simulated")


class Told(msgspec.Struct):
    """An answer of a kind."""

    text: str


def drive_of(cluster: Any, shards: Any, out_dir: Path, **options: Any) -> Drive:
    """Return a drive; its reports are what it does."""
    usual: dict[str, Any] = {"settings": SETTINGS, "retries": 0}
    return Drive(cluster, shards, out_dir, **usual | options)


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


def test_the_limit_is_that_of_the_model_unless_told_otherwise() -> None:
    def limit(model: str | None, given: int | None = None) -> int:
        return limit_of(ShardSettings(model=model), given, 7)

    assert limit("deepseek-v4-pro") == 500
    assert limit("deepseek-flash") == 2500
    assert (limit(None), limit("of another host"), limit("deepseek-v4-pro", 3)) == (7, 7, 3)
    with pytest.raises(PreflightError, match="total must be"):
        limit(None, 0)


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
    drive = drive_of(cluster, iter([[]]), tmp_path, retries=retries)
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
    drive = drive_of(cluster, shards(), tmp_path)
    with pytest.raises(AssertionError):
        next(drive.reports())
    assert len(read) < 10
    assert cluster.stopped == 1


class Enough(Exception):
    """Ends a run from its progress."""


class Away:
    """A cluster whose storage is away: whatever is submitted fails."""

    def __init__(self) -> None:
        self._running: list[int] = []
        self.submitted: list[int] = []

    def capacity(self) -> int:
        return 1

    def submit(self, source: Requests, shard_id: int) -> None:
        self._running.append(shard_id)
        self.submitted.append(shard_id)

    def finished(self, seconds: float) -> list[tuple[int, ShardReport | Failure]]:
        ended, self._running = self._running, []
        return [(shard_id, Failure("OSError: it is away")) for shard_id in ended]

    def heard(self) -> Heard:
        return Heard()

    def stop(self) -> None:
        self._running.clear()


def test_shards_that_wait_for_another_try_are_not_the_whole_input(tmp_path: Path) -> None:
    read: list[int] = []

    def shards() -> Any:
        for number in range(1000):
            read.append(number)
            yield []

    def enough(progress: ShardsProgress) -> None:
        raise Enough

    drive = drive_of(Away(), shards(), tmp_path, retries=9, progress=enough)
    with pytest.raises(Enough):
        list(drive.reports())
    assert len(read) < 20


def test_parts_of_a_file_are_taken_in_their_order_only(tmp_path: Path) -> None:
    parts = split_requests(write_items(tmp_path / "in.jsonl", 9), size=3)
    for wrong in (parts[1:], parts[::-1], [*parts[:1], *parts]):
        cluster = Away()
        with pytest.raises(PreflightError, match=r"part \d of .*in\.jsonl would become shard \d"):
            list(drive_of(cluster, wrong, tmp_path / "out").reports())
        assert len(cluster.submitted) <= 1


def test_other_shards_are_no_parts_of_the_file_before(tmp_path: Path) -> None:
    out = tmp_path / "out"
    parts = split_requests(write_items(tmp_path / "in.jsonl", 9), size=3)
    with pytest.raises(BatchError, match="it is away"):
        list(drive_of(Away(), parts, out).reports())
    cluster = Away()
    with pytest.raises(BatchSettingsError, match="are parts of a file, and shard 0 is none"):
        list(drive_of(cluster, [items("a", 3)], out).reports())
    assert cluster.submitted == []


async def test_no_shard_begins_with_other_settings_than_the_first(tmp_path: Path) -> None:
    async with Simulator() as sim:
        settings = ShardSettings(
            api_key="sk-simulated", base_url=sim.base_url, model="one", response_model=Told
        )
        # One that is read from a file, as all shards are: by its number.
        await run_shard([], tmp_path, 0, settings=settings)
    cluster = Away()
    with pytest.raises(BatchError, match="it is away"):
        list(drive_of(cluster, [[], []], tmp_path, settings=settings).reports())
    assert cluster.submitted == [0, 1]
    for other in ({"model": "two"}, {"response_model": None}):
        cluster = Away()
        changed = msgspec.structs.replace(settings, **other)
        with pytest.raises(BatchSettingsError, match="begun with other settings"):
            list(drive_of(cluster, [[], []], tmp_path, settings=changed).reports())
        assert cluster.submitted == []


def test_what_can_not_be_meant(tmp_path: Path) -> None:
    (part,) = split_requests(write_items(tmp_path / "in.jsonl", 3))
    wrong: list[Any] = ["in.jsonl", tmp_path, part, {"0": []}, 3]
    for shards in wrong:
        with pytest.raises(PreflightError, match="shards are the sources of many shards"):
            drive_of(Away(), shards, tmp_path)
    with pytest.raises(PreflightError, match="shard 0 is a dict: each shard is a list"):
        list(drive_of(Away(), items("a", 3), tmp_path).reports())
    with pytest.raises(PreflightError, match="retries must be a number from 0 up, got -1"):
        drive_of(Away(), [], tmp_path, retries=-1)
    with pytest.raises(PreflightError, match=r"check=False no file is looked at.*out\.jsonl"):
        drive_of(Away(), [], tmp_path, into=tmp_path / "out.jsonl", check=False)


def test_without_a_check_this_process_sees_no_files(tmp_path: Path) -> None:
    parts = split_requests(write_items(tmp_path / "in.jsonl", 9), size=3)
    elsewhere = tmp_path / "elsewhere"
    drive = drive_of(Away(), parts, elsewhere, check=False)
    with pytest.raises(BatchError, match="3 of 3 shards failed"):
        list(drive.reports())
    assert not elsewhere.exists()
    assert drive.merge() is None


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
