"""What a failed answer is called where it is read."""

from deepseek_async.errors import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    DeepSeekError,
    InsufficientBalanceError,
    InternalServerError,
    PermissionDeniedError,
    PreflightError,
    RateLimitError,
    StreamError,
)
from deepseek_async.live.errors import (
    LiveClosedError,
    LiveFullError,
    LiveStoreError,
    RunLostError,
)
from deepseek_async.live.events import FailedEvent

#: What went wrong, and what may be said of it to whoever asked: an exception's own text may tell
#: of accounts and addresses that are none of their business.
FAILURES = {
    "busy": "The service is busy. Please try again in a moment.",
    "broken": "The answer broke off. Please try again.",
    "invalid": "The question could not be processed.",
    "refused": "The service is not available at the moment.",
    "stalled": "The answer stopped coming. Please try again.",
    "timeout": "The answer took too long. Please try again.",
    "too_long": "The answer is too long.",
    "lost": "The connection to the answer was lost. Please try again.",
    "error": "Something went wrong.",
}

# The first that fits.
_KINDS: tuple[tuple[type[Exception], str], ...] = (
    (RunLostError, "lost"),
    (LiveStoreError, "lost"),
    (LiveFullError, "busy"),
    (LiveClosedError, "busy"),
    (AuthenticationError, "refused"),
    (InsufficientBalanceError, "refused"),
    (PermissionDeniedError, "refused"),
    (RateLimitError, "busy"),
    (InternalServerError, "busy"),
    (PreflightError, "invalid"),
    (APIStatusError, "invalid"),
    (APITimeoutError, "timeout"),
    (StreamError, "broken"),
    (APIConnectionError, "broken"),
)


def failure_of(exc: BaseException) -> FailedEvent:
    """Return the event that tells of an exception."""
    kind = next((kind for cls, kind in _KINDS if isinstance(exc, cls)), "error")
    retryable = isinstance(exc, DeepSeekError) and exc.retryable
    return FailedEvent(kind, _text_of(exc), retryable)


def _text_of(exc: BaseException) -> str:
    """Return an exception's text; its type where it has none, or fails to tell it."""
    try:
        return str(exc) or type(exc).__name__
    except Exception:  # The application's own code.
        return type(exc).__name__
