"""Does a batch follow a limit that moves, and is every item answered exactly once?

20,000 requests of 0.3 s, half as much more or less, against a server that takes 400 at once, then
80, then 400 again, by the number of answers; 1 % find it overloaded (503), 0.5 % of the answers,
streamed ones and others, break off. Used is the integral of requests in work over that of the
limit; where fewer items than places are left, of these.

Run: python -m benchmarks.batch.limit [--items N] [--out FOLDER]
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections import Counter
from pathlib import Path

from benchmarks.batch.fast_server import FastServer, client_of, number_of, requests
from benchmarks.batch.figures import Figures
from benchmarks.batch.server import Manner
from benchmarks.machine import CLIENT, cpu_seconds, pin, raise_descriptor_limit
from deepseek_async import BatchReport, read_results

ITEMS = 20_000


async def run(address: str, items: int, out: Path) -> tuple[Counter[int], BatchReport]:
    """Run the batch; return how often each item was handed out with its own answer."""
    handed_out: Counter[int] = Counter()
    async with client_of(address) as client, client.batch(requests(range(items)), out=out) as job:
        async for item in job:
            if item.completion is not None:
                text = item.completion.choices[0].message.content or ""
                assert number_of(text) == number_of(item.custom_id), item
                handed_out[item.index] += 1
    return handed_out, job.report()


def ask(items: int, folder: Path, seed: int) -> Figures:
    """Take the figures."""
    figures = Figures(f"A limit that moves 400 -> 80 -> 400, {items} items")
    manner = Manner(
        items=items,
        seconds=0.3,
        spread=0.5,
        limits=[(0, 400), (items // 3, 80), (2 * items // 3, 400)],
        busy=0.01,
        cut=0.005,
        seed=seed,
    )
    out = folder / "out.jsonl"
    with FastServer(manner) as server:
        begun, cpu = time.perf_counter(), cpu_seconds()
        handed_out, report = asyncio.run(run(server.address, items, out))
        seconds, cpu = time.perf_counter() - begun, cpu_seconds() - cpu
        state = server.state()
    lines = Counter(number_of(result.custom_id) for result in read_results(out))
    once = dict.fromkeys(range(items), 1)
    figures.add("items answered, handed out once each", handed_out == once, most=1, least=1)
    figures.add("items with one line in the file", lines == once, most=1, least=1)
    figures.add("items failed", report.failed, most=0)
    figures.add("capacity used", state.taken / state.offered, "%", least=0.85)
    sent = max(1, state.asked - 2000)
    figures.add("rejected (429) after the first 2,000", state.rejected_late / sent, "%", most=0.02)
    figures.add("rejected in all", state.rejected)
    figures.add("overloaded (503)", state.busy)
    figures.add("answers broken off", state.cut)
    figures.add("requests in work at once, most", state.most_in_flight)
    figures.add("seconds", seconds)
    figures.add("CPU per request", cpu / state.asked * 1e6, "µs")
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=ITEMS)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    pin(CLIENT)
    raise_descriptor_limit()
    with tempfile.TemporaryDirectory() as folder:
        ask(options.items, Path(folder), options.seed).finish()


if __name__ == "__main__":
    main()
