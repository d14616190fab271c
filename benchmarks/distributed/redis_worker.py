"""One of several processes that share something through Redis.

Run: python -m benchmarks.distributed.redis_worker calls|shard REDIS UPSTREAM TOTAL DIRECTORY, or
web REDIS UPSTREAM. Each says a line when it has begun, and ends with its standard input; callers
then tell how many of their requests were answered, and how many failed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections import Counter
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from deepseek_async import AsyncDeepSeek, DeepSeekError
from deepseek_async.batch import ShardSettings, run_shard
from deepseek_async.integrations.redis import RedisLimiter, RedisLogStore
from deepseek_async.live import Live
from deepseek_async.web import live_aiohttp

# More than the share of a process, whatever it is.
_CALLERS = 120

# Of web processes, in seconds: three to four of these without a sign, and a run is lost.
_SIGN_EVERY = 1.0

_BODY: dict[str, Any] = {
    "messages": [{"role": "user", "content": "Hi"}],
    "thinking": {"type": "disabled"},
    "max_tokens": 8,
}


def _client(upstream: str) -> AsyncDeepSeek:
    return AsyncDeepSeek(
        "sk-simulated", base_url=upstream, dialect="deepseek", trust_env=False, max_retries=0
    )


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def _until_stdin_ends(work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.create_task(work)
    loop = asyncio.get_running_loop()
    ended = asyncio.ensure_future(loop.run_in_executor(None, sys.stdin.read))
    await asyncio.wait([task, ended], return_when=asyncio.FIRST_COMPLETED)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    await ended


async def calls(limiter: RedisLimiter, upstream: str) -> Counter[str]:
    """Make calls, as a busy web worker does."""
    counts: Counter[str] = Counter()

    async def call_again_and_again(client: AsyncDeepSeek) -> None:
        while True:
            try:
                await client.chat.completions.create(model="deepseek-flash", **_BODY)
            except DeepSeekError as exc:
                counts["failed"] += 1
                counts[f"{type(exc).__name__}: {exc}"] += 1
            else:
                counts["answered"] += 1

    async def work() -> None:
        async with limiter, _client(upstream) as client, client.limited_by(limiter):
            _say("begun")
            async with asyncio.TaskGroup() as group:
                for _ in range(_CALLERS):
                    group.create_task(call_again_and_again(client))

    await _until_stdin_ends(work())
    return counts


async def shard(limiter: RedisLimiter, upstream: str, directory: Path) -> Counter[str]:
    """Send requests, as a batch process does."""
    name = f"shard-{os.getpid()}"

    def endless() -> Iterator[dict[str, Any]]:
        number = 0
        while True:
            number += 1
            yield {"custom_id": str(number), "body": _BODY}

    async def work() -> None:
        settings = ShardSettings(
            api_key="sk-simulated",
            base_url=upstream,
            dialect="deepseek",
            model="deepseek-flash",
            cache="off",
        )
        async with limiter:
            _say("begun")
            await run_shard(endless(), directory, name, settings=settings, limiter=limiter)

    await _until_stdin_ends(work())
    return Counter(
        answered=_lines(directory / f"{name}.jsonl"),
        failed=_lines(directory / f"{name}.errors.jsonl"),
    )


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


async def serve(store: RedisLogStore, upstream: str) -> None:
    """Serve runs: ``POST /start/ID`` here, and ``/runs`` of any process."""
    async with (
        store,
        _client(upstream) as client,
        Live(store=store, sign_every=_SIGN_EVERY) as live,
    ):

        async def start(request: web.Request) -> web.Response:
            body: Any = {"messages": _BODY["messages"]}
            await live.start(
                lambda: client.chat.completions.stream(model="deepseek-flash", **body),
                id=request.match_info["id"],
                on_disconnect="continue",
            )
            return web.Response(status=204)

        app = web.Application()
        app.router.add_post("/start/{id}", start)
        app.add_subapp("/runs", live_aiohttp(live, lambda *_: True))
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            _say(str(runner.addresses[0][1]))
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()


def main() -> None:
    manner, redis, upstream, *more = sys.argv[1:]
    if manner == "web":
        asyncio.run(_until_stdin_ends(serve(RedisLogStore(redis), upstream)))
        return
    limiter = RedisLimiter(redis, int(more[0]))
    work = calls(limiter, upstream)
    if manner == "shard":
        work.close()
        work = shard(limiter, upstream, Path(more[1]))
    _say(msgspec.json.encode(asyncio.run(work)).decode())


if __name__ == "__main__":
    main()
