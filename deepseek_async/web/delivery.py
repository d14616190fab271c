"""What is delivered and how, whatever server it goes through."""

import inspect
import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from deepseek_async.live import Run, Source, StoppedEvent
from deepseek_async.live.source import abandon
from deepseek_async.web.encoding import HEADERS
from deepseek_async.web.formats import format_of
from deepseek_async.web.formats.base import Format


@dataclass(frozen=True, slots=True)
class Delivery:
    """A source and how its readers are told of it.

    Attributes:
        source: A run, or what one can be made of.
        wire_format: How it is written.
        heartbeat: Seconds of silence between signs of life; None: none.
        fps: How many times a second at most, if it is not a run already.
        wait_first: For how many seconds the status line waits for the upstream; None: not at all.
        show_errors: Whether readers may see the texts of exceptions.
    """

    source: Run | Source
    wire_format: Format
    heartbeat: float | None
    fps: float
    wait_first: float | None
    show_errors: bool

    @property
    def headers(self) -> dict[str, str]:
        """What the response says of itself."""
        return {**HEADERS, **self.wire_format.headers}

    @asynccontextmanager
    async def run(self) -> AsyncGenerator[Run]:
        """Open the run to read; one that is made for it ends with the block."""
        if isinstance(self.source, Run):
            yield self.source
            return
        run = Run(
            secrets.token_urlsafe(12),
            self.source,
            # The block is what ends it.
            on_disconnect="continue",
            fps=self.fps,
            raw=self.wire_format.raw,
        )
        try:
            yield run
        finally:
            run.end(StoppedEvent("left"))
            await run.wait()


def delivery(
    source: Any,
    format: str = "native",  # noqa: A002 - as it is called in a URL
    heartbeat: float | None = 15.0,
    fps: float = 30,
    *,
    wait_first: float | None = None,
    show_errors: bool = False,
) -> Delivery:
    """Check what was asked for, before anything is sent.

    Raises:
        TypeError: If the source is none.
        ValueError: If there is no such format, or a number is out of its range.
    """
    try:
        return _checked(source, format, heartbeat, fps, wait_first, show_errors)
    except (TypeError, ValueError):
        abandon(source)
        raise


def _checked(
    source: Any,
    name: str,
    heartbeat: float | None,
    fps: float,
    wait_first: float | None,
    show_errors: bool,
) -> Delivery:
    wire_format = format_of(name, show_errors=show_errors)
    if not _is_source(source):
        raise TypeError(
            "an answer comes from a run, a stream, a tool runner, an async iterator of events or "
            f"text, or a function that returns one of them; got {type(source).__name__}"
        )
    if (heartbeat is not None and not heartbeat > 0) or not fps >= 0:
        raise ValueError(
            "heartbeat is a number of seconds above 0, or None, and fps is from 0 up; got "
            f"heartbeat={heartbeat}, fps={fps}"
        )
    if wait_first is not None and not wait_first >= 0:
        raise ValueError(f"wait_first is a number of seconds, or None; got {wait_first}")
    return Delivery(source, wire_format, heartbeat, fps, wait_first, show_errors)


def _is_source(value: object) -> bool:
    is_stream = isinstance(value, Run) or hasattr(value, "__aiter__")
    return is_stream or callable(value) or inspect.isawaitable(value)
