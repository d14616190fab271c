"""Finished items: first into the files, then to the consumer."""

from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec

from deepseek_async.batch.delivery import Delivery
from deepseek_async.batch.entries import Entry
from deepseek_async.batch.records import (
    INVALID_INPUT,
    LineError,
    LineResponse,
    encode_dead_letter,
    encode_result,
    response_of,
)
from deepseek_async.batch.report import BatchItem, Tally
from deepseek_async.errors import APIStatusError, APITimeoutError, PreflightError, StreamError

if TYPE_CHECKING:
    from deepseek_async.batch.journal import Journal
    from deepseek_async.batch.queue import Work
    from deepseek_async.batch.sending import Answer

# Items that may wait to be written before no more are sent.
_MOST_UNWRITTEN = 10_000


class Recorder:
    """Writes what has finished and hands it on once it is safe.

    Args:
        delivery: Where finished items go.
        tally: The counts.
        on_written: Called when items have been written.
    """

    def __init__(
        self,
        delivery: Delivery[BatchItem],
        tally: Tally,
        on_written: Callable[[], None],
    ) -> None:
        self.journal: Journal[BatchItem] | None = None
        """The files, if there are any."""

        self._delivery = delivery
        self._tally = tally
        self._on_written = on_written
        self.unwritten = 0
        """Items that are finished and not yet safe."""

    @property
    def is_full(self) -> bool:
        """Whether the disk is so far behind that no more should be sent."""
        journal = self.journal
        return journal is not None and (self.unwritten >= _MOST_UNWRITTEN or journal.is_full)

    def answered(self, work: "Work", answer: "Answer", cost: Decimal | None) -> None:
        """Take an answer, for an item and all that had the same request."""
        response = response_of(200, answer.completion.request_id, answer.body)
        self._answer(work.entry, answer, response, work.attempts, cost)
        for twin in work.twins or ():
            self._share(twin, answer, response)

    def shared(self, entry: Entry, answer: "Answer") -> None:
        """Take the answer of another item for one with the same request."""
        self._share(entry, answer, response_of(200, answer.completion.request_id, answer.body))

    def _share(self, entry: Entry, answer: "Answer", response: LineResponse) -> None:
        self._tally.shared += 1
        self._answer(entry, answer, response, 0, Decimal(0))

    def _answer(
        self,
        entry: Entry,
        answer: "Answer",
        response: LineResponse,
        attempts: int,
        cost: Decimal | None,
    ) -> None:
        item = BatchItem(
            custom_id=entry.custom_id,
            index=entry.index,
            completion=answer.completion,
            parsed=answer.parsed,
            attempts=attempts,
            cost=cost,
        )
        if self.journal is None:
            self._hand_on([item])
        else:
            self.unwritten += 1
            self.journal.add(encode_result(entry.custom_id, response), item)

    def failed(self, entry: Entry, error: Exception, attempts: int) -> None:
        """Take an item that will not be answered."""
        item = BatchItem(
            custom_id=entry.custom_id, index=entry.index, error=error, attempts=attempts
        )
        if self.journal is None:
            self._hand_on([item])
            return
        self.unwritten += 1
        self.journal.add_dead_letter(
            encode_dead_letter(
                entry.custom_id,
                url=entry.url,
                body=None if entry.bad is not None else entry.body,
                error=LineError(_code_of(error), str(error)),
                response=_response_of(error),
                text=entry.text,
            ),
            item,
        )

    def unsettled(self, entry: Entry, error: Exception, attempts: int) -> None:
        """Hand on an item that failed only because the job stops: the next run sends it again."""
        self._delivery.put(
            entry.index,
            BatchItem(custom_id=entry.custom_id, index=entry.index, error=error, attempts=attempts),
        )

    def nothing(self, entry: Entry) -> None:
        """Take an item that needs no answer."""
        self._delivery.put(entry.index, None)

    def written(self, items: list[BatchItem]) -> None:
        """Take note of items that are safe in the files."""
        self.unwritten -= len(items)
        self._hand_on(items)
        self._on_written()

    def _hand_on(self, items: list[BatchItem]) -> None:
        for item in items:
            if item.error is None:
                self._tally.succeeded += 1
            else:
                self._tally.went_wrong(item.error)
            self._delivery.put(item.index, item)


def _code_of(error: Exception) -> str:
    if isinstance(error, PreflightError | TypeError):
        # It cost nothing and may depend on the options of the run: the next one tries it anew.
        return INVALID_INPUT
    if isinstance(error, APIStatusError):
        return str(error.status_code)
    return type(error).__name__


def _response_of(error: Exception) -> LineResponse | None:
    """Return what the server said, an answer that broke off included: it may have been paid for."""
    if isinstance(error, APIStatusError):
        body = msgspec.json.encode({"error": error.body})
        return response_of(error.status_code, error.request_id, body)
    if isinstance(error, StreamError | APITimeoutError) and error.partial is not None:
        return response_of(200, error.request_id, error.partial.to_json().encode())
    return None
