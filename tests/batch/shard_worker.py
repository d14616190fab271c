"""Shards in processes of their own, and permits that come to them from this one."""

import asyncio
import multiprocessing
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import msgspec

from deepseek_async.batch.leases import Leases, Stats
from deepseek_async.batch.shard import ShardSettings, run_shard
from deepseek_async.batch.shard_report import ShardReport


class _Question(msgspec.Struct):
    worker: str
    want: int
    stats: Stats | None


class RemoteLeases:
    """Asks the process with the leases; one connection for each question."""

    def __init__(self, port: int, ttl: float) -> None:
        self._port = port
        self.ttl = ttl

    async def renew(self, worker: str, want: int, stats: Stats) -> int:
        return await self._ask(_Question(worker, want, stats))

    async def drop(self, worker: str) -> None:
        await self._ask(_Question(worker, 0, None))

    async def _ask(self, question: _Question) -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            writer.write(msgspec.json.encode(question) + b"\n")
            return int(await reader.readline())
        finally:
            writer.close()
            await writer.wait_closed()


@asynccontextmanager
async def serving(leases: Leases) -> AsyncIterator[RemoteLeases]:
    """Answer the questions of other processes."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await reader.readline()
        if line:
            question = msgspec.json.decode(line, type=_Question)
            permits = 0
            if question.stats is None:
                await leases.drop(question.worker)
            else:
                permits = await leases.renew(question.worker, question.want, question.stats)
            writer.write(b"%d\n" % permits)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield RemoteLeases(server.sockets[0].getsockname()[1], leases.ttl)


class ShardProcess:
    """A process that runs one shard."""

    def __init__(
        self,
        source: list[Any],
        out_dir: Path,
        shard_id: int,
        settings: ShardSettings,
        limiter: RemoteLeases,
    ) -> None:
        context = multiprocessing.get_context("spawn")
        self._end, end = context.Pipe(duplex=False)
        arguments = (end, source, out_dir, shard_id, settings, limiter)
        self._process: BaseProcess = context.Process(target=_main, args=arguments, daemon=True)
        self._process.start()
        end.close()

    async def report(self) -> ShardReport:
        """Wait for its end and return what it sent."""
        report: ShardReport = await asyncio.to_thread(self._end.recv)
        await asyncio.to_thread(self._process.join)
        return report

    async def kill(self) -> None:
        """End it as kill -9 does."""
        self._process.kill()
        await asyncio.to_thread(self._process.join)
        self._end.close()


def _main(end: Any, source: Any, out_dir: Path, *rest: Any) -> None:
    shard_id, settings, limiter = rest
    os.environ["DEEPSEEK_API_KEY"] = "sk-of-the-worker"
    report = asyncio.run(run_shard(source, out_dir, shard_id, settings=settings, limiter=limiter))
    end.send(report)
