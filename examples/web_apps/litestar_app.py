"""DeepSeek in a Litestar app: answers that survive a reload, stop when asked, and leak nothing.

    export DEEPSEEK_API_KEY=sk-...
    uvicorn litestar_app:app --timeout-graceful-shutdown 3

The routes that `live_asgi` has in the other apps are written out here.
"""

import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import msgspec
from litestar import Litestar, Request, Response, WebSocket, get, post, websocket
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.exceptions import NotFoundException
from litestar.types import ASGIApp

from deepseek_async import AsyncDeepSeek, ChatEventStream, DeepSeekError
from deepseek_async.live import Live, Run
from deepseek_async.web import asgi_sse, asgi_ws, public_error, while_connected

# The answers of this process; each belongs to the session of a browser.
live = Live(retain=300)


@asynccontextmanager
async def lifespan(app: Litestar) -> AsyncGenerator[None]:
    """One client for the process; its key and address come from the environment."""
    async with AsyncDeepSeek() as client, live:
        # On SIGTERM readers are sent away properly, before the server begins to wait for them.
        live.drain_on_signal()
        app.state.client = client
        yield


class Question(msgspec.Struct):
    question: Annotated[str, msgspec.Meta(min_length=1, max_length=4000)]


def conversation(question: str) -> list[dict[str, str]]:
    return [
        {"role": "system", "content": "Answer in a few sentences."},
        {"role": "user", "content": question},
    ]


def answering(state: State, question: str) -> ChatEventStream:
    """An answer as it is written; nothing is sent before somebody reads it."""
    client: AsyncDeepSeek = state.client
    return client.chat.completions.stream(model="deepseek-flash", messages=conversation(question))


# --- A plain answer. If the browser leaves, DeepSeek is told to stop.


@post("/ask", status_code=200)
async def ask(request: Request[Any, Any, State], state: State, data: Question) -> dict[str, Any]:
    client: AsyncDeepSeek = state.client
    completion = await while_connected(
        request,
        client.chat.completions.create(
            model="deepseek-flash", messages=conversation(data.question)
        ),
    )
    return {"answer": completion.choices[0].message.content}


def failed(request: Request[Any, Any, State], exc: DeepSeekError) -> Response[Any]:
    """Say what its users may know; the exception's own text tells of the account."""
    status, headers, body = public_error(exc)
    return Response(body, status_code=status, headers=headers)


# --- The simplest stream: it ends with its reader.


@get("/stream")
async def stream(state: State, question: str) -> ASGIApp:
    return asgi_sse(answering(state, question))


@websocket("/ws")
async def ws(socket: WebSocket[Any, Any, State], state: State, question: str) -> None:
    await asgi_ws(socket.scope, socket.receive, socket.send, answering(state, question))


# --- Answers that go on without their reader: for reloads, second tabs, bad networks.


@post("/chat", status_code=200)
async def start(
    request: Request[Any, Any, State], state: State, data: Question
) -> Response[dict[str, str]]:
    """Start an answer; it is read at /chat/{run}/events, and stopped at /chat/{run}/stop."""
    # What tells this browser from others. Set `secure=True` too where there is TLS.
    session = request.cookies.get("session") or secrets.token_urlsafe(24)
    run = await live.start(lambda: answering(state, data.question), owner=session, grace=10)
    response = Response({"run": run.id})
    response.set_cookie("session", session, httponly=True, samesite="strict")
    return response


@get("/chat/{run_id:str}/events")
async def events(request: Request[Any, Any, State], run_id: str) -> ASGIApp:
    """Read an answer: from the beginning, or from where a connection broke off."""
    return asgi_sse(await own_run(request, run_id))


@post("/chat/{run_id:str}/stop", status_code=204)
async def stop(request: Request[Any, Any, State], run_id: str) -> None:
    run = await own_run(request, run_id)
    await run.stop()


async def own_run(request: ASGIConnection[Any, Any, Any, State], run_id: str) -> Run:
    """Return an answer that this browser asked for; all others are none of its business."""
    run = await live.find(run_id)
    if run is None or run.owner != request.cookies.get("session", ""):
        raise NotFoundException
    return run


app = Litestar(
    [ask, stream, ws, start, events, stop],
    lifespan=[lifespan],
    exception_handlers={DeepSeekError: failed},
    openapi_config=None,
)
