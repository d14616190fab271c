"""`Replayer`: a simulator that answers what was recorded."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from os import PathLike

import msgspec
from aiohttp import web

from deepseek_async.simulator.clock import Clock
from deepseek_async.simulator.core import Core, Options, Plan
from deepseek_async.simulator.frames import Frame, Kind
from deepseek_async.simulator.recording.exchange import Answer, Exchange
from deepseek_async.simulator.recording.folder import load
from deepseek_async.simulator.recording.headers import credentials, without_secret_parameters
from deepseek_async.simulator.recording.matching import Asked, Recordings
from deepseek_async.simulator.recording.redaction import Redactor
from deepseek_async.simulator.refusals import JSON, Refusal
from deepseek_async.simulator.scripted import Body, Replay, Reply
from deepseek_async.simulator.server import Simulator

# What of a request the core isn't told: it is of the one that is being handled.
_target: ContextVar[str] = ContextVar("target")


class Replayer(Simulator):
    """A simulator that answers what a `Recorder` stored, with the same bytes and timing.

    A request gets what was recorded for the same method, path and JSON body; the order of keys and
    white space don't count, headers don't either. Asked repeatedly, it gets the recordings of that
    request in their order, and then the last one again. What wasn't recorded is a 404 that names
    the nearest recording and what differs.

    Args:
        folder: What a `Recorder` stored.
        host: Address to listen on.
        port: 0: any free one.
        pace: What recorded times are multiplied with: 0.5 is twice as fast, 0 without a pause.
        redact: The further secrets that the recorder was given, if requests contain any.
        clock: None: real time, to be pushed forward with ``replayer.clock.advance``.
        max_requests_kept: Requests remembered for `requests`; older ones are dropped.

    Raises:
        OSError: The folder can't be read.
        RecordingFileError: What is in it isn't a recording.
        ValueError: An argument makes no sense.
    """

    def __init__(
        self,
        folder: str | PathLike[str],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        pace: float = 1.0,
        redact: Iterable[str] = (),
        clock: Clock | None = None,
        max_requests_kept: int = 10_000,
    ) -> None:
        if not 0 <= pace < math.inf:
            raise ValueError(f"pace is a number from 0, not {pace}")
        if isinstance(redact, str):
            raise ValueError("redact is a list of secrets; for one of them: redact=[secret]")
        secrets = tuple(redact)
        Redactor(secrets)
        super().__init__(host=host, port=port, clock=clock, max_requests_kept=max_requests_kept)
        self._recordings = Recordings(load(folder))
        options = Options(max_requests_kept=max_requests_kept)
        self._core = _RecordedCore(
            options, self.clock, self._recordings, str(folder), pace, secrets
        )

    def script(self, *replies: Reply | Replay) -> None:
        """Not for a replayer.

        Raises:
            RuntimeError: Always.
        """
        raise RuntimeError("a replayer answers what was recorded: script a Simulator")

    def reset(self) -> None:
        """Forget faults and received requests, and begin the recordings anew."""
        super().reset()
        self._recordings.rewind()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        _target.set(request.rel_url.raw_path_qs)
        return await super()._handle(request)


class _RecordedCore(Core):
    """Plans replies from recordings."""

    def __init__(
        self,
        options: Options,
        clock: Clock,
        recordings: Recordings,
        folder: str,
        pace: float,
        secrets: tuple[str, ...],
    ) -> None:
        super().__init__(options, clock)
        self._recordings = recordings
        self._folder = folder
        self._pace = pace
        self._secrets = secrets

    def _answer(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: Body | None,
        unreadable: Refusal | None,
        data: bytes,
    ) -> Plan:
        target, parameters = without_secret_parameters(_target.get())
        # As the recorder did: the client's key may be another one by now.
        redactor = Redactor([*self._secrets, *parameters, *credentials(headers.items())])
        asked = Asked.of(method, redactor.text(target), redactor.data(data))
        exchange = self._recordings.take(asked)
        if exchange is None:
            return self._unknown(asked)
        return planned(exchange, self._pace)

    def _unknown(self, asked: Asked) -> Plan:
        message = (
            f"{self._folder} has no recording of this {asked}; {self._recordings.explain(asked)}"
        )
        error = {
            # Half a character, which JSON may hold, can't be sent.
            "message": message.encode("utf-8", "replace").decode(),
            "type": "invalid_request_error",
            "param": None,
            "code": "not_recorded",
        }
        # Not a 500: clients would ask again.
        return self._whole(404, JSON, msgspec.json.encode({"error": error}))


def planned(exchange: Exchange, pace: float) -> Plan:
    """Plan to do as the host did.

    Args:
        exchange: What it did.
        pace: What its times are multiplied with.
    """
    answer = exchange.answer
    if answer is None:
        delay = exchange.end_ms * pace / 1000
        return Plan(200, {}, delay=delay, drop="reset" if exchange.end == "reset" else "cut")
    headers = {"Server": "simulator", **answer.headers}
    is_chunked = answer.content_length is None
    if not is_chunked:
        headers["Content-Length"] = str(_length(exchange, answer))
    return Plan(
        answer.status,
        headers,
        frames=_frames(exchange, answer.ms, pace / 1000),
        is_chunked=is_chunked,
        delay=answer.ms * pace / 1000,
    )


def _length(exchange: Exchange, answer: Answer) -> int:
    # As edited by hand: what is whole has the length that it has. HEAD has no body, but a length.
    is_known = exchange.is_whole and exchange.method != "HEAD"
    return len(exchange.body) if is_known else answer.content_length or 0


def _frames(exchange: Exchange, start: float, pace: float) -> Iterator[Frame]:
    # Where the numbers aren't in order any more, what comes later comes at once.
    for block in exchange.blocks:
        yield Frame(max(block.ms - start, 0.0) * pace, block.data, Kind.PIECE)
    kind = Kind.RESET if exchange.end == "reset" else Kind.CUT
    if exchange.is_whole:
        kind = Kind.PIECE
    yield Frame(max(exchange.end_ms - start, 0.0) * pace, b"", kind)
