"""Relays as others are built: the usual one, and the least that aiohttp and msgspec need."""

from __future__ import annotations

import asyncio
import importlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

import aiohttp
import msgspec

from benchmarks.payloads import MODEL
from benchmarks.realtime.asking import FANOUT_FPS
from benchmarks.realtime.manner import prompt_of


def fastapi_openai(upstream: str) -> Any:
    """FastAPI, OpenAI's SDK and a `StreamingResponse`, as tutorials have it."""
    fastapi = importlib.import_module("fastapi")
    responses = importlib.import_module("fastapi.responses")
    openai = importlib.import_module("openai")
    client = openai.AsyncOpenAI(api_key="sk-benchmark", base_url=upstream, max_retries=0)
    app = fastapi.FastAPI()

    async def events(prompt: str) -> AsyncIterator[str]:
        stream = await client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": prompt}], stream=True
        )
        async for chunk in stream:
            delta = chunk.choices[0].delta.content
            if delta:
                yield f"data: {json.dumps({'content': delta})}\n\n"
        yield "data: [DONE]\n\n"

    @app.get("/")  # type: ignore[untyped-decorator]  # FastAPI is imported by name.
    async def relay(m: str) -> Any:
        return responses.StreamingResponse(events(m), media_type="text/event-stream")

    return app


class _Delta(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    delta: _Delta


class _Chunk(msgspec.Struct):
    choices: list[_Choice]


class Floor:
    """aiohttp and msgspec by hand in plain ASGI: no ids, heartbeats, errors, or resumption."""

    def __init__(self, upstream: str) -> None:
        self._url = upstream + "/chat/completions"
        self._session: aiohttp.ClientSession | None = None
        # Of the answer that is shared.
        self._reading: asyncio.Task[None] | None = None
        self._told: list[bytes] = []
        self._news = asyncio.Event()
        self._decode = msgspec.json.Decoder(_Chunk).decode
        self._encode = msgspec.json.Encoder().encode

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[Any]],
        send: Callable[[dict[str, Any]], Awaitable[None]],
    ) -> None:
        """Relay one stream."""
        if scope["type"] != "http":
            return
        headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        answer = self._answer(scope["query_string"])
        if scope["path"] == "/shared":
            answer = self._follow(answer)
        async for frames in answer:
            await send({"type": "http.response.body", "body": frames, "more_body": True})
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})

    async def _answer(self, query: bytes) -> AsyncIterator[bytes]:
        """Yield what comes from upstream, as frames."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=None)
            )
        message = {"role": "user", "content": prompt_of(query)}
        body = {"model": MODEL, "messages": [message], "stream": True}
        async with self._session.post(self._url, json=body) as response:
            pending = b""
            async for data in response.content.iter_any():
                *events, pending = (pending + data).split(b"\n\n")
                if frames := b"".join([self._frame(event) for event in events]):
                    yield frames

    async def _follow(self, answer: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Yield one answer to many, some times a second."""
        if self._reading is None:
            self._reading = asyncio.create_task(self._collect(answer))
        told = 0
        while told < len(self._told) or not self._reading.done():
            if told == len(self._told):
                await self._news.wait()
            frames = self._told[told:]
            told += len(frames)
            yield frames[0] if len(frames) == 1 else b"".join(frames)

    async def _collect(self, answer: AsyncIterator[bytes]) -> None:
        """Read an answer, and tell of it with every frame."""
        loop = asyncio.get_running_loop()
        pending: list[bytes] = []

        def tell() -> None:
            self._told.append(b"".join(pending))
            pending.clear()
            news, self._news = self._news, asyncio.Event()
            news.set()

        async for frames in answer:
            if not pending:
                loop.call_later(1 / FANOUT_FPS, tell)
            pending.append(frames)
        await asyncio.sleep(2 / FANOUT_FPS)
        self._news.set()

    def _frame(self, event: bytes) -> bytes:
        if event == b"data: [DONE]":
            return b""
        content = self._decode(event[6:]).choices[0].delta.content
        return b"data: %b\n\n" % self._encode([content]) if content else b""
