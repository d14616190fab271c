"""What makes no sense is refused where it is written, not answered with a status 500."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any, cast

import pytest

from deepseek_async.simulator import FAULT_KINDS, Clock, Fault, Options, Replay, Reply, Simulator
from deepseek_async.simulator import When as Fits

from .loopback import chat
from .sans_io import Asked, bytes_of

CALLS = cast("Any", [{"name": "weather", "arguments": {}}])


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: Reply(cast("Any", 5)), "text is a string"),
        (lambda: Reply("\ud800"), "text can't be sent as JSON"),
        (lambda: Reply("x", usage={"prompt_tokens": "x"}), "usage.prompt_tokens is a number"),
        (lambda: Reply("x", usage={"prompt_cache_hit_tokens": -1}), "is a number of tokens"),
        (lambda: Reply("x", usage={"other": object()}), "usage can't be sent"),
        # Its two keys would be taken for a pair.
        (lambda: Reply(tool_calls=CALLS), r"tool_calls\[0\] is a pair"),
        (lambda: Reply(tool_calls=[("f", {"a": object()})]), "tool_calls can't be sent"),
        (lambda: Reply("x", queue_seconds=-1), "queue_seconds can't be -1"),
        (lambda: Reply("x", queue_seconds=math.nan), "queue_seconds can't be nan"),
        (lambda: Reply("x", tokens_per_second=-1), "tokens_per_second can't be -1"),
        (lambda: Reply("x", first_token_seconds=-1), "first_token_seconds can't be -1"),
        (lambda: Reply(status=100), "status is from 200 to 599"),
        (lambda: Reply("x", status=503), "text can't be given with status 503"),
        (lambda: Reply(reasoning="x", body=b""), "reasoning can't be given with body"),
        (lambda: Reply(body={"a": object()}), "body can't be sent"),
        (lambda: Reply("x", headers={"A": "b\r\nC: d"}), "header A can't be"),
        (lambda: Reply("x", headers={"A B": "c"}), "can't be the name of a header"),
        (lambda: Reply("x", match=cast("Any", 5)), "match is a text, a When or a function"),
        (lambda: Reply("x", times=cast("Any", "always")), "times is a number or 'forever'"),
        (lambda: Replay(b"x", pause=-1), "pause can't be -1"),
        (lambda: Replay(b"x", status=0), "status is from 200"),
        (lambda: Fits(turn=0), "counted from 1"),
        (lambda: Fault("stall", seconds=math.nan), "seconds can't be"),
        (lambda: Fault("cut", after_events=cast("Any", 1.5)), "after_events is a whole number"),
        (lambda: Fault("cut", times=cast("Any", "always")), "times is a number or 'forever'"),
        (lambda: Options(tokens_per_second=-1), "tokens_per_second can't be -1"),
        (lambda: Options(first_token_seconds=math.nan), "first_token_seconds can't be nan"),
        (lambda: Options(keep_alive_seconds=math.nan), "keep_alive_seconds must be positive"),
        (lambda: Options(max_concurrency=-1), "max_concurrency can't be negative"),
        (lambda: Options(max_concurrency={"deepseek-flash": -1}), "can't be negative"),
        (lambda: Options(max_concurrency=cast("Any", "many")), "a number or 'deepseek'"),
        (lambda: Options(balance={"USD": "much"}), r"balance\['USD'\] is an amount"),
        (lambda: Options(balance={"USD": "NaN"}), "is an amount of money"),
        (lambda: Options(concurrency_balance=Decimal(0)), "must be positive"),
        (lambda: Options(queue_timeout_seconds=-1), "queue_timeout_seconds can't be -1"),
        (lambda: Options(cache_delay_seconds=-1), "cache_delay_seconds can't be -1"),
        (lambda: Options(reasoning_passback=cast("Any", "some")), "there are reject, turn"),
        (lambda: Simulator(keys="sk-one"), "keys is a list"),
        (lambda: Clock().advance(math.inf), "a number of seconds"),
        (lambda: Clock().advance(math.nan), "a number of seconds"),
    ],
)
def test_mistakes_are_refused(make: Callable[[], object], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        make()


def test_matching_a_fim_request_doesnt_stumble_over_chats_fields() -> None:
    asked = Asked()
    asked.core.script += [Reply("a", match=Fits(tools="f")), Reply("b", match=Fits(turn=2))]
    asked.core.script.append(Reply("c", match=Fits(turn=1, tools=[])))
    body = {"model": "deepseek-flash", "prompt": "x", "tools": "abc", "messages": 5}
    assert asked.text(body, "/beta/completions") == "c"


def test_a_prompt_that_is_too_long_leaves_the_script_alone() -> None:
    asked = Asked(era="2025-01")
    asked.core.script.append(Reply("Hi"))
    long = chat("x" * 400_000, model="deepseek-chat")
    assert b"maximum context length" in bytes_of(asked.plan(long))
    assert asked.text(chat(model="deepseek-chat")) == "Hi"


def test_an_answer_that_a_fault_replaces_costs_nothing() -> None:
    asked = Asked(balance={"USD": 1})
    asked.core.script.append(
        Reply("x", usage={"completion_tokens": 1_000_000}, fault=Fault("rate_limit"))
    )
    assert asked.plan(chat()).status == 429
    assert asked.get("/user/balance")["balance_infos"][0]["total_balance"] == "1.00"


@pytest.mark.parametrize("kind", FAULT_KINDS)
@pytest.mark.parametrize(
    "choices",
    [
        5,
        ["x"],
        [{"message": None}],
        [{"message": "x"}],
        [{"message": {"tool_calls": 7}}],
        [{"message": {"tool_calls": [5, {}, {"id": "a", "function": {}}]}}],
    ],
    ids=json.dumps,
)
def test_no_fault_stumbles_over_odd_scripted_bodies(kind: Any, choices: object) -> None:
    asked = Asked()
    asked.core.script.append(Reply(body={"choices": choices}))
    asked.core.faults.extend([Fault(kind, seconds=0.0)])
    assert bytes_of(asked.plan(chat())) is not None


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b'{"a":NaN}', "expected value at line 1 column 6"),
        (b'{"a":-Infinity}', "expected value at line 1 column 6"),
        (b'{"a":1e999}', "number out of range at line 1 column 6"),
        (b'{"a":"\x01"}', "control character (\\u0000-\\u001F) found while parsing a string"),
        (b'{"a":1}x', "trailing characters at line 1 column 8"),
        (b"{'a':1}", "key must be a string at line 1 column 2"),
        (b'{"a":"x', "EOF while parsing a string at line 1 column 7"),
    ],
)
def test_what_isnt_json_is_told_in_the_servers_words(data: bytes, problem: str) -> None:
    assert problem in bytes_of(Asked().plan(data)).decode()


@pytest.mark.parametrize("key", ["sk-bad\udcff\udcfe", "sk-bad-é"])
def test_keys_of_any_bytes_are_refused(key: str) -> None:
    assert Asked().plan(chat(), key=key).status == 401


def test_keys_are_in_no_repr() -> None:
    asked = Asked(keys=frozenset({"sk-secret-1"}), accounts={"sk-secret-2": "a"})
    headers = ("authorization", "proxy-authorization", "x-api-key", "api-key", "cookie")
    asked.core.plan("GET", "/models", dict.fromkeys(headers, "Bearer sk-secret-3"), b"")
    assert "sk-secret" not in repr(asked.core)
