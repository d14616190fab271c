"""What the end of a stream's bytes is taken for."""

import pytest

from deepseek_async.errors import (
    APIConnectionError,
    EventTooLargeError,
    StreamInterruptedError,
    StreamServerError,
)
from deepseek_async.types.chat import ChatCompletionChunk
from deepseek_async.wire.chunks import ChunkDecoder
from deepseek_async.wire.stream_end import failure_of, interrupted_by

CHUNK = b'data: {"id":"1","choices":[]}\n\n'
FAILURES: dict[str, tuple[bytes, type[Exception], str, bool]] = {
    "nothing": (b"", StreamInterruptedError, "ended after 0 chunks", True),
    "no end": (CHUNK, StreamInterruptedError, "ended after 1 chunks", True),
    "error": (CHUNK + b'data: {"error":{"message":"x"}}\n\n', StreamServerError, "in the", True),
    "refusal": (b'data: {"error":{"code":400}}\n\n', StreamServerError, "in the stream", False),
    "no JSON": (CHUNK + b"data: {]\n\n", StreamInterruptedError, "event 2 of the stream", True),
    "too large": (b"data: " + b"x" * 999, EventTooLargeError, "", False),
    "comments": (b": hello\n\n", StreamInterruptedError, "ended after 0 chunks", True),
    "error object": (b'{"error":{"code":503}}', StreamServerError, "instead of a stream", True),
    "an answer": (b'{"choices":[]}', StreamInterruptedError, "no event stream", False),
    "a page": (b"<html>", StreamInterruptedError, "content type 'text/html'", True),
}


def decoded(data: bytes) -> ChunkDecoder[ChatCompletionChunk]:
    decoder = ChunkDecoder(ChatCompletionChunk, 500)
    decoder.feed(data)
    decoder.finish()
    return decoder


@pytest.mark.parametrize(("data", "cls", "message", "retryable"), FAILURES.values(), ids=FAILURES)
def test_ends_that_are_failures(
    data: bytes, cls: type[Exception], message: str, retryable: bool
) -> None:
    failure = failure_of(decoded(data), finished=False, stray=data, content_type="text/html")
    assert failure is not None
    assert type(failure) is cls
    assert message in str(failure)
    assert failure.retryable is retryable


def test_complete_answers() -> None:
    done = decoded(CHUNK + b"data: [DONE]\n\n")
    assert failure_of(done, finished=False, stray=b"", content_type=None) is None
    assert failure_of(decoded(CHUNK), finished=True, stray=b"", content_type=None) is None


def test_an_error_is_told_though_the_answer_was_finished() -> None:
    decoder = decoded(CHUNK + b'data: {"error":"x"}\n\n')
    failure = failure_of(decoder, finished=True, stray=b"", content_type=None)
    assert isinstance(failure, StreamServerError)


def test_a_broken_connection_interrupts() -> None:
    cause = OSError("reset")
    error = APIConnectionError("the connection broke")
    error.__cause__ = cause
    interrupted = interrupted_by(error, 3)
    assert str(interrupted) == "the connection broke, after 3 chunks"
    assert interrupted.__cause__ is cause
