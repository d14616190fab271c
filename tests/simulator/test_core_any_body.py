"""Whatever a client sends, the core answers: nothing in a body is an exception of its own."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepseek_async.simulator.eras import ERAS

from .sans_io import Asked, bytes_of

STATUSES = {200, 400, 422}

scalars = st.none() | st.booleans() | st.integers(-5, 5) | st.floats(0, 3) | st.text(max_size=5)
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
schema_keys = st.sampled_from(
    [
        *("type", "properties", "required", "items", "enum", "const", "anyOf", "allOf", "$ref"),
        *("minItems", "maxItems", "uniqueItems", "minimum", "maximum", "exclusiveMaximum"),
        *("multipleOf", "pattern", "format", "minLength", "maxLength", "prefixItems", "default"),
        *("additionalProperties", "$defs"),
    ]
)
kinds = st.sampled_from(["object", "array", "string", "integer", "number", "boolean", "null"])
schemas = st.recursive(
    scalars | kinds,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(schema_keys, inner, max_size=4),
    max_leaves=12,
)
functions = st.fixed_dictionaries(
    {"name": st.sampled_from(["f", "g", "a b"])},
    optional={
        "parameters": st.dictionaries(schema_keys, schemas, max_size=5).map(
            lambda schema: {**schema, "type": "object"}
        ),
        "strict": st.booleans(),
    },
)
tools = st.lists(st.fixed_dictionaries({"type": st.just("function"), "function": functions}))
texts = st.sampled_from(
    ["", "json", "{", '{"a": 1}', "```py\n", "Hi.", "def f():\n", "好", "\ud83d"]
)
messages = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["system", "user", "assistant", "tool"])},
        optional={
            "content": texts | anything,
            "prefix": st.booleans(),
            "reasoning_content": texts,
            "tool_call_id": st.sampled_from(["a", "b"]),
            "tool_calls": st.lists(
                st.fixed_dictionaries(
                    {
                        "id": st.sampled_from(["a", "b"]),
                        "type": st.just("function"),
                        "function": st.fixed_dictionaries(
                            {"name": st.just("f"), "arguments": texts}
                        ),
                    }
                ),
                max_size=2,
            ),
        },
    ),
    max_size=4,
)
chats = st.fixed_dictionaries(
    {"model": st.sampled_from(["deepseek-flash", "deepseek-chat"]), "messages": messages},
    optional={
        "tools": tools,
        "tool_choice": anything,
        "stop": texts | st.lists(texts, max_size=3),
        "max_tokens": st.integers(0, 9),
        "response_format": st.just({"type": "json_object"}) | anything,
        "logprobs": st.booleans(),
        "top_logprobs": st.integers(-1, 3),
        "stream": st.booleans(),
        "thinking": st.just({"type": "disabled"}) | anything,
        "user_id": texts,
    },
)


def checked(asked: Asked, data: bytes, path: str) -> None:
    plan = asked.plan(data, path)
    body = bytes_of(plan)
    assert plan.status in STATUSES, body
    assert body


@settings(max_examples=300, deadline=None)
@given(chats, st.sampled_from(["/chat/completions", "/beta/chat/completions"]))
def test_any_chat_is_answered(body: dict[str, Any], path: str) -> None:
    checked(Asked(cache_interval=None), json.dumps(body).encode(), path)


@settings(max_examples=100, deadline=None)
@given(
    st.fixed_dictionaries(
        {"model": st.just("deepseek-flash"), "prompt": texts},
        optional={"suffix": texts, "echo": st.booleans(), "logprobs": anything, "stop": anything},
    )
)
def test_any_gap_is_answered(body: dict[str, Any]) -> None:
    checked(Asked(), json.dumps(body).encode(), "/beta/completions")


@settings(max_examples=100, deadline=None)
@given(anything | st.dictionaries(st.sampled_from(["model", "messages", "tools"]), anything))
def test_any_json_is_answered(body: Any) -> None:
    checked(Asked(), json.dumps(body).encode(), "/chat/completions")


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=50))
def test_any_bytes_are_answered(data: bytes) -> None:
    checked(Asked(), data, "/chat/completions")


@pytest.mark.parametrize("data", [b"[" * 100_000, b'{"a":' * 100_000, b"\xff", b'{"model": NaN}'])
def test_bytes_that_break_parsers_are_answered(data: bytes) -> None:
    checked(Asked(), data, "/chat/completions")


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("stream", [True, False])
def test_every_era_answers(era: str, stream: bool) -> None:
    body = {
        "model": "deepseek-chat",
        "messages": [{"role": "user", "content": "Hi"}],
        "tools": [{"type": "function", "function": {"name": "f"}}],
        "stream": stream,
    }
    plan = Asked(era=era, cache_interval=None).plan(body)
    assert plan.status == 200
    assert b'"tool_calls"' in bytes_of(plan)
    fim = {"model": "deepseek-chat", "prompt": "x", "stream": stream}
    assert b"text_completion" in bytes_of(Asked(era=era).plan(fim, "/beta/completions"))
