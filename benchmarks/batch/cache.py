"""What does the order of a batch save of the input's price?

Cases of the cache study, smaller, against the simulator's cache over real sockets, in real time:
`cache="auto"` beside `cache="off"`, which sends in the order of the input. Tokens are those that
the simulator's usage tells; the price is that of flash, off-peak, of the prompts alone.

Run: python -m benchmarks.batch.cache [--cases A,D]
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from benchmarks.batch.figures import Figures
from benchmarks.machine import raise_descriptor_limit
from deepseek_async import BatchReport
from deepseek_async.simulator import Simulator, Uniform
from deepseek_async.simulator import cache as simulator_cache

# The simulator by itself looks for what prompts share among the last 16 only, where the order of a
# batch puts more than that between two of a group.
simulator_cache._MAX_RECENT = 1000

# US dollars for 1M tokens of flash.
_HIT, _MISS = 0.003, 0.15

# Bytes of a token, as the simulator counts.
_TOKEN = 10 / 3

# Seconds from the first token of an answer until its prompt can be hit; and how long answers take.
_DELAY = 2.0
_SECONDS = Uniform(0.8, 2.0)


@dataclass(frozen=True)
class Case:
    """A batch of questions about documents, those about one after another.

    Attributes:
        title: What it stands for.
        documents: How many.
        questions: About each.
        system: Tokens of the system prompt.
        document: Tokens of a document.
        at_once: Requests at once.
        hits: The goal: share of the prompts' tokens that come from the cache.
        cost: The goal: price of the prompts, as a share of that in the input's order.
        model: The model.
        rules: Of the simulator.
    """

    title: str
    documents: int
    questions: int
    system: int
    document: int
    at_once: int
    hits: float
    cost: float
    model: str = "deepseek-flash"
    rules: dict[str, Any] = field(default_factory=lambda: {"cache_interval": None})


_OLD = {"era": "2025-08", "cache_interval": 64}

CASES = {
    # The goals of the study, but for its hits that get lost by chance (3 %), which the simulator
    # has none of. Where they say less than the rules allow, it is because groups are smaller here.
    # Hits are in whole blocks of 128 tokens.
    "A": Case("documents with 20 questions", 12, 20, 300, 4000, 30, 0.84, 0.18),
    "D": Case("documents with 5 questions", 12, 5, 300, 4000, 30, 0.57, 0.46),
    "E": Case("long documents", 3, 70, 300, 29_700, 30, 0.955, 0.06),
    "H": Case("one system prompt", 1, 400, 2190, 0, 40, 0.935, 0.26),
    "old": Case(
        "rules before V4", 40, 20, 300, 4000, 40, 0.87, 0.15, model="deepseek-chat", rules=_OLD
    ),
}


def text_of(name: str, tokens: int) -> str:
    """Return a text that nobody else begins with."""
    words = f"{name} says that whales sing. "
    length = round(tokens * _TOKEN)
    return (words * (length // len(words) + 1))[:length]


def bodies(case: Case) -> Iterator[dict[str, Any]]:
    """Yield the requests."""
    system = {"role": "system", "content": text_of("The system", case.system)}
    for document in range(case.documents):
        text = text_of(f"Document {document}", case.document) if case.document else ""
        for question in range(case.questions):
            ending = text_of(f"Question {document} {question}", 60)
            body: dict[str, Any] = {
                "model": case.model,
                "messages": [system, {"role": "user", "content": f"{text}\n{ending}"}],
                "max_tokens": 50,
            }
            if "era" not in case.rules:
                body["thinking"] = {"type": "disabled"}
            yield body


def cost_of(report: BatchReport) -> float:
    """Return the price of the prompts."""
    hits = report.usage.cached_tokens
    return (hits * _HIT + (report.usage.prompt_tokens - hits) * _MISS) / 1e6


async def run(case: Case, *, cache: str) -> BatchReport:
    """Run a case with a simulator of its own."""
    async with (
        Simulator(
            first_token_seconds=_SECONDS, cache_delay_seconds=_DELAY, **case.rules
        ) as simulator,
        # It would warn of a model that is gone by now.
        simulator.client(preflight="off") as client,
    ):
        options: Any = {"cache": cache, "max_concurrency": case.at_once}
        report = await client.batch(bodies(case), **options).run()
    assert report.ok, str(report)
    assert report.succeeded == case.documents * case.questions
    return report


async def ask(names: list[str]) -> Figures:
    """Take the figures of some cases, all at the same time: they mostly wait."""
    figures = Figures("Prompts from the cache, and their price beside that in the input's order")
    runs = [run(CASES[name], cache=cache) for name in names for cache in ("off", "auto")]
    begun = time.perf_counter()
    reports = iter(await asyncio.gather(*runs))
    for name in names:
        case, naive, ordered = CASES[name], next(reports), next(reports)
        items = case.documents * case.questions
        naive_share, share = naive.cache_hit_share or 0.0, ordered.cache_hit_share or 0.0
        figures.add(f"{name}, {case.title}, {items} items: hits", share, "%", least=case.hits)
        ratio = cost_of(ordered) / cost_of(naive)
        figures.add(f"{name}: price beside the input's order", ratio, "%", most=case.cost)
        figures.add(f"{name}: hits in the input's order", naive_share, "%")
        figures.add(f"{name}: seconds", ordered.seconds, "s")
        figures.add(f"{name}: seconds in the input's order", naive.seconds, "s")
    figures.add("seconds of all", time.perf_counter() - begun)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", default=",".join(CASES), help="of " + ", ".join(CASES))
    options = parser.parse_args()
    raise_descriptor_limit()
    asyncio.run(ask(options.cases.split(","))).finish()


if __name__ == "__main__":
    main()
