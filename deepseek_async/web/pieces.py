"""A stream as bytes, for whatever sends them."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from deepseek_async.live import Run, Source
from deepseek_async.web.delivery import Delivery, delivery
from deepseek_async.web.encoding import BEGUN, Encoding


def sse_bytes(
    source: Run | Source,
    format: str = "native",  # noqa: A002 - as it is called in a URL
    after: str | None = None,
    heartbeat: float | None = 15.0,
    fps: float = 30,
    *,
    show_errors: bool = False,
) -> AsyncGenerator[bytes]:
    """Return an answer as server-sent events, for a server or framework that sends bytes.

    Where you can, prefer :func:`asgi_sse`, ``SSEResponse`` or :func:`aiohttp_sse`: they notice by
    themselves that the browser has left. This one ends when it is closed or cancelled.

    Args:
        source: A run, or a source of one, which is then opened for this reader alone and closed
            with it.
        format: ``"native"``, ``"openai"``, ``"ai-sdk"`` or ``"ag-ui"``.
        after: The cursor behind which to go on; None: from the beginning.
        heartbeat: Seconds of silence between signs of life; None: none.
        fps: How many times a second new text is told, the first of it at once; 0: each piece as
            it comes. A run has a pace of its own.
        show_errors: Whether readers may see the texts of exceptions.

    Returns:
        An async generator of whole events or comments. The source is opened with its first one.

    Raises:
        TypeError: If the source is none.
        ValueError: If there is no such format, or a number is out of its range.
    """
    asked = delivery(source, format, heartbeat, fps, show_errors=show_errors)
    return _pieces(asked, after)


async def _pieces(asked: Delivery, after: str | None) -> AsyncGenerator[bytes]:
    async with asked.run() as run:
        encoding = Encoding(run, asked.wire_format)
        async with aclosing(run.read(after, asked.heartbeat)) as batches:
            yield BEGUN
            async for batch in batches:
                if data := encoding.encode(batch):
                    yield data
