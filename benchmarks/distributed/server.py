"""The simulator in a process of its own, which tells what it has counted.

Each line on its standard input is answered with what has been since the line before.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Iterator

import msgspec

from benchmarks.machine import raise_descriptor_limit
from benchmarks.processes import Process
from deepseek_async.simulator import Simulator

_START_SECONDS = 60.0


class Counted(msgspec.Struct):
    """What the simulator has counted since it was asked last."""

    requests: int
    peak_in_flight: int
    in_flight: int
    disconnects: int
    """Requests whose client went away."""

    items: int
    """Different items that were asked for; 0 unless it begins anew."""

    again: int
    """Requests for items that had been asked for before; the same."""


class SimulatorProcess(Process):
    """The simulator.

    Args:
        seconds: How long it thinks.

    Attributes:
        address: Its URL.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(sys.executable, "benchmarks.distributed.server", str(seconds))
        self.address = self.line(_START_SECONDS).strip()
        if not self.address:
            self.stop()
            raise RuntimeError("the simulator did not start")

    def counted(self, *, over: bool = False) -> Counted:
        """Return what it has counted.

        Args:
            over: Begin anew.
        """
        self.write("over" if over else "")
        return msgspec.json.decode(self.line(_START_SECONDS), type=Counted)


def _items(sim: Simulator) -> Iterator[str]:
    for request in sim.requests:
        if request.body is not None:
            yield request.body["messages"][-1]["content"].split(" ", 1)[0]


async def serve(seconds: float) -> None:
    """Serve until the standard input ends."""
    loop = asyncio.get_running_loop()
    async with Simulator(first_token_seconds=seconds, max_requests_kept=1_000_000) as sim:
        print(sim.base_url, flush=True)
        metrics = sim.metrics
        begun = (0, 0)
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            is_over = line.strip() == "over"
            # Between requests that takes too long.
            asked = Counter(_items(sim) if is_over else ())
            counted = Counted(
                requests=metrics.requests - begun[0],
                peak_in_flight=metrics.peak_in_flight,
                in_flight=metrics.in_flight,
                disconnects=metrics.disconnects - begun[1],
                items=len(asked),
                again=asked.total() - len(asked),
            )
            if is_over:
                sim.reset()
                begun = (metrics.requests, metrics.disconnects)
                metrics.peak_in_flight = metrics.in_flight
            print(msgspec.json.encode(counted).decode(), flush=True)


def main() -> None:
    raise_descriptor_limit()
    try:
        import uvloop
    except ImportError:
        asyncio.run(serve(float(sys.argv[1])))
    else:
        uvloop.run(serve(float(sys.argv[1])))


if __name__ == "__main__":
    main()
