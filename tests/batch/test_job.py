"""Batch jobs against the simulator: each item answered once, whatever happens."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from deepseek_async import (
    AsyncDeepSeek,
    AuthenticationError,
    BadRequestError,
    BatchItem,
    BatchJob,
    BatchProgress,
    BatchRequest,
    Budget,
    ChatCompletion,
    Completion,
    DeepSeekError,
    InsufficientBalanceError,
    PreflightError,
    ServerOverloadedError,
    StreamInterruptedError,
)
from deepseek_async.batch import engine as engine_module
from deepseek_async.batch import pauses
from deepseek_async.batch.delivery import MOST_READY
from deepseek_async.simulator import Fault, Reply, Simulator

# Only a hang gets here.
GUARD = 30.0

MODEL = "deepseek-flash"
UNPAID = {"error": {"message": "Insufficient Balance"}}


def body(text: object, **more: Any) -> dict[str, Any]:
    return {
        "model": MODEL,
        "messages": [{"role": "user", "content": f"Say {text}"}],
        "thinking": {"type": "disabled"},
        **more,
    }


def request(number: int, **more: Any) -> BatchRequest:
    return BatchRequest(f"item-{number}", body(number, **more))


def requests(count: int, **more: Any) -> list[BatchRequest]:
    return [request(number, **more) for number in range(count)]


async def items_of(job: BatchJob) -> list[BatchItem]:
    async with asyncio.timeout(GUARD), job:
        return [item async for item in job]


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def names_in(path: Path) -> list[str]:
    return sorted(line["custom_id"] for line in lines_of(path))


def names(count: int) -> list[str]:
    return sorted(f"item-{number}" for number in range(count))


def at_once(*_: object, **__: object) -> float:
    return 0.0


async def test_every_item_is_answered_once(client: AsyncDeepSeek, sim: Simulator) -> None:
    job = client.batch(requests(40))
    items = await items_of(job)
    assert sorted(item.custom_id for item in items) == names(40)
    assert sorted(item.index for item in items) == list(range(40))
    for item in items:
        assert isinstance(item.completion, ChatCompletion)
        assert item.error is None
        assert item.attempts == 1
        assert item.cost is not None
        assert item.cost > 0
    report = job.report()
    assert (report.outcome, report.succeeded, report.failed, report.unsent) == (
        "completed", 40, 0, 0,
    )  # fmt: skip
    assert report.ok
    assert report.requests == 40 == sim.metrics.requests
    assert report.cost == sum((item.cost or Decimal(0) for item in items), Decimal(0))


async def test_items_come_in_the_order_of_the_input_if_asked(
    client: AsyncDeepSeek, sim: Simulator
) -> None:
    sim.script(*[Reply("x", queue_seconds=0.2, match=f"Say {n}") for n in (0, 7)])
    items = await items_of(client.batch(requests(30), ordered=True))
    assert [item.index for item in items] == list(range(30))


async def test_bodies_alone_and_the_dicts_of_requests_are_items_too(client: AsyncDeepSeek) -> None:
    given = [body("a"), {"custom_id": "b", "body": body("b")}, request(3)]
    items = await items_of(client.batch(given))
    assert {item.custom_id for item in items} >= {"b", "item-3"}
    assert len(items) == 3
    assert all(item.completion is not None for item in items)


async def test_equal_bodies_without_names_are_items_of_their_own(client: AsyncDeepSeek) -> None:
    items = await items_of(client.batch([body("same")] * 5))
    assert len({item.custom_id for item in items}) == 5


async def test_a_file_is_read_line_by_line(client: AsyncDeepSeek, tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    lines = [msgspec.json.encode(request(n)) for n in range(10)]
    lines.insert(4, b'{"custom_id": "broken", "body": {')
    source.write_bytes(b"\n".join(lines))
    out = tmp_path / "out.jsonl"
    items = await items_of(client.batch(source, out=out))
    (failed,) = [item for item in items if item.error is not None]
    assert isinstance(failed.error, PreflightError)
    assert "in.jsonl line 5" in str(failed.error)
    assert names_in(out) == names(10)
    (letter,) = lines_of(tmp_path / "out.errors.jsonl")
    assert letter["input"] == '{"custom_id": "broken", "body": {'


async def test_async_input_of_any_length_is_not_read_ahead_of_what_is_needed(
    client: AsyncDeepSeek,
) -> None:
    read = 0

    async def endless() -> AsyncIterator[dict[str, Any]]:
        nonlocal read
        while True:
            read += 1
            yield body(read)
            await asyncio.sleep(0)

    seen = 0
    async with asyncio.timeout(GUARD), client.batch(endless(), cache="off") as job:
        async for _ in job:
            seen += 1
            if seen == 50:
                break
    assert read < 5000


async def test_a_slow_consumer_holds_the_job_back(client: AsyncDeepSeek, sim: Simulator) -> None:
    async with asyncio.timeout(GUARD), client.batch(requests(3000), max_concurrency=50) as job:
        await anext(job)
        before = -1
        while sim.metrics.requests != before:
            before = sim.metrics.requests
            await asyncio.sleep(0.5)
        assert before <= MOST_READY + 51
        assert len([item async for item in job]) == 2999


async def test_a_failed_item_is_told_and_does_not_stop_the_others(
    client: AsyncDeepSeek, tmp_path: Path, sim: Simulator
) -> None:
    out = tmp_path / "out.jsonl"
    given = [*requests(5), BatchRequest("wrong", body("x", model="no-such-model"))]
    items = await items_of(client.batch(given, out=out))
    failed = {item.custom_id: item for item in items if item.error is not None}
    assert set(failed) == {"wrong"}
    assert isinstance(failed["wrong"].error, BadRequestError)
    assert names_in(out) == names(5)
    (letter,) = lines_of(tmp_path / "out.errors.jsonl")
    assert letter["custom_id"] == "wrong"
    assert letter["body"]["model"] == "no-such-model"
    assert letter["error"]["code"] == "400"
    # It can't be answered: another run doesn't send it again, unless that is asked for.
    sent = sim.metrics.requests
    assert await items_of(client.batch(given, out=out)) == []
    assert sim.metrics.requests == sent
    (again,) = await items_of(client.batch(given, out=out, retry=True))
    assert again.custom_id == "wrong"


async def test_what_was_written_is_not_sent_again(
    client: AsyncDeepSeek, tmp_path: Path, sim: Simulator
) -> None:
    out = tmp_path / "out.jsonl"
    await items_of(client.batch(requests(10), out=out))
    job = client.batch(requests(25), out=out)
    items = await items_of(job)
    assert len(items) == 15
    assert job.report().skipped == 10
    assert sim.metrics.requests == 25
    assert names_in(out) == names(25)


async def test_a_run_hands_out_nothing_and_opens_itself(
    client: AsyncDeepSeek, tmp_path: Path
) -> None:
    out = tmp_path / "out.jsonl"
    report = await client.batch(requests(12), out=out).run()
    assert report.succeeded == 12
    assert names_in(out) == names(12)
    assert str(out) in str(report)


async def test_leaving_early_keeps_what_was_finished_and_gives_the_places_back(
    client: AsyncDeepSeek, tmp_path: Path, sim: Simulator
) -> None:
    out = tmp_path / "out.jsonl"
    sim.script(Reply("slow", queue_seconds=600, match="slowly", times="forever"))
    given = [*requests(5), *[BatchRequest(f"slow-{n}", body(f"{n} slowly")) for n in range(10)]]
    async with asyncio.timeout(GUARD):
        async with client.batch(given, out=out) as job:
            finished = [await anext(job) for _ in range(5)]
        assert sorted(item.custom_id for item in finished) == names(5)
        assert names_in(out) == names(5)
        report = job.report()
        assert (report.outcome, report.unsent) == ("stopped", 10)
        while sim.metrics.in_flight:
            await asyncio.sleep(0.01)
    # The places are free for others.
    assert len(await items_of(client.batch(requests(30)))) == 30


async def test_a_cancelled_task_leaves_a_job_that_can_be_resumed(
    client: AsyncDeepSeek, tmp_path: Path, sim: Simulator
) -> None:
    # Long enough that it is still at work when it is cancelled.
    sim.script(Reply("x", queue_seconds=0.05, times="forever"))
    out = tmp_path / "out.jsonl"
    acknowledged: list[str] = []

    async def work() -> None:
        async with client.batch(requests(200), out=out, max_concurrency=4) as job:
            async for item in job:
                acknowledged.append(item.custom_id)

    task = asyncio.create_task(work())
    async with asyncio.timeout(GUARD):
        while len(acknowledged) < 20:
            await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert set(acknowledged) <= set(names_in(out))
    await items_of(client.batch(requests(200), out=out))
    assert names_in(out) == names(200)
    # What was under way is paid again, and no more.
    assert sim.metrics.requests <= 200 + 4


async def test_stopping_finishes_what_is_under_way(client: AsyncDeepSeek, sim: Simulator) -> None:
    async with asyncio.timeout(GUARD), client.batch(requests(500), max_concurrency=8) as job:
        items = [await anext(job)]
        job.stop()
        items += [item async for item in job]
    report = job.report()
    assert report.outcome == "stopped"
    assert report.succeeded == len(items) == sim.metrics.requests
    assert report.succeeded + report.unsent == report.total


async def test_refusals_for_want_of_room_cost_no_attempt(sim: Simulator) -> None:
    async with Simulator(max_concurrency=3, first_token_seconds=0.02) as small:
        async with small.client() as client:
            job = client.batch(requests(60))
            items = await items_of(job)
        assert all(item.error is None for item in items)
        report = job.report()
        assert report.rejected > 0
        assert report.retries == 0
        assert report.rejected + 60 == report.requests == small.metrics.requests
        # The limit that the server names is kept: not every second request is refused.
        assert report.rejected < 60


async def test_failures_of_the_server_are_tried_again(
    client: AsyncDeepSeek, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "delay_after", at_once)
    sim.faults(Fault("overloaded", times=2), Fault("cut"), Fault("whitespace"))
    job = client.batch(requests(10))
    items = await items_of(job)
    assert all(item.error is None for item in items)
    assert job.report().retries == 4
    assert sum(item.attempts for item in items) == 14


async def test_an_item_that_fails_for_ever_fails_after_five_attempts(
    client: AsyncDeepSeek, sim: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "delay_after", at_once)
    refusal = Reply(
        status=503, body={"error": {"message": "busy"}}, match="Say bad", times="forever"
    )
    sim.script(refusal)
    given = [*requests(30), BatchRequest("bad", body("bad"))]
    out = tmp_path / "out.jsonl"
    items = await items_of(client.batch(given, out=out))
    (bad,) = [item for item in items if item.error is not None]
    assert isinstance(bad.error, ServerOverloadedError)
    assert bad.attempts == 5
    assert bad.custom_id == "bad"


async def test_an_answer_that_broke_off_for_good_is_kept_with_what_came_of_it(
    client: AsyncDeepSeek, sim: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "delay_after", at_once)
    sim.script(Reply("one two three four five six", times="forever"))
    sim.faults(Fault("cut", after_events=4, times="forever"))
    (item,) = await items_of(client.batch(requests(1, stream=True), out=tmp_path / "out.jsonl"))
    assert isinstance(item.error, StreamInterruptedError)
    (letter,) = lines_of(tmp_path / "out.errors.jsonl")
    partial = letter["response"]["body"]["choices"][0]["message"]["content"]
    assert partial
    assert "one two three four five six".startswith(partial)


async def test_what_was_never_sent_is_tried_again_by_the_next_run(
    client: AsyncDeepSeek, tmp_path: Path
) -> None:
    out = tmp_path / "out.jsonl"
    given = [BatchRequest("a", {"messages": [{"role": "user", "content": "Hi"}]})]
    (item,) = await items_of(client.batch(given, out=out))
    assert isinstance(item.error, PreflightError)
    (item,) = await items_of(client.batch(given, out=out, model=MODEL, force=True))
    assert item.error is None
    job = client.batch(given, out=out, model=MODEL)
    assert await items_of(job) == []
    assert job.report().dead_letters is None


@pytest.mark.parametrize("status", [401, 403])
async def test_a_key_that_is_refused_stops_the_job(
    client: AsyncDeepSeek, sim: Simulator, tmp_path: Path, status: int
) -> None:
    sim.script(Reply(status=status, body={"error": {"message": "no"}}, times="forever"))
    out = tmp_path / "out.jsonl"
    job = client.batch(requests(200), out=out)
    items = await items_of(job)
    assert all(isinstance(item.error, DeepSeekError) for item in items)
    report = job.report()
    assert report.outcome == "refused"
    assert not report.ok
    # No more than were under way when the first refusal came.
    assert sim.metrics.requests <= 16
    assert report.unsent == report.total
    with pytest.raises(DeepSeekError, match="no"):
        report.raise_if_stopped()
    # Nothing has been taken for finished: with another key they are all answered.
    sim.reset()
    assert len(await items_of(client.batch(requests(200), out=out))) == 200


async def test_a_wrong_key_is_told_by_the_items_and_the_report(
    sim: Simulator, tmp_path: Path
) -> None:
    async with sim.client(api_key="sk-bad-key") as client:
        job = client.batch(requests(3), out=tmp_path / "out.jsonl")
        items = await items_of(job)
    assert {type(item.error) for item in items} == {AuthenticationError}
    assert "sk-bad-key" not in str(job.report())
    assert "sk-bad-key" not in repr(job)


async def test_an_empty_account_stops_the_job(
    client: AsyncDeepSeek, sim: Simulator, tmp_path: Path
) -> None:
    sim.script(
        Reply(status=402, body={"error": {"message": "Insufficient Balance"}}, times="forever")
    )
    job = client.batch(requests(50), out=tmp_path / "out.jsonl")
    items = await items_of(job)
    assert {type(item.error) for item in items} == {InsufficientBalanceError}
    assert job.report().outcome == "unpaid"


async def test_a_job_can_wait_until_the_account_is_topped_up(
    client: AsyncDeepSeek, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pauses, "_BALANCE_EVERY", 0.05)
    sim.script(Reply(status=402, body=UNPAID, times=3))
    progress: list[BatchProgress] = []
    job = client.batch(requests(20), on_402="pause", progress=progress.append)
    items = await items_of(job)
    assert len(items) == 20
    assert all(item.error is None for item in items)
    assert job.report().outcome == "completed"


async def test_the_balance_is_watched(
    client: AsyncDeepSeek, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pauses, "_BALANCE_EVERY", 0.05)
    async with Simulator(balance={"USD": Decimal("0.0000001")}) as poor:
        poor.script(Reply("x", queue_seconds=0.3, times="forever"))
        async with poor.client() as client:
            job = client.batch(requests(2000), max_concurrency=2)
            await items_of(job)
    assert job.report().outcome == "unpaid"


async def test_a_budget_ends_the_job_without_an_error(
    client: AsyncDeepSeek, tmp_path: Path
) -> None:
    out = tmp_path / "out.jsonl"
    job = client.batch(
        requests(400, max_tokens=100), out=out, budget=Budget(usd=0.002, strict=True)
    )
    items = await items_of(job)
    report = job.report()
    assert report.outcome == "stopped_by_budget"
    assert report.error is None
    assert 0 < len(items) < 400
    assert report.cost is not None
    assert report.cost <= Decimal("0.002")
    # The next run goes on with a new budget.
    assert len(await items_of(client.batch(requests(400, max_tokens=100), out=out))) == 400 - len(
        items
    )


async def test_a_budget_needs_a_price(client: AsyncDeepSeek) -> None:
    job = client.batch(requests(3, model="no-such-model"), budget=Budget(usd=1))
    with pytest.raises(PreflightError, match="no-such-model"):
        await items_of(job)


async def test_identical_requests_are_sent_once(
    client: AsyncDeepSeek, sim: Simulator, tmp_path: Path
) -> None:
    given = [BatchRequest(f"item-{n}", body(n % 3)) for n in range(30)]
    out = tmp_path / "out.jsonl"
    job = client.batch(given, out=out, dedupe=True)
    items = await items_of(job)
    assert sim.metrics.requests == 3
    assert job.report().shared == 27
    assert names_in(out) == names(30)
    texts: dict[int, set[str]] = {}
    for item in items:
        assert isinstance(item.completion, ChatCompletion)
        text = item.completion.choices[0].message.content
        texts.setdefault(item.index % 3, set()).add(text or "")
    assert {len(found) for found in texts.values()} == {1}


async def test_a_name_with_two_requests_is_refused_and_with_one_is_left_out(
    client: AsyncDeepSeek, sim: Simulator
) -> None:
    given = [request(1), request(1), BatchRequest("item-1", body("other"))]
    job = client.batch(given)
    items = await items_of(job)
    assert sorted(item.error is None for item in items) == [False, True]
    (failed,) = [item for item in items if item.error is not None]
    assert "item-1" in str(failed.error)
    assert job.report().duplicates == 1
    assert sim.metrics.requests == 1


class Capital(msgspec.Struct):
    city: str


async def test_answers_are_parsed_into_a_type(
    client: AsyncDeepSeek, sim: Simulator, tmp_path: Path
) -> None:
    sim.script(Reply("not JSON"), Reply('{"city": "Paris"}', times="forever"))
    given = [BatchRequest(f"item-{n}", body("the capital, as json")) for n in range(5)]
    out = tmp_path / "out.jsonl"
    items = await items_of(client.batch(given, out=out, response_model=Capital))
    assert [item.parsed for item in items] == [Capital("Paris")] * 5
    for line in lines_of(out):
        assert json.loads(line["response"]["body"]["choices"][0]["message"]["content"]) == {
            "city": "Paris"
        }


async def test_chat_and_fill_in_the_middle_go_together(client: AsyncDeepSeek) -> None:
    fim = {"model": "deepseek-v4-pro", "prompt": "def f():\n", "suffix": "    return 1"}
    given = [request(0), BatchRequest("fim", fim, url="/v1/completions"), request(2)]
    items = {item.custom_id: item for item in await items_of(client.batch(given))}
    assert isinstance(items["fim"].completion, Completion)
    assert isinstance(items["item-0"].completion, ChatCompletion)


async def test_requests_can_be_streamed(client: AsyncDeepSeek, sim: Simulator) -> None:
    sim.script(Reply("streamed", times="forever"))
    items = await items_of(client.batch(requests(5, stream=True)))
    for item in items:
        assert isinstance(item.completion, ChatCompletion)
        assert item.completion.choices[0].message.content == "streamed"
        assert item.completion.usage is not None
    assert all(received.body and received.body["stream"] for received in sim.requests)


async def test_an_address_that_is_none_of_the_api_is_told(client: AsyncDeepSeek) -> None:
    (item,) = await items_of(client.batch([BatchRequest("x", body(1), url="/v1/embeddings")]))
    assert isinstance(item.error, PreflightError)
    assert "/v1/embeddings" in str(item.error)


async def test_a_body_without_a_model_takes_that_of_the_job(
    client: AsyncDeepSeek, sim: Simulator
) -> None:
    given = [{"messages": [{"role": "user", "content": "Hi"}]}]
    (item,) = await items_of(client.batch(given))
    assert isinstance(item.error, PreflightError)
    assert "model" in str(item.error)
    (item,) = await items_of(client.batch(given, model=MODEL))
    assert item.error is None


async def test_map_makes_requests_of_anything(client: AsyncDeepSeek) -> None:
    def make(number: int) -> BatchRequest:
        if number == 3:
            raise KeyError("three")
        return request(number)

    items = await items_of(client.batch(range(5), map=make))
    (failed,) = [item for item in items if item.error is not None]
    assert "three" in str(failed.error)
    assert len(items) == 5


async def test_an_input_that_fails_ends_the_job_with_its_error(
    client: AsyncDeepSeek, tmp_path: Path
) -> None:
    def broken() -> Iterator[BatchRequest]:
        yield from requests(3)
        raise LookupError("the database is gone")

    out = tmp_path / "out.jsonl"
    job = client.batch(broken(), out=out)
    with pytest.raises(LookupError, match="the database is gone"):
        await items_of(job)
    assert job.report().outcome == "broken"
    assert set(names_in(out)) <= set(names(3))
    assert len(await items_of(client.batch(requests(3), out=out))) == 3 - len(names_in(out)) or (
        names_in(out) == names(3)
    )


async def test_progress_is_told_and_its_errors_are_not_lost(client: AsyncDeepSeek) -> None:
    seen: list[BatchProgress] = []
    await items_of(client.batch(requests(30), progress=seen.append))
    assert seen[-1].finished == seen[-1].succeeded == 30
    assert seen[-1].total == 30

    def wrong(progress: BatchProgress) -> None:
        raise ZeroDivisionError

    async with Simulator(first_token_seconds=5.0) as slow, slow.client() as other:
        with pytest.raises(ZeroDivisionError):
            await items_of(other.batch(requests(3), progress=wrong))


async def test_a_deadline_ends_the_job(client: AsyncDeepSeek, sim: Simulator) -> None:
    sim.script(Reply("x", queue_seconds=0.1, times="forever"))
    deadline = datetime.now(UTC) + timedelta(seconds=1)
    job = client.batch(requests(5000), deadline=deadline, max_concurrency=2)
    items = await items_of(job)
    assert job.report().outcome == "stopped_by_deadline"
    assert 0 < len(items) < 5000


async def test_a_call_gets_through_while_a_job_fills_all_places(sim: Simulator) -> None:
    async with Simulator(max_concurrency=8, first_token_seconds=0.05) as busy:
        async with busy.client() as client, asyncio.timeout(GUARD):
            async with client.batch(requests(200)) as job:
                await anext(job)
                for number in range(5):
                    await client.chat.completions.create(**body(f"call {number}"))
                job.stop()
                async for item in job:
                    assert item.error is None


async def test_jobs_share_the_places_by_weight(sim: Simulator) -> None:
    async with (
        asyncio.timeout(GUARD),
        Simulator(first_token_seconds=0.05) as slow,
        slow.client(max_concurrency=12) as client,
    ):
        light = client.batch(requests(5000), weight=1)
        heavy = client.batch(
            [BatchRequest(f"heavy-{n}", body(f"heavy {n}")) for n in range(5000)], weight=3
        )
        counts = {"light": 0, "heavy": 0}

        async def consume(name: str, job: BatchJob) -> None:
            async for _ in job:
                counts[name] += 1
                if sum(counts.values()) >= 400:
                    break

        async with light, heavy:
            await asyncio.gather(consume("light", light), consume("heavy", heavy))
        assert 2 < counts["heavy"] / counts["light"] < 4.5


async def test_gather_returns_the_answers_in_order(client: AsyncDeepSeek, sim: Simulator) -> None:
    sim.script(*[Reply(f"answer {n}", match=f"Say {n}!", queue_seconds=0.2) for n in range(20)])
    answers = await client.gather(*[body(f"{n}!") for n in range(20)])
    texts = [answer.choices[0].message.content for answer in answers]
    assert texts == [f"answer {n}" for n in range(20)]
    # All at once: it knows how many there are.
    assert sim.metrics.peak_in_flight > 16


async def test_gather_of_equal_bodies_asks_for_each(client: AsyncDeepSeek, sim: Simulator) -> None:
    answers = await client.gather(*[body("same")] * 4)
    assert all(isinstance(answer, ChatCompletion) for answer in answers)
    assert sim.metrics.requests == 4


async def test_gather_raises_the_first_failure_or_returns_all(
    client: AsyncDeepSeek, sim: Simulator
) -> None:
    bodies = [body(1), body(2, model="no-such-model"), body(3)]
    with pytest.raises(BadRequestError):
        await client.gather(*bodies)
    answers = await client.gather(*bodies, return_exceptions=True)
    assert [type(answer) for answer in answers] == [
        ChatCompletion, BadRequestError, ChatCompletion,
    ]  # fmt: skip


async def test_gather_with_a_refused_key_leaves_no_hole(sim: Simulator) -> None:
    async with sim.client(api_key="sk-bad") as client:
        answers = await client.gather(
            *[body(n) for n in range(40)], return_exceptions=True, max_concurrency=4
        )
        with pytest.raises(AuthenticationError):
            await client.gather(body(1))
    assert {type(answer) for answer in answers} == {AuthenticationError}


async def test_gather_of_nothing_is_nothing(client: AsyncDeepSeek) -> None:
    assert await client.gather() == []


async def test_an_empty_input_is_a_finished_job(client: AsyncDeepSeek) -> None:
    job = client.batch([])
    assert await items_of(job) == []
    assert job.report().outcome == "completed"


async def test_a_job_runs_once(client: AsyncDeepSeek) -> None:
    job = client.batch(requests(1))
    with pytest.raises(RuntimeError, match="async with"):
        await anext(job)
    await items_of(job)
    with pytest.raises(RuntimeError, match="runs once"):
        await items_of(job)


async def test_a_second_job_on_the_same_file_is_refused(
    client: AsyncDeepSeek, tmp_path: Path
) -> None:
    out = tmp_path / "out.jsonl"
    async with client.batch(requests(3), out=out) as job:
        with pytest.raises(DeepSeekError, match=r"out\.jsonl"):
            await items_of(client.batch(requests(3), out=out))
        assert len([item async for item in job]) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cache": "maybe"}, "cache must be"),
        ({"schedule": "night"}, "schedule must be"),
        ({"on_402": "wait"}, "on_402 must be"),
        ({"durability": "full"}, "durability must be"),
        ({"max_concurrency": 0}, "max_concurrency must be"),
        ({"max_concurrency": True}, "max_concurrency must be"),
        ({"weight": 0}, "weight must be"),
        ({"budget": 20}, r"Budget\(usd"),
        ({"deadline": datetime(2026, 12, 1)}, "time zone"),
        ({"progress": 3}, "progress must be a function"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(options: dict[str, Any], message: str) -> None:
    client = AsyncDeepSeek("sk-x")
    with pytest.raises(PreflightError, match=message):
        client.batch([], **options)


async def test_peak_hours_pause_a_job_until_they_end() -> None:
    client = AsyncDeepSeek("sk-x")
    job = client.batch([], schedule="off_peak")
    options = job._options  # pyright: ignore[reportPrivateUsage]
    now = [datetime(2026, 11, 23, 2, 0, tzinfo=UTC)]
    waiting = pauses.Pauses(options, client.user.balance, is_deepseek=True, clock=lambda: now[0])
    waiting.watch(MODEL)
    waiting.look(remaining=None, rate=0.0)
    assert "peak prices until" in str(waiting.reason)
    now[0] = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
    waiting.look(remaining=None, rate=0.0)
    assert str(waiting.reason) == "None"
    await client.aclose()
