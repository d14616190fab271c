"""A run that other processes can read, too."""

from typing import Any

from deepseek_async.live.events import StoppedEvent
from deepseek_async.live.keeper import Keeper
from deepseek_async.live.run import Run
from deepseek_async.live.source import Source
from deepseek_async.live.store import LogStore


class KeptRun(Run):
    """A run whose log is also brought to a store, where other processes read and stop it.

    Readers in other processes count as readers where it matters whether there are any.

    Args:
        run_id: Its name.
        source: Where the answer comes from.
        store: Where the log is kept.
        sign_every: How often to give a sign of life, in seconds.
        **options: Those of :class:`Run`.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(
        self, run_id: str, source: Source, *, store: LogStore, sign_every: float, **options: Any
    ) -> None:
        super().__init__(run_id, source, elsewhere=self._is_read_elsewhere, **options)
        self._keeper = Keeper(
            run_id,
            self._feed,
            store,
            owner=self.owner,
            sign_every=sign_every,
            on_stop=self._stop_asked,
        )

    async def announced(self) -> None:
        """Wait until the store knows of it, or has failed to take note."""
        await self._keeper.announced()

    async def kept(self, seconds: float) -> None:
        """Wait until the store has all of it, now that it has ended, or give the store up.

        Args:
            seconds: How long to wait for it.
        """
        await self._keeper.kept(seconds)

    async def _is_read_elsewhere(self) -> bool:
        return await self._keeper.is_read_elsewhere()

    def _stop_asked(self) -> None:
        self.end(StoppedEvent("stopped"))
