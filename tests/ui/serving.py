"""The page on a simulator, as tests use it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from deepseek_async.live import Run
from deepseek_async.simulator import Simulator
from deepseek_async.ui import UIServer

# Only reached when something hangs.
GUARD_SECONDS = 30.0


@dataclass
class Served:
    """A page server, and what it asks."""

    sim: Simulator
    server: UIServer

    @property
    def base(self) -> str:
        """The address without the token."""
        return self.server.url.partition("/?")[0]

    @property
    def asked(self) -> int:
        """How many answers were asked for."""
        return sum(request.path.endswith("completions") for request in self.sim.requests)

    def run(self, run_id: str) -> Run:
        run = self.server.live.get(run_id)
        assert run is not None
        return run


@asynccontextmanager
async def serving(*, greet: bool = False, **options: Any) -> AsyncGenerator[Served]:
    """Serve the page on a simulator with these options."""
    async with Simulator(**options) as sim, sim.client(trust_env=False) as client:
        async with UIServer(client, port=0, simulated=True, greet=greet) as server:
            yield Served(sim, server)


class Visitor:
    """What a browser would do: it has the cookie, and says where a request comes from."""

    def __init__(self, base: str, session: aiohttp.ClientSession) -> None:
        self.base = base
        self.session = session

    async def get(self, path: str, **headers: str) -> tuple[int, Any]:
        async with self.session.get(self.base + path, headers=headers) as response:
            return response.status, await _content(response)

    async def post(
        self, path: str, body: object = None, *, method: str = "POST", **headers: str
    ) -> tuple[int, Any]:
        all_headers = {"Origin": self.base, **{k.replace("_", "-"): v for k, v in headers.items()}}
        async with self.session.request(
            method, self.base + path, json=body, headers=all_headers
        ) as response:
            return response.status, await _content(response)

    async def ask(self, text: str, **fields: Any) -> dict[str, Any]:
        """Ask a question that is accepted."""
        body = {"text": text, "model": "deepseek-flash", "effort": "off", **fields}
        status, told = await self.post("/api/ask", body)
        assert status == 200, told
        assert isinstance(told, dict)
        return told


async def _content(response: aiohttp.ClientResponse) -> Any:
    return (
        await response.json()
        if response.content_type == "application/json"
        else await response.text()
    )


@asynccontextmanager
async def visiting(served: Served) -> AsyncGenerator[Visitor]:
    """Open the page's address, as a browser does."""
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar) as session:
        async with session.get(served.server.url) as response:
            assert response.status == 200
        yield Visitor(served.base, session)


async def until(condition: Callable[[], object]) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(GUARD_SECONDS):
        while not condition():
            await asyncio.sleep(0.005)
