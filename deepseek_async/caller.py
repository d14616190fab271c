"""Calls: a request, sent as often as it takes and may."""

import asyncio
import inspect
import logging
import random
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, Generic, Literal, NamedTuple, TypeVar, cast

import msgspec

from deepseek_async.checks import (
    ApiKey,
    Secret,
    as_timeouts,
    check_api_key,
    check_headers,
    check_query,
    check_retries,
)
from deepseek_async.connections import HTTPRequest, StaleConnectionError
from deepseek_async.errors import (
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    ConcurrencyLimitError,
    DeepSeekError,
    TotalTimeoutError,
)
from deepseek_async.gate import Gates, HeldPlaces, Slot
from deepseek_async.observers import Answered, CallAbout, CallObserver, Outcome
from deepseek_async.observing import Observing, Watch, is_logged, observer_of, outcome_of
from deepseek_async.policy.clocks import Clocks
from deepseek_async.policy.dialect import Dialect, beta_base_url
from deepseek_async.policy.retry import may_retry, retry_delay
from deepseek_async.response import HTTPResponse
from deepseek_async.session import MAX_ERROR_BODY, SessionManager
from deepseek_async.totals import UsageTotals
from deepseek_async.types.chat import ChatCompletion
from deepseek_async.types.fim import Completion
from deepseek_async.types.http import ResponseInfo
from deepseek_async.types.model import Result
from deepseek_async.types.options import Timeouts
from deepseek_async.types.params import CallOptions
from deepseek_async.types.usage import Usage
from deepseek_async.wire.codec import decode_result, error_for

R = TypeVar("R", bound=Result)

logger = logging.getLogger("deepseek_async")

# The longest answer there can be, 384K tokens, takes about 2 MB, and some 500 MB with 20
# alternatives for every token.
_MAX_BODY = 1 << 30

# Seconds for the body of an error: its status says the most, and a place is held meanwhile.
_ERROR_BODY_TIMEOUT = 5.0

# In Unix time; no answer was made later.
_NEVER = datetime(2200, 1, 1, tzinfo=UTC).timestamp()

# Local servers are given keys such as "x", which stand in every other message by chance.
_SHORTEST_SECRET = 6

# Where answers of a model come from; of other calls only the log is told.
_OPERATIONS: Final[Mapping[str, Literal["chat", "text_completion"]]] = {
    "/chat/completions": "chat",
    "/completions": "text_completion",
}


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a client was set to; copies made by ``with_options`` differ in it."""

    api_key: ApiKey
    base_url: str
    dialect: Dialect
    dialect_asked: str
    """What was asked for, ``"auto"`` included: another address may mean another dialect."""

    timeout: Timeouts
    max_retries: int
    default_headers: Mapping[str, str]
    user_agent: str
    preflight: Literal["on", "off"] = "on"
    reasoning_replay: Literal["keep", "drop", "backfill"] = "keep"

    def __repr__(self) -> str:
        # Without the key, and without headers, which may hold others.
        return f"Settings(base_url={self.base_url!r}, dialect={self.dialect!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("base_url", self.base_url), ("dialect", self.dialect)]


class Caller:
    """Makes the calls of one client; all that resources know of it.

    Args:
        settings: Where to, with which key, how patiently.
        sessions: The connections.
        gates: How many calls may be under way.
        totals: What the answers have cost so far.
        observing: Who is told of the calls.
    """

    def __init__(
        self,
        settings: Settings,
        sessions: SessionManager,
        gates: Gates | HeldPlaces,
        totals: UsageTotals,
        observing: Observing,
    ) -> None:
        self.settings = settings
        self.sessions = sessions
        self.gates = gates
        self.totals = totals
        self.observing = observing
        key = settings.api_key
        self.authorization = _bearer(key) if isinstance(key, str) else None
        """Value of the ``Authorization`` header; None if a function is to be asked for the key."""

        # Built once, since most requests add nothing to them.
        common = {"User-Agent": settings.user_agent}
        has_body = {"Content-Type": "application/json"}
        self._get_headers = {"Accept": "application/json", **common, **settings.default_headers}
        self._post_headers = {
            "Accept": "application/json", **common, **has_body, **settings.default_headers
        }  # fmt: skip
        self._stream_headers = {
            "Accept": "text/event-stream",
            **common,
            # A gateway that compresses a stream also holds it back.
            "Accept-Encoding": "identity",
            **has_body,
            **settings.default_headers,
        }

    def call(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        model: str | None = None,
        beta: bool = False,
        streamed: bool = False,
        options: CallOptions,
    ) -> "Call":
        """Prepare a call; nothing is sent yet.

        Args:
            method: HTTP method.
            path: Path below the base URL.
            body: JSON body.
            model: The model it is for, which decides about the concurrency limit.
            beta: Send it to DeepSeek's beta address; of no effect on other hosts.
            streamed: Whether the answer is an event stream.
            options: What the caller of the API asked for.
        """
        settings = self.settings
        if streamed:
            headers = self._stream_headers
        else:
            headers = self._get_headers if body is None else self._post_headers
        if extra_headers := options.get("extra_headers"):
            headers = {**headers, **check_headers(extra_headers)}
        extra_query = options.get("extra_query")
        request = HTTPRequest(
            method=method,
            url=self.url(path, beta=beta),
            headers=headers,
            body=body,
            query=check_query(extra_query) if extra_query else (),
        )
        timeout = as_timeouts(options["timeout"]) if "timeout" in options else settings.timeout
        retries = settings.max_retries
        if "max_retries" in options:
            retries = check_retries(options["max_retries"])
        watch = None
        # Spelled out, since it is all that a call costs that is told to nobody.
        if self.observing.observer is not None or logger.isEnabledFor(logging.INFO):
            watch = self._watch(method, path, request.url, model, streamed=streamed)
        return Call(self, request, model, timeout, retries, watch, streamed=streamed)

    def _watch(
        self, method: str, path: str, url: str, model: str | None, *, streamed: bool
    ) -> Watch | None:
        """Return what gathers what is told of a call; None if it is told to nobody."""
        operation = _OPERATIONS.get(path)
        told: CallObserver | None = None
        if operation is not None and (observer := self.observing.observer) is not None:
            about = CallAbout(
                operation=operation,
                model=model or "",
                url=url,
                streamed=streamed,
            )
            told = observer_of(observer, about)
        if told is None and not is_logged():
            return None
        return Watch(f"{operation} {model}" if operation else f"{method} {path}", told)

    def url(self, path: str, *, beta: bool) -> str:
        """Return where a request goes.

        Args:
            path: Path below the base URL.
            beta: To DeepSeek's beta address; of no effect on other hosts.
        """
        base_url = self.settings.base_url
        if beta and self.settings.dialect == "deepseek":
            base_url = beta_base_url(base_url)
        return base_url + path

    async def ask_for_key(self) -> str:
        """Return the value of the ``Authorization`` header, asking the function for the key."""
        ask = self.settings.api_key
        assert not isinstance(ask, str)
        answer = ask()
        return _bearer(check_api_key(await answer if inspect.isawaitable(answer) else answer))


def _bearer(key: str) -> str:
    return Secret(f"Bearer {key}")


class Call:
    """One call of the user and all attempts to have it answered.

    Attributes:
        attempts: How many times the request has been sent.
        info: Status and headers of the last response, None before the first.
        sent_at: When it was first sent, by the loop's clock in seconds.
        watch: Gathers what is told of the call; None if it is told to nobody.
    """

    def __init__(
        self,
        caller: Caller,
        request: HTTPRequest,
        model: str | None,
        timeouts: Timeouts,
        max_retries: int,
        watch: Watch | None,
        *,
        streamed: bool,
    ) -> None:
        self.watch = watch
        self._caller = caller
        self._request: HTTPRequest | None = request
        self._model = model
        self._max_retries = max_retries
        self._retries = 0
        self._stale_retried = False
        self._authorization = ""
        self._clocks = Clocks(timeouts, streamed=streamed)
        self.attempts = 0
        self.info: ResponseInfo | None = None
        self.sent_at = 0.0

    def ask_instead(self, url: str, body: bytes) -> None:
        """Go on with another request, which may be retried as often as the first."""
        assert self._request is not None
        self._request = msgspec.structs.replace(self._request, url=url, body=body)
        self._retries = 0
        self._stale_retried = False

    def forget_request(self) -> None:
        """Take note that the request will not be sent again: a prompt may be large."""
        self._request = None

    async def open(self) -> HTTPResponse:
        """Send the request until it is answered with a 2xx, and return that response.

        Raises:
            DeepSeekError: If it can't be, or was not within the retries.
        """
        self._clocks.start(asyncio.get_running_loop().time())
        if self.watch is not None:
            self.watch.begin(None if self._request is None else self._request.body)
        while True:
            try:
                return await self._attempt()
            except StaleConnectionError as exc:
                if self._stale_retried:
                    error = APIConnectionError(exc.message)
                    error.__cause__ = exc.__cause__
                    await self.retry(error, answered=False)
                self._stale_retried = True
            except DeepSeekError as exc:
                await self.retry(exc, answered=False)

    async def _attempt(self) -> HTTPResponse:
        deadline = self._clocks.total_deadline
        if (ready := self._prepare_now()) is not None:
            # Nearly always: there is nothing to wait for.
            authorization, slot = ready
        elif deadline is None:
            authorization, slot = await self._prepare()
        else:
            try:
                async with asyncio.timeout_at(deadline):
                    authorization, slot = await self._prepare()
            except TimeoutError:
                if asyncio.get_running_loop().time() < deadline:
                    # Not ours: the function that was asked for the key raised it.
                    raise
                raise self._out_of_time("while waiting for the API key or a free slot") from None
        try:
            self._authorization = authorization
            if not self.attempts:
                self.sent_at = asyncio.get_running_loop().time()
            self.attempts += 1
            if self.watch is not None:
                self.watch.sending()
            assert self._request is not None
            response = await self._caller.sessions.send(
                self._request,
                authorization,
                self._clocks,
                on_end=slot.release,
            )
            self.info = response.info
            if 200 <= response.info.status < 300:
                return response
            error = error_for(response.info, await _read_error_body(response))
            if isinstance(error, ConcurrencyLimitError):
                slot.refused(error)
            raise error
        except BaseException:
            slot.release()
            raise

    def _prepare_now(self) -> tuple[str, Slot | HeldPlaces] | None:
        """Get what an attempt needs, if it is there without waiting."""
        authorization = self._caller.authorization
        if authorization is None:
            return None
        slot = self._caller.gates.acquire_now(self._model)
        return None if slot is None else (authorization, slot)

    async def _prepare(self) -> tuple[str, Slot | HeldPlaces]:
        """Get what an attempt needs: the key, then a place, which nobody holds for nothing."""
        caller = self._caller
        authorization = caller.authorization
        if authorization is None:
            authorization = await caller.ask_for_key()
        began = time.perf_counter()
        try:
            return authorization, await caller.gates.acquire(self._model)
        finally:
            if self.watch is not None:
                self.watch.waited(time.perf_counter() - began)

    async def retry(self, error: DeepSeekError, *, answered: bool) -> None:
        """Wait until the request may be sent again.

        Args:
            error: How the last attempt failed.
            answered: Whether response headers had come.

        Raises:
            DeepSeekError: ``error`` itself, if it is not to be retried.
        """
        if isinstance(error, APIError):
            self.redact(error)
            error.attempts = self.attempts
        if (
            self._retries >= self._max_retries
            or not may_retry(error, answered=answered)
            # The connection broke because the client was closed.
            or self._caller.sessions.closed
        ):
            raise error
        delay = self._delay(error, self._retries)
        self._retries += 1
        logger.debug(
            "attempt %d failed: %s; retry %d of %d in %.2f s",
            self.attempts, error, self._retries, self._max_retries, delay,
        )  # fmt: skip
        if self.watch is not None:
            self.watch.retrying(error, self.attempts, delay)
        await self._sleep(delay, error)

    def record(self, model: str, usage: Usage | None, created: int) -> None:
        """Add an answer to the client's totals.

        Args:
            model: The model that answered; "" if it didn't say.
            usage: Its token counts; None if they did not come.
            created: When, as Unix time in seconds; 0 if it didn't say.
        """
        # A host that counts milliseconds isn't believed; nor a day near the last that Python knows,
        # where sums overflow.
        is_meant = 0 < created < _NEVER
        at = datetime.fromtimestamp(created if is_meant else time.time(), UTC)
        self._caller.totals.record(model or self._model or "", usage, at=at)

    async def pause(self, error: DeepSeekError | None, times: int) -> None:
        """Wait before a request that follows one which failed for the ``times``-th time.

        Raises:
            TotalTimeoutError: If the time for the whole call would run out meanwhile.
        """
        await self._sleep(self._delay(error, times - 1), error)

    def _delay(self, error: DeepSeekError | None, times: int) -> float:
        return retry_delay(times, error, now=time.time(), random=random.random)

    async def _sleep(self, delay: float, error: DeepSeekError | None) -> None:
        deadline = self._clocks.total_deadline
        if deadline is not None and asyncio.get_running_loop().time() + delay >= deadline:
            raise self._out_of_time(f"before attempt {self.attempts + 1}") from error
        await asyncio.sleep(delay)

    def redact(self, error: APIError) -> None:
        """Remove the API key from what the server said; some quote it."""
        key = self._authorization.removeprefix("Bearer ")
        if len(key) >= _SHORTEST_SECRET and key in f"{error.message}{error.body}":
            error.message = error.message.replace(key, "****")
            error.args = (error.message,)
            error.body = _without(key, error.body)

    def _out_of_time(self, where: str) -> TotalTimeoutError:
        total = self._clocks.timeouts.total
        return TotalTimeoutError(
            f"the total timeout of {total:g} s ran out {where}", attempts=self.attempts
        )

    async def fetch(self, cls: type[R]) -> "Fetched[R]":
        """Return the answer of a plain request.

        Raises:
            DeepSeekError: If there is none within the retries.
        """
        try:
            while True:
                response = await self.open()
                try:
                    body = await _read_body(response)
                    result = _decode(body, cls, response.info)
                except DeepSeekError as exc:
                    await self.retry(exc, answered=True)
                    continue
                result.attempts = self.attempts
                if isinstance(result, ChatCompletion | Completion):
                    self.record(result.model, result.usage, result.created)
                break
        except BaseException as exc:
            if self.watch is not None:
                self.tell_end(outcome_of(exc), exc, Answered())
            raise
        if self.watch is not None:
            self._tell_answered(self.watch, result)
        return Fetched(result, body)

    def _tell_answered(self, watch: Watch, result: Result) -> None:
        if isinstance(result, ChatCompletion | Completion):
            reasons = (choice.finish_reason for choice in result.choices)
            answered = Answered(
                id=result.id,
                model=result.model,
                finish_reasons=tuple(reason for reason in reasons if reason is not None),
                usage=result.usage,
            )
            kept = result if watch.wants_answer else None
            self.tell_end("answered", None, answered, kept)
        else:
            self.tell_end("answered", None, Answered())

    def tell_end(
        self,
        outcome: Outcome,
        error: BaseException | None,
        answered: Answered,
        answer: ChatCompletion | Completion | None = None,
        *,
        in_finalizer: bool = False,
    ) -> None:
        """Tell whoever watches that the call has come to its end; only the first is told.

        Args:
            outcome: How it ended.
            error: What it failed with.
            answered: What came of the answer.
            answer: The answer, if it is wanted and there is any.
            in_finalizer: Whether a finalizer tells it.
        """
        assert self.watch is not None
        self.watch.end(
            outcome,
            error,
            status=None if self.info is None else self.info.status,
            request_id=None if self.info is None else self.info.request_id,
            attempts=self.attempts,
            answered=answered,
            answer=answer,
            in_finalizer=in_finalizer,
        )


class Fetched(NamedTuple, Generic[R]):
    """A plain answer."""

    result: R

    body: bytes
    """As it came."""


def _decode(body: bytes, cls: type[R], info: ResponseInfo) -> R:
    """Decode an answer; one that begins as an object and doesn't end as one was cut."""
    try:
        return decode_result(body, cls, info)
    except APIResponseValidationError as exc:
        exc.retryable = body.lstrip().startswith(b"{")
        raise


async def _read_body(response: HTTPResponse) -> bytes:
    if (whole := response.read_whole()) is not None:
        return whole
    blocks: list[bytes] = []
    size = 0
    while block := await response.read():
        response.bytes_came()
        blocks.append(block)
        size += len(block)
        if size > _MAX_BODY:
            response.close()
            raise APIResponseValidationError(
                f"the body of the answer is larger than {_MAX_BODY} bytes",
                request_id=response.info.request_id,
            )
    return b"".join(blocks)


def _without(secret: str, value: object) -> object:
    """Return a JSON value with a text blotted out wherever it stands."""
    if isinstance(value, str):
        return value.replace(secret, "****")
    if isinstance(value, dict):
        fields = cast("dict[str, object]", value)
        return {_without(secret, name): _without(secret, item) for name, item in fields.items()}
    if isinstance(value, list):
        return [_without(secret, item) for item in cast("list[object]", value)]
    return value


async def _read_error_body(response: HTTPResponse) -> bytes:
    """Return the body of an error, as far as it comes; the status says the most."""
    blocks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(_ERROR_BODY_TIMEOUT):
            while size < MAX_ERROR_BODY and (block := await response.read()):
                blocks.append(block)
                size += len(block)
    except (DeepSeekError, TimeoutError) as exc:
        logger.debug("the error body broke off: %s", exc)
    response.close()
    return b"".join(blocks)
