"""How a job went over time: for its picture, and for the time that is left."""

from collections import deque
from typing import NamedTuple

from deepseek_async.batch.report import BatchProgress, Tally
from deepseek_async.batch.sample_log import SampleLog
from deepseek_async.types.batch import BatchSample

# Seconds over which the pace is measured.
_WINDOW = 20.0


class Moment(NamedTuple):
    """What of a job changes from one moment to the next."""

    seconds: float
    limit: int
    in_flight: int
    retrying: int


class History:
    """The past of one job.

    Args:
        tally: Its counts.
    """

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._log = SampleLog()
        # Seconds, finished items and tokens, of the last while.
        self._recent: deque[tuple[float, int, int]] = deque([(0.0, 0, 0)])

    @property
    def samples(self) -> list[BatchSample]:
        """The samples, at most about a thousand."""
        return list(self._log.samples)

    def sample(self, moment: Moment) -> None:
        """Take note of a moment."""
        tally = self._tally
        finished = tally.succeeded + tally.failed
        recent = self._recent
        recent.append((moment.seconds, finished, tally.tokens))
        while len(recent) > 2 and recent[1][0] <= moment.seconds - _WINDOW:
            recent.popleft()
        self._log.add(
            BatchSample(
                t=moment.seconds,
                limit=moment.limit,
                in_flight=moment.in_flight,
                done=tally.succeeded,
                failed=tally.failed,
                tokens=tally.tokens,
                cost_usd=float(tally.cost or 0),
                rejected=tally.rejected,
            )
        )

    def progress(
        self, moment: Moment, *, total: int | None, share: float | None, paused: str | None
    ) -> BatchProgress:
        """Return where the job stands.

        Args:
            moment: How it is now.
            total: How many items there are, if that is known.
            share: How much of the input has been read, if that is known.
            paused: Why nothing is sent, if that is so.
        """
        tally = self._tally
        finished = tally.succeeded + tally.failed + tally.skipped + tally.duplicates
        if total is None and share:
            total = tally.read if share >= 1 else round(tally.read / share)
        then, done, tokens = self._recent[0]
        passed = max(moment.seconds - then, 1e-3)
        pace = (tally.succeeded + tally.failed - done) / passed
        left = None
        if total is not None and pace > 0 and paused is None:
            left = max(0, total - finished) / pace
        prompt = tally.prompt_tokens
        return BatchProgress(
            total=total,
            read=tally.read,
            succeeded=tally.succeeded,
            failed=tally.failed,
            skipped=tally.skipped,
            duplicates=tally.duplicates,
            in_flight=moment.in_flight,
            retrying=moment.retrying,
            limit=moment.limit,
            rejected=tally.rejected,
            retries=tally.retries,
            tokens=tally.tokens,
            cost=tally.cost,
            cache_hit_share=tally.cached_tokens / prompt if prompt else None,
            items_per_second=pace,
            tokens_per_second=(tally.tokens - tokens) / passed,
            seconds=moment.seconds,
            seconds_left=left,
            paused=paused,
        )
