"""What the end of a stream's bytes says about its answer."""

from typing import Any

from deepseek_async.errors import (
    APIConnectionError,
    DeepSeekError,
    StreamInterruptedError,
    StreamServerError,
)
from deepseek_async.wire.chunks import ChunkDecoder
from deepseek_async.wire.codec import (
    NotAnObjectError,
    decode_object,
    error_message,
    is_retryable,
    quote,
)

#: How much of a body that is no event stream is looked at for an error, in bytes.
MAX_STRAY = 64 * 1024


def failure_of(
    decoder: ChunkDecoder[Any], *, finished: bool, stray: bytes, content_type: str | None
) -> DeepSeekError | None:
    """Return why an answer is not complete though its stream has ended; None if it is.

    Args:
        decoder: What the stream was decoded by.
        finished: Whether the server said why the answer ended.
        stray: The bytes that came before the first event.
        content_type: What the server called the body.
    """
    if decoder.error is not None:
        return _server_error("in the stream", decoder.error)
    failure = decoder.failure
    if isinstance(failure, NotAnObjectError):
        interrupted = StreamInterruptedError(
            f"event {decoder.events + 1} of the stream is {failure}"
        )
        interrupted.__cause__ = failure
        return interrupted
    if failure is not None:
        return failure
    if decoder.done or finished:
        return None
    if not decoder.events and (found := _in_no_stream(stray.strip(), content_type)) is not None:
        return found
    return StreamInterruptedError(
        f"the stream ended after {decoder.events} chunks, without a finish_reason and [DONE]"
    )


def interrupted_by(error: APIConnectionError, events: int) -> StreamInterruptedError:
    """Return what a broken connection means for the stream that came over it.

    Args:
        error: How the connection failed.
        events: How many chunks had come.
    """
    interrupted = StreamInterruptedError(f"{error.message}, after {events} chunks")
    interrupted.__cause__ = error.__cause__
    return interrupted


def _in_no_stream(body: bytes, content_type: str | None) -> DeepSeekError | None:
    """Return the error that a body holds which is no event stream at all."""
    if not body or body.startswith((b":", b"data", b"event")):
        return None
    try:
        error = decode_object(body).get("error")
    except NotAnObjectError:
        error = None
    if error is not None:
        return _server_error("instead of a stream", error)
    interrupted = StreamInterruptedError(
        f"the answer is no event stream (content type {content_type!r}): {quote(body)}"
    )
    # A whole answer may have been made, and billed: not to be asked for again by itself.
    interrupted.retryable = not body.startswith(b"{")
    return interrupted


def _server_error(where: str, body: object) -> StreamServerError:
    error = StreamServerError(
        f"the server reported an error {where}: {error_message(body)}", body=body
    )
    error.retryable = is_retryable(body)
    return error
