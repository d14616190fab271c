"""The prefixes that texts share: a radix tree over their bytes.

A text comes in, finds the longest known prefix that it begins with, or makes a new one by parting
from another text. Comparing whole pieces is one ``memcmp`` each, so that a text of any length costs
a few microseconds. Texts are kept only while their items wait, and of those only what no prefix
holds.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from enum import Enum
from typing import Generic, TypeVar, cast

K = TypeVar("K")

#: Bytes that a prefix must have to matter: about 256 tokens.
LEAST_PREFIX = 1024
# Texts that go on differently are told apart by so many bytes.
_KEY = 64
# A prefix within another must be longer by this many bytes, and by an eighth. That bounds the
# depth: texts that each are one line longer than the last would make a level each.
_LEAST_STEP = 256
# What a prefix takes besides its bytes.
_NODE_SIZE = 1000


class Lesson(Enum):
    """Why the answer to a request tells something about the cache: when it was sent."""

    SECOND = "when one with its prefix had ended"
    PROBE = "when two had, to see whether others may go"
    LATER = "when two had, the first of those others"


class Item(Generic[K]):
    """A request that waits or is under way."""

    __slots__ = (
        "above",
        "edge",
        "gate",
        "handle",
        "held",
        "key",
        "lesson",
        "number",
        "released",
        "size",
        "waited",
        "waits",
    )

    def __init__(self, handle: K, number: int, size: int) -> None:
        self.handle = handle
        self.number = number
        self.size = size
        """Length of its text."""
        self.waits = True
        self.released = 0
        """The how-manieth it was to be handed out."""
        self.above: Prefix[K] | None = None
        """The longest prefix known to be shared with others."""
        self.key: int | None = None
        """Where it is found below that prefix, if it is."""
        self.edge = b""
        """Its text behind that prefix, as long as it can be found."""
        self.gate: Prefix[K] | None = None
        """The prefix that it waits for."""
        self.held = False
        """Whether it was held back when it could have been sent."""
        self.lesson: Lesson | None = None
        self.waited = 0.0
        """Seconds from the end of the last leader to its own start."""


class Prefix(Generic[K]):
    """A beginning that several texts share, and what has happened to their requests."""

    __slots__ = (
        "above",
        "asked",
        "born",
        "children",
        "edge",
        "ended",
        "ended_at",
        "failed",
        "few",
        "key",
        "leader",
        "led",
        "length",
        "members",
        "number",
        "open",
        "out",
        "queue",
        "since",
        "timer",
        "tried",
        "waiting",
    )

    def __init__(self, above: Prefix[K] | None, key: int, edge: bytes) -> None:
        self.above = above
        self.key = key
        self.edge = edge
        self.length: int = (above.length if above is not None else 0) + len(edge)
        self.children: dict[int, Prefix[K] | Item[K]] = {}

        # Of all texts below it.
        self.members = 0
        self.waiting = 0
        self.out = 0
        self.few: list[Item[K]] | None = []
        """The first ones, until there are enough for a group."""

        self.number = 0
        """The how-manieth group it is."""

        # Of those handed out since it is known.
        self.born = 0
        self.led = 0
        self.ended = 0
        self.failed = 0
        self.since = 0.0
        """When the first was handed out."""
        self.ended_at = 0.0
        """When the first ended well, then the second."""

        self.open = False
        self.queue: deque[Item[K]] = deque()
        """Items for which it is the longest prefix of a group."""
        self.leader: Item[K] | None = None
        """The one that may go though the others wait."""
        self.asked = 0.0
        """Since when it may go."""
        self.timer = math.inf
        self.tried = False
        """Whether one sent when it was open told whether the wait was long enough."""


class PrefixTree(Generic[K]):
    """Finds shared prefixes.

    Args:
        group: Members that make a prefix a group.
        memory: Bytes kept at most for prefixes that no item waits for any more; those unused for
            longest go first.
    """

    def __init__(self, *, group: int, memory: int) -> None:
        self._group = group
        self._memory = memory
        self._root: Prefix[K] = Prefix(None, 0, b"")
        self._idle: dict[Prefix[K], None] = {}
        self._idle_size = 0
        self._forgets = False

    def __len__(self) -> int:
        """Count the prefixes that nothing needs now."""
        return len(self._idle)

    def add(self, item: Item[K], text: bytes, born: int) -> list[Prefix[K]]:
        """Find the place of an item.

        Args:
            item: Its `above` is set.
            text: Of at least `LEAST_PREFIX` bytes.
            born: For new prefixes.

        Returns:
            Prefixes that have become groups, longest first; the caller takes their first members
            out of `few`.
        """
        self._place(item, text, born)
        grown: list[Prefix[K]] = []
        for prefix in self.path(item):
            if not prefix.waiting and not prefix.out and prefix in self._idle:
                del self._idle[prefix]
                self._idle_size -= len(prefix.edge) + _NODE_SIZE
            prefix.members += 1
            prefix.waiting += 1
            if prefix.few is not None:
                prefix.few.append(item)
                if prefix.members >= self._group:
                    grown.append(prefix)
        return grown

    def path(self, item: Item[K]) -> Iterator[Prefix[K]]:
        """Yield the prefixes of an item, longest first."""
        prefix = item.above
        while prefix is not None and prefix.above is not None:
            yield prefix
            prefix = prefix.above

    def handed_out(self, item: Item[K]) -> None:
        """Forget the text of an item."""
        item.edge = b""
        if item.key is not None and item.above is not None:
            del item.above.children[item.key]
            item.key = None
        for prefix in self.path(item):
            prefix.waiting -= 1
            prefix.out += 1

    def ended(self, item: Item[K]) -> None:
        """Let go of an item that was handed out."""
        for prefix in self.path(item):
            prefix.out -= 1
            if not prefix.out and not prefix.waiting and not self._forgets:
                self._idle[prefix] = None
                self._idle_size += len(prefix.edge) + _NODE_SIZE
        while self._idle_size > self._memory:
            # Prefixes within it have become idle before.
            prefix = next(iter(self._idle))
            del self._idle[prefix]
            self._idle_size -= len(prefix.edge) + _NODE_SIZE
            del cast("Prefix[K]", prefix.above).children[prefix.key]

    def forget(self) -> None:
        """Forget all texts: nothing will be added any more."""
        below: list[Prefix[K] | Item[K]] = [self._root]
        while below:
            entry = below.pop()
            entry.edge = b""
            if isinstance(entry, Prefix):
                below += entry.children.values()
                entry.children.clear()
            else:
                entry.key = None
        self._idle.clear()
        # From now on there is nothing to remember prefixes for.
        self._forgets = True

    def _place(self, item: Item[K], text: bytes, born: int) -> None:
        prefix = self._root
        while True:
            item.above = prefix
            start = prefix.length
            part = text[start : start + (_KEY if start else LEAST_PREFIX)]
            if len(part) < _KEY:
                return
            key = hash(part)
            child = prefix.children.get(key)
            if child is None:
                prefix.children[key] = item
                item.key = key
                item.edge = text[start:]
                return
            if isinstance(child, Prefix):
                if text.startswith(child.edge, start):
                    prefix = child
                    continue
                longest = len(child.edge) - _least_step(child.length)
            else:
                longest = len(child.edge)
            common = min(common_length(child.edge, text, start), longest)
            if common < (_least_step(start) if start else LEAST_PREFIX):
                return
            prefix = self._part(prefix, key, child, common, born)

    def _part(
        self, above: Prefix[K], key: int, child: Prefix[K] | Item[K], common: int, born: int
    ) -> Prefix[K]:
        """Put a prefix between another and what is below it."""
        between = Prefix(above, key, child.edge[:common])
        between.born = born
        above.children[key] = between
        child.above = between
        child.edge = child.edge[common:]
        child_key = hash(child.edge[:_KEY])
        if isinstance(child, Prefix):
            between.members, between.waiting, between.out = (
                child.members,
                child.waiting,
                child.out,
            )
            # Those of a group wait for that one.
            between.few = [] if child.few is None else child.few.copy()
            if child in self._idle:
                self._idle_size -= common
            child.key = child_key
            between.children[child_key] = child
        else:
            between.members = between.waiting = 1
            between.few = [child]
            if len(child.edge) < _KEY:
                child.key = None
                child.edge = b""
            else:
                child.key = child_key
                between.children[child_key] = child
        return between


def _least_step(length: int) -> int:
    return max(_LEAST_STEP, length // 8)


def common_length(edge: bytes, text: bytes, start: int) -> int:
    """Return how many bytes of `edge` stand in `text` from `start` on.

    By doubling, then by halves: slices are compared fast.
    """
    low, step = 0, 256
    while low < len(edge) and text.startswith(edge[low : low + step], start + low):
        low += step
        step *= 2
    high = min(low + step, len(edge), len(text) - start)
    low = min(low, high)
    while low < high:
        middle = (low + high + 1) // 2
        if text.startswith(edge[low:middle], start + low):
            low = middle
        else:
            high = middle - 1
    return low
