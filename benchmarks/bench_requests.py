"""What does a plain request cost? In microseconds of CPU time of the client; lower is better.

With 1 and 32 at a time, connections are open before; with 256 and 1000, opening them is part of it.
The fan-out sends 2000 requests, 500 at a time, of which each is answered after 50 ms: 0.2 s is the
least that it can take.

Run: python -m benchmarks.bench_requests
"""

from __future__ import annotations

import asyncio
import functools
import time

from benchmarks import payloads
from benchmarks.command import main
from benchmarks.machine import cpu_seconds
from benchmarks.questions import Bench, Case, Figures, Goal, Question, Row, check, quantile

_ALL = ("floor", "create", "openai")


async def ask(
    bench: Bench, at_once: int, total: int | None = None, mode: str = "answer"
) -> Figures:
    """Send requests, so many at once, so many in all, or for a time with None."""
    client = bench.client(mode, at_once)
    seconds = bench.seconds
    times: list[float] = []
    left = 0

    async def one() -> None:
        begun = time.perf_counter()
        text = await client.ask()
        times.append(time.perf_counter() - begun)
        check(text, payloads.ANSWER_TEXT, "text")

    async def go_on() -> None:
        nonlocal left
        while left > 0 if total else time.perf_counter() - began < seconds:
            left -= 1
            await one()

    if total is None:
        await asyncio.gather(*(one() for _ in range(at_once)))
    else:
        # The first request imports what the library needs.
        await one()
        left = total
    times.clear()
    began, used = time.perf_counter(), cpu_seconds()
    await asyncio.gather(*(go_on() for _ in range(at_once)))
    wall, used = time.perf_counter() - began, cpu_seconds() - used
    await client.aclose()
    return {
        "cpu_us": used / len(times) * 1e6,
        "wall_seconds": wall,
        "requests_per_second": len(times) / wall,
        "p50_ms": quantile(times, 0.5) * 1e3,
        "p99_ms": quantile(times, 0.99) * 1e3,
    }


def _case(name: str, label: str, at_once: int, total: int | None = None) -> Case:
    return Case(
        name,
        functools.partial(ask, at_once=at_once, total=total),
        (Row("cpu_us", label, "µs a request", {"create": Goal(times=1.25)}),),
        _ALL,
        descriptors=at_once + 50,
    )


QUESTION = Question(
    "bench_requests",
    "What does a plain request cost?",
    (
        _case("1", "1 at a time", 1),
        _case("32", "32 at a time", 32),
        _case("256", "256 at a time, 1024 in all", 256, 1024),
        _case("1000", "1000 at a time, 2000 in all", 1000, 2000),
        Case(
            "fan-out",
            functools.partial(ask, at_once=500, total=2000, mode="late-50"),
            (Row("wall_seconds", "2000, 500 at a time, 50 ms", "s", {"create": Goal(times=1.3)}),),
            _ALL,
            descriptors=550,
        ),
    ),
)

if __name__ == "__main__":
    main(QUESTION)
