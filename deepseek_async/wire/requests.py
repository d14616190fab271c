"""Keyword arguments to request bodies."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, cast

from deepseek_async.errors import PreflightError
from deepseek_async.policy.dialect import Dialect
from deepseek_async.types.chat import ChatCompletionMessage
from deepseek_async.types.params import ChatParams
from deepseek_async.types.requests import ChatRequest, ThinkingParam
from deepseek_async.wire.codec import replay_message

_CHAT_PARAMETERS = frozenset(ChatParams.__required_keys__ | ChatParams.__optional_keys__)

# Names that OpenAI's SDK uses, and DeepSeek's for the same thing.
_TRANSLATED = {"max_completion_tokens": "max_tokens", "user": "user_id"}


def check_parameters(params: Mapping[str, object], function: str) -> None:
    """Refuse keyword arguments that don't exist.

    Raises:
        TypeError: Naming the one that was probably meant.
    """
    for name in params:
        if name not in _CHAT_PARAMETERS:
            close = difflib.get_close_matches(name, _CHAT_PARAMETERS, n=1)
            hint = (
                f"did you mean {close[0]!r}?"
                if close
                else "to send it all the same, use extra_body"
            )
            raise TypeError(f"{function}() got an unexpected keyword argument {name!r}; {hint}")
    for name in ("messages", "model"):
        if name not in params:
            raise TypeError(f"{function}() missing the keyword argument {name!r}")


def chat_request(params: Mapping[str, Any], *, stream: bool, dialect: Dialect) -> ChatRequest:
    """Build the body of a chat completion.

    Args:
        params: Parameters of the API as keyword arguments.
        stream: Whether the answer shall be streamed.
        dialect: DeepSeek's own names replace OpenAI's only where the host is DeepSeek.

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
    if not isinstance(fields["model"], str) or not fields["model"]:
        raise PreflightError(f"model must be a name, got {fields['model']!r}")
    fields["messages"] = _messages(fields["messages"])
    if "thinking" in fields:
        fields["thinking"] = _thinking(fields["thinking"])
    if fields.get("tools") is not None:
        fields["tools"] = _items("tools", fields["tools"])
    stop = fields.get("stop")
    if stop is not None and not isinstance(stop, str) and isinstance(stop, Iterable):
        fields["stop"] = list(cast("Iterable[str]", stop))
    if stream:
        fields["stream"] = True
    return ChatRequest(**fields)


def _items(name: str, value: Any) -> list[Any]:
    if type(value) is list:
        # Nearly always; the abstract classes below take several times as long to ask.
        return list(cast("list[Any]", value))
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise PreflightError(f"{name} must be a list, got {type(cast('Any', value)).__name__}")
    return list(cast("Iterable[Any]", value))


def _messages(value: Any) -> list[Any]:
    messages = _items("messages", value)
    for i, message in enumerate(messages):
        if type(message) is dict:
            continue
        if isinstance(message, ChatCompletionMessage):
            messages[i] = replay_message(message)
        elif isinstance(message, str | bytes | int | float | list | tuple) or message is None:
            raise PreflightError(
                f"messages[{i}] must be a mapping such as {{'role': 'user', 'content': ...}} or a "
                f"message struct, got {type(cast('Any', message)).__name__}"
            )
    return messages


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
