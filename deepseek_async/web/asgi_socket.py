"""Runs over WebSockets, in plain ASGI."""

from urllib.parse import parse_qs

from deepseek_async.live import Run, Source
from deepseek_async.web.cursors import checked
from deepseek_async.web.delivery import delivery
from deepseek_async.web.leaving import ClientGone, Message, Receive, Scope, Send
from deepseek_async.web.refusal import Refusal
from deepseek_async.web.socket_talk import Close, Talk


async def asgi_ws(
    scope: Scope,
    receive: Receive,
    send: Send,
    source: Run | Source,
    *,
    after: str | None = None,
    heartbeat: float | None = 15.0,
    fps: float = 30,
    show_errors: bool = False,
    allow_stop: bool = True,
) -> None:
    """Answer a WebSocket with an answer; accepts it and closes it.

    In FastAPI and Starlette: ``await asgi_ws(ws.scope, ws.receive, ws.send, run)``, without
    ``ws.accept()`` before. When the client leaves, the upstream is closed within milliseconds.

    Each message is a JSON object of the native format with its cursor in ``"id"``; ``{"hb": 1}``
    is a sign of life. The client may send ``{"after": cursor}`` to go on from there, and
    ``{"stop": 1}``. Close codes: 1000 all was told, 1001 the process is ending: come back with the
    last cursor, 1008 a message that was not understood or not allowed, 1011 the answer failed.

    Args:
        scope: As ASGI gives it.
        receive: As ASGI gives it.
        send: As ASGI gives it.
        source: As for :func:`asgi_sse`.
        after: The cursor behind which to go on. None: what ``?after=`` says, else from the
            beginning.
        heartbeat: Seconds of silence between signs of life; None: none.
        fps: How many times a second new text is told; a run has a pace of its own.
        show_errors: Whether readers may see the texts of exceptions.
        allow_stop: Whether the client may stop the run, for all its readers.

    Raises:
        TypeError: If the source is none.
        ValueError: If a number is out of its range.
        RuntimeError: If the scope is none of a WebSocket, or it was accepted already.
    """
    if scope["type"] != "websocket":
        raise RuntimeError(f"asgi_ws answers WebSockets, not {scope['type']}")
    asked = delivery(source, "native", heartbeat, fps, show_errors=show_errors)
    message = await receive()
    if message["type"] == "websocket.disconnect":
        return
    if message["type"] != "websocket.connect":
        raise RuntimeError("asgi_ws accepts the WebSocket itself; leave that to it")
    socket = _Socket(receive, send)
    try:
        await socket.tell({"type": "websocket.accept"})
        try:
            cursor = after if after is not None else _cursor(scope)
        except Refusal as refusal:
            await socket.close(Close(1008, str(refusal)))
            return
        async with asked.run() as run:
            talk = Talk(
                run,
                socket.write,
                heartbeat=heartbeat,
                show_errors=show_errors,
                allow_stop=allow_stop,
            )
            how = await talk.hold(socket.hear(talk), cursor)
        if how is not None:
            await socket.close(how)
    except ClientGone:
        return


class _Socket:
    """The server's side of a WebSocket.

    Args:
        receive: The server's.
        send: The server's.
    """

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send

    async def write(self, text: str) -> None:
        """Send a text."""
        await self.tell({"type": "websocket.send", "text": text})

    async def close(self, how: Close) -> None:
        """Close it."""
        await self.tell({"type": "websocket.close", "code": how.code, "reason": how.reason})

    async def tell(self, message: Message) -> None:
        """Send a message.

        Raises:
            ClientGone: If there is nobody any more.
        """
        try:
            await self._send(message)
        except Exception as exc:
            # An OSError from a server, whatever they like from frameworks in between.
            raise ClientGone("the client closed the WebSocket") from exc

    async def hear(self, talk: Talk) -> None:
        """Hand on what the client says, until it has left."""
        while True:
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                return
            text = message.get("text")
            await talk.hear(text if text is not None else message.get("bytes") or b"")


def _cursor(scope: Scope) -> str | None:
    query = scope.get("query_string", b"").decode("latin-1")
    try:
        given = parse_qs(query, max_num_fields=20).get("after", [""])[0]
    except ValueError as exc:
        raise Refusal(400, "invalid", "the query can't be read") from exc
    return checked(given)
