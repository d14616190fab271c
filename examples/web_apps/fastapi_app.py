"""DeepSeek in a FastAPI app: answers that survive a reload, stop when asked, and leak nothing.

    export DEEPSEEK_API_KEY=sk-...
    uvicorn fastapi_app:app --timeout-graceful-shutdown 3

The page of `useChat` (AI SDK) can talk to it as it is: /api/chat.
"""

import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated, Any
from weakref import WeakValueDictionary

from fastapi import FastAPI, HTTPException, Query, Request, Response, WebSocket
from pydantic import BaseModel, Field
from starlette.requests import HTTPConnection

from deepseek_async import AsyncDeepSeek, ChatEventStream, DeepSeekError
from deepseek_async.live import Live, Run
from deepseek_async.web import asgi_ws, live_asgi, public_error, while_connected
from deepseek_async.web.starlette import SSEResponse

# The answers of this process; each belongs to the session of a browser.
live = Live(retain=300)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
    """One client for the process; its key and address come from the environment."""
    async with AsyncDeepSeek() as client, live:
        # On SIGTERM readers are sent away properly, before the server begins to wait for them.
        live.drain_on_signal()
        app.state.client = client
        yield


app = FastAPI(lifespan=lifespan)


class Question(BaseModel):
    question: str = Field(min_length=1, max_length=4000)


def conversation(question: str) -> list[dict[str, str]]:
    return [
        {"role": "system", "content": "Answer in a few sentences."},
        {"role": "user", "content": question},
    ]


def answering(connection: HTTPConnection, question: str) -> ChatEventStream:
    """An answer as it is written; nothing is sent before somebody reads it."""
    client: AsyncDeepSeek = connection.app.state.client
    return client.chat.completions.stream(model="deepseek-flash", messages=conversation(question))


# --- A plain answer. If the browser leaves, DeepSeek is told to stop.


@app.post("/ask")
async def ask(request: Request, body: Question) -> dict[str, str | None]:
    client: AsyncDeepSeek = request.app.state.client
    completion = await while_connected(
        request,
        client.chat.completions.create(
            model="deepseek-flash", messages=conversation(body.question)
        ),
    )
    return {"answer": completion.choices[0].message.content}


@app.exception_handler(DeepSeekError)
async def failed(request: Request, exc: DeepSeekError) -> Response:
    """Say what its users may know; the exception's own text tells of the account."""
    status, headers, body = public_error(exc)
    return Response(body, status, headers)


# --- The simplest stream: it ends with its reader.


@app.get("/stream")
async def stream(request: Request, question: str) -> SSEResponse:
    return SSEResponse(answering(request, question))


@app.websocket("/ws")
async def ws(websocket: WebSocket, question: Annotated[str, Query(max_length=4000)]) -> None:
    await asgi_ws(
        websocket.scope, websocket.receive, websocket.send, answering(websocket, question)
    )


# --- Answers that go on without their reader: for reloads, second tabs, bad networks.


async def authorize(scope: Any, run_id: str, action: str) -> bool:
    """Whether this browser may read or stop an answer: if it asked for it."""
    run = await live.find(run_id)
    return run is not None and run.owner == HTTPConnection(scope).cookies.get("session", "")


@app.post("/chat")
async def start(request: Request, response: Response, body: Question) -> dict[str, str]:
    """Start an answer; it is read at /chat/{run}/events, and stopped at /chat/{run}/stop."""
    session = session_of(request)
    run = await live.start(lambda: answering(request, body.question), owner=session, grace=10)
    keep_session(response, session)
    return {"run": run.id}


def session_of(request: Request) -> str:
    """Return what tells this browser from others."""
    return request.cookies.get("session") or secrets.token_urlsafe(24)


def keep_session(response: Response, session: str) -> None:
    """Let the browser remember it. Set `secure=True` too where there is TLS."""
    response.set_cookie("session", session, httponly=True, samesite="strict")


# GET /chat/{run}/events, after the `Last-Event-ID`; POST /chat/{run}/stop; POST /chat/mux.
app.mount("/chat", live_asgi(live, authorize))


# --- The same for `useChat` of the AI SDK, with `resume: true`.

# The last answer of each chat of a browser.
chats: WeakValueDictionary[tuple[str, str], Run] = WeakValueDictionary()


class Part(BaseModel):
    type: str
    text: str = ""


class UIMessage(BaseModel):
    role: str
    parts: list[Part]


class UIChat(BaseModel):
    id: str
    messages: list[UIMessage] = Field(min_length=1, max_length=200)


@app.post("/api/chat")
async def chat(request: Request, body: UIChat) -> Response:
    client: AsyncDeepSeek = request.app.state.client
    messages = [
        {
            "role": message.role,
            "content": "".join(part.text for part in message.parts if part.type == "text"),
        }
        for message in body.messages
        if message.role in ("user", "assistant")
    ]
    session = session_of(request)
    run = await live.start(
        lambda: client.chat.completions.stream(model="deepseek-flash", messages=messages),
        owner=session,
        grace=10,
    )
    chats[session, body.id] = run
    response = SSEResponse(run, format="ai-sdk")
    keep_session(response, session)
    return response


@app.get("/api/chat/{chat_id}/stream")
async def resume(request: Request, chat_id: str) -> Response:
    """What `useChat` asks for after a reload: the answer under way, if there is one."""
    run = chats.get((request.cookies.get("session", ""), chat_id))
    if run is None or run.status != "running":
        return Response(status_code=204)
    return SSEResponse(run, format="ai-sdk")


@app.post("/api/chat/{chat_id}/stop")
async def stop(request: Request, chat_id: str) -> Response:
    """`stop()` of `useChat` only hangs up, which may be a reload; this one is meant."""
    run = chats.get((request.cookies.get("session", ""), chat_id))
    if run is None:
        raise HTTPException(404)
    await run.stop()
    return Response(status_code=204)
