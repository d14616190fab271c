"""Server-sent events over plain ASGI."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping

from deepseek_async.live import Run, Source
from deepseek_async.live.source import abandon
from deepseek_async.web.cursors import last_event_id
from deepseek_async.web.delivery import Delivery, delivery
from deepseek_async.web.leaving import (
    GONE,
    ClientGone,
    Message,
    Receive,
    Scope,
    Send,
    disconnect,
    unless_gone,
)
from deepseek_async.web.refusal import Refusal
from deepseek_async.web.telling import Reply, refuse, tell

RawHeaders = Iterable[tuple[bytes, bytes]]


class AsgiReply:
    """The answer to a request, over ASGI.

    Args:
        send: The server's.
        extra: Headers for streams, in the form that ASGI has; they win over ours.
    """

    __slots__ = ("_extra", "_send")

    def __init__(self, send: Send, extra: RawHeaders = ()) -> None:
        self._send = send
        self._extra = list(extra)

    async def start(self, status: int, headers: Mapping[str, str]) -> None:
        """Send the status line and the headers."""
        raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
        if self._extra and status == 200:
            given = {name.lower() for name, _ in self._extra}
            raw = [*(pair for pair in raw if pair[0] not in given), *self._extra]
        await self._tell({"type": "http.response.start", "status": status, "headers": raw})

    async def write(self, data: bytes) -> None:
        """Send more of the body; waits while the client does not read."""
        try:
            await self._send({"type": "http.response.body", "body": data, "more_body": True})
        except OSError as exc:
            # That is how servers tell it which speak ASGI 2.4 or later.
            raise ClientGone(GONE) from exc

    async def end(self) -> None:
        """End the response."""
        await self._tell({"type": "http.response.body", "body": b"", "more_body": False})

    async def _tell(self, message: Message) -> None:
        try:
            await self._send(message)
        except OSError as exc:
            raise ClientGone(GONE) from exc


async def respond(
    receive: Receive, send: Send, work: Callable[[Reply], Awaitable[None]], extra: RawHeaders = ()
) -> None:
    """Answer a request; a client that leaves ends that at once, and quietly.

    Args:
        receive: The server's.
        send: The server's.
        work: Answers; what it raises as :class:`Refusal` is answered, too.
        extra: Headers for streams.
    """
    reply = AsgiReply(send, extra)
    gone = asyncio.ensure_future(disconnect(receive))
    try:
        await unless_gone(gone, _answer(work, reply))
    except ClientGone:
        return


async def _answer(work: Callable[[Reply], Awaitable[None]], reply: AsgiReply) -> None:
    try:
        await work(reply)
    except Refusal as refusal:
        await refuse(reply, refusal)


class SSEApp:
    """An ASGI application that answers every request with the same source; see `asgi_sse`."""

    def __init__(self, asked: Delivery, after: str | None, extra: RawHeaders = ()) -> None:
        self._asked = asked
        self._after = after
        self._extra = extra

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request.

        Raises:
            RuntimeError: If it is none of HTTP.
        """
        if scope["type"] != "http":
            raise RuntimeError(f"server-sent events go over HTTP, not over {scope['type']}")

        async def answer(reply: Reply) -> None:
            if scope["method"] == "HEAD":
                abandon(self._asked.source)
                await reply.start(200, self._asked.headers)
                await reply.end()
            else:
                after = self._after
                if after is None:
                    after = last_event_id(scope["headers"])
                await tell(self._asked, after, reply)

        await respond(receive, send, answer, self._extra)


def asgi_sse(
    source: Run | Source,
    format: str = "native",  # noqa: A002 - as it is called in a URL
    after: str | None = None,
    heartbeat: float | None = 15.0,
    fps: float = 30,
    *,
    wait_first: float | None = None,
    show_errors: bool = False,
) -> SSEApp:
    """Return an ASGI application that answers with server-sent events.

    To call with ``scope, receive, send``, to mount, or to return from a handler of Litestar; for
    FastAPI and Starlette there is :class:`deepseek_async.web.starlette.SSEResponse`. The response
    begins at once. When the client leaves, the upstream is closed within milliseconds, even while
    it is silent; nothing is raised for it.

    Args:
        source: A run, which outlives its readers as it says itself; or a source of one, which is
            opened for this reader alone and closed with it. To mount an application, give a
            function, so that each request gets a stream of its own.
        format: ``"native"``, ``"openai"``, ``"ai-sdk"`` or ``"ag-ui"``.
        after: The cursor behind which to go on. None: what the header ``Last-Event-ID`` says,
            else from the beginning. Whoever has had everything gets a 204.
        heartbeat: Seconds of silence between signs of life, also before the first word; None:
            none.
        fps: How many times a second new text is told, the first of it at once; 0: each piece as
            it comes. A run has a pace of its own.
        wait_first: For how many seconds at most the status line waits for the upstream to answer.
            If it fails in this time, the answer is an HTTP status instead of a 200 and an event:
            503 with ``Retry-After`` if it is busy, 502, 504, 400 or 500. None: not at all.
        show_errors: Whether readers may see the texts of exceptions, which may tell of accounts
            and addresses.

    Raises:
        TypeError: If the source is none.
        ValueError: If there is no such format, or a number is out of its range.
    """
    asked = delivery(source, format, heartbeat, fps, wait_first=wait_first, show_errors=show_errors)
    return SSEApp(asked, after)
