"""How long the upstream's connection outlives the browser's, for each way to relay and each server.

    streamed        tokens flow when the browser leaves
    silent          some tokens came, then none
    before          the upstream has said nothing at all yet
    await           a whole answer, not streamed
    websocket       tokens flow over a WebSocket

The browser closes its socket in every other try, and resets it as a lost network does in the rest.
The upstream takes the time when its own connection is closed. "Never" is not within six seconds.

Run: python -m benchmarks.realtime.leaving [--tries 30] [--servers ...] [--ways ...]
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Sequence
from typing import NamedTuple

from benchmarks.realtime.browsers import Browser, get
from benchmarks.realtime.manner import TOKEN_MARK, Manner
from benchmarks.realtime.processes import Relay, Upstream
from benchmarks.realtime.reading import quantile
from benchmarks.realtime.report import Goal, Report, prepare, stay_off_the_relay
from benchmarks.realtime.serve import SERVERS

_GUARD = 6.0
_P99_GOAL = 50.0
_TOKENS = 3
# Seconds between having read and leaving.
_LONGEST_STAY = 0.03
_START_SECONDS = 30.0
# After so many it is clear.
_ENOUGH_NEVERS = 3


class Way(NamedTuple):
    """How a browser asks, and what it has read when it leaves."""

    path: str
    tokens: int
    """It leaves after so many; 0: when the upstream has been asked."""

    silent_from: int | None = None
    head_after: int | None = 0


WAYS = {
    "streamed": Way("/stream", _TOKENS),
    "silent": Way("/stream", _TOKENS, silent_from=_TOKENS),
    "before": Way("/stream", 0, head_after=None),
    "await": Way("/await", 0, head_after=None),
    "websocket": Way("/ws", _TOKENS),
}


def ask(report: Report, servers: Sequence[str], ways: Sequence[str], tries: int) -> None:
    """Leave so many times in each cell."""
    relay_core, other_core = stay_off_the_relay()
    with Upstream(other_core) as upstream:
        for server in servers:
            app = "aiohttp" if server == "aiohttp" else "asgi"
            with Relay(app, server, upstream, relay_core) as relay:
                _wait_for(relay, upstream)
                for name in ways:
                    _cell(report, relay, upstream, server, name, tries)


def _cell(
    report: Report, relay: Relay, upstream: Upstream, server: str, name: str, tries: int
) -> None:
    took: list[float] = []
    never = 0
    for i in range(tries):
        milliseconds = _leave(relay, upstream, WAYS[name], reset=i % 2 == 1)
        if milliseconds is not None:
            took.append(milliseconds)
        elif (never := never + 1) == _ENOUGH_NEVERS:
            break
    label = f"{server}, {name}"
    note = f"p50 {quantile(took, 0.5):.1f}, never {never}"
    goal = Goal(most=_P99_GOAL)
    report.add(f"{label}: p99 of {len(took)}", quantile(took, 0.99), "ms", goal, note=note)
    if never:
        report.add(f"{label}: never", never, "", Goal(most=0), binding=True)


def _leave(relay: Relay, upstream: Upstream, way: Way, *, reset: bool) -> float | None:
    """Ask, read, and leave; return how many milliseconds later the upstream was left."""
    manner = Manner(
        stream=upstream.name_stream(),
        tokens=1_000_000,
        silent_from=way.silent_from,
        head_after=way.head_after,
    )
    path = f"{way.path}?m={manner.query()}"
    browser = Browser(relay.port, _upgrade(path) if way.path == "/ws" else get(path))
    try:
        browser.open()
        _read_tokens(browser, way.tokens)
        if upstream.when("asked", manner.stream, _START_SECONDS) is None:
            raise RuntimeError(f"{way.path} did not ask the upstream")
        # Not always at the same point of what the relay does.
        time.sleep(random.uniform(0, _LONGEST_STAY))
        left = time.monotonic_ns()
    finally:
        browser.leave(reset=reset)
    closed = upstream.when("left", manner.stream, _GUARD)
    return None if closed is None else (closed - left) / 1e6


def _read_tokens(browser: Browser, count: int) -> None:
    assert browser.socket is not None
    browser.socket.settimeout(_START_SECONDS)
    read = b""
    while read.count(TOKEN_MARK.encode()) < count:
        data = browser.read()
        read += data
        if not data:
            raise RuntimeError(f"the relay closed after {read[-2000:]!r}")


def _upgrade(path: str) -> bytes:
    return (
        f"GET {path} HTTP/1.1\r\nhost: relay\r\nconnection: Upgrade\r\nupgrade: websocket\r\n"
        "sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    ).encode()


def _wait_for(relay: Relay, upstream: Upstream) -> None:
    """Wait until a server answers; its first request loads what it needs."""
    given_up = time.monotonic() + _START_SECONDS
    while True:
        try:
            _leave(relay, upstream, WAYS["streamed"], reset=False)
        except ConnectionError:
            if time.monotonic() > given_up:
                raise
            time.sleep(0.1)
        else:
            return


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tries", type=int, default=30)
    parser.add_argument("--servers", default=",".join(SERVERS))
    parser.add_argument("--ways", default=",".join(WAYS))
    options = prepare(parser)
    report = Report("Leaving: from the browser's close to the upstream's")
    ask(report, options.servers.split(","), options.ways.split(","), options.tries)
    report.finish(options.json)


if __name__ == "__main__":
    main()
