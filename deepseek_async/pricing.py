"""What tokens cost: a dated table and the sum.

Prices are in units of currency per million tokens. Source:
https://api-docs.deepseek.com/quick_start/pricing, read 2026-11-21. Off-peak prices hold from
2026-09-10 (flash) and 2026-08-16 (pro). Which moment of a long request decides between peak and
off-peak is not documented; callers pass the one they mean.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import NamedTuple

_MILLION = Decimal(1_000_000)
_BEIJING = timezone(timedelta(hours=8))

#: Hours of the day in Beijing, first included and last excluded, with peak prices on weekdays.
PEAK_HOURS = ((9, 12), (14, 18))


class Price(NamedTuple):
    """Prices of one model from one moment on, per million tokens.

    Attributes:
        since: When it came into force; with a time zone.
        hit: Prompt tokens found in the cache.
        miss: Other prompt tokens.
        output: Generated tokens, reasoning included.
        peak: The factor at peak hours.
    """

    since: datetime
    hit: Decimal
    miss: Decimal
    output: Decimal
    peak: Decimal = Decimal(2)


class PriceTable:
    """Prices by currency and model, newest first for each model.

    Args:
        prices: currency -> model -> prices, in any order.
        is_holiday: Tells whether a day in Beijing is a public holiday: those have no peak
            hours. The default knows none.
    """

    def __init__(
        self,
        prices: Mapping[str, Mapping[str, tuple[Price, ...]]],
        *,
        is_holiday: Callable[[date], bool] | None = None,
    ) -> None:
        self._prices = {
            currency: {
                model: sorted(entries, key=lambda price: price.since, reverse=True)
                for model, entries in models.items()
            }
            for currency, models in prices.items()
        }
        self._is_holiday = is_holiday

    def lookup(self, model: str, at: datetime, currency: str) -> Price | None:
        """Return the price of ``model`` in force at ``at``; None if unknown."""
        for price in self._prices.get(currency, {}).get(model, ()):
            if price.since <= at:
                return price
        return None

    def is_peak(self, at: datetime) -> bool:
        """Tell whether ``at`` falls into peak hours: working hours of weekdays in Beijing."""
        local = at.astimezone(_BEIJING)
        if local.weekday() >= 5 or (
            self._is_holiday is not None and self._is_holiday(local.date())
        ):
            return False
        return any(first <= local.hour < last for first, last in PEAK_HOURS)


def _price(since: datetime, hit: str, miss: str, output: str) -> Price:
    return Price(since, Decimal(hit), Decimal(miss), Decimal(output))


_FLASH_SINCE = datetime(2026, 9, 10, 4, tzinfo=UTC)
_PRO_SINCE = datetime(2026, 8, 16, 16, tzinfo=UTC)
_FLASH_USD = (_price(_FLASH_SINCE, "0.003", "0.15", "0.60"),)
_FLASH_CNY = (_price(_FLASH_SINCE, "0.02", "1", "4"),)
# Names from before 2026-09-10 that are still answered, and billed, as flash.
_FLASH_NAMES = (
    "deepseek-flash",
    "deepseek-v4-flash",
    "deepseek-v4-flash-vision-exp",
    "deepseek-chat",
    "deepseek-reasoner",
)

#: DeepSeek's own prices.
PRICES = PriceTable(
    {
        "USD": {
            **dict.fromkeys(_FLASH_NAMES, _FLASH_USD),
            "deepseek-v4-pro": (_price(_PRO_SINCE, "0.022", "0.66", "1.98"),),
        },
        "CNY": {
            **dict.fromkeys(_FLASH_NAMES, _FLASH_CNY),
            "deepseek-v4-pro": (_price(_PRO_SINCE, "0.15", "4.5", "13.5"),),
        },
    }
)


def cost(
    model: str,
    *,
    hit_tokens: int,
    miss_tokens: int,
    output_tokens: int,
    at: datetime,
    prices: PriceTable | None = None,
    currency: str = "USD",
) -> Decimal | None:
    """Return the price of a request, None if the model has no known price at that time.

    Args:
        model: The model that answered.
        hit_tokens: Prompt tokens found in the cache.
        miss_tokens: Other prompt tokens.
        output_tokens: Generated tokens, reasoning included.
        at: The moment of the request; must carry a time zone.
        prices: The table; DeepSeek's own by default.
        currency: ``"USD"`` or ``"CNY"``.

    Raises:
        ValueError: If ``at`` carries no time zone.
    """
    if at.tzinfo is None:
        raise ValueError("the price depends on the hour in Beijing: pass a datetime with a tzinfo")
    table = PRICES if prices is None else prices
    price = table.lookup(model, at, currency)
    if price is None:
        return None
    total = hit_tokens * price.hit + miss_tokens * price.miss + output_tokens * price.output
    if table.is_peak(at):
        total *= price.peak
    return total / _MILLION
