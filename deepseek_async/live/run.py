"""One answer that any number of readers follow, at their own speed, from wherever they are."""

import asyncio
import contextlib
import inspect
import logging
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable
from decimal import Decimal
from typing import Any, Literal, TypeVar, cast
from weakref import WeakKeyDictionary, WeakSet

from deepseek_async import (
    ChatCompletion,
    Completion,
    ContentDeltaEvent,
    DoneEvent,
    QueuedEvent,
    RawEvent,
    ToolDoneEvent,
    ToolRunner,
    ToolStartedEvent,
    TurnDoneEvent,
    Usage,
)
from deepseek_async.errors import DeepSeekError
from deepseek_async.live.batch import Batch
from deepseek_async.live.events import DrainEvent, FailedEvent, LiveEvent, StoppedEvent
from deepseek_async.live.failures import failure_of
from deepseek_async.live.feed import Feed
from deepseek_async.live.leaving import Leaving
from deepseek_async.live.records import Ending, Status
from deepseek_async.live.source import Source, abandon, opened
from deepseek_async.live.stall import StallWatch
from deepseek_async.live.turns import events_of

T = TypeVar("T")

OnDisconnect = Literal["cancel", "continue"]

_logger = logging.getLogger("deepseek_async.live")

_OF_TOOL_RUNS = frozenset({TurnDoneEvent, ToolStartedEvent, ToolDoneEvent})

# How long a source may take to end when it is cancelled, in seconds.
_CLOSING = 5.0

# All that run in this process, whoever holds them: what ends with it must be found.
_running: "WeakSet[Run]" = WeakSet()
# Event loops that are about to end, with the seconds after which readers may come back.
_ending_loops: "WeakKeyDictionary[asyncio.AbstractEventLoop, float]" = WeakKeyDictionary()


class Run:
    """One upstream and its log; started by :meth:`Live.start`. Readers come and go.

    Args:
        run_id: Its name.
        source: Where the answer comes from.
        on_disconnect: What happens when nobody reads any more: ``"cancel"`` closes the upstream,
            ``"continue"`` goes on to the end.
        grace: For how many seconds nobody may read before that counts.
        stall_after: After how many seconds without a byte from upstream the run fails, keep-alives
            included; None: never.
        fps: How many times a second readers are told of new text, the first of it at once. 0: of
            each piece as it comes.
        raw: Whether to keep the upstream's own events too, for those who pass them on.
        max_bytes: Most bytes of text; a longer answer fails with ``"too_long"``.
        on_end: Is called when the run has ended.
        owner: Whose it is, for those who decide who may read it.
        elsewhere: Tells whether anybody reads it in another process; None: there is no other.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(
        self,
        run_id: str,
        source: Source,
        *,
        on_disconnect: OnDisconnect = "cancel",
        grace: float = 0.0,
        stall_after: float | None = 90.0,
        fps: float = 30,
        raw: bool = False,
        max_bytes: int = 4 << 20,
        on_end: Callable[["Run"], None] | None = None,
        owner: str | None = None,
        elsewhere: Callable[[], Awaitable[bool]] | None = None,
    ) -> None:
        if on_disconnect not in ("cancel", "continue"):
            raise ValueError(f'on_disconnect is "cancel" or "continue", got {on_disconnect!r}')
        if not (grace >= 0 and fps >= 0 and max_bytes > 0) or (
            stall_after is not None and not stall_after > 0
        ):
            raise ValueError(
                "grace and fps are numbers from 0 up, stall_after is above 0 or None, max_bytes is "
                f"above 0; got grace={grace}, fps={fps}, stall_after={stall_after}, "
                f"max_bytes={max_bytes}"
            )
        self._id = run_id
        self._owner = owner
        self._raw = raw
        self._max_bytes = max_bytes
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._feed = Feed(
            secrets.token_hex(4),
            fps=fps,
            max_raw=max_bytes,
            on_join=self._joined,
            on_leave=self._left,
        )
        self._status: Status = "running"
        self._error: BaseException | None = None
        self._completion: Any = None
        self._usage: Usage | None = None
        # Until it is being opened; and what it turned out to be, while it is open.
        self._source: list[Source] = [source]
        self._stream: Any = None
        # What ends the run, if it does not end by itself.
        self._verdict: FailedEvent | StoppedEvent | None = None
        self._done: DoneEvent | None = None
        self._events = 0
        self._tools_running = 0
        # Where the log was when the turn of a tool run began.
        self._turn_start = 0
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._closing: asyncio.TimerHandle | None = None
        self._leaving = (
            Leaving(grace, self._all_left, elsewhere) if on_disconnect == "cancel" else None
        )
        self._stall_after = stall_after
        self._stall_watch = (
            None if stall_after is None else StallWatch(stall_after, self._signs, self._stalled)
        )
        self._pump: asyncio.Task[None] | None = self._loop.create_task(
            self._follow(), name=f"run {run_id}"
        )
        # Cancelled before it began, a task does not run at all.
        self._pump.add_done_callback(self._pump_ended)
        _running.add(self)
        if (retry := _ending_loops.get(self._loop)) is not None:
            # By a request that was already here: a server waits for it as for the others.
            self.drain(retry)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._id!r}: {self._status}, {self.readers} readers>"

    @property
    def id(self) -> str:
        """Its name among the runs of its :class:`Live`."""
        return self._id

    @property
    def owner(self) -> str | None:
        """Whose it is, as :meth:`Live.start` was told; in every process."""
        return self._owner

    @property
    def status(self) -> Status:
        """``"running"``, ``"done"``, ``"stopped"`` or ``"failed"``."""
        return self._status

    @property
    def readers(self) -> int:
        """How many read it at the moment, in this process."""
        return self._feed.readers

    @property
    def cursor(self) -> str:
        """Where a reader is that has been told everything."""
        return self._feed.cursor

    @property
    def usage(self) -> Usage | None:
        """The token counts; None until they come, with the end of the answer."""
        if self._stream is not None:
            return _usage_of(self._stream)
        return self._usage

    @property
    def completion(self) -> Any:
        """The answer as far as it came, from streams and tool runs; None while it runs.

        None too for a run of another process.
        """
        return self._completion

    @property
    def cost(self) -> Decimal | None:
        """What it cost in US dollars at DeepSeek's prices; None while that is not known."""
        return None if self._feed.ending is None else self._feed.ending.cost

    @property
    def error(self) -> BaseException | None:
        """The exception that it failed with; None if it did not, or without one.

        Also what went wrong after an answer was complete.
        """
        return self._error

    @property
    def size(self) -> int:
        """Bytes of what it holds, about."""
        return self._feed.log.size + self._feed.log.raw_size

    def read(
        self, after: str | None = None, heartbeat: float | None = 15.0
    ) -> AsyncGenerator[Batch]:
        """Follow the answer to its end.

        A reader is a place in the log, nothing more: whoever is slow gets larger batches, and
        holds up nobody.

        Args:
            after: The cursor of the last batch that was had; None: from the beginning. One of
                another run, or from before a restart, makes a ``reset`` event and the whole answer.
            heartbeat: After how many seconds of silence to yield a batch without events; None:
                never.

        Yields:
            What is new; the last batch has ``last`` set. Nothing, if all of it was had before.

        Raises:
            RuntimeError: If another event loop runs than the one that started the run.
            ValueError: If the heartbeat is no time.
        """
        return self._feed.read(after, heartbeat)

    def events_before(self, position: int) -> list[LiveEvent]:
        """Return all that was told before a batch's ``start``, neighbouring deltas joined."""
        return self._feed.log.between(0, position)

    def raw_between(self, start: int, end: int) -> bytes | None:
        """Return the upstream's own bytes of a batch from ``start`` to ``end``.

        None if they are not kept (any more): without ``raw=True``, of a long answer's beginning,
        or of a run of another process.
        """
        return self._feed.log.raw_between(start, end)

    @classmethod
    def all_running(cls) -> "list[Run]":
        """Return all that run in this event loop, those that no :class:`Live` knows of too."""
        loop = asyncio.get_running_loop()
        return [run for run in list(_running) if run._loop is loop]

    @classmethod
    def drain_new(cls, retry: float | None) -> None:
        """Drain what begins in this event loop from now on, at its beginning; None: no more."""
        loop = asyncio.get_running_loop()
        _ending_loops.pop(loop, None)
        if retry is not None:
            _ending_loops[loop] = retry

    async def stop(self) -> None:
        """Close the upstream at once, and tell the readers. Returns when that is done."""
        self.end(StoppedEvent("stopped"))
        await self.wait()

    async def wait(self) -> Status:
        """Wait until it has ended, and return how."""
        # Not awaited itself: a waiter that is cancelled must not cancel it for the others.
        await asyncio.wait([self._ended])
        return self._status

    def end(self, verdict: FailedEvent | StoppedEvent) -> None:
        """Close the upstream at once, for the reason that readers are told.

        Of several reasons the first one counts. A source that does not let itself be cancelled
        has a few seconds, then the run ends without it.
        """
        if self._pump is not None and self._verdict is None:
            self._decide(verdict)
            # Once: a second time it would interrupt what the source does to end properly.
            self._pump.cancel()

    def drain(self, retry: float) -> None:
        """Let every reader end, now and from now on, and come back after ``retry`` seconds.

        A run that would not go on without readers ends with them.
        """
        self._feed.drain(DrainEvent(retry))
        if self._leaving is not None:
            self._leaving.hurry()
            if not self.readers:
                self._leaving.left()

    async def _follow(self) -> None:
        """Read the upstream to its end."""
        async with opened(self._source.pop(), raw=self._raw) as (stream, events):
            self._stream = stream
            async for event in events:
                if self._verdict:
                    # A source that does not let itself be cancelled.
                    return
                self._events += 1
                self._take(event)
                if self._verdict:
                    return

    def _take(self, event: Any) -> None:
        """Tell the readers what came from upstream."""
        feed = self._feed
        if self._done is not None:
            # It was not the last, after all.
            feed.append(self._done)
            self._done = None
        kind = cast("type[object]", type(event))
        if kind is QueuedEvent:
            feed.say(event)
        elif kind is RawEvent:
            feed.log.append_raw(event.data)
        elif kind is DoneEvent:
            if not isinstance(event.usage, Usage | None):
                raise TypeError(
                    f"the usage of a DoneEvent is a Usage, not {type(event.usage).__name__}"
                )
            self._done = event
        else:
            if kind is str:
                event = ContentDeltaEvent(event)
            elif kind in _OF_TOOL_RUNS:
                self._note_turn(event)
            elif not hasattr(event, "type"):
                raise TypeError(
                    "a run is told events, as those of chat.completions.stream(), or pieces of "
                    f"text; got {type(event).__name__}"
                )
            feed.append(event)
            self._limit()

    def _note_turn(self, event: TurnDoneEvent | ToolStartedEvent | ToolDoneEvent) -> None:
        """Keep track of a tool run, and tell of an answer that was not streamed."""
        feed = self._feed
        if isinstance(event, ToolStartedEvent):
            self._tools_running += 1
        elif isinstance(event, ToolDoneEvent):
            self._tools_running -= 1
        elif feed.log.end == self._turn_start:
            for told in events_of(event.completion):
                feed.append(told)
        # The event itself takes one place.
        self._turn_start = feed.log.end + 1

    def _limit(self) -> None:
        """Let no answer fill the memory."""
        if self._verdict is None and self._feed.log.size > self._max_bytes:
            message = f"the answer has more than {self._max_bytes:,} bytes"
            self._decide(FailedEvent("too_long", message))

    def _decide(self, verdict: FailedEvent | StoppedEvent) -> None:
        self._verdict = verdict
        self._closing = self._loop.call_later(_CLOSING, self._give_up)

    def _pump_ended(self, pump: "asyncio.Task[None]") -> None:
        """Take note of how the upstream ended."""
        exc = None if pump.cancelled() else pump.exception()
        if exc is not None:
            self._note(exc)
        if self._pump is None:
            # Given up before.
            return
        if self._source:
            # It was cancelled before it began.
            abandon(self._source.pop())
        if self._verdict is None and self._done is None:
            # With it, the answer was complete: what went wrong after is not the reader's concern.
            if exc is not None:
                self._verdict = failure_of(exc)
            elif pump.cancelled():
                # Something in the source was cancelled, and nobody here asked for it.
                self._verdict = FailedEvent("error", "the answer was cancelled")
        self._conclude()

    def _give_up(self) -> None:
        """End without a source that does not end."""
        _logger.error(
            "run %s: its source has not ended %g s after it was cancelled; going on without it",
            self._id,
            _CLOSING,
        )
        self._conclude()

    def _conclude(self) -> None:
        """Tell the readers how it ended."""
        # What refers to this run would keep its log in memory until the garbage collector comes:
        # a cancelled task, too, holds a traceback.
        self._pump = None
        for part in (self._leaving, self._stall_watch):
            if part is not None:
                part.close()
        self._leaving = self._stall_watch = None
        if self._closing is not None:
            self._closing.cancel()
        ending = self._ending()
        self._stream = None
        self._status, self._usage = ending.status, ending.usage
        self._feed.end(self._verdict or self._done or DoneEvent(None, self._usage), ending)
        _running.discard(self)
        self._ended.set_result(None)
        on_end, self._on_end = self._on_end, None
        if on_end is not None:
            on_end(self)

    def _ending(self) -> Ending:
        """Keep what the stream brought, and return how it ended."""
        self._completion = self._asked(_completion_of)
        usage = self._asked(_usage_of)
        if usage is None and self._done is not None:
            usage = self._done.usage
        status: Status = "done"
        if self._verdict is not None:
            status = "failed" if isinstance(self._verdict, FailedEvent) else "stopped"
        cost = self._asked(lambda stream: _cost_of(stream, self._completion))
        return Ending(status, usage, cost)

    def _asked(self, question: Callable[[Any], T]) -> T | None:
        """Return what a stream says of itself; what goes wrong there keeps no run from its end."""
        try:
            return question(self._stream)
        except Exception:  # The application's own code.
            _logger.exception("run %s: the source of the answer can't tell of itself", self._id)
            return None

    def _note(self, exc: BaseException) -> None:
        """Keep what went wrong, and log it: there may be nobody who looks."""
        if isinstance(exc, DeepSeekError):
            _logger.warning("run %s: %s: %s", self._id, type(exc).__name__, exc)
        else:
            _logger.error("run %s: the source of the answer raised", self._id, exc_info=exc)
        # Without tracebacks, which would keep all that their frames hold.
        self._error = exc
        chain: list[BaseException | None] = [exc]
        seen: set[int] = set()
        while chain:
            link = chain.pop()
            if link is not None and id(link) not in seen:
                seen.add(id(link))
                link.__traceback__ = None
                chain += [link.__cause__, link.__context__]

    def _joined(self) -> None:
        if self._leaving is not None:
            self._leaving.joined()

    def _left(self) -> None:
        if self._leaving is not None:
            self._leaving.left()

    def _all_left(self) -> None:
        self.end(StoppedEvent("drained" if self._feed.draining else "left"))

    def _stalled(self) -> None:
        message = f"nothing came from the server for {self._stall_after:g} s"
        self.end(FailedEvent("stalled", message, retryable=True))

    def _signs(self) -> object:
        """Return what tells that the upstream lives; None while nothing is expected of it."""
        stream = self._stream
        if stream is None or self._tools_running or isinstance(stream, ToolRunner):
            # The request waits for its turn, or has its own timeouts; so have tools, and the
            # answers of a tool run that are not streamed.
            return None
        return self._events, getattr(self._stream, "bytes_received", 0)


def _completion_of(stream: Any) -> Any:
    """Return the answer that a stream has put together, if it does that."""
    completion = getattr(stream, "completion", None)
    if not callable(completion):
        return completion
    if inspect.iscoroutinefunction(completion):
        return None
    # A stream that keeps nothing says so.
    with contextlib.suppress(RuntimeError):
        return completion()
    return None


def _usage_of(stream: Any) -> Usage | None:
    """Return the token counts that a stream has; what is called so elsewhere is none of ours."""
    usage = getattr(stream, "usage", None)
    return usage if isinstance(usage, Usage) else None


def _cost_of(stream: Any, completion: Any) -> Decimal | None:
    """Return the price of an answer, in US dollars; that of all turns of a tool run."""
    total = Decimal(0)
    for each in getattr(stream, "completions", None) or [completion]:
        if not isinstance(each, ChatCompletion | Completion):
            return None
        price = each.cost()
        if price is None:
            return None
        total += price
    return total
