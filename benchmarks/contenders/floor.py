"""What aiohttp and msgspec cost by themselves: a loop that an expert would write for one purpose.

It decodes each chunk whole and yields it, as an API has to, and leaves out all that makes a client:
no checks, errors, clocks, limits, retries, unknown fields or accumulation. It relies on what this
one server sends.
"""

# What the methods do is said by `contenders.Client`.
# ruff: noqa: D102

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Any

import aiohttp
import msgspec

from benchmarks.contenders import Sink
from benchmarks.payloads import MESSAGES, MODEL, TOOLS

_HEADERS = {"Authorization": "Bearer sk-benchmark", "Content-Type": "application/json"}


class _Function(msgspec.Struct, gc=False):
    name: str | None = None
    arguments: str | None = None


class _ToolCall(msgspec.Struct, gc=False):
    index: int
    id: str | None = None
    type: str | None = None
    function: _Function | None = None


class _Text(msgspec.Struct, gc=False):
    role: str | None = None
    content: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[_ToolCall] | None = None


class _Usage(msgspec.Struct, gc=False):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_cache_hit_tokens: int = 0
    prompt_cache_miss_tokens: int = 0
    prompt_tokens_details: dict[str, int] | None = None
    completion_tokens_details: dict[str, int] | None = None


class _ChunkChoice(msgspec.Struct, gc=False):
    index: int
    delta: _Text
    logprobs: Any = None
    finish_reason: str | None = None


class _Chunk(msgspec.Struct, gc=False):
    id: str
    object: str
    created: int
    model: str
    choices: list[_ChunkChoice]
    system_fingerprint: str | None = None
    usage: _Usage | None = None


class _Choice(msgspec.Struct, gc=False):
    index: int
    message: _Text
    logprobs: Any = None
    finish_reason: str | None = None


class _Answer(msgspec.Struct, gc=False):
    id: str
    object: str
    created: int
    model: str
    choices: list[_Choice]
    system_fingerprint: str | None = None
    usage: _Usage | None = None


_decode_chunk = msgspec.json.Decoder(_Chunk).decode
_decode_answer = msgspec.json.Decoder(_Answer).decode
_encode = msgspec.json.Encoder().encode


class Floor:
    """The floor: aiohttp as it is."""

    # aiohttp's default.
    read_buffer = 256 * 1024

    def __init__(self, base_url: str, limit: int) -> None:
        self._url = f"{base_url}/chat/completions"
        self._session = aiohttp.ClientSession(
            headers=_HEADERS,
            timeout=aiohttp.ClientTimeout(total=None),
            cookie_jar=aiohttp.DummyCookieJar(),
            connector=aiohttp.TCPConnector(limit=limit),
            auto_decompress=False,
            read_bufsize=self.read_buffer,
        )

    async def aclose(self) -> None:
        await self._session.close()

    async def ask(self) -> str:
        body = _encode({"model": MODEL, "messages": MESSAGES})
        async with self._session.post(self._url, data=body) as response:
            answer = _decode_answer(await response.read())
        return answer.choices[0].message.content or ""

    async def _chunks(self, **extra: Any) -> AsyncGenerator[_Chunk]:
        body = _encode({"model": MODEL, "messages": MESSAGES, "stream": True, **extra})
        async with self._session.post(self._url, data=body) as response:
            read = response.content.readany
            tail = b""
            while block := await read():
                lines = (tail + block).split(b"\n")
                tail = lines.pop()
                for chunk in [_decode_chunk(line[6:]) for line in lines if line[:7] == b"data: {"]:
                    yield chunk

    async def read(self, content: Sink, reasoning: Sink) -> None:
        async for chunk in self._chunks():
            delta = chunk.choices[0].delta
            if delta.content:
                content.append(delta.content)
            elif delta.reasoning_content:
                reasoning.append(delta.reasoning_content)

    async def accumulate(self) -> str:
        parts: list[str] = []
        await self.read(parts, [])
        return "".join(parts)

    async def call_tools(self) -> list[tuple[str, str]]:
        names: list[str] = []
        arguments: list[list[str]] = []
        async for chunk in self._chunks(tools=TOOLS):
            for call in chunk.choices[0].delta.tool_calls or ():
                function = call.function
                if function is None:
                    continue
                if call.index == len(names):
                    names.append(function.name or "")
                    arguments.append([])
                arguments[call.index].append(function.arguments or "")
        return [(name, "".join(parts)) for name, parts in zip(names, arguments, strict=True)]

    async def leave(self) -> None:
        chunks = self._chunks()
        async for chunk in chunks:
            delta = chunk.choices[0].delta
            if delta.content or delta.reasoning_content:
                break
        await chunks.aclose()

    async def drop(self) -> None:
        async for chunk in self._chunks():
            delta = chunk.choices[0].delta
            if delta.content or delta.reasoning_content:
                break

    def build(self, messages: Sequence[dict[str, Any]]) -> object:
        return _encode({"model": MODEL, "messages": messages})


class Tuned(Floor):
    """The same with a smaller buffer, which takes less CPU: aiohttp works on it for each chunk.

    aiohttp 3.14 re-enters its HTTP parser for every HTTP chunk that is read while the buffer holds
    less than its size.
    """

    read_buffer = 64 * 1024
