"""What stalled readers cost the others and the relay's memory.

Lag: 200 browsers with a stream of their own, and 200 at one run, with and without 10 % that read
nothing after their first bytes.

Memory: answers come as fast as they are read; one browser reads all of its own beside others that
have stalled, once few and once many of them. What the relay took more is divided among the stalled
ones. Their kernel buffers hold little, and answers are longer than what the relay's hold, so that
the relay has to keep the rest or to let it be. At one run, a stalled reader should take no more
than the server's buffer. A stream of its own has a log of its own, which is the answer: that is
compared with an answer twice as long, as a multiple of the text.

Run: python -m benchmarks.realtime.slow [--rounds 3] [--stalled 50] [--paths ...]
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence

from benchmarks.realtime.browsers import Browser, Crowd, get
from benchmarks.realtime.manner import TOKEN_DIGITS, TOKEN_MARK, Manner
from benchmarks.realtime.measuring import STALLED_BUFFER, Figures, Load, measure, warm
from benchmarks.realtime.processes import Relay, Upstream
from benchmarks.realtime.reading import Reading
from benchmarks.realtime.report import Goal, Report, prepare, stay_off_the_relay

_BROWSERS = 200
_STALLED = 0.1
# Milliseconds that the others may be later.
_LAG_GOAL = 1.0
# The high water of a server's write buffer.
_MEMORY_GOAL = 64.0
# What the log of a run may take, as a multiple of the answer's text.
_LOG_GOAL = 2.0
# The kernel takes some 4 MB for a connection before the relay has to hold anything.
_BURST_TOKENS = 75_000
_FEW = 5
_LONGEST_BURST = 120.0
_PATHS = {"/stream": False, "/shared": True}


def ask_lag(report: Report, paths: Sequence[str], rounds: int, window: float) -> None:
    """Measure the lag of the others with and without stalled readers, by turns."""
    relay_core, other_core = stay_off_the_relay()
    with Upstream(other_core) as upstream:
        for path in paths:
            found: dict[float, list[Figures]] = {0.0: [], _STALLED: []}
            for _ in range(rounds):
                for stalled, figures in found.items():
                    with Relay("asgi", "uvicorn", upstream, relay_core) as relay:
                        warm(relay, upstream, "/stream")
                        load = Load(
                            path, _BROWSERS, 1.0, window, shared=_PATHS[path], stalled=stalled
                        )
                        figures.append(measure(relay, upstream, load))
                    report.keep(f"slow {path} {stalled:.0%}", "ours-asgi", _BROWSERS, figures[-1])
            _add(report, path, found)


def _add(report: Report, path: str, found: dict[float, list[Figures]]) -> None:
    without, beside = (
        statistics.median(figures.p99 for figures in each) for each in found.values()
    )
    label = f"{_BROWSERS} at {path[1:]}"
    report.add(f"{label}: lag p99, none stalled", without, "ms")
    report.add(
        f"{label}: lag p99, {_STALLED:.0%} stalled", beside, "ms", Goal(most=without + _LAG_GOAL)
    )
    all_figures = [figures for each in found.values() for figures in each]
    missing = sum(figures.browsers - figures.complete for figures in all_figures)
    report.add(f"{label}: incomplete texts of the others", missing, "", Goal(most=0), binding=True)
    report.conditions(all_figures)


def ask_memory(report: Report, paths: Sequence[str], stalled: int) -> None:
    """Measure what the relay takes for each stalled reader."""
    relay_core, other_core = stay_off_the_relay()
    with Upstream(other_core) as upstream:
        for path in paths:
            each: list[float] = []
            for tokens in (_BURST_TOKENS, 2 * _BURST_TOKENS):
                taken: list[int] = []
                for count in (_FEW, stalled):
                    with Relay("asgi", "uvicorn", upstream, relay_core) as relay:
                        warm(relay, upstream, "/stream")
                        taken.append(_burst(report, relay, upstream, path, count, tokens))
                each.append((taken[1] - taken[0]) / (stalled - _FEW) / 1024)
                goal = Goal(most=_MEMORY_GOAL) if _PATHS[path] else None
                label = f"{path[1:]}: memory of a stalled reader of {tokens:,} tokens"
                report.add(label, each[-1], "KiB", goal)
            label, more = f"{path[1:]}: of these for what it misses", each[1] - each[0]
            if _PATHS[path]:
                report.add(label, more, "KiB", Goal(most=_MEMORY_GOAL))
            else:
                text = _BURST_TOKENS * (TOKEN_DIGITS + len(TOKEN_MARK)) / 1024
                report.add(label, more / text, "x its text", Goal(most=_LOG_GOAL))


def _burst(
    report: Report, relay: Relay, upstream: Upstream, path: str, stalled: int, tokens: int
) -> int:
    """Return how many bytes the relay grew by while one browser read it all."""
    shared = _PATHS[path]
    # Readers come before it begins.
    later = 500 if shared else 0
    first = Manner(stream=upstream.name_stream(), tokens=tokens, period=0, head_after=later)
    manners = [first]
    for _ in range(stalled):
        own = Manner(stream=upstream.name_stream(), tokens=tokens, period=0)
        manners.append(first if shared else own)
    browsers = [
        Browser(
            relay.port,
            get(f"{path}?m={manner.query()}"),
            stalls=i > 0,
            buffer=STALLED_BUFFER if i else None,
        )
        for i, manner in enumerate(manners)
    ]
    upstream.begin()
    before = relay.used().resident
    crowd = Crowd(browsers, ramp=0.3)
    crowd.give_up(_LONGEST_BURST)
    crowd.run()
    grown = relay.used().resident - before
    sent = upstream.state().sent
    crowd.leave()
    if not Reading(browsers[0]).is_complete(sent[first.stream]):
        label = f"{path[1:]} beside {stalled} stalled, {tokens:,} tokens: complete"
        report.add(label, 0, "", Goal(least=1), binding=True)
    return grown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--window", type=float, default=4.0, help="seconds")
    parser.add_argument("--stalled", type=int, default=50, help="readers, for the memory")
    parser.add_argument("--paths", default=",".join(_PATHS))
    options = prepare(parser)
    report = Report("Slow readers")
    paths = options.paths.split(",")
    ask_lag(report, paths, options.rounds, options.window)
    ask_memory(report, paths, options.stalled)
    report.finish(options.json)


if __name__ == "__main__":
    main()
