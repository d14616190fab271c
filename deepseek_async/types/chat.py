"""Chat completions, whole and streamed, as the server sends them.

Source: https://api-docs.deepseek.com/api/create-chat-completion, read 2026-11-21, and
recorded traffic. Values that a server may extend (finish reasons, roles, models) are ``str``.
"""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

from deepseek_async.pricing import PriceTable
from deepseek_async.types.model import Model, Result
from deepseek_async.types.usage import Usage


class Function(Model, kw_only=True, gc=False):
    """The function a model wants called."""

    name: str = ""

    arguments: str = ""
    """JSON text as the model wrote it; it may be invalid, or name unknown parameters."""


class ToolCall(Model, kw_only=True, gc=False):
    """One call the model asks for."""

    index: int | None = None
    """Position among the calls of the message; DeepSeek sends it, the docs don't name it."""

    id: str = ""
    """What the ``tool`` message that answers must carry as ``tool_call_id``."""

    type: str = "function"

    function: Function = msgspec.field(default_factory=Function)


class TopLogprob(Model, kw_only=True, gc=False):
    """One of the most likely tokens at a position."""

    token: str = ""
    logprob: float = 0.0
    bytes: list[int] | None = None


class TokenLogprob(Model, kw_only=True, gc=False):
    """A token and how likely it was."""

    token: str = ""

    logprob: float = 0.0
    """Natural logarithm of the probability; -9999.0 stands for "very unlikely"."""

    bytes: list[int] | None = None
    """UTF-8 of the token; may be a part of a character."""

    top_logprobs: list[TopLogprob] | None = None


class Logprobs(Model, kw_only=True, gc=False):
    """Log probabilities of the answer and, in thinking mode, of the reasoning."""

    content: list[TokenLogprob] | None = None
    reasoning_content: list[TokenLogprob] | None = None


class ChatCompletionMessage(Model, kw_only=True, gc=False):
    """The answer; can be appended to ``messages`` of the next request as it is."""

    role: str = "assistant"
    content: str | None = None

    reasoning_content: str | None = None
    """The reasoning that preceded the answer; None where there was none or it wasn't sent."""

    tool_calls: list[ToolCall] | None = None

    parsed: Any = msgspec.field(default=None, name="$parsed")
    """The content as the type given to ``parse``; None elsewhere."""


class Choice(Model, kw_only=True, gc=False):
    """One of the answers."""

    index: int = 0
    message: ChatCompletionMessage = msgspec.field(default_factory=ChatCompletionMessage)
    logprobs: Logprobs | None = None

    finish_reason: str | None = None
    """``stop``, ``length``, ``tool_calls``, ``content_filter``,
    ``insufficient_system_resource``, ``aborted``, or what another host says."""


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """One of the requests that an answer took."""

    usage: Usage | None = None
    """What it cost in tokens; None if it was cut before the server told."""

    finish_reason: str | None = None
    """How the server ended it; None if it did not."""

    request_id: str | None = None

    continued_after: str | None = None
    """Why another followed: ``length``, ``insufficient_system_resource``, ``aborted``, ``cut``,
    ``stall``, ``server_error``, or what was wrong with a structured answer; None of the last."""

    attempts: int = 1
    """How many requests had been sent for the answer by its end, retries included."""


class ChatCompletion(Result, kw_only=True, gc=False):
    """A whole answer."""

    id: str
    object: str = "chat.completion"

    created: int = 0
    """Unix time in seconds; 0 where the host didn't say."""

    model: str = ""
    """The model that answered; it may differ from the one asked for."""

    choices: list[Choice]
    usage: Usage | None = None
    system_fingerprint: str | None = None

    segments: list[Segment] | None = msgspec.field(default=None, name="$segments")
    """The requests that it took, if more than one; ``usage`` is their sum."""

    @property
    def text(self) -> str:
        """The text of the first answer, "" if there is none."""
        return next((c.message.content for c in self.choices if c.index == 0), None) or ""

    @property
    def reasoning(self) -> str:
        """The reasoning of the first answer, "" if there is none."""
        return next((c.message.reasoning_content for c in self.choices if c.index == 0), None) or ""

    def cost(
        self,
        *,
        at: datetime | None = None,
        prices: PriceTable | None = None,
        currency: str = "USD",
    ) -> Decimal | None:
        """Return what this answer cost, None if that can't be known.

        Args:
            at: When; defaults to ``created``. Must carry a time zone.
            prices: Another price table than :data:`deepseek_async.pricing.PRICES`.
            currency: ``"USD"`` or ``"CNY"``, as the account is billed.
        """
        return result_cost(self.usage, self.model, self.created, at, prices, currency)


class FunctionDelta(Model, kw_only=True, gc=False):
    """What a chunk adds to the function of a call."""

    name: str | None = None
    arguments: str | None = None


class ToolCallDelta(Model, kw_only=True, gc=False):
    """What a chunk adds to one tool call."""

    index: int | None = None
    id: str | None = None
    type: str | None = None
    function: FunctionDelta | None = None


class ChoiceDelta(Model, kw_only=True, gc=False):
    """What a chunk adds to one answer."""

    role: str | None = None
    content: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[ToolCallDelta] | None = None


class ChunkChoice(Model, kw_only=True, gc=False):
    """One answer's part of a chunk."""

    index: int = 0
    delta: ChoiceDelta = msgspec.field(default_factory=ChoiceDelta)
    logprobs: Logprobs | None = None
    finish_reason: str | None = None


class ChatCompletionChunk(Model, kw_only=True, gc=False):
    """One event of a streamed answer."""

    id: str
    object: str = "chat.completion.chunk"
    created: int = 0
    model: str = ""
    choices: list[ChunkChoice]
    """Empty in the usage or filter chunks that some hosts send."""

    usage: Usage | None = None
    """On the finish chunk from DeepSeek; on a chunk of its own from other hosts."""

    system_fingerprint: str | None = None


def result_cost(
    usage: Usage | None,
    model: str,
    created: int,
    at: datetime | None,
    prices: PriceTable | None,
    currency: str,
) -> Decimal | None:
    """Price ``usage``; None without usage, a known model, or any idea of the time."""
    if usage is None:
        return None
    if at is None:
        if not created:
            return None
        try:
            at = datetime.fromtimestamp(created, UTC)
        except (ValueError, OverflowError, OSError):
            # A host that counts milliseconds, or makes numbers up.
            return None
    return usage.cost(model, at=at, prices=prices, currency=currency)
