"""What does it cost to build a request of 1 MB? In microseconds of CPU time; lower is better.

The floor encodes ``{"model": ..., "messages": ...}`` as it stands. Ours checks arguments and
messages before, and prepares the whole call; nothing is sent. Least of many.

Run: python -m benchmarks.bench_build
"""

from __future__ import annotations

import functools
import time
from typing import Any

from benchmarks.command import main
from benchmarks.questions import Bench, Case, Figures, Goal, Question, Row

_SIZE = 1_000_000
_SENTENCE = "The song of the humpback whale is a long, complex sequence of sounds. "


def conversation(count: int) -> list[dict[str, Any]]:
    """Return a conversation of ``count`` messages, 1 MB in all."""
    text = (_SENTENCE * (_SIZE // count // len(_SENTENCE) + 1))[: _SIZE // count]
    roles = ("user", "assistant")
    return [{"role": roles[i % 2], "content": text} for i in range(count)]


async def build(bench: Bench, count: int) -> Figures:
    """Build the same request again and again."""
    client = bench.client("answer")
    messages = conversation(count)
    times: list[float] = []
    for _ in range(bench.pick(300, 50)):
        began = time.process_time()
        client.build(messages)
        times.append(time.process_time() - began)
    await client.aclose()
    return {"cpu_us": min(times) * 1e6}


def _case(count: int) -> Case:
    goals = {"create": Goal(times=1.1)}
    return Case(
        str(count),
        functools.partial(build, count=count),
        (Row("cpu_us", f"build 1 MB in {count} messages", "µs", goals),),
        ("floor", "create"),
    )


QUESTION = Question(
    "bench_build", "What does it cost to build a request of 1 MB?", (_case(1), _case(1999))
)

if __name__ == "__main__":
    main(QUESTION)
