"""Bodies to results and errors; requests and messages to bytes."""

import json
from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import msgspec
import pytest

from deepseek_async.errors import (
    APIResponseValidationError,
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    ConcurrencyLimitError,
    ConflictError,
    ContentRiskError,
    ContextLengthExceededError,
    EmptyResponseError,
    InsufficientBalanceError,
    InternalServerError,
    NotFoundError,
    PermissionDeniedError,
    PreflightError,
    RateLimitError,
    ServerOverloadedError,
    UnprocessableEntityError,
)
from deepseek_async.types.account import Balance, ModelList
from deepseek_async.types.chat import (
    ChatCompletion,
    ChatCompletionChunk,
    ChatCompletionMessage,
    Function,
    ToolCall,
)
from deepseek_async.types.fim import Completion
from deepseek_async.types.http import Headers, ResponseInfo
from deepseek_async.types.model import Model, Result
from deepseek_async.types.requests import (
    AssistantMessage,
    ChatRequest,
    SystemMessage,
    ThinkingParam,
    ToolMessage,
    UserMessage,
)
from deepseek_async.wire.codec import (
    NotAnObjectError,
    decode,
    decode_object,
    decode_result,
    decoder_for,
    encode_request,
    error_for,
    error_in_body,
    error_message,
    is_retryable,
    quote,
    replay_message,
    status_of,
)


def info(status: int = 200, **headers: str) -> ResponseInfo:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return ResponseInfo(status, Headers(named.items()))


def error_body(message: str, type_: str = "invalid_request_error") -> bytes:
    error = {"message": message, "type": type_, "param": None, "code": "invalid_request_error"}
    return json.dumps({"error": error}).encode()


# Errors by status and body.

CONCURRENCY = (
    "Your current concurrency is 40, which exceeds your concurrency limit of 39 based on your "
    "remaining balance"
)
CONTEXT = "This model's maximum context length is 1048565 tokens. However, you requested 1250025."
MISSING = "Failed to deserialize the JSON body into the target type: missing field `messages`"

# Status and body; and then the class, its message, and whether it is worth another attempt.
ERRORS: dict[str, tuple[int, bytes, type[APIStatusError], str, bool]] = {
    "401 without a header: text": (
        401,
        b"Authentication Fails (auth)",
        AuthenticationError,
        "Authentication Fails (auth)",
        False,
    ),
    "401 for a bad key": (
        401,
        error_body(
            "Authentication Fails, Your api key: ****0000 is invalid", "authentication_error"
        ),
        AuthenticationError,
        "Authentication Fails, Your api key: ****0000 is invalid",
        False,
    ),
    "401, old": (
        401,
        error_body("Authentication Fails (no such user)"),
        AuthenticationError,
        "Authentication Fails (no such user)",
        False,
    ),
    "400 for malformed JSON: text": (
        400,
        b"Failed to parse the request body as JSON",
        BadRequestError,
        "Failed to parse the request body as JSON",
        False,
    ),
    "400 for a missing field": (400, error_body(MISSING), BadRequestError, MISSING, False),
    "400 for a wrong model": (
        400,
        error_body("Model Not Exist"),
        BadRequestError,
        "Model Not Exist",
        False,
    ),
    "400 for the temperature": (
        400,
        error_body("Invalid temperature value"),
        BadRequestError,
        "Invalid temperature value",
        False,
    ),
    "400 for the context": (400, error_body(CONTEXT), ContextLengthExceededError, CONTEXT, False),
    "400 for the context, OpenAI's word": (
        400,
        b'{"error":{"message":"context_length_exceeded: 9"}}',
        ContextLengthExceededError,
        "context_length_exceeded: 9",
        False,
    ),
    "413 for the context": (413, error_body(CONTEXT), ContextLengthExceededError, CONTEXT, False),
    "422 for the context": (422, error_body(CONTEXT), ContextLengthExceededError, CONTEXT, False),
    "500 about the context": (500, error_body(CONTEXT), InternalServerError, CONTEXT, True),
    "400 for the content": (
        400,
        error_body("Content Exists Risk"),
        ContentRiskError,
        "Content Exists Risk",
        False,
    ),
    "400 for the content, in capitals": (
        400,
        error_body("CONTENT EXISTS RISK"),
        ContentRiskError,
        "CONTENT EXISTS RISK",
        False,
    ),
    "400 for the content, old shape": (
        400,
        b'{"detail": "Content Exists Risk"}',
        ContentRiskError,
        "Content Exists Risk",
        False,
    ),
    "402": (
        402,
        error_body("Insufficient Balance", "unknown_error"),
        InsufficientBalanceError,
        "Insufficient Balance",
        False,
    ),
    "403": (403, error_body("no"), PermissionDeniedError, "no", False),
    "404 without a body": (
        404,
        b"",
        NotFoundError,
        "check base_url and path: the server doesn't know this address",
        False,
    ),
    "405 without a body": (
        405,
        b"",
        APIStatusError,
        "check base_url and path: the server doesn't take this method there",
        False,
    ),
    "408": (408, b"timeout", APIStatusError, "timeout", True),
    "409": (409, error_body("again"), ConflictError, "again", True),
    "413 without a body": (413, b"", APIStatusError, "the request is too large", False),
    "415: text": (
        415,
        b"Expected a JSON content type",
        APIStatusError,
        "Expected a JSON content type",
        False,
    ),
    "418 without a body": (
        418,
        b"",
        APIStatusError,
        "the server answered with an error and no body",
        False,
    ),
    "422": (422, error_body("unknown variant"), UnprocessableEntityError, "unknown variant", False),
    "422, old: text": (422, MISSING.encode(), UnprocessableEntityError, MISSING, False),
    "429 for the concurrency": (
        429,
        error_body(CONCURRENCY),
        ConcurrencyLimitError,
        CONCURRENCY,
        True,
    ),
    "429 for tokens": (
        429,
        error_body("Rate limit reached for TPM"),
        RateLimitError,
        "Rate limit reached for TPM",
        True,
    ),
    "429 without a body": (429, b"", RateLimitError, "too many requests", True),
    "500 without a body": (500, b"", InternalServerError, "the server failed", True),
    "502 with a page": (
        502,
        b"\n <html>Bad Gateway</html>",
        InternalServerError,
        "a gateway before the server failed",
        True,
    ),
    "503 with a page": (
        503,
        b"<!DOCTYPE html>",
        ServerOverloadedError,
        "the server is overloaded",
        True,
    ),
    "504 without a body": (
        504,
        b"",
        InternalServerError,
        "a gateway before the server waited too long",
        True,
    ),
    "529 with a message": (529, error_body("busy"), InternalServerError, "busy", True),
    "503 about the concurrency": (
        503,
        error_body(CONCURRENCY),
        ServerOverloadedError,
        CONCURRENCY,
        True,
    ),
    "403 with a page": (
        403,
        b"<html>WAF</html>",
        PermissionDeniedError,
        "the API key may not do this",
        False,
    ),
    # Shapes of the body.
    "an error that is text": (400, b'{"error": "no"}', BadRequestError, "no", False),
    "a message without error": (400, b'{"message": "no"}', BadRequestError, "no", False),
    "msg": (400, b'{"code": 1, "msg": "no"}', BadRequestError, "no", False),
    "an error inside the error": (400, b'{"error": {"error": "no"}}', BadRequestError, "no", False),
    "an empty message": (
        400,
        b'{"error": {"message": "", "detail": "no"}}',
        BadRequestError,
        "no",
        False,
    ),
    "a message that is no text": (
        400,
        b'{"error": {"message": 5}}',
        BadRequestError,
        "'{\"message\":5}'",
        False,
    ),
    "a list of details": (
        422,
        b'{"detail": [{"msg": "no"}]}',
        UnprocessableEntityError,
        '\'{"detail":[{"msg":"no"}]}\'',
        False,
    ),
    "a null error": (400, b'{"error": null}', BadRequestError, "'null'", False),
    "an empty object": (400, b"{}", BadRequestError, "'{}'", False),
    "a JSON list is text": (400, b'["no"]', BadRequestError, '["no"]', False),
    "a JSON text is text": (400, b'"no"', BadRequestError, '"no"', False),
    "white space around JSON": (
        400,
        b"\n\n " + error_body("no") + b" \r\n",
        BadRequestError,
        "no",
        False,
    ),
    "white space and nothing else": (
        500,
        b" \r\n\t",
        InternalServerError,
        "the server failed",
        True,
    ),
    "bytes that are not UTF-8": (500, b"caf\xe9", InternalServerError, "caf\ufffd", True),
    "a message that is not UTF-8": (
        500,
        b'{"error": "caf\xe9"}',
        InternalServerError,
        "caf\ufffd",
        True,
    ),
    "half a JSON is text": (400, b'{"error": ', BadRequestError, '{"error":', False),
    "a text at the limit": (500, b"x" * 1000, InternalServerError, "x" * 1000, True),
    "a long text is cut": (500, b"x" * 1001, InternalServerError, "x" * 1000 + "...", True),
    "a huge number in the error": (
        500,
        b'{"error": {"code": 123456789012345678901234567890}}',
        InternalServerError,
        "'{\"code\":123456789012345678901234567890}'",
        True,
    ),
    "a long error is quoted in part": (
        500,
        b'{"a": "' + b"x" * 300 + b'"}',
        InternalServerError,
        '\'{"a":"' + "x" * 194 + "...'",
        True,
    ),
}


@pytest.mark.parametrize(
    ("status", "body", "cls", "message", "retryable"), ERRORS.values(), ids=ERRORS
)
def test_status_and_body_become_an_exception(
    status: int, body: bytes, cls: type[APIStatusError], message: str, retryable: bool
) -> None:
    error = error_for(info(status), body)
    assert type(error) is cls
    assert (error.message, error.retryable) == (message, retryable)
    assert error.status_code == status


CONTENT_TYPES = ["application/json", "application/octet-stream", "text/plain", "text/html"]


@pytest.mark.parametrize("content_type", CONTENT_TYPES)
def test_the_content_type_of_an_error_does_not_matter(content_type: str) -> None:
    error = error_for(info(400, content_type=content_type), error_body("no"))
    assert error.message == "no"


def test_an_error_keeps_the_error_object() -> None:
    error = error_for(info(401), error_body("no", "authentication_error"))
    assert (error.type, error.code, error.param) == (
        "authentication_error",
        "invalid_request_error",
        None,
    )


def test_an_error_keeps_the_object_without_error_whole() -> None:
    assert error_for(info(400), b'{"detail": "no", "x": 1}').body == {"detail": "no", "x": 1}


def test_an_error_keeps_a_page_but_does_not_quote_it() -> None:
    assert error_for(info(502), b"<html>").body == "<html>"


def test_an_error_keeps_a_long_text_whole() -> None:
    assert error_for(info(502), b"x" * 5000).body == "x" * 5000


def test_an_error_without_a_body_has_none() -> None:
    assert error_for(info(404), b"").body is None


def test_an_error_names_the_request_and_the_response() -> None:
    response = info(400, X_DS_Trace_Id="t-1")
    error = error_for(response, error_body("no"))
    assert (error.request_id, error.response) == ("t-1", response)
    assert str(error) == "400: no (request id t-1)"


@pytest.mark.parametrize("status", [300, 301, 302, 307, 308, 399])
def test_a_redirect_is_an_error_that_names_the_address(status: int) -> None:
    error = error_for(info(status, Location="https://example.com/"), b"<html>")
    assert type(error) is APIStatusError
    assert "redirects to https://example.com/;" in error.message
    assert (error.status_code, error.retryable) == (status, False)


def test_a_redirect_without_an_address_says_so() -> None:
    assert "an unknown address" in error_for(info(302), b"").message


LIMITS: dict[str, tuple[str, int | None, int | None]] = {
    "DeepSeek's": (CONCURRENCY, 39, 40),
    "in capitals": (CONCURRENCY.upper(), 39, 40),
    "without the current number": ("over your concurrency limit of 7", 7, None),
    "a number of any length": (f"concurrency limit of {'9' * 30}", int("9" * 18), None),
}


@pytest.mark.parametrize(("message", "limit", "current"), LIMITS.values(), ids=LIMITS)
def test_a_concurrency_error_names_the_limit(
    message: str, limit: int | None, current: int | None
) -> None:
    error = error_for(info(429), error_body(message))
    assert isinstance(error, ConcurrencyLimitError)
    assert (error.limit, error.current) == (limit, current)


# Error objects inside a 200.

STATUSES: dict[str, tuple[object, int | None]] = {
    "a code": ({"code": 502}, 502),
    "a code as text": ({"code": "429"}, 429),
    "a status": ({"status": 503}, 503),
    "a status as text": ({"status": "503"}, 503),
    "code before status": ({"status": 500, "code": 429}, 429),
    "a status behind a code of another kind": ({"code": "oops", "status": 503}, 503),
    "a code that is no status": ({"code": 20012, "type": "server_error"}, 500),
    "the lowest": ({"code": 400}, 400),
    "below the lowest": ({"code": 399}, None),
    "the highest": ({"code": 599}, 599),
    "above the highest": ({"code": 600}, None),
    "text of four digits": ({"code": "4000"}, None),
    "text of other digits": ({"code": "\u0664\u0660\u0660"}, None),
    "a fraction": ({"code": 500.0}, None),
    "true": ({"code": True}, None),
    "a list": ({"code": [500]}, None),
    "a type": ({"type": "authentication_error"}, 401),
    "an invalid request": ({"type": "invalid_request_error"}, 400),
    "no balance": ({"type": "insufficient_quota"}, 402),
    "no permission": ({"type": "permission_error"}, 403),
    "nothing there": ({"type": "not_found_error"}, 404),
    "a rate limit": ({"type": "rate_limit_error"}, 429),
    "a rate limit as code": ({"code": "rate_limit_exceeded", "type": "tokens"}, 429),
    "a server error": ({"type": "server_error"}, 500),
    "an internal error": ({"code": "internal_server_error"}, 500),
    "an API error": ({"type": "api_error"}, 500),
    "overloaded": ({"type": "overloaded_error"}, 503),
    "unavailable": ({"status": "service_unavailable"}, 503),
    "DeepSeek's code says nothing, its type does": (
        {"type": "authentication_error", "code": "invalid_request_error"},
        401,
    ),
    "an unknown type beside a known code": (
        {"type": "unknown_error", "code": "invalid_request_error"},
        400,
    ),
    "a number before a word": ({"type": "server_error", "code": 429}, 429),
    "an unknown word": ({"type": "oops"}, None),
    "an object of nothing": ({}, None),
    "text": ("server_error", None),
    "a number": (500, None),
    "null": (None, None),
    "an unhashable type": ({"type": {}}, None),
}


@pytest.mark.parametrize(("error", "status"), STATUSES.values(), ids=STATUSES)
def test_an_error_object_means_a_status(error: object, status: int | None) -> None:
    assert status_of(error) == status


@pytest.mark.parametrize(
    ("error", "retryable"),
    [({"code": 400}, False), ({"code": 401}, False), ({"code": 402}, False), ({"code": 404}, False),
     ({"code": 422}, False), ({"code": 408}, True), ({"code": 409}, True), ({"code": 429}, True),
     ({"code": 499}, False), ({"code": 500}, True), ({"code": 503}, True), ({"code": 599}, True),
     ({"message": "oops"}, True), ("oops", True)],
)  # fmt: skip
def test_an_error_object_is_retryable_by_its_status(error: object, retryable: bool) -> None:
    assert is_retryable(error) is retryable
    assert error_in_body(error, info()).retryable is retryable


IN_BODY: dict[str, tuple[object, type[APIStatusError], int]] = {
    "no status": ({"message": "oops"}, APIStatusError, 200),
    "text": ("oops", APIStatusError, 200),
    "a wrong key": ({"type": "authentication_error", "message": "oops"}, AuthenticationError, 401),
    "a gateway": ({"code": 502, "message": "oops"}, InternalServerError, 502),
    "overloaded": ({"code": "503", "message": "oops"}, ServerOverloadedError, 503),
    "too many": ({"code": 429, "message": "oops"}, RateLimitError, 429),
    "the context": ({"code": 400, "message": CONTEXT}, ContextLengthExceededError, 400),
    "another status": ({"code": 418, "message": "oops"}, APIStatusError, 418),
}


@pytest.mark.parametrize(("error", "cls", "status"), IN_BODY.values(), ids=IN_BODY)
def test_an_error_object_in_a_200_becomes_an_exception(
    error: object, cls: type[APIStatusError], status: int
) -> None:
    exc = error_in_body(error, info(x_ds_trace_id="t-1"))
    assert type(exc) is cls
    assert (exc.status_code, exc.body, exc.request_id) == (status, error, "t-1")
    assert exc.message in ("oops", CONTEXT)


def test_a_concurrency_error_in_a_200_names_the_limit() -> None:
    exc = error_in_body({"code": 429, "message": CONCURRENCY}, info())
    assert isinstance(exc, ConcurrencyLimitError)
    assert (exc.limit, exc.current) == (39, 40)


MESSAGES: dict[str, tuple[object, str]] = {
    "text": ("no", "no"),
    "message": ({"message": "no", "detail": "other"}, "no"),
    "detail": ({"detail": "no", "msg": "other"}, "no"),
    "msg": ({"msg": "no", "error": "other"}, "no"),
    "error": ({"error": "no"}, "no"),
    "none": (None, "'null'"),
    "a number": (5, "'5'"),
    "a list": (["no"], "'[\"no\"]'"),
}


@pytest.mark.parametrize(("error", "message"), MESSAGES.values(), ids=MESSAGES)
def test_an_error_of_any_shape_has_a_message(error: object, message: str) -> None:
    assert error_message(error) == message


# Plain bodies.

COMPLETION = b'{"id":"c-1","choices":[{"index":0,"message":{"role":"assistant","content":"a"}}]}'


def test_a_body_becomes_a_result_that_names_the_request() -> None:
    result = decode_result(COMPLETION, ChatCompletion, info(x_ds_trace_id="t-1"))
    assert result.choices[0].message.content == "a"
    assert result.request_id == "t-1"


@pytest.mark.parametrize("before", [b"\n", b"\n\n\n", b" \r\n\t"])
def test_blank_lines_before_a_body_are_passed_over(before: bytes) -> None:
    result = decode_result(before + COMPLETION + b"\n", ChatCompletion, info())
    assert result.id == "c-1"


@pytest.mark.parametrize("body", [b"", b"\n", b"\n\n\n", b" \t\r\n "])
def test_a_body_of_white_space_is_an_empty_response(body: bytes) -> None:
    with pytest.raises(EmptyResponseError, match="200 answer without content") as caught:
        decode_result(body, ChatCompletion, info(x_ds_trace_id="t-1"))
    assert caught.value.request_id == "t-1"
    assert caught.value.retryable


NO_OBJECTS = {
    "text": (b"oops", "the body of the 200 answer is not JSON: 'oops'"),
    "HTML": (b"<html>", "the body of the 200 answer is not JSON: '<html>'"),
    "a cut body": (COMPLETION[:9], 'the body of the 200 answer is not JSON: \'{"id":"c-\''),
    "a list": (b"[1]", "the body of the 200 answer is not a JSON object: '[1]'"),
    "null": (b"null", "the body of the 200 answer is not a JSON object: 'null'"),
    "a long text": (b"x" * 900, f"the body of the 200 answer is not JSON: '{'x' * 200}...'"),
}


@pytest.mark.parametrize(("body", "message"), NO_OBJECTS.values(), ids=NO_OBJECTS)
def test_a_body_that_is_no_object_is_refused(body: bytes, message: str) -> None:
    with pytest.raises(APIResponseValidationError) as caught:
        decode_result(body, ChatCompletion, info(x_ds_trace_id="t-1"))
    assert caught.value.message == message
    assert (caught.value.request_id, caught.value.body) == ("t-1", body.decode())
    assert not caught.value.retryable


def test_a_body_of_an_error_is_that_error() -> None:
    with pytest.raises(RateLimitError, match="slow down"):
        decode_result(b'{"error":{"code":429,"message":"slow down"}}', ChatCompletion, info())


def test_an_error_beside_choices_is_that_error() -> None:
    with pytest.raises(APIStatusError, match="no"):
        decode_result(b'{"id":"c","choices":[],"error":"no"}', ChatCompletion, info())


def test_a_null_error_in_a_body_is_none() -> None:
    body = b'{"id":"c","choices":[],"error":null}'
    assert decode_result(body, ChatCompletion, info()).model_extra == {"error": None}


RESULTS: dict[str, tuple[type[Result], bytes]] = {
    "chat": (ChatCompletion, b'{"id":"c","choices":[]}'),
    "FIM": (Completion, b'{"id":"f","choices":[{"index":0,"text":"x"}]}'),
    "models": (ModelList, b'{"object":"list","data":[{"id":"m","object":"model"}]}'),
    "balance": (
        Balance,
        b'{"is_available":true,"balance_infos":[{"currency":"CNY","total_balance":"1.20"}]}',
    ),
}


@pytest.mark.parametrize(("cls", "body"), RESULTS.values(), ids=RESULTS)
def test_each_result_is_decoded_to_its_type(cls: type[Result], body: bytes) -> None:
    assert type(decode_result(body, cls, info())) is cls


@pytest.mark.parametrize(("cls", "body"), RESULTS.values(), ids=RESULTS)
def test_an_unknown_field_changes_nothing_else(cls: type[Result], body: bytes) -> None:
    plain = decode(body, cls)
    extended = decode(body[:-1] + b',"x":{"y":1}}', cls)
    assert extended.model_extra == {"x": {"y": 1}}
    extended.model_extra = None
    assert extended == plain


def test_amounts_are_decimals() -> None:
    balance = decode(RESULTS["balance"][1], Balance)
    assert balance.total("CNY") == Decimal("1.20")
    assert balance.total("USD") == 0


STRICT: dict[str, bytes] = {
    "an unknown field": b'{"id":"c","choices":[],"x":1}',
    "a missing field": b'{"id":"c"}',
    "a wrong type": b'{"id":1,"choices":[]}',
    "no JSON": b"oops",
}


@pytest.mark.parametrize("data", STRICT.values(), ids=STRICT)
def test_the_strict_decoder_refuses_what_needs_repair(data: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decoder_for(ChatCompletionChunk)(data)


def test_the_strict_decoder_takes_what_is_documented() -> None:
    assert decoder_for(ChatCompletionChunk)(b'{"id":"c","choices":[]}').id == "c"


@pytest.mark.parametrize("data", [b"oops", b"[1]", b"1", b"", b"[" * 5000 + b"]" * 5000])
def test_what_is_no_object_is_refused(data: bytes) -> None:
    for cls in (ChatCompletionChunk, ChatCompletion):
        with pytest.raises(NotAnObjectError):
            decode(data, cls)
    with pytest.raises(NotAnObjectError):
        decode_object(data)


def test_an_object_of_any_kind_is_decoded() -> None:
    assert decode_object(b' {"a": [1, NaN]} ')["a"][0] == 1


@pytest.mark.parametrize(
    ("data", "quoted"),
    [(b"", "''"), (b"a", "'a'"), (b"x" * 200, f"'{'x' * 200}'"), (b"x" * 201, f"'{'x' * 200}...'"),
     (b"a\nb", r"'a\nb'"), (b"\xff", "'\ufffd'"), ("€".encode() * 300, f"'{'€' * 200}...'")],
)  # fmt: skip
def test_data_is_quoted_in_part(data: bytes, quoted: str) -> None:
    assert quote(data) == quoted


# Requests.


def request(messages: list[Any] | None = None, **fields: Any) -> ChatRequest:
    return ChatRequest(model="m", messages=messages or [], **fields)


def encoded(content: Any, extra_body: Mapping[str, Any] | None = None) -> bytes:
    return encode_request(request([content]), extra_body)


def test_only_what_is_set_is_sent_in_the_order_of_the_fields() -> None:
    body = encode_request(
        request([{"role": "user", "content": "a"}], stop=["x"], max_tokens=None, thinking=None),
        None,
    )
    assert body == (
        b'{"model":"m","messages":[{"role":"user","content":"a"}],"thinking":null,'
        b'"max_tokens":null,"stop":["x"]}'
    )


def test_the_order_of_keyword_arguments_does_not_matter() -> None:
    one = request(temperature=0.5, max_tokens=1, stream=True)
    other = request(stream=True, max_tokens=1, temperature=0.5)
    assert encode_request(one, None) == encode_request(other, None)


def test_the_same_request_gives_the_same_bytes() -> None:
    one = request([{"role": "user", "content": "é\u2028"}], tools=[{"b": 1, "a": 2}])
    assert encode_request(one, {"z": 1, "y": 2}) == encode_request(one, {"z": 1, "y": 2})


def test_keys_of_mappings_keep_their_order() -> None:
    assert b'{"b":1,"a":2}' in encoded({"b": 1, "a": 2})


def test_text_is_sent_as_utf_8() -> None:
    assert '"é你😀\u2028"'.encode() in encoded({"content": "é你😀\u2028"})


@pytest.mark.parametrize("extra_body", [None, {}])
def test_without_extra_fields_the_request_is_all(extra_body: dict[str, Any] | None) -> None:
    assert encode_request(request(), extra_body) == b'{"model":"m","messages":[]}'


def test_extra_fields_come_last() -> None:
    body = encode_request(request(max_tokens=1), {"z": 1, "a": {"b": None}})
    assert body == b'{"model":"m","messages":[],"max_tokens":1,"z":1,"a":{"b":null}}'


def test_an_extra_field_wins_and_keeps_the_place() -> None:
    body = encode_request(request(max_tokens=1, stream=True), {"max_tokens": 2, "x": 3})
    assert body == b'{"model":"m","messages":[],"max_tokens":2,"stream":true,"x":3}'


def test_extra_fields_do_not_send_what_is_not_set() -> None:
    assert json.loads(encode_request(request(), {"x": 1})) == {"model": "m", "messages": [], "x": 1}


def test_extra_fields_of_the_caller_stay_as_they_are() -> None:
    extra = MappingProxyType({"x": 1})
    encode_request(request(), extra)
    assert extra == {"x": 1}


class Dumped:
    """What a pydantic model looks like."""

    def __init__(self, fields: object) -> None:
        self.fields = fields

    def model_dump(self, *, exclude_none: bool = False) -> object:
        if exclude_none and isinstance(self.fields, dict):
            return {name: value for name, value in self.fields.items() if value is not None}
        return self.fields


ENCODABLE: dict[str, tuple[Any, bytes]] = {
    "a mapping that is no dict": (MappingProxyType({"b": 1, "a": 2}), b'{"b":1,"a":2}'),
    "a mapping in a mapping": ({"a": MappingProxyType({"b": 1})}, b'{"a":{"b":1}}'),
    "a model": (Dumped({"role": "user", "x": None}), b'{"role":"user"}'),
    "a model in a model": (Dumped({"a": Dumped({"b": 1})}), b'{"a":{"b":1}}'),
    "a list of models": ([Dumped({"a": 1})], b'[{"a":1}]'),
    "a decimal": (Decimal("0.10"), b"0.10"),
    "a huge number": (10**30, b"1" + b"0" * 30),
    "a tuple": ((1, 2), b"[1,2]"),
    "a system message": (SystemMessage(content="a"), b'{"role":"system","content":"a"}'),
    "a user message": (
        UserMessage(content="a", name="n"),
        b'{"role":"user","content":"a","name":"n"}',
    ),
    "an assistant message": (
        AssistantMessage(content=None, reasoning_content="", prefix=True),
        b'{"role":"assistant","content":null,"reasoning_content":"","prefix":true}',
    ),
    "a tool message": (
        ToolMessage(content="a", tool_call_id="A"),
        b'{"role":"tool","content":"a","tool_call_id":"A"}',
    ),
    "a thinking switch": (ThinkingParam("enabled"), b'{"type":"enabled"}'),
}


@pytest.mark.parametrize(("value", "data"), ENCODABLE.values(), ids=ENCODABLE)
@pytest.mark.parametrize("extra_body", [None, {"x": 1}])
def test_anything_like_json_can_be_sent(
    value: Any, data: bytes, extra_body: dict[str, Any] | None
) -> None:
    assert encoded(value, extra_body).startswith(b'{"model":"m","messages":[' + data + b"]")


class Broken:
    def model_dump(self, *, exclude_none: bool) -> object:
        raise ValueError("a circular reference")


def cycle() -> list[Any]:
    items: list[Any] = []
    items.append(items)
    return items


UNENCODABLE: dict[str, tuple[Any, str]] = {
    "an object": (object(), "it holds an object of type object"),
    "an object below": ({"a": [object()]}, "it holds an object of type object"),
    "a class": (dict, "it holds an object of type type"),
    "a function": (len, "it holds an object of type builtin_function_or_method"),
    "a complex number": (1j, "it holds an object of type complex"),
    "a key that is a tuple": ({(1, 2): 3}, "it holds an object of type tuple"),
    "a model of such": (Dumped(object()), "it holds an object of type object"),
    "a model that fails": (Broken(), "a circular reference"),
    "a list in itself": (cycle(), "recursion"),
    "a number of too many digits": (10**5000, "4300 digits"),
}


@pytest.mark.parametrize(("value", "message"), UNENCODABLE.values(), ids=UNENCODABLE)
@pytest.mark.parametrize("extra_body", [None, {"x": 1}])
def test_what_is_not_like_json_is_refused(
    value: Any, message: str, extra_body: dict[str, Any] | None
) -> None:
    with pytest.raises(PreflightError, match="can't be encoded as JSON") as caught:
        encoded(value, extra_body)
    assert message in str(caught.value)


SURROGATES: dict[str, tuple[Any, dict[str, Any] | None]] = {
    "in the text": ({"content": "some words before \ud83d and behind"}, None),
    "in a key": ({"some words before \ud83d": 1}, None),
    "in an extra field": ({}, {"x": "some words before \udfff"}),
    "in a model": (Dumped({"content": "some words before \ud800"}), None),
    "in a message": (UserMessage(content="some words before \ude00"), None),
}


@pytest.mark.parametrize(("value", "extra_body"), SURROGATES.values(), ids=SURROGATES)
def test_a_lone_surrogate_is_refused_and_shown(
    value: Any, extra_body: dict[str, Any] | None
) -> None:
    with pytest.raises(PreflightError, match=r"lone surrogate \('\\ud.*near 'some words before '"):
        encoded(value, extra_body)


def test_of_a_long_text_only_what_precedes_the_surrogate_is_shown() -> None:
    with pytest.raises(PreflightError) as caught:
        encoded({"content": "secret " * 100 + "12345678901234567890\ud83d"})
    assert "near '12345678901234567890')" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_the_message_about_a_surrogate_can_be_printed() -> None:
    with pytest.raises(PreflightError) as caught:
        encoded({"content": "\ud83d\ud83d"})
    assert str(caught.value).isascii()


# Replaying an answer.


def message(**fields: Any) -> ChatCompletionMessage:
    return ChatCompletionMessage(**fields)


CALL = ToolCall(index=0, id="A", function=Function(name="f", arguments='{"a":  1.0}\n'))

REPLAYS: dict[str, tuple[ChatCompletionMessage, str]] = {
    "text": (message(content="a"), '{"role":"assistant","content":"a"}'),
    "no content": (message(), '{"role":"assistant","content":""}'),
    "empty content": (message(content=""), '{"role":"assistant","content":""}'),
    "another role": (message(role="narrator"), '{"role":"narrator","content":""}'),
    "text with all kinds of white space": (
        message(content=" a\r\n\u2028b\t "),
        '{"role":"assistant","content":" a\\r\\n\u2028b\\t "}',
    ),
    "reasoning": (
        message(content="a", reasoning_content="Hm"),
        '{"role":"assistant","content":"a","reasoning_content":"Hm"}',
    ),
    "empty reasoning is kept": (
        message(content="a", reasoning_content=""),
        '{"role":"assistant","content":"a","reasoning_content":""}',
    ),
    "tool calls: raw arguments, no index": (
        message(content=None, tool_calls=[CALL]),
        '{"role":"assistant","content":"","tool_calls":[{"id":"A","type":"function",'
        '"function":{"name":"f","arguments":"{\\"a\\":  1.0}\\n"}}]}',
    ),
    "an empty list of tool calls": (
        message(content="a", tool_calls=[]),
        '{"role":"assistant","content":"a"}',
    ),
    "unknown fields come last": (
        message(
            content="a",
            tool_calls=[
                ToolCall(
                    id="A",
                    function=Function(name="f", arguments="", model_extra={"x": 1}),
                    model_extra={"y": 2},
                )
            ],
            model_extra={"z": 3},
        ),
        '{"role":"assistant","content":"a","tool_calls":[{"id":"A","type":"function",'
        '"function":{"name":"f","arguments":"","x":1},"y":2}],"z":3}',
    ),
    "unknown nulls are left out": (
        message(content="a", model_extra={"refusal": None, "z": 0, "y": ""}),
        '{"role":"assistant","content":"a","z":0,"y":""}',
    ),
    "content of an unexpected shape goes back as it came": (
        message(model_extra={"content": [{"type": "text", "text": "a"}]}),
        '{"role":"assistant","content":[{"type":"text","text":"a"}]}',
    ),
    "what was parsed is not sent": (
        message(content="{}", parsed={"a": 1}),
        '{"role":"assistant","content":"{}"}',
    ),
}


@pytest.mark.parametrize(("answer", "sent"), REPLAYS.values(), ids=REPLAYS)
def test_an_answer_is_replayed_byte_for_byte(answer: ChatCompletionMessage, sent: str) -> None:
    assert encoded(replay_message(answer)) == f'{{"model":"m","messages":[{sent}]}}'.encode()


def test_replaying_leaves_the_answer_as_it_is() -> None:
    answer = message(content="a", tool_calls=[CALL], model_extra={"z": [1]})
    before = answer.model_dump_json()
    replay_message(answer)["tool_calls"].append(1)
    assert answer.model_dump_json() == before


def test_a_decoded_answer_is_replayed_as_it_was_received() -> None:
    received = (
        '{"role":"assistant","content":"é \\u2028","reasoning_content":"Hm",'
        '"tool_calls":[{"index":0,"id":"A","type":"function",'
        '"function":{"name":"f","arguments":"{ \\"a\\" : 1 }"}}],"title":"t"}'
    )
    body = f'{{"id":"c","choices":[{{"index":0,"message":{received}}}]}}'.encode()
    replayed = json.loads(
        json.dumps(replay_message(decode(body, ChatCompletion).choices[0].message))
    )
    expected = json.loads(received)
    del expected["tool_calls"][0]["index"]
    assert replayed == expected
    assert list(replayed) == list(expected)


@pytest.mark.parametrize("cls", [ChatCompletion, Completion, ModelList, Balance])
def test_a_dumped_result_decodes_to_the_same_result(cls: type[Model]) -> None:
    body = next(data for each, data in RESULTS.values() if each is cls)
    result = decode(body, cls)
    assert decode(result.model_dump_json().encode(), cls) == result
