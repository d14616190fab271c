"""The options of a simulator's core, and their defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Literal, TypedDict, get_args

from deepseek_async.simulator.eras import EraName, Passback, find_era
from deepseek_async.simulator.pace import Amount, check_amount, check_seconds

DEEPSEEK_CONCURRENCY: Mapping[str, int] = {"deepseek-flash": 2500, "deepseek-v4-pro": 500}
"""What an account with enough balance gets (docs, "Rate Limit")."""

Concurrency = int | Mapping[str, int] | Literal["deepseek"] | None
Balance = Mapping[str, Decimal | int | str]


class CoreOptions(TypedDict, total=False):
    """Options that `Simulator` passes on; see `Options`."""

    era: EraName
    accounts: Mapping[str, str]
    balance: Balance | None
    concurrency_balance: Decimal | None
    capacity: int | None
    queue_timeout_seconds: float
    cache_interval: int | None
    cache_delay_seconds: float
    cache_eviction_seconds: float
    reasoning_passback: Passback | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a simulator answers what isn't scripted."""

    tokens_per_second: Amount | None = None
    """Pace of each answer; None: as fast as the client reads."""
    first_token_seconds: Amount = 0.0
    """From the request to its first token."""
    keep_alive_seconds: float = 10.0
    """Between keep-alives while an answer hasn't begun."""
    seed: int = 0
    """Of ids and made-up answers."""
    keys: frozenset[str] | None = field(default=None, repr=False)
    """API keys that exist; None: all but those that begin with ``sk-bad``."""
    max_concurrency: Concurrency = None
    """Chat and FIM requests answered at the same time for one account and model; more are a 429.
    ``"deepseek"``: DeepSeek's own limits; a mapping: by the name of the model that answers, others
    without limit. None: no limit."""
    max_requests_kept: int = 10_000
    """Received requests remembered for `Simulator.requests`; older ones are dropped."""
    era: EraName = "now"
    """Whose habits replies have: ``now``, or the month they began, such as ``2025-03``."""
    accounts: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    """API keys to account names; limits and balance are per account. Other keys share one."""
    balance: Balance | None = None
    """Each account's money at the start by currency (CNY, USD). It falls with use, and a request
    that finds none left is a 402. None: 110 CNY and 15.50 USD, topped up before they run out."""
    concurrency_balance: Decimal | None = None
    """Balance, in the first currency, below which the limits of `max_concurrency` shrink in
    proportion. None: they don't. (DeepSeek shrinks them; how isn't documented.)"""
    capacity: int | None = None
    """Requests inferred at the same time, all accounts together; more of them wait their turn, with
    keep-alives. How long one takes follows from its pace, so that without one nobody waits. None:
    no limit."""
    queue_timeout_seconds: float = 600.0
    """A request that isn't inferred by then gets no more than its keep-alives."""
    cache_interval: int | None = 128
    """Tokens between the prefix units that the cache makes within a prompt, a multiple of 128 (64
    before 2026). None: it makes units only where inputs and outputs end and where prompts part."""
    cache_delay_seconds: float = 0.0
    """From the first token of an answer (for its output: from the last) until the cache knows."""
    cache_eviction_seconds: float = 24 * 3600.0
    """A prefix unit not used for so long is forgotten."""
    reasoning_passback: Passback | None = None
    """What is asked of ``reasoning_content`` in earlier messages; None: what the era asks."""

    def __post_init__(self) -> None:
        block = find_era(self.era).cache_block
        if self.cache_interval is not None and (
            self.cache_interval < 1 or self.cache_interval % block
        ):
            raise ValueError(
                f"cache_interval is a multiple of {block} tokens, not {self.cache_interval}"
            )
        check_amount("tokens_per_second", self.tokens_per_second)
        check_amount("first_token_seconds", self.first_token_seconds)
        for name in ("queue_timeout_seconds", "cache_delay_seconds", "cache_eviction_seconds"):
            check_seconds(name, getattr(self, name))
        if not self.keep_alive_seconds > 0:
            raise ValueError(f"keep_alive_seconds must be positive, not {self.keep_alive_seconds}")
        if self.balance is not None and not self.balance:
            raise ValueError("balance has at least one currency; None is for the usual amounts")
        for currency, amount in (self.balance or {}).items():
            _check_money(f"balance[{currency!r}]", amount)
        if self.concurrency_balance is not None and not self.concurrency_balance > 0:
            raise ValueError(
                f"concurrency_balance must be positive, not {self.concurrency_balance}"
            )
        if self.capacity is not None and self.capacity < 1:
            raise ValueError(f"capacity is at least one request, not {self.capacity}")
        passback = self.reasoning_passback
        if passback is not None and passback not in get_args(Passback):
            known = ", ".join(get_args(Passback))
            raise ValueError(f"no reasoning_passback {passback!r}; there are {known}")
        self._check_concurrency()

    def _check_concurrency(self) -> None:
        limit = self.max_concurrency
        if isinstance(limit, str) and limit != "deepseek":
            raise ValueError(f"max_concurrency is a number or 'deepseek', not {limit!r}")
        limits = limit if isinstance(limit, Mapping) else {"": limit}
        for each in limits.values():
            if isinstance(each, int) and each < 0:
                raise ValueError(f"max_concurrency can't be negative ({each})")

    def limit(self, model: str) -> int | None:
        """The limit of `max_concurrency` for a model that answers."""
        limit = self.max_concurrency
        if isinstance(limit, int) or limit is None:
            return limit
        return (DEEPSEEK_CONCURRENCY if limit == "deepseek" else limit).get(model)


def _check_money(name: str, amount: Decimal | int | str) -> None:
    try:
        is_finite = Decimal(amount).is_finite()
    except InvalidOperation:
        is_finite = False
    if not is_finite:
        raise ValueError(f"{name} is an amount of money, not {amount!r}")
