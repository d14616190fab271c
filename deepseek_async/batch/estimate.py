"""What a batch will take, before a byte of it is sent."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

from deepseek_async.batch.amounts import clock, dollars, short
from deepseek_async.batch.shared_prefixes import SharedPrefixes
from deepseek_async.errors import PreflightError
from deepseek_async.policy.dialect import CONCURRENCY_CEILINGS
from deepseek_async.policy.request_size import request_size
from deepseek_async.pricing import PRICES, PriceTable, Rates, charge
from deepseek_async.pricing.table import check_zone

#: Tokens that an output is taken to have, reasoning included, if nobody says.
OUTPUT_TOKENS = 1000

#: Requests at once to a model whose limit isn't known.
UNKNOWN_CEILING = 100

# Seconds until the first token, and for each; of DeepSeek, without a queue.
_FIRST_TOKEN = 1.0
_PER_TOKEN = 0.02


class CostRange(msgspec.Struct, frozen=True):
    """US dollars between the best and the worst luck with the cache."""

    low: Decimal
    """All of the prompts that may come from the cache does."""

    high: Decimal
    """Nothing does."""

    def __str__(self) -> str:
        if self.low == self.high:
            return dollars(float(self.high))
        return f"{dollars(float(self.low))} to {dollars(float(self.high))}"


class BatchEstimate(msgspec.Struct, frozen=True, kw_only=True):
    """What a batch will take; :class:`str` puts it in words."""

    models: dict[str, int]
    """model -> how many requests."""

    invalid: int
    """Further requests, which can't be sent."""

    prompt_tokens: int

    shared_tokens: int
    """The part of them that may come from the cache: at least two requests before began so."""

    output_tokens: int
    """By what was assumed, and by ``max_tokens``."""

    most_output_tokens: int | None
    """If each output is as long as its ``max_tokens``; None if not all requests set that."""

    off_peak: CostRange | None
    """What the requests with a known price cost out of peak hours; None if there are none."""

    peak: CostRange | None
    """What they cost at peak; the same if their models have no peak hours."""

    most_usd: Decimal | None
    """At peak, without the cache, outputs of full length; None if that isn't known of all."""

    unpriced: int
    """Requests without a known price."""

    concurrency: int
    """Requests at once."""

    seconds: float
    """How long it takes at that, if the server has no queue."""

    @property
    def items(self) -> int:
        """How many requests can be sent."""
        return sum(self.models.values())

    def __str__(self) -> str:
        lines = [self._requests()]
        if self.items:
            lines += [self._prompts(), self._outputs(), *self._costs()]
            lines.append(f"time: about {clock(self.seconds)}, {self.concurrency:,} at once")
        return "\n".join(lines)

    def _requests(self) -> str:
        models = [f"{count:,} to {model or 'no model'}" for model, count in self.models.items()]
        text = f"requests: {', '.join(models) or 'none'}"
        return f"{text}; {self.invalid:,} more can't be sent" if self.invalid else text

    def _prompts(self) -> str:
        text = f"prompts: about {short(self.prompt_tokens)} tokens"
        if self.shared_tokens:
            share = self.shared_tokens / self.prompt_tokens
            text += f", of which up to {share:.0%} may come from the cache"
        return text

    def _outputs(self) -> str:
        mean = self.output_tokens / self.items
        text = f"outputs: {short(self.output_tokens)} tokens if {mean:,.0f} each on average"
        if self.most_output_tokens is not None:
            text += f", at most {short(self.most_output_tokens)}"
        return text

    def _costs(self) -> list[str]:
        lines: list[str] = []
        if self.off_peak is not None and self.peak is not None:
            text = f"cost: {self.off_peak}"
            if self.peak != self.off_peak:
                text += f" off-peak, {self.peak} at peak"
            if self.most_usd is not None:
                text += f"; at most {dollars(float(self.most_usd))}"
            lines.append(text)
        if self.unpriced:
            lines.append(f"cost of {self.unpriced:,} requests: no price is known")
        return lines


class _Sums:
    """The requests to one model together."""

    __slots__ = ("items", "longest", "most_output", "output", "prompt", "shared")

    def __init__(self) -> None:
        self.items = self.prompt = self.shared = self.output = self.longest = 0
        self.most_output: int | None = 0


class BatchEstimator:
    """Adds up requests one at a time, in bounded memory.

    Args:
        model: The model of requests that name none.
        output_tokens: How long an output is taken to be, reasoning included; a lower
            ``max_tokens`` of a request counts instead.
        concurrency: The most requests at once; by default what DeepSeek allows for the model, and
            100 for others.
        prices: The price table; DeepSeek's own by default. ``PriceTable({})`` for other hosts.
        at: The moment whose prices are taken, with a time zone; now by default.

    Raises:
        PreflightError: If a number is not above 0.
        ValueError: If ``at`` carries no time zone.
    """

    def __init__(
        self,
        *,
        model: str | None = None,
        output_tokens: int = OUTPUT_TOKENS,
        concurrency: int | None = None,
        prices: PriceTable | None = None,
        at: datetime | None = None,
    ) -> None:
        for name, value in (("output_tokens", output_tokens), ("concurrency", concurrency)):
            if value is not None and value < 1:
                raise PreflightError(f"{name} must be above 0, got {value!r}")
        self._at = datetime.now(UTC) if at is None else at
        check_zone(self._at)
        self._model = model
        self._output_tokens = output_tokens
        self._concurrency = concurrency
        self._prices = PRICES if prices is None else prices
        self._sums: dict[str, _Sums] = {}
        self._prefixes = SharedPrefixes()
        self._invalid = 0

    def add(self, body: Mapping[str, Any]) -> None:
        """Add a request by its body."""
        named: object = body.get("model")
        model = named if isinstance(named, str) else self._model or ""
        sums = self._sums.get(model)
        if sums is None:
            sums = self._sums[model] = _Sums()
        prompt, most = request_size(body)
        output = self._output_tokens if most is None else min(most, self._output_tokens)
        sums.items += 1
        sums.prompt += prompt
        sums.shared += int(prompt * self._prefixes.add(body))
        sums.output += output
        sums.longest = max(sums.longest, output)
        is_limited = (body.get("max_tokens") or body.get("max_completion_tokens")) is not None
        if most is None or not is_limited:
            sums.most_output = None
        elif sums.most_output is not None:
            sums.most_output += most

    def add_invalid(self) -> None:
        """Add a request that can't be sent."""
        self._invalid += 1

    def estimate(self) -> BatchEstimate:
        """Return what the requests so far will take."""
        all_sums = self._sums.values()
        most = [sums.most_output for sums in all_sums if sums.most_output is not None]
        priced = [
            (sums, *rates)
            for model, sums in self._sums.items()
            if (rates := self._rates(model)) is not None
        ]
        is_known = len(most) == len(self._sums)
        limits = {model: self._limit(model, sums) for model, sums in self._sums.items()}
        return BatchEstimate(
            models={model: sums.items for model, sums in self._sums.items()},
            invalid=self._invalid,
            prompt_tokens=sum(sums.prompt for sums in all_sums),
            shared_tokens=sum(sums.shared for sums in all_sums),
            output_tokens=sum(sums.output for sums in all_sums),
            most_output_tokens=sum(most) if is_known else None,
            off_peak=_cost([(sums, off_peak) for sums, off_peak, _ in priced]),
            peak=_cost([(sums, peak) for sums, _, peak in priced]),
            most_usd=sum(
                (charge(peak, 0, sums.prompt, sums.most_output or 0) for sums, _, peak in priced),
                Decimal(0),
            )
            if is_known and len(priced) == len(self._sums)
            else None,
            unpriced=sum(sums.items for sums in all_sums) - sum(sums.items for sums, *_ in priced),
            concurrency=sum(limits.values()),
            seconds=max(
                (_seconds(sums, limits[model]) for model, sums in self._sums.items()), default=0.0
            ),
        )

    def _rates(self, model: str) -> tuple[Rates, Rates] | None:
        """Return what tokens cost off-peak and at peak."""
        price = self._prices.lookup(model, self._at)
        return None if price is None else (price.rates(peak=False), price.rates(peak=True))

    def _limit(self, model: str, sums: _Sums) -> int:
        ceiling = CONCURRENCY_CEILINGS.get(model)
        given = self._concurrency
        if ceiling is None:
            ceiling = UNKNOWN_CEILING if given is None else given
        return min(sums.items, ceiling if given is None else min(given, ceiling))


def estimate_batch(
    bodies: Iterable[Mapping[str, Any]],
    *,
    model: str | None = None,
    output_tokens: int = OUTPUT_TOKENS,
    concurrency: int | None = None,
    prices: PriceTable | None = None,
    at: datetime | None = None,
) -> BatchEstimate:
    """Return what requests will take; see :class:`BatchEstimator`."""
    estimator = BatchEstimator(
        model=model, output_tokens=output_tokens, concurrency=concurrency, prices=prices, at=at
    )
    for body in bodies:
        estimator.add(body)
    return estimator.estimate()


def _cost(parts: list[tuple[_Sums, Rates]]) -> CostRange | None:
    if not parts:
        return None
    low = high = Decimal(0)
    for sums, rates in parts:
        low += charge(rates, sums.shared, sums.prompt - sums.shared, sums.output)
        high += charge(rates, 0, sums.prompt, sums.output)
    return CostRange(low, high)


def _seconds(sums: _Sums, limit: int) -> float:
    busy = sums.items * _FIRST_TOKEN + sums.output * _PER_TOKEN
    return max(busy / limit, _FIRST_TOKEN + sums.longest * _PER_TOKEN)
