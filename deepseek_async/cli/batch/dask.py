"""``batch run --dask``: the requests cut into shards, run on a Dask cluster, merged into OUT."""

import contextlib
import os
import re
import signal
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from deepseek_async import ModelTotals, simulator
from deepseek_async.batch import (
    BatchProgress,
    BatchReport,
    MergeReport,
    ShardReport,
    ShardSettings,
)
from deepseek_async.batch.meta import InputFile, Meta, settings_of, write_meta
from deepseek_async.batch.paths import BatchPaths
from deepseek_async.batch.report import Outcome
from deepseek_async.batch.shard_parts import ShardPart, split_requests
from deepseek_async.cli.batch.failures import Failures
from deepseek_async.cli.batch.files import count_letters, letters_of
from deepseek_async.cli.batch.memory import remember
from deepseek_async.cli.batch.options import Display
from deepseek_async.cli.batch.plan import Plan
from deepseek_async.cli.batch.progress import open_view
from deepseek_async.cli.batch.report import Ending, Names
from deepseek_async.cli.batch.run import finish
from deepseek_async.cli.connection import PACE
from deepseek_async.cli.failures import UsageProblem
from deepseek_async.cli.screen import Screen
from deepseek_async.errors import BatchError
from deepseek_async.integrations.dask import MAX_CONCURRENCY, import_distributed, map_dask
from deepseek_async.integrations.driving import ShardsProgress

# Items of a shard: with more, workers wait longer for each other at the end; with fewer, each of
# them begins anew too often.
_SIZE = 1000

# Shards that a local process runs at once: while one ends, the other one goes on.
_AT_ONCE = 2

_LOCAL = re.compile(r"local:([1-9]\d{0,2})")

# What names the server, as the client reads it.
_ADDRESSES = ("DEEPSEEK_BASE_URL", "DEEPSEEK_API_BASE")

# How long a scheduler may take to answer for the first time, in seconds.
_PATIENCE = 10.0

# What reports of shards add up to.
_COUNTS = (
    "total",
    "succeeded",
    "failed",
    "skipped",
    "duplicates",
    "shared",
    "unsent",
    "requests",
    "rejected",
    "retries",
)
_NUMBERS = (
    "requests",
    "without_usage",
    "unpriced",
    "prompt_tokens",
    "completion_tokens",
    "reasoning_tokens",
    "cached_tokens",
)

# Outcomes of shards, what ended the whole run first.
_OUTCOMES: tuple[Outcome, ...] = (
    "broken",
    "refused",
    "unpaid",
    "stopped_by_deadline",
    "stopped_by_budget",
    "stopped",
)


def check_dask(plan: Plan, scheduler: str, display: Display) -> None:
    """Find what makes no sense before anything is started.

    Raises:
        UsageProblem: If there is any.
    """
    options = plan.memory.options
    if options.budget_usd is not None or options.budget_tokens is not None:
        raise UsageProblem(
            "--budget-usd and --budget-tokens hold for one process: leave them out, or --dask"
        )
    if display.chart is not None:
        raise UsageProblem("--chart draws the run of one process: leave it out, or --dask")
    if plan.target.simulate and not _LOCAL.fullmatch(scheduler):
        raise UsageProblem("--simulate is for workers on this machine: --dask local:2")
    try:
        import_distributed()
    except ImportError as exc:
        raise UsageProblem(str(exc)) from exc
    paths = BatchPaths.of(plan.out)
    if paths.results.exists() and _merged(paths) != _look_of(paths.results):
        raise UsageProblem(
            f"{paths.results.name} has answers that are not those of {_directory(paths).name}: go "
            "on with batch resume or batch retry, or name another file"
        )


def run_on_dask(plan: Plan, scheduler: str, display: Display, screen: Screen, program: str) -> int:
    """Run a batch on a Dask cluster, and tell what it did.

    Args:
        plan: What to do.
        scheduler: Address of the cluster, or ``local:N`` for N processes.
        display: How to tell.
        screen: Where to.
        program: What the command is called, for advice.

    Returns:
        The exit status.

    Raises:
        UsageProblem: If it can't begin: nothing has been sent.
        BatchError: If the input can't be read.
    """
    assert isinstance(plan.requests, Path)
    paths = BatchPaths.of(plan.out)
    letters = letters_of(plan.out, paths)
    view = open_view(screen.notes, plan.out.name, quiet=display.quiet)
    parts = split_requests(plan.requests, size=_SIZE)
    _Run.check_cut(paths, parts)
    with _server(plan) as base_url, _client(scheduler) as client:
        run = _Run(plan, paths, parts, client, base_url)
        with view, _terminable():
            run.run(lambda progress: view.show(run.progress(progress)))
    failures = Failures(view.tell, str(letters))
    failures.kinds = run.kinds
    ending = Ending(run.report(), failures, count_letters(paths.errors), run.error, run.interrupted)
    names = Names(
        plan.out if run.is_merged else _directory(paths),
        letters,
        str(plan.requests),
        program,
        go_on=("run", str(plan.requests), str(plan.out), "--dask", scheduler),
    )
    return finish(ending, names, display, screen, simulated=plan.target.simulate)


class _Run:
    """One run."""

    def __init__(
        self,
        plan: Plan,
        paths: BatchPaths,
        parts: list[ShardPart],
        client: Any,
        base_url: str | None,
    ) -> None:
        self._plan = plan
        self._paths = paths
        self._parts = parts
        self._client = client
        self._base_url = base_url
        self._items = sum(map(len, parts))
        self._began = time.monotonic()
        self._reports: list[ShardReport] = []
        self._last: ShardsProgress | None = None
        self.is_merged = False
        self.kinds: Counter[str] = Counter()
        self.error: Exception | None = None
        self.interrupted = False

    @staticmethod
    def check_cut(paths: BatchPaths, parts: list[ShardPart]) -> None:
        """Make sure that the input is still the one that was begun with.

        Raises:
            UsageProblem: If it isn't.
        """
        directory = _directory(paths)
        try:
            cut = (directory / "cut.txt").read_text("ascii").strip()
        except FileNotFoundError:
            return
        if parts and cut != parts[0].cut:
            raise UsageProblem(
                f"{directory} has the shards of another input, or of this one before it changed: "
                "name another file for the results, or remove that directory"
            )

    def run(self, on_progress: Callable[[ShardsProgress], None]) -> None:
        """Run it to its end, however it ends."""
        options = self._plan.memory.options
        settings = ShardSettings(
            base_url=self._base_url,
            model=options.model,
            dedupe=options.dedupe,
            cache=options.cache,
            schedule=options.schedule,
            deadline=options.deadline,
            on_402=options.on_402,
            durability=options.durability,
            force=self._plan.force,
            # That of the simulator; others are as the environment of the workers says.
            api_key="sk-simulated" if self._plan.target.simulate else None,
            dialect="deepseek" if self._plan.target.simulate else "auto",
        )
        reports = map_dask(
            self._client,
            self._parts,
            _directory(self._paths),
            settings=settings,
            max_concurrency=options.max_concurrency or MAX_CONCURRENCY,
            progress=on_progress,
            into=self._paths.results,
        )
        try:
            while True:
                try:
                    report = next(reports)
                except StopIteration as exc:
                    self._finish(exc.value)
                    return
                self._reports.append(report)
                self.kinds.update(report.errors)
        except BatchError as exc:
            self.error = exc
        except KeyboardInterrupt:
            self.interrupted = True
        finally:
            reports.close()

    def _finish(self, merged: MergeReport) -> None:
        """Make the merged file one that ``resume`` and ``retry`` go on with."""
        self.is_merged = True
        plan, options = self._plan, self._plan.memory.options
        assert isinstance(plan.requests, Path)
        meta = Meta(
            settings=settings_of({"model": options.model, "response_model": None}),
            input=InputFile.of(plan.requests),
            results=merged.answered,
            errors=merged.failed,
        )
        write_meta(self._paths.meta, meta)
        plan.memory.priced = merged.cost is not None
        plan.memory.duplicates = sum(report.duplicates for report in self._reports)
        remember(self._paths, plan.memory)
        seal = _directory(self._paths) / "merged.json"
        seal.write_bytes(msgspec.json.encode(_look_of(self._paths.results)))

    def progress(self, progress: ShardsProgress) -> BatchProgress:
        """Return where it stands, as the display has it."""
        self._last = progress
        done = progress.succeeded + progress.failed
        pace = done / max(progress.seconds, 1e-3)
        left = max(0, self._items - done - progress.skipped)
        usage = _added(report.usage for report in self._reports)
        return BatchProgress(
            total=self._items,
            read=self._items,
            succeeded=progress.succeeded,
            failed=progress.failed,
            skipped=progress.skipped,
            duplicates=0,
            in_flight=progress.in_flight,
            retrying=0,
            limit=progress.permits,
            rejected=0,
            retries=0,
            tokens=usage.total_tokens,
            cost=usage.cost(),
            cache_hit_share=None,
            items_per_second=pace,
            tokens_per_second=0.0,
            seconds=progress.seconds,
            seconds_left=left / pace if pace else None,
            paused=None,
        )

    def report(self) -> BatchReport:
        """Return what the shards did together."""
        counts: Counter[str] = Counter()
        for report in self._reports:
            counts.update({name: getattr(report, name) for name in _COUNTS})
        ended = _worst({report.outcome for report in self._reports})
        if ended == "completed" and not self.is_merged:
            ended = "stopped" if self.interrupted else "broken"
        last = self._last
        if not self.is_merged and last is not None:
            # Shards that were ended tell nothing any more.
            done = {name: getattr(last, name) for name in ("succeeded", "failed", "skipped")}
            counts.update({name: max(0, value - counts[name]) for name, value in done.items()})
            counts["total"] = self._items
            counts["unsent"] = max(0, self._items - sum(done.values()))
        has_letters = self._paths.errors.exists()
        return BatchReport(
            outcome=ended,
            error=self.error,
            errors=dict(self.kinds),
            usage=_added(report.usage for report in self._reports),
            saved_by_cache=None,
            cache=None,
            seconds=time.monotonic() - self._began,
            samples=[],
            out=str(self._paths.results),
            dead_letters=str(self._paths.errors) if has_letters else None,
            **{name: counts[name] for name in _COUNTS},
        )


def _worst(outcomes: set[Outcome]) -> Outcome:
    for outcome in _OUTCOMES:
        if outcome in outcomes:
            return outcome
    return "completed"


def _added(parts: Iterable[ModelTotals]) -> ModelTotals:
    """Return totals of several shards as one."""
    numbers: Counter[str] = Counter()
    costs: dict[str, Decimal] = {}
    priced: Counter[str] = Counter()
    for totals in parts:
        numbers.update({name: getattr(totals, name) for name in _NUMBERS})
        priced.update(totals.priced)
        for currency, cost in totals.costs.items():
            costs[currency] = costs.get(currency, Decimal(0)) + cost
    return ModelTotals(**numbers, costs=costs, priced=dict(priced))


def _directory(paths: BatchPaths) -> Path:
    """Return where the shards are: ``answers.shards`` beside ``answers.jsonl``."""
    stem = paths.meta.name.removesuffix(".meta.json")
    return paths.results.with_name(f"{stem}.shards")


def _look_of(path: Path) -> list[int]:
    """Return what a file is known again by."""
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns]


def _merged(paths: BatchPaths) -> list[int] | None:
    """Return what the results were known by when they were merged; None if they never were."""
    try:
        return msgspec.json.decode((_directory(paths) / "merged.json").read_bytes(), type=list[int])
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


@contextlib.contextmanager
def _server(plan: Plan) -> Generator[str | None]:
    """Give the address that the workers send to; None: that of their environment."""
    if not plan.target.simulate:
        # Workers elsewhere may have another environment, and would send it all to DeepSeek.
        yield plan.target.base_url or next(filter(None, map(os.environ.get, _ADDRESSES)), None)
        return
    options: dict[str, Any] = dict(plan.simulator_pace or PACE)
    with simulator.SimulatorThread(**options) as sim:
        yield sim.base_url


@contextlib.contextmanager
def _client(scheduler: str) -> Generator[Any]:
    """Connect to a cluster, or start one on this machine.

    Raises:
        UsageProblem: If there is none.
    """
    distributed = import_distributed()
    with contextlib.ExitStack() as stack:
        local = _LOCAL.fullmatch(scheduler)
        try:
            if local is not None:
                with _ignored(signal.SIGINT):
                    cluster = distributed.LocalCluster(
                        n_workers=int(local[1]),
                        threads_per_worker=_AT_ONCE,
                        dashboard_address="127.0.0.1:0",
                        # Shards hold no data that could be spilled.
                        memory_limit=0,
                    )
                stack.enter_context(cluster)
                client = distributed.Client(cluster)
            else:
                client = distributed.Client(scheduler, timeout=_PATIENCE)
        except (OSError, TimeoutError, ValueError) as exc:
            raise UsageProblem(
                f"--dask {scheduler}: no cluster answers there ({exc}); name the address of a "
                "scheduler, such as tcp://10.0.0.1:8786, or local:2 for two processes here"
            ) from exc
        yield stack.enter_context(client)


@contextlib.contextmanager
def _ignored(number: signal.Signals) -> Generator[None]:
    """Ignore a signal in this block, and in the processes that are started in it: for good."""
    former = signal.signal(number, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(number, former)


@contextlib.contextmanager
def _terminable() -> Generator[None]:
    """Take SIGTERM for Ctrl-C in this block."""
    former = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)
