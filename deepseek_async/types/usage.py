"""Token counts, the same for chat and FIM.

Source: https://api-docs.deepseek.com/api/create-chat-completion, read 2026-11-21.
"""

from datetime import datetime
from decimal import Decimal

from deepseek_async.pricing import PriceTable, cost
from deepseek_async.types.model import Model


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
        if self.prompt_cache_hit_tokens is not None:
            return self.prompt_cache_hit_tokens
        details = self.prompt_tokens_details
        return (details.cached_tokens or 0) if details is not None else 0

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
        """
        hit = self.cached_tokens
        miss = self.prompt_cache_miss_tokens
        return cost(
            model,
            hit_tokens=hit,
            miss_tokens=self.prompt_tokens - hit if miss is None else miss,
            output_tokens=self.completion_tokens,
            at=at,
            prices=prices,
            currency=currency,
        )
