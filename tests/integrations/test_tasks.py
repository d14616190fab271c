"""A shard as a task of a worker: its end, that of its run, and the client it shares."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from deepseek_async import AsyncDeepSeek
from deepseek_async.batch import ShardReport, ShardSettings
from deepseek_async.batch.lock import FileLock
from deepseek_async.batch.shard import run_shard
from deepseek_async.integrations import boards, clients
from deepseek_async.integrations.boards import Asked, Board, BoardLimiter, Failure, run_task
from deepseek_async.integrations.clients import shared_client
from deepseek_async.simulator import Reply, Simulator

from .shards import GUARD, items


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator() as simulator:
        yield simulator


def settings_for(sim: Simulator) -> ShardSettings:
    return ShardSettings(
        api_key="sk-simulated",
        base_url=sim.base_url,
        dialect="deepseek",
        model="deepseek-flash",
        trust_env=False,
    )


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(GUARD):
        while not condition():
            await asyncio.sleep(0.005)


class Near:
    """A board in this process."""

    def __init__(self) -> None:
        self.board = Board(10)

    async def ask(self, action: str, **values: Any) -> Asked:
        asked: Asked = getattr(self.board, action)(**values)
        return asked


async def test_a_task_ends_with_its_run(sim: Simulator, tmp_path: Path) -> None:
    sim.script(Reply("slow", queue_seconds=600, times="forever"))
    near = Near()
    task = asyncio.create_task(
        run_task(items(0, 5), str(tmp_path), 0, settings_for(sim), BoardLimiter(near.ask))
    )
    await until(lambda: sim.metrics.in_flight == 5)
    near.board.stop()
    assert await task == Failure("the run was ended", is_final=True)
    await until(lambda: sim.metrics.in_flight == 0)
    assert near.board.heard()["workers"] == 0


async def test_a_cancelled_task_leaves_nothing(sim: Simulator, tmp_path: Path) -> None:
    sim.script(Reply("slow", queue_seconds=600, times="forever"))
    near = Near()
    task = asyncio.create_task(
        run_task(items(0, 5), str(tmp_path), 0, settings_for(sim), BoardLimiter(near.ask))
    )
    await until(lambda: sim.metrics.in_flight == 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: sim.metrics.in_flight == 0)
    assert near.board.heard()["workers"] == 0


async def test_a_task_waits_for_one_that_is_still_ending(
    sim: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boards, "_LOCKED_STEP", 0.02)
    results = tmp_path / "0.jsonl"
    lock = FileLock(tmp_path / "0.lock")
    lock.acquire(results)
    near = Near()

    def run() -> asyncio.Task[ShardReport | Failure]:
        limiter = BoardLimiter(near.ask)
        return asyncio.create_task(
            run_task(items(0, 5), str(tmp_path), 0, settings_for(sim), limiter)
        )

    ended = await run()
    assert isinstance(ended, Failure)
    assert not ended.is_final
    assert "BatchLockedError: another batch job writes to" in ended.text
    task = run()
    await asyncio.sleep(0.05)
    lock.release()
    ended = await task
    assert isinstance(ended, ShardReport)
    assert ended.ok


async def test_what_no_other_try_would_mend_is_told_so(sim: Simulator, tmp_path: Path) -> None:
    settings = settings_for(sim)
    await run_shard(items(0, 2), tmp_path, 0, settings=settings)
    other = ShardSettings(api_key="sk-simulated", base_url=sim.base_url, model="another")
    ended = await run_task(items(0, 2), str(tmp_path), 0, other, BoardLimiter(Near().ask))
    assert isinstance(ended, Failure)
    assert ended.is_final
    assert "BatchSettingsError: " in ended.text


async def test_shards_share_a_client_until_nobody_wants_it(
    sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "_KEPT_FOR", 0.0)
    settings = settings_for(sim)
    async with shared_client(settings) as one, shared_client(settings) as two:
        assert one is two
        async with shared_client(ShardSettings(api_key="sk-other")) as other:
            assert other is not one
        messages = [{"role": "user", "content": "Hello"}]
        await one.chat.completions.create(model="deepseek-flash", messages=messages)
        assert sim.metrics.open_connections == 1
    await until(lambda: sim.metrics.open_connections == 0)
    async with shared_client(settings) as again:
        assert again is not one


async def test_a_shard_leaves_a_client_open_that_it_was_given(
    sim: Simulator, tmp_path: Path
) -> None:
    client: AsyncDeepSeek
    async with sim.client(trust_env=False) as client:
        for shard in range(2):
            report = await run_shard(
                items(shard, 1), tmp_path, shard, settings=settings_for(sim), client=client
            )
            assert report.ok
        assert sim.metrics.open_connections == 1
