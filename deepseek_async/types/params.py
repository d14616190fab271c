"""The keyword arguments of calls.

Source: https://api-docs.deepseek.com/api/create-chat-completion and
https://api-docs.deepseek.com/api/create-completion, read 2026-11-21.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Required, TypedDict

import msgspec

from deepseek_async.types.options import Timeouts

#: A message as a mapping in the API's own form, or as a struct: one of
#: ``SystemMessage``, ``UserMessage``, ``AssistantMessage``, ``ToolMessage``, or the
#: ``message`` of an earlier completion.
MessageParam = Mapping[str, Any] | msgspec.Struct


class CallOptions(TypedDict, total=False):
    """Options that every call takes."""

    timeout: Timeouts | float | None
    """In place of the client's; a number sets ``Timeouts.total``, None switches all off."""

    max_retries: int
    """In place of the client's: how many further attempts after the first."""

    extra_headers: Mapping[str, str]
    """Sent as well, in place of the library's own where the names are equal."""

    extra_query: Mapping[str, str]
    """Query parameters of the URL."""

    extra_body: Mapping[str, Any]
    """Fields of the JSON body that the library doesn't know; they win over those it does."""


class RequestOptions(CallOptions, total=False):
    """Options of the calls that have a JSON body."""

    preflight: Literal["on", "off"]
    """In place of the client's: whether requests that DeepSeek would refuse are refused here,
    and parameters that it would ignore are warned of."""


class ChatOptions(RequestOptions, total=False):
    """Options of chat calls."""

    reasoning_replay: Literal["keep", "drop", "backfill"]
    """In place of the client's: what becomes of the reasoning in earlier answers that are sent
    back. DeepSeek wants it as it was; other hosts may refuse it (``"drop"``), and a history from
    elsewhere may lack it where it is required (``"backfill"`` sends an empty one)."""

    auto_continue: int
    """How often to go on with an answer that ended with ``finish_reason`` ``length``, as one
    answer; each time costs a request, and may bring ``max_tokens`` more."""

    resume: int
    """How often to go on, as one answer, after a stall, a cut connection, or a server that gave
    up (``insufficient_system_resource``, ``aborted``)."""


class CommonChatParams(ChatOptions, total=False):
    """Parameters that all chat calls take: those of ``create``, ``parse`` and ``run_tools``."""

    messages: Required[Iterable[MessageParam]]
    """The conversation, oldest message first."""

    model: Required[str]
    """Such as ``"deepseek-flash"`` or ``"deepseek-v4-pro"``."""

    thinking: bool | Literal["enabled", "disabled"] | Mapping[str, Any] | None
    """Reason before answering; the server's default is on. True and False stand for the API's
    ``{"type": "enabled"}`` and ``{"type": "disabled"}``."""

    reasoning_effort: Literal["none", "low", "high", "max"] | str | None

    max_tokens: int | None
    """Most tokens to generate, reasoning included."""

    max_completion_tokens: int | None
    """The name OpenAI gives to ``max_tokens``."""

    stop: str | Sequence[str] | None
    """At most 16 texts that end the answer; not part of it."""

    stream_options: Mapping[str, Any] | None
    """``{"include_usage": True}``; DeepSeek sends the usage anyway."""

    temperature: float | None
    """0 to 2; without effect while thinking."""

    top_p: float | None

    logprobs: bool | None
    top_logprobs: int | None
    """0 to 20; needs ``logprobs=True``."""

    user_id: str | None
    """Your end user: isolates cache, scheduling and content checks; letters, digits, - and _."""

    user: str | None
    """The name OpenAI gives to ``user_id``."""

    safety_check: Mapping[str, Any] | None
    """``{"level": "low"}`` or ``"high"``: have the server review what is asked and answered
    (deepseek-flash). A stream may then end in a refusal after its last text."""

    title: Mapping[str, Any] | None
    """``{"enabled": True}`` for a title of the conversation (deepseek-flash), which comes in
    ``message.model_extra["title"]``."""

    frequency_penalty: float | None
    """Deprecated: without effect on today's models."""

    presence_penalty: float | None
    """Deprecated: without effect on today's models."""


class ToolRunParams(CommonChatParams, total=False):
    """Parameters of ``run_tools`` besides the tools; of each of its requests."""

    tool_choice: Literal["none", "auto", "required"] | Mapping[str, Any] | None
    """``"required"`` or a named function need ``thinking=False``."""

    response_format: Mapping[str, Any] | None
    """``{"type": "json_object"}`` for JSON mode; the prompt must then mention "json"."""


class ChatParams(CommonChatParams, total=False):
    """Parameters of a chat completion. What is left out is not sent; None is sent as null."""

    tools: Iterable[Mapping[str, Any]] | None
    """At most 128 functions."""

    tool_choice: Literal["none", "auto", "required"] | Mapping[str, Any] | None
    """``"required"`` or a named function need ``thinking=False``."""

    response_format: Mapping[str, Any] | None
    """``{"type": "json_object"}`` for JSON mode; the prompt must then mention "json"."""


class CompletionParams(RequestOptions, total=False):
    """Parameters of a FIM completion. What is left out is not sent; None is sent as null."""

    prompt: Required[str]
    """What stands before the gap."""

    model: Required[str]
    """Such as ``"deepseek-v4-pro"``."""

    suffix: str | None
    """What stands behind the gap."""

    max_tokens: int | None
    """Most tokens to generate; at most 4096."""

    echo: bool | None
    """Repeat the prompt before the answer."""

    logprobs: int | None
    """0 to 20 alternatives for each token; a number, unlike in chat."""

    stop: str | Sequence[str] | None
    """At most 16 texts that end the answer; not part of it."""

    stream_options: Mapping[str, Any] | None
    """``{"include_usage": True}``; DeepSeek sends the usage anyway."""

    temperature: float | None
    """0 to 2."""

    top_p: float | None

    frequency_penalty: float | None
    """Deprecated: without effect on today's models."""

    presence_penalty: float | None
    """Deprecated: without effect on today's models."""
