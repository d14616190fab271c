"""How long requests wait at the server before it begins with them."""

from collections import deque

# Requests that are streamed to see when their answers begin: one of so many.
_SAMPLE_EVERY = 20

# Samples in a row of which only the end is seen: then nobody streams them.
_UNSEEN = 5

# Seconds after which the end of a sample must have been missed: waiting ends after 600.
_FORGOTTEN = 660.0

# Without samples: the fastest of so many answers in a row tells how long each of them waited.
_ANSWERS = 12

# A guess counts half: several long answers in a row look like waiting.
_GUESS_COUNTS = 0.5

# A wait that is hardly shorter after the limit was halved wasn't one: the answers are long.
_SAME = 0.8


class Waiting:
    """Measures the wait by requests that are streamed, or guesses it from whole answers."""

    def __init__(self) -> None:
        self._requests = 0
        self._streams = True
        self._unseen = 0
        self._has_samples = False
        # Sampled requests whose answers haven't begun, oldest first.
        self._pending: dict[float, None] = {}
        self._soonest = float("inf")
        self._recent: deque[float] = deque(maxlen=_ANSWERS)
        self._fastest = float("inf")
        self._since = float("-inf")
        self._before_cut: float | None = None

    @property
    def is_measured(self) -> bool:
        """Whether it is known from samples."""
        return self._has_samples

    @property
    def is_unknown(self) -> bool:
        """Whether it isn't known yet what the last cut has brought."""
        return self._before_cut is not None and not self._has_samples

    def sampled(self, sent_at: float) -> bool:
        """Tell whether to stream a request, and watch it if so."""
        if not self._streams:
            return False
        self._requests += 1
        if self._requests % _SAMPLE_EVERY != 1:
            return False
        self._pending[sent_at] = None
        return True

    def began(self, now: float, sent_at: float) -> bool:
        """Take note that the answer to a sampled request begins; tells whether it is the first."""
        if sent_at not in self._pending:
            return False
        del self._pending[sent_at]
        # Long prompts take their time even if nothing waits.
        self._soonest = min(self._soonest, now - sent_at)
        self._unseen = 0
        is_first, self._has_samples = not self._has_samples, True
        return is_first

    def ended(self, now: float, sent_at: float, *, answered: bool) -> None:
        """Take note of the end of a request."""
        if sent_at in self._pending:
            del self._pending[sent_at]
            if answered:
                self._unseen += 1
                if self._unseen == _UNSEEN:
                    # They aren't streamed, so that nothing can be learned from them.
                    self._streams = self._has_samples = False
                    self._pending.clear()
        if answered and sent_at >= self._since:
            took = max(0.0, now - sent_at)
            self._fastest = min(self._fastest, took)
            self._recent.append(took)
            if self._before_cut is not None and len(self._recent) == _ANSWERS:
                if min(self._recent) >= _SAME * self._before_cut:
                    self._fastest = min(self._recent)
                self._before_cut = None

    def seconds(self, now: float) -> float:
        """Return how long requests wait now, as far as is known."""
        if self._has_samples:
            while now - (oldest := next(iter(self._pending), now)) > _FORGOTTEN:
                del self._pending[oldest]
            return max(0.0, now - oldest - self._soonest)
        if len(self._recent) < _ANSWERS:
            return 0.0
        return _GUESS_COUNTS * (min(self._recent) - self._fastest)

    def on_cut(self, now: float) -> None:
        """Take note that the limit was lowered for the wait; we'll see if that helps."""
        if not self._has_samples and len(self._recent) == _ANSWERS:
            self._before_cut = min(self._recent)
            self._since = now
            self._recent.clear()
