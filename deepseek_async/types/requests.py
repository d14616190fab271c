"""Requests and their messages, as they are sent.

Fields are sent in the order they stand in here, and those left ``UNSET`` not at all: the same
conversation gives the same bytes, which the server's prompt cache depends on.
"""

from collections.abc import Mapping
from typing import Any, Literal, cast

from msgspec import UNSET, Struct, UnsetType


class SystemMessage(Struct, kw_only=True, omit_defaults=True, tag_field="role", tag="system"):
    """Instructions to the model."""

    content: str
    name: str | UnsetType = UNSET


class UserMessage(Struct, kw_only=True, omit_defaults=True, tag_field="role", tag="user"):
    """What the user says."""

    content: str | list[dict[str, Any]]
    """Text, or parts of text and images in the API's form."""

    name: str | UnsetType = UNSET


class AssistantMessage(Struct, kw_only=True, omit_defaults=True, tag_field="role", tag="assistant"):
    """What the model said earlier, or the beginning of what it shall say now."""

    content: str | None
    """None only beside ``tool_calls``."""

    name: str | UnsetType = UNSET

    reasoning_content: str | UnsetType | None = UNSET
    """The reasoning as received; needed in requests with tools while thinking."""

    tool_calls: list[dict[str, Any]] | UnsetType = UNSET

    prefix: bool | UnsetType = UNSET
    """True on the last message: the answer continues it (beta)."""


class ToolMessage(Struct, kw_only=True, omit_defaults=True, tag_field="role", tag="tool"):
    """What a tool answered."""

    content: str
    tool_call_id: str
    """``id`` of the call that this answers."""


class ThinkingParam(Struct):
    """The switch of thinking mode."""

    type: Literal["enabled", "disabled"]


class ChatRequest(Struct, kw_only=True):
    """Body of ``POST /chat/completions``."""

    model: str
    messages: list[Any]
    thinking: ThinkingParam | Mapping[str, Any] | UnsetType | None = UNSET
    reasoning_effort: str | UnsetType | None = UNSET
    max_tokens: int | UnsetType | None = UNSET
    max_completion_tokens: int | UnsetType | None = UNSET
    response_format: Mapping[str, Any] | UnsetType | None = UNSET
    stop: str | list[str] | UnsetType | None = UNSET
    stream: bool | UnsetType = UNSET
    stream_options: Mapping[str, Any] | UnsetType | None = UNSET
    temperature: float | UnsetType | None = UNSET
    top_p: float | UnsetType | None = UNSET
    tools: list[Mapping[str, Any]] | UnsetType | None = UNSET
    tool_choice: str | Mapping[str, Any] | UnsetType | None = UNSET
    logprobs: bool | UnsetType | None = UNSET
    top_logprobs: int | UnsetType | None = UNSET
    user_id: str | UnsetType | None = UNSET
    user: str | UnsetType | None = UNSET
    safety_check: Mapping[str, Any] | UnsetType | None = UNSET
    title: Mapping[str, Any] | UnsetType | None = UNSET
    frequency_penalty: float | UnsetType | None = UNSET
    presence_penalty: float | UnsetType | None = UNSET


class CompletionRequest(Struct, kw_only=True):
    """Body of ``POST /beta/completions``: fill in the middle."""

    model: str
    prompt: str
    suffix: str | UnsetType | None = UNSET
    max_tokens: int | UnsetType | None = UNSET
    echo: bool | UnsetType | None = UNSET
    logprobs: int | UnsetType | None = UNSET
    stop: str | list[str] | UnsetType | None = UNSET
    stream: bool | UnsetType = UNSET
    stream_options: Mapping[str, Any] | UnsetType | None = UNSET
    temperature: float | UnsetType | None = UNSET
    top_p: float | UnsetType | None = UNSET
    frequency_penalty: float | UnsetType | None = UNSET
    presence_penalty: float | UnsetType | None = UNSET


def get_field(value: object, name: str) -> Any:
    """Return a field of a mapping, or an attribute of an object; None if it has none."""
    if type(value) is dict:
        return cast("dict[str, Any]", value).get(name)
    if value is None or value is UNSET:
        return None
    if isinstance(value, Mapping):
        return cast("Mapping[str, Any]", value).get(name)
    return getattr(value, name, None)
