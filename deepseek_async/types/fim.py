"""FIM completions (beta): the text between a prompt and a suffix.

Source: https://api-docs.deepseek.com/api/create-completion, read 2026-11-21.
"""

from datetime import datetime
from decimal import Decimal

from deepseek_async.pricing import PriceTable
from deepseek_async.types.chat import result_cost
from deepseek_async.types.model import Model, Result
from deepseek_async.types.usage import Usage


class CompletionLogprobs(Model, kw_only=True, gc=False):
    """Log probabilities in the older format of text completions; the lists run in parallel."""

    text_offset: list[int] | None = None
    token_logprobs: list[float | None] | None = None
    tokens: list[str] | None = None
    top_logprobs: list[dict[str, float] | None] | None = None


class CompletionChoice(Model, kw_only=True, gc=False):
    """One of the answers."""

    index: int = 0
    text: str = ""
    logprobs: CompletionLogprobs | None = None
    finish_reason: str | None = None


class Completion(Result, kw_only=True, gc=False):
    """A FIM answer, whole or, in a stream, its next part."""

    id: str
    object: str = "text_completion"

    created: int = 0
    """Unix time in seconds; 0 where the host didn't say."""

    model: str = ""
    choices: list[CompletionChoice]
    usage: Usage | None = None
    system_fingerprint: str | None = None

    @property
    def text(self) -> str:
        """The text of the first answer, "" if there is none."""
        return next((choice.text for choice in self.choices if choice.index == 0), "")

    def cost(
        self,
        *,
        at: datetime | None = None,
        prices: PriceTable | None = None,
        currency: str = "USD",
    ) -> Decimal | None:
        """Return what this answer cost; see :meth:`ChatCompletion.cost`."""
        return result_cost(self.usage, self.model, self.created, at, prices, currency)
