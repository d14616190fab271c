"""Readers that come and go, stops, failures and drains, all at once and in any order."""

import asyncio
import gc
import logging
import random
import weakref
from typing import Any

import pytest

from deepseek_async.live import Batch, FailedEvent, Live, MemoryLogStore, Run, StoppedEvent

from .sources import GUARD, endless, pieces, until


class Story:
    """What one reader was told, checked as it comes."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.left = False

    async def read(self, run: Run, batches: int) -> None:
        reading = run.read(heartbeat=0.01)
        try:
            async for batch in reading:
                assert not self.batches or not self.batches[-1].last
                self.batches.append(batch)
                if not batch.last and len(self.batches) >= batches:
                    self.left = True
                    return
                await asyncio.sleep(0)
        finally:
            await reading.aclose()


async def told(rng: random.Random) -> Any:
    for i in range(rng.randint(0, 200)):
        yield f"{i} "
        if rng.random() < 0.5:
            await asyncio.sleep(0)
    if rng.random() < 0.2:
        raise RuntimeError("boom")
    if rng.random() < 0.3:
        await asyncio.Event().wait()


async def happen(run: Run, rng: random.Random) -> None:
    """Do one of the things that end a run or a reader."""
    for _ in range(rng.randint(0, 60)):
        await asyncio.sleep(0)
    thing = rng.randint(0, 4)
    if thing == 0:
        await run.stop()
    elif thing == 1:
        run.drain(0.5)
    elif thing == 2:
        run.end(FailedEvent("error", "x"))
    elif thing == 3:
        run.end(StoppedEvent("left"))
    else:
        reader = asyncio.create_task(Story().read(run, 1000))
        await asyncio.sleep(0)
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)


async def ended_at_last(run: Run) -> None:
    await asyncio.sleep(0.02)
    run.end(StoppedEvent("stopped"))


@pytest.mark.parametrize("stored", [False, True])
async def test_whatever_happens_each_reader_gets_one_end(
    stored: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    rng = random.Random(11)
    store = MemoryLogStore() if stored else None
    others = asyncio.all_tasks()
    async with Live(store=store) as live:
        for _ in range(40 if stored else 300):
            run = await live.start(
                told(rng),
                on_disconnect=rng.choice(["cancel", "continue"]),
                fps=rng.choice([0, 1000]),
            )
            stories = [Story() for _ in range(rng.randint(0, 4))]
            async with asyncio.timeout(GUARD):
                await asyncio.gather(
                    *(story.read(run, rng.choice([1, 5, 10_000])) for story in stories),
                    *(happen(run, rng) for _ in range(rng.randint(1, 3))),
                    ended_at_last(run),
                )
                await run.wait()
            assert run.readers == 0
            final = Story()
            await final.read(run, 10_000)
            assert [batch.last for batch in final.batches] == [True]
            assert final.batches[0].events[-1].type in ("done", "stopped", "failed")
            for story in stories:
                assert story.left or [batch.last for batch in story.batches][-1:] == [True]
    await until(lambda: asyncio.all_tasks() <= others)


async def gone(references: "list[weakref.ref[Run]]") -> None:
    await until(lambda: [each() for each in references] == [None, None])


async def test_forgotten_runs_of_several_processes_are_gone_at_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.CRITICAL)
    store = MemoryLogStore()
    gc.collect()
    gc.disable()
    try:
        here, there = Live(retain=0, store=store), Live(store=store)
        for source in (endless(), pieces("a", 1), pieces("a", gate=asyncio.Event())):
            run = await here.start(source, grace=60)
            other = await there.find(run.id)
            assert other is not None
            reading = other.read()
            await anext(reading)
            await reading.aclose()
            await run.stop()
            await other.wait()
            references = [weakref.ref(each) for each in (run, other)]
            there._drop_mirror(other)
            del run, other, reading
            await gone(references)
        await here.aclose()
        await there.aclose()
    finally:
        gc.enable()


async def test_every_moment_of_a_cancelled_start(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever is cancelled while a run begins leaves nothing that runs."""
    for turns in range(12):
        store = MemoryLogStore()
        async with Live(store=store) as live:
            starting = asyncio.create_task(live.start(endless(), id="r", on_disconnect="continue"))
            for _ in range(turns):
                await asyncio.sleep(0)
            was_done = starting.done()
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            run = live.get("r")
            if run is not None and not was_done:
                assert await run.wait() == "stopped"


async def test_every_moment_of_a_cancelled_stop() -> None:
    for turns in range(6):
        run = Run("r", endless())
        await anext(run.read())
        stopping = asyncio.create_task(run.stop())
        for _ in range(turns):
            await asyncio.sleep(0)
        stopping.cancel()
        await asyncio.gather(stopping, return_exceptions=True)
        if turns:
            assert await run.wait() == "stopped"
        else:
            await run.stop()
