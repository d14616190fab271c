"""What an observer of a client is told: set one as ``client.observer``.

All here are shapes: an observer need not derive from anything. See
:mod:`deepseek_async.integrations.otel` for one that makes spans and metrics.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Literal, Protocol

import msgspec

from deepseek_async.types.chat import ChatCompletion
from deepseek_async.types.fim import Completion
from deepseek_async.types.usage import Usage

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
