"""Read formats made of parts as strictly as those who defined them, and cut them up."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable
from typing import Any

from deepseek_async.live import Batch, LiveEvent, Run
from deepseek_async.live.log import Log
from deepseek_async.web.formats.base import Format

Objects = list[dict[str, Any]]


def objects(data: bytes) -> Objects:
    """Return the objects of a stream, without what stands behind the last."""
    found: Objects = []
    for event in data.decode().split("\n\n"):
        lines = [line[6:] for line in event.split("\n") if line.startswith("data: ")]
        if lines and lines != ["[DONE]"]:
            found.append(json.loads("\n".join(lines)))
    return found


def joined(told: Objects) -> Objects:
    """Return the objects with neighbouring deltas of a part joined."""
    result: Objects = []
    for each in told:
        text = next((key for key in ("delta", "inputTextDelta") if key in each), None)
        if text and result and {**result[-1], text: ""} == {**each, text: ""}:
            result[-1] = {**each, text: result[-1][text] + each[text]}
        else:
            result.append(each)
    return result


class Cutter:
    """The log of a run that has ended, told in whatever batches one likes."""

    def __init__(self, run: Run, events: list[LiveEvent]) -> None:
        self._run = run
        self._log = Log()
        #: The positions where a batch can end.
        self.ends: list[int] = []
        for event in events:
            self._log.append(event)
            self.ends.append(self._log.end)

    def batch(self, start: int, end: int) -> Batch:
        events = self._log.between(start, end)
        return Batch(events, f"e.{end}", start, end, 0.0, last=end == self._log.end)

    def told(self, wire_format: Format, cuts: list[int], leaves: set[int]) -> bytes:
        """Return what a reader gets.

        Args:
            wire_format: How it is told.
            cuts: The positions where batches end.
            leaves: Those where it comes back over a new connection.
        """
        state: Any = wire_format.begin(self._run, [])
        data = b""
        start = 0
        for end in sorted({*cuts, self._log.end}):
            if start in leaves:
                state = wire_format.begin(self._run, self._log.between(0, start))
            more, state = wire_format.encode(self._run, state, self.batch(start, end))
            data += more
            start = end
        return data


async def events_of(events: Iterable[LiveEvent | str | Exception]) -> AsyncIterator[Any]:
    """Yield events, and raise exceptions."""
    for event in events:
        if isinstance(event, Exception):
            raise event
        yield event


def turns_in_chunks(told: Objects) -> Objects:
    """Return the answers in a UI message stream, as tests.foreign.web_answers tells them."""
    turns: Objects = []
    calls: dict[str, dict[str, Any]] = {}
    for each in told:
        match each["type"]:
            case "start-step":
                turns.append({"text": "", "reasoning": "", "calls": []})
            case "text-delta" | "reasoning-delta":
                turns[-1][each["type"].partition("-")[0]] += each["delta"]
            case "tool-input-start":
                call = {"name": each["toolName"], "arguments": ""}
                turns[-1]["calls"].append(call)
                calls[each["toolCallId"]] = call
            case "tool-input-delta":
                calls[each["toolCallId"]]["arguments"] += each["inputTextDelta"]
            case "tool-output-available":
                output = each["output"]
                text = output if isinstance(output, str) else compact(output)
                calls[each["toolCallId"]] |= {"result": text, "is_error": False}
            case "tool-output-error":
                calls[each["toolCallId"]] |= {"result": each["errorText"], "is_error": True}
            case _:
                continue
    return turns


def turns_in_events(told: Objects) -> Objects:
    """Return the answers in events of AG-UI; which results are errors is not told."""
    turns: dict[str, dict[str, Any]] = {}
    calls: dict[str, dict[str, Any]] = {}
    reasoning = ""

    def turn(message: str) -> dict[str, Any]:
        nonlocal reasoning
        if message not in turns:
            turns[message] = {"text": "", "reasoning": "", "calls": []}
        turns[message]["reasoning"] += reasoning
        reasoning = ""
        return turns[message]

    for each in told:
        match each["type"]:
            case "REASONING_MESSAGE_CONTENT":
                reasoning += each["delta"]
            case "TEXT_MESSAGE_CONTENT":
                turn(each["messageId"])["text"] += each["delta"]
            case "TOOL_CALL_START":
                call = {"name": each["toolCallName"], "arguments": ""}
                turn(each["parentMessageId"])["calls"].append(call)
                calls[each["toolCallId"]] = call
            case "TOOL_CALL_ARGS":
                calls[each["toolCallId"]]["arguments"] += each["delta"]
            case "TOOL_CALL_RESULT":
                calls[each["toolCallId"]]["result"] = each["content"]
            case _:
                continue
    if reasoning:
        turn("")
    return [*turns.values()]


def compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
