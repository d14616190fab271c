"""The same in the frameworks that people use, as they would write it."""

import asyncio
import subprocess
import sys
from typing import Any

import pytest
from aiohttp import web

from deepseek_async.live import Live
from deepseek_async.simulator import Fault, Reply, Simulator
from deepseek_async.web import asgi_sse, live_aiohttp, live_asgi
from tests.web.apps import QUESTION
from tests.web.browser import Browser, fetch, until
from tests.web.serving import serving, tasks
from tests.web.test_live_routes import mux, reading

TEXT = "Rain is water that falls."


def allow(*_: Any) -> bool:
    return True


async def test_fastapi_returns_a_response_of_ours() -> None:
    fastapi = pytest.importorskip("fastapi", reason="FastAPI is not installed")
    from starlette.background import BackgroundTask
    from starlette.middleware.gzip import GZipMiddleware

    from deepseek_async.web.starlette import SSEResponse

    after: list[str] = []
    async with Simulator() as sim, sim.client() as client, Live() as live:
        app = fastapi.FastAPI()
        app.add_middleware(GZipMiddleware, minimum_size=0)

        async def through(request: Any, call_next: Any) -> Any:
            response = await call_next(request)
            response.headers["X-Seen"] = "yes"
            return response

        async def ask() -> Any:
            response = SSEResponse(
                client.chat.completions.stream(**QUESTION),
                headers={"X-Ours": "1", "cache-control": "private"},
                background=BackgroundTask(after.append, "done"),
            )
            response.set_cookie("session", "abc")
            return response

        app.middleware("http")(through)
        app.get("/ask")(ask)
        app.mount("/runs", live_asgi(live, allow))
        async with serving(app) as port:
            sim.script(Reply(TEXT))
            response = await fetch(port, "/ask", headers="Accept-Encoding: gzip\r\n")
            assert response.text == TEXT
            assert response.headers["x-ours"] == "1"
            assert response.headers["cache-control"] == "private"
            assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
            assert response.headers["set-cookie"].startswith("session=abc")
            assert response.headers["x-seen"] == "yes"
            await until(lambda: after == ["done"])

            before = tasks()
            sim.faults(Fault("delay", seconds=60))
            async with Browser(port) as browser:
                await browser.ask("/ask")
                await browser.until(b": ok")
                await until(lambda: sim.metrics.in_flight == 1)
            await until(lambda: sim.metrics.open_connections == 0)
            await until(lambda: not tasks() - before)
            await mounted(port, "/runs", live)


async def mounted(port: int, prefix: str, live: Live) -> None:
    """Ask for everything below where the runs of a `Live` are mounted."""
    run, words = await reading(live, "Rain", id="r")
    response = asyncio.create_task(fetch(port, f"{prefix}/r/events"))
    await until(lambda: run.readers == 1)
    assert (await fetch(port, f"{prefix}/r/stop", method="POST")).status == 204
    assert (await response).text == "Rain"
    assert words.closed
    assert (await fetch(port, f"{prefix}/nobody/events")).status == 404
    assert (await fetch(port, f"{prefix}/r/events?after={run.cursor}")).status == 204


async def test_starlette_routes_and_mounts() -> None:
    pytest.importorskip("starlette", reason="Starlette is not installed")
    from starlette.applications import Starlette
    from starlette.routing import Mount, Route

    from deepseek_async.web.starlette import SSEResponse

    async with Simulator() as sim, sim.client() as client, Live() as live:

        async def ask(request: Any) -> Any:
            return SSEResponse(
                client.chat.completions.stream(**QUESTION), format=request.path_params["format"]
            )

        app = Starlette(
            routes=[
                Route("/ask/{format}", ask),
                Route("/direct", asgi_sse(lambda: client.chat.completions.stream(**QUESTION))),
                Mount("/deep/runs", live_asgi(live, allow)),
            ]
        )
        async with serving(app) as port:
            for path in ("/ask/native", "/direct", "/direct"):
                sim.script(Reply(TEXT))
                assert (await fetch(port, path)).text == TEXT
            sim.script(Reply(TEXT))
            openai = await fetch(port, "/ask/openai")
            assert openai.body.endswith(b"data: [DONE]\n\n")
            await mounted(port, "/deep/runs", live)


async def test_litestar_returns_and_mounts() -> None:
    pytest.importorskip("litestar", reason="Litestar is not installed")
    from litestar import Litestar, asgi, get
    from litestar.types import ASGIApp

    async with Simulator() as sim, sim.client() as client, Live() as live:

        @get("/ask")
        async def ask() -> ASGIApp:
            return asgi_sse(client.chat.completions.stream(**QUESTION))

        runs: Any = asgi("/runs", is_mount=True, copy_scope=True)(live_asgi(live, allow))
        async with serving(Litestar([ask, runs])) as port:
            sim.script(Reply(TEXT))
            assert (await fetch(port, "/ask")).text == TEXT
            await mounted(port, "/runs", live)


async def test_aiohttp_has_a_sub_application() -> None:
    async with Live() as live:
        app = web.Application()
        app.add_subapp("/deep/runs/", live_aiohttp(live, allow))
        async with serving(app) as port:
            await mounted(port, "/deep/runs", live)


async def test_a_prefix_may_be_stripped_by_a_proxy() -> None:
    async with Live() as live:
        inner = live_asgi(live, allow)

        async def stripped(scope: Any, receive: Any, send: Any) -> None:
            await inner({**scope, "root_path": "/behind/proxy"}, receive, send)

        async with serving(stripped) as port:
            await mounted(port, "", live)
            run, words = await reading(live, "Rain")
            words.go_on.set()
            await run.wait()
            assert (await mux(port, {run.id: None})).status == 200


async def test_other_protocols_are_refused_clearly() -> None:
    async def never(*_: Any) -> Any:
        raise AssertionError

    for app in (live_asgi(Live(), allow), asgi_sse(never)):
        for scope in ("lifespan", "websocket"):
            with pytest.raises(RuntimeError, match=f"not over {scope}"):
                await app({"type": scope}, never, never)


def test_no_framework_is_imported_unless_it_is_used() -> None:
    program = (
        "import sys, deepseek_async.web as w; "
        "w.asgi_sse, w.live_asgi, w.asgi_ws, w.while_connected, w.sse_bytes; "
        "names = 'starlette fastapi litestar uvicorn aiohttp.web'; "
        "found = set(names.split()) & set(sys.modules); "
        "assert not found, found"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_every_public_name_is_there() -> None:
    import deepseek_async.web as module

    for name in module.__all__:
        assert callable(getattr(module, name))
    assert set(module.__all__) <= set(dir(module))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = module.nothing
