"""Putting shards together: each item once, or it says what is wrong."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from deepseek_async import BatchError, BatchFileError, Budget, PreflightError
from deepseek_async.batch.lock import FileLock
from deepseek_async.batch.merging import merge_shards
from deepseek_async.batch.shard import run_shard
from deepseek_async.batch.shard_report import ShardReport
from deepseek_async.simulator import Reply, Simulator

from .shard_items import ids, item, items, names_in, refuse, settings_for


async def run(
    sim: Simulator, out: Path, shard: str | int, source: list[Any], **options: Any
) -> ShardReport:
    return await run_shard(source, out, shard, settings=settings_for(sim, **options))


async def test_all_shards_in_one_file(sim: Simulator, tmp_path: Path) -> None:
    shards: list[str | int] = ["b", 10, 9]
    reports = [await run(sim, tmp_path, shard, items(shard, 5)) for shard in shards]
    merged = merge_shards(tmp_path, into=tmp_path / "all.jsonl")
    assert merged.ok
    assert (merged.shards, merged.answered, merged.failed) == (3, 15, 0)
    assert merged.cost == sum(report.cost or Decimal(0) for report in reports)
    assert merged.out == str(tmp_path / "all.jsonl")
    assert merged.dead_letters is None
    # Numbers first, in their order.
    names = names_in(tmp_path / "all.jsonl")
    assert [name.partition("-")[0] for name in names] == ["9"] * 5 + ["10"] * 5 + ["b"] * 5
    # What was merged is no shard.
    assert merge_shards(tmp_path, into=tmp_path / "all.jsonl").shards == 3
    assert str(merged).startswith("3 shards: 15 answered, 0 failed\ntokens and cost: 15 requests")
    assert "results:" not in str(merge_shards(tmp_path))


async def test_an_item_that_failed_may_be_answered_by_another_shard(
    sim: Simulator, tmp_path: Path
) -> None:
    sim.script(refuse("0-1"), refuse("0-2"), refuse("1-0"))
    for shard in (0, 1):
        await run(sim, tmp_path, shard, items(shard, 4))
    target = tmp_path / "all.jsonl"
    merged = merge_shards(tmp_path, into=target)
    assert (merged.ok, merged.answered, merged.failed, merged.problems) == (False, 5, 3, [])
    assert merged.dead_letters == str(tmp_path / "all.errors.jsonl")
    assert sorted(names_in(tmp_path / "all.errors.jsonl")) == ["0-1", "0-2", "1-0"]
    assert "failed items: " in str(merged)
    sim.reset()
    sim.script(refuse("0-2"))
    # The failed items of the first merge as the input of another shard.
    report = await run_shard(
        tmp_path / "all.errors.jsonl", tmp_path, "again", settings=settings_for(sim)
    )
    assert (report.succeeded, report.failed) == (2, 1)
    merged = merge_shards(tmp_path, into=target)
    assert (merged.answered, merged.failed) == (7, 1)
    assert names_in(tmp_path / "all.errors.jsonl") == ["0-2"]
    sim.reset()
    await run(sim, tmp_path, "again", items(0, 3)[2:], retry=True, force=True)
    merged = merge_shards(tmp_path, into=target)
    assert merged.ok
    assert set(names_in(target)) == ids(0, 4) | ids(1, 4)
    assert not (tmp_path / "all.errors.jsonl").exists()


async def test_an_item_of_two_shards(sim: Simulator, tmp_path: Path) -> None:
    for shard in (0, 1):
        await run(sim, tmp_path, shard, [*items(shard, 2), item("same")])
    target = tmp_path / "all.jsonl"
    with pytest.raises(BatchError, match=r"'same' is in the shards 0 and 1\. Pass strict=False"):
        merge_shards(tmp_path, into=target)
    assert not target.exists()
    merged = merge_shards(tmp_path, into=target, strict=False)
    assert merged.problems == ["the item 'same' is in the shards 0 and 1"]
    assert not merged.ok
    assert sorted(names_in(target)) == ["0-0", "0-1", "1-0", "1-1", "same"]
    assert "problem: the item 'same'" in str(merged)


async def test_only_the_first_of_many_problems_are_told(sim: Simulator, tmp_path: Path) -> None:
    for shard in (0, 1):
        await run(sim, tmp_path, shard, items("same", 30))
    merged = merge_shards(tmp_path, strict=False)
    assert merged.answered == 30
    assert len(merged.problems) == 11
    assert merged.problems[-1] == "20 more of: items that are there twice"


async def test_a_line_that_is_there_twice(sim: Simulator, tmp_path: Path) -> None:
    await run(sim, tmp_path, 0, items(0, 2))
    path = tmp_path / "0.jsonl"
    path.write_bytes(path.read_bytes() + path.read_bytes().splitlines(keepends=True)[0])
    with pytest.raises(BatchError, match=r"'0-\d' is twice in shard 0"):
        merge_shards(tmp_path)


async def test_shards_that_are_missing(sim: Simulator, tmp_path: Path) -> None:
    await run(sim, tmp_path, 0, items(0, 2))
    await run(sim, tmp_path, "other", items("other", 2))
    with pytest.raises(BatchError, match="shard 1 was never begun"):
        merge_shards(tmp_path, shards=range(2))
    merged = merge_shards(tmp_path, shards=range(2), strict=False)
    # Only those that were named.
    assert (merged.shards, merged.answered) == (1, 2)
    with pytest.raises(PreflightError, match="shard_id"):
        merge_shards(tmp_path, shards=["a/b"])


def test_a_directory_without_shards(tmp_path: Path) -> None:
    with pytest.raises(BatchError, match="there are no shards in"):
        merge_shards(tmp_path)
    with pytest.raises(BatchError, match="there are no shards in"):
        merge_shards(tmp_path / "missing")


async def test_a_shard_that_ended_early(sim: Simulator, tmp_path: Path) -> None:
    report = await run(sim, tmp_path, 0, items(0, 50), budget=Budget(tokens=200, strict=True))
    assert report.outcome == "stopped_by_budget"
    with pytest.raises(BatchError, match=r"shard 0 ended early \(stopped_by_budget\); run it"):
        merge_shards(tmp_path)
    assert merge_shards(tmp_path, strict=False).answered == report.succeeded


async def test_a_shard_that_is_running(sim: Simulator, tmp_path: Path) -> None:
    await run(sim, tmp_path, 0, items(0, 2))
    lock = FileLock(tmp_path / "0.lock")
    lock.acquire(tmp_path / "0.jsonl")
    try:
        with pytest.raises(BatchError, match="shard 0 is still running"):
            merge_shards(tmp_path)
    finally:
        lock.release()


async def test_results_that_got_lost(sim: Simulator, tmp_path: Path) -> None:
    await run(sim, tmp_path, 0, items(0, 3))
    path = tmp_path / "0.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], b"\n", lines[1][:40] + b"\n"]))
    with pytest.raises(BatchError) as caught:
        merge_shards(tmp_path)
    assert "0.jsonl line 3 can't be read; run shard 0 again" in str(caught.value)
    assert "shard 0 had 3 results when it ended, and has 1" in str(caught.value)


async def test_a_damaged_report(sim: Simulator, tmp_path: Path) -> None:
    await run(sim, tmp_path, 0, items(0, 2))
    (tmp_path / "0.report.json").write_text("{")
    with pytest.raises(BatchFileError, match=r"0\.report\.json is damaged"):
        merge_shards(tmp_path)
    await run(sim, tmp_path, 0, items(0, 2))
    assert merge_shards(tmp_path).answered == 2


async def test_an_answer_for_several_items_is_paid_once(sim: Simulator, tmp_path: Path) -> None:
    source = [item(f"item-{number}", "the same") for number in range(5)]
    report = await run(sim, tmp_path, 0, source, dedupe=True)
    assert (report.succeeded, report.requests) == (5, 1)
    merged = merge_shards(tmp_path)
    assert merged.answered == 5
    assert merged.usage.requests == 1
    assert merged.cost == report.cost


async def test_hosts_without_known_prices(sim: Simulator, tmp_path: Path) -> None:
    await run(sim, tmp_path, 0, items(0, 2), dialect="generic")
    merged = merge_shards(tmp_path)
    assert merged.cost is None
    assert merged.usage.completion_tokens > 0


async def test_answers_with_unknown_fields_are_counted_too(sim: Simulator, tmp_path: Path) -> None:
    sim.script(
        Reply("Hi", usage={"prompt_tokens": 7, "new_tokens": 3}, match="Say 0-0."),
        Reply(body={"id": "x", "choices": [], "created": 10**30}, match="Say 0-1."),
        Reply(body={"text": "no answer as we know it"}, match="Say 0-2."),
    )
    report = await run(sim, tmp_path, 0, items(0, 3))
    merged = merge_shards(tmp_path)
    assert merged.answered == report.succeeded
    assert merged.usage.prompt_tokens == 7
    assert merged.usage.without_usage == report.succeeded - 1


async def test_files_that_can_not_be_read(sim: Simulator, tmp_path: Path) -> None:
    await run(sim, tmp_path, 0, items(0, 2))
    (tmp_path / "0.errors.jsonl").mkdir()
    with pytest.raises(BatchFileError, match=r"0\.errors\.jsonl can't be read: Is a directory"):
        merge_shards(tmp_path)
    (tmp_path / "0.report.json").unlink()
    (tmp_path / "0.report.json").mkdir()
    with pytest.raises(BatchFileError, match=r"0\.report\.json can't be read: Is a directory"):
        merge_shards(tmp_path)


async def test_files_of_shards_are_not_replaced(sim: Simulator, tmp_path: Path) -> None:
    await run(sim, tmp_path, 0, items(0, 2))
    before = (tmp_path / "0.jsonl").read_bytes()
    with pytest.raises(BatchFileError, match="belongs to the shard 0; choose another file"):
        merge_shards(tmp_path, into=tmp_path / "0.jsonl")
    assert (tmp_path / "0.jsonl").read_bytes() == before


async def test_a_target_that_can_not_be_written(sim: Simulator, tmp_path: Path) -> None:
    await run(sim, tmp_path, 0, items(0, 2))
    with pytest.raises(BatchFileError, match="create the directory first"):
        merge_shards(tmp_path, into=tmp_path / "missing" / "all.jsonl")
