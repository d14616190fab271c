"""The clusters: two local processes of each."""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, Protocol

from deepseek_async.batch import ShardReport, ShardSettings
from deepseek_async.batch.shard_parts import ShardPart
from deepseek_async.integrations.dask import map_dask
from deepseek_async.integrations.ray import map_ray

WORKERS = 2

# Shards that a process runs at once: while one ends, the other one goes on.
_AT_ONCE = 2


class Engine(Protocol):
    """A cluster that runs."""

    def run(
        self, parts: list[ShardPart], out_dir: Path, settings: ShardSettings, limit: int
    ) -> Iterator[ShardReport]:
        """Run the shards; checks at the end that each item is there once."""
        ...

    def kill_worker(self, reports: list[ShardReport]) -> None:
        """End a worker as kill -9 does."""
        ...


class _Dask:
    def __init__(self, client: Any) -> None:
        self._client = client

    def run(
        self, parts: list[ShardPart], out_dir: Path, settings: ShardSettings, limit: int
    ) -> Iterator[ShardReport]:
        return map_dask(self._client, parts, out_dir, settings=settings, max_concurrency=limit)

    def kill_worker(self, reports: list[ShardReport]) -> None:
        os.kill(min(self._client.run(os.getpid).values()), signal.SIGKILL)


class _Ray:
    def __init__(self, ray: Any) -> None:
        self._ray = ray

    def run(
        self, parts: list[ShardPart], out_dir: Path, settings: ShardSettings, limit: int
    ) -> Iterator[ShardReport]:
        # A process of Ray runs one task at a time: these are as many processes.
        return map_ray(parts, out_dir, settings=settings, max_concurrency=limit)

    def kill_worker(self, reports: list[ShardReport]) -> None:
        # It is running another shard by now.
        os.kill(int(reports[-1].worker.rpartition(":")[2]), signal.SIGKILL)


def _warm() -> None:
    """Import in a worker what this process has imported before it is measured."""
    for name in ("aiohttp", "deepseek_async.batch.shard", "deepseek_async.simulator"):
        importlib.import_module(name)
    # So that each process of Ray gets one of these, and has started.
    time.sleep(1.0)


@contextlib.contextmanager
def dask_engine() -> Generator[Engine]:
    """Start Dask."""
    distributed: Any = importlib.import_module("distributed")
    cluster = distributed.LocalCluster(
        n_workers=WORKERS,
        threads_per_worker=_AT_ONCE,
        dashboard_address="127.0.0.1:0",
        memory_limit=0,
    )
    with cluster, distributed.Client(cluster) as client:
        client.run(_warm)
        yield _Dask(client)


@contextlib.contextmanager
def ray_engine() -> Generator[Engine]:
    """Start Ray."""
    ray: Any = importlib.import_module("ray")
    ray.init(address="local", num_cpus=WORKERS, include_dashboard=False, log_to_driver=False)
    try:
        ray.get([ray.remote(_warm).remote() for _ in range(WORKERS)])
        yield _Ray(ray)
    finally:
        ray.shutdown()


ENGINES = {"dask": dask_engine, "ray": ray_engine}
