"""Context caching: the examples of the guide, with the tokens of each text counted.

A prompt is ``<system>A<user>B``; an ASCII character is 0.3 tokens, a block of 128 tokens 427
characters.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from deepseek_async.simulator import Reply
from deepseek_async.simulator.cache import PromptCache
from deepseek_async.simulator.tokens import block_ends, estimate

from .sans_io import Asked

A = "a" * 1000
B, C, D = "b" * 300, "c" * 300, "d" * 300
# len("<system>") + 1000 + len("<user>") = 1014 characters, of which two blocks are 854.
TOKENS_OF_A = 256


def request(*texts: str, **fields: Any) -> dict[str, Any]:
    """System, user, assistant, user, ... in turns, without thinking."""
    roles = ["system", *["user", "assistant"] * len(texts)]
    messages = [{"role": role, "content": text} for role, text in zip(roles, texts, strict=False)]
    return {
        "model": "deepseek-flash",
        "messages": messages,
        "thinking": {"type": "disabled"},
        **fields,
    }


def counts(asked: Asked, *texts: str, **fields: Any) -> tuple[int, int]:
    """Hit and miss tokens."""
    usage = asked.json(request(*texts, **fields))["usage"]
    hit, miss = usage["prompt_cache_hit_tokens"], usage["prompt_cache_miss_tokens"]
    assert hit + miss == usage["prompt_tokens"]
    assert usage["prompt_tokens_details"] == {"cached_tokens": hit}
    return hit, miss


@pytest.mark.parametrize("interval", [None, 128, 1024])
def test_a_conversation_hits_its_earlier_turns(interval: int | None) -> None:
    asked = Asked(cache_interval=interval)
    asked.core.script.append(Reply("x" * 600))
    # 8 + 1000 + 6 + 300 = 1314 characters: 394 tokens.
    assert counts(asked, A, B) == (0, 394)
    # The unit at the end of the output has 1314 + 11 + 600 = 1925 characters, four blocks; the
    # prompt 1925 + 6 + 300 = 2231 characters, 669 tokens.
    assert counts(asked, A, B, "x" * 600, C) == (512, 157)


@pytest.mark.parametrize("interval", [None, 128, 1024])
def test_another_answer_than_was_given_hits_the_input_only(interval: int | None) -> None:
    asked = Asked(cache_interval=interval)
    asked.core.script.append(Reply("x" * 600))
    assert counts(asked, A, B) == (0, 394)
    assert counts(asked, A, B, "y" * 600, C) == (384, 285)


def test_a_common_beginning_hits_from_the_third_request_on() -> None:
    asked = Asked(cache_interval=None)
    assert counts(asked, A, B) == (0, 394)
    assert counts(asked, A, C) == (0, 394)
    assert counts(asked, A, D) == (TOKENS_OF_A, 138)


def test_units_at_intervals_hit_from_the_second_request_on() -> None:
    # As was measured: 7040 of 7074 tokens, in the second request.
    asked = Asked()
    assert counts(asked, A, B) == (0, 394)
    assert counts(asked, A, C) == (TOKENS_OF_A, 138)
    assert counts(asked, A, D) == (TOKENS_OF_A, 138)


@pytest.mark.parametrize(("interval", "hit"), [(128, 2944), (256, 2816), (1024, 2048), (4096, 0)])
def test_intervals_decide_how_much_of_a_long_text_hits(interval: int, hit: int) -> None:
    asked = Asked(cache_interval=interval)
    # 10 014 characters of it: 3004 tokens.
    assert counts(asked, "a" * 10_000, B) == (0, 3094)
    assert counts(asked, "a" * 10_000, C) == (hit, 3094 - hit)


def test_users_and_accounts_have_caches_of_their_own() -> None:
    asked = Asked(accounts={"sk-ann": "ann", "sk-ann2": "ann", "sk-bob": "bob"})
    assert counts(asked, A, B, user_id="u1") == (0, 394)
    assert counts(asked, A, C, user_id="u2") == (0, 394)
    assert counts(asked, A, C) == (0, 394)
    assert counts(asked, A, C, user_id="u1") == (TOKENS_OF_A, 138)
    for key, hit in (("sk-ann", 0), ("sk-bob", 0), ("sk-ann2", 384)):
        usage = asked.json(request(A, B), key=key)["usage"]
        assert usage["prompt_cache_hit_tokens"] == hit


def test_units_can_be_hit_after_a_delay() -> None:
    asked = Asked(cache_delay_seconds=5)
    assert counts(asked, A, B) == (0, 394)
    asked.clock.advance(4.9)
    assert counts(asked, A, C) == (0, 394)
    asked.clock.advance(0.1)
    assert counts(asked, A, D) == (TOKENS_OF_A, 138)


def test_the_output_is_cached_when_it_is_whole() -> None:
    asked = Asked(tokens_per_second=10, first_token_seconds=1)
    asked.core.script.append(Reply("x" * 600))
    plan = asked.plan(request(A, B, stream=True))
    end = max(frame.at for frame in plan.frames)
    asked.clock.advance(1.0)
    follow_up = (A, B, "x" * 600, C)
    assert usage_of(asked, follow_up) == 384
    asked.clock.advance(end)
    assert usage_of(asked, follow_up) == 640


def usage_of(asked: Asked, texts: tuple[str, ...]) -> int:
    return int(asked.chunks(request(*texts))[-1]["usage"]["prompt_cache_hit_tokens"])


def test_units_that_nobody_uses_are_forgotten() -> None:
    asked = Asked(cache_eviction_seconds=3600)
    assert counts(asked, A, B)[0] == 0
    for _ in range(3):
        asked.clock.advance(3599)
        assert counts(asked, A, C)[0] in (TOKENS_OF_A, 384)
    asked.clock.advance(3600)
    assert counts(asked, A, D)[0] == 0


def test_a_changed_first_line_hits_nothing() -> None:
    asked = Asked()
    assert counts(asked, "Monday. " + A, B)[0] == 0
    assert counts(asked, "Tuesday. " + A, B)[0] == 0


def test_short_prompts_are_never_cached() -> None:
    # Measured: none of the prompts of up to 132 tokens was.
    asked = Asked(cache_interval=None)
    for _ in range(3):
        assert counts(asked, "a" * 200, "b" * 100) == (0, 94)


def test_hits_of_2025_are_multiples_of_64() -> None:
    body = {**request(A, B), "model": "deepseek-chat"}
    asked = Asked(era="2025-08", cache_interval=64)
    assert asked.json(body)["usage"]["prompt_cache_hit_tokens"] == 0
    assert asked.json(body)["usage"]["prompt_cache_hit_tokens"] == 384
    body["messages"][1]["content"] = C
    # 1014 characters are 4 blocks of 64 tokens, 854 characters.
    assert asked.json(body)["usage"]["prompt_cache_hit_tokens"] == 256


def test_earlier_reasoning_counts_only_with_tools() -> None:
    tools = [{"type": "function", "function": {"name": "f"}}]
    body: dict[str, Any] = {
        "model": "deepseek-flash",
        "messages": [
            {"role": "user", "content": "one"},
            {"role": "assistant", "content": "two", "reasoning_content": "r" * 1000},
            {"role": "user", "content": "three"},
        ],
    }
    without = Asked().json(body)["usage"]["prompt_tokens"]
    assert without < 20
    assert Asked().json({**body, "tools": tools})["usage"]["prompt_tokens"] > 300


def test_a_prefix_and_its_continuation_are_one_text() -> None:
    asked = Asked()
    asked.core.script.append(Reply("y" * 600))
    body = request(A, B, "x" * 300)
    body["messages"][-1]["prefix"] = True
    asked.json(body, "/beta/chat/completions")
    # 1314 + 11 + 900 characters are 667 tokens.
    assert counts(asked, A, B, "x" * 300 + "y" * 600, C)[0] == 640


@pytest.mark.parametrize(
    "text", ["a" * 5000, "好" * 2000, "a好é" * 1000, "", "好a" * 999 + "\ud83d"]
)
def test_blocks_are_as_large_as_they_say(text: str) -> None:
    ends = [0, *block_ends(text, 128)]
    assert [estimate(text[a:b]) for a, b in pairwise(ends)] == [128] * (len(ends) - 1)
    assert estimate(text[ends[-1] :]) <= 128


def test_the_cache_stays_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deepseek_async.simulator.cache._MAX_BLOCKS", 50)
    monkeypatch.setattr("deepseek_async.simulator.cache._MAX_TAILS", 3)
    monkeypatch.setattr("deepseek_async.simulator.cache._MAX_RECENT_CHARACTERS", 10_000)
    cache = PromptCache(interval=None)
    for number in range(100):
        assert cache.hit_tokens(f"user{number % 7}", f"{number}" * 2000) == 0
    # The newest is still there.
    assert cache.hit_tokens("user1", "99" * 2000 + "!") == 1152
