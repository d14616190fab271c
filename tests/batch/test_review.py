"""What a review of the batch engine found: each of these went wrong once."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from deepseek_async import (
    AsyncDeepSeek,
    Balance,
    BatchRequest,
    ChatCompletion,
    PreflightError,
)
from deepseek_async.batch import delivery, pauses, twins
from deepseek_async.batch import engine as engine_module
from deepseek_async.batch.entries import Entry, Registry, read_fields
from deepseek_async.batch.journal import Journal
from deepseek_async.batch.queue import InputOrder, Work
from deepseek_async.batch.records import LineError, encode_dead_letter, encode_result, response_of
from deepseek_async.batch.report import moment
from deepseek_async.gate import Gates
from deepseek_async.simulator import Fault, Reply, Simulator

from .test_job import GUARD, MODEL, UNPAID, at_once, body, items_of, names, names_in, requests

BROKEN = {"error": {"message": "The server had an error"}}

# The last second of the last year that Python knows.
LAST_SECOND = 253_402_300_799


def inside(owner: object, name: str) -> Any:
    """What nothing public tells."""
    return getattr(owner, name)


def taken(client: AsyncDeepSeek) -> dict[str, int]:
    """Places that are not free, under each name that counts them."""
    gates = inside(client, "_gates")
    found: dict[str, int] = {"all": inside(gates, "_all").active}
    for model, gate in inside(gates, "_by_model").items():
        found[model] = gate.active
    for model, lanes in inside(gates, "_lanes").items():
        found[f"{model} in flight"] = lanes.control.in_flight
        found[f"{model} jobs"] = len(inside(lanes, "_lanes"))
    return {name: count for name, count in found.items() if count}


async def test_the_first_item_comes_again_though_others_wait_for_it(
    client: AsyncDeepSeek, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "_MOST_AHEAD", 20)
    sim.script(Reply(status=503, body=BROKEN, match="Say 0", retry_after=0.5))
    items = await items_of(client.batch(requests(100), ordered=True))
    assert [item.index for item in items] == list(range(100))
    assert items[0].attempts == 2


async def test_a_job_that_was_iterated_for_a_while_runs_to_its_end(client: AsyncDeepSeek) -> None:
    async with asyncio.timeout(GUARD), client.batch(requests(200)) as job:
        await anext(job)
        report = await job.run()
    assert (report.outcome, report.succeeded) == ("completed", 200)


@pytest.mark.parametrize("to_file", [False, True])
async def test_items_that_cannot_be_sent_are_not_read_without_end(
    client: AsyncDeepSeek, tmp_path: Path, *, to_file: bool
) -> None:
    bad: Iterator[dict[str, int]] = ({"no": n} for n in itertools.count())
    async with (
        asyncio.timeout(GUARD),
        client.batch(bad, out=tmp_path / "out.jsonl" if to_file else None) as job,
    ):
        await anext(job)
        await asyncio.sleep(0.5)
        assert job.report().total < 12_000
    assert not taken(client)


async def test_no_more_is_read_while_too_many_wait_for_an_earlier_item(
    client: AsyncDeepSeek, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "MOST_EARLY", 100)
    sim.faults(Fault("stall"))
    given: Iterator[Any] = itertools.chain(requests(1), ({"no": n} for n in itertools.count()))
    async with asyncio.timeout(GUARD), client.batch(given, ordered=True) as job:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await anext(job)
        assert job.report().total < 200
    assert not taken(client)


async def test_no_more_is_read_while_too_many_wait_for_the_answer_to_the_same_request(
    client: AsyncDeepSeek, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(twins, "_MOST_WAITING", 100)
    sim.script(Reply("here", queue_seconds=0.5))
    given = (BatchRequest(f"item-{n}", body("same")) for n in range(1000))
    async with asyncio.timeout(GUARD), client.batch(given, dedupe=True) as job:
        await anext(job)
        assert job.report().total <= 200
        assert [item.error async for item in job] == [None] * 999
    assert sim.metrics.requests == 1


async def test_gathered_requests_each_have_an_answer_whatever_their_names(
    client: AsyncDeepSeek,
) -> None:
    given = [BatchRequest("a", body(1)), BatchRequest("a", body(1)), BatchRequest("a", body(2))]
    answers = await client.gather(
        *given, {"custom_id": "a", "body": body(1)}, return_exceptions=True
    )
    assert [type(answer) for answer in answers] == [ChatCompletion] * 4


async def test_a_client_that_is_closed_fails_no_items(
    client: AsyncDeepSeek, tmp_path: Path
) -> None:
    out = tmp_path / "out.jsonl"
    job = client.batch(requests(300), out=out)
    with pytest.raises(RuntimeError, match="closed"):
        async with asyncio.timeout(GUARD), job:
            await anext(job)
            await client.aclose()
            async for _ in job:
                pass
    assert not taken(client)
    report = job.report()
    assert report.outcome == "broken"
    assert report.succeeded + report.failed + report.unsent == 300
    async with client:
        await client.batch(requests(300), out=out, retry=True).run()
    assert names_in(out) == names(300)


async def test_an_input_that_fails_while_workers_start_leaves_no_place_taken(
    client: AsyncDeepSeek,
) -> None:
    async def failing() -> AsyncIterator[BatchRequest]:
        yield requests(1)[0]
        # The job has sent it and looks out for more.
        await asyncio.sleep(0.5)
        for request in requests(100)[1:]:
            yield request
            if request.custom_id == "item-63":
                # The workers are made, and begin behind this.
                await asyncio.sleep(0)
                raise ValueError("no more")

    for _ in range(3):
        with pytest.raises(ValueError, match="no more"):
            await items_of(client.batch(failing()))
        assert not taken(client)


async def test_a_reader_that_is_not_to_be_cancelled_reads_no_further(
    client: AsyncDeepSeek, sim: Simulator
) -> None:
    async def stubborn() -> AsyncIterator[BatchRequest]:
        for request in requests(3000):
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0.001)
            yield request

    async with asyncio.timeout(GUARD), client.batch(stubborn()) as job:
        await anext(job)
    assert sim.metrics.requests < 1500
    assert not taken(client)


async def test_nothing_is_sent_at_peak_not_even_in_the_first_moment(
    client: AsyncDeepSeek, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A Monday, 10:30 in Beijing.
    class AtPeak(pauses.Pauses):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(
                *args, **options, clock=lambda: datetime(2026, 11, 23, 2, 30, tzinfo=UTC)
            )

    monkeypatch.setattr(engine_module, "Pauses", AtPeak)
    async with asyncio.timeout(GUARD), client.batch(requests(10), schedule="off_peak") as job:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await anext(job)
    assert sim.metrics.requests == 0


async def test_nothing_is_sent_after_the_deadline_not_even_in_the_first_moment(
    client: AsyncDeepSeek, sim: Simulator
) -> None:
    late = datetime.now(UTC) - timedelta(hours=1)
    async with asyncio.timeout(GUARD), client.batch(requests(10), deadline=late) as job:
        assert [item async for item in job] == []
    assert job.report().outcome == "stopped_by_deadline"
    assert sim.metrics.requests == 0


async def test_a_host_without_a_balance_is_asked_again_after_a_pause(
    sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pauses, "_BALANCE_EVERY", 0.1)
    sim.script(*(Reply(status=402, body=UNPAID) for _ in range(10)))
    async with sim.client(dialect="generic") as client:
        items = await items_of(client.batch(requests(10), on_402="pause"))
    assert [item.error for item in items] == [None] * 10


def probe_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deepseek_async.policy.adaptive.breaker._PROBE_EVERY", 0.01)
    monkeypatch.setattr("deepseek_async.batch.job.TICK", 0.01)
    monkeypatch.setattr("deepseek_async.lanes.TICK", 0.01)
    monkeypatch.setattr(engine_module, "MAX_PROBES", 5)


def longer_each_time(_: object, failures: int, **__: object) -> float:
    return 0.05 * min(failures, 5)


async def test_items_that_the_server_cannot_answer_do_not_keep_the_job_for_ever(
    client: AsyncDeepSeek, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "delay_after", longer_each_time)
    probe_fast(monkeypatch)
    for text in range(10, 20):
        sim.script(Reply(status=500, body=BROKEN, match=f"Say {text}", times="forever"))
    given = requests(60)
    # So that most fail at first, and others are answered all the same.
    items = await items_of(client.batch(given[10:20] + given[:10] + given[20:], cache="off"))
    failed = sorted(item.index for item in items if item.error is not None)
    assert failed == list(range(10))


async def test_items_that_alone_are_left_and_fail_give_up_some_time(
    client: AsyncDeepSeek, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "delay_after", at_once)
    monkeypatch.setattr(engine_module, "MAX_REFUSED", 0.5)
    probe_fast(monkeypatch)
    sim.script(Reply(status=500, body=BROKEN, times="forever"))
    items = await items_of(client.batch(requests(5)))
    assert all(item.error is not None for item in items)
    assert len(items) == 5


def test_large_bodies_fill_the_window_sooner() -> None:
    order = InputOrder()
    read = 0
    while not order.full:
        name = str(read)
        order.add(Work(Entry(read, name, {}, "/", name, 0, size=1 << 20), MODEL, is_fim=False))
        read += 1
    assert read == 64
    assert order.next() is not None
    is_full: list[bool] = [order.full]
    while order.next() is not None:
        read -= 1
    assert (is_full, read, len(order)) == ([False], 1, 0)


def test_an_entry_knows_its_size() -> None:
    entry = Registry().entry(0, "item 1", read_fields(body("x" * 1000)))
    assert 1000 < entry.size < 1300


async def test_large_answers_that_wait_for_the_disk_hold_the_job_back(tmp_path: Path) -> None:
    written: list[str] = []
    async with Journal[str](
        tmp_path / "out.jsonl", settings={}, on_durable=written.extend, on_error=lambda _: None
    ) as journal:
        line = encode_result("a", response_of(200, None, b'"%s"' % (b"x" * (5 << 20))))
        is_full: list[bool] = []
        for name in ("a", "b"):
            journal.add(line, name)
            is_full.append(journal.is_full)
        await journal.flush()
        is_full.append(journal.is_full)
    assert is_full == [False, True, False]
    assert written == ["a", "b"]


def test_texts_that_are_not_unicode_can_be_written() -> None:
    line = encode_result("a", response_of(200, "\udcff", b"{}"))
    assert b'"request_id":"?"' in line
    line = encode_dead_letter(
        "a", url="/\ud800", body=None, error=LineError("400", "it said \ud800")
    )
    assert b'"it said ?"' in line
    assert b'"url":"/?"' in line


async def test_a_map_whose_error_is_not_unicode_does_not_end_the_job(
    client: AsyncDeepSeek, tmp_path: Path
) -> None:
    def failing(item: str) -> dict[str, Any]:
        raise ValueError(item)

    items = await items_of(client.batch(["\ud800"], map=failing, out=tmp_path / "out.jsonl"))
    assert isinstance(items[0].error, PreflightError)


async def test_a_body_too_deep_to_be_shown_does_not_end_the_job(client: AsyncDeepSeek) -> None:
    deep: Any = 1
    for _ in range(3000):
        deep = [deep]
    items = await items_of(client.batch([body(1, extra=deep), body(2)]))
    assert [item.index for item in items if item.error is None] == [1]


async def test_an_answer_from_the_end_of_time_does_not_end_the_job(
    client: AsyncDeepSeek, sim: Simulator
) -> None:
    answer = {
        "id": "1",
        "object": "chat.completion",
        "created": LAST_SECOND,
        "model": MODEL,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": '{"city": "Paris"}'},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
    }
    sim.script(Reply(body=answer, times="forever"))
    items = await items_of(client.batch(requests(3), response_model=dict[str, str]))
    assert [item.error for item in items] == [None] * 3
    assert client.usage.cost() is not None


@pytest.mark.parametrize("created", [LAST_SECOND, -62_135_596_800, 0, 1e30, float("nan")])
def test_a_moment_that_cannot_be_meant_is_now(created: float) -> None:
    assert abs(moment(created) - datetime.now(UTC)) < timedelta(minutes=1)


def test_a_union_that_is_no_object_is_refused_before_anything_is_opened(
    client: AsyncDeepSeek, tmp_path: Path
) -> None:
    given: Any = int | str
    with pytest.raises(PreflightError, match="one object"):
        client.batch(requests(1), response_model=given, out=tmp_path / "out.jsonl")


def test_a_job_whose_event_loop_was_closed_takes_no_places() -> None:
    client = AsyncDeepSeek("sk-test", base_url="http://127.0.0.1:9", max_concurrency=2)
    gates: Gates = inside(client, "_gates")
    gone = asyncio.new_event_loop()
    lane = gates.lane(MODEL, lambda: None, is_gone=gone.is_closed)
    other = gates.lane(MODEL, lambda: None)
    assert lane.take() is not None
    assert lane.in_flight == 1
    gone.close()

    async def call() -> None:
        slots = [await gates.acquire(MODEL), await gates.acquire(MODEL)]
        for slot in slots:
            slot.release()

    asyncio.run(asyncio.wait_for(call(), GUARD))
    other.tick()
    other.close()
    assert not taken(client)


async def test_an_answer_that_is_no_balance_stops_nothing(
    sim: Simulator, monkeypatch: pytest.MonkeyPatch, client: AsyncDeepSeek
) -> None:
    monkeypatch.setattr(pauses, "_BALANCE_EVERY", 0.0)

    async def anything() -> Balance:
        return Balance(is_available=False, balance_infos=[])

    monkeypatch.setattr(client.user, "balance", anything)
    items = await items_of(client.batch(requests(200)))
    assert [item.error for item in items] == [None] * 200
