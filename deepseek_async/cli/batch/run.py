"""Running a batch on the command line: its input, its display, and the two kinds of Ctrl-C."""

import asyncio
import contextlib
import logging
from collections.abc import Generator
from pathlib import Path

from deepseek_async import BatchReport
from deepseek_async.batch import BatchJob
from deepseek_async.batch.paths import BatchPaths
from deepseek_async.cli.batch.failures import Failures, TroubleLog, in_batch_options, tell_error
from deepseek_async.cli.batch.files import count_letters, letters_of
from deepseek_async.cli.batch.interrupts import Interrupts
from deepseek_async.cli.batch.memory import remember
from deepseek_async.cli.batch.options import Display
from deepseek_async.cli.batch.plan import Plan, budget_of
from deepseek_async.cli.batch.progress import ProgressView, open_view
from deepseek_async.cli.batch.report import (
    Ending,
    Names,
    advice_lines,
    count_of,
    report_json,
    report_lines,
)
from deepseek_async.cli.connection import Connection, connect
from deepseek_async.cli.failures import FAILED, FINE, UsageProblem
from deepseek_async.cli.screen import Screen
from deepseek_async.errors import (
    AuthenticationError,
    BatchError,
    InsufficientBalanceError,
    PermissionDeniedError,
)

# These end the run, and are told then.
_STOPPING = (AuthenticationError, InsufficientBalanceError, PermissionDeniedError)


async def run_batch(plan: Plan, display: Display, screen: Screen, program: str) -> int:
    """Run a batch to its end, and tell what it did.

    Args:
        plan: What to do.
        display: How to tell.
        screen: Where to.
        program: What the command is called, for advice.

    Returns:
        The exit status.

    Raises:
        UsageProblem: If it can't begin: nothing has been sent.
    """
    paths = BatchPaths.of(plan.out)
    letters = letters_of(plan.out, paths)
    names = Names(
        plan.out,
        letters,
        plan.memory.input and _shown(plan.memory.input),
        program,
        "retry" if plan.is_retry else "resume",
    )
    view = open_view(screen.notes, plan.out.name, quiet=display.quiet, for_cache=plan.holds_back)
    failures = Failures(view.tell, str(letters))
    async with connect(plan.target, pace=plan.simulator_pace) as connection:
        with _heard(TroubleLog(failures)):
            run = _Run(plan, paths, connection, view, failures)
            await run.run()
    ending = Ending(
        run.report, failures, count_letters(paths.errors), run.error, run.interrupts.count > 0
    )
    return finish(ending, names, display, screen, simulated=plan.target.simulate)


@contextlib.contextmanager
def _heard(handler: logging.Handler) -> Generator[None]:
    """Give the library's log to a handler alone: others would write it into the display."""
    logger = logging.getLogger("deepseek_async")
    level, propagates = logger.level, logger.propagate
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagates


def _shown(path: str) -> str:
    """Return a path as short as it can be written here."""
    with contextlib.suppress(ValueError):
        return str(Path(path).relative_to(Path.cwd()))
    return path


def finish(
    ending: Ending, names: Names, display: Display, screen: Screen, *, simulated: bool
) -> int:
    """Tell what a run did, and return the exit status."""
    status = ending.status
    if display.json:
        screen.write(report_json(ending, names).decode())
    elif not display.quiet:
        for line in report_lines(ending, names):
            screen.console.print(line, soft_wrap=True)
        if simulated:
            screen.note("Simulated answers: nothing was billed.")
    if display.chart is not None:
        drawn = _draw(display.chart, ending.report, names, screen)
        status = status or drawn
    for line in advice_lines(ending, names):
        screen.notes.print(line, soft_wrap=True)
    return status


def _draw(path: Path, report: BatchReport, names: Names, screen: Screen) -> int:
    # Here, since most runs draw nothing.
    from deepseek_async.batch.chart import write_chart

    try:
        write_chart(path, report.samples, title=names.out.name)
    except (BatchError, ImportError) as exc:
        screen.notes.print(f"error: {tell_error(exc)}", soft_wrap=True)
        return FAILED
    return FINE


class _Run:
    """One run of a job."""

    def __init__(
        self,
        plan: Plan,
        paths: BatchPaths,
        connection: Connection,
        view: ProgressView,
        failures: Failures,
    ) -> None:
        self._plan = plan
        self._paths = paths
        self._view = view
        self._failures = failures
        self._connection = connection
        self._consuming: asyncio.Task[None] | None = None
        self._job = self._make_job()
        self.interrupts = Interrupts(self._drain, self._stop_at_once)
        self.error: Exception | None = None
        """What broke the run off."""

    @property
    def report(self) -> BatchReport:
        """What it did."""
        return self._job.report()

    def _make_job(self) -> BatchJob:
        plan = self._plan
        options = plan.memory.options
        requests = plan.requests
        return self._connection.client.batch(
            requests,
            out=plan.out,
            model=options.model,
            max_concurrency=options.max_concurrency or "auto",
            dedupe=options.dedupe,
            budget=budget_of(options),
            cache=options.cache,
            schedule=options.schedule,
            deadline=options.deadline,
            on_402=options.on_402,
            durability=options.durability,
            progress=self._view.show,
            retry=plan.is_retry,
            force=plan.force,
        )

    async def run(self) -> None:
        """Run the job to its end, however it ends.

        Raises:
            UsageProblem: If it can't begin.
        """
        with contextlib.ExitStack() as heeding:
            try:
                await self._job.__aenter__()
            except BatchError as exc:
                raise UsageProblem(in_batch_options(str(exc))) from exc
            heeding.enter_context(self.interrupts.heeded())
            try:
                self._remember()
                with self._view:
                    await self._consume()
                self._remember_duplicates()
            finally:
                try:
                    await self._job.aclose()
                except BatchError as exc:
                    self.error = exc

    def _remember(self) -> None:
        if not self._plan.is_retry:
            self._plan.memory.priced = self._connection.priced
            remember(self._paths, self._plan.memory)

    def _remember_duplicates(self) -> None:
        if self.report.outcome == "completed":
            self._plan.memory.duplicates = self.report.duplicates
            # Without it, they count as not answered.
            with contextlib.suppress(OSError):
                self._remember()

    async def _consume(self) -> None:
        self._consuming = consuming = asyncio.create_task(self._follow())
        try:
            await asyncio.wait([consuming])
        finally:
            consuming.cancel()
        if not consuming.cancelled():
            self.error = _caught(consuming.exception())

    async def _follow(self) -> None:
        async for item in self._job:
            if item.error is not None and not isinstance(item.error, _STOPPING):
                self._failures.add(item)

    def _drain(self) -> None:
        self._job.stop()
        under_way = self._job.progress().in_flight
        if under_way:
            self._view.wait_for(
                f"stopping: waiting for {count_of(under_way, 'request')} under way; "
                "Ctrl-C again stops at once"
            )

    def _stop_at_once(self) -> None:
        self._view.wait_for("stopping at once: what is finished is kept")
        if self._consuming is not None:
            self._consuming.cancel()


def _caught(error: BaseException | None) -> Exception | None:
    if error is not None and not isinstance(error, Exception):
        raise error
    return error
