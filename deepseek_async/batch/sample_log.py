"""The course of a job in bounded memory."""

from collections.abc import Sequence

from deepseek_async.types.batch import BatchSample

#: Samples that are kept at most: more than a picture has columns.
MOST = 1000


class SampleLog:
    """Keeps samples taken at even times, fewer of them the longer it goes on.

    When it is full, every second one is dropped, and from then on only every second one of those
    that come is kept; and so on.

    Args:
        most: How many are kept; an even number.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._kept: list[BatchSample] = []
        self._last: BatchSample | None = None
        # One of so many is kept.
        self._every = 1
        self._seen = 0

    @property
    def samples(self) -> Sequence[BatchSample]:
        """The samples, oldest first; the latest one is always there."""
        last = self._last
        if last is None or last is self._kept[-1]:
            return list(self._kept)
        return [*self._kept, last]

    def add(self, sample: BatchSample) -> None:
        """Add a sample taken after all others."""
        self._last = sample
        if self._seen % self._every == 0:
            if len(self._kept) == self._most:
                self._kept = self._kept[::2]
                self._every *= 2
            self._kept.append(sample)
        self._seen += 1
