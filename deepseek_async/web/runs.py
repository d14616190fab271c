"""The runs of a :class:`Live` over HTTP, whatever the server: what is read, stopped, refused."""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Literal

import msgspec

from deepseek_async.live import FAILURES, Live, LiveError, Run
from deepseek_async.web.cursors import checked
from deepseek_async.web.delivery import delivery
from deepseek_async.web.mux import Mux
from deepseek_async.web.refusal import Refusal
from deepseek_async.web.telling import Reply, tell

_logger = logging.getLogger("deepseek_async.web")

Action = Literal["read", "stop"]

#: Says whether somebody may do something: gets the scope of ASGI or the request of aiohttp.web,
#: the id of the run, and what is wanted.
Authorize = Callable[[Any, str, Action], bool | Awaitable[bool]]

#: Most bytes of a request for several runs.
MAX_MUX_BODY = 65_536
_MAX_MUX_RUNS = 500


class _MuxRequest(msgspec.Struct):
    runs: dict[str, str | None]


class Runs:
    """What can be asked for.

    Args:
        live: The runs.
        authorize: Who may do what.
        heartbeat: Seconds of silence between signs of life; None: none.
        show_errors: Whether readers may see the texts of exceptions.
    """

    def __init__(
        self, live: Live, authorize: Authorize, *, heartbeat: float | None, show_errors: bool
    ) -> None:
        if not callable(authorize):
            raise TypeError(
                "authorize is a function of the request, the run's id, and "
                f'"read" or "stop"; got {type(authorize).__name__}'
            )
        if heartbeat is not None and not heartbeat > 0:
            raise ValueError(f"heartbeat is a number of seconds above 0, or None; got {heartbeat}")
        self._live = live
        self._authorize = authorize
        self._heartbeat = heartbeat
        self._show_errors = show_errors

    async def events(
        self, who: Any, run_id: str, cursor: str | None, wire_format: str, reply: Reply
    ) -> None:
        """Answer with the events of a run.

        Raises:
            Refusal: If that can't be, or may not be.
        """
        run = await self._run(who, run_id, "read")
        try:
            asked = delivery(run, wire_format, self._heartbeat, show_errors=self._show_errors)
        except ValueError as exc:
            raise Refusal(400, "invalid", str(exc)) from None
        await tell(asked, cursor, reply)

    async def stop(self, who: Any, run_id: str) -> None:
        """Stop a run; returns when it has ended.

        Raises:
            Refusal: If there is none, or it may not be stopped.
        """
        run = await self._run(who, run_id, "stop")
        try:
            await run.stop()
        except LiveError as exc:
            raise _unavailable(exc) from exc

    async def mux(self, who: Any, body: bytes, reply: Reply) -> None:
        """Answer with the events of several runs on one stream.

        Raises:
            Refusal: If that can't be, or one of them may not be read.
        """
        wanted = _wanted(body)
        for run_id in wanted:
            await self._check(who, run_id, "read")
        runs = await asyncio.gather(*map(self._find, wanted))
        found = zip(runs, wanted.values(), strict=True)
        unknown = [run_id for run_id, run in zip(wanted, runs, strict=True) if run is None]
        mux = Mux(reply, self._heartbeat, show_errors=self._show_errors)
        await mux.tell([(run, cursor) for run, cursor in found if run is not None], unknown)

    async def _run(self, who: Any, run_id: str, action: Action) -> Run:
        # Asked first: who may not read is not told either what there is.
        await self._check(who, run_id, action)
        run = await self._find(run_id)
        if run is None:
            raise Refusal(404, "unknown", "there is no such run, or not any more")
        return run

    async def _find(self, run_id: str) -> Run | None:
        try:
            return await self._live.find(run_id)
        except LiveError as exc:
            raise _unavailable(exc) from exc

    async def _check(self, who: Any, run_id: str, action: Action) -> None:
        try:
            allowed = self._authorize(who, run_id, action)
            if inspect.isawaitable(allowed):
                allowed = await allowed
        except LiveError as exc:
            # It may look for the run itself, to ask whose it is.
            raise _unavailable(exc) from exc
        if allowed and allowed is not True:
            # A response that refuses, for one, is as true as any object.
            raise TypeError(f"authorize returns True or False; got {type(allowed).__name__}")
        if not allowed:
            raise Refusal(403, "forbidden", "this is not allowed")


def _unavailable(exc: LiveError) -> Refusal:
    """Return how to tell that a run of another process is out of reach."""
    _logger.warning("%s: %s", type(exc).__name__, exc)
    return Refusal(503, "busy", FAILURES["busy"], {"Retry-After": "1"})


def _wanted(body: bytes) -> dict[str, str | None]:
    try:
        runs = msgspec.json.decode(body, type=_MuxRequest).runs
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise Refusal(
            400, "invalid", f'expected {{"runs": {{id: cursor or null}}}}: {exc!s:.200}'
        ) from None
    if not 0 < len(runs) <= _MAX_MUX_RUNS:
        raise Refusal(
            400, "invalid", f"one stream tells of 1 to {_MAX_MUX_RUNS} runs, not of {len(runs)}"
        )
    return {run_id: None if cursor is None else checked(cursor) for run_id, cursor in runs.items()}
