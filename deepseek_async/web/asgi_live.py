"""The runs of a :class:`Live` over plain ASGI."""

from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl

from deepseek_async.live import Live
from deepseek_async.web.asgi import AsgiReply, respond
from deepseek_async.web.cursors import checked, last_event_id
from deepseek_async.web.leaving import ClientGone, Receive, Scope, Send
from deepseek_async.web.refusal import Refusal
from deepseek_async.web.runs import MAX_MUX_BODY, Authorize, Runs
from deepseek_async.web.telling import Reply, refuse

_App = Callable[[Scope, Receive, Send], Awaitable[None]]
_MAX_FIELDS = 20


def live_asgi(
    live: Live,
    authorize: Authorize,
    *,
    heartbeat: float | None = 15.0,
    show_errors: bool = False,
) -> _App:
    """Return an ASGI application to mount, through which browsers read and stop runs.

    - ``GET /{run}/events``: server-sent events, after the cursor in ``Last-Event-ID``, or in
      ``?after=``; ``?format=`` as for :func:`asgi_sse`. 204: all of it was had before. 404: there
      is no such run.
    - ``POST /{run}/stop``: 204 when it has ended.
    - ``POST /mux``, with ``{"runs": {id: cursor or null}}``: several runs on one stream, in the
      native format; each object has its cursor in ``"id"``.

    Errors are JSON, as ``{"error": {"message": ...}}``.

    Args:
        live: The runs; :meth:`Live.start` is for your own code to call.
        authorize: Is called, and awaited if need be, with the scope, the run's id, and ``"read"``
            or ``"stop"``, before anything is told of the run. False: 403.
        heartbeat: Seconds of silence between signs of life; None: none.
        show_errors: Whether readers may see the texts of exceptions.

    Raises:
        TypeError: If authorize is no function.
        ValueError: If the heartbeat is no time.
    """
    runs = Runs(live, authorize, heartbeat=heartbeat, show_errors=show_errors)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"runs are read over HTTP, not over {scope['type']}")
        try:
            await _route(runs, scope, receive, send)
        except Refusal as refusal:
            await refuse(AsgiReply(send), refusal)
        except ClientGone:
            return

    return app


async def _route(runs: Runs, scope: Scope, receive: Receive, send: Send) -> None:
    match _path(scope), scope["method"]:
        case [run_id, "events"], "GET":
            cursor, wire_format = _asked(scope)

            async def read(reply: Reply) -> None:
                await runs.events(scope, run_id, cursor, wire_format, reply)

            await respond(receive, send, read)
        case [run_id, "stop"], "POST":
            # Not given up if the client leaves: a page that is closed stops its run like this.
            await runs.stop(scope, run_id)
            reply = AsgiReply(send)
            await reply.start(204, {})
            await reply.end()
        case ["mux"], "POST":
            body = await _body(scope, receive)

            async def read_all(reply: Reply) -> None:
                await runs.mux(scope, body, reply)

            await respond(receive, send, read_all)
        case [_, "events"], _:
            raise Refusal(405, "invalid", "this is for GET", {"Allow": "GET"})
        case (([_, "stop"] | ["mux"]), _):
            raise Refusal(405, "invalid", "this is for POST", {"Allow": "POST"})
        case _:
            raise Refusal(404, "unknown", "there is nothing here")


def _path(scope: Scope) -> list[str]:
    """Return the path below where the application is mounted, in its parts."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    # Starlette leaves what it is mounted at in the path, others don't.
    if root and (path == root or path.startswith(root.rstrip("/") + "/")):
        path = path[len(root.rstrip("/")) :]
    return path.strip("/").split("/")


def _asked(scope: Scope) -> tuple[str | None, str]:
    """Return the cursor and the format."""
    try:
        query = dict(parse_qsl(scope["query_string"].decode("ascii"), max_num_fields=_MAX_FIELDS))
    except ValueError as exc:
        raise Refusal(400, "invalid", f"the query can't be read: {exc!s:.100}") from None
    cursor = last_event_id(scope["headers"])
    if cursor is None:
        cursor = checked(query.get("after", ""))
    return cursor, query.get("format", "native")


async def _body(scope: Scope, receive: Receive) -> bytes:
    for name, value in scope["headers"]:
        if name.lower() == b"content-length" and value.isdigit() and int(value) > MAX_MUX_BODY:
            raise too_large()
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone("the client left before it had asked")
        body += message.get("body", b"")
        if len(body) > MAX_MUX_BODY:
            raise too_large()
        if not message.get("more_body", False):
            return bytes(body)


def too_large() -> Refusal:
    """Return the answer to a body that is too large."""
    return Refusal(413, "invalid", f"the body may have {MAX_MUX_BODY:,} bytes")
