"""`policy.retry`: what is repeated, and after how long."""

from collections.abc import Callable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepseek_async.errors import (
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    ConcurrencyLimitError,
    ConflictError,
    ConnectTimeoutError,
    ContentFilterFinishReasonError,
    ContentRiskError,
    ContextLengthExceededError,
    DeepSeekError,
    EmptyResponseError,
    EventTooLargeError,
    FirstEventTimeoutError,
    IdleTimeoutError,
    InsufficientBalanceError,
    InternalServerError,
    InterruptedFinishReasonError,
    LengthFinishReasonError,
    NotFoundError,
    PermissionDeniedError,
    PreflightError,
    ProgressTimeoutError,
    RateLimitError,
    ServerOverloadedError,
    StreamInterruptedError,
    StreamServerError,
    TotalTimeoutError,
    UnprocessableEntityError,
)
from deepseek_async.policy.retry import may_retry, retry_after, retry_delay
from deepseek_async.types.http import Headers, ResponseInfo

# 2026-11-21 12:00:00 UTC
NOW = 1795262400.0

RETRIED = [
    APIConnectionError,
    ConflictError,
    RateLimitError,
    ConcurrencyLimitError,
    InternalServerError,
    ServerOverloadedError,
    EmptyResponseError,
    StreamInterruptedError,
    StreamServerError,
    InterruptedFinishReasonError,
]
TIMEOUTS = [
    APITimeoutError,
    ConnectTimeoutError,
    IdleTimeoutError,
    FirstEventTimeoutError,
    ProgressTimeoutError,
]
NEVER = [
    DeepSeekError,
    PreflightError,
    APIError,
    APIStatusError,
    BadRequestError,
    ContextLengthExceededError,
    ContentRiskError,
    AuthenticationError,
    InsufficientBalanceError,
    PermissionDeniedError,
    NotFoundError,
    UnprocessableEntityError,
    APIResponseValidationError,
    EventTooLargeError,
    LengthFinishReasonError,
    ContentFilterFinishReasonError,
    TotalTimeoutError,
]


def never_asked() -> float:
    raise AssertionError("no random number is needed")


def rate_limited(value: str | None) -> RateLimitError:
    headers = Headers([("Retry-After", value)] if value is not None else [])
    return RateLimitError("slow down", status_code=429, response=ResponseInfo(429, headers))


@pytest.mark.parametrize("answered", [False, True])
@pytest.mark.parametrize("cls", RETRIED)
def test_failures_that_may_pass_are_retried(cls: type[DeepSeekError], answered: bool) -> None:
    assert may_retry(cls("failed"), answered=answered)


@pytest.mark.parametrize("answered", [False, True])
@pytest.mark.parametrize("cls", NEVER)
def test_failures_that_stay_are_not_retried(cls: type[DeepSeekError], answered: bool) -> None:
    assert not may_retry(cls("failed"), answered=answered)


@pytest.mark.parametrize("cls", TIMEOUTS)
def test_a_timeout_before_the_headers_is_retried(cls: type[DeepSeekError]) -> None:
    assert may_retry(cls("late"), answered=False)


@pytest.mark.parametrize("cls", TIMEOUTS)
def test_a_timeout_after_the_headers_is_not_retried(cls: type[DeepSeekError]) -> None:
    assert not may_retry(cls("late"), answered=True)


@pytest.mark.parametrize("retryable", [False, True])
def test_an_error_may_say_otherwise_than_its_class(retryable: bool) -> None:
    error = APIStatusError("408", status_code=408, retryable=retryable)
    assert may_retry(error, answered=True) is retryable


LONGEST = {0: 0.5, 1: 1.0, 2: 2.0, 3: 4.0, 4: 8.0, 5: 8.0, 10: 8.0, 5000: 8.0}


@pytest.mark.parametrize(("retries", "longest"), LONGEST.items(), ids=map(str, LONGEST))
def test_the_longest_delay_doubles_up_to_eight_seconds(retries: int, longest: float) -> None:
    error = APIConnectionError("cut")
    assert retry_delay(retries, error, now=NOW, random=lambda: 1.0) == longest


@pytest.mark.parametrize("drawn", [0.0, 0.25, 1.0])
def test_the_delay_has_full_jitter(drawn: float) -> None:
    error = APIConnectionError("cut")
    assert retry_delay(2, error, now=NOW, random=lambda: drawn) == 2.0 * drawn


RETRY_AFTER: Mapping[str, tuple[str, float]] = {
    "seconds": ("7", 7.0),
    "zero": ("0", 0.0),
    "fraction": ("0.5", 0.5),
    "white space around": (" 3 ", 3.0),
    "negative": ("-5", 0.0),
    "huge": ("86400", 86400.0),
    "larger than any time": ("1e300", 1e300),
    "date": ("Sat, 21 Nov 2026 12:00:30 GMT", 30.0),
    "date in another zone": ("Sat, 21 Nov 2026 20:00:30 +0800", 30.0),
    "date without a zone": ("Sat, 21 Nov 2026 12:00:30", 30.0),
    "date of unknown zone": ("Sat, 21 Nov 2026 12:00:30 -0000", 30.0),
    "past date": ("Sat, 21 Nov 2026 11:00:00 GMT", 0.0),
}


@pytest.mark.parametrize(("value", "seconds"), RETRY_AFTER.values(), ids=RETRY_AFTER)
def test_retry_after_is_a_number_of_seconds_or_a_date(value: str, seconds: float) -> None:
    assert retry_after(Headers([("Retry-After", value)]), NOW) == seconds


GARBAGE = ["", "soon", "nan", "inf", "-inf", "Sat, 99 Nov 2026 12:00:00 GMT", "5 s", "\u0665s"]


@pytest.mark.parametrize("value", GARBAGE, ids=repr)
def test_a_retry_after_that_makes_no_sense_is_ignored(value: str) -> None:
    assert retry_after(Headers([("Retry-After", value)]), NOW) is None


def test_there_is_no_wait_without_the_header() -> None:
    assert retry_after(Headers(), NOW) is None


@given(st.text(max_size=60) | st.from_regex(r"\w{3}, \d{1,3} Nov \d{1,6} \d\d:\d\d:\d\d .{0,9}"))
def test_any_retry_after_gives_a_wait_or_none(value: str) -> None:
    seconds = retry_after(Headers([("Retry-After", value)]), NOW)
    assert seconds is None or seconds >= 0.0


WAITS: Mapping[str, tuple[str, float]] = {
    "within reason": ("7", 7.0),
    "at the limit": ("120", 120.0),
    "past the limit": ("121", 120.0),
    "next week": ("604800", 120.0),
    "in 300 digits": ("1" + "0" * 299, 120.0),
    "date next year": ("Sun, 21 Nov 2027 12:00:00 GMT", 120.0),
    "date in the year 9999": ("Fri, 31 Dec 9999 23:59:59 GMT", 120.0),
}


@pytest.mark.parametrize(("value", "delay"), WAITS.values(), ids=WAITS)
def test_retry_after_is_honoured_up_to_two_minutes(value: str, delay: float) -> None:
    assert retry_delay(0, rate_limited(value), now=NOW, random=never_asked) == delay


@pytest.mark.parametrize("value", [None, "soon"])
def test_backoff_takes_the_place_of_a_missing_retry_after(value: str | None) -> None:
    assert retry_delay(1, rate_limited(value), now=NOW, random=lambda: 0.5) == 0.5


ONE: Callable[[], float] = lambda: 1.0  # noqa: E731


def test_a_status_error_without_response_backs_off() -> None:
    assert retry_delay(0, RateLimitError("429"), now=NOW, random=ONE) == 0.5
