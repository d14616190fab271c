"""The rows of a dataset as the lines of a file of requests."""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

import msgspec

from deepseek_async.batch import BatchRequest, ShardSettings
from deepseek_async.batch.entries import Fields, read_fields
from deepseek_async.errors import PreflightError

_encode = msgspec.json.Encoder(enc_hook=lambda value: _as_plain(value)).encode


def request_lines(
    rows: Iterable[Mapping[str, Any]], settings: ShardSettings, id_column: str
) -> Iterator[bytes]:
    """Yield the requests of rows, as the lines of a file.

    Raises:
        PreflightError: If a row has no name, or is no request.
    """
    for number, row in enumerate(rows, 1):
        name = row.get(id_column)
        if name is None or name == "" or _is_missing(name):
            raise PreflightError(f"row {number} of the dataset has no {id_column}")
        try:
            fields = _fields(row, settings, id_column)
            request = BatchRequest(custom_id=str(name), body=dict(fields.body), url=fields.url)
            line = _encode(request)
        except (TypeError, ValueError, OverflowError, RecursionError) as exc:
            fields, line = Fields(bad=str(exc)), b""
        if fields.bad is not None:
            raise PreflightError(f"row {number} of the dataset, {name!r}: {fields.bad}")
        yield line + b"\n"


def _fields(row: Mapping[str, Any], settings: ShardSettings, id_column: str) -> Fields:
    if settings.map is not None:
        return read_fields(settings.map(row))
    plain = cast("dict[str, Any]", _without_nulls(_as_plain(row)))
    plain.pop(id_column, None)
    return read_fields(plain)


def _as_plain(value: Any) -> Any:
    """Return a value of a row as JSON has it: tables hold lists as arrays of NumPy.

    Raises:
        TypeError: If JSON has nothing like it.
    """
    if isinstance(value, Mapping):
        items = cast("Mapping[str, Any]", value).items()
        return {name: _as_plain(each) for name, each in items}
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_as_plain(each) for each in cast("list[Any]", value)]
    if value is None or _is_missing(value):
        return None
    if isinstance(value, str | int | float | bool):
        return value
    raise TypeError(f"a {type(value).__name__} can't be written as JSON")


def _is_missing(value: Any) -> bool:
    """Tell whether a value is what pandas has in columns of numbers where there is none."""
    return isinstance(value, float) and math.isnan(value)


def _without_nulls(value: Any) -> Any:
    """Leave out what is empty: a table gives all messages the fields that any of them has."""
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value).items()
        return {name: _without_nulls(each) for name, each in items if each is not None}
    if isinstance(value, list):
        return [_without_nulls(each) for each in cast("list[Any]", value)]
    return value
