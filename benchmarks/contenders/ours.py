"""This library, in the three ways that a stream can be read."""

# What the methods do is said by `contenders.Client`.
# ruff: noqa: D102

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.contenders import Sink
from benchmarks.payloads import MESSAGES, MODEL, TOOLS
from deepseek_async import AsyncDeepSeek, ChatStream
from deepseek_async.event_streams import ChatEventStream
from deepseek_async.types.chat import ChatCompletion


class Chunks:
    """``create()``; streams as chunks."""

    def __init__(self, base_url: str, limit: int) -> None:
        self._client = AsyncDeepSeek(
            "sk-benchmark",
            base_url=base_url,
            dialect="deepseek",
            max_retries=0,
            max_concurrency=limit,
            trust_env=False,
        )
        self._completions = self._client.chat.completions

    async def aclose(self) -> None:
        await self._client.aclose()

    async def ask(self) -> str:
        completion = await self._completions.create(model=MODEL, messages=MESSAGES)
        return completion.choices[0].message.content or ""

    async def _open(self, **extra: Any) -> ChatStream:
        stream: ChatStream = await self._completions.create(
            model=MODEL, messages=MESSAGES, stream=True, **extra
        )
        return stream

    async def read(self, content: Sink, reasoning: Sink) -> None:
        async with await self._open() as stream:
            async for chunk in stream:
                delta = chunk.choices[0].delta
                if delta.content:
                    content.append(delta.content)
                elif delta.reasoning_content:
                    reasoning.append(delta.reasoning_content)

    async def accumulate(self) -> str:
        async with await self._open() as stream:
            async for _ in stream:
                pass
            return stream.completion().choices[0].message.content or ""

    async def call_tools(self) -> list[tuple[str, str]]:
        async with await self._open(tools=TOOLS) as stream:
            async for _ in stream:
                pass
            return _calls(stream.completion())

    async def leave(self) -> None:
        async with await self._open() as stream:
            async for chunk in stream:
                delta = chunk.choices[0].delta
                if delta.content or delta.reasoning_content:
                    break

    async def drop(self) -> None:
        async for chunk in await self._open():
            delta = chunk.choices[0].delta
            if delta.content or delta.reasoning_content:
                break

    def build(self, messages: Sequence[dict[str, Any]]) -> object:
        params: Any = {"model": MODEL, "messages": messages}
        return self._completions.prepare("create", params, stream=False)


class Events(Chunks):
    """``.stream()``, as events."""

    def _events(self, **extra: Any) -> ChatEventStream:
        return self._completions.stream(model=MODEL, messages=MESSAGES, **extra)

    async def read(self, content: Sink, reasoning: Sink) -> None:
        async with self._events() as stream:
            async for event in stream:
                if event.type == "content.delta":
                    content.append(event.delta)
                elif event.type == "reasoning.delta":
                    reasoning.append(event.delta)

    async def accumulate(self) -> str:
        async with self._events() as stream:
            return await stream.get_final_text()

    async def call_tools(self) -> list[tuple[str, str]]:
        async with self._events(tools=TOOLS) as stream:
            return _calls(await stream.get_final_completion())

    async def leave(self) -> None:
        async with self._events() as stream:
            async for event in stream:
                if event.type in ("content.delta", "reasoning.delta"):
                    break

    async def drop(self) -> None:
        async for event in self._events():
            if event.type in ("content.delta", "reasoning.delta"):
                break


class Texts(Events):
    """``text_stream``: the answer without the reasoning."""

    async def read(self, content: Sink, reasoning: Sink) -> None:
        async with self._events() as stream:
            async for piece in stream.text_stream:
                content.append(piece)


def _calls(completion: ChatCompletion) -> list[tuple[str, str]]:
    calls = completion.choices[0].message.tool_calls or []
    return [(call.function.name, call.function.arguments) for call in calls]
