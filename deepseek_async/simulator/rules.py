"""What DeepSeek refuses although it can read it: values, and how messages and tools fit together.

Texts marked as guesses are in the style of the others; for those cases none was found.

Source: recorded and reported replies of 2024-2026, https://api-docs.deepseek.com/guides and
https://api-docs.deepseek.com/api, read 2026-11-21.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from deepseek_async.simulator import refusals
from deepseek_async.simulator.eras import Era, Passback
from deepseek_async.simulator.refusals import Refusal, invalid_value, out_of_range
from deepseek_async.simulator.requests import ChatBody, FimBody, Message
from deepseek_async.simulator.strict import strict_refusal

_MAX_USER_ID = 512
_MAX_STOPS = 16
_MAX_TOOLS = 128
_MAX_FUNCTION_NAME = 64
_MAX_LOGPROBS = 20
_MAX_FIM_TOKENS = 4096
_MAX_IMAGES = 600
_MAX_IMAGE_URL = 8192
_NAME = "^[a-zA-Z0-9_-]+$"

_NO_TOOL_CALLS = invalid_value(
    "Messages with role 'tool' must be a response to a preceding message with 'tool_calls'"
)
_UNANSWERED = invalid_value(
    "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
    "'tool_call_id'. (insufficient tool messages following tool_calls message)"
)
_NO_CONTENT = invalid_value("Invalid assistant message: content or tool_calls must be set")
# A guess.
_NO_MESSAGES = invalid_value("Empty input messages")
_NO_JSON = invalid_value(
    "Prompt must contain the word 'json' in some form to use 'response_format' of type "
    "'json_object'."
)
_STREAM_OPTIONS = invalid_value("stream_options should be set along with stream = true")
# Of 2024, when the body was {"detail": ...}.
_TOP_LOGPROBS = invalid_value("Invalid top_logprobs and logprobs value")
_EMPTY_TOOLS = invalid_value(
    "Invalid 'tools': empty array. Expected an array with minimum length 1, but got an empty "
    "array instead."
)
_PREFIX_ROUTE = invalid_value(
    'prefix is only available when using beta api (set base_url="https://api.deepseek.com/beta")'
)
# A guess.
_PREFIX_PLACE = invalid_value("prefix is only available on the last message with role 'assistant'")
_NOT_PASSED_BACK = invalid_value(
    "The `reasoning_content` in the thinking mode must be passed back to the API."
)
# A guess.
_PASSED_BACK = invalid_value("reasoning_content is not allowed in the input messages")
_R1_LAST = invalid_value(
    "The last message of deepseek-reasoner must be a user message, or an assistant message with "
    "prefix mode on (refer to https://api-docs.deepseek.com/guides/chat_prefix_completion)."
)
# A guess; that it was refused is known.
_R1_LOGPROBS = invalid_value("deepseek-reasoner does not support logprobs")
# Guesses.
_IMAGE_COUNT = invalid_value(f"Too many images: at most {_MAX_IMAGES} are allowed in a request")
_IMAGE_URL = invalid_value(f"Invalid image url: at most {_MAX_IMAGE_URL} characters are allowed")


class Rules(NamedTuple):
    """What a request is measured by."""

    era: Era
    passback: Passback
    is_beta: bool
    """The request came to ``/beta``."""


def refusal_of(request: ChatBody | FimBody, rules: Rules) -> Refusal | None:
    """The error that DeepSeek answers, None if it answers the request."""
    if request.model not in rules.era.models:
        return refusals.unknown_model(rules.era, request.model)
    found = _value_refusals(request, rules)
    if isinstance(request, ChatBody):
        checks = (_tool_refusals, _message_refusals, _mode_refusals)
        return next(found, None) or next(
            (refusal for check in checks for refusal in check(request, rules)), None
        )
    return next(found, None)


def _value_refusals(request: ChatBody | FimBody, rules: Rules) -> Iterator[Refusal]:
    era = rules.era
    if isinstance(request, ChatBody) and not request.messages:
        yield _NO_MESSAGES
    if request.temperature is not None and not 0 <= request.temperature <= 2:
        yield refusals.TEMPERATURE
    if request.top_p is not None and not 0 < request.top_p <= 1:
        yield out_of_range("top_p", "(0, 1.0]")
    if era.checks_penalties:
        for name in ("frequency_penalty", "presence_penalty"):
            value: float | None = getattr(request, name)
            if value is not None and not -2 <= value <= 2:
                yield out_of_range(name, "[-2, 2]")
    most = era.max_tokens(request.model) if isinstance(request, ChatBody) else _MAX_FIM_TOKENS
    if request.max_tokens is not None and not 1 <= request.max_tokens <= most:
        yield out_of_range("max_tokens", f"[1, {most}]")
    if isinstance(request.stop, list) and len(request.stop) > _MAX_STOPS:
        yield refusals.too_long("stop", "array", _MAX_STOPS, len(request.stop))
    if request.stream_options is not None and not request.stream:
        yield _STREAM_OPTIONS
    if request.user_id is not None:
        if len(request.user_id) > _MAX_USER_ID:
            yield refusals.too_long("user_id", "string", _MAX_USER_ID, len(request.user_id))
        if not re.fullmatch(_NAME, request.user_id):
            yield refusals.mismatched("user_id", _NAME)
    if isinstance(request, ChatBody):
        if request.top_logprobs is not None and not request.logprobs:
            yield _TOP_LOGPROBS
        if not 0 <= (request.top_logprobs or 0) <= _MAX_LOGPROBS:
            yield out_of_range("top_logprobs", f"[0, {_MAX_LOGPROBS}]")
    elif not 0 <= (request.logprobs or 0) <= _MAX_LOGPROBS:
        yield out_of_range("logprobs", f"[0, {_MAX_LOGPROBS}]")


def _tool_refusals(request: ChatBody, rules: Rules) -> Iterator[Refusal]:
    tools = request.tools
    if tools is None:
        return
    if not tools:
        yield _EMPTY_TOOLS
    if len(tools) > _MAX_TOOLS:
        yield refusals.too_long("tools", "array", _MAX_TOOLS, len(tools))
    for index, tool in enumerate(tools):
        if tool.function is None:
            continue
        name = tool.function.name
        field = f"tools[{index}].function.name"
        if len(name) > _MAX_FUNCTION_NAME:
            yield refusals.too_long(field, "string", _MAX_FUNCTION_NAME, len(name))
        if not re.fullmatch(_NAME, name):
            yield refusals.mismatched(field, _NAME)
        parameters = tool.function.parameters
        if parameters is not None and parameters.get("type") != "object" and rules.era.octet_errors:
            kind = parameters.get("type")
            told = "null" if kind is None else f'"{kind}"'
            yield invalid_value(
                f"Invalid schema for function '{name}': schema must be a JSON Schema of "
                f"'type: \"object\"', got 'type: {told}'."
            )
    if rules.is_beta:
        refusal = strict_refusal(request.functions())
        if refusal is not None:
            yield refusal


def _message_refusals(request: ChatBody, rules: Rules) -> Iterator[Refusal]:
    messages = request.messages
    waiting: Counter[str] = Counter()
    for message in messages:
        if message.role == "tool":
            if waiting[message.tool_call_id or ""] == 0:
                yield _NO_TOOL_CALLS
            waiting[message.tool_call_id or ""] -= 1
            continue
        if waiting.total() > 0:
            yield _UNANSWERED
        waiting = Counter(call.id for call in message.tool_calls or ())
        if message.role == "assistant" and message.content is None and not message.tool_calls:
            yield _NO_CONTENT
    if waiting.total() > 0:
        yield _UNANSWERED
    images = [image for message in messages for image in message.images()]
    if len(images) > _MAX_IMAGES:
        yield _IMAGE_COUNT
    for image in images:
        source = image.get("image_url")
        url = str(source.get("url", "")) if isinstance(source, dict) else ""  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]  # any JSON
        if len(url) > _MAX_IMAGE_URL and not url.startswith("data:"):
            yield _IMAGE_URL
    yield from _prefix_refusals(messages, rules)
    if rules.era.r1_order and request.model == "deepseek-reasoner":
        yield from _r1_refusals(messages)
        if request.logprobs:
            yield _R1_LOGPROBS
    yield from _passback_refusals(request, rules.passback)


def _prefix_refusals(messages: list[Message], rules: Rules) -> Iterator[Refusal]:
    for index, message in enumerate(messages):
        if not message.prefix:
            continue
        if not rules.is_beta:
            yield _PREFIX_ROUTE
        if message.role != "assistant" or index != len(messages) - 1:
            yield _PREFIX_PLACE


def _r1_refusals(messages: list[Message]) -> Iterator[Refusal]:
    for index in range(1, len(messages)):
        role = messages[index].role
        if role == messages[index - 1].role and role in ("user", "assistant"):
            yield invalid_value(
                "deepseek-reasoner does not support successive user or assistant messages "
                f"(messages[{index - 1}] and messages[{index}] in your input). You should "
                "interleave the user/assistant messages in the message sequence."
            )
    last = messages[-1]
    if last.role != "user" and not (last.role == "assistant" and last.prefix):
        yield _R1_LAST


def _passback_refusals(request: ChatBody, passback: Passback) -> Iterator[Refusal]:
    messages = request.messages
    last_user = max((i for i, message in enumerate(messages) if message.role == "user"), default=-1)
    for index, message in enumerate(messages):
        # A prefix is the answer itself; its reasoning may be given, or left to the model.
        if message.role != "assistant" or message.prefix:
            continue
        has_reasoning = message.reasoning_content is not None
        if passback == "reject" and has_reasoning:
            yield _PASSED_BACK
        if has_reasoning or not request.is_thinking:
            continue
        if passback == "turn" and message.tool_calls and index > last_user:
            yield invalid_value(
                "Missing `reasoning_content` field in the assistant message at message index "
                f"{index}. For more information, please refer to "
                "https://api-docs.deepseek.com/guides/thinking_mode#tool-calls"
            )
        if passback == "all" and request.tools:
            yield _NOT_PASSED_BACK


def _mode_refusals(request: ChatBody, rules: Rules) -> Iterator[Refusal]:
    del rules
    kind = request.response_format.type if request.response_format is not None else "text"
    if kind not in ("text", "json_object"):
        yield refusals.RESPONSE_FORMAT_UNAVAILABLE
    if kind == "json_object" and not any(
        "json" in message.text().lower() for message in request.messages
    ):
        yield _NO_JSON
    is_forced = isinstance(request.tool_choice, dict) or request.tool_choice == "required"
    if is_forced and request.is_thinking:
        yield refusals.FORCED_TOOL_WHILE_THINKING
