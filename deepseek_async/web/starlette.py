"""A response for Starlette and FastAPI; imports Starlette, which is the application's."""

from collections.abc import Mapping

from starlette.background import BackgroundTask
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from deepseek_async.live import Run, Source
from deepseek_async.web.asgi import SSEApp
from deepseek_async.web.delivery import delivery


class SSEResponse(Response):
    """An answer as server-sent events, to return from a handler.

    ::

        @app.get("/ask")
        async def ask(question: str) -> Response:
            messages = [{"role": "user", "content": question}]
            return SSEResponse(client.chat.completions.stream(model=..., messages=messages))

    The response begins at once; when the client leaves, the upstream is closed within
    milliseconds, even while it is silent, and behind any middleware.

    Args:
        source: As for :func:`deepseek_async.web.asgi_sse`, and so are the next ones.
        format: ``"native"``, ``"openai"``, ``"ai-sdk"`` or ``"ag-ui"``.
        after: The cursor behind which to go on. None: what the header ``Last-Event-ID`` says,
            else from the beginning. Whoever has had everything gets a 204.
        heartbeat: Seconds of silence between signs of life; None: none.
        fps: How many times a second new text is told; a run has a pace of its own.
        wait_first: For how many seconds at most the status line waits for the upstream.
        show_errors: Whether readers may see the texts of exceptions.
        headers: More of them.
        background: What to do after the response, as for every response of Starlette.

    Raises:
        TypeError: If the source is none.
        ValueError: If there is no such format, or a number is out of its range.
    """

    def __init__(
        self,
        source: Run | Source,
        format: str = "native",  # noqa: A002 - as it is called in a URL
        after: str | None = None,
        heartbeat: float | None = 15.0,
        fps: float = 30,
        *,
        wait_first: float | None = None,
        show_errors: bool = False,
        headers: Mapping[str, str] | None = None,
        background: BackgroundTask | None = None,
    ) -> None:
        # Without the base's constructor, which wants a body: it would tell its length.
        self._asked = delivery(
            source, format, heartbeat, fps, wait_first=wait_first, show_errors=show_errors
        )
        self._after = after
        self.status_code = 200
        self.background = background
        given = {name.lower(): value for name, value in (headers or {}).items()}
        ours = {name.lower(): value for name, value in self._asked.headers.items()}
        self.init_headers(ours | given)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, with whatever headers and cookies were set meanwhile."""
        await SSEApp(self._asked, self._after, self.raw_headers)(scope, receive, send)
        if self.background is not None:
            await self.background()
