"""JSON to values of a type, and what is said where it doesn't fit."""

import dataclasses
import datetime
import decimal
import json
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import attrs
import msgspec
import pydantic
import pytest

from deepseek_async.wire.typed import MismatchError, convert_as, decode_as


class Day(msgspec.Struct):
    celsius: float
    sky: Literal["clear", "cloudy"] = "clear"
    note: str | None = "none"


class Trip(msgspec.Struct):
    city: str
    days: list[Day] = []
    by_name: dict[str, Day] = {}
    first: Day | None = None


class Circle(msgspec.Struct, tag="circle"):
    radius: float = 1.0


class Square(msgspec.Struct, tag="square"):
    side: float = 2.0


class Drawing(msgspec.Struct):
    shape: Circle | Square | list[Circle] | None


@dataclasses.dataclass
class Person:
    name: str
    age: int = 30
    friends: list["Person"] = dataclasses.field(default_factory=list)


@attrs.define
class Book:
    title: str
    pages: int = 100


class Address(TypedDict):
    street: str
    number: NotRequired[int]


class Cat(pydantic.BaseModel):
    kind: Literal["cat"]
    lives: int = 9


class Dog(pydantic.BaseModel):
    kind: Literal["dog"]
    name: str = "Rex"


class Owner(pydantic.BaseModel):
    pet: Annotated[Cat | Dog, pydantic.Field(discriminator="kind")]
    since: datetime.date | None = None


@pydantic.dataclasses.dataclass
class Pen:
    ink: str = "blue"


VALUES: list[tuple[Any, Any, Any]] = [
    (int, 3, 3),
    (decimal.Decimal, "1.50", decimal.Decimal("1.50")),
    (datetime.date, "2026-11-21", datetime.date(2026, 11, 21)),
    (bytes, "YQ==", b"a"),
    (dict[int, float], {"1": 2}, {1: 2.0}),
    (set[int], [1, 2, 1], {1, 2}),
    (list[Any], [1, {"a": None}], [1, {"a": None}]),
    (Trip, {"city": "X", "days": [{"celsius": 1}]}, Trip("X", [Day(1.0)])),
    (Person, {"name": "A", "friends": [{"name": "B"}]}, Person("A", 30, [Person("B")])),
    (Book, {"title": "T"}, Book("T")),
    (Address, {"street": "S"}, {"street": "S"}),
    (Cat, {"kind": "cat", "lives": 7}, Cat(kind="cat", lives=7)),
    (
        Owner,
        {"pet": {"kind": "dog"}, "since": "2026-11-21"},
        Owner(pet=Dog(kind="dog"), since=datetime.date(2026, 11, 21)),
    ),
    (Pen, {"ink": "red"}, Pen("red")),
    (list[Cat], [{"kind": "cat"}], [Cat(kind="cat")]),
    (Cat | int, 3, 3),
    (Annotated[Cat, ["unhashable"]], {"kind": "cat"}, Cat(kind="cat")),
]

# Nulls in place of what was to be left out.
NULLS: list[tuple[Any, Any, Any]] = [
    (Trip, {"city": "X", "days": None, "by_name": None, "first": None}, Trip("X")),
    (
        Trip,
        {"city": "X", "days": [{"celsius": 1, "sky": None, "note": None}]},
        Trip("X", [Day(1.0, "clear", None)]),
    ),
    (
        Trip,
        {"city": "X", "by_name": {"a": {"celsius": 1, "sky": None}}},
        Trip("X", by_name={"a": Day(1.0)}),
    ),
    (Trip, {"city": "X", "first": {"celsius": 1, "sky": None}}, Trip("X", first=Day(1.0))),
    (Drawing, {"shape": {"type": "square", "side": None}}, Drawing(Square())),
    (Drawing, {"shape": [{"type": "circle", "radius": None}]}, Drawing([Circle()])),
    (Person, {"name": "A", "age": None, "friends": None}, Person("A")),
    (
        Person,
        {"name": "A", "friends": [{"name": "B", "age": None}]},
        Person("A", 30, [Person("B")]),
    ),
    (Book, {"title": "T", "pages": None}, Book("T")),
    (Address, {"street": "S", "number": None}, {"street": "S"}),
    (Cat, {"kind": "cat", "lives": None}, Cat(kind="cat")),
    (Owner, {"pet": {"kind": "dog", "name": None}, "since": None}, Owner(pet=Dog(kind="dog"))),
    (Pen, {"ink": None}, Pen()),
    (list[Pen], [{"ink": None}], [Pen()]),
    # What the type doesn't know is not its business.
    (Trip, {"city": "X", "days": None, "more": [None, {"a": None}]}, Trip("X")),
]


@pytest.mark.parametrize(("cls", "value", "expected"), VALUES + NULLS)
def test_json_becomes_a_value_of_the_type(cls: Any, value: Any, expected: Any) -> None:
    text = json.dumps(value)
    for made in (decode_as(cls, text), decode_as(cls, text.encode()), convert_as(cls, value)):
        assert made == expected
        assert type(made) is type(expected)


WRONG: list[tuple[Any, Any, str]] = [
    (Trip, {"city": 3}, "Expected `str`, got `int` - at `$.city`"),
    (
        Trip,
        {"city": "X", "days": [{"celsius": 1}, {}]},
        "Object missing required field `celsius` - at `$.days[1]`",
    ),
    # The complaint is about the text, not about what would be without its nulls.
    (Trip, {"city": None, "days": None}, "Expected `str`, got `null` - at `$.city`"),
    (Drawing, {"shape": {"type": "cone", "x": None}}, "Invalid value 'cone' - at `$.shape.type`"),
    (Address, {"number": 1}, "Object missing required field `street`"),
    (Cat, {"kind": "cat", "lives": "many"}, "unable to parse string as an integer - at `$.lives`"),
    (Owner, {"pet": {"kind": "cow"}}, "- at `$.pet`"),
    (list[Cat], [{"lives": 1}], "Field required - at `$[0].kind`"),
]


@pytest.mark.parametrize(("cls", "value", "message"), WRONG)
def test_what_does_not_fit_is_told_with_its_place(cls: Any, value: Any, message: str) -> None:
    with pytest.raises(MismatchError) as caught:
        decode_as(cls, json.dumps(value))
    assert message in str(caught.value)
    with pytest.raises(MismatchError) as caught:
        convert_as(cls, value)
    assert message in str(caught.value)


def test_all_that_pydantic_finds_is_told() -> None:
    with pytest.raises(MismatchError) as caught:
        decode_as(Cat, '{"lives": "x"}')
    assert str(caught.value).count(" - at `$.") == 2


def test_of_many_problems_the_first_ten_are_told() -> None:
    # They become a prompt.
    with pytest.raises(MismatchError) as caught:
        decode_as(list[Cat], json.dumps([{}] * 500))
    message = str(caught.value)
    assert message.count(" - at `$[") == 10
    assert message.endswith("; and 490 more")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Invalid JSON: Input data was truncated (it ends at byte 0)"),
        ('{"city": "ä', "Invalid JSON: Input data was truncated (it ends at byte 12)"),
        (b'{"city"', "Invalid JSON: Input data was truncated (it ends at byte 7)"),
        ('{"city" 1}', "Invalid JSON: JSON is malformed: expected ':' (byte 8)"),
        ('{"city": "X"} ', None),
        ('{"city": "X"} x', "Invalid JSON: JSON is malformed: trailing characters (byte 15)"),
        ('{"city": "\ud800"}', "Invalid JSON: the text is not valid Unicode"),
        (b'{"city": "\xff"}', "Invalid JSON: the text is not valid Unicode"),
    ],
)
def test_what_is_no_json_is_told_with_its_place(text: str | bytes, message: str | None) -> None:
    if message is None:
        assert decode_as(Trip, text) == Trip("X")
        return
    with pytest.raises(MismatchError) as caught:
        decode_as(Trip, text)
    assert message in str(caught.value)


def test_pydantic_says_where_the_json_is_wrong() -> None:
    with pytest.raises(MismatchError, match=r"Invalid JSON: .* line 1 column 9"):
        decode_as(Cat, '{"kind" "cat"}')


def test_deep_nesting_is_a_mismatch() -> None:
    with pytest.raises(MismatchError, match="nested too deeply"):
        decode_as(list[Any], "[" * 100_000)


def test_checks_of_the_class_are_told_too() -> None:
    class Even(msgspec.Struct):
        n: int

        def __post_init__(self) -> None:
            if self.n % 2:
                raise ValueError("n must be even")

    with pytest.raises(MismatchError, match="n must be even"):
        decode_as(Even, '{"n": 3}')


def test_what_is_not_described_is_not_mended() -> None:
    class Own:
        """A class of the user that decodes itself."""

        @classmethod
        def model_json_schema(cls) -> Any:
            raise TypeError("no schema")

        @classmethod
        def model_validate_json(cls, text: str | bytes) -> Any:
            raise ValueError("not today")

    with pytest.raises(MismatchError, match="not today"):
        decode_as(Own, "{}")
