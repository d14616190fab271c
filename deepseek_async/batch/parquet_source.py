"""Rows of a Parquet file as the items of a batch."""

import importlib
import os
import threading
from collections import deque
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import anyio.to_thread
import msgspec

from deepseek_async.errors import BatchFileError

# Rows that are read at once.
_ROWS = 1000
# Columns that hold JSON where they hold text: what Parquet has no type for.
_JSON = frozenset(
    {"body", "messages", "tools", "tool_choice", "response_format", "stop", "thinking"}
)
# Columns of text, which some programs write as bytes without saying that it is.
_TEXT = _JSON | {"custom_id", "url", "method", "model", "prompt", "suffix"}
# What may be a column of fractions, since one of whole numbers has no place for what is missing in
# pandas.
_WHOLE = frozenset({"max_tokens", "max_completion_tokens", "n", "seed", "top_logprobs"})


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
        if not self._rows or self._closed:
            raise StopAsyncIteration
        return self._rows.popleft()

    @property
    def total(self) -> int | None:
        """How many rows there are; None before the file is open."""
        return self._count

    async def aclose(self) -> None:
        """Close the file; there are no more rows then."""
        self._closed = True
        self._close()

    def _fill(self) -> None:
        """Read the next rows; runs in a thread."""
        # The thread of a cancelled call may still be reading.
        try:
            with self._lock:
                self._read()
        finally:
            if self._closed:
                self._close()

    def _close(self) -> None:
        # Not while the thread of a cancelled call reads: it does this when it has.
        if self._lock.acquire(blocking=False):
            try:
                self._rows.clear()
                if self._file is not None:
                    self._file.close()
            finally:
                self._lock.release()

    def _read(self) -> None:
        while not self._rows and not self._closed:
            self._open()
            try:
                batch = next(self._batches, None)
                rows = None if batch is None else batch.to_pylist()
            except Exception as exc:  # pyarrow's errors are of many kinds.
                raise self._error(exc) from exc
            if rows is None:
                return
            self._rows.extend(map(_item, rows))

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
            # Read ahead, all of the file would be kept until its end.
            self._file = parquet.ParquetFile(self._path, pre_buffer=False)
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
    if name == "custom_id" and isinstance(value, UUID):
        return str(value)
    value = _plain(value, is_text=name in _TEXT)
    if isinstance(value, str) and name in _JSON and value.lstrip()[:1] in ("{", "["):
        try:
            return msgspec.json.decode(value)
        except (msgspec.DecodeError, UnicodeError):
            # What is wrong with it is told where a request is made of it.
            return value
    if isinstance(value, float) and name in _WHOLE and value.is_integer():
        return int(value)
    if name == "body" and isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        return {inner: _value(inner, each) for inner, each in fields.items()}
    return value


def _plain(value: Any, *, is_text: bool) -> Any:
    """Return a value as JSON has it.

    Fields of structs that are null are left out: Parquet has all fields in all rows.

    Args:
        value: As pyarrow has it.
        is_text: Whether bytes in it are text.
    """
    if isinstance(value, bytes) and is_text:
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value
    if isinstance(value, Mapping):
        fields = cast("Mapping[str, Any]", value)
        return {
            name: _plain(each, is_text=is_text) for name, each in fields.items() if each is not None
        }
    if isinstance(value, list):
        items = cast("list[Any]", value)
        if items and all(isinstance(each, tuple) for each in items):
            # A map.
            return _plain(dict(items), is_text=is_text)
        return [_plain(each, is_text=is_text) for each in items]
    return value
