"""What does an open stream cost in memory? In KiB of resident memory with 5000; lower is better.

Each stream brings an event every 2.5 seconds; all of them have to come to their ends. The memory
is that from before the first request to when the last stream has begun, per stream.

Run: python -m benchmarks.bench_memory
"""

from __future__ import annotations

import functools

from benchmarks.command import main
from benchmarks.many_streams import read_many
from benchmarks.questions import Case, Goal, Question, Row

QUESTION = Question(
    "bench_memory",
    "What does an open stream cost in memory?",
    (
        Case(
            "5000",
            functools.partial(read_many, streams=5000, quick_streams=500, period=2500, seconds=15),
            (
                Row("lost", "5000 streams: lost", "", {"create": Goal(most=0)}),
                Row("kib_each", "5000 streams: memory", "KiB each", {"create": Goal(most=24)}),
                Row("opening_seconds", "5000 streams: until all have begun", "s"),
            ),
            ("floor", "create", "stream", "openai"),
            fresh=True,
            descriptors=5100,
        ),
    ),
)

if __name__ == "__main__":
    main(QUESTION)
