"""The log of a run, and those who follow it."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable

from deepseek_async import (
    ArgumentsDeltaEvent,
    ContentDeltaEvent,
    LogprobsDeltaEvent,
    QueuedEvent,
    ReasoningDeltaEvent,
)
from deepseek_async.live.batch import Batch
from deepseek_async.live.events import DrainEvent, LiveEvent, ResetEvent
from deepseek_async.live.log import Log
from deepseek_async.live.reading import Reading
from deepseek_async.live.records import Ending

# What comes so often that it waits for the next frame; all else is told at once.
_FRAMED = (ContentDeltaEvent, ReasoningDeltaEvent, ArgumentsDeltaEvent, LogprobsDeltaEvent)


class Feed:
    """A log that grows, and readers that follow it.

    A reader is a place in the log and nothing more: who is slow gets larger batches, and holds
    up nobody. Readers that are equally far share one batch.

    Args:
        epoch: Tells its cursors from those of other runs, and of the same one begun anew.
        fps: How many times a second readers are told of new text; the first of it at once. 0: of
            each piece as it comes.
        max_raw: Most bytes of the upstream's own events to keep.
        on_leave: Is called when the last reader has left.
        on_join: Is called when a reader has come.

    Attributes:
        lags: Whether it is told of a log that is ahead of it: cursors from there may be, too.
        ended: Whether the last event has been told.
        ending: How the run ended, for those that read it elsewhere.
        epoch: What its cursors begin with.
        queued: What is only true for the moment, if anything is.
        told: How far readers are told; behind the log's end until the next frame.
        told_at: When that was, in seconds since the run began.
        log: What was told, and what will be with the next frame.
    """

    def __init__(
        self,
        epoch: str,
        *,
        fps: float,
        max_raw: int = 0,
        on_join: Callable[[], None] | None = None,
        on_leave: Callable[[], None] | None = None,
    ) -> None:
        self.epoch = epoch
        self._frame = 1 / fps if fps else 0.0
        self._on_join = on_join
        self._on_leave = on_leave
        self._loop = asyncio.get_running_loop()
        self._started = self._loop.time()
        self._next_frame = 0.0
        self._frame_timer: asyncio.TimerHandle | None = None
        # What readers that are equally far share: what is new, and everything after a reset.
        self._batch: Batch | None = None
        self._whole: Batch | None = None
        self._drain: DrainEvent | None = None
        self._readings: set[Reading] = set()
        # Who is told as readers are, and is none.
        self._watchers: set[Reading] = set()
        self.log = Log(max_raw)
        self.told = 0
        self.told_at = 0.0
        self.queued: QueuedEvent | None = None
        self.ended = False
        self.lags = False
        self.ending: Ending | None = None

    @property
    def readers(self) -> int:
        """How many read at the moment."""
        return len(self._readings)

    @property
    def draining(self) -> bool:
        """Whether readers are being sent away."""
        return self._drain is not None

    @property
    def cursor(self) -> str:
        """Where a reader is that has been told everything."""
        return f"{self.epoch}.{self.told}"

    @property
    def seconds(self) -> float:
        """How long ago the run began."""
        return self._loop.time() - self._started

    def append(self, event: LiveEvent) -> None:
        """Add an event; readers are told with the next frame, or at once if it is no delta."""
        self.log.append(event)
        if not self._frame or not isinstance(event, _FRAMED):
            self.publish()
        elif self._frame_timer is None:
            now = self._loop.time()
            if now >= self._next_frame:
                # The first after a pause goes out at once.
                self._next_frame = now + self._frame
                self.publish()
            else:
                self._frame_timer = self._loop.call_at(self._next_frame, self._frame_over)

    def repeat(self, events: Iterable[LiveEvent], seconds: float) -> None:
        """Add what was told elsewhere, and tell it at once.

        Args:
            events: What was told.
            seconds: When that was, in seconds since the run began.
        """
        self.keep_time(seconds)
        for event in events:
            self.log.append(event)
        self.publish()
        self.told_at = seconds

    def keep_time(self, seconds: float) -> None:
        """Learn that the run began at least so many seconds ago."""
        self._started = min(self._started, self._loop.time() - seconds)

    def say(self, queued: QueuedEvent) -> None:
        """Tell what is true for the moment: it is not in the log."""
        self.queued = queued
        self._wake()

    def end(self, event: LiveEvent, ending: Ending) -> None:
        """Add the last event."""
        self.ended = True
        self.ending = ending
        self.append(event)
        self.log.settle()
        # Whoever they belong to refers to this feed: a circle would keep the log in memory until
        # the garbage collector comes.
        self._on_join = self._on_leave = None

    def drain(self, event: DrainEvent) -> None:
        """Let every reader end, now and from now on, with this event."""
        self._drain = event
        self._wake()

    def publish(self) -> None:
        """Tell the readers all that is in the log."""
        if self._frame_timer is not None:
            self._frame_timer.cancel()
            self._frame_timer = None
        self.queued = None
        self.told = self.log.end
        self.told_at = self._loop.time() - self._started
        self._wake()

    def watch(self, heartbeat: float | None) -> Reading:
        """Return a place to wait for news without being a reader; ends with :meth:`unwatch`."""
        reading = Reading(self._loop, heartbeat)
        self._watchers.add(reading)
        return reading

    def unwatch(self, reading: Reading) -> None:
        """Wait no more."""
        reading.close()
        self._watchers.discard(reading)

    async def read(self, after: str | None, heartbeat: float | None) -> AsyncGenerator[Batch]:
        """Follow the log to its end.

        Args:
            after: A cursor; None: from the beginning.
            heartbeat: After how many seconds of silence to yield a batch without events.

        Yields:
            What is new, the last batch with ``last`` set.

        Raises:
            RuntimeError: If another event loop runs than the one it was made in.
            ValueError: If the heartbeat is no time.
        """
        if asyncio.get_running_loop() is not self._loop:
            raise RuntimeError("a run is read in the event loop that started it")
        if heartbeat is not None and not heartbeat > 0:
            raise ValueError(f"heartbeat is a number of seconds above 0, or None, got {heartbeat}")
        position = self._position(after)
        queued: object = None
        reading = Reading(self._loop, heartbeat)
        self._readings.add(reading)
        if self._on_join is not None:
            self._on_join()
        # Batches are yielded without being held here: a late reader's is the whole answer.
        try:
            if position is None:
                position = self.told
                yield self._everything()
            while not (self.ended and position == self.told):
                start = position
                if self.ended and start > self.told:
                    # It never came that far.
                    yield self._everything()
                    return
                if self._drain is not None and not self.ended:
                    yield self._farewell(start, self._drain)
                    return
                if start < self.told:
                    position = self.told
                    yield self._after(start)
                elif (news := self.queued) is not None and news is not queued:
                    queued = news
                    yield self._moment(start, news)
                elif not await reading.news():
                    yield self._moment(start, None)
        finally:
            reading.close()
            self._readings.discard(reading)
            if not self._readings:
                self._batch = self._whole = None
                if self._on_leave is not None:
                    self._on_leave()

    def _position(self, after: str | None) -> int | None:
        """Return the position that a cursor names; None if it names none of this log."""
        if after is None:
            return 0
        epoch, _, position = after.partition(".")
        if epoch != self.epoch or not position.isdecimal() or len(position) > 18:
            return None
        number = int(position)
        # As it was sent: whoever has had everything is known by the text of its cursor.
        is_known = number <= self.told or self.lags
        return number if is_known and str(number) == position else None

    def _after(self, position: int) -> Batch:
        """Return what follows a position; the same object for all who are equally far."""
        batch = self._batch
        if batch is None or batch.start != position or batch.end != self.told:
            events = self.log.between(position, self.told)
            batch = self._batch = self._made(events, position, last=self.ended)
        return batch

    def _everything(self) -> Batch:
        """Return the answer so far, for readers whose cursor is of no use."""
        batch = self._whole
        if batch is None or batch.end != self.told:
            events = [ResetEvent(), *self.log.between(0, self.told)]
            batch = self._whole = self._made(events, 0, last=self.ended)
        return batch

    def _farewell(self, position: int, event: DrainEvent) -> Batch:
        return self._made([*self.log.between(position, self.told), event], position, last=True)

    def _moment(self, position: int, event: QueuedEvent | None) -> Batch:
        cursor = f"{self.epoch}.{position}"
        return Batch([] if event is None else [event], cursor, position, position, self.seconds)

    def _made(self, events: list[LiveEvent], start: int, *, last: bool) -> Batch:
        return Batch(events, self.cursor, start, self.told, self.told_at, last=last)

    def _frame_over(self) -> None:
        self._frame_timer = None
        self._next_frame = self._loop.time() + self._frame
        self.publish()

    def _wake(self) -> None:
        for reading in self._readings:
            reading.wake()
        for reading in self._watchers:
            reading.wake()
