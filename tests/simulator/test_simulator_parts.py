"""The sans-IO parts: tokens, schemas, the prompt cache, the clock, recorded bodies."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from deepseek_async.simulator import Clock, Replay, Reply
from deepseek_async.simulator.cache import PromptCache
from deepseek_async.simulator.refusals import REFUSALS
from deepseek_async.simulator.schemas import example
from deepseek_async.simulator.tokens import estimate, split


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Hello, world!",
        "a\n\n  b\tc_d__e",
        "你好、世界。再见",
        "1234567 ½ ²",
        "é🙂‍↔️\u2028x\x00",
        "```py\n",
    ],
)
def test_pieces_join_to_the_text(text: str) -> None:
    assert "".join(split(text)) == text


def test_pieces_are_about_tokens() -> None:
    assert split('{"city": "Ulm"}') == ['{"', "city", '":', ' "', "Ulm", '"}']
    assert split("你好世界") == ["你好", "世界"]


def test_estimates_follow_the_documented_rates() -> None:
    assert estimate("a" * 100) == 30
    assert estimate("好" * 100) == 60


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({}, "topic"),
        ({"type": "string"}, "topic"),
        ({"type": "string", "minLength": 7}, "topicxx"),
        ({"type": "string", "maxLength": 3}, "top"),
        ({"type": "string", "format": "email"}, "ada@example.org"),
        ({"const": 7}, 7),
        ({"enum": ["only"]}, "only"),
        ({"type": "string", "default": "d"}, "d"),
        ({"type": "integer"}, 1),
        ({"type": "integer", "minimum": 3}, 3),
        ({"type": "integer", "exclusiveMinimum": 3}, 4),
        ({"type": "integer", "minimum": 3, "multipleOf": 5}, 5),
        ({"type": "integer", "maximum": -3}, -13),
        ({"type": "number", "minimum": 0.5}, 0.5),
        ({"type": ["null", "integer"]}, 1),
        ({"type": "null"}, None),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 2}, [1, 1]),
        ({"anyOf": [{"type": "null"}, {"type": "integer"}]}, 1),
        ({"type": "object", "properties": {"city": {"type": "string"}}}, {"city": "Hangzhou"}),
        (
            {"properties": {"a": {"type": "integer"}, "b": {}}, "required": ["a"]},
            {"a": 1},
        ),
        ({"$ref": "#/$defs/n", "$defs": {"n": {"type": "integer"}}}, 1),
        ({"$ref": "#/$def/n", "$def": {"n": {"type": "integer"}}}, 1),
        (
            {
                "allOf": [
                    {"properties": {"a": {"const": 1}}, "required": ["a"]},
                    {"properties": {"b": {"const": 2}}, "required": ["b"]},
                ]
            },
            {"a": 1, "b": 2},
        ),
    ],
)
def test_examples_fit_the_schema(schema: dict[str, Any], expected: object) -> None:
    assert example(schema, random.Random(0), topic="topic") == expected


def test_a_recursive_schema_ends() -> None:
    node: dict[str, Any] = {
        "type": "object",
        "properties": {"children": {"type": "array", "items": {"$ref": "#"}}},
    }
    assert isinstance(example(node, random.Random(0)), dict)


def test_the_cache_hits_the_common_prefix_of_the_same_user() -> None:
    cache = PromptCache()
    common = "".join(f"line {n} of a long document. " for n in range(200))
    assert cache.hit_tokens("ann", common + "first question") == 0
    hit = cache.hit_tokens("ann", common + "second question")
    assert hit > 0
    assert hit % 128 == 0
    assert hit <= estimate(common)
    assert cache.hit_tokens("bob", common + "third question") == 0
    assert cache.hit_tokens("ann", "changed " + common) == 0


def test_the_clock_goes_only_forward() -> None:
    clock = Clock(wall=lambda: 1000.0, monotonic=lambda: 5.0)
    rings: list[float] = []
    unsubscribe = clock.subscribe(lambda: rings.append(clock.monotonic()))
    clock.advance(2.5)
    unsubscribe()
    clock.advance(1.0)
    assert (clock.now(), clock.monotonic(), rings) == (1003.5, 8.5, [7.5])
    with pytest.raises(ValueError, match="back"):
        clock.advance(-1)


@pytest.mark.parametrize(
    ("replay", "expected"),
    [
        (Replay(b"abcdef"), [b"abcdef"]),
        (Replay(b"abcdef", [2, 4, 4, 9, 0]), [b"ab", b"cd", b"ef"]),
        (Replay(b"abcde", step=2), [b"ab", b"cd", b"e"]),
        (Replay(b"", 7), []),
        (Replay(b"a", 7), [b"a"]),
    ],
)
def test_recorded_bytes_are_cut_where_told(replay: Replay, expected: list[bytes]) -> None:
    assert replay.pieces() == expected


def test_seeded_cuts_repeat_and_lose_nothing() -> None:
    data = bytes(range(256)) * 4
    first, again, other = (Replay(data, seed).pieces() for seed in (1, 1, 2))
    assert first == again != other
    assert b"".join(first) == data
    assert len(first) > 10


def test_the_type_of_recorded_bytes_is_found(tmp_path: Path) -> None:
    path = tmp_path / "stream"
    path.write_bytes(b": keep-alive\n\ndata: {}\n\n")
    assert Replay(path).media_type() == "text/event-stream; charset=utf-8"
    assert Replay(b'\n{"id": 1}').media_type() == "application/json"
    assert Replay(b"x", content_type="text/plain").media_type() == "text/plain"


def test_a_step_without_bytes_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one byte"):
        Replay(b"x", step=0).pieces()


def test_an_unknown_error_name_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="insufficient_balance"):
        Reply.error("none")


def test_every_error_is_one() -> None:
    assert {refusal.status for refusal in REFUSALS.values()} == {
        *(400, 401, 402, 404, 405, 413, 415, 422, 429, 500, 502, 503)
    }


def test_importing_the_package_does_not_import_aiohttp() -> None:
    code = (
        "import sys, deepseek_async.simulator as s; found = 'aiohttp' in sys.modules;"
        "s.Simulator; sys.exit(found or 'aiohttp' not in sys.modules)"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, check=False)
    assert done.returncode == 0
