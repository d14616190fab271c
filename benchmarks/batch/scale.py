"""What do a million items cost: memory, CPU, and going on from a finished file?

One process runs a batch from a JSONL file to a JSONL file against the fast server, with requests
of 1 kB, 256 at once: of a thousand sockets, kernel and aiohttp take a quarter more for each.
Memory is the most that the process took, beyond the bodies under way; CPU is its own, per request.
Then the same call is made again in a new process, for which all is done: seconds until the job is
open, and until it has ended.

Run: python -m benchmarks.batch.scale [--items N] [--at-once N] [--input file|generator]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.batch.fast_server import FastServer, client_of, requests, write_requests
from benchmarks.batch.figures import Figures
from benchmarks.batch.server import Manner
from benchmarks.machine import CLIENT, cpu_seconds, pin, raise_descriptor_limit, waited_seconds

ITEMS = 1_000_000

# Of a prompt, in bytes.
_SIZE = 1000

# Items that the batch may look ahead at.
_WINDOW = 10_000

_RESUME_SECONDS = 2.0


async def run(folder: Path, address: str, options: argparse.Namespace) -> dict[str, float]:
    """Run the batch; return what it took."""
    source: Any = folder / "in.jsonl"
    if options.input == "generator":
        source = requests(range(options.items), size=_SIZE)
    figures: dict[str, float] = {}
    async with client_of(address) as client:
        job = client.batch(
            source, out=folder / "out.jsonl", max_concurrency=options.at_once, cache=options.cache
        )
        cpu, waited, begun = cpu_seconds(), waited_seconds(), time.perf_counter()
        async with job:
            figures["open_seconds"] = time.perf_counter() - begun
            async for item in job:
                assert item.completion is not None, item.error
        report = job.report()
    assert report.ok, str(report)
    seconds = time.perf_counter() - begun
    return {
        **figures,
        "seconds": seconds,
        "cpu_seconds": cpu_seconds() - cpu,
        "waited": (waited_seconds() - waited) / seconds,
        "requests": report.requests,
        "skipped": report.skipped,
        "in_flight": max(sample.in_flight for sample in report.samples),
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def measure(folder: str, address: str, arguments: list[str]) -> dict[str, float]:
    """Run the batch in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.batch.scale", *arguments]
    result = subprocess.run(
        [*command, "--folder", folder, "--address", address],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    figures: dict[str, float] = json.loads(result.stdout)
    return figures


def ask(folder: Path, options: argparse.Namespace) -> Figures:
    """Take the figures."""
    items: int = options.items
    figures = Figures(f"{items} items from a {options.input}, {options.at_once} at once")
    write_requests(folder / "in.jsonl", items, size=_SIZE)
    manner = Manner(items=items, seconds=options.seconds, spread=0.5)
    with FastServer(manner) as server:
        first = measure(str(folder), server.address, sys.argv[1:])
        asked = server.asked()
        again = measure(str(folder), server.address, sys.argv[1:])
        assert server.asked() == asked, "finished items were sent again"
        server_cpu = server.state().cpu
    assert asked == b"\1" * items, "not every item was asked for once"
    # Each as JSON, and as what Python makes of it.
    bodies = 3 * _SIZE * (first["in_flight"] + _WINDOW) / 1e6
    figures.add("memory, most", first["megabytes"], "MB")
    figures.add(
        "without window and requests under way", first["megabytes"] - bodies, "MB", most=150
    )
    cpu = first["cpu_seconds"] / items * 1e6
    figures.add("CPU per request", cpu, "µs", most=None if options.show_cpu else 250)
    figures.add("requests per second", items / first["seconds"])
    figures.add("requests at once, most", first["in_flight"])
    figures.add("waiting for the core", first["waited"], "%")
    figures.add("CPU of the server per request", server_cpu / items * 1e6, "µs")
    figures.add(
        "finished file: until it is open",
        again["open_seconds"],
        "s",
        most=_RESUME_SECONDS * max(items / ITEMS, 0.25),
    )
    figures.add("finished file: the whole call", again["seconds"], "s")
    figures.add("finished file: CPU per item", again["cpu_seconds"] / items * 1e6, "µs")
    figures.add("finished file: memory, most", again["megabytes"], "MB", most=150)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=ITEMS)
    parser.add_argument("--at-once", type=int, default=256)
    parser.add_argument("--seconds", type=float, default=0.05, help="that an answer takes")
    parser.add_argument("--input", choices=("file", "generator"), default="file")
    parser.add_argument("--cache", choices=("auto", "off"), default="auto")
    # On a shared machine the same program takes half as much again from one hour to the next.
    parser.add_argument("--show-cpu", action="store_true", help="no goal for the CPU time")
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    parser.add_argument("--address", help=argparse.SUPPRESS)
    options = parser.parse_args()
    pin(CLIENT)
    raise_descriptor_limit()
    if options.address is not None:
        figures = asyncio.run(run(Path(options.folder), options.address, options))
        print(json.dumps(figures))
        return
    with tempfile.TemporaryDirectory() as folder:
        ask(Path(folder), options).finish()


if __name__ == "__main__":
    main()
