"""`Simulator`: the planned replies of `Core` over real HTTP, with `aiohttp.web`."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from deepseek_async.simulator.clock import Clock
from deepseek_async.simulator.core import Core, Options, Plan, ReceivedRequest
from deepseek_async.simulator.faults import Fault
from deepseek_async.simulator.metrics import Metrics
from deepseek_async.simulator.options import Concurrency, CoreOptions
from deepseek_async.simulator.pace import Amount
from deepseek_async.simulator.playback import Alarm, Playback, reset
from deepseek_async.simulator.scripted import Replay, Reply
from deepseek_async.simulator.wheel import Wheel

if TYPE_CHECKING:
    from deepseek_async import AsyncDeepSeek

# What vision requests may have at most (docs, "Vision").
_MAX_BODY = 48 * 1024 * 1024
# Connections are aborted before this wait begins: it's for requests still being read.
_SHUTDOWN_SECONDS = 1.0
# Tests open thousands of connections at once; the kernel clamps it.
_BACKLOG = 4096

_UNTYPED = web.ResponseKey("untyped", bool)


def _is_loggable(record: logging.LogRecord) -> bool:
    # What clients send that isn't HTTP is no failure here, and aiohttp quotes it: a header with a
    # key in it, if that is what can't be read.
    return record.exc_info is None or not isinstance(record.exc_info[1], HttpProcessingError)


_logger = logging.getLogger(__name__)
_logger.addFilter(_is_loggable)


class Simulator:
    """A DeepSeek server on loopback.

    ``async with`` starts and stops it; `start` and `stop` do the same. It lives in the event loop
    that started it and can be started again, on a new port if `port` is 0.

    Args:
        host: Address to listen on.
        port: 0: any free one.
        tokens_per_second: Pace of each answer; None: as fast as the client reads.
        first_token_seconds: From the request to its first token.
        keep_alive_seconds: Between keep-alives while an answer hasn't begun.
        seed: Of ids and made-up answers.
        keys: API keys that exist; None: all but those that begin with ``sk-bad``.
        max_concurrency: Chat and FIM requests answered at the same time for one account and model;
            more are a 429. ``"deepseek"``: DeepSeek's own limits. None: no limit.
        max_requests_kept: Requests remembered for `requests`; older ones are dropped.
        clock: None: real time, to be pushed forward with ``sim.clock.advance``.
        behaviour: Era, accounts, balance, capacity and cache: the other fields of `Options`.

    Raises:
        ValueError: An option makes no sense.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tokens_per_second: Amount | None = None,
        first_token_seconds: Amount = 0.0,
        keep_alive_seconds: float = 10.0,
        seed: int = 0,
        keys: Iterable[str] | None = None,
        max_concurrency: Concurrency = None,
        max_requests_kept: int = 10_000,
        clock: Clock | None = None,
        **behaviour: Unpack[CoreOptions],
    ) -> None:
        if isinstance(keys, str):
            raise ValueError("keys is a list of API keys; for one of them: keys=[key]")
        self.clock = clock or Clock()
        self._host = host
        self._port = port
        self._core = Core(
            Options(
                tokens_per_second=tokens_per_second,
                first_token_seconds=first_token_seconds,
                keep_alive_seconds=keep_alive_seconds,
                seed=seed,
                keys=None if keys is None else frozenset(keys),
                max_concurrency=max_concurrency,
                max_requests_kept=max_requests_kept,
                **behaviour,
            ),
            self.clock,
        )
        self._metrics = Metrics()
        self._transports: set[asyncio.Transport] = set()
        self._runner: web.AppRunner | None = None
        self._wheel: Wheel | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        await self.stop()

    @property
    def base_url(self) -> str:
        """Where it listens: ``http://127.0.0.1:PORT``.

        Raises:
            RuntimeError: It isn't running.
        """
        if self._runner is None:
            raise RuntimeError("the simulator isn't running: use async with, or await start()")
        host, port = self._runner.addresses[0][:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    @property
    def requests(self) -> deque[ReceivedRequest]:
        """Requests received, oldest first; refused ones too."""
        return self._core.received

    @property
    def metrics(self) -> Metrics:
        """Counters; `open_connections` is as of now."""
        server = self._runner.server if self._runner is not None else None
        self._metrics.open_connections = 0 if server is None else len(server.connections)
        return self._metrics

    def script(self, *replies: Reply | Replay) -> None:
        """Answer the next chat and FIM requests with `replies`, in order.

        Each is used once, or as often as its `times` says, by the first request that it matches
        and that is valid; requests that none matches get the simulator's own answers.

        Raises:
            OSError: The file of a `Replay` can't be read.
            ValueError: The pieces of a `Replay` make no sense.
        """
        for reply in replies:
            if isinstance(reply, Replay):
                reply.pieces()
        self._core.script.extend(replies)

    def faults(self, *faults: Fault | None) -> None:
        """Spoil answers to requests of any kind.

        Those without a `rate` meet the next requests, in order; None lets one pass. Those with a
        `rate` are for good, and may meet what the others leave.
        """
        self._core.faults.extend(faults)

    def reset(self) -> None:
        """Forget scripts, faults and received requests."""
        self._core.script.clear()
        self._core.faults.clear()
        self._core.received.clear()

    def client(self, **options: Any) -> AsyncDeepSeek:
        """A new client of this simulator; closing it is up to the caller.

        Args:
            options: As for `AsyncDeepSeek`; they replace the key, the URL and the dialect that
                fit the simulator.
        """
        from deepseek_async import AsyncDeepSeek

        fitting = {"api_key": "sk-simulated", "base_url": self.base_url, "dialect": "deepseek"}
        # Any: the options are checked by the client itself.
        arguments: dict[str, Any] = {**fitting, **options}
        return AsyncDeepSeek(**arguments)

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: The port is taken.
            RuntimeError: It is running already.
        """
        if self._runner is not None:
            raise RuntimeError("the simulator is running already")
        app = web.Application(client_max_size=_MAX_BODY)
        app.router.add_route("*", "/{path:.*}", self._handle)
        app.on_response_prepare.append(_remove_content_type)
        app.on_shutdown.append(self._abort_all)
        runner = web.AppRunner(
            app,
            access_log=None,
            logger=_logger,
            handle_signals=False,
            # A client that leaves ends its answer at once, not with the next write.
            handler_cancellation=True,
            shutdown_timeout=_SHUTDOWN_SECONDS,
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self._port, backlog=_BACKLOG).start()
        except OSError:
            await runner.cleanup()
            raise
        self._wheel = Wheel(self.clock, self._metrics.lag)
        self._runner = runner

    async def stop(self) -> None:
        """Abort all connections and stop listening; does nothing if it isn't running."""
        runner, self._runner = self._runner, None
        if runner is None:
            return
        try:
            await runner.cleanup()
        finally:
            if self._wheel is not None:
                self._wheel.close()
                self._wheel = None

    async def serve_forever(self) -> None:
        """Start if need be, and serve until cancelled."""
        if self._runner is None:
            await self.start()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await self.stop()

    async def _abort_all(self, app: web.Application) -> None:
        for transport in tuple(self._transports):
            transport.abort()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        started = self.clock.monotonic()
        headers = {name.lower(): value for name, value in request.headers.items()}
        try:
            data = await request.read()
        except web.HTTPRequestEntityTooLarge:
            plan = self._core.too_large(request.method, request.path, headers)
        except web.RequestPayloadError:
            # Broken framing or encoding: what the server could read of the body is nothing.
            plan = self._core.plan(request.method, request.path, headers, b"")
        else:
            plan = self._core.plan(request.method, request.path, headers, data)
        metrics = self._metrics
        metrics.requests += 1
        transport = request.transport
        if transport is None:
            self._core.finish(plan)
            return web.Response()
        metrics.enter()
        self._transports.add(transport)
        try:
            return await self._serve(request, plan, transport, started)
        except asyncio.CancelledError:
            metrics.disconnects += 1
            raise
        except ConnectionError:
            metrics.disconnects += 1
            # It reaches nobody; raised, it would be logged as an error of this server.
            return web.Response()
        finally:
            self._transports.discard(transport)
            self._core.finish(plan)
            metrics.leave()

    async def _serve(
        self, request: web.Request, plan: Plan, transport: asyncio.Transport, started: float
    ) -> web.StreamResponse:
        wheel = self._wheel
        # Stopped while the request was being read.
        if wheel is None:
            transport.abort()
            return web.Response()
        if plan.delay > 0:
            alarm = Alarm()
            wheel.add(alarm, started + plan.delay)
            await alarm.done
        if plan.drop is not None:
            if plan.drop == "reset":
                reset(transport)
            else:
                transport.close()
            return web.Response()
        self._metrics.statuses[plan.status] += 1
        if plan.body is not None:
            response = web.Response(status=plan.status, headers=plan.headers, body=plan.body)
            self._metrics.bytes_sent += len(plan.body)
            _mark(request, response, plan)
            return response
        stream = web.StreamResponse(status=plan.status, headers=plan.headers)
        _mark(request, stream, plan)
        await stream.prepare(request)
        playback = Playback(
            plan.frames,
            transport,
            started + plan.delay,
            is_chunked="Transfer-Encoding" in stream.headers,
            metrics=self._metrics,
        )
        wheel.run(playback)

        def hasten(seconds: float) -> None:
            playback.hasten(seconds)
            wheel.rerun(playback)

        if plan.lease is not None and plan.lease.turn is not None:
            plan.lease.turn.on_earlier.append(hasten)
        try:
            is_whole = await playback.done
        finally:
            playback.stop()
        if is_whole:
            await stream.write_eof()
            if plan.closes:
                transport.close()
        return stream


def _mark(request: web.Request, response: web.StreamResponse, plan: Plan) -> None:
    if plan.is_chunked:
        if request.version >= (1, 1):
            response.enable_chunked_encoding()
        else:
            # Only the end of the connection tells these clients where the body ends.
            response.force_close()
    if not any(name.lower() == "content-type" for name in plan.headers):
        response[_UNTYPED] = True


async def _remove_content_type(request: web.Request, response: web.StreamResponse) -> None:
    # aiohttp gives every body a type; some of DeepSeek's errors have none.
    if response.get(_UNTYPED):
        response.headers.pop("Content-Type", None)
