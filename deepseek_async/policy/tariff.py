"""What the tokens of one model cost now, and what they may cost in a while.

A price table answers both in some 0.1 ms; here the answers of the days around now are kept.
"""

from bisect import bisect_right
from collections.abc import Iterator
from datetime import datetime

from deepseek_async.pricing import Period, PriceTable, Rates

# Periods that are kept: those of more than three weeks.
_KEPT = 128


class Tariff:
    """The prices of one model in one currency.

    Args:
        prices: The table.
        model: The model.
        currency: ``"USD"`` or ``"CNY"``, or another that the table has.
    """

    def __init__(self, prices: PriceTable, model: str, currency: str = "USD") -> None:
        self._prices = prices
        self._model = model
        self._currency = currency
        # One after another without a gap, and where each ends.
        self._periods: list[Period] = []
        self._ends: list[datetime] = []

    def at(self, at: datetime) -> Rates | None:
        """Return what tokens cost at a moment; None if unknown."""
        return self.period(at).rates.get(self._currency)

    def dearest(self, at: datetime, until: datetime) -> Rates | None:
        """Return the highest of each price from one moment to another; None if none is known."""
        period = self.period(at)
        if until < period.end:
            return period.rates.get(self._currency)
        all_rates = [
            period.rates[self._currency]
            for period in self.periods(at, until)
            if self._currency in period.rates
        ]
        if not all_rates:
            return None
        hit, miss, output = zip(*all_rates, strict=True)
        return Rates(max(hit), max(miss), max(output))

    def periods(self, at: datetime, until: datetime) -> Iterator[Period]:
        """Yield the periods from the one around ``at`` to the one around ``until``."""
        period = self.period(at)
        yield period
        while period.end <= until:
            period = self.period(period.end)
            yield period

    def period(self, at: datetime) -> Period:
        """Return the stretch of time around a moment in which prices don't change."""
        index = bisect_right(self._ends, at)
        if index < len(self._periods) and self._periods[index].start <= at:
            return self._periods[index]
        period = self._prices.period(self._model, at)
        if not self._ends or self._ends[-1] != period.start or len(self._ends) == _KEPT:
            # Begin anew rather than leave a gap, or keep the past for ever.
            self._periods.clear()
            self._ends.clear()
        self._periods.append(period)
        self._ends.append(period.end)
        return period
