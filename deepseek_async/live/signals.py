"""Signals that end the process, noticed before the server acts on them."""

import signal
from collections.abc import Callable, Iterable
from types import FrameType

_Handler = Callable[[int, FrameType | None], object]


class SignalsError(RuntimeError):
    """No signal would be noticed here."""


class SignalChain:
    """Calls a function on the first signal that ends the process, and then what was there.

    Servers handle signals in two ways, and this comes before both: a handler of the ``signal``
    module is called from ours; one of the event loop's ``add_signal_handler``, with asyncio and
    uvloop, is called by the loop, which is told of signals by the interpreter and not by a handler.

    Args:
        signals: Which to notice.
        on_signal: Is called at the first of them, amid whatever the main thread does.

    Raises:
        SignalsError: If it is made outside the main thread, or nothing ends the process properly
            on any of the signals.
    """

    def __init__(self, signals: Iterable[signal.Signals], on_signal: Callable[[], None]) -> None:
        self._on_signal: Callable[[], None] | None = on_signal
        self._before: dict[signal.Signals, _Handler] = {}
        asked = list(signals)
        for each in asked:
            before = signal.getsignal(each)
            if callable(before):
                self._before[each] = before
        if not self._before:
            raise SignalsError(
                f"nothing handles {' or '.join(each.name for each in asked)} in this process: call "
                "drain_on_signal() where the server has begun, as in the application's lifespan or "
                "start-up; a server whose workers get no signals needs one without workers of its "
                "own, such as hypercorn --workers 0"
            )
        try:
            for each in self._before:
                signal.signal(each, self._handle)
        except ValueError:
            raise SignalsError(
                "drain_on_signal() is called in the main thread: signals come nowhere else"
            ) from None

    def close(self) -> None:
        """Put back what was there, unless somebody else has come since."""
        self._on_signal = None
        for each, before in self._before.items():
            if signal.getsignal(each) == self._handle:
                signal.signal(each, before)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        # The second one goes straight through.
        on_signal, self._on_signal = self._on_signal, None
        if on_signal is not None:
            on_signal()
        self._before[signal.Signals(number)](number, frame)
