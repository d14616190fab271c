"""Acceptance 4: wherever the connection is cut, no delta is lost and none comes twice."""

import asyncio
import random
from typing import Any

import pytest

from deepseek_async import (
    ArgumentsDeltaEvent,
    ContentDeltaEvent,
    ContentDoneEvent,
    DoneEvent,
    ReasoningDeltaEvent,
    ReasoningDoneEvent,
)
from deepseek_async.live import LiveEvent, Run
from deepseek_async.live.log import joined
from deepseek_async.simulator import Reply, Simulator

from .sources import Page

RUNS = 50
CUTS_PER_RUN = 200
WORDS = ["word ", "a", "中文", "😀", "é", "\n\n", "long " * 20]


def answer(rng: random.Random) -> list[LiveEvent]:
    """Make an answer of reasoning, text and tool calls."""
    told: list[LiveEvent] = [ReasoningDeltaEvent(rng.choice(WORDS)) for _ in range(200)]
    told.append(ReasoningDoneEvent(None))
    told += [ContentDeltaEvent(rng.choice(WORDS)) for _ in range(600)]
    for index in range(3):
        told.append(ArgumentsDeltaEvent(index, f"c{index}", "f", ""))
        told += [ArgumentsDeltaEvent(index, f"c{index}", "f", rng.choice(WORDS)) for _ in range(60)]
    return [*told, ContentDoneEvent(None), DoneEvent("tool_calls", None)]


async def told_unevenly(events: list[LiveEvent], rng: random.Random) -> Any:
    for event in events:
        yield event
        if rng.random() < 0.7:
            await asyncio.sleep(0)


async def read_with_cuts(run: Run, rng: random.Random, cuts: int) -> tuple[Page, int]:
    """Read a run through connections that break after a few batches; return how many did."""
    page = Page()
    cut = 0
    while not page.ended:
        cursor, seen = page.cursor, page.position
        await page.read(run, rng.randint(1, 5) if cut < cuts else None)
        if not page.ended:
            cut += 1
        # Strictly after: a connection brings nothing that was there before.
        assert page.position >= seen
        assert page.resets == 0
        assert cursor is None or cursor.partition(".")[0] == run.cursor.partition(".")[0]
        for _ in range(rng.choice([0, 0, 1, 5, 20])):
            await asyncio.sleep(0)
    return page, cut


async def test_ten_thousand_cuts_lose_nothing_and_double_nothing() -> None:
    rng = random.Random(7)
    cuts = 0
    for _ in range(RUNS):
        events = answer(rng)
        run = Run(
            "r",
            told_unevenly(events, rng),
            on_disconnect="continue",
            fps=rng.choice([0, 0, 1000]),
        )
        readers = await asyncio.gather(
            *(read_with_cuts(run, rng, CUTS_PER_RUN) for _ in range(rng.choice([1, 2, 8])))
        )
        # Whoever comes when it is over, from any position at all.
        end = int(run.cursor.partition(".")[2])
        for page, cut in readers:
            cuts += cut
            assert joined(page.events) == joined(events)
        for _ in range(60):
            late = Page()
            late.position = rng.randint(0, end)
            late.cursor = f"{run.cursor.partition('.')[0]}.{late.position}"
            late.events = run.events_before(late.position)
            await late.read(run)
            cuts += 1
            assert joined(late.events) == joined(events)
    assert cuts >= 10_000


@pytest.mark.parametrize("fps", [0, 30])
async def test_cuts_of_real_streams(fps: float) -> None:
    rng = random.Random(8)
    text = "".join(rng.choice(WORDS) for _ in range(150))
    cuts = 0
    async with Simulator() as sim, sim.client() as client:
        for _ in range(6):
            sim.script(Reply(text, reasoning="Let me think. " * 20, tokens_per_second=1500))
            run = Run(
                "r",
                client.chat.completions.stream(
                    model="deepseek-flash", messages=[{"role": "user", "content": "Hi"}]
                ),
                on_disconnect="continue",
                fps=fps,
            )
            readers = await asyncio.gather(*(read_with_cuts(run, rng, 200) for _ in range(8)))
            message = run.completion.choices[0].message
            for page, cut in readers:
                cuts += cut
                kinds = (ContentDeltaEvent, ReasoningDeltaEvent)
                parts = {
                    kind: "".join(event.delta for event in page.events if isinstance(event, kind))
                    for kind in kinds
                }
                assert parts[ContentDeltaEvent] == message.content == text
                assert parts[ReasoningDeltaEvent] == message.reasoning_content
    assert cuts >= 100
