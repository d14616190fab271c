"""Rows of a Parquet file as the items of a batch."""

import importlib
import os
import threading
from collections import deque
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, cast

import anyio.to_thread
import msgspec

from deepseek_async.errors import BatchFileError

# Rows that are read at once.
_ROWS = 1000
# Columns that hold JSON where they hold text: what Parquet has no type for.
_JSON = frozenset(
    {"body", "messages", "tools", "tool_choice", "response_format", "stop", "thinking"}
)


class ParquetRows:
    """The rows of a Parquet file, each as a dict by its columns, without those that are null.

    A row is a request, with ``body`` as JSON text or a struct, and ``custom_id`` and ``url`` if
    there are such columns; or a body, with ``messages`` as JSON text or a list of structs and its
    options in further columns. Anything else is for ``map=``.

    Args:
        path: The file; it is opened when the first row is asked for, which raises
            :class:`BatchFileError` if it can't be read, also for want of pyarrow.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: Any = None
        self._batches: Any = None
        self._rows: deque[dict[str, Any]] = deque()
        self._count: int | None = None
        self._lock = threading.Lock()
        self._closed = False

    def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        return self

    async def __anext__(self) -> dict[str, Any]:
        if not self._rows and not self._closed:
            # A cancellation here loses nothing: what the thread reads is there the next time.
            await anyio.to_thread.run_sync(self._fill)
        if not self._rows:
            raise StopAsyncIteration
        return self._rows.popleft()

    @property
    def total(self) -> int | None:
        """How many rows there are; None before the file is open."""
        return self._count

    async def aclose(self) -> None:
        """Close the file; there are no more rows then."""
        self._closed = True
        self._rows.clear()
        if self._file is not None:
            self._file.close()

    def _fill(self) -> None:
        """Read the next rows; runs in a thread."""
        # The thread of a cancelled call may still be reading.
        with self._lock:
            self._open()
            while not self._rows and not self._closed:
                try:
                    batch = next(self._batches, None)
                except Exception as exc:  # pyarrow's errors are of many kinds.
                    raise self._error(exc) from exc
                if batch is None:
                    return
                self._rows.extend(map(_item, batch.to_pylist()))

    def _open(self) -> None:
        if self._file is not None:
            return
        try:
            # By name: the library is not among our dependencies.
            parquet: Any = importlib.import_module("pyarrow.parquet")
        except ImportError as exc:
            raise BatchFileError(
                f"{self._path} can't be read: that takes the library pyarrow: "
                'pip install "deepseek-async[parquet]"',
                path=str(self._path),
            ) from exc
        try:
            self._file = parquet.ParquetFile(self._path)
            self._count = self._file.metadata.num_rows
            self._batches = self._file.iter_batches(batch_size=_ROWS)
        except Exception as exc:  # pyarrow's errors are of many kinds.
            raise self._error(exc) from exc

    def _error(self, exc: Exception) -> BatchFileError:
        number = exc.errno if isinstance(exc, OSError) else None
        reason = os.strerror(number) if number else f"{exc!s:.200}" or type(exc).__name__
        return BatchFileError(f"{self._path} can't be read: {reason}", path=str(self._path))


def _item(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row as an item."""
    return {name: _value(name, value) for name, value in row.items() if value is not None}


def _value(name: str, value: Any) -> Any:
    if isinstance(value, str) and name in _JSON and value.lstrip()[:1] in ("{", "["):
        try:
            return msgspec.json.decode(value)
        except (msgspec.DecodeError, UnicodeError):
            # What is wrong with it is told where a request is made of it.
            return value
    return _without_nulls(value)


def _without_nulls(value: Any) -> Any:
    """Leave out the fields of structs that are null: Parquet has all fields in all rows."""
    if isinstance(value, Mapping):
        fields = cast("Mapping[str, Any]", value)
        return {name: _without_nulls(each) for name, each in fields.items() if each is not None}
    if isinstance(value, list):
        return [_without_nulls(each) for each in cast("list[Any]", value)]
    return value
