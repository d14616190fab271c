"""What the formats of others have in common: they tell of parts, one JSON object after another."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, NamedTuple

from deepseek_async import DoneEvent, QueuedEvent, Usage
from deepseek_async.live import (
    FAILURES,
    Batch,
    DrainEvent,
    FailedEvent,
    LiveEvent,
    ResetEvent,
    Run,
    StoppedEvent,
)
from deepseek_async.live.log import places_of
from deepseek_async.web.formats.parts import Outline, Part, after, ended, json_bytes

_Object = dict[str, Any]
Ending = DoneEvent | StoppedEvent | FailedEvent


class Told(NamedTuple):
    """The state of a reader."""

    begun: bool = False
    outline: Outline = Outline()


_NOTHING = Told()

# They have no place in the run's log.
_ASIDE = (ResetEvent, QueuedEvent, DrainEvent)


class PartStream(ABC):
    """Makes server-sent events of parts.

    What each event of a run makes carries the cursor behind it, so that a reader whose connection
    was cut in the middle of a batch goes on behind the last event that it has.

    Args:
        show_errors: Tell readers the text of exceptions, instead of what is fit for everybody.
    """

    name: ClassVar[str]
    headers: ClassVar[Mapping[str, str]] = {}
    raw: ClassVar[bool] = False

    def __init__(self, *, show_errors: bool = False) -> None:
        self._show_errors = show_errors

    def begin(self, run: Run, told: list[LiveEvent]) -> Told:
        """Return the state of a reader that has been told these events: what is open stays open."""
        outline = _NOTHING.outline
        for event in told:
            outline, _ = after(outline, event)
        return Told(bool(told), outline)

    def encode(self, run: Run, state: Told, batch: Batch) -> tuple[bytes, Told]:
        """Return a batch as server-sent events, and the state after it; b"" if it tells nothing."""
        begun, outline = state
        epoch = batch.cursor.partition(".")[0]
        position = batch.start
        last = _last(batch)
        sent: list[bytes] = []
        for event in batch.events:
            if isinstance(event, _ASIDE):
                if isinstance(event, ResetEvent):
                    begun, outline = _NOTHING
                    continue
                if isinstance(event, QueuedEvent) and not begun:
                    # It has no place, so that a reader that comes back is told of both anew.
                    begun = True
                    sent.append(b"data: %b\n\n" % json_bytes(self._opening(run)))
                sent.append(self._aside(event))
            else:
                objects = [] if begun else [json_bytes(self._opening(run))]
                begun = True
                if event is last:
                    parts = ended(outline)
                else:
                    outline, parts = after(outline, event)
                for part in parts:
                    objects += self._told(run, part)
                if last is not None and event is last:
                    objects += map(json_bytes, self._ending(run, last))
                position += places_of(event)
                if objects:
                    sent += [b"data: %b\n\n" % data for data in objects[:-1]]
                    cursor = f"{epoch}.{position}".encode()
                    sent.append(b"id: %b\ndata: %b\n\n" % (cursor, objects[-1]))
        if last is not None:
            sent.append(self._farewell())
        return b"".join(sent), Told(begun, outline)

    def _error(self, event: FailedEvent) -> str:
        """Return what readers may know of a failure."""
        public = FAILURES.get(event.kind, FAILURES["error"])
        return event.message if self._show_errors else public

    @abstractmethod
    def _opening(self, run: Run) -> _Object:
        """Return what comes before everything else."""

    @abstractmethod
    def _told(self, run: Run, part: Part) -> list[bytes]:
        """Return the objects that tell of a part, as JSON."""

    @abstractmethod
    def _ending(self, run: Run, event: Ending) -> Iterator[_Object]:
        """Yield what comes after everything else."""

    @abstractmethod
    def _aside(self, event: QueuedEvent | DrainEvent) -> bytes:
        """Return what tells that the request waits, or that this connection ends."""

    def _farewell(self) -> bytes:
        """Return what stands behind the last object."""
        return b""


def _last(batch: Batch) -> Ending | None:
    """Return the event that ends the run, if it is in the batch.

    A source that tells several answers has a ``done`` for each.
    """
    event = batch.events[-1] if batch.last else None
    return event if isinstance(event, DoneEvent | StoppedEvent | FailedEvent) else None


def token_counts(usage: Usage) -> dict[str, int]:
    """Return token counts by the names that both formats have for them."""
    return {
        "inputTokens": usage.prompt_tokens,
        "outputTokens": usage.completion_tokens,
        "totalTokens": usage.total_tokens,
        "cachedInputTokens": usage.cached_tokens,
        "reasoningTokens": usage.reasoning_tokens,
    }
