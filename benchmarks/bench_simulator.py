"""How late one simulator process is under load: paced streams read by a C program. Lower is better.

The simulator has one core, the reader another one. Its own lag, from the moment a token is due to
its write, must stay below 50 ms for 99 of 100 writes at 2,500 streams of 20 tokens a second each:
DeepSeek's documented concurrency limit for one account.

Run: python -m benchmarks.bench_simulator [--streams 2500] [--rate 20] [--seconds 30] [--uvloop]
     [--realtime]
Needs Linux, two cores, and a C compiler (cc).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from deepseek_async.simulator import Reply, Simulator

_READER = Path(__file__).parent / "simulator_load" / "reader.c"
_LIMIT_SECONDS = 0.05


async def serve(options: argparse.Namespace) -> None:
    """Serve until all streams have ended; print the port, then the figures."""
    tokens = int(options.rate * options.seconds)
    async with Simulator(
        tokens_per_second=options.rate, first_token_seconds=0.5, max_requests_kept=100
    ) as sim:
        # Of about a token each.
        sim.script(Reply("word " * tokens, times="forever"))
        print(sim.base_url.rpartition(":")[2], flush=True)
        await _until(lambda: sim.metrics.requests >= options.streams)
        lag = sim.metrics.lag
        opening = lag.quantile(0.99)
        lag.clear()
        began = time.process_time()
        events = sim.metrics.events_sent
        await _until(lambda: not sim.metrics.in_flight)
        used = resource.getrusage(resource.RUSAGE_SELF)
        events = sim.metrics.events_sent - events
        figures = {
            "opening_lag_p99_ms": opening * 1000,
            "cpu_us_per_event": (time.process_time() - began) / max(events, 1) * 1e6,
            "peak_streams": sim.metrics.peak_in_flight,
            "events": sim.metrics.events_sent,
            "lag_p50_ms": lag.quantile(0.5) * 1000,
            "lag_p99_ms": lag.quantile(0.99) * 1000,
            "lag_p999_ms": lag.quantile(0.999) * 1000,
            "lag_max_ms": lag.quantile(1.0) * 1000,
            "cpu_seconds": used.ru_utime + used.ru_stime,
            "max_rss_mb": used.ru_maxrss / 1024,
        }
        print(json.dumps(figures), flush=True)


async def _until(condition: Callable[[], bool]) -> None:
    # The simulator's counters signal nothing.
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0.2)


@asynccontextmanager
async def simulator(core: int, arguments: list[str]) -> AsyncIterator[asyncio.subprocess.Process]:
    """The simulator in a process of its own, on one core."""
    process = await asyncio.create_subprocess_exec(
        *(
            "taskset",
            "-c",
            str(core),
            sys.executable,
            "-m",
            "benchmarks.bench_simulator",
            "--serve",
        ),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 20,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def measure(
    options: argparse.Namespace, reader: Path, arguments: list[str]
) -> dict[str, Any]:
    """Run both sides."""
    body = {
        "model": "deepseek-flash",
        "messages": [{"role": "user", "content": "Go"}],
        "thinking": {"type": "disabled"},
        "stream": True,
    }
    cores = sorted(os.sched_getaffinity(0))
    async with simulator(cores[0], arguments) as process:
        assert process.stdout is not None
        port = (await process.stdout.readline()).decode().strip()
        ramp = options.streams / options.ramp if options.ramp else 0
        limit = options.seconds * 4 + 30
        read = await asyncio.create_subprocess_exec(
            *("taskset", "-c", str(cores[-1]), str(reader), port, str(options.streams)),
            *(str(limit), str(ramp), json.dumps(body)),
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await read.communicate()
        assert read.returncode == 0, f"not all streams ended: {out.decode()}"
        served = json.loads(await process.stdout.readline())
    return {"reader": json.loads(out), "simulator": served}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--streams", type=int, default=2500)
    parser.add_argument("--rate", type=float, default=20.0, help="tokens per second and stream")
    parser.add_argument("--seconds", type=float, default=30.0, help="length of each stream")
    parser.add_argument("--ramp", type=float, default=5.0, help="seconds to open all; 0: at once")
    parser.add_argument("--uvloop", action="store_true")
    parser.add_argument(
        "--realtime",
        action="store_true",
        help="before all other processes of the machine, for one that isn't idle; needs root",
    )
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        if options.uvloop:
            import uvloop

            uvloop.run(serve(options))
        else:
            asyncio.run(serve(options))
        return
    if options.realtime:
        # Inherited by both sides.
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
    with tempfile.TemporaryDirectory() as folder:
        reader = Path(folder) / "reader"
        subprocess.run(["cc", "-O2", "-o", reader, _READER], check=True)
        found = asyncio.run(measure(options, reader, sys.argv[1:]))
    read, served = found["reader"], found["simulator"]
    # Finish and [DONE] come with the last token; the first chunk with the first.
    expected = options.streams * (int(options.rate * options.seconds) + 3)
    print(f"Python {platform.python_version()}, {platform.machine()}, uvloop: {options.uvloop}")
    print(time.strftime("%Y-%m-%d"), json.dumps(found))
    assert read["failed"] == 0, "streams broke off"
    assert abs(read["events"] - expected) <= options.streams, (read["events"], expected)
    fine = served["lag_p99_ms"] <= _LIMIT_SECONDS * 1000
    print(f"lag p99 {served['lag_p99_ms']:.0f} ms: {'within' if fine else 'past'} the limit")
    sys.exit(not fine)


if __name__ == "__main__":
    main()
