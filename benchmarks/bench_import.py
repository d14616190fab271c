"""What does the import cost a program that uses asyncio and msgspec anyway?

Unit: milliseconds of wall time from the start of the statement to its end, inside a fresh
interpreter; lower is better. The statements take turns, so that a machine that gets busy is busy
for all of them; each figure is the median of 15 interpreters, after one that fills the file cache
and writes the bytecode, to a directory of its own: an editable checkout may have none. ``over``
is the difference to the first line.

Run: python -m benchmarks.bench_import
"""

import os
import platform
import statistics
import subprocess
import sys
import tempfile

RUNS = 15

STATEMENTS = (
    "import asyncio, msgspec",
    "import deepseek_async",
    "from deepseek_async import AsyncDeepSeek",
    "from deepseek_async import AsyncDeepSeek, ChatCompletion, APIError, ChatStream",
    "import asyncio, msgspec, aiohttp",
)

_PROGRAM = """
import time
begun = time.perf_counter()
{statement}
print(time.perf_counter() - begun)
"""


def measure(statement: str, bytecode: str) -> float:
    """Return how long one fresh interpreter takes for a statement, in milliseconds."""
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": bytecode}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    result = subprocess.run(
        [sys.executable, "-c", _PROGRAM.format(statement=statement)],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    return float(result.stdout) * 1e3


def main() -> None:
    times: dict[str, list[float]] = {statement: [] for statement in STATEMENTS}
    with tempfile.TemporaryDirectory() as bytecode:
        for run in range(RUNS + 1):
            for statement in STATEMENTS:
                elapsed = measure(statement, bytecode)
                if run:
                    times[statement].append(elapsed)
    medians = {statement: statistics.median(each) for statement, each in times.items()}
    base = medians[STATEMENTS[0]]
    print(f"Python {platform.python_version()}, {platform.machine()}, median of {RUNS}, in ms")
    print(f"{'':<80}{'median':>8}{'over':>8}{'least':>8}")
    for statement, median in medians.items():
        least = min(times[statement])
        print(f"{statement:<80}{median:8.1f}{median - base:+8.1f}{least:8.1f}")


if __name__ == "__main__":
    main()
