"""Streamed answers as their chunks."""

from collections import deque
from collections.abc import AsyncGenerator
from types import TracebackType
from typing import Generic, Self

from deepseek_async.caller import Call
from deepseek_async.errors import DeepSeekError, PreflightError
from deepseek_async.policy.continuation import Continuation
from deepseek_async.reader import ChunkReader
from deepseek_async.types.chat import ChatCompletion, ChatCompletionChunk, Segment
from deepseek_async.types.fim import Completion
from deepseek_async.types.http import ResponseInfo
from deepseek_async.types.usage import Usage
from deepseek_async.wire.accumulate import CHAT, C, R, StreamFormat
from deepseek_async.wire.accumulate_text import FIM
from deepseek_async.wire.raw import EventSplitter


class AnswerStream(Generic[C, R]):
    """What all kinds of stream have in common."""

    def __init__(
        self,
        call: Call,
        stream_format: StreamFormat[C, R],
        *,
        accumulate: bool,
        max_event_size: int,
        continuation: Continuation | None = None,
    ) -> None:
        if continuation is not None and not accumulate:
            raise PreflightError(
                "auto_continue and resume send back the text so far; they need accumulate=True"
            )
        self._reader = ChunkReader(
            call,
            stream_format,
            accumulate=accumulate,
            max_event_size=max_event_size,
            continuation=continuation,
        )
        self._continuation = continuation
        self._accumulate = accumulate
        self._view: str | None = None
        self._consumed = False

    @property
    def bytes_received(self) -> int:
        """How many bytes of the answer have come, keep-alives included, from the last attempt."""
        return self._reader.bytes_received

    @property
    def response(self) -> ResponseInfo | None:
        """Status and headers of the last attempt; None before the first was answered."""
        return self._reader.call.info

    @property
    def request_id(self) -> str | None:
        """The server's id of the last attempt."""
        info = self._reader.call.info
        return None if info is None else info.request_id

    @property
    def attempts(self) -> int:
        """How many times the request has been sent."""
        return self._reader.call.attempts

    @property
    def usage(self) -> Usage | None:
        """The token counts; None until they come, with the last chunks."""
        self._reader.add_delivered()
        return self._reader.accumulator.usage

    @property
    def finish_reason(self) -> str | None:
        """Why the answer ended; None while it goes on."""
        self._reader.add_delivered()
        return self._reader.accumulator.finish_reason

    @property
    def segments(self) -> list[Segment]:
        """The requests that the answer has taken so far, the one at hand included.

        One, unless ``auto_continue`` or ``resume`` made more of it.
        """
        self._reader.add_delivered()
        return self._reader.segments()

    @property
    def saw_done(self) -> bool:
        """Whether the stream ended with ``[DONE]``, as DeepSeek's always do."""
        return self._reader.saw_done

    def completion(self) -> R:
        """Return what the chunks delivered so far add up to.

        Raises:
            RuntimeError: If the stream was opened with ``accumulate=False``.
        """
        if not self._accumulate:
            raise RuntimeError("a stream opened with accumulate=False keeps no completion")
        self._reader.add_delivered()
        return self._reader.completion()

    async def until_done(self) -> None:
        """Read what is left of the stream.

        Raises:
            StreamError: If the answer does not come to its end.
            APITimeoutError: If a clock ran out.
        """
        await self._open()
        reader = self._reader
        # What was received and not handed out yet is part of the answer all the same.
        reader.pass_over()
        while await reader.read():
            reader.pass_over()
        self._consumed = True

    async def aclose(self) -> None:
        """Close the connection at once, unless the answer is complete."""
        self._reader.close()

    async def close(self) -> None:
        """Do what :meth:`aclose` does, under the name other SDKs use."""
        self._reader.close()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Nothing here waits, so that a second cancellation has nothing to skip.
        self._reader.close()

    async def _open(self) -> None:
        if not self._reader.opened and not self._reader.finished:
            await self._reader.open()

    def _claim(self, view: str) -> None:
        """Take note of how the stream is read; it can be read in one way only, and once.

        Raises:
            RuntimeError: If it has been read already, or is being read in another way.
        """
        if self._view not in (None, view):
            raise RuntimeError(
                f"this stream is already being read as {self._view}; it can't be read as {view} "
                "as well"
            )
        if self._consumed:
            raise RuntimeError(
                "this stream has been read to its end; what it brought is in .completion()"
            )
        self._view = view


class ChunkStream(AnswerStream[C, R]):
    """A streamed answer as its chunks: what ``create(stream=True)`` returns.

    An async iterator, and an async context manager that closes the connection at once when it
    is left early. Without ``async with`` the connection closes with the last reference to the
    stream.

    Iterating raises :class:`StreamInterruptedError`, :class:`StreamServerError` or a subclass
    of :class:`APITimeoutError` if the answer does not come to its end.
    """

    async def __aenter__(self) -> Self:
        return self

    def __aiter__(self) -> Self:
        self._claim("chunks")
        return self

    async def __anext__(self) -> C:
        reader = self._reader
        for chunk in reader.chunks:
            return chunk
        while await reader.read():
            for chunk in reader.chunks:
                return chunk
        self._consumed = True
        raise StopAsyncIteration

    async def open(self) -> Self:
        """Send the request; ``create`` has done so already."""
        await self._reader.open()
        return self

    async def raw(self) -> AsyncGenerator[bytes]:
        """Yield the events as the bytes they came in, keep-alives included, instead of chunks.

        The chunks are decoded all the same: the stream ends, fails and adds up as ever.

        Raises:
            RuntimeError: With ``auto_continue`` or ``resume``: the events of several requests
                don't make one stream.
        """
        if self._continuation is not None:
            raise RuntimeError(
                "raw() shows the events of one request; auto_continue and resume may take more"
            )
        self._claim("raw events")
        splitter = EventSplitter()
        ready: deque[bytes] = deque()
        self._reader.on_block = lambda block: ready.extend(splitter.feed(block))

        def begin_anew() -> None:
            splitter.flush()
            ready.clear()

        self._reader.on_reissue = begin_anew
        self._reader.report_comments = True
        more = True
        while more:
            failure: DeepSeekError | None = None
            try:
                more = await self._reader.read()
            except DeepSeekError as exc:
                failure = exc
            self._reader.pass_over()
            while ready:
                yield ready.popleft()
            if failure is not None:
                raise failure
        if rest := splitter.flush():
            yield rest
        self._consumed = True


class ChatStream(ChunkStream[ChatCompletionChunk, ChatCompletion]):
    """A streamed chat answer: iterate it for :class:`ChatCompletionChunk` objects."""

    def __init__(
        self,
        call: Call,
        *,
        accumulate: bool,
        max_event_size: int,
        continuation: Continuation | None = None,
    ) -> None:
        super().__init__(
            call,
            CHAT,
            accumulate=accumulate,
            max_event_size=max_event_size,
            continuation=continuation,
        )


class CompletionStream(ChunkStream[Completion, Completion]):
    """A streamed FIM answer: iterate it for :class:`Completion` objects, each the next part."""

    def __init__(self, call: Call, *, accumulate: bool, max_event_size: int) -> None:
        super().__init__(call, FIM, accumulate=accumulate, max_event_size=max_event_size)
