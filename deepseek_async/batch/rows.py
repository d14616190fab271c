"""Results as flat rows, for tables."""

from decimal import Decimal
from typing import Any, cast

import msgspec

from deepseek_async.batch.results import BatchResult
from deepseek_async.pricing import PriceTable
from deepseek_async.types.chat import ChatCompletion
from deepseek_async.types.fim import Completion, CompletionChoice
from deepseek_async.types.requests import get_field

_encode = msgspec.json.Encoder(decimal_format="number").encode


class ResultRow(msgspec.Struct):
    """What became of one request. Of several answers to it, the first."""

    custom_id: str

    status: int | None = None
    """HTTP status; None if there was no answer at all."""

    content: str | None = None
    """The text of the answer; of fill-in-the-middle what fits in."""

    reasoning_content: str | None = None
    finish_reason: str | None = None
    model: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None

    cost_usd: Decimal | None = None
    """By the time of the answer; None if the price isn't known."""

    error: str | None = None
    """Why there is no answer."""

    tool_calls: str | None = None
    """The calls as JSON, as the server sent them."""

    request_id: str | None = None


def row_of(result: BatchResult, *, prices: PriceTable | None = None) -> ResultRow:
    """Return the row of a line.

    Args:
        result: The line.
        prices: The price table; DeepSeek's own by default.
    """
    row = ResultRow(result.custom_id, result.status_code, request_id=result.request_id)
    completion = result.completion
    if completion is None:
        row.error = _reason(result)
        return row
    row.model = completion.model
    row.cost_usd = completion.cost(prices=prices)
    usage = completion.usage
    if usage is not None:
        row.prompt_tokens = usage.prompt_tokens
        row.completion_tokens = usage.completion_tokens
        row.cached_tokens = usage.cached_tokens
    _fill_in(row, completion)
    return row


def _fill_in(row: ResultRow, completion: ChatCompletion | Completion) -> None:
    """Add what was answered."""
    if not completion.choices:
        return
    choice = completion.choices[0]
    row.finish_reason = choice.finish_reason
    if isinstance(choice, CompletionChoice):
        row.content = choice.text
        return
    message = choice.message
    row.content = message.content
    row.reasoning_content = message.reasoning_content
    if message.tool_calls:
        row.tool_calls = _json([call.to_dict() for call in message.tool_calls])


def _reason(result: BatchResult) -> str:
    """Return why a line has no answer."""
    error: object = result.error
    if error is None:
        # As OpenAI's files have it: the body of the refusal.
        body = result.body
        error = cast("dict[str, Any]", body).get("error", body) if isinstance(body, dict) else body
    if isinstance(error, str):
        return error
    parts = [get_field(error, "code"), get_field(error, "message")]
    return ": ".join(part for part in parts if isinstance(part, str) and part) or _json(error)


def _json(value: object) -> str:
    return _encode(value).decode()
