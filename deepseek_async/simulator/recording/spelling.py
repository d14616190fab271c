"""Secrets that a stream spells out: models write them in pieces, each in an event of its own.

The texts that stand at the same place of all events are read as one, and what is found in that is
taken out of the pieces.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, cast

# The format allows more lines of data in an event, and other ends of lines; no host uses them.
_EVENT = re.compile(rb"^data: ?(\{.*\})[ \t\r]*$", re.MULTILINE)

_Place = tuple[str | int, ...]


class Edit(NamedTuple):
    """Other bytes for a part of the data."""

    start: int
    end: int
    data: bytes


class _Piece(NamedTuple):
    """A text of an event."""

    event: int
    leaf: int
    """Which of the event's texts it is."""
    text: bytes


def respelled(
    data: bytes, redacted: Callable[[Sequence[bytes]], Sequence[bytes]]
) -> Iterator[Edit]:
    """Yield the events that spell out a secret together, without it, in order.

    Args:
        data: The body of a stream; there is nothing to do for any other.
        redacted: Returns the parts of a text without the secrets that it has as a whole.
    """
    places: dict[_Place, list[_Piece]] = {}
    events = list(_EVENT.finditer(data))
    for number, event in enumerate(events):
        for leaf, (place, holder, key) in enumerate(_texts(_decoded(event[1]), ())):
            text = cast("str", holder[key]).encode("utf-8", "surrogatepass")
            places.setdefault(place, []).append(_Piece(number, leaf, text))
    changes: dict[int, dict[int, str]] = {}
    for pieces in places.values():
        parts = [piece.text for piece in pieces]
        for piece, part in zip(pieces, redacted(parts), strict=True):
            if part != piece.text:
                decoded = part.decode("utf-8", "surrogatepass")
                changes.setdefault(piece.event, {})[piece.leaf] = decoded
    for number, texts in sorted(changes.items()):
        event = events[number]
        yield Edit(*event.span(1), _with(event[1], texts))


def _decoded(event: bytes) -> object:
    try:
        return json.loads(event)
    except (ValueError, RecursionError):
        return None


def _texts(value: object, place: _Place) -> Iterator[tuple[_Place, Any, str | int]]:
    """Yield the place of each text, what holds it, and under which key."""
    if isinstance(value, dict):
        fields = cast("dict[str, object]", value)
        for name, each in fields.items():
            if isinstance(each, str):
                yield (*place, name), fields, name
            else:
                yield from _texts(each, (*place, name))
    elif isinstance(value, list):
        items = cast("list[object]", value)
        for at, each in enumerate(items):
            if isinstance(each, str):
                yield (*place, -1), items, at
            else:
                yield from _texts(each, (*place, _index(each)))


def _index(item: object) -> int:
    """Which of several answers or calls an item belongs to; its place in the list says nothing."""
    index = cast("dict[str, object]", item).get("index") if isinstance(item, dict) else None
    return index if isinstance(index, int) else -1


def _with(event: bytes, texts: dict[int, str]) -> bytes:
    """Return an event with other texts, written as it was."""
    value = json.loads(event)
    dump = next((dump for dump in _STYLES if dump(value) == event), _STYLES[0])
    for leaf, (_, holder, key) in enumerate(list(_texts(value, ()))):
        if leaf in texts:
            holder[key] = texts[leaf]
    return dump(value)


def _style(comma: str, colon: str, *, is_ascii: bool) -> Callable[[object], bytes]:
    def dump(value: object) -> bytes:
        text = json.dumps(value, ensure_ascii=is_ascii, separators=(comma, colon))
        return text.encode("utf-8", "surrogatepass")

    return dump


_STYLES = [
    _style(comma, colon, is_ascii=is_ascii)
    for comma, colon in ((",", ":"), (", ", ": "))
    for is_ascii in (False, True)
]
