"""The runs of one process."""

import asyncio
import contextlib
import logging
import secrets
import signal
from collections import OrderedDict
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

from deepseek_async.live.errors import LiveClosedError, LiveFullError, RunExistsError
from deepseek_async.live.events import StoppedEvent
from deepseek_async.live.kept import KeptRun
from deepseek_async.live.mirror import LINGER, MirroredRun
from deepseek_async.live.run import OnDisconnect, Run
from deepseek_async.live.signals import SignalChain, SignalsError
from deepseek_async.live.source import Source, abandon
from deepseek_async.live.store import LogStore

_logger = logging.getLogger("deepseek_async.live")

# Most characters of an id.
_MAX_ID = 200
# When a reader that a closing process sends away may come back, in seconds.
RETRY = 1.0
# How long a closing process waits for a store to take what has not reached it yet, in seconds.
_STORE_PATIENCE = 1.0


class Live:
    """The runs of one process, by their ids: start them, find them, end them.

    Made before there is an event loop, if you like; it belongs to the loop of its first run until
    that loop is closed. An async context manager that stops what runs when it is left; entered
    again, it begins anew.

    Args:
        retain: For how many seconds a run can still be read after it has ended.
        max_runs: Most runs to hold. For a new one the oldest that has ended makes room; if none
            has, it is refused.
        max_bytes: Most bytes of one answer; a longer one fails.
        store: Where runs are written to, for the other processes that serve the same application,
            and where theirs are found. None: there are none.
        max_retained_bytes: Most bytes of answers that have ended, together; the oldest are
            forgotten first.
        sign_every: How often to tell other processes, through the store, that a run is alive, in
            seconds. After three times as long without a sign its readers there are told that it
            is lost.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(
        self,
        retain: float = 300.0,
        max_runs: int = 10_000,
        max_bytes: int = 4 << 20,
        store: LogStore | None = None,
        *,
        max_retained_bytes: int = 256 << 20,
        sign_every: float = 5.0,
    ) -> None:
        if not (
            min(retain, max_retained_bytes) >= 0
            and min(max_runs, max_bytes) >= 1
            and sign_every > 0
        ):
            raise ValueError(
                "retain and max_retained_bytes are from 0 up, max_runs and max_bytes from 1, "
                f"sign_every is above 0; got retain={retain}, max_runs={max_runs}, "
                f"max_bytes={max_bytes}, max_retained_bytes={max_retained_bytes}, "
                f"sign_every={sign_every}"
            )
        self._retain = retain
        self._max_runs = max_runs
        self._max_bytes = max_bytes
        self._store = store
        self._max_retained_bytes = max_retained_bytes
        self._sign_every = sign_every
        self._loop: asyncio.AbstractEventLoop | None = None
        self._begin()

    def _begin(self) -> None:
        """Forget everything."""
        self._retained_bytes = 0
        self._runs: dict[str, Run] = {}
        # Those of other processes that are read here.
        self._mirrors: dict[str, MirroredRun] = {}
        # Those that have ended, the oldest first, with the time when each is forgotten.
        self._ended: OrderedDict[str, float] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None
        self._signals: SignalChain | None = None
        self._draining: asyncio.Task[None] | None = None
        self._closed = False

    def __repr__(self) -> str:
        running = len(self._runs) - len(self._ended)
        return f"<Live: {running} running, {len(self._ended)} ended>"

    def __len__(self) -> int:
        return len(self._runs)

    async def __aenter__(self) -> Self:
        self._bind()
        self._closed = False
        Run.drain_new(None)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def start(
        self,
        source: Source,
        *,
        id: str | None = None,  # noqa: A002 - as everybody calls it
        on_disconnect: OnDisconnect = "cancel",
        grace: float = 0.0,
        stall_after: float | None = 90.0,
        fps: float = 30,
        raw: bool = False,
        owner: str | None = None,
        replace: bool = False,
    ) -> Run:
        """Start a run. It goes on by itself, read or not, as ``on_disconnect`` says.

        Args:
            source: A function that returns a stream, as in
                ``lambda: client.chat.completions.stream(...)``, a tool runner, or an async iterator
                of events or of text; or one of these itself.
            id: What to find it by; made up if not given. Use one that can't be guessed where it
                is all that a browser needs to read an answer. No longer than 200 characters, and
                without a slash, so that it fits into a path.
            on_disconnect: What happens when nobody reads any more: ``"cancel"`` closes the
                upstream, ``"continue"`` goes on to the end. With a store, readers in other
                processes count; that they have left is noticed up to 20 seconds later.
            grace: For how many seconds nobody may read before that counts. With 10, an answer
                survives the reload of its page. A run that nobody has read yet has 10 seconds.
            stall_after: After how many seconds without a byte from upstream it fails, keep-alives
                included; None: never. Runs from the headers of the response; tool runs have
                timeouts of their own. For a source that is no stream of this library it counts
                events: let it be longer than the source may be silent.
            fps: How many times a second readers are told of new text, the first of it at once. 0:
                of each piece as it comes.
            raw: Whether to keep the upstream's own events too, for those who pass them on.
            owner: Whose it is, such as a user's or a session's id; in ``run.owner``, for those
                who decide who may read and stop it.
            replace: Whether the run may take the id of one that has ended, which is forgotten.

        Raises:
            RunExistsError: If this process has a run of this id. One of another process is not
                noticed: its log in the store is begun anew.
            LiveFullError: If there are too many, and none has ended.
            LiveClosedError: If it was closed, or the process is ending.
            ValueError: If an argument is out of its range.
            RuntimeError: If another event loop runs than that of the first run.
        """
        try:
            self._bind()
            run = self._started(
                source,
                secrets.token_urlsafe(12) if id is None else _checked_id(id),
                on_disconnect=on_disconnect,
                grace=grace,
                stall_after=stall_after,
                fps=fps,
                raw=raw,
                owner=owner,
                replace=replace,
            )
        except BaseException:
            abandon(source)
            raise
        if isinstance(run, KeptRun):
            try:
                # Whoever is told of the run may ask another process for it at once.
                await run.announced()
            except asyncio.CancelledError:
                run.end(StoppedEvent("stopped"))
                raise
        return run

    def get(self, run_id: str) -> Run | None:
        """Return a run of this process; None if it has none of this id, or not any more.

        Nor of an event loop that is closed: nobody can read it.
        """
        if self._loop is not None and self._loop.is_closed():
            return None
        return self._runs.get(run_id)

    async def find(self, run_id: str) -> Run | None:
        """Return a run, of this process or, through the store, of another one.

        One of another process is read and stopped as if it were here, with the same cursors. It
        has no ``completion``, and no raw events.

        Args:
            run_id: Id of the run.

        Returns:
            The run; None if there is none of this id, or not any more.

        Raises:
            LiveStoreError: If the store can't be asked.
            LiveClosedError: If this was closed or drained, and the run is another process's.
            LiveFullError: If too many runs of other processes are read here.
            RuntimeError: If another event loop runs than that of the first run.
        """
        run = self.get(run_id)
        if run is not None or self._store is None:
            return run
        self._bind()
        mirror = self._mirrors.get(run_id)
        if mirror is None:
            if self._closed:
                raise LiveClosedError("no run can be found any more: the process is ending")
            if len(self._mirrors) >= self._max_runs:
                raise LiveFullError(
                    f"{len(self._mirrors)} runs of other processes are read here, and max_runs is "
                    f"{self._max_runs}"
                )
            mirror = self._mirrors[run_id] = MirroredRun(
                run_id, self._store, max_bytes=self._max_bytes, on_end=self._mirror_ended
            )
        return mirror if await mirror.known() else None

    async def stop(self, run_id: str) -> bool:
        """Stop a run, whoever reads it, in whichever process; False if there is none of this id.

        Raises:
            LiveStoreError: If the store can't be asked.
        """
        run = await self.find(run_id)
        if run is None:
            return False
        await run.stop()
        return True

    async def drain(self, seconds: float = 1.0) -> None:
        """Send all readers away properly, and let nothing begin: the process is ending.

        Each reader gets a last event that tells it to come back, to another process; then its
        connection can end. Runs that go on without readers have ``seconds`` to come to their end.

        Args:
            seconds: How long all this may take. What then still runs is stopped.
        """
        await self._drain(self._running(), seconds)

    def drain_on_signal(
        self,
        seconds: float = 1.0,
        signals: Iterable[signal.Signals] = (signal.SIGTERM, signal.SIGINT),
    ) -> bool:
        """Drain when the process is told to end, before the server waits for its connections.

        Call it once the server has begun: in the application's lifespan, or its start-up. What the
        server does on the signal it still does, at the same time. All runs of this event loop are
        drained, those behind :mod:`deepseek_async.web`'s responses too. A second signal is the
        server's alone. Ends with :meth:`aclose`.

        Args:
            seconds: As for :meth:`drain`.
            signals: Which to wait for; those that nothing handles are left alone.

        Returns:
            Whether it will. Where no signal comes, in a thread of a test client or a worker whose
            server keeps them for itself, the log says so, and the application runs all the same.

        Raises:
            RuntimeError: If it is called without an event loop, or in another one than before.
        """
        self._bind()
        Run.drain_new(None)
        loop = asyncio.get_running_loop()
        if self._signals is not None:
            self._signals.close()

        def begin() -> None:
            # Without aclose() it may come when nothing runs any more; others wait for it still.
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._drain_all, seconds)

        try:
            self._signals = SignalChain(signals, begin)
        except SignalsError as exc:
            self._signals = None
            _logger.warning("readers will not be sent away on a signal: %s", exc)
        return self._signals is not None

    async def aclose(self) -> None:
        """Stop all that runs. What has ended can still be read."""
        self._closed = True
        if self._signals is not None:
            self._signals.close()
            self._signals = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._draining is not None and self._draining is not asyncio.current_task():
            # What goes on without readers has its time.
            await asyncio.wait([self._draining])
        running = self._running()
        for run in running:
            run.end(StoppedEvent("drained"))
        for run in running:
            await run.wait()
        kept = [run for run in self._runs.values() if isinstance(run, KeptRun)]
        await asyncio.gather(*(run.kept(_STORE_PATIENCE) for run in kept))

    def _bind(self) -> None:
        """Belong to the loop that runs.

        Raises:
            RuntimeError: If it belongs to another one.
        """
        loop = asyncio.get_running_loop()
        if self._loop is loop:
            return
        if self._loop is not None:
            if not self._loop.is_closed():
                raise RuntimeError(
                    "this Live belongs to another event loop; make one for each loop"
                )
            # asyncio.run() a second time: nothing of the first time runs, or can be read here.
            self._begin()
        self._loop = loop

    def _started(self, source: Source, run_id: str, *, replace: bool, **options: Any) -> Run:
        if self._closed:
            raise LiveClosedError("no run can be started any more: the process is ending")
        if replace and run_id in self._ended:
            self._forget(run_id)
        if run_id in self._runs:
            raise RunExistsError(f"there is a run {run_id!r} already", run=self._runs[run_id])
        if len(self._runs) >= self._max_runs:
            self._make_room()
        options.update(max_bytes=self._max_bytes, on_end=self._run_ended)
        if self._store is None:
            run = Run(run_id, source, **options)
        else:
            run = KeptRun(run_id, source, store=self._store, sign_every=self._sign_every, **options)
        self._runs[run_id] = run
        return run

    def _drain_all(self, seconds: float) -> None:
        """Drain whatever runs in this process, whoever started it, and what begins meanwhile."""
        Run.drain_new(RETRY)
        self._draining = asyncio.get_running_loop().create_task(
            self._drain(Run.all_running(), seconds), name="drain"
        )

    async def _drain(self, running: list[Run], seconds: float) -> None:
        self._closed = True
        for run in running:
            run.drain(RETRY)
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    for run in running:
                        await run.wait()
        finally:
            for run in running:
                run.end(StoppedEvent("drained"))
        await self.aclose()

    def _running(self) -> list[Run]:
        held = (*self._runs.values(), *self._mirrors.values())
        return [run for run in held if run.status == "running"]

    def _mirror_ended(self, mirror: Run) -> None:
        assert self._loop is not None
        if mirror.status == "done" and not self._closed:
            # For those who come a little later; the store has it for longer.
            self._loop.call_later(LINGER, self._drop_mirror, mirror)
        else:
            self._drop_mirror(mirror)

    def _drop_mirror(self, mirror: Run) -> None:
        if self._mirrors.get(mirror.id) is mirror:
            del self._mirrors[mirror.id]

    def _run_ended(self, run: Run) -> None:
        assert self._loop is not None
        self._ended[run.id] = self._loop.time() + self._retain
        self._retained_bytes += run.size
        while self._retained_bytes > self._max_retained_bytes:
            self._forget_oldest()
        if self._timer is None and not self._closed:
            self._timer = self._loop.call_later(self._retain, self._look)

    def _look(self) -> None:
        """Forget the runs whose time is over."""
        assert self._loop is not None
        self._timer = None
        now = self._loop.time()
        while self._ended:
            due = next(iter(self._ended.values()))
            if due > now:
                self._timer = self._loop.call_at(due, self._look)
                return
            self._forget_oldest()

    def _make_room(self) -> None:
        if not self._ended:
            raise LiveFullError(
                f"{len(self._runs)} runs are under way, and max_runs is {self._max_runs}"
            )
        self._forget_oldest()

    def _forget_oldest(self) -> None:
        self._forget(next(iter(self._ended)))

    def _forget(self, run_id: str) -> None:
        del self._ended[run_id]
        self._retained_bytes -= self._runs.pop(run_id).size


def _checked_id(run_id: object) -> str:
    """Return an id that fits into a path.

    Raises:
        ValueError: If it does not.
    """
    if isinstance(run_id, str) and 0 < len(run_id) <= _MAX_ID and "/" not in run_id:
        return run_id
    shown = repr(run_id)
    raise ValueError(
        f"an id is a text of 1 to {_MAX_ID} characters without a slash, got "
        f"{shown if len(shown) <= _MAX_ID else shown[:_MAX_ID] + '...'}"
    )
