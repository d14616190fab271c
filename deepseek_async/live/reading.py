"""A reader that waits for news, or for the time of a heartbeat."""

import asyncio

# Timers may fire early by the resolution of the clock, in seconds.
_EARLY = 0.002


class Reading:
    """One reader's place to wait.

    Args:
        loop: The loop it waits in.
        heartbeat: For how many seconds it waits at most; None: for ever.
    """

    __slots__ = ("_future", "_heartbeat", "_loop", "_since", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, heartbeat: float | None) -> None:
        self._loop = loop
        self._heartbeat = heartbeat
        self._future: asyncio.Future[bool] | None = None
        self._since = 0.0
        self._timer: asyncio.TimerHandle | None = None

    async def news(self) -> bool:
        """Wait for :meth:`wake`; False if the time of a heartbeat came first."""
        loop = self._loop
        self._future = loop.create_future()
        if self._heartbeat is not None:
            self._since = loop.time()
            if self._timer is None:
                self._timer = loop.call_at(self._since + self._heartbeat, self._look)
        try:
            return await self._future
        finally:
            self._future = None

    def wake(self) -> None:
        """End the waiting, if it waits."""
        future = self._future
        if future is not None and not future.done():
            future.set_result(True)

    def close(self) -> None:
        """Wait no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        """Look whether the silence was long enough.

        The timer is not set anew for every batch: it looks at the clock when it fires, so that
        a reader of an answer that flows costs no timers.
        """
        self._timer = None
        future = self._future
        if future is None or future.done():
            # Busy writing what it got; the next time it waits sets the timer.
            return
        assert self._heartbeat is not None
        due = self._since + self._heartbeat
        if self._loop.time() >= due - _EARLY:
            future.set_result(False)
        else:
            self._timer = self._loop.call_at(due, self._look)
