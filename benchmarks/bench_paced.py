"""Can one core carry many live streams? Share of a core, and how late events are; lower is better.

The server sends each stream an event at its own steady times and writes into it when it was due;
the client looks at the clock of the same machine. Counted from when all streams have begun until
the first has ended. A client that cannot keep up shows a share of 1 and events later and later.
The server writes in steps of a millisecond, so half of one is nobody's fault.

Run: python -m benchmarks.bench_paced
"""

from __future__ import annotations

import functools

from benchmarks.command import main
from benchmarks.many_streams import read_many
from benchmarks.questions import Case, Goal, Question, Row

_CREATE = "create"


def _case(name: str, streams: int, period: int, seconds: int, goals: dict[str, Goal]) -> Case:
    label = f"{streams} streams, {1000 // period} events/s"
    rows = [
        Row(figure, f"{label}: {what}", unit, {_CREATE: goals[figure]} if figure in goals else {})
        for figure, what, unit in (
            ("core_share", "share of a core", ""),
            ("late_p50_ms", "late, p50", "ms"),
            ("late_p99_ms", "late, p99", "ms"),
            ("lost", "streams lost", ""),
        )
    ]
    return Case(
        name,
        functools.partial(
            read_many, streams=streams, quick_streams=300, period=period, seconds=seconds
        ),
        rows,
        ("floor", "create", "stream", "openai"),
        fresh=True,
        descriptors=streams + 100,
    )


_NO_LOSS = Goal(most=0)
QUESTION = Question(
    "bench_paced",
    "Can one core carry many live streams?",
    (
        _case(
            "1000x5",
            *(1000, 200, 7),
            {"core_share": Goal(times=1.25), "late_p99_ms": Goal(times=2), "lost": _NO_LOSS},
        ),
        _case(
            "2500x8",
            *(2500, 125, 7),
            {"core_share": Goal(most=0.95), "late_p99_ms": Goal(most=50), "lost": _NO_LOSS},
        ),
    ),
)

if __name__ == "__main__":
    main(QUESTION)
