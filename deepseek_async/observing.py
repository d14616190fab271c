"""Who is told of calls: observers, such as one that makes spans of them, and the log.

A client has one observer or none. With none, and without a log that takes such lines, all that a
call does for it is to see that there is none.
"""

import asyncio
import functools
import logging
import time
from collections.abc import Callable

from deepseek_async.observers import (
    Answered,
    CallAbout,
    CallEnd,
    CallObserver,
    Observer,
    Outcome,
    RunObserver,
)
from deepseek_async.types.chat import ChatCompletion
from deepseek_async.types.fim import Completion

logger = logging.getLogger("deepseek_async")


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


def run_observer_of(observer: Observer, model: str) -> RunObserver | None:
    """Return what is told of a run of tools; nothing, if the observer fails."""
    try:
        return observer.run(model)
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
