"""Types as JSON schemas, and schemas as strict mode wants them."""

import copy
import dataclasses
import datetime
import decimal
import enum
import json
import uuid
from collections.abc import Callable
from typing import Annotated, Any, Generic, Literal, NamedTuple, NotRequired, TypedDict, TypeVar

import attrs
import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepseek_async.simulator.requests import Function
from deepseek_async.simulator.strict import strict_refusal
from deepseek_async.wire.json_schema import (
    accepts_null,
    definitions_of,
    resolve,
    schema_of,
    strict_schema,
    type_name,
)

X = TypeVar("X")


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Point(msgspec.Struct):
    """A place."""

    x: Annotated[int, msgspec.Meta(description="To the right.", ge=0)]
    y: int = 0


class Tree(msgspec.Struct):
    kids: list["Tree"] = []


class Path(msgspec.Struct):
    points: list[Point]
    color: Color = Color.RED


class Box(msgspec.Struct, Generic[X]):
    item: X


@dataclasses.dataclass
class Person:
    """Somebody."""

    name: str
    age: int = 1


@attrs.define
class Book:
    title: str


class Address(TypedDict):
    """Where somebody lives."""

    street: str
    number: NotRequired[int]


class Pair(NamedTuple):
    one: int
    two: int


class Author(pydantic.BaseModel):
    """Who wrote it."""

    name: str = pydantic.Field(description="First name first.")
    color: Color = Color.RED


class Family(pydantic.BaseModel):
    members: list["Family"] = []


@pydantic.dataclasses.dataclass
class Pen:
    ink: Color


POINT = {
    "title": "Point",
    "description": "A place.",
    "type": "object",
    "properties": {
        "x": {"description": "To the right.", "type": "integer", "minimum": 0},
        "y": {"type": "integer", "default": 0},
    },
    "required": ["x"],
}


def test_the_root_is_no_reference() -> None:
    assert schema_of(Point) == POINT


def test_what_is_used_inside_stays_a_reference() -> None:
    schema = schema_of(Path)
    assert schema["properties"]["points"] == {"type": "array", "items": {"$ref": "#/$defs/Point"}}
    assert schema["$defs"]["Point"] == POINT
    assert "Path" not in schema["$defs"]


@pytest.mark.parametrize("cls", [Tree, Family])
def test_what_contains_itself_stays_a_definition_too(cls: Any) -> None:
    schema = schema_of(cls)
    assert schema["type"] == "object"
    root = {key: value for key, value in schema.items() if key != "$defs"}
    assert schema["$defs"] == {cls.__name__: root}


def test_what_stands_beside_a_reference_wins() -> None:
    schema = schema_of(Annotated[Point, msgspec.Meta(description="Another place.")])
    assert schema == POINT | {"description": "Another place."}


@pytest.mark.parametrize(
    ("cls", "parts"),
    [
        (Person, {"description": "Somebody.", "required": ["name"]}),
        (Book, {"title": "Book", "type": "object"}),
        (Address, {"description": "Where somebody lives.", "required": ["street"]}),
        (Pair, {"type": "array", "minItems": 2}),
        (Author, {"description": "Who wrote it.", "required": ["name"]}),
        (Pen, {"type": "object", "required": ["ink"]}),
        (Box[int], {"properties": {"item": {"type": "integer"}}}),
        (Color, {"enum": ["blue", "red"]}),
        (int, {"type": "integer"}),
        (dict[str, int], {"type": "object", "additionalProperties": {"type": "integer"}}),
        (tuple[int, str], {"prefixItems": [{"type": "integer"}, {"type": "string"}]}),
        (set[int], {"type": "array", "uniqueItems": True}),
        (datetime.timedelta, {"type": "string", "format": "duration"}),
        (decimal.Decimal, {"type": "string", "format": "decimal"}),
        (uuid.UUID, {"type": "string", "format": "uuid"}),
        (Literal["a", 1], {"enum": [1, "a"]}),
        (int | None, {"anyOf": [{"type": "integer"}, {"type": "null"}]}),
        (list[Author], {"type": "array", "items": {"$ref": "#/$defs/Author"}}),
        (Author | int, {"anyOf": [{"$ref": "#/$defs/Author"}, {"type": "integer"}]}),
    ],
)
def test_types_are_described(cls: Any, parts: dict[str, Any]) -> None:
    schema = schema_of(cls)
    found = {key: schema.get(key) for key in parts}
    if "enum" in found:
        found["enum"] = sorted(schema["enum"], key=str)
    assert found == parts


def test_a_schema_is_plain_json_and_new_each_time() -> None:
    class Defaults(msgspec.Struct):
        pair: tuple[int, int] = (1, 2)
        color: Color = Color.BLUE

    schema = schema_of(Defaults)
    assert json.loads(json.dumps(schema)) == schema
    assert schema["properties"]["pair"]["default"] == [1, 2]
    schema["properties"].clear()
    assert schema_of(Defaults)["properties"]


@pytest.mark.parametrize(
    ("cls", "message"),
    [
        (object, "^object can't be described as a JSON schema: type <class 'object'>"),
        (complex, "^complex can't be described"),
        (Point | Person, "Point | .*Person can't be described .* not supported"),
        ({"type": "object"}, "can't be described"),
        (pydantic.create_model("Odd", call=(Callable[[], int], ...)), "^Odd can't be described"),
    ],
)
def test_what_can_not_be_described_is_named(cls: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        schema_of(cls)


def test_names_are_those_in_the_source() -> None:
    assert [type_name(cls) for cls in (Point, list[int], Box[int])] == [
        "Point",
        "list[int]",
        f"{__name__}.Box[int]",
    ]


STRICT: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "an optional member may be null": (
        POINT,
        {
            "description": "A place.",
            "type": "object",
            "properties": {
                "x": {"description": "To the right.", "type": "integer", "minimum": 0},
                "y": {"anyOf": [{"type": "integer", "default": 0}, {"type": "null"}]},
            },
            "required": ["x", "y"],
            "additionalProperties": False,
        },
    ),
    "an optional member that may be null stays": (
        {
            "type": "object",
            "properties": {
                "a": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
                "b": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
                "c": {"type": "string", "description": "C."},
                "d": {"enum": ["x", None]},
                "e": {"const": None},
                "f": {"type": ["string", "null"]},
            },
        },
        {
            "type": "object",
            "properties": {
                "a": {"anyOf": [{"type": "string"}, {"type": "null"}]},
                "b": {"anyOf": [{"type": "string"}, {"type": "integer"}, {"type": "null"}]},
                "c": {"description": "C.", "anyOf": [{"type": "string"}, {"type": "null"}]},
                "d": {"anyOf": [{"type": "string", "enum": ["x"]}, {"type": "null"}]},
                "e": {"type": "null"},
                "f": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            },
            "required": ["a", "b", "c", "d", "e", "f"],
            "additionalProperties": False,
        },
    ),
    "an empty object": (
        {"type": "object", "properties": {}, "additionalProperties": True},
        {"type": "object", "properties": {}, "required": [], "additionalProperties": False},
    ),
    "a closed object without properties": (
        {"type": "object", "additionalProperties": False},
        {"type": "object", "properties": {}, "required": [], "additionalProperties": False},
    ),
    "a property may have any name": (
        {"type": "object", "properties": {"title": {"type": "null"}}, "required": ["title"]},
        {
            "type": "object",
            "properties": {"title": {"type": "null"}},
            "required": ["title"],
            "additionalProperties": False,
        },
    ),
    "a string": (
        {"type": "string", "title": "T", "minLength": 1, "maxLength": 2, "pattern": "^a", "x": 1},
        {"type": "string", "pattern": "^a"},
    ),
    "a format that is known": (
        {"type": "string", "format": "email"},
        {"type": "string", "format": "email"},
    ),
    "a format that is not": (
        {"type": "string", "format": "date-time", "description": "When."},
        {"description": "When. (format: date-time)", "type": "string"},
    ),
    "bytes": (
        {"type": "string", "contentEncoding": "base64"},
        {"description": "(format: base64)", "type": "string"},
    ),
    "a number": (
        {"type": "number", "minimum": 1, "multipleOf": 2, "default": 4, "examples": [4]},
        {"type": "number", "default": 4, "minimum": 1, "multipleOf": 2},
    ),
    "a default that is no number": (
        {"type": "integer", "default": None, "const": 3},
        {"type": "integer", "const": 3},
    ),
    "a boolean": ({"type": "boolean", "default": True}, {"type": "boolean"}),
    "an array": (
        {"type": "array", "items": {"type": "integer"}, "minItems": 1, "uniqueItems": True},
        {"type": "array", "items": {"type": "integer"}},
    ),
    "a tuple of one type": (
        {"type": "array", "prefixItems": [{"type": "integer"}] * 2, "items": False},
        {"type": "array", "items": {"type": "integer"}},
    ),
    "an enum of several types": (
        {"enum": ["a", 1, "b", True, 0.5]},
        {
            "anyOf": [
                {"type": "string", "enum": ["a", "b"]},
                {"type": "integer", "enum": [1]},
                {"type": "boolean", "enum": [True]},
                {"type": "number", "enum": [0.5]},
            ]
        },
    ),
    "a const": (
        {"const": "a", "type": "string", "description": "A."},
        {"description": "A.", "type": "string", "enum": ["a"]},
    ),
    "a const without a type": ({"const": 1}, {"type": "integer", "enum": [1]}),
    "oneOf": (
        {"oneOf": [{"type": "string"}, {"type": "null"}], "discriminator": {}},
        {"anyOf": [{"type": "string"}, {"type": "null"}]},
    ),
    "allOf of one": (
        {"allOf": [{"type": "string", "description": "In."}], "description": "Out."},
        {"description": "Out.", "type": "string"},
    ),
    "definitions": (
        {
            "type": "object",
            "properties": {
                "a": {"$ref": "#/$defs/A", "default": None},
                "b": {"$ref": "#/definitions/B", "description": "B."},
                "c": {"$ref": "#/$def/C"},
            },
            "required": ["b"],
            "$defs": {"A": {"type": "string"}},
            "definitions": {"B": {"$ref": "#/$defs/A"}},
            "$def": {"C": {"type": ["null", "string"]}},
        },
        {
            "type": "object",
            "properties": {
                "a": {"anyOf": [{"$ref": "#/$def/A"}, {"type": "null"}]},
                "b": {"description": "B.", "anyOf": [{"$ref": "#/$def/B"}]},
                "c": {"$ref": "#/$def/C"},
            },
            "required": ["a", "b", "c"],
            "additionalProperties": False,
            "$def": {
                "A": {"type": "string"},
                "B": {"$ref": "#/$def/A"},
                "C": {"anyOf": [{"type": "null"}, {"type": "string"}]},
            },
        },
    ),
}


@pytest.mark.parametrize("name", STRICT)
def test_a_schema_is_made_strict(name: str) -> None:
    schema, strict = STRICT[name]
    before = copy.deepcopy(schema)
    made = strict_schema(schema)
    assert made == strict
    assert json.dumps(made) == json.dumps(strict_schema(schema))
    assert list(made) == list(strict)
    assert schema == before


@pytest.mark.parametrize("name", STRICT)
def test_what_is_strict_stays_as_it_is(name: str) -> None:
    strict = STRICT[name][1]
    assert strict_schema(strict) == strict


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({}, r"^\$: strict mode needs a type"),
        (
            {"type": "object", "properties": {"a": True}},
            r"^\$\.a: strict mode needs a schema object here, not True",
        ),
        ({"type": "object"}, r"^\$: strict mode allows no object of any keys"),
        (
            {"type": "object", "properties": {}, "additionalProperties": {"type": "string"}},
            "allows no object of any keys",
        ),
        (
            {"type": "object", "properties": {"a": {"type": "array", "items": {}}}},
            r"^\$\.a\[\]: strict mode needs a type",
        ),
        ({"type": "array"}, "needs the type of the list's items"),
        (
            {"type": "array", "prefixItems": [{"type": "null"}, {"type": "string"}]},
            "knows no tuple of several types",
        ),
        ({"allOf": [{}, {}]}, "can't join the 2 members of allOf"),
        ({"anyOf": [{"type": "any"}]}, "knows no type 'any'"),
        ({"enum": [[1]]}, r"allows only scalars in enum, not \[1\]"),
        ({"$ref": "#/$defs/A"}, "'#/\\$defs/A' names nothing"),
        ({"$ref": "other.json", "$defs": {}}, "names nothing"),
        ({"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}}, "names nothing"),
        (
            {"type": "null", "$defs": {"A": {"type": "object"}}},
            r"^\$def\.A: strict mode allows no object",
        ),
    ],
)
def test_what_strict_mode_can_not_express_is_refused(schema: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        strict_schema(schema)


def test_null_fits_nothing_that_is_not_there() -> None:
    schema = {"$ref": "#/$defs/A"}
    assert not accepts_null(schema, {})
    assert accepts_null(schema, {"A": {}})
    assert definitions_of({"$defs": {"A": {}}}) == {"A": {}}
    assert resolve({"type": "null"}, {}) == {"type": "null"}


@pytest.mark.parametrize("cls", [Point, Path, Tree, Person, Book, Address, Author, Family, Pen])
def test_the_server_takes_strict_schemas(cls: Any) -> None:
    strict = strict_schema(schema_of(cls))
    assert "$defs" not in json.dumps(strict)
    assert strict_refusal([Function(name="f", parameters=strict, strict=True)]) is None


@given(st.dictionaries(st.sampled_from(["x", "y", "z"]), st.sampled_from([Point, int, Tree])))
def test_any_struct_of_these_can_be_strict(fields: dict[str, Any]) -> None:
    cls = msgspec.defstruct("Made", list(fields.items()))
    strict = strict_schema(schema_of(cls))
    assert strict["required"] == list(fields)
    assert strict_refusal([Function(name="f", parameters=strict, strict=True)]) is None
