"""Streams made from streams, fed by hand."""

import asyncio
import inspect
import math
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepseek_async import (
    ArgumentsDeltaEvent,
    ContentDeltaEvent,
    ContentDoneEvent,
    DoneEvent,
    QueuedEvent,
    ReasoningDeltaEvent,
    ReasoningDoneEvent,
    coalesce,
    smooth,
    snapshots,
)
from deepseek_async.combinators.graphemes import cluster_at
from deepseek_async.combinators.smoothing import MAX_HELD, Pace

# Reached only when something hangs.
GUARD = 20.0

# So long that it is never over in a test; frames of that length, too.
NEVER = 3600.0


class Source:
    """Yields what the test puts in, and tells how it ended."""

    def __init__(self, *items: Any) -> None:
        self.queue: asyncio.Queue[Any] = asyncio.Queue()
        self.closed = 0
        self.cancelled = 0
        self.read = 0
        self.tasks: set[asyncio.Task[Any] | None] = set()
        self.put(*items)

    def put(self, *items: Any) -> None:
        for item in items:
            self.queue.put_nowait(item)

    def __aiter__(self) -> "Source":
        return self

    async def __anext__(self) -> Any:
        self.tasks.add(asyncio.current_task())
        try:
            item = await self.queue.get()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        self.read += 1
        if isinstance(item, BaseException):
            raise item
        return item

    async def aclose(self) -> None:
        self.closed += 1


END = StopAsyncIteration()


async def settle() -> None:
    """Let everything happen that needs no time."""
    for _ in range(20):
        await asyncio.sleep(0)


async def alone() -> None:
    """Wait until there is no other task, those that close dropped generators included."""
    await settle()
    async with asyncio.timeout(GUARD):
        while len(asyncio.all_tasks()) > 1:
            await asyncio.sleep(0.001)


def text(delta: str) -> ContentDeltaEvent:
    return ContentDeltaEvent(delta)


def thought(delta: str) -> ReasoningDeltaEvent:
    return ReasoningDeltaEvent(delta)


def arguments(index: int, piece: str, call: str = "c") -> ArgumentsDeltaEvent:
    return ArgumentsDeltaEvent(index, f"{call}{index}", "f", piece)


QUEUED = QueuedEvent(0.5)
DONE = DoneEvent("stop", None)

# What comes at once, and what is made of it.
MERGED: dict[str, tuple[list[Any], list[Any]]] = {
    "nothing": ([], []),
    "text": ([text("a"), text("b"), DONE], [text("ab"), DONE]),
    "no event that ends it": ([text("a"), text("b")], [text("ab")]),
    "reasoning, then text": (
        [thought("a"), thought("b"), ReasoningDoneEvent("ab"), text("c"), text("d")],
        [thought("ab"), ReasoningDoneEvent("ab"), text("cd")],
    ),
    "kinds without an event in between": (
        [thought("a"), text("b"), text("c"), thought("d")],
        [thought("a"), text("bc"), thought("d")],
    ),
    "other events in order": (
        [QUEUED, QUEUED, text("a"), QUEUED, text("b"), ContentDoneEvent("ab"), DONE],
        [QUEUED, QUEUED, text("a"), QUEUED, text("b"), ContentDoneEvent("ab"), DONE],
    ),
    "a tool call is opened by itself": (
        [arguments(0, ""), arguments(0, "{"), arguments(0, "}")],
        [arguments(0, ""), arguments(0, "{}")],
    ),
    "a tool call opened with arguments": (
        [arguments(0, "{"), arguments(0, "}"), arguments(1, ""), arguments(1, "{}")],
        [arguments(0, "{}"), arguments(1, ""), arguments(1, "{}")],
    ),
    "tool calls in turn": (
        [arguments(0, "a"), arguments(1, "b"), arguments(1, "c"), arguments(0, "d")],
        [arguments(0, "a"), arguments(1, "bc"), arguments(0, "d")],
    ),
    "an index used twice": (
        [arguments(0, "a", "x"), arguments(0, "b", "y")],
        [arguments(0, "a", "x"), arguments(0, "b", "y")],
    ),
    "bare text": (["a", "b", "", "c"], ["abc"]),
    "things of other kinds": ([1, None, b"a", b"b"], [1, None, b"a", b"b"]),
}


@pytest.mark.parametrize(("items", "expected"), MERGED.values(), ids=MERGED)
async def test_coalesce_merges_what_comes_at_once(items: list[Any], expected: list[Any]) -> None:
    source = Source(*items, END)
    async with asyncio.timeout(GUARD):
        assert [event async for event in coalesce(source)] == expected
    assert source.closed == 1


@pytest.mark.parametrize("items", [items for items, _ in MERGED.values()], ids=MERGED)
async def test_coalesce_without_frames_passes_everything_on(items: list[Any]) -> None:
    source = Source(*items, END)
    assert [event async for event in coalesce(source, fps=0)] == items
    assert source.closed == 1


@pytest.mark.parametrize("items", [items for items, _ in MERGED.values()], ids=MERGED)
async def test_smooth_keeps_text_and_order(items: list[Any]) -> None:
    source = Source(*items, END)
    async with asyncio.timeout(GUARD):
        smoothed = [event async for event in smooth(source, fps=1000)]
        whole = [event async for event in coalesce(Source(*items, END))]
        assert [event async for event in coalesce(Source(*smoothed, END))] == whole
    assert source.closed == 1


async def test_the_first_delta_goes_out_at_once_and_the_rest_with_the_frame() -> None:
    source = Source()
    stream = coalesce(source, fps=1 / NEVER)
    first = asyncio.create_task(anext(stream))
    await settle()
    assert not first.done()
    source.put(text("a"))
    await settle()
    assert first.result() == text("a")
    second = asyncio.create_task(anext(stream))
    source.put(text("b"), text("c"))
    await settle()
    assert source.read == 3
    assert not second.done(), "it waits for the frame"
    source.put(QUEUED)
    await settle()
    assert second.result() == text("bc"), "sent out by the event that follows it"
    assert await anext(stream) == QUEUED
    await stream.aclose()


async def test_one_delta_goes_out_each_frame() -> None:
    source = Source(text("a"))
    stream = coalesce(source, fps=200)
    async with asyncio.timeout(GUARD):
        for piece in "abc":
            assert await anext(stream) == text(piece)
            # Nothing follows that would send it out.
            source.put(text(chr(ord(piece) + 1)))
    await stream.aclose()


async def test_held_text_is_bounded_and_nothing_is_read_beyond() -> None:
    source = Source(*[text("abcd")] * 100, END)
    stream = coalesce(source, fps=1 / NEVER, max_chars=10)
    assert await anext(stream) == text("abcd" * 3)
    await settle()
    assert source.read == 6
    assert [event async for event in stream] == [text("abcd" * 3)] * 32 + [text("abcd")]


async def test_empty_deltas_count_as_well() -> None:
    source = Source(*[""] * 100)
    stream = coalesce(source, max_chars=10)
    assert await anext(stream) == ""
    await settle()
    assert source.read == 20
    await stream.aclose()


async def test_a_slow_reader_gets_longer_deltas() -> None:
    source = Source(text("a"))
    stream = coalesce(source, fps=1000)
    assert await anext(stream) == text("a")
    source.put(*map(text, "bcdefg"))
    await settle()
    async with asyncio.timeout(GUARD):
        assert await anext(stream) == text("bcdefg")
    await stream.aclose()


COMBINATORS: dict[str, Callable[[Any], AsyncGenerator[Any]]] = {
    "coalesce": lambda source: coalesce(source, fps=1 / NEVER),
    "coalesce, fps=0": lambda source: coalesce(source, fps=0),
    "smooth": lambda source: smooth(source, lag=NEVER),
}
combinators = pytest.mark.parametrize("combine", COMBINATORS.values(), ids=COMBINATORS)


@combinators
async def test_a_failure_comes_after_what_was_held(
    combine: Callable[[Any], AsyncGenerator[Any]],
) -> None:
    source = Source("a", "b", "c", ValueError("broken"))
    seen: list[str] = []
    with pytest.raises(ValueError, match="broken"):
        async for piece in combine(source):
            seen.append(piece)
    assert "".join(seen) == "abc"
    assert source.closed == 1
    await alone()


async def by_break(stream: AsyncGenerator[Any]) -> None:
    async for _ in stream:
        break


async def by_aclose(stream: AsyncGenerator[Any]) -> None:
    await anext(stream)
    await stream.aclose()


async def by_exception(stream: AsyncGenerator[Any]) -> None:
    with pytest.raises(KeyError):
        async for _ in stream:
            raise KeyError
    await stream.aclose()


async def by_cancellation(stream: AsyncGenerator[Any]) -> None:
    async def read() -> None:
        async for _ in stream:
            continue

    task = asyncio.create_task(read())
    await settle()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def by_cancellation_at_once(stream: AsyncGenerator[Any]) -> None:
    # Read on after an event, before the task that reads the source has had its turn.
    task = asyncio.create_task(anext(stream))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    await stream.aclose()


async def by_timeout(stream: AsyncGenerator[Any]) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            async for _ in stream:
                continue


LEAVES = [
    by_break,
    by_aclose,
    by_exception,
    by_cancellation,
    by_cancellation_at_once,
    by_timeout,
]


@combinators
@pytest.mark.parametrize("leave", LEAVES)
async def test_leaving_closes_the_source_and_leaves_no_task(
    combine: Callable[[Any], AsyncGenerator[Any]],
    leave: Callable[[AsyncGenerator[Any]], Awaitable[None]],
) -> None:
    source = Source(QUEUED, "a", "b")
    await leave(combine(source))
    await alone()
    assert source.closed == 1


@combinators
async def test_the_source_is_read_and_closed_in_one_task(
    combine: Callable[[Any], AsyncGenerator[Any]],
) -> None:
    source = Source("a", QUEUED, "b", QUEUED, "c", END)

    async def guarded() -> AsyncIterator[Any]:
        # A timeout, like a task group, must be left by the task that entered it.
        async with asyncio.timeout(GUARD):
            async for item in source:
                yield item

    stream = combine(guarded())
    assert await anext(stream) == QUEUED or await anext(stream) == QUEUED
    await stream.aclose()
    assert len(source.tasks) == 1
    await alone()


@combinators
async def test_a_source_that_overhears_its_cancellation_is_left_all_the_same(
    combine: Callable[[Any], AsyncGenerator[Any]],
) -> None:
    async def stubborn() -> AsyncIterator[str]:
        while True:
            yield "a"
            try:
                await asyncio.sleep(NEVER)
            except asyncio.CancelledError:
                continue

    stream = combine(stubborn())
    reader = asyncio.create_task(by_aclose(stream))
    async with asyncio.timeout(GUARD):
        await asyncio.wait([reader], timeout=0.05)
        reader.cancel()
        await asyncio.wait([reader])
    await alone()


@combinators
async def test_a_source_cancelled_from_elsewhere_cancels_its_reader(
    combine: Callable[[Any], AsyncGenerator[Any]],
) -> None:
    source = Source("a", asyncio.CancelledError())
    with pytest.raises(asyncio.CancelledError):
        async for _ in combine(source):
            continue
    assert source.closed == 1


@combinators
async def test_a_failure_to_close_is_raised_by_aclose(
    combine: Callable[[Any], AsyncGenerator[Any]],
) -> None:
    class Rusty(Source):
        async def aclose(self) -> None:
            raise OSError("stuck")

    stream = combine(Rusty(QUEUED))
    assert await anext(stream) == QUEUED
    with pytest.raises(OSError, match="stuck"):
        await stream.aclose()
    await alone()


@combinators
async def test_a_source_need_not_be_closable_nor_its_own_iterator(
    combine: Callable[[Any], AsyncGenerator[Any]],
) -> None:
    class Bare:
        def __init__(self) -> None:
            self.left = 3

        def __aiter__(self) -> "Bare":
            return self

        async def __anext__(self) -> str:
            if not self.left:
                raise StopAsyncIteration
            self.left -= 1
            return "a"

    closed: list[str] = []

    class Iterable:
        async def __aiter__(self) -> AsyncIterator[str]:
            try:
                while True:
                    yield "a"
                    yield QUEUED  # type: ignore[misc]  # anything goes through
            finally:
                closed.append("closed")

    assert "".join([piece async for piece in combine(Bare())]) == "aaa"
    await by_aclose(combine(Iterable()))
    assert closed == ["closed"]


def test_arguments_that_make_no_sense_are_refused_at_once() -> None:
    source: Any = ()
    for fps in (-1, math.inf, math.nan):
        with pytest.raises(ValueError, match="fps"):
            coalesce(source, fps=fps)
    for fps in (0, -1, math.inf, math.nan):
        with pytest.raises(ValueError, match="fps"):
            smooth(source, fps=fps)
        with pytest.raises(ValueError, match="fps"):
            snapshots(source, fps=fps)
    for lag in (0, -1, math.inf, math.nan):
        with pytest.raises(ValueError, match="lag"):
            smooth(source, lag=lag)
    with pytest.raises(ValueError, match="max_chars"):
        coalesce(source, max_chars=0)


# Smoothing


def test_a_burst_flows_out_evenly_within_the_lag() -> None:
    pace = Pace(lag=1.0, frame=0.125)
    pace.add("x" * 800, now=0.0)
    steps = [len(pace.due(frame * 0.125)) for frame in range(8)]
    assert steps == [100] * 8


def test_what_comes_later_has_a_lag_of_its_own() -> None:
    pace = Pace(lag=1.0, frame=0.25)
    pace.add("a" * 4, now=0.0)
    assert pace.due(0.0) == "a"
    pace.add("b" * 400, now=0.25)
    steps = [pace.due(0.25 * frame) for frame in range(1, 5)]
    assert steps == ["aaa" + "b" * 98, "b" * 101, "b" * 101, "b" * 100]


def test_the_last_cluster_waits_for_what_may_belong_to_it() -> None:
    pace = Pace(lag=1.0, frame=0.25)
    pace.add("e", now=0.0)
    assert pace.due(0.0) == ""
    pace.add("\u0301x", now=0.1)
    assert pace.due(0.25) == "e\u0301"


def test_the_last_cluster_waits_no_longer_than_the_lag() -> None:
    pace = Pace(lag=1.0, frame=0.25)
    pace.add("👩", now=0.0)
    pace.add("\u200d", now=0.6)
    assert [pace.due(0.25 * frame) for frame in range(4)] == ["", "", "", "👩\u200d"]
    assert pace.size == 0


def test_the_rest_is_whole() -> None:
    pace = Pace(lag=1.0, frame=0.25)
    pace.add("abc", now=0.0)
    assert pace.due(0.0) + pace.rest() == "abc"
    assert pace.rest() == ""
    assert pace.due(9.0) == ""


@pytest.mark.parametrize("start", ["", "x"])
def test_a_cluster_without_end_is_let_go_when_too_much_is_held(start: str) -> None:
    pace = Pace(lag=1.0, frame=0.25)
    pace.add(start + "e" + "\u0301" * MAX_HELD, now=0.0)
    assert len(pace.due(0.0) + pace.due(0.0)) == len(start) + 1 + MAX_HELD


pieces = st.text(st.sampled_from("ab\r\n é\u0301👩\u200d🏽🇩🇪한\u1100\u1161中\ud83d"), min_size=1)
arrivals = st.lists(st.tuples(st.floats(0, 0.5), pieces), min_size=1, max_size=20)


@given(arrivals, st.sampled_from([0.05, 0.25, 1.0]), st.sampled_from([10, 30]))
def test_no_character_waits_longer_than_the_lag(
    arrivals: list[tuple[float, str]], lag: float, fps: int
) -> None:
    pace, frame = Pace(lag, 1 / fps), 1 / fps
    came: list[float] = []
    out, whole = "", ""
    clock, frames = 0.0, 0
    for pause, piece in [*arrivals, (lag + 1, "")]:
        clock += pause
        while frames * frame <= clock:
            out += pace.due(frames * frame)
            frames += 1
            # Whatever is left can wait for the next frame.
            assert all(at + lag > frames * frame - 1e-9 for at in came[len(out) :])
        if piece:
            pace.add(piece, clock)
            whole += piece
            came += [clock] * len(piece)
    assert out == whole


@given(arrivals)
def test_no_cluster_is_torn_apart_as_long_as_there_is_time(
    arrivals: list[tuple[float, str]],
) -> None:
    pace = Pace(lag=NEVER, frame=0.1)
    out, whole, ends = "", "", {0}
    for at, (_, piece) in enumerate(arrivals):
        pace.add(piece, float(at))
        whole += piece
        out += pace.due(float(at))
        ends.add(len(out))
    out += pace.rest()
    assert out == whole
    boundaries = {0}
    while (end := max(boundaries)) < len(whole):
        boundaries.add(cluster_at(whole[end:], 0)[1] + end)
    assert ends <= boundaries


async def test_smooth_lets_go_in_frames() -> None:
    source = Source("x" * 1000)
    stream = smooth(source, lag=0.1, fps=100)
    seen: list[str] = []
    async with asyncio.timeout(GUARD):
        while sum(map(len, seen)) < 1000:
            seen.append(await anext(stream))
    assert len(seen) > 2
    await stream.aclose()


async def test_smooth_sends_out_what_it_holds_before_another_kind() -> None:
    source = Source(thought("abc"), text("def"), QUEUED)
    stream = smooth(source, lag=NEVER, fps=1)
    told = [await anext(stream)]
    while told[-1] != QUEUED:
        told.append(await anext(stream))
    assert [event async for event in coalesce(Source(*told, END))] == [
        thought("abc"),
        text("def"),
        QUEUED,
    ]
    await stream.aclose()


async def test_smooth_holds_a_bounded_text() -> None:
    source = Source(*["x" * 1000] * 1000, END)
    stream = smooth(source, lag=NEVER, fps=1 / NEVER)
    await anext(stream)
    await settle()
    assert source.read < 150
    assert sum([len(piece) async for piece in stream]) > 900_000


# Snapshots


class Growing(Source):
    """A source whose snapshot is a list of all events; counts how often it was built."""

    def __init__(self, *items: Any) -> None:
        super().__init__(*items)
        self.all: list[Any] = []
        self.built = 0

    async def __anext__(self) -> Any:
        item = await super().__anext__()
        if item not in (QUEUED, DONE):
            self.all.append(item)
        return item

    @property
    def snapshot(self) -> list[Any]:
        self.built += 1
        return list(self.all)


async def test_snapshots_are_of_what_has_come_and_the_last_is_whole() -> None:
    source = Growing(QUEUED)
    stream = snapshots(source, fps=1 / NEVER)
    first = asyncio.create_task(anext(stream))
    await settle()
    assert source.read == 1
    assert not first.done(), "there is nothing to show yet"
    source.put(text("a"))
    await settle()
    assert first.result() == [text("a")]
    source.put(*map(text, "bcd"), DONE)
    await settle()
    assert source.built == 1
    source.put(END)
    async with asyncio.timeout(GUARD):
        assert [shown async for shown in stream] == [list(map(text, "abcd"))]
    assert source.built == 2
    assert source.closed == 1


async def test_no_snapshot_comes_twice() -> None:
    source = Growing(text("a"))
    stream = snapshots(source, fps=1000)
    assert await anext(stream) == [text("a")]
    second = asyncio.create_task(anext(stream))
    async with asyncio.timeout(GUARD):
        source.put(DONE)
        while source.built < 2:
            await asyncio.sleep(0.001)
        await settle()
        assert not second.done()
        source.put(END)
        with pytest.raises(StopAsyncIteration):
            await second


async def test_a_long_answer_is_built_no_more_often_than_asked_for() -> None:
    source = Growing(*map(text, map(str, range(4000))), END)
    async with asyncio.timeout(GUARD):
        shown = [len(each) async for each in snapshots(source, fps=1 / NEVER)]
    assert shown[-1] == 4000
    assert source.built <= 2


async def test_a_failed_stream_shows_what_there_was() -> None:
    source = Growing(text("a"))
    stream = snapshots(source, fps=1 / NEVER)
    assert await anext(stream) == [text("a")]
    source.put(text("b"), ValueError("broken"))
    assert await anext(stream) == [text("a"), text("b")]
    with pytest.raises(ValueError, match="broken"):
        await anext(stream)
    await alone()


@pytest.mark.parametrize("leave", LEAVES)
async def test_leaving_snapshots_leaves_no_task(
    leave: Callable[[AsyncGenerator[Any]], Awaitable[None]],
) -> None:
    source = Growing(text("a"), text("b"))
    await leave(snapshots(source))
    await alone()
    assert source.closed == 1


def test_they_are_real_async_generators() -> None:
    source: Any = Growing.__new__(Growing)
    assert inspect.isasyncgen(coalesce(source))
    assert inspect.isasyncgen(coalesce(source, fps=0))
    assert inspect.isasyncgen(smooth(source))
    assert inspect.isasyncgen(snapshots(source))
