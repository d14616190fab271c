"""Many streamed requests at once, with a bar that shows how far they are."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from statistics import median

import anyio
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from deepseek_async import (
    ChatParams,
    ContentDeltaEvent,
    ReasoningDeltaEvent,
    Usage,
)
from deepseek_async.cli.connection import Connection
from deepseek_async.cli.meter import Meter, Reading, total_cost
from deepseek_async.cli.screen import Screen
from deepseek_async.errors import AuthenticationError, DeepSeekError, InsufficientBalanceError

_REDRAW_SECONDS = 0.08
# Lines of progress where nothing can be redrawn.
_LINES = 5


@dataclass
class Tally:
    """What has come of the requests so far."""

    total: int
    readings: list[Reading] = field(default_factory=list[Reading])
    failures: list[DeepSeekError] = field(default_factory=list[DeepSeekError])
    pieces: int = 0
    """Parts of answers received: about as many as tokens."""

    seconds: float = 0.0

    @property
    def ended(self) -> int:
        """How many requests have ended, in whichever way."""
        return len(self.readings) + len(self.failures)

    @property
    def is_hopeless(self) -> bool:
        """Whether a failure says that all requests will fail."""
        return any(
            isinstance(failure, AuthenticationError | InsufficientBalanceError)
            for failure in self.failures
        )

    @property
    def requests_per_second(self) -> float | None:
        """Answers a second; None if there are none."""
        return len(self.readings) / self.seconds if self.readings and self.seconds else None

    def summary(self) -> Reading:
        """Return all of them as one: sums, the median wait, the joint pace."""
        usages = [reading.usage for reading in self.readings if reading.usage is not None]
        usage = Usage(
            prompt_tokens=sum(usage.prompt_tokens for usage in usages),
            completion_tokens=sum(usage.completion_tokens for usage in usages),
            prompt_cache_hit_tokens=sum(usage.cached_tokens for usage in usages),
        )
        costs = [reading.cost for reading in self.readings if reading.usage is not None]
        waits = [
            reading.first_token_seconds
            for reading in self.readings
            if reading.first_token_seconds is not None
        ]
        return Reading(
            usage if usages else None,
            total_cost(costs),
            median(waits) if waits else None,
            usage.completion_tokens / self.seconds if usages and self.seconds else None,
        )


async def fan_out(connection: Connection, requests: Sequence[ChatParams], screen: Screen) -> Tally:
    """Send all requests at once and show how far they are.

    A failed request is counted and leaves the others alone, unless it says that all will fail.
    """
    tally = Tally(len(requests))
    started = asyncio.get_running_loop().time()
    progress, tell = _bar(screen, tally.total) if screen.live else _lines(screen)
    try:
        with progress:
            async with anyio.create_task_group() as group:
                for params in requests:
                    group.start_soon(_send, connection, params, tally)
                # By the clock: as often as the eye can follow, however many end at once.
                while tally.ended < tally.total and not tally.is_hopeless:
                    await anyio.sleep(_REDRAW_SECONDS)
                    tally.seconds = asyncio.get_running_loop().time() - started
                    tell(tally)
                group.cancel_scope.cancel()
    except BaseExceptionGroup as failed:
        # Only the screen can have failed.
        raise failed.exceptions[0] from None
    return tally


async def _send(connection: Connection, params: ChatParams, tally: Tally) -> None:
    meter = Meter(asyncio.get_running_loop().time)
    try:
        async with connection.client.chat.completions.stream(**params) as stream:
            async for event in stream:
                if isinstance(event, ContentDeltaEvent | ReasoningDeltaEvent):
                    meter.tick()
                    tally.pieces += 1
            completion = stream.completion()
    except DeepSeekError as exc:
        tally.failures.append(exc)
    else:
        tally.readings.append(meter.read(completion.usage, completion, priced=connection.priced))


def _bar(
    screen: Screen, total: int
) -> tuple[AbstractContextManager[object], Callable[[Tally], None]]:
    progress = Progress(
        TextColumn(" "),
        BarColumn(bar_width=None),
        TextColumn("{task.completed}/{task.total}"),
        TextColumn("{task.fields[pieces]:,} tokens", style="dim"),
        TextColumn("{task.fields[seconds]:.1f} s", style="dim"),
        console=screen.console,
        # Redrawn by the event loop: a thread would draw in between.
        auto_refresh=False,
        expand=screen.console.width <= screen.width,
    )
    task: TaskID = progress.add_task("", total=total, pieces=0, seconds=0.0)

    def tell(tally: Tally) -> None:
        progress.update(task, completed=tally.ended, pieces=tally.pieces, seconds=tally.seconds)
        progress.refresh()

    return progress, tell


def _lines(screen: Screen) -> tuple[AbstractContextManager[object], Callable[[Tally], None]]:
    told = 0

    def tell(tally: Tally) -> None:
        nonlocal told
        part = tally.ended * _LINES // tally.total
        if part > told:
            told = part
            screen.line(
                f"  {tally.ended}/{tally.total} requests, {tally.pieces:,} tokens, "
                f"{tally.seconds:.1f} s"
            )

    return nullcontext(), tell
