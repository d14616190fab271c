"""The UI message stream of Vercel's AI SDK, version 1: what its ``useChat`` reads.

Source: npm ``ai`` 5.0.100, 5.0.277, 6.0.326 and 7.0.173, read 2026-11-21. The first of them refuses
what it does not know, so nothing newer is sent.
"""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from deepseek_async import DoneEvent, QueuedEvent
from deepseek_async.live import FAILURES, DrainEvent, Run, StoppedEvent
from deepseek_async.web.formats.part_stream import Ending, PartStream, token_counts
from deepseek_async.web.formats.parts import Part, json_bytes, json_of

# The rest is "other": DeepSeek's list grows, and a reason that the SDK doesn't know fails there.
_FINISH_REASONS = {
    "stop": "stop",
    "length": "length",
    "content_filter": "content-filter",
    "tool_calls": "tool-calls",
    "function_call": "tool-calls",
    "insufficient_system_resource": "error",
    "aborted": "error",
}


class AISDKFormat(PartStream):
    """One message: texts, reasonings and tool calls, a step for each answer of the model.

    The id of the message is the run's. A result that is a JSON object or array is an ``output`` of
    that shape; any other is the text that the model is told.
    """

    name: ClassVar[str] = "ai-sdk"
    headers: ClassVar[Mapping[str, str]] = {"x-vercel-ai-ui-message-stream": "v1"}

    def _opening(self, run: Run) -> dict[str, Any]:
        return {"type": "start", "messageId": run.id}

    def _told(self, run: Run, part: Part) -> list[bytes]:
        kind, number = part.outline.open, part.outline.parts
        match part.what:
            case "delta":
                return [
                    b'{"type":"%b-delta","id":"%b-%d","delta":%b}'
                    % (_KINDS[kind], _KINDS[kind], number, json_bytes(part.text))
                ]
            case "start" | "end":
                return [json_bytes({"type": f"{kind}-{part.what}", "id": f"{kind}-{number}"})]
            case "step.start":
                return [b'{"type":"start-step"}']
            case "step.end":
                return [b'{"type":"finish-step"}']
            case _:
                told = _of_call(part)
                return [] if told is None else [json_bytes(told)]

    def _ending(self, run: Run, event: Ending) -> Iterator[dict[str, Any]]:
        if metadata := _metadata(run, event):
            yield {"type": "message-metadata", "messageMetadata": metadata}
        if isinstance(event, DoneEvent):
            yield {
                "type": "finish",
                "finishReason": _FINISH_REASONS.get(event.finish_reason or "", "other"),
            }
        elif isinstance(event, StoppedEvent):
            yield {"type": "abort"}
        else:
            yield {"type": "error", "errorText": self._error(event)}

    def _aside(self, event: QueuedEvent | DrainEvent) -> bytes:
        if isinstance(event, QueuedEvent):
            return _data("queued", {"elapsed": round(event.elapsed, 1)})
        # An end is enough for `useChat` to take the message for complete.
        lost = {"type": "error", "errorText": FAILURES["lost"]}
        return _data("drain", {"retry": event.retry}) + b"data: %b\n\n" % json_bytes(lost)

    def _farewell(self) -> bytes:
        return b"data: [DONE]\n\n"


_KINDS: dict[str | None, bytes] = {"text": b"text", "reasoning": b"reasoning"}


def _of_call(part: Part) -> dict[str, Any] | None:
    """Return what tells of a tool call; None for one that was cut off, which stays unfinished."""
    call = part.call
    assert call is not None
    told: dict[str, Any] = {"toolCallId": call.id}
    match part.what:
        case "call.start":
            return {"type": "tool-input-start", **told, "toolName": call.name}
        case "call.delta":
            return {"type": "tool-input-delta", **told, "inputTextDelta": part.text}
        case "call.end":
            if part.is_error:
                return None
            told["toolName"] = call.name
            given = json_of(part.text or "{}")
            if given is not None:
                return {"type": "tool-input-available", **told, "input": given}
            wrong = "The arguments are not valid JSON."
            return {"type": "tool-input-error", **told, "input": part.text, "errorText": wrong}
        case _:
            if part.is_error:
                return {"type": "tool-output-error", **told, "errorText": part.text}
            return {"type": "tool-output-available", **told, "output": _output(part.text)}


def _output(text: str) -> object:
    value = json_of(text) if text.lstrip().startswith(("{", "[")) else None
    return text if value is None else value


def _metadata(run: Run, event: Ending) -> dict[str, Any]:
    """Return what a page shows beside the message; docs/realtime.md has its shape."""
    metadata: dict[str, Any] = {}
    if run.usage is not None:
        metadata["usage"] = token_counts(run.usage)
    if run.cost is not None:
        metadata["cost"] = run.cost
    if isinstance(event, StoppedEvent):
        # `useChat` takes no notice of an abort.
        metadata["stopped"] = event.reason
    return metadata


def _data(name: str, value: dict[str, float]) -> bytes:
    """Return what ``onData`` alone is told, and is no part of the message."""
    part = {"type": f"data-{name}", "data": value, "transient": True}
    return b"data: %b\n\n" % json_bytes(part)
