"""`policy.cache_text` and `policy.cache_advice`: what requests share, and why they don't."""

import json
import random
from typing import Any

import msgspec
import pytest

from deepseek_async.policy.cache_advice import EarlyDifference, Samples, compare
from deepseek_async.policy.cache_text import cache_text
from deepseek_async.policy.cache_tree import common_length
from deepseek_async.types.requests import UserMessage

CHANCE = random.Random(1)
# Words that don't repeat.
PROSE = " ".join(CHANCE.randbytes(4).hex() for _ in range(1000))


def body(*contents: Any, **fields: Any) -> dict[str, Any]:
    roles = ["system", "user", "assistant", "user"]
    messages = [
        {"role": role, "content": content} for role, content in zip(roles, contents, strict=False)
    ]
    return {"model": "deepseek-flash", "messages": messages, **fields}


def shared(one: dict[str, Any], other: dict[str, Any]) -> int:
    return common_length(cache_text(one), cache_text(other), 0)


def test_prompts_that_begin_alike_have_texts_that_begin_alike() -> None:
    assert shared(body("s" * 500, "d" * 500 + "one"), body("s" * 500, "d" * 500 + "two")) > 1000


SAME: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "what the cache doesn't ask about": (
        body("s", "u", temperature=1.0, max_tokens=5),
        body("s", "u", stream=True),
    ),
    "the order of a message's keys": (
        {"messages": [{"role": "user", "content": "x"}]},
        {"messages": [{"content": "x", "role": "user"}]},
    ),
    "the order of the body's keys": (
        {"model": "m", "messages": [{"role": "user", "content": "x"}]},
        {"messages": [{"role": "user", "content": "x"}], "model": "m"},
    ),
    "null and missing": (body("s", tools=None), body("s")),
    "tuples": (
        {"messages": ({"role": "user", "content": "x"},)},
        {"messages": [{"role": "user", "content": "x"}]},
    ),
}


@pytest.mark.parametrize(("one", "other"), SAME.values(), ids=SAME)
def test_the_same_text_for(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert cache_text(one) == cache_text(other)


DIFFERENT: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "models": (body("s", model="a"), body("s", model="b")),
    "users": (body("s", user_id="a"), body("s", user_id="b")),
    "tools": (body("s", tools=[{"type": "a"}]), body("s", tools=[{"type": "b"}])),
    "modes": (body("s", thinking={"type": "enabled"}), body("s", thinking={"type": "disabled"})),
}


@pytest.mark.parametrize(("one", "other"), DIFFERENT.values(), ids=DIFFERENT)
def test_the_prompt_comes_after_other(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert shared(one, other) < cache_text(one).index(b"system")


def test_messages_may_be_structs() -> None:
    one, other = ({"messages": [UserMessage(content="x" * 500 + end)]} for end in "ab")
    assert shared(one, other) > 500


def test_parts_are_read_as_json() -> None:
    parts = [{"type": "text", "text": "hello"}]
    assert b'[{"type":"text","text":"hello"}]' in cache_text(body(parts))


def test_a_fim_prompt() -> None:
    one = {"model": "m", "prompt": "def f():" + "x" * 100, "suffix": "return"}
    assert cache_text(one).endswith(b"x\x1ereturn")
    assert shared(one, {**one, "suffix": None}) > 100


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"messages": "text"},
        {"messages": [1, None, "x"]},
        {"messages": [{"role": object(), "content": {1, "\ud800"}}]},
        body("\ud800", [{"text": "\ud800"}]),
        {"messages": {"role": "user"}},
    ],
    # By name: objects have another repr in each process.
    ids=["nothing", "text", "no messages", "no JSON", "surrogates", "one message"],
)
def test_what_is_wrong_is_for_others_to_say(wrong: dict[str, Any]) -> None:
    assert isinstance(cache_text(wrong), bytes)


# -- Early differences


def difference(one: dict[str, Any], other: dict[str, Any]) -> EarlyDifference | None:
    return compare(cache_text(one), cache_text(other))


def test_a_time_in_the_system_prompt() -> None:
    found = difference(
        body(f"It is 2026-11-21T12:00:01. {PROSE}", "one"),
        body(f"It is 2026-11-21T12:00:02. {PROSE}", "two"),
    )
    assert found is not None
    assert found.place == "message 1 (system)"
    assert (found.one, found.other) == ("2026-11-21T12:00:01", "2026-11-21T12:00:02")
    assert found.position == 24
    assert found.kind == "a time"
    assert found.alike > 0.9
    assert str(found).startswith(
        "prompts differ from character 24 of message 1 (system) on: '2026-11-21T12:00:01' and "
        "'2026-11-21T12:00:02' (a time), though "
    )


KINDS = {
    "a number": ("Request 17: ", "Request 18: "),
    "an id": (
        "session 0f8fad5b-d9cb-469f-a165-70867728950e ",
        "session 7c9e6679-7425-40de-944b-e07fc1f90ae7 ",
    ),
    "text": ("Dear Alice, ", "Dear Bob, "),
}


@pytest.mark.parametrize(("kind", "starts"), KINDS.items(), ids=KINDS)
def test_the_kind_of_a_difference(kind: str, starts: tuple[str, str]) -> None:
    found = difference(*(body("same", start + PROSE) for start in starts))
    assert found is not None
    assert found.kind == kind
    assert found.place == "message 2 (user)"
    assert (f"({kind})" in str(found)) == (kind != "text")


def test_an_id_of_letters_and_digits() -> None:
    found = difference(*(body(f"order {key} {PROSE}") for key in ("A1-99XY", "B7-12QQ")))
    assert found is not None
    assert found.kind == "an id"


def test_keys_in_another_order() -> None:
    record = {"name": "x", "city": "y", "text": PROSE}
    other = dict(sorted(record.items()))
    found = difference(body(json.dumps(record)), body(json.dumps(other)))
    assert found is not None
    assert found.kind == "keys in another order"


def test_tools_whose_keys_are_in_another_order() -> None:
    function = {"name": "f", "description": PROSE}
    found = difference(
        body("s", tools=[{"type": "function", "function": function}]),
        body("s", tools=[{"function": function, "type": "function"}]),
    )
    assert found is not None
    assert found.place == "tools"
    assert found.kind == "keys in another order"


def test_users_that_have_a_cache_each() -> None:
    found = difference(body(PROSE, user_id="anna-1"), body(PROSE, user_id="bert-2"))
    assert found is not None
    assert found.place == "user_id"
    assert found.position == 0
    assert (found.one, found.other) == ("anna-1", "bert-2")


def test_a_setting_that_only_one_has() -> None:
    found = difference(body(PROSE, user_id="anna"), body(PROSE, reasoning_effort="high"))
    assert found is not None
    assert found.place == "the settings"


def test_a_prompt_without_a_role() -> None:
    found = difference({"prompt": "1 " + PROSE}, {"prompt": "2 " + PROSE})
    assert found is not None
    assert found.place == "message 1"


def test_no_advice_where_prompts_are_not_alike() -> None:
    def words() -> str:
        return CHANCE.randbytes(3000).hex()

    assert difference(body(words()), body(words())) is None


def test_no_advice_where_most_is_shared() -> None:
    assert (
        difference(body(PROSE + "one" + PROSE[:2000]), body(PROSE + "two" + PROSE[:2000])) is None
    )


def test_no_advice_for_short_prompts() -> None:
    assert difference(body("one " + PROSE[:500]), body("two " + PROSE[:500])) is None


def test_samples_say_what_most_have() -> None:
    samples = Samples()
    assert samples.early_difference() is None
    for number in range(20):
        samples.add(cache_text(body(f"{number} {PROSE}")))
    found = samples.early_difference()
    assert found is not None
    assert found.kind == "a number"
    assert samples.early_difference() is found


def test_samples_do_not_speak_for_a_few() -> None:
    samples = Samples()
    for number in range(9):
        samples.add(cache_text(body(f"{number // 3} {PROSE}")))
    assert samples.early_difference() is None


def test_a_difference_is_a_plain_record() -> None:
    found = difference(body("1 " + PROSE), body("2 " + PROSE))
    assert msgspec.json.decode(msgspec.json.encode(found))["kind"] == "a number"
