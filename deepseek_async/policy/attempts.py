"""What becomes of an item of a batch after a request for it failed."""

from collections.abc import Callable
from typing import Literal

from deepseek_async.errors import (
    APIConnectionError,
    APIResponseValidationError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BatchError,
    DeepSeekError,
    EmptyResponseError,
    InsufficientBalanceError,
    InterruptedFinishReasonError,
    PermissionDeniedError,
    RateLimitError,
    StreamError,
    TotalTimeoutError,
)
from deepseek_async.policy.retry import MAX_RETRY_AFTER, retry_after

#: Most times a request is sent that fails by fault of the server or the connection.
MAX_ATTEMPTS = 5

#: How often an item may fail while most requests do, if others are answered meanwhile.
MAX_PROBES = 20

#: Seconds for which an item is sent again after refusals for want of room, which cost nothing, and
#: while most requests fail.
MAX_REFUSED = 3600.0

# Seconds before an item is sent again at most: after the first failure, and after any.
_FIRST_DELAY = 1.0
_MAX_DELAY = 60.0

# After a refusal: the limit has been lowered, so that there will be room.
_MAX_REFUSED_DELAY = 5.0

# Retries that may be spent at once, and how many a success adds: a fifth of all requests in the
# long run, however many fail.
_RETRY_TOKENS = 100.0
_TOKENS_PER_SUCCESS = 0.2

Fate = Literal["stop", "unpaid", "fail", "refused", "again"]


def fate_of(error: BaseException) -> Fate:
    """Tell what a failure means.

    Returns:
        ``"stop"``: no request will be answered, so that the job stops. ``"unpaid"``: the same,
        until the account is topped up. ``"refused"``: too many at once; it costs no attempt.
        ``"again"``: it may go away by itself. ``"fail"``: this item will not be answered.
    """
    if isinstance(error, AuthenticationError | PermissionDeniedError | BatchError):
        return "stop"
    if isinstance(error, InsufficientBalanceError):
        return "unpaid"
    if isinstance(error, RateLimitError):
        return "refused"
    if isinstance(error, TotalTimeoutError):
        # The item had the time that it was given.
        return "fail"
    if isinstance(error, APITimeoutError | InterruptedFinishReasonError | EmptyResponseError):
        return "again"
    return "again" if isinstance(error, DeepSeekError) and error.retryable else "fail"


def is_overload(error: BaseException) -> bool:
    """Tell whether a failure says that the server, or the way to it, is in trouble."""
    if isinstance(error, APIResponseValidationError):
        return error.retryable
    if isinstance(error, APIStatusError) and not isinstance(error, StreamError):
        return error.status_code >= 500
    return isinstance(error, APIConnectionError | StreamError)


class RetryTokens:
    """How many retries a job may still spend: a server in trouble is not asked ever more."""

    def __init__(self) -> None:
        self._tokens = _RETRY_TOKENS

    def succeeded(self) -> None:
        """Take note of an answer."""
        self._tokens = min(_RETRY_TOKENS, self._tokens + _TOKENS_PER_SUCCESS)

    def spend(self) -> bool:
        """Take a token; False if there is none."""
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


def delay_after(
    error: BaseException,
    failures: int,
    *,
    refused: bool,
    has_token: bool,
    now: float,
    random: Callable[[], float],
) -> float:
    """Return the seconds before an item is sent again.

    Args:
        error: How it failed.
        failures: How often it has failed, this time included.
        refused: Whether there was no room for it.
        has_token: Whether the job may spend a retry; if not, the item waits as long as any.
        now: Unix time in seconds, for a ``Retry-After`` that names a date.
        random: Uniform random numbers from 0 to 1.
    """
    if isinstance(error, APIStatusError) and error.response is not None:
        wait = retry_after(error.response.headers, now)
        if wait is not None:
            # Not all at the same moment.
            return min(wait, MAX_RETRY_AFTER) * (1 + 0.1 * random())
    if refused:
        return _MAX_REFUSED_DELAY * random()
    if not has_token:
        return _MAX_DELAY * (0.5 + 0.5 * random())
    return min(_MAX_DELAY, _FIRST_DELAY * 2.0 ** min(failures - 1, 10)) * random()
