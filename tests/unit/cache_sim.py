"""A server with a prompt cache in simulated time, and the cases of the cache study.

Prompts are strings of letters that stand for tokens, so that they are quick to compare: a system
prompt, a document, and a question that no other request has. The cache knows rules of different
times:

``v4``
    A common prefix is in the cache when two requests with it have ended, some seconds later.
``interval``
    As well as that, one request leaves units at fixed intervals of a long text.
``blocks``
    The rule before V4: one request leaves its whole prompt, in steps of 64 tokens.
"""

from __future__ import annotations

import math
import random
from collections import defaultdict
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Literal

from deepseek_async.policy.cache_order import CacheOrder, CacheReport

Rules = Literal["v4", "interval", "blocks"]

#: Bytes of a token.
WIDTH = 4
# Prices of flash off-peak, for 1M tokens; output costs the same in any order.
HIT_PRICE, MISS_PRICE = 0.003, 0.15
# Of all hits, because the cache is best effort.
LOST = 0.03
ROUND_TRIP = 0.12
PREFILL = 1 / 6500
TOKEN = 0.02
INTERVAL = {"interval": 1024, "blocks": 64}


@dataclass(frozen=True)
class Request:
    """A prompt as the parts that it shares with others: names and tokens."""

    parts: tuple[tuple[str, int], ...]
    seconds: float
    """What the answer takes, without its prompt."""

    @property
    def tokens(self) -> int:
        return sum(size for _, size in self.parts)

    @property
    def text(self) -> bytes:
        return b"".join(
            (name.encode() + b" ").ljust(16, b".") * (size * WIDTH // 16 + 1)
            for name, size in self.parts
        )


@dataclass
class Server:
    """Takes requests and tells what they found in its cache."""

    rules: Rules
    delay: float
    """Seconds from the end of a request to its use by others."""

    random: random.Random
    ended: dict[tuple[str, ...], list[float]] = field(
        default_factory=lambda: defaultdict(list[float])
    )
    """When requests with a prefix ended; the first two."""

    def hit(self, request: Request, now: float) -> int:
        """Count the tokens that are in the cache."""
        hit = length = 0
        names: tuple[str, ...] = ()
        interval = INTERVAL.get(self.rules)
        for name, size in request.parts:
            names += (name,)
            length += size
            ended = self.ended.get(names, ())
            if len(ended) > 1 and ended[1] + self.delay <= now:
                hit = length
            elif interval and ended and ended[0] + self.delay <= now:
                hit = max(hit, length // interval * interval)
        return 0 if self.random.random() < LOST else hit

    def done(self, request: Request, now: float) -> None:
        names: tuple[str, ...] = ()
        for name, _ in request.parts:
            names += (name,)
            if len(self.ended[names]) < 2:
                self.ended[names].append(now)


@dataclass(frozen=True)
class Outcome:
    """What a run came to."""

    hit_share: float
    input_cost: float
    makespan: float
    idle: float
    """Seconds times places that were free while requests were left."""

    sent: tuple[int, ...]
    report: CacheReport | None = None


def requests(
    documents: int, questions: int, *, system: int = 300, document: int = 4000, seed: int = 0
) -> list[Request]:
    """Return the questions about documents, those about one after another."""
    chance = random.Random(seed)
    return [
        Request(
            (
                ("system", system),
                *([(f"document {i}", document)] if document else []),
                (f"question {i} {j}", 60),
            ),
            sum(TOKEN for _ in range(int(chance.lognormvariate(math.log(180), 0.45)))),
        )
        for i in range(documents)
        for j in range(questions)
    ]


def run(
    todo: list[Request],
    *,
    at_once: int,
    rules: Rules = "v4",
    delay: float = 5.0,
    window_bytes: int = 64 << 20,
    ordered: bool = True,
    seed: int = 0,
) -> Outcome:
    """Send requests in their order, or in that of `CacheOrder`.

    Args:
        todo: All of them.
        at_once: Places.
        rules: Of the cache.
        delay: Seconds from the end of a request to its use by others.
        window_bytes: That the order may look ahead.
        ordered: Whether by `CacheOrder`.
        seed: For the hits that get lost.
    """
    server = Server(rules, delay, random.Random(seed))
    order: CacheOrder[int] = CacheOrder(window_bytes=window_bytes)
    under_way: list[tuple[float, int, int]] = []
    sent: list[int] = []
    now = idle = hits = tokens = 0.0
    read = 0
    while True:
        if ordered:
            while read < len(todo) and not order.full:
                order.add(read, todo[read].text, now)
                read += 1
        while len(under_way) < at_once:
            number = order.next(now) if ordered else read if read < len(todo) else None
            if number is None:
                break
            read += not ordered
            sent.append(number)
            request = todo[number]
            hit = server.hit(request, now)
            hits += hit
            tokens += request.tokens
            lasts = ROUND_TRIP + (request.tokens - hit) * PREFILL + request.seconds
            heappush(under_way, (now + lasts, number, hit))
        wake = order.wake_at(now) if ordered and len(under_way) < at_once else None
        if not under_way and wake is None:
            break
        before = now
        if wake is not None and (not under_way or wake < under_way[0][0]):
            now = wake
        else:
            now, number, hit = heappop(under_way)
            server.done(todo[number], now)
            if ordered:
                order.done(number, now, ok=True, prompt_tokens=todo[number].tokens, hit_tokens=hit)
        if len(sent) < len(todo):
            idle += (at_once - len(under_way)) * (now - before)
    return Outcome(
        hits / tokens,
        (hits * HIT_PRICE + (tokens - hits) * MISS_PRICE) / 1e6,
        now,
        idle,
        tuple(sent),
        order.report() if ordered else None,
    )
