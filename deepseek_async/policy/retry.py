"""Whether to send a request again, and when."""

import math
from collections.abc import Callable
from datetime import UTC, datetime

from deepseek_async.errors import APIStatusError, APITimeoutError, DeepSeekError, TotalTimeoutError
from deepseek_async.types.http import Headers

#: Seconds before the first retry at most; doubles with each further one.
FIRST_DELAY = 0.5

#: Seconds before any retry at most.
MAX_DELAY = 8.0

#: Seconds of ``Retry-After`` that are waited for at most.
MAX_RETRY_AFTER = 120.0


def may_retry(error: DeepSeekError, *, answered: bool) -> bool:
    """Tell whether a failed attempt may be repeated without asking the caller.

    Args:
        error: How it failed.
        answered: Whether response headers had come. A timeout after them is not retried: the
            server was at work, and the answer may be billed.
    """
    if isinstance(error, TotalTimeoutError):
        return False
    if isinstance(error, APITimeoutError):
        return not answered
    return error.retryable


def retry_delay(
    retries: int,
    error: DeepSeekError | None,
    *,
    now: float,
    random: Callable[[], float],
) -> float:
    """Return the seconds to wait before the next attempt.

    Exponential backoff with full jitter: clients that failed together must not come back
    together. A ``Retry-After`` of the server wins.

    Args:
        retries: How many retries there have been.
        error: How the last attempt failed, if it raised an error.
        now: Unix time in seconds, for a ``Retry-After`` that names a date.
        random: Uniform random numbers from 0 to 1.
    """
    if isinstance(error, APIStatusError) and error.response is not None:
        wait = retry_after(error.response.headers, now)
        if wait is not None:
            return min(wait, MAX_RETRY_AFTER)
    # Beyond the fifth doubling the limit holds; 2.0**1100 would overflow.
    longest = min(MAX_DELAY, FIRST_DELAY * 2.0 ** min(retries, 10))
    return longest * random()


def retry_after(headers: Headers, now: float) -> float | None:
    """Return the seconds that a ``Retry-After`` header asks for; None without a valid one.

    Source: RFC 9110, section 10.2.3: a number of seconds or an HTTP date.
    """
    value = headers.get("retry-after")
    if value is None:
        return None
    value = value.strip()
    try:
        seconds = float(value)
    except ValueError:
        # The email package takes long to import, and DeepSeek has not been seen to send a date.
        from email.utils import parsedate_to_datetime

        try:
            moment = parsedate_to_datetime(value)
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=UTC)
            seconds = (moment - datetime.fromtimestamp(now, UTC)).total_seconds()
        except (ValueError, OverflowError):
            # The second for a year or a day with more digits than a date can have.
            return None
    # "nan" and "inf" are numbers to float(); neither is a time to wait.
    return max(seconds, 0.0) if math.isfinite(seconds) else None
