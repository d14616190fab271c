"""A batch job as its user sees it."""

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from deepseek_async.batch.delivery import Delivery
from deepseek_async.batch.engine import Engine, Services
from deepseek_async.batch.history import History, Moment
from deepseek_async.batch.intake import Intake
from deepseek_async.batch.journal import Journal
from deepseek_async.batch.options import JobOptions
from deepseek_async.batch.recording import Recorder
from deepseek_async.batch.report import BatchItem, BatchProgress, BatchReport, Tally
from deepseek_async.batch.source import Requests, open_source
from deepseek_async.errors import BatchFileError, InsufficientBalanceError
from deepseek_async.lanes import TICK
from deepseek_async.pricing import PriceTable
from deepseek_async.structured import check_response_format

logger = logging.getLogger("deepseek_async")

# Seconds between two samples of how a job goes.
_LOOK_EVERY = 0.25


class BatchJob:
    """A batch: iterate it for :class:`BatchItem` objects as they finish, or ``await job.run()``.

    Use it with ``async with``; leaving the block early stops sending, cancels what is under way
    and keeps what has been finished. Made by ``client.batch(...)``, which documents the options.
    """

    def __init__(self, services: Services, requests: Requests, options: JobOptions) -> None:
        if options.response_model is not None:
            check_response_format(options.response_model)
        self._services = services
        self._options = options
        self._requests = requests
        self._source = open_source(requests, options.map)
        self._tally = Tally(None if services.is_deepseek else PriceTable({}))
        self._delivery: Delivery[BatchItem] = Delivery(
            ordered=options.ordered, on_taken=self._look_for_work
        )
        self._recorder = Recorder(self._delivery, self._tally, self._look_for_work)
        self._history = History(self._tally)
        self._journal: Journal[BatchItem] | None = None
        self._engine: Engine | None = None
        self._most: int | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._began: float | None = None
        self._seconds: float | None = None
        self._closed = False

    # Opening and closing.

    async def __aenter__(self) -> Self:
        if self._engine is not None:
            raise RuntimeError("a job runs once; make another with client.batch(...)")
        self._engine = Engine(
            self._services, self._options, self._tally, self._delivery, self._recorder
        )
        if self._most is not None:
            self._engine.limit_to(self._most)
        if self._options.out is not None:
            journal = self._make_journal(self._options.out)
            await journal.open()
            self._journal = self._recorder.journal = journal
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def _make_journal(self, out: Path) -> Journal[BatchItem]:
        options = self._options
        model = options.response_model
        assert self._engine is not None
        return Journal(
            out,
            settings={
                "model": options.model,
                "response_model": None if model is None else _name_of(model),
            },
            source=self._requests if isinstance(self._requests, str | os.PathLike) else None,
            on_durable=self._recorder.written,
            on_error=self._engine.broke,
            durability=options.durability,
            retry=options.retry,
            force=options.force,
        )

    async def aclose(self) -> None:
        """Stop sending, cancel what is under way, and write what has been finished.

        Raises:
            BatchFileError: If that can't be written.
        """
        if self._engine is not None and not self._closed:
            self._closed = True
            await _finish_despite_cancellation(self._close(self._engine))

    async def _close(self, engine: Engine) -> None:
        # Also of a reader that won't be cancelled.
        engine.stop("stopped")
        for task in self._tasks:
            task.cancel()
        try:
            # What they raised has been taken note of.
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await engine.aclose()
            await self._source.aclose()
        finally:
            try:
                if self._journal is not None:
                    if engine.outcome == "completed" and self._options.map is None:
                        self._journal.complete(self._tally.read, self._tally.duplicates)
                    await self._journal.aclose()
            except BatchFileError as exc:
                if engine.outcome != "broken":
                    raise
                # The iteration has raised it; this one says how much was lost.
                engine.error = exc
                logger.error("%s", exc)
            finally:
                self._delivery.end()
                self._ended()

    # What the consumer sees.

    def __aiter__(self) -> AsyncIterator[BatchItem]:
        return self

    async def __anext__(self) -> BatchItem:
        self._start()
        item = await self._delivery.get()
        if item is None:
            self._ended()
            raise StopAsyncIteration
        return item

    async def run(self) -> BatchReport:
        """Run to the end without handing out items, and return the report.

        Opens and closes the job as well, if it isn't inside ``async with``.

        Raises:
            BatchError: If the input can't be read or the results not be written.
        """
        if self._engine is None:
            async with self:
                return await self.run()
        self._start()
        await self._delivery.discard()
        self._ended()
        return self.report()

    def stop(self) -> None:
        """Send nothing more, but finish what is under way; iteration then ends.

        The next run of the same call goes on from there.
        """
        if self._engine is not None:
            self._engine.stop("stopped")
            self._engine.pump()

    def limit_to(self, most: int) -> None:
        """Have no more than ``most`` requests under way, from now on."""
        self._most = most
        if self._engine is not None:
            self._engine.limit_to(most)

    @property
    def learned_limit(self) -> int:
        """How many requests it may send at once by what earlier jobs found; 0 for unknown."""
        learned = self._services.learned(self._options.model or "")
        most = self._options.max_concurrency
        return learned if most == "auto" else min(learned, most)

    @property
    def stated_limit(self) -> int | None:
        """How many requests the server said there may be when it last refused one (429)."""
        return None if self._engine is None else self._engine.stated_limit

    def progress(self) -> BatchProgress:
        """Return where the job stands."""
        return self._history.progress(
            self._moment(),
            total=self._source.total,
            share=self._source.share,
            paused=None if self._engine is None else self._engine.pauses.reason,
        )

    def report(self) -> BatchReport:
        """Return what the job did, up to now if it still runs."""
        tally, engine, journal = self._tally, self._engine, self._journal
        queues = [] if engine is None else engine.queues
        caches = filter(None, (queue.cache_report() for queue in queues))
        has_failures = journal is not None and journal.failures > 0
        return BatchReport(
            outcome="running" if engine is None else engine.outcome,
            error=None if engine is None else engine.error,
            total=tally.read,
            succeeded=tally.succeeded,
            failed=tally.failed,
            skipped=tally.skipped,
            duplicates=tally.duplicates,
            shared=tally.shared,
            unsent=tally.unsent,
            requests=tally.requests,
            rejected=tally.rejected,
            retries=tally.retries,
            errors=dict(tally.errors),
            usage=tally.usage.total,
            saved_by_cache=tally.saved,
            cache=max(caches, key=lambda cache: cache.items, default=None),
            seconds=self._elapsed(),
            samples=self._history.samples,
            out=None if journal is None else str(journal.paths.results),
            dead_letters=str(journal.paths.errors)
            if journal is not None and has_failures
            else None,
        )

    def _moment(self) -> Moment:
        queues = [] if self._engine is None else self._engine.queues
        return Moment(
            seconds=self._elapsed(),
            limit=0 if self._engine is None else self._engine.limit,
            in_flight=sum(queue.lane.in_flight for queue in queues),
            retrying=sum(queue.retries for queue in queues),
        )

    def _elapsed(self) -> float:
        if self._began is None:
            return 0.0
        return time.monotonic() - self._began if self._seconds is None else self._seconds

    # The job's own tasks.

    def _start(self) -> None:
        engine = self._engine
        if engine is None or self._closed:
            raise RuntimeError("use the job inside `async with client.batch(...) as job:`")
        if self._began is not None:
            return
        self._began = time.monotonic()
        if engine.pauses.is_late:
            engine.stop("stopped_by_deadline")
        finished = None
        if self._journal is not None and self._options.map is None:
            # What another function makes of the same input may be something else.
            finished = self._journal.finished
        intake = Intake(
            self._source,
            self._options.model,
            self._journal,
            engine,
            self._recorder,
            self._tally,
            finished,
        )
        for step in (intake.run, self._keep, self._watch_balance):
            self._tasks.append(asyncio.create_task(self._guarded(engine, step)))

    async def _guarded(self, engine: Engine, step: Callable[[], Awaitable[None]]) -> None:
        """Run one of the job's own tasks; what it raises ends the job."""
        try:
            await step()
        except Exception as exc:
            engine.broke(exc)

    def _look_for_work(self) -> None:
        if self._engine is not None:
            self._engine.pump()

    async def _keep(self) -> None:
        """Look after what changes with time."""
        engine = self._engine
        assert engine is not None
        looked = time.monotonic()
        while not self._delivery.has_ended:
            await asyncio.sleep(TICK)
            for queue in engine.queues:
                queue.lane.tick()
            now = time.monotonic()
            if now - looked >= _LOOK_EVERY:
                looked = now
                self._look(engine)
            engine.pump()
        self._ended()

    def _look(self, engine: Engine) -> None:
        """Look at the hours, and tell how far the job is."""
        if engine.pauses.is_late:
            engine.stop("stopped_by_deadline")
        progress = self._sample()
        remaining = None
        if progress.total is not None:
            remaining = max(0, progress.total - progress.finished)
        engine.pauses.look(remaining=remaining, rate=progress.items_per_second)

    async def _watch_balance(self) -> None:
        engine = self._engine
        assert engine is not None

        def stop(error: InsufficientBalanceError) -> None:
            engine.stop("unpaid", error)
            engine.pump()

        await engine.pauses.watch_balance(stop)

    def _sample(self) -> BatchProgress:
        self._history.sample(self._moment())
        progress = self.progress()
        if self._options.progress is not None:
            self._options.progress(progress)
        return progress

    def _ended(self) -> None:
        """Stop the clock, and show how it ended."""
        if self._began is not None and self._seconds is None:
            self._seconds = time.monotonic() - self._began
            self._sample()
            self._warn_of_wasted_cache()

    def _warn_of_wasted_cache(self) -> None:
        cache = self.report().cache
        if cache is not None and cache.early_difference is not None:
            logger.warning("%s", cache.early_difference)


def _name_of(model: Any) -> str:
    """Return the name of a type; unions and the like have none."""
    return str(getattr(model, "__qualname__", model))


async def _finish_despite_cancellation(step: Coroutine[Any, Any, None]) -> None:
    """Wait for a step that must not be left half done, and be cancelled only then."""
    task = asyncio.create_task(step)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as exc:
            cancelled = exc
    if cancelled is not None:
        if not task.cancelled() and (error := task.exception()) is not None:
            raise cancelled from error
        raise cancelled
    task.result()
