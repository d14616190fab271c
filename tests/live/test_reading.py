"""Readers: joining late, coming back, being slow, leaving without a word."""

import asyncio
import gc
import logging
import weakref
from typing import Any

import pytest

from deepseek_async import ContentDeltaEvent, DoneEvent, QueuedEvent, ToolStartedEvent, tool
from deepseek_async.live import Batch, DrainEvent, Live, ResetEvent, Run
from deepseek_async.live.log import joined
from deepseek_async.live.reading import Reading
from deepseek_async.simulator import Reply, Simulator

from .apps import ASK
from .sources import Page, all_of, endless, pieces, silent, text_of, until


async def test_the_first_reader_gets_all_and_the_end() -> None:
    run = Run("r", pieces("a", "b", DoneEvent("stop", None)), fps=0)
    batches = await all_of(run)
    assert text_of([event for batch in batches for event in batch.events]) == "ab"
    assert [batch.last for batch in batches] == [False] * (len(batches) - 1) + [True]
    assert batches[-1].events == [DoneEvent("stop", None)]
    assert (run.status, run.readers) == ("done", 0)


async def test_a_late_reader_gets_one_joined_delta() -> None:
    run = Run("r", pieces(*"abc"), on_disconnect="continue", fps=0)
    await run.wait()
    (batch,) = await all_of(run)
    assert batch.events == [ContentDeltaEvent("abc"), DoneEvent(None, None)]
    assert (batch.start, batch.end, batch.last) == (0, 4, True)


async def test_who_has_had_all_gets_nothing() -> None:
    run = Run("r", pieces("a"))
    (*_, last) = await all_of(run)
    assert await all_of(run, last.cursor) == []


@pytest.mark.parametrize("settled", [False, True])
async def test_a_reader_goes_on_behind_any_character(settled: bool) -> None:
    gate = asyncio.Event()
    run = Run("r", pieces("abc", "中文", "😀", gate=gate), fps=0)
    if settled:
        gate.set()
        await run.wait()
    else:
        await until(lambda: run.cursor.endswith(".6"))
    epoch = run.cursor.partition(".")[0]
    for position in range(7):
        batch = await anext(aiter(run.read(f"{epoch}.{position}"))) if position < 6 else None
        if batch is not None:
            assert text_of(batch.events) == "abc中文😀"[position:]
            assert text_of(run.events_before(batch.start)) == "abc中文😀"[:position]
    gate.set()


@pytest.mark.parametrize(
    "cursor",
    ["", "x", "x.1", "{e}.", "{e}.-1", "{e}.99", "{e}.01", "{e}.1.1", "{e}.1e3", "{e}." + "9" * 30],
)
async def test_a_cursor_of_no_use_resets(cursor: str) -> None:
    run = Run("r", pieces("abc"))
    await run.wait()
    after = cursor.format(e=run.cursor.partition(".")[0])
    (batch,) = await all_of(run, after)
    assert batch.events == [ResetEvent(), ContentDeltaEvent("abc"), DoneEvent(None, None)]
    assert (batch.start, batch.last) == (0, True)


async def test_a_cursor_ahead_of_a_run_that_goes_on_resets_at_once() -> None:
    async with Live() as live:
        run = await live.start(pieces("abc", gate=asyncio.Event()), fps=0)
        await until(lambda: run.cursor.endswith(".3"))
        reading = run.read(run.cursor.replace(".3", ".9"))
        async with asyncio.timeout(30):
            batch = await anext(reading)
        assert batch.events == [ResetEvent(), ContentDeltaEvent("abc")]
        await reading.aclose()


async def test_readers_that_are_equally_far_share_their_batches() -> None:
    run = Run("r", pieces(*"abcdef"), fps=0)
    stories = await asyncio.gather(*(all_of(run, after) for after in [None] * 5 + ["x.1"] * 5))
    for story in (stories[:5], stories[5:]):
        assert len({id(batch) for batches in story for batch in batches}) == len(story[0])


async def test_who_joins_while_it_is_queued_is_told_so_and_no_silence_is_made_up() -> None:
    gate = asyncio.Event()

    async def queued() -> Any:
        yield QueuedEvent(1.5)
        await gate.wait()
        yield "a"

    run = Run("r", queued(), fps=0)
    early = run.read(heartbeat=None)
    first = await anext(early)
    assert (first.events, first.start, first.end) == ([QueuedEvent(1.5)], 0, 0)
    late = run.read(heartbeat=None)
    assert (await anext(late)).events == [QueuedEvent(1.5)]
    gate.set()
    assert [[event.type for event in batch.events] async for batch in early] == [
        ["content.delta"],
        ["done"],
    ]
    assert first.cursor.endswith(".0")


async def test_who_joins_when_the_answer_has_begun_is_not_told_of_the_queue() -> None:
    run = Run("r", pieces(QueuedEvent(1.5), "a", gate=asyncio.Event()), fps=0)
    await until(lambda: run.cursor.endswith(".1"))
    late = run.read(heartbeat=0.01)
    assert [(await anext(late)).events for _ in range(2)] == [[ContentDeltaEvent("a")], []]
    await late.aclose()


async def test_silence_has_heartbeats() -> None:
    run = Run("r", silent())
    reading = run.read(heartbeat=0.01)
    for _ in range(3):
        batch = await anext(reading)
        assert (batch.events, batch.start, batch.end, batch.last) == ([], 0, 0, False)
    await reading.aclose()
    assert await run.wait() == "stopped"


@pytest.mark.parametrize("heartbeat", [0, -1, float("nan")])
async def test_a_heartbeat_is_a_time(heartbeat: float) -> None:
    run = Run("r", silent())
    with pytest.raises(ValueError, match="heartbeat"):
        await anext(run.read(heartbeat=heartbeat))
    await run.stop()


def test_a_run_is_read_in_its_own_loop() -> None:
    async def start() -> Run:
        run = Run("r", pieces("a"))
        await run.wait()
        return run

    async def read(run: Run) -> None:
        with pytest.raises(RuntimeError, match="event loop that started it"):
            await anext(run.read())

    asyncio.run(read(asyncio.run(start())))


async def test_a_reader_that_is_forgotten_has_left() -> None:
    run = Run("r", endless())
    async for _ in run.read():
        break
    # The generator is gone, and the loop closes it: that ends the run.
    await until(lambda: run.status == "stopped")
    assert run.readers == 0


async def test_a_reader_that_is_cancelled_has_left() -> None:
    run = Run("r", silent(), on_disconnect="continue")
    task = asyncio.create_task(all_of(run))
    await until(lambda: run.readers == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert run.readers == 0
    assert run.status == "running"
    await run.stop()


async def test_a_reader_that_never_began_counts_for_nothing() -> None:
    run = Run("r", pieces("a"))
    reading = run.read()
    assert run.readers == 0
    await reading.aclose()
    await run.wait()


async def test_thousands_read() -> None:
    run = Run("r", pieces(*["word "] * 100), fps=0)
    pages = [Page() for _ in range(2000)]
    await asyncio.gather(*(page.read(run) for page in pages))
    assert {text_of(page.events) for page in pages} == {"word " * 100}
    assert run.readers == 0


def objects(*kinds: type) -> int:
    gc.collect()
    return sum(isinstance(each, kinds) for each in gc.get_objects())


async def test_a_reader_that_does_not_read_holds_nothing() -> None:
    """Acceptance 5: no queue, no batch, no timer for each of them."""
    gate, more = asyncio.Event(), asyncio.Event()

    async def told() -> Any:
        for i in range(5000):
            yield "word "
            if i == 0:
                await gate.wait()
        more.set()
        await asyncio.Event().wait()

    run = Run("r", told(), fps=0)
    before = objects(Batch, asyncio.TimerHandle, asyncio.Future)
    stalled = [run.read() for _ in range(100)]
    for reading in stalled:
        await anext(reading)
    other = Page()
    reader = asyncio.create_task(other.read(run))
    gate.set()
    await more.wait()
    await until(lambda: other.position == 25_000)
    # Those of the one that reads, and of the runs's own timers, and one batch that all had.
    assert objects(Batch, asyncio.TimerHandle, asyncio.Future) - before <= 8
    assert objects(Reading) == 101
    # Whoever wakes up gets one batch of all it missed.
    batch = await anext(stalled[0])
    assert len(batch.events) == 1
    assert text_of(batch.events) == "word " * 4999
    await run.stop()
    await reader
    for reading in stalled:
        await reading.aclose()


async def test_the_last_batch_is_not_kept_for_nobody() -> None:
    run = Run("r", pieces("word " * 1000))
    await run.wait()
    (batch,) = await all_of(run)
    assert objects(Batch) == 1
    del batch
    assert objects(Batch) == 0


async def test_a_forgotten_run_is_gone_at_once(caplog: pytest.LogCaptureFixture) -> None:
    # What is captured keeps the traceback of what it tells.
    caplog.set_level(logging.CRITICAL)
    gc.collect()
    gc.disable()
    try:
        async with Live(retain=0) as live:
            for source in (pieces("a", gate=asyncio.Event()), pieces("a"), endless(), broken()):
                run = await live.start(source, stall_after=60, grace=60)
                reading = run.read()
                await anext(reading)
                await reading.aclose()
                await run.stop()
                ref = weakref.ref(run)
                del run, reading
                await until(lambda: len(live) == 0)
                await asyncio.sleep(0)
                assert ref() is None, source
    finally:
        gc.enable()


async def broken() -> Any:
    yield "a"
    try:
        raise ValueError("inner")
    except ValueError:
        raise RuntimeError("outer") from None


async def test_the_first_text_is_told_at_once_and_then_so_many_frames_a_second() -> None:
    loop = asyncio.get_running_loop()
    fps = 20

    async def told() -> Any:
        for _ in range(300):
            yield "x"
            await asyncio.sleep(0.002)
        yield ToolStartedEvent(1, 0, "id", "f", "{}")
        yield "y"

    run = Run("r", told(), fps=fps)
    begun = loop.time()
    batches = await all_of(run)
    frames = (loop.time() - begun) * fps
    texts = [batch for batch in batches if text_of(batch.events)]
    assert text_of(batches[0].events) == "x"
    # The first, the one that the tool's event pushes out, the last text, which the end pushes out.
    assert 2 <= len(texts) <= frames + 3
    assert text_of([event for batch in batches for event in batch.events]) == "x" * 300 + "y"


async def test_without_frames_each_piece_is_told_as_it_comes() -> None:
    run = Run("r", pieces(*"abc"), fps=0)
    assert [text_of(batch.events) for batch in await all_of(run)] == ["a", "b", "c", ""]


async def test_drained_readers_end_and_the_run_with_them() -> None:
    run = Run("r", pieces("a", gate=asyncio.Event()), fps=0)
    first = run.read(heartbeat=None)
    await anext(first)
    second = asyncio.create_task(all_of(run))
    await until(lambda: run.readers == 2)
    run.drain(2.0)
    assert [batch.events async for batch in first] == [[DrainEvent(2.0)]]
    (*_, last) = await second
    assert last.last
    assert last.events[-1] == DrainEvent(2.0)
    assert await run.wait() == "stopped"
    # A reader that comes now gets what there is.
    (batch,) = await all_of(run)
    assert [event.type for event in batch.events] == ["content.delta", "stopped"]


async def test_a_reader_of_what_has_ended_is_not_drained() -> None:
    run = Run("r", pieces("a", "b"), fps=0)
    reading = run.read()
    await anext(reading)
    await run.wait()
    run.drain(1.0)
    (batch,) = [batch async for batch in reading]
    assert batch.events == [ContentDeltaEvent("b"), DoneEvent(None, None)]


@pytest.mark.parametrize("streamed", [True, False])
async def test_a_tool_run_is_told_alike_streamed_or_not(streamed: bool) -> None:
    @tool
    def count(word: str) -> int:
        """Count letters."""
        return len(word)

    async with Simulator() as sim, sim.client() as client:
        sim.script(
            Reply("Let me see.", reasoning="Hm.", tool_calls=[("count", {"word": "rain"})]),
            Reply("Four."),
        )
        runner = client.chat.completions.run_tools(**ASK, tools=[count], stream=streamed)
        run = Run("r", runner)
        told = joined([event for batch in await all_of(run) for event in batch.events])
        assert [event.type for event in told if not isinstance(event, DoneEvent)] == [
            "reasoning.delta",
            "reasoning.done",
            "content.delta",
            *["tool_calls.function.arguments.delta"] * 2,
            "content.done",
            "tool_calls.function.arguments.done",
            "turn.done",
            "tool.started",
            "tool.done",
            "content.delta",
            "content.done",
            "turn.done",
        ]
        assert run.status == "done"
