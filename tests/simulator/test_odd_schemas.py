"""Schemas that are recursive, huge or senseless: the server must answer, and soon."""

from __future__ import annotations

import json
import random
import time
from typing import Any

import pytest

from deepseek_async.simulator.schemas import example

from .loopback import chat
from .sans_io import Asked

LITERAL = {"type": "object", "properties": {"value": {"type": "integer"}}, "required": ["value"]}
SUM = {
    "type": "object",
    "properties": {"left": {"$ref": "#/$defs/term"}, "right": {"$ref": "#/$defs/term"}},
    "required": ["left", "right"],
}


def made(schema: dict[str, Any]) -> Any:
    return example(schema, random.Random(1))


def depth(term: Any) -> int:
    assert set(term) in ({"value"}, {"left", "right"})
    return 1 + max((depth(term[side]) for side in ("left", "right") if side in term), default=0)


@pytest.mark.parametrize("options", [[SUM, LITERAL], [LITERAL, SUM], [{"allOf": [SUM]}, LITERAL]])
def test_recursions_end_with_the_alternative_that_ends_them(options: list[Any]) -> None:
    schema = {"$defs": {"term": {"anyOf": options}}, "$ref": "#/$defs/term"}
    assert depth(made(schema)) < 10


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"l": {"$ref": "#"}, "r": {"$ref": "#"}}, "required": ["l", "r"]},
        {"allOf": [{"$ref": "#"}]},
        {"properties": {"a": {"type": "array", "minItems": 10**9}}},
        {"properties": {"a": {"type": "string", "minLength": 10**11}}},
        {"properties": {"a": {"type": "string", "pattern": "^a{2000000000}$"}}},
        {"properties": {"a": {"type": "string", "pattern": "(" * 5000 + "a" + ")" * 5000}}},
    ],
    ids=["endless tree", "itself", "many items", "long string", "long pattern", "deep pattern"],
)
def test_schemas_without_a_value_of_sensible_size_are_answered(schema: dict[str, Any]) -> None:
    function = {"name": "f", "parameters": {"type": "object", **schema}}
    body = chat(tools=[{"type": "function", "function": function}])
    calls = Asked().json(body)["choices"][0]["message"]["tool_calls"]
    assert len(json.dumps(calls)) < 1000


def test_prompts_of_nothing_but_braces_are_answered_soon() -> None:
    body = chat("json " + '{"a":' * 100_000, response_format={"type": "json_object"})
    asked = Asked()
    before = time.process_time()
    assert "answer" in json.loads(asked.text(body))
    # It took four seconds.
    assert time.process_time() - before < 1


def test_references_point_into_arrays_and_have_escapes() -> None:
    schema = {
        "type": "object",
        "$defs": {"a/b": {"enum": [1]}, "c d": {"enum": [2]}},
        "properties": {
            "one": {"$ref": "#/$defs/a~1b"},
            "two": {"$ref": "#/$defs/c%20d"},
            "three": {"$ref": "#/properties/four/anyOf/0"},
            "four": {"anyOf": [{"enum": [3]}]},
        },
    }
    assert made(schema) == {"one": 1, "two": 2, "three": 3, "four": 3}
