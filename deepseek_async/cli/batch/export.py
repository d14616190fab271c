"""``batch export``: the results as a table."""

from pathlib import Path

from deepseek_async import PriceTable
from deepseek_async.batch.export import export_results
from deepseek_async.batch.paths import BatchPaths
from deepseek_async.cli.batch.memory import recall
from deepseek_async.cli.failures import FINE, UsageProblem
from deepseek_async.cli.screen import Screen


def export(out: Path, target: Path, screen: Screen, *, answers_only: bool, raw: bool) -> int:
    """Write the results as a table.

    Raises:
        BatchError: If a file can't be read or written.
        UsageProblem: If the form is none, or a library that it takes is missing.
    """
    memory = recall(BatchPaths.of(out))
    prices = None if memory is None or memory.priced else PriceTable({})
    try:
        rows = export_results(out, target, errors=not answers_only, raw=raw, prices=prices)
    except ImportError as exc:
        raise UsageProblem(str(exc)) from exc
    screen.note(f"{rows:,} rows in {target}")
    return FINE
