"""Streamed answers told in events, or as bare text."""

import asyncio
from abc import abstractmethod
from collections import deque
from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from deepseek_async.caller import Call
from deepseek_async.errors import DeepSeekError
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
    RawEvent,
    ReasoningDeltaEvent,
    ReasoningDoneEvent,
    ResumedEvent,
)
from deepseek_async.policy.continuation import Continuation
from deepseek_async.streams import AnswerStream, ChatStream
from deepseek_async.types.chat import ChatCompletion, ChatCompletionChunk
from deepseek_async.types.fim import Completion
from deepseek_async.wire.accumulate import CHAT, C, ChatAccumulator, R, StreamFormat
from deepseek_async.wire.accumulate_text import FIM
from deepseek_async.wire.raw import EventSplitter

if TYPE_CHECKING:
    from deepseek_async.wire.typed_partial import TypedPartial

T = TypeVar("T")


class EventStream(AnswerStream[C, R]):
    """A streamed answer as typed events: what ``.stream()`` returns.

    An async context manager that sends the request when it is entered, and closes the
    connection at once when it is left early. Iterate it for events, or ``text_stream`` for bare
    text.

    Where a host sends several answers, events and text are those of the first.
    """

    def __init__(
        self,
        call: Call,
        stream_format: StreamFormat[C, R],
        *,
        accumulate: bool,
        max_event_size: int,
        continuation: Continuation | None = None,
    ) -> None:
        super().__init__(
            call,
            stream_format,
            accumulate=accumulate,
            max_event_size=max_event_size,
            continuation=continuation,
        )
        self._events: deque[ChatEvent] = deque()
        self._queued = 0
        self._resumed = 0
        self._in_content = False
        self._finish_told = False
        self._done_told = False
        self._snapshot: tuple[object, int, R] | None = None
        self._splitter: EventSplitter | None = None

    async def __aenter__(self) -> Self:
        await self._open()
        return self

    def __aiter__(self) -> Self:
        self._claim("events")
        self._reader.report_comments = True
        return self

    async def __anext__(self) -> ChatEvent:
        events, reader = self._events, self._reader
        while not events:
            for chunk in reader.chunks:
                self._tell(chunk)
                break
            else:
                if self._done_told:
                    self._consumed = True
                    raise StopAsyncIteration
                if not reader.opened:
                    await self._open()
                try:
                    more = await reader.read()
                except DeepSeekError:
                    if events:
                        # The bytes that came before it; reading on raises the same error again.
                        break
                    raise
                if reader.ended_segments:
                    self._tell_resumed()
                if not more:
                    self._tell_end()
                elif not reader.accumulator.chunks:
                    self._tell_queued()
        return events.popleft()

    @property
    def snapshot(self) -> R:
        """The answer so far; built when asked for, and kept until more has come."""
        self._reader.add_delivered()
        accumulator = self._reader.accumulator
        state = (accumulator, accumulator.chunks)
        if self._snapshot is None or self._snapshot[:2] != state:
            self._snapshot = (*state, self.completion())
        return self._snapshot[2]

    @property
    def text_stream(self) -> AsyncGenerator[str]:
        """The answer's text, piece by piece."""
        return self._texts("text_stream", self._text_of)

    def snapshots(self, fps: float = 10) -> AsyncGenerator[R]:
        """Yield the answer so far, each time it has grown, at most so many times a second.

        The same as :func:`deepseek_async.snapshots`, which says more.

        Args:
            fps: Most answers a second.

        Raises:
            ValueError: If ``fps`` is not above 0.
            RuntimeError: If the stream was opened with ``accumulate=False``.
        """
        # Here, since most programs don't need it.
        from deepseek_async.combinators import snapshots

        if not self._accumulate:
            raise RuntimeError("a stream opened with accumulate=False keeps no answer to show")
        return snapshots(self, fps)

    def with_raw(self) -> Self:
        """Let the stream also yield the server's events as the bytes they came in.

        Each comes as a :class:`RawEvent` before the events that were made of it, keep-alives
        included; those that came in one packet come together. What had come before a failure is
        yielded before the error is raised. All data together is the body of the answer, byte for
        byte, or of its last attempt: one in vain may have left some keep-alives before it.

        Returns:
            The stream itself.

        Raises:
            RuntimeError: If the stream has been read from, or with ``auto_continue`` or
                ``resume``: the events of several requests don't make one stream.
        """
        reader = self._reader
        if self._continuation is not None:
            raise RuntimeError(
                "with_raw() shows the events of one request; auto_continue and resume may take more"
            )
        if self._splitter is not None:
            return self
        if self._view is not None or reader.bytes_received:
            raise RuntimeError("with_raw() comes too late: call it before the stream is read")
        self._claim("events")
        # The reader keeps what follows: it must not refer to the stream, which would then not
        # close when it is dropped.
        events, splitter = self._events, EventSplitter()
        reader.on_block = lambda block: events.extend(map(RawEvent, splitter.feed(block)))

        def begin_anew() -> None:
            splitter.flush()
            events.clear()

        reader.on_reissue = begin_anew
        reader.report_comments = True
        self._splitter = splitter
        return self

    async def until_done(self) -> None:
        """Read what is left of the stream.

        Raises:
            StreamError: If the answer does not come to its end.
            APITimeoutError: If a clock ran out.
        """
        # Nobody will look at the bytes of it.
        self._reader.on_block = None
        await super().until_done()

    async def get_final_completion(self) -> R:
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
        await self.until_done()
        if not self._accumulate:
            # For its error, which tells what to do about it.
            self.completion()
        return self._reader.accumulator.content

    async def _texts(self, view: str, text_of: Callable[[C], str | None]) -> AsyncGenerator[str]:
        self._claim(view)
        await self._open()
        reader = self._reader
        more = True
        while more:
            for chunk in reader.chunks:
                if text := text_of(chunk):
                    yield text
            more = await reader.read()
        self._consumed = True

    @staticmethod
    @abstractmethod
    def _text_of(chunk: C) -> str | None:
        """Return what a chunk adds to the answer's text."""

    @abstractmethod
    def _tell(self, chunk: C) -> None:
        """Turn a chunk into events."""

    def _tell_finish(self) -> None:
        """Tell what the finish reason completes."""
        self._finish_told = True
        self._reader.add_delivered()
        if self._in_content:
            text = self._reader.accumulator.content if self._accumulate else None
            self._events.append(ContentDoneEvent(text))

    def _tell_end(self) -> None:
        if self._splitter is not None and (rest := self._splitter.flush()):
            self._events.append(RawEvent(rest))
        if not self._finish_told:
            self._tell_finish()
        self._done_told = True
        accumulator = self._reader.accumulator
        self._events.append(DoneEvent(accumulator.finish_reason, accumulator.usage))

    def _tell_resumed(self) -> None:
        ended = self._reader.ended_segments
        for segment in ended[self._resumed :]:
            self._events.append(ResumedEvent(segment.continued_after or "", segment.attempts + 1))
        self._resumed = len(ended)

    def _tell_queued(self) -> None:
        elapsed = asyncio.get_running_loop().time() - self._reader.call.sent_at
        for _ in range(self._reader.queued_comments - self._queued):
            self._events.append(QueuedEvent(elapsed))
        self._queued = self._reader.queued_comments


class _Growing:
    """A JSON text that somebody looks at while it grows."""

    __slots__ = ("accumulator", "fed", "partial")

    def __init__(self, accumulator: ChatAccumulator, partial: "TypedPartial[Any]") -> None:
        self.accumulator = accumulator
        self.partial = partial
        self.fed = 0


class ChatEventStream(EventStream[ChatCompletionChunk, ChatCompletion]):
    """A streamed chat answer as typed events: what ``chat.completions.stream()`` returns.

    An async context manager that sends the request when it is entered, and closes the
    connection at once when it is left early. Iterate it for events, or ``text_stream`` or
    ``reasoning_stream`` for bare text.

    Where a host sends several answers, events and text are those of the first.
    """

    def __init__(
        self,
        call: Call,
        *,
        chunks: bool,
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
        self._with_chunks = chunks
        self._in_reasoning = False
        self._growing: dict[tuple[type, int | None], _Growing] = {}

    @classmethod
    def over(cls, stream: ChatStream) -> Self:
        """Tell an answer as events that was asked for as chunks: one of ``create(stream=True)``.

        The chunks that were read before are not told. The stream itself can't be read any more.

        Raises:
            RuntimeError: If it has been read to its end, or is being read in another way.
        """
        stream._claim("events")
        told = cls(
            stream._reader.call,
            chunks=False,
            accumulate=stream._accumulate,
            max_event_size=0,
            continuation=stream._continuation,
        )
        told._reader = stream._reader
        return told

    @property
    def reasoning_stream(self) -> AsyncGenerator[str]:
        """The reasoning, piece by piece. The answer's text is in :meth:`get_final_text` after."""
        return self._texts("reasoning_stream", _reasoning_of)

    def partial(self, cls: type[T], *, tool_call: int | None = None) -> T | None:
        """Return what has come so far of a JSON answer, as a value of its type.

        The value is not validated before it is complete: fields that have not come yet have their
        default, or None. All calls together cost time in proportion to the text.

        Args:
            cls: The type, as for ``parse``.
            tool_call: Index of the tool call whose arguments are meant. None: the answer's text
                or, where there is none, the arguments of the first tool call.

        Returns:
            The value; None before there is anything to show.

        Raises:
            RuntimeError: If the stream was opened with ``accumulate=False``.
            TypeError: If the type can't be read from JSON.
        """
        # Here, since most programs don't need it.
        from deepseek_async.wire.typed_partial import TypedPartial

        if not self._accumulate:
            raise RuntimeError("a stream opened with accumulate=False keeps no text to look at")
        self._reader.add_delivered()
        text, source = self._json_text(tool_call)
        growing = self._growing.get((cls, source))
        if growing is None or growing.accumulator is not self._answer:
            # The first look, or an answer that was begun anew.
            growing = self._growing[cls, source] = _Growing(self._answer, TypedPartial(cls))
        growing.partial.feed(text[growing.fed :])
        growing.fed = len(text)
        return cast("T | None", growing.partial.view())

    def _json_text(self, tool_call: int | None) -> tuple[str, int | None]:
        """Return the text to look at, and the index of the tool call it belongs to, if any."""
        answer = self._answer
        if tool_call is None and answer.content:
            return answer.content, None
        for call in answer.tool_calls.calls:
            if tool_call is None or call.index == tool_call:
                return call.arguments.text, call.index
        return "", tool_call

    @property
    def _answer(self) -> ChatAccumulator:
        return cast("ChatAccumulator", self._reader.accumulator)

    @staticmethod
    def _text_of(chunk: ChatCompletionChunk) -> str | None:
        for choice in chunk.choices:
            if choice.index == 0:
                return choice.delta.content
        return None

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
        self._reader.add_delivered()
        for call, arguments in self._answer.tool_calls.latest:
            self._events.append(ArgumentsDeltaEvent(call.index, call.id, call.name, arguments))

    def _tell_reasoning_done(self) -> None:
        if self._in_reasoning:
            self._in_reasoning = False
            self._reader.add_delivered()
            text = self._reader.accumulator.reasoning if self._accumulate else None
            self._events.append(ReasoningDoneEvent(text))

    def _tell_finish(self) -> None:
        self._tell_reasoning_done()
        super()._tell_finish()
        if self._accumulate:
            for call in self._answer.tool_calls.calls:
                self._events.append(
                    ArgumentsDoneEvent(call.index, call.id, call.name, call.arguments.text)
                )


class CompletionEventStream(EventStream[Completion, Completion]):
    """A streamed FIM answer as typed events: what ``completions.stream()`` returns.

    The events are those of chat that apply: ``queued``, ``content.delta``, ``content.done`` and
    ``done``.
    """

    def __init__(self, call: Call, *, accumulate: bool, max_event_size: int) -> None:
        super().__init__(call, FIM, accumulate=accumulate, max_event_size=max_event_size)

    @staticmethod
    def _text_of(chunk: Completion) -> str | None:
        for choice in chunk.choices:
            if choice.index == 0:
                return choice.text
        return None

    def _tell(self, chunk: Completion) -> None:
        if text := self._text_of(chunk):
            self._in_content = True
            self._events.append(ContentDeltaEvent(text))
        if not self._finish_told and any(
            choice.index == 0 and choice.finish_reason is not None for choice in chunk.choices
        ):
            self._tell_finish()


def _reasoning_of(chunk: ChatCompletionChunk) -> str | None:
    for choice in chunk.choices:
        if choice.index == 0:
            return choice.delta.reasoning_content
    return None
