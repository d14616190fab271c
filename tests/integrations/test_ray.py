"""Shards on Ray: one limit for several processes, lost workers and actors, and datasets."""

import importlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deepseek_async import BatchError, PreflightError
from deepseek_async.batch import ShardReport
from deepseek_async.batch.shard_parts import split_requests
from deepseek_async.batch.source import Requests
from deepseek_async.integrations.boards import Failure
from deepseek_async.integrations.driving import ShardsProgress
from deepseek_async.integrations.ray import answer_dataset, map_ray
from deepseek_async.integrations.ray_cluster import BoardActor, run_on_worker
from deepseek_async.simulator import Reply, SimulatorThread

from .shards import (
    GUARD,
    answered,
    asked,
    items,
    sent_again,
    settings_for,
    unpaid,
    write_items,
)

ray: Any = pytest.importorskip(
    "ray", reason='needs the extra ray: pip install "deepseek-async[ray]"'
)

# Ray leaves sockets and files to the interpreter's end.
pytestmark = pytest.mark.filterwarnings("default")

LIMIT = 40

# How long the simulator thinks, in seconds.
THINKS = 0.1


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    # Only processes that this one starts, whatever the environment names.
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture
def sim() -> Iterator[SimulatorThread]:
    with SimulatorThread(first_token_seconds=THINKS) as simulator:
        yield simulator


class Watch(threading.Thread):
    """Does something once a condition holds."""

    def __init__(self, condition: Callable[[], bool], then: Callable[[], None]) -> None:
        super().__init__(daemon=True)
        self._condition = condition
        self._then = then
        self.start()

    def run(self) -> None:
        deadline = time.monotonic() + GUARD
        while time.monotonic() < deadline:
            if self._condition():
                self._then()
                return
            time.sleep(0.02)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + GUARD
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.01)


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def test_two_processes_share_a_limit(sim: SimulatorThread, tmp_path: Path) -> None:
    told: list[ShardsProgress] = []
    parts = split_requests(write_items(tmp_path / "in.jsonl", 800), size=200)
    reports = map_ray(
        parts,
        tmp_path / "shards",
        settings=settings_for(sim),
        max_concurrency=LIMIT,
        progress=told.append,
        into=tmp_path / "out.jsonl",
    )
    assert [report.ok for report in reports] == [True] * 4
    assert 0.75 * LIMIT <= sim.metrics.peak_in_flight <= LIMIT
    assert asked(sim) == answered(tmp_path / "shards", 4)
    assert len(asked(sim)) == sum(asked(sim).values()) == 800
    assert max(progress.permits for progress in told) <= LIMIT
    assert len((tmp_path / "out.jsonl").read_bytes().splitlines()) == 800


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9")
def test_a_killed_worker_loses_nothing(sim: SimulatorThread, tmp_path: Path) -> None:
    parts = split_requests(write_items(tmp_path / "in.jsonl", 600), size=100)
    out = tmp_path / "shards"
    reports = map_ray(parts, out, settings=settings_for(sim), max_concurrency=LIMIT)
    first = next(reports)
    begun = sim.metrics.requests
    # The worker of the first shard is running another one by now.
    victim = int(first.worker.rpartition(":")[2])
    Watch(lambda: sim.metrics.requests >= begun + 60, lambda: kill(victim))
    assert all(report.ok for report in reports)
    assert answered(out, 6) == dict.fromkeys(asked(sim), 1)
    assert len(asked(sim)) == 600
    assert 0 < sent_again(sim) <= LIMIT
    assert sim.metrics.peak_in_flight <= LIMIT


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9")
def test_the_limit_outlives_its_actor(sim: SimulatorThread, tmp_path: Path) -> None:
    psutil: Any = pytest.importorskip("psutil", reason="finds the actor's process")
    parts = split_requests(write_items(tmp_path / "in.jsonl", 600), size=200)

    def kill_actor() -> None:
        for process in psutil.Process().children(recursive=True):
            if any("BoardActor" in word for word in process.cmdline()):
                kill(process.pid)
                killed.append(process.pid)

    killed: list[int] = []
    reports = map_ray(parts, tmp_path / "shards", settings=settings_for(sim), max_concurrency=LIMIT)
    Watch(lambda: sim.metrics.requests >= 150, kill_actor)
    assert [report.ok for report in reports] == [True] * 3
    assert killed
    assert set(asked(sim).values()) == {1}
    assert sim.metrics.peak_in_flight <= LIMIT


def test_a_shard_that_fails_does_not_cost_the_others(sim: SimulatorThread, tmp_path: Path) -> None:
    shards: list[Requests] = [items("a", 5), tmp_path / "in.jsonl", items("c", 5)]
    finished: list[ShardReport] = []
    reports = map_ray(shards, tmp_path / "out", settings=settings_for(sim), retries=0)
    with pytest.raises(BatchError, match=r"1 of 3 shards failed.*in\.jsonl can't be read"):
        finished.extend(reports)
    assert sorted(report.shard_id for report in finished) == ["0", "2"]


def test_closing_stops_what_runs(sim: SimulatorThread, tmp_path: Path) -> None:
    sim.script(Reply("slow", queue_seconds=600, match="Say 1-", times="forever"))
    reports = map_ray([items(0, 10), items(1, 10)], tmp_path, settings=settings_for(sim))
    assert next(reports).shard_id == "0"
    reports.close()
    until(lambda: sim.metrics.in_flight == 0)


def test_shards_stop_when_their_actor_is_gone_for_good(
    sim: SimulatorThread, tmp_path: Path
) -> None:
    sim.script(Reply("slow", queue_seconds=600, times="forever"))
    actor = ray.remote(num_cpus=0, max_restarts=-1)(BoardActor).remote(10)
    shard = ray.remote(run_on_worker).remote(
        items(0, 5), str(tmp_path), 0, settings_for(sim), actor
    )
    until(lambda: sim.metrics.in_flight == 5)
    ray.kill(actor)
    assert ray.get(shard, timeout=GUARD) == Failure("the run was ended", is_final=True)
    until(lambda: sim.metrics.in_flight == 0)


def test_a_shard_that_can_not_be_pickled_is_named(sim: SimulatorThread, tmp_path: Path) -> None:
    shards = [items("a", 3), (each for each in items("b", 3))]
    with pytest.raises(BatchError, match="shard 1 can't be sent to a worker"):
        list(map_ray(shards, tmp_path, settings=settings_for(sim)))


def test_an_empty_account_stops_all_shards(sim: SimulatorThread, tmp_path: Path) -> None:
    sim.script(unpaid())
    shards = [items(number, 3) for number in range(30)]
    with pytest.raises(BatchError, match="Insufficient Balance"):
        list(map_ray(shards, tmp_path, settings=settings_for(sim)))


def test_a_dataset_is_answered(sim: SimulatorThread, tmp_path: Path) -> None:
    data: Any = importlib.import_module("ray.data")
    rows = [
        {
            "name": f"row-{number}",
            "messages": [
                {"role": "system", "content": "Answer briefly."},
                {"role": "user", "content": f"Say {number}.", "name": "ann" if number else None},
            ],
            "temperature": None if number % 2 else 0.5,
        }
        for number in range(60)
    ]
    dataset = data.from_items(rows)
    out = tmp_path / "out"
    settings = settings_for(sim)
    answers = answer_dataset(dataset, out, settings=settings, id_column="name", size=25)
    found = {row["custom_id"]: row for row in answers.iter_rows()}
    assert set(found) == {row["name"] for row in rows}
    assert all(row["content"] and row["error"] is None for row in found.values())
    bodies = {
        request.body["messages"][1]["content"]: request.body
        for request in sim.requests
        if request.body is not None
    }
    assert bodies["Say 0."]["temperature"] == 0.5
    assert "name" not in bodies["Say 0."]["messages"][1]
    assert "temperature" not in bodies["Say 1."]
    assert bodies["Say 1."]["messages"][1]["name"] == "ann"
    # The same call again sends nothing.
    again = answer_dataset(dataset, out, settings=settings, id_column="name", size=25)
    assert again.count() == 60
    assert len(sim.requests) == 60


def test_a_dataset_needs_names(sim: SimulatorThread, tmp_path: Path) -> None:
    data: Any = importlib.import_module("ray.data")
    dataset = data.from_items([{"name": "", "messages": []}])
    with pytest.raises(PreflightError, match=r"no column 'custom_id'.*only name, messages"):
        answer_dataset(dataset, tmp_path, settings=settings_for(sim))
    with pytest.raises(PreflightError, match="row 1 of the dataset has no name"):
        answer_dataset(dataset, tmp_path, settings=settings_for(sim), id_column="name")
