"""Parameters that DeepSeek refuses, and those that it ignores.

Source: https://api-docs.deepseek.com/api/create-chat-completion,
https://api-docs.deepseek.com/api/create-completion,
https://api-docs.deepseek.com/guides/thinking_mode, read 2026-11-21, and replies of the server.
"""

import re
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any, TypeGuard, TypeVar, cast

from msgspec import UNSET, UnsetType

from deepseek_async.errors import PreflightError
from deepseek_async.policy.preflight.shapes import (
    FLAG,
    LIST,
    NUMBER,
    OBJECT,
    TEXT,
    quoted,
    require,
)
from deepseek_async.types.requests import ChatRequest, CompletionRequest, get_field

T = TypeVar("T")

# Today's models, and whether they think unless told not to. The last two names were retired, and
# answered as deepseek-flash when they were last seen.
_THINKS_BY_DEFAULT: Mapping[str, bool] = {
    "deepseek-flash": True,
    "deepseek-v4-flash": True,
    "deepseek-v4-flash-vision-exp": True,
    "deepseek-v4-pro": True,
    "deepseek-reasoner": True,
    "deepseek-chat": False,
}

# The first four are documented, the server takes the others for one of them.
_EFFORTS = ("none", "low", "high", "max", "minimal", "medium", "xhigh", "ultra")
_DEFAULT_EFFORT = "high"

# While thinking, deepseek-flash raises a lower `top_p` to this; deepseek-v4-pro ignores any.
_TOP_P_FLOOR = 0.95
_NEVER_TOP_P = "deepseek-v4-pro"

_PENALTIES = ("frequency_penalty", "presence_penalty")

_MAX_STOPS = 16
_MAX_USER_ID = 512
_not_in_user_ids = re.compile("[^a-zA-Z0-9_-]").search

_SHAPES: Mapping[str, tuple[str, ...]] = {
    "max_tokens": (NUMBER,),
    "stop": (TEXT, LIST),
    "stream_options": (OBJECT,),
    "temperature": (NUMBER,),
    "top_p": (NUMBER,),
    "frequency_penalty": (NUMBER,),
    "presence_penalty": (NUMBER,),
}
_CHAT_SHAPES: Mapping[str, tuple[str, ...]] = {
    **_SHAPES,
    "thinking": (OBJECT,),
    "reasoning_effort": (TEXT,),
    "response_format": (OBJECT,),
    "tools": (LIST,),
    "tool_choice": (TEXT, OBJECT),
    "logprobs": (FLAG,),
    "top_logprobs": (NUMBER,),
    "user_id": (TEXT,),
}
_CHAT_HINTS: Mapping[str, str] = {
    "logprobs": "; the number of alternatives goes to top_logprobs",
    "response_format": '; as in {"type": "json_object"}',
}
_FIM_SHAPES: Mapping[str, tuple[str, ...]] = {
    **_SHAPES,
    "suffix": (TEXT,),
    "echo": (FLAG,),
    "logprobs": (NUMBER,),
}
_FIM_HINTS: Mapping[str, str] = {
    "logprobs": "; here it is the number of alternatives",
}

# One call for all of them: most requests have few parameters.
_chat_parameters = attrgetter(*_CHAT_SHAPES)
_NO_CHAT_PARAMETERS = (UNSET,) * len(_CHAT_SHAPES)
_fim_parameters = attrgetter(*_FIM_SHAPES)


def has_parameters(request: ChatRequest) -> bool:
    """Tell whether a request has any parameters that rules are about, besides its messages."""
    return _chat_parameters(request) != _NO_CHAT_PARAMETERS


def is_thinking(request: ChatRequest) -> bool:
    """Tell whether the model is certain to think before it answers."""
    if request.reasoning_effort == "none":
        return False
    kind = get_field(request.thinking, "type")
    if kind is None:
        return _THINKS_BY_DEFAULT.get(request.model, False)
    return bool(kind == "enabled")


def check_chat_parameters(request: ChatRequest, thinks: bool) -> None:
    """Refuse parameters that the server would refuse, by themselves or together.

    Raises:
        PreflightError: The message begins with the parameter.
    """
    if isinstance(request.response_format, type):
        raise PreflightError(
            f"response_format must be an object, got the type {request.response_format.__name__}; "
            "pass types to parse()"
        )
    _check_shapes(_CHAT_SHAPES, _chat_parameters(request), _CHAT_HINTS)
    _check_thinking(request)
    _check_response_format(request.response_format)
    _check_stops(request.stop)
    _check_stream_options(request)
    choice = request.tool_choice
    if thinks and _is_forced(choice):
        raise PreflightError(
            f"tool_choice {quoted(choice)} is refused while thinking, which is on unless it is "
            'switched off: pass thinking=False, or tool_choice="auto"'
        )
    if _is_given(request.top_logprobs) and not request.logprobs:
        raise PreflightError("top_logprobs needs logprobs=True")
    if isinstance(request.user_id, str):
        _check_user_id(request.user_id)


def check_fim_parameters(request: CompletionRequest) -> None:
    """Refuse parameters that the server would refuse.

    Raises:
        PreflightError: The message begins with the parameter.
    """
    _check_shapes(_FIM_SHAPES, _fim_parameters(request), _FIM_HINTS)
    _check_stops(request.stop)
    _check_stream_options(request)


def ignored_in_chat(request: ChatRequest, thinks: bool) -> list[str]:
    """Name the parameters that the server would silently ignore."""
    found = _ignored_while_thinking(request) if thinks else []
    effort = request.reasoning_effort
    is_off = get_field(request.thinking, "type") == "disabled"
    if is_off and _is_given(effort) and effort not in ("none", _DEFAULT_EFFORT):
        found.append(f"reasoning_effort={effort!r} has no effect with thinking off; leave it out")
    return found + ignored_penalties(request)


def _ignored_while_thinking(request: ChatRequest) -> list[str]:
    found: list[str] = []
    remedy = "pass thinking=False if you need it, or leave it out"
    temperature, top_p = request.temperature, request.top_p
    if _is_given(temperature) and temperature != 1:
        found.append(f"temperature={temperature!r} has no effect while thinking; {remedy}")
    if _is_given(top_p) and top_p != 1:
        if request.model == _NEVER_TOP_P:
            found.append(f"top_p={top_p!r} has no effect while thinking; {remedy}")
        elif top_p < _TOP_P_FLOOR:
            found.append(
                f"top_p={top_p!r} has no effect while thinking, where values below {_TOP_P_FLOOR} "
                f"count as {_TOP_P_FLOOR} at best; leave it out"
            )
    return found


def ignored_penalties(request: ChatRequest | CompletionRequest) -> list[str]:
    """Name the penalties of a request to one of today's models, which ignore them."""
    if request.model not in _THINKS_BY_DEFAULT:
        return []
    return [
        f"{name}={value!r} has no effect: today's models have no penalties; leave it out"
        for name in _PENALTIES
        if _is_given(value := getattr(request, name)) and value != 0
    ]


def _is_given(value: T | UnsetType | None) -> TypeGuard[T]:
    return value is not UNSET and value is not None


def _check_shapes(
    shapes: Mapping[str, tuple[str, ...]], values: Sequence[object], hints: Mapping[str, str]
) -> None:
    for name, value in zip(shapes, values, strict=True):
        if value is not UNSET and value is not None:
            require(name, value, *shapes[name], hint=hints.get(name, ""))


def _check_thinking(request: ChatRequest) -> None:
    if _is_given(request.thinking):
        kind = get_field(request.thinking, "type")
        if kind not in ("enabled", "disabled"):
            raise PreflightError(
                f'thinking.type must be "enabled" or "disabled", got {quoted(kind)}; thinking '
                "takes True and False as well"
            )
    effort = request.reasoning_effort
    if isinstance(effort, str) and effort not in _EFFORTS:
        raise PreflightError(
            f"reasoning_effort must be one of {', '.join(_EFFORTS)}, got {quoted(effort)}"
        )


def _check_response_format(value: object) -> None:
    if not _is_given(value):
        return
    kind = get_field(value, "type")
    if kind == "json_schema":
        raise PreflightError(
            'response_format "json_schema" does not exist on chat completions; use parse(), or '
            '{"type": "json_object"} and tell the schema in the prompt'
        )
    if kind not in ("text", "json_object"):
        raise PreflightError(
            f'response_format.type must be "text" or "json_object", got {quoted(kind)}'
        )


def _check_stops(stop: object) -> None:
    if not isinstance(stop, list):
        return
    stops = cast("list[Any]", stop)
    if len(stops) > _MAX_STOPS:
        raise PreflightError(f"stop may hold at most {_MAX_STOPS} texts, got {len(stops)}")
    for index, text in enumerate(stops):
        require(f"stop[{index}]", text, TEXT)


def _check_stream_options(request: ChatRequest | CompletionRequest) -> None:
    if _is_given(request.stream_options) and not request.stream:
        raise PreflightError("stream_options needs stream=True")


def _is_forced(choice: object) -> bool:
    if isinstance(choice, str):
        return choice == "required"
    if not isinstance(choice, Mapping):
        return False
    return get_field(cast("object", choice), "type") not in ("auto", "none")


def _check_user_id(user_id: str) -> None:
    if not user_id:
        raise PreflightError("user_id is empty; leave it out")
    if len(user_id) > _MAX_USER_ID:
        raise PreflightError(
            f"user_id may have at most {_MAX_USER_ID} characters, got {len(user_id)}"
        )
    # The documented characters. The server has been seen to let a space pass.
    if (odd := _not_in_user_ids(user_id)) is not None:
        raise PreflightError(
            f'user_id may hold letters, digits, "_" and "-", got {odd[0]!r} at position '
            f"{odd.start()}"
        )
