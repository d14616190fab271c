"""DeepSeek in an aiohttp.web app: answers that survive a reload, stop when asked, and leak nothing.

    export DEEPSEEK_API_KEY=sk-...
    python aiohttp_app.py

Its page, http://127.0.0.1:8000, asks, follows, stops, and goes on after a reload.
"""

import base64
import hashlib
import os
import secrets
from collections.abc import AsyncIterator

from aiohttp import web
from aiohttp.typedefs import Handler

from deepseek_async import AsyncDeepSeek, ChatEventStream, DeepSeekError
from deepseek_async.live import Live
from deepseek_async.web import (
    aiohttp_sse,
    aiohttp_ws,
    live_aiohttp,
    public_error,
    while_connected,
)

CLIENT = web.AppKey("client", AsyncDeepSeek)

# The answers of this process; each belongs to the session of a browser.
live = Live(retain=300)

routes = web.RouteTableDef()


async def lifespan(app: web.Application) -> AsyncIterator[None]:
    """One client for the process; its key and address come from the environment."""
    async with AsyncDeepSeek() as client, live:
        # On SIGTERM readers are sent away properly, before the server begins to wait for them.
        live.drain_on_signal()
        app[CLIENT] = client
        yield


def conversation(question: str) -> list[dict[str, str]]:
    if not 0 < len(question) <= 4000:
        raise web.HTTPUnprocessableEntity(text="a question has 1 to 4000 characters")
    return [
        {"role": "system", "content": "Answer in a few sentences."},
        {"role": "user", "content": question},
    ]


def answering(request: web.Request, question: str) -> ChatEventStream:
    """An answer as it is written; nothing is sent before somebody reads it."""
    return request.app[CLIENT].chat.completions.stream(
        model="deepseek-flash", messages=conversation(question)
    )


# --- A plain answer. If the browser leaves, DeepSeek is told to stop.


@routes.post("/ask")
async def ask(request: web.Request) -> web.Response:
    question = (await request.json())["question"]
    completion = await while_connected(
        request,
        request.app[CLIENT].chat.completions.create(
            model="deepseek-flash", messages=conversation(question)
        ),
    )
    return web.json_response({"answer": completion.choices[0].message.content})


@web.middleware
async def failures(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Say what its users may know; an exception's own text tells of the account."""
    try:
        return await handler(request)
    except DeepSeekError as exc:
        status, headers, body = public_error(exc)
        return web.Response(body=body, status=status, headers=headers)


# --- The simplest stream: it ends with its reader.


@routes.get("/stream")
async def stream(request: web.Request) -> web.StreamResponse:
    return await aiohttp_sse(request, answering(request, request.query.get("question", "")))


@routes.get("/ws")
async def ws(request: web.Request) -> web.StreamResponse:
    return await aiohttp_ws(request, answering(request, request.query.get("question", "")))


# --- Answers that go on without their reader: for reloads, second tabs, bad networks.


async def authorize(request: web.Request, run_id: str, action: str) -> bool:
    """Whether this browser may read or stop an answer: if it asked for it."""
    run = await live.find(run_id)
    return run is not None and run.owner == request.cookies.get("session", "")


@routes.post("/chat")
async def start(request: web.Request) -> web.Response:
    """Start an answer; it is read at /chat/{run}/events, and stopped at /chat/{run}/stop."""
    answer = answering(request, (await request.json())["question"])
    # What tells this browser from others. Set `secure=True` too where there is TLS.
    session = request.cookies.get("session") or secrets.token_urlsafe(24)
    run = await live.start(answer, owner=session, grace=10)
    response = web.json_response({"run": run.id})
    response.set_cookie("session", session, httponly=True, samesite="Strict")
    return response


# --- The page. It makes no HTML of what the model says, and could run no other script.

SCRIPT = """
"use strict";
const find = (id) => document.getElementById(id);

// Follow an answer, over broken connections; `show` is told of all that has come so far.
function follow(url, show) {
  const empty = () => ({ text: "", reasoning: "", tools: Object.create(null) });
  const answer = { ...empty(), queued: 0, done: null };
  let cursor = null, failures = 0, source;
  function connect() {
    source = new EventSource(cursor === null ? url : `${url}?after=${cursor}`);
    source.onmessage = (message) => {
      const batch = JSON.parse(message.data);
      if (message.lastEventId) cursor = message.lastEventId;
      failures = 0;
      if (batch.reset) Object.assign(answer, empty());
      for (const [kind, value, name, id] of batch.d) {
        if (kind === "text" || kind === "reasoning") answer[kind] += value;
        else if (kind === "queued") answer.queued = value;
        else if (kind.startsWith("tool:"))
          (answer.tools[id] ??= { name, arguments: "" }).arguments += value;
      }
      if (batch.done) { answer.done = batch.done; source.close(); }
      show(answer);
    };
    source.onerror = () => {
      // It connects again by itself, unless it was refused: a server that restarts, a proxy.
      if (source.readyState === EventSource.CLOSED && !answer.done && failures++ < 10)
        setTimeout(connect, 1000);
    };
  }
  connect();
  return () => source.close();
}

function show(answer) {
  find("answer").textContent = answer.text;
  find("status").textContent = answer.done ? answer.done.status
    : answer.text ? "answering" : answer.reasoning ? "thinking" : `queued ${answer.queued} s`;
}

let leave = () => {};

function read(run) {
  leave();
  sessionStorage.run = run;
  find("stop").onclick = () => fetch(`/chat/${run}/stop`, { method: "POST" });
  leave = follow(`/chat/${run}/events`, show);
}

find("form").onsubmit = async (event) => {
  event.preventDefault();
  const body = JSON.stringify({ question: find("question").value });
  const response = await fetch("/chat", { method: "POST", body });
  if (response.ok) read((await response.json()).run);
  else find("status").textContent = "No answer at the moment.";
};

if (sessionStorage.run) read(sessionStorage.run);
"""

PAGE = f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Ask</title>
<form id="form"><input id="question" required maxlength="4000" autofocus><button>Ask</button></form>
<p><output id="status"></output> <button id="stop">Stop</button></p>
<pre id="answer"></pre>
<script>{SCRIPT}</script>
"""

SCRIPT_HASH = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
POLICY = f"default-src 'none'; connect-src 'self'; script-src 'sha256-{SCRIPT_HASH}'"


@routes.get("/")
async def page(request: web.Request) -> web.Response:
    return web.Response(
        text=PAGE, content_type="text/html", headers={"Content-Security-Policy": POLICY}
    )


def make_app() -> web.Application:
    app = web.Application(middlewares=[failures])
    app.cleanup_ctx.append(lifespan)
    app.add_routes(routes)
    # GET /chat/{run}/events, after the `Last-Event-ID`; POST /chat/{run}/stop; POST /chat/mux.
    app.add_subapp("/chat", live_aiohttp(live, authorize))
    return app


if __name__ == "__main__":
    port = int(os.environ.get("PORT", "8000"))
    web.run_app(make_app(), host="127.0.0.1", port=port, shutdown_timeout=3)
