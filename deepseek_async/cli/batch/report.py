"""What a batch did: as text, as JSON, as an exit status, and what to do next."""

import shlex
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from deepseek_async.batch import BatchReport
from deepseek_async.cli.batch.failures import Failures, tell_error
from deepseek_async.cli.batch.files import LetterCount
from deepseek_async.cli.batch.progress import span
from deepseek_async.cli.failures import FAILED, FINE, INTERRUPTED, WRONG_USAGE
from deepseek_async.cli.meter import dollars
from deepseek_async.errors import PreflightError

#: Stopped by what the user or the account allows: another run goes on from there.
STOPPED = 3

_STOPPED = {
    "stopped_by_budget": "the budget doesn't suffice for the next request",
    "stopped_by_deadline": "the deadline has come",
    "unpaid": "the account's balance is used up",
}

_ENDS = {
    **{outcome: f"stopped: {reason}" for outcome, reason in _STOPPED.items()},
    "completed": "completed",
    "stopped": "stopped early",
    "refused": "stopped: the server refuses all requests",
    "broken": "broken off",
}


class Ending(msgspec.Struct, frozen=True):
    """How a run ended."""

    report: BatchReport
    failures: Failures

    letters: LetterCount
    """How many failed requests there are now, with those of earlier runs."""

    error: Exception | None = None
    """What broke it off."""

    interrupted: bool = False
    """Whether Ctrl-C or a signal ended it."""

    @property
    def is_refused(self) -> bool:
        """Whether it can't be done as it was asked for, which showed with the first requests."""
        return isinstance(self.error, PreflightError)

    @property
    def status(self) -> int:
        """The exit status."""
        if self.interrupted:
            return INTERRUPTED
        if self.is_refused:
            return WRONG_USAGE
        if self.error is None and self.report.outcome in _STOPPED:
            return STOPPED
        if self.error is None and self.report.ok and not self.letters.total:
            return FINE
        return FAILED


class Names(msgspec.Struct, frozen=True):
    """The files of a batch as they are told of."""

    out: Path
    letters: Path
    input: str | None
    program: str

    again: str = "resume"
    """The command that goes on where this one ended."""

    go_on: tuple[str, ...] | None = None
    """The same with all that follows, if that is more than the results file."""

    def command(self, name: str, *options: str) -> str:
        """Return a command to be typed."""
        return self._typed(name, str(self.out), *options)

    def going_on(self) -> str:
        """Return the command that goes on where this one ended."""
        return self.command(self.again) if self.go_on is None else self._typed(*self.go_on)

    def _typed(self, *words: str) -> str:
        return shlex.join([*self.program.split(), "batch", *words])


def report_lines(ending: Ending, names: Names) -> list[str]:
    """Return the report for people, one line after the other."""
    report = ending.report
    rows = [("items", _items(report))]
    failures = ending.failures
    if failures.unreadable:
        rows.append(("failed", f"{failures.unreadable:,} x bad line"))
    rows += [("failed", f"{number:,} x {kind}") for kind, number in failures.kinds.most_common()]
    if report.requests:
        rows.append(("requests", _requests(report)))
    if report.usage.requests:
        rows += [("tokens", _tokens(report)), ("cost", _cost(report)), ("pace", _pace(report))]
    if report.cache is not None and report.cache.early_difference:
        rows.append(("cache", str(report.cache.early_difference)))
    rows.append(("results", str(names.out)))
    if ending.letters.total:
        rows.append(("failures", f"{count_of(ending.letters.total, 'request')} in {names.letters}"))
    head = f"{names.out.name}: {_ENDS[report.outcome]} after {span(report.seconds)}"
    return [head, *(f"  {label:<9} {text}" for label, text in rows)]


def count_of(number: int, noun: str) -> str:
    """Return a number of things: ``1 line``, ``2 lines``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _items(report: BatchReport) -> str:
    parts = [
        f"{report.total:,} read",
        f"{report.succeeded:,} answered",
        f"{report.failed:,} failed",
    ]
    for number, what in (
        (report.skipped, "finished before"),
        (report.shared, "with the answer of an equal one"),
        (report.duplicates, "repeated"),
        (report.unsent, "not sent"),
    ):
        if number:
            parts.append(f"{number:,} {what}")
    return ", ".join(parts)


def _requests(report: BatchReport) -> str:
    parts = [f"{report.requests:,} sent"]
    if report.rejected:
        parts.append(f"{report.rejected:,} refused for want of room (429)")
    if report.retries:
        parts.append(f"{report.retries:,} sent again after other failures")
    return ", ".join(parts)


def _tokens(report: BatchReport) -> str:
    usage = report.usage
    share = report.cache_hit_share
    cached = f" ({share:.0%} cached)" if share else ""
    thought = f" ({usage.reasoning_tokens:,} reasoning)" if usage.reasoning_tokens else ""
    return f"{usage.prompt_tokens:,} in{cached}, {usage.completion_tokens:,} out{thought}"


def _cost(report: BatchReport) -> str:
    cost, saved = report.cost, report.saved_by_cache
    if cost is None:
        return "unknown: no price is known for these answers"
    return dollars(cost) + (f", {dollars(saved)} saved by the cache" if saved else "")


def _pace(report: BatchReport) -> str:
    seconds = max(report.seconds, 1e-3)
    parts = [
        f"{report.succeeded / seconds:,.1f} answers/s",
        f"{report.usage.total_tokens / seconds:,.0f} tokens/s",
    ]
    if report.samples:
        most = max(sample.in_flight for sample in report.samples)
        parts.append(f"at most {most:,} at once")
    return ", ".join(parts)


def advice_lines(ending: Ending, names: Names) -> list[str]:
    """Return what went wrong and what to do about it; nothing if all is well."""
    report = ending.report
    go_on = f"go on with: {names.going_on()}"
    error = ending.error or report.error
    if ending.error is None and report.outcome in _STOPPED:
        reason = _STOPPED[report.outcome] if error is None else tell_error(error)
        return [f"stopped: {reason}; {go_on}"]
    if ending.is_refused and error is not None:
        return [f"error: {tell_error(error)}"]
    if error is not None:
        return [f"error: {tell_error(error)}", f"what is finished is kept; {go_on}"]
    if ending.interrupted:
        return [go_on]
    lines = failure_lines(*ending.letters, names)
    if not report.succeeded and ending.failures.is_the_model:
        lines.append(f"or to another model with: {names.command('retry', '--model', 'NAME')}")
    return lines


def failure_lines(failed: int, bad_lines: int, names: Names) -> list[str]:
    """Return what to do about failed requests.

    Args:
        failed: How many there are.
        bad_lines: How many of them are lines that are no requests.
        names: The files.
    """
    others = failed - bad_lines
    lines: list[str] = []
    if others:
        lines += [
            f"error: {count_of(others, 'request')} failed: see {names.letters}",
            f"send again what failed with: {names.command('retry')}",
        ]
    if bad_lines:
        place = names.input or "the input"
        lines += [
            f"error: {count_of(bad_lines, 'line')} of {place} can't be sent: see {names.letters}",
            f"correct them, then go on with: {names.command('resume', '--force')}",
        ]
    return lines


def report_json(ending: Ending, names: Names) -> bytes:
    """Return the report as JSON."""
    report = ending.report
    error = ending.error or report.error
    usage = report.usage
    values: dict[str, Any] = {
        "outcome": report.outcome,
        "exit_status": ending.status,
        "interrupted": ending.interrupted,
        "error": None if error is None else tell_error(error),
        "total": report.total,
        "succeeded": report.succeeded,
        "failed": report.failed,
        "skipped": report.skipped,
        "duplicates": report.duplicates,
        "shared": report.shared,
        "unsent": report.unsent,
        "bad_lines": ending.failures.unreadable,
        "errors": dict(ending.failures.kinds.most_common()),
        "requests": report.requests,
        "rejected": report.rejected,
        "retries": report.retries,
        "prompt_tokens": usage.prompt_tokens,
        "cached_tokens": usage.cached_tokens,
        "completion_tokens": usage.completion_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "cost_usd": as_number(report.cost),
        "saved_by_cache_usd": as_number(report.saved_by_cache),
        "seconds": round(report.seconds, 3),
        "out": str(names.out),
        "dead_letters": str(names.letters) if ending.letters.total else None,
        "dead_letter_count": ending.letters.total,
    }
    return msgspec.json.format(msgspec.json.encode(values), indent=2) + b"\n"


def as_number(amount: Decimal | None) -> float | None:
    """Return an amount of dollars as JSON has it."""
    return None if amount is None else float(amount)
