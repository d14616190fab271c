"""Who is told of calls: observers, such as one that makes spans of them, and the log.

A client has one observer or none. With none, and without a log that takes such lines, all that a
call does for it is to see that there is none.
"""

import asyncio
import functools
import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Literal, Protocol

import msgspec

from deepseek_async.types.chat import ChatCompletion
from deepseek_async.types.fim import Completion
from deepseek_async.types.usage import Usage

logger = logging.getLogger("deepseek_async")

#: How a call or a run came to its end. ``"left"``: closed or dropped before it was complete.
Outcome = Literal["answered", "failed", "cancelled", "left"]


class CallAbout(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a call before it is made."""

    operation: Literal["chat", "text_completion"]

    model: str
    """The model that is asked."""

    url: str
    """Where the first request goes, without a query."""

    streamed: bool


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """What came of the answer; nothing need have."""

    id: str = ""
    model: str = ""

    finish_reasons: tuple[str, ...] = ()
    """Of each of the answers; of a stream that of the first alone."""

    usage: Usage | None = None
    """The token counts, of all requests of the call together; None if they did not come."""

    chunks: int = 0
    """How many came, of a stream."""


class CallEnd(msgspec.Struct, frozen=True, kw_only=True):
    """How a call came to its end. Times are in seconds."""

    outcome: Outcome

    error: BaseException | None
    """What it failed with. Only the ``message`` of a :class:`DeepSeekError` is fit to be shown:
    the key is blotted out in it."""

    status: int | None
    """HTTP status of the last attempt; None if none was answered."""

    request_id: str | None
    """The server's id of the last attempt."""

    attempts: int
    """How many times a request was sent."""

    seconds: float
    """The whole call, waiting for a place included."""

    gate_seconds: float
    """Waiting for a place under ``max_concurrency``, in all attempts."""

    queue_seconds: float | None
    """From sending the last attempt to its first chunk, if keep-alives showed that the server had
    it in its queue."""

    first_chunk_seconds: float | None
    """From first sending a request to the first chunk that brings anything of the answer."""

    chunk_seconds: float | None
    """Mean time between two chunks, of a complete stream."""

    answered: Answered

    answer: ChatCompletion | Completion | None
    """The answer itself as far as it came, if the observer wants it."""


class CallObserver(Protocol):
    """Is told of one call. What it raises is logged, and changes nothing for the call."""

    @property
    def wants_answer(self) -> bool:
        """Whether ``CallEnd.answer`` is to be there: a stream is then added up twice."""
        ...

    def began(self, body: bytes) -> None:
        """Take note that the call begins.

        Args:
            body: JSON of the first request.
        """
        ...

    def retrying(self, error: Exception, attempts: int, delay: float) -> None:
        """Take note that an attempt failed, and that another will be made.

        Args:
            error: How it failed.
            attempts: How many there have been.
            delay: Seconds until the next.
        """
        ...

    def ended(self, end: CallEnd) -> None:
        """Take note of the end: once, and only of a call that began."""
        ...


class ToolObserver(Protocol):
    """Is told of one call of a tool: entered when the tool begins, left when it has ended."""

    def __enter__(self) -> Callable[[str], None]:
        """Begin; the function that is returned takes what the tool answered."""
        ...

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None:
        """End, with what the tool raised."""
        ...


class RunObserver(Protocol):
    """Is told of one run of tools. What it raises is logged, and changes nothing for the run."""

    def began(self) -> None:
        """Take note that the run begins."""
        ...

    def within(self) -> AbstractContextManager[object]:
        """Return a context in which the calls that are made belong to the run."""
        ...

    def tool(self, name: str, description: str, call_id: str, arguments: str) -> ToolObserver:
        """Return what is told of a call of a tool.

        Args:
            name: Name of the tool.
            description: What the model is told that it does.
            call_id: The server's id of the call.
            arguments: JSON as the model wrote it.
        """
        ...

    def ended(self, outcome: Outcome, error: BaseException | None) -> None:
        """Take note of the end: once, and only of a run that began."""
        ...


class Observer(Protocol):
    """Is told of the calls of a client, and of the copies that share its connections.

    From any thread, but never from within a finalizer. What it does is waited for.
    """

    def call(self, about: CallAbout) -> CallObserver | None:
        """Return what is told of a call, None for none; nothing is sent yet, and may never be."""
        ...

    def run(self, model: str) -> RunObserver | None:
        """Return what is told of a run of tools, None for none; it has not begun yet."""
        ...


class Observing:
    """The observer that a client and its copies share.

    Attributes:
        observer: It; None if nobody wants to know.
    """

    __slots__ = ("observer",)

    def __init__(self, observer: Observer | None) -> None:
        self.observer = observer


class Watch:
    """What is gathered of one call, for its observer and for the log.

    Args:
        name: What the call is named in the log.
        observer: Who else is told of it.
    """

    __slots__ = (
        "_began",
        "_ended",
        "_first_chunk",
        "_first_sent",
        "_gate_seconds",
        "_loop",
        "_name",
        "_observer",
        "_queue_seconds",
        "_sent",
    )

    def __init__(self, name: str, observer: CallObserver | None) -> None:
        self._name = name
        self._observer = observer
        self._loop: asyncio.AbstractEventLoop | None = None
        self._began = self._sent = 0.0
        self._first_sent: float | None = None
        self._first_chunk: float | None = None
        self._gate_seconds = 0.0
        self._queue_seconds: float | None = None
        self._ended = False

    @property
    def wants_answer(self) -> bool:
        """Whether the answer itself is to be told."""
        return self._observer is not None and self._observer.wants_answer

    @property
    def is_open(self) -> bool:
        """Whether the call has begun and not come to its end."""
        return self._loop is not None and not self._ended

    def begin(self, body: bytes | None) -> None:
        """Take note that a request is about to be made; only the first begins the call."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._began = time.perf_counter()
            if self._observer is not None:
                safely(functools.partial(self._observer.began, body or b""))

    def waited(self, seconds: float) -> None:
        """Take note of how long a place was waited for."""
        self._gate_seconds += seconds

    def sending(self) -> None:
        """Take note that a request is sent."""
        self._sent = time.perf_counter()
        if self._first_sent is None:
            self._first_sent = self._sent

    def retrying(self, error: Exception, attempts: int, delay: float) -> None:
        """Take note that an attempt failed and another will be made."""
        if self._observer is not None:
            safely(functools.partial(self._observer.retrying, error, attempts, delay))

    def chunk_came(self, *, was_queued: bool) -> None:
        """Take note of the first chunk that brings something; of further ones nothing is taken.

        Args:
            was_queued: Whether the server had sent keep-alives before it.
        """
        if self._first_chunk is None:
            self._first_chunk = time.perf_counter()
            if was_queued:
                self._queue_seconds = self._first_chunk - self._sent

    def end(
        self,
        outcome: Outcome,
        error: BaseException | None,
        *,
        status: int | None,
        request_id: str | None,
        attempts: int,
        answered: Answered,
        answer: ChatCompletion | Completion | None = None,
        in_finalizer: bool = False,
    ) -> None:
        """Take note of the end: what is told after the first, or without a beginning, is ignored.

        Args:
            outcome: How it ended.
            error: What it failed with.
            status: HTTP status of the last attempt.
            request_id: The server's id of it.
            attempts: How many there were.
            answered: What came.
            answer: The answer, if it is wanted.
            in_finalizer: Whether a finalizer tells it: observers and logs have locks, which the
                thread may hold at that moment, so they are told by the event loop.
        """
        if not self.is_open:
            return
        self._ended = True
        now = time.perf_counter()
        first_sent, first_chunk, chunks = self._first_sent, self._first_chunk, answered.chunks
        first_chunk_seconds = chunk_seconds = None
        if first_chunk is not None and first_sent is not None:
            first_chunk_seconds = first_chunk - first_sent
            if outcome == "answered" and chunks > 1:
                chunk_seconds = (now - first_chunk) / (chunks - 1)
        end = CallEnd(
            outcome=outcome,
            error=error,
            status=status,
            request_id=request_id,
            attempts=attempts,
            seconds=now - self._began,
            gate_seconds=self._gate_seconds,
            queue_seconds=self._queue_seconds,
            first_chunk_seconds=first_chunk_seconds,
            chunk_seconds=chunk_seconds,
            answered=answered,
            answer=answer,
        )
        tell = functools.partial(self._tell, end)
        if in_finalizer:
            tell_later(self._loop, tell)
        else:
            tell()

    def _tell(self, end: CallEnd) -> None:
        if self._observer is not None:
            safely(functools.partial(self._observer.ended, end))
        level = logging.INFO if end.outcome == "failed" else logging.DEBUG
        if logger.isEnabledFor(level):
            logger.log(level, "%s %s", self._name, _line(end))


def observer_of(observer: Observer, about: CallAbout) -> CallObserver | None:
    """Return what is told of a call; nothing, if the observer fails."""
    try:
        return observer.call(about)
    except Exception:
        report_failure()
        return None


def is_logged() -> bool:
    """Tell whether any calls are logged: those that fail at level INFO, all others at DEBUG."""
    return logger.isEnabledFor(logging.INFO)


def outcome_of(error: BaseException) -> Outcome:
    """Return what it means for a call that an exception ended it."""
    if isinstance(error, asyncio.CancelledError):
        return "cancelled"
    # Of a coroutine that was dropped.
    return "left" if isinstance(error, GeneratorExit) else "failed"


def tell_later(loop: asyncio.AbstractEventLoop | None, tell: Callable[[], None]) -> None:
    """Let a loop tell what a finalizer found: it may take no lock, and this takes none."""
    if loop is not None:
        try:
            loop.call_soon_threadsafe(tell)
        except RuntimeError:
            # The loop is closed: nothing else is left to do it.
            tell()


def safely(tell: Callable[[], object]) -> None:
    """Tell an observer; what it raises is logged."""
    try:
        tell()
    except Exception:
        report_failure()


def report_failure() -> None:
    """Log the exception at hand as that of an observer."""
    logger.warning("the observer of the client failed", exc_info=True)


def _line(end: CallEnd) -> str:
    """Return what the log says of a call: nothing of what was asked and answered."""
    answered, usage = end.answered, end.answered.usage
    parts: list[str] = [end.outcome]
    if end.error is not None and end.outcome == "failed":
        parts.append(type(end.error).__name__)
    if end.status is not None:
        parts.append(f"status {end.status}")
    parts += answered.finish_reasons
    if usage is not None:
        parts.append(f"{usage.prompt_tokens} tokens in ({usage.cached_tokens} cached)")
        parts.append(f"{usage.completion_tokens} out")
    parts.append(f"{end.seconds:.2f} s")
    parts.append(f"{end.attempts} attempt{'' if end.attempts == 1 else 's'}")
    if end.request_id:
        parts.append(f"request id {end.request_id}")
    return ", ".join(parts)
