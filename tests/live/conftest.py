"""The stores that runs are kept in."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from deepseek_async.live import LogStore, MemoryLogStore
from tests.redis_server import RedisServer, require_redis


@pytest.fixture(params=["memory", "redis"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[LogStore]:
    """A store of each kind."""
    if request.param == "memory":
        yield MemoryLogStore()
        return
    require_redis()
    from deepseek_async.integrations.redis import RedisLogStore

    with RedisServer(tmp_path) as server:
        async with RedisLogStore(server.url) as kept:
            yield kept
