"""Bytes to results and errors; requests to bytes."""

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

import msgspec

from deepseek_async.errors import (
    RETRYABLE_STATUSES,
    STATUS_ERRORS,
    APIResponseValidationError,
    APIStatusError,
    ConcurrencyLimitError,
    ContentRiskError,
    ContextLengthExceededError,
    EmptyResponseError,
    InternalServerError,
    PreflightError,
)
from deepseek_async.types.account import Balance, ModelList
from deepseek_async.types.chat import ChatCompletion, ChatCompletionChunk, ChatCompletionMessage
from deepseek_async.types.fim import Completion
from deepseek_async.types.http import ResponseInfo
from deepseek_async.types.model import Model, Result
from deepseek_async.wire.repair import UNREADABLE, parse_json, repair

M = TypeVar("M", bound=Model)
R = TypeVar("R", bound=Result)

# Building a decoder costs as much as six decodes of a typical chunk.
_decoders: dict[type[Model], msgspec.json.Decoder[Any]] = {
    cls: msgspec.json.Decoder(cls)
    for cls in (Balance, ChatCompletion, ChatCompletionChunk, Completion, ModelList)
}

# JSON's white space. DeepSeek sends blank lines before a plain body while it is queued.
_WHITE_SPACE = b" \t\r\n"

# How much of an unexpected body an error message quotes, in characters.
_QUOTED = 200


class NotAnObjectError(ValueError):
    """Received data is not a JSON object."""


def decoder_for(cls: type[M]) -> Callable[[bytes], M]:
    """Return the strict decoder of a type: fast, and refusing what :func:`decode` repairs."""
    return cast("Callable[[bytes], M]", _decoders[cls].decode)


def decode(data: bytes, cls: type[M]) -> M:
    """Decode a JSON object, keeping what its type doesn't know.

    Raises:
        NotAnObjectError: If it is not a JSON object.
    """
    try:
        return cast("M", _decoders[cls].decode(data))
    except UNREADABLE:
        return repair(decode_object(data), cls)


def decode_object(data: bytes) -> dict[str, Any]:
    """Decode any JSON object.

    Raises:
        NotAnObjectError: If it is not a JSON object.
    """
    try:
        value = parse_json(data)
    except (ValueError, RecursionError) as exc:
        raise NotAnObjectError(f"not JSON: {quote(data)}") from exc
    if not isinstance(value, dict):
        raise NotAnObjectError(f"not a JSON object: {quote(data)}")
    return cast("dict[str, Any]", value)


def decode_result(data: bytes, cls: type[R], response: ResponseInfo) -> R:
    """Decode the body of a plain 200 answer.

    Raises:
        EmptyResponseError: If it is only white space.
        APIStatusError: If it is an error after all.
        APIResponseValidationError: If it is not a JSON object.
    """
    if not data.strip(_WHITE_SPACE):
        raise EmptyResponseError(
            f"the server ended a {response.status} answer without content; it does so when a "
            "request has been queued for too long",
            request_id=response.request_id,
        )
    try:
        result = decode(data, cls)
    except NotAnObjectError as exc:
        raise APIResponseValidationError(
            f"the body of the {response.status} answer is {exc}",
            request_id=response.request_id,
            body=data.decode("utf-8", "replace"),
        ) from exc
    if (error := _error_object(result)) is not None:
        raise error_in_body(error, response)
    result.request_id = response.request_id
    return result


def _error_object(result: Model) -> object:
    """Return the ``error`` of a 200 body; None if there is none."""
    return result.model_extra.get("error") if result.model_extra is not None else None


def quote(data: bytes) -> str:
    """Return the beginning of ``data`` for an error message."""
    text = data[: 4 * _QUOTED].decode("utf-8", "replace")
    return repr(text if len(text) <= _QUOTED else text[:_QUOTED] + "...")


# "Your current concurrency is 40, which exceeds your concurrency limit of 39 based on ..."
_CONCURRENCY_LIMIT = re.compile(r"concurrency limit of (\d+)", re.IGNORECASE)
_CONCURRENCY_CURRENT = re.compile(r"current concurrency is (\d+)", re.IGNORECASE)
_CONTEXT_LENGTH = re.compile(r"maximum context length|context_length_exceeded", re.IGNORECASE)
_CONTENT_RISK = re.compile(r"content exists risk", re.IGNORECASE)

_REDIRECTS = frozenset({301, 302, 303, 307, 308})

# What went wrong where the body says nothing, and what to do about it.
_HINTS: Mapping[int, str] = {
    401: "check the API key",
    402: "top up the account's balance",
    403: "the API key may not do this",
    404: "check base_url and path: the server doesn't know this address",
    405: "check base_url and path: the server doesn't take this method there",
    413: "the request is too large",
    429: "too many requests",
    500: "the server failed",
    502: "a gateway before the server failed",
    503: "the server is overloaded",
    504: "a gateway before the server waited too long",
}


def error_for(response: ResponseInfo, body: bytes) -> APIStatusError:
    """Build, without raising it, the exception for an answer that is not a 2xx.

    The body is read as JSON whatever its content type says, then as text; DeepSeek sends both
    under ``application/octet-stream``, or without any content type.
    """
    status = response.status
    location = response.headers.get("location")
    if status in _REDIRECTS or (300 <= status < 400 and location is not None):
        location = location or "an unknown address"
        return APIStatusError(
            f"the server redirects to {location}; redirects are not followed, since the API key "
            "would go along: set base_url to the final address",
            status_code=status,
            response=response,
        )
    payload, message = _read_error(body)
    if not message:
        message = _HINTS.get(status, "the server answered with an error and no body")
    cls = _class_for(status, message)
    error = cls(
        message,
        status_code=status,
        response=response,
        body=payload,
        retryable=status in RETRYABLE_STATUSES or status >= 500,
    )
    _read_limits(error)
    return error


def _class_for(status: int, message: str) -> type[APIStatusError]:
    # 400 and 422 have changed places over the years; the message decides.
    if status in (400, 413, 422):
        if _CONTEXT_LENGTH.search(message):
            return ContextLengthExceededError
        if _CONTENT_RISK.search(message):
            return ContentRiskError
    if status == 429 and _CONCURRENCY_LIMIT.search(message):
        return ConcurrencyLimitError
    if status in STATUS_ERRORS:
        return STATUS_ERRORS[status]
    return InternalServerError if status >= 500 else APIStatusError


def _read_limits(error: APIStatusError) -> None:
    if isinstance(error, ConcurrencyLimitError):
        error.limit = _first_int(_CONCURRENCY_LIMIT, error.message)
        error.current = _first_int(_CONCURRENCY_CURRENT, error.message)


def _first_int(pattern: re.Pattern[str], text: str) -> int | None:
    match = pattern.search(text)
    return int(match[1][:18]) if match else None


def _read_error(body: bytes) -> tuple[object, str]:
    """Return what the error body holds, and its message ("" if there is none)."""
    body = body.strip(_WHITE_SPACE)
    if not body:
        return None, ""
    try:
        payload = decode_object(body)
    except NotAnObjectError:
        text = body.decode("utf-8", "replace")
        if text.lstrip().startswith("<"):
            # A gateway's HTML page says nothing that its status doesn't.
            return text, ""
        return text, text if len(text) <= 1000 else text[:1000] + "..."
    error = payload.get("error", payload)
    return error, error_message(error)


def error_message(error: object) -> str:
    """Return the message of an ``error`` value, whatever its shape."""
    if isinstance(error, str):
        return error
    if isinstance(error, dict):
        fields = cast("dict[str, Any]", error)
        for key in ("message", "detail", "msg", "error"):
            if isinstance(text := fields.get(key), str) and text:
                return text
    return quote(msgspec.json.encode(error))


# `type` and `code` words that stand for a status in an error without one.
_STATUS_WORDS: Mapping[str, int] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "insufficient_quota": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "server_error": 500,
    "internal_server_error": 500,
    "api_error": 500,
    "overloaded_error": 503,
    "service_unavailable": 503,
}


def status_of(error: object) -> int | None:
    """Return the HTTP status that an ``error`` object inside a 200 names or means."""
    if not isinstance(error, dict):
        return None
    fields = cast("dict[str, Any]", error)
    for key in ("code", "status", "type"):
        value = fields.get(key)
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) == 3:
            value = int(value)
        if isinstance(value, int) and 400 <= value <= 599:
            return value
    # DeepSeek's `code` is "invalid_request_error" for a wrong key as well; `type` knows better.
    for key in ("type", "code", "status"):
        value = fields.get(key)
        if isinstance(value, str) and value in _STATUS_WORDS:
            return _STATUS_WORDS[value]
    return None


def is_retryable(error: object) -> bool:
    """Tell whether an ``error`` object inside a 200 may go away by itself.

    One that names no cause comes from a server that failed after it had answered 200.
    """
    status = status_of(error)
    return status is None or status in RETRYABLE_STATUSES or status >= 500


def error_in_body(error: object, response: ResponseInfo) -> APIStatusError:
    """Build the exception for an ``error`` object that came with status 200."""
    message = error_message(error)
    status = status_of(error)
    cls = APIStatusError if status is None else _class_for(status, message)
    exc = cls(
        message,
        status_code=response.status if status is None else status,
        response=response,
        body=error,
        retryable=is_retryable(error),
    )
    _read_limits(exc)
    return exc


def encode_hook(value: object) -> object:
    """Turn what msgspec can't encode into what it can."""
    if isinstance(value, Mapping):
        return dict(cast("Mapping[str, object]", value))
    # Messages of the OpenAI SDK and other pydantic models.
    dump = getattr(value, "model_dump", None)
    if callable(dump):
        return dump(exclude_none=True)
    raise NotImplementedError(f"it holds an object of type {type(value).__name__}")


_encoder = msgspec.json.Encoder(enc_hook=encode_hook, decimal_format="number")


def encode_request(request: msgspec.Struct, extra_body: Mapping[str, Any] | None) -> bytes:
    """Encode a request body; the same request always gives the same bytes.

    Raises:
        PreflightError: If something in it can't be JSON.
    """
    try:
        if not extra_body:
            return _encoder.encode(request)
        fields: dict[str, Any] = {
            name: value
            for name in request.__struct_fields__
            if (value := getattr(request, name)) is not msgspec.UNSET
        }
        return _encoder.encode(fields | dict(extra_body))
    except UnicodeEncodeError as exc:
        raise PreflightError(
            f"the request holds text with a lone surrogate ({exc.object[exc.start]!r} near "
            f"{exc.object[max(0, exc.start - 20) : exc.start]!r}), which is not valid Unicode; "
            "clean it with text.encode('utf-8', 'replace').decode()"
        ) from exc
    # RuntimeError: objects nobody can encode, and nesting without end.
    except (TypeError, ValueError, RuntimeError, msgspec.MsgspecError) as exc:
        raise PreflightError(f"the request can't be encoded as JSON: {exc}") from exc


def replay_message(message: ChatCompletionMessage) -> dict[str, Any]:
    """Return an answer as the message to send back, byte-true.

    The text, the reasoning and the raw arguments stay as they came: the server's prompt cache
    compares bytes. ``content`` is always sent, since some gateways refuse null; ``index`` of
    the calls is not.
    """
    fields: dict[str, Any] = {"role": message.role, "content": message.content or ""}
    if message.reasoning_content is not None:
        fields["reasoning_content"] = message.reasoning_content
    if message.tool_calls:
        fields["tool_calls"] = [
            {
                "id": call.id,
                "type": call.type,
                "function": {
                    "name": call.function.name,
                    "arguments": call.function.arguments,
                    **(call.function.model_extra or {}),
                },
                **(call.model_extra or {}),
            }
            for call in message.tool_calls
        ]
    extra = message.model_extra or {}
    fields.update({name: value for name, value in extra.items() if value is not None})
    return fields
