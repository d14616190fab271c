"""Spans and metrics, as an exporter in memory sees them, of whole calls over real sockets."""

from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from deepseek_async import AsyncDeepSeek, DeepSeekError, ToolError, tool
from deepseek_async.integrations.otel import (
    instrument,
    instrument_all,
    uninstrument,
    uninstrument_all,
)
from deepseek_async.simulator import Fault, Reply, Simulator

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

REASON = 'needs the extra otel and the SDK: pip install "deepseek-async[otel]" opentelemetry-sdk'
sdk_metrics = pytest.importorskip("opentelemetry.sdk.metrics", reason=REASON)
sdk_trace = pytest.importorskip("opentelemetry.sdk.trace", reason=REASON)
in_memory = "opentelemetry.sdk.trace.export.in_memory_span_exporter"
InMemorySpanExporter = pytest.importorskip(in_memory).InMemorySpanExporter
InMemoryMetricReader = pytest.importorskip("opentelemetry.sdk.metrics.export").InMemoryMetricReader
SimpleSpanProcessor = pytest.importorskip("opentelemetry.sdk.trace.export").SimpleSpanProcessor
ALWAYS_OFF = pytest.importorskip("opentelemetry.sdk.trace.sampling").ALWAYS_OFF
api = pytest.importorskip("opentelemetry.trace")
meters = pytest.importorskip("opentelemetry.metrics")
NoOpHistogram, NoOpMeter = meters.NoOpHistogram, meters.NoOpMeter
NoOpMeterProvider = meters.NoOpMeterProvider
SpanKind, StatusCode = api.SpanKind, api.StatusCode

GUARD = 20.0
MODEL = "deepseek-flash"
SECRET = "xyzzy-plugh"
ASK: Any = {"model": MODEL, "messages": [{"role": "user", "content": f"Say {SECRET}."}]}
KEY = "sk-0123456789abcdef"


class Telemetry:
    """What has been exported."""

    def __init__(self, **options: Any) -> None:
        self._exporter = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        self.tracers = sdk_trace.TracerProvider(**options)
        self.tracers.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.meters = sdk_metrics.MeterProvider([self._reader])

    def instrument(self, client: AsyncDeepSeek, **options: Any) -> None:
        instrument(client, self.tracers, self.meters, **options)

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    def span(self) -> ReadableSpan:
        (span,) = self.spans
        return span

    def points(self) -> dict[str, list[Any]]:
        """The points of each metric since the last time."""
        data = self._reader.get_metrics_data()
        found: dict[str, list[Any]] = {}
        if data is not None:
            for resource in data.resource_metrics:
                for scope in resource.scope_metrics:
                    for metric in scope.metrics:
                        found[metric.name] = list(metric.data.data_points)
        return found

    def everything(self) -> str:
        """All that has been exported, as text."""
        data = self._reader.get_metrics_data()
        return "".join(span.to_json() for span in self.spans) + (data.to_json() if data else "")


@asynccontextmanager
async def simulated(
    *replies: Any, max_retries: int = 0, **options: Any
) -> AsyncIterator[tuple[Simulator, AsyncDeepSeek, Telemetry]]:
    """A simulator, a client of it that is instrumented, and what is exported."""
    telemetry = Telemetry()
    async with asyncio.timeout(GUARD), Simulator() as sim:
        sim.script(*replies)
        async with sim.client(api_key=KEY, max_retries=max_retries) as client:
            telemetry.instrument(client, **options)
            yield sim, client, telemetry


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


@tool
async def weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"Sunny in {city}."


async def test_a_streamed_tool_loop_with_a_retry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.random", lambda: 0.0)
    calls = Reply(tool_calls=[("weather", {"city": SECRET})])
    async with simulated(calls, Reply("Sunny."), max_retries=1) as (sim, client, telemetry):
        sim.faults(Fault("overloaded"))
        runner = client.chat.completions.run_tools(
            tools=[weather], thinking=False, temperature=0.5, max_tokens=99, stop=["END"], **ASK
        )
        completion = await runner.until_done()
        port = urlsplit(sim.base_url).port
        spans = telemetry.spans
        points = telemetry.points()
        exported = telemetry.everything()

    first, ran, second, run = spans
    names = [span.name for span in spans]
    assert names == [f"chat {MODEL}", "execute_tool weather", f"chat {MODEL}", "invoke_agent"]
    assert run.context is not None
    assert run.parent is None
    for span in (first, ran, second):
        assert span.parent is not None
        assert span.parent.span_id == run.context.span_id
        assert span.status.status_code is StatusCode.UNSET
    assert [span.kind for span in spans] == [
        SpanKind.CLIENT, SpanKind.INTERNAL, SpanKind.CLIENT, SpanKind.INTERNAL
    ]  # fmt: skip

    asked = attributes(first)
    assert asked.pop("deepseek.gate_time") >= 0
    assert asked.pop("gen_ai.response.time_to_first_chunk") > 0
    assert asked.pop("deepseek.request_id")
    assert asked.pop("gen_ai.response.id")
    assert asked.pop("gen_ai.usage.input_tokens") > 0
    assert asked.pop("gen_ai.usage.output_tokens") > 0
    assert asked.pop("gen_ai.usage.cache_read.input_tokens") == 0
    asked.pop("gen_ai.usage.reasoning.output_tokens", None)
    asked.pop("deepseek.queue_time", None)
    assert asked == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "deepseek",
        "gen_ai.request.model": MODEL,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.max_tokens": 99,
        "gen_ai.request.stop_sequences": ("END",),
        "gen_ai.request.stream": True,
        "gen_ai.response.model": MODEL,
        "gen_ai.response.finish_reasons": ("tool_calls",),
        "server.address": "127.0.0.1",
        "server.port": port,
        "http.request.resend_count": 1,
        "http.response.status_code": 200,
        "deepseek.attempts": 2,
        "deepseek.outcome": "answered",
    }
    (retry,) = first.events
    assert retry.name == "deepseek.retry"
    assert dict(retry.attributes or {}) == {
        "error.type": "ServerOverloadedError",
        "deepseek.attempts": 1,
        "deepseek.retry.delay": pytest.approx(0, abs=5),
    }
    assert attributes(ran) == {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "weather",
        "gen_ai.tool.type": "function",
        "gen_ai.tool.call.id": (runner.completions[0].choices[0].message.tool_calls or [])[0].id,
        "deepseek.outcome": "answered",
    }
    assert attributes(run) == {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.provider.name": "deepseek",
        "gen_ai.request.model": MODEL,
        "deepseek.outcome": "answered",
    }
    told = attributes(second)
    assert completion.usage is not None
    assert told["gen_ai.usage.output_tokens"] == completion.usage.completion_tokens
    assert told["gen_ai.response.id"] == completion.id
    assert told["gen_ai.response.finish_reasons"] == ("stop",)
    assert told["deepseek.attempts"] == 1

    counts = {name: sum(getattr(p, "count", 0) for p in found) for name, found in points.items()}
    assert counts["gen_ai.client.operation.duration"] == 2
    assert counts["gen_ai.client.operation.time_to_first_chunk"] == 2
    assert counts["gen_ai.execute_tool.duration"] == 1
    tokens = {p.attributes["gen_ai.token.type"]: p for p in points["gen_ai.client.token.usage"]}
    assert tokens.keys() == {"input", "output"}
    assert tokens["input"].explicit_bounds[:3] == (1, 4, 16)
    assert runner.usage is not None
    assert tokens["input"].sum == runner.usage.prompt_tokens
    assert tokens["output"].sum == runner.usage.completion_tokens
    (attempts,) = points["deepseek.client.attempts"]
    assert attempts.value == 3
    assert attempts.attributes["server.port"] == port
    for secret in (SECRET, KEY, "Sunny"):
        assert secret not in exported


async def test_a_plain_answer_is_a_child_of_the_current_span() -> None:
    async with simulated(Reply("Hello", reasoning="Well")) as (_, client, telemetry):
        with telemetry.tracers.get_tracer("test").start_as_current_span("outer") as outer:
            await client.chat.completions.create(
                response_format={"type": "json_object"},
                model=MODEL,
                messages=[{"role": "user", "content": "json"}],
            )
        span, _ = telemetry.spans
        assert span.parent is not None
        assert span.parent.span_id == outer.get_span_context().span_id
        told = attributes(span)
        assert told["gen_ai.output.type"] == "json"
        assert told["gen_ai.usage.reasoning.output_tokens"] > 0
        assert told["gen_ai.response.finish_reasons"] == ("stop",)
        assert "gen_ai.request.stream" not in told
        points = telemetry.points()
        assert "gen_ai.client.operation.time_to_first_chunk" not in points


async def test_calls_side_by_side_belong_to_their_own_tasks() -> None:
    async with simulated(*[Reply("Hello")] * 8) as (_, client, telemetry):
        tracer = telemetry.tracers.get_tracer("test")

        async def ask(name: str) -> None:
            with tracer.start_as_current_span(name):
                async with client.chat.completions.stream(**ASK) as stream:
                    await stream.until_done()

        await asyncio.gather(*(ask(f"task {number}") for number in range(8)))
        by_id = {s.context.span_id: s for s in telemetry.spans if s.context is not None}
        parents = [
            by_id[span.parent.span_id].name for span in by_id.values() if span.parent is not None
        ]
        assert sorted(parents) == [f"task {number}" for number in range(8)]


FAILURES: dict[str, tuple[Reply, str, int | None]] = {
    "refused": (Reply(status=400, body={"error": {"message": "no"}}), "BadRequestError", 400),
    "wrong key": (Reply(status=401, body="no"), "AuthenticationError", 401),
    "too many": (Reply(status=429, body="wait"), "RateLimitError", 429),
    "hung up": (Reply(fault=Fault("close")), "APIConnectionError", None),
    "empty": (Reply(fault=Fault("whitespace")), "EmptyResponseError", 200),
}


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "plain"])
@pytest.mark.parametrize(("reply", "kind", "status"), FAILURES.values(), ids=FAILURES)
async def test_a_failure_is_the_status_of_the_span(
    reply: Reply, kind: str, status: int | None, streamed: bool
) -> None:
    async with simulated(reply) as (_, client, telemetry):
        with pytest.raises(DeepSeekError) as caught:
            answer: Any = await client.chat.completions.create(stream=streamed, **ASK)
            await answer.until_done()
        span = telemetry.span()
        told = attributes(span)
        assert span.status.status_code is StatusCode.ERROR
        assert span.status.description == caught.value.message
        assert told["error.type"] == type(caught.value).__name__
        assert told["error.type"] == kind or (kind == "EmptyResponseError" and streamed)
        assert told.get("http.response.status_code") == status
        assert told["deepseek.outcome"] == "failed"
        (duration,) = telemetry.points()["gen_ai.client.operation.duration"]
        assert duration.attributes["error.type"] == told["error.type"]
        assert SECRET not in telemetry.everything()


async def test_a_stream_that_breaks_off_ends_the_span() -> None:
    async with simulated(Reply("one two three four five")) as (sim, client, telemetry):
        sim.faults(Fault("cut", after_events=4))
        with pytest.raises(DeepSeekError):
            async with client.chat.completions.stream(**ASK) as stream:
                await stream.until_done()
        span = telemetry.span()
        assert span.status.status_code is StatusCode.ERROR
        assert attributes(span)["error.type"] == "StreamInterruptedError"
        assert attributes(span)["gen_ai.response.id"]
        assert "one two" not in telemetry.everything()


async def test_the_key_in_an_error_of_the_server_is_blotted_out() -> None:
    refusal = Reply(status=400, body={"error": {"message": f"no such key {KEY}"}})
    async with simulated(refusal) as (_, client, telemetry):
        with pytest.raises(DeepSeekError):
            await client.chat.completions.create(**ASK)
        assert telemetry.span().status.description == "no such key ****"
        assert KEY not in telemetry.everything()


async def test_what_a_function_for_the_key_raises_is_named_only() -> None:
    telemetry = Telemetry()

    def no_key() -> str:
        raise ValueError(f"can't read {KEY}")

    async with Simulator() as sim, sim.client(api_key=no_key) as client:
        telemetry.instrument(client)
        with pytest.raises(ValueError, match="can't read"):
            await client.chat.completions.create(**ASK)
    assert attributes(telemetry.span())["error.type"] == "ValueError"
    assert KEY not in telemetry.everything()


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "plain"])
async def test_a_cancelled_call_ends_its_span_without_an_error(streamed: bool) -> None:
    async with simulated() as (sim, client, telemetry):
        sim.faults(Fault("stall", after_events=0))

        async def ask() -> None:
            answer: Any = await client.chat.completions.create(stream=streamed, **ASK)
            if streamed:
                await answer.until_done()

        task = asyncio.create_task(ask())
        while not sim.requests:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        span = telemetry.span()
        assert attributes(span)["deepseek.outcome"] == "cancelled"
        assert span.status.status_code is StatusCode.UNSET
        (duration,) = telemetry.points()["gen_ai.client.operation.duration"]
        assert duration.attributes["deepseek.outcome"] == "cancelled"


@pytest.mark.parametrize("how", ["closed", "left", "dropped"])
async def test_a_stream_left_early_ends_its_span(how: str) -> None:
    reply = Reply(" ".join(["word"] * 200))
    async with simulated(reply) as (sim, client, telemetry):
        sim.faults(Fault("stall", after_events=5))
        stream = await client.chat.completions.create(stream=True, **ASK)
        if how == "left":
            async with stream:
                await anext(stream)
        else:
            await anext(stream)
            if how == "closed":
                await stream.aclose()
        del stream
        gc.collect()
        await asyncio.sleep(0)
        told = attributes(telemetry.span())
        assert told["deepseek.outcome"] == "left"
        assert told["gen_ai.response.time_to_first_chunk"] > 0
        assert "error.type" not in told


async def test_a_stream_that_was_never_entered_has_no_span() -> None:
    async with simulated() as (_, client, telemetry):
        client.chat.completions.stream(**ASK)
        gc.collect()
        await asyncio.sleep(0)
        assert telemetry.spans == []


async def test_time_in_the_queue_and_at_our_own_gate() -> None:
    telemetry = Telemetry()
    async with Simulator(first_token_seconds=0.3, keep_alive_seconds=0.05) as sim:
        sim.script(Reply("Hello"), Reply("Hello"))
        async with sim.client(max_concurrency=1) as client:
            telemetry.instrument(client)

            async def ask() -> None:
                async with client.chat.completions.stream(**ASK) as stream:
                    await stream.until_done()

            await asyncio.gather(ask(), ask())
    first, second = map(attributes, telemetry.spans)
    assert first["deepseek.gate_time"] == 0
    assert second["deepseek.gate_time"] > 0.1
    assert 0 < second["deepseek.queue_time"] <= second["gen_ai.response.time_to_first_chunk"]
    points = telemetry.points()
    assert points["deepseek.client.queue_time"][0].count == 2
    assert points["deepseek.client.gate_time"][0].count == 1


async def test_fim_parse_copies_and_batches() -> None:
    telemetry = Telemetry()
    async with asyncio.timeout(GUARD), Simulator() as sim, sim.client() as client:
        copy = client.with_options(max_retries=0)
        telemetry.instrument(client)
        await copy.completions.create(model="deepseek-v4-pro", prompt="def f(", suffix="return 1")
        await client.gather(ASK, ASK)
        assert [span.name for span in telemetry.spans] == [
            "text_completion deepseek-v4-pro", f"chat {MODEL}", f"chat {MODEL}"
        ]  # fmt: skip
        # What has no model is no operation of the conventions.
        await client.models.list()
        uninstrument(client)
        await client.chat.completions.create(**ASK)
        assert len(telemetry.spans) == 3


async def test_metrics_without_sampled_spans() -> None:
    telemetry = Telemetry(sampler=ALWAYS_OFF)
    async with Simulator() as sim, sim.client() as client:
        telemetry.instrument(client)
        await client.chat.completions.create(**ASK)
    assert telemetry.spans == []
    assert telemetry.points()["gen_ai.client.operation.duration"][0].count == 1


async def test_content_if_it_is_asked_for() -> None:
    calls = Reply("Let me see.", reasoning="Hm.", tool_calls=[("weather", {"city": "Ulm"})])
    async with simulated(calls, Reply("Sunny."), capture_content=True) as (_, client, telemetry):
        await client.chat.completions.run_tools(tools=[weather], **ASK).until_done()
        first, ran, second, _ = map(attributes, telemetry.spans)
    assert json.loads(first["gen_ai.input.messages"]) == [
        {"role": "user", "parts": [{"type": "text", "content": f"Say {SECRET}."}]}
    ]
    (definition,) = json.loads(first["gen_ai.tool.definitions"])
    assert (definition["type"], definition["name"]) == ("function", "weather")
    (answered,) = json.loads(first["gen_ai.output.messages"])
    reasoning, text, call = answered["parts"]
    assert reasoning == {"type": "reasoning", "content": "Hm."}
    assert text == {"type": "text", "content": "Let me see."}
    assert (call["name"], call["arguments"]) == ("weather", {"city": "Ulm"})
    assert answered["finish_reason"] == "tool_calls"
    assert json.loads(ran["gen_ai.tool.call.arguments"]) == {"city": "Ulm"}
    assert ran["gen_ai.tool.call.result"] == "Sunny in Ulm."
    *_, asked_again, result = json.loads(second["gen_ai.input.messages"])
    assert [part["type"] for part in asked_again["parts"]] == ["reasoning", "text", "tool_call"]
    assert result["parts"][0]["response"] == "Sunny in Ulm."
    (answered,) = json.loads(second["gen_ai.output.messages"])
    assert answered["parts"] == [{"type": "text", "content": "Sunny."}]


async def test_a_meter_that_fails_leaves_no_span_open() -> None:
    class Instrument(NoOpHistogram):  # type: ignore[misc, valid-type]  # imported if it is there
        def record(self, *args: object, **options: object) -> None:
            raise OSError("no room")

    class Meter(NoOpMeter):  # type: ignore[misc, valid-type]  # as above
        def create_histogram(self, name: str, *args: object, **options: object) -> Instrument:
            return Instrument(name)

    class Provider(NoOpMeterProvider):  # type: ignore[misc, valid-type]  # as above
        def get_meter(self, name: str, *args: object, **options: object) -> Meter:
            return Meter(name)

    telemetry = Telemetry()
    telemetry.meters = Provider()
    async with Simulator() as sim, sim.client() as client:
        telemetry.instrument(client)
        sim.script(Reply(tool_calls=[("weather", {"city": "Ulm"})]), Reply("Sunny."))
        runner = client.chat.completions.run_tools(tools=[weather], **ASK)
        assert (await runner.until_done()).text == "Sunny."
    names = [span.name for span in telemetry.spans]
    assert names == [f"chat {MODEL}", "execute_tool weather", f"chat {MODEL}", "invoke_agent"]


async def test_a_number_that_no_exporter_can_send_is_left_out() -> None:
    async with simulated() as (_, client, telemetry):
        await client.chat.completions.create(extra_body={"seed": 2**63, "n": 2**64}, **ASK)
        told = attributes(telemetry.span())
    assert "gen_ai.request.seed" not in told
    assert "gen_ai.request.choice.count" not in told


async def test_content_of_fim() -> None:
    async with simulated(Reply("x):"), capture_content=True) as (_, client, telemetry):
        await client.completions.create(model="deepseek-v4-pro", prompt="def f(", suffix="return 1")
        told = attributes(telemetry.span())
    (asked,) = json.loads(told["gen_ai.input.messages"])
    assert [part["content"] for part in asked["parts"]] == ["def f(", "return 1"]
    assert json.loads(told["gen_ai.output.messages"])[0]["parts"][0]["type"] == "text"


async def test_tools_that_fail_run_out_of_time_and_are_left() -> None:
    began = asyncio.Event()

    @tool
    async def broken() -> str:
        raise KeyError(SECRET)

    @tool
    async def picky(what: int) -> str:
        raise ToolError(f"not {what} {SECRET}")

    @tool
    async def slow() -> str:
        began.set()
        await asyncio.Event().wait()
        return "never"

    calls = [("broken", {}), ("picky", {"what": 1}), ("slow", {})]
    ask = Reply(tool_calls=calls)
    async with simulated(ask, Reply("Oh."), ask) as (_, client, telemetry):
        tools: list[Any] = [broken, picky, slow]
        completions = client.chat.completions
        await completions.run_tools(tools=tools, tool_timeout=0.05, **ASK).until_done()
        ends = {
            span.name: (attributes(span).get("error.type"), span.status.description)
            for span in telemetry.spans
            if span.name.startswith("execute_tool")
        }
        assert ends == {
            "execute_tool broken": ("KeyError", None),
            "execute_tool picky": ("ToolError", None),
            "execute_tool slow": ("TimeoutError", None),
        }
        before = len(telemetry.spans)
        began.clear()
        runner = completions.run_tools(tools=tools, **ASK)
        async with runner:
            async for event in runner:
                if event.type == "tool.started" and event.name == "slow":
                    break
        ended = {span.name: attributes(span) for span in telemetry.spans[before:]}
        assert ended["execute_tool slow"]["deepseek.outcome"] == "cancelled"
        assert ended["invoke_agent"]["deepseek.outcome"] == "left"
        assert SECRET not in telemetry.everything()


@pytest.mark.parametrize("how", ["fails", "is dropped"])
async def test_the_span_of_a_run_that_does_not_end(how: str) -> None:
    reply = Reply("Hello") if how == "is dropped" else Reply(status=400, body="no")
    async with simulated(reply) as (_, client, telemetry):
        runner = client.chat.completions.run_tools(tools=[weather], **ASK)
        if how == "fails":
            with pytest.raises(DeepSeekError):
                await runner.until_done()
        else:
            await anext(runner)
            del runner
            gc.collect()
            await asyncio.sleep(0.01)
        run = next(span for span in telemetry.spans if span.name == "invoke_agent")
        expected = "failed" if how == "fails" else "left"
        assert attributes(run)["deepseek.outcome"] == expected
        assert {span.name for span in telemetry.spans} == {"invoke_agent", f"chat {MODEL}"}


async def test_what_a_tool_does_belongs_to_its_span() -> None:
    telemetry = Telemetry()
    tracer = telemetry.tracers.get_tracer("test")

    @tool
    def lookup() -> str:
        """Look it up, in a thread."""
        with tracer.start_as_current_span("database"):
            return "found"

    async with Simulator() as sim, sim.client() as client:
        sim.script(Reply(tool_calls=[("lookup", {})]), Reply("Found."))
        telemetry.instrument(client)
        await client.chat.completions.run_tools(tools=[lookup], **ASK).until_done()
    spans = {span.name: span for span in telemetry.spans}
    parent, of = spans["database"].parent, spans["execute_tool lookup"].context
    assert parent is not None
    assert of is not None
    assert parent.span_id == of.span_id


async def test_mistakes_in_tools_are_refused_as_ever() -> None:
    async with simulated() as (_, client, _telemetry):
        tools: Any
        for tools in ("text", 3, [3], {"type": "function"}):
            with pytest.raises(TypeError, match=r"tool"):
                client.chat.completions.run_tools(tools=tools, **ASK)


async def test_every_client_from_now_on() -> None:
    telemetry = Telemetry()
    instrument_all(telemetry.tracers, telemetry.meters)
    try:
        async with Simulator() as sim, sim.client() as client:
            await client.chat.completions.create(**ASK)
    finally:
        uninstrument_all()
    assert telemetry.span().name == f"chat {MODEL}"
    assert AsyncDeepSeek("sk-x").observer is None


async def test_another_observer_is_not_put_aside() -> None:
    class Other:
        def call(self, about: object) -> None:
            """Want to know nothing."""

        def run(self, model: str) -> None:
            """Want to know nothing."""

    client = AsyncDeepSeek("sk-x")
    client.observer = other = Other()
    with pytest.raises(RuntimeError, match="Other observes the client already"):
        instrument(client)
    uninstrument(client)
    assert client.observer is other


def test_without_the_library_it_says_what_to_install() -> None:
    program = """
import sys
sys.modules["opentelemetry"] = None
from deepseek_async import AsyncDeepSeek
from deepseek_async.integrations.otel import instrument
try:
    instrument(AsyncDeepSeek("sk-x"))
except ImportError as exc:
    assert 'pip install "deepseek-async[otel]"' in str(exc), exc
else:
    sys.exit("no error")
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_nothing_of_it_is_imported_before() -> None:
    program = (
        "import sys; import deepseek_async.integrations.otel; "
        "from deepseek_async import AsyncDeepSeek; AsyncDeepSeek('sk-x'); "
        "sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
