"""Whether an answer that broke off is continued, and what its reader sees of the seam.

DeepSeek continues a text that is sent back as a prefix message, without repeating it. That is
its own advice for answers cut by ``max_tokens``, and serves as well after a cut connection.
Source: https://api-docs.deepseek.com/guides/chat_prefix_completion, read 2026-11-21.
"""

from collections.abc import Callable, Iterable

from deepseek_async.errors import (
    APITimeoutError,
    DeepSeekError,
    FirstEventTimeoutError,
    IdleTimeoutError,
    ProgressTimeoutError,
    StreamInterruptedError,
    StreamServerError,
)
from deepseek_async.types.chat import ChatCompletionChunk, Segment
from deepseek_async.types.usage import Usage, add_usage

# Finish reasons of an answer that the server gave up.
_GIVEN_UP = frozenset({"insufficient_system_resource", "aborted"})

# Failures that keep the end of the bytes away, and say nothing else.
_WITHOUT_AN_END = ("cut", "stall")


class Continuation:
    """Joins the segments of one answer.

    Args:
        body: Builds the request that goes on from content and reasoning so far.
        url: Where such requests go.
        on_length: How often to go on after ``finish_reason`` ``length``.
        on_failure: How often to go on after a stall, a cut, or a server that gave up.

    Attributes:
        segments: The segments that are over, each a request of its own.
        reason: Why the segment at hand ends without ending the answer; None while it doesn't.
    """

    def __init__(
        self, body: Callable[[str, str], bytes], url: str, *, on_length: int, on_failure: int
    ) -> None:
        self.body = body
        self.url = url
        self.segments: list[Segment] = []
        self.reason: str | None = None
        self._lengths_left = on_length
        self._failures_left = on_failure
        self._finish_reason: str | None = None
        self._usage: Usage | None = None
        self._earlier: Usage | None = None
        self._id = ""
        # Neither several answers nor the beginning of a tool call can be sent back to be
        # continued.
        self._is_single = True
        self._has_calls = False
        self._is_over = False

    @property
    def usage(self) -> Usage | None:
        """Token counts of the segment at hand alone."""
        return self._usage

    @property
    def failures(self) -> int:
        """How often the answer went on after something had failed."""
        return sum(segment.continued_after != "length" for segment in self.segments)

    def begin_anew(self) -> None:
        """Take note that what came of the segment at hand is void: it is asked for again."""
        self._usage = None
        self._is_single, self._has_calls, self._is_over = True, False, False
        if not self.segments:
            self._id = ""

    def pass_on(self, chunks: Iterable[ChatCompletionChunk], *, has_data: bool) -> None:
        """Make the chunks of a segment part of one answer.

        They get the answer's id, token counts that include the segments before, and no finish
        reason if the answer goes on.

        Args:
            chunks: The chunks, which are changed.
            has_data: Whether the segment has brought anything of the answer, these included.
        """
        for chunk in chunks:
            self._id = self._id or chunk.id
            chunk.id = self._id
            if chunk.usage is not None:
                self._usage = chunk.usage
                chunk.usage = add_usage(self._earlier, chunk.usage)
            for choice in chunk.choices:
                if choice.index != 0:
                    self._is_single = False
                    continue
                if choice.delta.tool_calls:
                    self._has_calls = True
                if choice.finish_reason is None:
                    continue
                if self._outlives(choice.finish_reason, has_data=has_data):
                    self.reason = self._finish_reason = choice.finish_reason
                    choice.finish_reason = None
                else:
                    self._is_over = True

    def _outlives(self, finish_reason: str, *, has_data: bool) -> bool:
        if self._is_over or self._has_calls or not self._is_single:
            return False
        if finish_reason == "length":
            # Nothing at all before the limit means that more attempts would bring nothing.
            return self._lengths_left > 0 and has_data
        return finish_reason in _GIVEN_UP and self._failures_left > 0

    def survives(self, error: DeepSeekError) -> bool:
        """Tell whether the answer goes on after its segment failed."""
        reason = _reason_of(error)
        if reason is None:
            return False
        if self.reason is not None and reason in _WITHOUT_AN_END:
            # It had ended already but for the end of its bytes.
            return True
        if self._is_over or self._has_calls or not self._is_single or self._failures_left <= 0:
            return False
        self.reason = reason
        return True

    def completes(self, error: DeepSeekError) -> bool:
        """Tell whether only the end of the bytes got lost, of an answer that was complete.

        Without ``resume`` that counts as a failure. To go on with such an answer would cost a
        request, and could only add to it what does not belong there.
        """
        return (
            self._is_over
            and self._is_single
            and self._failures_left > 0
            and _reason_of(error) in _WITHOUT_AN_END
        )

    def end_segment(self, request_id: str | None, attempts: int) -> Segment:
        """Close the segment at hand and begin the next.

        Args:
            request_id: The server's id of the segment.
            attempts: How many requests have been sent for the answer so far.
        """
        if self.reason == "length":
            self._lengths_left -= 1
        else:
            self._failures_left -= 1
        segment = Segment(
            usage=self._usage,
            finish_reason=self._finish_reason,
            request_id=request_id,
            continued_after=self.reason,
            attempts=attempts,
        )
        self.segments.append(segment)
        self._earlier = add_usage(self._earlier, self._usage)
        self._usage = self._finish_reason = self.reason = None
        return segment


def _reason_of(error: DeepSeekError) -> str | None:
    """Return what a failure is called if the answer can go on after it."""
    match error:
        case FirstEventTimeoutError():
            return None
        case IdleTimeoutError() | ProgressTimeoutError():
            return "stall"
        case APITimeoutError():
            return None
        case StreamInterruptedError():
            return "cut"
        case StreamServerError() if error.retryable:
            return "server_error"
        case _:
            return None
