"""A relay in a server, in a process of its own.

Run: python -m benchmarks.realtime.serve APP SERVER UPSTREAM CORE HEARTBEAT (it prints its port)
"""

from __future__ import annotations

import asyncio
import ctypes
import importlib
import logging
import os
import signal
import socket
import sys
from typing import Any

from benchmarks.machine import raise_descriptor_limit
from benchmarks.realtime.processes import keep_to, start_line

SERVERS = ("uvicorn", "hypercorn", "granian", "aiohttp")
# Application -> where it is: called with the upstream's address, ours with the heartbeat too.
_OURS = {"asgi": "asgi_app:Asgi", "aiohttp": "aiohttp_app:build", "fastapi": "fastapi_app:build"}
_PEERS = {"fastapi-openai": "peers:fastapi_openai", "floor": "peers:Floor"}
_BACKLOG = 8192
_PR_SET_PDEATHSIG = 1

# What a worker of granian, a process of its own, builds its application of.
_ADDRESS = "BENCHMARK_UPSTREAM"
_HEARTBEAT = "BENCHMARK_HEARTBEAT"


def build(app: str, upstream: str, heartbeat: float) -> Any:
    """Return an application: ``asgi``, ``aiohttp``, ``fastapi``, or a peer."""
    module, _, name = {**_OURS, **_PEERS}[app].partition(":")
    make = getattr(importlib.import_module(f"benchmarks.realtime.{module}"), name)
    return make(upstream) if app in _PEERS else make(upstream, heartbeat)


def build_for_granian() -> Any:
    """Return our ASGI application, in a worker of granian."""
    # Whoever ends the process that started it should not have to know of the worker.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    return build("asgi", os.environ[_ADDRESS], float(os.environ[_HEARTBEAT]))


def _listen() -> socket.socket:
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", 0))
    listening.listen(_BACKLOG)
    return listening


async def _uvicorn(app: Any, listening: socket.socket, log_level: str) -> None:
    import uvicorn

    config = uvicorn.Config(
        app, http="httptools", log_level=log_level, access_log=False, backlog=_BACKLOG
    )
    await uvicorn.Server(config).serve(sockets=[listening])


async def _hypercorn(app: Any, listening: socket.socket, log_level: str) -> None:
    hypercorn = importlib.import_module("hypercorn.asyncio")
    config = importlib.import_module("hypercorn.config").Config()
    config.bind = [f"fd://{listening.fileno()}"]
    config.backlog = _BACKLOG
    config.loglevel = log_level
    await hypercorn.serve(app, config)


async def _aiohttp(app: Any, listening: socket.socket, _log_level: str) -> None:
    from aiohttp import web

    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.SockSite(runner, listening, backlog=_BACKLOG).start()
    await asyncio.Event().wait()


def _granian(upstream: str, heartbeat: float) -> None:
    granian = importlib.import_module("granian")
    os.environ[_ADDRESS], os.environ[_HEARTBEAT] = upstream, str(heartbeat)
    # It wants a number.
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = granian.Granian(
        "benchmarks.realtime.serve:build_for_granian",
        address="127.0.0.1",
        port=port,
        interface="asgi",
        factory=True,
        workers=1,
        log_enabled=False,
    )
    # Listens only in its worker; browsers try again until it does.
    start_line(port)
    server.serve()


async def _serve(app: str, server: str, upstream: str, heartbeat: float) -> None:
    listening = _listen()
    start_line(listening.getsockname()[1])
    built = build(app, upstream, heartbeat)
    serving = {"uvicorn": _uvicorn, "hypercorn": _hypercorn, "aiohttp": _aiohttp}[server]
    # Peers that can't keep up time out, each with a long traceback; their figures say so.
    await serving(built, listening, "critical" if app in _PEERS else "warning")


def main() -> None:
    app, server, upstream, core, heartbeat = sys.argv[1:]
    keep_to(int(core))
    raise_descriptor_limit()
    logging.basicConfig(level=logging.WARNING)
    if server == "granian":
        _granian(upstream, float(heartbeat))
        return
    import uvloop

    uvloop.run(_serve(app, server, upstream, float(heartbeat)))


if __name__ == "__main__":
    main()
