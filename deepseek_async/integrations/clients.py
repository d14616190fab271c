"""Clients that the shards of one process share, one after the other.

A client finds out by trying how much the server takes. Shards of a few seconds would spend most of
them on that, each for itself.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any
from weakref import WeakKeyDictionary

from deepseek_async import AsyncDeepSeek
from deepseek_async.batch import ShardSettings

# How long a client waits for the next shard, in seconds.
_KEPT_FOR = 30.0


class _Shared:
    """A client, and how many shards use it."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options
        self.client = AsyncDeepSeek(**options)
        self.users = 0
        self.timer: asyncio.TimerHandle | None = None


# Those of each event loop, where alone they can be used.
_clients: WeakKeyDictionary[asyncio.AbstractEventLoop, list[_Shared]] = WeakKeyDictionary()
_closing: set[asyncio.Task[None]] = set()


@asynccontextmanager
async def shared_client(settings: ShardSettings) -> AsyncGenerator[AsyncDeepSeek]:
    """Give a client with the options of some settings; it is closed when nobody wants it longer.

    Raises:
        PreflightError: If an option can't be meant, or there is no key.
    """
    loop = asyncio.get_running_loop()
    there = _clients.setdefault(loop, [])
    options = settings.of_client()
    shared = next((each for each in there if each.options == options), None)
    if shared is None:
        shared = _Shared(options)
        there.append(shared)
    if shared.timer is not None:
        shared.timer.cancel()
    shared.users += 1
    try:
        yield shared.client
    finally:
        shared.users -= 1
        if not shared.users:
            shared.timer = loop.call_later(_KEPT_FOR, _close, loop, shared)


def _close(loop: asyncio.AbstractEventLoop, shared: _Shared) -> None:
    _clients[loop].remove(shared)
    task = loop.create_task(shared.client.aclose())
    _closing.add(task)
    task.add_done_callback(_closing.discard)
