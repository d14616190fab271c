"""Items with the same request: sent once, answered for all (``dedupe=True``)."""

from collections import OrderedDict
from typing import NamedTuple

from deepseek_async.batch.queue import Work
from deepseek_async.batch.sending import Answer

# Answers that are remembered, and their size together in bytes: older ones are asked for anew.
_MOST_ANSWERS = 100_000
_MOST_BYTES = 64 << 20

# Items that may wait for the answer of another before no more of the input is read.
_MOST_WAITING = 2500


class Shared(NamedTuple):
    """An answer that another item got."""

    answer: Answer
    size: int


class Twins:
    """Finds items with the same request while it is sent, and for a while after its answer."""

    def __init__(self) -> None:
        self._under_way: dict[int, Work] = {}
        self._answers: OrderedDict[int, Shared] = OrderedDict()
        self._size = 0
        self._waiting = 0

    @property
    def is_full(self) -> bool:
        """Whether so many items wait for the answer of another that no more should come."""
        return self._waiting >= _MOST_WAITING

    def find(self, work: Work) -> Work | Answer | None:
        """Return what answers an item, or None for itself.

        Returns:
            The item with the same request that is under way, of which it is a twin now; or the
            answer that was given.
        """
        digest = work.entry.digest
        if (other := self._under_way.get(digest)) is not None:
            if other.twins is None:
                other.twins = []
            other.twins.append(work.entry)
            self._waiting += 1
            return other
        if (shared := self._answers.get(digest)) is not None:
            self._answers.move_to_end(digest)
            return shared.answer
        self._under_way[digest] = work
        return None

    def answered(self, work: Work, answer: Answer) -> None:
        """Take note of an answer."""
        digest = work.entry.digest
        self._ended(work)
        # What Python keeps of an answer takes a few times its JSON.
        size = 4 * len(answer.body)
        self._answers[digest] = Shared(answer, size)
        self._size += size
        while self._size > _MOST_BYTES or len(self._answers) > _MOST_ANSWERS:
            _, oldest = self._answers.popitem(last=False)
            self._size -= oldest.size

    def failed(self, work: Work) -> None:
        """Take note that an item will not be answered: the next one with its request is sent."""
        self._ended(work)

    def _ended(self, work: Work) -> None:
        del self._under_way[work.entry.digest]
        self._waiting -= len(work.twins or ())
