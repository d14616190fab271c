"""What does it cost a batch that its results are safe, and how soon does it go on after a crash?

Writing: records of 1.9 kB that become durable per second, added by one event loop as fast as the
journal has room, until the last is acknowledged; higher is better. Resuming: seconds until a job
with that many results can go on, from the file cache, and the memory of the process then, in MB of
resident memory with the interpreter's own; lower is better. Each figure is that of a process of
its own; a goal is beside it.

Run: python -m benchmarks.bench_journal [--records N] [--folder PATH]
"""

import argparse
import asyncio
import json
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.machine import cpu_seconds, resident_bytes
from benchmarks.questions import check
from deepseek_async.batch.journal import Journal
from deepseek_async.batch.journal_files import Durability
from deepseek_async.batch.records import encode_result, response_of

RECORDS = 1_000_000

# One in a hundred of the records of the other kinds: each of these waits for the disk by itself.
EACH_SHARE = 100

BODY = json.dumps({"id": "x" * 36, "choices": [{"message": {"content": "answer " * 245}}]}).encode()

DURABILITIES: tuple[Durability, ...] = ("group", "none", "each")


def journal_of(folder: Path, durability: Durability, acknowledged: list[int]) -> Journal[int]:
    """Return the journal that is measured."""
    return Journal(
        folder / f"{durability}.jsonl",
        settings={"model": "m"},
        on_durable=acknowledged.extend,
        on_error=fail,
        durability=durability,
    )


def fail(error: Exception) -> None:
    raise error


async def write(folder: Path, durability: Durability, records: int) -> dict[str, float]:
    """Write records; return how many a second became durable."""
    acknowledged: list[int] = []
    async with journal_of(folder, durability, acknowledged) as journal:
        cpu = cpu_seconds()
        begun = time.perf_counter()
        for number in range(records):
            response = response_of(200, f"trace-{number:09}", BODY)
            journal.add(encode_result(f"request-{number:09}", response), number)
            if not number % 100:
                await journal.room()
                # What has become durable is told by the loop.
                await asyncio.sleep(0)
        await journal.flush()
        seconds = time.perf_counter() - begun
        cpu = cpu_seconds() - cpu
    check(sorted(acknowledged), list(range(records)), "records")
    return {"records_per_second": records / seconds, "cpu_us": cpu / records * 1e6}


async def resume(folder: Path, durability: Durability, records: int) -> dict[str, float]:
    """Open a finished journal; return how long that took and the memory it needs."""
    journal = journal_of(folder, durability, [])
    begun = time.perf_counter()
    await journal.open()
    seconds = time.perf_counter() - begun
    memory = resident_bytes() or 0
    check(journal.results, records, "number of records")
    check(journal.is_done(f"request-{records - 1:09}"), True, "last record")
    check(journal.is_done(f"request-{records:09}"), False, "record that isn't there")
    await journal.aclose()
    return {"seconds": seconds, "megabytes": memory / 1e6}


STEPS = {"write": write, "resume": resume}


def measure(step: str, folder: str, durability: str, records: int) -> dict[str, float]:
    """Take a measurement in a process of its own."""
    result = subprocess.run(
        [
            sys.executable, "-m", "benchmarks.bench_journal", "--step", step,
            "--folder", folder, "--durability", durability, "--records", str(records),
        ],
        capture_output=True,
        text=True,
        check=True,
    )  # fmt: skip
    figures: dict[str, float] = json.loads(result.stdout)
    return figures


def report(folder: str, records: int) -> None:
    """Take all measurements and print them."""
    print(f"Python {platform.python_version()}, {platform.machine()}, {records} records")
    for durability in DURABILITIES:
        count = max(1, records // EACH_SHARE) if durability == "each" else records
        figures = measure("write", folder, durability, count)
        goal = "   goal 100000" if durability == "group" else ""
        print(
            f"write {durability:<8}{figures['records_per_second']:10.0f} records/s"
            f"{figures['cpu_us']:8.1f} µs CPU each{goal}"
        )
        if durability == "none":
            figures = measure("resume", folder, durability, count)
            print(
                f"resume        {figures['seconds']:10.2f} s        "
                f"{figures['megabytes']:8.0f} MB   goal {records / 5e5:.1f} s, 150 MB"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=RECORDS)
    parser.add_argument("--folder", help="where the files are written; their disk is measured")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    parser.add_argument("--durability", choices=DURABILITIES, help=argparse.SUPPRESS)
    options: Any = parser.parse_args()
    if options.step:
        step = STEPS[options.step](Path(options.folder), options.durability, options.records)
        print(json.dumps(asyncio.run(step)))
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        report(folder, options.records)


if __name__ == "__main__":
    main()
