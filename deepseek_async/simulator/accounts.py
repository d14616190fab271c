"""Accounts: whose key it is, what they have left, and how much they may ask at once."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import ROUND_DOWN, Decimal
from typing import Any

from deepseek_async.pricing import cost
from deepseek_async.simulator import refusals
from deepseek_async.simulator.options import Options
from deepseek_async.simulator.refusals import RefusedError

_CENT = Decimal("0.01")


@dataclass(slots=True)
class _Purse:
    """Money of one currency."""

    granted: Decimal
    topped_up: Decimal

    @property
    def total(self) -> Decimal:
        return self.granted + self.topped_up

    def pay(self, amount: Decimal) -> None:
        """Take from what was granted first (docs, "Deduction Rules")."""
        from_granted = min(self.granted, amount)
        self.granted -= from_granted
        self.topped_up -= amount - from_granted


# Given to accounts that aren't to run out: currency, granted, topped up.
_SAMPLE = (("CNY", Decimal(10), Decimal(100)), ("USD", Decimal("0.5"), Decimal(15)))


@dataclass(slots=True)
class _Account:
    purses: dict[str, _Purse]
    running: Counter[str] = field(default_factory=Counter[str])


class Accounts:
    """Keeps the accounts of one simulator; they come into being with their first request."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._accounts: dict[str, _Account] = {}

    def authenticate(self, authorization: str) -> str:
        """Return the name of the account that a header stands for.

        Raises:
            RefusedError: There is no key, or nobody knows it.
        """
        scheme, _, key = authorization.partition(" ")
        key = key.strip()
        if scheme.lower() != "bearer" or not key:
            raise RefusedError(refusals.MISSING_AUTHENTICATION)
        keys = self._options.keys
        is_known = key in self._options.accounts or keys is None or key in keys
        if key.startswith("sk-bad") or not is_known:
            raise RefusedError(refusals.invalid_key(key))
        return self._options.accounts.get(key, "")

    def told(self, name: str) -> dict[str, Any]:
        """The body of ``GET /user/balance``."""
        purses = self._account(name).purses
        return {
            "is_available": self._has_money(name),
            "balance_infos": [
                {
                    "currency": currency,
                    "total_balance": _amount(purse.total),
                    "granted_balance": _amount(purse.granted),
                    "topped_up_balance": _amount(purse.topped_up),
                }
                for currency, purse in purses.items()
            ],
        }

    def admit(self, name: str, model: str) -> None:
        """Check that an account may have one more request answered by a model.

        Raises:
            RefusedError: It has no money left, or too many are being answered.
        """
        if not self._has_money(name):
            raise RefusedError(refusals.INSUFFICIENT_BALANCE)
        limit = self._limit(name, model)
        running = self._account(name).running[model]
        if limit is not None and running >= limit:
            raise RefusedError(refusals.concurrency_limit(running + 1, limit))

    def enter(self, name: str, model: str) -> None:
        """Count a request that is being answered from now on."""
        self._account(name).running[model] += 1

    def leave(self, name: str, model: str) -> None:
        """Count a request that is no longer being answered."""
        self._account(name).running[model] -= 1

    def charge(self, name: str, model: str, usage: dict[str, Any], now: float) -> None:
        """Take the price of an answer off the first currency that has money left.

        Args:
            name: The account.
            model: The one that answered; unknown ones are free.
            usage: Its usage object.
            now: When the request came, seconds since the epoch; decides between peak and off-peak
                (what does for DeepSeek isn't documented).
        """
        purses = self._account(name).purses
        currency = next((each for each in purses if purses[each].total > 0), next(iter(purses)))
        at = datetime.fromtimestamp(now, UTC)
        hit = usage.get("prompt_cache_hit_tokens", 0)
        amount = cost(
            model,
            hit_tokens=hit,
            miss_tokens=usage["prompt_tokens"] - hit,
            output_tokens=usage["completion_tokens"],
            at=at,
            currency=currency,
        )
        if amount is None:
            return
        purse = purses[currency]
        purse.pay(amount)
        if self._options.balance is None and purse.total <= 0:
            purse.topped_up += next(added for each, _, added in _SAMPLE if each == currency)

    def _account(self, name: str) -> _Account:
        found = self._accounts.get(name)
        if found is None:
            start = self._options.balance
            found = _Account(
                {currency: _Purse(granted, topped_up) for currency, granted, topped_up in _SAMPLE}
                if start is None
                else {
                    currency: _Purse(Decimal(0), Decimal(amount))
                    for currency, amount in start.items()
                }
            )
            self._accounts[name] = found
        return found

    def _has_money(self, name: str) -> bool:
        return any(purse.total > 0 for purse in self._account(name).purses.values())

    def _limit(self, name: str, model: str) -> int | None:
        limit = self._options.limit(model)
        enough = self._options.concurrency_balance
        if limit is None or enough is None:
            return limit
        left = next(iter(self._account(name).purses.values())).total
        return max(1, int(limit * min(Decimal(1), left / enough)))


def _amount(value: Decimal) -> str:
    return str(max(value, Decimal(0)).quantize(_CENT, ROUND_DOWN))
