"""Streams of 50 tokens/s on one core, each with an upstream of its own.

The lag of a token is from the upstream's write to the browser's read. The relay has a core of its
own; upstream and browsers share the other. Contenders take turns in every round, and the figures
are medians over the rounds.

Run: python -m benchmarks.realtime.relay [--streams 100,400] [--contenders ...] [--knee]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import NamedTuple

from benchmarks.realtime.measuring import Figures, Load, measure, median, warm
from benchmarks.realtime.processes import Relay, Upstream
from benchmarks.realtime.report import Goal, Report, prepare, stay_off_the_relay


class Contender(NamedTuple):
    """A relay and the path to ask it for."""

    app: str
    server: str
    path: str
    ours: bool


CONTENDERS = {
    "ours-asgi": Contender("asgi", "uvicorn", "/stream", True),
    "ours-aiohttp": Contender("aiohttp", "aiohttp", "/stream", True),
    "ours-live": Contender("asgi", "uvicorn", "/run", True),
    "ours-starlette": Contender("fastapi", "uvicorn", "/stream", True),
    "fastapi-openai": Contender("fastapi-openai", "uvicorn", "/", False),
    "floor": Contender("floor", "uvicorn", "/", False),
}

# Streams -> most microseconds a token, for ours.
_CPU_GOALS = {100: 60.0, 400: 40.0}
_LAG_GOAL = 100.0
_KNEE_GOAL = 400
_OPENED_PER_SECOND = 200
_KNEE_STEPS = (50, 75, 100, 150, 200, 300, 400, 500, 600, 700)
# Late streams have no lag but too few tokens.
_KEPT_UP = 0.98
_KNEE_CONTENDERS = ("ours-asgi", "fastapi-openai")


def ask(
    report: Report, streams: Sequence[int], names: Sequence[str], rounds: int, window: float
) -> None:
    """Measure all contenders with so many streams."""
    relay_core, other_core = stay_off_the_relay()
    with Upstream(other_core) as upstream:
        for count in streams:
            found: dict[str, list[Figures]] = {name: [] for name in names}
            for round_ in range(rounds):
                # Each time another begins.
                for name in [*names[round_ % len(names) :], *names[: round_ % len(names)]]:
                    figures = _once(name, upstream, relay_core, count, window)
                    found[name].append(figures)
                    report.keep("relay", name, count, figures)
            for name in names:
                _add(report, name, count, found[name])


def _once(name: str, upstream: Upstream, core: int, count: int, window: float) -> Figures:
    contender = CONTENDERS[name]
    load = Load(contender.path, count, count / _OPENED_PER_SECOND, window)
    with Relay(contender.app, contender.server, upstream, core) as relay:
        warm(relay, upstream, contender.path)
        return measure(relay, upstream, load)


def _add(report: Report, name: str, count: int, found: list[Figures]) -> None:
    ours = CONTENDERS[name].ours
    label = f"{count} streams, {name}"

    report.add(
        f"{label}: CPU per token",
        median(found, "cpu"),
        "µs",
        Goal(most=_CPU_GOALS.get(count)) if ours else None,
    )
    waited = median(found, "relay_waited")
    report.add(f"{label}: core", median(found, "core"), "%", note=f"others had it {waited:.0%}")
    report.add(f"{label}: lag p50", median(found, "p50"), "ms")
    report.add(
        f"{label}: lag p99", median(found, "p99"), "ms", Goal(most=_LAG_GOAL) if ours else None
    )
    joined = median(found, "tokens_per_event")
    report.add(
        f"{label}: tokens",
        median(found, "rate"),
        f"/s of {found[0].asked_rate:,.0f}",
        note=f"{joined:.2f} to an event",
    )
    cut_off = any(figures.cut_off for figures in found)
    complete = min(figures.complete for figures in found)
    # A peer that can't keep up is given up; that is what its lag says.
    if ours or not cut_off:
        report.add(f"{label}: complete texts", complete, "", Goal(least=count), binding=ours)
    report.conditions(found)


def knee(report: Report, names: Sequence[str], window: float) -> None:
    """Find the most streams that keep up with a p99 of the lag of at most 100 ms."""
    relay_core, other_core = stay_off_the_relay()
    with Upstream(other_core) as upstream:
        for name in names:
            best = 0
            for count in _KNEE_STEPS:
                contender = CONTENDERS[name]
                ramp = count / _OPENED_PER_SECOND
                load = Load(contender.path, count, ramp, window, patience=2.0)
                with Relay(contender.app, contender.server, upstream, relay_core) as relay:
                    warm(relay, upstream, contender.path)
                    figures = measure(relay, upstream, load)
                report.keep("knee", name, count, figures)
                report.conditions([figures])
                kept_up = figures.rate >= _KEPT_UP * figures.asked_rate
                if not (kept_up and figures.p99 <= _LAG_GOAL):
                    break
                best = count
            goal = Goal(least=_KNEE_GOAL) if CONTENDERS[name].ours else None
            report.add(f"{name}: streams with p99 <= 100 ms, at least", best, "", goal)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", default="100,400")
    parser.add_argument("--contenders", default=",".join(CONTENDERS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--window", type=float, default=4.0, help="seconds")
    parser.add_argument("--knee", action="store_true", help="search the most streams instead")
    options = prepare(parser)
    report = Report("Relay: streams of 50 tokens/s on one core")
    names = options.contenders.split(",")
    if options.knee:
        chosen = [name for name in names if name in _KNEE_CONTENDERS] or names
        knee(report, chosen, options.window)
    else:
        streams = [int(count) for count in options.streams.split(",")]
        ask(report, streams, names, options.rounds, options.window)
    report.finish(options.json)


if __name__ == "__main__":
    main()
