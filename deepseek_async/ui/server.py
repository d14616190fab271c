"""The server of the page."""

import errno
from types import TracebackType
from typing import Self

from aiohttp import web

from deepseek_async import AsyncDeepSeek
from deepseek_async.live import Live
from deepseek_async.ui.files import Files
from deepseek_async.ui.guard import Guard
from deepseek_async.ui.routes import Routes
from deepseek_async.web import live_aiohttp

#: Where it listens if nobody says where, and if that is free.
PORT = 8765
_MAX_BODY = 512 << 10
_MAX_RUNS = 1_000
_MAX_ANSWER = 2 << 20
_MAX_RETAINED = 64 << 20
# How long readers have to go when it ends, and then the connections that are left, in seconds.
_DRAIN_SECONDS = 1.0
_SHUTDOWN_SECONDS = 1.0


class UIServer:
    """Serves the page, for one client, until it is stopped; an async context manager.

    Args:
        client: Whom to ask.
        host: Address to listen on.
        port: 0: any free one. None: 8765, or any other if that is taken.
        model: The model that the page begins with.
        simulated: Whether the answers are made up, and cost nothing.
        greet: Whether a page that is opened first asks a question by itself. Only if simulated.

    Attributes:
        live: The runs.
    """

    def __init__(
        self,
        client: AsyncDeepSeek,
        *,
        host: str = "127.0.0.1",
        port: int | None = None,
        model: str = "deepseek-flash",
        simulated: bool = False,
        greet: bool = False,
    ) -> None:
        self._client = client
        self._host = host
        self._port = port
        self._model = model
        self._simulated = simulated
        self._greet = greet and simulated
        self._guard = Guard(host)
        self._runner: web.AppRunner | None = None
        self._routes: Routes | None = None
        self.live = Live(
            max_runs=_MAX_RUNS, max_bytes=_MAX_ANSWER, max_retained_bytes=_MAX_RETAINED
        )

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    @property
    def url(self) -> str:
        """What to open, with the token in it.

        Raises:
            RuntimeError: If it isn't running.
        """
        return f"{self._address()}?token={self._guard.token}"

    def url_for_once(self) -> str:
        """Return what opens the page a single time, for where others may see it.

        Raises:
            RuntimeError: If it isn't running.
        """
        return f"{self._address()}?pass={self._guard.issue_pass()}"

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: If it can't; the message says why.
        """
        routes = Routes(
            self._client,
            self.live,
            model=self._model,
            simulated=self._simulated,
            greet=self._greet,
        )
        runner = web.AppRunner(
            self._app(routes), access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS
        )
        try:
            await runner.setup()
            await self._listen(runner)
        except BaseException:
            await routes.aclose()
            await runner.cleanup()
            raise
        self._runner, self._routes = runner, routes

    async def stop(self) -> None:
        """Tell all pages to come back later, let their connections end, and listen no more."""
        runner, routes = self._runner, self._routes
        if runner is None or routes is None:
            return
        self._runner = self._routes = None
        try:
            await self.live.drain(_DRAIN_SECONDS)
            await routes.aclose()
        finally:
            await runner.cleanup()

    def _address(self) -> str:
        if self._runner is None:
            raise RuntimeError("the page isn't served: use async with, or await start()")
        host, port = self._runner.addresses[0][:2]
        if host in ("0.0.0.0", "::"):
            host = "127.0.0.1"
        at = f"[{host}]" if ":" in host else host
        return f"http://{at}:{port}/"

    def _app(self, routes: Routes) -> web.Application:
        app = web.Application(middlewares=[self._guard.middleware()], client_max_size=_MAX_BODY)
        app.on_response_prepare.append(self._guard.add_headers)
        files = Files()
        app.router.add_get("/", files.index)
        app.router.add_get("/static/{name}", files.file)
        app.router.add_routes(routes.table())
        app.add_subapp("/runs/", live_aiohttp(self.live, _anything, show_errors=True))
        return app

    async def _listen(self, runner: web.AppRunner) -> None:
        port = PORT if self._port is None else self._port
        try:
            await web.TCPSite(runner, self._host, port).start()
        except OSError as exc:
            if self._port is not None or exc.errno != errno.EADDRINUSE:
                raise OSError(_reason(exc, self._host, port)) from exc
            await web.TCPSite(runner, self._host, 0).start()


def _anything(request: object, run_id: str, action: str) -> bool:
    """Whoever has passed the guard may read and stop everything, and runs the service."""
    return True


def _reason(exc: OSError, host: str, port: int) -> str:
    if exc.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is in use: choose another one with --port, or 0 for any"
    return f"can't listen on {host} port {port}: {exc.strerror or exc}"
