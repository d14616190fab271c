"""``batch run --dask``: the requests cut into shards, run on a Dask cluster, merged into OUT."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

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
from deepseek_async.cli.batch.dask_cluster import is_local, open_client, open_server, terminable
from deepseek_async.cli.batch.dask_files import (
    begin,
    check_beside,
    check_cut,
    is_forced,
    seal,
    shards_beside,
)
from deepseek_async.cli.batch.failures import Failures
from deepseek_async.cli.batch.files import count_letters, letters_of
from deepseek_async.cli.batch.options import BatchOptions, Display
from deepseek_async.cli.batch.plan import Plan
from deepseek_async.cli.batch.progress import open_view
from deepseek_async.cli.batch.report import Ending, Names
from deepseek_async.cli.batch.run import finish
from deepseek_async.cli.batch.shard_sums import add_usage, count_all, worst_of
from deepseek_async.cli.failures import UsageProblem
from deepseek_async.cli.screen import Screen
from deepseek_async.errors import BatchError
from deepseek_async.integrations.dask import import_distributed, map_dask
from deepseek_async.integrations.driving import ShardsProgress

# Items of a shard: with more, workers wait longer for each other at the end; with fewer, each of
# them begins anew too often.
_SIZE = 1000

# Ends that are none of a failure.
_STOPPED = {"unpaid", "stopped_by_deadline", "stopped_by_budget"}


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
    if plan.target.simulate and not is_local(scheduler):
        raise UsageProblem("--simulate is for workers on this machine: --dask local:2")
    if isinstance(plan.requests, Path) and plan.requests.suffix.lower() == ".parquet":
        raise UsageProblem(
            f"--dask takes JSONL: {plan.requests} is Parquet, which has no lines to cut"
        )
    try:
        import_distributed()
    except ImportError as exc:
        raise UsageProblem(str(exc)) from exc
    check_beside(BatchPaths.of(plan.out), plan)


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
        BatchError: If the input can't be read, or nothing be written.
    """
    assert isinstance(plan.requests, Path)
    paths = BatchPaths.of(plan.out)
    letters = letters_of(plan.out, paths)
    view = open_view(screen.notes, plan.out.name, quiet=display.quiet)
    parts = split_requests(plan.requests, size=_SIZE)
    check_cut(paths, parts)
    with open_server(plan) as base_url, open_client(scheduler) as client:
        begin(paths, plan.memory)
        run = _Run(plan, paths, parts, client, base_url)
        with view, terminable():
            run.run(lambda progress: view.show(run.progress(progress)))
    failures = Failures(view.tell, str(letters))
    failures.kinds = run.kinds
    ending = Ending(run.report(), failures, count_letters(paths.errors), run.error, run.interrupted)
    names = Names(
        plan.out if run.is_merged else shards_beside(paths),
        letters,
        str(plan.requests),
        program,
        go_on=("run", str(plan.requests), str(plan.out), "--dask", scheduler, *_options_of(plan)),
    )
    return finish(ending, names, display, screen, simulated=plan.target.simulate)


def _options_of(plan: Plan) -> Iterator[str]:
    """Yield the options that another run is to have as well: the shards go on with the same."""
    options, usual = plan.memory.options, BatchOptions()
    for name in options.__struct_fields__:
        value = getattr(options, name)
        if value == getattr(usual, name):
            continue
        yield f"--{name.replace('_', '-')}"
        if isinstance(value, datetime):
            yield value.isoformat()
        elif value is not True:
            yield "off-peak" if value == "off_peak" else str(value)
    if plan.target.base_url is not None:
        yield from ("--base-url", plan.target.base_url)
    if plan.target.simulate:
        yield "--simulate"


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
            force=is_forced(self._paths, self._plan),
            # That of the simulator; others are as the environment of the workers says.
            api_key="sk-simulated" if self._plan.target.simulate else None,
            dialect="deepseek" if self._plan.target.simulate else "auto",
            # Proxies of the environment don't lead to it.
            trust_env=not self._plan.target.simulate,
        )
        reports = map_dask(
            self._client,
            self._parts,
            shards_beside(self._paths),
            settings=settings,
            max_concurrency=options.max_concurrency,
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
            # What the account or the user allows is no failure.
            self.error = None if self._is_stopped else exc
        except KeyboardInterrupt:
            self.interrupted = True
        finally:
            reports.close()

    @property
    def _outcome(self) -> Outcome:
        return worst_of({report.outcome for report in self._reports})

    @property
    def _is_stopped(self) -> bool:
        has_failures = self._last is not None and self._last.failed_shards > 0
        return self._outcome in _STOPPED and not has_failures

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
        seal(self._paths, plan.memory)

    def progress(self, progress: ShardsProgress) -> BatchProgress:
        """Return where it stands, as the display has it."""
        self._last = progress
        done = progress.succeeded + progress.failed
        pace = done / max(progress.seconds, 1e-3)
        left = max(0, self._items - done - progress.skipped)
        usage = add_usage(report.usage for report in self._reports)
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
        counts = count_all(self._reports)
        ended = self._outcome
        if ended == "completed" and not self.is_merged:
            ended = "stopped" if self.interrupted else "broken"
        last = self._last
        if not self.is_merged and last is not None:
            # Shards that were ended tell nothing any more.
            done = {name: getattr(last, name) for name in ("succeeded", "failed", "skipped")}
            counts |= {name: max(value, counts[name]) for name, value in done.items()}
            counts["total"] = self._items
            counts["unsent"] = max(0, self._items - sum(done.values()))
        has_letters = self._paths.errors.exists()
        return BatchReport(
            outcome=ended,
            error=self.error,
            errors=dict(self.kinds),
            usage=add_usage(report.usage for report in self._reports),
            saved_by_cache=None,
            cache=None,
            seconds=time.monotonic() - self._began,
            samples=[],
            out=str(self._paths.results),
            dead_letters=str(self._paths.errors) if has_letters else None,
            **counts,
        )
