"""Chat answers as DeepSeek's JSON: field order, nulls and chunking of the API since 2025.

What never changes within one stream is rendered once; a chunk costs one join.

Source: https://api-docs.deepseek.com/api/create-chat-completion, read 2026-11-21, and recorded
streams of 2026 where the page is silent.
"""

from __future__ import annotations

import random
import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, NamedTuple
from uuid import UUID

import msgspec

from deepseek_async.simulator.content import Answer
from deepseek_async.simulator.eras import Era
from deepseek_async.simulator.frames import KEEP_ALIVE_COMMENT, Frame, Kind, Timing, keep_alives
from deepseek_async.simulator.tokens import split

_encode = msgspec.json.encode
_CALL_ID_CHARACTERS = string.ascii_letters + string.digits
DONE = b"data: [DONE]\n\n"
"""The last event of a stream."""


# Characters of a text whose pieces are kept for the next answer with it.
_MAX_SHARED = 20_000


class Piece(NamedTuple):
    """About one token of an answer."""

    part: Literal["reasoning", "text", "call", "arguments"]
    text: str
    """For a call: the function's name."""
    call: int = 0
    """Index of the tool call."""


class Cut(NamedTuple):
    """An answer in pieces, after the limits of the request."""

    pieces: list[Piece]
    finish_reason: str


def _pieces(part: Literal["reasoning", "text"], text: str) -> Sequence[Piece]:
    if len(text) > _MAX_SHARED:
        return _shared_pieces.__wrapped__(part, text)
    return _shared_pieces(part, text)


@lru_cache(maxsize=64)
def _shared_pieces(part: Literal["reasoning", "text"], text: str) -> tuple[Piece, ...]:
    # Thousands of streams of one script would else have a million objects, which the garbage
    # collector takes a tenth of a second to look through.
    return tuple([Piece(part, token) for token in split(text)])


def cut(answer: Answer, max_tokens: int | None, stop: str | list[str] | None) -> Cut:
    """Cut an answer to pieces, at a stop sequence and at `max_tokens` pieces."""
    text = answer.text
    calls = answer.tool_calls
    finish_reason = "tool_calls" if calls else "stop"
    stops = [stop] if isinstance(stop, str) else stop or []
    found = [at for sequence in stops if sequence and (at := text.find(sequence)) >= 0]
    if found:
        text = text[: min(found)]
        calls = ()
        finish_reason = "stop"
    pieces = [*_pieces("reasoning", answer.reasoning or ""), *_pieces("text", text)]
    for index, (name, arguments) in enumerate(calls):
        pieces.append(Piece("call", name, index))
        pieces += [Piece("arguments", token, index) for token in split(arguments)]
    if max_tokens is not None and len(pieces) > max_tokens:
        del pieces[max_tokens:]
        finish_reason = "length"
    return Cut(pieces, answer.finish_reason or finish_reason)


@dataclass(frozen=True, slots=True)
class Envelope:
    """What all chunks of an answer have in common."""

    id: str
    created: int
    model: str
    fingerprint: str
    call_seed: int
    call_style: Literal["uuid", "letters", "digits"] = "digits"

    @classmethod
    def draw(
        cls, rng: random.Random, created: int, model: str, fingerprint: str, era: Era
    ) -> Envelope:
        """Draw the ids of an answer."""
        uuid = UUID(int=rng.getrandbits(128), version=4)
        own = uuid.hex if era.hex_ids else str(uuid)
        return cls(own, created, model, fingerprint, rng.getrandbits(32), era.call_id)

    def call_id(self, index: int) -> str:
        """The id of a tool call."""
        rng = random.Random(self.call_seed + index)
        if self.call_style == "uuid":
            return f"call_{index}_{UUID(int=rng.getrandbits(128), version=4)}"
        ending = f"{rng.randrange(10_000):04d}" if self.call_style == "digits" else ""
        letters = rng.choices(_CALL_ID_CHARACTERS, k=24 - len(ending))
        return f"call_{index:02d}_{''.join(letters)}{ending}"


def fingerprint(rng: random.Random, era: Era) -> str:
    """Draw the fingerprint of a server of an era."""
    if not era.fingerprint:
        return f"{rng.getrandbits(128):032x}"
    return era.fingerprint.format(f"{rng.getrandbits(40):010x}")


class Likelihoods(NamedTuple):
    """Log probabilities to send with an answer."""

    top: int
    """Alternatives for each token."""
    seed: int

    def item(self, token: str) -> dict[str, Any]:
        """The entry of one token; invented."""
        rng = random.Random(f"{self.seed}:{token}")
        logprob = -rng.random() / 4
        others = [
            _likelihood(f"{token}{number}", logprob - number) for number in range(1, self.top)
        ]
        own = _likelihood(token, logprob)
        return {**own, "top_logprobs": [own, *others] if self.top else []}


def _likelihood(token: str, logprob: float) -> dict[str, Any]:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode())}


def usage(
    prompt_tokens: int,
    hit_tokens: int,
    pieces: list[Piece],
    *,
    is_thinking: bool,
    era: Era,
    replaced: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The usage object.

    Args:
        prompt_tokens: Tokens of the prompt.
        hit_tokens: Those that were cached.
        pieces: The answer.
        is_thinking: Whether reasoning tokens are told.
        era: Whose counts are told.
        replaced: Counts to use instead; keys that aren't counts are added as they are.
    """
    others = dict(replaced or {})
    prompt = others.pop("prompt_tokens", prompt_tokens)
    completion = others.pop("completion_tokens", len(pieces))
    thoughts = sum(piece.part == "reasoning" for piece in pieces)
    reasoning = others.pop("reasoning_tokens", thoughts if is_thinking else None)
    hit = min(others.pop("prompt_cache_hit_tokens", hit_tokens), prompt)
    counts: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }
    if era.cache_details:
        counts["prompt_tokens_details"] = {"cached_tokens": hit}
    if reasoning is not None:
        counts["completion_tokens_details"] = {"reasoning_tokens": reasoning}
    if era.cache_counts:
        counts["prompt_cache_hit_tokens"] = hit
        counts["prompt_cache_miss_tokens"] = prompt - hit
    return {**counts, **others}


def chat_completion(
    envelope: Envelope,
    answer: Cut,
    counts: dict[str, Any],
    *,
    is_thinking: bool,
    likelihoods: Likelihoods | None,
) -> bytes:
    """A plain chat answer."""
    pieces = answer.pieces
    message: dict[str, Any] = {"role": "assistant", "content": joined(pieces, "text")}
    if is_thinking:
        message["reasoning_content"] = joined(pieces, "reasoning")
    calls = [
        {
            "index": piece.call,
            "id": envelope.call_id(piece.call),
            "type": "function",
            "function": {
                "name": piece.text,
                "arguments": arguments_of(pieces, piece.call),
            },
        }
        for piece in pieces
        if piece.part == "call"
    ]
    if calls:
        message["tool_calls"] = calls
    logprobs: dict[str, Any] | None = None
    if likelihoods is not None:
        logprobs = {"content": [likelihoods.item(p.text) for p in pieces if p.part == "text"]}
        if is_thinking:
            logprobs["reasoning_content"] = [
                likelihoods.item(p.text) for p in pieces if p.part == "reasoning"
            ]
    choice = {
        "index": 0,
        "message": message,
        "logprobs": logprobs,
        "finish_reason": answer.finish_reason,
    }
    return whole(envelope, "chat.completion", choice, counts)


def joined(pieces: list[Piece], part: str) -> str:
    """The text of all pieces of a kind."""
    return "".join([piece.text for piece in pieces if piece.part == part])


def arguments_of(pieces: list[Piece], call: int) -> str:
    """The arguments of a tool call."""
    return joined([piece for piece in pieces if piece.call == call], "arguments")


def whole(envelope: Envelope, kind: str, choice: object, counts: object) -> bytes:
    """A plain answer."""
    return _encode(
        {
            "id": envelope.id,
            "object": kind,
            "created": envelope.created,
            "model": envelope.model,
            "choices": [choice],
            "usage": counts,
            "system_fingerprint": envelope.fingerprint,
        }
    )


def head_of(envelope: Envelope, kind: str) -> bytes:
    """The beginning of each chunk, up to the index of its choice."""
    head = _encode(
        {
            "id": envelope.id,
            "object": kind,
            "created": envelope.created,
            "model": envelope.model,
            "system_fingerprint": envelope.fingerprint,
        }
    )
    return b"data: " + head[:-1] + b',"choices":[{"index":0,'


def chat_stream(
    envelope: Envelope,
    answer: Cut,
    counts: bytes,
    timing: Timing,
    *,
    is_thinking: bool,
    include_usage: bool,
    likelihoods: Likelihoods | None,
) -> Iterator[Frame]:
    """A streamed chat answer; the usage, already JSON, is on the finish chunk, asked for or not."""
    head = head_of(envelope, "chat.completion.chunk") + b'"delta":{'
    null_usage = b',"usage":null' if include_usage else b""
    tail = b'},"logprobs":null,"finish_reason":null}]' + null_usage + b"}\n\n"
    # In thinking mode each of the two texts comes with the other one as null.
    no_reasoning = b',"reasoning_content":null' if is_thinking else b""
    opening = b'"content":null,"reasoning_content":""' if is_thinking else b'"content":""'

    yield from keep_alives(timing, timing.first, KEEP_ALIVE_COMMENT)
    yield Frame(timing.first, head + b'"role":"assistant",' + opening + tail, Kind.EVENT)
    at = timing.first
    for number, piece in enumerate(answer.pieces):
        at = timing.at(number)
        text = _encode(piece.text)
        end = tail
        match piece.part:
            case "reasoning":
                delta = b'"content":null,"reasoning_content":' + text
            case "text":
                delta = b'"content":' + text + no_reasoning
            case "call":
                delta = b'"tool_calls":[{"index":%d,"id":"%b","type":"function",' % (
                    piece.call,
                    envelope.call_id(piece.call).encode(),
                )
                delta += b'"function":{"name":%b,"arguments":""}}]' % text
            case "arguments":
                delta = b'"tool_calls":[{"index":%d,"function":{"arguments":%b}}]' % (
                    piece.call,
                    text,
                )
        if likelihoods is not None and piece.part in ("reasoning", "text"):
            key = "reasoning_content" if piece.part == "reasoning" else "content"
            found = _encode({key: [likelihoods.item(piece.text)]})
            end = b'},"logprobs":' + found + tail[len(b'},"logprobs":null') :]
        yield Frame(at, head + delta + end, Kind.EVENT)
    finish = b'"content":""%b},"logprobs":null,"finish_reason":%b}],"usage":%b}\n\n' % (
        no_reasoning,
        _encode(answer.finish_reason),
        counts,
    )
    yield Frame(at, head + finish, Kind.FINISH)
    yield Frame(at, DONE, Kind.DONE)
