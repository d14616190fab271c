"""What does a streamed chunk cost? In microseconds of CPU time of the client; lower is better.

Each measurement reads whole answers of some thousand chunks, one after the other on one connection,
and looks at every text. Chunks have about 300 bytes, as DeepSeek's have.

burst: one HTTP chunk for each event, all at once, as a client sees it that has fallen behind.
blocks: HTTP chunks of 16 KiB. kept: a keep-alive comment after every event. tools: the arguments of
two tool calls, put together again. trickle: an event every 200 µs, so that each wakes the client:
what a live stream costs, most of it system calls and the event loop.

Run: python -m benchmarks.bench_stream
"""

from __future__ import annotations

import functools
import time

from benchmarks import payloads
from benchmarks.command import main
from benchmarks.machine import cpu_seconds
from benchmarks.questions import Bench, Case, Figures, Goal, Question, Row, check

_ALL = ("floor", "tuned", "create", "stream", "text", "openai")


async def read(bench: Bench, mode: str, count: int) -> Figures:
    """Read answers of ``count`` chunks."""
    client = bench.client(mode)
    reasoning, content = ("".join(parts) for parts in payloads.pieces(count))
    if bench.contender == "text":
        reasoning = ""

    async def once() -> None:
        texts: list[str] = []
        thoughts: list[str] = []
        await client.read(texts, thoughts)
        check("".join(texts), content, "text")
        check("".join(thoughts), reasoning, "reasoning")

    await once()
    streams = 0
    began, used = time.perf_counter(), cpu_seconds()
    while (wall := time.perf_counter() - began) < bench.seconds:
        await once()
        streams += 1
    used = cpu_seconds() - used
    await client.aclose()
    chunks = streams * count
    return {"cpu_us": used / chunks * 1e6, "chunks_per_second": chunks / wall}


async def call_tools(bench: Bench, mode: str, count: int) -> Figures:
    """Read tool calls in ``count`` fragments."""
    client = bench.client(mode)
    wanted = payloads.tool_calls()
    check(await client.call_tools(), wanted, "tool calls")
    answers = 0
    began, used = time.perf_counter(), cpu_seconds()
    while time.perf_counter() - began < bench.seconds:
        check(await client.call_tools(), wanted, "tool calls")
        answers += 1
    used = cpu_seconds() - used
    await client.aclose()
    return {"cpu_us": used / (answers * count) * 1e6}


def _case(name: str, mode: str, count: int, label: str, **goals: float) -> Case:
    return Case(
        name,
        functools.partial(read, mode=mode, count=count),
        (Row("cpu_us", label, "µs a chunk", {who: Goal(times=x) for who, x in goals.items()}),),
        _ALL,
    )


QUESTION = Question(
    "bench_stream",
    "What does a streamed chunk cost?",
    (
        _case("burst", "burst-2000", 2000, "an HTTP chunk each", create=1.25, stream=2, text=1.1),
        _case("blocks", "blocks-2000", 2000, "HTTP chunks of 16 KiB", create=1.5, stream=2),
        _case("kept", "kept-2000", 2000, "keep-alives in between", create=1.5, stream=2),
        _case("trickle", "trickle-1000-200", 1000, "one at a time", create=1.25, stream=2),
        Case(
            "tools",
            functools.partial(call_tools, mode="tools-200", count=200),
            (
                Row(
                    "cpu_us",
                    "tool call fragments",
                    "µs a fragment",
                    {"create": Goal(times=1.4), "stream": Goal(times=1.4)},
                ),
            ),
            ("floor", "tuned", "create", "stream", "openai"),
        ),
    ),
)

if __name__ == "__main__":
    main(QUESTION)
