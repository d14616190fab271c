"""Models and balance.

Source: https://api-docs.deepseek.com/api/list-models and
https://api-docs.deepseek.com/api/get-user-balance, read 2026-11-21.
"""

from collections.abc import Iterator
from decimal import Decimal

from deepseek_async.types.model import Model as _Base
from deepseek_async.types.model import Result


class Model(_Base, kw_only=True, gc=False):
    """One model the key may use; accepted aliases are not listed."""

    id: str
    object: str = "model"
    owned_by: str | None = None
    created: int | None = None


class ModelList(Result, kw_only=True, gc=False):
    """The models the key may use. Iterates over ``data``."""

    object: str = "list"
    data: list[Model]

    def __iter__(self) -> Iterator[Model]:
        return iter(self.data)


class BalanceInfo(_Base, kw_only=True, gc=False):
    """The balance in one currency."""

    currency: str
    """``"CNY"`` or ``"USD"``."""

    total_balance: Decimal = Decimal(0)
    granted_balance: Decimal = Decimal(0)
    """Not yet expired; used up before what was topped up."""

    topped_up_balance: Decimal = Decimal(0)


class Balance(Result, kw_only=True, gc=False):
    """The account's balance; the concurrency limit shrinks with it."""

    is_available: bool
    """Whether the balance suffices for requests."""

    balance_infos: list[BalanceInfo]
    """One for each currency, in no stable order."""

    def total(self, currency: str) -> Decimal:
        """Return the total balance in ``currency``; 0 if the account has none in it."""
        return sum(
            (info.total_balance for info in self.balance_infos if info.currency == currency),
            Decimal(0),
        )
