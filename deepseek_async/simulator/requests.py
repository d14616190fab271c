"""Reading requests: bytes to `ChatBody` and `FimBody`, or to the error that DeepSeek answers.

Lenient where the server is (unknown fields are ignored), strict where it was seen to refuse. What
a request means is checked in `rules`.

Source: https://api-docs.deepseek.com/api/create-chat-completion, read 2026-11-21.
"""

from __future__ import annotations

import json
import math
import re
import zlib
from typing import Any, TypeVar, cast

import msgspec

from deepseek_async.simulator import refusals
from deepseek_async.simulator.eras import Era
from deepseek_async.simulator.positions import end_of, start_of
from deepseek_async.simulator.refusals import RefusedError
from deepseek_async.simulator.scripted import Body

_ROLES = ("system", "user", "assistant", "tool", "latest_reminder")
_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max", "ultra")
_PARTS = ("text", "image_url", "file")
# The most that an image costs (docs, "Vision"); how the size decides isn't documented.
_IMAGE_TOKENS = 384


class CalledFunction(msgspec.Struct, frozen=True):
    """The function of a replayed tool call."""

    name: str
    arguments: str = ""


class ToolCall(msgspec.Struct, frozen=True):
    """A replayed tool call."""

    id: str
    type: str
    function: CalledFunction


class Message(msgspec.Struct, frozen=True):
    """One message of a prompt."""

    role: str
    content: str | list[dict[str, Any]] | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
    reasoning_content: str | None = None
    prefix: bool | None = None

    def text(self) -> str:
        """The text of the content, parts joined."""
        if isinstance(self.content, list):
            return "".join(str(part.get("text", "")) for part in self.content)
        return self.content or ""

    def images(self) -> list[dict[str, Any]]:
        """The parts of the content that are images."""
        if not isinstance(self.content, list):
            return []
        return [part for part in self.content if part.get("type") != "text"]


class Typed(msgspec.Struct, frozen=True):
    """An object of which only the type counts."""

    type: str


class StreamOptions(msgspec.Struct, frozen=True):
    """What a streamed answer should have."""

    include_usage: bool | None = None


class Function(msgspec.Struct, frozen=True):
    """A function that the model may call."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(msgspec.Struct, frozen=True):
    """An offered tool; server tools have no `function`."""

    type: str
    function: Function | None = None


class ChatBody(msgspec.Struct, frozen=True):
    """A chat request, as far as the simulator looks at it."""

    messages: list[Message]
    model: str
    thinking: Typed | None = None
    reasoning_effort: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    response_format: Typed | None = None
    stop: str | list[str] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
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

    @property
    def wants_json(self) -> bool:
        """Whether JSON mode is on."""
        return self.response_format is not None and self.response_format.type == "json_object"

    def prefix(self) -> Message | None:
        """The beginning of the answer, if the request gives one."""
        last = self.messages[-1] if self.messages else None
        return last if last is not None and last.role == "assistant" and last.prefix else None

    def last_user_text(self) -> str:
        """The last user message, or nothing."""
        users = (message for message in reversed(self.messages) if message.role == "user")
        return next((message.text() for message in users), "")

    def functions(self) -> list[Function]:
        """The functions among the tools."""
        return [tool.function for tool in self.tools or () if tool.function is not None]

    def prompt(self) -> str:
        """All that the model reads, in its order: tools first, then the messages."""
        parts = [] if not self.tools else [msgspec.json.encode(self.tools).decode()]
        for message in self.messages:
            parts += (f"<{message.role}>", *self._read_of(message))
        return "".join(parts)

    def _read_of(self, message: Message) -> tuple[str, ...]:
        # Without tools, earlier reasoning is left out (measured: it costs no prompt tokens).
        reasoning = message.reasoning_content if self.tools or message.prefix else None
        images = "".join(
            f"<image {zlib.crc32(msgspec.json.encode(part)):x}>" for part in message.images()
        )
        calls = [(call.function.name, call.function.arguments) for call in message.tool_calls or ()]
        return (spoken(reasoning or "", message.text(), calls), images)

    def image_tokens(self) -> int:
        """Tokens of the images."""
        return _IMAGE_TOKENS * sum(len(message.images()) for message in self.messages)


def spoken(reasoning: str, text: str, calls: list[tuple[str, str]]) -> str:
    """An assistant message as the model writes and reads it."""
    called = "".join(f"<call>{name}\n{arguments}" for name, arguments in calls)
    return f"{reasoning}</think>{text}{called}" if reasoning else text + called


class FimBody(msgspec.Struct, frozen=True):
    """A fill-in-the-middle request, as far as the simulator looks at it."""

    model: str
    prompt: str
    suffix: str | None = None
    max_tokens: int | None = None
    echo: bool | None = None
    temperature: float | None = None
    top_p: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logprobs: int | None = None
    stop: str | list[str] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
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
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise RefusedError(refusals.malformed_json(_json_problem(data))) from None
    if not isinstance(value, dict):
        problem = f"invalid type: {_wire_type(value)}, expected a map at {end_of(data)}"
        raise RefusedError(refusals.undecodable(problem))
    return cast("Body", value)


def read_request(body: Body, data: bytes, kind: type[_T], era: Era) -> _T:
    """Convert a body.

    Args:
        body: The decoded `data`.
        data: For the positions that errors tell.
        kind: What it should be.
        era: Whose words errors have.

    Raises:
        RefusedError: DeepSeek couldn't convert it.
    """
    try:
        request = msgspec.convert(body, kind)
    except msgspec.ValidationError as exc:
        raise RefusedError(refusals.undecodable(_problem(str(exc), data, era))) from None
    if isinstance(request, ChatBody):
        for index, message in enumerate(request.messages):
            _check_message(message, f"messages[{index}]", data, era)
        _check_variants(request, data)
    return request


def _check_message(message: Message, path: str, data: bytes, era: Era) -> None:
    role, content = message.role, message.content
    if role not in _ROLES:
        _refuse(f"{path}.role: {_unknown(role, _ROLES)}", data, f"{path}.role")
    if isinstance(content, list):
        if role == "assistant":
            _refuse(f"{path}: invalid type: sequence, expected a string", data, path)
        known = _PARTS if role in era.sees else ("text",)
        for part in content:
            if part.get("type") in known:
                continue
            # 2025 named the message, 2026 names the part; both where the message ends.
            variant = _unknown(str(part.get("type")), known)
            _refuse(f"{path}: {_NO_VARIANT if era.text_errors else variant}", data, path)
    if content is None and role != "assistant":
        _refuse(f"{path}: missing field `content`", data, path)
    if role == "tool" and message.tool_call_id is None:
        _refuse(f"{path}: missing field `tool_call_id`", data, path)


def _check_variants(request: ChatBody, data: bytes) -> None:
    effort = request.reasoning_effort
    if effort is not None and effort not in _EFFORTS:
        problem = f"reasoning_effort: {_unknown(effort, ('none', 'low', 'high', 'max'))}"
        at = end_of(data, "reasoning_effort")
        raise RefusedError(refusals.undecodable(f"{problem} at {at}", status=422))
    thinking = request.thinking
    if thinking is not None and thinking.type not in ("enabled", "disabled"):
        problem = f"thinking.type: {_unknown(thinking.type, ('enabled', 'disabled'))}"
        _refuse(problem, data, "thinking.type")
    for index, tool in enumerate(request.tools or ()):
        if tool.type == "function" and tool.function is None:
            path = f"tools[{index}]"
            _refuse(f"{path}: missing field `function`", data, path)


_NO_VARIANT = "data did not match any variant of untagged enum ChatCompletionRequestContent"


def _unknown(found: str, known: tuple[str, ...]) -> str:
    names = ", ".join(f"`{name}`" for name in known)
    expected = f"expected {names}" if len(known) == 1 else f"expected one of {names}"
    return f"unknown variant `{found}`, {expected}"


def _refuse(problem: str, data: bytes, path: str) -> None:
    raise RefusedError(refusals.undecodable(f"{problem} at {end_of(data, path)}"))


class _ForeignError(Exception):
    """A number that Python reads although it isn't JSON's: the problem, and its text."""


def _no_constant(text: str) -> None:
    raise _ForeignError("expected value", text)


def _finite(text: str) -> float:
    if math.isinf(float(text)):
        raise _ForeignError("number out of range", text)
    return float(text)


# In the words of the server's parser; all else is a value that it expected.
_SYNTAX_PROBLEMS = {
    "Extra data": "trailing characters",
    "Invalid control character at": (
        "control character (\\u0000-\\u001F) found while parsing a string"
    ),
    "Expecting property name enclosed in double quotes": "key must be a string",
}


def _json_problem(data: bytes) -> str:
    text = data.decode("utf-8", "replace")
    try:
        json.loads(text, parse_constant=_no_constant, parse_float=_finite)
    except _ForeignError as exc:
        problem, token = exc.args
        return f"{problem} at {end_of(text[: text.find(token) + 1].encode())}"
    except json.JSONDecodeError as exc:
        if exc.pos >= len(text.rstrip()):
            open_key = re.search(r'"(\w+)"\s*:\s*$', text)
            field = f"{open_key[1]}: " if open_key else ""
            return f"{field}EOF while parsing a value at {end_of(data)}"
        if exc.msg.startswith("Unterminated string"):
            return f"EOF while parsing a string at {end_of(data)}"
        problem = _SYNTAX_PROBLEMS.get(exc.msg, "expected value")
        return f"{problem} at line {exc.lineno} column {exc.colno}"
    except RecursionError:
        return f"recursion limit exceeded at {end_of(data)}"
    if re.search(rb"\\u[dD][89a-fA-F]", data):
        return f"unexpected end of hex escape at {end_of(data)}"
    return f"invalid unicode code point at {end_of(data)}"


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


def _problem(message: str, data: bytes, era: Era) -> str:
    """Say what msgspec found in the words of the server's parser."""
    found = re.search(r" - at `\$\.?(.*)`$", message)
    path = found[1] if found else ""
    if era.text_errors and re.fullmatch(r"messages\[\d+\]\.content", path):
        path = path.removesuffix(".content")
        return f"{path}: {_NO_VARIANT} at {end_of(data, path)}"
    field = f"{path}: " if path else ""
    missing = re.match(r"Object missing required field (`\w+`)", message)
    if missing:
        return f"{field}missing field {missing[1]} at {end_of(data, path)}"
    types = re.match(r"Expected `(.+?)`, got `(\w+)`", message)
    if types is None:
        return f"{field}{message.split(' - at ')[0].lower()} at {end_of(data, path)}"
    wanted = " or ".join(
        _WIRE_TYPES.get(kind, kind) for kind in types[1].split(" | ") if kind != "null"
    )
    # Maps and sequences are refused before they are read, scalars after.
    is_open = types[2] in ("object", "array")
    at = start_of(data, path) if is_open else end_of(data, path)
    kind = _WIRE_TYPES.get(types[2], types[2])
    return f"{field}invalid type: {kind}, expected a {wanted} at {at}"
