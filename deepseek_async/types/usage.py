"""Token counts, the same for chat and FIM.

Source: https://api-docs.deepseek.com/api/create-chat-completion, read 2026-11-21.
"""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import TypeVar

from deepseek_async.pricing import PriceTable, cost
from deepseek_async.types.model import Model

D = TypeVar("D", bound=Model)


class PromptTokensDetails(Model, kw_only=True, gc=False):
    """A closer look at ``Usage.prompt_tokens``."""

    cached_tokens: int | None = None
    """The same number as ``prompt_cache_hit_tokens``; undocumented, but always sent."""


class CompletionTokensDetails(Model, kw_only=True, gc=False):
    """A closer look at ``Usage.completion_tokens``; only sent in thinking mode."""

    reasoning_tokens: int | None = None
    """Tokens of the reasoning; some hosts report more of them than completion tokens."""


class Usage(Model, kw_only=True, gc=False):
    """Token counts of one request."""

    prompt_tokens: int = 0
    """Tokens in the prompt: cache hits plus cache misses."""

    completion_tokens: int = 0
    """Tokens generated, reasoning included."""

    total_tokens: int = 0

    prompt_tokens_details: PromptTokensDetails | None = None

    completion_tokens_details: CompletionTokensDetails | None = None

    prompt_cache_hit_tokens: int | None = None
    """Prompt tokens billed at the cache-hit price; None from hosts without a cache."""

    prompt_cache_miss_tokens: int | None = None
    """Prompt tokens billed at the full price; None from hosts without a cache."""

    @property
    def cached_tokens(self) -> int:
        """Prompt tokens that came from the cache, by whichever field the host reports them."""
        return billed_prompt(self)[0]

    @property
    def reasoning_tokens(self) -> int:
        """Completion tokens spent on reasoning; 0 where the host doesn't say."""
        details = self.completion_tokens_details
        return (details.reasoning_tokens or 0) if details is not None else 0

    def cost(
        self,
        model: str,
        *,
        at: datetime,
        prices: PriceTable | None = None,
        currency: str = "USD",
    ) -> Decimal | None:
        """Return the price of these tokens, None if the model's price is unknown.

        Args:
            model: The model that answered (``completion.model``, not the one asked for).
            at: When; prices depend on the date and the hour. Must carry a time zone.
            prices: Another price table than :data:`deepseek_async.pricing.PRICES`.
            currency: ``"USD"`` or ``"CNY"``, as the account is billed.

        Raises:
            ValueError: If ``at`` carries no time zone.
        """
        hit, miss = billed_prompt(self)
        return cost(
            model,
            hit_tokens=hit,
            miss_tokens=miss,
            output_tokens=self.completion_tokens,
            at=at,
            prices=prices,
            currency=currency,
        )


def billed_prompt(usage: Usage) -> tuple[int, int]:
    """Return how many prompt tokens are charged as found in the cache, and how many as not.

    What the server reports counts, even where it doesn't add up to ``prompt_tokens``. What it
    leaves out is the rest of the prompt; a host that knows no cache charges all as not found.
    """
    miss = usage.prompt_cache_miss_tokens
    hit = usage.prompt_cache_hit_tokens
    if hit is None and usage.prompt_tokens_details is not None:
        hit = usage.prompt_tokens_details.cached_tokens
    if hit is None:
        hit = 0 if miss is None else max(usage.prompt_tokens - miss, 0)
    return hit, max(usage.prompt_tokens - hit, 0) if miss is None else miss


def add_usage(one: Usage | None, other: Usage | None) -> Usage | None:
    """Return the token counts of two requests together; None if neither has any.

    A count that one of them lacks is taken as 0 there; one that both lack stays None.
    """
    if one is None or other is None:
        return one if other is None else other
    prompt = _both(one.prompt_tokens_details, other.prompt_tokens_details)
    output = _both(one.completion_tokens_details, other.completion_tokens_details)
    hit = miss = None
    if any(
        usage.prompt_cache_hit_tokens is not None or usage.prompt_cache_miss_tokens is not None
        for usage in (one, other)
    ):
        # Of both what is charged: the prompt of one that doesn't say must not get lost.
        hits, misses = zip(billed_prompt(one), billed_prompt(other), strict=True)
        hit, miss = sum(hits), sum(misses)
    return Usage(
        prompt_tokens=one.prompt_tokens + other.prompt_tokens,
        completion_tokens=one.completion_tokens + other.completion_tokens,
        total_tokens=one.total_tokens + other.total_tokens,
        prompt_tokens_details=PromptTokensDetails(
            cached_tokens=_sum(details.cached_tokens for details in prompt)
        )
        if prompt
        else None,
        completion_tokens_details=CompletionTokensDetails(
            reasoning_tokens=_sum(details.reasoning_tokens for details in output)
        )
        if output
        else None,
        prompt_cache_hit_tokens=hit,
        prompt_cache_miss_tokens=miss,
    )


def _both(*details: D | None) -> list[D]:
    return [given for given in details if given is not None]


def _sum(counts: Iterable[int | None]) -> int | None:
    """Return the sum of the counts there are, None if there are none."""
    known = [count for count in counts if count is not None]
    return sum(known) if known else None
