"""How soon is the first token there? Median in microseconds; lower is better.

From the call to the first piece of text or reasoning, over a connection that is open, of a server
that answers at once. Compared with a bare socket on which somebody searches for just these bytes.

Run: python -m benchmarks.bench_first_token
"""

from __future__ import annotations

import time

from benchmarks.command import main
from benchmarks.machine import cpu_seconds
from benchmarks.questions import Bench, Case, Figures, Goal, Question, Row, check, quantile

_WARM_UP = 20


class _FirstOnly:
    """Takes the time of the first piece."""

    def __init__(self) -> None:
        self.at: float | None = None

    def append(self, piece: str) -> None:
        if self.at is None and piece:
            self.at = time.perf_counter()


async def wait_for_first(bench: Bench) -> Figures:
    """Read short answers one after the other."""
    client = bench.client("burst-5")
    times: list[float] = []
    used = 0.0
    count = bench.pick(300, 60)
    for i in range(count + _WARM_UP):
        if i == _WARM_UP:
            times.clear()
            used = cpu_seconds()
        sink = _FirstOnly()
        began = time.perf_counter()
        await client.read(sink, sink)
        check(sink.at is not None, True, "first token")
        times.append((sink.at or 0.0) - began)
    used = cpu_seconds() - used
    await client.aclose()
    return {
        "p50_us": quantile(times, 0.5) * 1e6,
        "p99_us": quantile(times, 0.99) * 1e6,
        "cpu_us": used / count * 1e6,
    }


QUESTION = Question(
    "bench_first_token",
    "How soon is the first token there?",
    (
        Case(
            "first",
            wait_for_first,
            (
                Row(
                    "p50_us",
                    "time to first token, p50",
                    "µs",
                    {"create": Goal(over_socket=200), "stream": Goal(over_socket=200)},
                ),
            ),
            ("socket", "floor", "create", "stream", "openai"),
        ),
    ),
)

if __name__ == "__main__":
    main(QUESTION)
