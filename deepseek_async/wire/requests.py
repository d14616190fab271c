"""Keyword arguments to request bodies."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple, cast

import msgspec

from deepseek_async.errors import PreflightError
from deepseek_async.policy.dialect import Dialect
from deepseek_async.types.chat import ChatCompletionMessage
from deepseek_async.types.params import (
    ChatParams,
    CommonChatParams,
    CompletionParams,
    ToolRunParams,
)
from deepseek_async.types.requests import ChatRequest, CompletionRequest, ThinkingParam, get_field
from deepseek_async.wire.codec import encode_hook, replay_message
from deepseek_async.wire.repair import REASONING_ALIASES

# Names that OpenAI's SDK uses, and DeepSeek's for the same thing.
_TRANSLATED = {"max_completion_tokens": "max_tokens", "user": "user_id"}

# Those of OpenAI's that DeepSeek has nothing like.
_FOREIGN = frozenset(
    {
        "audio",
        "best_of",
        "logit_bias",
        "metadata",
        "modalities",
        "n",
        "parallel_tool_calls",
        "prediction",
        "prompt_cache_key",
        "safety_identifier",
        "seed",
        "service_tier",
        "store",
        "verbosity",
        "web_search_options",
    }
)
_REPLACED = {"functions": "tools", "function_call": "tool_choice"}

ReasoningReplay = Literal["keep", "drop", "backfill"]

# Hosts that call it otherwise refuse it, or need it, under their name.
_REASONING_FIELDS = ("reasoning_content", *REASONING_ALIASES)


class Parameters(NamedTuple):
    """Names of keyword arguments."""

    required: frozenset[str]
    every: frozenset[str]


def _parameters(required: frozenset[str], optional: frozenset[str]) -> Parameters:
    return Parameters(required, required | optional)


CHAT_PARAMETERS = _parameters(ChatParams.__required_keys__, ChatParams.__optional_keys__)
TOOL_RUN_PARAMETERS = _parameters(ToolRunParams.__required_keys__, ToolRunParams.__optional_keys__)
PARSE_PARAMETERS = _parameters(
    CommonChatParams.__required_keys__, CommonChatParams.__optional_keys__
)
COMPLETION_PARAMETERS = _parameters(
    CompletionParams.__required_keys__, CompletionParams.__optional_keys__
)


def check_parameters(
    params: Mapping[str, object], function: str, known: Parameters = CHAT_PARAMETERS
) -> None:
    """Refuse keyword arguments that don't exist, and a call without those that are needed.

    Args:
        params: The keyword arguments.
        function: The name of the function that was called.
        known: The ones it takes.

    Raises:
        TypeError: Naming the one that was probably meant.
    """
    names = params.keys()
    if known.required <= names <= known.every:
        return
    for name in params:
        if name not in known.every:
            raise TypeError(
                f"{function}() got an unexpected keyword argument {name!r}; "
                f"{_hint(name, known.every)}"
            )
    missing = min(known.required - names)
    raise TypeError(f"{function}() missing the keyword argument {missing!r}")


def _hint(name: str, known: frozenset[str]) -> str:
    if name in _REPLACED:
        return f"use {_REPLACED[name]!r}, which has taken its place"
    if name in _FOREIGN:
        return "DeepSeek has nothing like it; leave it out, or use extra_body for another host"
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else "to send it all the same, use extra_body"


def given(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keyword arguments without those whose value says that they aren't given.

    That is ``UNSET``, which :mod:`deepseek_async.compat` has as ``NOT_GIVEN``, too.
    """
    return {name: value for name, value in params.items() if value is not msgspec.UNSET}


def chat_request(
    params: Mapping[str, Any],
    *,
    stream: bool,
    dialect: Dialect,
    reasoning_replay: ReasoningReplay = "keep",
) -> ChatRequest:
    """Build the body of a chat completion.

    Args:
        params: Parameters of the API as keyword arguments.
        stream: Whether the answer shall be streamed.
        dialect: DeepSeek's own names replace OpenAI's only where the host is DeepSeek.
        reasoning_replay: What becomes of the reasoning in earlier answers.

    Raises:
        PreflightError: If an argument can't be meant.
    """
    fields = dict(params)
    if dialect == "deepseek":
        for theirs, ours in _TRANSLATED.items():
            if theirs in fields:
                if ours in fields:
                    raise PreflightError(f"{theirs} and {ours} mean the same; pass one of them")
                fields[ours] = fields.pop(theirs)
    _check_model(fields["model"])
    fields["messages"] = _messages(fields["messages"])
    if "thinking" in fields:
        fields["thinking"] = _thinking(fields["thinking"])
    if fields.get("tools") is not None:
        fields["tools"] = _items("tools", fields["tools"])
    _list_stops(fields)
    if stream:
        fields["stream"] = True
    request = ChatRequest(**fields)
    if reasoning_replay == "drop":
        request.messages = [_without_reasoning(message) for message in request.messages]
    elif reasoning_replay == "backfill" and request.tools and thinks(request):
        request.messages = [_with_reasoning(message) for message in request.messages]
    return request


def completion_request(params: Mapping[str, Any], *, stream: bool) -> CompletionRequest:
    """Build the body of a FIM completion.

    Args:
        params: Parameters of the API as keyword arguments.
        stream: Whether the answer shall be streamed.

    Raises:
        PreflightError: If an argument can't be meant.
    """
    fields = dict(params)
    _check_model(fields["model"])
    if not isinstance(fields["prompt"], str):
        raise PreflightError(f"prompt must be a text, got {type(fields['prompt']).__name__}")
    _list_stops(fields)
    if stream:
        fields["stream"] = True
    return CompletionRequest(**fields)


def merge_extra_body(
    fields: dict[str, Any],
    extra_body: Mapping[str, Any] | None,
    request: type[ChatRequest | CompletionRequest],
) -> dict[str, Any]:
    """Move what an ``extra_body`` says about known fields to these; return the rest of it.

    Args:
        fields: The parameters of a call, which are changed.
        extra_body: What the call was given to send as well.
        request: The body, whose fields are known.

    Raises:
        PreflightError: If it is no mapping.
    """
    if not extra_body:
        return {}
    if not isinstance(cast("object", extra_body), Mapping):
        raise PreflightError(f"extra_body must be a mapping, got {type(extra_body).__name__}")
    rest = dict(extra_body)
    for name in request.__struct_fields__:
        if name in rest:
            fields[name] = rest.pop(name)
    return rest


def continued(body: bytes, content: str, reasoning: str) -> bytes:
    """Build the request that goes on with an answer: what there is of it, as a prefix message.

    All but the end of the messages is copied byte by byte, as the server's prompt cache wants it,
    whatever has become of the objects that the first request was built from.

    Args:
        body: The request of the answer. A prefix message that it ends with already stays at the
            beginning of the new one.
        content: The answer's text so far.
        reasoning: Its reasoning so far.
    """
    if not content and not reasoning:
        return body
    fields = _members.decode(body)
    messages = _elements.decode(fields["messages"])
    if messages and _end.decode(messages[-1]).prefix is True:
        prefix = _members.decode(messages.pop())
        prefix["content"] = _longer(prefix.get("content"), content)
        if reasoning:
            prefix["reasoning_content"] = _longer(prefix.get("reasoning_content"), reasoning)
    else:
        prefix = {"role": _raw("assistant"), "content": _longer(None, content)}
        if reasoning:
            prefix["reasoning_content"] = _longer(None, reasoning)
        prefix["prefix"] = _raw(True)
    messages.append(_raw(prefix))
    fields["messages"] = _raw(messages)
    return msgspec.json.encode(fields)


class _End(msgspec.Struct):
    """What matters of the last message."""

    prefix: Any = None


# JSON as it stands: what goes out again is neither read nor written anew.
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_elements = msgspec.json.Decoder(list[msgspec.Raw])
_end = msgspec.json.Decoder(_End)


def _raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def _longer(begun: msgspec.Raw | None, more: str) -> msgspec.Raw:
    """Append to a text, or to a list of parts; null and nothing are a text without length."""
    text = None if begun is None else msgspec.json.decode(begun)
    if isinstance(text, list):
        return _raw([*cast("list[Any]", text), {"type": "text", "text": more}])
    return _raw((text or "") + more)


def thinks(request: ChatRequest) -> bool:
    """Tell whether the request leaves thinking on, which is DeepSeek's default."""
    if request.reasoning_effort == "none":
        return False
    return bool(get_field(request.thinking, "type") != "disabled")


def _without_reasoning(message: Any) -> Any:
    if get_field(message, "role") != "assistant":
        return message
    return {name: value for name, value in message.items() if name not in _REASONING_FIELDS}


def _with_reasoning(message: Any) -> Any:
    if get_field(message, "role") != "assistant" or any(
        isinstance(get_field(message, name), str) for name in _REASONING_FIELDS
    ):
        return message
    return {**message, "reasoning_content": ""}


def _check_model(model: Any) -> None:
    if not isinstance(model, str) or not model:
        raise PreflightError(f"model must be a name, got {model!r}")


def _list_stops(fields: dict[str, Any]) -> None:
    """Make a list of stop texts that came in another shape, a tuple for instance."""
    stop = fields.get("stop")
    if stop is not None and not isinstance(stop, str) and isinstance(stop, Iterable):
        fields["stop"] = list(cast("Iterable[str]", stop))


def _items(name: str, value: Any) -> list[Any]:
    if type(value) is list:
        # Nearly always; the abstract classes below take several times as long to ask.
        return list(cast("list[Any]", value))
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise PreflightError(f"{name} must be a list, got {type(cast('Any', value)).__name__}")
    return list(cast("Iterable[Any]", value))


def _messages(value: Any) -> list[Any]:
    """Return the messages as mappings, whatever they were given as."""
    messages = _items("messages", value)
    for i, message in enumerate(messages):
        if type(message) is not dict:
            messages[i] = _fields(message, i)
    return messages


def _fields(message: Any, i: int) -> Mapping[str, Any]:
    if isinstance(message, ChatCompletionMessage):
        return replay_message(message)
    if isinstance(message, Mapping):
        return cast("Mapping[str, Any]", message)
    # Messages of this library, of the OpenAI SDK, and of other pydantic models.
    try:
        fields = msgspec.to_builtins(message, enc_hook=encode_hook)
    except (NotImplementedError, TypeError):
        fields = None
    if not isinstance(fields, dict):
        raise PreflightError(
            f"messages[{i}] must be a mapping such as {{'role': 'user', 'content': ...}} or a "
            f"message struct, got {type(message).__name__}"
        )
    return cast("dict[str, Any]", fields)


def _thinking(value: Any) -> Any:
    match value:
        case True | "enabled":
            return ThinkingParam("enabled")
        case False | "disabled":
            return ThinkingParam("disabled")
        case str():
            raise PreflightError(
                f"thinking must be True, False or an object such as {{'type': 'enabled'}}, "
                f"got {value!r}"
            )
        case _:
            return value
