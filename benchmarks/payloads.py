"""What the benchmarks' server sends, and what every client must have read of it.

Server and clients both build it from here, so that no client is told what it should find. Only the
standard library is used: peers read it in environments of their own.
"""

from __future__ import annotations

import functools
import json
from typing import Any

MODEL = "deepseek-flash"

DONE = b"data: [DONE]\n\n"
KEEP_ALIVE = b": keep-alive\n\n"

_HEAD = {
    "id": "5d0c1f2e-77a4-4c1b-9a51-0f6c2be94a10",
    "object": "chat.completion.chunk",
    "created": 1790000000,
    "model": MODEL,
    "system_fingerprint": "fp_3f1c9a77de_prod0820_fp8_kvcache",
}
_USAGE = {
    "prompt_tokens": 21,
    "completion_tokens": 1000,
    "total_tokens": 1021,
    "prompt_tokens_details": {"cached_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 200},
    "prompt_cache_hit_tokens": 0,
    "prompt_cache_miss_tokens": 21,
}

# Of the length of tokens. Escapes, several scripts, and what looks like the framing.
_PIECES = (
    "Whales", " are", " the", " largest", " animals", ",", " and", " they", " sing", ".", "\n\n",
    "- ", "**", "blue", "**", ":", " 33", " m", "\n", "    ", ' "', "song", '"', " \\n", "鲸鱼",
    "会", "唱歌", " data: ", " 🐋", "\t", " naïve", " end",
)  # fmt: skip
# For the memory of a text: one byte a character.
_PLAIN_PIECES = (
    "Whales", " are", " the", " largest", " animals", " that", " ever", " lived", ", and",
    " their", " songs", " travel", " hundreds", " of", " kilometers", ".\n",
)  # fmt: skip

# How much of an answer is reasoning.
_REASONING = 5


def pieces(count: int) -> tuple[list[str], list[str]]:
    """Return the reasoning and the text of an answer of ``count`` chunks, piece by piece."""
    step = len(_PIECES)
    words = [_PIECES[(i * 11 + i // step) % step] for i in range(count)]
    return words[: count // _REASONING], words[count // _REASONING :]


def event(delta: dict[str, Any], finish: str | None = None, **extra: Any) -> bytes:
    """Render one event of a stream as DeepSeek does."""
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    body = json.dumps(
        {**_HEAD, "choices": [choice], **extra}, ensure_ascii=False, separators=(",", ":")
    )
    return b"data: " + body.encode() + b"\n\n"


@functools.cache
def _text_event(name: str, piece: str) -> bytes:
    other = "content" if name == "reasoning_content" else "reasoning_content"
    return event({name: piece, other: None})


END = (event({"content": "", "reasoning_content": None}, "stop", usage=_USAGE), DONE)
_START = event({"role": "assistant", "content": None, "reasoning_content": ""})


def text_events(count: int) -> list[bytes]:
    """Return the events of an answer with ``count`` chunks of text."""
    reasoning, content = pieces(count)
    return [
        _START,
        *(_text_event("reasoning_content", piece) for piece in reasoning),
        *(_text_event("content", piece) for piece in content),
        *END,
    ]


def plain_events(count: int) -> list[bytes]:
    """Return the events of an answer in ASCII without reasoning."""
    return [_START, *(_text_event("content", piece) for piece in plain_pieces(count)), *END]


def plain_pieces(count: int) -> list[str]:
    """Return the text of :func:`plain_events`, piece by piece."""
    step = len(_PLAIN_PIECES)
    return [_PLAIN_PIECES[i % step] for i in range(count)]


def _arguments(call: int) -> str:
    values = {"city": ("Oslo", "上海")[call], "days": list(range(120)), "notes": "".join(_PIECES)}
    return json.dumps(values, ensure_ascii=False)


def tool_events(fragments: int) -> list[bytes]:
    """Return the events of an answer with two calls, ``fragments`` pieces of arguments in all."""
    events = [event({"role": "assistant", "content": ""})]
    for index, (name, text) in enumerate(tool_calls()):
        head = {"index": index, "id": f"call_00_{index}", "type": "function"}
        events.append(
            event({"tool_calls": [{**head, "function": {"name": name, "arguments": ""}}]})
        )
        count = fragments // 2
        for i in range(count):
            piece = text[len(text) * i // count : len(text) * (i + 1) // count]
            events.append(
                event({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
            )
    return [*events, event({"content": ""}, "tool_calls", usage=_USAGE), DONE]


def tool_calls() -> list[tuple[str, str]]:
    """Return name and arguments of the calls in :func:`tool_events`."""
    return [("weather", _arguments(0)), ("forecast", _arguments(1))]


ANSWER_TEXT = "Whales sing for about 20 minutes. 鲸鱼会唱歌 🐋"
ANSWER = json.dumps(
    {
        **_HEAD,
        "object": "chat.completion",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": ANSWER_TEXT},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": _USAGE,
    },
    ensure_ascii=False,
).encode()

MESSAGES: list[dict[str, Any]] = [
    {"role": "system", "content": "You are a marine biologist."},
    {"role": "user", "content": "Do whales sing?"},
]
TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": f"The {name} of a city.",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}},
                "required": ["city"],
            },
        },
    }
    for name, _ in tool_calls()
]
