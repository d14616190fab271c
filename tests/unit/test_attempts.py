"""`policy/attempts`: what a failure means for an item of a batch, and when it is sent again."""

import pytest

from deepseek_async.errors import (
    APIConnectionError,
    APIResponseValidationError,
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    ConcurrencyLimitError,
    ConnectTimeoutError,
    ContentRiskError,
    ContextLengthExceededError,
    DeepSeekError,
    EmptyResponseError,
    IdleTimeoutError,
    InsufficientBalanceError,
    InternalServerError,
    InterruptedFinishReasonError,
    NotFoundError,
    PermissionDeniedError,
    PreflightError,
    RateLimitError,
    ServerOverloadedError,
    StreamInterruptedError,
    StreamServerError,
    TotalTimeoutError,
    UnprocessableEntityError,
)
from deepseek_async.policy.attempts import RetryTokens, delay_after, fate_of, is_overload
from deepseek_async.types.http import Headers, ResponseInfo
from deepseek_async.wire.codec import error_for


def status(code: int, body: bytes = b"", retry_after: str | None = None) -> APIStatusError:
    headers = [] if retry_after is None else [("retry-after", retry_after)]
    return error_for(ResponseInfo(code, Headers(headers)), body)


LIMIT = b'{"error": {"message": "Your current concurrency is 40, which exceeds your concurrency limit of 39"}}'  # noqa: E501


@pytest.mark.parametrize(
    ("error", "cls", "fate", "overload"),
    [
        (status(401), AuthenticationError, "stop", False),
        (status(403), PermissionDeniedError, "stop", False),
        (status(402), InsufficientBalanceError, "unpaid", False),
        (status(429), RateLimitError, "refused", False),
        (status(429, LIMIT), ConcurrencyLimitError, "refused", False),
        (status(400), BadRequestError, "fail", False),
        (status(400, b"Content Exists Risk"), ContentRiskError, "fail", False),
        (status(400, b"maximum context length"), ContextLengthExceededError, "fail", False),
        (status(404), NotFoundError, "fail", False),
        (status(422), UnprocessableEntityError, "fail", False),
        (status(500), InternalServerError, "again", True),
        (status(502), InternalServerError, "again", True),
        (status(503), ServerOverloadedError, "again", True),
        (APIConnectionError("refused"), APIConnectionError, "again", True),
        (ConnectTimeoutError("slow"), ConnectTimeoutError, "again", True),
        (IdleTimeoutError("silent"), IdleTimeoutError, "again", True),
        (TotalTimeoutError("over"), TotalTimeoutError, "fail", True),
        (StreamInterruptedError("cut"), StreamInterruptedError, "again", True),
        (StreamServerError("error"), StreamServerError, "again", True),
        (EmptyResponseError("blank"), EmptyResponseError, "again", False),
        (InterruptedFinishReasonError("aborted"), InterruptedFinishReasonError, "again", False),
        (PreflightError("wrong"), PreflightError, "fail", False),
        (TypeError("wrong"), TypeError, "fail", False),
    ],
)
def test_a_failure_has_a_meaning(
    error: Exception, cls: type[Exception], fate: str, overload: bool
) -> None:
    assert type(error) is cls
    assert fate_of(error) == fate
    assert is_overload(error) is overload


def test_a_body_that_was_cut_is_tried_again_and_another_is_not() -> None:
    error = APIResponseValidationError("half a body")
    assert fate_of(error) == "fail"
    assert not is_overload(error)
    error.retryable = True
    assert fate_of(error) == "again"
    assert is_overload(error)


def test_a_fifth_of_all_requests_may_be_retries_in_the_long_run() -> None:
    tokens = RetryTokens()
    assert sum(tokens.spend() for _ in range(1000)) == 100
    for _ in range(50):
        tokens.succeeded()
    assert sum(tokens.spend() for _ in range(1000)) in (9, 10)
    for _ in range(10_000):
        tokens.succeeded()
    assert sum(tokens.spend() for _ in range(1000)) == 100


def delay(error: Exception, failures: int, chance: float = 1.0, **more: bool) -> float:
    return delay_after(
        error,
        failures,
        refused=more.get("refused", False),
        has_token=more.get("has_token", True),
        now=0.0,
        random=lambda: chance,
    )


def test_the_wait_doubles_up_to_a_minute() -> None:
    error = status(503)
    waits = [delay(error, failures) for failures in (1, 2, 3, 7, 5000)]
    assert waits == [1.0, 2.0, 4.0, 60.0, 60.0]
    assert delay(error, 3, 0.25) == 1.0


def test_a_refusal_is_tried_again_within_seconds_however_often() -> None:
    assert delay(status(429), 50, refused=True) == 5.0
    assert delay(status(429), 1, 0.0, refused=True) == 0.0


def test_without_a_token_the_wait_is_long() -> None:
    assert delay(status(503), 1, 0.0, has_token=False) == 30.0
    assert delay(status(503), 1, 1.0, has_token=False) == 60.0


def test_what_the_server_asks_for_is_waited_but_not_by_all_to_the_same_moment() -> None:
    asked = status(503, retry_after="20")
    assert delay(asked, 1, 0.0) == 20.0
    assert delay(asked, 1, 1.0) == pytest.approx(22.0)
    assert delay(status(503, retry_after="9999"), 1, 0.0) == 120.0
    assert delay(status(503, retry_after="soon"), 1) == 1.0
    assert delay(APIStatusError("none", status_code=503), 1) == 1.0
    assert delay(DeepSeekError("none"), 1) == 1.0
