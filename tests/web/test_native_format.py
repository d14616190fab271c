"""Our own format: what each event becomes."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from deepseek_async import (
    ArgumentsDeltaEvent,
    ArgumentsDoneEvent,
    ContentDeltaEvent,
    ContentDoneEvent,
    DoneEvent,
    ReasoningDeltaEvent,
    ReasoningDoneEvent,
    ResumedEvent,
    ToolDoneEvent,
    ToolStartedEvent,
    Usage,
)
from deepseek_async.live import Live
from deepseek_async.web import sse_bytes
from tests.web.browser import Response

TOLD: dict[str, tuple[Any, list[Any]]] = {
    "text": (ContentDeltaEvent("Rain"), [["text", "Rain"]]),
    "hostile text": (
        ContentDeltaEvent("</script>\n\ndata: x\r\n"),
        [["text", "</script>\n\ndata: x\r\n"]],
    ),
    "reasoning": (ReasoningDeltaEvent("Hm."), [["reasoning", "Hm."]]),
    "bare text": ("Rain", [["text", "Rain"]]),
    "a call": (ArgumentsDeltaEvent(1, "c1", "measure", "{"), [["tool:1", "{", "measure", "c1"]]),
    "a call begins": (ArgumentsDeltaEvent(0, "c", "f", ""), [["tool:0", "", "f", "c"]]),
    "a call is complete": (
        ArgumentsDoneEvent(0, "c", "f", "{}"),
        [["tool.ready", {"index": 0, "id": "c", "name": "f"}]],
    ),
    "the text is complete": (ContentDoneEvent("Rain"), []),
    "the reasoning is complete": (ReasoningDoneEvent("Hm."), []),
    "begun anew": (
        ResumedEvent("length", 2),
        [["resumed", {"type": "resumed", "reason": "length", "attempt": 2}]],
    ),
    "a tool begins": (
        ToolStartedEvent(1, 0, "c", "f", "{}"),
        [
            [
                "tool.started",
                {
                    "type": "tool.started",
                    "turn": 1,
                    "index": 0,
                    "id": "c",
                    "name": "f",
                    "arguments": "{}",
                },
            ]
        ],
    ),
    "a tool has ended": (
        ToolDoneEvent(1, 0, "c", "f", "wet", False, 0.5),
        [
            [
                "tool.done",
                {
                    "type": "tool.done",
                    "turn": 1,
                    "index": 0,
                    "id": "c",
                    "name": "f",
                    "content": "wet",
                    "is_error": False,
                    "seconds": 0.5,
                },
            ]
        ],
    ),
}


@pytest.mark.parametrize(("event", "expected"), TOLD.values(), ids=TOLD)
async def test_each_event_has_one_form(event: Any, expected: list[Any]) -> None:
    async def events() -> AsyncGenerator[Any]:
        yield event
        yield DoneEvent("stop", Usage(prompt_tokens=1, completion_tokens=2, total_tokens=3))

    async with Live() as live:
        run = await live.start(events(), fps=0)
        body = b"".join([piece async for piece in sse_bytes(run)])
    objects = Response(200, {}, body).objects
    assert [told for each in objects for told in each["d"]] == expected
    assert objects[-1]["done"] == {"status": "done", "finish_reason": "stop"}
    assert objects[-1]["usage"]["total_tokens"] == 3
    assert {each["run"] for each in objects} == {run.id}


async def test_a_reset_has_a_cursor_even_where_nothing_was_told_yet() -> None:
    go_on = asyncio.Event()

    async def waiting() -> AsyncGenerator[str]:
        await go_on.wait()
        yield "Rain"

    async with Live() as live:
        run = await live.start(waiting())
        pieces = sse_bytes(run, after="another.100")
        assert await anext(pieces) == b": ok\n\n"
        reset = await anext(pieces)
        assert b'"reset":true' in reset
        assert reset.startswith(b"id: %b\n" % run.cursor.encode())
        go_on.set()
        await pieces.aclose()
