"""Which of millions of ids have been met: 8 bytes each, 16 with a value.

Keys are 64-bit hashes. They lie sorted in arrays, spread over many small ones so that an insertion
moves little and no growth ever stops the program. A Python set would take 67 bytes an item. Two of
ten million different ids share a key with a probability of 3 in a million.
"""

import sys
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable
from hashlib import blake2b

_BITS = 64
_SHARDS = 1 << 10
_SHIFT = _BITS - 10
# Keys are signed: the lowest belong to the first shard.
_OFFSET = _SHARDS // 2


def _digest_key(data: bytes) -> int:
    return int.from_bytes(blake2b(data, digest_size=_BITS // 8).digest(), "big", signed=True)


#: Returns the key of some bytes, as a signed number of 64 bits; another one in each process. The
#: hashes of a process of 32 bits are too short.
key_of: Callable[[bytes], int] = hash if sys.hash_info.width == _BITS else _digest_key


def _empty_shards() -> list["array[int]"]:
    return [array("q") for _ in range(_SHARDS)]


class KeySet:
    """A set of keys, filled once.

    Args:
        batches: The keys in lists, best of a hundred thousand and more. The lists are sorted in
            place.
    """

    def __init__(self, batches: Iterable[list[int]] = ()) -> None:
        shards = _empty_shards()
        for batch in batches:
            batch.sort()
            start = 0
            for number, shard in enumerate(shards, 1 - _OFFSET):
                end = bisect_left(batch, number << _SHIFT, start)
                if end > start:
                    shard.extend(batch[start:end])
                    start = end
        # Each is a row of sorted runs: cheap to merge.
        self._shards = [array("q", sorted(shard)) for shard in shards]

    def __contains__(self, key: int) -> bool:
        shard = self._shards[(key >> _SHIFT) + _OFFSET]
        place = bisect_left(shard, key)
        return place < len(shard) and shard[place] == key

    def __len__(self) -> int:
        return sum(map(len, self._shards))


class Seen:
    """A table of keys and values, both signed numbers of 64 bits, that only grows."""

    def __init__(self) -> None:
        self._keys = _empty_shards()
        self._values = _empty_shards()

    def add(self, key: int, value: int) -> int | None:
        """Store a value unless the key has one already; return that one, None if it had none."""
        number = (key >> _SHIFT) + _OFFSET
        keys = self._keys[number]
        place = bisect_left(keys, key)
        if place < len(keys) and keys[place] == key:
            return self._values[number][place]
        keys.insert(place, key)
        self._values[number].insert(place, value)
        return None

    def count(self, key: int) -> int:
        """Return how many times this was called for a key, this time included."""
        before = self.add(key, 1)
        if before is None:
            return 1
        number = (key >> _SHIFT) + _OFFSET
        place = bisect_left(self._keys[number], key)
        self._values[number][place] = before + 1
        return before + 1

    def __len__(self) -> int:
        return sum(map(len, self._keys))
