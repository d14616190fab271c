"""OpenAI's own client, where the interpreter has it."""

# What the methods do is said by `contenders.Client`.
# ruff: noqa: D102

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

from benchmarks.contenders import Sink
from benchmarks.payloads import MESSAGES, MODEL, TOOLS


def _limits(count: int) -> Any:
    """Return limits for the HTTP library that this version of the SDK is built on."""
    try:
        http = importlib.import_module("httpx2")
    except ImportError:
        http = importlib.import_module("httpx")
    return http.Limits(max_connections=count, max_keepalive_connections=count)


class OpenAI:
    """``AsyncOpenAI`` with retries off and its limit of connections raised."""

    def __init__(self, base_url: str, limit: int) -> None:
        openai = importlib.import_module("openai")
        self._client = openai.AsyncOpenAI(
            api_key="sk-benchmark",
            base_url=base_url,
            max_retries=0,
            http_client=openai.DefaultAsyncHttpxClient(limits=_limits(limit)),
        )

    async def aclose(self) -> None:
        await self._client.close()

    def _create(self, **extra: Any) -> Any:
        return self._client.chat.completions.create(model=MODEL, messages=MESSAGES, **extra)

    async def ask(self) -> str:
        completion = await self._create()
        return str(completion.choices[0].message.content)

    async def read(self, content: Sink, reasoning: Sink) -> None:
        async for chunk in await self._create(stream=True):
            delta = chunk.choices[0].delta
            if delta.content:
                content.append(delta.content)
            elif thought := getattr(delta, "reasoning_content", None):
                reasoning.append(thought)

    async def accumulate(self) -> str:
        parts: list[str] = []
        await self.read(parts, [])
        return "".join(parts)

    async def call_tools(self) -> list[tuple[str, str]]:
        names: list[str] = []
        arguments: list[list[str]] = []
        async for chunk in await self._create(stream=True, tools=TOOLS):
            for call in chunk.choices[0].delta.tool_calls or ():
                if call.index == len(names):
                    names.append(call.function.name)
                    arguments.append([])
                arguments[call.index].append(call.function.arguments or "")
        return [(name, "".join(parts)) for name, parts in zip(names, arguments, strict=True)]

    async def leave(self) -> None:
        async with await self._create(stream=True) as stream:
            async for chunk in stream:
                delta = chunk.choices[0].delta
                if delta.content or getattr(delta, "reasoning_content", None):
                    break

    async def drop(self) -> None:
        async for chunk in await self._create(stream=True):
            delta = chunk.choices[0].delta
            if delta.content or getattr(delta, "reasoning_content", None):
                break

    def build(self, messages: Sequence[dict[str, Any]]) -> object:
        raise NotImplementedError("the SDK builds requests while it sends them")
