"""What observers are told of calls, and the line that the log has of each, over real sockets."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

from deepseek_async import AsyncDeepSeek, DeepSeekError, ToolMessage, tool
from deepseek_async.observers import CallAbout, CallEnd
from deepseek_async.simulator import Fault, Reply, Simulator

GUARD = 20.0
KEY = "sk-0123456789abcdef"
SECRET = "xyzzy-plugh"
ASK: Any = {"model": "deepseek-flash", "messages": [{"role": "user", "content": SECRET}]}


class Told:
    """An observer that keeps what it is told, and of one call as well."""

    def __init__(self, *, wants_answer: bool = False) -> None:
        self.wants_answer = wants_answer
        self.calls: list[CallAbout] = []
        self.began_with: list[bytes] = []
        self.retries: list[tuple[str, int, float]] = []
        self.ends: list[CallEnd] = []

    def call(self, about: CallAbout) -> Told:
        self.calls.append(about)
        return self

    def run(self, model: str) -> None:
        """Want to know nothing of runs."""

    def began(self, body: bytes) -> None:
        self.began_with.append(body)

    def retrying(self, error: Exception, attempts: int, delay: float) -> None:
        self.retries.append((type(error).__name__, attempts, delay))

    def ended(self, end: CallEnd) -> None:
        self.ends.append(end)


class Broken:
    """An observer that fails, at one of its steps."""

    wants_answer = False

    def __init__(self, step: str) -> None:
        self.step = step

    def call(self, about: CallAbout) -> Broken:
        self._fail("call")
        return self

    def run(self, model: str) -> None:
        """Want to know nothing of runs."""

    def began(self, body: bytes) -> None:
        self._fail("began")

    def retrying(self, error: Exception, attempts: int, delay: float) -> None:
        self._fail("retrying")

    def ended(self, end: CallEnd) -> None:
        self._fail("ended")

    def _fail(self, step: str) -> None:
        if step == self.step:
            raise LookupError(step)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The lines about finished calls."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == "deepseek_async" and " attempt" in record.getMessage()
        if not record.getMessage().startswith("attempt ")
    ]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.random", lambda: 0.0)


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "plain"])
async def test_an_answer_after_a_retry(streamed: bool) -> None:
    told = Told()
    async with asyncio.timeout(GUARD), Simulator() as sim, sim.client(max_retries=1) as client:
        sim.script(Reply("Hello"))
        sim.faults(Fault("overloaded"))
        client.observer = told
        answer: Any = await client.chat.completions.create(stream=streamed, **ASK)
        if streamed:
            await answer.until_done()
            answer = answer.completion()
    (about,), (end,), (body,) = told.calls, told.ends, told.began_with
    assert about.operation == "chat"
    assert about.model == "deepseek-flash"
    assert about.url.endswith("/chat/completions")
    assert about.streamed is streamed
    assert SECRET.encode() in body
    assert [retry[:2] for retry in told.retries] == [("ServerOverloadedError", 1)]
    assert (end.outcome, end.error, end.status, end.attempts) == ("answered", None, 200, 2)
    assert end.request_id == answer.request_id
    assert end.answered.id == answer.id
    assert end.answered.model == answer.model
    assert end.answered.finish_reasons == ("stop",)
    assert end.answered.usage == answer.usage
    assert end.answer is None
    assert end.gate_seconds == 0
    assert (end.first_chunk_seconds is not None) is streamed
    assert (end.chunk_seconds is not None) is streamed
    if end.first_chunk_seconds is not None:
        assert 0 < end.first_chunk_seconds <= end.seconds


@pytest.mark.parametrize("accumulate", [True, False])
async def test_the_answer_itself_for_those_who_want_it(accumulate: bool) -> None:
    told = Told(wants_answer=True)
    async with asyncio.timeout(GUARD), Simulator() as sim, sim.client() as client:
        sim.script(Reply("Hello to you", tool_calls=[("f", {"x": 1})]))
        client.observer = told
        stream = await client.chat.completions.create(stream=True, accumulate=accumulate, **ASK)
        chunks = [chunk async for chunk in stream]
        (end,) = told.ends
        assert end.answered.chunks == len(chunks)
        answer: Any = end.answer
        assert answer.text == "Hello to you"
        assert answer.choices[0].message.tool_calls[0].function.arguments == '{"x": 1}'
        if accumulate:
            assert answer.choices == stream.completion().choices


async def test_an_answer_that_went_on_is_one_call() -> None:
    told = Told(wants_answer=True)
    async with asyncio.timeout(GUARD), Simulator() as sim, sim.client() as client:
        sim.script(Reply(" ".join(["word"] * 40)), Reply(" and more"))
        client.observer = told
        params: Any = {**ASK, "max_tokens": 8, "auto_continue": 1}
        completion = await client.chat.completions.create(**params)
    (end,) = told.ends
    assert len(completion.segments or []) == 2
    assert end.attempts == 2
    assert end.answered.usage == completion.usage
    assert end.answer is not None
    assert end.answer.text == completion.text


async def test_a_stream_dropped_by_the_garbage_collector_is_told_by_the_loop() -> None:
    told = Told()
    async with asyncio.timeout(GUARD), Simulator() as sim, sim.client() as client:
        sim.script(Reply("word " * 100, fault=Fault("stall", after_events=5)))
        client.observer = told
        stream = await client.chat.completions.create(stream=True, **ASK)
        await anext(stream)
        del stream
        gc.collect()
        # Locks that the thread holds could be those of the observer.
        assert told.ends == []
        await asyncio.sleep(0)
        (end,) = told.ends
        assert end.outcome == "left"


async def test_a_stream_closed_by_another_task_while_it_waits_is_left() -> None:
    told = Told()
    async with asyncio.timeout(GUARD), Simulator() as sim, sim.client() as client:
        sim.script(Reply("Hello", fault=Fault("stall", after_events=1)))
        client.observer = told
        stream = await client.chat.completions.create(stream=True, **ASK)
        reading = asyncio.create_task(stream.until_done())
        await asyncio.sleep(0.05)
        await stream.aclose()
        with pytest.raises(DeepSeekError):
            await reading
    assert [end.outcome for end in told.ends] == ["left"]


async def test_a_call_cancelled_at_the_gate_never_sent_anything() -> None:
    told = Told()
    async with asyncio.timeout(GUARD), Simulator() as sim, sim.client(max_concurrency=1) as client:
        sim.script(Reply("Hello", fault=Fault("stall", after_events=0)))
        client.observer = told
        stream = await client.chat.completions.create(stream=True, **ASK)
        waiting = asyncio.create_task(client.chat.completions.create(**ASK))
        await asyncio.sleep(0.05)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await stream.aclose()
    first, _ = told.ends
    assert (first.outcome, first.attempts, first.status) == ("cancelled", 0, None)
    assert first.gate_seconds > 0


async def test_copies_made_before_and_after_share_the_observer() -> None:
    told = Told()
    client = AsyncDeepSeek(KEY)
    before = client.with_options(max_retries=0)
    client.observer = told
    after = client.with_options(max_retries=1)
    assert before.observer is told
    assert after.observer is told
    after.observer = None
    assert client.observer is None


@pytest.mark.parametrize("step", ["call", "began", "retrying", "ended"])
async def test_an_observer_that_fails_is_reported_and_does_no_harm(
    step: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with asyncio.timeout(GUARD), Simulator() as sim, sim.client(max_retries=1) as client:
        sim.script(Reply("Hello"))
        sim.faults(Fault("overloaded"))
        client.observer = Broken(step)
        completion = await client.chat.completions.create(**ASK)
        assert completion.text == "Hello"
    (record,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert record.getMessage() == "the observer of the client failed"
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], LookupError)


class Run:
    """An observer of a run that fails at one of its steps, and keeps how the run ended."""

    def __init__(self, step: str = "") -> None:
        self.step = step
        self.ends: list[str] = []

    def call(self, about: CallAbout) -> None:
        """Want to know nothing of calls."""

    def run(self, model: str) -> Run:
        self._fail("run")
        return self

    def began(self) -> None:
        self._fail("began")

    def within(self) -> AbstractContextManager[object]:
        self._fail("within")
        return self._context("leaving within")

    def tool(self, name: str, description: str, call_id: str, arguments: str) -> Any:
        self._fail("tool")
        return self._context("leaving a tool")

    def ended(self, outcome: str, error: BaseException | None) -> None:
        self.ends.append(outcome)
        self._fail("ended")

    @contextmanager
    def _context(self, step: str) -> Generator[Callable[[str], None]]:
        self._fail("entering")
        yield lambda answer: self._fail("answered")
        self._fail(step)

    def _fail(self, step: str) -> None:
        if step == self.step:
            raise LookupError(step)


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "plain"])
@pytest.mark.parametrize(
    "step",
    [
        *("began", "within", "entering", "leaving within", "tool", "answered"),
        *("leaving a tool", "ended"),
    ],
)
async def test_an_observer_of_runs_that_fails_does_no_harm(
    step: str, streamed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    @tool
    async def weather(city: str) -> str:
        """Tell the weather."""
        return f"Sunny in {city}"

    observer = Run(step)
    async with asyncio.timeout(GUARD), Simulator() as sim, sim.client() as client:
        sim.script(Reply(tool_calls=[("weather", {"city": "Ulm"})]), Reply("Sunny."))
        client.observer = observer
        runner = client.chat.completions.run_tools(tools=[weather], stream=streamed, **ASK)
        completion = await runner.until_done()
    assert completion.text == "Sunny."
    answers = [message for message in runner.messages if isinstance(message, ToolMessage)]
    assert [answer.content for answer in answers] == ["Sunny in Ulm"]
    assert observer.ends == ["answered"]
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert {record.getMessage() for record in warnings} == {"the observer of the client failed"}


async def test_an_observer_that_wants_no_run_by_mistake_does_no_harm() -> None:
    observer = Run("run")
    async with asyncio.timeout(GUARD), Simulator() as sim, sim.client() as client:
        sim.script(Reply("Hello"))
        client.observer = observer
        completion = await client.chat.completions.run_tools(tools=[], **ASK).until_done()
    assert completion.text == "Hello"
    assert observer.ends == []


async def test_a_run_closed_by_another_task_while_it_waits_is_left() -> None:
    observer = Run()
    async with asyncio.timeout(GUARD), Simulator() as sim, sim.client() as client:
        sim.script(Reply("Hello", fault=Fault("stall", after_events=1)))
        client.observer = observer
        runner = client.chat.completions.run_tools(tools=[], **ASK)
        reading = asyncio.create_task(runner.until_done())
        while not sim.requests:
            await asyncio.sleep(0.01)
        await runner.aclose()
        with pytest.raises(RuntimeError, match="closed"):
            await reading
    assert observer.ends == ["left"]


async def test_the_log_has_a_line_for_each_call(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "deepseek_async")
    async with asyncio.timeout(GUARD), Simulator() as sim:
        usage = {"prompt_tokens": 12, "completion_tokens": 34, "prompt_cache_hit_tokens": 8}
        sim.script(Reply("Hello", usage=usage), Reply("Hello"), Reply(status=400, body=SECRET))
        async with sim.client(api_key=KEY, max_retries=0) as client:
            completion = await client.chat.completions.create(**ASK)
            async with client.chat.completions.stream(**ASK) as stream:
                await stream.until_done()
            with pytest.raises(DeepSeekError):
                await client.chat.completions.create(**ASK)
            await client.models.list()
    plain, streamed, failed, models = lines(caplog)
    assert plain.startswith(
        "chat deepseek-flash answered, status 200, stop, 12 tokens in (8 cached), 34 out, 0."
    )
    assert plain.endswith(f" s, 1 attempt, request id {completion.request_id}")
    assert streamed.startswith("chat deepseek-flash answered, status 200, stop, ")
    assert failed.startswith("chat deepseek-flash failed, BadRequestError, status 400, 0.")
    assert models.startswith("GET /models answered, status 200, 0.")
    said = "\n".join(lines(caplog))
    assert SECRET not in said
    assert KEY not in said


async def test_at_level_info_the_log_has_failures_only(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "deepseek_async")
    async with asyncio.timeout(GUARD), Simulator() as sim, sim.client(max_retries=0) as client:
        sim.script(Reply("Hello"), Reply(status=400, body="no"))
        await client.chat.completions.create(**ASK)
        with pytest.raises(DeepSeekError):
            await client.chat.completions.create(**ASK)
    (line,) = lines(caplog)
    assert "failed, BadRequestError" in line


async def test_a_client_that_tells_nobody_gathers_nothing() -> None:
    async with asyncio.timeout(GUARD), Simulator() as sim, sim.client() as client:
        call, _ = client.chat.completions.prepare("create", ASK, stream=True)
        assert call.watch is None
