"""What the simulator says by itself: fitting arguments and JSON, continued texts, filled gaps."""

from __future__ import annotations

import json
import random
import re
from typing import Any

import pytest

from deepseek_async.simulator import Reply
from deepseek_async.simulator.patterns import matching
from deepseek_async.simulator.schemas import example

from .loopback import chat
from .sans_io import Asked

BETA = "/beta/chat/completions"
FIM = "/beta/completions"
JSON_MODE: dict[str, Any] = {"response_format": {"type": "json_object"}}

ADDRESS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "street": {"type": "string", "minLength": 3, "maxLength": 40},
        "zip": {"type": "string", "pattern": r"^\d{5}(-\d{4})?$"},
        "country": {"enum": ["DE", "CN"]},
    },
    "required": ["street", "zip", "country"],
    "additionalProperties": False,
}
PERSON: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "kind": {"const": "person"},
        "email": {"type": "string", "format": "email"},
        "age": {"type": "integer", "exclusiveMinimum": 17, "maximum": 18},
        "share": {"type": "number", "exclusiveMinimum": 0.9, "exclusiveMaximum": 1},
        "home": {"$ref": "#/$defs/address"},
        "work": {"anyOf": [{"$ref": "#/$defs/address"}, {"type": "null"}]},
        "tags": {
            "type": "array",
            "items": {"type": "string"},
            "minItems": 2,
            "uniqueItems": True,
        },
        "boss": {"anyOf": [{"$ref": "#"}, {"type": "null"}]},
        "scores": {"type": "object", "additionalProperties": {"type": "integer", "minimum": 5}},
    },
    "required": ["name", "kind", "email", "age", "share", "home", "work", "tags", "boss", "scores"],
    "$defs": {"address": ADDRESS},
}


def fits(value: Any, schema: dict[str, Any], root: dict[str, Any]) -> bool:
    """A validator of what these schemas use, not written after the generator."""
    if "$ref" in schema:
        target = root
        for step in schema["$ref"].lstrip("#/").split("/"):
            target = target[step] if step else target
        return fits(value, target, root)
    if "anyOf" in schema:
        return any(fits(value, option, root) for option in schema["anyOf"])
    if "const" in schema or "enum" in schema:
        return value in schema.get("enum", [schema.get("const")])
    match schema.get("type"):
        case "object":
            properties = schema.get("properties", {})
            others = schema.get("additionalProperties", {})
            return (
                isinstance(value, dict)
                and set(schema.get("required", ())) <= value.keys()
                and (others is not False or value.keys() <= properties.keys())
                and all(fits(v, properties.get(k, others), root) for k, v in value.items())
            )
        case "array":
            texts = [json.dumps(item) for item in value]
            return (
                len(value) >= schema.get("minItems", 0)
                and len(value) <= schema.get("maxItems", len(value))
                and not (schema.get("uniqueItems") and len(set(texts)) < len(texts))
                and all(fits(item, schema.get("items", {}), root) for item in value)
            )
        case "string":
            return (
                isinstance(value, str)
                and len(value) >= schema.get("minLength", 0)
                and len(value) <= schema.get("maxLength", len(value))
                and re.search(schema.get("pattern", ""), value) is not None
                and ("@" in value or schema.get("format") != "email")
            )
        case "integer" | "number" as kind:
            step = schema.get("multipleOf")
            return (
                isinstance(value, int if kind == "integer" else int | float)
                and value >= schema.get("minimum", value)
                and value <= schema.get("maximum", value)
                and value > schema.get("exclusiveMinimum", value - 1)
                and value < schema.get("exclusiveMaximum", value + 1)
                and (step is None or value % step == 0)
            )
        case "boolean":
            return isinstance(value, bool)
        case "null":
            return value is None
        case _:
            return True


NUMBERS: list[dict[str, Any]] = [
    {"type": "integer", "minimum": 5, "maximum": 5},
    {"type": "integer", "exclusiveMinimum": 5, "exclusiveMaximum": 7},
    {"type": "integer", "maximum": 0},
    {"type": "integer", "minimum": 7, "maximum": 20, "multipleOf": 6},
    {"type": "number", "minimum": 0, "maximum": 1},
    {"type": "number", "minimum": 0.2, "maximum": 0.3},
    {"type": "number", "exclusiveMinimum": 0.2, "maximum": 0.3},
    {"type": "number", "exclusiveMaximum": 1},
    {"type": "number", "minimum": -5, "exclusiveMaximum": -4},
    {"type": "number", "multipleOf": 0.25, "exclusiveMinimum": 1},
]
LISTS: list[dict[str, Any]] = [
    {"type": "array", "items": {"type": "integer"}, "minItems": 3, "uniqueItems": True},
    {"type": "array", "items": {"enum": ["a", "b", "c"]}, "minItems": 3, "uniqueItems": True},
    {"type": "array", "items": {"type": "boolean"}, "minItems": 2, "uniqueItems": True},
    {"type": "array", "items": {"type": "string"}, "maxItems": 0},
    {"type": "object", "required": ["a"], "additionalProperties": {"type": "null"}},
]


@pytest.mark.parametrize("schema", [PERSON, ADDRESS, *NUMBERS, *LISTS], ids=str)
@pytest.mark.parametrize("seed", range(5))
def test_values_fit_their_schemas(schema: dict[str, Any], seed: int) -> None:
    value = example(schema, random.Random(seed))
    assert fits(value, schema, schema), value


def test_positions_of_arrays_have_their_own_schemas() -> None:
    schema = {"type": "array", "prefixItems": [{"const": 1}, {"type": "null"}]}
    assert example(schema, random.Random(0)) == [1, None]


def test_a_schema_without_end_gets_an_end() -> None:
    node: dict[str, Any] = {
        "type": "object",
        "properties": {"next": {"$ref": "#"}},
        "required": ["next"],
    }
    assert json.dumps(example(node, random.Random(0))).startswith('{"next": {"next"')


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (r"^\d{3}-\d{4}$", "444-4444"),
        (r"^[A-Z]{2}\d+$", "AA4"),
        (r"^(foo|bar)(?:-x)?$", "foo-x"),
        (r"^[^0-9]+\.txt$", "a.txt"),
        (r"[a-z]*?\s\S{2,}", "a aa"),
        (r"^a|b$", "a"),
        (r"^\bx\b$", "x"),
        ("", ""),
        (r"^.\t$", "a\t"),
        (r"(?=a)b", None),
        (r"(a", None),
        (r"[", None),
        (r"a\1", None),
    ],
)
def test_patterns_are_matched_where_they_are_simple(pattern: str, text: str | None) -> None:
    assert matching(pattern) == text


def test_tools_are_called_with_arguments_that_fit() -> None:
    tools = [
        {"type": "function", "function": {"name": "add", "parameters": PERSON}},
        {"type": "function", "function": {"name": "now"}},
    ]
    reply = Asked().json(chat("Add Ada", tools=tools))
    first, second = reply["choices"][0]["message"]["tool_calls"]
    assert (first["function"]["name"], second["function"]["name"]) == ("add", "now")
    assert fits(json.loads(first["function"]["arguments"]), PERSON, PERSON)
    assert second["function"]["arguments"] == "{}"


def test_server_tools_are_not_called() -> None:
    reply = Asked().json(chat(tools=[{"type": "deepseek_web_search"}]))
    assert reply["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize(
    ("system", "expected"),
    [
        (
            'Give JSON. EXAMPLE INPUT: {"in": 1} EXAMPLE OUTPUT: '
            '{"question": "Highest mountain?", "answer": "Everest", "sources": ["a"]}',
            {"question": "How deep?", "answer": "Everest", "sources": ["a"]},
        ),
        (
            'As json: {"name": "string", "age": "<integer>", "ok": "bool", "x": null, "y": "<y>"}',
            {"name": "Ada", "age": 1, "ok": True, "x": None, "y": "“How deep?”"},
        ),
        ('json {"a": {"b": [{"city": "..."}]}}', {"a": {"b": [{"city": "Hangzhou"}]}}),
    ],
)
def test_json_follows_the_example(system: str, expected: dict[str, Any]) -> None:
    messages = [{"role": "system", "content": system}, {"role": "user", "content": "How deep?"}]
    found = json.loads(Asked().text(chat(messages=messages, **JSON_MODE)))
    assert found.keys() == expected.keys()
    same = {key for key in expected if key not in ("ok", "y")}
    assert {key: found[key] for key in same} == {key: expected[key] for key in same}
    assert isinstance(found.get("ok", True), bool)


def test_json_follows_a_schema() -> None:
    asked = Asked()
    text = asked.text(chat(f"JSON of this schema: {json.dumps(PERSON)}", **JSON_MODE))
    assert fits(json.loads(text), PERSON, PERSON)


@pytest.mark.parametrize(
    "prompt", ["json please", "json { not json", "json {} []", "{" * 2000 + "json"]
)
def test_json_without_an_example_is_json_too(prompt: str) -> None:
    assert set(json.loads(Asked().text(chat(prompt, **JSON_MODE)))) == {"topic", "answer"}


def prefixed(prefix: str, **fields: Any) -> dict[str, Any]:
    last = {"role": "assistant", "content": prefix, "prefix": True}
    return chat(messages=[{"role": "user", "content": "Quick sort, as json"}, last], **fields)


def test_a_code_fence_gives_code() -> None:
    code = Asked().text(prefixed("```python\n"), BETA)
    assert code.endswith("```\n")
    compile(code.removesuffix("```\n"), "answer", "exec")
    stopped = Asked().json(prefixed("```python\n", stop=["```"]), BETA)["choices"][0]
    assert stopped["finish_reason"] == "stop"
    assert stopped["message"]["content"] == code.removesuffix("```\n")


@pytest.mark.parametrize("language", ["json", "js", "", "sql", "rust"])
def test_fences_of_any_language_are_closed(language: str) -> None:
    prefix = f"Here:\n```{language}"
    text = prefix + Asked().text(prefixed(prefix), BETA)
    assert text.count("```") == 2
    assert text.startswith(f"Here:\n```{language}\n")


def test_begun_code_goes_on() -> None:
    text = Asked().text(prefixed("```python\ndef f():\n"), BETA)
    compile(("def f():\n" + text).removesuffix("```\n"), "answer", "exec")


@pytest.mark.parametrize("prefix", ["The sky is", "Once.", "It is\n", "", "Closed ```x``` and"])
def test_text_goes_on_where_it_stopped(prefix: str) -> None:
    text = Asked().text(prefixed(prefix), BETA)
    assert text
    assert text[0].isspace() == bool(prefix and not prefix[-1].isspace())
    first = text.strip()[0]
    assert first.isupper() == (not prefix or prefix[-1] in ".\n")


@pytest.mark.parametrize(
    "prefix", ['{"a": 1', '{"a": "b', '{"a', '{"a":', "{", '["x"', '{"a": ["x"', '{"a": {"b": 1']
)
def test_begun_json_is_ended(prefix: str) -> None:
    json.loads(prefix + Asked().text(prefixed(prefix, **JSON_MODE), BETA))


@pytest.mark.parametrize(
    ("before", "after", "language"),
    [
        ("def fib(a):\n", "    return fib(a-1) + fib(a-2)", "python"),
        ("def fib(a):", "\n", "python"),
        ("x = 1\nif x:\n    y = 2\n", "\nz = 3", "python"),
        ("class A:\n    x = ", "\n", "python"),
        ("function f() {\n", "", "js"),
        ("function f() {", "\n}", "js"),
    ],
)
def test_gaps_in_code_are_filled_with_code(before: str, after: str, language: str) -> None:
    body = {"model": "deepseek-flash", "prompt": before, "suffix": after}
    text = before + Asked().text(body, FIM) + after
    if language == "python":
        compile(text, "filled", "exec")
    else:
        assert text.count("{") == text.count("}")


def test_gaps_in_text_are_filled_with_text() -> None:
    body = {"model": "deepseek-flash", "prompt": "Once upon a time,", "suffix": "The end."}
    text = Asked().text(body, FIM)
    assert re.fullmatch(" [a-z].*[.] ", text)


def test_the_echo_is_not_part_of_the_answer() -> None:
    asked = Asked()
    body = {"model": "deepseek-flash", "prompt": "a stop b", "echo": True, "stop": "stop"}
    for _ in range(2):
        asked.core.script.append(Reply(" one two"))
    reply = asked.json({**body, "max_tokens": 1}, FIM)
    assert reply["choices"][0]["text"] == "a stop b one"
    assert reply["usage"]["completion_tokens"] == 1
    chunks = asked.chunks(body, FIM)
    assert [chunk["choices"][0]["text"] for chunk in chunks] == ["a stop b", " one", " two", ""]


def test_gaps_have_logprobs() -> None:
    asked = Asked()
    body = {"model": "deepseek-flash", "prompt": "ab", "logprobs": 2, "echo": True}
    for _ in range(2):
        asked.core.script.append(Reply(" one two"))
    found = asked.json(body, FIM)["choices"][0]["logprobs"]
    assert list(found) == ["text_offset", "token_logprobs", "tokens", "top_logprobs"]
    assert (found["tokens"], found["text_offset"]) == ([" one", " two"], [2, 6])
    assert [len(top) for top in found["top_logprobs"]] == [2, 2]
    parts = [chunk["choices"][0]["logprobs"] for chunk in asked.chunks(body, FIM)]
    assert parts[0] is parts[-1] is None
    assert [part["text_offset"] for part in parts[1:-1]] == [[2], [6]]
    assert parts[1]["token_logprobs"] == found["token_logprobs"][:1]


def test_max_tokens_counts_reasoning_and_calls() -> None:
    tools = [{"type": "function", "function": {"name": "f", "parameters": ADDRESS}}]
    whole = Asked().json(chat(thinking=None, tools=tools))
    total = whole["usage"]["completion_tokens"]
    reasoning = whole["usage"]["completion_tokens_details"]["reasoning_tokens"]
    for most in (1, reasoning, reasoning + 1, total - 1, total):
        reply = Asked().json(chat(thinking=None, tools=tools, max_tokens=most))
        assert reply["usage"]["completion_tokens"] == most
        choice = reply["choices"][0]
        assert choice["finish_reason"] == ("length" if most < total else "tool_calls")
        assert ("tool_calls" in choice["message"]) == (most > reasoning)


def test_the_same_seed_says_the_same() -> None:
    body = chat("Why?", thinking=None)
    first, again, other = (Asked(seed=seed).plan(body) for seed in (1, 1, 2))
    assert first.body == again.body != other.body
    assert first.headers == again.headers
