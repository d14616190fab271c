"""Shards on Dask: one limit for two processes, lost workers, and ends of all kinds."""

import asyncio
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deepseek_async import BatchError, PreflightError
from deepseek_async.batch import MergeReport, ShardReport
from deepseek_async.batch.shard_parts import split_requests
from deepseek_async.batch.source import Requests
from deepseek_async.errors import BatchSettingsError
from deepseek_async.integrations.dask import map_dask
from deepseek_async.integrations.driving import ShardsProgress
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

distributed: Any = pytest.importorskip(
    "distributed", reason='needs the extra dask: pip install "deepseek-async[dask]"'
)

LIMIT = 40

# How long the simulator thinks, in seconds.
THINKS = 0.1


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0", memory_limit=0
    )
    with cluster, distributed.Client(cluster) as each:
        yield each


@pytest.fixture
def short_lived() -> Iterator[Any]:
    """The client of a cluster that loses a worker for good."""
    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0", memory_limit=0
    )
    with cluster, distributed.Client(cluster, set_as_default=False) as each:
        yield each


@pytest.fixture
def sim() -> Iterator[SimulatorThread]:
    with SimulatorThread(first_token_seconds=THINKS) as simulator:
        yield simulator


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + GUARD
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.01)


async def give_up_one(dask_scheduler: Any) -> None:
    """Have the scheduler take a worker for lost."""
    address = next(iter(dask_scheduler.workers))
    await dask_scheduler.remove_worker(address, stimulus_id="test", close=False)


async def retire_one(dask_scheduler: Any) -> None:
    """Have a worker end in good order."""
    await dask_scheduler.retire_workers([next(iter(dask_scheduler.workers))])


class InThread:
    """A run in a thread, since it blocks."""

    def __init__(self, reports: Any) -> None:
        self._iterator = reports
        self.reports: list[ShardReport] = []
        self.merged: MergeReport | None = None
        self.error: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            while True:
                self.reports.append(next(self._iterator))
        except StopIteration as exc:
            self.merged = exc.value
        except Exception as exc:
            self.error = exc

    def wait(self) -> None:
        self._thread.join(GUARD)
        assert not self._thread.is_alive()


def test_two_processes_share_a_limit(client: Any, sim: SimulatorThread, tmp_path: Path) -> None:
    told: list[ShardsProgress] = []
    parts = split_requests(write_items(tmp_path / "in.jsonl", 1000), size=250)
    out = tmp_path / "shards"
    run = InThread(
        map_dask(
            client,
            parts,
            out,
            settings=settings_for(sim),
            max_concurrency=LIMIT,
            progress=told.append,
            into=tmp_path / "out.jsonl",
        )
    )
    run.wait()
    assert run.error is None
    assert len(run.reports) == 4
    assert all(report.ok for report in run.reports)
    assert len({report.worker for report in run.reports}) == 2
    assert run.merged is not None
    assert (run.merged.ok, run.merged.answered) == (True, 1000)
    assert 0.75 * LIMIT <= sim.metrics.peak_in_flight <= LIMIT
    assert set(asked(sim).values()) == {1}
    assert max(progress.permits for progress in told) <= LIMIT
    assert (told[-1].shards, told[-1].finished, told[-1].succeeded) == (4, 4, 1000)
    # The same call again sends nothing.
    again = map_dask(client, parts, out, settings=settings_for(sim), max_concurrency=LIMIT)
    assert [report.skipped for report in again] == [250] * 4
    assert sum(asked(sim).values()) == 1000


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9")
def test_a_killed_worker_loses_nothing(client: Any, sim: SimulatorThread, tmp_path: Path) -> None:
    pids = client.run(os.getpid)
    parts = split_requests(write_items(tmp_path / "in.jsonl", 800), size=200)
    out = tmp_path / "shards"
    run = InThread(map_dask(client, parts, out, settings=settings_for(sim), max_concurrency=LIMIT))
    until(lambda: sim.metrics.requests >= 250)
    os.kill(next(iter(pids.values())), signal.SIGKILL)
    run.wait()
    assert run.error is None
    assert run.merged is not None
    assert (run.merged.ok, run.merged.answered) == (True, 800)
    assert answered(out, 4) == dict.fromkeys(asked(sim), 1)
    assert len(asked(sim)) == 800
    assert 0 < sent_again(sim) <= LIMIT
    assert sim.metrics.peak_in_flight <= LIMIT


def test_a_shard_that_fails_does_not_cost_the_others(
    client: Any, sim: SimulatorThread, tmp_path: Path
) -> None:
    missing = tmp_path / "in.jsonl"
    shards: list[Requests] = [items("a", 5), missing, items("c", 5)]
    out = tmp_path / "shards"
    run = InThread(map_dask(client, shards, out, settings=settings_for(sim), retries=1))
    run.wait()
    assert sorted(report.shard_id for report in run.reports) == ["0", "2"]
    assert isinstance(run.error, BatchError)
    assert "1 of 3 shards failed, the others are finished: shard 1: " in str(run.error)
    assert "in.jsonl can't be read" in str(run.error)
    write_items(missing, 5)
    reports = list(map_dask(client, shards, out, settings=settings_for(sim)))
    assert sorted(report.succeeded for report in reports) == [0, 0, 5]
    assert set(asked(sim).values()) == {1}


def test_closing_stops_what_runs_and_keeps_what_is_finished(
    client: Any, sim: SimulatorThread, tmp_path: Path
) -> None:
    sim.script(Reply("slow", queue_seconds=600, match="Say 1-7.", times="forever"))
    shards = [items(0, 10), items(1, 10)]
    out = tmp_path / "shards"
    reports = map_dask(client, shards, out, settings=settings_for(sim))
    assert next(reports).shard_id == "0"
    until(lambda: len(answered(out, 2)) == 19)
    reports.close()
    until(lambda: sim.metrics.in_flight == 0)
    sim.reset()
    run = InThread(map_dask(client, shards, out, settings=settings_for(sim)))
    run.wait()
    assert run.error is None
    assert asked(sim) == {"1-7": 1}


def test_an_interrupt_stops_what_runs(client: Any, sim: SimulatorThread, tmp_path: Path) -> None:
    sim.script(Reply("slow", queue_seconds=600, times="forever"))

    def press(progress: ShardsProgress) -> None:
        if progress.in_flight:
            raise KeyboardInterrupt

    shards = [items(number, 5) for number in range(10)]
    reports = map_dask(client, shards, tmp_path, settings=settings_for(sim), progress=press)
    with pytest.raises(KeyboardInterrupt):
        list(reports)
    until(lambda: sim.metrics.in_flight == 0)
    assert len(asked(sim)) < 50


def test_shards_stop_when_their_client_is_gone(
    client: Any, sim: SimulatorThread, tmp_path: Path
) -> None:
    sim.script(Reply("slow", queue_seconds=600, times="forever"))
    other = distributed.Client(client.scheduler.address, set_as_default=False)
    shards = [items(0, 5), items(1, 5)]
    run = InThread(map_dask(other, shards, tmp_path, settings=settings_for(sim)))
    until(lambda: sim.metrics.in_flight == 10)
    other.close()
    run.wait()
    assert isinstance(run.error, BatchError)
    assert "the connection to the scheduler of Dask is closed" in str(run.error)
    until(lambda: sim.metrics.in_flight == 0)


def test_an_empty_account_stops_all_shards(
    client: Any, sim: SimulatorThread, tmp_path: Path
) -> None:
    sim.script(unpaid())
    shards = [items(number, 3) for number in range(30)]
    run = InThread(map_dask(client, shards, tmp_path, settings=settings_for(sim)))
    run.wait()
    assert isinstance(run.error, BatchError)
    assert "Insufficient Balance" in str(run.error)
    assert len(run.reports) < 30
    assert all(report.outcome == "unpaid" for report in run.reports)


def test_a_directory_belongs_to_one_cut_of_one_input(
    client: Any, sim: SimulatorThread, tmp_path: Path
) -> None:
    source = write_items(tmp_path / "in.jsonl", 20)
    out = tmp_path / "shards"
    settings = settings_for(sim)
    assert len(list(map_dask(client, split_requests(source, size=10), out, settings=settings))) == 2
    with pytest.raises(BatchSettingsError, match="parts of another input, or of the same one cut"):
        list(map_dask(client, split_requests(source, size=5), out, settings=settings))


def test_results_of_too_few_shards_are_no_proof(
    client: Any, sim: SimulatorThread, tmp_path: Path
) -> None:
    shards = [items("same", 3), items("same", 3)]
    reports = map_dask(client, shards, tmp_path, settings=settings_for(sim))
    with pytest.raises(BatchError, match="the item 'same-0' is in the shards 0 and 1"):
        list(reports)


def test_a_shard_that_can_not_be_pickled_is_named(
    client: Any, sim: SimulatorThread, tmp_path: Path
) -> None:
    settings = settings_for(sim, api_key="sk-secret")
    shards = [items("a", 3), (each for each in items("b", 3))]
    with pytest.raises(BatchError, match="shard 1 can't be sent to a worker") as caught:
        list(map_dask(client, shards, tmp_path, settings=settings))
    assert "sk-secret" not in "".join(traceback.format_exception(caught.value))
    until(lambda: sim.metrics.in_flight == 0)
    assert max(asked(sim).values(), default=0) <= 1


def test_the_key_is_told_to_nobody_but_the_workers(
    client: Any, sim: SimulatorThread, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = settings_for(sim, api_key="sk-secret", default_headers={"X-Other": "sk-secret"})
    shards: list[Any] = [items("a", 3), object()]
    run = InThread(map_dask(client, shards, tmp_path, settings=settings))
    run.wait()
    assert "shard 1: TypeError: requests must be a path" in str(run.error)
    assert "sk-secret" not in str(run.error)
    logs = [client.get_worker_logs(), client.get_scheduler_logs(), client.processing(), caplog.text]
    assert "sk-secret" not in repr(logs)
    assert b"sk-secret" not in b"".join(
        path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()
    )


@pytest.mark.parametrize("lose", [give_up_one, retire_one])
def test_a_worker_that_is_lost_and_lives_on_spoils_nothing(
    short_lived: Any, sim: SimulatorThread, tmp_path: Path, lose: Callable[[Any], Any]
) -> None:
    parts = split_requests(write_items(tmp_path / "in.jsonl", 600), size=300)
    out = tmp_path / "shards"
    reports = map_dask(short_lived, parts, out, settings=settings_for(sim), max_concurrency=LIMIT)
    run = InThread(reports)
    until(lambda: sim.metrics.requests >= 150)
    short_lived.run_on_scheduler(lose)
    run.wait()
    assert run.error is None
    assert answered(out, 2) == dict.fromkeys(asked(sim), 1)
    assert len(asked(sim)) == 600
    assert sent_again(sim) <= LIMIT
    assert sim.metrics.peak_in_flight <= LIMIT


def test_no_shards(client: Any, sim: SimulatorThread, tmp_path: Path) -> None:
    run = InThread(map_dask(client, [], tmp_path, settings=settings_for(sim)))
    run.wait()
    assert run.error is None
    assert run.merged is not None
    assert run.merged.answered == 0


async def test_an_asynchronous_client_is_refused(sim: SimulatorThread, tmp_path: Path) -> None:
    class Asynchronous:
        asynchronous = True

    with pytest.raises(PreflightError, match="takes a synchronous Client"):
        map_dask(Asynchronous(), [], tmp_path, settings=settings_for(sim))
    await asyncio.sleep(0)


def test_what_is_no_client_is_refused(sim: SimulatorThread, tmp_path: Path) -> None:
    with pytest.raises(PreflightError, match=r"takes a distributed\.Client, not a str"):
        map_dask("tcp://127.0.0.1:8786", [], tmp_path, settings=settings_for(sim))


def test_a_limit_below_one_is_refused(client: Any, sim: SimulatorThread, tmp_path: Path) -> None:
    with pytest.raises(PreflightError, match="total must be"):
        map_dask(client, [], tmp_path, settings=settings_for(sim), max_concurrency=0)


def test_a_cluster_without_workers_is_told_and_waited_for(
    sim: SimulatorThread, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cluster = distributed.LocalCluster(
        n_workers=0, threads_per_worker=1, dashboard_address="127.0.0.1:0", memory_limit=0
    )
    with cluster, distributed.Client(cluster, set_as_default=False) as client:
        running = InThread(map_dask(client, [items("a", 1)], tmp_path, settings=settings_for(sim)))
        until(lambda: "the cluster has no workers" in caplog.text)
        cluster.scale(1)
        running.wait()
    assert running.error is None
    assert [report.succeeded for report in running.reports] == [1]
    assert caplog.text.count("the cluster has no workers") == 1
