"""Values that fit a JSON schema: the arguments of simulated tool calls."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from typing import Any, cast
from urllib.parse import unquote

from deepseek_async.simulator.patterns import matching

# Deeper schemas are recursive ones: optional parts are left out from here on.
_MAX_DEPTH = 6
# Schemas that demand a value of endless depth get none.
_TOO_DEEP = 40
# How far it is looked for the smallest of several alternatives.
_MAX_HEIGHT = 12
# Larger values are none that a model would write; ``{"minItems": 1000000000}`` gets none.
_MAX_VALUES = 2000
_MAX_LENGTH = 20_000

_BY_FORMAT = {
    "date": "2026-11-21",
    "time": "12:00:00Z",
    "date-time": "2026-11-21T12:00:00Z",
    "duration": "PT1H",
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

    Knows type, enum, const, default, format, simple patterns, bounds, multipleOf, lengths, items,
    prefixItems, uniqueItems, properties, required, additionalProperties, anyOf, oneOf, allOf and
    local references.

    Args:
        schema: A JSON schema, with ``$defs``, ``$def`` or ``definitions`` at its top.
        rng: Chooses among what fits.
        topic: For strings about which nothing is said.
    """
    try:
        return _Maker(schema, rng, topic).make(schema, "", 0)
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        RecursionError,
        TypeError,
        ValueError,
    ):
        # Clients may send any JSON as a schema, such as ``{"minItems": "two"}``.
        return {}


class _Maker:
    def __init__(self, root: Schema, rng: random.Random, topic: str) -> None:
        self._root = root
        self._rng = rng
        self._topic = topic
        self._made = 0
        self._heights: dict[tuple[int, int], int] = {}

    def make(self, schema: Schema, name: str, depth: int) -> Any:
        if depth > _TOO_DEEP:
            return None
        self._made += 1
        if self._made > _MAX_VALUES:
            raise ValueError("a value of too many parts")
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
                rest = {other: value for other, value in schema.items() if other != key}
                return self.make(
                    self._merged((rest, self._chosen(options, depth))), name, depth + 1
                )
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

    def _referenced(self, schema: Schema) -> Schema:
        for _ in range(_MAX_DEPTH):
            reference = schema.get("$ref")
            if not isinstance(reference, str):
                break
            target: Any = self._root
            for step in unquote(reference).removeprefix("#").strip("/").split("/"):
                if isinstance(target, list):
                    target = cast("Sequence[Any]", target)[int(step)]
                elif step:
                    # The escapes of JSON pointers.
                    target = _mapping(target).get(step.replace("~1", "/").replace("~0", "~"))
            schema = _mapping(target)
        return schema

    def _resolve(self, schema: Schema) -> Schema:
        schema = self._referenced(schema)
        parts = _schemas(schema.get("allOf"))
        if not parts:
            return schema
        rest = {key: value for key, value in schema.items() if key != "allOf"}
        return self._merged((*parts, rest))

    def _merged(self, parts: Sequence[Schema]) -> Schema:
        merged: dict[str, Any] = {}
        for part in map(self._resolve, parts):
            for key, value in part.items():
                if key == "properties":
                    merged[key] = {**_mapping(merged.get(key)), **_mapping(value)}
                elif key == "required":
                    merged[key] = [*merged.get(key, ()), *value]
                else:
                    merged[key] = value
        return merged

    def _chosen(self, options: Sequence[Schema], depth: int) -> Schema:
        # A scalar ends a recursion that an object may go on with; null says nothing, but ends it.
        resolved = [self._resolve(option) for option in options]
        named = [option for option in resolved if option.get("type") != "null"]
        scalar = [option for option in named if option.get("type") not in _NESTED]
        if depth >= _MAX_DEPTH and not scalar:
            smallest = min(options, key=lambda option: self._height(option, _MAX_HEIGHT))
            return self._resolve(smallest)
        return (scalar or named or resolved)[0]

    def _height(self, schema: Schema, limit: int) -> int:
        """The levels that the smallest value of `schema` has; `limit` if there are more.

        Args:
            schema: A part of the root, by whose identity its height is remembered.
            limit: Ends recursions.
        """
        if limit == 0:
            return 0
        key = (id(schema), limit)
        found = self._heights.get(key)
        if found is None:
            found = self._heights[key] = self._measured(self._referenced(schema), limit - 1)
        return found

    def _measured(self, schema: Schema, limit: int) -> int:
        if any(key in schema for key in ("const", "enum", "default")):
            return 0
        parts = _schemas(schema.get("allOf"))
        properties = _mapping(schema.get("properties"))
        parts += [_mapping(properties.get(name)) for name in _strings(schema.get("required"))]
        if schema.get("minItems"):
            parts.append(_mapping(schema.get("items")))
        heights = [1 + self._height(part, limit) for part in parts]
        for key in ("anyOf", "oneOf"):
            options = _schemas(schema.get(key))
            if options:
                heights.append(1 + min(self._height(option, limit) for option in options))
        return max(heights, default=0)

    def _object(self, schema: Schema, depth: int) -> dict[str, Any]:
        properties = _mapping(schema.get("properties"))
        required = _strings(schema.get("required"))
        made = {
            name: self.make(_mapping(part), name, depth + 1)
            for name, part in properties.items()
            if name in required or (not required and depth < _MAX_DEPTH)
        }
        others = _mapping(schema.get("additionalProperties"))
        for name in required:
            if name not in made:
                made[name] = self.make(others, name, depth + 1)
        if not properties and others and not made:
            made["key"] = self.make(others, "key", depth + 1)
        return made

    def _array(self, schema: Schema, name: str, depth: int) -> list[Any]:
        made = [
            self.make(part, name, depth + 1)
            for part in _schemas(schema.get("prefixItems") or schema.get("items"))
        ]
        each = _mapping(schema.get("items"))
        least = schema.get("minItems", 0 if depth >= _MAX_DEPTH or made else 1)
        least = min(least, schema.get("maxItems", least))
        while len(made) < least:
            item = self.make(each, name, depth + 1)
            # Values repeat; a number tells them apart, or a few more draws from an enum.
            if schema.get("uniqueItems") and item in made:
                item = self._other(each, item, made)
            made.append(item)
        return made

    def _other(self, schema: Schema, item: Any, made: list[Any]) -> Any:
        number = len(made)
        choices = self._resolve(schema).get("enum")
        if isinstance(choices, list):
            unused = [choice for choice in cast("Sequence[Any]", choices) if choice not in made]
            return unused[0] if unused else item
        if isinstance(item, str):
            return f"{item}{number}"
        if isinstance(item, int | float) and not isinstance(item, bool):
            return item + number * schema.get("multipleOf", 1)
        return not item if isinstance(item, bool) else item

    def _number(self, schema: Schema, *, whole: bool) -> int | float:
        step = schema.get("multipleOf", 1 if whole else 0.5)
        above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
        low = max(
            (bound for bound in (schema.get("minimum"), above) if bound is not None), default=None
        )
        high = min(
            (bound for bound in (schema.get("maximum"), below) if bound is not None), default=None
        )
        if low is None:
            low = 1 if high is None or (high >= 1 and below != 1) else high - 10 * step
        first = math.ceil(low / step) * step
        candidates: list[float] = [first, first + step]
        if "multipleOf" not in schema and not whole and high is not None:
            candidates += [low, (low + high) / 2]
        for value in candidates:
            is_low = value < low or value == above
            is_high = high is not None and (value > high or value == below)
            if not is_low and not is_high:
                return int(value) if whole else value
        return int(low) if whole else low

    def _string(self, schema: Schema, name: str) -> str:
        pattern = schema.get("pattern")
        made = matching(pattern) if isinstance(pattern, str) else None
        if made is not None:
            return made
        formatted = _BY_FORMAT.get(str(schema.get("format")))
        if formatted is not None:
            return formatted
        text = _BY_NAME.get(name.lower()) or self._topic
        least = schema.get("minLength", 0)
        if least > _MAX_LENGTH:
            raise ValueError("a string of too many characters")
        text = text.ljust(least, "x")
        return text[: schema.get("maxLength")]


_NESTED = (None, "object", "array")


def _mapping(value: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def _schemas(value: object) -> list[Mapping[str, Any]]:
    return (
        [_mapping(item) for item in cast("Sequence[Any]", value)] if isinstance(value, list) else []
    )


def _strings(value: object) -> list[str]:
    return [str(item) for item in cast("Sequence[Any]", value)] if isinstance(value, list) else []
