"""Answers that are errors: class, message, and what else they carry."""

import copy
import json
import pickle
import traceback
from typing import Any, NamedTuple

import aiohttp
import pytest
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from deepseek_async import (
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    APIStatusError,
    AsyncDeepSeek,
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
    RateLimitError,
    ServerOverloadedError,
    UnprocessableEntityError,
)

from .fake_api import HELLO, KEY, FakeAPI

OCTETS = "application/octet-stream"
CONTEXT = (
    "This model's maximum context length is 1048565 tokens. However, you requested 1250025 tokens "
    "(1250025 in the messages, 0 in the completion). Please reduce the length of the messages or "
    "completion."
)
CONCURRENCY = (
    "Your current concurrency is 40, which exceeds your concurrency limit of 39 based on your "
    "remaining balance"
)


def said(message: str) -> str:
    return json.dumps(
        {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": "c"}}
    )


class Case(NamedTuple):
    status: int
    body: str
    cls: type[APIStatusError]
    message: str
    retryable: bool = False
    content_type: str = "application/json"


STATUSES = {
    "400": Case(400, said("Bad"), BadRequestError, "Bad"),
    "400 as octets": Case(400, said("Bad"), BadRequestError, "Bad", content_type=OCTETS),
    "400 in text": Case(400, "no JSON", BadRequestError, "no JSON", content_type=OCTETS),
    "400 context": Case(400, said(CONTEXT), ContextLengthExceededError, CONTEXT),
    "422 context": Case(422, said(CONTEXT), ContextLengthExceededError, CONTEXT),
    "400 moderation": Case(
        400, said("Content Exists Risk"), ContentRiskError, "Content Exists Risk"
    ),
    "400 in the older shape": Case(
        400, '{"detail": "Content Exists Risk"}', ContentRiskError, "Content Exists Risk"
    ),
    "400 empty": Case(400, "", BadRequestError, "the server answered with an error and no body"),
    "401": Case(401, said("Authentication Fails"), AuthenticationError, "Authentication Fails"),
    "401 in text": Case(
        401, "Authentication Fails (governor)", AuthenticationError, "Fails (governor)"
    ),
    "402": Case(402, said("Insufficient Balance"), InsufficientBalanceError, "Insufficient"),
    "403": Case(403, "<html>WAF</html>", PermissionDeniedError, "the API key may not do this"),
    "404 empty": Case(404, "", NotFoundError, "check base_url and path"),
    "405 empty": Case(405, "", APIStatusError, "doesn't take this method"),
    "408": Case(408, said("Late"), APIStatusError, "Late", retryable=True),
    "409": Case(409, said("Busy"), ConflictError, "Busy", retryable=True),
    "413": Case(413, "", APIStatusError, "the request is too large"),
    "415 in text": Case(
        415, "Expected request with `Content-Type`", APIStatusError, "Expected request"
    ),
    "418": Case(418, said("teapot"), APIStatusError, "teapot"),
    "422 in text": Case(422, "missing field `model`", UnprocessableEntityError, "missing field"),
    "429": Case(429, said("Rate limit reached"), RateLimitError, "Rate limit", retryable=True),
    "429 concurrency": Case(
        429, said(CONCURRENCY), ConcurrencyLimitError, CONCURRENCY, retryable=True
    ),
    "500": Case(500, said("Oops"), InternalServerError, "Oops", retryable=True),
    "500 in white space": Case(
        500, " \n", InternalServerError, "the server failed", retryable=True
    ),
    "502 in HTML": Case(
        502, "<html><h1>502</h1></html>", InternalServerError, "a gateway", retryable=True
    ),
    "503": Case(503, said("Busy"), ServerOverloadedError, "Busy", retryable=True),
    "503 empty": Case(503, "", ServerOverloadedError, "the server is overloaded", retryable=True),
    "504": Case(504, "", InternalServerError, "waited too long", retryable=True),
    "524 in HTML": Case(524, "<!DOCTYPE html>", InternalServerError, "", retryable=True),
}


@pytest.mark.parametrize("case", STATUSES.values(), ids=STATUSES)
async def test_a_status_has_its_class_and_message(
    api: FakeAPI, client: AsyncDeepSeek, case: Case
) -> None:
    api.post(status=case.status, body=case.body, content_type=case.content_type)
    with pytest.raises(APIStatusError) as excinfo:
        await client.chat.completions.create(model="m", messages=HELLO, max_retries=0)
    error = excinfo.value
    assert type(error) is case.cls
    assert case.message in error.message
    assert str(error).startswith(f"{case.status}: ")
    assert error.retryable is case.retryable
    assert (error.status_code, error.attempts) == (case.status, 1)


async def test_an_error_carries_response_request_id_and_body(
    api: FakeAPI, client: AsyncDeepSeek
) -> None:
    api.post(status=400, body=said("Bad"))
    with pytest.raises(BadRequestError) as excinfo:
        await client.chat.completions.create(model="m", messages=HELLO)
    error = excinfo.value
    assert error.request_id == "trace-1"
    assert error.response is not None
    assert (error.response.status, error.response.headers["X-DS-Trace-Id"]) == (400, "trace-1")
    assert error.body == json.loads(said("Bad"))["error"]
    assert (error.type, error.code, error.param) == ("invalid_request_error", "c", None)
    assert str(error) == "400: Bad (request id trace-1)"


async def test_a_concurrency_error_carries_limit_and_count(
    api: FakeAPI, client: AsyncDeepSeek
) -> None:
    api.post(status=429, body=said(CONCURRENCY))
    with pytest.raises(ConcurrencyLimitError) as excinfo:
        await client.chat.completions.create(model="m", messages=HELLO, max_retries=0)
    assert (excinfo.value.limit, excinfo.value.current) == (39, 40)


async def test_a_long_text_is_cut(api: FakeAPI, client: AsyncDeepSeek) -> None:
    api.post(status=400, body="x" * 5000)
    with pytest.raises(BadRequestError) as excinfo:
        await client.chat.completions.create(model="m", messages=HELLO)
    assert excinfo.value.message == "x" * 1000 + "..."
    assert excinfo.value.body == "x" * 5000


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(api: FakeAPI, client: AsyncDeepSeek, status: int) -> None:
    api.post(status=status, headers={"Location": "https://evil.org/chat"})
    with pytest.raises(APIStatusError, match=r"redirects to https://evil\.org/chat") as excinfo:
        await client.chat.completions.create(model="m", messages=HELLO)
    assert excinfo.value.status_code == status
    assert len(api.sent) == 1
    assert api.sent[0].options["allow_redirects"] is False


IN_200: dict[str, tuple[Any, type[APIStatusError], int, bool]] = {
    "of no kind": ({"message": "Oops"}, APIStatusError, 200, True),
    "a string": ("Oops", APIStatusError, 200, True),
    "with a number": ({"message": "Oops", "code": 429}, RateLimitError, 429, True),
    "with a number in text": ({"message": "Oops", "code": "400"}, BadRequestError, 400, False),
    "with a type": (
        {"message": "Oops", "type": "authentication_error"},
        AuthenticationError,
        401,
        False,
    ),
    "overloaded": (
        {"message": "Oops", "type": "overloaded_error"},
        ServerOverloadedError,
        503,
        True,
    ),
}


@pytest.mark.parametrize(("error", "cls", "status", "retryable"), IN_200.values(), ids=IN_200)
async def test_an_error_object_in_a_200_is_an_error(
    api: FakeAPI,
    client: AsyncDeepSeek,
    error: Any,
    cls: type[APIStatusError],
    status: int,
    retryable: bool,
) -> None:
    api.post(payload={"error": error})
    with pytest.raises(cls, match="Oops") as excinfo:
        await client.chat.completions.create(model="m", messages=HELLO, max_retries=0)
    assert type(excinfo.value) is cls
    assert (excinfo.value.status_code, excinfo.value.retryable) == (status, retryable)


@pytest.mark.parametrize("body", ["<html>hello</html>", "[1, 2]", "null", "OK"])
async def test_a_200_that_is_no_object_is_refused(
    api: FakeAPI, client: AsyncDeepSeek, body: str
) -> None:
    api.post(body=body)
    with pytest.raises(APIResponseValidationError) as excinfo:
        await client.chat.completions.create(model="m", messages=HELLO)
    error = excinfo.value
    assert (error.body, error.request_id, error.attempts) == (body, "trace-1", 1)
    assert not error.retryable


FAILURES: dict[str, dict[str, Any]] = {
    "status": {"status": 401, "body": said("Authentication Fails, Your api key: ****cdef")},
    "redirect": {"status": 307, "headers": {"Location": "https://evil.org"}},
    "white space": {"body": "\n\n"},
    "HTML": {"body": "<html>"},
    "broken connection": {"exception": aiohttp.ClientConnectionError("cut")},
    "disconnect": {"exception": aiohttp.ServerDisconnectedError()},
    "bad HTTP": {
        "exception": aiohttp.ClientResponseError(
            aiohttp.RequestInfo(
                URL("https://api.deepseek.com"),
                "POST",
                CIMultiDictProxy(CIMultiDict(Authorization=f"Bearer {KEY}")),
            ),
            (),
            message="bad HTTP",
        )
    },
    "operating system": {"exception": OSError(104, "Connection reset by peer")},
    "nonsense": {"exception": ValueError("odd")},
}


def chain(error: BaseException | None) -> list[BaseException]:
    """Return an error with all its causes and contexts."""
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


@pytest.mark.parametrize("answer", FAILURES.values(), ids=FAILURES)
async def test_no_error_carries_the_key(
    api: FakeAPI, client: AsyncDeepSeek, answer: dict[str, Any]
) -> None:
    api.post(**answer)
    with pytest.raises((APIError, ValueError)) as excinfo:
        await client.chat.completions.create(model="m", messages=HELLO, max_retries=0)
    texts = ["".join(traceback.format_exception(excinfo.value))]
    for error in chain(excinfo.value):
        texts += [str(error), repr(error), repr(vars(error)), repr(error.args)]
    texts += [repr(pickle.dumps(excinfo.value)), repr(copy.copy(excinfo.value)), repr(client)]
    assert not any(KEY in text for text in texts)


async def test_a_key_of_a_letter_or_two_is_no_secret(api: FakeAPI, client: AsyncDeepSeek) -> None:
    api.post(status=404)
    with pytest.raises(APIError, match="check base_url and path"):
        await client.with_options(api_key="k").chat.completions.create(model="m", messages=HELLO)


@pytest.mark.parametrize("answer", FAILURES.values(), ids=FAILURES)
async def test_no_failure_is_of_another_library(
    api: FakeAPI, client: AsyncDeepSeek, answer: dict[str, Any]
) -> None:
    api.post(**answer)
    with pytest.raises(Exception, match=r".") as excinfo:
        await client.chat.completions.create(model="m", messages=HELLO, max_retries=0)
    assert type(excinfo.value).__module__.startswith("deepseek_async.")


async def test_a_failed_connection_names_the_host(api: FakeAPI, client: AsyncDeepSeek) -> None:
    api.post(exception=aiohttp.ClientConnectionError("cut"))
    with pytest.raises(APIConnectionError, match=r"api\.deepseek\.com closed .*: cut"):
        await client.chat.completions.create(model="m", messages=HELLO, max_retries=0)


async def test_white_space_alone_is_an_empty_response(api: FakeAPI, client: AsyncDeepSeek) -> None:
    api.post(body="\n\n \r\n")
    with pytest.raises(EmptyResponseError) as excinfo:
        await client.chat.completions.create(model="m", messages=HELLO, max_retries=0)
    assert (excinfo.value.request_id, excinfo.value.retryable) == ("trace-1", True)
