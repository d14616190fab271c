"""What the load figures rest on: lag is counted, and only where the simulator is late itself."""

from __future__ import annotations

import asyncio

from deepseek_async.simulator import Clock
from deepseek_async.simulator.metrics import Lag
from deepseek_async.simulator.wheel import TICK, Wheel

from .conftest import Start
from .loopback import chat, until


class Ring:
    """Something on the wheel that notes when it was its turn."""

    def __init__(self) -> None:
        self.at: list[float] = []

    def step(self, now: float) -> None:
        self.at.append(now)


def test_quantiles_are_rounded_up_to_milliseconds() -> None:
    lag = Lag()
    assert lag.quantile(0.99) == 0.0
    for milliseconds in range(100):
        lag.add(milliseconds / 1000 + 0.0001)
    assert [lag.quantile(share) for share in (0.5, 0.99, 1.0)] == [0.05, 0.099, 0.1]
    lag.add(1e9)
    assert lag.quantile(1.0) == 10.001
    lag.clear()
    assert lag.quantile(1.0) == 0.0


async def test_what_the_clock_jumps_over_is_no_lag() -> None:
    clock, lag, ring = Clock(), Lag(), Ring()
    wheel = Wheel(clock, lag)
    wheel.add(ring, clock.monotonic() + 3600)
    clock.advance(7200)
    await until(lambda: bool(ring.at))
    assert lag.quantile(1.0) == 0.0
    wheel.close()


async def test_a_blocked_loop_is_lag() -> None:
    clock, lag, ring = Clock(), Lag(), Ring()
    wheel = Wheel(clock, lag)
    due = clock.monotonic() + 0.01
    wheel.add(ring, due)
    while clock.monotonic() < due + 0.05:
        pass
    await until(lambda: bool(ring.at))
    assert 0.05 - TICK <= lag.quantile(1.0) < 5.0
    wheel.close()


async def test_paced_streams_are_counted(start: Start) -> None:
    client = await start(tokens_per_second=200.0)
    await asyncio.gather(*(client.chunks(chat(f"n{n}")) for n in range(20)))
    lag = client.sim.metrics.lag
    assert sum(lag.counts) >= 20 * 10
    assert lag.quantile(0.5) < 5.0
