"""A run of another process, read from the store."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from deepseek_async import DoneEvent
from deepseek_async.live.errors import LiveClosedError, LiveStoreError, RunLostError
from deepseek_async.live.events import FailedEvent, LiveEvent, StoppedEvent
from deepseek_async.live.keeper import MISSING_SIGNS
from deepseek_async.live.log import Log
from deepseek_async.live.records import SLOT, Ending, Record, decoded, read_flags
from deepseek_async.live.run import Run
from deepseek_async.live.store import PATIENCE, LogStore, asked

#: For how many seconds a mirror without readers goes on: a page that is loaded anew finds it.
LINGER = 10.0
# After how many seconds a run that still goes on is stopped again.
_STOP_AGAIN = 2.0
# How long to wait before a store that failed is read again, in seconds; then twice as long.
_PAUSE = 0.2


class StoredRecords:
    """The records of a run, from a store that may fail for a while.

    Iterating ends with the run, or at once if there is none; it raises :class:`RunLostError` if
    the process that writes gives no sign of life, and :class:`LiveStoreError` if the store can't
    be asked for the first record.

    Args:
        run_id: Id of the run.
        store: Where it is.
    """

    def __init__(self, run_id: str, store: LogStore) -> None:
        self._run_id = run_id
        self._store = store
        self._loop = asyncio.get_running_loop()
        self._records: AsyncIterator[tuple[str, bytes]] | None = None
        self._cursor: str | None = None
        self._patience = PATIENCE
        self._ended = False

    def __aiter__(self) -> "StoredRecords":
        return self

    async def __anext__(self) -> tuple[str, Record]:
        if self._ended:
            raise StopAsyncIteration
        deadline = self._loop.time() + self._patience
        error: Exception | None = None
        is_last_try = False
        longest = self._patience / 10
        pause = min(_PAUSE, longest)
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    cursor, data = await self._next()
                break
            except StopAsyncIteration:
                if self._cursor is None:
                    raise
                raise RunLostError("the log ended before the answer did") from None
            except Exception as exc:  # A store's errors are of all kinds.
                await self.aclose()
                error = exc if not isinstance(exc, TimeoutError) or error is None else error
            if self._loop.time() >= deadline:
                if is_last_try:
                    raise self._lost(error)
                # It may be this process that slept, and what it waits for is there.
                is_last_try = True
                deadline = self._loop.time() + self._patience / 3
            await asyncio.sleep(pause)
            pause = min(pause * 2, longest)
        record = decoded(data)
        self._cursor = cursor
        self._patience = MISSING_SIGNS * record.sign_every
        self._ended = record.ending is not None
        return cursor, record

    async def aclose(self) -> None:
        """Read no more."""
        records, self._records = self._records, None
        close = getattr(records, "aclose", None)
        if close is not None:
            with contextlib.suppress(Exception):  # It is given up in any case.
                await close()

    async def _next(self) -> tuple[str, bytes]:
        if self._records is None:
            self._records = aiter(self._store.read(self._run_id, self._cursor))
        return await anext(self._records)

    def _lost(self, error: Exception | None) -> Exception:
        if self._cursor is None:
            what = f"{type(error).__name__}: {error}" if error is not None else "no answer"
            return LiveStoreError(f"the store does not tell of run {self._run_id!r}: {what}")
        return RunLostError(
            f"the process that reads the upstream gave no sign of life for {self._patience:g} s"
        )


class MirroredRun(Run):
    """A run that another process reads from upstream; what :meth:`Live.find` returns for it.

    Read like any other; cursors are the same in all processes. It ends here when it ends there,
    and with ``"lost"`` when nothing is heard of the other process any more. When nobody has read
    it for a while it is let go of: find it again then.

    Args:
        run_id: Its id.
        store: Where it is read from.
        max_bytes: Most bytes of text.
        on_end: Is called when it has ended.
    """

    def __init__(
        self,
        run_id: str,
        store: LogStore,
        *,
        max_bytes: int,
        on_end: Callable[[Run], None],
    ) -> None:
        # Before the source is opened, which happens at once where tasks are eager.
        self._store = store
        self._known: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._telling: asyncio.Task[None] | None = None
        self._final: Ending | None = None
        super().__init__(
            run_id,
            StoredRecords(run_id, store),
            grace=LINGER,
            stall_after=None,
            fps=0,
            max_bytes=max_bytes,
            on_end=on_end,
        )
        if self._leaving is not None and not self._known.done():
            # A store that is slow is no reader who stays away.
            self._leaving.joined()

    async def known(self) -> bool:
        """Wait until it is known whether there is such a run. Whoever asks has time to read it.

        Raises:
            LiveStoreError: If the store can't be asked.
            LiveClosedError: If this process ended before the store answered.
        """
        if self._known.done():
            self._expect_readers()
        await asyncio.wait([self._known])
        if isinstance(self._error, LiveStoreError):
            raise LiveStoreError(str(self._error))
        is_known = self._known.result()
        if not is_known and self._status == "stopped":
            raise LiveClosedError("the process is ending, and has not heard of this run yet")
        return is_known

    def _expect_readers(self) -> None:
        """From now on, count how long nobody reads."""
        if self._leaving is not None and not self.readers:
            self._leaving.left()

    async def stop(self) -> None:
        """Let the process that reads the upstream close it. Returns when that is done.

        Raises:
            LiveStoreError: If the store can't be told.
        """
        if self._status == "running":
            await asked(self._store.stop(self._id))
        while self._status == "running":
            _, running = await asyncio.wait([self._ended], timeout=_STOP_AGAIN)
            if running:
                # A store that was started anew does not know of it any more.
                with contextlib.suppress(LiveStoreError):
                    await asked(self._store.stop(self._id))

    def _take(self, event: Any) -> None:
        cursor, record = event
        feed = self._feed
        if not self._known.done():
            if record.start:
                # Nor is it known whose it is.
                raise RunLostError(f"the log begins at {record.start}")
            feed.epoch = cursor.rpartition(".")[0]
            feed.lags = True
            self._owner = record.owner
            self._known.set_result(True)
            self._expect_readers()
        events = _unseen(record, feed.log.end)
        if record.ending is not None and events:
            self._final = record.ending
            last = events.pop()
            if isinstance(last, FailedEvent | StoppedEvent):
                self._decide(last)
            elif isinstance(last, DoneEvent):
                self._done = last
        if events:
            feed.repeat(events, record.seconds)
            self._limit()
        else:
            feed.keep_time(record.seconds)
        if record.queued is not None:
            feed.say(record.queued)

    def _ending(self) -> Ending:
        return super()._ending() if self._final is None else self._final

    def _conclude(self) -> None:
        self._tell_of_readers(tell=False)
        if not self._known.done():
            self._known.set_result(False)
        super()._conclude()

    def _joined(self) -> None:
        super()._joined()
        self._tell_of_readers(tell=True)

    def _left(self) -> None:
        self._tell_of_readers(tell=False)
        super()._left()

    def _tell_of_readers(self, *, tell: bool) -> None:
        """Tell the process that reads the upstream, again and again, that somebody reads here."""
        if not tell and self._telling is not None:
            self._telling.cancel()
            self._telling = None
        elif tell and self._telling is None and self._status == "running":
            self._telling = self._loop.create_task(self._raise_flags())

    async def _raise_flags(self) -> None:
        while True:
            feed = self._feed
            for flag in read_flags(self._id, feed.epoch, feed.seconds, around=False):
                # Readers that go unnoticed for once are noticed the next time.
                with contextlib.suppress(LiveStoreError):
                    await asked(self._store.stop(flag))
            await asyncio.sleep(SLOT / 2)


def _unseen(record: Record, end: int) -> list[LiveEvent]:
    """Return the events of a record that are behind a position.

    A record that the store took, and said that it did not, comes again as part of the next.

    Raises:
        RunLostError: If there is a gap between them.
    """
    if record.start > end:
        raise RunLostError(f"the log has a gap: {end} to {record.start}")
    events = record.told()
    if record.start == end:
        return events
    log = Log()
    for event in events:
        log.append(event)
    return log.between(end - record.start, log.end)
