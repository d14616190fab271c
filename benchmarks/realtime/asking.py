"""The upstream as our applications have it, whatever server they are in."""

from __future__ import annotations

import asyncio
from typing import Any

from benchmarks.payloads import MODEL
from benchmarks.realtime.manner import prompt_of
from deepseek_async import AsyncDeepSeek
from deepseek_async.live import Live, Run

# For a page that shows text as it comes; `relay` wants each token at once.
FANOUT_FPS = 20


class Upstream:
    """The upstream, as an application has it.

    Args:
        address: Its URL.
        heartbeat: Seconds, for all relays.
    """

    def __init__(self, address: str, heartbeat: float) -> None:
        self.client = AsyncDeepSeek(
            api_key="sk-relay", base_url=address, dialect="deepseek", trust_env=False
        )
        self.heartbeat = heartbeat
        self.live = Live()
        self._starting = asyncio.Lock()

    def _ask(self, query: bytes) -> dict[str, Any]:
        messages = [{"role": "user", "content": prompt_of(query)}]
        return {"model": MODEL, "messages": messages, "thinking": {"type": "disabled"}}

    def stream(self, query: bytes) -> Any:
        """Return the stream that a browser asks for."""
        return self.client.chat.completions.stream(**self._ask(query))

    async def answer(self, query: bytes) -> None:
        """Wait for a whole answer."""
        await self.client.chat.completions.create(**self._ask(query))

    async def run(self, query: bytes) -> Run:
        """Return a run of its own for a browser."""
        return await self.live.start(lambda: self.stream(query), fps=0)

    async def shared_run(self, query: bytes) -> Run:
        """Return the one run that all browsers read."""
        async with self._starting:
            run = self.live.get("shared")
            if run is None:
                run = await self.live.start(
                    lambda: self.stream(query),
                    id="shared",
                    on_disconnect="continue",
                    fps=FANOUT_FPS,
                )
        return run
