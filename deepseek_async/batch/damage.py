"""Cutting the unreadable out of a file of lines."""

import errno
import itertools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from deepseek_async.batch.files import replace_file, sync_directory

# What is copied at once, in bytes.
_BLOCK = 1 << 20

_LINE_BEGINNING = b'{"custom_id":'


class Span(NamedTuple):
    """A part of a file, in bytes."""

    start: int
    end: int


def repair_file(
    path: Path, damaged: Path, file: BinaryIO, bad: Sequence[Span], unended: Sequence[int]
) -> None:
    """Cut spans out of a file and end the lines that lack their end.

    A file that needs that only at its end is changed in place, any other one written anew.

    Args:
        path: The file.
        damaged: Where to keep what is cut out.
        file: The file, open for reading.
        bad: What to cut out, in order.
        unended: Where to insert a line end, in order.

    Raises:
        OSError: If that fails; the file is as it was then.
    """
    size = file.seek(0, 2)
    _save(damaged, file, [span for span in bad if not _is_torn(file, span, size)])
    whole = bad[-1].start if bad and bad[-1].end == size else size
    if len(bad) <= (whole < size) and all(place == whole for place in unended):
        _cut(path, whole, b"\n" if unended else b"")
    else:
        replace_file(path, _kept(file, bad, unended, size))


def _is_torn(file: BinaryIO, span: Span, size: int) -> bool:
    """Tell whether a span is what a killed process leaves: a line begun, zeros, or both."""
    if span.end != size:
        return False
    is_first = True
    for block in _blocks(file, *span):
        text = block.rstrip(b"\0")
        begins = text[: len(_LINE_BEGINNING)]
        if b"\n" in text or (is_first and not _LINE_BEGINNING.startswith(begins)):
            return False
        is_first = False
    return True


def _save(damaged: Path, file: BinaryIO, spans: Sequence[Span]) -> None:
    if not spans:
        return
    is_new = not damaged.exists()
    with damaged.open("ab") as copy:
        for span in spans:
            for block in _blocks(file, *span):
                copy.write(block)
            copy.write(b"\n")
        copy.flush()
        os.fsync(copy.fileno())
    if is_new:
        sync_directory(damaged)


def _cut(path: Path, size: int, end: bytes) -> None:
    with path.open("r+b", buffering=0) as file:
        file.truncate(size)
        file.seek(size)
        file.write(end)
        os.fsync(file.fileno())


def _kept(
    file: BinaryIO, bad: Sequence[Span], unended: Sequence[int], size: int
) -> Iterator[bytes]:
    ends = set(unended)
    cuts = sorted({0, size, *ends, *(place for span in bad for place in span)})
    cut_out = {span.start for span in bad}
    for start, end in itertools.pairwise(cuts):
        if start not in cut_out:
            yield from _blocks(file, start, end)
        if end in ends:
            yield b"\n"


def _blocks(file: BinaryIO, start: int, end: int) -> Iterator[bytes]:
    while start < end:
        file.seek(start)
        block = file.read(min(_BLOCK, end - start))
        if not block:
            raise OSError(errno.EIO, "it became shorter while it was read")
        yield block
        start += len(block)
