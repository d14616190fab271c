"""The lines of a batch: OpenAI-Batch JSONL, so that existing writers and readers work.

An input line is ``{"custom_id", "method", "url", "body"}``. A result line begins with its
``custom_id``, which makes resuming fast: ``{"custom_id", "id", "response": {"status_code",
"request_id", "body"}, "error"}``. A dead letter is an input line, so that it can be sent again,
with ``response`` and ``error`` behind it.
"""

from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

from deepseek_async.wire.repair import UNREADABLE, parse_json

#: The address of a request that doesn't name one.
CHAT_URL = "/v1/chat/completions"

#: ``error.code`` of what was never sent because its input couldn't be read.
INVALID_INPUT = "invalid_input"


class BatchRequest(msgspec.Struct):
    """One request of a batch."""

    custom_id: str | None = None
    """Your name for it, unique in the batch; None for one made of the body."""

    body: dict[str, Any] = {}
    """The body as the API takes it: ``model``, ``messages`` and so on."""

    url: str = CHAT_URL
    """Which API it is for: this one, or ``/v1/completions`` for FIM."""

    method: str = "POST"
    """Always ``POST``."""


class LineResponse(msgspec.Struct):
    """What a server answered, as it stands in a line."""

    status_code: int
    request_id: str | None
    body: Raw


class LineError(msgspec.Struct):
    """Why a request has no answer, as it stands in a line."""

    code: str
    message: str


class ResultLine(msgspec.Struct):
    """A line of the results file."""

    # The first field: resuming cuts it out of the bytes.
    custom_id: str
    id: str
    response: LineResponse
    error: None = None


class DeadLetterLine(msgspec.Struct, omit_defaults=True):
    """A line of the file of failed requests."""

    custom_id: str
    method: str
    url: str
    body: Raw
    response: LineResponse | None
    error: LineError
    input: str | UnsetType = UNSET


_encode = msgspec.json.Encoder(decimal_format="number").encode
_check = msgspec.json.Decoder(Raw).decode
_NULL = Raw(b"null")


def response_of(status_code: int, request_id: str | None, body: bytes) -> LineResponse:
    """Return the response of a line.

    Args:
        status_code: HTTP status.
        request_id: The server's id of the request.
        body: The body as received: JSON, or of an error anything at all.
    """
    if request_id is not None:
        request_id = _as_text(request_id)
    return LineResponse(status_code, request_id, on_one_line(body))


def encode_result(custom_id: str, response: LineResponse) -> bytes:
    """Return the line of an answered request, with its line end."""
    return _encode(ResultLine(custom_id, f"batch_req_{custom_id}", response)) + b"\n"


def encode_dead_letter(
    custom_id: str,
    *,
    url: str,
    body: dict[str, Any] | None,
    error: LineError,
    response: LineResponse | None = None,
    text: str | None = None,
) -> bytes:
    """Return the line of a request that failed, with its line end.

    Args:
        custom_id: Its name.
        url: Which API it was for.
        body: Its body as it was in the input; None if that couldn't be read.
        error: Why it failed.
        response: The last answer of the server, if there was one.
        text: The input, if that couldn't be read.
    """
    line = DeadLetterLine(
        custom_id,
        "POST",
        _as_text(url),
        _NULL if body is None else Raw(_encode(body)),
        response,
        LineError(_as_text(error.code), _as_text(error.message)),
        UNSET if text is None else text,
    )
    return _encode(line) + b"\n"


def _as_text(text: str) -> str:
    """Return a text that can be written: headers and exceptions may have bytes in theirs."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def on_one_line(body: bytes) -> Raw:
    """Return a body as JSON on a single line: its own bytes wherever that is possible."""
    try:
        raw = _check(body)
        if not body.isascii():
            body.decode()
    except UNREADABLE:
        return Raw(_encode(_read_leniently(body)))
    if b"\n" in body or b"\r" in body:
        # Line ends are white space between the values: inside of strings they are escaped.
        return Raw(msgspec.json.format(raw, indent=-1))
    return raw


def _read_leniently(body: bytes) -> object:
    try:
        return parse_json(body)
    except (ValueError, RecursionError):
        return body.decode("utf-8", "replace")
