"""Chunks, as hosts send them, to the answer they add up to."""

import json
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

from deepseek_async.types.chat import ChatCompletion, ChatCompletionChunk
from deepseek_async.types.model import Model
from deepseek_async.types.usage import Usage
from deepseek_async.wire.accumulate import ChatAccumulator
from deepseek_async.wire.codec import decode


def chunk(*choices: dict[str, Any], **fields: Any) -> ChatCompletionChunk:
    body = {"id": "c-1", "created": 7, "model": "m", "choices": list(choices), **fields}
    return decode(json.dumps(body).encode(), ChatCompletionChunk)


def delta(finish_reason: str | None = None, *, index: Any = 0, **fields: Any) -> dict[str, Any]:
    return {"index": index, "delta": fields, "finish_reason": finish_reason}


def text(content: str | None, **fields: Any) -> ChatCompletionChunk:
    return chunk(delta(content=content), **fields)


def added(*chunks: ChatCompletionChunk, keep: bool = True) -> ChatAccumulator:
    accumulator = ChatAccumulator(keep=keep)
    for each in chunks:
        accumulator.add([each])
    return accumulator


def answer(*chunks: ChatCompletionChunk) -> ChatCompletion:
    completion = added(*chunks).build()
    together = ChatAccumulator()
    together.add(chunks)
    assert together.build() == completion
    return completion


USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
FIRST = chunk(delta(role="assistant", content=""))
STOP = chunk(delta("stop", content=""), usage=USAGE)

# Chunks, and then content, reasoning, finish_reason, and prompt tokens of the usage.
Expected = tuple[str | None, str | None, str | None, int | None]

STREAMS: dict[str, tuple[list[ChatCompletionChunk], Expected]] = {
    "DeepSeek, not thinking": (
        [FIRST, text("He"), text("llo"), STOP],
        ("Hello", None, "stop", 1),
    ),
    "DeepSeek, thinking": (
        [
            chunk(delta(role="assistant", content=None, reasoning_content="")),
            chunk(delta(content=None, reasoning_content="Hm")),
            chunk(delta(content=None, reasoning_content="m.")),
            chunk(delta(content="Yes", reasoning_content=None)),
            chunk(delta("stop", content="", reasoning_content=None), usage=USAGE),
        ],
        ("Yes", "Hmm.", "stop", 1),
    ),
    "reasoning only": (
        [
            chunk(delta(role="assistant", content=None, reasoning_content="Hm")),
            chunk(delta("length", content=None, reasoning_content=None)),
        ],
        (None, "Hm", "length", None),
    ),
    "empty reasoning stays empty": (
        [chunk(delta(content=None, reasoning_content="")), text("a")],
        ("a", "", None, None),
    ),
    "empty content stays empty": ([FIRST, STOP], ("", None, "stop", 1)),
    "role null on the last delta": (
        [FIRST, text("a"), chunk(delta("stop", content="", role=None))],
        ("a", None, "stop", None),
    ),
    "role on every delta": (
        [chunk(delta(role="assistant", content=piece)) for piece in ("a", "b")],
        ("ab", None, None, None),
    ),
    "text on the finish chunk": (
        [FIRST, text("a"), chunk(delta("length", content="b"))],
        ("ab", None, "length", None),
    ),
    "a later null does not erase the finish reason": (
        [text("a"), STOP, chunk(delta(None, content="", role="assistant"))],
        ("a", None, "stop", 1),
    ),
    "the last finish reason counts": (
        [chunk(delta("stop")), chunk(delta("length"))],
        (None, None, "length", None),
    ),
    "an unknown finish reason": ([chunk(delta("aborted"))], (None, None, "aborted", None)),
    "usage null on all chunks": ([text("a", usage=None)], ("a", None, None, None)),
    "usage on a chunk without choices": (
        [text("a"), chunk(delta("stop")), chunk(usage=USAGE)],
        ("a", None, "stop", 1),
    ),
    "usage on a last chunk with a null finish reason": (
        [text("a"), chunk(delta("stop")), chunk(delta(content=""), usage=USAGE)],
        ("a", None, "stop", 1),
    ),
    "cumulative usage: the last counts": (
        [text("a", usage={"prompt_tokens": n}) for n in (5, 6, 9)],
        ("aaa", None, None, 9),
    ),
    "a later null does not erase the usage": (
        [text("a", usage=USAGE), text("b", usage=None), text("c")],
        ("abc", None, None, 1),
    ),
    "zero usage first": (
        [text("a", usage={"prompt_tokens": 0}), STOP],
        ("a", None, "stop", 1),
    ),
    "choices null, missing, empty": (
        [chunk(), decode(b'{"choices": null}', ChatCompletionChunk), text("a"), chunk()],
        ("a", None, None, None),
    ),
    "delta null, missing, empty": (
        [chunk({"delta": None}), chunk({}), chunk({"delta": {}}), text("a")],
        ("a", None, None, None),
    ),
    "a choice without an index": (
        [chunk({"delta": {"content": "a"}}), chunk({"index": None, "delta": {"content": "b"}})],
        ("ab", None, None, None),
    ),
    "reasoning under vLLM's name": (
        [chunk(delta(reasoning="H")), chunk(delta(reasoning="m")), text("a")],
        ("a", "Hm", None, None),
    ),
    "reasoning under a third name": (
        [chunk(delta(reasoning_text="H")), chunk(delta(reasoning_text="m"))],
        (None, "Hm", None, None),
    ),
    "reasoning under two names counts once": (
        [chunk(delta(reasoning_content="Hm", reasoning="Hm"))],
        (None, "Hm", None, None),
    ),
    "content and reasoning of the wrong type": (
        [chunk(delta(content=["x"], reasoning_content=5)), text("a")],
        ("a", None, None, None),
    ),
    "Azure: a filter chunk first, explicit nulls": (
        [
            decode(
                b'{"choices":[],"created":0,"id":"","model":"","object":"",'
                b'"prompt_filter_results":[{"prompt_index":0}]}',
                ChatCompletionChunk,
            ),
            chunk(delta(role=None, content="a", reasoning_content=None, tool_calls=None)),
            chunk(delta("stop", content="b", role=None, tool_calls=None)),
            chunk(usage=USAGE),
        ],
        ("ab", None, "stop", 1),
    ),
    "text beside tool calls": (
        [text("a"), chunk(delta("tool_calls", tool_calls=[{"index": 0, "id": "A"}]))],
        ("a", None, "tool_calls", None),
    ),
}


@pytest.mark.parametrize(("chunks", "expected"), STREAMS.values(), ids=STREAMS)
def test_chunks_add_up_to_the_answer(chunks: list[ChatCompletionChunk], expected: Expected) -> None:
    completion = answer(*chunks)
    (choice,) = completion.choices
    usage = completion.usage
    assert (
        choice.message.content,
        choice.message.reasoning_content,
        choice.finish_reason,
        None if usage is None else usage.prompt_tokens,
    ) == expected


@pytest.mark.parametrize(("chunks", "expected"), STREAMS.values(), ids=STREAMS)
def test_without_keeping_only_the_end_is_known(
    chunks: list[ChatCompletionChunk], expected: Expected
) -> None:
    accumulator = added(*chunks, keep=False)
    usage = accumulator.usage
    assert (
        accumulator.content,
        accumulator.reasoning,
        accumulator.finish_reason,
        None if usage is None else usage.prompt_tokens,
    ) == ("", "", *expected[2:])
    assert accumulator.chunks == len(chunks)
    assert accumulator.build().choices == []


@pytest.mark.parametrize(("chunks", "expected"), STREAMS.values(), ids=STREAMS)
def test_what_has_come_can_be_read_at_any_time(
    chunks: list[ChatCompletionChunk], expected: Expected
) -> None:
    accumulator = ChatAccumulator()
    for each in chunks:
        accumulator.add([each])
        accumulator.build()
    assert accumulator.content == (expected[0] or "")
    assert accumulator.reasoning == (expected[1] or "")
    assert accumulator.finish_reason == expected[2]


def test_nothing_adds_up_to_an_answer_without_choices() -> None:
    assert ChatAccumulator().build() == ChatCompletion(id="", choices=[])


def test_an_answer_carries_what_the_first_chunk_says_about_it() -> None:
    completion = answer(
        text("a", system_fingerprint="fp"), text("b", id="c-2", created=8, model="n")
    )
    assert (completion.id, completion.created, completion.model) == ("c-1", 7, "m")
    assert completion.system_fingerprint == "fp"


def test_what_the_first_chunks_leave_blank_comes_from_later_ones() -> None:
    completion = answer(
        text("a", id="", created=0, model=""),
        text("b", id="c-2", created=0, model=""),
        text("c", id="c-3", created=9, model="n"),
    )
    assert (completion.id, completion.created, completion.model) == ("c-2", 9, "n")


def test_an_answer_is_a_completion_not_a_chunk() -> None:
    assert answer(text("a")).object == "chat.completion"


def test_the_role_that_came_is_kept() -> None:
    completion = answer(chunk(delta(role="narrator")), chunk(delta(role=None)))
    assert completion.choices[0].message.role == "narrator"


def test_the_role_is_assistant_where_none_came() -> None:
    assert answer(text("a")).choices[0].message.role == "assistant"


def test_several_choices_are_kept_apart_and_ordered() -> None:
    completion = answer(
        chunk(delta(index=2, content="c")),
        chunk(delta(index=0, content="a"), delta(index=1, content="b")),
        chunk(delta("stop", index=1, content="B")),
    )
    assert [(c.index, c.message.content, c.finish_reason) for c in completion.choices] == [
        (0, "a", None),
        (1, "bB", "stop"),
        (2, "c", None),
    ]


def test_other_choices_do_not_touch_the_first() -> None:
    accumulator = added(chunk(delta("stop", index=1, content="b")))
    assert (accumulator.content, accumulator.finish_reason) == ("", None)
    assert [choice.index for choice in accumulator.build().choices] == [1]


def test_other_choices_are_passed_over_without_keeping() -> None:
    accumulator = added(chunk(delta("stop", index=1, content="b")), keep=False)
    assert accumulator.finish_reason is None


def test_tool_calls_are_put_together() -> None:
    completion = answer(
        chunk(delta(tool_calls=[{"index": 0, "id": "A", "function": {"name": "f"}}])),
        chunk(delta(tool_calls=[{"index": 0, "function": {"arguments": "{"}}])),
        chunk(delta(tool_calls=[{"index": 0, "function": {"arguments": "}"}}])),
        chunk(delta("tool_calls", content="")),
    )
    calls = completion.choices[0].message.tool_calls
    assert calls is not None
    assert [(c.index, c.id, c.type, c.function.name, c.function.arguments) for c in calls] == [
        (0, "A", "function", "f", "{}")
    ]


def test_there_are_no_tool_calls_where_none_came() -> None:
    assert answer(chunk(delta(tool_calls=[]))).choices[0].message.tool_calls is None


def test_open_tool_calls_can_be_looked_at() -> None:
    accumulator = added(chunk(delta(tool_calls=[{"id": "A", "function": {"arguments": "{"}}])))
    assert [(call.id, added) for call, added in accumulator.tool_calls.latest] == [("A", "{")]


def test_tool_calls_are_told_apart_without_keeping() -> None:
    accumulator = added(
        chunk(delta(tool_calls=[{"id": "A", "function": {"name": "f", "arguments": "{"}}])),
        keep=False,
    )
    (call,) = accumulator.tool_calls.calls
    assert (call.id, call.name, call.arguments.text) == ("A", "f", "")


def token(name: str) -> dict[str, Any]:
    return {"token": name, "logprob": -0.5, "bytes": None, "top_logprobs": []}


def with_logprobs(logprobs: Any) -> ChatCompletionChunk:
    return chunk({"index": 0, "delta": {}, "logprobs": logprobs})


def test_logprobs_of_both_kinds_are_joined() -> None:
    logprobs = (
        answer(
            with_logprobs(None),
            with_logprobs({"reasoning_content": [token("a")], "content": None}),
            with_logprobs({"reasoning_content": [token("b"), token("c")]}),
            with_logprobs({"content": [token("d")]}),
            with_logprobs({"content": [token("e")], "reasoning_content": None}),
            with_logprobs(None),
        )
        .choices[0]
        .logprobs
    )
    assert logprobs is not None
    assert [each.token for each in logprobs.reasoning_content or []] == ["a", "b", "c"]
    assert [each.token for each in logprobs.content or []] == ["d", "e"]


def test_a_kind_of_logprobs_that_did_not_come_is_none() -> None:
    logprobs = answer(with_logprobs({"content": [token("a")]})).choices[0].logprobs
    assert logprobs is not None
    assert logprobs.reasoning_content is None


def test_logprobs_are_none_where_none_came() -> None:
    assert answer(with_logprobs(None)).choices[0].logprobs is None


def test_unknown_fields_of_logprobs_are_kept() -> None:
    logprobs = (
        answer(with_logprobs({"content": [token("a")], "refusal": [1]}), with_logprobs(None))
        .choices[0]
        .logprobs
    )
    assert logprobs is not None
    assert logprobs.model_extra == {"refusal": [1]}


def test_an_answer_built_early_does_not_grow() -> None:
    accumulator = added(
        with_logprobs({"content": [token("a")], "reasoning_content": [token("b")]}),
        chunk(delta(parts=[1], reasoning_content="x"), citations=[1]),
    )
    early = accumulator.build()
    dump = early.model_dump_json()
    accumulator.add(
        [
            with_logprobs({"content": [token("c")], "reasoning_content": [token("d")]}),
            chunk(delta(parts=[2], reasoning_content="y"), citations=[2]),
        ]
    )
    assert early.model_dump_json() == dump


def test_the_chunks_do_not_grow_with_the_answer() -> None:
    first = with_logprobs({"content": [token("a")], "x": [1]})
    extra = chunk(delta(parts=[1]), citations=[1])
    before = (first.model_dump_json(), extra.model_dump_json())
    answer(first, extra, first, extra)
    assert (first.model_dump_json(), extra.model_dump_json()) == before


# Unknown fields.


def extras(*values: Any) -> Any:
    """Return what ``title`` adds up to, sent in the delta of one chunk each."""
    extra = answer(*(chunk(delta(title=value)) for value in values)).choices[0].message.model_extra
    return None if extra is None else extra["title"]


EXTRAS: dict[str, tuple[list[Any], Any]] = {
    "one value": (["a"], "a"),
    "the last value": (["a", "b"], "b"),
    "a later null erases nothing": (["a", None], "a"),
    "null and nothing else": ([None], None),
    "null first": ([None, "a"], "a"),
    "lists grow": ([[1], [2, 3]], [1, 2, 3]),
    "a list after a value": (["a", [1]], [1]),
    "a value after a list": ([[1], "a"], "a"),
    "a null after a list": ([[1], None, [2]], [1, 2]),
    "objects are replaced": ([{"a": 1}, {"b": 2}], {"b": 2}),
}


@pytest.mark.parametrize(("values", "expected"), EXTRAS.values(), ids=EXTRAS)
def test_unknown_fields_add_up(values: list[Any], expected: Any) -> None:
    assert extras(*values) == expected


def test_unknown_fields_are_kept_at_every_level() -> None:
    completion = answer(
        decode(
            b'{"id": "x", "provider": "p", "choices": [{"native_finish_reason": "s", "delta":'
            b' {"title": "t", "tool_calls": [{"id": "A", "a": 1, "function": {"b": 2}}]}}],'
            b' "usage": {"prompt_tokens": 1, "cost": 0.1, "prompt_tokens_details": {"audio": 0}}}',
            ChatCompletionChunk,
        )
    )
    choice = completion.choices[0]
    calls, usage = choice.message.tool_calls, completion.usage
    assert calls is not None
    assert usage is not None
    assert usage.prompt_tokens_details is not None
    structs: list[Model] = [completion, choice, choice.message, calls[0], calls[0].function]
    structs += [usage, usage.prompt_tokens_details]
    assert [struct.model_extra for struct in structs] == [
        {"provider": "p"},
        {"native_finish_reason": "s"},
        {"title": "t"},
        {"a": 1},
        {"b": 2},
        {"cost": 0.1},
        {"audio": 0},
    ]


def test_an_answer_has_no_unknown_fields_unless_some_came() -> None:
    completion = answer(text("a"))
    choice = completion.choices[0]
    assert (completion.model_extra, choice.model_extra, choice.message.model_extra) == (None,) * 3


@pytest.mark.parametrize("name", ["reasoning", "reasoning_text"])
def test_the_reasoning_stays_whole_under_the_name_it_came_by(name: str) -> None:
    message = (
        answer(*(chunk({"delta": {name: piece}}) for piece in ("H", "m")), text("a"))
        .choices[0]
        .message
    )
    assert message.reasoning_content == "Hm"
    assert message.model_extra == {name: "Hm"}


def test_an_alias_that_is_no_text_stays_as_it_is() -> None:
    message = answer(chunk(delta(reasoning={"effort": 1}))).choices[0].message
    assert message.reasoning_content is None
    assert message.model_extra == {"reasoning": {"effort": 1}}


def test_reasoning_details_grow() -> None:
    message = (
        answer(*(chunk(delta(reasoning=t, reasoning_details=[{"text": t}])) for t in ("H", "m")))
        .choices[0]
        .message
    )
    assert message.model_extra == {
        "reasoning": "Hm",
        "reasoning_details": [{"text": "H"}, {"text": "m"}],
    }


def test_usage_is_the_last_object_as_it_came() -> None:
    assert answer(text("a", usage={"prompt_tokens": 5, "completion_tokens": 1}), STOP).usage == (
        Usage(prompt_tokens=1, completion_tokens=2, total_tokens=3)
    )


# Memory and work.

PIECE = "tok€"


def token_chunks(count: int, **fields: Any) -> Iterator[list[ChatCompletionChunk]]:
    """Yield ``count`` chunks in blocks; each chunk with a text of its own, as a decoder gives."""
    data = json.dumps({"id": "c", "choices": [delta(content=PIECE)], **fields}).encode()
    for _ in range(count // 100):
        yield [decode(data, ChatCompletionChunk) for _ in range(100)]


def held_after(accumulator: ChatAccumulator, count: int) -> tuple[int, int]:
    """Add chunks and return the bytes held at the end and at the worst."""
    tracemalloc.start()
    try:
        for block in token_chunks(count):
            accumulator.add(block)
            del block
        return tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()


def test_a_long_answer_takes_at_most_three_times_its_text() -> None:
    count = 200_000
    accumulator = ChatAccumulator()
    held, peak = held_after(accumulator, count)
    # One chunk's text: four characters of two bytes each, as Python stores them.
    size = count * len(PIECE) * 2
    assert held < 1.5 * size
    assert peak < 3 * size
    assert len(accumulator.content) == count * len(PIECE)


def test_a_long_answer_takes_next_to_nothing_if_it_is_not_kept() -> None:
    held, peak = held_after(ChatAccumulator(keep=False), 20_000)
    assert held < 20_000
    assert peak < 500_000


def test_building_a_long_answer_takes_at_most_three_times_its_text() -> None:
    accumulator = ChatAccumulator()
    tracemalloc.start()
    try:
        for block in token_chunks(50_000):
            accumulator.add(block)
        completion = accumulator.build()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert completion.choices[0].message.content == PIECE * 50_000
    assert peak < 3 * 50_000 * len(PIECE) * 2


def allocated(count: int, pieces: str) -> int:
    """Return how many bytes were allocated while chunks were added, call by call."""
    accumulator = ChatAccumulator()
    call = {"index": 0, "function": {"arguments": PIECE}}
    fields = {"content": PIECE} if pieces == "content" else {"tool_calls": [call]}
    data = json.dumps({"id": "c", "choices": [delta(**fields)]}).encode()
    total = 0
    tracemalloc.start()
    try:
        for _ in range(count // 10):
            block = [decode(data, ChatCompletionChunk) for _ in range(10)]
            before, _ = tracemalloc.get_traced_memory()
            tracemalloc.reset_peak()
            accumulator.add(block)
            total += tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    return total


@pytest.mark.parametrize("pieces", ["content", "tool_calls"])
def test_twice_the_chunks_allocate_twice_as_much(pieces: str) -> None:
    assert 1.6 < allocated(20_000, pieces) / allocated(10_000, pieces) < 2.5
