"""Values that fit a JSON schema: the arguments of simulated tool calls."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from typing import Any, cast

# Deeper schemas are recursive ones: optional parts are left out from here on.
_MAX_DEPTH = 6

_BY_FORMAT = {
    "date": "2026-11-21",
    "time": "12:00:00Z",
    "date-time": "2026-11-21T12:00:00Z",
    "email": "ada@example.org",
    "hostname": "example.org",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.org/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
_BY_NAME = {
    "city": "Hangzhou",
    "location": "Hangzhou",
    "country": "China",
    "date": "2026-11-21",
    "email": "ada@example.org",
    "language": "en",
    "name": "Ada",
    "timezone": "Asia/Shanghai",
    "unit": "celsius",
    "url": "https://example.org/",
}

# Schemas are JSON of any shape; whatever isn't understood is treated as "no constraint".
Schema = Mapping[str, Any]


def example(schema: Schema, rng: random.Random, *, topic: str = "example") -> Any:
    """Make a value that fits `schema`.

    Knows type, enum, const, default, format, bounds, multipleOf, lengths, items, properties,
    required, anyOf, oneOf, allOf and local references; not pattern.

    Args:
        schema: A JSON schema, with ``$defs``, ``$def`` or ``definitions`` at its top.
        rng: Chooses among what fits.
        topic: For strings about which nothing is said.
    """
    return _Maker(schema, rng, topic).make(schema, "", 0)


class _Maker:
    def __init__(self, root: Schema, rng: random.Random, topic: str) -> None:
        self._root = root
        self._rng = rng
        self._topic = topic

    def make(self, schema: Schema, name: str, depth: int) -> Any:
        schema = self._resolve(schema)
        if "const" in schema:
            return schema["const"]
        choices = schema.get("enum")
        if isinstance(choices, list) and choices:
            return self._rng.choice(cast("Sequence[Any]", choices))
        if "default" in schema:
            return schema["default"]
        for key in ("anyOf", "oneOf"):
            options = _schemas(schema.get(key))
            if options:
                return self.make(_plainest(options), name, depth + 1)
        kind = schema.get("type")
        if isinstance(kind, list):
            kinds = [item for item in cast("Sequence[Any]", kind) if item != "null"]
            kind = kinds[0] if kinds else "null"
        match kind:
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, name, depth)
            case "integer" | "number":
                return self._number(schema, whole=kind == "integer")
            case "boolean":
                return self._rng.random() < 0.5
            case "null":
                return None
            case _:
                return (
                    self._object(schema, depth)
                    if "properties" in schema
                    else (self._string(schema, name))
                )

    def _resolve(self, schema: Schema) -> Schema:
        for _ in range(_MAX_DEPTH):
            reference = schema.get("$ref")
            if not isinstance(reference, str):
                break
            target: Any = self._root
            for step in reference.removeprefix("#").strip("/").split("/"):
                if step:
                    target = _mapping(target).get(step)
            schema = _mapping(target)
        parts = _schemas(schema.get("allOf"))
        if not parts:
            return schema
        merged: dict[str, Any] = {}
        for part in (*(self._resolve(part) for part in parts), schema):
            for key, value in part.items():
                if key == "properties":
                    merged[key] = {**_mapping(merged.get(key)), **_mapping(value)}
                elif key == "required":
                    merged[key] = [*merged.get(key, ()), *value]
                elif key != "allOf":
                    merged[key] = value
        return merged

    def _object(self, schema: Schema, depth: int) -> dict[str, Any]:
        required = set(_strings(schema.get("required")))
        return {
            name: self.make(_mapping(part), name, depth + 1)
            for name, part in _mapping(schema.get("properties")).items()
            if name in required or (not required and depth < _MAX_DEPTH)
        }

    def _array(self, schema: Schema, name: str, depth: int) -> list[Any]:
        least = schema.get("minItems", 0 if depth >= _MAX_DEPTH else 1)
        return [self.make(_mapping(schema.get("items")), name, depth + 1) for _ in range(least)]

    def _number(self, schema: Schema, *, whole: bool) -> int | float:
        step = schema.get("multipleOf", 1 if whole else 0.5)
        low = schema.get("minimum", schema.get("exclusiveMinimum"))
        high = schema.get("maximum", schema.get("exclusiveMaximum"))
        if low is None:
            low = 1 if high is None else high - 10 * step
        value: int | float = math.ceil(low / step) * step
        if value == schema.get("exclusiveMinimum"):
            value += step
        if high is not None and value > high:
            value = low
        return int(value) if whole else value

    def _string(self, schema: Schema, name: str) -> str:
        known = _BY_FORMAT.get(str(schema.get("format"))) or _BY_NAME.get(name.lower())
        text = known or self._topic
        text = text.ljust(schema.get("minLength", 0), "x")
        return text[: schema.get("maxLength")]


def _plainest(options: Sequence[Schema]) -> Schema:
    # A scalar ends a recursion that an object may go on with; null says nothing.
    named = [option for option in options if option.get("type") != "null"]
    scalar = [option for option in named if option.get("type") not in (None, "object", "array")]
    return (scalar or named or options)[0]


def _mapping(value: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def _schemas(value: object) -> list[Mapping[str, Any]]:
    return (
        [_mapping(item) for item in cast("Sequence[Any]", value)] if isinstance(value, list) else []
    )


def _strings(value: object) -> list[str]:
    return [str(item) for item in cast("Sequence[Any]", value)] if isinstance(value, list) else []
