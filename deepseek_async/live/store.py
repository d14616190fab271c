"""What other processes read a run from."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import Protocol

from deepseek_async.live.errors import LiveStoreError

#: How long a store may take to answer, in seconds.
PATIENCE = 5.0


class LogStore(Protocol):
    """Keeps the logs of runs where other processes find them, for as long as it sees fit.

    A log is a list of records, each of them bytes under a cursor ``"epoch.n"``. One process
    appends, any number read. ``n`` never falls; records that only tell for the moment repeat the
    cursor of the one before.

    Its methods may raise whatever they like, and be cancelled: what failed is tried again. Only
    :exc:`~deepseek_async.live.LogReplacedError` is final.
    """

    async def append(self, run: str, cursor: str, data: bytes) -> None:
        """Add a record to a log, behind the others.

        The first one makes the log. One of position 0 with another epoch than the log's begins it
        anew: what was there is forgotten, and its readers end. Either takes the flag of
        :meth:`stop` down. An epoch that the log had before does not come back: whoever was replaced
        while it had nothing to tell still gives its signs of life at position 0.

        Args:
            run: Id of the run.
            cursor: The position behind it.
            data: The record; up to the size of an answer where the store was slow.

        Raises:
            LogReplacedError: If the log has another epoch by now, or was closed.
            LogForgottenError: If the store has lost the log, as one does that keeps nothing when it
                is started again. Then it is told anew, from its beginning; a reader that was in the
                middle of it may wait for that.
        """
        ...

    def read(self, run: str, after: str | None) -> AsyncIterator[tuple[str, bytes]]:
        """Return the records of a log, with their cursors; those that come later too.

        Ends after the last one of a log that is closed, forgotten or begun anew; at once, if there
        is no such log. An async generator, as a rule.

        Args:
            run: Id of the run.
            after: Leave out the records up to this cursor, all of those that have it now included;
                those that come with it later are signs of life. None: from the beginning.
        """
        ...

    async def close(self, run: str) -> None:
        """Take note that a log is complete. It can be read for a while."""
        ...

    async def stop(self, run: str) -> None:
        """Raise a flag, for whoever watches now or later.

        Args:
            run: Id of the run that somebody wants to stop. Runs also raise flags of their own,
                under names that begin with their id and a line feed: that they are being read, and
                kept.
        """
        ...

    async def watch_stop(self, run: str) -> None:
        """Return when a flag is up; at once, if it was raised before."""
        ...


async def asked(call: Awaitable[None]) -> None:
    """Wait for a call of a store.

    Raises:
        LiveStoreError: If it fails, or takes too long.
    """
    try:
        async with asyncio.timeout(PATIENCE):
            await call
    except Exception as exc:  # A store's errors are of all kinds.
        raise LiveStoreError(f"the store failed: {type(exc).__name__}: {exc}") from exc
