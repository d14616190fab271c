"""What the requests of a program used and cost so far.

Token counts are added up by model and by what the tokens cost at the time: the sum of a million
requests takes as much memory as that of two, and each request is charged at its own prices.
"""

import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal

import msgspec

from deepseek_async.pricing import PRICES, PriceTable, Rates, charge
from deepseek_async.pricing.table import check_zone
from deepseek_async.types.usage import Usage, billed_prompt


class ModelTotals(msgspec.Struct, frozen=True, kw_only=True):
    """What the requests to one model, or to several together, used and cost."""

    requests: int = 0

    without_usage: int = 0
    """Requests of which the server told no tokens, such as broken streams: they add to no other
    number, and to no cost."""

    unpriced: int = 0
    """Further requests of which no price is known, in no currency."""

    prompt_tokens: int = 0

    completion_tokens: int = 0
    """Tokens generated, reasoning included."""

    reasoning_tokens: int = 0

    cached_tokens: int = 0
    """Prompt tokens that came from the cache."""

    costs: dict[str, Decimal] = {}
    """currency -> what the requests with a known price cost together."""

    priced: dict[str, int] = {}
    """currency -> how many requests with token counts have a known price."""

    @property
    def total_tokens(self) -> int:
        """Prompt and completion tokens together."""
        return self.prompt_tokens + self.completion_tokens

    def cost(self, currency: str = "USD", *, known_only: bool = False) -> Decimal | None:
        """Return what the requests cost, each at the prices of its time.

        Args:
            currency: ``"USD"`` or ``"CNY"``, as the account is billed.
            known_only: Leave out requests without a known price.

        Returns:
            The sum; None if the price of any request is unknown and none is to be left out.
        """
        missing = self.requests - self.without_usage - self.priced.get(currency, 0)
        if missing and not known_only:
            return None
        return self.costs.get(currency, Decimal(0))

    def __str__(self) -> str:
        parts = [
            _count(self.requests, "request"),
            f"{self.prompt_tokens:,} tokens in ({self.cached_tokens:,} cached)",
            f"{self.completion_tokens:,} out ({self.reasoning_tokens:,} reasoning)",
        ]
        if self.without_usage:
            parts.insert(1, f"{self.without_usage:,} without token counts")
        parts += [f"{amount.normalize():f} {currency}" for currency, amount in self.costs.items()]
        if self.unpriced:
            parts.append(f"{_count(self.unpriced, 'request')} without a known price")
        return ", ".join(parts)


class _Tally:
    """Token counts of requests to one model at the same rates."""

    __slots__ = ("completion", "hit", "miss", "prompt", "rates", "reasoning", "requests")

    def __init__(self, rates: dict[str, Rates]) -> None:
        self.rates = rates
        self.requests = self.prompt = self.completion = self.reasoning = 0
        self.hit = self.miss = 0

    def totals(self) -> ModelTotals:
        """Return the counts, and what they cost."""
        return ModelTotals(
            requests=self.requests,
            unpriced=0 if self.rates else self.requests,
            prompt_tokens=self.prompt,
            completion_tokens=self.completion,
            reasoning_tokens=self.reasoning,
            cached_tokens=self.hit,
            costs={
                currency: charge(rates, self.hit, self.miss, self.completion)
                for currency, rates in self.rates.items()
            },
            priced=dict.fromkeys(self.rates, self.requests),
        )


class _Account:
    """The tallies of one model, and the one that requests of about now go to."""

    __slots__ = ("current", "end", "start", "tallies", "without_usage")

    def __init__(self, at: datetime) -> None:
        self.tallies: dict[tuple[tuple[str, Rates], ...], _Tally] = {}
        self.without_usage = 0
        self.current = _Tally({})
        self.start = self.end = at

    def tally(self, model: str, at: datetime, prices: PriceTable) -> _Tally:
        """Return the tally that a moment belongs to."""
        if self.start <= at < self.end:
            return self.current
        period = prices.period(model, at)
        tally = self.tallies.setdefault(tuple(period.rates.items()), _Tally(period.rates))
        self.start, self.end = period.start, period.end
        self.current = tally
        return tally


# Requests that may wait to be added up.
_PENDING = 64


class UsageTotals(Mapping[str, ModelTotals]):
    """Totals by model; a mapping of model names. Safe to use from several threads.

    Args:
        prices: The price table; DeepSeek's own by default.
    """

    def __init__(self, prices: PriceTable | None = None) -> None:
        self._prices = PRICES if prices is None else prices
        # Reentrant: a stream that is finalized while one records records itself, wherever that
        # one is. So what is looked up is taken from what others may have put there meanwhile.
        self._lock = threading.RLock()
        self._accounts: dict[str, _Account] = {}
        # Added up many at a time, which takes a fifth of the time of one by one.
        self._pending: deque[tuple[str, Usage | None, datetime]] = deque()

    def record(self, model: str, usage: Usage | None, *, at: datetime) -> None:
        """Add a request.

        Args:
            model: The model that answered.
            usage: The tokens as the server told them; None if it didn't.
            at: When; decides about the price. Must carry a time zone.

        Raises:
            ValueError: If ``at`` carries no time zone.
        """
        check_zone(at)
        self._pending.append((model, usage, at))
        if len(self._pending) >= _PENDING:
            with self._lock:
                self._settle()

    def _settle(self) -> None:
        """Add up what has been recorded; to be called with the lock."""
        while True:
            try:
                model, usage, at = self._pending.popleft()
            except IndexError:
                return
            account = self._accounts.get(model)
            if account is None:
                account = self._accounts.setdefault(model, _Account(at))
            if usage is None:
                account.without_usage += 1
                continue
            hit, miss = usage.prompt_cache_hit_tokens, usage.prompt_cache_miss_tokens
            if hit is None or miss is None:
                hit, miss = billed_prompt(usage)
            tally = account.tally(model, at, self._prices)
            tally.requests += 1
            tally.prompt += usage.prompt_tokens
            tally.completion += usage.completion_tokens
            tally.hit += hit
            tally.miss += miss
            details = usage.completion_tokens_details
            if details is not None and details.reasoning_tokens is not None:
                tally.reasoning += details.reasoning_tokens

    def reset(self) -> None:
        """Begin anew with nothing."""
        with self._lock:
            self._pending.clear()
            self._accounts.clear()

    def snapshot(self) -> dict[str, ModelTotals]:
        """Return the totals of all models at one moment; later requests don't change them."""
        with self._lock:
            self._settle()
            return {model: _read(account) for model, account in self._accounts.items()}

    @property
    def total(self) -> ModelTotals:
        """The totals of all models together."""
        return _sum(self.snapshot().values())

    @property
    def requests(self) -> int:
        """How many requests there were."""
        return self.total.requests

    @property
    def without_usage(self) -> int:
        """How many requests the server told no tokens of: they are in no cost."""
        return self.total.without_usage

    @property
    def unpriced(self) -> int:
        """How many requests with token counts have no known price, in no currency."""
        return self.total.unpriced

    def cost(self, currency: str = "USD", *, known_only: bool = False) -> Decimal | None:
        """Return what all requests cost; see :meth:`ModelTotals.cost`."""
        return self.total.cost(currency, known_only=known_only)

    def __getitem__(self, model: str) -> ModelTotals:
        with self._lock:
            self._settle()
            return _read(self._accounts[model])

    def __iter__(self) -> Iterator[str]:
        with self._lock:
            self._settle()
            return iter(list(self._accounts))

    def __len__(self) -> int:
        with self._lock:
            self._settle()
            return len(self._accounts)

    def __str__(self) -> str:
        models = self.snapshot()
        if not models:
            return "no requests"
        lines = [f"{model}: {totals}" for model, totals in models.items()]
        if len(models) > 1:
            lines.append(f"together: {_sum(models.values())}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"UsageTotals({self.snapshot()!r})"


def _read(account: _Account) -> ModelTotals:
    without = ModelTotals(requests=account.without_usage, without_usage=account.without_usage)
    return _sum([without, *(tally.totals() for tally in account.tallies.values())])


def _sum(parts: Iterable[ModelTotals]) -> ModelTotals:
    costs: dict[str, Decimal] = {}
    priced: dict[str, int] = {}
    numbers = dict.fromkeys(_NUMBERS, 0)
    for part in parts:
        for name in _NUMBERS:
            numbers[name] += getattr(part, name)
        for currency, amount in part.costs.items():
            costs[currency] = costs.get(currency, Decimal(0)) + amount
            priced[currency] = priced.get(currency, 0) + part.priced[currency]
    return ModelTotals(**numbers, costs=costs, priced=priced)


_NUMBERS = tuple(name for name in ModelTotals.__struct_fields__ if name not in ("costs", "priced"))


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
