"""Error replies as DeepSeek sends them: status, content type (some have none) and exact body.

Errors aren't uniform: JSON comes as ``application/json`` or ``application/octet-stream``, some
bodies are plain text without a content type, and ``code`` is the same for almost all of them.

Source: https://api-docs.deepseek.com/quick_start/error_codes and recorded replies of 2025-2026.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from deepseek_async.simulator.eras import ERAS, Era

JSON = "application/json"
OCTETS = "application/octet-stream"
TEXT = "text/plain; charset=utf-8"

_DESERIALIZE = "Failed to deserialize the JSON body into the target type: "


class Refusal(NamedTuple):
    """An error reply."""

    status: int
    content_type: str | None
    """None: the reply has no such header."""
    body: bytes


class RefusedError(Exception):
    """The request gets an error reply."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal)
        self.refusal = refusal


def json_refusal(
    status: int,
    message: str,
    *,
    content_type: str = JSON,
    error_type: str = "invalid_request_error",
    code: str = "invalid_request_error",
) -> Refusal:
    """An error with DeepSeek's JSON body."""
    error = {"message": message, "type": error_type, "param": None, "code": code}
    return Refusal(status, content_type, msgspec.json.encode({"error": error}))


def invalid_value(message: str) -> Refusal:
    """A value out of range: found after decoding, hence with the other content type."""
    return json_refusal(400, message, content_type=OCTETS)


def undecodable(problem: str, *, status: int = 400) -> Refusal:
    """A body that is JSON but not a request.

    Args:
        problem: In serde's words, with the position.
        status: 400; unknown variants of some enumerations are a 422.
    """
    return json_refusal(status, _DESERIALIZE + problem)


def malformed_json(problem: str) -> Refusal:
    """A body that isn't JSON."""
    text = f"Failed to parse the request body as JSON: {problem}"
    return Refusal(400, OCTETS, text.encode())


def invalid_key(key: str) -> Refusal:
    """A key that the server doesn't know; only its last four characters are in the body."""
    # Header bytes that aren't UTF-8 are surrogates here, which JSON can't have.
    key = key.encode("utf-8", "replace").decode()
    # Recorded: a key of four characters comes back whole.
    masked = key if len(key) <= 4 else f"****{key[-4:]}"
    message = f"Authentication Fails, Your api key: {masked} is invalid"
    return json_refusal(401, message, error_type="authentication_error")


def out_of_range(name: str, interval: str) -> Refusal:
    """A number outside of its interval, such as ``[0, 2]``."""
    return invalid_value(f"Invalid {name} value, the valid range of {name} is {interval}")


def mismatched(name: str, pattern: str) -> Refusal:
    """A string that doesn't match its pattern."""
    return invalid_value(
        f"Invalid '{name}': string does not match pattern. "
        f"Expected a string that matches the pattern '{pattern}'."
    )


def too_long(name: str, kind: str, most: int, found: int) -> Refusal:
    """A string or an array that is too long."""
    article = "an" if kind == "array" else "a"
    return invalid_value(
        f"Invalid '{name}': {kind} too long. Expected {article} {kind} with maximum length {most}, "
        f"but got {article} {kind} with length {found} instead" + ("." if kind == "array" else "")
        # As recorded and reported: only the one about arrays ends in a full stop.
    )


def unknown_model(era: Era, model: str) -> Refusal:
    """A model name that the server doesn't know."""
    return invalid_value(era.unknown_model.format(model=model))


def context_length(era: Era, tokens: int, max_tokens: int) -> Refusal:
    """A prompt of `tokens` tokens, with an answer of `max_tokens`, which is too many."""
    return invalid_value(
        f"This model's maximum context length is {era.context_tokens} tokens. However, you "
        f"requested {tokens + max_tokens} tokens ({tokens} in the messages, {max_tokens} in the "
        "completion). Please reduce the length of the messages or completion."
    )


def of_era(refusal: Refusal, era: Era) -> Refusal:
    """The same error as an earlier server sent it."""
    if era.text_errors and refusal.status in (400, 422) and refusal.content_type == JSON:
        message = str(msgspec.json.decode(refusal.body)["error"]["message"])
        if message.startswith(_DESERIALIZE):
            return Refusal(422, TEXT, message.encode())
    if not era.octet_errors and refusal.content_type == OCTETS:
        if refusal is RESPONSE_FORMAT_UNAVAILABLE and era.name < "2025-08":
            return refusal._replace(status=422, content_type=JSON)
        is_json = refusal.body.startswith(b"{")
        return refusal._replace(content_type=JSON if is_json else TEXT)
    return refusal


def concurrency_limit(current: int, limit: int) -> Refusal:
    """One request too many at the same time."""
    return json_refusal(
        429,
        f"Your current concurrency is {current}, which exceeds your concurrency limit of {limit} "
        "based on your remaining balance. Please top up your balance to restore your concurrency.",
        error_type="rate_limit_error",
    )


MISSING_AUTHENTICATION = Refusal(401, None, b"Authentication Fails (governor)")
EMPTY_BODY = malformed_json("EOF while parsing a value at line 1 column 0")
FORCED_TOOL_WHILE_THINKING = invalid_value("Thinking mode does not support this tool_choice")
RESPONSE_FORMAT_UNAVAILABLE = invalid_value("This response_format type is unavailable now")
TEMPERATURE = out_of_range("temperature", "[0, 2]")
INSUFFICIENT_BALANCE = json_refusal(402, "Insufficient Balance", error_type="unknown_error")
NOT_FOUND = Refusal(404, None, b"")
METHOD_NOT_ALLOWED = Refusal(405, None, b"")
UNSUPPORTED_MEDIA_TYPE = Refusal(
    415, TEXT, b"Expected request with `Content-Type: application/json`"
)
# No 413 was recorded; the gateway's own text is a guess.
TOO_LARGE = Refusal(413, TEXT, b"length limit exceeded")

REFUSALS: dict[str, Refusal] = {
    "missing_authentication": MISSING_AUTHENTICATION,
    "invalid_key": invalid_key("sk-bad-0000"),
    "malformed_json": malformed_json("model: EOF while parsing a value at line 1 column 9"),
    "empty_body": EMPTY_BODY,
    "missing_field": undecodable("missing field `messages` at line 1 column 2"),
    "unknown_model": unknown_model(ERAS["now"], "deepseek-none"),
    "temperature": TEMPERATURE,
    "forced_tool_while_thinking": FORCED_TOOL_WHILE_THINKING,
    "response_format": RESPONSE_FORMAT_UNAVAILABLE,
    "context_length": context_length(ERAS["now"], 1_250_025, 0),
    "content_risk": invalid_value("Content Exists Risk"),
    "insufficient_balance": INSUFFICIENT_BALANCE,
    "not_found": NOT_FOUND,
    "method_not_allowed": METHOD_NOT_ALLOWED,
    "too_large": TOO_LARGE,
    "unsupported_media_type": UNSUPPORTED_MEDIA_TYPE,
    "invalid_parameters": undecodable(
        "reasoning_effort: unknown variant `huge`, expected one of `none`, `low`, `high`, `max` "
        "at line 1 column 64",
        status=422,
    ),
    "invalid_parameters_text": Refusal(
        422, TEXT, (_DESERIALIZE + "missing field `model` at line 1 column 164").encode()
    ),
    "concurrency_limit": concurrency_limit(40, 39),
    "rate_limit": json_refusal(429, "Rate limit reached for TPM", error_type="rate_limit_error"),
    "server_error": json_refusal(
        500, "Internal Server Error", error_type="internal_error", code="internal_error"
    ),
    "bad_gateway": Refusal(
        502,
        "text/html",
        b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n"
        b"<center><h1>502 Bad Gateway</h1></center>\r\n</body>\r\n</html>\r\n",
    ),
    "overloaded": json_refusal(
        503,
        "Service is too busy. We advise users to temporarily switch to alternative LLM API "
        "service providers.",
        error_type="service_unavailable_error",
    ),
}
"""By the name that `Reply.error` takes."""
