"""Batch jobs where things go together that seldom do."""

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from deepseek_async import (
    AsyncDeepSeek,
    BatchFileError,
    BatchItem,
    BatchJob,
    BatchProgress,
    BatchReport,
    BatchRequest,
    ChatCompletion,
    Completion,
    DeepSeekError,
    InterruptedFinishReasonError,
    PreflightError,
)
from deepseek_async.batch import engine as engine_module
from deepseek_async.batch import pauses, twins
from deepseek_async.batch.intake import Intake
from deepseek_async.simulator import Fault, Reply, Simulator

from .test_job import GUARD, Capital, at_once, body, items_of, lines_of, names, names_in, requests


async def test_an_equal_request_that_comes_after_the_answer_gets_it_too(
    client: AsyncDeepSeek, sim: Simulator
) -> None:
    asked = asyncio.Event()

    async def slowly() -> AsyncIterator[BatchRequest]:
        yield BatchRequest("first", body("same"))
        await asked.wait()
        yield BatchRequest("second", body("same"))

    async with asyncio.timeout(GUARD), client.batch(slowly(), dedupe=True) as job:
        first = await anext(job)
        asked.set()
        second = await anext(job)
    assert sim.metrics.requests == 1
    assert (first.attempts, second.attempts) == (1, 0)
    assert second.cost == Decimal(0)
    assert second.completion == first.completion


async def test_old_answers_are_forgotten_and_asked_for_anew(
    client: AsyncDeepSeek, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(twins, "_MOST_ANSWERS", 1)

    async def slowly(job_items: "asyncio.Queue[int]") -> AsyncIterator[BatchRequest]:
        for number, text in enumerate(("a", "b", "a")):
            yield BatchRequest(f"item-{number}", body(text))
            await job_items.get()

    answered: asyncio.Queue[int] = asyncio.Queue()
    async with asyncio.timeout(GUARD), client.batch(slowly(answered), dedupe=True) as job:
        async for item in job:
            answered.put_nowait(item.index)
    assert sim.metrics.requests == 3


async def test_equal_requests_of_one_that_fails_fail_with_it(
    client: AsyncDeepSeek, sim: Simulator
) -> None:
    given = [BatchRequest(f"item-{n}", body("same", model="no-such-model")) for n in range(3)]
    items = await items_of(client.batch(given, dedupe=True))
    assert sim.metrics.requests == 1
    assert all(isinstance(item.error, DeepSeekError) for item in items)
    assert len(items) == 3


async def test_fill_in_the_middle_can_be_streamed(client: AsyncDeepSeek, sim: Simulator) -> None:
    fim = {"model": "deepseek-v4-pro", "prompt": "def f():", "suffix": "return", "stream": True}
    (item,) = await items_of(client.batch([BatchRequest("x", fim, url="/beta/completions")]))
    assert isinstance(item.completion, Completion)
    assert item.completion.choices[0].text


async def test_fields_that_the_library_does_not_know_are_sent_as_they_are(
    client: AsyncDeepSeek, sim: Simulator
) -> None:
    given = body("x", seed=7, extra_body={"other": 1}, max_retries=9, stream_options={})
    (item,) = await items_of(client.batch([given]))
    assert item.error is None
    received = sim.requests[-1].body
    assert received is not None
    assert (received["seed"], received["other"]) == (7, 1)
    assert "stream_options" not in received
    assert "max_retries" not in received


async def test_an_extra_body_that_is_none_is_a_failed_item(client: AsyncDeepSeek) -> None:
    (item,) = await items_of(client.batch([body("x", seed=1, extra_body=[1])]))
    assert isinstance(item.error, PreflightError)
    assert "extra_body" in str(item.error)


async def test_an_answer_that_the_server_broke_off_is_asked_for_again(
    client: AsyncDeepSeek, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "delay_after", at_once)
    cut = "insufficient_system_resource"
    sim.script(Reply("half", finish_reason=cut), Reply("whole"))
    (item,) = await items_of(client.batch(requests(1)))
    assert isinstance(item.completion, ChatCompletion)
    assert item.completion.choices[0].message.content == "whole"
    assert item.attempts == 2
    sim.script(Reply("half", finish_reason=cut, times="forever"))
    (item,) = await items_of(client.batch(requests(1)))
    assert isinstance(item.error, InterruptedFinishReasonError)


async def test_answers_can_take_several_requests(client: AsyncDeepSeek, sim: Simulator) -> None:
    sim.script(Reply("one two three four five six seven eight"))
    (item,) = await items_of(
        client.batch([BatchRequest("x", body("x", max_tokens=4, auto_continue=50))])
    )
    assert isinstance(item.completion, ChatCompletion)
    text = item.completion.choices[0].message.content
    assert text is not None
    assert text.startswith("one two three four")
    assert item.completion.segments is not None


@pytest.mark.parametrize("ordered", [False, True])
async def test_a_full_disk_ends_the_job_and_the_next_run_goes_on(
    client: AsyncDeepSeek, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ordered: bool
) -> None:
    out = tmp_path / "out.jsonl"
    write = os.write
    room = [20_000]

    def full(descriptor: int, data: Any) -> int:
        if os.path.realpath(f"/proc/self/fd/{descriptor}") == str(out):
            if len(data) > room[0]:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            room[0] -= len(data)
        return write(descriptor, data)

    monkeypatch.setattr("deepseek_async.batch.files.os.write", full)
    handed_out: list[str] = []
    job = client.batch(requests(300), out=out, max_concurrency=4, ordered=ordered)
    with pytest.raises(BatchFileError, match="No space left"):
        async with asyncio.timeout(GUARD), job:
            async for item in job:
                handed_out.append(item.custom_id)
    assert job.report().outcome == "broken"
    assert set(handed_out) <= set(names_in(out))
    monkeypatch.undo()
    await items_of(client.batch(requests(300), out=out, ordered=ordered))
    assert names_in(out) == names(300)


async def test_a_folder_that_does_not_exist_is_told_before_anything_is_sent(
    client: AsyncDeepSeek, tmp_path: Path, sim: Simulator
) -> None:
    with pytest.raises(BatchFileError, match="nowhere"):
        await items_of(client.batch(requests(3), out=tmp_path / "nowhere" / "out.jsonl"))
    assert sim.metrics.requests == 0


async def test_an_input_file_that_does_not_exist_is_told(
    client: AsyncDeepSeek, tmp_path: Path
) -> None:
    with pytest.raises(BatchFileError, match=r"nothing\.jsonl"):
        await items_of(client.batch(tmp_path / "nothing.jsonl"))


async def test_two_tasks_cannot_read_one_job(client: AsyncDeepSeek, sim: Simulator) -> None:
    sim.script(Reply("slow", queue_seconds=5, times="forever"))
    async with asyncio.timeout(GUARD), client.batch(requests(3)) as job:
        first = asyncio.ensure_future(anext(job))
        await asyncio.sleep(0.05)
        with pytest.raises(RuntimeError, match="another task"):
            await anext(job)
        first.cancel()


async def test_a_cancelled_consumer_loses_no_item(client: AsyncDeepSeek, sim: Simulator) -> None:
    sim.script(Reply("slow", queue_seconds=0.3, times="forever"))
    async with asyncio.timeout(GUARD), client.batch(requests(5)) as job:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(job), 0.05)
        assert len([item async for item in job]) == 5


async def test_closing_from_another_task_ends_the_iteration(
    client: AsyncDeepSeek, sim: Simulator
) -> None:
    sim.script(Reply("slow", queue_seconds=60, times="forever"))
    async with asyncio.timeout(GUARD), client.batch(requests(5)) as job:
        asyncio.get_running_loop().call_later(0.1, lambda: tasks.append(close()))
        tasks: list[asyncio.Task[None]] = []

        def close() -> "asyncio.Task[None]":
            return asyncio.ensure_future(job.aclose())

        assert [item async for item in job] == []
        await tasks[0]


async def test_a_cancellation_while_closing_waits_for_the_files(
    client: AsyncDeepSeek, tmp_path: Path, sim: Simulator
) -> None:
    out = tmp_path / "out.jsonl"
    job = client.batch(requests(50), out=out)

    async def work() -> None:
        async with job:
            await anext(job)
            asyncio.get_running_loop().call_soon(task.cancel)

    task = asyncio.create_task(work())
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, GUARD)
    # The lock is free, and every line whole.
    assert not (tmp_path / "out.lock").exists()
    finished = len(lines_of(out))
    assert len(await items_of(client.batch(requests(50), out=out))) == 50 - finished


async def test_a_limit_can_be_lowered_and_raised_while_a_job_runs(sim: Simulator) -> None:
    async with (
        asyncio.timeout(GUARD),
        Simulator(first_token_seconds=0.05) as slow,
        slow.client() as client,
    ):
        job = client.batch(requests(60))
        job.limit_to(2)
        async with job:
            for _ in range(10):
                await anext(job)
            assert slow.metrics.peak_in_flight == 2
            job.limit_to(20)
            async for item in job:
                assert item.error is None
        assert slow.metrics.peak_in_flight > 2


async def test_a_limit_holds_for_all_models_of_a_job_together(sim: Simulator) -> None:
    async with Simulator(first_token_seconds=0.05) as slow, slow.client() as client:
        models = ("deepseek-flash", "deepseek-v4-pro")
        given = [BatchRequest(f"{n}", body(n, model=models[n % 2])) for n in range(40)]
        await items_of(client.batch(given, max_concurrency=3))
        assert slow.metrics.peak_in_flight == 3


async def test_the_balance_may_be_out_of_reach(
    client: AsyncDeepSeek, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pauses, "_BALANCE_EVERY", 0.02)
    sim.script(Reply("slow", queue_seconds=0.3, times="forever"))
    sim.faults(None, None, None, *[Fault("bad_gateway")] * 100)
    assert len(await items_of(client.batch(requests(3)))) == 3


async def test_an_empty_account_pauses_before_anything_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pauses, "_BALANCE_EVERY", 0.05)
    reasons: list[str | None] = []

    def note(progress: BatchProgress) -> None:
        reasons.append(progress.paused)

    balance = {"USD": Decimal("0.00005")}
    async with Simulator(balance=balance, first_token_seconds=0.1) as poor, poor.client() as client:
        job = client.batch(requests(500), on_402="pause", max_concurrency=1, progress=note)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(4.0), job:
                async for item in job:
                    assert item.error is None
    assert any(reason is not None and "top it up" in reason for reason in reasons)
    assert "top it up" in str(reasons[-1])


def test_a_report_says_all_that_happened() -> None:
    client = AsyncDeepSeek("sk-x")
    report = client.batch([]).report()
    assert isinstance(report, BatchReport)
    assert "still running" in str(report)
    assert report.cost == Decimal(0)
    assert report.cache_hit_share is None
    report.raise_if_stopped()


async def test_a_report_counts_failures_by_kind(
    client: AsyncDeepSeek, tmp_path: Path, sim: Simulator
) -> None:
    wrong = [body(n, model="no-such-model") for n in range(20)]
    sim.script(
        *[
            Reply(status=400, body={"error": {"message": f"Wrong: {n}"}}, match=f"Say wrong {n}!")
            for n in range(150)
        ]
    )
    given: list[Any] = [body(f"wrong {n}!") for n in range(150)]
    given += [BatchRequest(f"x-{n}", body(1), url=f"/v1/other{n}") for n in range(20)]
    job = client.batch([*given, *wrong], out=tmp_path / "out.jsonl")
    await items_of(job)
    report = job.report()
    assert sum(report.errors.values()) == report.failed == 190
    # What can't be told apart any more is counted together.
    assert len(report.errors) == 101
    assert report.errors["input that can't be sent"] == 20
    text = str(report)
    assert f"{report.errors['other']} x other" in text
    assert "out.errors.jsonl" in text
    assert not report.ok


async def test_a_job_shows_where_it_stands(client: AsyncDeepSeek, tmp_path: Path) -> None:
    def given() -> Iterator[BatchRequest]:
        yield from requests(20)

    job = client.batch(given())
    assert job.progress().seconds == 0
    await items_of(job)
    progress = job.progress()
    assert progress.total is None
    assert (progress.read, progress.finished, progress.in_flight) == (20, 20, 0)
    assert progress.tokens > 0


async def test_a_job_that_is_never_entered_can_be_closed(client: AsyncDeepSeek) -> None:
    job = client.batch(requests(1))
    job.stop()
    await job.aclose()
    assert isinstance(job, BatchJob)


async def test_gather_parses_into_a_type(client: AsyncDeepSeek, sim: Simulator) -> None:
    sim.script(Reply('{"city": "Rome"}', times="forever"))
    asked = body("the capital, as json")
    assert await client.gather(asked, asked, response_model=Capital) == [Capital("Rome")] * 2


async def test_a_function_that_has_no_key_stops_the_job(sim: Simulator, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    calls = 0

    def key() -> str:
        nonlocal calls
        calls += 1
        if calls > 5:
            raise LookupError("the vault is sealed")
        return "sk-from-a-vault"

    async with sim.client(api_key=key) as client:
        job = client.batch(requests(100), out=out, max_concurrency=2)
        items = await items_of(job)
    report = job.report()
    assert report.outcome == "refused"
    assert "the vault is sealed" in str(report.error)
    assert report.succeeded == 5
    assert report.unsent == report.total - 5
    assert len(items) in (6, 7)
    assert not (tmp_path / "out.errors.jsonl").exists()
    async with sim.client(api_key=lambda: "bad\nkey") as client:
        job = client.batch(requests(100), out=out)
        await items_of(job)
    assert job.report().outcome == "refused"


async def test_a_type_that_cannot_be_asked_for_is_told_at_once(client: AsyncDeepSeek) -> None:
    with pytest.raises(PreflightError, match="one object"):
        client.batch([], response_model=list[int])


async def test_json_mode_is_what_a_type_asks_for_anyway(
    client: AsyncDeepSeek, sim: Simulator
) -> None:
    sim.script(Reply('{"city": "Rome"}', times="forever"))
    given = [
        body("json", response_format={"type": "json_object"}),
        body("json", response_format={"type": "text"}),
    ]
    items = await items_of(client.batch(given, response_model=Capital, ordered=True))
    assert items[0].parsed == Capital("Rome")
    assert "exclude each other" in str(items[1].error)


def no_arguments(*_: object) -> None:
    raise NameError("a typing mistake")


async def test_a_mistake_of_the_library_is_not_taken_for_one_of_an_item(
    client: AsyncDeepSeek, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.jsonl"
    with monkeypatch.context() as patch:
        patch.setattr("deepseek_async.batch.sending.arguments", no_arguments)
        job = client.batch(requests(20), out=out)
        with pytest.raises(NameError):
            await items_of(job)
    assert job.report().outcome == "broken"
    assert not (tmp_path / "out.errors.jsonl").exists()
    # All of them are sent by the next run.
    assert len(await items_of(client.batch(requests(20), out=out))) == 20


def in_a_minute(*_: object, **__: object) -> float:
    return 60.0


async def test_what_only_waits_to_be_sent_again_is_not_counted_as_sent(
    client: AsyncDeepSeek, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "delay_after", in_a_minute)
    sim.faults(Fault("overloaded", times="forever"))
    async with asyncio.timeout(GUARD), client.batch(requests(2)) as job:
        reading = asyncio.ensure_future(anext(job, None))
        while job.progress().retrying < 2:
            await asyncio.sleep(0.01)
        job.stop()
        assert await reading is None
    assert (job.report().requests, job.report().retries) == (2, 0)


async def test_items_say_what_they_are() -> None:
    item = BatchItem(custom_id="a", index=0)
    assert "custom_id='a'" in repr(item)


async def test_an_input_that_is_answered_is_not_read_again(
    client: AsyncDeepSeek, sim: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"

    def write(count: int) -> None:
        given = [requests(1)[0], *requests(count)]
        source.write_bytes(b"\n".join(msgspec.json.encode(request) for request in given))

    write(20)
    read: list[int] = []
    add = Intake._admit  # pyright: ignore[reportPrivateUsage]

    def admit(self: Intake, entry: Any) -> None:
        read.append(entry.index)
        add(self, entry)

    monkeypatch.setattr(Intake, "_admit", admit)
    first = await client.batch(source, out=out).run()
    assert (first.succeeded, first.duplicates, len(read)) == (20, 1, 21)
    changes: list[dict[str, Any]] = [{}, {"ordered": True}, {"retry": True}]
    for options in changes:
        report = await client.batch(source, out=out, **options).run()
        assert (report.total, report.skipped, report.duplicates) == (21, 20, 1)
        assert report.outcome == "completed"
        assert len(read) == 21
    # Whatever may have changed is looked at.
    await client.batch(source, out=out, map=lambda item: item).run()
    assert len(read) == 42
    write(25)
    report = await client.batch(source, out=out).run()
    assert (report.succeeded, report.skipped, len(read)) == (5, 20, 68)
    lines = out.read_bytes().splitlines(keepends=True)
    out.write_bytes(b"".join(lines[:-1]))
    report = await client.batch(source, out=out).run()
    assert (report.succeeded, report.skipped, len(read)) == (1, 24, 94)
    assert names_in(out) == names(25)


async def test_an_input_of_which_some_failed_is_read_again(
    client: AsyncDeepSeek, tmp_path: Path
) -> None:
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    given = [*requests(3), BatchRequest("bad", body(1, model="no-such-model"))]
    source.write_bytes(b"\n".join(msgspec.json.encode(request) for request in given))
    await client.batch(source, out=out).run()
    assert (await client.batch(source, out=out).run()).skipped == 4
    assert (await client.batch(source, out=out, retry=True).run()).failed == 1
