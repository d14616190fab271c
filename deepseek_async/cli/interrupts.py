"""What Ctrl-C does in a conversation."""

import signal
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType
from typing import Self

# An answer that takes longer to stop hangs, as in a tool that heeds no cancellation.
_PATIENCE_SECONDS = 2.0


class Interrupts:
    """Makes Ctrl-C stop an answer, or leave a line, and nothing else.

    As an exception it could come anywhere, also while the first one is being honoured. A signal
    that is ignored, as in the background, stays ignored; in another thread than the main one,
    nothing is changed.
    """

    def __init__(self) -> None:
        self._is_reading = False
        self._stop: Callable[[], object] | None = None
        self._stopped_at: float | None = None
        self._is_installed = False

    def __enter__(self) -> Self:
        if (
            threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        ):
            signal.signal(signal.SIGINT, self._pressed)
            self._is_installed = True
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_installed:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    @contextmanager
    def reading(self) -> Generator[None]:
        """Let Ctrl-C raise KeyboardInterrupt."""
        self._is_reading = True
        try:
            yield
        finally:
            self._is_reading = False

    @contextmanager
    def answering(self, stop: Callable[[], object]) -> Generator[None]:
        """Let Ctrl-C call ``stop``, once; pressed again after seconds, it ends the program.

        Args:
            stop: Called between any two steps of the main thread: it may not wait for anything.
        """
        self._stopped_at = None
        self._stop = stop
        try:
            yield
        finally:
            self._stop = None

    def _pressed(self, signum: int, frame: FrameType | None) -> None:
        if self._is_reading:
            raise KeyboardInterrupt
        if self._stop is None:
            return
        if self._stopped_at is None:
            self._stopped_at = time.monotonic()
            self._stop()
        elif time.monotonic() - self._stopped_at > _PATIENCE_SECONDS:
            raise KeyboardInterrupt
