"""One part of a large batch, for one of several processes or machines.

:func:`run_shard` knows no engine: what it takes and returns can be sent to workers of Dask or Ray,
or be made by the tasks of a Slurm job. Each shard has its own results file, which is its journal,
so that one whose worker died is run again and goes on. :func:`merge_shards` checks and joins them.
"""

import os
import secrets
import socket
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal

import anyio.to_thread
import msgspec

from deepseek_async.batch.files import file_error
from deepseek_async.batch.leases import LeaseLimiter
from deepseek_async.batch.options import CacheOption, Durability, JobOptions, On402, Schedule
from deepseek_async.batch.paths import BatchPaths
from deepseek_async.batch.renewal import Renewal
from deepseek_async.batch.shard_report import (
    ShardReport,
    StoredReport,
    forget_report,
    shard_path,
    store_report,
)
from deepseek_async.batch.source import Requests
from deepseek_async.client import AsyncDeepSeek
from deepseek_async.errors import BatchSettingsError
from deepseek_async.types.batch import Budget
from deepseek_async.types.options import Timeouts

# Options of the client; all others are those of the job.
_OF_CLIENT = (
    "api_key",
    "base_url",
    "dialect",
    "timeout",
    "default_headers",
    "proxy",
    "trust_env",
    "preflight",
    "reasoning_replay",
)

# What may hold a key or a password.
_HIDDEN = frozenset({"api_key", "default_headers", "proxy"})


class ShardSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How shards are run: options of :class:`AsyncDeepSeek` and of its ``batch``.

    They are documented there. Can be pickled if the functions and the type in it can, which those
    of modules can. The same settings are meant for all shards; a budget is one for each.

    Raises:
        PreflightError: If an option of the batch can't be meant.
    """

    api_key: str | None = None
    """None: each worker takes the ``DEEPSEEK_API_KEY`` of its own environment, and no key is sent
    around. Never shown."""

    base_url: str | None = None
    dialect: Literal["auto", "deepseek", "generic"] = "auto"
    timeout: Timeouts | float | None = Timeouts()
    default_headers: Mapping[str, str] | None = None
    proxy: str | None = None
    trust_env: bool = True
    preflight: Literal["on", "off"] = "on"
    reasoning_replay: Literal["keep", "drop", "backfill"] = "keep"

    model: str | None = None
    map: Callable[[Any], Any] | None = None
    response_model: type[Any] | None = None
    max_concurrency: int | Literal["auto"] = "auto"
    """Most requests of one shard at once. A limiter can only lower it."""

    dedupe: bool = False
    budget: Budget | None = None
    cache: CacheOption = "auto"
    schedule: Schedule = "any"
    deadline: datetime | None = None
    is_holiday: Callable[[date], bool] | None = None
    on_402: On402 = "stop"
    durability: Durability = "group"
    retry: bool = False
    force: bool = False

    def __post_init__(self) -> None:
        # Here rather than in the first worker.
        JobOptions(**self.of_job())

    def of_client(self) -> dict[str, Any]:
        """Return the options of the client."""
        return {name: getattr(self, name) for name in _OF_CLIENT}

    def of_job(self) -> dict[str, Any]:
        """Return the options of the job."""
        names = (name for name in self.__struct_fields__ if name not in _OF_CLIENT)
        return {name: getattr(self, name) for name in names}

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        fields = zip(self.__struct_fields__, self.__struct_defaults__, strict=True)
        return [
            (name, value)
            for name, default in fields
            if name not in _HIDDEN and (value := getattr(self, name)) != default
        ]

    def __repr__(self) -> str:
        shown = [f"{name}={value!r}" for name, value in self.__rich_repr__()]
        return f"ShardSettings({', '.join(shown)})"


async def run_shard(
    source: Requests,
    out_dir: str | os.PathLike[str],
    shard_id: str | int,
    *,
    settings: ShardSettings,
    limiter: LeaseLimiter | None = None,
    resume: bool = True,
    client: AsyncDeepSeek | None = None,
) -> ShardReport:
    """Run one shard, and return what it did.

    Run again, it goes on where it ended, whatever ended it: by itself a shard loses nothing and has
    no result twice. Those requests are paid again that were under way when its process was killed,
    or answered in its last 20 milliseconds.

    Args:
        source: The requests of this shard, as for ``client.batch``. Best some hundreds or thousands
            of them, and those with a common beginning in the same shard.
        out_dir: Where the files of all shards are, on a disk that outlives the worker. It is
            created if need be.
        shard_id: Names the shard and its files: the results are in ``<shard_id>.jsonl``.
        settings: How to run it.
        limiter: Divides the limit of the account between the shards that run at the same time. It
            counts requests to one model; with several models, the same number holds for each.
            None: each shard finds the limit by trying, as ``client.batch`` does.
        resume: False: refuse to run if the shard has been begun before.
        client: An open one with the options of the settings, which stays open: what it has found
            out about the server's limit, one shard after the other begins with. None: the shard has
            one of its own.

    Raises:
        PreflightError: If an option can't be meant, or there is no key.
        BatchLockedError: If the shard is running already.
        BatchSettingsError: If it was begun with other settings, or begun at all without ``resume``.
        BatchError: If the source can't be read or the results not be written.
    """
    directory = Path(out_dir)
    path = shard_path(directory, shard_id)
    await anyio.to_thread.run_sync(_prepare, path, resume)
    worker = f"{socket.gethostname()}:{os.getpid()}"
    own = None if client is not None else AsyncDeepSeek(**settings.of_client())
    client = client or own
    assert client is not None
    job = client.batch(source, out=path, **settings.of_job())
    async with AsyncExitStack() as stack:
        # Given back last, when nothing is under way any more.
        if limiter is not None:
            # A shard that is run again is another worker: what the killed one sent still counts.
            name = f"{path.stem}@{worker}/{secrets.token_hex(4)}"
            renewal = Renewal(job, limiter, name, first=job.learned_limit)
            await stack.enter_async_context(renewal)
        if own is not None:
            await stack.enter_async_context(own)
        await stack.enter_async_context(job)
        await anyio.to_thread.run_sync(forget_report, path)
        report = ShardReport.of(await job.run(), path.stem, path, worker)
        stored = StoredReport(
            report=report, is_deepseek=client.dialect == "deepseek", dedupe=settings.dedupe
        )
        await anyio.to_thread.run_sync(store_report, path, stored)
    return report


def _prepare(path: Path, resume: bool) -> None:
    """Make the directory, and make sure that a shard that must be new is new."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise file_error(path, exc) from exc
    if not resume and BatchPaths.of(path).meta.exists():
        raise BatchSettingsError(
            f"the shard {path.stem} has been begun in {path.parent} before; pass resume=True to go "
            "on with it, or choose another directory"
        )
