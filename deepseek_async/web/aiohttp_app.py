"""The runs of a :class:`Live` in aiohttp.web."""

from aiohttp import web

from deepseek_async.live import Live
from deepseek_async.web.aiohttp_reply import last_event_id, respond
from deepseek_async.web.cursors import checked
from deepseek_async.web.refusal import Refusal
from deepseek_async.web.runs import MAX_MUX_BODY, Authorize, Runs
from deepseek_async.web.telling import Reply


def live_aiohttp(
    live: Live,
    authorize: Authorize,
    *,
    heartbeat: float | None = 15.0,
    show_errors: bool = False,
) -> web.Application:
    """Return an application for ``app.add_subapp("/runs", ...)``: see :func:`live_asgi`.

    Args:
        live: The runs.
        authorize: Is called, and awaited if need be, with the request, the run's id, and
            ``"read"`` or ``"stop"``, before anything is told of the run. False: 403.
        heartbeat: Seconds of silence between signs of life; None: none.
        show_errors: Whether readers may see the texts of exceptions.

    Raises:
        TypeError: If authorize is no function.
        ValueError: If the heartbeat is no time.
    """
    runs = Runs(live, authorize, heartbeat=heartbeat, show_errors=show_errors)

    async def events(request: web.Request) -> web.StreamResponse:
        async def read(reply: Reply) -> None:
            cursor = last_event_id(request)
            if cursor is None:
                cursor = checked(request.query.get("after", ""))
            wire_format = request.query.get("format", "native")
            await runs.events(request, request.match_info["run"], cursor, wire_format, reply)

        return await respond(request, read)

    async def stop(request: web.Request) -> web.StreamResponse:
        # Not given up if the client leaves: a page that is closed stops its run like this.
        try:
            await runs.stop(request, request.match_info["run"])
        except Refusal as refusal:
            return _response(refusal)
        return web.Response(status=204)

    async def mux(request: web.Request) -> web.StreamResponse:
        try:
            body = await _body(request)
        except Refusal as refusal:
            return _response(refusal)

        async def read_all(reply: Reply) -> None:
            await runs.mux(request, body, reply)

        return await respond(request, read_all)

    app = web.Application()
    app.router.add_get("/{run}/events", events, allow_head=False)
    app.router.add_post("/{run}/stop", stop)
    app.router.add_post("/mux", mux)
    return app


async def _body(request: web.Request) -> bytes:
    body = bytearray()
    async for data in request.content.iter_any():
        body += data
        if len(body) > MAX_MUX_BODY:
            raise Refusal(413, "invalid", f"the body may have {MAX_MUX_BODY:,} bytes")
    return bytes(body)


def _response(refusal: Refusal) -> web.Response:
    return web.Response(status=refusal.status, headers=refusal.headers, body=refusal.body)
