"""Does a long answer cost more for each chunk than a short one, or more than its text in memory?

An answer of 200,000 chunks against one of 50,000, read and put together to one text. ``growth`` is
the CPU time per chunk of the long one over that of the short one: 1 is linear. ``memory`` is the
most that was allocated at any time, buffers of bytes not yet read included, over the size of the
text, which is ASCII; a list of its tokens would be about 9. The memory is that of a run by itself,
since looking at it takes time.

Run: python -m benchmarks.bench_accumulate
"""

from __future__ import annotations

import tracemalloc

from benchmarks import payloads
from benchmarks.command import main
from benchmarks.machine import cpu_seconds
from benchmarks.questions import Bench, Case, Figures, Goal, Question, Row, check

_TIMES_LONGER = 4


async def _read(bench: Bench, count: int, wanted: str) -> float:
    """Return what a chunk of an answer costs, in microseconds of CPU time."""
    client = bench.client(f"ascii-{count}")
    used = cpu_seconds()
    text = await client.accumulate()
    used = cpu_seconds() - used
    await client.aclose()
    check(text, wanted, "text")
    return used / count * 1e6


async def accumulate(bench: Bench) -> Figures:
    """Read a long answer and shorter ones."""
    count = bench.pick(50_000, 25_000)
    short = "".join(payloads.plain_pieces(count))
    long = "".join(payloads.plain_pieces(count * _TIMES_LONGER))
    await _read(bench, count, short)
    # As many chunks in all as of the long one, so that both are as precise.
    each = [await _read(bench, count, short) for _ in range(_TIMES_LONGER)]
    last = await _read(bench, count * _TIMES_LONGER, long)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    await _read(bench, count * _TIMES_LONGER, long)
    peak = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    return {
        "cpu_us": last,
        "growth": last / (sum(each) / len(each)),
        "memory": peak / len(long),
    }


_OURS = ("create", "stream")
QUESTION = Question(
    "bench_accumulate",
    "Does a long answer cost more for each chunk than a short one?",
    (
        Case(
            "200000",
            accumulate,
            (
                Row("cpu_us", "200,000 chunks to one text", "µs a chunk"),
                Row("growth", "the same: growth", "", {who: Goal(most=1.15) for who in _OURS}),
                Row("memory", "the same: memory", "x text", {who: Goal(most=3) for who in _OURS}),
            ),
            ("floor", "create", "stream"),
            fresh=True,
        ),
    ),
)

if __name__ == "__main__":
    main(QUESTION)
