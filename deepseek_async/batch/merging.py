"""The results of many shards as one: checked, added up, and written to one file.

The files are read line by line; of each item 16 bytes are kept, as :mod:`deepseek_async.batch.seen`
has it, and as many again for shards with ``dedupe``.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from deepseek_async.batch.answered import Answered, read_answered
from deepseek_async.batch.files import file_error, replace_file
from deepseek_async.batch.lock import FileLock
from deepseek_async.batch.merge_report import MergeReport, Problems
from deepseek_async.batch.meta import read_meta
from deepseek_async.batch.paths import BatchPaths
from deepseek_async.batch.recovery import name_of
from deepseek_async.batch.seen import Seen, key_of
from deepseek_async.batch.shard_report import StoredReport, load_report, shard_path, shards_in
from deepseek_async.errors import BatchError, BatchFileError, BatchLockedError
from deepseek_async.pricing import PriceTable
from deepseek_async.totals import UsageTotals

T = TypeVar("T")

# What stands for a shard where there is none with a result.
_FAILED = -1


def merge_shards(
    out_dir: str | os.PathLike[str],
    *,
    into: str | os.PathLike[str] | None = None,
    shards: Iterable[str | int] | None = None,
    strict: bool = True,
) -> MergeReport:
    """Check that the shards of a directory have each item exactly once, and add them up; blocks.

    Args:
        out_dir: What the shards were run with.
        into: Write all results to this file, and the failed items to ``*.errors.jsonl`` beside it;
            what is there is replaced once all is written.
        shards: The ids of all shards there must be: one that was never begun leaves no trace. None:
            those that are there.
        strict: False: take what there is, and the first of several results of one item; the
            report tells what is wrong.

    Raises:
        BatchError: If something is missing or there twice, and ``strict`` is set. Nothing is
            written then.
        BatchFileError: If a file can't be read or written.
        PreflightError: If a shard can't be named so.
    """
    directory = Path(out_dir)
    merge = _Merge(directory, shards_in(directory), shards, strict=strict)
    if into is None:
        for _ in merge.results():
            continue
        return merge.report(None, None)
    paths = BatchPaths.of(into)
    merge.check_target(paths)
    _write(paths.results, merge.results())
    letters = None
    if merge.failed:
        letters = str(paths.errors)
        _write(paths.errors, merge.dead_letters())
    else:
        # Those of an earlier merge have been answered since.
        _remove(paths.errors)
    return merge.report(str(paths.results), letters)


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as exc:
        raise file_error(path, exc, "removed") from exc


def _write(path: Path, lines: Iterator[bytes]) -> None:
    try:
        replace_file(path, lines)
    except OSError as exc:
        raise file_error(path, exc) from exc


class _Shard(NamedTuple):
    name: str
    paths: BatchPaths
    stored: StoredReport | None


class _Merge:
    """One pass over the shards of a directory, and another over what failed."""

    def __init__(
        self,
        directory: Path,
        found: list[str],
        wanted: Iterable[str | int] | None,
        *,
        strict: bool,
    ) -> None:
        self._directory = directory
        self._strict = strict
        self._problems = Problems()
        self._shards: list[_Shard] = []
        # By name: the number of the shard with the result, or _FAILED.
        self._items = Seen()
        self._answers = Seen()
        self._answered = 0
        self._kept_letters = bytearray()
        self._told: list[str] = []
        self.failed = 0
        if wanted is not None:
            found = self._choose(found, [shard_path(directory, shard).stem for shard in wanted])
        elif not found:
            raise BatchError(f"there are no shards in {directory}")
        for name in found:
            paths = BatchPaths.of(shard_path(directory, name))
            self._shards.append(_Shard(name, paths, self._load(name, paths)))
        knows_prices = all(each.stored is None or each.stored.is_deepseek for each in self._shards)
        self._usage = UsageTotals(None if knows_prices else PriceTable({}))

    def _choose(self, found: list[str], wanted: Sequence[str]) -> list[str]:
        """Return those of the shards that are wanted."""
        there = set(found)
        for name in wanted:
            if name not in there:
                self._problems.add("shards that are missing", f"shard {name} was never begun")
        asked = set(wanted)
        return [name for name in found if name in asked]

    def check_target(self, target: BatchPaths) -> None:
        """Make sure that no file of a shard is replaced.

        Raises:
            BatchFileError: If one would be.
        """
        for shard in self._shards:
            if not {target.results, target.errors}.isdisjoint(shard.paths):
                raise BatchFileError(
                    f"{target.results} belongs to the shard {shard.name}; choose another file",
                    path=str(target.results),
                )

    def report(self, out: str | None, dead_letters: str | None) -> MergeReport:
        """Return what was found."""
        return MergeReport(
            shards=len(self._shards),
            answered=self._answered,
            failed=self.failed,
            usage=self._usage.total,
            problems=self._told,
            out=out,
            dead_letters=dead_letters,
        )

    def results(self) -> Iterator[bytes]:
        """Yield the lines of all results, and look at the failed items.

        Raises:
            BatchError: At the end, if something is wrong.
        """
        for number, shard in enumerate(self._shards):
            yield from self._results_of(number, shard)
        for shard in self._shards:
            for name, _ in self._lines(shard, shard.paths.errors, name_of):
                # One that failed in a shard may have been answered in another.
                is_new = self._items.add(key_of(name), _FAILED) is None
                self._kept_letters.append(is_new)
                self.failed += is_new
        self._told = self._problems.texts()
        if self._told and self._strict:
            raise BatchError(
                f"the shards in {self._directory} don't have each item exactly once: "
                f"{'; '.join(self._told)}. Pass strict=False to take what there is"
            )

    def dead_letters(self) -> Iterator[bytes]:
        """Yield the lines of all items that failed; after :meth:`results`."""
        kept = iter(self._kept_letters)
        for shard in self._shards:
            for _, line in self._lines(shard, shard.paths.errors, name_of):
                if next(kept, False):
                    yield line

    def _load(self, name: str, paths: BatchPaths) -> StoredReport | None:
        """Return how the last run of a shard ended, and take note if it isn't finished."""
        lock = FileLock(paths.lock)
        try:
            lock.acquire(paths.results)
        except BatchLockedError:
            self._problems.add("shards that are not finished", f"shard {name} is still running")
            return None
        try:
            stored = load_report(paths.results)
        finally:
            lock.release()
        problem = None
        if stored is None:
            problem = f"the last run of shard {name} did not come to its end; run it again"
        elif stored.report.outcome != "completed":
            problem = f"shard {name} ended early ({stored.report.outcome}); run it again"
        if problem is not None:
            self._problems.add("shards that are not finished", problem)
        return stored

    def _results_of(self, number: int, shard: _Shard) -> Iterator[bytes]:
        count = 0
        for (name, body), line in self._lines(shard, shard.paths.results, read_answered):
            count += 1
            before = self._items.add(key_of(name), number)
            if before is not None:
                where = f"twice in shard {shard.name}"
                if before != number:
                    where = f"in the shards {self._shards[before].name} and {shard.name}"
                self._problems.add(
                    "items that are there twice",
                    f"the item {name.decode('utf-8', 'replace')!r} is {where}",
                )
                continue
            self._answered += 1
            self._charge(shard, body)
            yield line
        meta = read_meta(shard.paths.meta, force=False)
        if shard.stored is not None and meta is not None and count < meta.results:
            self._problems.add(
                "shards with lost results",
                f"shard {shard.name} had {meta.results:,} results when it ended, and has {count:,}",
            )

    def _charge(self, shard: _Shard, body: Answered) -> None:
        shares = shard.stored is not None and shard.stored.dedupe and body.id
        # Of several items with the same request one was sent.
        if not shares or self._answers.add(key_of(body.id.encode()), 0) is None:
            self._usage.record(body.model, body.usage, at=body.moment)

    def _lines(
        self, shard: _Shard, path: Path, read: Callable[[bytes], T | None]
    ) -> Iterator[tuple[T, bytes]]:
        """Yield what the whole lines of a file say, and the lines with their line ends."""
        try:
            with path.open("rb", buffering=1 << 20) as file:
                for number, line in enumerate(file, 1):
                    if line.isspace():
                        continue
                    said = read(line)
                    if said is None:
                        self._problems.add(
                            "lines that can't be read",
                            f"{path.name} line {number} can't be read; run shard {shard.name} "
                            "again, which sends it again",
                        )
                        continue
                    yield said, line if line.endswith(b"\n") else line + b"\n"
        except FileNotFoundError:
            # A shard without items, or without failures.
            return
        except OSError as exc:
            raise file_error(path, exc, "read") from exc
