"""Server-sent events from aiohttp.web."""

from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from deepseek_async.live import Run, Source
from deepseek_async.live.source import abandon
from deepseek_async.web.connection_watch import watched
from deepseek_async.web.cursors import checked
from deepseek_async.web.delivery import delivery
from deepseek_async.web.leaving import GONE, ClientGone, unless_gone
from deepseek_async.web.refusal import Refusal
from deepseek_async.web.telling import Reply, refuse, tell


class AiohttpReply:
    """The answer to a request, from aiohttp.web.

    Attributes:
        response: What was begun; None before that.
    """

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self.response: web.StreamResponse | None = None

    async def start(self, status: int, headers: Mapping[str, str]) -> None:
        """Send the status line and the headers."""
        self.response = web.StreamResponse(status=status, headers=headers)
        try:
            await self.response.prepare(self._request)
        except ConnectionError as exc:
            raise ClientGone(GONE) from exc

    async def write(self, data: bytes) -> None:
        """Send more of the body; waits while the client does not read."""
        assert self.response is not None
        try:
            await self.response.write(data)
        except ConnectionError as exc:
            raise ClientGone(GONE) from exc

    async def end(self) -> None:
        """End the response."""
        assert self.response is not None
        try:
            await self.response.write_eof()
        except ConnectionError as exc:
            raise ClientGone(GONE) from exc


async def respond(
    request: web.Request, work: Callable[[Reply], Awaitable[None]]
) -> web.StreamResponse:
    """Answer a request; a client that leaves ends that at once, and quietly."""
    reply = AiohttpReply(request)
    with watched(request.transport) as gone:
        try:
            await unless_gone(gone, _answer(work, reply))
        except ClientGone:
            # Whatever is returned, it goes nowhere.
            return reply.response or web.Response(status=499)
    assert reply.response is not None
    return reply.response


async def aiohttp_sse(
    request: web.Request,
    source: Run | Source,
    format: str = "native",  # noqa: A002 - as it is called in a URL
    after: str | None = None,
    heartbeat: float | None = 15.0,
    fps: float = 30,
    *,
    wait_first: float | None = None,
    show_errors: bool = False,
) -> web.StreamResponse:
    """Answer a request of aiohttp.web with server-sent events: return what this returns.

    The response begins at once. When the client leaves, the upstream is closed within
    milliseconds, even while it is silent, and with any setting of the server; nothing is raised
    for it.

    Args:
        request: What to answer.
        source: As the others, as for :func:`asgi_sse`.
        format: ``"native"``, ``"openai"``, ``"ai-sdk"`` or ``"ag-ui"``.
        after: The cursor behind which to go on. None: what the header ``Last-Event-ID`` says,
            else from the beginning. Whoever has had everything gets a 204.
        heartbeat: Seconds of silence between signs of life; None: none.
        fps: How many times a second new text is told; a run has a pace of its own.
        wait_first: For how many seconds at most the status line waits for the upstream.
        show_errors: Whether readers may see the texts of exceptions.

    Raises:
        TypeError: If the source is none.
        ValueError: If there is no such format, or a number is out of its range.
    """
    asked = delivery(source, format, heartbeat, fps, wait_first=wait_first, show_errors=show_errors)

    async def answer(reply: Reply) -> None:
        if request.method == "HEAD":
            abandon(asked.source)
            await reply.start(200, asked.headers)
            await reply.end()
        else:
            await tell(asked, after if after is not None else last_event_id(request), reply)

    return await respond(request, answer)


def last_event_id(request: web.Request) -> str | None:
    """Return the cursor that a browser sends when it comes back; None if it does not.

    Raises:
        Refusal: If it is no cursor of anybody.
    """
    return checked(request.headers.get("Last-Event-ID", ""))


async def _answer(work: Callable[[Reply], Awaitable[None]], reply: AiohttpReply) -> None:
    try:
        await work(reply)
    except Refusal as refusal:
        await refuse(reply, refusal)
