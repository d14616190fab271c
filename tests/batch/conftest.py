"""A simulator for each test of the engine."""

from collections.abc import AsyncIterator

import pytest

from deepseek_async import AsyncDeepSeek
from deepseek_async.simulator import Simulator


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator() as simulator:
        yield simulator


@pytest.fixture
async def client(sim: Simulator) -> AsyncIterator[AsyncDeepSeek]:
    async with sim.client() as client:
        yield client
