"""Reading a results file again after whatever ended the last run.

Each line that is whole is kept, wherever it stands. Behind a power cut there may be a line without
an end, zeros, or anything else; a user may have edited the file. What can't be read is cut out, and
kept in a file of its own unless it is no more than the beginning of a line.

Lines are not decoded: a million of them would take three times as long. A line that begins and ends
as we write them is taken for whole if there are no NUL bytes around; the last 32 MB, which are more
than a crash can spoil, and lines of any other form are looked at closely.
"""

import errno
import io
import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec

from deepseek_async.batch.damage import Span, repair_file
from deepseek_async.batch.files import file_error
from deepseek_async.batch.seen import KeySet, key_of
from deepseek_async.wire.repair import UNREADABLE

# What is read at once, in bytes: small enough for the cache of the processor.
_BLOCK = 256 << 10

# How much of the end of a file is looked at closely, in bytes.
_CLOSELY = 32 << 20

# How many keys are sorted at once.
_BATCH = 250_000

#: How the lines of the results file begin.
_HEAD = b'{"custom_id":"'
_LAST = b'"error":null}'
_TAIL = _LAST + b"\n"


class _Named(msgspec.Struct):
    custom_id: str


_decode_name = msgspec.json.Decoder(_Named).decode


class Recovery(NamedTuple):
    """What a file held.

    Attributes:
        keys: Keys of the names of its lines.
        lines: How many lines are whole.
        damaged: Bytes that were cut out.
    """

    keys: KeySet
    lines: int
    damaged: int


def name_of(line: bytes) -> bytes | None:
    """Return the name in a line of any form, as UTF-8; None if it is not a whole line."""
    try:
        if not line.isascii():
            line.decode()
        return _decode_name(line).custom_id.encode()
    except UNREADABLE:
        return _name_in_python_json(line)


def _name_in_python_json(line: bytes) -> bytes | None:
    """Read what other programs wrote: lone surrogates and NaN, but no control characters."""
    try:
        name = json.loads(line)["custom_id"]
        return name.encode() if isinstance(name, str) else None
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def recover(path: Path, damaged: Path) -> Recovery:
    """Read a results file and make it whole again; blocks.

    Args:
        path: The file; one that doesn't exist is an empty one.
        damaged: Where to keep what can't be read.

    Raises:
        BatchFileError: If it can't be read, or the repaired one not be written; then it is as it
            was.
    """
    try:
        with path.open("rb", buffering=0) as file:
            scan = _Scan(file)
            keys = KeySet(scan.batches())
            if scan.bad or scan.unended:
                repair_file(path, damaged, file, scan.bad, scan.unended)
    except FileNotFoundError:
        return Recovery(KeySet(), 0, 0)
    except OSError as exc:
        raise file_error(path, exc, "recovered") from exc
    return Recovery(keys, scan.lines, sum(span.end - span.start for span in scan.bad))


class _Scan:
    """One pass over a file.

    Attributes:
        lines: How many whole lines it has.
        bad: Where it can't be read, in order; neighbours are one span.
        unended: Where lines end that lack nothing but their line end.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = file.seek(0, 2)
        self.lines = 0
        self.bad: list[Span] = []
        self.unended: list[int] = []
        self._keys: list[int] = []

    def batches(self) -> Iterator[list[int]]:
        """Read it all; yield the keys of the names."""
        for start, block in self._blocks():
            before = len(self._keys)
            if self._size - start > _CLOSELY and b"\0" not in block:
                self._read_fast(start, block)
            else:
                self._read_closely(start, block)
            self.lines += len(self._keys) - before
            if len(self._keys) >= _BATCH:
                yield self._keys
                self._keys = []
        yield self._keys

    def _blocks(self) -> Iterator[tuple[int, bytes]]:
        """Yield pieces of whole lines and where they start; the last may lack its line end."""
        start = 0
        wanted = _BLOCK
        while start < self._size:
            self._file.seek(start)
            block = self._file.read(wanted)
            if not block:
                raise OSError(errno.EIO, "it became shorter while it was read")
            at_end = start + len(block) >= self._size
            end = len(block) if at_end else block.rfind(b"\n") + 1
            if end:
                yield start, block[:end]
                start += end
                wanted = _BLOCK
            else:
                # A line that is longer than a block.
                wanted *= 2

    def _read_fast(self, start: int, block: bytes) -> None:
        names: list[bytes] = []
        find = block.find
        position = 0
        while (end := find(b"\n", position) + 1) > 0:
            place = position + len(_HEAD)
            name = block[place : find(b'"', place)]
            if (
                block[position:place] == _HEAD
                and block[end - len(_TAIL) : end] == _TAIL
                and b"\\" not in name
            ):
                names.append(name)
            else:
                self._read_line(start + position, block[position:end])
            position = end
        if position < len(block):
            self._read_line(start + position, block[position:])
        self._keys.extend(map(key_of, names))

    def _read_closely(self, start: int, block: bytes) -> None:
        # Not `splitlines`: that also splits where a CR stands.
        for line in io.BytesIO(block):
            self._read_line(start, line)
            start += len(line)

    def _read_line(self, start: int, line: bytes) -> None:
        if not line.isspace() and not self._keep(start, line):
            self._salvage(start, line)

    def _keep(self, start: int, line: bytes) -> bool:
        name = name_of(line)
        if name is None:
            return False
        self._keys.append(key_of(name))
        if not line.endswith(b"\n"):
            self.unended.append(start + len(line))
        return True

    def _salvage(self, start: int, line: bytes) -> None:
        """Keep the whole lines that something unreadable stands before or behind."""
        heads = [match.start() for match in re.finditer(re.escape(_HEAD), line)]
        read_to = 0
        for head, limit in itertools.pairwise([*heads, len(line)]):
            found = line.rfind(_LAST, head, limit)
            end = limit if found < 0 else found + len(_LAST)
            if line[end : end + 1] == b"\n":
                end += 1
            if self._keep(start + head, line[head:end]):
                self._add_bad(start + read_to, start + head)
                read_to = end
        self._add_bad(start + read_to, start + len(line))

    def _add_bad(self, start: int, end: int) -> None:
        if self.bad and self.bad[-1].end == start:
            self.bad[-1] = Span(self.bad[-1].start, end)
        elif end > start:
            self.bad.append(Span(start, end))
