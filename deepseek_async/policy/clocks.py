"""The clocks of one call: idle, progress, first event, total.

They count only the time that is spent waiting for the socket, but for ``total``, which counts
all. The caller brings ``now``, in seconds of a monotonic clock.
"""

from deepseek_async.errors import (
    APITimeoutError,
    FirstEventTimeoutError,
    IdleTimeoutError,
    ProgressTimeoutError,
    TotalTimeoutError,
)
from deepseek_async.types.options import Timeouts


class Clocks:
    """Deadlines of one call.

    Args:
        timeouts: The limits.
        streamed: Whether the answer is a stream. A plain answer has no events, and may send
            nothing until it is ready: ``idle`` starts with its first byte.

    Attributes:
        begun: Whether the answer has: with an event, or if it is a plain one with a byte.
        waited: How long has been waited for the next event.
        waiting_since: Since when the call waits for the socket; None while it does not.
        timeouts: The limits.
    """

    __slots__ = (
        "_idle",
        "_limit",
        "_streamed",
        "_total",
        "begun",
        "timeouts",
        "waited",
        "waiting_since",
    )

    def __init__(self, timeouts: Timeouts, *, streamed: bool) -> None:
        self.timeouts = timeouts
        self._streamed = streamed
        self._total: float | None = None
        self.waiting_since: float | None = None
        self.restart()

    def start(self, now: float) -> None:
        """Begin the call: ``total`` runs from now on."""
        if self.timeouts.total is not None and self._total is None:
            self._total = now + self.timeouts.total

    def restart(self) -> None:
        """Begin a new attempt; ``total`` runs on."""
        self._idle = self.timeouts.idle if self._streamed else None
        self.begun = False
        # The limit to the next event, and how much of it has been waited.
        self._limit = self.timeouts.first_event if self._streamed else None
        self.waited = 0.0
        self.waiting_since = None

    @property
    def total_deadline(self) -> float | None:
        """When the whole call must be over."""
        return self._total

    def wait(self, now: float) -> None:
        """Begin to wait for bytes."""
        self.waiting_since = now

    def stop(self, now: float) -> None:
        """Stop waiting, whether bytes came or not."""
        if self.waiting_since is not None:
            self.waited += now - self.waiting_since
            self.waiting_since = None

    def bytes_came(self) -> bool:
        """Take note of bytes of a plain answer: silence counts from now on.

        Returns:
            Whether a clock started, so that the next deadline may be earlier than before.
        """
        begun, self.begun = self.begun, True
        self._idle = self.timeouts.idle
        return not begun

    def event_came(self) -> bool:
        """Take note of an event of a stream; keep-alives are none.

        Returns:
            Whether a clock started, so that the next deadline may be earlier than before.
        """
        begun, self.begun = self.begun, True
        self._limit = self.timeouts.progress
        self.waited = 0.0
        return not begun

    def deadline(self, now: float) -> float | None:
        """Return when the next clock runs out, if the call waits from now on without a break."""
        since = self.waiting_since if self.waiting_since is not None else now
        deadlines = [self._total] if self._total is not None else []
        if self._idle is not None:
            deadlines.append(since + self._idle)
        if self._limit is not None:
            deadlines.append(since + self._limit - self.waited)
        return min(deadlines, default=None)

    def expired(self, now: float) -> APITimeoutError | None:
        """Return the error of the clock that has run out; None if none has.

        Args:
            now: The current time. Timers may fire early by the resolution of the clock; callers
                that were woken by one pass the later of its deadline and the time.
        """
        timeouts = self.timeouts
        if self._total is not None and now >= self._total:
            return TotalTimeoutError(
                f"the call took longer than the total timeout of {timeouts.total:g} s"
            )
        since = self.waiting_since
        if since is None:
            return None
        if self._limit is not None and now >= since + self._limit - self.waited:
            if not self.begun:
                return FirstEventTimeoutError(
                    f"the stream did not begin within {self._limit:g} s (keep-alives don't count)"
                )
            return ProgressTimeoutError(
                f"the stream made no progress for {self._limit:g} s (keep-alives don't count)"
            )
        if self._idle is not None and now >= since + self._idle:
            return IdleTimeoutError(f"the server sent nothing for {self._idle:g} s")
        return None
