"""The longest silence on the wire, where a heartbeat is due every second.

Streams wait for the upstream's status line, then for its first token, and pause in the middle, four
seconds each time. The silence before the first byte counts from the request.

Run: python -m benchmarks.realtime.heartbeat [--servers ...]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import pairwise

from benchmarks.realtime.browsers import Browser, Crowd, get
from benchmarks.realtime.manner import Manner
from benchmarks.realtime.measuring import warm
from benchmarks.realtime.processes import Relay, Upstream
from benchmarks.realtime.reading import Reading
from benchmarks.realtime.report import Goal, Report, prepare, stay_off_the_relay
from benchmarks.realtime.serve import SERVERS

_HEARTBEAT = 1.0
_SLACK = 0.5
_WAIT = 4.0
_STREAMS = 5
_PATHS = ("/stream", "/run")


def ask(report: Report, servers: Sequence[str], wait: float) -> None:
    """Measure on each server, waiting so many seconds each time."""
    relay_core, other_core = stay_off_the_relay()
    with Upstream(other_core) as upstream:
        for server in servers:
            app = "aiohttp" if server == "aiohttp" else "asgi"
            with Relay(app, server, upstream, relay_core, heartbeat=_HEARTBEAT) as relay:
                _ask_server(report, relay, upstream, server, int(wait * 1000))


def _ask_server(report: Report, relay: Relay, upstream: Upstream, server: str, wait: int) -> None:
    manners: list[Manner] = []
    browsers: list[Browser] = []
    for path in _PATHS:
        warm(relay, upstream, path)
        for _ in range(_STREAMS):
            manner = Manner(
                stream=upstream.name_stream(),
                tokens=20,
                head_after=wait,
                first_after=wait,
                pause_at=10,
                pause=wait,
            )
            manners.append(manner)
            browsers.append(Browser(relay.port, get(f"{path}?m={manner.query()}")))
    upstream.begin()
    crowd = Crowd(browsers, ramp=0.1)
    crowd.give_up(3 * wait / 1000 + 10)
    crowd.run()
    sent = upstream.state().sent
    crowd.leave()
    complete = 0
    longest = dict.fromkeys(_PATHS, 0.0)
    for i, (browser, manner) in enumerate(zip(browsers, manners, strict=True)):
        path = _PATHS[i // _STREAMS]
        complete += Reading(browser).is_complete(sent.get(manner.stream, []))
        longest[path] = max(longest[path], _longest_gap(browser))
    for path, gap in longest.items():
        goal = Goal(most=_HEARTBEAT + _SLACK)
        report.add(f"{server}, {path[1:]}: longest silence", gap, "s", goal)
    whole = Goal(least=len(browsers))
    report.add(f"{server}: complete texts", complete, "", whole, binding=True)


def _longest_gap(browser: Browser) -> float:
    times = [browser.opened, *(time for time, _ in browser.parts)]
    return max((later - earlier) / 1e9 for earlier, later in pairwise(times))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--servers", default=",".join(SERVERS))
    parser.add_argument("--wait", type=float, default=_WAIT, help="seconds of each silence")
    options = prepare(parser)
    report = Report(f"Heartbeat: the longest silence, one due every {_HEARTBEAT:g} s")
    ask(report, options.servers.split(","), options.wait)
    report.finish(options.json)


if __name__ == "__main__":
    main()
