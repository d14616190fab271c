"""Pieces of tool calls, in every host's manner, put together again."""

from collections.abc import Sequence
from typing import Any

import pytest

from deepseek_async.types.chat import FunctionDelta, ToolCallDelta
from deepseek_async.wire.tool_calls import OpenCall, ToolCallAssembler

# id, name and arguments of each call, in index order.
Calls = list[tuple[str, str, str]]


def piece(
    index: int | None = None,
    call_id: str | None = None,
    name: str | None = None,
    arguments: str | None = None,
    **fields: Any,
) -> ToolCallDelta:
    function = FunctionDelta(name=name, arguments=arguments)
    return ToolCallDelta(index=index, id=call_id, function=function, **fields)


def assembled(chunks: Sequence[Sequence[ToolCallDelta]], *, keep: bool = True) -> ToolCallAssembler:
    assembler = ToolCallAssembler()
    for pieces in chunks:
        assembler.add(pieces, keep=keep)
    return assembler


def calls_of(assembler: ToolCallAssembler) -> Calls:
    return [(call.id, call.name, call.arguments.text) for call in assembler.calls]


STREAMS: dict[str, tuple[list[list[ToolCallDelta]], Calls]] = {
    "none": ([], []),
    "DeepSeek's: id and name once, then index and arguments": (
        [[piece(0, "A", "f", "")], [piece(0, arguments="{")], [piece(0, arguments="}")]],
        [("A", "f", "{}")],
    ),
    "DeepSeek's, two calls one after the other": (
        [
            [piece(0, "A", "f", "")],
            [piece(0, arguments="{}")],
            [piece(1, "B", "g", "")],
            [piece(1, arguments="[")],
            [piece(1, arguments="]")],
        ],
        [("A", "f", "{}"), ("B", "g", "[]")],
    ),
    "two calls by turns": (
        [
            [piece(0, "A", "f"), piece(1, "B", "g")],
            [piece(1, arguments="1"), piece(0, arguments="2")],
            [piece(0, arguments="3"), piece(1, arguments="4")],
        ],
        [("A", "f", "23"), ("B", "g", "14")],
    ),
    "a whole call in one piece": ([[piece(0, "A", "f", '{"x": 1}')]], [("A", "f", '{"x": 1}')]),
    "calls of equal name": (
        [[piece(0, "A", "f", "1")], [piece(1, "B", "f", "2")]],
        [("A", "f", "1"), ("B", "f", "2")],
    ),
    "calls that come in another order than their index": (
        [[piece(1, "B", "g", "2")], [piece(0, "A", "f", "1")]],
        [("A", "f", "1"), ("B", "g", "2")],
    ),
    "an index that does not begin at 0": (
        [[piece(5, "A", "f", "1")], [piece(5, arguments="2")]],
        [("A", "f", "12")],
    ),
    "three calls, more than one chunk each": (
        [[piece(i, f"c{i}", "f", "a")] for i in range(3)]
        + [[piece(i, arguments="b")] for i in range(3)],
        [("c0", "f", "ab"), ("c1", "f", "ab"), ("c2", "f", "ab")],
    ),
    # Blank and repeated ids and names.
    "blank ids later": (
        [[piece(0, "A", "f", "")], [piece(0, "", arguments="{}")]],
        [("A", "f", "{}")],
    ),
    "blank names later": (
        [[piece(0, "A", "f", "")], [piece(0, None, "", "{}")]],
        [("A", "f", "{}")],
    ),
    "id and name repeated": (
        [[piece(0, "A", "f", "")], [piece(0, "A", "f", "{")], [piece(0, "A", "f", "}")]],
        [("A", "f", "{}")],
    ),
    "id and name repeated for two calls": (
        [
            [piece(0, "A", "f", "1")],
            [piece(0, "A", "f", "2")],
            [piece(1, "B", "g", "3")],
            [piece(1, "B", "g", "4")],
        ],
        [("A", "f", "12"), ("B", "g", "34")],
    ),
    "a second name neither overwrites nor adds": (
        [[piece(0, "A", "f", "1")], [piece(0, None, "g", "2")]],
        [("A", "f", "12")],
    ),
    "the id only in a later piece": (
        [[piece(0, None, "f", "1")], [piece(0, "A", None, "2")]],
        [("A", "f", "12")],
    ),
    "a blank id first, then the id": (
        [[piece(0, "", "f", "1")], [piece(0, "A", None, "2")], [piece(0, "A", None, "3")]],
        [("A", "f", "123")],
    ),
    "the name only in a later piece": (
        [[piece(0, "A", "", "")], [piece(0, None, "f", "{}")]],
        [("A", "f", "{}")],
    ),
    "never an id": ([[piece(0, None, "f", "1")], [piece(0, arguments="2")]], [("", "f", "12")]),
    "never a name": ([[piece(0, "A", None, "1")]], [("A", "", "1")]),
    # Missing index.
    "no index, the id in each piece": (
        [
            [piece(None, "A", "f", "1")],
            [piece(None, "A", None, "2")],
            [piece(None, "B", "g", "3")],
            [piece(None, "B", None, "4")],
        ],
        [("A", "f", "12"), ("B", "g", "34")],
    ),
    "no index, an id only at the start": (
        [
            [piece(None, "A", "f", "1")],
            [piece(arguments="2")],
            [piece(None, "B", "g", "3")],
            [piece(arguments="4")],
        ],
        [("A", "f", "12"), ("B", "g", "34")],
    ),
    "no index, ids by turns": (
        [
            [piece(None, "A", "f"), piece(None, "B", "g")],
            [piece(None, "B", None, "1"), piece(None, "A", None, "2")],
        ],
        [("A", "f", "2"), ("B", "g", "1")],
    ),
    "no index and no id: a new name starts a call": (
        [[piece(None, None, "f", "1")], [piece(arguments="2")], [piece(None, None, "g", "3")]],
        [("", "f", "12"), ("", "g", "3")],
    ),
    "no index and no id: the same name goes on": (
        [[piece(None, None, "f", "1")], [piece(None, None, "f", "2")]],
        [("", "f", "12")],
    ),
    "no index and no id: a name may come late": (
        [[piece(arguments="1")], [piece(None, None, "f", "2")]],
        [("", "f", "12")],
    ),
    "no index and no id, several in a chunk: by position": (
        [
            [piece(None, None, "f", "1"), piece(None, None, "g", "2")],
            [piece(arguments="3"), piece(arguments="4")],
        ],
        [("", "f", "13"), ("", "g", "24")],
    ),
    "no index later on": (
        [[piece(0, "A", "f", "1")], [piece(1, "B", "g", "2")], [piece(arguments="3")]],
        [("A", "f", "1"), ("B", "g", "23")],
    ),
    "no index later on, but the id": (
        [
            [piece(0, "A", "f", "1")],
            [piece(1, "B", "g", "2")],
            [piece(None, "A", None, "3")],
        ],
        [("A", "f", "13"), ("B", "g", "2")],
    ),
    # Hosts that give every call index 0, or every call the same id.
    "all at index 0, whole": (
        [[piece(0, "A", "f", "1")], [piece(0, "B", "g", "2")]],
        [("A", "f", "1"), ("B", "g", "2")],
    ),
    "all at index 0, in pieces": (
        [
            [piece(0, "A", "f", "1")],
            [piece(0, arguments="2")],
            [piece(0, "B", "g", "3")],
            [piece(0, arguments="4")],
        ],
        [("A", "f", "12"), ("B", "g", "34")],
    ),
    "all at index 0, in pieces with ids by turns": (
        [
            [piece(0, "A", "f", "1"), piece(0, "B", "g", "2")],
            [piece(0, "A", None, "3"), piece(0, "B", None, "4")],
        ],
        [("A", "f", "13"), ("B", "g", "24")],
    ),
    "one id for all, told apart by index": (
        [[piece(0, "A", "f", "1")], [piece(1, "A", "g", "2")], [piece(0, "A", None, "3")]],
        [("A", "f", "13"), ("A", "g", "2")],
    ),
    "one id for all, in one chunk, pieces by index": (
        [
            [piece(0, "A", "f", "1"), piece(1, "A", "g", "2")],
            [piece(1, "A", None, "3"), piece(0, "A", None, "4")],
            [piece(1, arguments="5"), piece(0, arguments="6")],
        ],
        [("A", "f", "146"), ("A", "g", "235")],
    ),
    "an id that goes on at another index, without a name": (
        [[piece(0, "A", "f", "1")], [piece(1, "A", None, "2")], [piece(1, arguments="3")]],
        [("A", "f", "123")],
    ),
    "an id with its name repeated but no index": (
        [[piece(0, "A", "f", "1")], [piece(None, "A", "f", "2")]],
        [("A", "f", "12")],
    ),
    # Arguments.
    "no arguments at all": ([[piece(0, "A", "f")]], [("A", "f", "")]),
    "null arguments first": (
        [[piece(0, "A", "f", None)], [piece(0, arguments="{}")]],
        [("A", "f", "{}")],
    ),
    "empty arguments last": (
        [[piece(0, "A", "f", "{}")], [piece(0, "", None, "")]],
        [("A", "f", "{}")],
    ),
    "arguments that are no JSON stay": ([[piece(0, "A", "f", '{"a":')]], [("A", "f", '{"a":')]),
    "white space in arguments stays": (
        [[piece(0, "A", "f", " {")], [piece(0, arguments="\n}\t")]],
        [("A", "f", " {\n}\t")],
    ),
    "a piece without function": (
        [[piece(0, "A", "f", "{}")], [ToolCallDelta(index=0)]],
        [("A", "f", "{}")],
    ),
    "a first piece without function": (
        [[ToolCallDelta(index=0, id="A")], [piece(0, None, "f", "{}")]],
        [("A", "f", "{}")],
    ),
    "an empty piece first": (
        [[ToolCallDelta()], [piece(0, "A", "f", "{}")]],
        [("", "", ""), ("A", "f", "{}")],
    ),
    "an empty piece last": (
        [[piece(0, "A", "f", "{}")], [ToolCallDelta()]],
        [("A", "f", "{}")],
    ),
}


@pytest.mark.parametrize(("chunks", "expected"), STREAMS.values(), ids=STREAMS)
def test_pieces_become_calls(chunks: list[list[ToolCallDelta]], expected: Calls) -> None:
    assert calls_of(assembled(chunks)) == expected


@pytest.mark.parametrize(("chunks", "expected"), STREAMS.values(), ids=STREAMS)
def test_calls_are_told_apart_without_keeping_arguments(
    chunks: list[list[ToolCallDelta]], expected: Calls
) -> None:
    assert calls_of(assembled(chunks, keep=False)) == [
        (call_id, name, "") for call_id, name, _ in expected
    ]


def test_a_later_id_does_not_overwrite_the_first() -> None:
    call = OpenCall(0, 0)
    for call_id in ("A", "B", "", None):
        call.add(piece(0, call_id), keep=True)
    assert call.id == "A"


def test_a_call_without_an_index_takes_the_next_free_place() -> None:
    assembler = assembled([[piece(None, "A", "f")], [piece(None, "B", "g")]])
    assert [call.index for call in assembler.calls] == [0, 1]


def test_latest_is_what_the_last_chunk_added() -> None:
    assembler = assembled([[piece(0, "A", "f", "1"), piece(1, "B", "g", "2")]])
    assembler.add([piece(1, arguments="3"), piece(0)], keep=True)
    assert [(call.id, added) for call, added in assembler.latest] == [("B", "3"), ("A", "")]


def test_latest_names_the_added_arguments_that_are_not_kept() -> None:
    assembler = assembled([[piece(0, "A", "f", "1")]], keep=False)
    assert [(call.id, added) for call, added in assembler.latest] == [("A", "1")]


def test_the_type_is_function_unless_said_otherwise() -> None:
    built = [call.build().type for call in assembled([[piece(0), piece(1, type="x")]]).calls]
    assert built == ["function", "x"]


def test_a_later_null_type_does_not_erase_the_type() -> None:
    assembler = assembled([[piece(0, type="x")], [piece(0, type=None)], [piece(0, type="")]])
    assert assembler.calls[0].build().type == "x"


def test_unknown_fields_of_call_and_function_are_kept() -> None:
    assembler = assembled(
        [
            [ToolCallDelta(index=0, id="A", model_extra={"signature": "s"})],
            [
                ToolCallDelta(
                    index=0, function=FunctionDelta(name="f", model_extra={"strict": True})
                )
            ],
        ]
    )
    call = assembler.calls[0].build()
    assert call.model_extra == {"signature": "s"}
    assert call.function.model_extra == {"strict": True}


def test_a_built_call_has_no_unknown_fields_unless_some_came() -> None:
    call = assembled([[piece(0, "A", "f", "{}")]]).calls[0].build()
    assert (call.model_extra, call.function.model_extra) == (None, None)


def test_a_built_call_does_not_change_when_more_comes() -> None:
    assembler = assembled([[piece(0, "A", "f", "1", model_extra={"x": 1})]])
    built = assembler.calls[0].build()
    assembler.add([piece(0, arguments="2", model_extra={"y": 2})], keep=True)
    assert built.function.arguments == "1"
    assert built.model_extra == {"x": 1}


def test_long_arguments_are_put_together_whole() -> None:
    chunks = [[piece(0, "A", "f", "")], *([piece(0, arguments=f"{i},")] for i in range(3000))]
    assert assembled(chunks).calls[0].arguments.text == "".join(f"{i}," for i in range(3000))


def test_calls_that_all_have_index_0_get_indices_of_their_own() -> None:
    assembler = ToolCallAssembler()

    def piece(call_id: str, arguments: str) -> ToolCallDelta:
        function = FunctionDelta(name=f"f_{call_id}", arguments=arguments)
        return ToolCallDelta(index=0, id=call_id, function=function)

    # Interleaved, with id and name repeated in every piece.
    for call_id, arguments in [("a", "1"), ("b", "3"), ("a", "2"), ("b", "4")]:
        assembler.add([piece(call_id, arguments)], keep=True)

    calls = [(call.index, call.id, call.arguments.text) for call in assembler.calls]
    assert calls == [(0, "a", "12"), (1, "b", "34")]
