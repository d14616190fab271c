"""The commands of ``batch``, as typer sees them."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deepseek_async.cli.batch.options import (
    MODEL,
    BudgetTokens,
    BudgetUsd,
    Cache,
    Chart,
    DaskScheduler,
    Deadline,
    Display,
    Durability,
    Force,
    MaxConcurrency,
    On402Option,
    OutArgument,
    Pace,
    Quiet,
    ReportJson,
    Schedule,
    ScheduleOption,
    Strict,
    read_deadline,
)
from deepseek_async.cli.options import BaseUrl, Simulate
from deepseek_async.cli.screen import open_screen

if TYPE_CHECKING:
    from deepseek_async.cli.batch.plan import Plan

_STATUSES = (
    "Exit status: 0 every request is answered, 1 some failed or the run broke off, 2 nothing could "
    "be sent (wrong usage, or files that can't be used), 3 stopped by the budget, the deadline or "
    "an empty account, 130 interrupted."
)

batch = typer.Typer(
    name="batch",
    help="Send many requests from a file, as many at once as the server takes, each answered once.",
    epilog=_STATUSES,
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

InArgument = Annotated[
    Path,
    typer.Argument(
        metavar="IN",
        help="JSONL: on each line a request as in OpenAI's batches, or the body of one; or the "
        "same as rows of a .parquet file.",
        show_default=False,
    ),
]
BatchModel = Annotated[
    str, typer.Option("--model", "-m", help="The model of requests that name none.")
]


@batch.command(epilog="Example: deepseek-async batch run requests.jsonl answers.jsonl")
def run(
    context: typer.Context,
    source: InArgument,
    out: OutArgument,
    model: BatchModel = MODEL,
    max_concurrency: MaxConcurrency = None,
    budget_usd: BudgetUsd = None,
    budget_tokens: BudgetTokens = None,
    strict: Strict = None,
    deadline: Deadline = None,
    schedule: ScheduleOption = None,
    on_402: On402Option = None,
    dedupe: Annotated[
        bool,
        typer.Option("--dedupe", help="Send equal requests once, and give all of them the answer."),
    ] = False,
    cache: Annotated[
        Cache,
        typer.Option(
            "--cache",
            help="auto: in an order that makes use of the server's cache; off: in that of IN.",
        ),
    ] = Cache.AUTO,
    durability: Annotated[
        Durability,
        typer.Option(
            "--durability",
            help="Wait for the disk for groups of answers, for each one, or not at all.",
        ),
    ] = Durability.GROUP,
    dask: DaskScheduler = None,
    force: Force = False,
    chart: Chart = None,
    json: ReportJson = False,
    quiet: Quiet = False,
    base_url: BaseUrl = None,
    simulate: Simulate = False,
    pace: Pace = 1.0,
) -> None:
    """Send the requests in IN and write the answers to OUT.

    The same command again goes on where an earlier one ended, whatever ended it. Requests that
    failed go to a file beside OUT. Ctrl-C waits for what is under way; once more stops at once.
    """
    from deepseek_async.cli.batch.dask_files import check_no_shards
    from deepseek_async.cli.batch.plan import plan_run

    given = _given(
        model=model,
        max_concurrency=max_concurrency,
        budget_usd=budget_usd,
        budget_tokens=budget_tokens,
        strict=strict,
        deadline=deadline,
        schedule=schedule,
        on_402=on_402,
        dedupe=dedupe,
        cache=cache.value,
        durability=durability.value,
    )
    display = Display(json, quiet, chart)
    plan = plan_run(
        source, out, given, display, base_url=base_url, simulate=simulate, force=force, pace=pace
    )
    if dask is not None:
        _run_on_dask(context, plan, display, dask)
    elif not force:
        check_no_shards(out)
    _run(context, plan, display)


@batch.command(epilog="Example: deepseek-async batch resume answers.jsonl")
def resume(
    context: typer.Context,
    out: OutArgument,
    source: Annotated[
        Path | None,
        typer.Option("--input", metavar="IN", help="The requests, if they are elsewhere by now."),
    ] = None,
    max_concurrency: MaxConcurrency = None,
    budget_usd: BudgetUsd = None,
    budget_tokens: BudgetTokens = None,
    strict: Strict = None,
    deadline: Deadline = None,
    schedule: ScheduleOption = None,
    on_402: On402Option = None,
    force: Force = False,
    chart: Chart = None,
    json: ReportJson = False,
    quiet: Quiet = False,
    base_url: BaseUrl = None,
    simulate: Simulate = False,
    pace: Pace = 1.0,
) -> None:
    """Go on with what is not answered yet.

    With the options of the earlier run, but for those that are given; a budget counts for each run
    anew. What failed is not sent again: see retry.
    """
    from deepseek_async.cli.batch.plan import plan_resume

    given = _given(
        max_concurrency=max_concurrency,
        budget_usd=budget_usd,
        budget_tokens=budget_tokens,
        strict=strict,
        deadline=deadline,
        schedule=schedule,
        on_402=on_402,
    )
    display = Display(json, quiet, chart)
    plan = plan_resume(
        out, source, given, display, base_url=base_url, simulate=simulate, force=force, pace=pace
    )
    _run(context, plan, display)


@batch.command(epilog="Example: deepseek-async batch retry answers.jsonl")
def retry(
    context: typer.Context,
    out: OutArgument,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="Another model for requests that had named none."),
    ] = None,
    max_concurrency: MaxConcurrency = None,
    budget_usd: BudgetUsd = None,
    budget_tokens: BudgetTokens = None,
    strict: Strict = None,
    deadline: Deadline = None,
    schedule: ScheduleOption = None,
    on_402: On402Option = None,
    chart: Chart = None,
    json: ReportJson = False,
    quiet: Quiet = False,
    base_url: BaseUrl = None,
    simulate: Simulate = False,
    pace: Pace = 1.0,
) -> None:
    """Send again what failed, and nothing else.

    Answers are added to OUT, and their requests leave the file of those that failed.
    """
    from deepseek_async.cli.batch.plan import plan_retry

    given = _given(
        max_concurrency=max_concurrency,
        budget_usd=budget_usd,
        budget_tokens=budget_tokens,
        strict=strict,
        deadline=deadline,
        schedule=schedule,
        on_402=on_402,
    )
    display = Display(json, quiet, chart)
    plan = plan_retry(out, model, given, display, base_url=base_url, simulate=simulate, pace=pace)
    if plan is None:
        open_screen().note(f"nothing failed in {out}: nothing is sent")
        raise typer.Exit
    _run(context, plan, display)


@batch.command(epilog="Example: deepseek-async batch status answers.jsonl")
def status(
    context: typer.Context,
    out: OutArgument,
    json: Annotated[bool, typer.Option("--json", help="As JSON, for scripts.")] = False,
) -> None:
    """Show where a batch stands, also while it runs."""
    from deepseek_async.cli.batch.files import check_results
    from deepseek_async.cli.batch.status import show_status

    check_results(out)
    raise typer.Exit(show_status(out, open_screen(), _program(context), json=json))


@batch.command(epilog="Example: deepseek-async batch estimate requests.jsonl --output-tokens 300")
def estimate(
    source: InArgument,
    model: BatchModel = MODEL,
    output_tokens: Annotated[
        int,
        typer.Option(
            "--output-tokens", metavar="N", min=1, help="Length of an answer, with its reasoning."
        ),
    ] = 1000,
    max_concurrency: Annotated[
        int | None,
        typer.Option("--max-concurrency", metavar="N", min=1, help="Most requests at once."),
    ] = None,
    json: ReportJson = False,
) -> None:
    """Tell what a batch would cost and how long it would take, at DeepSeek's prices.

    Nothing is sent, and no key is needed.
    """
    from deepseek_async.batch.estimate import BatchEstimator
    from deepseek_async.cli.batch.estimate import estimate as show_estimate
    from deepseek_async.cli.batch.files import check_input

    check_input(source)
    estimator = BatchEstimator(
        model=model, output_tokens=output_tokens, concurrency=max_concurrency
    )
    raise typer.Exit(
        asyncio.run(show_estimate(source, estimator, open_screen(), model=model, json=json))
    )


@batch.command(epilog="Example: deepseek-async batch export answers.jsonl answers.csv")
def export(
    out: OutArgument,
    target: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="Ends in .csv, .jsonl or .parquet.", show_default=False
        ),
    ],
    answers_only: Annotated[
        bool, typer.Option("--answers-only", help="Leave out the requests that failed.")
    ] = False,
    raw: Annotated[
        bool,
        typer.Option("--raw", help="CSV for programs: nothing in it to protect spreadsheets."),
    ] = False,
) -> None:
    """Write the results as a table."""
    from deepseek_async.cli.batch.export import export as write
    from deepseek_async.cli.batch.files import check_results

    check_results(out)
    raise typer.Exit(write(out, target, open_screen(), answers_only=answers_only, raw=raw))


def _given(**options: Any) -> dict[str, Any]:
    """Return options as they are kept; those that were not given are None."""
    schedule, on_402, deadline = options["schedule"], options["on_402"], options["deadline"]
    if schedule is not None:
        options["schedule"] = "off_peak" if schedule is Schedule.OFF_PEAK else "any"
    if on_402 is not None:
        options["on_402"] = on_402.value
    if deadline is not None:
        options["deadline"] = read_deadline(deadline, datetime.now(UTC))
    return options


def _run(context: typer.Context, plan: "Plan", display: Display) -> None:
    # Here and above, since other commands can do without all that it takes to run a batch.
    from deepseek_async.cli.batch.run import run_batch

    raise typer.Exit(asyncio.run(run_batch(plan, display, open_screen(), _program(context))))


def _run_on_dask(context: typer.Context, plan: "Plan", display: Display, scheduler: str) -> None:
    from deepseek_async.cli.batch.dask import check_dask, run_on_dask

    check_dask(plan, scheduler, display)
    raise typer.Exit(run_on_dask(plan, scheduler, display, open_screen(), _program(context)))


def _program(context: typer.Context) -> str:
    return context.find_root().info_name or "deepseek-async"
