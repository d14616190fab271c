"""Shards of a batch on a Dask cluster: ``pip install "deepseek-async[dask]"``.

:func:`map_dask` runs each shard as one task. The limit of the account holds over all workers: the
scheduler, which lives as long as the cluster, divides it into permits that expire unless renewed.
The results stay in the files of the shards, on storage that all workers share.
"""

import contextlib
import importlib
import os
import queue
import secrets
import time
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Any

import msgspec

from deepseek_async.batch import MergeReport, ShardReport, ShardSettings
from deepseek_async.batch.source import Requests
from deepseek_async.errors import BatchError, PreflightError
from deepseek_async.integrations.boards import (
    TTL,
    Asked,
    BoardLimiter,
    Failure,
    Heard,
    limit_of,
    run_task,
)
from deepseek_async.integrations.dask_boards import HANDLER, open_board
from deepseek_async.integrations.driving import Drive, OnProgress, run

#: Concurrent requests of an account if nobody says how many, nor which model.
MAX_CONCURRENCY = 2500

# How long shards that are ended may take, and how often to look, in seconds.
_ENDS_WITHIN, _LOOK_EVERY = 2 * TTL, 0.1


def map_dask(
    client: Any,
    shards: Iterable[Requests],
    out_dir: str | os.PathLike[str],
    *,
    settings: ShardSettings,
    max_concurrency: int | None = None,
    retries: int = 3,
    progress: OnProgress | None = None,
    into: str | os.PathLike[str] | None = None,
    check: bool = True,
) -> Generator[ShardReport, None, MergeReport | None]:
    """Run shards on a Dask cluster, and yield their reports as they come to their end.

    A shard whose worker is lost runs again on another one and goes on from its journal; what was
    under way there is paid again. A shard that fails is tried again, and told of at the end, when
    all others are finished. Closing the generator, Ctrl-C, and the end of the client's process stop
    the shards within some seconds. The same call made again goes on in all these cases.

    Args:
        client: A ``distributed.Client``, a synchronous one. Its workers and its scheduler have the
            same version of this library, and the workers a ``DEEPSEEK_API_KEY``, unless the
            settings have one.
        shards: The source of each shard: parts of a file from :func:`split_requests`, or anything
            that :func:`run_shard` takes and that can be pickled, such as a short list. They are
            numbered from 0, and read only as far ahead as there are workers.
        out_dir: Where the results are, on storage that all workers and this process share.
        settings: How to run them.
        max_concurrency: Most requests at once, of all workers together. None: what DeepSeek
            documents for the model of the settings; 2,500 where there is none.
        retries: How often a shard that fails is run again. Another try after the loss of a worker
            is up to Dask (``distributed.scheduler.allowed-failures``).
        progress: Called about twice a second with :class:`ShardsProgress`.
        into: Write the results of all shards to this file at the end, as :func:`merge_shards` does.
        check: False: don't make sure at the end that each item is there exactly once, nor at the
            beginning that the directory has no shards of another file; for a process that doesn't
            see the files.

    Returns:
        A generator. What it returns at the end is the report of :func:`merge_shards`.

    Raises:
        ImportError: If ``distributed`` is not installed.
        PreflightError: If the client is none, or an asynchronous one, the limit is below 1, or the
            shards are none.
        BatchError: While iterating: a shard can't be pickled or failed for good, the scheduler is
            gone, the directory has the shards of another file, or, at the end, an item is missing
            or there twice. What is finished is kept.
    """
    distributed = import_distributed()
    if getattr(client, "asynchronous", False):
        raise PreflightError(
            "map_dask takes a synchronous Client; in a program with an event loop, run it in a "
            "thread with one: asyncio.to_thread(..., Client(address))"
        )
    if not isinstance(client, distributed.Client):
        raise PreflightError(
            f"map_dask takes a distributed.Client, not a {type(client).__name__}: "
            "distributed.Client(address)"
        )
    limit = limit_of(settings, max_concurrency, MAX_CONCURRENCY)
    directory = Path(out_dir).absolute()
    cluster = _DaskCluster(client, directory, settings, limit)
    drive = Drive(
        cluster,
        shards,
        directory,
        settings=settings,
        retries=retries,
        progress=progress,
        into=into,
        check=check,
    )
    return run(drive)


def import_distributed() -> Any:
    """Return the module ``distributed``.

    Raises:
        ImportError: If it is not installed.
    """
    try:
        return importlib.import_module("distributed")
    except ImportError as exc:
        raise ImportError(
            'to run on Dask takes the library distributed: pip install "deepseek-async[dask]"',
            name="distributed",
        ) from exc


class _DaskCluster:
    """A cluster as the drive sees it."""

    def __init__(
        self, client: Any, out_dir: Path, settings: ShardSettings, max_concurrency: int
    ) -> None:
        self._client = client
        self._out_dir = str(out_dir)
        self._settings = settings
        self._max_concurrency = max_concurrency
        self._run = f"{client.id}/{secrets.token_hex(8)}"
        self._is_open = False
        self._futures: dict[int, Any] = {}
        # Filled by a thread of Dask.
        self._done: queue.SimpleQueue[int] = queue.SimpleQueue()

    def capacity(self) -> int:
        """Return how many shards can run at once, by now."""
        with self._talking():
            return sum(self._client.nthreads().values())

    def submit(self, source: Requests, shard_id: int) -> None:
        """Have a shard run."""
        if not self._is_open:
            self._open()
        key = f"deepseek-shard-{shard_id}-{secrets.token_hex(4)}"
        task = (source, self._out_dir, shard_id, self._settings, self._run)
        self._look_for_scheduler()
        try:
            future = self._client.submit(_run_on_worker, *task, key=key, pure=False)
        except Exception as exc:
            # Nothing is waited for here: it is written, and sent a little later.
            raise BatchError(
                f"shard {shard_id} can't be sent to a worker ({type(exc).__name__}): its source, "
                "and the functions in the settings, must be such as can be pickled"
            ) from exc
        self._futures[shard_id] = future
        done = self._done

        def ended(_: Any) -> None:
            done.put(shard_id)

        future.add_done_callback(ended)

    def finished(self, seconds: float) -> list[tuple[int, ShardReport | Failure]]:
        """Wait for shards to end, not longer than so many seconds."""
        ended: list[int] = []
        try:
            ended.append(self._done.get(timeout=seconds))
            while True:
                ended.append(self._done.get_nowait())
        except queue.Empty:
            self._look_for_scheduler()
        return [(shard_id, self._result(shard_id)) for shard_id in ended]

    def heard(self) -> Heard:
        """Return what the workers do."""
        if not self._is_open:
            return Heard()
        return msgspec.convert(self._ask("heard"), Heard)

    def stop(self) -> None:
        """End the run, and wait some seconds for its shards."""
        futures, self._futures = list(self._futures.values()), {}
        if not self._is_open:
            return
        try:
            self._ask("stop")
            if futures:
                with self._talking():
                    self._client.cancel(futures)
                self._wait_until_idle()
            self._ask("close")
        except BatchError:
            # There is no scheduler any more, and its workers end by themselves.
            return

    def _wait_until_idle(self) -> None:
        deadline = time.monotonic() + _ENDS_WITHIN
        while self.heard().workers and time.monotonic() < deadline:
            time.sleep(_LOOK_EVERY)

    def _open(self) -> None:
        try:
            self._client.run_on_scheduler(
                open_board, run=self._run, client=self._client.id, total=self._max_concurrency
            )
        except Exception as exc:
            raise BatchError(
                f"the scheduler of Dask can't divide the limit ({type(exc).__name__}: {exc}); it "
                "takes deepseek_async of the same version where the scheduler is"
            ) from exc
        self._is_open = True

    def _result(self, shard_id: int) -> ShardReport | Failure:
        future = self._futures.pop(shard_id)
        try:
            result: ShardReport | Failure = future.result()
        except Exception as exc:
            # Dask has had its own tries, each with another worker.
            self._look_for_scheduler()
            return Failure(f"{type(exc).__name__}: {exc}", is_final=True)
        finally:
            future.release()
        return result

    def _look_for_scheduler(self) -> None:
        if self._client.status != "running":
            raise BatchError(
                f"the connection to the scheduler of Dask is {self._client.status}; what is "
                "finished is kept, make the same call again to go on"
            )

    def _ask(self, action: str, **values: Any) -> dict[str, Any]:
        with self._talking():
            ask = getattr(self._client.scheduler, HANDLER)
            answer: dict[str, Any] = self._client.sync(ask, run=self._run, action=action, **values)
        return answer

    @contextlib.contextmanager
    def _talking(self) -> Generator[None]:
        """Make one error of all that can be wrong with the scheduler."""
        self._look_for_scheduler()
        try:
            yield
        except Exception as exc:
            self._look_for_scheduler()
            raise BatchError(
                f"the scheduler of Dask does not answer: {type(exc).__name__}: {exc}; what is "
                "finished is kept, make the same call again to go on"
            ) from exc


# On the workers.


async def _run_on_worker(
    source: Requests, out_dir: str, shard_id: int, settings: ShardSettings, run_name: str
) -> ShardReport | Failure:
    scheduler = import_distributed().get_worker().scheduler

    async def ask(action: str, **values: Any) -> Asked:
        answer: Asked = await getattr(scheduler, HANDLER)(run=run_name, action=action, **values)
        return answer

    return await run_task(source, out_dir, shard_id, settings, BoardLimiter(ask))
