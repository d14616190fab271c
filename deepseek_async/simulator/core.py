"""The simulator without I/O: a request comes in, a planned reply goes out.

Everything that isn't in the request is an argument or was made at the start: options, clock,
seeded randomness, scripts. The same calls in the same order give the same bytes.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from deepseek_async.simulator import refusals, rendering
from deepseek_async.simulator.cache import PromptCache
from deepseek_async.simulator.clock import Clock
from deepseek_async.simulator.content import chat_answer, fim_answer
from deepseek_async.simulator.frames import Frame, Kind, Timing, pieces, plain, with_fault
from deepseek_async.simulator.refusals import JSON, Refusal
from deepseek_async.simulator.requests import (
    MODELS,
    ChatBody,
    FimBody,
    RefusedError,
    read_json,
    read_request,
)
from deepseek_async.simulator.scripted import (
    EVENT_STREAM,
    Body,
    Fault,
    Match,
    Replay,
    Reply,
)
from deepseek_async.simulator.tokens import estimate

_LISTED_MODELS = ("deepseek-flash", "deepseek-v4-pro")
_BALANCE = {
    "is_available": True,
    "balance_infos": [
        {
            "currency": currency,
            "total_balance": total,
            "granted_balance": granted,
            "topped_up_balance": topped_up,
        }
        for currency, total, granted, topped_up in (
            ("CNY", "110.00", "10.00", "100.00"),
            ("USD", "15.50", "0.50", "15.00"),
        )
    ],
}
_ROUTES = {
    "/chat/completions": ("POST", "chat"),
    "/models": ("GET", "models"),
    "/user/balance": ("GET", "balance"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a simulator answers what isn't scripted."""

    tokens_per_second: float | None = None
    """Pace of each answer; None: as fast as the client reads."""
    first_token_seconds: float = 0.0
    """From the request to its first token."""
    keep_alive_seconds: float = 10.0
    """Between keep-alives while an answer hasn't begun."""
    seed: int = 0
    """Of ids and made-up answers."""
    keys: frozenset[str] | None = None
    """API keys that exist; None: all but those that begin with ``sk-bad``."""
    max_concurrency: int | None = None
    """Chat and FIM requests answered at the same time; more are a 429. None: no limit."""
    max_requests_kept: int = 10_000
    """Received requests remembered for `Simulator.requests`; older ones are dropped."""


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """A request as the simulator got it."""

    method: str
    path: str
    headers: Mapping[str, str]
    """Names in lower case; the value of ``authorization`` is redacted."""
    body: Body | None
    """The JSON object of the body, if it was one."""
    at: float
    """When it came: seconds since the epoch, by the simulator's clock."""


@dataclass(slots=True)
class Plan:
    """A reply before it is sent."""

    status: int
    headers: dict[str, str]
    body: bytes | None = None
    """The whole body, to be sent at once; None: `frames`."""
    frames: Iterator[Frame] = field(default_factory=lambda: iter(()))
    is_chunked: bool = False
    """Sent without a ``Content-Length``."""
    delay: float = 0.0
    """Seconds before the headers."""
    drop: Literal["cut", "reset"] | None = None
    """The connection ends instead of the headers."""
    counts_as_running: bool = False
    """Takes one of `Options.max_concurrency`."""


@dataclass(slots=True)
class Core:
    """Plans replies; keeps scripts, the prompt cache and the log of requests."""

    options: Options
    clock: Clock
    received: deque[ReceivedRequest] = field(init=False)
    script: list[Reply | Replay] = field(default_factory=list[Reply | Replay])
    faults: deque[Fault | None] = field(default_factory=deque[Fault | None])
    _cache: PromptCache = field(default_factory=PromptCache)
    _rng: random.Random = field(init=False)
    _fingerprint: str = field(init=False)

    def __post_init__(self) -> None:
        self.received = deque(maxlen=self.options.max_requests_kept)
        self._rng = random.Random(self.options.seed)
        self._fingerprint = f"{self._rng.getrandbits(128):032x}"

    def plan(
        self, method: str, path: str, headers: Mapping[str, str], data: bytes, *, running: int = 0
    ) -> Plan:
        """Plan the reply to one request, and remember the request.

        Args:
            method: In upper case.
            path: Without the query.
            headers: Names in lower case.
            data: The body.
            running: Chat and FIM requests being answered now, this one not counted.
        """
        try:
            body = read_json(data) if method == "POST" else None
            unreadable = None
        except RefusedError as exc:
            body = None
            unreadable = exc.refusal
        self.received.append(
            ReceivedRequest(method, path, _redacted(headers), body, self.clock.now())
        )
        fault = self.faults.popleft() if self.faults else None
        try:
            plan = self._answer(method, path, headers, body, unreadable, data, running)
        except RefusedError as exc:
            plan = self._refused(exc.refusal)
        return plan if fault is None else self._spoilt(plan, fault)

    def too_large(self, method: str, path: str, headers: Mapping[str, str]) -> Plan:
        """Plan the reply to a request whose body is past the limit."""
        self.received.append(
            ReceivedRequest(method, path, _redacted(headers), None, self.clock.now())
        )
        return self._refused(refusals.TOO_LARGE)

    def _answer(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: Body | None,
        unreadable: Refusal | None,
        data: bytes,
        running: int,
    ) -> Plan:
        kind = _route(method, path)
        self._authenticate(headers.get("authorization", ""))
        if kind == "models":
            listed = [
                {"id": name, "object": "model", "owned_by": "deepseek"} for name in _LISTED_MODELS
            ]
            return self._whole(200, JSON, msgspec.json.encode({"object": "list", "data": listed}))
        if kind == "balance":
            return self._whole(200, JSON, msgspec.json.encode(_BALANCE))
        if headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
            raise RefusedError(refusals.UNSUPPORTED_MEDIA_TYPE)
        if unreadable is not None or body is None:
            raise RefusedError(unreadable or refusals.EMPTY_BODY)
        request: ChatBody | FimBody
        if kind == "chat":
            request = read_request(body, data, ChatBody)
            asked, prompt = request.last_user_text(), request.prompt()
        else:
            request = read_request(body, data, FimBody)
            asked, prompt = request.prompt, request.prompt + (request.suffix or "")
        limit = self.options.max_concurrency
        if limit is not None and running >= limit:
            raise RefusedError(refusals.concurrency_limit(running + 1, limit))
        scripted = self._next_scripted(body, asked)
        if isinstance(scripted, Replay):
            return self._replayed(scripted)
        if scripted is not None and (scripted.body is not None or scripted.status != 200):
            return self._verbatim(scripted)
        prompt_tokens = estimate(prompt)
        if prompt_tokens > refusals.MAX_CONTEXT_TOKENS:
            raise RefusedError(refusals.context_length(prompt_tokens))
        counted = (prompt_tokens, self._cache.hit_tokens(request.user_id or "", prompt))
        return self._completion(request, scripted, counted)

    def _authenticate(self, authorization: str) -> None:
        scheme, _, key = authorization.partition(" ")
        key = key.strip()
        if scheme.lower() != "bearer" or not key:
            raise RefusedError(refusals.MISSING_AUTHENTICATION)
        keys = self.options.keys
        if key.startswith("sk-bad") or (keys is not None and key not in keys):
            raise RefusedError(refusals.invalid_key(key))

    def _next_scripted(self, body: Body, asked: str) -> Reply | Replay | None:
        for index, scripted in enumerate(self.script):
            if _matches(scripted.match, body, asked):
                return self.script.pop(index)
        return None

    def _completion(
        self, request: ChatBody | FimBody, reply: Reply | None, counted: tuple[int, int]
    ) -> Plan:
        options = self.options
        seed = options.seed
        is_thinking = isinstance(request, ChatBody) and request.is_thinking
        if isinstance(request, ChatBody):
            answer = chat_answer(request, reply, seed)
        else:
            answer = fim_answer(request, reply, seed)
        cut = rendering.cut(answer, request.max_tokens, request.stop)
        replaced: dict[str, Any] = dict(reply.usage or {}) if reply is not None else {}
        counts = rendering.usage(*counted, cut.pieces, is_thinking=is_thinking, replaced=replaced)
        envelope = rendering.Envelope.draw(
            self._rng, int(self.clock.now()), MODELS[request.model], self._fingerprint
        )
        timing = _timing(options, reply)
        likelihoods = None
        if isinstance(request, ChatBody) and request.logprobs:
            likelihoods = rendering.Likelihoods(request.top_logprobs or 0, seed)
        if not request.stream:
            if isinstance(request, ChatBody):
                body = rendering.chat_completion(
                    envelope, cut, counts, is_thinking=is_thinking, likelihoods=likelihoods
                )
            else:
                body = rendering.fim_completion(envelope, cut, counts)
            at = timing.at(len(cut.pieces))
            plan = Plan(200, self._headers(JSON, reply), is_chunked=True, counts_as_running=True)
            if at > 0:
                plan.frames = plain(body, at, timing)
            else:
                plan.body = body
            return plan
        # Here and not while streaming: scripted counts may be anything, and mustn't stop the wheel.
        encoded = msgspec.json.encode(counts)
        include_usage = bool(request.stream_options and request.stream_options.include_usage)
        if isinstance(request, ChatBody):
            frames = rendering.chat_stream(
                envelope,
                cut,
                encoded,
                timing,
                is_thinking=is_thinking,
                include_usage=include_usage,
                likelihoods=likelihoods,
            )
        else:
            frames = rendering.fim_stream(
                envelope, cut, encoded, timing, include_usage=include_usage
            )
        headers = self._headers(EVENT_STREAM, reply)
        return Plan(200, headers, frames=frames, is_chunked=True, counts_as_running=True)

    def _replayed(self, replay: Replay) -> Plan:
        headers = self._headers(replay.media_type(), replay)
        frames = pieces(replay.pieces(), replay.pause)
        return Plan(replay.status, headers, frames=frames, is_chunked=True, counts_as_running=True)

    def _verbatim(self, reply: Reply) -> Plan:
        body = reply.body
        if body is None:
            body = b""
        elif isinstance(body, str):
            body = body.encode()
        elif not isinstance(body, bytes):
            body = msgspec.json.encode(body)
        plan = Plan(reply.status, self._headers(JSON, reply), body=body)
        if reply.queue_seconds > 0:
            timing = _timing(self.options, reply)
            plan.frames = plain(body, timing.queue, timing)
            plan.body = None
            plan.is_chunked = True
            plan.counts_as_running = True
        return plan

    def _refused(self, refusal: Refusal) -> Plan:
        return self._whole(refusal.status, refusal.content_type, refusal.body)

    def _whole(self, status: int, content_type: str | None, body: bytes) -> Plan:
        return Plan(status, self._headers(content_type), body=body)

    def _headers(
        self, content_type: str | None, scripted: Reply | Replay | None = None
    ) -> dict[str, str]:
        headers = {"Server": "simulator", "x-ds-trace-id": f"{self._rng.getrandbits(128):032x}"}
        if content_type is not None:
            headers["Content-Type"] = content_type
        if content_type == EVENT_STREAM:
            headers["Cache-Control"] = "no-cache"
        if isinstance(scripted, Reply) and scripted.retry_after is not None:
            headers["Retry-After"] = f"{scripted.retry_after:g}"
        if scripted is not None:
            for name, value in scripted.headers.items():
                for known in [known for known in headers if known.lower() == name.lower()]:
                    del headers[known]
                if value:
                    headers[name] = value
        return headers

    def _spoilt(self, plan: Plan, fault: Fault) -> Plan:
        if fault.kind == "delay":
            plan.delay = fault.seconds or 0.0
            return plan
        if fault.kind == "close":
            plan.drop = "cut"
            return plan
        if fault.kind == "whitespace":
            plan.status = 200
        timing = _timing(self.options, None)
        frames = plan.frames
        if plan.body is not None:
            if not plan.is_chunked:
                plan.headers["Content-Length"] = str(len(plan.body))
            frames = iter((Frame(0.0, plan.body, Kind.BODY),))
            plan.body = None
        if fault.kind in ("whitespace", "error", "garbage", "stall"):
            # Their length isn't that of the body.
            plan.headers.pop("Content-Length", None)
            plan.is_chunked = True
        plan.frames = with_fault(frames, fault, timing)
        return plan


def _redacted(headers: Mapping[str, str]) -> dict[str, str]:
    # Copies, so that the log holds no key, whatever it is later printed into.
    return {
        name: "[redacted]" if name in ("authorization", "x-api-key") else value
        for name, value in headers.items()
    }


def _route(method: str, path: str) -> str:
    for prefix in ("/v1", "/beta"):
        if path.startswith(f"{prefix}/"):
            path = path.removeprefix(prefix)
            if prefix == "/beta" and path == "/completions":
                if method != "POST":
                    raise RefusedError(refusals.METHOD_NOT_ALLOWED)
                return "fim"
            break
    route = _ROUTES.get(path)
    if route is None:
        raise RefusedError(refusals.NOT_FOUND)
    if route[0] != method:
        raise RefusedError(refusals.METHOD_NOT_ALLOWED)
    return route[1]


def _matches(match: Match | None, body: Body, asked: str) -> bool:
    if match is None:
        return True
    return match in asked if isinstance(match, str) else bool(match(body))


def _timing(options: Options, reply: Reply | None) -> Timing:
    queue = 0.0
    first_token = options.first_token_seconds
    pace = options.tokens_per_second
    if reply is not None:
        queue = reply.queue_seconds
        first_token = (
            first_token if reply.first_token_seconds is None else (reply.first_token_seconds)
        )
        pace = pace if reply.tokens_per_second is None else reply.tokens_per_second
    return Timing(queue, first_token, 1 / pace if pace else 0.0, options.keep_alive_seconds)
