"""Applications for servers to serve: ``python -m tests.live.apps PORT`` serves aiohttp's."""

import asyncio
import os
import sys
from collections.abc import AsyncGenerator
from typing import Any, cast

from aiohttp import web

from deepseek_async import AsyncDeepSeek
from deepseek_async.live import Live, MemoryLogStore
from deepseek_async.web import aiohttp_sse, asgi_sse

ASK: Any = {"model": "deepseek-flash", "messages": [{"role": "user", "content": "Hi"}]}


class Service:
    """What an application has while it is served."""

    def __init__(self) -> None:
        self.client = AsyncDeepSeek()
        self.live = Live(store=MemoryLogStore() if os.environ.get("WITH_STORE") else None)
        self.live.drain_on_signal()

    async def source(self, path: str) -> Any:
        """Return a bare source, or a run of one."""
        if path == "/bare":
            return lambda: self.client.chat.completions.stream(**ASK)
        return await self.live.start(lambda: self.client.chat.completions.stream(**ASK))

    async def aclose(self) -> None:
        await self.live.aclose()
        await self.client.aclose()


class ASGIApp:
    """Streams, without a framework."""

    service: Service

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            source = await self.service.source(scope["path"])
            await asgi_sse(source)(scope, receive, send)

    async def _live(self, receive: Any, send: Any) -> None:
        await receive()
        self.service = Service()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.service.aclose()
        await send({"type": "lifespan.shutdown.complete"})


asgi = ASGIApp()


def aiohttp_app() -> web.Application:
    """Make the same for aiohttp."""
    app = web.Application()
    key = web.AppKey("service", Service)

    async def serve(app: web.Application) -> AsyncGenerator[None]:
        app[key] = Service()
        yield
        await app[key].aclose()

    async def stream(request: web.Request) -> web.StreamResponse:
        return await aiohttp_sse(request, await request.app[key].source(request.path))

    app.cleanup_ctx.append(serve)
    app.router.add_get("/{path}", stream)
    return app


if __name__ == "__main__":
    if "uvloop" in sys.argv:
        import uvloop

        loop = cast("asyncio.AbstractEventLoop", uvloop.new_event_loop())
    else:
        loop = asyncio.new_event_loop()
    web.run_app(aiohttp_app(), host="127.0.0.1", port=int(sys.argv[1]), loop=loop, print=None)
