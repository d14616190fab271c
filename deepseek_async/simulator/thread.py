"""`SimulatorThread`: a simulator with a thread and an event loop of its own.

For code that has no event loop, or whose event loops come and go: synchronous tests, tests with
pytest-asyncio or anyio, programs under test that run ``asyncio.run`` themselves.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from deepseek_async.simulator.clock import Clock
from deepseek_async.simulator.core import ReceivedRequest
from deepseek_async.simulator.faults import Fault
from deepseek_async.simulator.metrics import Metrics
from deepseek_async.simulator.scripted import Replay, Reply
from deepseek_async.simulator.server import Simulator

if TYPE_CHECKING:
    from deepseek_async import AsyncDeepSeek

_T = TypeVar("_T")

# Stopping aborts all connections; it takes longer only if something hangs.
_STOP_SECONDS = 10.0


class SimulatorThread:
    """A running `Simulator` that any thread may use; ``with`` starts and stops it.

    Its methods don't wait for anything but the simulator's own thread, which takes well under a
    millisecond: they may be called in coroutines.

    Args:
        options: As for `Simulator`.
    """

    def __init__(self, **options: Any) -> None:
        self._simulator = Simulator(**options)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._base_url = ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the thread, and listen.

        Raises:
            OSError: The port is taken.
            RuntimeError: It is running already.
        """
        if self._loop is not None:
            raise RuntimeError("the simulator is running already")
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=_run, args=(loop,), name="deepseek-simulator", daemon=True)
        thread.start()
        self._loop, self._thread = loop, thread
        try:
            self.run(self._simulator.start())
        except BaseException:
            self._end()
            raise
        self._base_url = self._simulator.base_url

    def stop(self) -> None:
        """Abort all connections and end the thread; does nothing if it isn't running."""
        if self._loop is None:
            return
        try:
            self.run(self._simulator.stop())
        finally:
            self._end()

    @property
    def is_running(self) -> bool:
        """Whether it was started, and not stopped since."""
        return self._loop is not None

    @property
    def base_url(self) -> str:
        """Where it listens: ``http://127.0.0.1:PORT``.

        Raises:
            RuntimeError: It isn't running.
        """
        if self._loop is None:
            raise RuntimeError("the simulator isn't running: use with, or start()")
        return self._base_url

    @property
    def clock(self) -> Clock:
        """Its clock; may be advanced from any thread."""
        return self._simulator.clock

    @property
    def requests(self) -> list[ReceivedRequest]:
        """Requests received so far, oldest first; a copy."""
        return self._call(lambda: list(self._simulator.requests))

    @property
    def metrics(self) -> Metrics:
        """Counters; live, but for `open_connections`, which is as of now."""
        return self._call(lambda: self._simulator.metrics)

    def script(self, *replies: Reply | Replay) -> None:
        """Answer the next chat and FIM requests with `replies`; see `Simulator.script`."""
        self._call(lambda: self._simulator.script(*replies))

    def faults(self, *faults: Fault | None) -> None:
        """Spoil answers; see `Simulator.faults`."""
        self._call(lambda: self._simulator.faults(*faults))

    def reset(self) -> None:
        """Forget scripts, faults and received requests."""
        self._call(self._simulator.reset)

    def client(self, **options: Any) -> AsyncDeepSeek:
        """A new client of this simulator; see `Simulator.client`.

        It belongs to the caller's event loops, not to the simulator's.
        """
        return self._call(lambda: self._simulator.client(**options))

    def run(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        """Run a coroutine in the simulator's event loop, and wait for its result.

        Raises:
            RuntimeError: It isn't running, or this is its own thread.
        """
        loop = self._loop
        if loop is None or threading.current_thread() is self._thread:
            coroutine.close()
            reason = "isn't running" if loop is None else "can't wait for itself"
            raise RuntimeError(f"the simulator {reason}")
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result()

    def _call(self, function: Callable[[], _T]) -> _T:
        if self._loop is None:
            return function()

        async def called() -> _T:
            return function()

        return self.run(called())

    def _end(self) -> None:
        loop, thread = self._loop, self._thread
        self._loop = self._thread = None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(_STOP_SECONDS)


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        # What the last callbacks started or scheduled, such as closing transports.
        pending = asyncio.all_tasks(loop)
        for task in pending:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        asyncio.set_event_loop(None)
        loop.close()
