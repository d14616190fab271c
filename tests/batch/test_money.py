"""`money`: what a job spends, also where hosts tell nothing of it."""

import asyncio
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from benchmarks.batch import budget
from deepseek_async import AsyncDeepSeek, BatchRequest, Budget, PreflightError
from deepseek_async.simulator import Fault, Reply, Simulator

GUARD = 30.0


def requests(count: int, **more: Any) -> list[BatchRequest]:
    messages = [{"role": "user", "content": "Hi"}]
    return [
        BatchRequest(
            f"item-{number}",
            {"model": "deepseek-flash", "messages": messages, "max_tokens": 50, **more},
        )
        for number in range(count)
    ]


async def test_answers_without_token_counts_use_the_budget_up_too(
    client: AsyncDeepSeek, sim: Simulator
) -> None:
    answer = {"id": "x", "object": "chat.completion", "created": 1, "model": "deepseek-flash"}
    choice = {"index": 0, "message": {"role": "assistant", "content": "a"}, "finish_reason": "stop"}
    sim.script(Reply(body={**answer, "choices": [choice]}, times="forever"))
    async with asyncio.timeout(GUARD):
        job = client.batch(requests(500), budget=Budget(tokens=2000))
        report = await job.run()
    assert report.outcome == "stopped_by_budget"
    # About 60 tokens each.
    assert 10 < report.succeeded < 100
    assert report.usage.without_usage == report.succeeded


class Number(msgspec.Struct):
    value: int


async def test_a_strict_budget_counts_what_is_asked_again_for_a_typed_answer(
    client: AsyncDeepSeek, sim: Simulator
) -> None:
    sim.script(Reply("not a number", times="forever"))
    # Three requests of at most some 1,400 tokens each.
    async with asyncio.timeout(GUARD):
        job = client.batch(
            requests(50), response_model=Number, budget=Budget(tokens=9000, strict=True)
        )
        report = await job.run()
    assert report.outcome == "stopped_by_budget"
    assert sum(totals.total_tokens for totals in client.usage.values()) <= 9000


async def test_what_was_cut_short_may_be_billed(client: AsyncDeepSeek, sim: Simulator) -> None:
    sim.faults(*[Fault("cut", after_events=2)] * 3)
    async with asyncio.timeout(GUARD):
        report = await client.batch(requests(1, stream=True), budget=Budget(tokens=100_000)).run()
    assert report.succeeded == 1
    assert report.retries == 3
    assert report.cost is not None
    assert report.cost > Decimal(0)


@pytest.mark.parametrize("strict", [False, True])
async def test_a_budget_too_small_for_one_request_sends_nothing(
    client: AsyncDeepSeek, sim: Simulator, strict: bool
) -> None:
    report = await client.batch(requests(3), budget=Budget(tokens=5, strict=strict)).run()
    assert report.outcome == "stopped_by_budget"
    assert sim.metrics.requests == 0
    assert report.unsent == 3 or report.total < 3


async def test_a_strict_budget_that_cannot_be_kept_ends_the_job_with_the_reason(
    sim: Simulator,
) -> None:
    async with sim.client(dialect="generic") as client, asyncio.timeout(GUARD):
        given = [BatchRequest("x", {"model": "unknown", "messages": []})]
        with pytest.raises(PreflightError, match="max_tokens"):
            await client.batch(given, budget=Budget(tokens=1000, strict=True)).run()


def test_answers_that_break_off_are_counted_by_a_strict_budget() -> None:
    found = budget.measure(100, (2000, 2000), seconds=0.05, cut=0.05)
    assert found.state.cut > 0
    assert found.billed <= found.usd
