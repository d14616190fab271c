"""A server with a hidden limit and clients that look for it, on a clock of its own.

The server works on so many requests at once; what comes on top it refuses, naming its limit, or
queues and closes after 10 minutes. Answers are as long as a lognormal distribution says, 20 ms a
token. The way to the server takes no time and the way back a whole round trip, which is the same
for whoever sends. There are always more requests to send.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any, NamedTuple, Protocol

from deepseek_async.policy.adaptive import AdaptiveLimit, Outcome

SECONDS_PER_TOKEN = 0.02
CLOSED_AFTER = 600.0
TICK = 0.25

#: Slots of the server at a time.
Slots = Callable[[float], int]
#: The share of requests that get a 503 at a time.
Faults = Callable[[float], float]


class Controller(Protocol):
    """What a simulation asks of what it drives."""

    @property
    def limit(self) -> float: ...
    def on_send(self, now: float) -> None: ...
    def on_result(self, now: float, outcome: Outcome) -> None: ...
    def tick(self, now: float) -> None: ...


class Scenario(NamedTuple):
    """What a simulation is about; the way of ``batch.md`` 3.3 by default."""

    slots: Slots
    seconds: float
    queues: bool = False
    tokens: float = 300.0
    sigma: float = 1.0
    faults: Faults | None = None
    clients: Sequence[float] = (0.0,)
    """When each client begins."""
    round_trip: float = 0.12
    states_limit: bool = True
    """Whether a 429 names the limit."""
    start: float = 16.0
    ceiling: int = 2500


class Result(NamedTuple):
    """What came of it."""

    sends: int
    rejects: int
    failed: int
    dropped: int
    slot_seconds: float
    capacity: float
    busy: list[int]
    """Of the server, at each tick."""
    held: list[list[int]]
    """By each client at the server, at each tick."""
    rejected_at: list[float]
    limits: list[list[float]]
    """Of each client, at each tick."""

    @property
    def utilisation(self) -> float:
        """Of the server's slots, in percent."""
        return 100.0 * self.slot_seconds / self.capacity

    @property
    def waste(self) -> float:
        """Requests that were sent for nothing, in percent."""
        return 100.0 * (self.rejects + self.failed + self.dropped) / max(1, self.sends)

    def seconds_until_busy(self, slots: float, since: float = 0.0) -> float:
        """How long after a moment so many slots are busy; infinite if they never are."""
        first = int(since / TICK)
        for index in range(first, len(self.busy)):
            if self.busy[index] >= slots:
                return index * TICK - since
        return math.inf

    def rejected_between(self, begin: float, end: float) -> int:
        """How many requests were refused."""
        return sum(begin <= at < end for at in self.rejected_at)

    def fairness(self, begin: float, end: float) -> float:
        """Jain's index of what the clients held: 1 if the same."""
        span = slice(int(begin / TICK), int(end / TICK))
        means = [sum(held[span]) / len(held[span]) for held in self.held]
        return sum(means) ** 2 / (len(means) * sum(mean * mean for mean in means))


class _Client:
    def __init__(self, index: int, begins: float, controller: Controller) -> None:
        self.index = index
        self.begins = begins
        self.controller = controller
        self.in_flight = 0
        self.held = 0


class _Request:
    __slots__ = ("client", "is_queued", "sampled", "sent_at")

    def __init__(self, client: _Client, sent_at: float, sampled: bool) -> None:
        self.client = client
        self.sent_at = sent_at
        self.sampled = sampled
        self.is_queued = False


class Simulation:
    """One run.

    Args:
        scenario: What it is about.
        seed: Of lengths and faults.
        samples: Whether a part of the requests is streamed, and the controller is asked
            ``may_send``; without it the controller is driven by its limit alone.
        controller: Makes one, given the ceiling and the start.
    """

    def __init__(
        self,
        scenario: Scenario,
        seed: int = 0,
        *,
        samples: bool = True,
        controller: Callable[..., Any] = AdaptiveLimit,
    ) -> None:
        self.scenario = scenario
        self.random = random.Random(seed)
        self.samples = samples
        self.clients = [
            _Client(index, begins, controller(ceiling=scenario.ceiling, start=scenario.start))
            for index, begins in enumerate(scenario.clients)
        ]
        self.events: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self.order = count()
        self.slots = scenario.slots(0.0)
        self.fault_share = 0.0
        self.busy = 0
        self.queue: deque[_Request] = deque()
        self.sends = self.rejects = self.failed = self.dropped = 0
        self.rejected_at: list[float] = []

    def run(self) -> Result:
        """Run it to its end."""
        scenario, clients, events = self.scenario, self.clients, self.events
        used = capacity = 0.0
        busy: list[int] = []
        held: list[list[int]] = [[] for _ in clients]
        limits: list[list[float]] = [[] for _ in clients]
        for tick in range(int(scenario.seconds / TICK)):
            now = tick * TICK
            while events and events[0][0] < now:
                at, _, call, args = heapq.heappop(events)
                call(at, *args)
            self.slots = scenario.slots(now)
            if scenario.faults is not None:
                self.fault_share = scenario.faults(now)
            self._work_on_queue(now)
            used += min(self.busy, self.slots)
            capacity += self.slots
            busy.append(self.busy)
            for client in clients:
                held[client.index].append(client.held)
                limits[client.index].append(client.controller.limit)
                if now >= client.begins:
                    client.controller.tick(now)
                    self._send(now, client)
        return Result(
            self.sends, self.rejects, self.failed, self.dropped, used, capacity,
            busy, held, self.rejected_at, limits,
        )  # fmt: skip

    def _at(self, time: float, call: Callable[..., None], *args: Any) -> None:
        heapq.heappush(self.events, (time, next(self.order), call, args))

    def _send(self, now: float, client: _Client) -> None:
        controller: Any = client.controller
        while client.in_flight < int(controller.limit):
            if self.samples and not controller.may_send(now):
                break
            client.in_flight += 1
            self.sends += 1
            controller.on_send(now)
            sampled = self.samples and controller.sampled(now)
            self._arrive(now, _Request(client, now, sampled))

    def _arrive(self, now: float, request: _Request) -> None:
        back = now + self.scenario.round_trip
        if self.fault_share and self.random.random() < self.fault_share:
            self.failed += 1
            self._at(back, self._end, request, Outcome("failed", request.sent_at))
        elif self.busy < self.slots:
            self._begin(now, request)
        elif self.scenario.queues:
            request.is_queued = True
            self.queue.append(request)
            self._at(now + CLOSED_AFTER, self._close, request)
        else:
            self.rejects += 1
            self.rejected_at.append(now)
            stated = self.slots if self.scenario.states_limit else None
            self._at(back, self._end, request, Outcome("rejected", now, stated))

    def _begin(self, now: float, request: _Request) -> None:
        self.busy += 1
        request.client.held += 1
        scenario = self.scenario
        tokens = scenario.tokens * math.exp(self.random.gauss(0.0, scenario.sigma))
        self._at(now + tokens * SECONDS_PER_TOKEN, self._finish, request)
        if request.sampled:
            self._at(now + scenario.round_trip, self._first_token, request)

    def _first_token(self, now: float, request: _Request) -> None:
        controller: Any = request.client.controller
        controller.on_first_token(request.sent_at)

    def _finish(self, now: float, request: _Request) -> None:
        self.busy -= 1
        request.client.held -= 1
        self._work_on_queue(now)
        back = now + self.scenario.round_trip
        self._at(back, self._end, request, Outcome("ok", request.sent_at))

    def _work_on_queue(self, now: float) -> None:
        while self.queue and self.busy < self.slots:
            request = self.queue.popleft()
            if request.is_queued:
                request.is_queued = False
                self._begin(now, request)

    def _close(self, now: float, request: _Request) -> None:
        if request.is_queued:
            request.is_queued = False
            self.dropped += 1
            self._end(now, request, Outcome("failed", request.sent_at))

    def _end(self, now: float, request: _Request, outcome: Outcome) -> None:
        client = request.client
        client.in_flight -= 1
        client.controller.on_result(now, outcome)
        self._send(now, client)


def simulate(
    scenario: Scenario, seed: int = 0, *, samples: bool = True, controller: Any = AdaptiveLimit
) -> Result:
    """Run a scenario."""
    return Simulation(scenario, seed, samples=samples, controller=controller).run()


def constant(slots: int) -> Slots:
    """Always the same."""
    return lambda now: slots


def steps(*levels: tuple[float, int]) -> Slots:
    """Another level from each of the given moments on; the first is 0."""

    def slots(now: float) -> int:
        level = levels[0][1]
        for begin, value in levels:
            if now < begin:
                break
            level = value
        return level

    return slots


def falling(first: int, last: int, seconds: float) -> Slots:
    """From one level to another, evenly."""
    return lambda now: round(first + (last - first) * min(1.0, now / seconds))


def walk(
    seed: int, seconds: float, *, low: int, high: int, every: float = 20.0, sigma: float = 0.25
) -> Slots:
    """A random walk within bounds, one step each so many seconds."""
    source = random.Random(seed)
    level = math.sqrt(low * high)
    levels: list[int] = []
    for _ in range(int(seconds / every) + 1):
        levels.append(round(level))
        level = min(float(high), max(float(low), level * math.exp(source.gauss(0.0, sigma))))
    return lambda now: levels[int(now / every)]


def always(share: float) -> Faults:
    """The same share of 503s all the time."""
    return lambda now: share


def storms(share: float, *, every: float, seconds: float) -> Faults:
    """A share of 503s for some seconds, again and again, from the first interval's end on."""
    return lambda now: share if now >= every and now % every < seconds else 0.0


#: The table of ``batch.md`` 3.3, which the controller was made with.
TABLE: dict[str, Scenario] = {
    "s1": Scenario(constant(500), 1200),
    "s2": Scenario(steps((0, 400), (600, 80), (1200, 400)), 1800),
    "s3": Scenario(falling(200, 5, 1500), 1500),
    "s4": Scenario(constant(200), 1800, queues=True, faults=always(0.01)),
    "s4b": Scenario(constant(20), 3600, queues=True, faults=always(0.01)),
    **{
        f"s5 walk {seed}": Scenario(
            walk(seed, 3600, low=50, high=1000), 3600, faults=always(0.02)
        )
        for seed in (1, 2, 3)
    },
    "s6": Scenario(constant(500), 3000, clients=(0, 600)),
    "s6b": Scenario(constant(500), 3000, clients=(0, 300, 600, 900)),
    "s7": Scenario(constant(5), 900),
    "s8": Scenario(constant(400), 1800, faults=storms(0.6, every=300, seconds=30)),
    "s9": Scenario(
        steps((0, 400), (1800, 200), (3600, 400)), 5400, tokens=3000, sigma=0.7
    ),
}  # fmt: skip

HOLD_OUT_SEED = 20261121


def hold_out(
    seed: int = HOLD_OUT_SEED, *, requests: int = 15_000, shortest: float = 450.0
) -> dict[str, Scenario]:
    """Return random regimes; those of the default seed are for judging, never for tuning.

    Args:
        seed: For other ones.
        requests: About how many are to be sent in each.
        shortest: Seconds that each takes at least.
    """
    source = random.Random(seed)
    shapes = ["steps", "walk", "queue", "staircase", "constant", "queue steps"] * 3
    scenarios: dict[str, Scenario] = {}
    for number, shape in enumerate(shapes, 1):
        tokens = math.exp(source.uniform(math.log(40), math.log(2000)))
        sigma = source.uniform(0.5, 1.1)
        level = round(math.exp(source.uniform(math.log(8), math.log(600))))
        mean = tokens * SECONDS_PER_TOKEN * math.exp(sigma * sigma / 2)
        seconds = float(round(min(2400.0, max(shortest, requests * mean / level))))
        slots = _hold_out_slots(source, shape, level, seconds)
        clients = (0.0,) if source.random() < 0.6 else (0.0, seconds * 0.1, seconds * 0.25)
        scenarios[f"h{number} {shape}"] = Scenario(
            slots,
            seconds,
            queues=shape.startswith("queue"),
            tokens=tokens,
            sigma=sigma,
            faults=always(source.choice((0.0, 0.0, 0.01, 0.02))),
            clients=clients,
            round_trip=source.uniform(0.05, 0.5),
        )
    return scenarios


def _hold_out_slots(source: random.Random, shape: str, level: int, seconds: float) -> Slots:
    if shape == "walk":
        every = source.uniform(10.0, 60.0)
        seed = source.randrange(1000)
        return walk(
            seed, seconds, low=max(4, level // 4), high=level * 3, every=every,
            sigma=source.uniform(0.15, 0.35),
        )  # fmt: skip
    if shape == "steps":
        levels = [max(4, round(level * math.exp(source.gauss(0.0, 0.8)))) for _ in range(5)]
        return steps(*((seconds * index / 5, value) for index, value in enumerate(levels)))
    if shape == "staircase":
        factor = source.uniform(1.2, 1.8)
        levels = [max(4, round(level / 4 * factor**index)) for index in range(6)]
        return steps(*((seconds * index / 6, value) for index, value in enumerate(levels)))
    if shape == "queue steps":
        return steps((0, level), (seconds * 0.4, max(4, level // 2)), (seconds * 0.7, level))
    return constant(level)
