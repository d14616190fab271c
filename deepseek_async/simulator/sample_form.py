"""Answers in the form of the samples on the API page of 2024.

They differ from anything that was recorded: spaces in the JSON, another order of fields, the role
in every delta and null in the last, three counts in the usage, CRLF, and no line end after
``[DONE]``. Clients that were written after that page expect it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from deepseek_async.simulator.frames import Frame, Kind

_USAGE = ("completion_tokens", "prompt_tokens", "total_tokens")


def sample_body(body: bytes) -> bytes:
    """A plain answer in that form."""
    found = json.loads(body)
    return json.dumps(
        {
            "id": found["id"],
            "choices": [_choice(choice) for choice in found["choices"]],
            "created": found["created"],
            "model": found["model"],
            "object": found["object"],
            "usage": _usage(found["usage"]),
        },
        ensure_ascii=False,
    ).encode()


def sample_frames(frames: Iterable[Frame]) -> Iterator[Frame]:
    """A stream in that form."""
    is_first = True
    for frame in frames:
        match frame.kind:
            case Kind.EVENT | Kind.FINISH:
                yield frame._replace(data=_event(frame, is_first=is_first))
                is_first = False
            case Kind.DONE:
                yield frame._replace(data=frame.data.rstrip())
            case _:
                yield frame._replace(data=frame.data.replace(b"\n", b"\r\n"))


def _event(frame: Frame, *, is_first: bool) -> bytes:
    found = json.loads(frame.data.removeprefix(b"data: "))
    choices = [_choice(choice, is_first=is_first) for choice in found["choices"]]
    chunk = {name: found.get(name) for name in (_FIRST if is_first else _OTHER)}
    chunk["choices"] = choices
    if frame.kind is Kind.FINISH:
        chunk["usage"] = _usage(found["usage"])
    return b"data: " + json.dumps(chunk, ensure_ascii=False).encode() + b"\r\n\r\n"


_FIRST = ("id", "choices", "created", "model", "system_fingerprint", "object", "usage")
_OTHER = ("choices", "created", "id", "model", "object", "system_fingerprint")


def _choice(choice: dict[str, Any], *, is_first: bool = False) -> dict[str, Any]:
    index = {"index": choice["index"]}
    finish = {"finish_reason": choice["finish_reason"]}
    logprobs = {"logprobs": choice["logprobs"]}
    if "delta" in choice:
        content = choice["delta"].get("content")
        role = None if choice["finish_reason"] else "assistant"
        # The role last, wherever it was.
        delta = {"delta": {"content": content, **_without_role(choice["delta"]), "role": role}}
        if is_first:
            return {**index, **delta, **finish, **logprobs}
        return {**delta, **finish, **index, **logprobs}
    told = {**finish, **index, **(logprobs if choice["logprobs"] is not None else {})}
    if "message" in choice:
        message = dict(choice["message"])
        content, role = message.pop("content"), message.pop("role")
        return {**told, "message": {"content": content, "role": role, **message}}
    return {**told, "text": choice["text"]}


def _without_role(delta: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in delta.items() if name != "role"}


def _usage(usage: dict[str, Any]) -> dict[str, Any]:
    rest = {name: count for name, count in usage.items() if name not in _USAGE}
    return {**{name: usage[name] for name in _USAGE}, **rest}
