"""What `deepseek_async` makes of each fault, over real sockets; the table in docs/simulator.md.

Each row of the table is run: its first column is the fault, in Python, and the others are what
happens. A kind without a row, or a row that isn't true, fails.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pytest

from deepseek_async import AsyncDeepSeek, ChatCompletion, DeepSeekError, Timeouts
from deepseek_async.simulator import FAULT_KINDS, Fault, Reply, Simulator

DOCUMENT = Path(__file__).parents[2] / "docs" / "simulator.md"
TOOLS = [{"type": "function", "function": {"name": name}} for name in ("weather", "clock")]
ABOUT_TOOLS = ("duplicate_ids", "blank_ids", "missing_index", "repeated_names")
# Clocks that run out soon, for faults that are about them.
HASTY = Timeouts(connect=15.0, idle=0.4, first_event=0.8, progress=0.8, total=2.0)
CALLS = [("weather", {"city": "Ulm"}), ("clock", {})]
EXPECTED = Reply("Hello to you", tool_calls=CALLS)


class Row(NamedTuple):
    """A row of the table."""

    fault: str
    streamed: str
    plain: str
    retried: str


def rows() -> list[Row]:
    text = DOCUMENT.read_text()
    table = text.partition("<!-- faults -->")[2].partition("<!-- /faults -->")[0]
    lines = [line for line in table.splitlines() if line.startswith("| `Fault(")]
    return [Row(*(cell.strip() for cell in line.strip("|").split("|"))) for line in lines]


def fault_of(row: Row) -> Fault:
    made = eval(row.fault.strip("`"), {"Fault": Fault})
    assert isinstance(made, Fault)
    return made


def test_the_table_has_every_kind() -> None:
    assert {fault_of(row).kind for row in rows()} == set(FAULT_KINDS)


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.fault.strip("`"))
async def test_the_table_is_true(row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    # Retries wait a random time; this is the shortest one.
    monkeypatch.setattr("random.random", lambda: 0.0)
    fault = fault_of(row)
    streamed, streamed_again = await seen(fault, stream=True)
    plain, plain_again = await seen(fault, stream=False)
    if streamed_again == plain_again:
        retried = "yes" if plain_again else "no"
    else:
        retried = "only streams" if streamed_again else "only plain"
    if streamed.startswith("complete") and plain.startswith("complete"):
        retried = "not needed"
    assert Row(row.fault, streamed, plain, retried) == row


async def seen(fault: Fault, *, stream: bool) -> tuple[str, bool]:
    """What the client reports, and whether it would have tried again."""
    async with Simulator(keep_alive_seconds=0.05) as sim:
        options: dict[str, Any] = {}
        if (fault.kind in ("stall", "delay") and fault.seconds is None) or fault.kind == "delay":
            options["timeout"] = HASTY
        async with sim.client(max_retries=0, **options) as client:
            sim.script(EXPECTED)
            sim.faults(fault)
            found = await outcome(client, stream=stream)
        asked = len(sim.requests)
        async with sim.client(max_retries=1, **options) as client:
            sim.reset()
            sim.script(EXPECTED)
            sim.faults(fault)
            await outcome(client, stream=stream)
        return found, len(sim.requests) > asked


async def outcome(client: AsyncDeepSeek, *, stream: bool) -> str:
    try:
        completion = await answer(client, stream=stream)
    except DeepSeekError as exc:
        partial = getattr(exc, "partial", None)
        return f"`{type(exc).__name__}`" + (" with `partial`" if partial is not None else "")
    if not completion.choices:
        return "complete, without a choice"
    choice = completion.choices[0]
    calls = [
        (call.function.name, call.function.arguments) for call in choice.message.tool_calls or ()
    ]
    if choice.message.content != EXPECTED.text or calls != list(EXPECTED.raw_tool_calls):
        return "complete, but not the answer"
    if choice.finish_reason is None:
        return "complete, `finish_reason` is None"
    return "complete" if completion.usage is not None else "complete, without `usage`"


async def answer(client: AsyncDeepSeek, *, stream: bool) -> ChatCompletion:
    request: dict[str, Any] = {
        "model": "deepseek-flash",
        "messages": [{"role": "user", "content": "Hi"}],
        "tools": TOOLS,
    }
    if not stream:
        found = await client.chat.completions.create(**request)
        assert isinstance(found, ChatCompletion)
        return found
    async with await client.chat.completions.create(**request, stream=True) as chunks:
        async for _ in chunks:
            pass
        whole = chunks.completion()
        assert isinstance(whole, ChatCompletion)
        return whole
