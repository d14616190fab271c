"""Whether anything comes from an upstream."""

import asyncio
from collections.abc import Callable

# How many times in the time it is looked whether anything has come: so much later, at most, than
# the time itself a silence is noticed.
_LOOKS = 4


class StallWatch:
    """Tells that nothing has come for a while.

    It looks from time to time, instead of setting a timer for each thing that comes.

    Args:
        seconds: How long nothing may come; noticed up to a quarter of it later.
        signs: Returns what changes when something comes; None while nothing is expected.
        on_stall: Is called when nothing has come.
    """

    def __init__(
        self, seconds: float, signs: Callable[[], object], on_stall: Callable[[], None]
    ) -> None:
        self._pause = seconds / _LOOKS
        self._signs = signs
        self._on_stall = on_stall
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = self._loop.call_later(
            self._pause, self._look, None, 0
        )

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self, seen: object, silent: int) -> None:
        """Look whether anything has come.

        Args:
            seen: What had come the last time.
            silent: How many times in a row nothing had.
        """
        self._timer = None
        now = self._signs()
        silent = 0 if now is None or now != seen else silent + 1
        if silent == _LOOKS:
            self._on_stall()
        else:
            self._timer = self._loop.call_later(self._pause, self._look, now, silent)
