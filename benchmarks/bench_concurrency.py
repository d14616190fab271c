"""How much of a hidden limit does a batch use, and what does it waste? In simulated time.

util: slots of the server that were busy, as a share of its capacity. waste: requests that were
refused, dropped, or failed, as a share of all that were sent. The scenarios are those of the unit
tests (``batch.md`` 3.3), the hold-out set in full length. Each runs twice: with 5 % of the requests
streamed, as the batch engine does, and driven by the limit alone.

Run: python -m benchmarks.bench_concurrency [NAME ...]
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from statistics import mean

from tests.unit.concurrency_sim import TABLE, Result, Scenario, hold_out, simulate

_NAME = 18


def _notes(name: str, scenario: Scenario, result: Result) -> Iterator[str]:
    """Yield what the goals of a scenario ask for besides use and waste."""
    if name == "s1":
        yield f"90 % after {result.seconds_until_busy(450):.0f} s"
    elif name == "s2":
        yield f"{result.rejected_between(600, 660)} refused in the minute after the drop"
        yield f"90 % again after {result.seconds_until_busy(360, since=1200):.0f} s"
    elif name == "s7":
        yield f"{result.rejects / scenario.seconds:.2f} refused a second"
    if len(scenario.clients) > 1:
        # From 300 seconds after the last one has come.
        since = scenario.clients[-1] + 300
        if since < scenario.seconds:
            yield f"Jain {result.fairness(since, scenario.seconds):.2f}"


def _show(name: str, scenario: Scenario, *, samples: bool) -> Result:
    result = simulate(scenario, samples=samples)
    print(
        f"{name:{_NAME}} {'samples' if samples else 'limit alone':12} {result.utilisation:5.1f} "
        f"{result.waste:6.2f} {result.rejects:8} {result.failed:7} {result.dropped:7} "
        f"{result.sends:8}  {'; '.join(_notes(name, scenario, result))}",
        flush=True,
    )
    return result


def _main(names: list[str]) -> None:
    print(
        f"{'scenario':{_NAME}} {'driven by':12} {'util':>5} {'waste':>6} {'refused':>8} "
        f"{'failed':>7} {'dropped':>7} {'sends':>8}"
    )
    judged = hold_out(requests=40_000, shortest=900.0)
    chosen = names or [*TABLE, *judged]
    for samples in (True, False):
        results: list[Result] = []
        for name in chosen:
            result = _show(name, TABLE.get(name) or judged[name], samples=samples)
            if name in judged:
                results.append(result)
        if results:
            print(
                f"hold-out: mean util {mean(result.utilisation for result in results):.1f}, "
                f"least {min(result.utilisation for result in results):.1f}, mean waste "
                f"{mean(result.waste for result in results):.1f}, "
                f"dropped {sum(result.dropped for result in results)}\n"
            )


if __name__ == "__main__":
    _main(sys.argv[1:])
