"""Whole jobs against a server in another process, small: the questions of ``benchmarks/batch``.

Large, and with goals for what they take: python -m benchmarks.batch
"""

import asyncio
import random
import sys
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.batch import budget, crash, limit
from benchmarks.batch.fast_server import (
    FastServer,
    client_of,
    number_of,
    requests,
    write_requests,
)
from benchmarks.batch.server import Manner
from deepseek_async import read_results

# Only a hang gets here.
GUARD = 60.0

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the server needs POSIX")


async def test_each_item_is_answered_once_whatever_the_server_does(tmp_path: Path) -> None:
    items = 600
    manner = Manner(
        items=items,
        seconds=0.03,
        spread=0.5,
        limits=[(0, 30), (200, 6), (400, 30)],
        busy=0.02,
        cut=0.02,
    )
    out = tmp_path / "out.jsonl"
    with FastServer(manner) as server:
        async with asyncio.timeout(GUARD):
            handed_out, report = await limit.run(server.address, items, out)
        state = server.state()
    assert handed_out == dict.fromkeys(range(items), 1)
    assert Counter(number_of(result.custom_id) for result in read_results(out)) == handed_out
    assert report.ok
    assert (state.items, state.answered) == (items, items)
    # The conditions were there, and were met with no more than what they need.
    assert state.rejected > 0
    assert state.busy > 0
    assert state.cut > 0
    assert state.asked == items + state.rejected + state.busy + state.cut
    assert report.requests == state.asked
    assert report.rejected == state.rejected


def test_killed_jobs_lose_nothing_and_pay_for_little_again(tmp_path: Path) -> None:
    with FastServer(Manner(items=4 * crash.ITEMS, seconds=0.02, spread=0.8)) as server:
        watch = crash.Watch(tmp_path, server, random.Random(1))
        for _ in range(3):
            watch.run()
        watch.finish()
    assert (watch.lost, watch.twice) == (0, 0)
    assert watch.most_again <= crash.MOST_AGAIN


@pytest.mark.parametrize("from_file", [True, False], ids=["file", "generator"])
async def test_a_finished_job_sends_nothing_when_it_is_run_again(
    from_file: bool, tmp_path: Path
) -> None:
    items = 1500
    source = tmp_path / "in.jsonl"
    out = tmp_path / "out.jsonl"
    write_requests(source, items)
    with FastServer(Manner(items=items, seconds=0.001)) as server:
        async with asyncio.timeout(GUARD), client_of(server.address) as client:
            for skipped in (0, items):
                given = source if from_file else requests(range(items))
                report = await client.batch(given, out=out).run()
                assert report.ok
                assert report.skipped == skipped
        assert server.asked() == b"\1" * items
    numbers = Counter(number_of(result.custom_id) for result in read_results(out))
    assert numbers == dict.fromkeys(range(items), 1)


@pytest.mark.parametrize("outputs", [(1, 2000), (2000, 2000)], ids=["any length", "full length"])
def test_a_strict_budget_holds_with_many_under_way(outputs: tuple[int, int]) -> None:
    found = budget.measure(100, outputs, seconds=0.05, cut=0.0)
    assert found.report.outcome == "stopped_by_budget"
    assert found.billed <= found.usd
    assert found.billed >= found.usd - 2 * found.worst
    assert found.report.cost == found.billed
