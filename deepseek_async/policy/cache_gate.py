"""When the requests behind a prefix may go: the rules, and what a run learns about the cache.

DeepSeek's rules have changed and may change again, hence nothing is assumed but this: after two
requests have ended and some seconds have passed, a common prefix is in the cache. What the answers
say is believed first.

Source: https://api-docs.deepseek.com/guides/kv_cache, read 2026-11-21.
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deepseek_async.policy.cache_tree import Prefix

#: Seconds that building the cache takes, until learnt otherwise: "construction takes seconds".
SETTLE = 5.0
_MOST_SETTLE = 40.0
#: Seconds after which a group goes, whatever is known.
PATIENCE = 60.0
#: Share of the prefix that must have been in the cache to go by it.
_WARM_SHARE = 0.8
#: Hits are told in multiples of so many tokens.
_BLOCK = 128
# Times that were waited for exactly may be a bit shorter in the end.
_ABOUT = 0.99
# Requests at once that find out whether the cache is ready, before that is known of any.
_MOST_PROBES = 8
# Leaders that may fail before their group goes without the cache.
_MOST_FAILURES = 2
# How many second requests are looked back at, how many are needed, and what share must hit.
_LOOK_BACK, _ENOUGH, _MOST = 8, 4, 0.75
# One group in so many tells whether one leader is enough, though two are thought to be needed.
_PROBES = 8
# One group in so many sends two leaders at once before anything is known, and those of so many.
_GUESSES = 4
_LARGE = 64


class Lessons:
    """What the answers of a run told about the cache."""

    def __init__(self) -> None:
        self.settle = SETTLE
        """Seconds between the end of a request and its use by others."""
        self.confirmed = False
        """Whether that has been enough for any."""
        self.useless = False
        """Whether there seems to be no cache."""
        self.probes = 0
        """Requests under way that tell whether `settle` is enough."""
        self._seconds: deque[bool] = deque(maxlen=_LOOK_BACK)
        self._misses = 0

    @property
    def leaders(self) -> int:
        """How many requests it takes to have their prefix in the cache."""
        known = len(self._seconds)
        return 1 if known >= _ENOUGH and sum(self._seconds) >= known * _MOST else 2

    def at_once(self, prefix: Prefix[Any]) -> int:
        """How many leaders of a group may go at once.

        When it is known that the second one misses, it needn't wait for the first; some groups
        still do, to see whether that holds.
        """
        knows = len(self._seconds) >= _ENOUGH
        return self.leaders if knows and prefix.number % _PROBES else 1

    def may_guess(self, prefix: Prefix[Any]) -> bool:
        """Tell whether a group may send its second leader beside the first for want of others.

        If one would have been enough, it costs a miss: too much for all groups of a run that has
        not learnt yet, but little for a few or large ones.
        """
        return len(self._seconds) < _ENOUGH and (
            prefix.members >= _LARGE or prefix.number % _GUESSES == 0
        )

    def second(self, *, hit: bool) -> None:
        """Learn from a request that was sent when one with its prefix had ended."""
        self._seconds.append(hit)
        self.confirmed |= hit

    def third(self, *, hit: bool, waited: float) -> None:
        """Learn from a request that was sent when all leaders had ended.

        Args:
            hit: Whether its prefix was in the cache.
            waited: Seconds since the last leader had ended.
        """
        if hit:
            self._misses = 0
            if not self.confirmed:
                self.confirmed = True
                self.settle = min(max(SETTLE, waited), _MOST_SETTLE)
        elif not self.confirmed:
            self.settle = max(self.settle, min(2 * waited, _MOST_SETTLE))
            self._misses += waited >= _MOST_SETTLE * _ABOUT
            self.useless = self._misses >= _LOOK_BACK
        elif waited >= self.settle * _ABOUT:
            self._misses += 1
            if self._misses >= _LOOK_BACK:
                self._misses = 0
                self.settle = min(2 * self.settle, _MOST_SETTLE)


def is_warm(prefix: Prefix[Any], size: int, prompt_tokens: int, hit_tokens: int) -> bool:
    """Tell whether a request found its prefix in the cache.

    Args:
        prefix: One that the request begins with.
        size: Bytes of its text.
        prompt_tokens: All of its prompt.
        hit_tokens: Those of them that were in the cache.
    """
    expected = prompt_tokens * prefix.length / size
    return hit_tokens > 0 and hit_tokens >= _WARM_SHARE * (expected - _BLOCK)


class Verdict(Enum):
    """What a group may do now."""

    OPEN = "all may go"
    LEAD = "one may go"


def decide(prefix: Prefix[Any], lessons: Lessons, now: float) -> Verdict | float:
    """Tell what the requests behind a prefix may do, or when to ask again."""
    if lessons.useless or prefix.failed >= _MOST_FAILURES:
        return Verdict.OPEN
    if prefix.led < lessons.at_once(prefix):
        return Verdict.LEAD
    latest = prefix.since + PATIENCE
    if now >= latest:
        return Verdict.OPEN
    waited_for = prefix.led > prefix.ended + prefix.failed
    if not prefix.ended:
        return latest if waited_for else Verdict.LEAD
    settled = prefix.ended_at + lessons.settle
    if prefix.ended < lessons.leaders:
        if waited_for:
            return latest
        return Verdict.LEAD if now >= settled else min(settled, latest)
    if now < settled:
        return min(settled, latest)
    if lessons.confirmed:
        return Verdict.OPEN
    # Nothing is known yet: most groups wait for what a few find out.
    return latest if waited_for or lessons.probes >= _MOST_PROBES else Verdict.LEAD
