"""``demo``: a streamed answer, tool calls as they grow, many requests at once."""

import asyncio
import sys
from dataclasses import dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

from deepseek_async import (
    ArgumentsDeltaEvent,
    ArgumentsDoneEvent,
    ChatParams,
    __version__,
    simulator,
)
from deepseek_async.cli import demo_script
from deepseek_async.cli.answer import AnswerView, Follower
from deepseek_async.cli.connection import Connection, Target, connect
from deepseek_async.cli.failures import FAILED, FINE, describe
from deepseek_async.cli.fan_out import Tally, fan_out
from deepseek_async.cli.meter import Meter, Reading, dollars, meter_line, seconds
from deepseek_async.cli.screen import Screen, StatusLine
from deepseek_async.cli.tool_calls import ToolCallView

if sys.platform != "win32":
    import resource

# More are no more impressive, and not every account may.
_MAX_AT_ONCE = 400
# For all but the connections: files, pipes, the event loop. The client keeps as many free.
_OTHER_DESCRIPTORS = 64
_UNKNOWN = "-"


@dataclass(frozen=True)
class DemoOptions:
    """What the demo does."""

    model: str
    requests: int = 50

    pace: float = 1.0
    """How many times faster than in real life the simulator is; 0: as fast as possible."""


async def run_demo(target: Target, options: DemoOptions, screen: Screen, *, keyless: bool) -> int:
    """Run the demo.

    Args:
        target: The server.
        options: What to do.
        screen: Where to show it.
        keyless: Whether the simulator is used for want of a key.
    """

    def prepare(sim: simulator.Simulator) -> None:
        demo_script.prepare(sim, options.requests, options.pace)

    at_once = _at_once(options.requests, simulate=target.simulate)
    async with connect(target, pace={}, prepare=prepare, max_concurrency=at_once) as connection:
        where = "the built-in simulator" if target.simulate else connection.client.base_url
        if keyless:
            screen.line(
                "No DEEPSEEK_API_KEY found: running on the built-in simulator; set it for the "
                "real thing."
            )
        else:
            screen.line(f"deepseek-async {__version__}: {options.model} at {where}")
        answer = await _stream_answer(connection, options, screen)
        calls = await _assemble_calls(connection, options, screen)
        tally = await _send_many(connection, options, screen, at_once)
    _summarize(screen, answer, calls, tally)
    if target.simulate:
        screen.line("Simulated answers: nothing was billed.", "dim")
    if not tally.failures:
        return FINE
    failed = f"{len(tally.failures)} of {tally.total} requests failed, the first with: "
    screen.notes.print(Text(f"error: {failed}{describe(tally.failures[0])}"), soft_wrap=True)
    return FAILED


def _heading(screen: Screen, title: str, question: str) -> None:
    screen.line()
    screen.line(title, "bold")
    screen.line(f"> {question}", "cyan")
    screen.line()


async def _stream_answer(connection: Connection, options: DemoOptions, screen: Screen) -> Reading:
    question = demo_script.QUESTION
    _heading(screen, "1. An answer and its reasoning, as they arrive", question)
    answer = await Follower(screen, AnswerView(screen, together=True)).follow(
        connection, model=options.model, messages=[{"role": "user", "content": question}]
    )
    screen.line()
    screen.line(meter_line(answer.reading), "dim")
    return answer.reading


async def _assemble_calls(connection: Connection, options: DemoOptions, screen: Screen) -> Reading:
    question = demo_script.TOOLS_QUESTION
    _heading(screen, "2. Two tool calls, assembled as they arrive", question)
    view = ToolCallView(screen)
    status = StatusLine(screen.notes, live=screen.live)
    status.show("waiting for the first call")
    meter = Meter(asyncio.get_running_loop().time)
    # Thinking is off: the reasoning has been shown, and the calls come sooner.
    params: ChatParams = {
        "model": options.model,
        "messages": [{"role": "user", "content": question}],
        "tools": demo_script.TOOLS,
        "thinking": False,
    }
    try:
        async with connection.client.chat.completions.stream(**params) as stream:
            async for event in stream:
                if isinstance(event, ArgumentsDeltaEvent):
                    status.clear()
                    meter.tick()
                    view.grow(event)
                elif isinstance(event, ArgumentsDoneEvent):
                    view.done(event)
            completion = stream.completion()
    finally:
        status.clear()
        view.finish()
    reading = meter.read(completion.usage, completion, priced=connection.priced)
    screen.line()
    screen.line(meter_line(reading), "dim")
    return reading


def _at_once(requests: int, *, simulate: bool) -> int:
    """Return how many requests this process has room for at a time."""
    at_once = min(requests, _MAX_AT_ONCE)
    # Windows has no such limit.
    if simulate and sys.platform != "win32":
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if limit != resource.RLIM_INFINITY:
            # Both ends of each connection are in this process.
            at_once = min(at_once, (limit - _OTHER_DESCRIPTORS) // 2)
    return max(at_once, 1)


async def _send_many(
    connection: Connection, options: DemoOptions, screen: Screen, at_once: int
) -> Tally:
    count = options.requests
    several = f"{count} requests, {at_once} at a time"
    title = several if at_once < count else f"{count} requests at once"
    _heading(screen, f"3. {title}", "One sight of each of many cities, please.")
    requests: list[ChatParams] = [
        {
            "model": options.model,
            "messages": demo_script.fan_out_messages(number),
            "thinking": False,
            "max_tokens": 120,
        }
        for number in range(count)
    ]
    return await fan_out(connection, requests, screen)


def _summarize(screen: Screen, answer: Reading, calls: Reading, tally: Tally) -> None:
    table = Table(
        box=None, header_style="bold", pad_edge=False, padding=(0, 1), collapse_padding=True
    )
    table.add_column("", style="dim", no_wrap=True)
    for title in ("answer", "calls", f"{tally.total} reqs"):
        table.add_column(title, justify="right", no_wrap=True)
    readings = (answer, calls, tally.summary())

    def add(title: str, *values: Any) -> None:
        table.add_row(title, *(_UNKNOWN if value is None else str(value) for value in values))

    usages = [reading.usage for reading in readings]
    add("tokens in", *(usage and f"{usage.prompt_tokens:,}" for usage in usages))
    add("cache hits", *(usage and f"{usage.cached_tokens:,}" for usage in usages))
    add("tokens out", *(usage and f"{usage.completion_tokens:,}" for usage in usages))
    costs = [reading.cost for reading in readings]
    add("cost", *(None if cost is None else dollars(cost) for cost in costs))
    waits = [reading.first_token_seconds for reading in readings]
    add("first token", *(None if wait is None else seconds(wait) for wait in waits))
    rates = [reading.tokens_per_second for reading in readings]
    add("tokens/s", *(None if rate is None else f"{rate:,.0f}" for rate in rates))
    rate = tally.requests_per_second
    add("requests/s", None, None, None if rate is None else f"{rate:,.1f}")
    screen.line()
    screen.line("Summary", "bold")
    screen.console.print(table)
