"""The runs of a process: ids, limits, retention, draining, closing, loops."""

import asyncio
from typing import Any

import pytest

from deepseek_async.live import (
    DrainEvent,
    Live,
    LiveClosedError,
    LiveFullError,
    RunExistsError,
    StoppedEvent,
)

from .sources import GUARD, all_of, endless, pieces, silent, until


async def test_runs_are_found_by_their_ids() -> None:
    async with Live() as live:
        run = await live.start(pieces("a"), id="mine")
        other = await live.start(pieces("a"))
        assert live.get("mine") is run
        assert await live.find("mine") is run
        assert live.get("theirs") is None
        assert await live.find("theirs") is None
        assert len(other.id) >= 12
        assert len(live) == 2


async def test_an_id_is_taken_until_its_run_is_forgotten() -> None:
    async with Live(retain=0.01) as live:
        run = await live.start(pieces("a"), id="x")
        with pytest.raises(RunExistsError) as caught:
            await live.start(pieces("b"), id="x")
        assert caught.value.run is run
        await run.wait()
        await until(lambda: live.get("x") is None)
        await live.start(pieces("b"), id="x")


async def test_an_id_can_be_taken_over_from_a_run_that_has_ended() -> None:
    async with Live() as live:
        first = await live.start(silent(), id="x")
        with pytest.raises(RunExistsError):
            await live.start(pieces("b"), id="x", replace=True)
        await first.stop()
        second = await live.start(pieces("b"), id="x", replace=True)
        assert live.get("x") is second
        assert len(live) == 1


async def test_a_run_knows_whose_it_is() -> None:
    async with Live() as live:
        assert (await live.start(pieces("a"), owner="ann")).owner == "ann"
        assert (await live.start(pieces("a"))).owner is None


@pytest.mark.parametrize("run_id", ["", "a/b", 5, "x" * 201])
async def test_ids_fit_into_a_path(run_id: Any) -> None:
    async with Live() as live:
        with pytest.raises(ValueError, match="1 to 200 characters without a slash"):
            await live.start(pieces("a"), id=run_id)
        assert len(live) == 0


async def test_stopping_by_id() -> None:
    async with Live() as live:
        run = await live.start(silent(), id="x")
        assert await live.stop("x")
        assert run.status == "stopped"
        assert await live.stop("x")
        assert not await live.stop("y")


async def test_the_oldest_that_has_ended_makes_room() -> None:
    async with Live(max_runs=2) as live:
        first = await live.start(pieces("a"), id="1")
        await first.wait()
        await live.start(silent(), id="2")
        await live.start(silent(), id="3")
        assert live.get("1") is None
        with pytest.raises(LiveFullError, match="2 runs are under way"):
            await live.start(silent())
        assert len(live) == 2


async def test_what_has_ended_is_bounded_by_its_bytes() -> None:
    async with Live(max_retained_bytes=5000) as live:
        for i in range(10):
            run = await live.start(pieces("x" * 1000), id=str(i))
            await run.wait()
        assert [i for i in range(10) if live.get(str(i))] == [6, 7, 8, 9]
        # Whoever still holds one can read it.
        for i in range(10, 20):
            run = await live.start(pieces("x" * 9000), id=str(i))
            await run.wait()
            assert len(await all_of(run)) == 1
        assert len(live) == 0


async def test_raw_bytes_count_as_retained() -> None:
    from deepseek_async import RawEvent

    async with Live(max_retained_bytes=5000) as live:
        run = await live.start(pieces(RawEvent(b"x" * 6000), "a"), id="x", raw=True)
        await run.wait()
        assert run.size > 6000
        assert live.get("x") is None


@pytest.mark.parametrize(
    "option",
    [
        {"retain": -1},
        {"max_runs": 0},
        {"max_bytes": 0},
        {"max_retained_bytes": -1},
        {"sign_every": 0},
        {"retain": float("nan")},
    ],
)
def test_options_out_of_range_are_refused(option: Any) -> None:
    with pytest.raises(ValueError, match=next(iter(option))):
        Live(**option)


async def test_drain_sends_readers_away_and_ends_what_runs() -> None:
    live = Live()
    read = await live.start(endless())
    unread = await live.start(silent())
    lasting = await live.start(silent(), on_disconnect="continue")
    gate = asyncio.Event()
    quick = await live.start(pieces("a", gate=gate), on_disconnect="continue")
    readers = [asyncio.create_task(all_of(run)) for run in (read, lasting)]
    await until(lambda: read.readers and lasting.readers)
    draining = asyncio.create_task(live.drain(0.1))
    for reader in readers:
        (*_, last) = await reader
        assert last.last
        assert last.events[-1] == DrainEvent(1.0)
    gate.set()
    with pytest.raises(LiveClosedError):
        await live.start(silent())
    await draining
    assert [run.status for run in (read, unread, lasting, quick)] == [
        *["stopped"] * 3,
        "done",
    ]
    for run in (read, unread, lasting):
        (*_, last) = await all_of(run)
        assert last.events[-1] == StoppedEvent("drained")


async def test_a_drain_that_is_cancelled_still_ends_what_runs() -> None:
    live = Live()
    run = await live.start(silent(), on_disconnect="continue")
    draining = asyncio.create_task(live.drain(GUARD))
    await asyncio.sleep(0)
    draining.cancel()
    await asyncio.gather(draining, return_exceptions=True)
    assert await run.wait() == "stopped"


async def test_what_has_ended_can_be_read_after_closing() -> None:
    async with Live() as live:
        run = await live.start(pieces("a"))
        await run.wait()
    assert live.get(run.id) is run
    assert len(await all_of(run)) == 1
    with pytest.raises(LiveClosedError):
        await live.start(pieces("a"))


def test_a_live_of_the_module_serves_one_loop_after_the_other() -> None:
    live = Live()

    async def serve() -> str:
        assert live.get("x") is None
        run = await live.start(silent(), id="x", on_disconnect="continue")
        await asyncio.sleep(0)
        return run.id

    # asyncio.run() cancels what is left.
    assert asyncio.run(serve()) == asyncio.run(serve())


def test_entered_again_it_begins_anew() -> None:
    live = Live()

    async def serve() -> None:
        async with live:
            run = await live.start(pieces("a"), id="x")
            await run.wait()

    asyncio.run(serve())
    asyncio.run(serve())


def test_two_loops_at_once_are_refused() -> None:
    live = Live()
    first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
    run = first.run_until_complete(live.start(silent()))
    with pytest.raises(RuntimeError, match="another event loop"):
        second.run_until_complete(live.start(silent()))
    second.close()
    first.run_until_complete(run.stop())
    first.close()


def test_a_program_that_is_interrupted_ends_its_runs() -> None:
    ended: list[str] = []

    async def serve() -> None:
        async with Live() as live:
            run = await live.start(endless(), on_disconnect="continue")
            try:
                async for _ in run.read():
                    raise KeyboardInterrupt
            finally:
                ended.append(run.id)

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(serve())
    assert ended
