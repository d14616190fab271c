"""A batch while it runs: redrawn on a terminal, a line every now and then elsewhere."""

import contextlib
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from deepseek_async.batch import BatchProgress
from deepseek_async.cli.meter import dollars

# Seconds between two lines where nothing can be redrawn: at first, and after an hour.
_SHORTEST, _LONGEST = 5.0, 60.0
# The longer it runs, the less happens in five seconds: this part of the time between two lines.
_PART = 12

_MAX_WIDTH = 100


class ProgressView(Protocol):
    """Where a run is shown; a context manager."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    def show(self, progress: BatchProgress) -> None:
        """Show where the run stands."""
        ...

    def tell(self, text: str, style: str = "") -> None:
        """Print a line that stays."""
        ...

    def wait_for(self, reason: str) -> None:
        """Show what is being waited for from now on."""
        ...


def open_view(
    console: Console, name: str, *, quiet: bool = False, for_cache: bool = False
) -> ProgressView:
    """Return where a run is shown.

    Args:
        console: Standard error.
        name: Of the results file.
        quiet: Whether to show what went wrong, and nothing else.
        for_cache: Whether requests are held back for the sake of the server's cache.
    """
    if console.is_terminal and not console.is_dumb_terminal and not quiet:
        return LiveView(console, name, for_cache=for_cache)
    return LinesView(console, quiet=quiet, for_cache=for_cache)


class LinesView:
    """Lines, as many as a log of the run may have."""

    def __init__(self, console: Console, *, quiet: bool, for_cache: bool) -> None:
        self._console = console
        self._quiet = quiet
        self._for_cache = for_cache
        self._next = _SHORTEST
        self._paused: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        return None

    def show(self, progress: BatchProgress) -> None:
        """Print a line if it is time for one, and when a pause begins."""
        if self._quiet:
            return
        paused = progress.paused
        if paused != self._paused:
            self._paused = paused
            self.tell("goes on" if paused is None else f"paused: {paused}")
        if progress.seconds >= self._next:
            step = min(_LONGEST, max(_SHORTEST, progress.seconds / _PART))
            self._next = progress.seconds + step
            # Nothing changes in a pause.
            if paused is None:
                parts = [_done(progress), *counts(progress), *paces(progress)]
                if self._for_cache and (waits := _held_back(progress)):
                    parts.append(waits)
                self.tell(", ".join(parts))

    def tell(self, text: str, style: str = "") -> None:
        """Print a line."""
        with contextlib.suppress(OSError):
            self._console.print(Text(text), soft_wrap=True)

    def wait_for(self, reason: str) -> None:
        """Print what is being waited for."""
        self.tell(reason)


class LiveView:
    """A bar and two lines of numbers, redrawn in place; gone at the end."""

    def __init__(self, console: Console, name: str, *, for_cache: bool) -> None:
        self._console = console
        self._for_cache = for_cache
        self._name = name
        self._reason: str | None = None
        self._last: BatchProgress | None = None
        # Redrawn by the event loop: a thread would draw in between.
        self._live = Live(
            console=console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> Self:
        # Nobody looks at a terminal that is gone, and the run goes on.
        with contextlib.suppress(OSError):
            self._live.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with contextlib.suppress(OSError):
            self._live.stop()

    def show(self, progress: BatchProgress) -> None:
        """Draw where the run stands."""
        self._last = progress
        with contextlib.suppress(OSError):
            self._live.update(self._render(progress), refresh=True)

    def tell(self, text: str, style: str = "") -> None:
        """Print a line above."""
        with contextlib.suppress(OSError):
            self._console.print(Text(text, style=style))

    def wait_for(self, reason: str) -> None:
        """Draw what is being waited for."""
        self._reason = reason
        if self._last is not None:
            self.show(self._last)

    def _render(self, progress: BatchProgress) -> Group:
        width = min(self._console.width - 1, _MAX_WIDTH)
        head = Table.grid(padding=(0, 1), expand=True)
        head.width = width
        head.add_column(no_wrap=True, overflow="ellipsis", max_width=max(8, width // 3))
        head.add_column(ratio=1)
        head.add_column(no_wrap=True, justify="right")
        total = progress.total
        bar = ProgressBar(
            total=None if total is None else max(total, 1), completed=progress.finished
        )
        head.add_row(Text(self._name, style="bold"), bar, Text(_done(progress)))
        lines = [_joined(counts(progress), width), _joined(paces(progress), width)]
        waits = self._reason or (progress.paused and f"paused: {progress.paused}")
        if self._for_cache and not waits:
            waits = _held_back(progress)
        if waits:
            lines.append(Text(f"  {waits}", style="yellow"))
        return Group(head, *lines)


def _joined(parts: list[str], width: int) -> Text:
    line = Text("  " + " · ".join(parts), style="dim", no_wrap=True, overflow="ellipsis")
    line.truncate(width)
    return line


def _done(progress: BatchProgress) -> str:
    if progress.total is None:
        return f"{progress.finished:,} done"
    share = progress.finished / progress.total if progress.total else 1.0
    # Of a file that is not read to its end, it is a guess.
    about = "~" if progress.read < progress.total else ""
    # Not 100 % before the last one.
    return f"{progress.finished:,}/{about}{progress.total:,} {int(100 * min(share, 1.0))}%"


def _held_back(progress: BatchProgress) -> str | None:
    """Say that requests are held back, if nothing else explains why so few are under way."""
    waiting = progress.read - progress.finished - progress.in_flight
    if progress.retrying or 2 * progress.in_flight >= progress.limit or waiting <= progress.limit:
        return None
    return "waiting until the server's cache has what the others begin with"


def counts(progress: BatchProgress) -> list[str]:
    """Return how many items are where."""
    parts = [f"{progress.succeeded:,} answered", f"{progress.failed:,} failed"]
    if progress.skipped:
        parts.append(f"{progress.skipped:,} done before")
    parts.append(f"{progress.in_flight:,} in flight of {progress.limit:,}")
    if progress.retrying:
        parts.append(f"{progress.retrying:,} to be sent again")
    return parts


def paces(progress: BatchProgress) -> list[str]:
    """Return how fast it goes and what it costs."""
    parts = [
        f"{_rate(progress.items_per_second)} items/s",
        f"{progress.tokens_per_second:,.0f} tokens/s",
        "cost unknown" if progress.cost is None else dollars(progress.cost),
    ]
    if progress.cache_hit_share:
        parts.append(f"{progress.cache_hit_share:.0%} cached")
    if progress.seconds_left is not None:
        parts.append(f"{span(progress.seconds_left)} left")
    return parts


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def span(value: float) -> str:
    """Return a time as read by people, in two units at most."""
    if value < 10:
        return f"{value:.1f} s"
    if value < 100:
        return f"{value:.0f} s"
    minutes = round(value / 60)
    if minutes < 100:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"
