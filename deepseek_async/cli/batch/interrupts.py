"""Ctrl-C and SIGTERM while a batch runs."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable, Generator


class Interrupts:
    """What Ctrl-C does: first, end in good order; again, at once.

    Args:
        first: Called the first time.
        again: Called the second time; after that it is as without this.
    """

    def __init__(self, first: Callable[[], None], again: Callable[[], None]) -> None:
        self._steps = [first, again]
        self.count = 0

    @contextlib.contextmanager
    def heeded(self) -> Generator[None]:
        """Heed Ctrl-C and SIGTERM in this block; in the main thread, where signals arrive."""
        if sys.platform == "win32":
            # It has no handlers of event loops: one Ctrl-C cancels.
            yield
            return
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(number, self._arrived)
            yield
        finally:
            self._remove()

    def _arrived(self) -> None:
        step = self._steps[self.count]
        self.count += 1
        if self.count == len(self._steps):
            self._remove()
        step()

    def _remove(self) -> None:
        if sys.platform != "win32":
            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().remove_signal_handler(number)
