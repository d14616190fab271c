"""What is said of a call in attributes, under the names of the semantic conventions.

Names that are not theirs begin with ``deepseek.``.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import msgspec

from deepseek_async import APIResponseValidationError, DeepSeekError, ToolError

if TYPE_CHECKING:
    from deepseek_async.observers import CallAbout, CallEnd

Value = str | bool | int | float | Sequence[str]
Attributes = dict[str, Value]

# Of other hosts as well, whose models are most often DeepSeek's; the address tells them.
PROVIDER = "deepseek"

_PORTS = {"http": 80, "https": 443}

# A server may answer with a page of text; most messages are a sentence.
_MOST_OF_A_MESSAGE = 500

# Numbers and names that are told as they are, if they are of the type that is wanted.
_PARAMETERS: dict[str, tuple[str, type | tuple[type, ...]]] = {
    "temperature": ("gen_ai.request.temperature", (int, float)),
    "top_p": ("gen_ai.request.top_p", (int, float)),
    "max_tokens": ("gen_ai.request.max_tokens", int),
    "max_completion_tokens": ("gen_ai.request.max_tokens", int),
    "frequency_penalty": ("gen_ai.request.frequency_penalty", (int, float)),
    "presence_penalty": ("gen_ai.request.presence_penalty", (int, float)),
    "seed": ("gen_ai.request.seed", int),
    "reasoning_effort": ("deepseek.request.reasoning_effort", str),
}


class Request(msgspec.Struct):
    """What is told of a request's parameters, whatever their types; prompts are passed over."""

    temperature: Any = None
    top_p: Any = None
    max_tokens: Any = None
    max_completion_tokens: Any = None
    frequency_penalty: Any = None
    presence_penalty: Any = None
    seed: Any = None
    reasoning_effort: Any = None
    n: Any = None
    stop: Any = None
    response_format: Any = None


_decode = msgspec.json.Decoder(Request).decode


def about_call(about: "CallAbout") -> Attributes:
    """Return what a call has in common with many others: samplers and metrics see it."""
    found: Attributes = {
        "gen_ai.operation.name": about.operation,
        "gen_ai.provider.name": PROVIDER,
    }
    if about.model:
        found["gen_ai.request.model"] = about.model
    url = urlsplit(about.url)
    if url.hostname:
        found["server.address"] = url.hostname
        found["server.port"] = url.port or _PORTS.get(url.scheme, 443)
    return found


def about_request(body: bytes, *, streamed: bool) -> Attributes:
    """Return what a request asks for, but for what it is about.

    Args:
        body: Its JSON.
        streamed: Whether the answer is streamed.
    """
    request = _decode(body)
    found: Attributes = {}
    for field, (name, kind) in _PARAMETERS.items():
        value: Any = getattr(request, field)
        if isinstance(value, kind) and not _is_too_large(value):
            found[name] = cast("Value", value)
    if isinstance(request.n, int) and request.n != 1 and not _is_too_large(request.n):
        found["gen_ai.request.choice.count"] = request.n
    stop = [request.stop] if isinstance(request.stop, str) else request.stop
    if stop and isinstance(stop, list):
        found["gen_ai.request.stop_sequences"] = list(map(str, cast("list[Any]", stop)))
    if request.response_format is not None:
        is_text = request.response_format == {"type": "text"}
        found["gen_ai.output.type"] = "text" if is_text else "json"
    if streamed:
        found["gen_ai.request.stream"] = True
    return found


def _is_too_large(value: Any) -> bool:
    """Tell whether a number has no place in OTLP, where one such loses all spans of an export."""
    return isinstance(value, int) and not -(2**63) <= value < 2**63


def about_end(end: "CallEnd") -> Attributes:
    """Return what came of a call."""
    answered, usage = end.answered, end.answered.usage
    found: Attributes = {
        "deepseek.outcome": end.outcome,
        "deepseek.attempts": end.attempts,
        "deepseek.gate_time": end.gate_seconds,
    }
    if answered.id:
        found["gen_ai.response.id"] = answered.id
    if answered.model:
        found["gen_ai.response.model"] = answered.model
    if answered.finish_reasons:
        found["gen_ai.response.finish_reasons"] = list(answered.finish_reasons)
    if usage is not None:
        found["gen_ai.usage.input_tokens"] = usage.prompt_tokens
        found["gen_ai.usage.output_tokens"] = usage.completion_tokens
        found["gen_ai.usage.cache_read.input_tokens"] = usage.cached_tokens
        if usage.completion_tokens_details is not None:
            found["gen_ai.usage.reasoning.output_tokens"] = usage.reasoning_tokens
    if end.attempts > 1:
        found["http.request.resend_count"] = end.attempts - 1
    if end.status is not None:
        found["http.response.status_code"] = end.status
    if end.request_id:
        found["deepseek.request_id"] = end.request_id
    if end.first_chunk_seconds is not None:
        found["gen_ai.response.time_to_first_chunk"] = end.first_chunk_seconds
    if end.queue_seconds is not None:
        found["deepseek.queue_time"] = end.queue_seconds
    return found


def error_type(error: BaseException | None) -> str:
    """Return the name of an exception's class."""
    return "_OTHER" if error is None else type(error).__name__


def public_message(error: BaseException | None) -> str | None:
    """Return what may be told of an exception; None if its message may have anything in it."""
    # Tools tell the model what was wrong with its arguments, and an answer that is no JSON is
    # quoted: that is content.
    if not isinstance(error, DeepSeekError) or isinstance(
        error, APIResponseValidationError | ToolError
    ):
        return None
    message = error.message
    return message if len(message) <= _MOST_OF_A_MESSAGE else f"{message[:_MOST_OF_A_MESSAGE]}..."
