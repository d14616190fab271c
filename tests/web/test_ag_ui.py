"""The events of AG-UI. tests/foreign has its own client read them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from deepseek_async import (
    ArgumentsDeltaEvent,
    ArgumentsDoneEvent,
    ContentDeltaEvent,
    DoneEvent,
    QueuedEvent,
    ReasoningDeltaEvent,
    ToolDoneEvent,
    Usage,
)
from deepseek_async.errors import InsufficientBalanceError
from deepseek_async.live import Batch, DrainEvent, Live, LiveEvent, ResetEvent
from deepseek_async.web import sse_bytes
from deepseek_async.web.formats import format_of
from tests.web.parts_wire import events_of, joined, objects

IDS = {"threadId": "run", "runId": "run"}
STARTED = {"type": "RUN_STARTED", **IDS}


async def told(
    events: Sequence[LiveEvent | str | Exception], **options: Any
) -> list[dict[str, Any]]:
    async with Live() as live:
        run = await live.start(events_of(events), id="run")
        await run.wait()
        data = b"".join([piece async for piece in sse_bytes(run, "ag-ui", **options)])
    return joined(objects(data))


def text(message: str, words: str) -> list[dict[str, Any]]:
    named = {"messageId": message}
    return [
        {"type": "TEXT_MESSAGE_START", **named, "role": "assistant"},
        {"type": "TEXT_MESSAGE_CONTENT", **named, "delta": words},
        {"type": "TEXT_MESSAGE_END", **named},
    ]


def reasoning(message: str, words: str) -> list[dict[str, Any]]:
    named = {"messageId": message}
    return [
        {"type": "REASONING_START", **named},
        {"type": "REASONING_MESSAGE_START", **named, "role": "reasoning"},
        {"type": "REASONING_MESSAGE_CONTENT", **named, "delta": words},
        {"type": "REASONING_MESSAGE_END", **named},
        {"type": "REASONING_END", **named},
    ]


def call(call_id: str, message: str, arguments: str) -> list[dict[str, Any]]:
    named = {"toolCallId": call_id}
    start = {"type": "TOOL_CALL_START", **named, "toolCallName": "f", "parentMessageId": message}
    return [
        start,
        {"type": "TOOL_CALL_ARGS", **named, "delta": arguments},
        {"type": "TOOL_CALL_END", **named},
    ]


def result(call_id: str, content: str) -> dict[str, Any]:
    return {
        "type": "TOOL_CALL_RESULT",
        "messageId": f"run-result-{call_id}",
        "toolCallId": call_id,
        "role": "tool",
        "content": content,
    }


def finished(reason: str | None) -> dict[str, Any]:
    return {
        "type": "RUN_FINISHED",
        **IDS,
        "outcome": {"type": "success"},
        "metadata": {"finishReason": reason},
    }


ANSWERS: dict[str, tuple[list[LiveEvent | str], list[dict[str, Any]]]] = {
    "nothing": ([DoneEvent("stop", None)], [STARTED, finished("stop")]),
    "bare text": (["a", "\n\ndata: b"], [STARTED, *text("run-1", "a\n\ndata: b"), finished(None)]),
    "reasoning, and text twice": (
        [
            ContentDeltaEvent("a"),
            ReasoningDeltaEvent("b"),
            ContentDeltaEvent("c"),
            DoneEvent("length", None),
        ],
        [
            STARTED,
            *text("run-1", "a"),
            *reasoning("run-reasoning-2", "b"),
            *text("run-1", "c"),
            finished("length"),
        ],
    ),
    "two answers, and results between them": (
        [
            ContentDeltaEvent("a"),
            ArgumentsDeltaEvent(0, "x", "f", ""),
            ArgumentsDeltaEvent(0, "x", "f", '{"a":1'),
            ArgumentsDeltaEvent(0, "x", "f", "}"),
            ArgumentsDoneEvent(0, "x", "f", '{"a":1}'),
            ArgumentsDoneEvent(1, "", "f", "{'a'}"),
            DoneEvent("tool_calls", None),
            ToolDoneEvent(1, 1, "call_1_1", "f", "no", True, 0.1),
            ToolDoneEvent(1, 0, "x", "f", '{"b": 1}', False, 0.1),
            ArgumentsDoneEvent(0, "x", "f", "{}"),
            DoneEvent("tool_calls", None),
            ToolDoneEvent(2, 0, "x", "f", "c", False, 0.1),
            ContentDeltaEvent("d"),
            DoneEvent("stop", None),
        ],
        [
            STARTED,
            *text("run-1", "a"),
            *call("x", "run-1", '{"a":1}'),
            *call("call-1-1", "run-1", "{'a'}"),
            result("call-1-1", "no"),
            result("x", '{"b": 1}'),
            *call("x-2-0", "run-2", "{}"),
            result("x-2-0", "c"),
            *text("run-3", "d"),
            finished("stop"),
        ],
    ),
}


@pytest.mark.parametrize(("events", "expected"), ANSWERS.values(), ids=ANSWERS)
async def test_an_answer_is_told_in_messages(
    events: list[LiveEvent | str], expected: list[dict[str, Any]]
) -> None:
    assert await told(events) == expected


async def test_usage_comes_with_the_end() -> None:
    usage = Usage(prompt_tokens=7, completion_tokens=5, total_tokens=12, prompt_cache_hit_tokens=4)
    assert (await told(["a", DoneEvent("stop", usage)]))[-1] == {
        **finished("stop"),
        "usage": [
            {
                "inputTokens": 7,
                "outputTokens": 5,
                "totalTokens": 12,
                "cachedInputTokens": 4,
                "reasoningTokens": 0,
            }
        ],
    }


async def test_a_failure_ends_what_is_open_and_says_what_anybody_may_know() -> None:
    secret = InsufficientBalanceError("account 42 has no money", status_code=402)
    events: list[LiveEvent | str | Exception] = [
        ArgumentsDeltaEvent(0, "x", "f", '{"a"'),
        ReasoningDeltaEvent("b"),
        secret,
    ]
    parts = [STARTED, *call("x", "run-1", '{"a"')]
    end = parts.pop()
    assert await told(events) == [
        *parts,
        *reasoning("run-reasoning-1", "b"),
        end,
        {
            "type": "RUN_ERROR",
            "message": "The service is not available at the moment.",
            "code": "refused",
            "metadata": {"retryable": False},
        },
    ]
    assert "account 42" in (await told([secret], show_errors=True))[-1]["message"]


async def test_a_run_that_is_stopped_is_cancelled() -> None:
    async def endless() -> AsyncIterator[str]:
        yield "a"
        await asyncio.Event().wait()

    async with Live() as live:
        run = await live.start(endless(), id="run")
        pieces = sse_bytes(run, "ag-ui")
        data = await anext(pieces) + await anext(pieces)
        await run.stop()
        data += b"".join([piece async for piece in pieces])
    assert objects(data) == [
        STARTED,
        *text("run-1", "a"),
        {
            "type": "RUN_FINISHED",
            **IDS,
            "outcome": {"type": "cancelled"},
            "metadata": {"reason": "stopped"},
        },
    ]


async def test_the_start_comes_before_everything_else() -> None:
    async with Live() as live:
        run = await live.start(events_of(["a"]), id="run")
        await run.wait()
    wire_format = format_of("ag-ui")
    state: Any = wire_format.begin(run, [])
    found: list[bytes] = []
    text = ContentDeltaEvent("a")
    events: list[LiveEvent] = [QueuedEvent(1.25), text, QueuedEvent(2), DrainEvent(0.5)]
    for event in [*events, ResetEvent(), text]:
        data, state = wire_format.encode(run, state, Batch([event], "e.0", 0, 0, 0.0))
        found.append(data)
    queued = {"type": "CUSTOM", "name": "queued", "value": {"elapsed": 1.2}}
    assert objects(found[0]) == [STARTED, queued]
    assert STARTED not in objects(found[1])
    assert objects(found[2]) == [{"type": "CUSTOM", "name": "queued", "value": {"elapsed": 2.0}}]
    assert objects(found[3]) == [
        {
            "type": "RUN_ERROR",
            "message": "The connection to the answer was lost. Please try again.",
            "code": "drain",
            "metadata": {"retryable": True, "retry": 0.5},
        }
    ]
    assert found[4] == b""
    assert objects(found[5]) == [STARTED, *objects(found[1])]
