"""JSON to a value of the type that the user asked for, or to a reason why it isn't one."""

import json
from collections.abc import Callable, Mapping
from typing import Any, cast

import msgspec

from deepseek_async.wire.json_schema import (
    Schema,
    accepts_null,
    definitions_of,
    options_of,
    pydantic_type,
    resolve,
    schema_of,
)

_ANY: Schema = {}

# A list whose items are all wrong has one problem, told often enough; messages are prompts.
_MOST_PROBLEMS = 10


class MismatchError(ValueError):
    """JSON that is not of the type; the message tells whoever wrote it what to change."""


def decode_as(cls: Any, text: str | bytes) -> Any:
    """Decode JSON text to a value of type ``cls``.

    Strict mode makes models write null for what they want to leave out. Where null doesn't fit
    and the field has a default, it is taken as left out.

    Raises:
        MismatchError: If the text isn't JSON, or doesn't fit the type.
    """
    theirs = pydantic_type(cls)
    try:
        if theirs is None:
            return msgspec.json.decode(text, type=cls)
        return theirs.validate_json(text)
    except (ValueError, RecursionError) as exc:
        mismatch = _mismatch(exc, text)
        try:
            value = msgspec.json.decode(text)
        except (ValueError, RecursionError):
            raise mismatch from exc
        return _without_nulls(cls, value, mismatch)


def convert_as(cls: Any, value: Any) -> Any:
    """Convert decoded JSON to a value of type ``cls``; see :func:`decode_as`.

    Raises:
        MismatchError: If it doesn't fit.
    """
    try:
        return _convert(cls, value)
    except (ValueError, RecursionError) as exc:
        return _without_nulls(cls, value, _mismatch(exc, b""))


def _convert(cls: Any, value: Any) -> Any:
    theirs = pydantic_type(cls)
    if theirs is None:
        return msgspec.convert(value, cls, str_keys=True)
    # Not validate_python(), which treats dates and the like in another way than JSON.
    return theirs.validate_json(json.dumps(value))


def _without_nulls(cls: Any, value: Any, mismatch: MismatchError) -> Any:
    try:
        return _convert(cls, _NullDropper(schema_of(cls)).drop(value))
    except (ValueError, TypeError, RecursionError) as exc:
        # What is wrong with the value as it was written is easier to understand; and not all
        # that can be decoded can be described.
        raise mismatch from exc


def _mismatch(exc: Exception, text: str | bytes) -> MismatchError:
    if isinstance(exc, RecursionError):
        return MismatchError("The JSON is nested too deeply")
    if isinstance(exc, UnicodeError):
        return MismatchError(f"Invalid JSON: the text is not valid Unicode ({exc})")
    if isinstance(exc, msgspec.ValidationError):
        return MismatchError(str(exc))
    if isinstance(exc, msgspec.DecodeError):
        # "Input data was truncated" is the one message without a position.
        size = len(text.encode() if isinstance(text, str) else text)
        where = "" if "(byte" in str(exc) else f" (it ends at byte {size})"
        return MismatchError(f"Invalid JSON: {exc}{where}")
    errors: Callable[[], list[dict[str, Any]]] | None = getattr(exc, "errors", None)
    if errors is None:
        return MismatchError(str(exc))
    problems = [f"{each['msg']} - at `{_path(each['loc'])}`" for each in errors()]
    if len(problems) > _MOST_PROBLEMS:
        problems[_MOST_PROBLEMS:] = [f"and {len(problems) - _MOST_PROBLEMS} more"]
    return MismatchError("; ".join(problems))


def _path(location: tuple[str | int, ...]) -> str:
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in location)
    return "".join(("$", *steps))


class _NullDropper:
    """Leaves nulls out where a schema has no place for them and doesn't require them."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._definitions = definitions_of(schema)

    def drop(self, value: Any) -> Any:
        return self._drop(value, self._schema)

    def _drop(self, value: Any, schema: Any) -> Any:
        if isinstance(value, dict):
            return self._of_object(cast("dict[str, Any]", value), self._chosen(value, schema))
        if isinstance(value, list):
            items = cast("list[Any]", value)
            each = self._chosen(value, schema).get("items")
            return [self._drop(item, each) for item in items]
        return value

    def _of_object(self, value: dict[str, Any], schema: Schema) -> dict[str, Any]:
        properties = schema.get("properties", {})
        others = schema.get("additionalProperties")
        required = schema.get("required", ())
        return {
            name: self._drop(part, properties.get(name, others))
            for name, part in value.items()
            if part is not None
            or name in required
            or name not in properties
            or accepts_null(properties[name], self._definitions)
        }

    def _chosen(self, value: Any, schema: Any) -> Schema:
        """Return the one of a schema's alternatives that is for this object or list."""
        if not isinstance(schema, Mapping):
            return _ANY
        named = resolve(cast("Schema", schema), self._definitions) or _ANY
        options = options_of(named)
        if not options:
            return named
        chosen = [self._chosen(value, option) for option in options]
        return next((option for option in chosen if _fits(value, option)), _ANY)


def _fits(value: Any, schema: Schema) -> bool:
    if not isinstance(value, dict):
        return schema.get("type") == "array"
    fields = cast("dict[str, Any]", value)
    return schema.get("type") == "object" and all(
        fields.get(name) is None or fields[name] in allowed
        for name, part in schema.get("properties", {}).items()
        if (allowed := _allowed(part))
    )


def _allowed(schema: Schema) -> list[Any]:
    """Return the values that a tag may have; none for other fields."""
    return [schema["const"]] if "const" in schema else schema.get("enum", [])
