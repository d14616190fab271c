"""JSON schemas of Python types, and the subset of JSON schema that strict mode understands.

Types that msgspec knows are described by msgspec; pydantic's describe themselves. Pydantic is
never imported here: whoever has such a type has imported it.

Source: https://api-docs.deepseek.com/guides/tool_calls, "Strict Mode", read 2026-11-21.
"""

import functools
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, cast, get_args

import msgspec

Schema = Mapping[str, Any]

#: What a strict schema may say about a value of each type, besides ``type``, ``description`` and
#: what it is made of.
_KEPT = {
    "string": ("pattern", "format"),
    "number": (
        *("const", "default", "minimum", "maximum"),
        *("exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    ),
    "boolean": (),
    "null": (),
}
_KEPT["integer"] = _KEPT["number"]

_STRICT_FORMATS = frozenset({"email", "hostname", "ipv4", "ipv6", "uuid"})

#: Where schemas keep their definitions: today's name, that of older drafts, DeepSeek's own.
_DEFINITIONS = ("$defs", "definitions", "$def")

_NULL = {"type": "null"}


class PydanticType(NamedTuple):
    """How pydantic reads a type."""

    schema: Callable[[], dict[str, Any]]
    validate_json: Callable[[str | bytes], Any]


def pydantic_type(cls: Any) -> PydanticType | None:
    """Return how pydantic reads ``cls``, None for types that have nothing to do with it."""
    if hasattr(cls, "model_json_schema") and hasattr(cls, "model_validate_json"):
        return PydanticType(cls.model_json_schema, cls.model_validate_json)
    if "pydantic" in sys.modules and _mentions_pydantic(cls):
        adapter = _adapter(cls)
        return PydanticType(adapter.json_schema, adapter.validate_json)
    return None


@functools.lru_cache(maxsize=256)
def _adapter(cls: Any) -> Any:
    # Takes milliseconds to build.
    return sys.modules["pydantic"].TypeAdapter(cls)


def _mentions_pydantic(cls: Any) -> bool:
    return hasattr(cls, "__pydantic_validator__") or any(map(_mentions_pydantic, get_args(cls)))


def schema_of(cls: Any) -> dict[str, Any]:
    """Return the JSON schema of a type: plain JSON, new at each call.

    Docstrings and descriptions (``msgspec.Meta``, pydantic's ``Field``) are in it. Only types that
    contain themselves, or that are used inside others, stay references into ``$defs``.

    Args:
        cls: A msgspec Struct, dataclass, TypedDict, NamedTuple, attrs class, pydantic model, or
            whatever else msgspec or pydantic can decode.

    Raises:
        TypeError: If it can't be described.
    """
    try:
        theirs = pydantic_type(cls)
        schema = msgspec.json.schema(cls) if theirs is None else theirs.schema()
        # Defaults may be tuples, enums or structs.
        schema = msgspec.json.decode(msgspec.json.encode(schema))
    except Exception as exc:
        # pydantic has exceptions of its own for types it can't describe.
        reason = str(exc).strip().rpartition("\n")[2]
        raise TypeError(f"{type_name(cls)} can't be described as a JSON schema: {reason}") from exc
    return _inlined(schema)


def type_name(cls: Any) -> str:
    """Return a type's name as its user wrote it."""
    return str(getattr(cls, "__name__", None) or cls) if not get_args(cls) else str(cls)


def _inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """Put what the root refers to in its place."""
    definitions = schema.pop("$defs", {})
    reference = schema.pop("$ref", None)
    if reference is not None:
        name = reference.removeprefix("#/$defs/")
        schema = {**definitions[name], **schema}
        if not any(used == reference for used in _references(definitions)):
            del definitions[name]
    return {**schema, "$defs": definitions} if definitions else schema


def _references(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for key, part in cast("dict[str, Any]", value).items():
            if key == "$ref":
                yield part
            else:
                yield from _references(part)
    elif isinstance(value, list):
        for part in cast("list[Any]", value):
            yield from _references(part)


def strict_schema(schema: Schema) -> dict[str, Any]:
    """Return a schema made fit for strict mode; the one given is left as it is.

    Every object requires all its properties and allows no other; a property that was optional may
    be null instead. ``$defs`` becomes ``$def``, ``oneOf`` becomes ``anyOf``, and keywords that
    strict mode doesn't know go. A format it doesn't know moves to the description.

    Raises:
        ValueError: If strict mode can't express the schema, such as an object of any keys. The
            message says where and why.
    """
    definitions = definitions_of(schema)
    strict = _Strict(definitions)
    made = strict.convert(schema, "$")
    converted = {name: strict.convert(part, f"$def.{name}") for name, part in definitions.items()}
    return {**made, "$def": converted} if converted else made


def definitions_of(schema: Schema) -> dict[str, Schema]:
    """Return the schemas that references in ``schema`` may name."""
    return {name: part for key in _DEFINITIONS for name, part in schema.get(key, {}).items()}


def resolve(schema: Schema, definitions: Mapping[str, Schema]) -> Schema | None:
    """Return what a schema's reference leads to, or the schema itself; None if it leads nowhere."""
    for _ in range(len(definitions) + 1):
        reference = schema.get("$ref")
        if reference is None:
            return schema
        kind, _, name = reference.removeprefix("#/").partition("/")
        if kind not in _DEFINITIONS or name not in definitions:
            return None
        schema = definitions[name]
    return None


def options_of(schema: Schema) -> list[Schema]:
    """Return the alternatives of a schema: the members of ``anyOf`` or ``oneOf``."""
    return [*schema.get("anyOf", ()), *schema.get("oneOf", ())]


def accepts_null(schema: Schema, definitions: Mapping[str, Schema]) -> bool:
    """Whether null fits a schema."""
    named = resolve(schema, definitions)
    if named is None:
        return False
    if options := options_of(named):
        return any(accepts_null(option, definitions) for option in options)
    if "enum" in named:
        return None in named["enum"]
    if "const" in named:
        return named["const"] is None
    kind = named.get("type", "null")
    return kind == "null" or (isinstance(kind, list) and "null" in kind)


class _Strict:
    """The conversion of one schema; ``path`` says where in the value a part of it is."""

    def __init__(self, definitions: Mapping[str, Schema]) -> None:
        self._definitions = definitions

    def convert(self, schema: Any, path: str) -> dict[str, Any]:
        if not isinstance(schema, Mapping):
            raise ValueError(f"{path}: strict mode needs a schema object here, not {schema!r}")
        merged = _merged(cast("Schema", schema), path)
        made = self._bare(merged, path)
        notes = [merged["description"]] if merged.get("description") else []
        encoding = merged.get("format") or merged.get("contentEncoding")
        if encoding and made.get("type") == "string" and "format" not in made:
            notes.append(f"(format: {encoding})")
        if not notes:
            return made
        if "$ref" in made:
            # Strict mode isn't said to allow anything beside a reference.
            made = {"anyOf": [made]}
        return {"description": " ".join(notes), **made}

    def _bare(self, schema: Schema, path: str) -> dict[str, Any]:
        if "$ref" in schema:
            return self._reference(schema, path)
        if options := options_of(schema):
            return {"anyOf": [self.convert(option, path) for option in options]}
        if "enum" in schema:
            return _enumerated(schema["enum"], path)
        if "const" in schema and schema.get("type") not in ("integer", "number"):
            return _enumerated([schema["const"]], path)
        match schema.get("type"):
            case "object":
                return self._object(schema, path)
            case "array":
                return self._array(schema, path)
            case list() as kinds:  # pyright: ignore[reportUnknownVariableType]  # any JSON
                return _any_of(
                    self._bare({**schema, "type": kind}, path) for kind in cast("list[str]", kinds)
                )
            case str() as kind if kind in _KEPT:
                return _scalar(schema, kind)
            case None:
                raise ValueError(f"{path}: strict mode needs a type, and any value is allowed here")
            case other:
                raise ValueError(f"{path}: strict mode knows no type {other!r}")

    def _reference(self, schema: Schema, path: str) -> dict[str, Any]:
        if resolve(schema, self._definitions) is None:
            raise ValueError(f"{path}: {schema['$ref']!r} names nothing in $defs")
        return {"$ref": f"#/$def/{schema['$ref'].rpartition('/')[2]}"}

    def _object(self, schema: Schema, path: str) -> dict[str, Any]:
        more = schema.get("additionalProperties")
        if isinstance(more, Mapping) or ("properties" not in schema and more is not False):
            raise ValueError(
                f"{path}: strict mode allows no object of any keys; name its properties, or use a "
                "list of key-value pairs"
            )
        properties = schema.get("properties", {})
        required = schema.get("required", ())
        return {
            "type": "object",
            "properties": {
                name: self.convert(part, f"{path}.{name}")
                if name in required
                else self._optional(part, f"{path}.{name}")
                for name, part in properties.items()
            },
            "required": list(properties),
            "additionalProperties": False,
        }

    def _optional(self, schema: Any, path: str) -> dict[str, Any]:
        made = self.convert(schema, path)
        if accepts_null(schema, self._definitions):
            return made
        description = {key: made[key] for key in ("description",) if key in made}
        options = made.get("anyOf") or [_without(made, "description")]
        return {**description, "anyOf": [*options, _NULL.copy()]}

    def _array(self, schema: Schema, path: str) -> dict[str, Any]:
        fixed = schema.get("prefixItems", [])
        each = schema.get("items")
        parts: list[Any] = [*fixed, *([each] if isinstance(each, Mapping) else [])]
        if not parts:
            raise ValueError(f"{path}: strict mode needs the type of the list's items")
        if any(part != parts[0] for part in parts):
            raise ValueError(
                f"{path}: strict mode knows no tuple of several types; use an object with names"
            )
        return {"type": "array", "items": self.convert(parts[0], f"{path}[]")}


def _merged(schema: Schema, path: str) -> Schema:
    """Put the only member of ``allOf`` in its place."""
    while "allOf" in schema:
        parts = schema["allOf"]
        if len(parts) != 1:
            raise ValueError(f"{path}: strict mode can't join the {len(parts)} members of allOf")
        schema = {**parts[0], **_without(schema, "allOf")}
    return schema


def _scalar(schema: Schema, kind: str) -> dict[str, Any]:
    made = {"type": kind, **{key: schema[key] for key in _KEPT[kind] if key in schema}}
    if made.get("format", "uuid") not in _STRICT_FORMATS:
        del made["format"]
    if made.get("default", 0) is None:
        del made["default"]
    return made


def _enumerated(values: list[Any], path: str) -> dict[str, Any]:
    """Give each type among the values an ``enum`` of its own."""
    by_type: dict[str, list[Any]] = {}
    for value in values:
        kind = _JSON_TYPES.get(type(value))
        if kind is None:
            raise ValueError(f"{path}: strict mode allows only scalars in enum, not {value!r}")
        by_type.setdefault(kind, []).append(value)
    return _any_of(
        _NULL.copy() if kind == "null" else {"type": kind, "enum": members}
        for kind, members in by_type.items()
    )


_JSON_TYPES: dict[Any, str] = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    type(None): "null",
}


def _any_of(options: Iterator[dict[str, Any]]) -> dict[str, Any]:
    made = list(options)
    return made[0] if len(made) == 1 else {"anyOf": made}


def _without(schema: Schema, key: str) -> dict[str, Any]:
    return {name: part for name, part in schema.items() if name != key}
