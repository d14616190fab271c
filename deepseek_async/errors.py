"""Every exception this library raises.

```
DeepSeekError                          .retryable
  PreflightError (also ValueError)     refused before a byte was sent
  LengthFinishReasonError, ContentFilterFinishReasonError, InterruptedFinishReasonError
                                       .completion
  APIError                             .request_id .attempts .body
    APIConnectionError                 no usable answer
      APITimeoutError                  .partial
        ConnectTimeoutError, IdleTimeoutError, FirstEventTimeoutError,
        ProgressTimeoutError, TotalTimeoutError
    APIStatusError                     .status_code .response
      BadRequestError 400              ContextLengthExceededError, ContentRiskError
      AuthenticationError 401          InsufficientBalanceError 402
      PermissionDeniedError 403        NotFoundError 404
      ConflictError 409                UnprocessableEntityError 422
      RateLimitError 429               ConcurrencyLimitError (.limit .current)
      InternalServerError >= 500       ServerOverloadedError 503
    APIResponseValidationError         a 200 whose body is not a JSON object
    EmptyResponseError                 a 200 whose body is only white space
    StreamError                        .partial
      StreamInterruptedError           cut before the answer was complete
      StreamServerError                an ``error`` object inside the stream
      EventTooLargeError               an event above ``max_event_size``
  BatchError                           a batch job that can't start or go on
    BatchSettingsError                 the files belong to a job with other settings
    BatchFileError                     .path
      BatchLockedError                 another job writes to the same file
```

All of them can be pickled and copied. None carries the API key. What had arrived before a
failure is in ``partial``: it may have been paid for.
"""

from collections.abc import Mapping
from typing import Any, cast

from deepseek_async.types.chat import ChatCompletion
from deepseek_async.types.http import ResponseInfo

#: What had arrived before a failure: a ``ChatCompletion``; of a FIM stream its ``Completion``,
#: which is not spelled out so that nobody has to tell them apart who only chats.
Partial = ChatCompletion | Any | None


class DeepSeekError(Exception):
    """Base of all exceptions of this library.

    Attributes:
        message: What went wrong, where, and what to do.
        retryable: Whether the same request, sent again a little later, may succeed.
    """

    retryable: bool = False

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        # The default replays the constructor with `args`, which fails for keyword-only
        # arguments and would lose what was set later (attempts, partial).
        return _restore, (type(self), self.args, self.__dict__)


def _restore(
    cls: type[DeepSeekError], args: tuple[Any, ...], state: dict[str, Any]
) -> DeepSeekError:
    exc = cls.__new__(cls, *args)
    exc.__dict__.update(state)
    return exc


class DeepSeekWarning(UserWarning):
    """Something the server would silently ignore, or a limit that was lowered."""


class PreflightError(DeepSeekError, ValueError):
    """The request would certainly be refused, so it was not sent."""


class _FinishReasonError(DeepSeekError):
    """A helper needed a whole answer and got a shortened one.

    Attributes:
        completion: The answer as far as it came.
    """

    def __init__(self, message: str = "", *, completion: ChatCompletion | None = None) -> None:
        super().__init__(message)
        self.completion = completion


class LengthFinishReasonError(_FinishReasonError):
    """``finish_reason`` was ``length``: ``max_tokens`` or the context was used up."""


class ContentFilterFinishReasonError(_FinishReasonError):
    """``finish_reason`` was ``content_filter``."""


class InterruptedFinishReasonError(_FinishReasonError):
    """``finish_reason`` was ``aborted`` or ``insufficient_system_resource``."""

    retryable = True


class APIError(DeepSeekError):
    """A request that was sent, or tried, and failed.

    Attributes:
        request_id: The server's id of the last attempt (``x-ds-trace-id``), if it got that far.
        attempts: How many times the request was sent, this failure included; 0 if it never was.
        body: The decoded JSON of the error body (its ``error`` object where there is one), its
            text if it was not JSON, None if there was none.
    """

    def __init__(
        self,
        message: str = "",
        *,
        request_id: str | None = None,
        attempts: int = 0,
        body: object = None,
    ) -> None:
        super().__init__(message)
        self.request_id = request_id
        self.attempts = attempts
        self.body = body

    def __str__(self) -> str:
        details: list[str] = []
        if self.attempts > 1:
            details.append(f"{self.attempts} attempts")
        if self.request_id:
            details.append(f"request id {self.request_id}")
        return f"{self.message} ({', '.join(details)})" if details else self.message

    def _body_field(self, name: str) -> Any:
        body = self.body
        return cast("dict[str, Any]", body).get(name) if isinstance(body, dict) else None

    @property
    def type(self) -> str | None:
        """``type`` of the error object, such as ``"invalid_request_error"``."""
        return cast("str | None", self._body_field("type"))

    @property
    def code(self) -> Any:
        """``code`` of the error object; DeepSeek's says little, prefer the class."""
        return self._body_field("code")

    @property
    def param(self) -> Any:
        """``param`` of the error object; always null from DeepSeek."""
        return self._body_field("param")


class APIConnectionError(APIError):
    """The server could not be reached, or hung up before it answered."""

    retryable = True


class _PartialError(APIError):
    """What the failures have in common that may come in the middle of an answer."""

    def __init__(
        self,
        message: str = "",
        *,
        request_id: str | None = None,
        attempts: int = 0,
        body: object = None,
        partial: Partial = None,
    ) -> None:
        super().__init__(message, request_id=request_id, attempts=attempts, body=body)
        self.partial = partial


class APITimeoutError(_PartialError, APIConnectionError):
    """One of the clocks of :class:`deepseek_async.Timeouts` ran out.

    Attributes:
        partial: What had been received, None before the first chunk.
    """


class ConnectTimeoutError(APITimeoutError):
    """No connection within ``Timeouts.connect`` seconds."""


class IdleTimeoutError(APITimeoutError):
    """Not one byte for ``Timeouts.idle`` seconds."""


class FirstEventTimeoutError(APITimeoutError):
    """No event of the stream for ``Timeouts.first_event`` seconds; keep-alives don't count."""


class ProgressTimeoutError(APITimeoutError):
    """No further event for ``Timeouts.progress`` seconds; keep-alives don't count."""


class TotalTimeoutError(APITimeoutError):
    """The call, waiting and retries included, took ``Timeouts.total`` seconds."""

    retryable = False


class APIStatusError(APIError):
    """The server answered with an error.

    Attributes:
        status_code: HTTP status; 200 if the error object came in a 200 body.
        response: Status and headers.
    """

    def __init__(
        self,
        message: str = "",
        *,
        status_code: int = 0,
        response: ResponseInfo | None = None,
        attempts: int = 0,
        body: object = None,
        retryable: bool | None = None,
    ) -> None:
        request_id = response.request_id if response is not None else None
        super().__init__(message, request_id=request_id, attempts=attempts, body=body)
        self.status_code = status_code
        self.response = response
        if retryable is not None:
            self.retryable = retryable

    def __str__(self) -> str:
        return f"{self.status_code}: {super().__str__()}"


class BadRequestError(APIStatusError):
    """400: the server refuses the request as it is."""


class ContextLengthExceededError(BadRequestError):
    """The messages and the answer do not fit the model's context."""


class ContentRiskError(BadRequestError):
    """The server's moderation refused the content ("Content Exists Risk")."""


class AuthenticationError(APIStatusError):
    """401: the API key is missing or wrong."""


class InsufficientBalanceError(APIStatusError):
    """402: the account has no balance left."""


class PermissionDeniedError(APIStatusError):
    """403: the key may not do this."""


class NotFoundError(APIStatusError):
    """404: wrong path; most often a wrong ``base_url``."""


class ConflictError(APIStatusError):
    """409."""

    retryable = True


class UnprocessableEntityError(APIStatusError):
    """422: a parameter has the wrong type or an unknown value."""


class RateLimitError(APIStatusError):
    """429: too many requests."""

    retryable = True


class ConcurrencyLimitError(RateLimitError):
    """429: too many requests at once for this account.

    Attributes:
        limit: The limit the server names; it shrinks with the account's balance.
        current: The number of requests the server counted.
    """

    limit: int | None = None
    current: int | None = None


class InternalServerError(APIStatusError):
    """5xx: the server or a gateway before it failed."""

    retryable = True


class ServerOverloadedError(InternalServerError):
    """503: the server is overloaded."""


class APIResponseValidationError(APIError):
    """A 200 whose body is not a JSON object: a wrong ``base_url`` or a broken gateway."""


class EmptyResponseError(APIError):
    """A 200 whose body is only white space: the server gave up while the request was queued."""

    retryable = True


class StreamError(_PartialError):
    """The stream failed after it began.

    Attributes:
        partial: What had been received, None before the first chunk.
    """


class StreamInterruptedError(StreamError):
    """The stream ended before the server said that the answer is complete."""

    retryable = True


class StreamServerError(StreamError):
    """The server sent an ``error`` object inside the stream; it is in ``body``."""

    retryable = True


class EventTooLargeError(StreamError):
    """One event of the stream is larger than ``max_event_size``.

    Attributes:
        max_event_size: The limit, in bytes.
    """

    def __init__(
        self,
        message: str = "",
        *,
        max_event_size: int = 0,
        request_id: str | None = None,
        attempts: int = 0,
        body: object = None,
        partial: Partial = None,
    ) -> None:
        super().__init__(
            message, request_id=request_id, attempts=attempts, body=body, partial=partial
        )
        self.max_event_size = max_event_size


class BatchError(DeepSeekError):
    """A batch job can't start or can't go on; no single request is to blame."""


class BatchSettingsError(BatchError):
    """The files of a batch were written with other settings, or not by a batch at all."""


class BatchFileError(BatchError):
    """A file of a batch can't be read or written. What was acknowledged stays in it.

    Attributes:
        path: The file.
    """

    def __init__(self, message: str = "", *, path: str = "") -> None:
        super().__init__(message)
        self.path = path


class BatchLockedError(BatchFileError):
    """Another batch job, of this process or another one, writes to the same file."""


#: The class for a status that needs no look at the body.
STATUS_ERRORS: Mapping[int, type[APIStatusError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    402: InsufficientBalanceError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    422: UnprocessableEntityError,
    429: RateLimitError,
    503: ServerOverloadedError,
}

#: Statuses worth another attempt besides those whose class says so: 408 has no class.
RETRYABLE_STATUSES: frozenset[int] = frozenset({408, 409, 429})
