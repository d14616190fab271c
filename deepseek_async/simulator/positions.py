"""Where in a JSON body a value stands, as the server's parser counts: lines and bytes, from 1."""

from __future__ import annotations

import json
import re

_decoder = json.JSONDecoder()
_STEP = re.compile(r"\.?([^.\[\]]+)|\[(\d+)\]")
_SPACE = re.compile(r"[ \t\r\n]*")


def end_of(data: bytes, path: str = "") -> str:
    """Say where a value ends, or the whole body if there is no such value.

    Args:
        data: JSON.
        path: Such as ``messages[0].role``; empty: the whole body.
    """
    text = data.decode("utf-8", "replace")
    bounds = _bounds(text, path)
    return _told(text, len(text) if bounds is None else bounds[1])


def start_of(data: bytes, path: str) -> str:
    """Say where a value begins: the column before its first character."""
    text = data.decode("utf-8", "replace")
    bounds = _bounds(text, path)
    return _told(text, len(text) if bounds is None else bounds[0])


def _told(text: str, offset: int) -> str:
    line_start = text.rfind("\n", 0, offset) + 1
    line = text.count("\n", 0, offset) + 1
    return f"line {line} column {len(text[line_start:offset].encode())}"


def _bounds(text: str, path: str) -> tuple[int, int] | None:
    if not path:
        return 0, len(text)
    try:
        at = _skip(text, 0)
        for name, index in _STEP.findall(path):
            at = _item(text, at, int(index)) if index else _field(text, at, name)
        return at, _end(text, at)
    except (ValueError, IndexError, RecursionError):
        return None


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return at if found is None else found.end()


def _end(text: str, at: int) -> int:
    return _decoder.raw_decode(text, at)[1]


def _field(text: str, at: int, name: str) -> int:
    """The offset of the value of a field of the object at `at`."""
    if text[at] != "{":
        raise ValueError(name)
    at = _skip(text, at + 1)
    while text[at] != "}":
        key, at = _decoder.raw_decode(text, at)
        # Past the colon.
        at = _skip(text, _skip(text, at) + 1)
        if key == name:
            return at
        at = _skip(text, _end(text, at))
        at = _skip(text, at + (text[at] == ","))
    raise ValueError(name)


def _item(text: str, at: int, index: int) -> int:
    """The offset of an item of the array at `at`."""
    if text[at] != "[":
        raise ValueError(index)
    at = _skip(text, at + 1)
    for _ in range(index):
        at = _skip(text, _end(text, at))
        at = _skip(text, at + 1)
    return at
