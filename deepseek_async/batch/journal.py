"""The results of a job on the disk: written in groups, acknowledged when they are durable.

The results file is the journal. One thread writes whatever has gathered since its last visit, in
one piece, and from time to time waits for the disk; the event loop never does. So a process that is
killed loses the answers of a moment, and a machine that crashes those of a tenth of a second.
Nothing is told to be durable before it is, and what was handed over is written even if the tasks
that did so are cancelled.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, Generic, Self, TypeVar

from deepseek_async.batch.journal_files import Durability, Group, JournalFiles, Opened, Outcome
from deepseek_async.batch.meta import Finished
from deepseek_async.batch.paths import BatchPaths
from deepseek_async.batch.recovery import name_of
from deepseek_async.batch.seen import key_of
from deepseek_async.errors import BatchFileError

T = TypeVar("T")

# When a group is committed: as many records, bytes, or seconds since its first.
_GROUP_RECORDS = 1_000
_GROUP_BYTES = 1 << 20
_GROUP_SECONDS = 0.1
# When records are written, to be committed with their group: seconds since the first of them.
_WRITE_SECONDS = 0.02

# When those who add should wait, in bytes of what isn't written yet.
_ROOM = 8 << 20


class Journal(Generic[T]):
    """The files of a job, in one event loop.

    Args:
        out: The results file.
        settings: What decides about the answers, as JSON values; a job that goes on must have the
            same.
        on_durable: Called in the event loop with the tokens of what has become durable.
        on_error: Called in the event loop when a group could not be written. The journal then
            keeps what it is given, and tries once more when it is closed.
        source: The path of the input, if that is a file.
        durability: How sure a result must be before it is acknowledged.
        retry: Whether requests that failed in earlier runs are to be sent again.
        force: Go on although settings or input differ.
    """

    def __init__(
        self,
        out: str | os.PathLike[str],
        *,
        settings: Mapping[str, Any],
        on_durable: Callable[[list[T]], None],
        on_error: Callable[[BatchFileError], None],
        source: str | os.PathLike[str] | None = None,
        durability: Durability = "group",
        retry: bool = False,
        force: bool = False,
    ) -> None:
        self.paths = BatchPaths.of(out)
        self.error: BatchFileError | None = None
        """Why the last group could not be written; None if it was."""
        self._on_durable = on_durable
        self._on_error = on_error
        self._retry = retry
        self._at_once = durability == "each"
        self._always_commits = durability != "group"
        self._files: JournalFiles[T] = JournalFiles(self.paths, durability)
        self._options = (settings, source, retry, force)
        self._opened = Opened.nothing()
        self._executor: ThreadPoolExecutor | None = None
        self._loop: asyncio.AbstractEventLoop
        self._commit: asyncio.Event
        self._gathered: Group[T] = Group()
        self._writing: Group[T] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._answered: set[int] = set()
        self._results = 0
        self._failures = 0
        # Of the group that is to be committed next: written or not, and by when.
        self._group_records = 0
        self._group_bytes = 0
        self._commit_at: float | None = None
        self._count_added = 0
        self._count_durable = 0
        self._unwritten = 0
        self._closed: asyncio.Event | None = None

    @property
    def results(self) -> int:
        """How many answered requests the journal has, with those of earlier runs."""
        return self._opened.results.lines + self._results

    @property
    def failures(self) -> int:
        """How many failed requests the journal has, with those of earlier runs."""
        return self._opened.failures.lines + self._failures

    @property
    def damaged(self) -> int:
        """How many bytes could not be read when the journal was opened, and were cut out."""
        return self._opened.results.damaged

    @property
    def is_full(self) -> bool:
        """Whether there is too much that isn't written yet, as :meth:`room` waits for."""
        return self._unwritten > _ROOM

    @property
    def finished(self) -> Finished | None:
        """What is known of the input file, if an earlier run has answered all of it."""
        return self._opened.finished

    def complete(self, items: int, duplicates: int) -> None:
        """Take note that all of the input has an answer; the next run need not read it.

        Args:
            items: How many items it has.
            duplicates: How many of them only repeat another one.
        """
        self._files.complete = (items, duplicates)

    def is_done(self, custom_id: str) -> bool:
        """Tell whether an earlier run has answered a request."""
        return key_of(custom_id.encode()) in self._opened.results.keys

    def is_failed(self, custom_id: str) -> bool:
        """Tell whether a request failed in an earlier run and is not to be sent again."""
        return not self._retry and key_of(custom_id.encode()) in self._opened.failures.keys

    async def open(self) -> None:
        """Lock the files, make them whole after a crash, and read what they hold.

        Raises:
            BatchLockedError: If another job writes to them.
            BatchSettingsError: If they were begun with other settings, or by something else.
            BatchFileError: If they can't be read or written.
        """
        if self._executor is not None:
            raise RuntimeError("a journal is opened once")
        self._loop = asyncio.get_running_loop()
        self._commit = asyncio.Event()
        self._executor = executor = ThreadPoolExecutor(1, "deepseek-async-journal")
        settings, source, retry, force = self._options
        opening = partial(self._files.open, settings, source, retry=retry, force=force)
        try:
            self._opened = await self._loop.run_in_executor(executor, opening)
        except BaseException:
            self._executor = None
            # Comes behind the opening, which goes on if it was this task that was cancelled. The
            # next job shall find the lock free, so wait for that; a second cancellation doesn't.
            closing = self._loop.run_in_executor(executor, self._files.close)
            executor.shutdown(wait=False)
            await asyncio.wait([closing])
            raise

    def add(self, line: bytes, token: T) -> None:
        """Hand over the result line of a request; never waits.

        Args:
            line: Its line, with the line end.
            token: What ``on_durable`` is to be called with.
        """
        if self._retry:
            self._answered.add(key_of(name_of(line) or b""))
        self._gather(self._gathered.results, line, token)
        self._results += 1

    def add_dead_letter(self, line: bytes, token: T) -> None:
        """Hand over the dead letter of a request; never waits.

        Args:
            line: Its line, with the line end.
            token: What ``on_durable`` is to be called with.
        """
        self._gather(self._gathered.failures, line, token)
        self._failures += 1

    def _gather(self, records: list[tuple[bytes, T]], line: bytes, token: T) -> None:
        if self._executor is None or self._closed is not None:
            raise RuntimeError("the journal is not open")
        records.append((line, token))
        self._count_added += 1
        self._unwritten += len(line)
        self._group_records += 1
        self._group_bytes += len(line)
        if self._writing is None and self.error is None:
            self._write_in_time()

    def _write_in_time(self) -> None:
        """Have what has gathered written soon, and committed in time."""
        if (
            self._at_once
            or self._group_records >= _GROUP_RECORDS
            or self._group_bytes >= _GROUP_BYTES
        ):
            self._write()
        elif self._timer is None or len(self._gathered) == 1:
            self._set_timer()

    def _set_timer(self) -> None:
        self._stop_timer()
        now = self._loop.time()
        if self._commit_at is None:
            self._commit_at = now + _GROUP_SECONDS
        # All of the group may be written already.
        at = min(now + _WRITE_SECONDS, self._commit_at) if self._gathered else self._commit_at
        self._timer = self._loop.call_at(at, self._write_ahead)

    def _write_ahead(self) -> None:
        assert self._commit_at is not None
        self._write(commit=self._always_commits or self._loop.time() >= self._commit_at)

    def _write(self, *, commit: bool = True) -> None:
        """Have the thread write what has gathered."""
        self._stop_timer()
        assert self._executor is not None
        self._writing, self._gathered = self._gathered, Group()
        if commit:
            self._group_records = self._group_bytes = 0
            self._commit_at = None
        writing = partial(self._files.write, self._writing, commit=commit)
        self._in_thread(self._after_write, writing)

    def _in_thread(
        self,
        then: Callable[[Outcome[T]], None],
        function: Callable[[], Outcome[T]],
    ) -> None:
        """Call a function in the thread, and ``then`` with its outcome in the event loop."""

        def tell(future: Future[Outcome[T]]) -> None:
            # The loop may be closed by now: then there is nobody left to tell.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(then, _outcome_of(future))

        assert self._executor is not None
        self._executor.submit(function).add_done_callback(tell)

    def _after_write(self, outcome: Outcome[T]) -> None:
        group, self._writing = self._writing, None
        self.error = outcome.error
        if self._closed is None:
            if outcome.error is not None and group is not None:
                group.extend(self._gathered)
                self._gathered = group
            elif self._gathered:
                self._write_in_time()
            elif self._group_records:
                self._set_timer()
        self._tell(outcome)

    def _tell(self, outcome: Outcome[T]) -> None:
        self._count_durable += len(outcome.durable)
        self._unwritten -= outcome.size
        self._commit.set()
        self._commit = asyncio.Event()
        if outcome.durable:
            self._on_durable(outcome.durable)
        if outcome.error is not None:
            self._on_error(outcome.error)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def room(self) -> None:
        """Wait until there is not too much that isn't written yet.

        Raises:
            BatchFileError: If writing has failed.
        """
        while self.is_full:
            await self._next_commit()

    async def flush(self) -> None:
        """Wait until all that was added before is durable, without waiting for more to gather.

        Raises:
            BatchFileError: If writing has failed.
        """
        wanted = self._count_added
        while self._count_durable < wanted:
            if self._writing is None and self.error is None and self._closed is None:
                self._write()
            await self._next_commit()

    async def _next_commit(self) -> None:
        if self.error is not None:
            raise self.error
        await self._commit.wait()

    async def aclose(self) -> None:
        """Write what was added, and give the files free.

        That is begun at once and comes to its end even if this is cancelled. After a failed write
        it is tried once more.

        Raises:
            BatchFileError: If something could not be written. The results concerned are lost; a
                new run asks for them again.
        """
        if self._executor is None:
            return
        if self._closed is None:
            self._begin_to_close()
        closed = self._closed
        assert closed is not None
        await closed.wait()
        if self.error is not None:
            raise self.error

    def _begin_to_close(self) -> None:
        self._stop_timer()
        self._closed = asyncio.Event()
        # What the thread is writing is its own again when it comes to this.
        groups = [self._gathered] if self._writing is None else [self._writing, self._gathered]
        finishing = partial(
            self._files.finish,
            groups,
            self.results,
            self.failures,
            self._answered if self._retry else None,
        )
        self._in_thread(self._after_close, finishing)
        assert self._executor is not None
        self._executor.shutdown(wait=False)

    def _after_close(self, outcome: Outcome[T]) -> None:
        self.error = outcome.error
        if outcome.error is not None:
            lost = self._count_added - self._count_durable - len(outcome.durable)
            self.error = BatchFileError(
                f"{outcome.error}; {lost} finished requests could not be saved and will be sent "
                "again",
                path=outcome.error.path,
            )
        assert self._closed is not None
        self._closed.set()
        self._tell(outcome._replace(error=self.error))

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


def _outcome_of(future: Future[Outcome[T]]) -> Outcome[T]:
    error = future.exception()
    if error is None:
        return future.result()
    # Not one that the system is known to raise: yet nobody may wait for ever.
    failure = BatchFileError(f"writing the results failed with {type(error).__name__}: {error}")
    failure.__cause__ = error
    return Outcome([], 0, failure)
