"""No HTTP at all: how soon the first token is there if somebody waits for just these bytes."""

# What the methods do is said by `contenders.Client`.
# ruff: noqa: D102

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

from benchmarks.contenders import Sink
from benchmarks.payloads import DONE, MESSAGES, MODEL

_FIRST = b'"reasoning_content":"'


class RawSocket:
    """One connection, and an answer that is searched instead of parsed."""

    def __init__(self, base_url: str, limit: int) -> None:
        del limit
        parts = urlsplit(base_url)
        body = f'{{"model":"{MODEL}","messages":{MESSAGES!r},"stream":true}}'.encode()
        self._address = (parts.hostname, parts.port)
        self._request = (
            f"POST {parts.path}/chat/completions HTTP/1.1\r\nhost: {parts.netloc}\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        ).encode() + body
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def aclose(self) -> None:
        if self._streams is not None:
            self._streams[1].close()

    async def read(self, content: Sink, reasoning: Sink) -> None:
        """Read an answer; its first token is all that is taken out of it."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._address)
        reader, writer = self._streams
        writer.write(self._request)
        # The first event opens the reasoning with an empty text.
        await reader.readuntil(_FIRST + b'"')
        await reader.readuntil(_FIRST)
        piece = await reader.readuntil(b'"')
        reasoning.append(piece[:-1].decode())
        await reader.readuntil(DONE)
        await reader.readuntil(b"0\r\n\r\n")
