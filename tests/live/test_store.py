"""Several processes: two Live objects with one store between them."""

import asyncio
import random
import sys
from collections.abc import AsyncGenerator
from typing import Any

import msgspec
import pytest

from deepseek_async import (
    ArgumentsDeltaEvent,
    ContentDeltaEvent,
    DoneEvent,
    QueuedEvent,
    ToolDoneEvent,
    TurnDoneEvent,
)
from deepseek_async.live import (
    FailedEvent,
    Live,
    LiveClosedError,
    LiveFullError,
    LiveStoreError,
    LogReplacedError,
    LogStore,
    MemoryLogStore,
    ResetEvent,
    Run,
    StoppedEvent,
    keeper,
    leaving,
    mirror,
)
from deepseek_async.live import store as store_module
from deepseek_async.live.log import joined
from deepseek_async.live.records import encoded
from deepseek_async.live.store import PATIENCE
from deepseek_async.simulator import Reply, Simulator

from .sources import Page, all_of, endless, pieces, silent, text_of, until
from .test_resume import answer, read_with_cuts, told_unevenly

ASK: Any = {"model": "deepseek-flash", "messages": [{"role": "user", "content": "Hi"}]}


def events_of(batches: Any) -> Any:
    return joined(event for batch in batches for event in batch.events)


async def found(live: Live, run_id: str) -> Run:
    run = await live.find(run_id)
    assert run is not None
    return run


class Flaky(MemoryLogStore):
    """A store that fails when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.fails = False
        self.hangs = False
        # Takes what it is given, and says that it did not.
        self.lies = False
        self.appended: list[tuple[str, int]] = []

    async def _check(self) -> None:
        if self.hangs:
            await asyncio.Event().wait()
        if self.fails:
            raise ConnectionError("the store is away")

    async def append(self, run: str, cursor: str, data: bytes) -> None:
        await self._check()
        await super().append(run, cursor, data)
        self.appended.append((cursor, len(data)))
        if self.lies:
            raise ConnectionError("the reply was lost")

    async def read(self, run: str, after: str | None) -> AsyncGenerator[tuple[str, bytes]]:
        await self._check()
        async for record in super().read(run, after):
            await self._check()
            yield record

    async def stop(self, run: str) -> None:
        await self._check()
        await super().stop(run)

    async def watch_stop(self, run: str) -> None:
        await self._check()
        await super().watch_stop(run)


async def test_a_run_is_read_in_another_process_with_the_same_cursors(store: LogStore) -> None:
    async with Live(store=store) as here, Live(store=store) as there:
        gate = asyncio.Event()
        run = await here.start(pieces("abc", "中文", gate=gate), id="r", fps=0)
        other = await found(there, "r")
        assert there.get("r") is None
        assert other is not run
        reading = other.read(heartbeat=None)
        page = Page()
        while page.position < 5:
            page.take(await anext(reading))
        assert other.status == "running"
        await reading.aclose()
        # It comes back to the first process, and to the second.
        assert page.cursor == run.cursor == other.cursor
        gate.set()
        assert [batch.events for batch in await all_of(run, page.cursor)] == [
            [DoneEvent(None, None)]
        ]
        await page.read(other)
        assert page.resets == 0
        assert page.events[-1] == DoneEvent(None, None)
        assert text_of(page.events) == "abc中文"
        assert await other.wait() == "done"


async def test_usage_and_cost_are_known_everywhere_and_the_completion_is_not(
    store: LogStore,
) -> None:
    async with (
        Simulator() as sim,
        sim.client() as client,
        Live(store=store) as here,
        Live(store=store) as there,
    ):
        sim.script(Reply("Hello", reasoning="Hm"))
        run = await here.start(lambda: client.chat.completions.stream(**ASK), owner="ann")
        other = await found(there, run.id)
        assert other.owner == "ann"
        assert events_of(await all_of(other)) == events_of(await all_of(run))
        assert other.usage == run.usage is not None
        assert other.cost == run.cost is not None
        assert other.completion is None
        assert other.raw_between(0, 1) is None


async def test_tools_and_events_of_the_applications_own_are_told(store: LogStore) -> None:
    class Progress(msgspec.Struct, tag_field="type", tag="progress"):
        done: float
        type = "progress"

    async with Simulator() as sim, sim.client() as client:
        completion = await client.chat.completions.create(**ASK)
    told = [
        ArgumentsDeltaEvent(0, "id", "f", ""),
        ArgumentsDeltaEvent(0, "id", "f", "{}"),
        ToolDoneEvent(1, 0, "id", "f", "\udcff", is_error=False, seconds=0.1),
        TurnDoneEvent(1, completion),
        Progress(0.5),
    ]
    async with Live(store=store) as here, Live(store=store) as there:
        run = await here.start(pieces(*told), on_disconnect="continue", fps=0)
        await run.wait()
        batches = await all_of(await found(there, run.id))
        events = events_of(batches)
        assert [event.type for event in events] == [
            event.type for event in events_of(await all_of(run))
        ]
        assert msgspec.json.encode(events) == msgspec.json.encode(events_of(await all_of(run)))
        assert events[2].content == "\ufffd"


async def test_whoever_is_queued_is_told_so_everywhere(store: LogStore) -> None:

    async def queued() -> Any:
        yield QueuedEvent(1.5)
        await asyncio.Event().wait()

    async with Live(store=store) as here, Live(store=store) as there:
        run = await here.start(queued())
        other = await found(there, run.id)
        batch = await anext(other.read(heartbeat=None))
        assert (batch.events, batch.start, batch.end) == ([QueuedEvent(1.5)], 0, 0)


async def test_late_joiners_and_unknown_cursors(store: LogStore) -> None:
    async with Live(store=store) as here, Live(store=store) as there:
        run = await here.start(pieces("abc"), on_disconnect="continue")
        await run.wait()
        other = await found(there, run.id)
        page = Page()
        await page.read(other)
        assert text_of(page.events) == "abc"
        (batch,) = await all_of(other, "other.3")
        assert batch.events[:2] == [ResetEvent(), ContentDeltaEvent("abc")]


async def test_ids_that_nobody_has(store: LogStore) -> None:
    async with Live(store=store) as live, Live() as alone:
        assert await live.find("x") is None
        assert not await live.stop("x")
        assert await alone.find("x") is None
        assert await asyncio.gather(*(live.find("y") for _ in range(5))) == [None] * 5
    with pytest.raises(LiveClosedError):
        await live.find("z")


async def test_all_that_look_share_one_mirror(store: LogStore) -> None:
    async with Live(store=store) as here, Live(store=store, max_runs=1) as there:
        await here.start(silent(), id="r")
        await here.start(silent(), id="s")
        mirrors = await asyncio.gather(*(there.find("r") for _ in range(5)))
        assert len(set(mirrors)) == 1
        with pytest.raises(LiveFullError):
            await there.find("s")


async def test_a_search_that_is_cancelled_leaves_others_alone() -> None:
    store = Flaky()
    async with Live(store=store) as here, Live(store=store) as there:
        await here.start(silent(), id="r")
        first = asyncio.create_task(there.find("r"))
        second = asyncio.create_task(there.find("r"))
        await asyncio.sleep(0)
        first.cancel()
        assert await second is not None


async def test_any_process_stops_a_run(store: LogStore) -> None:
    async with Live(store=store) as here, Live(store=store) as there:
        run = await here.start(endless(), id="r")
        assert await there.stop("r")
        assert run.status == "stopped"
        again = await here.start(endless(), id="r2")
        other = await found(there, "r2")
        reader = asyncio.create_task(all_of(other))
        await until(lambda: other.readers)
        await other.stop()
        assert (await reader)[-1].events[-1] == StoppedEvent("stopped")
        assert again.status == other.status == "stopped"


async def test_a_stop_that_the_store_forgets_is_told_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Forgetful(MemoryLogStore):
        stops = 0

        async def stop(self, run: str) -> None:
            self.stops += run == "r"
            if self.stops > 1:
                await super().stop(run)

    monkeypatch.setattr(mirror, "_STOP_AGAIN", 0.01)
    store = Forgetful()
    async with Live(store=store) as here, Live(store=store) as there:
        run = await here.start(endless(), id="r", grace=60)
        async with asyncio.timeout(20):
            assert await there.stop("r")
        assert run.status == "stopped"


async def test_a_stop_that_comes_before_anybody_watches_counts(store: LogStore) -> None:
    await store.append("r", "e.0", b"")
    await store.stop("r")
    await asyncio.wait_for(store.watch_stop("r"), 5)


async def test_a_new_run_is_not_stopped_for_the_old_one(store: LogStore) -> None:
    await store.append("r", "old.0", b"")
    await store.stop("r")
    async with Live(store=store) as here:
        run = await here.start(pieces(*["a"] * 20), id="r", on_disconnect="continue")
        assert await run.wait() == "done"


async def test_a_failed_run_fails_everywhere(store: LogStore) -> None:

    async def told() -> Any:
        yield "a"
        raise RuntimeError("boom")

    async with Live(store=store) as here, Live(store=store) as there:
        run = await here.start(told(), on_disconnect="continue")
        (*_, last) = await all_of(await found(there, run.id))
        assert last.events[-1] == FailedEvent("error", "boom", retryable=False)
        assert (await found(there, run.id)).status == "failed"


async def test_a_process_that_is_gone_loses_its_runs() -> None:
    store = Flaky()
    async with Live(store=store, sign_every=0.05) as here, Live(store=store) as there:
        run = await here.start(pieces("a", gate=asyncio.Event()), grace=60)
        other = await found(there, run.id)
        reader = asyncio.create_task(all_of(other))
        # As if it had died: nothing reaches the store any more, and reading it works.
        store.hangs = True
        (*_, last) = await reader
        assert last.events[-1].kind == "lost"  # type: ignore[union-attr]  # FailedEvent
        assert last.events[-1].retryable  # type: ignore[union-attr]  # FailedEvent
        assert run.status == "running"
        store.hangs = False


async def test_signs_of_life_keep_a_silent_run(store: LogStore) -> None:
    gate = asyncio.Event()
    async with Live(store=store, sign_every=0.3) as here, Live(store=store) as there:
        run = await here.start(pieces("a", gate=gate), grace=60)
        other = await found(there, run.id)
        reader = asyncio.create_task(all_of(other))
        await asyncio.sleep(1.5)
        assert other.status == "running"
        gate.set()
        assert (await reader)[-1].events[-1] == DoneEvent(None, None)


async def test_a_store_that_fails_for_a_while_loses_nothing_and_slows_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = Flaky()
    gate, half = asyncio.Event(), asyncio.Event()

    async def told() -> Any:
        for i in range(2000):
            yield f"{i} "
            if i == 1000:
                half.set()
                await gate.wait()

    async with Live(store=store) as here, Live(store=store) as there:
        run = await here.start(told(), on_disconnect="continue", fps=0)
        other = await found(there, run.id)
        store.fails = True
        await half.wait()
        gate.set()
        await run.wait()
        await until(lambda: "the store failed" in caplog.text)
        store.fails = False
        story = await all_of(other)
        assert text_of(events_of(story)) == "".join(f"{i} " for i in range(2000))
    assert sum("the store failed" in record.message for record in caplog.records) == 1


async def test_a_store_that_forgets_all_is_told_again(store: LogStore) -> None:
    gate = asyncio.Event()
    async with Live(store=store, sign_every=0.2) as here, Live(store=store) as there:
        run = await here.start(pieces("abc", "def", gate=gate), id="r", fps=0, grace=60)
        page = Page()
        other = await found(there, "r")
        reading = other.read(heartbeat=None)
        while page.position < 6:
            page.take(await anext(reading))
        await reading.aclose()
        await _forget(store)
        gate.set()
        await run.wait()
        async with asyncio.timeout(20):
            while await there.find("r") is None:
                await asyncio.sleep(0.01)
        await page.read(await found(there, "r"))
        assert text_of(page.events) == "abcdef"
        assert page.events[-1] == DoneEvent(None, None)
        assert page.resets == 0


async def _forget(store: LogStore) -> None:
    if isinstance(store, MemoryLogStore):
        store._logs.clear()
    else:
        await store._server.client().flushall()  # type: ignore[attr-defined]  # of RedisLogStore


async def test_a_store_that_takes_and_denies_it_doubles_nothing() -> None:
    store = Flaky()
    events = answer(random.Random(1))
    gate = asyncio.Event()

    async def told() -> Any:
        for i, event in enumerate(events):
            yield event
            if i == 200:
                await gate.wait()

    async with Live(store=store) as here, Live(store=store) as there:
        run = await here.start(told(), on_disconnect="continue", fps=0)
        reader = asyncio.create_task(all_of(await found(there, run.id)))
        # Twice, at least, the same text.
        store.lies = True
        before = len(store.appended)
        gate.set()
        await until(lambda: len(store.appended) >= before + 2)
        store.lies = False
        await run.wait()
        assert events_of(await reader) == events_of(await all_of(run))


async def test_a_store_that_is_away_is_no_reason_not_to_answer() -> None:
    store = Flaky()
    store.fails = True
    async with Live(store=store, sign_every=0.01) as live:
        run = await live.start(pieces("a"), fps=0)
        assert text_of(events_of(await all_of(run))) == "a"
        other = Live(store=store)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(mirror, "PATIENCE", 0.05)
            with pytest.raises(LiveStoreError, match="ConnectionError"):
                await other.find(run.id)
            with pytest.raises(LiveStoreError):
                await other.stop(run.id)
        await other.aclose()


async def test_the_store_is_told_few_times_a_second() -> None:
    store = Flaky()
    async with Live(store=store) as live:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        run = await live.start(pieces(*["word "] * 3000), on_disconnect="continue", fps=0)
        await run.wait()
        await live.aclose()
        seconds = loop.time() - begun
    assert len(store.appended) <= seconds * 20 + 4


async def test_a_run_that_begins_anew_replaces_the_log_of_the_old_one(store: LogStore) -> None:
    async with Live(store=store) as one, Live(store=store) as two, Live(store=store) as three:
        await one.start(silent(), id="r", grace=60)
        old = await found(three, "r")
        reader = asyncio.create_task(all_of(old))
        await until(lambda: old.readers)
        new = await two.start(pieces("a", gate=asyncio.Event()), id="r", fps=0, grace=60)
        (*_, last) = await reader
        assert last.events[-1].kind == "lost"  # type: ignore[union-attr]  # FailedEvent
        mirrored = await found(three, "r")
        await until(lambda: mirrored.cursor == new.cursor)
        with pytest.raises(LogReplacedError):
            await store.append("r", "old.5", b"")


async def test_readers_elsewhere_keep_a_run(
    store: LogStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leaving, "FIRST_READER", 0.05)
    monkeypatch.setattr(leaving, "_AGAIN", 0.05)
    monkeypatch.setattr(keeper, "_FLAG_PATIENCE", 0.5)
    async with Live(store=store) as here, Live(store=store) as there:
        run = await here.start(endless(), id="read")
        unread = await here.start(endless(), id="unread")
        other = await found(there, "read")
        reading = other.read()
        await anext(reading)
        assert await unread.wait() == "stopped"
        await asyncio.sleep(0.3)
        assert run.status == "running"
        # A reader here that leaves leaves the others.
        own = run.read()
        await anext(own)
        await own.aclose()
        await asyncio.sleep(0.3)
        assert run.status == "running"
        await reading.aclose()


async def test_a_store_that_has_forgotten_its_flags_has_readers_perhaps(store: LogStore) -> None:
    async with Live(store=store) as here:
        run: Any = await here.start(silent(), id="r", on_disconnect="continue")
        async with asyncio.timeout(20):
            while await run._keeper.is_read_elsewhere():
                await asyncio.sleep(0.01)
        if isinstance(store, MemoryLogStore):
            store._flags.clear()
        await _forget(store)
        # They tell again of themselves in a moment.
        assert await run._keeper.is_read_elsewhere()
        assert not await run._keeper.is_read_elsewhere()


async def test_a_store_that_hangs_has_readers_perhaps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "PATIENCE", 0.05)
    store = Flaky()
    async with Live(store=store) as here:
        run: Any = await here.start(silent(), id="r", on_disconnect="continue")
        async with asyncio.timeout(20):
            while await run._keeper.is_read_elsewhere():
                await asyncio.sleep(0.01)
        store.hangs = True
        assert await run._keeper.is_read_elsewhere()
        store.hangs = False


async def test_a_mirror_that_nobody_reads_is_let_go_of(
    store: LogStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leaving, "FIRST_READER", 0.02)
    monkeypatch.setattr(mirror, "LINGER", 0.02)
    async with Live(store=store) as here, Live(store=store) as there:
        run = await here.start(endless(), id="r", on_disconnect="continue")
        first = await found(there, "r")
        await first.wait()
        second = await found(there, "r")
        assert second is not first
        assert run.status == "running"


class Slow(MemoryLogStore):
    """A store that takes its time to answer."""

    def __init__(self) -> None:
        super().__init__()
        self.answers = asyncio.Event()

    async def read(self, run: str, after: str | None) -> AsyncGenerator[tuple[str, bytes]]:
        await self.answers.wait()
        async for record in super().read(run, after):
            yield record


class Gappy(Flaky):
    """A store that forgets what was said in the middle."""

    async def read(self, run: str, after: str | None) -> AsyncGenerator[tuple[str, bytes]]:
        async for cursor, data in super().read(run, after):
            if not cursor.endswith(".2"):
                yield cursor, data


async def test_a_log_with_a_gap_is_lost_and_not_told_with_a_gap() -> None:
    store = Gappy()

    def has_taken(end: str) -> bool:
        return any(cursor.endswith(end) for cursor, _ in store.appended)

    async def source() -> AsyncGenerator[str]:
        yield "a"
        await until(lambda: has_taken(".1"))
        yield "b"
        await until(lambda: has_taken(".2"))
        yield "c"

    async with Live(store=store) as here, Live(store=store) as there:
        run = await here.start(source(), fps=0, grace=60)
        batches = await all_of(await found(there, run.id))
    assert text_of([event for batch in batches for event in batch.events]) == "a"
    assert batches[-1].events[-1].kind == "lost"  # type: ignore[union-attr]  # FailedEvent


async def test_a_store_that_is_slow_is_no_reader_who_stays_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(leaving, "FIRST_READER", 0.01)
    monkeypatch.setattr(mirror, "LINGER", 0.01)
    store = Slow()
    async with Live(store=store) as here, Live(store=store) as there:
        await here.start(endless(), id="r", on_disconnect="continue")
        finding = asyncio.create_task(there.find("r"))
        await asyncio.sleep(0.1)
        store.answers.set()
        assert await finding is not None


async def test_a_run_that_was_found_again_has_time_to_be_read(store: LogStore) -> None:
    async with Live(store=store) as here, Live(store=store) as there:
        await here.start(endless(), id="r", on_disconnect="continue")
        run = await found(there, "r")

        def let_go_at() -> float:
            assert run._leaving is not None
            assert run._leaving._timer is not None
            return run._leaving._timer.when()

        before = let_go_at()
        await asyncio.sleep(0.05)
        assert await found(there, "r") is run
        assert let_go_at() > before


async def test_a_process_that_ends_does_not_deny_what_it_has_not_heard_of() -> None:
    store = Slow()
    async with Live(store=store) as here, Live(store=store) as there:
        await here.start(endless(), id="r", on_disconnect="continue")
        finding = asyncio.create_task(there.find("r"))
        await until(lambda: there._mirrors)
        await there.drain(0.5)
        with pytest.raises(LiveClosedError, match="is ending"):
            await finding


async def test_draining_ends_the_readers_of_mirrors(store: LogStore) -> None:
    async with Live(store=store) as here, Live(store=store) as there:
        run = await here.start(silent(), id="r", grace=60)
        reader = asyncio.create_task(all_of(await found(there, "r")))
        await until(lambda: there._mirrors["r"].readers)
        await there.drain(0.5)
        (*_, last) = await reader
        assert last.events[-1].type == "drain"
        assert run.status == "running"


async def test_closing_brings_the_end_to_the_store(store: LogStore) -> None:
    async with Live(store=store) as there:
        async with Live(store=store) as here:
            await here.start(silent(), id="r")
            other = await found(there, "r")
        assert await other.wait() == "stopped"
        (batch,) = await all_of(other)
        assert batch.events == [StoppedEvent("drained")]


async def test_a_store_that_hangs_does_not_keep_a_process_from_ending() -> None:
    store = Flaky()
    loop = asyncio.get_running_loop()
    here = Live(store=store)
    run = await here.start(silent(), id="r")
    store.hangs = True
    begun = loop.time()
    await here.aclose()
    # Less than the patience with a store that hangs while it is in use.
    assert loop.time() - begun < PATIENCE
    assert run.status == "stopped"


async def test_whoever_is_told_of_a_run_finds_it_in_any_process() -> None:
    class Slow(MemoryLogStore):
        async def append(self, run: str, cursor: str, data: bytes) -> None:
            await asyncio.sleep(0.05)
            await super().append(run, cursor, data)

    store = Slow()
    async with Live(store=store) as here, Live(store=store) as there:
        run = await here.start(silent())
        assert await there.find(run.id) is not None


async def test_a_store_that_hangs_does_not_keep_a_run_from_beginning() -> None:
    store = Flaky()
    store.hangs = True
    async with Live(store=store) as live:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        run = await live.start(pieces("a"))
        assert loop.time() - begun < PATIENCE
        assert text_of(events_of(await all_of(run))) == "a"


async def test_cuts_across_processes(store: LogStore) -> None:
    """Acceptance 4, with each connection going to any process."""
    rng = random.Random(3)
    lives = [Live(store=store) for _ in range(3)]
    cuts = 0
    for _ in range(3):
        events = answer(rng)

        async def slowly(events: Any = events) -> Any:
            for i, event in enumerate(events):
                yield event
                if i % 10 == 0:
                    await asyncio.sleep(0.01)

        run = await lives[0].start(slowly(), on_disconnect="continue", fps=0)

        async def roam(run: Run = run) -> Page:
            nonlocal cuts
            page = Page()
            while not page.ended:
                await page.read(await found(rng.choice(lives), run.id), rng.randint(1, 3))
                cuts += 1
            return page

        for page in await asyncio.gather(*(roam() for _ in range(10))):
            # A process that is behind another makes its reader begin anew.
            assert joined(page.events) == joined(events)
    assert cuts > 100
    for live in lives:
        await live.aclose()


async def test_the_memory_store_is_bounded() -> None:
    store = MemoryLogStore(ttl=0.05, max_runs=2, max_bytes=1000)
    await store.append("a", "e.0", b"x")
    await store.append("b", "e.0", b"x")
    with pytest.raises(LiveFullError, match="2 logs"):
        await store.append("c", "e.0", b"x")
    await store.close("a")
    await store.append("c", "e.0", b"x")
    assert [record async for record in store.read("a", None)] == []
    with pytest.raises(LiveFullError, match="1,000"):
        await store.append("c", "e.1", b"x" * 1000)
    assert len(store) == 2
    reader = asyncio.create_task(anext(store.read("c", "e.0"), None))
    await asyncio.sleep(0.1)
    await store.stop("x")
    assert len(store) == 0
    assert await reader is None
    with pytest.raises(ValueError, match="ttl"):
        MemoryLogStore(ttl=0)


def test_the_memory_store_is_a_store() -> None:
    store: LogStore = MemoryLogStore()
    assert callable(store.append)


async def test_reading_from_a_cursor(store: LogStore) -> None:
    for cursor in ("e.0", "e.5", "e.5", "e.9"):
        await store.append("r", cursor, f"{cursor} {random.random()}".encode())
    await store.close("r")
    for after, count in ((None, 4), ("e.0", 3), ("e.5", 1), ("e.7", 1), ("e.9", 0), ("f.0", 0)):
        assert len([record async for record in store.read("r", after)]) == count
    with pytest.raises(LogReplacedError):
        await store.append("r", "e.10", b"")


async def test_a_reader_that_comes_back_hears_signs_of_life(store: LogStore) -> None:
    for cursor in ("e.0", "e.7", "e.7", "e.7"):
        await store.append("r", cursor, f"{random.random()}".encode())
    reading = aiter(store.read("r", "e.7"))
    waiting = asyncio.ensure_future(anext(reading))
    async with asyncio.timeout(20):
        # The run is silent, and lives.
        while not waiting.done():
            await store.append("r", "e.7", f"{random.random()}".encode())
            await asyncio.sleep(0.01)
    cursor, _ = await waiting
    assert cursor == "e.7"
    await reading.aclose()  # type: ignore[attr-defined]  # an async generator


async def test_whoever_was_replaced_does_not_take_a_log_back(store: LogStore) -> None:
    await store.append("r", "one.0", b"")
    await store.append("r", "two.0", b"")
    await store.append("r", "three.0", b"")
    await store.append("r", "three.4", b"1")
    for epoch in ("one", "two"):
        # Each has had nothing to tell so far.
        with pytest.raises(LogReplacedError):
            await store.append("r", f"{epoch}.0", b"sign of life")
    await store.append("r", "three.7", b"2")
    await store.close("r")
    records = [record async for record in store.read("r", None)]
    assert records == [("three.0", b""), ("three.4", b"1"), ("three.7", b"2")]


async def test_a_log_without_its_beginning_is_nobodys(store: LogStore) -> None:
    """Its first record would tell whose it is."""
    await store.append("r", "e.0", encoded(3, 0.0, 5.0, []))
    async with Live(store=store) as live:
        assert await live.find("r") is None


async def test_cuts_in_one_other_process(store: LogStore) -> None:
    rng = random.Random(5)
    events = answer(rng)
    async with Live(store=store) as here, Live(store=store) as there:
        run = await here.start(told_unevenly(events, rng), on_disconnect="continue", fps=0)
        page, _ = await read_with_cuts(await found(there, run.id), rng, 100)
        assert joined(page.events) == joined(events)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="Python 3.12 has the first eager tasks")
async def test_where_tasks_begin_at_once() -> None:
    loop = asyncio.get_running_loop()
    loop.set_task_factory(getattr(asyncio, "eager_task_factory"))  # noqa: B009 - not in 3.11
    store = Flaky()
    async with Live(store=store) as here, Live(store=store) as there:
        for fails in (False, True):
            store.fails = fails
            run = await here.start(pieces("a", "b"), on_disconnect="continue", fps=0)
            await run.wait()
            store.fails = False
            await until(lambda: len(store) == 2 or not fails)  # noqa: B023 - awaited right here
            assert events_of(await all_of(await found(there, run.id))) == events_of(
                await all_of(run)
            )


async def test_a_process_that_is_behind_lets_readers_wait() -> None:
    """A cursor from the process that reads the upstream may be ahead of what the store has told."""
    store = MemoryLogStore()
    gate = asyncio.Event()
    async with Live(store=store) as here, Live(store=store) as there:
        run = await here.start(pieces("a", "b", gate=gate), fps=0, on_disconnect="continue")
        other = await found(there, run.id)
        await until(lambda: other.cursor == run.cursor)
        epoch, _, position = run.cursor.partition(".")
        ahead = f"{epoch}.{int(position) + 1}"
        reading = asyncio.ensure_future(all_of(other, ahead))
        await asyncio.sleep(0.05)
        assert not reading.done()
        gate.set()
        events = events_of(await reading)
        assert not any(isinstance(event, ResetEvent) for event in events)
        # One that it never comes to is none of this log.
        gone = events_of(await all_of(other, f"{epoch}.1000"))
        assert isinstance(gone[0], ResetEvent)
        assert text_of(gone) == "ab"
