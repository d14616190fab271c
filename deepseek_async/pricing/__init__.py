"""What tokens cost: dated price tables and the sum.

Prices are in units of currency per million tokens. A price holds from one moment on, and may have
hours of the day in which another tariff holds. Which moment of a long request decides between the
two is not documented; callers pass the one they mean.

What is unknown has no price: the answer is None, never 0.
"""

from deepseek_async.pricing.bill import charge, cost
from deepseek_async.pricing.history import PRICES
from deepseek_async.pricing.hours import BEIJING, Hours
from deepseek_async.pricing.table import Period, Price, PriceTable, Rates

__all__ = [
    "BEIJING",
    "PRICES",
    "Hours",
    "Period",
    "Price",
    "PriceTable",
    "Rates",
    "charge",
    "cost",
]
