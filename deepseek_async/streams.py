"""Streamed chat answers: as chunks, as events, as text."""

import asyncio
import operator
from collections import deque
from collections.abc import AsyncGenerator, Callable
from types import TracebackType
from typing import Self

from deepseek_async.caller import Call
from deepseek_async.errors import (
    DeepSeekError,
)
from deepseek_async.events import (
    ArgumentsDeltaEvent,
    ArgumentsDoneEvent,
    ChatEvent,
    ChunkEvent,
    ContentDeltaEvent,
    ContentDoneEvent,
    DoneEvent,
    LogprobsDeltaEvent,
    QueuedEvent,
    ReasoningDeltaEvent,
    ReasoningDoneEvent,
)
from deepseek_async.reader import ChunkReader
from deepseek_async.types.chat import ChatCompletion, ChatCompletionChunk, ChunkChoice
from deepseek_async.types.http import ResponseInfo
from deepseek_async.types.usage import Usage
from deepseek_async.wire.accumulate import ChatAccumulator
from deepseek_async.wire.raw import EventSplitter


class _ChatStreamBase:
    """What both kinds of stream have in common."""

    def __init__(self, call: Call, *, accumulate: bool, max_event_size: int) -> None:
        def accumulator() -> ChatAccumulator:
            return ChatAccumulator(keep=accumulate)

        self._reader = ChunkReader(call, accumulator, max_event_size)
        self._accumulate = accumulate
        self._block: list[ChatCompletionChunk] = []
        # Hands out the chunks of the block; how far it is tells how many were delivered.
        self._chunks = iter(self._block)
        self._added = 0
        self._view: str | None = None
        self._consumed = False

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
        self._add_delivered()
        return self._reader.accumulator.usage

    @property
    def finish_reason(self) -> str | None:
        """Why the answer ended; None while it goes on."""
        self._add_delivered()
        return self._reader.accumulator.finish_reason

    @property
    def saw_done(self) -> bool:
        """Whether the stream ended with ``[DONE]``, as DeepSeek's always do."""
        return self._reader.saw_done

    def completion(self) -> ChatCompletion:
        """Return what the chunks delivered so far add up to.

        Raises:
            RuntimeError: If the stream was opened with ``accumulate=False``.
        """
        if not self._accumulate:
            raise RuntimeError("a stream opened with accumulate=False keeps no completion")
        self._add_delivered()
        return self._reader.completion()

    async def aclose(self) -> None:
        """Close the connection at once, unless the answer is complete."""
        self._close()

    def _close(self) -> None:
        self._add_delivered()
        self._reader.close()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Nothing here waits, so that a second cancellation has nothing to skip.
        self._close()

    def _add_delivered(self) -> None:
        """Add the chunks that were delivered since the last time."""
        delivered = len(self._block) - operator.length_hint(self._chunks)
        if delivered > self._added:
            self._reader.accumulator.add(self._block[self._added : delivered])
            self._added = delivered

    async def _next_block(self) -> bool:
        """Fetch more chunks once all have been delivered; False at the end."""
        self._add_delivered()
        block = await self._reader.read()
        self._block = [] if block is None else block
        self._chunks = iter(self._block)
        self._added = 0
        return block is not None

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


class ChatStream(_ChatStreamBase):
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

    async def __anext__(self) -> ChatCompletionChunk:
        for chunk in self._chunks:
            return chunk
        while await self._next_block():
            for chunk in self._chunks:
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
        """
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
                more = await self._next_block()
            except DeepSeekError as exc:
                failure = exc
            for _ in self._chunks:
                pass
            while ready:
                yield ready.popleft()
            if failure is not None:
                raise failure
        if rest := splitter.flush():
            yield rest
        self._consumed = True


class ChatEventStream(_ChatStreamBase):
    """A streamed answer as typed events: what ``.stream()`` returns.

    An async context manager that sends the request when it is entered, and closes the
    connection at once when it is left early. Iterate it for events, or ``text_stream`` or
    ``reasoning_stream`` for bare text.

    Where a host sends several answers, events and text are those of the first.
    """

    def __init__(self, call: Call, *, chunks: bool, accumulate: bool, max_event_size: int) -> None:
        super().__init__(call, accumulate=accumulate, max_event_size=max_event_size)
        self._with_chunks = chunks
        self._events: deque[ChatEvent] = deque()
        self._queued = 0
        self._in_reasoning = False
        self._in_content = False
        self._finish_told = False
        self._done_told = False
        self._snapshot: tuple[ChatAccumulator, int, ChatCompletion] | None = None

    async def __aenter__(self) -> Self:
        await self._open()
        return self

    def __aiter__(self) -> Self:
        self._claim("events")
        self._reader.report_comments = True
        return self

    async def __anext__(self) -> ChatEvent:
        while True:
            if self._events:
                return self._events.popleft()
            for chunk in self._chunks:
                self._tell(chunk)
                break
            else:
                if self._done_told:
                    self._consumed = True
                    raise StopAsyncIteration
                await self._open()
                if not await self._next_block():
                    self._tell_end()
                elif not self._reader.accumulator.chunks:
                    self._tell_queued()

    @property
    def snapshot(self) -> ChatCompletion:
        """The answer so far; built when asked for, and kept until more has come."""
        self._add_delivered()
        accumulator = self._reader.accumulator
        state = (accumulator, accumulator.chunks)
        if self._snapshot is None or self._snapshot[:2] != state:
            self._snapshot = (*state, self.completion())
        return self._snapshot[2]

    @property
    def text_stream(self) -> AsyncGenerator[str]:
        """The answer's text, piece by piece."""
        return self._texts("text_stream", _content_of)

    @property
    def reasoning_stream(self) -> AsyncGenerator[str]:
        """The reasoning, piece by piece. The answer's text is in :meth:`get_final_text` after."""
        return self._texts("reasoning_stream", _reasoning_of)

    async def until_done(self) -> None:
        """Read what is left of the stream.

        Raises:
            StreamError: If the answer does not come to its end.
            APITimeoutError: If a clock ran out.
        """
        await self._open()
        while await self._next_block():
            for _ in self._chunks:
                pass
        self._consumed = True

    async def get_final_completion(self) -> ChatCompletion:
        """Read what is left of the stream and return the whole answer.

        Raises:
            StreamError: If the answer does not come to its end.
            APITimeoutError: If a clock ran out.
        """
        await self.until_done()
        return self.completion()

    async def get_final_text(self) -> str:
        """Read what is left of the stream and return the whole text, "" if there is none.

        Raises:
            StreamError: If the answer does not come to its end.
            APITimeoutError: If a clock ran out.
        """
        completion = await self.get_final_completion()
        return (completion.choices[0].message.content or "") if completion.choices else ""

    async def _open(self) -> None:
        if not self._reader.opened and not self._reader.finished:
            await self._reader.open()

    async def _texts(
        self, view: str, text_of: Callable[[ChunkChoice], str | None]
    ) -> AsyncGenerator[str]:
        self._claim(view)
        await self._open()
        more = True
        while more:
            for chunk in self._chunks:
                for choice in chunk.choices:
                    if choice.index == 0 and (text := text_of(choice)):
                        yield text
            more = await self._next_block()
        self._consumed = True

    def _tell(self, chunk: ChatCompletionChunk) -> None:
        """Turn a chunk into events."""
        events = self._events
        if self._with_chunks:
            events.append(ChunkEvent(chunk))
        for choice in chunk.choices:
            if choice.index != 0:
                continue
            delta = choice.delta
            if delta.reasoning_content:
                self._in_reasoning = True
                events.append(ReasoningDeltaEvent(delta.reasoning_content))
            if delta.content:
                if self._in_reasoning:
                    self._tell_reasoning_done()
                self._in_content = True
                events.append(ContentDeltaEvent(delta.content))
            if delta.tool_calls:
                self._tell_arguments()
            if (logprobs := choice.logprobs) is not None:
                events.append(LogprobsDeltaEvent(logprobs.content, logprobs.reasoning_content))
            if choice.finish_reason is not None and not self._finish_told:
                self._tell_finish()

    def _tell_arguments(self) -> None:
        self._tell_reasoning_done()
        self._add_delivered()
        for call, arguments in self._reader.accumulator.tool_calls.latest:
            self._events.append(ArgumentsDeltaEvent(call.index, call.id, call.name, arguments))

    def _tell_reasoning_done(self) -> None:
        if self._in_reasoning:
            self._in_reasoning = False
            self._add_delivered()
            text = self._reader.accumulator.reasoning if self._accumulate else None
            self._events.append(ReasoningDoneEvent(text))

    def _tell_finish(self) -> None:
        """Tell what the finish reason completes."""
        self._finish_told = True
        self._tell_reasoning_done()
        self._add_delivered()
        accumulator = self._reader.accumulator
        if self._in_content:
            self._events.append(ContentDoneEvent(accumulator.content if self._accumulate else None))
        if self._accumulate:
            for call in accumulator.tool_calls.calls:
                self._events.append(
                    ArgumentsDoneEvent(call.index, call.id, call.name, call.arguments.text)
                )

    def _tell_end(self) -> None:
        if not self._finish_told:
            self._tell_finish()
        self._done_told = True
        accumulator = self._reader.accumulator
        self._events.append(DoneEvent(accumulator.finish_reason, accumulator.usage))

    def _tell_queued(self) -> None:
        elapsed = asyncio.get_running_loop().time() - self._reader.call.sent_at
        for _ in range(self._reader.queued_comments - self._queued):
            self._events.append(QueuedEvent(elapsed))
        self._queued = self._reader.queued_comments


def _content_of(choice: ChunkChoice) -> str | None:
    return choice.delta.content


def _reasoning_of(choice: ChunkChoice) -> str | None:
    return choice.delta.reasoning_content
