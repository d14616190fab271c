"""What the shards of a run must be, found out before they are sent anywhere.

Shards are known by their numbers alone: in the directory of another input they would go on with the
files of shards that have nothing to do with them, and what is paid would be paid again.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from deepseek_async.batch import BatchRequest, ShardSettings
from deepseek_async.batch.files import file_error, replace_file
from deepseek_async.batch.meta import check_meta, read_meta
from deepseek_async.batch.paths import BatchPaths
from deepseek_async.batch.shard_parts import ShardPart
from deepseek_async.batch.shard_report import shard_path
from deepseek_async.errors import BatchSettingsError, PreflightError


def check_shards(shards: object) -> None:
    """Make sure that something can be the sources of many shards.

    Raises:
        PreflightError: If it can't.
    """
    kind = type(shards).__name__
    is_one = isinstance(shards, str | os.PathLike | ShardPart | Mapping)
    if is_one or not isinstance(shards, Iterable):
        raise PreflightError(
            "shards are the sources of many shards, such as split_requests(path) makes of a file, "
            f"not a {kind}"
        )


class ShardChecks:
    """Looks at the shards of one run, one after the other.

    Args:
        out_dir: Where their files are; None: in no place that this process sees.
        settings: How they are to be run.
    """

    def __init__(self, out_dir: Path | None, settings: ShardSettings) -> None:
        self._out_dir = out_dir
        self._settings = settings
        self._is_first = True
        self._cut: str | None = None

    def check(self, shard_id: int, source: object) -> None:
        """Make sure that a source may be that of the next shard.

        Raises:
            BatchSettingsError: If the directory has the shards of another input, or such as were
                begun with other settings.
            BatchFileError: If that can't be found out.
            PreflightError: If it is the source of no shard, or of another one.
        """
        if self._is_first and self._out_dir is not None:
            self._check_settings(self._out_dir)
        kind = type(source).__name__
        if isinstance(source, BatchRequest | Mapping | bytes):
            raise PreflightError(
                f"shard {shard_id} is a {kind}: each shard is a list of requests, not a single one"
            )
        if isinstance(source, ShardPart):
            self._check_part(shard_id, source)
        elif self._is_first:
            self._check_no_cut(shard_id)
        self._is_first = False

    def _check_settings(self, out_dir: Path) -> None:
        """Look at the first shard: while it refuses, others might begin with these settings."""
        paths = BatchPaths.of(shard_path(out_dir, 0))
        old = read_meta(paths.meta, force=self._settings.force)
        if old is None:
            return
        model = self._settings.response_model
        now = {
            "model": self._settings.model,
            "response_model": None if model is None else str(getattr(model, "__qualname__", model)),
        }
        check_meta(paths, old, now, None, force=self._settings.force)

    def _check_part(self, shard_id: int, part: ShardPart) -> None:
        if part.number != shard_id:
            raise PreflightError(
                f"part {part.number} of {part.path} would become shard {shard_id}: give all parts "
                "of split_requests in their order, or, to try it, the first ones"
            )
        if self._cut is None:
            self._cut = part.cut
            if self._out_dir is not None:
                self._cut = _remembered_cut(self._out_dir, part.cut)
        if self._cut == part.cut:
            return
        if not self._is_first:
            raise PreflightError(f"shard {shard_id} is a part of another cut than those before it")
        raise BatchSettingsError(
            f"the shards in {self._out_dir} are parts of another input, or of the same one cut "
            "in another way; name another directory"
        )

    def _check_no_cut(self, shard_id: int) -> None:
        if self._out_dir is not None and _path_in(self._out_dir).exists():
            raise BatchSettingsError(
                f"the shards in {self._out_dir} are parts of a file, and shard {shard_id} is none "
                "now; name another directory"
            )


def _path_in(out_dir: Path) -> Path:
    return out_dir / "cut.txt"


def _remembered_cut(out_dir: Path, cut: str) -> str:
    """Return the cut whose shards a directory has; of a new one, take note of it.

    Raises:
        BatchFileError: If that fails.
    """
    path = _path_in(out_dir)
    try:
        if path.exists():
            return path.read_text("ascii", "replace").strip()
        out_dir.mkdir(parents=True, exist_ok=True)
        replace_file(path, [cut.encode(), b"\n"])
    except OSError as exc:
        raise file_error(path, exc) from exc
    return cut
