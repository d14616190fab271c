"""A client whose requests go nowhere.

aioresponses hands over a whole body at once and knows no broken connection: streams are tested
over real sockets, in tests/loopback.
"""

import random
from collections.abc import AsyncIterator, Iterator
from typing import Any
from unittest.mock import Mock

import aiohttp
import pytest
from aioresponses import aioresponses

from deepseek_async import AsyncDeepSeek

from .fake_api import KEY, FakeAPI


# aioresponses 0.7.9 doesn't pass stream_writer, which aiohttp 3.14 requires
# (pnuckowski/aioresponses#289). Delete this class once a release does.
class Response(aiohttp.ClientResponse):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("stream_writer", Mock(output_size=0))
        super().__init__(*args, **kwargs)


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what the machine is set to out of the tests."""
    for name in ("API_KEY", "BASE_URL", "API_BASE", "DIALECT"):
        monkeypatch.delenv(f"DEEPSEEK_{name}", raising=False)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(autouse=True)
def _no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the jitter be 0, so that retries follow at once."""
    monkeypatch.setattr(random, "random", lambda: 0.0)


@pytest.fixture
def api() -> Iterator[FakeAPI]:
    """What answers in place of DeepSeek."""
    with aioresponses() as mock:
        yield FakeAPI(mock, Response)


@pytest.fixture
async def client(api: FakeAPI) -> AsyncIterator[AsyncDeepSeek]:
    """A client with default options, but for the key."""
    async with AsyncDeepSeek(KEY) as client:
        yield client
