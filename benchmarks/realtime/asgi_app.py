"""Our relays in plain ASGI, as users would write them."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from benchmarks.realtime.asking import FANOUT_FPS, Upstream
from deepseek_async.web import ClientGone, asgi_sse, while_connected

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Asgi:
    """All of our relays in plain ASGI, by their path.

    Args:
        address: Of the upstream.
        heartbeat: Seconds.
    """

    def __init__(self, address: str, heartbeat: float) -> None:
        self._upstream = Upstream(address, heartbeat)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one browser."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        upstream, query = self._upstream, scope["query_string"]
        every: dict[str, Any] = {"format": "native", "heartbeat": upstream.heartbeat}
        match scope["path"]:
            case "/stream":
                await asgi_sse(upstream.stream(query), fps=0, **every)(scope, receive, send)
            case "/run":
                await asgi_sse(await upstream.run(query), fps=0, **every)(scope, receive, send)
            case "/shared":
                run = await upstream.shared_run(query)
                await asgi_sse(run, fps=FANOUT_FPS, **every)(scope, receive, send)
            case "/await":
                with contextlib.suppress(ClientGone):
                    await while_connected(receive, upstream.answer(query))
            case _:
                # Only here: loading it is not a part of the other relays.
                from deepseek_async.web import asgi_ws

                await asgi_ws(scope, receive, send, upstream.stream(query))


async def _lifespan(receive: Receive, send: Send) -> None:
    for _ in range(2):
        message = await receive()
        await send({"type": message["type"] + ".complete"})
