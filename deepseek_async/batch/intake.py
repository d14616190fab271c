"""The input of a job, item by item to where it is sent from."""

import asyncio
from typing import TYPE_CHECKING

from deepseek_async.batch.engine import Engine
from deepseek_async.batch.entries import Entry
from deepseek_async.batch.meta import Finished
from deepseek_async.batch.queue import Work
from deepseek_async.batch.recording import Recorder
from deepseek_async.batch.records import CHAT_URL
from deepseek_async.batch.report import BatchItem, Tally
from deepseek_async.batch.sending import ENDPOINTS
from deepseek_async.batch.source import Source
from deepseek_async.errors import PreflightError

if TYPE_CHECKING:
    from deepseek_async.batch.journal import Journal

# Items read before others get their turn in the event loop.
_READ_AT_ONCE = 64


class Intake:
    """Reads the input as far ahead as there is room.

    Args:
        source: The input.
        model: The model of items that name none.
        journal: What earlier runs have finished; None if nothing is kept.
        engine: Sends the items.
        recorder: Takes those that can't be sent.
        tally: The counts.
        finished: What is known of the input, if all of it has been answered: it isn't read then.
    """

    def __init__(
        self,
        source: Source,
        model: str | None,
        journal: "Journal[BatchItem] | None",
        engine: Engine,
        recorder: Recorder,
        tally: Tally,
        finished: Finished | None,
    ) -> None:
        self._source = source
        self._model = model
        self._journal = journal
        self._engine = engine
        self._recorder = recorder
        self._tally = tally
        self._finished = finished

    async def run(self) -> None:
        """Read to the end, or until the job stops."""
        engine, finished = self._engine, self._finished
        if finished is not None:
            self._tally.read = finished.items
            self._tally.duplicates = finished.duplicates
            self._tally.skipped = finished.items - finished.duplicates
            engine.end_input()
            return
        async for entry in self._source:
            self._tally.read += 1
            self._admit(entry)
            engine.look_for_room()
            if not self._tally.read % _READ_AT_ONCE:
                await asyncio.sleep(0)
            if not engine.has_room.is_set():
                await engine.has_room.wait()
            if engine.outcome != "running":
                break
        engine.end_input()

    def _admit(self, entry: Entry) -> None:
        """Put an item where it is sent from, or deal with it at once."""
        journal = self._journal
        if entry.duplicate:
            self._tally.duplicates += 1
            self._recorder.nothing(entry)
        elif journal is not None and (
            journal.is_done(entry.custom_id) or journal.is_failed(entry.custom_id)
        ):
            self._tally.skipped += 1
            self._recorder.nothing(entry)
        elif entry.bad is not None:
            self._recorder.failed(entry, PreflightError(entry.bad), 0)
        else:
            self._send(entry)

    def _send(self, entry: Entry) -> None:
        is_fim = ENDPOINTS.get(entry.url)
        if is_fim is None:
            self._refuse(entry, f"there is no API at {entry.url!r}; use {CHAT_URL!r}")
            return
        model = entry.body.get("model") or self._model
        if not isinstance(model, str):
            self._refuse(entry, "no model: name it in the body, or pass model=...")
            return
        if not entry.body.get("model"):
            rest = {name: value for name, value in entry.body.items() if name != "model"}
            entry.body = {"model": model, **rest}
        self._engine.add(Work(entry, model, is_fim=is_fim))

    def _refuse(self, entry: Entry, reason: str) -> None:
        self._recorder.failed(entry, PreflightError(f"{entry.where}: {reason}"), 0)
