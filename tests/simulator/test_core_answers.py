"""How scripts, eras and faults meet in the core."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from deepseek_async.simulator import Fault, Reply
from deepseek_async.simulator.cache import PromptCache

from .loopback import chat
from .sans_io import Asked, bytes_of, error_of

TOOLS = [{"type": "function", "function": {"name": "f"}}]


def test_only_the_reasoning_can_be_scripted() -> None:
    asked = Asked()
    asked.core.script.append(Reply(reasoning="Hm, so"))
    message = asked.json(chat(thinking=None))["choices"][0]["message"]
    assert message["reasoning_content"] == "Hm, so"
    assert message["content"]


def test_logprobs_of_a_plain_answer_cover_its_reasoning() -> None:
    asked = Asked()
    asked.core.script.append(Reply("one two", reasoning="Hm"))
    found = asked.json(chat(thinking=None, logprobs=True))["choices"][0]["logprobs"]
    assert {key: [item["token"] for item in items] for key, items in found.items()} == {
        "content": ["one", " two"],
        "reasoning_content": ["Hm"],
    }


def test_a_fault_that_answers_instead_takes_no_place() -> None:
    asked = Asked(max_concurrency=1, capacity=1)
    fault = Fault("overloaded")
    asked.core.script.append(Reply("x", first_token_seconds=99, fault=fault))
    assert asked.plan(chat()).status == 503
    plan = asked.plan(chat(stream=True))
    assert (plan.status, next(plan.frames).at) == (200, 0)


def test_use_before_there_were_prices_is_free() -> None:
    asked = Asked(at=1_700_000_000.0, balance={"USD": 1})
    asked.core.script.append(Reply("x", usage={"completion_tokens": 10**9}))
    asked.json(chat())
    assert asked.get("/user/balance")["balance_infos"][0]["total_balance"] == "1.00"


def test_short_keys_come_back_whole() -> None:
    # As recorded in April 2025.
    asked = Asked(keys=frozenset())
    assert error_of(asked.plan(chat(), key="test")).endswith("api key: test is invalid")
    assert error_of(asked.plan(chat(), key="test-key")).endswith("api key: ****-key is invalid")


UUID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


@pytest.mark.parametrize(
    ("era", "reply_id", "call_id"),
    [
        ("2024-06", "[0-9a-f]{32}", f"call_0_{UUID}"),
        ("2025-01", UUID, f"call_0_{UUID}"),
        ("2025-03", UUID, f"call_0_{UUID}"),
        ("2025-08", UUID, "call_00_[A-Za-z0-9]{24}"),
        ("2026-04", UUID, "call_00_[A-Za-z0-9]{20}[0-9]{4}"),
        ("now", UUID, "call_00_[A-Za-z0-9]{20}[0-9]{4}"),
    ],
)
def test_ids_have_the_form_of_their_time(era: str, reply_id: str, call_id: str) -> None:
    reply = Asked(era=era).json(chat(model="deepseek-chat", tools=TOOLS))
    assert re.fullmatch(reply_id, reply["id"])
    call = reply["choices"][0]["message"]["tool_calls"][0]
    assert re.fullmatch(call_id, call["id"])


@pytest.mark.parametrize(
    ("era", "keys"),
    [
        ("2024-06", {"completion_tokens", "prompt_tokens", "total_tokens"}),
        (
            "2025-01",
            {
                *("completion_tokens", "prompt_tokens", "total_tokens"),
                *("prompt_cache_hit_tokens", "prompt_cache_miss_tokens"),
            },
        ),
    ],
)
def test_counts_are_those_of_their_time(era: str, keys: set[str]) -> None:
    assert Asked(era=era).json(chat(model="deepseek-chat"))["usage"].keys() == keys


def test_a_paced_answer_of_2024_has_its_form() -> None:
    asked = Asked(era="2024-06", first_token_seconds=30)
    plan = asked.plan(chat(model="deepseek-chat"))
    frames = list(plan.frames)
    assert [frame.data for frame in frames[:2]] == [b"\n", b"\n"]
    assert list(json.loads(frames[-1].data)) == [
        *("id", "choices", "created", "model", "object", "usage")
    ]
    asked.core.script.append(Reply("x", queue_seconds=5))
    events = bytes_of(asked.plan(chat(model="deepseek-chat", stream=True)))
    assert events.startswith(b": keep-alive\r\n\r\n: keep-alive\r\n\r\n")


@pytest.mark.parametrize(
    ("image", "is_fine"),
    [
        ({"url": "https://example.org/" + "a" * 8192}, False),
        ({"url": "data:image/png;base64," + "a" * 9000}, True),
        ("no object", True),
    ],
)
def test_addresses_of_images_are_short(image: object, is_fine: bool) -> None:
    content = [{"type": "image_url", "image_url": image}]
    plan = Asked().plan(chat(messages=[{"role": "user", "content": content}]))
    assert (plan.status == 200) == is_fine


def test_equal_images_hit_the_cache_and_others_do_not() -> None:
    def parts(name: str) -> dict[str, Any]:
        image = {"type": "image_url", "image_url": {"url": f"https://example.org/{name}"}}
        return chat(
            messages=[
                {"role": "user", "content": [image, {"type": "text", "text": "x" * 400}]},
                {"role": "user", "content": "y" * 1000},
            ]
        )

    asked = Asked()
    hits = [asked.json(parts(name))["usage"]["prompt_cache_hit_tokens"] for name in ("a", "a", "b")]
    # The image of the first message is read after its text; the first block is before it.
    assert hits == [0, 384, 0]


def test_many_prompts_of_one_user_are_compared() -> None:
    cache = PromptCache(interval=None)
    for number in range(40):
        hit = cache.hit_tokens("u", "a" * 1000 + f"<{number}>")
        assert hit == (256 if number > 1 else 0)
