"""`Recorder`: a proxy that stores what a host answers."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterable
from os import PathLike
from typing import TYPE_CHECKING, Any, cast

from aiohttp import web
from multidict import CIMultiDict

from deepseek_async.simulator.core import Plan, ReceivedRequest
from deepseek_async.simulator.faults import Fault
from deepseek_async.simulator.playback import reset
from deepseek_async.simulator.recording.draft import Draft
from deepseek_async.simulator.recording.exchange import End
from deepseek_async.simulator.recording.folder import Existing, RecordingFolder
from deepseek_async.simulator.recording.headers import (
    passed_on,
    stored,
    without_secret_parameters,
)
from deepseek_async.simulator.recording.redaction import Redactor
from deepseek_async.simulator.recording.upstream import Upstream, UpstreamAnswer, UpstreamError
from deepseek_async.simulator.scripted import Body, Replay, Reply
from deepseek_async.simulator.server import (
    Simulator,
    _mark,  # pyright: ignore[reportPrivateUsage]  # framing is the same for both
)

if TYPE_CHECKING:
    from deepseek_async import AsyncDeepSeek

_logger = logging.getLogger(__name__)

# Keys of requests, which answers to later ones may quote. More than this many clients of different
# keys don't use one recorder.
_MAX_KEYS = 64


class Recorder(Simulator):
    """A proxy on loopback in front of a host, that stores every exchange without its secrets.

    It has what a `Simulator` has, so that a test need not know which of them it talks to. Requests
    are passed on with the key that the client sends; streams come through block by block.

    What is stored: method, path, body, time, status, the headers of an allow list, and when each
    block of the answer came. Keys and cookies of headers are searched for in all of that, and
    replaced, also where a model spells them out over several events; not in log probabilities.
    ``user_id`` is kept, since requests are matched by it.

    Args:
        base_url: The host, as clients would be given it.
        folder: Where to store, one file an exchange; made if need be.
        host: Address to listen on.
        port: 0: any free one.
        existing: What to do with recordings that are in the folder: ``"refuse"`` to start,
            ``"replace"`` them, or ``"add"`` to them.
        redact: Further secrets; of at least 6 characters each.
        on_problem: Called with a sentence for what couldn't be stored; None: it is logged.
        max_requests_kept: Requests remembered for `requests`; older ones are dropped.

    Raises:
        ValueError: An argument makes no sense.
    """

    def __init__(
        self,
        base_url: str,
        folder: str | PathLike[str],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        existing: Existing = "refuse",
        redact: Iterable[str] = (),
        on_problem: Callable[[str], None] | None = None,
        max_requests_kept: int = 10_000,
    ) -> None:
        super().__init__(host=host, port=port, max_requests_kept=max_requests_kept)
        self._upstream = Upstream(base_url)
        self._folder = RecordingFolder(folder)
        self._existing: Existing = existing
        self._redact = _secrets(redact)
        self._keys: dict[str, None] = {}
        self._on_problem = on_problem or _logger.error
        self._lost = 0
        self._first_failure: OSError | None = None
        self._storing: set[asyncio.Task[None]] = set()

    def script(self, *replies: Reply | Replay) -> None:
        """Not for a recorder.

        Raises:
            RuntimeError: Always.
        """
        raise RuntimeError("a recorder passes on what the host answers: script a Simulator")

    def faults(self, *faults: Fault | None) -> None:
        """Not for a recorder.

        Raises:
            RuntimeError: Always.
        """
        raise RuntimeError("a recorder passes on what the host answers: spoil the replay of it")

    def client(self, **options: Any) -> AsyncDeepSeek:
        """A new client that asks the host through this recorder; closing it is up to the caller.

        Args:
            options: As for `AsyncDeepSeek`. Its key is that of the environment.
        """
        return super().client(**{"api_key": None, **options})

    async def start(self) -> None:
        """Listen.

        Raises:
            FileExistsError: There are recordings in the folder already.
            OSError: The port is taken, or the folder can't be made.
            RuntimeError: It is running already.
        """
        if self._runner is not None:
            raise RuntimeError("the recorder is running already")
        self._folder.begin(self._existing)
        self._lost, self._first_failure = 0, None
        await self._upstream.open()
        try:
            await super().start()
        except BaseException:
            await self._upstream.close()
            raise

    async def stop(self) -> None:
        """Abort all connections, and store what there was of their exchanges.

        Raises:
            OSError: Not all exchanges could be stored. All else is done.
        """
        try:
            await super().stop()
            while self._storing:
                await asyncio.wait(self._storing)
        finally:
            await self._upstream.close()
        first, self._first_failure = self._first_failure, None
        if first is not None:
            count = f"{self._lost} exchange{'s' if self._lost > 1 else ''}"
            raise OSError(
                first.errno,
                f"{count} could not be stored: {first.strerror or first}",
                str(self._folder.path),
            )

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        headers = list(request.headers.items())
        try:
            body = await request.read()
        except web.RequestPayloadError:
            raise web.HTTPBadRequest(text="the body of the request is broken") from None
        target, parameters = without_secret_parameters(request.rel_url.raw_path_qs)
        draft = Draft(
            self._folder.take_number(),
            self._upstream.base_url,
            request.method,
            target,
            headers,
            body,
        )
        draft.secrets.extend(parameters)
        self._remember(request, headers, body, draft.secrets)
        transport = request.transport
        if transport is None:
            return web.Response()
        self._metrics.requests += 1
        self._metrics.enter()
        self._transports.add(transport)
        try:
            response = await self._pass_on(
                request, draft, passed_on(headers, is_request=True), body
            )
        except (asyncio.CancelledError, ConnectionError):
            self._metrics.disconnects += 1
            draft.ends("left")
            self._store(draft)
            raise
        finally:
            self._transports.discard(transport)
            self._metrics.leave()
        # The client has all of it. Its next request over this connection waits, so that no more
        # is kept in memory than there are connections.
        await asyncio.shield(self._store(draft))
        return response

    async def _pass_on(
        self, request: web.Request, draft: Draft, headers: list[tuple[str, str]], body: bytes
    ) -> web.StreamResponse:
        transport = request.transport
        assert transport is not None
        try:
            answer = await self._upstream.ask(
                request.method, request.rel_url.raw_path_qs, headers, body
            )
        except UpstreamError as exc:
            draft.ends(exc.end, exc.reason)
            await _break_off(transport, exc.end)
            return web.Response()
        try:
            return await self._pass_back(request, draft, answer, transport)
        finally:
            answer.close()

    async def _pass_back(
        self,
        request: web.Request,
        draft: Draft,
        answer: UpstreamAnswer,
        transport: asyncio.Transport,
    ) -> web.StreamResponse:
        draft.head(answer.status, answer.headers, answer.content_length)
        self._metrics.statuses[answer.status] += 1
        headers = passed_on(answer.headers, is_request=False)
        response = web.StreamResponse(status=answer.status, headers=CIMultiDict(headers))
        is_chunked = answer.content_length is None
        _mark(request, response, Plan(answer.status, dict(headers), is_chunked=is_chunked))
        await response.prepare(request)
        try:
            while block := await answer.read():
                draft.block(block)
                self._metrics.bytes_sent += len(block)
                await response.write(block)
        except UpstreamError as exc:
            draft.ends(exc.end, exc.reason)
            await _break_off(transport, exc.end)
            return response
        draft.ends("complete")
        await response.write_eof()
        return response

    def _remember(
        self,
        request: web.Request,
        headers: list[tuple[str, str]],
        body: bytes,
        secrets: Iterable[str],
    ) -> None:
        for secret in secrets:
            self._keys.pop(secret, None)
            self._keys[secret] = None
        while len(self._keys) > _MAX_KEYS:
            del self._keys[next(iter(self._keys))]
        kept = stored(headers, is_request=True)
        self._core.received.append(
            ReceivedRequest(request.method, request.path, kept, _object(body), self.clock.now())
        )

    def _store(self, draft: Draft) -> asyncio.Task[None]:
        # A task of its own: a client that leaves ends the handler of its request.
        task = asyncio.get_running_loop().create_task(self._stored(draft))
        self._storing.add(task)
        task.add_done_callback(self._storing.discard)
        return task

    async def _stored(self, draft: Draft) -> None:
        secrets = [*self._redact, *self._keys, *draft.secrets]
        try:
            if draft.refusal:
                raise OSError(draft.refusal)
            await asyncio.to_thread(_write, self._folder, draft, secrets)
        except OSError as exc:
            self._lost += 1
            self._first_failure = self._first_failure or exc
            path = Redactor(secrets).text(draft.target.partition("?")[0])
            self._on_problem(
                f"{self._folder.path}: exchange {draft.number} ({draft.method} {path}) could not "
                f"be stored: {exc.strerror or exc}; answers still go through"
            )


def _write(folder: RecordingFolder, draft: Draft, secrets: Iterable[str]) -> None:
    folder.store(draft.number, Redactor(secrets).exchange(draft.exchange()))


def _secrets(redact: Iterable[str]) -> tuple[str, ...]:
    if isinstance(redact, str):
        raise ValueError("redact is a list of secrets; for one of them: redact=[secret]")
    secrets = tuple(redact)
    Redactor(secrets)
    return secrets


def _object(data: bytes) -> Body | None:
    try:
        found: Any = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return cast("Body", found) if isinstance(found, dict) else None


async def _break_off(transport: asyncio.Transport, end: End) -> None:
    """End the client's connection as the host ended its own."""
    if end != "reset":
        transport.close()
        return
    # A reset drops what is still buffered.
    while transport.get_write_buffer_size() and not transport.is_closing():  # noqa: ASYNC110  # no event tells
        await asyncio.sleep(0.001)
    reset(transport)
