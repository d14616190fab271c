"""Runs over WebSockets, in aiohttp.web."""

from aiohttp import web

from deepseek_async.live import Run, Source
from deepseek_async.web.cursors import checked
from deepseek_async.web.delivery import delivery
from deepseek_async.web.leaving import ClientGone
from deepseek_async.web.refusal import Refusal
from deepseek_async.web.socket_talk import MAX_MESSAGE, Close, Talk


async def aiohttp_ws(
    request: web.Request,
    source: Run | Source,
    *,
    after: str | None = None,
    heartbeat: float | None = 15.0,
    fps: float = 30,
    show_errors: bool = False,
    allow_stop: bool = True,
) -> web.WebSocketResponse:
    """Answer a WebSocket of aiohttp.web with an answer: return what this returns.

    What is said, and all arguments but the first: as :func:`asgi_ws` has them.

    Raises:
        TypeError: If the source is none.
        ValueError: If a number is out of its range.
    """
    asked = delivery(source, "native", heartbeat, fps, show_errors=show_errors)
    # Not compressed: a token is smaller than what that adds.
    socket = web.WebSocketResponse(max_msg_size=MAX_MESSAGE, compress=False)
    await socket.prepare(request)
    try:
        cursor = after if after is not None else checked(request.query.get("after", ""))
    except Refusal as refusal:
        await _close(socket, Close(1008, str(refusal)))
        return socket
    try:
        async with asked.run() as run:

            async def write(text: str) -> None:
                try:
                    await socket.send_str(text)
                except ConnectionError as exc:
                    raise ClientGone("the client closed the WebSocket") from exc

            talk = Talk(
                run, write, heartbeat=heartbeat, show_errors=show_errors, allow_stop=allow_stop
            )
            how = await talk.hold(_hear(socket, talk), cursor)
        if how is not None:
            await _close(socket, how)
    except ClientGone:
        return socket
    return socket


async def _hear(socket: web.WebSocketResponse, talk: Talk) -> None:
    async for message in socket:
        if message.type in (web.WSMsgType.TEXT, web.WSMsgType.BINARY):
            await talk.hear(message.data)


async def _close(socket: web.WebSocketResponse, how: Close) -> None:
    await socket.close(code=how.code, message=how.reason.encode())
