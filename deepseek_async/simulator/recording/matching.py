"""Which recording a request is to get, and what to say if there is none."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import NamedTuple, cast
from urllib.parse import parse_qsl, unquote

from deepseek_async.simulator.recording.exchange import Exchange

_MAX_SHOWN = 60
# Of a text, before the place where it differs.
_CONTEXT = 12
# Of a body; what is deeper is compared as bytes.
_MAX_DEPTH = 100


class Asked(NamedTuple):
    """What of a request counts: all but its headers."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    body: object
    """The JSON value, or the bytes of what isn't JSON."""

    @classmethod
    def of(cls, method: str, target: str, body: bytes) -> Asked:
        """Return what counts of a request.

        Args:
            method: In upper case.
            target: Path and query, escaped.
            body: As sent.
        """
        path, _, query = target.partition("?")
        pairs = parse_qsl(query, keep_blank_values=True)
        return cls(method, unquote(path), tuple(sorted(pairs)), _value(body))

    @property
    def key(self) -> str:
        """The same for requests that are the same."""
        body = self.body
        told = body.hex() if isinstance(body, bytes) else json.dumps(body, sort_keys=True)
        return repr((self.method, self.path, self.query, isinstance(body, bytes), told))

    def __str__(self) -> str:
        query = "&".join(f"{name}={value}" for name, value in self.query)
        return f"{self.method} {self.path}{'?' if query else ''}{query}"


class Recording(NamedTuple):
    """An exchange and where it is stored."""

    name: str
    exchange: Exchange
    asked: Asked


@dataclass(slots=True)
class _Line:
    """The recordings of one request, in order."""

    recordings: list[Recording]
    next: int = 0


class Recordings:
    """Recordings, each to be played in its turn.

    Args:
        exchanges: Oldest first, with the names of their files.
    """

    def __init__(self, exchanges: Iterable[tuple[str, Exchange]]) -> None:
        self._all = [Recording(name, exchange, _asked(exchange)) for name, exchange in exchanges]
        self._lines: dict[str, _Line] = {}
        for recording in self._all:
            self._lines.setdefault(recording.asked.key, _Line([])).recordings.append(recording)

    def take(self, asked: Asked) -> Exchange | None:
        """Return what the request gets now; None if it wasn't recorded.

        The same request gets its recordings in their order, and then the last one again.
        """
        line = self._lines.get(asked.key)
        if line is None:
            return None
        recording = line.recordings[min(line.next, len(line.recordings) - 1)]
        line.next += 1
        return recording.exchange

    def rewind(self) -> None:
        """Begin anew."""
        for line in self._lines.values():
            line.next = 0

    def explain(self, asked: Asked) -> str:
        """Say what the recording that is nearest to a request has otherwise."""
        nearest = min(self._all, key=lambda recording: _distance(recording.asked, asked))
        difference = next(_differences(nearest.asked, asked), "nothing")
        return f"the nearest is {nearest.name}: {difference}"


def _asked(exchange: Exchange) -> Asked:
    return Asked.of(exchange.method, exchange.target, exchange.request_body)


def _value(data: bytes) -> object:
    if not data:
        return None
    try:
        return _settled(json.loads(data), _MAX_DEPTH)
    except (ValueError, RecursionError):
        return data


def _settled(value: object, depth: int) -> object:
    """Return a value in which 1.0 is 1, as JSON has it: languages write them differently."""
    if not depth:
        raise ValueError("too deep to be compared part by part")
    if isinstance(value, dict):
        fields = cast("dict[str, object]", value)
        return {name: _settled(field, depth - 1) for name, field in fields.items()}
    if isinstance(value, list):
        return [_settled(item, depth - 1) for item in cast("list[object]", value)]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _distance(recorded: Asked, asked: Asked) -> tuple[bool, bool, bool, bool, int]:
    return (
        recorded.path != asked.path,
        recorded.method != asked.method,
        recorded.query != asked.query,
        _model(recorded) != _model(asked),
        sum(1 for _ in _differences(recorded, asked)),
    )


def _model(asked: Asked) -> object:
    fields = _fields(asked.body)
    return None if fields is None else fields.get("model")


def _fields(value: object) -> Mapping[str, object] | None:
    return cast("Mapping[str, object]", value) if isinstance(value, dict) else None


def _items(value: object) -> Sequence[object] | None:
    return cast("Sequence[object]", value) if isinstance(value, list) else None


def _differences(recorded: Asked, asked: Asked) -> Iterator[str]:
    if recorded.path != asked.path:
        yield f"its path is {recorded.path}, not {asked.path}"
    if recorded.method != asked.method:
        yield f"its method is {recorded.method}, not {asked.method}"
    if recorded.query != asked.query:
        yield f"it was asked for as {_shown(str(recorded))}, not as {_shown(str(asked))}"
    if _model(recorded) != _model(asked):
        yield f"its model is {_told(_model(recorded))}, not {_told(_model(asked))}"
    yield from _in_values(recorded.body, asked.body, "")


def _in_values(recorded: object, asked: object, place: str) -> Iterator[str]:
    """Yield where two JSON values differ, outermost first in the order of the request."""
    fields, asked_fields = _fields(recorded), _fields(asked)
    items, asked_items = _items(recorded), _items(asked)
    if fields is not None and asked_fields is not None:
        yield from _in_objects(fields, asked_fields, place)
    elif items is not None and asked_items is not None:
        pairs = zip_longest(items, asked_items, fillvalue=_MISSING)
        for index, (one, other) in enumerate(pairs):
            yield from _in_values(one, other, f"{place}[{index}]")
    elif type(recorded) is not type(asked) or recorded != asked:
        yield _unlike(recorded, asked, place or "body")


def _in_objects(
    recorded: Mapping[str, object], asked: Mapping[str, object], place: str
) -> Iterator[str]:
    for name in dict.fromkeys((*asked, *recorded)):
        inner = f"{place}.{name}" if place else name
        yield from _in_values(recorded.get(name, _MISSING), asked.get(name, _MISSING), inner)


class _Missing:
    pass


_MISSING = _Missing()


def _unlike(recorded: object, asked: object, place: str) -> str:
    if isinstance(recorded, _Missing):
        return f"it has no {place}, which is {_told(asked)} here"
    if isinstance(asked, _Missing):
        return f"its {place} is {_told(recorded)}, and here there is none"
    start = 0
    if isinstance(recorded, str) and isinstance(asked, str) and len(recorded + asked) > _MAX_SHOWN:
        same = next(
            (
                at
                for at, pair in enumerate(zip(recorded, asked, strict=False))
                if len(set(pair)) > 1
            ),
            min(len(recorded), len(asked)),
        )
        start = max(same - _CONTEXT, 0)
    return f"its {place} is {_told(recorded, start)}, not {_told(asked, start)}"


def _told(value: object, start: int = 0) -> str:
    if isinstance(value, bytes):
        return f"{len(value):,} bytes that aren't JSON"
    if isinstance(value, str) and start:
        return json.dumps("…" + _shown(value[start:]), ensure_ascii=False)
    if isinstance(value, str):
        return json.dumps(_shown(value), ensure_ascii=False)
    return _shown(json.dumps(value, ensure_ascii=False))


def _shown(text: str) -> str:
    return text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "…"
