"""Does a strict budget hold with 2,500 requests under way?

More items than the money is enough for, all places taken from the beginning; answers of any length
up to `max_tokens`, then all of that length; 1 % find the server overloaded (503), 0.5 % break off,
which the server bills all the same. What it bills must not pass the limit by more than the worst
case of one request.

Run: python -m benchmarks.batch.budget [--at-once N]
"""

from __future__ import annotations

import argparse
import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from typing import NamedTuple

from benchmarks import payloads
from benchmarks.batch.fast_server import FastServer, body_of, client_of, requests
from benchmarks.batch.figures import Figures
from benchmarks.batch.server import Manner, State
from benchmarks.machine import CLIENT, pin, raise_descriptor_limit
from deepseek_async import BatchReport, Budget
from deepseek_async.batch.job import BatchJob
from deepseek_async.batch.options import JobOptions
from deepseek_async.policy.request_size import request_size
from deepseek_async.pricing import PRICES, charge

_MAX_TOKENS = 2000
_PROMPT_TOKENS = 40


async def run(address: str, items: int, at_once: int, usd: Decimal) -> BatchReport:
    """Run a batch until its money is spent."""
    options = JobOptions(
        budget=Budget(usd=usd, strict=True), max_concurrency=at_once, at_once=at_once, cache="off"
    )
    async with client_of(address) as client:
        # As `client.batch` does, but with all places from the beginning.
        job = BatchJob(client._services(), requests(range(items), max_tokens=_MAX_TOKENS), options)
        return await job.run()


def prices(prompt_tokens: int, output_tokens: int) -> Decimal:
    """Return what tokens cost now, in US dollars."""
    rates = PRICES.period(payloads.MODEL, datetime.now(UTC)).rates["USD"]
    return charge(rates, 0, prompt_tokens, output_tokens)


class Found(NamedTuple):
    """What a batch did with its money, in US dollars."""

    state: State
    report: BatchReport
    usd: Decimal
    """The limit."""

    worst: Decimal
    """What a request may cost at most."""

    billed: Decimal
    """By the server."""


def measure(at_once: int, outputs: tuple[int, int], *, seconds: float, cut: float) -> Found:
    """Run a batch with money for two and a half times as many requests as there are at once."""
    size = request_size(body_of(0, max_tokens=_MAX_TOKENS), worst=True)
    worst = prices(size.prompt_tokens, _MAX_TOKENS)
    usd = (at_once * worst * Decimal("2.5")).quantize(Decimal("0.0001"))
    least = prices(_PROMPT_TOKENS, sum(outputs) // 2)
    items = 2 * int(usd / least)
    manner = Manner(
        items=items,
        seconds=seconds,
        spread=0.5,
        busy=0.01,
        cut=cut,
        prompt_tokens=_PROMPT_TOKENS,
        output_tokens=outputs,
    )
    with FastServer(manner) as server:
        report = asyncio.run(run(server.address, items, at_once, usd))
        state = server.state()
    billed = prices(state.prompt_tokens, state.output_tokens)
    return Found(state, report, usd, worst, billed)


def ask(at_once: int) -> Figures:
    """Take the figures."""
    figures = Figures(f"A strict budget, {at_once} requests at once")
    for title, outputs in (("any length", (1, _MAX_TOKENS)), ("full length", (_MAX_TOKENS,) * 2)):
        # Long enough for all to be sent before the first is answered.
        found = measure(at_once, outputs, seconds=at_once / 2500, cut=0.005)
        most = float(found.usd + found.worst)
        figures.add(f"{title}: the budget", float(found.usd), "USD")
        figures.add(f"{title}: billed", float(found.billed), "USD", most=most)
        figures.add(f"{title}: spent, by the report", float(found.report.cost or 0), "USD")
        used = float(found.billed / found.usd)
        figures.add(f"{title}: share of the budget used", used, "%", least=0.9)
        figures.add(f"{title}: worst case of a request", float(found.worst), "USD")
        figures.add(
            f"{title}: requests at once, most", found.state.most_in_flight, least=0.95 * at_once
        )
        figures.add(f"{title}: answered", found.state.answered)
        stopped = found.report.outcome == "stopped_by_budget"
        figures.add(f"{title}: stopped by the budget", stopped, least=1)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--at-once", type=int, default=2500)
    options = parser.parse_args()
    pin(CLIENT)
    raise_descriptor_limit()
    ask(options.at_once).finish()


if __name__ == "__main__":
    main()
