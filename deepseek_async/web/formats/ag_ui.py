"""The events of AG-UI, protocol version 1.0.

Source: npm ``@ag-ui/core`` and ``@ag-ui/client`` 1.0.0, read 2026-11-21.
"""

from collections.abc import Iterator
from typing import Any, ClassVar

from deepseek_async import DoneEvent, QueuedEvent
from deepseek_async.live import FAILURES, DrainEvent, Run, StoppedEvent
from deepseek_async.web.formats.part_stream import Ending, PartStream, token_counts
from deepseek_async.web.formats.parts import Part, json_bytes


class AGUIFormat(PartStream):
    """A message for each answer of the model, one for each reasoning, one for each tool's result.

    Their ids begin with the run's, which is also the id of the thread.
    """

    name: ClassVar[str] = "ag-ui"

    def _opening(self, run: Run) -> dict[str, Any]:
        return {"type": "RUN_STARTED", **_ids(run)}

    def _told(self, run: Run, part: Part) -> list[bytes]:
        if part.call is not None:
            return [json_bytes(_of_call(run, part))]
        if part.what == "delta":
            name = b"TEXT" if part.outline.open == "text" else b"REASONING"
            return [
                b'{"type":"%b_MESSAGE_CONTENT","messageId":%b,"delta":%b}'
                % (name, json_bytes(_message_id(run, part)), json_bytes(part.text))
            ]
        if part.what in ("start", "end"):
            return [json_bytes(told) for told in _of_text(run, part)]
        return []

    def _ending(self, run: Run, event: Ending) -> Iterator[dict[str, Any]]:
        if isinstance(event, DoneEvent):
            told = _finished(run, "success", finishReason=event.finish_reason)
        elif isinstance(event, StoppedEvent):
            told = _finished(run, "cancelled", reason=event.reason)
        else:
            told = _failure(self._error(event), event.kind, retryable=event.retryable)
        if run.usage is not None:
            told["usage"] = [{**_model(run), **token_counts(run.usage)}]
        if run.cost is not None:
            told["metadata"]["cost"] = run.cost
        yield told

    def _aside(self, event: QueuedEvent | DrainEvent) -> bytes:
        if isinstance(event, DrainEvent):
            # The client has no way to go on, and takes an end for success.
            told = _failure(FAILURES["lost"], "drain", retryable=True)
            told["metadata"]["retry"] = event.retry
        else:
            seconds = round(event.elapsed, 1)
            told = {"type": "CUSTOM", "name": "queued", "value": {"elapsed": seconds}}
        return b"data: %b\n\n" % json_bytes(told)


def _ids(run: Run) -> dict[str, str]:
    return {"threadId": run.id, "runId": run.id}


def _finished(run: Run, outcome: str, **metadata: str | None) -> dict[str, Any]:
    told = {"type": "RUN_FINISHED", **_ids(run), "outcome": {"type": outcome}}
    return {**told, "metadata": metadata}


def _failure(message: str, code: str, *, retryable: bool) -> dict[str, Any]:
    return {
        "type": "RUN_ERROR",
        "message": message,
        "code": code,
        "metadata": {"retryable": retryable},
    }


def _of_text(run: Run, part: Part) -> Iterator[dict[str, str]]:
    """Yield what begins or ends a text or reasoning."""
    named = {"messageId": _message_id(run, part)}
    if part.outline.open == "text":
        if part.what == "start":
            yield {"type": "TEXT_MESSAGE_START", **named, "role": "assistant"}
        else:
            yield {"type": "TEXT_MESSAGE_END", **named}
    elif part.what == "start":
        yield {"type": "REASONING_START", **named}
        yield {"type": "REASONING_MESSAGE_START", **named, "role": "reasoning"}
    else:
        yield {"type": "REASONING_MESSAGE_END", **named}
        yield {"type": "REASONING_END", **named}


def _of_call(run: Run, part: Part) -> dict[str, str]:
    call = part.call
    assert call is not None
    told = {"toolCallId": call.id}
    match part.what:
        case "call.start":
            parent = f"{run.id}-{part.outline.steps}"
            return {
                "type": "TOOL_CALL_START",
                **told,
                "toolCallName": call.name,
                "parentMessageId": parent,
            }
        case "call.delta":
            return {"type": "TOOL_CALL_ARGS", **told, "delta": part.text}
        case "call.end":
            return {"type": "TOOL_CALL_END", **told}
        case _:
            message = f"{run.id}-result-{call.id}"
            return {
                "type": "TOOL_CALL_RESULT",
                "messageId": message,
                **told,
                "role": "tool",
                "content": part.text,
            }


def _message_id(run: Run, part: Part) -> str:
    """Return the id of the message that a part belongs to.

    Texts of one answer are one message, and its tool calls are in it. Each reasoning is its own.
    """
    outline = part.outline
    if outline.open == "text":
        return f"{run.id}-{outline.steps}"
    return f"{run.id}-reasoning-{outline.parts}"


def _model(run: Run) -> dict[str, str]:
    model = getattr(run.completion, "model", None)
    return {"model": model} if model else {}
