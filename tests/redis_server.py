"""A redis-server of the tests' own."""

import importlib.util
import shutil

import pytest

from benchmarks.distributed.redis_server import RedisServer

__all__ = ["RedisServer", "require_redis"]


def require_redis() -> None:
    """Skip the test where there is no Redis."""
    if importlib.util.find_spec("redis") is None:
        pytest.skip("redis-py is not installed")
    if shutil.which("redis-server") is None:
        pytest.skip("there is no redis-server")
