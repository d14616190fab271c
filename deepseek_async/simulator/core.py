"""The simulator without I/O: a request comes in, a planned reply goes out.

Everything that isn't in the request is an argument or was made at the start: options, clock,
seeded randomness, scripts. The same calls in the same order give the same bytes.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from deepseek_async.simulator import refusals
from deepseek_async.simulator.accounts import Accounts
from deepseek_async.simulator.answering import Answerer, Prompt
from deepseek_async.simulator.clock import Clock
from deepseek_async.simulator.eras import Era, find_era
from deepseek_async.simulator.faults import Fault, FaultQueue
from deepseek_async.simulator.frames import pieces, plain
from deepseek_async.simulator.options import Options
from deepseek_async.simulator.plans import Lease, Plan, ReceivedRequest
from deepseek_async.simulator.refusals import JSON, Refusal, RefusedError
from deepseek_async.simulator.requests import ChatBody, FimBody, read_json, read_request
from deepseek_async.simulator.rules import Rules, refusal_of
from deepseek_async.simulator.scripted import EVENT_STREAM, Body, Replay, Reply, take
from deepseek_async.simulator.spoiling import spoil

__all__ = ["Core", "Options", "Plan", "ReceivedRequest"]

_ROUTES = {
    "/chat/completions": ("POST", "chat"),
    "/models": ("GET", "models"),
    "/user/balance": ("GET", "balance"),
}


@dataclass(slots=True)
class Core:
    """Plans replies; keeps scripts, accounts, the prompt cache and the log of requests.

    Every plan is to be given back to `finish` when its reply has been sent, or won't be.
    """

    options: Options
    clock: Clock
    received: deque[ReceivedRequest] = field(init=False)
    script: list[Reply | Replay] = field(default_factory=list[Reply | Replay])
    faults: FaultQueue = field(init=False)
    _era: Era = field(init=False)
    _rng: random.Random = field(init=False)
    _accounts: Accounts = field(init=False)
    _answerer: Answerer = field(init=False)

    def __post_init__(self) -> None:
        options = self.options
        self.received = deque(maxlen=options.max_requests_kept)
        self.faults = FaultQueue(options.seed)
        self._era = find_era(options.era)
        self._rng = random.Random(options.seed)
        self._accounts = Accounts(options)
        self._answerer = Answerer(options, self._era, self.clock, self._rng, self._accounts)

    def plan(self, method: str, path: str, headers: Mapping[str, str], data: bytes) -> Plan:
        """Plan the reply to one request, and remember the request.

        Args:
            method: In upper case.
            path: Without the query.
            headers: Names in lower case.
            data: The body.
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
        fault = self.faults.take(self.clock.monotonic())
        instead = self._instead(fault)
        if instead is not None:
            return instead
        try:
            plan = self._answer(method, path, headers, body, unreadable, data)
        except RefusedError as exc:
            plan = self._refused(refusals.of_era(exc.refusal, self._era))
        fault = plan.fault or fault
        if fault is not None:
            spoil(plan, fault, self.options.keep_alive_seconds)
        return plan

    def finish(self, plan: Plan) -> None:
        """Give back what a reply took up; harmless to repeat."""
        lease, plan.lease = plan.lease, None
        if lease is None:
            return
        self._accounts.leave(lease.account, lease.model)
        if lease.turn is not None:
            self._answerer.release(lease.turn)

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
    ) -> Plan:
        kind = _route(method, path)
        account = self._accounts.authenticate(headers.get("authorization", ""))
        if kind == "models":
            listed = [
                {"id": name, "object": "model", "owned_by": "deepseek"} for name in self._era.listed
            ]
            return self._whole(200, JSON, msgspec.json.encode({"object": "list", "data": listed}))
        if kind == "balance":
            return self._whole(200, JSON, msgspec.json.encode(self._accounts.told(account)))
        if headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
            raise RefusedError(refusals.UNSUPPORTED_MEDIA_TYPE)
        if unreadable is not None or body is None:
            raise RefusedError(unreadable or refusals.EMPTY_BODY)
        request: ChatBody | FimBody
        if kind == "chat":
            request = read_request(body, data, ChatBody, self._era)
            asked = request.last_user_text()
        else:
            request = read_request(body, data, FimBody, self._era)
            asked = request.prompt
        passback = self.options.reasoning_passback or self._era.passback
        refusal = refusal_of(request, Rules(self._era, passback, path.startswith("/beta/")))
        if refusal is not None:
            raise RefusedError(refusal)
        model = self._era.models[request.model]
        self._accounts.admit(account, model)
        # Before the script is asked, which keeps its answers for valid requests.
        prompt = self._answerer.read(request)
        scripted = take(self.script, body, asked)
        fault = None if scripted is None else scripted.fault
        instead = self._instead(fault)
        if instead is not None:
            return instead
        plan = self._planned(request, prompt, scripted, account)
        plan.fault = fault
        if plan.counts_as_running:
            turn = None if plan.lease is None else plan.lease.turn
            plan.lease = Lease(account, model, turn)
            self._accounts.enter(account, model)
        return plan

    def _planned(
        self,
        request: ChatBody | FimBody,
        prompt: Prompt,
        scripted: Reply | Replay | None,
        account: str,
    ) -> Plan:
        if isinstance(scripted, Replay):
            return self._replayed(scripted)
        if scripted is not None and (scripted.body is not None or scripted.status != 200):
            return self._verbatim(scripted)
        answered = self._answerer.answer(request, prompt, scripted, account)
        headers = self._headers(EVENT_STREAM if request.stream else JSON, scripted)
        plan = Plan(200, headers, is_chunked=True, counts_as_running=True, closes=answered.closes)
        if answered.frames is None:
            plan.body = answered.body
        else:
            plan.frames = answered.frames
        plan.lease = Lease(account, request.model, answered.turn)
        return plan

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
            timing = self._answerer.timing(reply)
            plan.frames = plain(body, timing.queue, timing)
            plan.body = None
            plan.is_chunked = True
            plan.counts_as_running = True
        return plan

    def _instead(self, fault: Fault | None) -> Plan | None:
        """What comes instead of an answer, if the fault is of that kind."""
        if fault is not None and fault.kind == "close":
            return Plan(200, {}, drop="cut")
        if fault is None or fault.refusal is None:
            return None
        plan = self._refused(fault.refusal)
        if fault.retry_after is not None:
            plan.headers["Retry-After"] = f"{fault.retry_after:g}"
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


# Where clients of DeepSeek and of hosts like it put their keys.
_SECRET_HEADERS = frozenset(
    {"authorization", "proxy-authorization", "x-api-key", "api-key", "cookie"}
)


def _redacted(headers: Mapping[str, str]) -> dict[str, str]:
    # Copies, so that the log holds no key, whatever it is later printed into.
    return {
        name: "[redacted]" if name in _SECRET_HEADERS else value for name, value in headers.items()
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
