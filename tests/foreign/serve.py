"""A simulator for foreign clients: prints where it listens, and serves until its input ends."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from deepseek_async.simulator import Simulator, load_script


async def main() -> None:
    script = load_script(Path(__file__).with_name("script.json"))
    async with Simulator(**script.options) as sim:
        sim.script(*script.replies)
        sim.faults(*script.faults)
        print(sim.base_url, flush=True)  # noqa: T201
        await asyncio.to_thread(sys.stdin.read)


asyncio.run(main())
