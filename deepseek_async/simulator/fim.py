"""Fill-in-the-middle answers as DeepSeek's JSON.

The page documents the object; no recording is known. Chunks are the object with a part of the text,
and where fields stand in it is as in chat.

Source: https://api-docs.deepseek.com/api/create-completion, read 2026-11-21.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from deepseek_async.simulator.frames import KEEP_ALIVE_COMMENT, Frame, Kind, Timing, keep_alives
from deepseek_async.simulator.rendering import (
    DONE,
    Cut,
    Envelope,
    Likelihoods,
    head_of,
    joined,
    whole,
)

_encode = msgspec.json.encode


def fim_completion(
    envelope: Envelope,
    answer: Cut,
    counts: dict[str, Any],
    *,
    echo: str = "",
    likelihoods: Likelihoods | None = None,
) -> bytes:
    """A plain answer; `echo` comes before it and isn't part of it."""
    logprobs = None
    if likelihoods is not None:
        logprobs = _logprobs([piece.text for piece in answer.pieces], len(echo), likelihoods)
    choice = {
        "index": 0,
        "text": echo + joined(answer.pieces, "text"),
        "logprobs": logprobs,
        "finish_reason": answer.finish_reason,
    }
    return whole(envelope, "text_completion", choice, counts)


def fim_stream(
    envelope: Envelope,
    answer: Cut,
    counts: bytes,
    timing: Timing,
    *,
    include_usage: bool,
    echo: str = "",
    likelihoods: Likelihoods | None = None,
) -> Iterator[Frame]:
    """A streamed answer; `echo` is a chunk of its own before it."""
    head = head_of(envelope, "text_completion")
    null_usage = b',"usage":null' if include_usage else b""

    def chunk(text: str, logprobs: bytes) -> bytes:
        body = b'"text":%b,"logprobs":%b,"finish_reason":null}]%b}\n\n'
        return head + body % (_encode(text), logprobs, null_usage)

    yield from keep_alives(timing, timing.first, KEEP_ALIVE_COMMENT)
    at = timing.first
    if echo:
        yield Frame(at, chunk(echo, b"null"), Kind.EVENT)
    offset = len(echo)
    for number, piece in enumerate(answer.pieces):
        at = timing.at(number)
        logprobs = b"null"
        if likelihoods is not None:
            logprobs = _encode(_logprobs([piece.text], offset, likelihoods))
        offset += len(piece.text)
        yield Frame(at, chunk(piece.text, logprobs), Kind.EVENT)
    finish = b'"text":"","logprobs":null,"finish_reason":%b}],"usage":%b}\n\n' % (
        _encode(answer.finish_reason),
        counts,
    )
    yield Frame(at, head + finish, Kind.FINISH)
    yield Frame(at, DONE, Kind.DONE)


def _logprobs(tokens: list[str], offset: int, likelihoods: Likelihoods) -> dict[str, Any]:
    items = [likelihoods.item(token) for token in tokens]
    offsets: list[int] = []
    for token in tokens:
        offsets.append(offset)
        offset += len(token)
    return {
        "text_offset": offsets,
        "token_logprobs": [item["logprob"] for item in items],
        "tokens": tokens,
        "top_logprobs": [
            {other["token"]: other["logprob"] for other in item["top_logprobs"]} for item in items
        ],
    }
