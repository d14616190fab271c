"""DeepSeek in a Starlette app: answers that survive a reload, stop when asked, and leak nothing.

    export DEEPSEEK_API_KEY=sk-...
    uvicorn starlette_app:app --timeout-graceful-shutdown 3

Clients of OpenAI's API can use it as it is: /v1/chat/completions.
"""

import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, cast

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket

from deepseek_async import AsyncDeepSeek, ChatEventStream, ChatParams, DeepSeekError
from deepseek_async.live import Live
from deepseek_async.web import asgi_ws, live_asgi, public_error, while_connected
from deepseek_async.web.starlette import SSEResponse

# The answers of this process; each belongs to the session of a browser.
live = Live(retain=300)


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncGenerator[None]:
    """One client for the process; its key and address come from the environment."""
    async with AsyncDeepSeek() as client, live:
        # On SIGTERM readers are sent away properly, before the server begins to wait for them.
        live.drain_on_signal()
        app.state.client = client
        yield


def conversation(question: str) -> list[dict[str, str]]:
    if not 0 < len(question) <= 4000:
        raise HTTPException(422, "a question has 1 to 4000 characters")
    return [
        {"role": "system", "content": "Answer in a few sentences."},
        {"role": "user", "content": question},
    ]


def answering(connection: HTTPConnection, question: str) -> ChatEventStream:
    """An answer as it is written; nothing is sent before somebody reads it."""
    client: AsyncDeepSeek = connection.app.state.client
    return client.chat.completions.stream(model="deepseek-flash", messages=conversation(question))


async def question_of(request: Request) -> str:
    return str((await request.json())["question"])


# --- A plain answer. If the browser leaves, DeepSeek is told to stop.


async def ask(request: Request) -> Response:
    client: AsyncDeepSeek = request.app.state.client
    question = await question_of(request)
    completion = await while_connected(
        request,
        client.chat.completions.create(model="deepseek-flash", messages=conversation(question)),
    )
    return JSONResponse({"answer": completion.choices[0].message.content})


async def failed(request: Request, exc: Exception) -> Response:
    """Say what its users may know; the exception's own text tells of the account."""
    status, headers, body = public_error(exc)
    return Response(body, status, headers)


# --- The simplest stream: it ends with its reader.


async def stream(request: Request) -> Response:
    return SSEResponse(answering(request, request.query_params.get("question", "")))


async def ws(websocket: WebSocket) -> None:
    question = websocket.query_params.get("question", "")
    await asgi_ws(
        websocket.scope, websocket.receive, websocket.send, answering(websocket, question)
    )


# --- Answers that go on without their reader: for reloads, second tabs, bad networks.


async def authorize(scope: Any, run_id: str, action: str) -> bool:
    """Whether this browser may read or stop an answer: if it asked for it."""
    run = await live.find(run_id)
    return run is not None and run.owner == HTTPConnection(scope).cookies.get("session", "")


async def start(request: Request) -> Response:
    """Start an answer; it is read at /chat/{run}/events, and stopped at /chat/{run}/stop."""
    answer = answering(request, await question_of(request))
    # What tells this browser from others. Set `secure=True` too where there is TLS.
    session = request.cookies.get("session") or secrets.token_urlsafe(24)
    run = await live.start(answer, owner=session, grace=10)
    response = JSONResponse({"run": run.id})
    response.set_cookie("session", session, httponly=True, samesite="strict")
    return response


# --- The API of OpenAI, for clients that speak it: DeepSeek's own bytes pass through.

# No more than these: the options of the library's calls are not for strangers.
PARAMETERS = (
    *("messages", "max_tokens", "temperature", "top_p", "stop", "thinking"),
    *("tools", "tool_choice", "response_format"),
)


async def completions(request: Request) -> Response:
    """Put your own authentication in front: whoever gets here spends your money."""
    client: AsyncDeepSeek = request.app.state.client
    body = await request.json()
    known = {name: body[name] for name in PARAMETERS if name in body}
    params = cast("ChatParams", {"model": "deepseek-flash", **known})
    if body.get("stream"):
        # A refusal becomes the status of the response, as clients of this API expect.
        answer = client.chat.completions.stream(**params)
        return SSEResponse(answer, format="openai", wait_first=30)
    completion = await while_connected(request, client.chat.completions.create(**params))
    return Response(completion.model_dump_json(), media_type="application/json")


app = Starlette(
    lifespan=lifespan,
    exception_handlers={DeepSeekError: failed},
    routes=[
        Route("/ask", ask, methods=["POST"]),
        Route("/stream", stream),
        WebSocketRoute("/ws", ws),
        Route("/chat", start, methods=["POST"]),
        # GET /chat/{run}/events, after the `Last-Event-ID`; POST /chat/{run}/stop; POST /chat/mux.
        Mount("/chat", live_asgi(live, authorize)),
        Route("/v1/chat/completions", completions, methods=["POST"]),
    ],
)
