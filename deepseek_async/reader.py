"""Reading a streamed answer block by block, and telling how it ended."""

import asyncio
import contextlib
import copy
import functools
import operator
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar, cast

from deepseek_async.caller import Call
from deepseek_async.errors import (
    APIConnectionError,
    APIError,
    APITimeoutError,
    DeepSeekError,
    StreamError,
    StreamInterruptedError,
)
from deepseek_async.observers import Answered, Outcome
from deepseek_async.observing import outcome_of
from deepseek_async.policy.continuation import Continuation
from deepseek_async.response import HTTPResponse
from deepseek_async.types.chat import ChatCompletion, ChatCompletionChunk, Segment
from deepseek_async.types.fim import Completion
from deepseek_async.types.http import ResponseInfo
from deepseek_async.wire.accumulate import Accumulator, C, R, StreamFormat
from deepseek_async.wire.chunks import ChunkDecoder
from deepseek_async.wire.stream_end import MAX_STRAY, failure_of, interrupted_by

T = TypeVar("T")


class ChunkReader(Generic[C, R]):
    """Reads one streamed answer block by block, reissuing it while nothing has come of it.

    Args:
        call: The call; sent by :meth:`open`.
        stream_format: What the stream consists of.
        accumulate: Whether to keep what comes.
        max_event_size: Most bytes of one event.
        continuation: Lets an answer that breaks off go on.

    Attributes:
        accumulator: What the chunks are added to once they are delivered.
        chunks: Hands out the chunks that :meth:`read` fetched. How far it is tells how many were
            delivered.
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
        # The last chunks of the request at hand, which tell what it cost.
        self._last: list[C] = []
        self._call = call
        self._continuation = continuation
        self._format = stream_format
        self._accumulate = accumulate
        self._max_event_size = max_event_size
        self._response: HTTPResponse | None = None
        self._decoder = ChunkDecoder(stream_format.chunk, max_event_size)
        self._stray = bytearray()
        self._reading = False
        # Ends the waiting of the reading task while there is no response that could be closed.
        self._waiting: tuple[asyncio.AbstractEventLoop, asyncio.Timeout] | None = None
        self._ended = False
        self._has_data = False
        # Whether anything more is to be seen in the chunks than that there are some.
        self._looks = True
        # The whole answer, what is not delivered yet included, for an observer that wants it.
        self._shadow: Accumulator[C, R] | None = None
        # What answered the segment before, as long as nothing has answered this one.
        self._answered_before: ResponseInfo | None = None
        self._error: DeepSeekError | None = None
        self._earlier_comments = 0
        self._block: list[C] = []
        self._added = 0
        self.accumulator = stream_format.accumulator(accumulate)
        if call.watch is not None and call.watch.wants_answer:
            self._shadow = stream_format.accumulator(True)
        self.chunks = iter(self._block)
        self.on_block: Callable[[bytes], None] | None = None
        """Sees every block of bytes before it is decoded."""

        self.on_reissue: Callable[[], None] | None = None
        """Is told that the answer begins anew: what came before is void."""

        self.report_comments = False
        """Whether :meth:`read` ends when only keep-alives came."""

    def __del__(self) -> None:
        if self._call.watch is not None:
            self._tell_end("left", None, in_finalizer=True)
        # What was dropped half-way has its price as well.
        self._record()

    @property
    def call(self) -> Call:
        """The call that is answered."""
        return self._call

    @property
    def saw_done(self) -> bool:
        """Whether ``[DONE]`` has come."""
        return self._decoder.done

    @property
    def bytes_received(self) -> int:
        """How many bytes of the body have come, in the attempt at hand."""
        return 0 if self._response is None else self._response.taken

    @property
    def queued_comments(self) -> int:
        """How many comments have come before the first chunk, in all attempts."""
        return self._earlier_comments + self._decoder.queued_comments

    @property
    def ended_segments(self) -> list[Segment]:
        """The requests that are over while the answer goes on."""
        return [] if self._continuation is None else self._continuation.segments

    def segments(self) -> list[Segment]:
        """Return all requests of the answer; the last is the one at hand."""
        continuation, accumulator = self._continuation, self.accumulator
        usage = accumulator.usage if continuation is None else continuation.usage
        info = self._call.info
        segment = Segment(
            usage=usage,
            finish_reason=accumulator.finish_reason,
            request_id=None if info is None or info is self._answered_before else info.request_id,
            attempts=self._call.attempts,
        )
        return [*self.ended_segments, segment]

    @property
    def finished(self) -> bool:
        """Whether there is nothing more to read, for whatever reason."""
        return self._ended or self._error is not None

    @property
    def opened(self) -> bool:
        """Whether the request has been sent."""
        return self._response is not None

    async def open(self) -> None:
        """Send the request and wait for the headers of the answer."""
        self._start_reading()
        try:
            self._response = await self._unless_closed(self._call.open)
            self._raise_if_closed()
        except BaseException as exc:
            self._fail(exc)
            raise
        finally:
            self._reading = False

    def add_delivered(self) -> None:
        """Add the chunks that were delivered since the last time."""
        block = self._block
        delivered = len(block) - operator.length_hint(self.chunks)
        if delivered > self._added:
            self.accumulator.add(block[self._added : delivered] if len(block) > 1 else block)
            self._added = delivered

    def pass_over(self) -> None:
        """Take the chunks that are left for delivered."""
        for _ in self.chunks:
            pass

    async def read(self) -> bool:
        """Fetch more chunks once all have been delivered; False at the end of a complete answer.

        There are none if only keep-alives came and ``report_comments`` is set, and where a new
        segment begins.

        Raises:
            DeepSeekError: If the stream failed; the same error from then on.
        """
        # What a live stream costs is done here, for each of its chunks: nothing is called but
        # for what it does.
        self.add_delivered()
        if self._error is not None:
            raise copy.copy(self._error)
        if self._ended:
            return False
        if self._reading:
            raise _read_by_another_task()
        self._reading = True
        try:
            while True:
                decoder, response = self._decoder, self._response
                assert response is not None
                try:
                    block = b"" if decoder.ended else await response.read()
                    if not block:
                        decoder.finish()
                        self._raise_if_incomplete()
                except DeepSeekError as exc:
                    begun = await self._settle(exc)
                    if begun or self._ended:
                        return begun
                    continue
                if not block:
                    return await self._end_segment()
                if self.on_block is not None:
                    self.on_block(block)
                comments = decoder.comments
                if chunks := decoder.feed(block):
                    response.event_came()
                    if self._looks:
                        self._look_at(chunks)
                    self._last = self._block = chunks
                    self.chunks = iter(chunks)
                    self._added = 0
                    if decoder.done and not self._breaks_off:
                        self._complete()
                    return True
                response.nothing_came()
                if decoder.done:
                    continue
                if not decoder.events:
                    if len(self._stray) < MAX_STRAY:
                        self._stray += block
                    if self.report_comments and decoder.comments > comments:
                        return True
        except BaseException as exc:
            self._fail(exc)
            raise
        finally:
            self._reading = False

    def _look_at(self, chunks: list[C]) -> None:
        """Take note of what chunks mean for an answer that breaks off."""
        if not self._has_data:
            self._has_data = any(map(self._format.carries_data, chunks))
            if self._has_data and self._call.watch is not None:
                self._call.watch.chunk_came(was_queued=self._decoder.queued_comments > 0)
            if self._has_data and self._continuation is None:
                self._call.forget_request()
        if self._continuation is not None:
            self._continuation.pass_on(
                cast("list[ChatCompletionChunk]", chunks), has_data=self._has_data
            )
        if self._shadow is not None:
            self._shadow.add(chunks)
        self._looks = (
            not self._has_data or self._continuation is not None or self._shadow is not None
        )

    def _fail(self, exc: BaseException) -> None:
        """Close the connection, and let every further read fail: cancelled ones, too."""
        # A copy: the original's traceback refers to this reader, and would keep it alive until
        # the garbage collector finds the cycle.
        self._error = copy.copy(exc) if isinstance(exc, DeepSeekError) else self._closed_error()
        if self._call.watch is not None:
            self._tell_end(outcome_of(exc), exc)
        self._record()
        if self._response is not None:
            self._response.close()

    def close(self) -> None:
        """Close the connection at once; reading on is an error unless the end was reached."""
        self.add_delivered()
        if not self.finished:
            self._error = self._closed_error()
            if self._call.watch is not None:
                self._tell_end("left", None)
            self._record()
            if (waiting := self._waiting) is not None:
                # Another task is about to send a request that nobody wants any more.
                with contextlib.suppress(RuntimeError):
                    waiting[0].call_soon_threadsafe(self._stop_waiting, waiting)
        if self._response is not None:
            self._response.close()

    def _start_reading(self) -> None:
        if self._reading:
            raise _read_by_another_task()
        self._reading = True

    async def _settle(self, error: DeepSeekError) -> bool:
        """Go on in spite of a failure, if there is a way.

        Returns:
            Whether a new segment has begun. If none has, the answer is complete, or there is
            more to read of it.

        Raises:
            DeepSeekError: ``error``, or what it means for the answer.
        """
        decoder = self._decoder
        if self._error is not None:
            # Another task closed the stream, which is why reading failed.
            raise copy.copy(self._error) from None
        if type(error) is APIConnectionError:
            decoder.finish()
            if decoder.done:
                # An unterminated [DONE] before the cut: complete all the same.
                return False
            error = interrupted_by(error, decoder.events)
        if self._is_complete_despite(error):
            self._complete()
            return False
        return await self._recover(error)

    async def _end_segment(self) -> bool:
        """Take note that the bytes of a request have come to their end.

        Returns:
            Whether another has been sent to go on with the answer.
        """
        if not self._breaks_off:
            self._complete()
            return False
        assert self._response is not None
        self._response.finish()
        await self._begin_segment()
        return True

    @property
    def _breaks_off(self) -> bool:
        """Whether the segment at hand has ended without ending the answer."""
        return self._continuation is not None and self._continuation.reason is not None

    def _raise_if_incomplete(self) -> None:
        """Take the end of the bytes for what it is.

        Raises:
            DeepSeekError: If the segment at hand has not come to its end.
        """
        info = self._call.info
        failure = failure_of(
            self._decoder,
            finished=self._breaks_off or self.accumulator.finish_reason is not None,
            stray=bytes(self._stray),
            content_type=None if info is None else info.headers.get("content-type"),
        )
        if failure is not None:
            raise failure

    def _is_complete_despite(self, error: DeepSeekError) -> bool:
        return self._continuation is not None and self._continuation.completes(error)

    def _complete(self) -> None:
        self._ended = True
        if self._call.watch is not None:
            self._tell_end("answered", None)
        self._record()
        assert self._response is not None
        self._response.finish()

    def _record(self) -> None:
        """Add what the request at hand brought to the client's totals, once."""
        last, self._last = self._last, []
        if last:
            # These have not been added to the accumulator yet.
            told = (chunk.usage for chunk in reversed(last) if chunk.usage is not None)
            usage = next(told, self.accumulator.usage)
            if self._continuation is not None:
                usage = self._continuation.usage
            self._call.record(last[-1].model, usage, last[-1].created)

    def _tell_end(
        self, outcome: Outcome, error: BaseException | None, *, in_finalizer: bool = False
    ) -> None:
        """Tell whoever watches the call that it has come to its end.

        The last chunks may not be delivered yet, nor added up. They are all the same part of it.
        """
        watch, accumulator = self._call.watch, self.accumulator
        if watch is None or not watch.is_open:
            return
        rest = self._block[self._added :]
        last = self._last
        usages = (chunk.usage for chunk in reversed(last) if chunk.usage is not None)
        reason = next(filter(None, map(_finish_reason_of, reversed(last))), None)
        reason = reason or accumulator.finish_reason
        shadow = self._shadow
        answer = shadow.build() if shadow is not None and shadow.chunks else None
        self._call.tell_end(
            outcome,
            error,
            Answered(
                id=last[-1].id if last else "",
                model=last[-1].model if last else "",
                finish_reasons=() if reason is None else (reason,),
                usage=next(usages, accumulator.usage),
                chunks=accumulator.chunks + len(rest),
            ),
            cast("ChatCompletion | Completion | None", answer),
            in_finalizer=in_finalizer,
        )

    async def _recover(self, error: DeepSeekError) -> bool:
        """Send the request again, or one that goes on with the answer.

        Returns:
            Whether a new segment has begun.

        Raises:
            DeepSeekError: ``error`` itself, if neither may be.
        """
        self._complete_error(error)
        assert self._response is not None
        self._response.close()
        may_go_on = True
        if not self._has_data and not self._breaks_off:
            if await self._reissue(error):
                return False
            # Not even the first words of a later segment came: the answer can still go on.
            may_go_on = bool(self.ended_segments)
        continuation = self._continuation
        if continuation is None or not may_go_on or not continuation.survives(error):
            raise error
        await self._begin_segment(error)
        return True

    async def _reissue(self, error: DeepSeekError) -> bool:
        """Send the request at hand again; False if it may not be."""
        try:
            await self._unless_closed(functools.partial(self._call.retry, error, answered=True))
        except DeepSeekError as exc:
            if exc is error:
                return False
            self._complete_error(exc)
            raise
        if self.on_reissue is not None:
            self.on_reissue()
        self._begin_anew()
        if self._continuation is not None:
            self._continuation.begin_anew()
        if not self.ended_segments:
            self.accumulator = self._format.accumulator(self._accumulate)
            if self._shadow is not None:
                self._shadow = self._format.accumulator(True)
        await self._open_again()
        return True

    async def _begin_segment(self, error: DeepSeekError | None = None) -> None:
        """Go on with the answer by another request.

        Args:
            error: What ended the segment at hand, if it did not end by itself.
        """
        continuation, call = self._continuation, self._call
        assert continuation is not None
        self._record()
        info = self._answered_before = call.info
        segment = continuation.end_segment(None if info is None else info.request_id, call.attempts)
        accumulator = self.accumulator
        call.ask_instead(
            continuation.url, continuation.body(accumulator.content, accumulator.reasoning)
        )
        at_once = segment.continued_after == "length" or (
            segment.continued_after == "cut" and self._has_data
        )
        self._begin_anew()
        self._has_data = False
        if not at_once:
            # The server has trouble: not to be asked in a hurry.
            await self._unless_closed(functools.partial(call.pause, error, continuation.failures))
        await self._open_again()

    async def _open_again(self) -> None:
        """Send a request after the first.

        Raises:
            DeepSeekError: With what there is of the answer, if there is any.
        """
        try:
            self._response = await self._unless_closed(self._call.open)
        except APIError as exc:
            if isinstance(exc, StreamError | APITimeoutError):
                self._complete_error(exc)
            elif self.ended_segments:
                raise self._cannot_go_on(exc) from exc
            raise
        self._raise_if_closed()

    def _cannot_go_on(self, cause: APIError) -> StreamInterruptedError:
        reason = self.ended_segments[-1].continued_after
        error = StreamInterruptedError(
            f"the answer broke off ({reason}) and could not be continued: {cause.message}",
            request_id=cause.request_id,
            attempts=cause.attempts,
            body=cause.body,
            partial=self.partial(),
        )
        error.retryable = cause.retryable
        return error

    def _complete_error(self, error: DeepSeekError) -> None:
        """Tell an error what is known of the call."""
        if isinstance(error, APIError):
            self._call.redact(error)
            error.attempts = self._call.attempts
            if self._call.info is not None:
                error.request_id = self._call.info.request_id
        if isinstance(error, StreamError | APITimeoutError):
            error.partial = self.partial()

    def _begin_anew(self) -> None:
        """Prepare for the bytes of another response."""
        self._earlier_comments += self._decoder.queued_comments
        self._decoder = ChunkDecoder(self._format.chunk, self._max_event_size)
        self._stray.clear()

    async def _unless_closed(self, step: Callable[[], Awaitable[T]]) -> T:
        """Wait for a step before there is a response, or until another task closes the stream.

        Nothing is sent for nobody, and no place is waited for.
        """
        self._raise_if_closed()
        try:
            async with asyncio.timeout(None) as timeout:
                self._waiting = (asyncio.get_running_loop(), timeout)
                return await step()
        except TimeoutError:
            self._raise_if_closed()
            raise
        finally:
            self._waiting = None

    def _stop_waiting(self, waiting: tuple[asyncio.AbstractEventLoop, asyncio.Timeout]) -> None:
        if self._waiting is waiting:
            waiting[1].reschedule(0)

    def _raise_if_closed(self) -> None:
        """Stop if another task has closed the stream while this one waited."""
        if self._error is not None:
            raise copy.copy(self._error) from None

    def partial(self) -> R | None:
        """Return what has been delivered; None before the first chunk."""
        if not self.accumulator.chunks or not self.accumulator.keeps:
            return None
        return self.completion()

    def completion(self) -> R:
        """Return what has been delivered."""
        completion = self.accumulator.build()
        completion.attempts = self._call.attempts
        if self._call.info is not None:
            completion.request_id = self._call.info.request_id
        if self.ended_segments and isinstance(completion, ChatCompletion):
            completion.segments = self.segments()
        return completion

    def _closed_error(self) -> StreamInterruptedError:
        return StreamInterruptedError(
            "the stream was closed or cancelled before its end",
            attempts=self._call.attempts,
            partial=self.partial(),
        )


def _finish_reason_of(chunk: ChatCompletionChunk | Completion) -> str | None:
    """Return why the first answer ended; None if the chunk doesn't say."""
    for choice in chunk.choices:
        if choice.index == 0:
            return choice.finish_reason
    return None


def _read_by_another_task() -> RuntimeError:
    return RuntimeError(
        "another task is reading this stream at the moment; let one task read it and hand the "
        "chunks on"
    )
