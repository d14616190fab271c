"""One answer at 50 tokens/s, shown to 1,000 and 2,000 browsers at 20 frames/s by one core.

The lag of a frame is that of its first token, from the upstream's write to the browser's read: up
to 50 ms of it are the frame's own.

Run: python -m benchmarks.realtime.fanout [--readers 1000,2000] [--rounds 3]
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence

from benchmarks.realtime.measuring import Figures, Load, measure, median, warm
from benchmarks.realtime.processes import Relay, Upstream
from benchmarks.realtime.report import Goal, Report, prepare, stay_off_the_relay

# Readers -> most milliseconds, and share of the core.
_GOALS = {1000: (100.0, 0.30), 2000: (200.0, None)}
_OPENED_PER_SECOND = 500
# Name -> application, and what it is asked for before it is measured. The second is what the
# server and the kernel take for as many writes of about the same bytes.
_CONTENDERS = {"ours-asgi": ("asgi", "/stream"), "floor": ("floor", "/")}


def ask(report: Report, readers: Sequence[int], rounds: int, window: float) -> None:
    """Measure with so many readers."""
    relay_core, other_core = stay_off_the_relay()
    with Upstream(other_core) as upstream:
        for count in readers:
            found: dict[str, list[Figures]] = {name: [] for name in _CONTENDERS}
            empty: list[int] = []
            for _ in range(rounds):
                for name, (app, warming) in _CONTENDERS.items():
                    with Relay(app, "uvicorn", upstream, relay_core) as relay:
                        warm(relay, upstream, warming)
                        if app == "asgi":
                            empty.append(relay.used().resident)
                        opening = count / _OPENED_PER_SECOND
                        load = Load("/shared", count, opening, window, shared=True)
                        found[name].append(measure(relay, upstream, load))
                    report.keep("fanout", name, count, found[name][-1])
            _add(report, count, found["ours-asgi"], empty)
            floor = f"{count} readers, by hand"
            report.add(f"{floor}: core", median(found["floor"], "core"), "%")
            report.add(f"{floor}: lag p99", median(found["floor"], "p99"), "ms")


def _add(report: Report, count: int, found: list[Figures], empty: list[int]) -> None:
    lag, core = _GOALS.get(count, (None, None))

    report.add(f"{count} readers: core", median(found, "core"), "%", Goal(most=core))
    report.add(f"{count} readers: lag p50", median(found, "p50"), "ms")
    report.add(f"{count} readers: lag p99", median(found, "p99"), "ms", Goal(most=lag))
    grown = [figures.resident - before for figures, before in zip(found, empty, strict=True)]
    report.add(f"{count} readers: memory of each", statistics.median(grown) / count / 1024, "KiB")
    complete = min(figures.complete for figures in found)
    report.add(f"{count} readers: complete texts", complete, "", Goal(least=count), binding=True)
    report.conditions(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--readers", default="1000,2000")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--window", type=float, default=5.0, help="seconds")
    options = prepare(parser)
    report = Report("Fan-out: one answer at 50 tokens/s, many readers at 20 frames/s")
    readers = [int(count) for count in options.readers.split(",")]
    ask(report, readers, options.rounds, options.window)
    report.finish(options.json)


if __name__ == "__main__":
    main()
