"""Views of JSON text that is still growing."""

import itertools
import json
import sys
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepseek_async.wire.partial_json import PartialJSON, partial_json

DOCUMENTS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda parts: st.lists(parts) | st.dictionaries(st.text(), parts),
)


@st.composite
def cut_documents(draw: st.DrawFn) -> tuple[Any, list[str]]:
    """Draw a value, and its text in pieces."""
    value = draw(DOCUMENTS)
    text = json.dumps(
        value, ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from([None, 1]))
    )
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=20)))
    bounds = [0, *cuts, len(text)]
    return value, [text[a:b] for a, b in itertools.pairwise(bounds)]


def fed(pieces: Iterable[str], *, looking: bool = True) -> PartialJSON:
    parser = PartialJSON()
    for piece in pieces:
        parser.feed(piece)
        if looking:
            assert parser.value is parser.value
    return parser


def state(parser: PartialJSON) -> tuple[str, bool, str | None]:
    # As text: 1, 1.0 and True are equal.
    return repr(parser.value), parser.complete, parser.error


def begins(part: Any, whole: Any) -> bool:
    """Whether a view may be one of the beginning of a text of this value."""
    if isinstance(whole, str):
        return isinstance(part, str) and whole.startswith(part)
    if isinstance(whole, list):
        return isinstance(part, list) and all_begin(part, whole[: len(part)])
    if isinstance(whole, dict):
        return (
            isinstance(part, dict)
            and list(part) == list(whole)[: len(part)]
            and all_begin(list(part.values()), list(whole.values())[: len(part)])
        )
    return bool(part == whole and type(part) is type(whole))


def all_begin(parts: list[Any], wholes: list[Any]) -> bool:
    return (
        len(parts) == len(wholes)
        and all(map(same, parts[:-1], wholes))
        and (not parts or begins(parts[-1], wholes[-1]))
    )


def same(one: Any, other: Any) -> bool:
    return repr(one) == repr(other)


@given(cut_documents())
def test_in_the_end_the_value_is_that_of_the_text(document: tuple[Any, list[str]]) -> None:
    value, pieces = document
    parser = fed(pieces)
    assert state(parser) == (repr(value), True, None)
    assert parser.value == json.loads("".join(pieces))


@given(cut_documents())
def test_each_view_is_a_beginning_of_the_value(document: tuple[Any, list[str]]) -> None:
    value, pieces = document
    parser = PartialJSON()
    for piece in pieces:
        parser.feed(piece)
        view = parser.value
        if isinstance(value, str | list | dict):
            assert view is None or begins(view, value)
        elif not isinstance(value, bool) and isinstance(value, int | float):
            # The digits of a number at the top level may go on.
            assert view is None or isinstance(view, int | float)
        else:
            assert view is None or view is value


@given(cut_documents())
def test_a_view_stays_what_it_is(document: tuple[Any, list[str]]) -> None:
    parser = PartialJSON()
    views: list[tuple[Any, str]] = []
    for piece in document[1]:
        parser.feed(piece)
        views.append((parser.value, repr(parser.value)))
    assert [repr(view) for view, _ in views] == [then for _, then in views]


@given(cut_documents())
def test_the_cuts_make_no_difference(document: tuple[Any, list[str]]) -> None:
    seen = ""
    parser = PartialJSON()
    for piece in document[1]:
        seen += piece
        parser.feed(piece)
        assert state(parser) == state(fed([seen])) == state(fed(seen))


# All that means something in JSON, and pieces of escapes.
MESSY = st.text(alphabet='{}[]",:\\u0dDeE8aF1-+.tfnrules \n\t`', max_size=40)


@settings(max_examples=500)
@given(MESSY | st.text(max_size=40))
def test_any_text_is_read_alike_at_any_cuts(text: str) -> None:
    parser = fed([text])
    assert state(parser) == state(fed(text)) == state(fed(text, looking=False))
    if "`" in text:
        return
    try:
        value = json.loads(text, parse_constant=int)
    except ValueError:
        assert parser.error is not None or not parser.complete
    else:
        assert state(parser) == (repr(value), True, None)


VIEWS: list[tuple[str, Any]] = [
    ("", None),
    (" \n", None),
    ("{", {}),
    ("[", []),
    ('"', ""),
    ('"ab', "ab"),
    ("tru", None),
    ("true", True),
    ("nul", None),
    ("null", None),
    ("-", None),
    ("-1", -1),
    ("1.", None),
    ("1.5", 1.5),
    ("1e", None),
    ('{"ke', {}),
    ('{"key"', {}),
    ('{"key":', {}),
    ('{"key": ', {}),
    ('{"key" :"', {"key": ""}),
    ('{"key": "va', {"key": "va"}),
    ('{"key": [', {"key": []}),
    ('{"key": 12', {}),
    ('{"key": 12 ', {"key": 12}),
    ('{"key": 12}', {"key": 12}),
    ('{"key": tr', {}),
    ('{"a": 1, "b": {"c": [1, {"d": "e', {"a": 1, "b": {"c": [1, {"d": "e"}]}}),
    ('{"a": 1, "a": [2', {"a": []}),
    ('{"a": 1, "a": 2}', {"a": 2}),
    ("[1, 2", [1]),
    ("[1, 2,", [1, 2]),
    ("[1, [2], {", [1, [2], {}]),
    ('[{"a": 1, "b": "c", "d": "e', [{"a": 1, "b": "c", "d": "e"}]),
    ('[{"a": 1, "b', [{"a": 1}]),
    ('[{"a": 1, "b": 2', [{"a": 1}]),
    ('[{"a": 1, "b": "\\n', [{"a": 1, "b": "\n"}]),
    ('"a\\', "a"),
    ('"a\\n', "a\n"),
    ('"a\\u00', "a"),
    ('"a\\u00e4', "aä"),
    # Half a character is none.
    ('"a\\ud83d', "a"),
    ('"a\\ud83d\\', "a"),
    ('"a\\ud83d\\ude', "a"),
    ('"a\\ud83d\\ude00', "a😀"),
    ('"a\\ud83d"', "a\ud83d"),
    ('"a\\ud83db', "a\ud83db"),
    ('"a\\ud83d\\n', "a\ud83d\n"),
    ('"a\\ud83d\\u0041', "a\ud83dA"),
    ('"a\\\\ud83d', "a\\ud83d"),
    ('{"a\\ud83d', {}),
    ('{"\\u0061\\n": 1, "b": "', {"a\n": 1, "b": ""}),
    ("```json\n[1,", [1]),
    ("``", None),
    ("```js", None),
    (" ```\n", None),
    ('```json\n{"a": "```"}\n```\n', {"a": "```"}),
    ("```\n[]\n`", []),
]


@pytest.mark.parametrize(("text", "value"), VIEWS)
def test_a_view_is_what_has_come(text: str, value: Any) -> None:
    for parser in (fed([text]), fed(text)):
        assert repr(parser.value) == repr(value)
        assert parser.error is None
    assert repr(partial_json(text)) == repr(value)


@pytest.mark.parametrize(
    ("text", "complete"),
    [
        ("", False),
        ("1", True),
        ("1.", False),
        ("nul", False),
        ("null", True),
        ('"', False),
        ('""', True),
        ("{", False),
        ("{} ", True),
        ("[1", False),
        ("```json\n{}", True),
        ("```json\n{}\n```", True),
    ],
)
def test_the_value_says_when_it_is_whole(text: str, complete: bool) -> None:
    assert fed([text]).complete is complete
    assert fed(text, looking=False).complete is complete


ERRORS: list[tuple[str, Any, str]] = [
    ("x", None, "expected a JSON value at character 0"),
    (" `x`", None, "expected a JSON value at character 1"),
    ("nulx", None, "expected a JSON value at character 0"),
    ("[tx", [], "expected a JSON value at character 1"),
    ("[01]", [], "expected a JSON value at character 1"),
    ("[1.]", [], "expected a JSON value at character 1"),
    ("[+1]", [], "expected a JSON value at character 1"),
    ("[NaN]", [], "expected a JSON value at character 1"),
    ("[-Infinity, 1]", [], "expected a JSON value at character 1"),
    ("[1,]", [1], "expected a JSON value at character 3"),
    ("[,1]", [], "expected a JSON value at character 1"),
    ("[1 2]", [1], "expected ',' or the end at character 3"),
    ('["a" "b"]', ["a"], "expected ',' or the end at character 5"),
    ("[1}", [1], "expected the other bracket at character 2"),
    ("[[]}", [[]], "expected the other bracket at character 3"),
    ('{"a": 1]', {"a": 1}, "expected the other bracket at character 7"),
    ("{1: 2}", {}, "expected a key at character 1"),
    ('{"a": 1,}', {"a": 1}, "expected a key at character 8"),
    ('{"a" 1}', {}, "expected ':' at character 5"),
    ('{"a": }', {}, "expected a JSON value at character 6"),
    ('{"a": 1 "b"', {"a": 1}, "expected ',' or the end at character 8"),
    ('["a\\x"]', ["a"], "unexpected character or escape in a string at character 3"),
    ('["a\nb"]', ["a"], "unexpected character or escape in a string at character 3"),
    ('["\\ud83d\\ux"]', [""], "unexpected character or escape in a string at character 2"),
    ("{} x", {}, "expected nothing after the value at character 3"),
    ("1 2", 1, "expected nothing after the value at character 2"),
    ("{}```", {}, "expected nothing after the value at character 2"),
    ("```\n{}``` x", {}, "expected nothing after the value at character 10"),
    ("```\n{}``x", {}, "expected nothing after the value at character 6"),
    # More digits than Python is willing to read.
    ("[" + "9" * 5000 + "]", [], "expected a JSON value at character 1"),
    # Digits, or a first line, without end would be read again and again.
    ("[" + "9" * 5000, [], "expected a JSON value at character 1"),
    ("[0." + "9" * 5000, [], "expected a JSON value at character 1"),
    ("```" + "j" * 5000, None, "expected a JSON value at character 0"),
]


@pytest.mark.parametrize(("text", "value", "error"), ERRORS)
def test_an_error_says_where_and_leaves_what_was_good(text: str, value: Any, error: str) -> None:
    for parser in (fed([text]), fed(text), fed(text, looking=False)):
        assert (repr(parser.value), parser.error) == (repr(value), error)
        parser.feed('{"more": 1}')
        assert (repr(parser.value), parser.error) == (repr(value), error)


def test_python_may_have_been_told_to_read_fewer_digits() -> None:
    most = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(640)
    try:
        assert fed(["[" + "9" * 700 + "]"]).error == "expected a JSON value at character 1"
    finally:
        sys.set_int_max_str_digits(most)


def test_a_value_before_an_error_is_still_complete() -> None:
    assert fed(["{} trailing"]).complete
    assert not fed(["[1,]"]).complete


@pytest.mark.parametrize("brackets", ["[]", "{}"])
@pytest.mark.parametrize("pieces", [1, 7, 5000])
def test_deep_nesting_is_an_error(brackets: str, pieces: int) -> None:
    opening = brackets[0] if brackets == "[]" else '{"a":'
    for depth, is_fine in ((512, True), (513, False), (5000, False)):
        text = opening * (depth - 1) + brackets + brackets[1] * (depth - 1)
        step = max(1, len(text) // pieces)
        parser = fed((text[at : at + step] for at in range(0, len(text), step)), looking=False)
        assert parser.complete is is_fine
        if is_fine:
            assert parser.error is None
        else:
            position = 512 * len(opening)
            assert parser.error == f"expected at most 512 levels at character {position}"


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_deep_values_within_open_containers_are_an_error_too(opening: str) -> None:
    inside = "[" * 100 + "]" * 100
    text = opening * 413 + inside
    for parser in (fed([text]), fed([opening * 413, inside]), fed(text, looking=False)):
        position = len(opening) * 413 + 99
        assert parser.error == f"expected at most 512 levels at character {position}"


def test_many_deep_items_are_an_error_as_well() -> None:
    item = "[" * 100 + "]" * 100
    text = "[" * 413 + f"{item},{item},"
    assert fed([text]).error == fed(text, looking=False).error is not None


def test_items_that_no_decoder_takes_at_once_are_read_one_by_one() -> None:
    # A float too large for msgspec; half a character; the same, with a comma inside.
    text = '[1e999, 2, ["\\ud83d", "],"], {"a": "},"}, "\\udc00", "x\\",", 3, '
    assert repr(fed([text]).value) == repr(json.loads(text[:-2] + "]"))


@pytest.mark.parametrize("ending", ["}}}", "1},", "1},]"])
def test_text_that_seems_to_hold_whole_items_is_read_alike(ending: str) -> None:
    # Each level begins like one that is whole.
    text = '[{"a":' * 200 + ending
    assert state(fed([text])) == state(fed(text, looking=False))


def test_a_long_key_comes_in_pieces() -> None:
    key = "k" * 500
    text = f'[{{"{key}" : 1, "b{key}'
    assert fed([text]).value == fed(text).value == [{key: 1}]


def test_long_objects_in_lists_are_entered() -> None:
    long = "x" * 200
    text = f'[{{"a": 1, "b": "{long}", "c": "{long}'
    assert fed([text]).value == fed(text).value == [{"a": 1, "b": long, "c": long}]
