"""Running simulators."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest

from deepseek_async.simulator import Simulator

from .loopback import GUARD_SECONDS, Client

Start = Callable[..., Awaitable[Client]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """What starts simulators and stops them in the end; takes the options of one."""
    async with AsyncExitStack() as stack:

        async def starter(**options: Any) -> Client:
            sim = await stack.enter_async_context(Simulator(**options))
            session = await stack.enter_async_context(
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=GUARD_SECONDS))
            )
            return Client(sim, session)

        yield starter


@pytest.fixture
async def client(start: Start) -> Client:
    """A client of a simulator with default options."""
    return await start()
