"""Shards of a batch on a Ray cluster: ``pip install "deepseek-async[ray]"``.

:func:`map_ray` runs each shard as one task; :func:`answer_dataset` does so with the rows of a Ray
dataset, and returns the answers as another. The limit of the account holds over all workers: an
actor that takes no CPU divides it into permits that expire unless renewed. The results stay in the
files of the shards, on storage that all nodes share.
"""

import asyncio
import functools
import importlib
import os
import threading
import warnings
from collections.abc import Generator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import msgspec

from deepseek_async.batch import BatchRequest, MergeReport, ShardReport, ShardSettings
from deepseek_async.batch.entries import Fields, read_fields
from deepseek_async.batch.export import export_results
from deepseek_async.batch.files import replace_file
from deepseek_async.batch.shard_parts import SIZE, split_requests
from deepseek_async.batch.source import Requests
from deepseek_async.errors import BatchError, PreflightError
from deepseek_async.integrations.boards import (
    TTL,
    Asked,
    Board,
    BoardLimiter,
    Failure,
    Heard,
    run_task,
)
from deepseek_async.integrations.driving import Drive, OnProgress, run

#: Concurrent requests of an account, unless told otherwise: those of deepseek-flash.
MAX_CONCURRENCY = 2500

# How long the actor may take to start or to answer, in seconds: Ray's own start is slow.
_PATIENCE = 60.0

_encode = msgspec.json.Encoder(enc_hook=lambda value: _as_plain(value)).encode


def map_ray(
    shards: Iterable[Requests],
    out_dir: str | os.PathLike[str],
    *,
    settings: ShardSettings,
    max_concurrency: int = MAX_CONCURRENCY,
    retries: int = 3,
    num_cpus: float = 1,
    progress: OnProgress | None = None,
    into: str | os.PathLike[str] | None = None,
    check: bool = True,
) -> Generator[ShardReport, None, MergeReport | None]:
    """Run shards on the Ray cluster of this process, and yield their reports as they end.

    A shard whose worker is lost runs again on another one and goes on from its journal; what was
    under way there is paid again. A shard that fails is tried again, and told of at the end, when
    all others are finished. Closing the generator and Ctrl-C stop the shards within some seconds.
    The same call made again goes on in all these cases.

    Args:
        shards: The source of each shard: parts of a file from :func:`split_requests`, or anything
            that :func:`run_shard` takes and that can be pickled, such as a short list. They are
            numbered from 0, and read only as far ahead as there are workers.
        out_dir: Where the results are, on storage that all nodes and this process share.
        settings: How to run them. Without a key in them, the workers take their own
            ``DEEPSEEK_API_KEY``.
        max_concurrency: Most requests at once, of all workers together.
        retries: How often a shard that fails is run again, and, counted apart, one whose worker is
            lost.
        num_cpus: What a shard takes of a node; with half a CPU, two run on each.
        progress: Called about twice a second with :class:`ShardsProgress`.
        into: Write the results of all shards to this file at the end, as :func:`merge_shards` does.
        check: False: don't make sure at the end that each item is there exactly once; for a process
            that doesn't see the files.

    Returns:
        A generator. What it returns at the end is the report of :func:`merge_shards`.

    Raises:
        ImportError: If Ray is not installed.
        PreflightError: If it is not initialized, or a number is not above 0.
        BatchError: While iterating: a shard failed for good, the actor is gone, or, at the end, an
            item is missing or there twice. What is finished is kept.
    """
    ray = import_ray()
    if not ray.is_initialized():
        raise PreflightError("map_ray needs a cluster: call ray.init() first")
    if num_cpus <= 0:
        raise PreflightError(f"num_cpus must be above 0, got {num_cpus!r}")
    # So that a limit that can't be one is found here.
    Board(max_concurrency)
    directory = Path(out_dir).absolute()
    cluster = _RayCluster(
        ray, directory, settings, max_concurrency, retries=retries, num_cpus=num_cpus
    )
    drive = Drive(cluster, shards, directory, retries=retries, progress=progress)
    return run(drive, into=None if into is None else Path(into), check=check)


def answer_dataset(
    dataset: Any,
    out_dir: str | os.PathLike[str],
    *,
    settings: ShardSettings,
    id_column: str = "custom_id",
    size: int = SIZE,
    max_concurrency: int = MAX_CONCURRENCY,
    retries: int = 3,
    num_cpus: float = 1,
    progress: OnProgress | None = None,
) -> Any:
    """Answer the rows of a Ray dataset; blocks, and returns the answers as a dataset.

    A row is a request as a batch takes it: with a ``body``, or with ``messages`` or a ``prompt``
    and the other options of one; or what ``settings.map`` makes a request of. Columns that a row
    leaves empty are left out of the request. The rows are written to ``out_dir`` first, once: the
    same call made again goes on with these.

    Args:
        dataset: A ``ray.data.Dataset``.
        out_dir: A directory for this dataset alone, on storage that all nodes and this process
            share. In the end ``answers.jsonl`` in it has the whole answers.
        settings: How to run the shards.
        id_column: The column that names a row; each has a name of its own.
        size: Rows of a shard.
        max_concurrency: As for :func:`map_ray`, and so are the others.
        retries: See there.
        num_cpus: See there.
        progress: See there.

    Returns:
        A dataset with a row for each request, in another order. Its columns are those of
        ``ResultRow``: ``custom_id``, ``content``, ``finish_reason``, ``cost_usd``, ``error`` and so
        on.

    Raises:
        ImportError: If Ray, or its part for datasets, is not installed.
        PreflightError: If the dataset has no such column, or a row no name.
        BatchError: As of :func:`map_ray`.
    """
    data = import_ray("ray.data")
    directory = Path(out_dir).absolute()
    directory.mkdir(parents=True, exist_ok=True)
    requests = directory / "requests.jsonl"
    if not requests.exists():
        columns: list[str] = dataset.columns() or []
        if id_column not in columns:
            raise PreflightError(
                f"the dataset has no column {id_column!r} to name its rows by, only "
                f"{', '.join(columns) or 'none at all'}; name another one with id_column"
            )
        # Under its name when it is complete.
        replace_file(requests, _request_lines(dataset.iter_rows(), settings, id_column))
    answers = directory / "answers.jsonl"
    reports = map_ray(
        split_requests(requests, size=size),
        directory / "shards",
        # What it makes has been written.
        settings=msgspec.structs.replace(settings, map=None),
        max_concurrency=max_concurrency,
        retries=retries,
        num_cpus=num_cpus,
        progress=progress,
        into=answers,
    )
    for _ in reports:
        continue
    table = directory / "answers.parquet"
    export_results(answers, table)
    return data.read_parquet(str(table))


def import_ray(name: str = "ray") -> Any:
    """Return a module of Ray.

    Raises:
        ImportError: If it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as exc:
        raise ImportError(
            f'to run on Ray takes the library {name}: pip install "deepseek-async[ray]" ({exc})',
            name=name,
        ) from exc


class _RayCluster:
    """A cluster as the drive sees it."""

    def __init__(
        self,
        ray: Any,
        out_dir: Path,
        settings: ShardSettings,
        max_concurrency: int,
        *,
        retries: int,
        num_cpus: float,
    ) -> None:
        self._ray = ray
        self._out_dir = str(out_dir)
        self._settings = settings
        self._max_concurrency = max_concurrency
        self._num_cpus = num_cpus
        self._task = ray.remote(num_cpus=num_cpus, max_retries=retries)(_run_on_worker)
        self._actor: Any = None
        # What is under way -> its shard.
        self._refs: dict[Any, int] = {}

    def capacity(self) -> int:
        """Return how many shards can run at once, by now."""
        return int(self._ray.cluster_resources().get("CPU", 1) / self._num_cpus)

    def submit(self, source: Requests, shard_id: int) -> None:
        """Have a shard run."""
        if self._actor is None:
            self._actor = self._open()
        ref = self._task.remote(source, self._out_dir, shard_id, self._settings, self._actor)
        self._refs[ref] = shard_id

    def finished(self, seconds: float) -> list[tuple[int, ShardReport | Failure]]:
        """Wait for shards to end, not longer than so many seconds."""
        ended, _ = self._ray.wait(list(self._refs), timeout=seconds)
        return [(self._refs.pop(ref), self._result(ref)) for ref in ended]

    def heard(self) -> Heard:
        """Return what the workers do."""
        if self._actor is None:
            return Heard()
        try:
            return msgspec.convert(self._get(self._actor.heard.remote()), Heard)
        except self._ray.exceptions.RayError:
            # It is being started again, and the shards go on for as long as their permits last.
            return Heard()

    def stop(self) -> None:
        """End the run, and wait some seconds for its shards."""
        refs, self._refs = list(self._refs), {}
        if self._actor is None:
            return
        try:
            if refs:
                self._get(self._actor.stop.remote())
                _, left = self._ray.wait(refs, num_returns=len(refs), timeout=2 * TTL)
                for ref in left:
                    self._ray.cancel(ref, force=True)
        except self._ray.exceptions.RayError:
            for ref in refs:
                self._ray.cancel(ref, force=True)
        finally:
            self._ray.kill(self._actor)

    def _open(self) -> Any:
        """Start the actor, where this process is: it lives as long."""
        scheduling = importlib.import_module("ray.util.scheduling_strategies")
        node = self._ray.get_runtime_context().get_node_id()
        actor = self._ray.remote(
            num_cpus=0,
            max_restarts=-1,
            max_task_retries=0,
            scheduling_strategy=scheduling.NodeAffinitySchedulingStrategy(node, soft=True),
        )(_BoardActor).remote(self._max_concurrency)
        try:
            # Shards would begin without permits: it takes seconds to start.
            self._get(actor.heard.remote())
        except self._ray.exceptions.RayError as exc:
            raise BatchError(
                f"Ray can't start the actor that divides the limit: {_reason(exc)}"
            ) from exc
        return actor

    def _result(self, ref: Any) -> ShardReport | Failure:
        try:
            result: ShardReport | Failure = self._ray.get(ref)
        except self._ray.exceptions.RayError as exc:
            # Ray has had its own tries.
            return Failure(_reason(exc), is_final=True)
        return result

    def _get(self, ref: Any) -> Any:
        return self._ray.get(ref, timeout=_PATIENCE)


def _reason(exc: Exception) -> str:
    """Return what Ray says in the first of its many lines."""
    return f"{type(exc).__name__}: {str(exc).strip().partition(chr(10))[0]}"


class _BoardActor:
    """A board in a process of its own; Ray starts another one if that is lost."""

    def __init__(self, total: int) -> None:
        context = import_ray().get_runtime_context()
        with warnings.catch_warnings():
            # It says to take another one, which doesn't tell this.
            warnings.simplefilter("ignore")
            restarted = bool(context.was_current_actor_reconstructed)
        self._board = Board(total, restarted=restarted)

    def renew(self, **values: Any) -> Asked:
        """See :class:`Board`."""
        return self._board.renew(**values)

    def drop(self, worker: str) -> Asked:
        """See :class:`Board`."""
        return self._board.drop(worker)

    def stop(self) -> None:
        """See :class:`Board`."""
        self._board.stop()

    def heard(self) -> dict[str, int]:
        """See :class:`Board`."""
        return self._board.heard()


# On the workers.


def _run_on_worker(
    source: Requests, out_dir: str, shard_id: int, settings: ShardSettings, actor: Any
) -> ShardReport | Failure:
    async def ask(action: str, **values: Any) -> Asked:
        answer: Asked = await getattr(actor, action).remote(**values)
        return answer

    task = run_task(source, out_dir, shard_id, settings, BoardLimiter(ask))
    return asyncio.run_coroutine_threadsafe(task, _worker_loop()).result()


@functools.cache
def _worker_loop() -> asyncio.AbstractEventLoop:
    """Return the event loop of this worker: one for all its shards, which share a client."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="deepseek-shards", daemon=True).start()
    return loop


# Rows.


def _request_lines(
    rows: Iterable[Mapping[str, Any]], settings: ShardSettings, id_column: str
) -> Iterator[bytes]:
    """Yield the requests of rows, as the lines of a file.

    Raises:
        PreflightError: If a row has no name, or is no request.
    """
    for number, row in enumerate(rows, 1):
        name = row.get(id_column)
        if name is None or name == "":
            raise PreflightError(f"row {number} of the dataset has no {id_column}")
        fields = _fields(row, settings, id_column)
        if fields.bad is not None:
            raise PreflightError(f"row {number} of the dataset, {name!r}: {fields.bad}")
        request = BatchRequest(custom_id=str(name), body=dict(fields.body), url=fields.url)
        yield _encode(request) + b"\n"


def _fields(row: Mapping[str, Any], settings: ShardSettings, id_column: str) -> Fields:
    if settings.map is not None:
        return read_fields(settings.map(row))
    plain = cast("dict[str, Any]", _without_nulls(_as_plain(row)))
    plain.pop(id_column, None)
    return read_fields(plain)


def _as_plain(value: Any) -> Any:
    """Return a value of a row as JSON has it: tables hold lists as arrays of NumPy.

    Raises:
        TypeError: If JSON has nothing like it.
    """
    if isinstance(value, Mapping):
        items = cast("Mapping[str, Any]", value).items()
        return {name: _as_plain(each) for name, each in items}
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_as_plain(each) for each in cast("list[Any]", value)]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise TypeError(f"a {type(value).__name__} can't be written as JSON")


def _without_nulls(value: Any) -> Any:
    """Leave out what is empty: a table gives all messages the fields that any of them has."""
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value).items()
        return {name: _without_nulls(each) for name, each in items if each is not None}
    if isinstance(value, list):
        return [_without_nulls(each) for each in cast("list[Any]", value)]
    return value
