"""What a browser is told by an HTTP status."""

from typing import NamedTuple

import msgspec

from deepseek_async.live import FAILURES, FailedEvent, Run
from deepseek_async.live.failures import failure_of
from deepseek_async.web.leaving import ClientGone

# How a failure before the first word looks from outside. That the key is wrong or the balance used
# up is nothing that the browser can do something about.
_STATUSES = {
    "busy": 503,
    "broken": 502,
    "invalid": 400,
    "refused": 502,
    "stalled": 504,
    "timeout": 504,
    "too_long": 502,
    "lost": 502,
    "error": 500,
}
# Seconds until a busy service may be asked again: it was tried several times already.
_RETRY_AFTER = 5
_MAX_RETRY_AFTER = 3600.0
# For the logs of the server: nobody reads it.
_CLIENT_GONE = 499


class Refusal(Exception):
    """An answer that is no stream.

    Attributes:
        status: The HTTP status.
        headers: Beside those of its body.
        body: JSON, in the form that OpenAI's clients know.
    """

    def __init__(
        self, status: int, kind: str, message: str, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        error = {"message": message, "type": kind, "param": None, "code": kind}
        self.body = msgspec.json.encode({"error": error})
        self.headers = {
            "Content-Type": "application/json",
            "Content-Length": str(len(self.body)),
            "Cache-Control": "no-store",
            **(headers or {}),
        }


class PublicError(NamedTuple):
    """What an HTTP response says of an exception."""

    status: int
    headers: dict[str, str]

    body: bytes
    """JSON, in the form that OpenAI's clients know."""


def public_error(exc: BaseException, *, show_errors: bool = False) -> PublicError:
    """Return how to answer when a plain call has failed, without telling what is nobody's business.

    A busy or unreachable upstream, a wrong key and an empty balance are 502, 503 or 504; what the
    upstream would not take is a 400; :exc:`ClientGone` a 499, which nobody reads; anything else a
    500. For the error handler of an application::

        @app.exception_handler(DeepSeekError)
        async def failed(request, exc):
            status, headers, body = public_error(exc)
            return Response(body, status, headers)

    Args:
        exc: What was raised.
        show_errors: Whether the answer may have the exception's own text.
    """
    refusal = _refusal(exc, failure_of(exc), show_errors=show_errors)
    if isinstance(exc, ClientGone):
        refusal.status = _CLIENT_GONE
    return PublicError(refusal.status, refusal.headers, refusal.body)


def refusal_of(run: Run, event: FailedEvent, *, show_errors: bool) -> Refusal:
    """Return how to tell of a failure before anything else was told."""
    return _refusal(run.error, event, show_errors=show_errors)


def _refusal(exc: BaseException | None, event: FailedEvent, *, show_errors: bool) -> Refusal:
    public = FAILURES.get(event.kind, FAILURES["error"])
    status = _STATUSES.get(event.kind, 500)
    headers = {"Retry-After": str(_retry_after(exc))} if status == 503 else None
    return Refusal(status, event.kind, event.message if show_errors else public, headers)


def _retry_after(exc: BaseException | None) -> int:
    """Return how many seconds to wait; what the upstream says counts."""
    response = getattr(exc, "response", None)
    told = response.headers.get("retry-after", "") if response is not None else ""
    if told.isdecimal() and len(told) < 10:
        return int(min(int(told), _MAX_RETRY_AFTER))
    return _RETRY_AFTER
