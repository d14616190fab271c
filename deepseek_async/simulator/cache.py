"""The prompt cache: prefix units of earlier prompts and answers, per user.

A prompt hits the longest unit that it begins with. Units are made at fixed intervals within long
texts, where an input or an output ends, and where a prompt parts from an earlier one (so that the
third prompt with a common beginning hits it). They are found by walking the prompt in blocks, whose
digests are chained: O(characters), whatever the cache holds.

Hits are told in whole blocks: in all recordings they are multiples of 128 tokens (64 in 2025).

Source: https://api-docs.deepseek.com/guides/kv_cache, read 2026-11-21.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b

from deepseek_async.simulator.tokens import block_ends, estimate

BLOCK_TOKENS = 128
# About 300 bytes each with their digest, hence less than 100 MB.
_MAX_BLOCKS = 250_000
# Units that end within the same block; all of them are tried.
_MAX_TAILS = 64
# Prompts of a user that new ones are compared with.
_MAX_RECENT = 16
_MAX_USERS = 1000
# Characters remembered for comparison, all users together.
_MAX_RECENT_CHARACTERS = 16_000_000


@dataclass(slots=True)
class _Unit:
    visible_at: float
    used_at: float

    def is_there(self, now: float, eviction: float) -> bool:
        return self.visible_at <= now and not self.is_over(now, eviction)

    def is_over(self, now: float, eviction: float) -> bool:
        return now >= max(self.used_at, self.visible_at) + eviction


@dataclass(slots=True)
class _Block:
    """A prefix in whole blocks."""

    unit: _Unit | None = None
    tails: dict[str, _Unit] = field(default_factory=dict[str, _Unit])
    """Units that end within the next block, by the text of it that they have."""


class PromptCache:
    """Remembers prefix units; those not used for longest go first.

    Args:
        interval: Tokens between the units within a text, a multiple of `block`; None: no such
            units.
        block: Tokens that hits are told in multiples of.
        eviction: Seconds after its last use that a unit is forgotten.
    """

    def __init__(
        self,
        *,
        interval: int | None = BLOCK_TOKENS,
        block: int = BLOCK_TOKENS,
        eviction: float = math.inf,
    ) -> None:
        self._block = block
        self._step = None if interval is None else interval // block
        self._eviction = eviction
        self._blocks: OrderedDict[bytes, _Block] = OrderedDict()
        self._recent: OrderedDict[str, deque[str]] = OrderedDict()
        self._characters = 0
        self._walked: tuple[str | None, str, list[tuple[bytes, int]]] = (None, "", [])

    def hit_tokens(
        self, user: str, prompt: str, *, now: float = 0.0, visible_at: float | None = None
    ) -> int:
        """Count the tokens of `prompt` that are cached for `user`, and remember it.

        Args:
            user: Whose cache it is.
            prompt: All that the model reads.
            now: Seconds.
            visible_at: When the units of this prompt can be hit; None: now.
        """
        hit = self._look_up(user, prompt, now)
        at = now if visible_at is None else visible_at
        if self._step != 1:
            # Units at every block leave nothing to find here.
            for common in self._common_prefixes(user, prompt):
                self._remember(user, common, at)
        self._remember(user, prompt, at)
        return hit

    def remember_output(self, user: str, text: str, visible_at: float) -> None:
        """Remember a prompt together with the answer to it.

        Args:
            user: Whose cache it is.
            text: Both, as the model would read them in the next turn.
            visible_at: Seconds.
        """
        self._remember(user, text, visible_at)

    def _look_up(self, user: str, prompt: str, now: float) -> int:
        hit = 0
        for number, (digest, end) in enumerate(self._walk(user, prompt)):
            block = self._blocks.get(digest)
            if block is None:
                break
            self._blocks.move_to_end(digest)
            unit = block.unit
            if unit is not None and unit.is_there(now, self._eviction):
                unit.used_at = now
                hit = number
            for tail, unit in block.tails.items():
                if unit.is_there(now, self._eviction) and prompt.startswith(tail, end):
                    unit.used_at = now
                    hit = number
        return min(hit, estimate(prompt) // self._block) * self._block

    def _remember(self, user: str, text: str, visible_at: float) -> None:
        chain = self._walk(user, text)
        for number, (digest, _) in enumerate(chain):
            block = self._blocks.get(digest)
            if block is None:
                block = self._blocks[digest] = _Block()
            if self._step is not None and number and number % self._step == 0:
                block.unit = self._seen(block.unit, visible_at)
        if self._step != 1:
            digest, end = chain[-1]
            block, tail = self._blocks[digest], text[end:]
            block.tails[tail] = self._seen(block.tails.pop(tail, None), visible_at)
            if len(block.tails) > _MAX_TAILS:
                del block.tails[next(iter(block.tails))]
        while len(self._blocks) > _MAX_BLOCKS:
            self._blocks.popitem(last=False)

    def _seen(self, unit: _Unit | None, visible_at: float) -> _Unit:
        if unit is None or unit.is_over(visible_at, self._eviction):
            return _Unit(visible_at, visible_at)
        # A new sighting doesn't hide what is there already.
        unit.used_at = max(unit.used_at, visible_at)
        return unit

    def _walk(self, user: str, text: str) -> list[tuple[bytes, int]]:
        """Digest and end of each prefix in whole blocks, the empty one first."""
        last_user, last_text, last = self._walked
        if user == last_user and text.startswith(last_text):
            # An output is remembered after its prompt, and begins with it.
            chain = last.copy()
        else:
            name = user.encode("utf-8", "surrogatepass")
            chain = [(blake2b(name, digest_size=16).digest(), 0)]
        digest, start = chain[-1]
        for end in block_ends(text, self._block, start):
            data = digest + text[start:end].encode("utf-8", "surrogatepass")
            digest = blake2b(data, digest_size=16).digest()
            chain.append((digest, end))
            start = end
        self._walked = (user, text, chain)
        return chain

    def _common_prefixes(self, user: str, prompt: str) -> Iterator[str]:
        recent = self._recent.pop(user, None)
        if recent is None:
            recent = deque[str]()
        self._recent[user] = recent
        found = {_common(earlier, prompt) for earlier in recent}
        for length in found:
            if length < len(prompt) and estimate(prompt[:length]) >= self._block:
                yield prompt[:length]
        recent.append(prompt)
        self._characters += len(prompt)
        while len(recent) > _MAX_RECENT:
            self._characters -= len(recent.popleft())
        while len(self._recent) > 1 and (
            len(self._recent) > _MAX_USERS or self._characters > _MAX_RECENT_CHARACTERS
        ):
            _, forgotten = self._recent.popitem(last=False)
            self._characters -= sum(map(len, forgotten))


def _common(one: str, other: str) -> int:
    """The length of the common prefix; by halves, because comparing slices is fast."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
