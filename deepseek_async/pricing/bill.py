"""The price of a request."""

from datetime import datetime
from decimal import Decimal

from deepseek_async.pricing.history import PRICES
from deepseek_async.pricing.table import PriceTable, Rates

_MILLION = Decimal(1_000_000)


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
        currency: ``"USD"`` or ``"CNY"``, or another that the table has.

    Raises:
        ValueError: If ``at`` carries no time zone.
    """
    rates = (PRICES if prices is None else prices).rates(model, at, currency)
    if rates is None:
        return None
    return charge(rates, hit_tokens, miss_tokens, output_tokens)


def charge(rates: Rates, hit_tokens: int, miss_tokens: int, output_tokens: int) -> Decimal:
    """Return the price of tokens at given rates."""
    total = hit_tokens * rates.hit + miss_tokens * rates.miss + output_tokens * rates.output
    return total / _MILLION
