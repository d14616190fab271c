"""Our relays in aiohttp.web, as users would write them."""

from __future__ import annotations

import contextlib
from typing import Any

from aiohttp import web

from benchmarks.realtime.asking import FANOUT_FPS, Upstream
from deepseek_async.web import ClientGone, aiohttp_sse, aiohttp_ws, while_connected


def build(address: str, heartbeat: float) -> web.Application:
    """Return all of them, by their path."""
    upstream = Upstream(address, heartbeat)
    every: dict[str, Any] = {"format": "native", "heartbeat": heartbeat}

    def query(request: web.Request) -> bytes:
        return request.rel_url.raw_query_string.encode()

    async def stream(request: web.Request) -> web.StreamResponse:
        return await aiohttp_sse(request, upstream.stream(query(request)), fps=0, **every)

    async def run(request: web.Request) -> web.StreamResponse:
        return await aiohttp_sse(request, await upstream.run(query(request)), fps=0, **every)

    async def shared(request: web.Request) -> web.StreamResponse:
        shared_run = await upstream.shared_run(query(request))
        return await aiohttp_sse(request, shared_run, fps=FANOUT_FPS, **every)

    async def whole(request: web.Request) -> web.Response:
        with contextlib.suppress(ClientGone):
            await while_connected(request, upstream.answer(query(request)))
        return web.Response()

    async def socket(request: web.Request) -> web.StreamResponse:
        return await aiohttp_ws(request, upstream.stream(query(request)))

    app = web.Application()
    app.router.add_get("/stream", stream)
    app.router.add_get("/run", run)
    app.router.add_get("/shared", shared)
    app.router.add_get("/await", whole)
    app.router.add_get("/ws", socket)
    return app
