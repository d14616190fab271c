"""`while_connected`: what comes of the awaited, whoever leaves, and whenever."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import anyio
import pytest
import trustme
from aiohttp import web

from deepseek_async import DeepSeekError
from deepseek_async.simulator import Fault, Simulator
from deepseek_async.web import ClientGone, aiohttp_sse, while_connected
from tests.web.apps import QUESTION
from tests.web.browser import Browser, fetch, until
from tests.web.serving import serving, tasks

starlette_applications = pytest.importorskip("starlette.applications", reason="no Starlette")


class Client:
    """A `receive` of ASGI, and when the client leaves."""

    def __init__(self) -> None:
        self.gone = asyncio.Event()
        self.body = [{"type": "http.request", "body": b"", "more_body": False}]

    async def __call__(self) -> Any:
        if self.body:
            return self.body.pop()
        await self.gone.wait()
        return {"type": "http.disconnect"}


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.fixture(autouse=True)
async def _no_task_is_left() -> Any:
    yield
    assert tasks() == set()


async def test_the_result_comes_back(client: Client) -> None:
    assert await while_connected(client, asyncio.sleep(0, "rain")) == "rain"


async def test_a_future_is_as_good(client: Client) -> None:
    future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    future.set_result("rain")
    assert await while_connected(client, future) == "rain"


async def test_its_exception_comes_through(client: Client) -> None:
    async def fail() -> None:
        raise LookupError("no rain")

    with pytest.raises(LookupError, match="no rain"):
        await while_connected(client, fail())


async def test_leaving_cancels_and_is_told(client: Client) -> None:
    cleaned: list[str] = []

    async def wait() -> None:
        try:
            client.gone.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            cleaned.append("up")

    with pytest.raises(ClientGone) as excinfo:
        await while_connected(client, wait())
    assert cleaned == ["up"]
    assert isinstance(excinfo.value, DeepSeekError)


async def test_a_client_that_has_left_before_ends_it_at_once(client: Client) -> None:
    client.gone.set()
    with pytest.raises(ClientGone):
        await while_connected(client, asyncio.Event().wait())


async def test_a_result_in_the_same_moment_is_not_lost(client: Client) -> None:
    async def both() -> str:
        client.gone.set()
        for _ in range(turns):
            await asyncio.sleep(0)
        return "rain"

    for turns in range(6):
        client.gone.clear()
        try:
            assert await while_connected(client, both()) == "rain"
        except ClientGone:
            assert turns > 1


async def test_a_result_in_spite_of_the_cancellation_is_not_lost(client: Client) -> None:
    async def stubborn() -> str:
        try:
            client.gone.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "rain"
        return ""

    assert await while_connected(client, stubborn()) == "rain"


async def test_an_exception_on_the_way_out_is_not_lost(client: Client) -> None:
    async def clumsy() -> None:
        try:
            client.gone.set()
            await asyncio.Event().wait()
        finally:
            raise LookupError("clumsy")

    with pytest.raises(LookupError, match="clumsy"):
        await while_connected(client, clumsy())


async def test_cancelled_itself_it_waits_for_the_work_to_end(client: Client) -> None:
    cleaned: list[str] = []

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            cleaned.append("up")

    waiting = asyncio.create_task(while_connected(client, wait()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert cleaned == ["up"]


async def test_further_cancellations_reach_the_work(client: Client) -> None:
    seen: list[str] = []

    async def wait() -> None:
        for _ in range(3):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                seen.append("cancelled")

    waiting = asyncio.create_task(while_connected(client, wait()))
    while not waiting.done():
        await asyncio.sleep(0)
        waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert len(seen) >= 3


async def test_cancelled_itself_the_exception_of_the_work_comes_through(client: Client) -> None:
    async def clumsy() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise LookupError("clumsy")

    waiting = asyncio.create_task(while_connected(client, clumsy()))
    await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(LookupError, match="clumsy"):
        await waiting


async def test_timeouts_around_it_work(client: Client) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await while_connected(client, asyncio.Event().wait())


async def test_cancel_scopes_around_it_work(client: Client) -> None:
    cleaned: list[str] = []

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.append("up")

    with anyio.move_on_after(0.01) as scope:
        await while_connected(client, wait())
    assert scope.cancelled_caught
    async with anyio.create_task_group() as group:
        group.start_soon(while_connected, client, wait())
        await asyncio.sleep(0.01)
        group.cancel_scope.cancel()
    assert cleaned == ["up", "up"]


async def test_a_receive_that_raises_ends_the_work_and_is_told() -> None:
    async def receive() -> Any:
        raise RuntimeError("receive was called too often")

    with pytest.raises(RuntimeError, match="too often"):
        await while_connected(receive, asyncio.Event().wait())


async def test_what_is_no_connection_is_refused() -> None:
    for wrong in (3, None, "request"):
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        with pytest.raises(TypeError, match="takes the `receive` of ASGI, or the request"):
            await while_connected(wrong, done)


async def test_what_cannot_be_awaited_is_refused(client: Client) -> None:
    with pytest.raises(TypeError, match="awaitable"):
        await while_connected(client, 3)  # type: ignore[arg-type]  # that is the point


async def test_a_coroutine_is_not_forgotten_for_it() -> None:
    # It would complain that nobody awaited it.
    with pytest.raises(TypeError):
        await while_connected(3, asyncio.sleep(0))


async def test_in_aiohttp_with_any_setting_and_twice_at_once() -> None:
    outcomes: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        async def once() -> None:
            try:
                await while_connected(request, asyncio.Event().wait())
            except ClientGone:
                outcomes.append("gone")
                raise

        await asyncio.gather(once(), once(), return_exceptions=True)
        # It has left already.
        with pytest.raises(ClientGone):
            await while_connected(request, asyncio.Event().wait())
        outcomes.append("gone")
        return web.Response()

    app = web.Application()
    app.router.add_get("/", handler)
    async with serving(app) as port:
        async with Browser(port) as browser:
            await browser.ask("/")
            await asyncio.sleep(0.01)
        await until(lambda: len(outcomes) == 3)
    assert outcomes == ["gone"] * 3


Handler = Callable[[Any], Awaitable[Any]]


def starlette(handler: Handler, middleware: bool) -> Any:
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.base import BaseHTTPMiddleware
    from starlette.routing import Route

    async def through(request: Any, call_next: Any) -> Any:
        return await call_next(request)

    layers = [Middleware(BaseHTTPMiddleware, dispatch=through)] * (2 if middleware else 0)
    return Starlette(routes=[Route("/", handler, methods=["GET", "POST"])], middleware=layers)


def fastapi(handler: Handler, middleware: bool) -> Any:
    framework = pytest.importorskip("fastapi", reason="FastAPI is not installed")
    app = framework.FastAPI()
    if middleware:

        async def through(request: Any, call_next: Any) -> Any:
            return await call_next(request)

        app.middleware("http")(through)

    async def endpoint(request: Any) -> Any:
        return await handler(request)

    endpoint.__annotations__ = {"request": framework.Request}
    app.api_route("/", methods=["GET", "POST"], response_model=None)(endpoint)
    return app


@pytest.mark.parametrize("make", [starlette, fastapi])
@pytest.mark.parametrize("middleware", [False, True], ids=["bare", "behind middleware"])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_in_frameworks_the_upstream_is_closed(
    make: Callable[[Handler, bool], Any], middleware: bool, method: str
) -> None:
    from starlette.responses import Response

    outcomes: list[str] = []

    async with Simulator() as sim, sim.client(max_retries=0) as client:

        async def handler(request: Any) -> Any:
            await request.body()
            try:
                answer = client.chat.completions.create(**QUESTION)
                completion = await while_connected(request, answer)
            except ClientGone:
                outcomes.append("gone")
                return Response(status_code=499)
            outcomes.append("answered")
            return Response(completion.choices[0].message.content)

        async with serving(make(handler, middleware)) as port:
            assert (await fetch(port, "/", method=method, body=b"hi")).status == 200
            sim.faults(Fault("delay", seconds=60))
            async with Browser(port) as browser:
                await browser.ask("/", method=method, body=b"hi")
                await until(lambda: sim.metrics.in_flight == 1)
            await until(lambda: sim.metrics.open_connections == 0)
            await until(lambda: len(outcomes) == 2)
    assert outcomes == ["answered", "gone"]


@pytest.mark.parametrize("answers", ["plain", "stream"])
async def test_leaving_over_tls_is_leaving(answers: str, caplog: pytest.LogCaptureFixture) -> None:
    authority = trustme.CA()
    mine = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(mine)
    theirs = ssl.create_default_context()
    authority.configure_trust(theirs)
    begun, ended = asyncio.Event(), asyncio.Event()
    raised: list[BaseException] = []

    async def silent() -> AsyncGenerator[str]:
        begun.set()
        try:
            await asyncio.Event().wait()
            yield ""
        finally:
            ended.set()

    async def handler(request: web.Request) -> web.StreamResponse:
        try:
            if answers == "stream":
                return await aiohttp_sse(request, silent)
            await while_connected(request, anext(silent()))
        except BaseException as exc:
            raised.append(exc)
        return web.Response()

    app = web.Application()
    app.router.add_get("/", handler)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=mine)
        await site.start()
        port = runner.addresses[0][1]
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=theirs)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await begun.wait()
        writer.close()
        await ended.wait()
        await until(lambda: not tasks())
    finally:
        await runner.cleanup()
    assert [type(exc) for exc in raised] == ([ClientGone] if answers == "plain" else [])
    assert caplog.text == ""
