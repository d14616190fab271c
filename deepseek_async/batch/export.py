"""The results of a batch as a table: CSV, flat JSONL, or Parquet.

One line is in memory at a time, of Parquet a group of them. The file appears under its name when it
is complete.
"""

import csv
import importlib
import io
import os
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from deepseek_async.batch.files import file_error, replace_file
from deepseek_async.batch.paths import BatchPaths
from deepseek_async.batch.results import read_results
from deepseek_async.batch.rows import ResultRow, row_of
from deepseek_async.errors import PreflightError
from deepseek_async.pricing import PriceTable

COLUMNS = ResultRow.__struct_fields__
_WHOLE_NUMBERS = ("status", "prompt_tokens", "completion_tokens", "cached_tokens")

# Cells that begin so are formulas to a spreadsheet, which it runs when the file is opened.
_FORMULA = re.compile(r"[=+\-@\t\r\n]")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")

# A group of rows of a Parquet file: so many, or so much text.
_GROUP_ROWS = 10_000
_GROUP_CHARACTERS = 16 << 20

_encode = msgspec.json.Encoder(decimal_format="number").encode


def export_results(
    results: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    errors: bool = True,
    raw: bool = False,
    prices: PriceTable | None = None,
) -> int:
    """Write the results of a batch as a table; blocks.

    The columns are those of :class:`ResultRow`.

    Args:
        results: The results file.
        target: Where to; the name says in which form: ``.csv``, ``.jsonl`` (or ``.ndjson``),
            ``.parquet``. A file that exists is replaced.
        errors: Add the failed requests, from the file beside the results, if there is one.
        raw: Of a CSV file: for programs only. Otherwise it is for spreadsheets too: it begins with
            a byte order mark, and texts that a spreadsheet would run as formulas (beginning with
            ``= + - @``, a tab or a line end, and no numbers) get a ``'`` in front.
        prices: The price table for ``cost_usd``; DeepSeek's own by default. ``PriceTable({})`` for
            results of hosts whose prices nobody knows.

    Returns:
        How many rows there are.

    Raises:
        BatchFileError: If a file can't be read or written. What was there before stays.
        ImportError: If pyarrow is not installed and needed.
        PreflightError: If the name says no form, or is that of the results.
    """
    paths, file = BatchPaths.of(results), Path(target)
    if os.path.realpath(file) in map(str, paths):
        raise PreflightError(f"{str(file)!r} is a file of the batch itself: choose another name")
    sources = [paths.results]
    if errors and paths.errors.exists():
        # A batch without any answer has no file of results.
        sources = [path for path in sources if path.exists()] + [paths.errors]
    rows = _Rows(sources, prices)
    try:
        replace_file(file, _parts(file, rows, raw=raw))
    except OSError as exc:
        raise file_error(file, exc) from exc
    return rows.count


class _Rows:
    """The rows of some files, and how many there were."""

    def __init__(self, sources: list[Path], prices: PriceTable | None) -> None:
        self._sources = sources
        self._prices = prices
        self.count = 0

    def __iter__(self) -> Iterator[ResultRow]:
        for source in self._sources:
            for result in read_results(source):
                self.count += 1
                yield row_of(result, prices=self._prices)


def _parts(file: Path, rows: _Rows, *, raw: bool) -> Iterator[bytes]:
    """Return the content of a table, by the form that its name says."""
    suffix = file.suffix.lower()
    if suffix == ".csv":
        return _csv(rows, raw=raw)
    if suffix in (".jsonl", ".ndjson"):
        return _jsonl(rows)
    if suffix == ".parquet":
        return _parquet(rows)
    raise PreflightError(f"a table ends in .csv, .jsonl or .parquet, not {str(file)!r}")


def _csv(rows: _Rows, *, raw: bool) -> Iterator[bytes]:
    buffer = io.BytesIO()
    text = io.TextIOWrapper(buffer, "utf-8", newline="", write_through=True)
    writer = csv.writer(text)
    if not raw:
        # Without this mark Excel takes the text for that of an old code page.
        text.write("\ufeff")
    writer.writerow(COLUMNS)
    for row in rows:
        yield _take(buffer)
        cells = map(_cell, msgspec.structs.astuple(row))
        writer.writerow(cells if raw else map(_harmless, cells))
    yield _take(buffer)


def _take(buffer: io.BytesIO) -> bytes:
    """Return what is in a buffer, and empty it."""
    data = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return data


def _cell(value: object) -> str:
    if isinstance(value, Decimal):
        return f"{value:f}"
    return "" if value is None else str(value)


def _harmless(cell: str) -> str:
    return f"'{cell}" if _FORMULA.match(cell) and not _NUMBER.fullmatch(cell) else cell


def _jsonl(rows: _Rows) -> Iterator[bytes]:
    for row in rows:
        yield _encode(row) + b"\n"


def _parquet(rows: _Rows) -> Iterator[bytes]:
    try:
        # By name: the libraries are not among our dependencies.
        arrow: Any = importlib.import_module("pyarrow")
        parquet: Any = importlib.import_module("pyarrow.parquet")
    except ImportError as exc:
        raise ImportError(
            'to write Parquet takes the library pyarrow: pip install "deepseek-async[parquet]"; '
            "or write .csv or .jsonl"
        ) from exc
    kinds = {"cost_usd": arrow.float64(), **dict.fromkeys(_WHOLE_NUMBERS, arrow.int64())}
    schema = arrow.schema([(name, kinds.get(name, arrow.string())) for name in COLUMNS])
    buffer = io.BytesIO()
    with parquet.ParquetWriter(buffer, schema, compression="zstd") as writer:
        for group in _groups(rows):
            columns: dict[str, Any] = dict(zip(COLUMNS, zip(*group, strict=True), strict=True))
            columns["cost_usd"] = [
                None if cost is None else float(cost) for cost in columns["cost_usd"]
            ]
            writer.write_table(arrow.table(columns, schema=schema))
            yield _take(buffer)
    # The end of the file says what is in it.
    yield _take(buffer)


def _groups(rows: _Rows) -> Iterator[list[tuple[Any, ...]]]:
    group: list[tuple[Any, ...]] = []
    size = 0
    for row in rows:
        group.append(msgspec.structs.astuple(row))
        size += (
            len(row.content or "") + len(row.reasoning_content or "") + len(row.tool_calls or "")
        )
        if len(group) == _GROUP_ROWS or size >= _GROUP_CHARACTERS:
            yield group
            group, size = [], 0
    if group:
        yield group
