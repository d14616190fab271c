"""OpenAI's format, read by OpenAI's own client and by hand."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from deepseek_async import (
    ArgumentsDeltaEvent,
    ContentDeltaEvent,
    DoneEvent,
    LogprobsDeltaEvent,
    ReasoningDeltaEvent,
    TurnDoneEvent,
)
from deepseek_async.live import Live, LiveEvent, Run
from deepseek_async.simulator import Fault, Replay, Reply, Simulator
from deepseek_async.types import TokenLogprob
from deepseek_async.web import asgi_sse, sse_bytes
from tests.web.apps import QUESTION
from tests.web.browser import data_of, until
from tests.web.serving import serving

openai = pytest.importorskip("openai", reason="openai is not installed")

TEXT = 'Rain is water.\nAn "error" is not: 雨 \u2028 é.'
TOOLS: Any = [
    {"type": "function", "function": {"name": "measure", "parameters": {"type": "object"}}}
]


@asynccontextmanager
async def relay(source: Any, **options: Any) -> AsyncGenerator[Any]:
    """Yield OpenAI's client of a server that relays a source."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        made = source() if callable(source) else source
        await asgi_sse(made, "openai", **options)(scope, receive, send)

    async with serving(app) as port:
        async with openai.AsyncOpenAI(
            api_key="sk-test", base_url=f"http://127.0.0.1:{port}", max_retries=0
        ) as client:
            yield client


async def ask(client: Any) -> Any:
    return await client.chat.completions.create(**QUESTION, stream=True)


async def collect(client: Any) -> dict[str, Any]:
    """Read an answer as programs do."""
    told: dict[str, Any] = {"content": "", "reasoning": "", "calls": {}, "ids": set()}
    async for chunk in await ask(client):
        told["ids"].add(chunk.id)
        told["usage"] = chunk.usage
        for choice in chunk.choices:
            told["content"] += choice.delta.content or ""
            told["reasoning"] += getattr(choice.delta, "reasoning_content", None) or ""
            told["finish_reason"] = choice.finish_reason
            for call in choice.delta.tool_calls or ():
                if call.id:
                    assert call.index not in told["calls"]
                    told["calls"][call.index] = [call.id, call.function.name, ""]
                told["calls"][call.index][2] += call.function.arguments
    return told


@pytest.mark.parametrize("raw", [True, False], ids=["passed on", "made"])
async def test_openai_reads_an_answer(raw: bool) -> None:
    async with Simulator(tokens_per_second=500) as sim, sim.client() as upstream, Live() as live:
        sim.script(Reply(TEXT, reasoning="Hm.", tool_calls=[("measure", {"where": "there"})] * 2))
        run = await live.start(
            lambda: upstream.chat.completions.stream(**QUESTION, tools=TOOLS), fps=100, raw=raw
        )
        async with relay(run, heartbeat=0.002) as client:
            told = await collect(client)
        completion = run.completion
    assert told["content"] == TEXT
    assert told["reasoning"] == "Hm."
    assert told["finish_reason"] == "tool_calls"
    assert told["usage"].total_tokens == completion.usage.total_tokens
    assert len(told["ids"]) == 1
    assert (completion.id in told["ids"]) == raw
    assert list(told["calls"].values()) == [
        [call.id, call.function.name, call.function.arguments]
        for call in completion.choices[0].message.tool_calls
    ]


@pytest.mark.parametrize("raw", [True, False], ids=["passed on", "made"])
async def test_the_event_helper_of_openai_reads_an_answer(raw: bool) -> None:
    async with Simulator() as sim, sim.client() as upstream, Live() as live:
        sim.script(Reply(TEXT, reasoning="Hm."))
        run = await live.start(lambda: upstream.chat.completions.stream(**QUESTION), raw=raw)
        async with relay(run) as client:
            async with client.chat.completions.stream(**QUESTION) as stream:
                async for _ in stream:
                    pass
                final = await stream.get_final_completion()
    assert final.choices[0].message.content == TEXT
    assert final.choices[0].finish_reason == "stop"
    assert final.usage.total_tokens > 0


async def test_signs_of_life_after_an_id_are_no_events() -> None:
    go_on = asyncio.Event()

    async def words() -> AsyncGenerator[str]:
        yield "Rain"
        await go_on.wait()
        yield " falls"

    async with relay(words, heartbeat=0.01) as client:
        stream = await ask(client)
        texts = [(await anext(stream)).choices[0].delta.content]
        await asyncio.sleep(0.05)
        go_on.set()
        texts += [chunk.choices[0].delta.content async for chunk in stream]
    assert texts == ["Rain", " falls", None]


async def test_upstream_bytes_come_as_they_were() -> None:
    async with Simulator() as sim, sim.client() as upstream:
        sim.script(Reply(TEXT, reasoning="Hm."))
        async with upstream.chat.completions.stream(**QUESTION).with_raw() as stream:
            raw = b"".join([event.data async for event in stream if event.type == "raw"])
        sim.script(Reply(TEXT, reasoning="Hm."))
        pieces = [
            piece
            async for piece in sse_bytes(upstream.chat.completions.stream(**QUESTION), "openai")
        ]
    relayed = b"".join(pieces)
    assert without_own(data_of(relayed)) == without_own(data_of(raw))
    assert relayed.count(b"data: [DONE]") == 1


def without_own(data: list[str]) -> list[Any]:
    """Return chunks without what is new in each answer."""
    chunks = [json.loads(each) for each in data if each != "[DONE]"]
    return [{**chunk, "id": "", "created": 0, "system_fingerprint": ""} for chunk in chunks]


async def test_keep_alives_of_the_upstream_are_no_events() -> None:
    async with Simulator(keep_alive_seconds=0.02) as sim, sim.client() as upstream:
        sim.script(
            Reply("Rain", reasoning="", queue_seconds=0.1),
            Reply(TEXT, reasoning="", fault=Fault("host_comments")),
        )
        async with relay(lambda: upstream.chat.completions.stream(**QUESTION)) as client:
            assert (await collect(client))["content"] == "Rain"
            assert (await collect(client))["content"] == TEXT


@pytest.mark.parametrize("fault", [Fault("error", after_events=4), Fault("cut", after_events=4)])
@pytest.mark.parametrize("raw", [True, False], ids=["passed on", "made"])
async def test_failures_are_told_as_deepseek_does(fault: Fault, raw: bool) -> None:
    async with Simulator() as sim, sim.client(max_retries=0) as upstream, Live() as live:
        sim.script(Reply(TEXT, reasoning="", fault=fault))
        run = await live.start(lambda: upstream.chat.completions.stream(**QUESTION), raw=raw)
        async with relay(run) as client:
            with pytest.raises(
                openai.APIError, match=r"^The answer broke off[.] Please try again[.]$"
            ):
                await collect(client)
        body = b"".join([piece async for piece in sse_bytes(run, "openai")])
    errors = [each for each in data_of(body) if '"error"' in each and "choices" not in each]
    assert [json.loads(each)["error"]["code"] for each in errors] == ["broken"]


async def test_other_line_ends_are_understood() -> None:
    chunks = [
        {"id": "1", "choices": [{"index": 0, "delta": {"content": text}}]} for text in ("Ra", "in")
    ]
    events = [f"data: {json.dumps(chunk)}" for chunk in chunks]
    body = "\r\n\r\n".join([": ping", *events, "data: [DONE]", ""]).encode()
    async with Simulator() as sim, sim.client() as upstream:
        sim.script(Replay(body))
        async with relay(upstream.chat.completions.stream(**QUESTION)) as client:
            stream = await ask(client)
            texts = [chunk.choices[0].delta.content async for chunk in stream]
    assert texts == ["Ra", "in"]


async def test_log_probabilities_are_told_where_chunks_are_made() -> None:
    token = TokenLogprob(token="Rain", logprob=-0.5)

    async def events() -> AsyncGenerator[LiveEvent]:
        yield ContentDeltaEvent("Rain")
        yield LogprobsDeltaEvent([token], None)
        yield DoneEvent("stop", None)

    async with relay(events) as client:
        stream = await ask(client)
        found = [chunk.choices[0].logprobs async for chunk in stream]
    assert [each.content[0].token for each in found if each] == ["Rain"]


async def test_a_reader_with_another_cursor_is_told_so_in_a_comment() -> None:
    async with Live() as live:
        run = await live.start(words())
        await run.wait()
        for after, comments in ((None, 0), ("dead.3", 1)):
            body = b"".join([piece async for piece in sse_bytes(run, "openai", after)])
            assert body.count(b": reset\n") == comments
            assert parsed(body)["content"] == "Rain"


async def words() -> AsyncGenerator[str]:
    yield "Rain"


async def test_a_stopped_answer_ends_properly() -> None:
    async with Simulator(tokens_per_second=50) as sim, sim.client() as upstream, Live() as live:
        run = await live.start(lambda: upstream.chat.completions.stream(**QUESTION), raw=True)
        async with relay(run) as client:
            reading = asyncio.create_task(collect(client))
            await until(lambda: run.readers == 1 and run.size > 0)
            await run.stop()
            told = await reading
    assert told["finish_reason"] == "aborted"


async def test_a_reader_sent_away_is_told_so() -> None:
    async with Simulator(tokens_per_second=50) as sim, sim.client() as upstream, Live() as live:
        run = await live.start(lambda: upstream.chat.completions.stream(**QUESTION), raw=True)
        async with relay(run) as client:
            reading = asyncio.create_task(collect(client))
            await until(lambda: run.readers == 1 and run.size > 0)
            await live.drain(0.01)
            with pytest.raises(openai.APIError, match="connection to the answer was lost"):
                await reading


@pytest.mark.parametrize("raw", [True, False], ids=["passed on", "made"])
async def test_cut_anywhere_the_rest_completes_it(raw: bool) -> None:
    async with Simulator(tokens_per_second=500) as sim, sim.client() as upstream, Live() as live:
        sim.script(Reply(TEXT, reasoning="Hm.", tool_calls=[("measure", {"where": "there"})]))
        run = await live.start(
            lambda: upstream.chat.completions.stream(**QUESTION, tools=TOOLS), fps=0, raw=raw
        )
        whole = b"".join([piece async for piece in sse_bytes(run, "openai")])
        live_read = parsed(whole)
        # What a reader has of it whose connection was cut after each of its bytes.
        for end in range(0, len(whole), 7):
            had = whole[:end].rpartition(b"\n\n")[0] + b"\n\n"
            ids = [line for line in had.split(b"\n") if line.startswith(b"id: ")]
            had = had[: had.index(b"\n\n", had.index(ids[-1])) + 2] if ids else b""
            after = ids[-1][4:].decode() if ids else None
            rest = b"".join([piece async for piece in sse_bytes(run, "openai", after)])
            assert parsed(had + rest) == live_read


def parsed(body: bytes) -> dict[str, str]:
    """Return all texts that chunks tell."""
    told: dict[str, str] = {}
    for data in data_of(body):
        if data == "[DONE]":
            continue
        for choice in json.loads(data)["choices"]:
            delta = choice["delta"]
            for field in ("role", "content", "reasoning_content"):
                told[field] = told.get(field, "") + (delta.get(field) or "")
            for call in delta.get("tool_calls") or ():
                key = f"call {call['index']}"
                function = call["function"]
                told[key] = told.get(key, "") + call.get("id", "") + function.get("name", "")
                told[key] += function.get("arguments", "")
            told["finish"] = choice["finish_reason"] or told.get("finish", "")
    return told


async def test_calls_of_several_turns_do_not_run_together() -> None:
    async def turns() -> AsyncGenerator[LiveEvent]:
        for turn in (1, 2):
            yield ReasoningDeltaEvent("Hm.")
            for piece in ('{"n":', f"{turn}}}"):
                yield ArgumentsDeltaEvent(0, f"call-{turn}", "measure", piece)
            yield TurnDoneEvent(turn, None)  # type: ignore[arg-type]  # not looked at
        yield ContentDeltaEvent("Wet.")
        yield DoneEvent("stop", None)

    async with relay(turns) as client:
        told = await collect(client)
    assert told["calls"] == {
        0: ["call-1", "measure", '{"n":1}'],
        1: ["call-2", "measure", '{"n":2}'],
    }
    assert told["content"] == "Wet."


async def test_long_answers_whose_beginning_is_gone_are_made_up_for() -> None:
    async with Simulator() as sim, sim.client() as upstream:
        sim.script(Reply("Rain falls. " * 3000, reasoning=""))
        run = Run(
            "r",
            lambda: upstream.chat.completions.stream(**QUESTION),
            raw=True,
            on_disconnect="continue",
            max_bytes=200_000,
        )
        await run.wait()
        end = int(run.cursor.split(".")[1])
        assert run.raw_between(0, end) is None
        told = parsed(b"".join([piece async for piece in sse_bytes(run, "openai")]))
    assert told["content"] == "Rain falls. " * 3000
    assert told["role"] == "assistant"
    assert told["finish"] == "stop"


async def test_an_answer_of_several_requests_is_made_up_of_its_events() -> None:
    async with Simulator() as sim, sim.client() as upstream:
        sim.script(Reply("One two three four five six seven eight"), Reply("nine ten"))
        stream = upstream.chat.completions.stream(
            **{**QUESTION, "max_tokens": 4, "thinking": False}, auto_continue=1
        )
        async with relay(stream) as client:
            told = await collect(client)
        assert len(sim.requests) == 2
        assert told["content"] == stream.completion().text != ""
