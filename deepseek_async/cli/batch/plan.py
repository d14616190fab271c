"""What a run of a batch begins with: the options of earlier ones, checked against the files."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from deepseek_async.batch import Budget
from deepseek_async.batch.paths import BatchPaths
from deepseek_async.cli.batch.files import (
    DeadLetters,
    check_chart,
    check_input,
    check_output,
    check_results,
)
from deepseek_async.cli.batch.memory import Memory, guess, memory_path, recall
from deepseek_async.cli.batch.options import BatchOptions, Display
from deepseek_async.cli.connection import PACE, Target
from deepseek_async.cli.failures import UsageProblem
from deepseek_async.errors import PreflightError


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to send, and where to put the answers."""

    requests: Path | DeadLetters
    out: Path
    target: Target
    memory: Memory
    force: bool = False

    pace: float = 1.0
    """How many times faster than in real life the simulator is; 0: as fast as possible."""

    @property
    def is_retry(self) -> bool:
        """Whether requests that failed are sent again."""
        return isinstance(self.requests, DeadLetters)

    @property
    def holds_back(self) -> bool:
        """Whether it is for the server's cache if few requests are under way."""
        options = self.memory.options
        has_budget = options.budget_usd is not None or options.budget_tokens is not None
        return options.cache == "auto" and not has_budget

    @property
    def simulator_pace(self) -> dict[str, float]:
        """The pace of the simulator, as options of it."""
        if not self.pace:
            return {}
        return {
            "tokens_per_second": PACE["tokens_per_second"] * self.pace,
            "first_token_seconds": PACE["first_token_seconds"] / self.pace,
        }


def plan_run(
    source: Path,
    out: Path,
    given: dict[str, Any],
    display: Display,
    *,
    base_url: str | None,
    simulate: bool,
    force: bool,
    pace: float,
) -> Plan:
    """Return the plan of ``batch run``.

    Raises:
        UsageProblem: If something is wrong with it.
    """
    target = Target(base_url, simulate)
    check_input(source)
    paths = BatchPaths.of(out)
    check_output(source, paths)
    _check_same_world(recall(paths), paths, target, force=force)
    memory = Memory(
        input=str(source.absolute()),
        options=BatchOptions().changed(given),
        base_url=base_url,
        simulate=simulate,
    )
    plan = Plan(
        requests=source,
        out=out,
        target=target,
        memory=memory,
        # With nothing in them, the files of an earlier try with other settings are no use.
        force=force or _is_untouched(paths),
        pace=pace,
    )
    return _checked(plan, display, f"batch run {source} {out}")


def plan_resume(
    out: Path,
    source: Path | None,
    given: dict[str, Any],
    display: Display,
    *,
    base_url: str | None,
    simulate: bool,
    force: bool,
    pace: float,
) -> Plan:
    """Return the plan of ``batch resume``.

    Raises:
        UsageProblem: If something is wrong with it.
    """
    check_results(out)
    paths = BatchPaths.of(out)
    memory = recall(paths) or guess(paths)
    if source is not None:
        memory.input = str(source.absolute())
    if memory.input is None:
        raise UsageProblem(
            f"{memory_path(paths).name}, which would tell where the requests are, is missing: name "
            "them with --input"
        )
    requests = Path(memory.input)
    if source is None and not requests.exists():
        raise UsageProblem(
            f"the requests were in {requests}, which is gone: name them with --input"
        )
    check_input(requests)
    check_output(requests, paths)
    target = _target(memory, paths, base_url=base_url, simulate=simulate, force=force)
    memory.base_url, memory.simulate = target.base_url, target.simulate
    memory.options = memory.options.changed(given)
    plan = Plan(requests=requests, out=out, target=target, memory=memory, force=force, pace=pace)
    return _checked(plan, display, f"batch resume {out}")


def plan_retry(
    out: Path,
    model: str | None,
    given: dict[str, Any],
    display: Display,
    *,
    base_url: str | None,
    simulate: bool,
    pace: float,
) -> Plan | None:
    """Return the plan of ``batch retry``; None if nothing has failed.

    Raises:
        UsageProblem: If something is wrong with it, or what failed can't be sent.
    """
    check_results(out)
    paths = BatchPaths.of(out)
    memory = recall(paths) or guess(paths)
    target = _target(memory, paths, base_url=base_url, simulate=simulate, force=False)
    models = None if model is None else (memory.options.model, model)
    memory.options = memory.options.changed(given)
    letters = DeadLetters(paths.errors, models)
    if not letters:
        if not letters.unreadable:
            return None
        raise UsageProblem(
            f"what failed are bad lines only, {letters.unreadable:,} of them: correct them in the "
            "input, then batch resume --force sends them"
        )
    plan = Plan(
        requests=letters,
        out=out,
        target=target,
        memory=memory,
        pace=pace,
    )
    return _checked(plan, display, f"batch retry {out}")


def _target(
    memory: Memory, paths: BatchPaths, *, base_url: str | None, simulate: bool, force: bool
) -> Target:
    """Return the server of an earlier run, or the one that was given."""
    if base_url is None and not simulate:
        return Target(memory.base_url, memory.simulate)
    target = Target(base_url, simulate)
    _check_same_world(memory, paths, target, force=force)
    return target


def _check_same_world(
    memory: Memory | None, paths: BatchPaths, target: Target, *, force: bool
) -> None:
    """Refuse to mix answers with simulated ones."""
    is_begun = memory is not None and paths.results.exists() and paths.results.stat().st_size > 0
    if not is_begun or memory is None or memory.simulate == target.simulate or force:
        return
    were, now = ("simulated", "real") if memory.simulate else ("real", "simulated")
    raise UsageProblem(
        f"the answers in {paths.results.name} are {were} ones, and {now} ones would be added: name "
        "another file, or pass --force"
    )


def _is_untouched(paths: BatchPaths) -> bool:
    """Tell whether a batch was begun that has answered nothing and found nothing wrong."""
    return paths.meta.exists() and not any(
        path.exists() and path.stat().st_size for path in (paths.results, paths.errors)
    )


def _checked(plan: Plan, display: Display, command: str) -> Plan:
    """Find what is wrong before anything is started."""
    plan.target.check(f"deepseek-async {command}")
    check_chart(display.chart)
    budget_of(plan.memory.options)
    deadline = plan.memory.options.deadline
    if deadline is not None and deadline <= datetime.now(UTC):
        raise UsageProblem(
            f"the deadline of the earlier run, {deadline.astimezone():%Y-%m-%d %H:%M}, has passed: "
            "name another one with --deadline"
        )
    return plan


def budget_of(options: BatchOptions) -> Budget | None:
    """Return the budget that was asked for.

    Raises:
        UsageProblem: If it can't be meant.
    """
    if options.budget_usd is None and options.budget_tokens is None:
        if options.strict:
            raise UsageProblem("--strict needs a budget: --budget-usd or --budget-tokens")
        return None
    try:
        return Budget(usd=options.budget_usd, tokens=options.budget_tokens, strict=options.strict)
    except PreflightError as exc:
        raise UsageProblem(
            exc.message.replace("Budget.usd", "--budget-usd").replace(
                "Budget.tokens", "--budget-tokens"
            )
        ) from exc
