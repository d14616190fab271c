"""Applications as users write them, served in a process of its own by the server that is named.

Run: python -m tests.web.apps SERVER (prints its port). The address of the upstream is in the query
of each request, so that one server serves any number of tests.
"""

import asyncio
import importlib
import socket
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs

from aiohttp import web

from deepseek_async import AsyncDeepSeek
from deepseek_async.web import (
    ClientGone,
    aiohttp_sse,
    aiohttp_ws,
    asgi_sse,
    asgi_ws,
    while_connected,
)

SERVERS = ("uvicorn", "hypercorn", "granian", "aiohttp")

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

# One for each upstream, for as long as the process lives.
_clients: dict[str, AsyncDeepSeek] = {}

QUESTION: dict[str, Any] = {
    "model": "deepseek-flash",
    "messages": [{"role": "user", "content": "What is rain?"}],
}


def _client(query: str) -> AsyncDeepSeek:
    base_url = parse_qs(query)["upstream"][0]
    if base_url not in _clients:
        _clients[base_url] = AsyncDeepSeek(
            "sk-test", base_url=base_url, max_retries=0, dialect="deepseek", trust_env=False
        )
    return _clients[base_url]


async def asgi(scope: Scope, receive: Receive, send: Send) -> None:
    """``/stream``, ``/await`` and ``/ws``, in plain ASGI."""
    if scope["type"] == "lifespan":
        for _ in range(2):
            message = await receive()
            await send({"type": message["type"] + ".complete"})
        return
    completions = _client(scope["query_string"].decode()).chat.completions
    if scope["path"] == "/stream":
        await asgi_sse(completions.stream(**QUESTION), heartbeat=0.1)(scope, receive, send)
    elif scope["path"] == "/ws":
        await asgi_ws(scope, receive, send, completions.stream(**QUESTION), heartbeat=0.1)
    else:
        try:
            await while_connected(receive, completions.create(**QUESTION))
        except ClientGone:
            return
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})


def aiohttp_app() -> web.Application:
    """The same in aiohttp.web."""

    def completions(request: web.Request) -> Any:
        return _client(request.query_string).chat.completions

    async def stream(request: web.Request) -> web.StreamResponse:
        answer = completions(request).stream(**QUESTION)
        return await aiohttp_sse(request, answer, heartbeat=0.1)

    async def socket_(request: web.Request) -> web.StreamResponse:
        return await aiohttp_ws(request, completions(request).stream(**QUESTION), heartbeat=0.1)

    async def whole(request: web.Request) -> web.Response:
        try:
            await while_connected(request, completions(request).create(**QUESTION))
        except ClientGone:
            return web.Response(status=499)
        return web.Response(status=204)

    app = web.Application()
    app.router.add_get("/stream", stream)
    app.router.add_get("/ws", socket_)
    app.router.add_get("/await", whole)
    return app


def _listening() -> socket.socket:
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    return listening


async def _uvicorn(listening: socket.socket) -> None:
    uvicorn = importlib.import_module("uvicorn")
    config = uvicorn.Config(asgi, log_level="warning", access_log=False)
    await uvicorn.Server(config).serve(sockets=[listening])


async def _hypercorn(listening: socket.socket) -> None:
    hypercorn = importlib.import_module("hypercorn.asyncio")
    config = importlib.import_module("hypercorn.config").Config()
    config.bind = [f"fd://{listening.fileno()}"]
    config.loglevel = "WARNING"
    await hypercorn.serve(asgi, config)


async def _aiohttp(listening: socket.socket) -> None:
    runner = web.AppRunner(aiohttp_app(), access_log=None)
    await runner.setup()
    await web.SockSite(runner, listening).start()
    await asyncio.Event().wait()


def _tell(port: int) -> None:
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()


def _granian() -> None:
    granian = importlib.import_module("granian")
    # It wants a number, and listens only in its worker.
    with _listening() as free:
        port = free.getsockname()[1]
    _tell(port)
    server = granian.Granian(
        "tests.web.apps:asgi",
        address="127.0.0.1",
        port=port,
        interface="asgi",
        workers=1,
        log_enabled=False,
    )
    server.serve()


def main() -> None:
    """Serve until the process is killed."""
    name = sys.argv[1]
    if name == "granian":
        _granian()
        return
    listening = _listening()
    _tell(listening.getsockname()[1])
    serving = {"uvicorn": _uvicorn, "hypercorn": _hypercorn, "aiohttp": _aiohttp}[name]
    asyncio.run(serving(listening))


if __name__ == "__main__":
    main()
