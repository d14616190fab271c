"""When a run counts as left by all its readers."""

import asyncio
from collections.abc import Awaitable, Callable

# A run that nobody has begun to read is not left yet; how long that may take, in seconds.
FIRST_READER = 10.0
# How long to believe that there are readers in other processes before asking again, in seconds.
_AGAIN = 5.0


class Leaving:
    """Tells, once, that nobody has read for so long that nobody will.

    Args:
        grace: For how many seconds nobody may read before that counts.
        on_left: Is called then.
        elsewhere: Tells whether anybody reads in another process; None: there is no other.
    """

    def __init__(
        self,
        grace: float,
        on_left: Callable[[], None],
        elsewhere: Callable[[], Awaitable[bool]] | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._grace = grace
        self._on_left: Callable[[], None] | None = on_left
        self._elsewhere = elsewhere
        self._timer: asyncio.TimerHandle | None = None
        self._asking: asyncio.Task[None] | None = None
        self._wait(max(grace, FIRST_READER))

    def joined(self) -> None:
        """Somebody reads."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._asking is not None:
            self._asking.cancel()
            self._asking = None

    def left(self) -> None:
        """Nobody reads at the moment."""
        if self._grace:
            self._wait(self._grace)
        else:
            self._over()

    def hurry(self) -> None:
        """Wait for nobody from now on."""
        self._grace = 0.0

    def close(self) -> None:
        """Tell nothing any more."""
        self.joined()
        self._on_left = self._elsewhere = None

    def _wait(self, seconds: float) -> None:
        self.joined()
        self._timer = self._loop.call_later(seconds, self._over)

    def _over(self) -> None:
        self.joined()
        if self._elsewhere is not None:
            self._asking = self._loop.create_task(self._ask(self._elsewhere))
        elif self._on_left is not None:
            self._on_left()

    async def _ask(self, elsewhere: Callable[[], Awaitable[bool]]) -> None:
        is_read = await elsewhere()
        self._asking = None
        if is_read:
            self._wait(_AGAIN)
        elif self._on_left is not None:
            self._on_left()
