"""Money that is set aside before a request is sent, and settled when it has ended.

All requests under way together pass a limit that each of them alone keeps, so that what is open
counts as spent. Sums are exact: when nothing is open, nothing is reserved.
"""

from bisect import bisect_left, insort
from collections import deque
from datetime import datetime, timedelta
from decimal import Decimal

import msgspec

from deepseek_async.errors import PreflightError
from deepseek_async.policy.request_size import OUTPUT_CEILINGS
from deepseek_async.policy.tariff import Tariff
from deepseek_async.pricing import PRICES, PriceTable, charge
from deepseek_async.pricing.table import check_zone
from deepseek_async.types.batch import Budget
from deepseek_async.types.usage import Usage, billed_prompt

# Outputs by which the next ones are judged; older ones are forgotten.
_RECENT = 500

# Before so many answers an output is taken to be at least so long: short answers come first.
_FEW = 20
_FIRST_GUESS = 4096

# A request can wait for 10 minutes before it begins, and was never seen to be slower than this.
_QUEUE_SECONDS = 600.0
_SECONDS_PER_TOKEN = 0.1

_NOTHING = Decimal(0)


class Reservation(msgspec.Struct, gc=False):
    """What is set aside for one request."""

    model: str
    """The model asked for."""

    tokens: int
    """Tokens of its prompt and output."""

    usd: Decimal | None
    """What they cost; None if no price is known."""

    is_open: bool = True
    """Whether it has not been settled yet."""


class RecentOutputs:
    """The lengths of the last few hundred outputs, and the 95th percentile of them."""

    def __init__(self) -> None:
        self._in_order: deque[int] = deque()
        self._sorted: list[int] = []

    def add(self, tokens: int) -> None:
        """Add an output, forget the oldest."""
        if len(self._in_order) == _RECENT:
            del self._sorted[bisect_left(self._sorted, self._in_order.popleft())]
        self._in_order.append(tokens)
        insort(self._sorted, tokens)

    def expected(self) -> int:
        """Return a length that 95 % of the outputs keep; of the first few, no small one."""
        count = len(self._sorted)
        # The smallest one that so many are not longer than.
        known = self._sorted[-(-95 * count // 100) - 1] if count else 0
        return known if count >= _FEW else max(known, _FIRST_GUESS)


class _Account:
    """What is known of one model."""

    __slots__ = ("outputs", "tariff")

    def __init__(self, tariff: Tariff) -> None:
        self.tariff = tariff
        self.outputs = RecentOutputs()


class Ledger:
    """The money of one run: what is spent, what is reserved, and whether more fits.

    With ``reserve`` refusing, :attr:`exhausted` tells whether to wait for a request that ends or to
    stop. Without a budget everything fits, and the ledger only counts.

    Attributes:
        spent_usd: What the settled requests cost, those without a known price left out.
        spent_tokens: Their tokens.
        reserved_usd: What is set aside for the requests under way.
        reserved_tokens: Their tokens.
        unconfirmed_usd: The part of ``spent_usd`` that was set aside for requests of which nobody
            told what they cost.
        unpriced: How many settled requests have no known price.

    Args:
        budget: The limits, if any.
        prices: The price table; DeepSeek's own by default. ``PriceTable({})`` for other hosts
            whose prices nobody knows.
    """

    def __init__(self, budget: Budget | None = None, *, prices: PriceTable | None = None) -> None:
        self._usd_limit = budget.usd_limit if budget is not None else None
        self._tokens_limit = budget.tokens if budget is not None else None
        self._strict = budget is not None and budget.strict
        self._prices = PRICES if prices is None else prices
        self._accounts: dict[str, _Account] = {}
        self._open = 0
        self._refused = False
        self.spent_usd = self.reserved_usd = self.unconfirmed_usd = _NOTHING
        self.spent_tokens = self.reserved_tokens = 0
        self.unpriced = 0

    @property
    def exhausted(self) -> bool:
        """Whether waiting is no use: the last request didn't fit though none is under way."""
        return self._refused and self._open == 0

    def check(self, model: str, at: datetime) -> None:
        """Refuse a model that the budget can't be kept with.

        Args:
            model: The model to be asked.
            at: When; must carry a time zone.

        Raises:
            PreflightError: If the limit is in dollars and the model has no known price.
        """
        check_zone(at)
        if self._usd_limit is not None and self._account(model).tariff.at(at) is None:
            raise PreflightError(
                f"a budget in usd can't be kept: no price of model {model!r} is known; give "
                "Budget(tokens=...) instead, or a price table that has it (PRICES.with_prices)"
            )

    def reserve(
        self, model: str, *, prompt_tokens: int, max_output: int | None, at: datetime
    ) -> Reservation | None:
        """Set aside what a request may cost.

        Args:
            model: The model to be asked.
            prompt_tokens: Its prompt, as :func:`request_size` tells it: ``worst`` if the budget is
                strict, else what is expected.
            max_output: The most tokens of its output, None if unknown.
            at: Now; must carry a time zone.

        Returns:
            What is to be settled once the request has ended; None if it would pass a limit
            together with all that is spent and reserved.

        Raises:
            PreflightError: As from :meth:`check`; and if the budget is strict and the longest
                output is unknown.
        """
        self.check(model, at)
        account = self._account(model)
        if self._strict:
            output = _largest_output(model, max_output)
            until = at + timedelta(seconds=_QUEUE_SECONDS + output * _SECONDS_PER_TOKEN)
            rates = account.tariff.dearest(at, until)
        else:
            output = account.outputs.expected()
            if max_output is not None and max_output < output:
                output = max_output
            rates = account.tariff.at(at)
        tokens = prompt_tokens + output
        usd = None
        if rates is not None:
            # A table of one's own may have hits dearer than misses.
            as_hits = self._strict and rates.hit > rates.miss
            hit, miss = (prompt_tokens, 0) if as_hits else (0, prompt_tokens)
            usd = charge(rates, hit, miss, output)
        if not self._fits(tokens, usd):
            self._refused = True
            return None
        self._refused = False
        self._open += 1
        self.reserved_tokens += tokens
        if usd is not None:
            self.reserved_usd += usd
        return Reservation(model, tokens, usd)

    def settle(
        self,
        reservation: Reservation,
        usage: Usage | None,
        *,
        model: str | None = None,
        at: datetime,
        may_be_billed: bool = False,
    ) -> Decimal | None:
        """Replace what was set aside by what the request cost.

        Args:
            reservation: What was set aside for it.
            usage: Its tokens as the server told them; None if it didn't.
            model: The model that answered; by default the one asked for.
            at: When, for the price; must carry a time zone.
            may_be_billed: Without usage: whether the request may be charged nevertheless, as one
                that was cut short. Then what was set aside counts as spent. Refused requests
                (429, 5xx) are free.

        Returns:
            What the request added to the spending, at the price of the model asked for where that
            of the model that answered isn't known; None if neither is.

        Raises:
            ValueError: If it has been settled before.
        """
        check_zone(at)
        if not reservation.is_open:
            raise ValueError("this reservation has been settled before")
        reservation.is_open = False
        self._open -= 1
        # What is given back may be enough for the one that was refused.
        self._refused = False
        self.reserved_tokens -= reservation.tokens
        if reservation.usd is not None:
            self.reserved_usd -= reservation.usd
        if usage is not None:
            tokens = usage.prompt_tokens + usage.completion_tokens
            self._account(reservation.model).outputs.add(usage.completion_tokens)
            cost = self._cost(reservation, usage, model or reservation.model, at)
        elif may_be_billed:
            tokens, cost = reservation.tokens, reservation.usd
            self.unconfirmed_usd += cost or _NOTHING
        else:
            return _NOTHING
        self.spent_tokens += tokens
        if cost is None:
            self.unpriced += 1
        else:
            self.spent_usd += cost
        return cost

    def _account(self, model: str) -> _Account:
        account = self._accounts.get(model)
        if account is None:
            account = self._accounts[model] = _Account(Tariff(self._prices, model))
        return account

    def _fits(self, tokens: int, usd: Decimal | None) -> bool:
        most = self._tokens_limit
        if most is not None and self.spent_tokens + self.reserved_tokens + tokens > most:
            return False
        limit = self._usd_limit
        # With a limit in dollars, all that is reserved has a price.
        return limit is None or usd is None or self.spent_usd + self.reserved_usd + usd <= limit

    def _cost(
        self, reservation: Reservation, usage: Usage, model: str, at: datetime
    ) -> Decimal | None:
        rates = self._account(model).tariff.at(at)
        if rates is None and model != reservation.model:
            rates = self._account(reservation.model).tariff.at(at)
        if rates is None:
            # The price may have ended meanwhile.
            return reservation.usd
        hit, miss = usage.prompt_cache_hit_tokens, usage.prompt_cache_miss_tokens
        if hit is None or miss is None:
            hit, miss = billed_prompt(usage)
        return charge(rates, hit, miss, usage.completion_tokens)


def _largest_output(model: str, max_output: int | None) -> int:
    most = OUTPUT_CEILINGS.get(model) if max_output is None else max_output
    if most is None:
        raise PreflightError(
            f"a strict budget can't be kept: how long an output of {model!r} can be isn't known; "
            "set max_tokens in the request"
        )
    return most
