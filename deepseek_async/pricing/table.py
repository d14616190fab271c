"""Price tables: which prices hold for a model at a moment."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import NamedTuple, Self, cast

import msgspec

from deepseek_async.pricing.hours import Hours

_EVER = datetime.min.replace(tzinfo=UTC)
_NEVER = datetime.max.replace(tzinfo=UTC)


class Rates(NamedTuple):
    """What the three kinds of tokens cost at one moment, per million.

    Attributes:
        hit: Prompt tokens found in the cache.
        miss: Other prompt tokens.
        output: Generated tokens, reasoning included.
    """

    hit: Decimal
    miss: Decimal
    output: Decimal


class Price(msgspec.Struct, frozen=True):
    """Prices of one model from one moment on, per million tokens.

    Raises:
        TypeError: If a price is neither a Decimal nor an int.
        ValueError: If a moment has no time zone, or there are hours without peak prices, or the
            other way round.
    """

    since: datetime
    """The first moment at which they hold; with a time zone."""

    hit: Decimal
    """For prompt tokens found in the cache."""

    miss: Decimal
    """For other prompt tokens."""

    output: Decimal
    """For generated tokens, reasoning included."""

    hours: Hours | None = None
    """When the peak prices hold instead; None: never."""

    peak: Decimal | Rates | None = None
    """The prices in these hours, or the factor that makes them of the others."""

    until: datetime | None = None
    """The first moment at which they no longer hold, though no later price is known."""

    def __post_init__(self) -> None:
        for moment in (self.since, self.until):
            if moment is not None:
                check_zone(moment)
        amounts = [self.hit, self.miss, self.output]
        if self.peak is not None:
            amounts += self.peak if isinstance(self.peak, Rates) else (self.peak,)
        for amount in amounts:
            # Annotated as Decimals, but nothing has checked that.
            if not isinstance(cast("object", amount), Decimal | int):
                raise TypeError(f"prices are exact: pass Decimal({str(amount)!r}), not {amount!r}")
        if (self.hours is None) != (self.peak is None):
            raise ValueError("a Price needs both hours and peak, or neither")

    def rates(self, *, peak: bool) -> Rates:
        """Return the prices in or out of the peak hours."""
        base = Rates(self.hit, self.miss, self.output)
        if not peak or self.peak is None:
            return base
        if isinstance(self.peak, Rates):
            return self.peak
        factor = self.peak
        return Rates(base.hit * factor, base.miss * factor, base.output * factor)


class Period(NamedTuple):
    """A stretch of time in which nothing changes for one model.

    Attributes:
        start: Its first moment, in UTC.
        end: The first moment after it.
        peak: Whether the peak prices hold.
        rates: currency -> what tokens cost; empty if no price is known.
    """

    start: datetime
    end: datetime
    peak: bool
    rates: dict[str, Rates]


class PriceTable:
    """Prices by currency and model.

    Args:
        prices: currency -> model -> prices, in any order. Each holds until the next one does.
        is_holiday: Tells whether a day is a public holiday, for hours on working days only. The
            default knows none. It may be asked often: it should look the day up.
    """

    def __init__(
        self,
        prices: Mapping[str, Mapping[str, Iterable[Price]]],
        *,
        is_holiday: Callable[[date], bool] | None = None,
    ) -> None:
        self._prices = {
            currency: {
                # Newest first: most questions are about now.
                model: tuple(sorted(entries, key=lambda price: price.since, reverse=True))
                for model, entries in models.items()
            }
            for currency, models in prices.items()
        }
        self._is_holiday = is_holiday

    def with_prices(self, prices: Mapping[str, Mapping[str, Iterable[Price]]]) -> Self:
        """Return a table that has further prices.

        Args:
            prices: As for a new table. A model that the table has in a currency is replaced
                there, with all its prices of the past; :meth:`history` returns them.
        """
        merged: dict[str, dict[str, Iterable[Price]]] = {
            currency: dict(models) for currency, models in self._prices.items()
        }
        for currency, models in prices.items():
            merged.setdefault(currency, {}).update(models)
        return type(self)(merged, is_holiday=self._is_holiday)

    def with_holidays(self, is_holiday: Callable[[date], bool] | None) -> Self:
        """Return a table that knows public holidays: whole days at off-peak prices.

        Args:
            is_holiday: Tells whether a day is one: in Beijing, for DeepSeek's own prices. None
                for a table that knows no holidays.
        """
        return type(self)(self._prices, is_holiday=is_holiday)

    def history(self, model: str, currency: str = "USD") -> tuple[Price, ...]:
        """Return all prices of a model, newest first."""
        return self._prices.get(currency, {}).get(model, ())

    def lookup(self, model: str, at: datetime, currency: str = "USD") -> Price | None:
        """Return the price of ``model`` in force at ``at``; None if unknown.

        Raises:
            ValueError: If ``at`` carries no time zone.
        """
        check_zone(at)
        for price in self.history(model, currency):
            if price.since <= at:
                return price if price.until is None or at < price.until else None
        return None

    def rates(self, model: str, at: datetime, currency: str = "USD") -> Rates | None:
        """Return what tokens cost at ``at``, peak hours taken into account; None if unknown.

        Raises:
            ValueError: If ``at`` carries no time zone.
        """
        price = self.lookup(model, at, currency)
        return None if price is None else price.rates(peak=self._is_peak(price, at))

    def is_peak(self, at: datetime, model: str | None = None) -> bool:
        """Tell whether peak prices hold; False if a model has none, or none is known.

        Args:
            at: The moment; must carry a time zone.
            model: The model; by default the first of the table that has a price then.

        Raises:
            ValueError: If ``at`` carries no time zone.
        """
        check_zone(at)
        price = next(iter(self._in_force(model or self._first_priced(at), at).values()), None)
        return price is not None and self._is_peak(price, at)

    def next_off_peak(self, at: datetime, model: str | None = None) -> datetime:
        """Return the next moment at which :meth:`is_peak` is False: ``at``, or one after it.

        Args:
            at: The moment to begin with; must carry a time zone. The answer is in that zone.
            model: As for :meth:`is_peak`.

        Raises:
            ValueError: If ``at`` carries no time zone.
        """
        moment = at
        while self.is_peak(moment, model):
            moment = self.period(model or self._first_priced(moment), moment).end
        return moment.astimezone(at.tzinfo)

    def period(self, model: str, at: datetime) -> Period:
        """Return the stretch of time around ``at`` in which prices of a model don't change.

        It may be cut in two where the day ends, or a price is replaced by an equal one.

        Raises:
            ValueError: If ``at`` carries no time zone.
        """
        check_zone(at)
        # In UTC, where the clocks never go back.
        at = at.astimezone(UTC)
        prices = self._in_force(model, at)
        edges = {_EVER, _NEVER, *(edge.astimezone(UTC) for edge in self._edges(model, at))}
        return Period(
            max(edge for edge in edges if edge <= at),
            min(edge for edge in edges if edge > at),
            self.is_peak(at, model),
            {
                currency: price.rates(peak=self._is_peak(price, at))
                for currency, price in prices.items()
            },
        )

    def _is_peak(self, price: Price, at: datetime) -> bool:
        return price.hours is not None and price.hours.include(at, self._is_holiday)

    def _in_force(self, model: str, at: datetime) -> dict[str, Price]:
        """Return currency -> price. The first one's hours are those that count."""
        found = {currency: self.lookup(model, at, currency) for currency in self._prices}
        return {currency: price for currency, price in found.items() if price is not None}

    def _first_priced(self, at: datetime) -> str:
        models = (model for models in self._prices.values() for model in models)
        return next((model for model in models if self._in_force(model, at)), "")

    def _edges(self, model: str, at: datetime) -> Iterator[datetime]:
        for models in self._prices.values():
            for price in models.get(model, ()):
                yield price.since
                if price.until is not None:
                    yield price.until
        for price in self._in_force(model, at).values():
            if price.hours is not None:
                yield from price.hours.edges(at)


def check_zone(at: datetime) -> None:
    """Refuse a moment that doesn't say which one it is.

    Raises:
        TypeError: If it is no datetime.
        ValueError: If it carries no time zone.
    """
    if not isinstance(cast("object", at), datetime):
        raise TypeError(
            f"a moment is a datetime, not {at!r}; of a number of seconds, "
            "datetime.fromtimestamp(seconds, UTC) makes one"
        )
    if at.tzinfo is None:
        raise ValueError(
            "the price depends on the hour in Beijing: pass a datetime with a tzinfo, such as "
            "datetime.now(UTC)"
        )
