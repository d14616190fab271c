"""The files behind a journal. All of this blocks, and runs in the one thread of the journal."""

import contextlib
import os
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Any, Generic, Literal, NamedTuple, TypeVar

from deepseek_async.batch.dead_letters import DeadLetters, tidy
from deepseek_async.batch.files import AppendFile, file_error, remove_rest
from deepseek_async.batch.lock import FileLock
from deepseek_async.batch.meta import (
    Finished,
    InputFile,
    Meta,
    check_meta,
    read_meta,
    settings_of,
    write_meta,
)
from deepseek_async.batch.paths import BatchPaths
from deepseek_async.batch.recovery import Recovery, recover
from deepseek_async.batch.seen import KeySet
from deepseek_async.errors import BatchFileError

T = TypeVar("T")

#: How sure a result must be before it is acknowledged: ``group``, on the disk, together with those
#: of the same tenth of a second, and before that with the system, which keeps them if the process
#: is killed; ``each``, on the disk, at once and by itself; ``none``, handed to
#: the system, which costs it if the machine crashes.
Durability = Literal["group", "each", "none"]


class Group(Generic[T]):
    """Records that are written together: lines, and what the caller knows them by."""

    __slots__ = ("failures", "results")

    def __init__(self) -> None:
        self.results: list[tuple[bytes, T]] = []
        self.failures: list[tuple[bytes, T]] = []

    def __len__(self) -> int:
        return len(self.results) + len(self.failures)

    def extend(self, other: "Group[T]") -> None:
        """Add the records of another group behind those of this one."""
        self.results += other.results
        self.failures += other.failures


class Outcome(NamedTuple, Generic[T]):
    """What became of groups.

    Attributes:
        durable: The tokens of what has been committed.
        size: How many bytes that was.
        error: Why the rest has not been; None if nothing is left.
    """

    durable: list[T]
    size: int
    error: BatchFileError | None


class _Half(Generic[T]):
    """One of the files, and the records that were written to it and are not committed."""

    def __init__(self, path: Path) -> None:
        self.file = AppendFile(path)
        self._ahead: list[tuple[bytes, T]] = []

    def write(
        self,
        records: list[tuple[bytes, T]],
        committed: list[tuple[bytes, T]],
        *,
        each: bool,
        commit: bool,
        sync: bool,
    ) -> None:
        """Write records, and commit them with those that were written before.

        Args:
            records: Are taken out, once they are written. If it fails, all that is not committed
                is in there again.
            committed: What is committed is added to this.
            each: Whether to commit each by itself.
            commit: Whether to commit at all.
            sync: Whether it must be on the disk then.

        Raises:
            BatchFileError: If it fails.
        """
        while records or (commit and self._ahead):
            part = records[:1] if each else records[:]
            try:
                self.file.write([line for line, _ in part])
                self._ahead += part
                del records[: len(part)]
                if commit:
                    self.file.commit(sync=sync)
            except BaseException:
                records[:0] = self._ahead
                self._ahead.clear()
                raise
            if commit:
                committed += self._ahead
                self._ahead.clear()


class Opened(NamedTuple):
    """What earlier runs left."""

    results: Recovery
    failures: DeadLetters
    finished: Finished | None = None
    """What is known of the input, if an earlier run has answered all of it."""

    @classmethod
    def nothing(cls) -> "Opened":
        """Return what a first run finds."""
        return cls(Recovery(KeySet(), 0, 0), DeadLetters(KeySet(), 0))


class JournalFiles(Generic[T]):
    """The files of a job while it runs.

    Args:
        paths: Where they are.
        durability: How sure a result must be.
    """

    def __init__(self, paths: BatchPaths, durability: Durability) -> None:
        self._paths = paths
        self._durability = durability
        self._lock = FileLock(paths.lock)
        self._results: _Half[T] = _Half(paths.results)
        self._failures: _Half[T] = _Half(paths.errors)
        self._meta = Meta()
        self._source: os.stat_result | None = None
        self.complete: tuple[int, int] | None = None
        """Items and duplicates of the input, once it has been read to its end and answered."""

    def open(
        self,
        settings: Mapping[str, Any],
        source: str | os.PathLike[str] | None,
        *,
        retry: bool,
        force: bool,
    ) -> Opened:
        """Lock the files, make them whole, and read what is in them.

        Raises:
            BatchError: If the job can't start or go on with them.
        """
        paths = self._paths
        if paths.results.exists() and not paths.results.is_file():
            raise BatchFileError(f"{paths.results} is not a regular file", path=str(paths.results))
        self._lock.acquire(paths.results)
        try:
            return self._open(settings, source, retry=retry, force=force)
        except BaseException:
            self.close()
            raise

    def _open(
        self,
        settings: Mapping[str, Any],
        source: str | os.PathLike[str] | None,
        *,
        retry: bool,
        force: bool,
    ) -> Opened:
        paths = self._paths
        old = read_meta(paths.meta, force=force)
        check_meta(paths, old, settings, source, force=force)
        for path in (paths.results, paths.errors):
            try:
                remove_rest(path)
            except OSError as exc:
                raise file_error(path, exc) from exc
        results = recover(paths.results, paths.damaged)
        recover(paths.errors, paths.damaged)
        failures = tidy(paths.errors, results.keys.__contains__, drop_invalid=not retry)
        self._meta.settings = settings_of(settings)
        self._meta.input = old.input if old else None
        if source is not None:
            self._meta.input = InputFile.of(source)
            # Before it is read: if it changes from now on, another run has to read it again.
            self._source = os.stat(source)
        # Before the first result: it tells that the file is ours.
        write_meta(paths.meta, self._meta)
        self._results.file.open()
        finished = None if old is None else old.finished
        if finished is not None and (
            self._source is None
            or not finished.is_of(self._source)
            or (results.lines, results.damaged, failures.lines) != (old.results if old else 0, 0, 0)
        ):
            finished = None
        return Opened(results, failures, finished)

    def write(self, *groups: Group[T], commit: bool = True) -> Outcome[T]:
        """Append groups to the files; what has been written is taken out of them.

        Args:
            groups: In this order. After a failure what was written before and not committed is in
                one of them again.
            commit: Whether to acknowledge them, and what was written before.
        """
        committed: list[tuple[bytes, T]] = []
        error: BatchFileError | None = None
        for group in groups:
            for half, records in ((self._results, group.results), (self._failures, group.failures)):
                try:
                    half.write(
                        records,
                        committed,
                        each=self._durability == "each",
                        commit=commit,
                        sync=self._durability != "none",
                    )
                except BatchFileError as exc:
                    error = exc
        return Outcome(
            [token for _, token in committed], sum(len(line) for line, _ in committed), error
        )

    def finish(
        self, groups: Sequence[Group[T]], results: int, failures: int, answered: Set[int] | None
    ) -> Outcome[T]:
        """Append the last groups, note what there is, and give the files free.

        Args:
            groups: What isn't written yet.
            results: How many results there are with them.
            failures: How many dead letters there are with them.
            answered: Keys of the dead letters that have a result by now; None if none was retried.
        """
        try:
            outcome = self.write(*groups)
            # What fails here is done by the next run: all of it can be seen from the files.
            with contextlib.suppress(BatchFileError):
                if answered is not None:
                    letters = tidy(self._paths.errors, answered.__contains__, drop_invalid=False)
                    failures = letters.lines
                self._meta.results = results - sum(len(group.results) for group in groups)
                self._meta.errors = failures
                if self.complete is not None and self._source is not None and not failures:
                    items, duplicates = self.complete
                    stat = self._source
                    self._meta.finished = Finished(
                        items, duplicates, stat.st_size, stat.st_mtime_ns
                    )
                write_meta(self._paths.meta, self._meta)
        finally:
            self.close()
        return outcome

    def close(self) -> None:
        """Close the files and release the lock."""
        self._results.file.close()
        self._failures.file.close()
        self._lock.release()
