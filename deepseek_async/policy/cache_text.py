"""What of a request decides about the prompt cache, as bytes.

Requests whose prompts begin alike have texts that begin alike: what stands in front of the prompt
comes first, then the messages in their order. What the cache doesn't ask about isn't in it
(``temperature``, ``max_tokens``, the order of a message's keys).

Source: https://api-docs.deepseek.com/guides/kv_cache, read 2026-11-21.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

import msgspec

#: Between settings, tools, and each of the messages.
SEGMENT = b"\x1e"
#: Between the fields of one of them.
FIELD = b"\x1f"

# `user_id` has a cache of its own each; the others change how the prompt is put together.
_SETTINGS = ("model", "user_id", "user", "thinking", "reasoning_effort", "response_format")
_MESSAGE = ("role", "name", "reasoning_content", "content", "tool_calls", "tool_call_id")


def cache_text(body: Mapping[str, Any]) -> bytes:
    """Return the text that decides about the cache.

    Args:
        body: Of a chat or FIM request, as it will be sent. Nothing in it is an error here: what
            is wrong with a request is for others to say.
    """
    settings = [
        name.encode() + b"=" + _bytes(value)
        for name in _SETTINGS
        if (value := body.get(name)) is not None
    ]
    segments = [FIELD.join(settings), _bytes(body.get("tools"))]
    segments += _prompt(body)
    return SEGMENT.join(segments)


def _prompt(body: Mapping[str, Any]) -> Iterator[bytes]:
    messages: object = body.get("messages")
    if isinstance(messages, list | tuple):
        for message in cast("list[object]", messages):
            yield _message(message)
    elif messages is not None:
        yield _bytes(messages)
    if "prompt" in body:
        yield _bytes(body["prompt"])
        yield _bytes(body.get("suffix"))


def _message(message: object) -> bytes:
    if not isinstance(message, Mapping):
        return _bytes(message)
    fields = cast("Mapping[str, Any]", message)
    # Those at the end are missing in nearly all messages.
    return FIELD.join([_bytes(fields.get(name)) for name in _MESSAGE]).rstrip(FIELD)


def _bytes(value: object) -> bytes:
    if value is None or value is msgspec.UNSET:
        return b""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    try:
        return msgspec.json.encode(value)
    except (TypeError, ValueError):
        # It can't be sent either; whoever sends it says why.
        return repr(value).encode("utf-8", "surrogatepass")
