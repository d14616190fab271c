"""What is left of streams that are left early? 500 of them, after the first text of each.

``leave`` closes the stream as the library wants it, ``drop`` only breaks out of the loop. Left are
open sockets, tasks and objects, 50 ms later and without the garbage collector having run. Objects
are those of the libraries' types; ``all_objects_each`` in the JSON has asyncio's as well, which
leaves each transport that it closes to the garbage collector, in 7 objects (CPython 3.11).

Run: python -m benchmarks.bench_leave
"""

from __future__ import annotations

import asyncio
import functools
import gc
import sys

from benchmarks.command import main
from benchmarks.machine import cpu_seconds, open_sockets
from benchmarks.questions import Bench, Case, Figures, Goal, Question, Row

_WARM_UP = 100
_PAUSE = 0.05


async def leave(bench: Bench, method: str) -> Figures:
    """Leave streams."""
    # The server goes on writing: what is left open would not end by itself.
    client = bench.client("trickle-2000-0", 10_000)
    go = client.leave if method == "leave" else client.drop
    for _ in range(_WARM_UP):
        await go()
    await asyncio.sleep(_PAUSE)
    gc.collect()
    gc.disable()
    try:
        sockets, tasks = open_sockets(), len(asyncio.all_tasks())
        objects, all_objects = _objects(), len(gc.get_objects())
        used = cpu_seconds()
        count = bench.pick(500, 100)
        for _ in range(count):
            await go()
        used = cpu_seconds() - used
        await asyncio.sleep(_PAUSE)
        figures = {
            "cpu_us": used / count * 1e6,
            "sockets": open_sockets() - sockets,
            "tasks": len(asyncio.all_tasks()) - tasks,
            "objects": _objects() - objects,
            "all_objects_each": (len(gc.get_objects()) - all_objects) / count,
            "server_connections": bench.connections_open(),
        }
    finally:
        gc.enable()
    await client.aclose()
    return figures


def _objects() -> int:
    """Count objects of types that are neither Python's nor its standard library's."""
    standard = sys.stdlib_module_names | {"builtins", "benchmarks"}
    # Some types have a descriptor in place of a name.
    modules = (str(type(each).__module__).partition(".")[0] for each in gc.get_objects())
    return sum(module not in standard for module in modules)


_NONE = {who: Goal(most=0) for who in ("create", "stream")}


def _case(method: str, label: str) -> Case:
    return Case(
        method,
        functools.partial(leave, method=method),
        (
            Row("cpu_us", label, "µs each"),
            Row("sockets", f"{label}: sockets left", "", _NONE),
            Row("tasks", f"{label}: tasks left", "", _NONE),
            Row("objects", f"{label}: objects left", "", _NONE),
        ),
        ("floor", "create", "stream", "openai"),
    )


QUESTION = Question(
    "bench_leave",
    "What is left of streams that are left early?",
    (_case("leave", "closed early"), _case("drop", "bare break")),
)

if __name__ == "__main__":
    main(QUESTION)
