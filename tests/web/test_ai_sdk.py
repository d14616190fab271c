"""The UI message stream of the AI SDK. tests/foreign has the SDK itself read it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest

from deepseek_async import (
    ArgumentsDeltaEvent,
    ArgumentsDoneEvent,
    ContentDeltaEvent,
    ContentDoneEvent,
    DoneEvent,
    QueuedEvent,
    ReasoningDeltaEvent,
    ToolDoneEvent,
    Usage,
)
from deepseek_async.errors import InsufficientBalanceError
from deepseek_async.live import Batch, DrainEvent, Live, LiveEvent, ResetEvent, Run
from deepseek_async.web import sse_bytes
from deepseek_async.web.formats import format_of
from tests.web.parts_wire import events_of, joined, objects

START = {"type": "start", "messageId": "run"}
STEP = {"type": "start-step"}
STEP_END = {"type": "finish-step"}


async def told(events: Iterable[LiveEvent | str | Exception], **options: Any) -> bytes:
    async with Live() as live:
        run = await live.start(events_of(events), id="run")
        await run.wait()
        return b"".join([piece async for piece in sse_bytes(run, "ai-sdk", **options)])


def text(number: int, words: str) -> list[dict[str, Any]]:
    part = f"text-{number}"
    return [
        {"type": "text-start", "id": part},
        {"type": "text-delta", "id": part, "delta": words},
        {"type": "text-end", "id": part},
    ]


def finish(reason: str) -> dict[str, Any]:
    return {"type": "finish", "finishReason": reason}


ANSWERS: dict[str, tuple[list[LiveEvent | str], list[dict[str, Any]]]] = {
    "nothing": ([DoneEvent("stop", None)], [START, finish("stop")]),
    "bare text": (["a", "b"], [START, STEP, *text(1, "ab"), STEP_END, finish("other")]),
    "text": (
        [ContentDeltaEvent("a\n\n"), ContentDoneEvent("a\n\n"), DoneEvent("length", None)],
        [START, STEP, *text(1, "a\n\n"), STEP_END, finish("length")],
    ),
    "reasoning, and text twice": (
        [
            ContentDeltaEvent("a"),
            ReasoningDeltaEvent("b"),
            ContentDeltaEvent("c"),
            DoneEvent("content_filter", None),
        ],
        [
            START,
            STEP,
            *text(1, "a"),
            {"type": "reasoning-start", "id": "reasoning-2"},
            {"type": "reasoning-delta", "id": "reasoning-2", "delta": "b"},
            {"type": "reasoning-end", "id": "reasoning-2"},
            *text(3, "c"),
            STEP_END,
            finish("content-filter"),
        ],
    ),
    "a tool call": (
        [
            ContentDeltaEvent("a"),
            ArgumentsDeltaEvent(0, "x", "f", ""),
            ArgumentsDeltaEvent(0, "x", "f", '{"a":'),
            ArgumentsDeltaEvent(0, "x", "f", "\n1e2}"),
            ArgumentsDoneEvent(0, "x", "f", '{"a":\n1e2}'),
            DoneEvent("tool_calls", None),
        ],
        [
            START,
            STEP,
            *text(1, "a"),
            {"type": "tool-input-start", "toolCallId": "x", "toolName": "f"},
            {"type": "tool-input-delta", "toolCallId": "x", "inputTextDelta": '{"a":\n1e2}'},
            {
                "type": "tool-input-available",
                "toolCallId": "x",
                "toolName": "f",
                "input": {"a": 100.0},
            },
            STEP_END,
            finish("tool-calls"),
        ],
    ),
    "arguments that are no JSON, or too deep for it": (
        [
            ArgumentsDeltaEvent(0, "x", "f", "{'a'}"),
            ArgumentsDoneEvent(0, "x", "f", "{'a'}"),
            ArgumentsDoneEvent(1, "y", "f", "[" * 5000),
            DoneEvent("insufficient_system_resource", None),
        ],
        [
            START,
            STEP,
            {"type": "tool-input-start", "toolCallId": "x", "toolName": "f"},
            {"type": "tool-input-delta", "toolCallId": "x", "inputTextDelta": "{'a'}"},
            {
                "type": "tool-input-error",
                "toolCallId": "x",
                "toolName": "f",
                "input": "{'a'}",
                "errorText": "The arguments are not valid JSON.",
            },
            {"type": "tool-input-start", "toolCallId": "y", "toolName": "f"},
            {"type": "tool-input-delta", "toolCallId": "y", "inputTextDelta": "[" * 5000},
            {
                "type": "tool-input-error",
                "toolCallId": "y",
                "toolName": "f",
                "input": "[" * 5000,
                "errorText": "The arguments are not valid JSON.",
            },
            STEP_END,
            finish("error"),
        ],
    ),
    "two answers, and a result between them": (
        [
            ArgumentsDoneEvent(0, "x", "f", ""),
            DoneEvent("tool_calls", None),
            ToolDoneEvent(1, 0, "x", "f", '{"b": 1}', False, 0.1),
            ArgumentsDoneEvent(0, "x", "f", ""),
            DoneEvent("tool_calls", None),
            ToolDoneEvent(2, 0, "x", "f", "[1", False, 0.1),
            ContentDeltaEvent("c"),
            DoneEvent("stop", None),
        ],
        [
            START,
            STEP,
            {"type": "tool-input-start", "toolCallId": "x", "toolName": "f"},
            {"type": "tool-input-available", "toolCallId": "x", "toolName": "f", "input": {}},
            {"type": "tool-output-available", "toolCallId": "x", "output": {"b": 1}},
            STEP_END,
            STEP,
            {"type": "tool-input-start", "toolCallId": "x-2-0", "toolName": "f"},
            {"type": "tool-input-available", "toolCallId": "x-2-0", "toolName": "f", "input": {}},
            {"type": "tool-output-available", "toolCallId": "x-2-0", "output": "[1"},
            STEP_END,
            STEP,
            *text(1, "c"),
            STEP_END,
            finish("stop"),
        ],
    ),
}


@pytest.mark.parametrize(("events", "expected"), ANSWERS.values(), ids=ANSWERS)
async def test_an_answer_is_told_in_parts(
    events: list[LiveEvent | str], expected: list[dict[str, Any]]
) -> None:
    data = await told(events)
    assert joined(objects(data)) == expected
    assert data.startswith(b": ok\n\n")
    assert data.endswith(b"\n\ndata: [DONE]\n\n")


def test_the_response_says_what_it_is() -> None:
    assert format_of("ai-sdk").headers == {"x-vercel-ai-ui-message-stream": "v1"}


async def test_a_line_break_in_arguments_does_not_end_the_line() -> None:
    data = await told([ArgumentsDoneEvent(0, "x", "f", '{"a":\r\n1}')])
    assert b'"input":{"a":  1}}\n\n' in data


async def test_usage_and_cost_are_metadata_of_the_message() -> None:
    usage = Usage(prompt_tokens=7, completion_tokens=5, total_tokens=12, prompt_cache_hit_tokens=4)
    data = await told(["a", DoneEvent("stop", usage)])
    assert objects(data)[-2:] == [
        {
            "type": "message-metadata",
            "messageMetadata": {
                "usage": {
                    "inputTokens": 7,
                    "outputTokens": 5,
                    "totalTokens": 12,
                    "cachedInputTokens": 4,
                    "reasoningTokens": 0,
                }
            },
        },
        finish("stop"),
    ]


async def test_a_failure_ends_what_is_open_and_says_what_anybody_may_know() -> None:
    secret = InsufficientBalanceError("account 42 has no money", status_code=402)
    call = ArgumentsDeltaEvent(0, "x", "f", '{"a"')
    assert objects(await told(["a", call, secret]))[2:] == [
        *text(1, "a"),
        {"type": "tool-input-start", "toolCallId": "x", "toolName": "f"},
        {"type": "tool-input-delta", "toolCallId": "x", "inputTextDelta": '{"a"'},
        STEP_END,
        {"type": "error", "errorText": "The service is not available at the moment."},
    ]
    shown = objects(await told(["a", secret], show_errors=True))[-1]
    assert "account 42" in shown["errorText"]


async def test_a_run_that_is_stopped_is_aborted() -> None:
    async def endless() -> AsyncIterator[str]:
        yield "a"
        await asyncio.Event().wait()

    async with Live() as live:
        run = await live.start(endless(), id="run")
        pieces = sse_bytes(run, "ai-sdk")
        data = await anext(pieces) + await anext(pieces)
        await run.stop()
        data += b"".join([piece async for piece in pieces])
    assert objects(data) == [
        START,
        STEP,
        *text(1, "a"),
        STEP_END,
        {"type": "message-metadata", "messageMetadata": {"stopped": "stopped"}},
        {"type": "abort"},
    ]


async def batches(*events: LiveEvent) -> tuple[Run, list[bytes]]:
    """Return a finished run, and each event told in a batch of its own."""
    async with Live() as live:
        run = await live.start(events_of(["a"]), id="run")
        await run.wait()
    wire_format = format_of("ai-sdk")
    state: Any = wire_format.begin(run, [])
    found: list[bytes] = []
    for event in events:
        data, state = wire_format.encode(run, state, Batch([event], "e.0", 0, 0, 0.0))
        found.append(data)
    return run, found


async def test_what_is_true_for_the_moment_is_transient_and_has_no_id() -> None:
    _, found = await batches(QueuedEvent(1.25), DrainEvent(0.5))
    assert found == [
        b'data: {"type":"start","messageId":"run"}\n\n'
        b'data: {"type":"data-queued","data":{"elapsed":1.2},"transient":true}\n\n',
        b'data: {"type":"data-drain","data":{"retry":0.5},"transient":true}\n\n'
        b'data: {"type":"error","errorText":"The connection to the answer was lost. '
        b'Please try again."}\n\n',
    ]


async def test_a_reset_begins_the_message_again() -> None:
    _, (first, reset, again) = await batches(
        ContentDeltaEvent("a"), ResetEvent(), ContentDeltaEvent("b")
    )
    assert objects(reset) == []
    assert objects(again) == [
        {**each, "delta": "b"} if "delta" in each else each for each in objects(first)
    ]


async def test_events_that_parts_have_told_already_are_not_told() -> None:
    _, found = await batches(ContentDeltaEvent("a"), ContentDoneEvent("a"))
    assert found[1] == b""


async def test_readers_share_bytes_only_if_they_were_told_the_same() -> None:
    gate, end = asyncio.Event(), asyncio.Event()

    async def source() -> AsyncIterator[Any]:
        yield QueuedEvent(1.0)
        await gate.wait()
        yield "a"
        await end.wait()

    async with Live() as live:
        run = await live.start(source(), id="run", fps=0)
        early = sse_bytes(run, "ai-sdk")
        heard = await anext(early)
        while b"queue" not in heard:
            heard += await anext(early)
        gate.set()
        while b"text-delta" not in heard:
            heard += await anext(early)
        # It gets the same batch, and has heard nothing of a beginning.
        late = sse_bytes(run, "ai-sdk")
        heard_late = b""
        while b"text-delta" not in heard_late:
            heard_late += await anext(late)
        end.set()
        heard += b"".join([piece async for piece in early])
        heard_late += b"".join([piece async for piece in late])
    for told_all in (objects(heard), objects(heard_late)):
        assert told_all[0] == START
        assert told_all.count(START) == 1
