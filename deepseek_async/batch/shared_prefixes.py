"""How much of each prompt requests before it have begun with, in bounded memory.

The server's cache holds what two requests had in common once both are answered, so a third one
finds it. Beginnings are compared at the ends of messages and after each thousand bytes.

Source: https://api-docs.deepseek.com/guides/kv_cache, read 2026-11-21.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from deepseek_async.policy.cache_text import SEGMENT, cache_text

# Bytes between two places in a long message.
_STEP = 1024

# Less than this is not worth a place in the cache; some 64 tokens.
_LEAST_BYTES = 256

# Requests after which a beginning is found in the cache.
_LEADERS = 2

# Beginnings that are remembered, in some 30 MB.
_MOST = 200_000


class SharedPrefixes:
    """Remembers how often requests began alike."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        # Key of a beginning -> how many requests had it.
        self._seen: dict[int, int] = {}
        self._is_full = False

    def add(self, body: Mapping[str, Any]) -> float:
        """Add a request; return the share of its prompt that may come from the cache."""
        text = cache_text(body)
        # In front of it stand settings, which are no part of the prompt.
        begin = text.find(SEGMENT) + 1
        seen = self._seen
        shared = start = key = 0
        for end in _places(text, begin):
            key = hash((key, text[start:end]))
            start = end
            times = seen.get(key, 0)
            if times >= _LEADERS:
                shared = end
            if times or len(seen) < self._most:
                seen[key] = times + 1
        if len(seen) >= self._most and not self._is_full:
            self._forget()
        if shared - begin < _LEAST_BYTES:
            return 0.0
        return (shared - begin) / (len(text) - begin)

    def _forget(self) -> None:
        """Forget what only one request began with, unless that would not help for long."""
        often = {key: times for key, times in self._seen.items() if times > 1}
        if len(often) <= self._most // 2:
            self._seen = often
        else:
            self._is_full = True


def _places(text: bytes, begin: int) -> Iterator[int]:
    """Yield where beginnings end, the whole text last."""
    end = begin
    while end < len(text):
        message = text.find(SEGMENT, end) + 1 or len(text)
        yield from range(end + _STEP, message, _STEP)
        yield message
        end = message
