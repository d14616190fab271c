"""Views of JSON text that is still growing, as values of the type it will have."""

import copy
import dataclasses
import datetime
import enum
import itertools
import json
from typing import (
    Annotated,
    Any,
    Generic,
    Literal,
    NamedTuple,
    NotRequired,
    Required,
    TypedDict,
    TypeVar,
)

import attrs
import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepseek_async.wire.typed import decode_as
from deepseek_async.wire.typed_partial import TypedPartial

X = TypeVar("X")


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Point(msgspec.Struct):
    x: int
    y: float = 0.5


class Circle(msgspec.Struct, tag="circle"):
    radius: float


class Square(msgspec.Struct, tag="square"):
    side: float


class Coordinates(msgspec.Struct, array_like=True):
    x: int
    y: int


class Pair(NamedTuple):
    one: int
    two: int


class Box(msgspec.Struct, Generic[X]):
    item: X


class Everything(msgspec.Struct, rename="camel"):
    some_text: str
    color: Color = Color.BLUE
    when: datetime.date | None = None
    points: list[Point] = []
    one: Point | None = None
    shape: Circle | Square | None = None
    tags: set[str] = set()
    many: tuple[int, ...] = ()
    pair: Pair | None = None
    place: Coordinates | None = None
    by_name: dict[str, Point] = {}
    by_number: dict[int, str] = {}
    anything: Any = None
    plain: dict[str, Any] | None = None
    text_or_list: str | list[str] | None = None
    noted: Annotated[str, msgspec.Meta(max_length=100)] = ""
    bare: list[Any] = []
    box: Box[int] | None = None


class Tree(msgspec.Struct):
    name: str
    kids: list["Tree"] = []


@dataclasses.dataclass(frozen=True)
class Person:
    name: str
    age: int = 30
    friends: list["Person"] = dataclasses.field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("a person has a name")


@attrs.frozen
class Book:
    title: str = attrs.field(validator=attrs.validators.instance_of(str))
    pages: int = 100
    authors: list[Person] = attrs.field(factory=list)


class Address(TypedDict, total=False):
    street: Required[str]
    number: NotRequired[int]
    people: list[Person]


class Cat(pydantic.BaseModel):
    kind: Literal["cat"]
    lives: int = 9


class Dog(pydantic.BaseModel):
    kind: Literal["dog"]
    name: str = "Rex"


class Owner(pydantic.BaseModel):
    full_name: str = pydantic.Field(alias="fullName")
    pets: list[Annotated[Cat | Dog, pydantic.Field(discriminator="kind")]] = []
    color: Color = Color.RED


@pydantic.dataclasses.dataclass
class Pen:
    ink: str
    width: int = 1


def view(cls: Any, *pieces: str) -> Any:
    """Feed and look, piece by piece; return the last view."""
    parser = TypedPartial[Any](cls)
    seen = None
    for piece in pieces:
        parser.feed(piece)
        seen = parser.view()
    assert parser.error is None
    return seen


def everything(**fields: Any) -> Everything:
    return Everything(**{"some_text": None, **fields})


VIEWS: list[tuple[Any, str, Any]] = [
    (Point, "", None),
    (Point, "{", Point(None, 0.5)),  # type: ignore[arg-type]  # what hasn't come is None
    (Point, '{"x": 1', Point(None, 0.5)),  # type: ignore[arg-type]  # the same
    (Point, '{"x": 1,', Point(1, 0.5)),
    (Point, '{"x": 1, "y": 2,', Point(1, 2.0)),
    (Point, '{"x": 1, "z": {"a": [1', Point(1, 0.5)),
    (Point, '{"z": 1, "x": 1,', Point(1, 0.5)),
    # What doesn't fit is left as it is.
    (Point, '{"x": "no", "y": [1]', Point("no", [1])),  # type: ignore[arg-type]  # the same
    (Point, "[1, {", None),
    (Point, '"text', None),
    (str, '"text', "text"),
    (int, "1", 1),
    (Color, '"re', None),
    (Color, '"red"', Color.RED),
    (list[Point], "[", []),
    (list[Point], '[{"x": 1}, {"x": 2,', [Point(1), Point(2)]),
    (list[Point], '[{"x": 1}, 3, [4], {"y": 2}', [Point(1), 3, [4], Point(None, 2.0)]),  # type: ignore[arg-type]  # the same
    (list[str], '["a", "b', ["a", "b"]),
    (dict[str, Point], '{"a": {"x": 1}, "b": {', {"a": Point(1), "b": Point(None)}),  # type: ignore[arg-type]  # the same
    (Everything, '{"someText": "he', everything(some_text="he")),
    (Everything, '{"some_text": "he', everything()),
    (Everything, '{"color": "re', everything()),
    (Everything, '{"color": "red"', everything(color=Color.RED)),
    (Everything, '{"when": "2026-', everything()),
    (Everything, '{"when": "2026-11-21"', everything(when=datetime.date(2026, 11, 21))),
    (Everything, '{"when": "soon"', everything(when="soon")),
    (Everything, '{"points": [{"x": 1}, {', everything(points=[Point(1), Point(None)])),  # type: ignore[arg-type]  # the same
    (Everything, '{"one": {"x": 1,', everything(one=Point(1))),
    (Everything, '{"one": null', everything(one=None)),
    (Everything, '{"shape": {', everything()),
    (Everything, '{"shape": {"type": "squ', everything()),
    (Everything, '{"shape": {"type": "square", ', everything(shape=Square(None))),  # type: ignore[arg-type]  # the same
    (Everything, '{"shape": {"side": 2}, "one": {', everything(shape={"side": 2}, one=Point(None))),  # type: ignore[arg-type]  # the same
    (Everything, '{"tags": ["a", "b', everything(tags={"a", "b"})),
    (Everything, '{"many": [1, 2', everything(many=(1,))),
    (Everything, '{"pair": [1, 2', everything()),
    (Everything, '{"pair": [1, 2]', everything(pair=Pair(1, 2))),
    (Everything, '{"place": [1', everything()),
    (Everything, '{"place": [1, 2]', everything(place=Coordinates(1, 2))),
    (Everything, '{"byName": {"a": {"x": 1', everything(by_name={"a": Point(None)})),  # type: ignore[arg-type]  # the same
    (Everything, '{"byNumber": {"1": "a"}', everything(by_number={1: "a"})),
    (Everything, '{"byNumber": {"1": "a", "2": "b', everything(by_number={1: "a", 2: "b"})),
    (Everything, '{"byNumber": {"x": "a"}', everything(by_number={"x": "a"})),
    (list[dict[Any, Any]], '[{"a": 1}, {"b": "c', [{"a": 1}, {"b": "c"}]),
    (dict, '{"a": "b', {"a": "b"}),
    (Everything, '{"anything": [{"a": "b', everything(anything=[{"a": "b"}])),
    (
        Everything,
        '{"anything": {"a": 1}, "plain": {"a": [',
        everything(anything={"a": 1}, plain={"a": []}),
    ),
    (Everything, '{"textOrList": "ab', everything(text_or_list="ab")),
    (Everything, '{"textOrList": ["ab', everything(text_or_list=["ab"])),
    (Everything, '{"noted": "ab', everything(noted="ab")),
    (Everything, '{"noted": "ab"', everything(noted="ab")),
    (Everything, '{"bare": ["ab", {"c": 1}, "d', everything(bare=["ab", {"c": 1}, "d"])),
    (Everything, '{"box": {"item": 3}', everything(box=Box(3))),
    (Everything, '{"points": [{"x": "no", "z": 1}], ', everything(points=[Point("no")])),  # type: ignore[arg-type]  # the same
    (Tree, '{"name": "a", "kids": [{"name": "b', Tree("a", [Tree("b")])),
    (Person, '{"age": 3, ', {"name": None, "age": 3, "friends": []}),
    (Person, '{"friends": [{"name": "B"}, {', None),
    (Book, '{"pages": 3, ', {"title": None, "pages": 3, "authors": []}),
    (Address, "{", {"street": None}),
    (Address, '{"number": 3}', {"street": None, "number": 3}),
    (Owner, '{"color": "blue", ', {"full_name": None, "pets": [], "color": Color.BLUE}),
    (Owner, '{"fullName": "An', {"full_name": "An", "pets": [], "color": Color.RED}),
    (Pen, '{"ink": "re', {"ink": "re", "width": 1}),
    (Annotated[Point, ["unhashable"]], '{"x": 1,', Point(1)),
]


@pytest.mark.parametrize(("cls", "text", "expected"), VIEWS)
def test_a_view_is_of_the_type(cls: Any, text: str, expected: Any) -> None:
    for seen in (view(cls, text), view(cls, *text), view(cls, text[:-1], text[-1:])):
        if isinstance(expected, dict) and not isinstance(seen, dict):
            assert isinstance(seen, cls)
            found = {name: getattr(seen, name) for name in expected}
            assert found == expected
        elif expected is None and cls is Person:
            assert [friend.name for friend in seen.friends] == ["B", None]
        else:
            assert seen == expected
            assert type(seen) is type(expected)


def test_the_one_of_several_models_is_known_by_its_tag() -> None:
    text = (
        '{"pets": [{"kind": "dog", "name": "A"}, {"kind": "cat"}, {"lives": 3}, '
        '{"kind": "dog", "name": "B'
    )
    for owner in (view(Owner, text), view(Owner, *text)):
        first, second, third, last = owner.pets
        assert (first, second, third) == (Dog(kind="dog", name="A"), Cat(kind="cat"), {"lives": 3})
        assert (type(last), last.name) == (Dog, "B")


def test_a_struct_that_refuses_parts_is_made_all_the_same() -> None:
    class Even(msgspec.Struct, frozen=True):
        n: int
        note: str = "-"

        def __post_init__(self) -> None:
            if self.n % 2:
                raise ValueError("n must be even")

    assert isinstance(view(Even, "{"), Even)
    assert view(Even, '{"note": "a').note == "a"
    odd = view(Even, '{"n": 3}')
    assert (odd.n, odd.note) == (3, "-")
    assert view(Even, '{"n": 4}') == Even(4)


def test_of_equal_keys_the_last_one_wins() -> None:
    text = '{"x": 1, "y": 2, "x": 3, "y": 4, '
    assert view(Point, text) == view(Point, *text) == Point(3, 4.0)
    text = '{"one": {"x": 1}, "one": {"x": 2}, "one": {'
    assert view(Everything, *text).one == Point(None)  # type: ignore[arg-type]  # not come yet


def test_what_is_complete_is_decoded_as_ever() -> None:
    text = '{"x": 1, "y": null}'
    assert view(Point, *text) == decode_as(Point, text) == Point(1)
    parser = TypedPartial(Point)
    parser.feed(text)
    assert parser.complete
    assert parser.view() is parser.view()


def test_numbers_at_the_top_go_on() -> None:
    parser = TypedPartial(int)
    parser.feed("1")
    assert parser.view() == 1
    parser.feed("2")
    assert (parser.view(), parser.complete) == (12, True)


def test_errors_are_told_and_leave_what_was_good() -> None:
    parser = TypedPartial(Point)
    parser.feed('{"x": 1, oops')
    assert parser.error == "expected a key at character 9"
    assert parser.view() == Point(1)
    assert not parser.complete


def test_one_of_many_that_does_not_fit_spoils_no_other() -> None:
    text = '[{"x": 1}, {"x": "no"}, {"x": 2}' + ', {"x": 3}' * 20
    seen = view(list[Point], text)
    assert seen == [Point(1), Point("no"), Point(2), *[Point(3)] * 20]  # type: ignore[arg-type]  # no int


POINTS = st.builds(Point, st.integers(-9, 9), st.floats(-1, 1))
EVERYTHING = st.builds(
    Everything,
    some_text=st.text(max_size=5),
    color=st.sampled_from(Color),
    when=st.none() | st.dates(),
    points=st.lists(POINTS, max_size=20),
    one=st.none() | POINTS,
    shape=st.none() | st.builds(Circle, st.floats(0, 1)) | st.builds(Square, st.floats(0, 1)),
    by_name=st.dictionaries(st.text(max_size=3), POINTS, max_size=3),
)


@given(
    EVERYTHING
    | st.recursive(
        st.builds(Tree, st.text()), lambda kids: st.builds(Tree, st.text(), st.lists(kids))
    ),
    st.data(),
)
def test_views_stay_and_the_last_one_is_the_value(value: Any, data: st.DataObject) -> None:
    text = msgspec.json.encode(value).decode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=20)))
    parser = TypedPartial[Any](type(value))
    views: list[tuple[Any, Any]] = []
    for begin, end in itertools.pairwise([0, *cuts, len(text)]):
        parser.feed(text[begin:end])
        seen = parser.view()
        assert seen == view(type(value), text[:end])
        views.append((seen, copy.deepcopy(seen)))
    assert parser.view() == value
    assert all(seen == then for seen, then in views)


def test_a_text_of_another_form_is_left_as_it_is() -> None:
    assert view(Point, json.dumps([1, 2])) == [1, 2]
    assert view(Point, '"x"') == "x"


@pytest.mark.parametrize("cls", [set[str], frozenset[str]])
def test_what_cannot_be_in_a_set_leaves_a_list(cls: Any) -> None:
    items = ["a", ["b"], {"c": 1}]
    partial: TypedPartial[Any] = TypedPartial(dict[str, cls])
    views: list[Any] = []
    for character in json.dumps({"open": items}):
        partial.feed(character)
        views.append(partial.view())
    assert {"open": cls(["a"])} in views
    assert {"open": ["a", ["b"]]} in views
    assert views[-1] == {"open": items}
