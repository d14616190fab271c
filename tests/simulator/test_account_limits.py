"""Keys, balance, limits and queues, on a clock that only the test moves."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from deepseek_async.simulator import Options, Reply
from deepseek_async.simulator.frames import Kind

from .loopback import chat
from .sans_io import SATURDAY, Asked, bytes_of, error_of

# Monday 2026-11-23, 10:00 in Beijing.
MONDAY_MORNING = 1_795_399_200.0
LIMITED = "Your current concurrency is {}, which exceeds your concurrency limit of {}"


def balance(asked: Asked, key: str = "sk-test") -> dict[str, str]:
    told = asked.get("/user/balance", key)
    return {info["currency"]: info["total_balance"] for info in told["balance_infos"]}


def spend(asked: Asked, millions: int, **fields: Any) -> None:
    """Use up so many million output tokens."""
    asked.core.script.append(Reply("x", usage={"completion_tokens": millions * 1_000_000}))
    asked.json(chat(**fields))


def test_keys_belong_to_accounts() -> None:
    asked = Asked(keys=frozenset({"sk-a"}), accounts={"sk-b": "bea"}, balance={"USD": 10})
    assert asked.plan(chat(), key="sk-c").status == 401
    assert asked.plan(b"{", key="sk-c").status == 401
    asked.core.script.append(Reply("x", usage={"completion_tokens": 1_000_000}))
    asked.json(chat(), key="sk-a")
    assert balance(asked, "sk-a") == {"USD": "9.39"}
    assert balance(asked, "sk-b") == {"USD": "10.00"}


def test_the_balance_falls_with_use() -> None:
    asked = Asked(balance={"USD": "2.00"})
    spend(asked, 1)
    assert balance(asked) == {"USD": "1.39"}
    spend(asked, 1, model="deepseek-v4-pro")
    assert balance(asked) == {"USD": "0.00"}
    told = asked.get("/user/balance")["balance_infos"][0]
    assert (told["granted_balance"], told["topped_up_balance"]) == ("0.00", "0.00")


def test_each_kind_of_token_has_its_price() -> None:
    million = 1_000_000
    asked = Asked(balance={"CNY": 100})
    usage = {
        "prompt_tokens": 3 * million,
        "prompt_cache_hit_tokens": million,
        "completion_tokens": million,
    }
    asked.core.script.append(Reply("x", usage=usage))
    asked.json(chat(model="deepseek-v4-pro"))
    # 0.15 + 2 * 4.5 + 13.5
    assert balance(asked) == {"CNY": "77.35"}


def test_peak_hours_cost_twice_as_much() -> None:
    asked = Asked(at=MONDAY_MORNING, balance={"CNY": 100})
    spend(asked, 1)
    assert balance(asked)["CNY"] in ("91.99", "92.00")
    # To 13:00, when Beijing has lunch.
    asked.clock.advance(3 * 3600)
    spend(asked, 1)
    assert balance(asked)["CNY"] in ("87.99", "88.00")


def test_what_was_granted_is_spent_first() -> None:
    asked = Asked()
    infos = asked.get("/user/balance")["balance_infos"]
    assert [info["granted_balance"] for info in infos] == ["10.00", "0.50"]
    spend(asked, 3)
    info = asked.get("/user/balance")["balance_infos"][0]
    assert (info["granted_balance"], info["topped_up_balance"]) == ("0.00", "97.99")


def test_without_a_balance_of_its_own_an_account_is_topped_up() -> None:
    asked = Asked()
    spend(asked, 40)
    assert balance(asked) == {"CNY": "49.99", "USD": "15.50"}
    assert asked.get("/user/balance")["is_available"] is True


def test_an_empty_account_is_a_402() -> None:
    asked = Asked(balance={"CNY": 1, "USD": "0.5"}, accounts={"sk-rich": "rich"})
    spend(asked, 1)
    spend(asked, 1)
    refused = asked.plan(chat())
    assert (refused.status, error_of(refused)) == (402, "Insufficient Balance")
    assert asked.get("/user/balance")["is_available"] is False
    assert asked.plan(chat(), key="sk-rich").status == 200
    assert len(asked.get("/models")["data"]) == 2


def test_the_limit_is_per_model_and_account() -> None:
    asked = Asked(max_concurrency=2, accounts={"sk-other": "other"})
    plans = [asked.plan(chat()) for _ in range(3)]
    assert [plan.status for plan in plans] == [200, 200, 429]
    assert error_of(plans[2]).startswith(LIMITED.format(3, 2))
    # Another name of the same model.
    assert asked.plan(chat(model="deepseek-v4-flash")).status == 429
    assert asked.plan(chat(model="deepseek-v4-pro")).status == 200
    assert asked.plan(chat(), key="sk-other").status == 200
    asked.core.finish(plans[0])
    asked.core.finish(plans[0])
    assert [asked.plan(chat()).status for _ in range(2)] == [200, 429]


@pytest.mark.parametrize(
    ("limits", "model", "limit"),
    [
        ("deepseek", "deepseek-flash", 2500),
        ("deepseek", "deepseek-v4-pro", 500),
        ({"deepseek-v4-pro": 3}, "deepseek-v4-pro", 3),
    ],
)
def test_deepseeks_own_limits(limits: Any, model: str, limit: int) -> None:
    asked = Asked(max_concurrency=limits)
    statuses = [asked.plan(chat(model=model)).status for _ in range(limit + 1)]
    assert (statuses.count(200), statuses[-1]) == (limit, 429)


def test_models_that_are_not_named_have_no_limit() -> None:
    asked = Asked(max_concurrency={"deepseek-v4-pro": 1})
    assert {asked.plan(chat()).status for _ in range(10)} == {200}


def test_limits_shrink_with_the_balance() -> None:
    asked = Asked(max_concurrency=500, balance={"USD": 10}, concurrency_balance=Decimal(10))
    # Off-peak, 15 million tokens cost 9 dollars; the prompt a little more.
    spend(asked, 15)
    statuses = [asked.plan(chat()).status for _ in range(51)]
    assert statuses.count(200) == 49
    spent = error_of(asked.plan(chat()))
    assert spent.startswith(LIMITED.format(50, 49))
    assert "based on your remaining balance" in spent


def test_refused_and_scripted_errors_take_no_place() -> None:
    asked = Asked(max_concurrency=1)
    asked.core.script.append(Reply.error("overloaded"))
    assert asked.plan(chat()).status == 503
    assert asked.plan(chat(temperature=3)).status == 400
    assert [asked.plan(chat()).status for _ in range(2)] == [200, 429]


def test_a_429_leaves_the_script_for_the_next_one() -> None:
    asked = Asked(max_concurrency=1)
    first = asked.plan(chat())
    asked.core.script.append(Reply("kept"))
    assert asked.plan(chat()).status == 429
    asked.core.finish(first)
    assert asked.text(chat()) == "kept"


def answered(asked: Asked, seconds: float, **fields: Any) -> list[tuple[float, Kind]]:
    """When the parts of a streamed answer of so many seconds come."""
    asked.core.script.append(Reply("x", first_token_seconds=seconds))
    return [(frame.at, frame.kind) for frame in asked.plan(chat(stream=True, **fields)).frames]


def test_beyond_its_capacity_requests_wait_with_keep_alives() -> None:
    asked = Asked(capacity=2, keep_alive_seconds=4)
    assert [answered(asked, 10)[-1][0] for _ in range(2)] == [10, 10]
    third = answered(asked, 5)
    assert third[:4] == [
        (0.0, Kind.KEEP_ALIVE),
        (4.0, Kind.KEEP_ALIVE),
        (8.0, Kind.KEEP_ALIVE),
        (12.0, Kind.KEEP_ALIVE),
    ]
    assert third[-1] == (15.0, Kind.DONE)
    # The fourth follows the second, the fifth the third.
    assert [answered(asked, 5)[-1][0] for _ in range(2)] == [15, 20]


def test_the_queue_moves_with_the_clock() -> None:
    asked = Asked(capacity=1)
    assert answered(asked, 100)[-1][0] == 100
    asked.clock.advance(60)
    assert answered(asked, 5)[-1][0] == 45
    asked.clock.advance(3600)
    assert answered(asked, 5)[-1][0] == 5


def test_who_leaves_early_makes_room() -> None:
    asked = Asked(capacity=1)
    asked.core.script.append(Reply("x", first_token_seconds=100))
    plan = asked.plan(chat(stream=True))
    asked.clock.advance(10)
    asked.core.finish(plan)
    assert answered(asked, 5)[-1][0] == 5


@pytest.mark.parametrize(("stream", "beat"), [(True, b": keep-alive\n\n"), (False, b"\n")])
def test_who_waits_too_long_gets_only_keep_alives(stream: bool, beat: bytes) -> None:
    asked = Asked(capacity=1, keep_alive_seconds=60)
    answered(asked, 601)
    plan = asked.plan(chat(stream=stream))
    frames = list(plan.frames)
    assert (plan.status, plan.closes) == (200, True)
    assert [frame.at for frame in frames] == [*(60.0 * n for n in range(10)), 600.0]
    assert b"".join(frame.data for frame in frames) == beat * 10
    # It never took the slot.
    asked.clock.advance(602)
    assert answered(asked, 5)[-1][0] == 5


def test_the_time_in_the_queue_is_an_option() -> None:
    asked = Asked(capacity=1, queue_timeout_seconds=1800)
    answered(asked, 1000)
    plan = asked.plan(chat())
    assert (plan.closes, b"chat.completion" in bytes_of(plan)) == (False, True)


def test_a_day_of_load_is_simulated_without_waiting() -> None:
    asked = Asked(capacity=1, balance={"USD": 100})
    for _ in range(24 * 60):
        assert answered(asked, 59)[-1][0] == 59
        asked.clock.advance(60)
    assert asked.clock.now() == SATURDAY + 24 * 3600
    assert Decimal(balance(asked)["USD"]) < 100


def test_paces_that_are_drawn_can_be_queued() -> None:
    from deepseek_async.simulator import Uniform

    asked = Asked(capacity=1, tokens_per_second=Uniform(5, 10))
    asked.core.script.append(Reply("a b c d e f g h i j"))
    first = [frame.at for frame in asked.plan(chat(stream=True)).frames]
    # Ten tokens, and the slot is taken for the time of a gap more.
    assert first[0] == 0 < first[-1] < 2
    waited = next(frame.at for frame in asked.plan(chat(stream=True)).frames if frame.at > 0)
    assert waited >= first[-1]


@pytest.mark.parametrize(
    "options",
    [{"cache_interval": 100}, {"capacity": 0}, {"balance": {}}, {"era": "2020-01"}],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        Options(**options)
