"""How runs end: by themselves, by whoever stops or leaves them, and by sources that misbehave."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

from deepseek_async import (
    APIConnectionError,
    ContentDeltaEvent,
    DoneEvent,
    ToolDoneEvent,
    ToolStartedEvent,
)
from deepseek_async.live import FailedEvent, Live, Run, StoppedEvent
from deepseek_async.live import run as run_module
from deepseek_async.simulator import Reply, Simulator

from .sources import all_of, endless, pieces, silent, text_of, until

ASK: Any = {"model": "deepseek-flash", "messages": [{"role": "user", "content": "Hi"}]}


async def ended(source: Any, **options: Any) -> tuple[Run, Any]:
    """Run a source to its end; return the run and its last event."""
    run = Run("r", source, **options)
    (*_, last) = await all_of(run)
    return run, last.events[-1]


class Raising:
    """A stream that raises at one point."""

    def __init__(self, where: str, exc: BaseException) -> None:
        self.where = where
        self.exc = exc

    def _at(self, where: str) -> None:
        if where == self.where:
            raise self.exc

    async def __aenter__(self) -> "Raising":
        self._at("enter")
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._at("exit")

    def __aiter__(self) -> "Raising":
        self._at("iter")
        return self

    async def __anext__(self) -> str:
        self._at("next")
        raise StopAsyncIteration


@pytest.mark.parametrize("where", ["enter", "iter", "next", "exit"])
async def test_a_source_that_raises_anywhere_fails_the_run(where: str) -> None:
    run, last = await ended(Raising(where, RuntimeError("boom")))
    assert last == FailedEvent("error", "boom", retryable=False)
    assert run.status == "failed"
    assert str(run.error) == "boom"


async def test_an_error_of_the_library_says_what_it_means() -> None:
    run, last = await ended(Raising("next", APIConnectionError("gone")))
    assert (last.kind, last.retryable) == ("broken", True)
    assert run.status == "failed"


class Unkind(BaseException):
    """No exception that anybody expects."""


async def test_a_base_exception_fails_the_run() -> None:
    _, last = await ended(Raising("next", Unkind("boom")))
    assert last.kind == "error"


async def test_what_fails_after_the_answer_is_complete_is_not_the_readers_concern() -> None:
    async def told() -> Any:
        yield DoneEvent("stop", None)
        raise RuntimeError("could not save it")

    run, last = await ended(told())
    assert last == DoneEvent("stop", None)
    assert run.status == "done"
    assert str(run.error) == "could not save it"


async def test_done_is_told_last_even_if_more_comes() -> None:
    run = Run("r", pieces("a", DoneEvent("stop", None), "b"), fps=0)
    told = [event for batch in await all_of(run) for event in batch.events]
    assert [event.type for event in told] == ["content.delta", "done", "content.delta", "done"]


@pytest.mark.parametrize("garbage", [None, 1, b"bytes", [], object()])
async def test_garbage_is_refused(garbage: Any) -> None:
    run, last = await ended(pieces("a", garbage))
    assert last.kind == "error"
    assert isinstance(run.error, TypeError)
    assert run.status == "failed"


@pytest.mark.parametrize("source", [None, 1, "text", b"", lambda: 1, [1]])
async def test_what_is_no_source_is_refused(source: Any) -> None:
    run, last = await ended(source)
    assert last.kind == "error"
    assert isinstance(run.error, TypeError)


async def test_a_generator_that_already_runs_fails_the_run() -> None:
    source = silent()
    task = asyncio.ensure_future(anext(source))
    await asyncio.sleep(0)
    _, last = await ended(source)
    assert last.kind == "error"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_an_empty_source_is_an_empty_answer() -> None:
    run, last = await ended(pieces())
    assert last == DoneEvent(None, None)
    assert run.status == "done"


async def test_somebody_cancels_the_source_from_within() -> None:
    async def told() -> Any:
        yield "a"
        raise asyncio.CancelledError

    run, last = await ended(told())
    assert (run.status, last.kind) == ("failed", "error")


async def test_stop_closes_the_source_and_tells_the_readers() -> None:
    closed = asyncio.Event()

    async def told() -> Any:
        try:
            async for each in endless():
                yield each
        finally:
            closed.set()

    run = Run("r", told())
    reader = asyncio.create_task(all_of(run))
    await until(lambda: run.readers)
    await run.stop()
    assert closed.is_set()
    assert run.status == "stopped"
    assert (await reader)[-1].events[-1] == StoppedEvent("stopped")
    await run.stop()


async def test_a_run_that_ends_before_it_began_leaves_nothing_behind() -> None:
    async def never() -> Any:
        raise AssertionError("it is not awaited")

    run = Run("r", never())
    run.end(StoppedEvent("stopped"))
    assert await run.wait() == "stopped"
    (batch,) = await all_of(run)
    assert batch.events == [StoppedEvent("stopped")]


async def test_of_several_reasons_the_first_counts() -> None:
    run = Run("r", silent())
    run.end(StoppedEvent("left"))
    run.end(FailedEvent("stalled", "x"))
    run.drain(1.0)
    stops = asyncio.gather(run.stop(), run.stop())
    await stops
    (batch,) = await all_of(run)
    assert batch.events == [StoppedEvent("left")]


async def test_a_second_stop_does_not_interrupt_the_source_as_it_ends() -> None:
    begun, saved = asyncio.Event(), asyncio.Event()

    async def told() -> Any:
        yield "a"
        try:
            await asyncio.Event().wait()
        finally:
            begun.set()
            await asyncio.sleep(0.02)
            saved.set()

    run = Run("r", told())
    await anext(run.read())
    stop = asyncio.create_task(run.stop())
    await begun.wait()
    await run.stop()
    await stop
    assert saved.is_set()


async def test_a_source_that_swallows_the_cancellation_is_left_with_its_next_event() -> None:
    async def stubborn() -> Any:
        while True:
            try:
                await asyncio.sleep(0.01)
            except asyncio.CancelledError:
                yield "not me"
            yield "a"

    run = Run("r", stubborn(), fps=0)
    reader = asyncio.create_task(all_of(run))
    await until(lambda: run.readers)
    await run.stop()
    (*_, last) = await reader
    assert last.events == [StoppedEvent("stopped")]


async def test_a_source_that_never_ends_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(run_module, "_CLOSING", 0.02)
    release = asyncio.Event()

    async def stuck() -> Any:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await release.wait()
        yield "too late"

    run = Run("r", stuck())
    await asyncio.sleep(0)
    await run.stop()
    assert run.status == "stopped"
    assert "has not ended" in caplog.text
    release.set()
    await asyncio.sleep(0.01)
    (batch,) = await all_of(run)
    assert batch.events == [StoppedEvent("stopped")]


async def test_a_tool_may_stop_its_own_run() -> None:
    held: list[Run] = []

    async def told() -> Any:
        yield "a"
        await held[0].stop()
        yield "b"

    held.append(Run("r", told(), fps=0))
    (*_, last) = await all_of(held[0])
    assert last.events == [StoppedEvent("stopped")]


async def test_a_waiter_that_is_cancelled_leaves_the_run_alone() -> None:
    run = Run("r", silent(), on_disconnect="continue")
    waiter, stop = asyncio.create_task(run.wait()), asyncio.create_task(run.wait())
    await asyncio.sleep(0)
    waiter.cancel()
    await asyncio.gather(waiter, return_exceptions=True)
    assert run.status == "running"
    await run.stop()
    assert await stop == "stopped"


async def test_too_long_an_answer_fails() -> None:
    run, last = await ended(endless(), max_bytes=1000)
    assert (run.status, last.kind) == ("failed", "too_long")
    assert run.size <= 1200


async def test_whoever_reads_keeps_it_and_the_last_one_ends_it() -> None:
    run = Run("r", endless())
    first, second = run.read(), run.read()
    await anext(first)
    await anext(second)
    await first.aclose()
    assert run.status == "running"
    await second.aclose()
    assert await run.wait() == "stopped"
    (*_, batch) = await all_of(run)
    assert batch.events[-1] == StoppedEvent("left")


async def test_grace_lets_a_reader_come_back() -> None:
    run = Run("r", endless(), grace=0.2)
    reading = run.read()
    batch = await anext(reading)
    await reading.aclose()
    again = run.read(batch.cursor)
    await anext(again)
    await asyncio.sleep(0.3)
    assert run.status == "running"
    await again.aclose()
    assert await run.wait() == "stopped"


async def test_with_continue_it_goes_on_without_readers() -> None:
    gate = asyncio.Event()
    run = Run("r", pieces("a", gate=gate), on_disconnect="continue")
    reading = run.read()
    await anext(reading)
    await reading.aclose()
    await asyncio.sleep(0.01)
    gate.set()
    assert await run.wait() == "done"


async def test_a_run_that_nobody_ever_reads_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    from deepseek_async.live import leaving

    monkeypatch.setattr(leaving, "FIRST_READER", 0.02)
    assert await Run("r", endless()).wait() == "stopped"


async def test_silence_is_a_stall() -> None:
    run, last = await ended(pieces("a", gate=asyncio.Event()), stall_after=0.05)
    assert (last.kind, last.retryable) == ("stalled", True)
    assert run.status == "failed"


async def test_tools_at_work_are_no_stall() -> None:
    async def told() -> Any:
        yield ToolStartedEvent(1, 0, "id", "f", "{}")
        await asyncio.sleep(0.3)
        yield ToolDoneEvent(1, 0, "id", "f", "ok", is_error=False, seconds=0.3)
        yield "a"

    run, _ = await ended(told(), stall_after=0.05)
    assert run.status == "done"


async def test_an_answer_of_a_tool_run_that_is_not_streamed_is_no_stall() -> None:
    async with Simulator() as sim, sim.client() as client:
        sim.script(Reply("Hello", queue_seconds=0.3))
        tools = client.chat.completions.run_tools(**ASK, tools=[], stream=False)
        run, _ = await ended(tools, stall_after=0.05)
        assert run.status == "done"


async def test_keep_alives_are_no_stall_and_silence_after_them_is() -> None:
    async with Simulator(keep_alive_seconds=0.02) as sim, sim.client() as client:
        sim.script(Reply("Hello", queue_seconds=0.5))
        run = Run("r", client.chat.completions.stream(**ASK), stall_after=0.2, fps=0)
        batches = await all_of(run)
        assert run.status == "done"
        assert text_of([event for batch in batches for event in batch.events]) == "Hello"


@pytest.mark.parametrize(
    "option",
    [
        {"grace": -1},
        {"fps": -1},
        {"stall_after": 0},
        {"on_disconnect": "x"},
        {"grace": float("nan")},
        {"max_bytes": 0},
    ],
)
async def test_options_out_of_range_are_refused(option: Any) -> None:
    with pytest.raises(ValueError, match=next(iter(option))):
        Run("r", silent(), **option)


async def test_usage_cost_and_completion_are_the_streams() -> None:
    async with Simulator() as sim, sim.client() as client:
        sim.script(Reply("Hello there"))
        run = Run("r", lambda: client.chat.completions.stream(**ASK))
        await all_of(run)
        assert run.completion.choices[0].message.content == "Hello there"
        assert run.usage == run.completion.usage
        assert run.cost == run.completion.cost()


SOURCES: dict[str, Callable[[Any], Any]] = {
    "stream": lambda client: client.chat.completions.stream(**ASK),
    "function": lambda client: lambda: client.chat.completions.stream(**ASK),
    "coroutine": lambda client: client.chat.completions.create(**ASK, stream=True),
    "async function": lambda client: lambda: client.chat.completions.create(**ASK, stream=True),
    "text": lambda client: client.chat.completions.stream(**ASK).text_stream,
    "tools": lambda client: client.chat.completions.run_tools(**ASK, tools=[]),
}


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
async def test_any_source_is_read_to_its_end_and_closed_when_stopped(
    source: Callable[[Any], Any],
) -> None:
    async with Simulator() as sim, sim.client() as client:
        sim.script(Reply("Hello there"), Reply("Hello there", tokens_per_second=5))
        run = Run("r", source(client))
        batches = await all_of(run)
        assert text_of([event for batch in batches for event in batch.events]) == "Hello there"
        run = Run("r", source(client))
        await anext(run.read(heartbeat=None))
        await run.stop()
        assert run.status == "stopped"


async def test_refused_sources_are_let_go_of() -> None:
    """No warning of a coroutine that was never awaited."""
    async with Live() as live:
        first = await live.start(silent(), id="a")

        async def never() -> Any:
            raise AssertionError("it is not awaited")

        with pytest.raises(ValueError, match="already") as caught:
            await live.start(never(), id="a")
        assert caught.value.run is first  # type: ignore[attr-defined]  # a RunExistsError
        with pytest.raises(ValueError, match="fps"):
            await live.start(never(), fps=-1)


async def test_what_went_wrong_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        await ended(Raising("next", RuntimeError("boom")))
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "boom" in caplog.text


async def test_events_of_a_delta_are_told_in_order() -> None:
    run = Run("r", pieces("a", ContentDeltaEvent("b"), "c"), fps=30)
    (*_, last) = await all_of(run)
    assert text_of(run.events_before(last.end)) == "abc"


class Told(Exception):
    """An exception that can't tell what it is about."""

    def __str__(self) -> str:
        raise ValueError("no text")


class Strange:
    """A source of the application's own, with names that mean something else here."""

    def __init__(self, name: str, value: Any) -> None:
        self._name = name
        self._value = value
        self._left = ["Rain"]

    def __getattr__(self, name: str) -> Any:
        if name != self._name:
            raise AttributeError(name)
        if isinstance(self._value, Exception):
            raise self._value
        return self._value

    def __aiter__(self) -> "Strange":
        return self

    async def __anext__(self) -> str:
        if not self._left:
            raise StopAsyncIteration
        return self._left.pop()


async def _later() -> str:
    return "Rain"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("completion", ValueError("not yet")),
        ("completion", lambda needs_more: needs_more),
        ("completion", _later),
        ("completions", 5),
        ("usage", ValueError("not counted")),
        ("usage", object()),
        ("usage", {"total": 3}),
    ],
)
async def test_what_a_source_says_of_itself_keeps_no_run_from_its_end(
    name: str, value: Any
) -> None:
    run, last = await ended(Strange(name, value))
    assert isinstance(last, DoneEvent)
    assert (run.status, run.usage, run.cost) == ("done", None, None)


async def test_an_exception_without_a_text_is_an_end_like_others() -> None:
    async def source() -> Any:
        yield "Rain"
        raise Told

    run, last = await ended(source())
    assert (run.status, last.kind, last.message) == ("failed", "error", "Told")


async def test_a_last_event_with_a_usage_of_another_kind_fails() -> None:
    async def source() -> Any:
        yield DoneEvent("stop", object())  # type: ignore[arg-type]  # that is the point

    run, last = await ended(source())
    assert (run.status, last.kind) == ("failed", "error")
