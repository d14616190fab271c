"""The input of a batch: a file, or anything that can be iterated over, as entries with names."""

import os
import stat
import threading
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Sized
from pathlib import Path
from typing import Any, BinaryIO, Protocol, Self, TypeGuard, cast

import anyio.to_thread

from deepseek_async.batch.entries import (
    BYTE_ORDER_MARK,
    Entry,
    Fields,
    Registry,
    as_json,
    decode_line,
    read_fields,
)
from deepseek_async.batch.parquet_source import ParquetRows
from deepseek_async.errors import BatchFileError

# How much of a file one visit to a thread reads, in bytes: lines of the usual size by the hundred.
_BLOCK = 1 << 20

_UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")

#: What a batch takes as its requests.
Requests = Iterable[Any] | AsyncIterable[Any] | str | os.PathLike[str]


class Source(Protocol):
    """The entries of an input, in its order. An item that can't be read is an entry too."""

    @property
    def total(self) -> int | None:
        """How many items there are; None if that isn't known beforehand."""
        ...

    @property
    def share(self) -> float | None:
        """How much of the input has been read, from 0 to 1; None if that isn't known."""
        ...

    def __aiter__(self) -> AsyncIterator[Entry]: ...

    async def __anext__(self) -> Entry: ...

    async def aclose(self) -> None:
        """Read no more."""
        ...


def open_source(requests: Requests, transform: Callable[[Any], Any] | None = None) -> Source:
    """Return the entries of an input; nothing is read before they are asked for.

    Args:
        requests: The path of a JSONL file, or of a Parquet file (``.parquet``; see
            :class:`ParquetRows`), or an iterable of requests: :class:`BatchRequest`, its dict, or a
            body alone. A sync iterable runs in the event loop.
        transform: Makes a request of an item; of a file it gets the decoded line, or the row.
    """
    if isinstance(requests, str | os.PathLike):
        path = Path(requests)
        if path.suffix.lower() == ".parquet":
            return ParquetSource(path, transform)
        return FileSource(path, transform)
    return IterableSource(requests, transform)


class _Naming:
    """What the sources share: items to entries."""

    def __init__(self, transform: Callable[[Any], Any] | None) -> None:
        self._transform = transform
        self._registry = Registry()
        self._count = 0

    def entry(self, item: object, where: str, raw: bytes | None = None) -> Entry:
        """Make the entry of the next item."""
        fields = self._fields(item)
        if fields.bad is not None and raw is None:
            raw = as_json(item)
        return self._next(where, fields, raw)

    def unreadable(self, reason: str, where: str, raw: bytes) -> Entry:
        """Make the entry of the next item, whose line says nothing."""
        return self._next(where, Fields(bad=reason), raw)

    def _next(self, where: str, fields: Fields, raw: bytes | None) -> Entry:
        entry = self._registry.entry(self._count, where, fields, raw)
        self._count += 1
        return entry

    def _fields(self, item: object) -> Fields:
        """Tell what an item is."""
        if self._transform is None:
            return read_fields(item)
        try:
            return read_fields(self._transform(item))
        except Exception as exc:
            # One item that doesn't fit must not cost the others.
            return Fields(bad=f"map failed with {type(exc).__name__}: {exc}")


class IterableSource:
    """Entries of an iterable, sync or async."""

    def __init__(
        self,
        items: Iterable[Any] | AsyncIterable[Any],
        transform: Callable[[Any], Any] | None = None,
    ) -> None:
        if not isinstance(items, AsyncIterable) and not _is_iterable(items):
            raise TypeError(
                "requests must be a path, an iterable or an async iterable of requests, "
                f"not {type(items).__name__}"
            )
        self._items = items
        self._naming = _Naming(transform)
        self._iterator: Iterator[Any] | AsyncIterator[Any] | None = None
        self._read = 0

    @property
    def total(self) -> int | None:
        """How many items there are; None if the iterable doesn't tell."""
        return len(self._items) if isinstance(self._items, Sized) else None

    @property
    def share(self) -> float | None:
        """How much of the input has been read, from 0 to 1; None if that isn't known."""
        total = self.total
        return None if not total else min(1.0, self._read / total)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Entry:
        if self._iterator is None:
            items = self._items
            self._iterator = aiter(items) if isinstance(items, AsyncIterable) else iter(items)
        iterator = self._iterator
        if isinstance(iterator, AsyncIterator):
            item = await anext(iterator)
        else:
            # StopIteration can't leave a coroutine.
            try:
                item = next(iterator)
            except StopIteration:
                raise StopAsyncIteration from None
        self._read += 1
        return self._naming.entry(item, f"item {self._read}")

    async def aclose(self) -> None:
        """Read no more; close a generator."""
        iterator = self._iterator
        aclose = getattr(iterator, "aclose", None)
        if aclose is not None:
            await aclose()
            return
        close = getattr(iterator, "close", None)
        # Files are iterators too; they belong to the caller.
        if close is not None and hasattr(iterator, "gi_frame"):
            close()


class ParquetSource(IterableSource):
    """Entries of a Parquet file, one for each row."""

    def __init__(self, path: Path, transform: Callable[[Any], Any] | None = None) -> None:
        self._rows = ParquetRows(path)
        super().__init__(self._rows, transform)
        self._name = path.name

    @property
    def total(self) -> int | None:
        """How many rows there are; None before the first entry."""
        return self._rows.total

    async def __anext__(self) -> Entry:
        entry = await super().__anext__()
        entry.where = f"{self._name} row {self._read}"
        if entry.bad is not None:
            entry.bad = f"{entry.where}: {entry.bad}"
        return entry


def _is_iterable(value: object) -> TypeGuard[Iterable[Any]]:
    try:
        iter(cast("Any", value))
    except TypeError:
        return False
    return not isinstance(value, bytes | dict)


class FileSource:
    """Entries of a JSONL file, as long as it is when the first is asked for."""

    def __init__(
        self, path: str | os.PathLike[str], transform: Callable[[Any], Any] | None = None
    ) -> None:
        self._path = Path(path)
        self._naming = _Naming(transform)
        self._file: BinaryIO | None = None
        self._size = 0
        self._read_to = 0
        self._offset = 0
        self._number = 0
        self._lines: Iterator[bytes] = iter(())
        self._lock = threading.Lock()
        self._closed = False

    @property
    def total(self) -> int | None:
        """None: a file has to be read to know."""
        return None

    @property
    def share(self) -> float | None:
        """How much of the file has been read, from 0 to 1; None before the first entry."""
        return self._offset / self._size if self._size else None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Entry:
        while not self._closed:
            for line in self._lines:
                self._offset += len(line)
                self._number += 1
                if self._number == 1:
                    line = line.removeprefix(BYTE_ORDER_MARK)
                if not line.isspace() and line:
                    return self._entry(line)
            # A cancellation here loses nothing: the block is then read again.
            lines = await anyio.to_thread.run_sync(self._read_block)
            if not lines:
                raise StopAsyncIteration
            self._read_to += sum(map(len, lines))
            self._lines = iter(lines)
        raise StopAsyncIteration

    def _entry(self, line: bytes) -> Entry:
        where = f"{self._path.name} line {self._number}"
        try:
            item = decode_line(line)
        except ValueError as exc:
            text = line.rstrip(b"\r\n")
            return self._naming.unreadable(f"{where} is not JSON: {exc}", where, text)
        entry = self._naming.entry(item, where, line.rstrip(b"\r\n"))
        if entry.bad is not None:
            entry.bad = f"{where}: {entry.bad}"
        return entry

    def _read_block(self) -> list[bytes]:
        """Read the next lines; runs in a thread."""
        try:
            # The thread of a cancelled call may still be reading.
            with self._lock:
                file = self._file or self._open()
                file.seek(self._read_to)
                wanted = min(_BLOCK, self._size - self._read_to)
                return file.readlines(wanted) if wanted > 0 else []
        except OSError as exc:
            raise self._error(exc.strerror or type(exc).__name__) from exc

    def _open(self) -> BinaryIO:
        # Before it is opened: that of a pipe waits for somebody who writes.
        if stat.S_IFMT(self._path.stat().st_mode) not in (stat.S_IFREG, stat.S_IFDIR):
            raise self._error(
                "it is no regular file, and what stops must be able to go on with the same input; "
                "save it to one first"
            )
        self._file = file = self._path.open("rb")
        # What is appended later, such as failures of a retry, is for the next run.
        self._size = os.fstat(file.fileno()).st_size
        if file.read(2) in _UTF_16_MARKS:
            raise self._error("it is UTF-16, not UTF-8 (Windows PowerShell writes that)")
        if self._closed:
            # In the meantime, by a task that was cancelled.
            file.close()
        return file

    def _error(self, reason: str) -> BatchFileError:
        return BatchFileError(f"{self._path} can't be read: {reason}", path=str(self._path))

    async def aclose(self) -> None:
        """Close the file; there are no more entries then."""
        self._closed = True
        if self._file is not None:
            self._file.close()
