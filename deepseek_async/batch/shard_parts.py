"""An input file in parts, one for each shard: where their lines are, not what they say.

The file is read once, line by line, and never held: of each line some 60 bytes are kept while it is
cut. Requests that begin alike come into the same part, for the server's cache, and those with one
name always do, so that the shards together find what a single job would: the same request twice,
or two requests with one ``custom_id``.
"""

import os
import stat
from array import array
from collections.abc import AsyncIterator, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO

import anyio.to_thread
import msgspec

from deepseek_async.batch.entries import decode_line
from deepseek_async.batch.files import file_error
from deepseek_async.batch.seen import Seen, key_of
from deepseek_async.batch.shard_lines import look_at
from deepseek_async.errors import BatchFileError, PreflightError

#: Items of a part, unless told otherwise.
SIZE = 2000

# Bytes of a part: its shard holds the requests in memory.
_MOST_BYTES = 64 << 20

# How much of a file one visit to a thread reads, in bytes.
_BLOCK = 1 << 20

# Requests that have so many bytes in common are kept together. Less is no group to the cache.
_BEGINNINGS = (1 << 10, 4 << 10, 16 << 10, 64 << 10)

# Numbers of each line in a part: where it begins, how long it is, which one it is.
_NUMBERS = 3

_UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")


class ShardPart(msgspec.Struct, frozen=True, kw_only=True):
    """One part of an input file, as the source of a shard. It can be pickled, and is small.

    Iterating reads the lines, decoded; the file must be where it was, and unchanged.
    """

    path: str
    """The input file, absolute."""

    file_size: int
    """Of the whole file, in bytes."""

    modified: int
    """When it was last changed, in nanoseconds since the epoch."""

    cut: str
    """Tells this cut of this file from all others."""

    number: int
    """Its place in this cut, from 0."""

    places: bytes
    """For each line three numbers of 64 bits: where it begins, its length, and which one it is."""

    def __len__(self) -> int:
        return len(self.places) // (_NUMBERS * 8)

    async def __aiter__(self) -> AsyncIterator[Any]:
        places = array("Q", self.places)
        file = await anyio.to_thread.run_sync(self._open)
        try:
            start = 0
            while start < len(places):
                items, start = await anyio.to_thread.run_sync(self._read, file, places, start)
                for item in items:
                    yield item
        finally:
            file.close()

    def _open(self) -> BinaryIO:
        path = Path(self.path)
        try:
            file = path.open("rb")
        except OSError as exc:
            raise file_error(path, exc, "read") from exc
        status = os.fstat(file.fileno())
        if (status.st_size, status.st_mtime_ns) == (self.file_size, self.modified):
            return file
        file.close()
        raise BatchFileError(
            f"{path} has changed since it was cut into parts; cut it again, for another directory",
            path=self.path,
        )

    def _read(self, file: BinaryIO, places: "array[int]", start: int) -> tuple[list[Any], int]:
        """Read the next lines; return what they say, and where the next ones stand."""
        items: list[Any] = []
        size = 0
        while start < len(places) and size < _BLOCK:
            offset, length, number = places[start : start + _NUMBERS]
            start += _NUMBERS
            size += length
            try:
                file.seek(offset)
                line = file.read(length)
            except OSError as exc:
                raise file_error(Path(self.path), exc, "read") from exc
            items.append(self._item(line, number))
        return items, start

    def _item(self, line: bytes, number: int) -> object:
        try:
            return decode_line(line)
        except ValueError as exc:
            # The number first: a name of any length may be cut off behind it.
            return _BadLine(f"line {number} of {Path(self.path).name} ({exc})")


class _BadLine:
    """What stands for a line that isn't JSON: no request, and it says so."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def split_requests(
    path: str | os.PathLike[str], *, size: int = SIZE, max_bytes: int = _MOST_BYTES
) -> list[ShardPart]:
    """Cut a JSONL file of requests into parts for :func:`run_shard`; blocks while it is read once.

    The same file is cut the same way each time, so that shards go on where they ended. If
    ``settings.map`` makes the requests, it should name them, too: without names, lines that are
    different and become the same request may come into different shards.

    Args:
        path: The file, where all workers can read it.
        size: Items of a part; best 500 to 5,000. A part has more if more of them have one name.
        max_bytes: Bytes of a part at most, but for single lines that are longer.

    Raises:
        BatchFileError: If the file can't be read.
        PreflightError: If a size is not above 0, or the file is Parquet or a pipe.
    """
    if size < 1 or max_bytes < 1:
        raise PreflightError(f"size and max_bytes must be above 0, got {size!r} and {max_bytes!r}")
    file = Path(path).absolute()
    if file.suffix.lower() == ".parquet":
        raise PreflightError(
            f"{str(path)!r} is Parquet, which has no lines to cut: give run_shard the rows "
            "themselves, or write them as JSONL"
        )
    try:
        if not stat.S_ISREG(file.stat().st_mode) and not file.is_dir():
            raise PreflightError(
                f"{str(path)!r} is not a regular file: save the requests first, so that workers "
                "can read them, too"
            )
        return _Cut(file, size, max_bytes).parts()
    except OSError as exc:
        raise file_error(file, exc, "read") from exc


class _Cut:
    """The lines of a file in the order of their shards."""

    def __init__(self, path: Path, size: int, max_bytes: int) -> None:
        self._path = path
        self._size = size
        self._max_bytes = max_bytes
        self._offsets, self._lengths, self._numbers = array("Q"), array("Q"), array("Q")
        # Which item begins each group: the first with the same name, or the same beginning.
        self._leaders = array("Q")
        self._groups = [array("Q") for _ in _BEGINNINGS]
        self._names = Seen()
        self._beginnings = [Seen() for _ in _BEGINNINGS]
        self._digest = blake2b(f"{size} {max_bytes}".encode(), digest_size=16)

    def parts(self) -> list[ShardPart]:
        """Read the file and cut it."""
        with self._path.open("rb") as file:
            status = os.fstat(file.fileno())
            self._read(file, status.st_size)
        cut = self._digest.hexdigest()
        return [
            ShardPart(
                path=str(self._path),
                file_size=status.st_size,
                modified=status.st_mtime_ns,
                cut=cut,
                number=number,
                places=array("Q", self._places(part)).tobytes(),
            )
            for number, part in enumerate(self._divide(self._order()))
        ]

    def _places(self, part: list[int]) -> Iterator[int]:
        for item in part:
            yield from (self._offsets[item], self._lengths[item], self._numbers[item])

    def _read(self, file: BinaryIO, size: int) -> None:
        if file.read(2) in _UTF_16_MARKS:
            raise BatchFileError(
                f"{self._path} can't be read: it is UTF-16, not UTF-8 (Windows PowerShell writes "
                "that)",
                path=str(self._path),
            )
        file.seek(0)
        offset = 0
        for number, line in enumerate(file, 1):
            # What is appended in the meantime is for another cut.
            if offset >= size:
                break
            self._digest.update(line)
            if not line.isspace():
                self._offsets.append(offset)
                self._lengths.append(len(line))
                self._numbers.append(number)
                self._add(line)
            offset += len(line)

    def _add(self, line: bytes) -> None:
        item = len(self._leaders)
        name, text = look_at(line)
        leader = self._names.add(key_of(name), item)
        if leader is not None:
            # Whatever it begins with, it has to be where the first one is.
            self._leaders.append(leader)
            for group in self._groups:
                group.append(group[leader])
            return
        self._leaders.append(item)
        for length, group, seen in zip(_BEGINNINGS, self._groups, self._beginnings, strict=True):
            before = seen.add(key_of(text[:length]), item) if len(text) >= length else None
            group.append(item if before is None else before)

    def _order(self) -> list[int]:
        """Return the items, those that begin alike together, otherwise in their order."""
        order = list(range(len(self._leaders)))
        # Each sort keeps the order of those that are equal in it.
        for keys in (self._leaders, *reversed(self._groups)):
            order.sort(key=keys.__getitem__)
        return order

    def _divide(self, order: list[int]) -> Iterator[list[int]]:
        part: list[int] = []
        held = 0
        for family in self._families(order):
            # What belongs together is not torn apart for the sake of a few more.
            is_large = len(part) + len(family) > self._size and len(part) >= self._size // 2
            for item in family:
                is_full = len(part) >= self._size or held + self._lengths[item] > self._max_bytes
                if part and (is_large or (is_full and self._leaders[item] == item)):
                    yield part
                    part, held = [], 0
                is_large = False
                part.append(item)
                held += self._lengths[item]
        if part:
            yield part

    def _families(self, order: list[int]) -> Iterator[list[int]]:
        """Yield the runs of items that begin alike."""
        groups = self._groups[0]
        family: list[int] = []
        for item in order:
            if family and groups[item] != groups[family[-1]]:
                yield family
                family = []
            family.append(item)
        if family:
            yield family
