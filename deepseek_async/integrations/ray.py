"""Shards of a batch on a Ray cluster: ``pip install "deepseek-async[ray]"``.

:func:`map_ray` runs each shard as one task; :func:`answer_dataset` does so with the rows of a Ray
dataset, and returns the answers as another. The limit of the account holds over all workers: an
actor that takes no CPU divides it into permits that expire unless renewed. The results stay in the
files of the shards, on storage that all nodes share.
"""

import os
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Any

import msgspec

from deepseek_async.batch import MergeReport, ShardReport, ShardSettings
from deepseek_async.batch.export import export_results
from deepseek_async.batch.files import replace_file
from deepseek_async.batch.shard_parts import SIZE, split_requests
from deepseek_async.batch.source import Requests
from deepseek_async.errors import PreflightError
from deepseek_async.integrations.boards import limit_of
from deepseek_async.integrations.driving import Drive, OnProgress, run
from deepseek_async.integrations.ray_cluster import RayCluster, import_ray
from deepseek_async.integrations.ray_rows import request_lines

#: Concurrent requests of an account if nobody says how many, nor which model.
MAX_CONCURRENCY = 2500


def map_ray(
    shards: Iterable[Requests],
    out_dir: str | os.PathLike[str],
    *,
    settings: ShardSettings,
    max_concurrency: int | None = None,
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
        max_concurrency: Most requests at once, of all workers together. None: what DeepSeek
            documents for the model of the settings; 2,500 where there is none.
        retries: How often a shard that fails is run again, and, counted apart, one whose worker is
            lost.
        num_cpus: What a shard takes of a node; with half a CPU, two run on each.
        progress: Called about twice a second with :class:`ShardsProgress`.
        into: Write the results of all shards to this file at the end, as :func:`merge_shards` does.
        check: False: don't make sure at the end that each item is there exactly once, nor at the
            beginning that the directory has no shards of another file; for a process that doesn't
            see the files.

    Returns:
        A generator. What it returns at the end is the report of :func:`merge_shards`.

    Raises:
        ImportError: If Ray is not installed.
        PreflightError: If it is not initialized, a number can't be meant, or the shards are none.
        BatchError: While iterating: a shard can't be pickled or failed for good, the actor can't be
            started, the directory has the shards of another file, or, at the end, an item is
            missing or there twice. What is finished is kept.
    """
    ray = import_ray()
    if not ray.is_initialized():
        raise PreflightError("map_ray needs a cluster: call ray.init() first")
    if not num_cpus > 0:
        raise PreflightError(f"num_cpus must be above 0, got {num_cpus!r}")
    limit = limit_of(settings, max_concurrency, MAX_CONCURRENCY)
    directory = Path(out_dir).absolute()
    cluster = RayCluster(ray, directory, settings, limit, retries=retries, num_cpus=num_cpus)
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


def answer_dataset(
    dataset: Any,
    out_dir: str | os.PathLike[str],
    *,
    settings: ShardSettings,
    id_column: str = "custom_id",
    size: int = SIZE,
    max_concurrency: int | None = None,
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
        replace_file(requests, request_lines(dataset.iter_rows(), settings, id_column))
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
