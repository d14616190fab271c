"""One measurement: many browsers at a relay, and a window in which all of them read."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from typing import NamedTuple

from benchmarks.realtime.browsers import Browser, Crowd, get
from benchmarks.realtime.manner import Manner
from benchmarks.realtime.processes import Relay, Upstream, Used
from benchmarks.realtime.reading import Reading, Window, quantile

RATE = 50
"""Tokens per second of each stream."""

_PERIOD = 1000 // RATE
# Streams go on until they are told to finish.
_ENDLESS = 1_000_000
# Seconds from when all streams flow until it counts.
_SETTLE = 1.0
# Seconds in which they should; a relay that can't keep up is measured as it is.
_OPENING = 10.0
_START_SECONDS = 30.0


class Figures(NamedTuple):
    """What a measurement gave."""

    p50: float
    """Milliseconds from the upstream's write to the browser's read."""

    p99: float
    most: float
    core: float
    """Share of its core that the relay took."""

    cpu: float
    """Microseconds of the relay for each token that came to a browser."""

    rate: float
    """Tokens per second that came, all browsers together."""

    asked_rate: float
    """The same, had all come at once."""

    complete: int
    """Browsers that read exactly what was sent, to the end."""

    browsers: int
    """That should have."""

    cut_off: bool
    """Reading was given up before all had come."""

    resident: int
    """Bytes of the relay at the end of the window."""

    tokens_per_event: float
    """That came to a browser at once: more than 1 where a relay joins what it is late with."""

    begun: int
    """Browsers that had begun to read when the window began."""

    relay_waited: float
    """Share of the window in which others had the relay's core."""

    upstream_waited: float
    upstream_late: float
    """Milliseconds by which the upstream itself was late, 99 % of the time less."""

    upstream_core: float


def median(found: Sequence[Figures], field: str) -> float:
    """Return the median of one figure over measurements."""
    return float(statistics.median(getattr(figures, field) for figures in found))


class Load(NamedTuple):
    """What is asked of a relay."""

    path: str
    browsers: int
    ramp: float
    """Seconds over which they open."""

    window: float
    """Seconds that count."""

    patience: float = 20.0
    """Seconds after the window in which the rest may still come."""

    shared: bool = False
    """All read one stream; a frame counts as its first token, the one that waited longest."""

    stalled: float = 0.0
    """Share of the browsers that read nothing after the first bytes."""


# What the kernel holds for a browser that doesn't read.
STALLED_BUFFER = 4096


def warm(relay: Relay, upstream: Upstream, path: str) -> None:
    """Read a short stream, so that the relay has loaded what it needs.

    Raises:
        RuntimeError: If it doesn't answer.
    """
    upstream.begin()
    manner = Manner(stream=upstream.name_stream(), tokens=10, period=1)
    given_up = time.monotonic() + _START_SECONDS
    while True:
        browser = Browser(relay.port, get(f"{path}?m={manner.query()}"))
        try:
            browser.open()
            while browser.read():
                continue
        except ConnectionError:
            if time.monotonic() > given_up:
                raise
            time.sleep(0.1)
            continue
        finally:
            browser.leave()
        break
    reading = Reading(browser)
    if reading.status != 200 or len(reading.tokens()) != manner.tokens:
        said = b"".join(data for _, data in browser.parts)[-2000:]
        raise RuntimeError(f"{path} does not relay: {said!r}")


def measure(relay: Relay, upstream: Upstream, load: Load) -> Figures:
    """Take a measurement of a relay that is warm."""
    manners = _manners(upstream, load)
    stalled = range(0, load.browsers, round(1 / load.stalled)) if load.stalled else range(0)
    browsers = [
        Browser(
            relay.port,
            get(f"{load.path}?m={manner.query()}"),
            stalls=i in stalled,
            buffer=STALLED_BUFFER if i in stalled else None,
        )
        for i, manner in enumerate(manners)
    ]
    upstream.begin()
    crowd = Crowd(browsers, load.ramp)
    probes: list[_Probe] = []

    def probe() -> None:
        begun = sum(browser.begun for browser in browsers)
        probes.append(_Probe(time.monotonic_ns(), relay.used(), upstream.used(), begun))

    def finish() -> None:
        probe()
        upstream.finish()
        crowd.give_up(load.patience)

    def flowing() -> None:
        crowd.call(_SETTLE, probe)
        crowd.call(_SETTLE + load.window, finish)

    crowd.call_when_begun(flowing, load.ramp + _OPENING)
    crowd.run()
    given_up = time.monotonic_ns()
    state = upstream.state()
    crowd.leave()
    reading_browsers = [i for i in range(load.browsers) if i not in stalled]
    readings = [Reading(browsers[i]) for i in reading_browsers]
    sent = [state.sent.get(manners[i].stream, []) for i in reading_browsers]
    first, last = probes
    window = Window(first.at, last.at, given_up)
    lags = sorted(
        lag
        for reading, tokens in zip(readings, sent, strict=True)
        for lag in window.lags(reading, tokens, frames=load.shared)
    )
    events = [
        len(frame.tokens)
        for reading in readings
        for frame in reading.frames
        if first.at <= frame.arrived < last.at
    ]
    came = sum(events)
    seconds = (last.at - first.at) / 1e9
    relay_cpu = last.relay.cpu - first.relay.cpu
    return Figures(
        p50=quantile(lags, 0.5),
        p99=quantile(lags, 0.99),
        most=quantile(lags, 1.0),
        core=relay_cpu / seconds,
        cpu=relay_cpu / came * 1e6 if came else float("nan"),
        rate=came / seconds,
        asked_rate=RATE * len(readings),
        complete=sum(map(Reading.is_complete, readings, sent)),
        browsers=len(readings),
        cut_off=not all(browsers[i].ended for i in reading_browsers),
        resident=last.relay.resident,
        tokens_per_event=came / len(events) if events else float("nan"),
        begun=first.begun,
        relay_waited=(last.relay.waited - first.relay.waited) / seconds,
        upstream_waited=(last.upstream.waited - first.upstream.waited) / seconds,
        upstream_late=state.late_p99,
        upstream_core=(last.upstream.cpu - first.upstream.cpu) / seconds,
    )


def _manners(upstream: Upstream, load: Load) -> list[Manner]:
    if load.shared:
        shared = Manner(stream=upstream.name_stream(), tokens=_ENDLESS, period=_PERIOD)
        return [shared] * load.browsers
    return [
        Manner(stream=upstream.name_stream(), tokens=_ENDLESS, period=_PERIOD)
        for _ in range(load.browsers)
    ]


class _Probe(NamedTuple):
    at: int
    relay: Used
    upstream: Used
    begun: int
