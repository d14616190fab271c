"""Writes a run to a store, for the other processes."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from deepseek_async.live.errors import LiveStoreError, LogForgottenError, LogReplacedError
from deepseek_async.live.feed import Feed
from deepseek_async.live.reading import Reading
from deepseek_async.live.records import encoded, kept_flag, read_flags
from deepseek_async.live.store import PATIENCE, LogStore, asked

_logger = logging.getLogger("deepseek_async.live")

# A store is told no more than so many times a second; what comes meanwhile goes together.
_APPENDS_A_SECOND = 20
# How long to wait before a store that failed is tried again, in seconds; then twice as long.
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 2.0
# How long the beginning of a run may wait for the store to know of it, in seconds.
_ANNOUNCING = 1.0
# How long after asking a store a flag counts as not raised, in seconds.
_FLAG_PATIENCE = 0.5
#: After how many missing signs of life a run counts as lost.
MISSING_SIGNS = 3


class Keeper:
    """Brings one run's log to a store, as a reader would: it is a place in the log.

    So a slow store gets larger records, a failing one gets again what it did not take, and neither
    holds up anybody or needs memory of its own. What the store takes never has a gap: while it
    takes nothing, readers in other processes miss the signs of life, and tell that the run is lost.

    Args:
        run_id: Id of the run.
        feed: Its log.
        store: Where to write.
        owner: Whose it is.
        sign_every: How often to give a sign of life, in seconds.
        on_stop: Is called when another process wants the run stopped.
    """

    def __init__(
        self,
        run_id: str,
        feed: Feed,
        store: LogStore,
        *,
        owner: str | None,
        sign_every: float,
        on_stop: Callable[[], None],
    ) -> None:
        self._run_id = run_id
        self._feed = feed
        self._store = store
        self._owner = owner
        self._sign_every = sign_every
        self._failed_at: float | None = None
        self._warned = False
        self._is_over = False
        self._loop = asyncio.get_running_loop()
        self._kept_flag = kept_flag(run_id, feed.epoch)
        self._announced: asyncio.Future[None] = self._loop.create_future()
        # Nothing here refers to the run, which refers to this: see Feed.end.
        self._task = self._loop.create_task(self._keep(on_stop), name=f"keep run {run_id}")

    async def announced(self) -> None:
        """Wait until the store knows of the run, or has failed to, or takes too long."""
        await asyncio.wait([self._announced], timeout=_ANNOUNCING)

    async def kept(self, seconds: float) -> None:
        """Wait until the store has all of a run that has ended, or give it up.

        Args:
            seconds: How long to wait for it.
        """
        _, pending = await asyncio.wait([self._task], timeout=seconds)
        if pending:
            self._warn("the store did not take its end in time; readers elsewhere lose it")
            await _cancelled([self._task])

    async def is_read_elsewhere(self) -> bool:
        """Return whether other processes have told that they read the run.

        True also when the store can't be asked, or has forgotten what it was told: it may be back
        in a moment, and readers with it.
        """
        flags = read_flags(self._run_id, self._feed.epoch, self._feed.seconds, around=True)
        watches = [asyncio.ensure_future(self._store.watch_stop(flag)) for flag in flags]
        kept = asyncio.ensure_future(self._store.watch_stop(self._kept_flag))
        try:
            done, _ = await asyncio.wait(
                watches, timeout=_FLAG_PATIENCE, return_when=asyncio.FIRST_COMPLETED
            )
            is_known = kept.done()
        finally:
            await _cancelled([*watches, kept])
        if not done and not is_known:
            await self._raise_kept_flag()
        return (bool(done) or not is_known) and not self._is_lost()

    async def _keep(self, on_stop: Callable[[], None]) -> None:
        reading = self._feed.watch(self._sign_every)
        stops: asyncio.Task[None] | None = None
        try:
            pause = _FIRST_PAUSE
            # Tells that there is the run.
            while not await self._append(0, 0):
                if self._is_given_up():
                    return
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
            self._announce()
            # Only now: the flag may have been up for an earlier run.
            stops = self._loop.create_task(self._watch_stop(on_stop))
            await self._write(reading)
        except LogReplacedError as exc:
            self._warn(f"another run is kept under this id: {exc}")
        finally:
            self._is_over = True
            self._feed.unwatch(reading)
            self._announce()
            if stops is not None:
                await _cancelled([stops])

    async def _write(self, reading: Reading) -> None:
        """Write the log, to its end."""
        feed = self._feed
        position = 0
        moment = None
        pause = 1 / _APPENDS_A_SECOND
        while not self._is_given_up():
            kept = True
            try:
                if position < feed.told:
                    told, has_ended = feed.told, feed.ended
                    if kept := await self._append(position, told):
                        position = told
                        if has_ended:
                            await self._close()
                            return
                elif feed.queued is not None and feed.queued is not moment:
                    moment = feed.queued
                    kept = await self._append(position, position)
                elif not await reading.news():
                    kept = await self._append(position, position)
            except LogForgottenError:
                # From here on it is told again.
                position = 0
                kept = await self._append(0, 0)
            pause = 1 / _APPENDS_A_SECOND if kept else min(pause * 2, _LONGEST_PAUSE)
            await asyncio.sleep(pause)
        self._warn("the store did not take the end of the run; readers elsewhere lose it")

    async def _append(self, start: int, end: int) -> bool:
        """Write what was told from one position to another; return whether the store took it."""
        feed = self._feed
        data = encoded(
            start,
            feed.told_at if end > start else feed.seconds,
            self._sign_every,
            feed.log.between(start, end),
            queued=feed.queued if end == start else None,
            ending=feed.ending if end == feed.told else None,
            owner=self._owner if end == 0 else None,
        )
        cursor = f"{feed.epoch}.{end}"
        return await self._ask(self._store.append(self._run_id, cursor, data))

    async def _close(self) -> None:
        while not self._is_given_up():
            if await self._ask(self._store.close(self._run_id)):
                return
            await asyncio.sleep(_FIRST_PAUSE)

    async def _ask(self, call: Awaitable[None]) -> bool:
        """Wait for a call of the store; return whether it went well."""
        try:
            async with asyncio.timeout(PATIENCE):
                await call
        except (LogForgottenError, LogReplacedError):
            raise
        except Exception as exc:  # A store's errors are of all kinds.
            if self._failed_at is None:
                self._failed_at = self._loop.time()
            self._warn(f"the store failed ({type(exc).__name__}: {exc}); it is tried again")
            # Nobody waits for a store that is out of order.
            self._announce()
            return False
        self._failed_at = None
        return True

    async def _watch_stop(self, on_stop: Callable[[], None]) -> None:
        """Wait until another process wants the run stopped."""
        await self._raise_kept_flag()
        pause = _FIRST_PAUSE
        while True:
            try:
                await self._store.watch_stop(self._run_id)
            except Exception as exc:  # A store's errors are of all kinds.
                self._warn(f"the store can't be watched ({type(exc).__name__}: {exc})")
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
            else:
                on_stop()
                return

    async def _raise_kept_flag(self) -> None:
        # One that is not up is raised the next time that it is missed.
        with contextlib.suppress(LiveStoreError):
            await asked(self._store.stop(self._kept_flag))

    def _is_given_up(self) -> bool:
        """Return whether readers elsewhere have lost the run, and it has ended besides."""
        return self._feed.ended and self._is_lost()

    def _is_lost(self) -> bool:
        """Return whether readers elsewhere have missed the signs of life."""
        if self._failed_at is None:
            return self._is_over
        return self._loop.time() - self._failed_at > MISSING_SIGNS * self._sign_every

    def _announce(self) -> None:
        if not self._announced.done():
            self._announced.set_result(None)

    def _warn(self, message: str) -> None:
        if not self._warned:
            self._warned = True
            _logger.warning("run %s: %s", self._run_id, message)


async def _cancelled(tasks: "list[asyncio.Future[None]] | list[asyncio.Task[None]]") -> None:
    """Cancel tasks and wait until they have ended."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
