"""What a shard did, told to whoever started it and stored beside its results."""

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from deepseek_async.batch.files import file_error, replace_file
from deepseek_async.batch.paths import BatchPaths
from deepseek_async.batch.report import BatchReport, Outcome
from deepseek_async.errors import BatchFileError, PreflightError
from deepseek_async.totals import ModelTotals
from deepseek_async.wire.repair import UNREADABLE

# No dots: the other files of a shard are told from its results by what is between two of them.
_SHARD_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")


def shard_path(out_dir: Path, shard_id: str | int) -> Path:
    """Return the results file of a shard.

    Raises:
        PreflightError: If no file can be named so.
    """
    name = str(shard_id)
    if not _SHARD_ID.fullmatch(name):
        raise PreflightError(
            "shard_id names the files of the shard: up to 100 letters, digits, hyphens and "
            f"underscores, not {shard_id!r}"
        )
    return out_dir / f"{name}.jsonl"


def shards_in(out_dir: Path) -> list[str]:
    """Return the ids of the shards whose files are in a directory, numbers first."""
    names = [path.name.removesuffix(".meta.json") for path in out_dir.glob("*.meta.json")]
    found = [name for name in names if _SHARD_ID.fullmatch(name)]
    return sorted(found, key=lambda name: (not name.isdecimal(), name.zfill(100), name))


class ShardReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a run of a shard did. It can be pickled, and doesn't hold the results."""

    shard_id: str

    path: str
    """The results file."""

    dead_letters: str | None
    """The file of failed items, if there are any."""

    worker: str
    """Where it ran: the machine and the process."""

    outcome: Outcome
    """How it ended; as :attr:`BatchReport.outcome`."""

    error: str | None
    """What stopped it, if something did."""

    total: int
    """Items read from the source."""

    succeeded: int
    failed: int

    skipped: int
    """Items that had been finished by an earlier run."""

    duplicates: int
    """Items whose name and request had come before, which were left out."""

    shared: int
    """Items that got the answer of another one with the same request (``dedupe``)."""

    unsent: int
    """Items that were read and have no answer, since the run ended before."""

    requests: int
    """Requests sent."""

    rejected: int
    """Of these, refused for want of room (429); they cost nothing."""

    retries: int
    """Of these, sent again after another failure."""

    errors: dict[str, int]
    """kind of failure -> failed items."""

    usage: ModelTotals
    """Tokens and cost of all answers of this run."""

    seconds: float

    @classmethod
    def of(cls, report: BatchReport, shard_id: str, path: Path, worker: str) -> "ShardReport":
        """Return the report of a shard for that of its job."""
        shared: dict[str, Any] = {
            name: getattr(report, name)
            for name in cls.__struct_fields__
            if name not in ("shard_id", "path", "worker", "error")
        }
        error = None
        if report.error is not None:
            # Not the exception itself: that of a hook need not be picklable.
            error = f"{type(report.error).__name__}: {report.error}"
        return cls(shard_id=shard_id, path=str(path), worker=worker, error=error, **shared)

    @property
    def ok(self) -> bool:
        """Whether every item of the source has an answer."""
        return self.outcome == "completed" and not self.failed

    @property
    def cost(self) -> Decimal | None:
        """US dollars that this run cost; None if a price isn't known."""
        return self.usage.cost()

    def __str__(self) -> str:
        counts = [f"{self.succeeded:,} answered", f"{self.failed:,} failed"]
        if self.skipped:
            counts.append(f"{self.skipped:,} had been finished before")
        if self.unsent:
            counts.append(f"{self.unsent:,} not sent")
        ended = self.outcome if self.error is None else f"{self.outcome} ({self.error})"
        cost = "cost not known" if self.cost is None else f"{self.cost:.4f} USD"
        return f"shard {self.shard_id} {ended}: {', '.join(counts)}; {cost}; {self.seconds:.1f} s"


class StoredReport(msgspec.Struct, frozen=True, kw_only=True):
    """What is stored of a shard when it has come to its end."""

    report: ShardReport

    is_deepseek: bool
    """Whether DeepSeek's prices hold for it."""

    dedupe: bool
    """Whether several results may be of one answer."""


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(StoredReport).decode


def _stored_path(results: Path) -> Path:
    paths = BatchPaths.of(results)
    return paths.results.with_name(f"{results.stem}.report.json")


def store_report(results: Path, stored: StoredReport) -> None:
    """Store the report of a shard; blocks.

    Raises:
        BatchFileError: If that fails.
    """
    path = _stored_path(results)
    try:
        replace_file(path, [_encode(stored), b"\n"])
    except OSError as exc:
        raise file_error(path, exc) from exc


def load_report(results: Path) -> StoredReport | None:
    """Return the stored report of a shard; None if its last run did not come to its end.

    Raises:
        BatchFileError: If it can't be read.
    """
    path = _stored_path(results)
    try:
        return _decode(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise file_error(path, exc, "read") from exc
    except UNREADABLE as exc:
        raise BatchFileError(
            f"{path} is damaged: {exc}; run the shard again, which costs nothing if it was "
            "finished",
            path=str(path),
        ) from exc


def forget_report(results: Path) -> None:
    """Remove the stored report of a shard that runs again; blocks.

    Raises:
        BatchFileError: If that fails.
    """
    path = _stored_path(results)
    try:
        path.unlink(missing_ok=True)
    except OSError as exc:
        raise file_error(path, exc, "removed") from exc
