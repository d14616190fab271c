"""What is asked and answered, in the JSON that the semantic conventions have for it."""

from typing import TYPE_CHECKING, Any, cast

import msgspec

from deepseek_async import ChatCompletion
from deepseek_async.integrations.otel.attributes import Attributes

if TYPE_CHECKING:
    from deepseek_async import ChatCompletionMessage, Completion

Part = dict[str, Any]


def input_content(body: bytes) -> Attributes:
    """Return what a request asks, as attributes of its span.

    Args:
        body: JSON of the request.
    """
    request: dict[str, Any] = msgspec.json.decode(body)
    if "prompt" in request:
        parts = [_text(request["prompt"])]
        if request.get("suffix"):
            parts.append({"type": "suffix", "content": request["suffix"]})
        return {"gen_ai.input.messages": _json([{"role": "user", "parts": parts}])}
    given: list[Any] = request.get("messages") or []
    found: Attributes = {"gen_ai.input.messages": _json([_input_message(each) for each in given])}
    tools: list[Any] = request.get("tools") or []
    if tools:
        found["gen_ai.tool.definitions"] = _json([_definition(each) for each in tools])
    return found


def _definition(tool: dict[str, Any]) -> dict[str, Any]:
    function: dict[str, Any] = tool.get("function") or {}
    return {"type": tool.get("type"), **function}


def output_content(answer: "ChatCompletion | Completion | None") -> Attributes:
    """Return what was answered, as attributes of its span.

    Args:
        answer: The answer, as far as it came.
    """
    if answer is None:
        return {}
    messages: list[dict[str, Any]] = []
    if isinstance(answer, ChatCompletion):
        for choice in answer.choices:
            parts = _output_parts(choice.message)
            messages.append(_output(parts, choice.finish_reason))
    else:
        messages = [_output([_text(each.text)], each.finish_reason) for each in answer.choices]
    return {"gen_ai.output.messages": _json(messages)}


def _output(parts: list[Part], finish_reason: str | None) -> dict[str, Any]:
    return {"role": "assistant", "parts": parts, "finish_reason": finish_reason or "error"}


def _output_parts(message: "ChatCompletionMessage") -> list[Part]:
    parts: list[Part] = []
    if message.reasoning_content:
        parts.append({"type": "reasoning", "content": message.reasoning_content})
    if message.content:
        parts.append(_text(message.content))
    parts += [
        _call(call.id, call.function.name, call.function.arguments)
        for call in message.tool_calls or ()
    ]
    return parts


def _input_message(message: dict[str, Any]) -> dict[str, Any]:
    role, content = message.get("role"), message.get("content")
    if role == "tool":
        response = {"id": message.get("tool_call_id"), "response": content}
        return {"role": role, "parts": [{"type": "tool_call_response", **response}]}
    parts: list[Part] = []
    if message.get("reasoning_content"):
        parts.append({"type": "reasoning", "content": message["reasoning_content"]})
    if isinstance(content, str):
        parts.append(_text(content))
    elif isinstance(content, list):
        # Images are left as they are in the request: any part of a type of its own may be one.
        given = cast("list[dict[str, Any]]", content)
        parts += [_text(each.get("text")) if each.get("type") == "text" else each for each in given]
    calls: list[Any] = message.get("tool_calls") or []
    for call in calls:
        function: dict[str, Any] = call.get("function") or {}
        parts.append(_call(call.get("id"), function.get("name"), function.get("arguments")))
    return {"role": role, "parts": parts}


def _text(content: Any) -> Part:
    return {"type": "text", "content": content}


def _call(call_id: Any, name: Any, arguments: Any) -> Part:
    try:
        decoded = msgspec.json.decode(arguments)
    except (msgspec.DecodeError, TypeError):
        # As the model wrote them, which may be no JSON.
        decoded = arguments
    return {"type": "tool_call", "id": call_id, "name": name, "arguments": decoded}


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
