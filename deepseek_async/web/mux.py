"""Several runs on one stream, each at its own pace."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing

import msgspec

from deepseek_async.live import Run
from deepseek_async.web.encoding import BEGUN, HEADERS, HEARTBEAT
from deepseek_async.web.formats.native import object_with_cursor
from deepseek_async.web.leaving import end
from deepseek_async.web.telling import Reply, is_told


class Mux:
    """One response with the events of several runs, in the native format.

    Nothing is queued: each run's reader waits while another one writes, and while the client does
    not read; what it missed comes in one batch.

    Args:
        reply: Where to.
        heartbeat: Seconds of silence between signs of life; None: none.
        show_errors: Whether readers may see the texts of exceptions.
    """

    def __init__(self, reply: Reply, heartbeat: float | None, *, show_errors: bool) -> None:
        self._reply = reply
        self._heartbeat = heartbeat
        self._show_errors = show_errors
        self._loop = asyncio.get_running_loop()
        self._lock = asyncio.Lock()
        self._written_at = self._loop.time()

    async def tell(self, runs: Sequence[tuple[Run, str | None]], unknown: Sequence[str]) -> None:
        """Tell of runs, each after its cursor, until all have ended."""
        left = [(run, after) for run, after in runs if not is_told(run, after)]
        if not left and not unknown:
            await self._reply.start(204, {})
            await self._reply.end()
            return
        await self._reply.start(200, HEADERS)
        await self._reply.write(BEGUN + b"".join(map(_unknown, unknown)))
        tasks = {self._loop.create_task(self._follow(run, after)) for run, after in left}
        try:
            await self._until_done(tasks)
        finally:
            await end(*tasks)
        await self._reply.end()

    async def _follow(self, run: Run, after: str | None) -> None:
        async with aclosing(run.read(after, None)) as batches:
            async for batch in batches:
                data = object_with_cursor(run, batch, show_errors=self._show_errors)
                await self._write(b"data: %b\n\n" % data)

    async def _write(self, data: bytes) -> None:
        async with self._lock:
            await self._reply.write(data)
        self._written_at = self._loop.time()

    async def _until_done(self, tasks: "set[asyncio.Task[None]]") -> None:
        """Wait for all readers, and show meanwhile that we are alive."""
        pending = tasks
        while pending:
            timeout = None
            if self._heartbeat is not None:
                timeout = max(0.0, self._written_at + self._heartbeat - self._loop.time())
            done, pending = await asyncio.wait(
                pending, timeout=timeout, return_when=asyncio.FIRST_EXCEPTION
            )
            for task in done:
                task.result()
            silent = self._loop.time() - self._written_at
            if pending and self._heartbeat is not None and silent >= self._heartbeat:
                await self._write(HEARTBEAT)


def _unknown(run_id: str) -> bytes:
    """Return how a run is told of that is not there, or not any more."""
    data = msgspec.json.encode({"run": run_id, "d": [], "done": {"status": "unknown"}})
    return b"data: %b\n\n" % data
