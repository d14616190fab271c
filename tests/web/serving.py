"""Servers in the event loop of the test, on real sockets."""

import asyncio
import importlib
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from tests.web.browser import GUARD, until


@asynccontextmanager
async def serving(app: Any) -> AsyncGenerator[int]:
    """Serve an ASGI application with uvicorn, or one of aiohttp.web with itself; yield the port."""
    if isinstance(app, web.Application):
        async with serving_aiohttp(app) as port:
            yield port
        return
    pytest.importorskip("uvicorn", reason="uvicorn is not installed")
    uvicorn = importlib.import_module("uvicorn")
    config = uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off")
    server = uvicorn.Server(config)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        running = asyncio.create_task(server.serve(sockets=[listening]))
        await until(lambda: bool(server.started))
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            async with asyncio.timeout(GUARD):
                await running


@asynccontextmanager
async def serving_aiohttp(app: web.Application) -> AsyncGenerator[int]:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=5)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def tasks() -> set[str]:
    """Return the names of the tasks that run beside the test's own."""
    current = asyncio.current_task()
    return {task.get_name() for task in asyncio.all_tasks() if task is not current}
