"""Which recording a request gets, and what is said when there is none."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepseek_async.simulator.recording.exchange import Exchange
from deepseek_async.simulator.recording.matching import Asked, Recordings

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)
MESSAGES = [{"role": "user", "content": "Hello"}]
BODY = {"model": "deepseek-flash", "messages": MESSAGES, "stream": True}


def recorded(target: str, body: object, method: str = "POST") -> Exchange:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Exchange(
        host="", recorded_at="", method=method, target=target, request_body=data, end="cut"
    )


def recordings(*exchanges: Exchange) -> Recordings:
    return Recordings((f"{number}.json", one) for number, one in enumerate(exchanges, 1))


def asked(target: str, body: object, method: str = "POST") -> Asked:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Asked.of(method, target, data)


@given(st.dictionaries(st.text(max_size=3), JSON, max_size=5))
def test_the_order_of_keys_and_white_space_do_not_count(body: dict[str, Any]) -> None:
    known = recordings(recorded("/x", body))
    backwards = {name: body[name] for name in reversed(body)}
    assert known.take(asked("/x", json.dumps(backwards, indent=3).encode())) is not None


@given(JSON, JSON)
def test_what_differs_is_told_apart_and_told(one: object, other: object) -> None:
    known = recordings(recorded("/x", {"value": one}))
    question = asked("/x", {"value": other})
    is_same = asked("/x", {"value": one}).key == question.key
    assert (known.take(question) is not None) is is_same
    if not is_same:
        explained = known.explain(question)
        assert explained.startswith("the nearest is 1.json: it")
        assert len(explained) < 300


@pytest.mark.parametrize(
    ("one", "other"),
    [(1, True), (0, False), (0, None), ("1", 1), ([], {}), ("", None), (1.5, 1)],
)
def test_values_of_other_kinds_are_others(one: object, other: object) -> None:
    assert recordings(recorded("/x", [one])).take(asked("/x", [other])) is None


def test_numbers_are_what_they_are_in_json() -> None:
    assert recordings(recorded("/x", b"[1.0, 20]")).take(asked("/x", b"[1, 2e1]")) is not None


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("/a%20b", "/a b", True),
        ("/a?x=1&y=2", "/a?y=2&x=1", True),
        ("/a?x=1", "/a?x=2", False),
        ("/a?x=1", "/a", False),
        ("/a", "/a/", False),
        ("/a", "/v1/a", False),
    ],
)
def test_paths_and_queries(one: str, other: str, is_same: bool) -> None:
    assert (recordings(recorded(one, {})).take(asked(other, {})) is not None) is is_same


def test_what_is_not_json_is_compared_as_bytes() -> None:
    deep = b"[" * 5000 + b"]" * 5000
    known = recordings(recorded("/x", b"{no"), recorded("/x", b"\xff"), recorded("/x", deep))
    assert known.take(asked("/x", b"\xff")) is not None
    assert known.take(asked("/x", deep)) is not None
    assert known.take(asked("/x", b"{no ")) is None
    assert known.take(asked("/x", b"")) is None
    told = known.explain(asked("/x", b"{no "))
    assert told == (
        "the nearest is 1.json: its body is 3 bytes that aren't JSON, not 4 bytes that aren't JSON"
    )


def test_recordings_are_played_in_order_and_the_last_again() -> None:
    exchanges = [recorded("/x", {}), recorded("/y", {}), recorded("/x", {})]
    known = recordings(*exchanges)
    for _ in range(2):
        taken = [known.take(asked("/x", {})) for _ in range(4)]
        assert [found is exchanges[0] for found in taken] == [True, False, False, False]
        assert all(found is exchanges[2] for found in taken[1:])
        known.rewind()


@pytest.mark.parametrize(
    ("question", "told"),
    [
        (asked("/chat", BODY), "1.json: its path is /chat/completions, not /chat"),
        (asked("/models", None, "POST"), "4.json: its method is GET, not POST"),
        (
            asked("/models?x=1", b"", "GET"),
            "4.json: it was asked for as GET /models, not as GET /models?x=1",
        ),
        (
            asked("/chat/completions", {**BODY, "model": "other"}),
            '1.json: its model is "deepseek-flash", not "other"',
        ),
        (
            asked("/chat/completions", {**BODY, "model": "deepseek-v4-pro", "n": 1}),
            "2.json: it has no n, which is 1 here",
        ),
        (
            asked("/chat/completions", {"model": "deepseek-flash", "messages": MESSAGES}),
            "1.json: its stream is true, and here there is none",
        ),
        (
            asked("/chat/completions", {**BODY, "messages": [{"role": "user", "content": "Ho"}]}),
            '1.json: its messages[0].content is "Hello", not "Ho"',
        ),
        (
            asked("/chat/completions", {**BODY, "messages": [*MESSAGES, MESSAGES[0]]}),
            '1.json: it has no messages[1], which is {"role": "user", "content": "Hello"} here',
        ),
        (
            asked("/long", {"text": "a" * 500 + "b" + "c" * 500}),
            f'3.json: its text is "…{"a" * 12}d{"c" * 47}…", not "…{"a" * 12}b{"c" * 47}…"',
        ),
    ],
)
def test_the_nearest_recording_is_named(question: Asked, told: str) -> None:
    known = recordings(
        recorded("/chat/completions", BODY),
        recorded("/chat/completions", {**BODY, "model": "deepseek-v4-pro"}),
        recorded("/long", {"text": "a" * 500 + "d" + "c" * 500}),
        recorded("/models", b"", "GET"),
    )
    assert known.take(question) is None
    assert known.explain(question) == f"the nearest is {told}"
