"""Shards: several at once within one limit, killed and run again."""

import asyncio
import functools
import logging
import pickle
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from deepseek_async import (
    BatchError,
    BatchFileError,
    BatchLockedError,
    BatchSettingsError,
    Budget,
    PreflightError,
)
from deepseek_async.batch.leases import Leases, Stats
from deepseek_async.batch.merging import merge_shards
from deepseek_async.batch.shard import ShardSettings, run_shard
from deepseek_async.batch.shard_report import ShardReport
from deepseek_async.simulator import Reply, Simulator

from .shard_items import asked, ids, item, items, names_in, refuse, settings_for
from .shard_worker import ShardProcess, serving

# Only a hang gets here.
GUARD = 60.0

# How long the simulator thinks, in seconds, so that there are many requests at once.
THINKS = 0.05

# Permits are renewed every tenth of a second.
TTL = 0.3


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator(first_token_seconds=THINKS) as simulator:
        yield simulator


class Watched(Leases):
    """Leases that remember what they were told, and whose permits they have taken back."""

    def __init__(self, total: int, *, ttl: float = TTL) -> None:
        super().__init__(total, ttl=ttl)
        self.heard: list[Stats] = []
        self.wanted: list[int] = []
        self.dropped: list[str] = []

    async def renew(self, worker: str, want: int, stats: Stats) -> int:
        self.heard.append(stats)
        self.wanted.append(want)
        return await super().renew(worker, want, stats)

    async def drop(self, worker: str) -> None:
        self.dropped.append(worker)
        await super().drop(worker)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(GUARD):
        while not condition():
            await asyncio.sleep(0.005)


# Settings.


def test_the_key_is_never_shown() -> None:
    settings = ShardSettings(
        api_key="sk-secret",
        model="deepseek-flash",
        default_headers={"X-Token": "sk-secret"},
        proxy="http://user:sk-secret@proxy:8080",
        max_concurrency=5,
    )
    assert repr(settings) == "ShardSettings(model='deepseek-flash', max_concurrency=5)"
    assert "sk-secret" not in str(settings.__rich_repr__())


def test_settings_can_be_sent_to_other_processes() -> None:
    settings = ShardSettings(model="deepseek-flash", budget=Budget(usd=1), map=item)
    assert pickle.loads(pickle.dumps(settings)) == settings


@pytest.mark.parametrize("options", [{"cache": "on"}, {"max_concurrency": 0}, {"map": 1}])
def test_wrong_options_are_found_before_any_worker_begins(options: dict[str, Any]) -> None:
    with pytest.raises(PreflightError, match=next(iter(options))):
        ShardSettings(**options)


@pytest.mark.parametrize("shard_id", ["", "a.errors", "../a", "a/b", "a b", -1.5])
async def test_a_shard_needs_a_name_for_its_files(shard_id: Any, tmp_path: Path) -> None:
    with pytest.raises(PreflightError, match="shard_id names the files"):
        await run_shard([], tmp_path, shard_id, settings=ShardSettings(api_key="sk-simulated"))


async def test_a_worker_without_a_key_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DEEPSEEK_API_KEY", raising=False)
    with pytest.raises(PreflightError, match="DEEPSEEK_API_KEY"):
        await run_shard([], tmp_path, 0, settings=ShardSettings())


# One shard.


async def test_a_shard_runs_and_reports(sim: Simulator, tmp_path: Path) -> None:
    sim.script(refuse("a-3"))
    out = tmp_path / "new" / "directory"
    report = await run_shard(items("a", 20), out, "a", settings=settings_for(sim))
    assert report.outcome == "completed"
    assert not report.ok
    assert (report.total, report.succeeded, report.failed, report.requests) == (20, 19, 1, 20)
    assert report.path == str(out / "a.jsonl")
    assert report.dead_letters == str(out / "a.errors.jsonl")
    assert report.cost
    assert pickle.loads(pickle.dumps(report)) == report
    assert str(report).startswith("shard a completed: 19 answered, 1 failed; 0.00")
    assert sorted(names_in(out / "a.jsonl")) == sorted(ids("a", 20) - {"a-3"})


async def test_a_shard_of_a_file_goes_on_where_it_ended(sim: Simulator, tmp_path: Path) -> None:
    source = tmp_path / "requests.jsonl"
    source.write_text("")
    settings = settings_for(sim)
    report = await run_shard(source, tmp_path, 0, settings=settings)
    assert (report.ok, report.total) == (True, 0)
    sim.script(Reply("slow", queue_seconds=600, match="Say 0-5.", times="forever"))
    half = asyncio.create_task(run_shard(items(0, 10), tmp_path / "half", 0, settings=settings))
    await until(lambda: len(names_in(tmp_path / "half" / "0.jsonl")) == 9)
    half.cancel()
    with pytest.raises(asyncio.CancelledError):
        await half
    sim.reset()
    report = await run_shard(items(0, 10), tmp_path / "half", 0, settings=settings)
    assert (report.ok, report.skipped, report.succeeded) == (True, 9, 1)
    assert asked(sim) == {"0-5": 1}


async def test_what_stopped_a_shard_is_told(sim: Simulator, tmp_path: Path) -> None:
    no_money = Reply(
        status=402, body={"error": {"message": "Insufficient Balance"}}, times="forever"
    )
    sim.script(no_money)
    report = await run_shard(items(0, 3), tmp_path, 0, settings=settings_for(sim))
    assert report.outcome == "unpaid"
    assert "Insufficient Balance" in str(report.error)
    assert report.unsent == 3
    assert "3 not sent" in str(report)


async def test_a_source_that_is_not_there(sim: Simulator, tmp_path: Path) -> None:
    leases = Watched(10)
    with pytest.raises(BatchError, match=r"missing\.jsonl can't be read"):
        await run_shard(
            tmp_path / "missing.jsonl", tmp_path, 0, settings=settings_for(sim), limiter=leases
        )
    assert len(leases.dropped) == 1


async def test_files_that_can_not_be_written(sim: Simulator, tmp_path: Path) -> None:
    settings = settings_for(sim)
    (tmp_path / "file").touch()
    with pytest.raises(BatchFileError, match="choose a path whose parents are directories"):
        await run_shard([], tmp_path / "file" / "below", 0, settings=settings)
    (tmp_path / "0.report.json").mkdir()
    with pytest.raises(BatchFileError, match=r"0\.report\.json can't be removed"):
        await run_shard(items(0, 2), tmp_path, 0, settings=settings)


async def test_a_shard_that_must_be_new(sim: Simulator, tmp_path: Path) -> None:
    settings = settings_for(sim)
    await run_shard(items(0, 2), tmp_path, 0, settings=settings, resume=False)
    with pytest.raises(BatchSettingsError, match=r"shard 0 has been begun .* resume=True"):
        await run_shard(items(0, 2), tmp_path, 0, settings=settings, resume=False)


async def test_a_shard_runs_once_at_a_time(sim: Simulator, tmp_path: Path) -> None:
    sim.script(Reply("slow", queue_seconds=600, times="forever"))
    leases = Watched(10)

    def run() -> Awaitable[ShardReport]:
        return run_shard(items(0, 2), tmp_path, 0, settings=settings_for(sim), limiter=leases)

    first = asyncio.ensure_future(run())
    await until(lambda: sim.metrics.in_flight == 2)
    with pytest.raises(BatchLockedError):
        await run()
    assert list(leases.granted()) != leases.dropped
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert leases.granted() == {}


# Permits.


async def test_shards_of_one_process_share_a_limit(sim: Simulator, tmp_path: Path) -> None:
    leases = Watched(20)
    reports = await asyncio.gather(
        *[
            run_shard(
                items(shard, 120), tmp_path, shard, settings=settings_for(sim), limiter=leases
            )
            for shard in range(3)
        ]
    )
    assert all(report.ok for report in reports)
    # It was used, and no more than that.
    assert 15 <= sim.metrics.peak_in_flight <= 20
    assert max(stats.permits for stats in leases.heard) <= 20
    assert len(leases.dropped) == 3
    assert leases.granted() == {}
    merged = merge_shards(tmp_path, shards=range(3))
    assert (merged.ok, merged.answered) == (True, 360)
    assert set(asked(sim).values()) == {1}


async def test_a_shard_asks_at_once_for_what_the_one_before_found(
    sim: Simulator, tmp_path: Path
) -> None:
    settings = settings_for(sim)
    first, second, third = (Watched(500) for _ in range(3))
    async with sim.client() as client:
        shard = functools.partial(run_shard, client=client)
        await shard(items(0, 400), tmp_path, 0, settings=settings, limiter=first)
        await shard(items(1, 1), tmp_path, 1, settings=settings, limiter=second)
        few = settings_for(sim, max_concurrency=3)
        await shard(items(2, 1), tmp_path, 2, settings=few, limiter=third)
    found = max(stats.limit for stats in first.heard)
    assert first.wanted[0] < second.wanted[0]
    assert second.wanted[0] >= found > 32
    assert third.wanted[0] == first.wanted[0]


async def test_a_limiter_only_lowers_what_a_shard_is_set_to(sim: Simulator, tmp_path: Path) -> None:
    settings = settings_for(sim, max_concurrency=3)
    report = await run_shard(items(0, 20), tmp_path, 0, settings=settings, limiter=Watched(50))
    assert report.ok
    assert sim.metrics.peak_in_flight == 3


async def test_the_limit_that_the_server_states_is_passed_on(
    sim: Simulator, tmp_path: Path
) -> None:
    message = "Your current concurrency is 40, which exceeds your concurrency limit of 39."
    refusal = {"error": {"message": message, "type": "rate_limit_error"}}
    sim.script(Reply(status=429, body=refusal, retry_after=0.01, times=3))
    leases = Watched(10)
    settings = settings_for(sim)
    report = await run_shard(items(0, 120), tmp_path, 0, settings=settings, limiter=leases)
    assert (report.ok, report.rejected) == (True, 3)
    # Each refusal is told once.
    told = [stats for stats in leases.heard if stats.rejected]
    assert sum(stats.rejected for stats in told) == 3
    assert {stats.stated_limit for stats in told} == {39}
    assert {stats.stated_limit for stats in leases.heard if not stats.rejected} == {None}


async def test_a_paused_shard_leaves_its_part_to_others(sim: Simulator, tmp_path: Path) -> None:
    answer = {"error": {"message": "Insufficient Balance"}}
    sim.script(Reply(status=402, body=answer, times="forever"))
    leases = Watched(10)
    settings = settings_for(sim, on_402="pause")
    shard = asyncio.create_task(
        run_shard(items(0, 100), tmp_path, 0, settings=settings, limiter=leases)
    )
    await until(lambda: bool(leases.wanted) and leases.wanted[-1] == 1)
    assert list(leases.granted().values()) == [1]
    shard.cancel()
    with pytest.raises(asyncio.CancelledError):
        await shard


class Shaky(Leases):
    """Leases that answer once, then fail in some way until the worker has given up its permits."""

    def __init__(self, failure: Callable[[], Awaitable[Any]], ttl: float = TTL) -> None:
        super().__init__(8, ttl=ttl)
        self._failure = failure
        self._asked = 0
        self.permits: list[int] = []
        self.works_again = False

    async def renew(self, worker: str, want: int, stats: Stats) -> int:
        self._asked += 1
        if self._asked == 1 or self.works_again:
            return await super().renew(worker, want, stats)
        self.permits.append(stats.permits)
        self.works_again = stats.permits == 1 and stats.in_flight <= 1
        result: int = await self._failure()
        return result


async def refused() -> None:
    raise ConnectionRefusedError("nobody there")


async def silent() -> None:
    await asyncio.Event().wait()


async def senseless() -> str:
    return "many"


async def cancelled() -> None:
    raise asyncio.CancelledError


@pytest.mark.parametrize("failure", [refused, silent, senseless, cancelled])
async def test_a_limiter_that_fails_stops_nothing(
    failure: Callable[[], Awaitable[Any]],
    sim: Simulator,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    leases = Shaky(failure)
    settings = settings_for(sim)
    async with asyncio.timeout(GUARD):
        report = await run_shard(items(0, 100), tmp_path, 0, settings=settings, limiter=leases)
    assert report.ok
    assert leases.permits[-1] == 1
    warnings = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "the limiter has no permits for 0@" in warnings[0].getMessage()
    assert leases.granted() == {}


async def test_the_last_permits_hold_until_they_end(sim: Simulator, tmp_path: Path) -> None:
    # Longer than any pause of a busy machine, it is hoped.
    leases = Shaky(refused, ttl=3 * TTL)
    await run_shard(items(0, 250), tmp_path, 0, settings=settings_for(sim), limiter=leases)
    assert leases.works_again
    assert sorted(set(leases.permits)) == [1, 8]
    assert leases.permits == sorted(leases.permits, reverse=True)


class Unreachable:
    """A limiter that nobody ever reaches."""

    ttl = TTL

    async def renew(self, worker: str, want: int, stats: Stats) -> int:
        raise ConnectionRefusedError

    async def drop(self, worker: str) -> None:
        raise ConnectionRefusedError


async def test_without_any_answer_of_the_limiter_requests_go_one_by_one(
    sim: Simulator, tmp_path: Path
) -> None:
    report = await run_shard(
        items(0, 5), tmp_path, 0, settings=settings_for(sim), limiter=Unreachable()
    )
    assert report.ok
    assert sim.metrics.peak_in_flight == 1


class Late(Watched):
    """Leases that count a worker, and answer only when they are let."""

    def __init__(self) -> None:
        # So long that no permit ends by itself.
        super().__init__(10, ttl=GUARD)
        self.may_answer = asyncio.Event()

    async def renew(self, worker: str, want: int, stats: Stats) -> int:
        permits = await super().renew(worker, want, stats)
        await self.may_answer.wait()
        return permits


@pytest.mark.parametrize("times", [1, 2])
async def test_no_permits_are_left_behind_by_a_cancelled_shard(
    times: int, sim: Simulator, tmp_path: Path
) -> None:
    leases = Late()
    shard = asyncio.create_task(
        run_shard(items(0, 5), tmp_path, 0, settings=settings_for(sim), limiter=leases)
    )
    await until(lambda: bool(leases.granted()))
    for _ in range(times):
        shard.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await shard
    assert leases.granted() == {}
    assert sim.metrics.requests == 0


async def test_a_cancelled_shard_gives_its_permits_back_at_once(
    sim: Simulator, tmp_path: Path
) -> None:
    sim.script(Reply("slow", queue_seconds=600, times="forever"))
    leases = Watched(10, ttl=GUARD)
    shard = asyncio.create_task(
        run_shard(items(0, 20), tmp_path, 0, settings=settings_for(sim), limiter=leases)
    )
    await until(lambda: sim.metrics.in_flight == 10)
    shard.cancel()
    with pytest.raises(asyncio.CancelledError):
        await shard
    assert leases.granted() == {}
    await until(lambda: sim.metrics.in_flight == 0)


# Several processes.


async def test_processes_share_a_limit_and_one_is_killed(tmp_path: Path) -> None:
    total, each, shards = 30, 250, range(2)
    async with (
        asyncio.timeout(GUARD),
        Simulator(first_token_seconds=THINKS) as sim,
        serving(Leases(total, ttl=TTL)) as limiter,
    ):
        # Their environment has the key.
        settings = settings_for(sim, api_key=None)
        workers = [
            ShardProcess(items(shard, each), tmp_path, shard, settings, limiter) for shard in shards
        ]
        victim = tmp_path / "0.jsonl"
        await until(lambda: victim.exists() and len(names_in(victim)) >= each // 4)
        await workers[0].kill()
        kept = set(names_in(victim))
        with pytest.raises(BatchError, match="shard 0 did not come to its end; run it again"):
            merge_shards(tmp_path, shards=[0])
        again = await run_shard(
            items(0, each),
            tmp_path,
            0,
            settings=settings_for(sim),
            limiter=limiter,
        )
        reports = [again, *[await worker.report() for worker in workers[1:]]]
        assert all(report.ok for report in reports)
        assert again.skipped == len(kept)
        # Nothing lost, nothing twice.
        merged = merge_shards(tmp_path, shards=shards)
        assert (merged.ok, merged.answered) == (True, each * len(shards))
        times = asked(sim)
        assert set(times) == set().union(*[ids(shard, each) for shard in shards])
        # Paid again: what was under way, and the answers of the last tenth of a second.
        paid_again = {name for name, count in times.items() if count > 1}
        assert not paid_again & kept
        assert len(paid_again) <= total + total * 0.15 / THINKS
        # The dead one's permits were given to others only when its requests were over.
        assert sim.metrics.peak_in_flight <= total * 1.02
