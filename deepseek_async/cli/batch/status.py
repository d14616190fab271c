"""Where a batch stands, read from its files without disturbing a run that writes to them."""

import os
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import msgspec

from deepseek_async import PRICES, ModelTotals, PriceTable, Usage, UsageTotals
from deepseek_async.batch import read_results
from deepseek_async.batch.paths import BatchPaths
from deepseek_async.cli.batch.files import BAD_LINE, code_of, count_lines, letters_of
from deepseek_async.cli.batch.memory import Memory, recall
from deepseek_async.cli.batch.progress import span
from deepseek_async.cli.batch.report import Names, as_number, failure_lines
from deepseek_async.cli.clean import one_line
from deepseek_async.cli.failures import FINE, UsageProblem
from deepseek_async.cli.meter import dollars
from deepseek_async.cli.screen import Screen

if sys.platform != "win32":
    import fcntl


class _Body(msgspec.Struct):
    model: str = ""
    created: int = 0
    usage: Usage | None = None


class _Response(msgspec.Struct):
    body: _Body


class _Line(msgspec.Struct):
    custom_id: str
    response: _Response


# What is counted, of all that a line has: a million lines take seconds.
_decode = msgspec.json.Decoder(_Line).decode


class Status(msgspec.Struct, kw_only=True):
    """Where a batch stands."""

    answered: int
    failed: int
    bad_lines: int
    """Of the failed ones, those that are no requests."""

    errors: dict[str, int]
    """code -> how many requests failed with it."""

    total: int | None
    """How many requests the input has; None if the input is not known."""

    runs: str | None
    """Who writes to the files at the moment."""

    last_activity: float
    """Unix time in seconds."""

    usage: ModelTotals
    unreadable: int
    """Lines that are no results."""

    @property
    def remaining(self) -> int | None:
        """How many requests are neither answered nor failed."""
        return None if self.total is None else max(0, self.total - self.answered - self.failed)


def show_status(out: Path, screen: Screen, program: str, *, json: bool) -> int:
    """Tell where a batch stands."""
    paths = BatchPaths.of(out)
    memory = recall(paths)
    status = read_status(paths, memory)
    source = None if memory is None else memory.input
    letters = letters_of(out, paths)
    names = Names(out, letters, source, program)
    if json:
        screen.write(_json(status, names))
        return FINE
    for line in _lines(status, names):
        screen.console.print(line, soft_wrap=True)
    return FINE


def read_status(paths: BatchPaths, memory: Memory | None) -> Status:
    """Read where a batch stands.

    Raises:
        UsageProblem: If its files can't be read.
    """
    try:
        return _read(paths, memory)
    except OSError as exc:
        raise UsageProblem(f"{exc.filename} can't be read: {exc.strerror}") from exc


def _read(paths: BatchPaths, memory: Memory | None) -> Status:
    codes: dict[str, str] = {}
    if paths.errors.exists():
        # Of a request that failed more than once the last time counts.
        for result in read_results(paths.errors):
            codes[result.custom_id] = code_of(result)
    is_priced = memory is None or memory.priced
    totals = UsageTotals(PRICES if is_priced else PriceTable({}))
    answered = unreadable = 0
    with paths.results.open("rb") as file:
        for text in file:
            if not text.endswith(b"\n"):
                # A run is writing it, or was killed.
                break
            try:
                line = _decode(text)
            except (msgspec.MsgspecError, RecursionError):
                unreadable += 1
                continue
            answered += 1
            codes.pop(line.custom_id, None)
            body = line.response.body
            totals.record(body.model, body.usage, at=_moment(body.created))
    errors = Counter(codes.values())
    return Status(
        answered=answered,
        failed=len(codes),
        bad_lines=errors[BAD_LINE],
        errors=dict(errors.most_common()),
        total=_total(memory),
        runs=_writer(paths.lock),
        last_activity=max(
            path.stat().st_mtime for path in (paths.results, paths.errors) if path.exists()
        ),
        usage=totals.total,
        unreadable=unreadable,
    )


def _moment(created: int) -> datetime:
    try:
        return datetime.fromtimestamp(created, UTC)
    except (ValueError, OverflowError, OSError):
        return datetime.now(UTC)


def _total(memory: Memory | None) -> int | None:
    if memory is None or memory.input is None or not os.path.exists(memory.input):
        return None
    return count_lines(Path(memory.input)) - memory.duplicates


def _writer(lock: Path) -> str | None:
    """Return who holds a lock; None if nobody does, as after a crash."""
    try:
        with lock.open("rb") as file:
            if _is_free(file):
                return None
            return file.read(200).decode("utf-8", "replace").strip() or "a process"
    except FileNotFoundError:
        return None


def _is_free(file: BinaryIO) -> bool:
    if sys.platform == "win32":
        # The file is there as long as the lock is held, unless the holder was killed.
        return False
    try:
        # Shared, and given back when the file is closed: it holds up nobody who has it.
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lines(status: Status, names: Names) -> list[str]:
    ago = max(0.0, time.time() - status.last_activity)
    state = "not running" if status.runs is None else f"running ({one_line(status.runs)})"
    rows = [("answered", _answered(status))]
    if status.failed:
        rows.append(("failed", f"{status.failed:,} ({_kinds(status)}): see {names.letters}"))
    if status.remaining is None:
        rows.append(("remaining", "unknown: the input is not known, or not there"))
    else:
        rows.append(("remaining", f"{status.remaining:,} of {names.input}"))
    if status.unreadable:
        rows.append(("damaged", f"{status.unreadable:,} x line that is no result"))
    if status.usage.requests:
        rows += [("tokens", _tokens(status.usage)), ("cost", _cost(status.usage))]
    head = f"{names.out.name}: {state}, last written to {span(ago)} ago"
    lines = [head, *(f"  {label:<9} {text}" for label, text in rows)]
    if status.runs is None:
        if status.remaining:
            lines.append(f"go on with: {names.command('resume')}")
        lines += failure_lines(status.failed, status.bad_lines, names)
    return lines


def _answered(status: Status) -> str:
    if not status.total:
        return f"{status.answered:,}"
    return f"{status.answered:,} of {status.total:,} ({status.answered * 100 // status.total}%)"


def _kinds(status: Status) -> str:
    return ", ".join(
        f"{number:,} x bad line" if code == BAD_LINE else f"{number:,} x {code}"
        for code, number in status.errors.items()
    )


def _tokens(usage: ModelTotals) -> str:
    share = usage.cached_tokens / usage.prompt_tokens if usage.prompt_tokens else 0
    cached = f" ({share:.0%} cached)" if share else ""
    return f"{usage.prompt_tokens:,} in{cached}, {usage.completion_tokens:,} out"


def _cost(usage: ModelTotals) -> str:
    cost = usage.cost()
    return "unknown: no price is known for these answers" if cost is None else dollars(cost)


def _json(status: Status, names: Names) -> str:
    values = {
        "out": str(names.out),
        "input": names.input,
        "running": status.runs,
        "answered": status.answered,
        "failed": status.failed,
        "bad_lines": status.bad_lines,
        "errors": status.errors,
        "total": status.total,
        "remaining": status.remaining,
        "unreadable": status.unreadable,
        "last_activity": datetime.fromtimestamp(status.last_activity, UTC).isoformat(),
        "prompt_tokens": status.usage.prompt_tokens,
        "cached_tokens": status.usage.cached_tokens,
        "completion_tokens": status.usage.completion_tokens,
        "cost_usd": as_number(status.usage.cost()),
    }
    return msgspec.json.format(msgspec.json.encode(values), indent=2).decode() + "\n"
