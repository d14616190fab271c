"""The core: requests in, planned replies out; no socket, no time."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from deepseek_async.simulator import Clock, Fault, Options, Reply
from deepseek_async.simulator.core import Core, Plan
from deepseek_async.simulator.frames import Frame, Kind, Timing
from deepseek_async.simulator.spoiling import with_fault

from .loopback import chat

HEADERS = {"authorization": "Bearer sk-test", "content-type": "application/json"}


def core(**options: Any) -> Core:
    return Core(Options(**options), Clock(wall=lambda: 1_795_000_000.7, monotonic=lambda: 0.0))


def planned(core: Core, body: dict[str, Any], path: str = "/chat/completions") -> Plan:
    return core.plan("POST", path, HEADERS, json.dumps(body).encode())


def played(plan: Plan) -> list[tuple[float, bytes]]:
    return [(frame.at, frame.data) for frame in plan.frames]


def stream(*kinds: Kind) -> list[Frame]:
    return [Frame(float(n), b"<%d>" % n, kind) for n, kind in enumerate(kinds)]


EVENTS = stream(Kind.KEEP_ALIVE, Kind.EVENT, Kind.EVENT, Kind.FINISH, Kind.DONE)


def test_the_same_calls_give_the_same_bytes() -> None:
    first, second = core(seed=3), core(seed=3)
    for body in (chat("a"), chat("b", stream=True)):
        one, other = planned(first, body), planned(second, body)
        assert one.headers == other.headers
        assert one.body == other.body
        assert played(one) == played(other)


def test_created_is_the_clocks_second() -> None:
    body = planned(core(), chat()).body
    assert body is not None
    assert json.loads(body)["created"] == 1_795_000_000


def test_tokens_come_at_their_pace_after_queue_and_first_token() -> None:
    subject = core(keep_alive_seconds=4.0)
    subject.script.append(
        Reply("one two", queue_seconds=10, first_token_seconds=1, tokens_per_second=2)
    )
    frames = list(planned(subject, chat(stream=True)).frames)
    assert [(frame.at, frame.kind) for frame in frames] == [
        (0.0, Kind.KEEP_ALIVE),
        (4.0, Kind.KEEP_ALIVE),
        (8.0, Kind.KEEP_ALIVE),
        (11.0, Kind.EVENT),
        (11.0, Kind.EVENT),
        (11.5, Kind.EVENT),
        (11.5, Kind.FINISH),
        (11.5, Kind.DONE),
    ]


def test_a_plain_reply_waits_with_empty_lines() -> None:
    subject = core(keep_alive_seconds=4.0)
    subject.script.append(Reply("one two", queue_seconds=5, tokens_per_second=2))
    frames = list(planned(subject, chat()).frames)
    assert [(frame.at, frame.data) for frame in frames[:2]] == [(0.0, b"\n"), (4.0, b"\n")]
    assert frames[2].at == 6.0
    assert json.loads(frames[2].data)["choices"][0]["message"]["content"] == "one two"


def test_scripted_replies_wait_for_the_request_they_match() -> None:
    subject = core()
    subject.script += [
        Reply("for weather", match="weather"),
        Reply("for streams", match=lambda body: bool(body.get("stream"))),
        Reply("first"),
        Reply("second"),
    ]
    asked = ["hello", "the weather", "hello"]
    bodies = [planned(subject, chat(text)).body or b"" for text in asked]
    texts = [json.loads(body)["choices"][0]["message"]["content"] for body in bodies]
    assert texts == ["first", "for weather", "second"]
    assert [reply.match is not None for reply in subject.script] == [True]


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault("cut", after_events=1), b"<0><1>|cut"),
        (Fault("cut", after_bytes=4), b"<0><|cut"),
        (Fault("cut", after_bytes=6), b"<0><1>|cut"),
        (Fault("cut"), b"|cut"),
        (Fault("reset", after_events=4), b"<0><1><2><3><4>|reset"),
        (Fault("error", after_events=1), b'<0><1>data: {"error":'),
        (Fault("garbage", after_events=2), b'<0><1><2>data: {"id":'),
        (Fault("omit_done"), b"<0><1><2><3>"),
        (Fault("omit_finish"), b"<0><1><2><4>"),
        (Fault("whitespace"), b"\n\n\n"),
    ],
)
def test_faults_spoil_the_bytes(fault: Fault, expected: bytes) -> None:
    written = b""
    for frame in with_fault(EVENTS, fault, Timing()):
        end = {Kind.CUT: b"|cut", Kind.RESET: b"|reset"}.get(frame.kind, b"")
        written += frame.data + end
    assert written.startswith(expected)
    exact = fault.kind not in ("error", "garbage")
    assert not exact or written == expected


def test_a_stall_delays_what_follows() -> None:
    at = [
        frame.at
        for frame in with_fault(EVENTS, Fault("stall", after_events=1, seconds=9), Timing())
    ]
    assert at == [0.0, 1.0, 11.0, 12.0, 13.0]


def test_a_stall_without_end_keeps_alive_for_ever() -> None:
    fault = Fault("stall", after_events=1, keep_alive=True)
    frames = with_fault(EVENTS, fault, Timing(keep_alive=5.0))
    found = [next(frames) for _ in range(6)]
    assert [frame.at for frame in found] == [0.0, 1.0, 6.0, 11.0, 16.0, 21.0]
    assert found[-1].data == b": keep-alive\n\n"


def test_a_silent_stall_without_end_never_goes_on() -> None:
    at = [frame.at for frame in with_fault(EVENTS, Fault("stall", after_events=2), Timing())]
    assert at == [0.0, 1.0, 2.0, math.inf, math.inf]


def test_an_error_replaces_a_plain_body() -> None:
    frames = list(with_fault(stream(Kind.BODY), Fault("error"), Timing()))
    assert list(json.loads(frames[0].data)) == ["error"]


@pytest.mark.parametrize(
    ("fields", "thinks"),
    [
        ({}, True),
        ({"thinking": None}, True),
        ({"thinking": {"type": "enabled"}}, True),
        ({"thinking": {"type": "disabled"}}, False),
        ({"thinking": {"type": "disabled"}, "reasoning_effort": "high"}, False),
        ({"reasoning_effort": "none"}, False),
        ({"model": "deepseek-chat"}, False),
        ({"model": "deepseek-reasoner"}, True),
    ],
)
def test_thinking_is_on_unless_switched_off(fields: dict[str, Any], *, thinks: bool) -> None:
    body = {"model": "deepseek-flash", "messages": [{"role": "user", "content": "x"}], **fields}
    reply = json.loads(planned(core(), body).body or b"")
    assert ("reasoning_content" in reply["choices"][0]["message"]) is thinks
    assert ("completion_tokens_details" in reply["usage"]) is thinks


def test_the_log_holds_no_key_and_no_more_than_told() -> None:
    subject = core(max_requests_kept=2)
    for text in "abc":
        planned(subject, chat(text))
    assert [received.body for received in subject.received] == [chat("b"), chat("c")]
    assert "sk-test" not in repr(subject.received)
    assert subject.received[0].headers["authorization"] == "[redacted]"
