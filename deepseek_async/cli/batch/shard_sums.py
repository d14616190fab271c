"""What the reports of many shards say together."""

from collections import Counter
from collections.abc import Iterable
from decimal import Decimal

from deepseek_async import ModelTotals
from deepseek_async.batch import ShardReport
from deepseek_async.batch.report import Outcome

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


def count_all(reports: Iterable[ShardReport]) -> dict[str, int]:
    """Return the counts of several shards as one, as fields of :class:`BatchReport`."""
    counts: dict[str, int] = dict.fromkeys(_COUNTS, 0)
    for report in reports:
        for name in _COUNTS:
            counts[name] += getattr(report, name)
    return counts


def worst_of(outcomes: set[Outcome]) -> Outcome:
    """Return what ended a run whose shards ended so."""
    for outcome in _OUTCOMES:
        if outcome in outcomes:
            return outcome
    return "completed"


def add_usage(parts: Iterable[ModelTotals]) -> ModelTotals:
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
