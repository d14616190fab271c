"""What a job has done so far, for programs and for people."""

from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal

import msgspec

from deepseek_async.errors import APIStatusError, DeepSeekError, PreflightError
from deepseek_async.policy.cache_order import CacheReport
from deepseek_async.pricing import PriceTable
from deepseek_async.totals import ModelTotals, UsageTotals
from deepseek_async.types.batch import BatchSample
from deepseek_async.types.chat import ChatCompletion
from deepseek_async.types.fim import Completion
from deepseek_async.types.usage import Usage, billed_prompt

#: How a job ended. ``"refused"``: the server takes no request with this key (401, 403).
#: ``"unpaid"``: the account's balance is used up (402). ``"broken"``: the input could not be read
#: or the results not be written. ``"stopped"``: the program left or stopped the job early.
Outcome = Literal[
    "running",
    "completed",
    "stopped_by_budget",
    "stopped_by_deadline",
    "stopped",
    "refused",
    "unpaid",
    "broken",
]

_OUTCOMES: dict[str, str] = {
    "running": "still running",
    "completed": "completed",
    "stopped_by_budget": "stopped: the next request might have passed the budget",
    "stopped_by_deadline": "stopped at the deadline",
    "stopped": "stopped early",
    "refused": "stopped: the server refuses all requests",
    "unpaid": "stopped: the account's balance is used up",
    "broken": "stopped: input or results could not be read or written",
}


class BatchItem(msgspec.Struct, kw_only=True):
    """A finished item of a job."""

    custom_id: str
    """Its name in the results file."""

    index: int
    """Its place in the input, from 0."""

    completion: ChatCompletion | Any = None
    """The answer; None if there is none. That of a FIM request is its ``Completion``, which is not
    spelled out so that nobody has to tell them apart who only chats."""

    parsed: Any = None
    """The answer as a value of ``response_model``."""

    error: Exception | None = None
    """Why there is no answer."""

    attempts: int = 0
    """How many times it was sent, refusals for want of room included; 0 for an item whose request
    was the same as that of another one (``dedupe``)."""

    cost: Decimal | None = None
    """What the answer cost, in US dollars; None if its price isn't known."""


class BatchProgress(msgspec.Struct, kw_only=True):
    """Where a job stands at a moment."""

    total: int | None
    """How many items there are; None until that is known."""

    read: int
    succeeded: int
    failed: int

    skipped: int
    """Items that had been finished by an earlier run."""

    duplicates: int
    """Items whose name and request had come before."""

    in_flight: int

    retrying: int
    """Items that wait to be sent again."""

    limit: int
    """How many requests may be under way at the moment."""

    rejected: int
    """Requests refused for want of room (429), which cost nothing."""

    retries: int
    """Requests sent again after another failure."""

    tokens: int
    """Tokens of all answers, prompts included."""

    cost: Decimal | None
    """US dollars so far; None if a price isn't known."""

    cache_hit_share: float | None
    """Share of the prompt tokens that came from the server's cache, from 0 to 1."""

    items_per_second: float
    """Over the last seconds."""

    tokens_per_second: float

    seconds: float
    """Since the job began."""

    seconds_left: float | None
    """Until it is finished, at the pace of the last seconds; None if nobody can tell."""

    paused: str | None
    """Why nothing is sent at the moment, if that is so."""

    @property
    def finished(self) -> int:
        """How many items need no more work."""
        return self.succeeded + self.failed + self.skipped + self.duplicates


class BatchReport(msgspec.Struct, kw_only=True):
    """What a job did; ``str()`` of it is meant for people."""

    outcome: Outcome
    error: Exception | None
    """What stopped it, if something did."""

    total: int
    """Items read from the input."""

    succeeded: int
    failed: int

    skipped: int
    """Items that had been finished by an earlier run."""

    duplicates: int
    """Items whose name and request had come before, which were left out."""

    shared: int
    """Items that got the answer of another one with the same request (``dedupe``)."""

    unsent: int
    """Items that were read and have no answer, since the job ended before: the next run sends
    them."""

    requests: int
    """Requests sent."""

    rejected: int
    """Of these, refused for want of room (429); they cost nothing."""

    retries: int
    """Of these, sent again after another failure."""

    errors: dict[str, int]
    """kind of failure -> failed items."""

    usage: ModelTotals
    """Tokens and cost of all answers of this run."""

    saved_by_cache: Decimal | None
    """US dollars that the server's cache saved against the same tokens without it."""

    cache: CacheReport | None
    """What the order of the items had to do with that."""

    seconds: float

    samples: list[BatchSample]
    """How the limit, the requests under way, the tokens and the cost went, over time."""

    out: str | None
    """The results file."""

    dead_letters: str | None
    """The file of failed items, if there are any."""

    @property
    def ok(self) -> bool:
        """Whether every item of the input has an answer."""
        return self.outcome == "completed" and not self.failed

    @property
    def cost(self) -> Decimal | None:
        """US dollars that this run cost; None if a price isn't known."""
        return self.usage.cost()

    @property
    def cache_hit_share(self) -> float | None:
        """Share of the prompt tokens that came from the server's cache; None without any."""
        prompt = self.usage.prompt_tokens
        return self.usage.cached_tokens / prompt if prompt else None

    def raise_if_stopped(self) -> None:
        """Raise what stopped the job, if an error did.

        Raises:
            DeepSeekError: Or what else it was.
        """
        if self.error is not None:
            raise self.error

    def __str__(self) -> str:
        return "\n".join(_lines(self))


def _lines(report: BatchReport) -> list[str]:
    ended = _OUTCOMES[report.outcome]
    if report.error is not None:
        ended += f" ({report.error})"
    lines = [f"batch {ended}, after {_duration(report.seconds)}"]
    counts = [f"{report.succeeded:,} answered", f"{report.failed:,} failed"]
    for number, what in (
        (report.skipped, "had been finished before"),
        (report.shared, "shared an answer"),
        (report.duplicates, "were duplicates"),
        (report.unsent, "not sent"),
    ):
        if number:
            counts.append(f"{number:,} {what}")
    lines.append(f"items: {report.total:,} read, " + ", ".join(counts))
    for kind, number in sorted(report.errors.items(), key=lambda pair: -pair[1]):
        lines.append(f"  {number:,} x {kind}")
    lines.append(
        f"requests: {report.requests:,} sent, {report.rejected:,} refused for want of room (429), "
        f"{report.retries:,} sent again"
    )
    lines.append(f"tokens and cost: {report.usage}")
    if report.saved_by_cache:
        share = report.cache_hit_share or 0.0
        lines.append(
            f"cache: {share:.0%} of the prompt tokens, {report.saved_by_cache:.4f} USD saved"
        )
    if report.cache is not None and report.cache.early_difference:
        lines.append(f"note: {report.cache.early_difference}")
    if report.out is not None:
        lines.append(f"results: {report.out}")
    if report.dead_letters is not None:
        lines.append(f"failed items: {report.dead_letters}")
    return lines


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


# In Unix time; later days are no answer's, and near the last that Python knows sums overflow.
_NEVER = datetime(2200, 1, 1, tzinfo=UTC).timestamp()

# Kinds of failures that are counted apart: what servers say has no end.
_MOST_KINDS = 100


class Tally:
    """The counts of a running job.

    Args:
        prices: What the tokens cost; an empty table where that isn't known.
    """

    def __init__(self, prices: PriceTable | None) -> None:
        self.read = 0
        self.succeeded = 0
        self.failed = 0
        self.skipped = 0
        self.duplicates = 0
        self.shared = 0
        self.requests = 0
        self.rejected = 0
        self.retries = 0
        self.prompt_tokens = 0
        self.cached_tokens = 0
        self.tokens = 0
        self.cost: Decimal | None = Decimal(0)
        self.errors: Counter[str] = Counter()
        self.usage = UsageTotals(prices)
        # The same tokens, as if none had come from the cache.
        self._uncached = UsageTotals(prices)

    @property
    def unsent(self) -> int:
        """Items that have been read and are not finished."""
        finished = self.succeeded + self.failed + self.skipped + self.duplicates
        return self.read - finished

    def answered(self, model: str, usage: Usage | None, cost: Decimal | None, at: datetime) -> None:
        """Add the tokens of an answer."""
        self.usage.record(model, usage, at=at)
        if usage is None:
            return
        self.cost = None if self.cost is None or cost is None else self.cost + cost
        self.prompt_tokens += usage.prompt_tokens
        self.tokens += usage.prompt_tokens + usage.completion_tokens
        hit, miss = billed_prompt(usage)
        if hit:
            self.cached_tokens += hit
            usage = Usage(
                prompt_tokens=usage.prompt_tokens,
                completion_tokens=usage.completion_tokens,
                prompt_cache_hit_tokens=0,
                prompt_cache_miss_tokens=hit + miss,
            )
        self._uncached.record(model, usage, at=at)

    @property
    def saved(self) -> Decimal | None:
        """US dollars that the server's cache saved; None if a price isn't known."""
        paid, uncached = self.usage.cost(), self._uncached.cost()
        return None if paid is None or uncached is None else uncached - paid

    def went_wrong(self, error: Exception) -> None:
        """Add an item that failed for good."""
        self.failed += 1
        kind = kind_of(error)
        if kind not in self.errors and len(self.errors) >= _MOST_KINDS:
            kind = "other"
        self.errors[kind] += 1


def kind_of(error: Exception) -> str:
    """Return what failures are counted under: the status, the class, and what the server said."""
    name = type(error).__name__
    if isinstance(error, PreflightError):
        # Each says where in the input it is.
        return "input that can't be sent"
    if isinstance(error, APIStatusError):
        return f"{error.status_code} {name}: {_short(error.message)}"
    if isinstance(error, DeepSeekError):
        return f"{name}: {_short(error.message)}"
    return f"{name}: {_short(str(error))}"


def _short(text: str) -> str:
    first = text.split("\n", 1)[0]
    return first if len(first) <= 60 else first[:57] + "..."


def moment_of(completion: ChatCompletion | Completion) -> datetime:
    """Return when an answer was made; now, if it doesn't say."""
    return moment(completion.created)


def moment(created: float) -> datetime:
    """Return the moment that an answer gives as a Unix time; now, if that can't be meant.

    Args:
        created: Seconds. A host that counts milliseconds, or gives none, isn't believed.
    """
    return datetime.fromtimestamp(created, UTC) if 0 < created < _NEVER else datetime.now(UTC)
