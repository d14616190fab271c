"""Reading requests: bytes to `ChatBody` and `FimBody`, or to the error that DeepSeek answers.

Lenient where the server is (unknown fields are ignored), strict where it was seen to refuse.

Source: https://api-docs.deepseek.com/api/create-chat-completion, read 2026-11-21.
"""

from __future__ import annotations

import json
import re
from typing import Any, TypeVar

import msgspec

from deepseek_async.simulator import refusals
from deepseek_async.simulator.refusals import Refusal
from deepseek_async.simulator.scripted import Body

# What a request may name, and the model that answers. The aliases outlived their retirement.
MODELS = {
    "deepseek-flash": "deepseek-flash",
    "deepseek-v4-pro": "deepseek-v4-pro",
    "deepseek-v4-flash": "deepseek-flash",
    "deepseek-chat": "deepseek-flash",
    "deepseek-reasoner": "deepseek-flash",
}
_ROLES = ("system", "user", "assistant", "tool", "latest_reminder")
_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max", "ultra")
_MAX_OUTPUT_TOKENS = 393_216
_MAX_USER_ID = 512


class RefusedError(Exception):
    """The request gets an error reply."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal)
        self.refusal = refusal


class Message(msgspec.Struct, frozen=True):
    """One message of a prompt."""

    role: str
    content: str | list[dict[str, Any]] | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None
    reasoning_content: str | None = None
    prefix: bool | None = None

    def text(self) -> str:
        """The text of the content, parts joined."""
        if isinstance(self.content, list):
            return "".join(str(part.get("text", "")) for part in self.content)
        return self.content or ""


class _Typed(msgspec.Struct, frozen=True):
    type: str


class _StreamOptions(msgspec.Struct, frozen=True):
    include_usage: bool | None = None


class Function(msgspec.Struct, frozen=True):
    """A function that the model may call."""

    name: str
    parameters: dict[str, Any] | None = None


class Tool(msgspec.Struct, frozen=True):
    """An offered tool; server tools have no `function`."""

    type: str = "function"
    function: Function | None = None


class ChatBody(msgspec.Struct, frozen=True):
    """A chat request, as far as the simulator looks at it."""

    messages: list[Message]
    model: str
    thinking: _Typed | None = None
    reasoning_effort: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    response_format: _Typed | None = None
    stop: str | list[str] | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    tools: list[Tool] | None = None
    tool_choice: str | dict[str, Any] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    user_id: str | None = None

    @property
    def is_thinking(self) -> bool:
        """Whether the answer has reasoning: yes, unless it was switched off."""
        if self.thinking is not None:
            return self.thinking.type != "disabled" and self.reasoning_effort != "none"
        return self.model != "deepseek-chat" and self.reasoning_effort != "none"

    def last_user_text(self) -> str:
        """The last user message, or nothing."""
        users = (message for message in reversed(self.messages) if message.role == "user")
        return next((message.text() for message in users), "")

    def prompt(self) -> str:
        """All that the model reads, in its order: tools first, then the messages."""
        tools = "" if self.tools is None else msgspec.json.encode(self.tools).decode()
        parts = [tools]
        for message in self.messages:
            parts += (f"<{message.role}>", message.reasoning_content or "", message.text())
            if message.tool_calls:
                parts.append(msgspec.json.encode(message.tool_calls).decode())
        return "".join(parts)


class FimBody(msgspec.Struct, frozen=True):
    """A fill-in-the-middle request, as far as the simulator looks at it."""

    model: str
    prompt: str
    suffix: str | None = None
    max_tokens: int | None = None
    echo: bool | None = None
    temperature: float | None = None
    stop: str | list[str] | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    user_id: str | None = None


_T = TypeVar("_T", ChatBody, FimBody)


def read_json(data: bytes) -> Body:
    """Decode a request body.

    Raises:
        RefusedError: It is empty, isn't JSON, or isn't an object.
    """
    if not data:
        raise RefusedError(refusals.EMPTY_BODY)
    try:
        value = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise RefusedError(refusals.malformed_json(_json_problem(data))) from None
    if not isinstance(value, dict):
        problem = f"invalid type: {_wire_type(value)}, expected a map at {_end(data)}"
        raise RefusedError(refusals.undecodable(problem))
    return value  # pyright: ignore[reportUnknownVariableType]  # JSON objects have str keys


def read_request(body: Body, data: bytes, kind: type[_T]) -> _T:
    """Convert and check a body.

    Raises:
        RefusedError: DeepSeek would refuse it.
    """
    try:
        request = msgspec.convert(body, kind)
    except msgspec.ValidationError as exc:
        raise RefusedError(refusals.undecodable(f"{_problem(str(exc))} at {_end(data)}")) from None
    refusal = _refusal(request, data)
    if refusal is not None:
        raise RefusedError(refusal)
    return request


def _refusal(request: ChatBody | FimBody, data: bytes) -> Refusal | None:
    if isinstance(request, ChatBody):
        refusal = _chat_refusal(request, data)
        if refusal is not None:
            return refusal
    if request.model not in MODELS:
        return refusals.unknown_model(request.model)
    if request.temperature is not None and not 0 <= request.temperature <= 2:
        return refusals.TEMPERATURE
    if request.max_tokens is not None and not 1 <= request.max_tokens <= _MAX_OUTPUT_TOKENS:
        return refusals.invalid_value(
            f"Invalid max_tokens value, the valid range of max_tokens is [1, {_MAX_OUTPUT_TOKENS}]"
        )
    if request.user_id is not None and len(request.user_id) > _MAX_USER_ID:
        return refusals.invalid_value(
            "Invalid 'user_id': string too long. Expected a string with maximum length "
            f"{_MAX_USER_ID}, but got a string with length {len(request.user_id)} instead"
        )
    return None


def _chat_refusal(request: ChatBody, data: bytes) -> Refusal | None:
    for index, message in enumerate(request.messages):
        if message.role not in _ROLES:
            expected = ", ".join(f"`{role}`" for role in _ROLES)
            return refusals.undecodable(
                f"messages[{index}].role: unknown variant `{message.role}`, "
                f"expected one of {expected} at {_end(data)}"
            )
    if request.reasoning_effort is not None and request.reasoning_effort not in _EFFORTS:
        return refusals.undecodable(
            f"reasoning_effort: unknown variant `{request.reasoning_effort}`, expected one of "
            f"`none`, `low`, `high`, `max` at {_end(data)}",
            status=422,
        )
    response_format = request.response_format
    if response_format is not None and response_format.type not in ("text", "json_object"):
        return refusals.RESPONSE_FORMAT_UNAVAILABLE
    is_forced = isinstance(request.tool_choice, dict) or request.tool_choice == "required"
    if is_forced and request.is_thinking:
        return refusals.FORCED_TOOL_WHILE_THINKING
    return None


def _end(data: bytes) -> str:
    # The real parser stops at the field; the end is close enough for a text that people read.
    lines = data.split(b"\n")
    return f"line {len(lines)} column {len(lines[-1])}"


def _json_problem(data: bytes) -> str:
    text = data.decode("utf-8", "replace")
    try:
        json.loads(text)
    except json.JSONDecodeError as exc:
        if exc.pos >= len(text.rstrip()):
            open_key = re.search(r'"(\w+)"\s*:\s*$', text)
            field = f"{open_key[1]}: " if open_key else ""
            return f"{field}EOF while parsing a value at {_end(data)}"
        return f"expected value at line {exc.lineno} column {exc.colno}"
    return f"invalid unicode code point at {_end(data)}"


_WIRE_TYPES = {
    "object": "map",
    "array": "sequence",
    "str": "string",
    "int": "integer",
    "float": "floating point",
    "bool": "boolean",
    "null": "null",
}


def _wire_type(value: object) -> str:
    match value:
        case list():
            return "sequence"
        case str():
            return "string"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "floating point"
        case _:
            return "null"


def _problem(message: str) -> str:
    """Say what msgspec found in the words of the server's parser."""
    path = re.search(r" - at `\$\.?(.*)`$", message)
    field = f"{path[1]}: " if path and path[1] else ""
    missing = re.match(r"Object missing required field (`\w+`)", message)
    if missing:
        return f"{field}missing field {missing[1]}"
    found = re.match(r"Expected `(.+?)`, got `(\w+)`", message)
    if found:
        wanted = " or ".join(_WIRE_TYPES.get(kind, kind) for kind in found[1].split(" | "))
        return f"{field}invalid type: {_WIRE_TYPES.get(found[2], found[2])}, expected a {wanted}"
    return field + message.split(" - at ")[0].lower()
