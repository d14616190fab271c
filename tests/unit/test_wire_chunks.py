"""Streams of every host's habits to chunks, however their bytes are cut."""

import json
from collections.abc import Iterable
from itertools import pairwise
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepseek_async.errors import EventTooLargeError
from deepseek_async.types.chat import ChatCompletionChunk
from deepseek_async.types.fim import Completion
from deepseek_async.wire.chunks import ChunkDecoder
from deepseek_async.wire.codec import NotAnObjectError

KEEP_ALIVE = b": keep-alive\n\n"
DONE = b"data: [DONE]\n\n"

several = settings(max_examples=200, deadline=None, database=None)


def payload(text: str | None, **fields: Any) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    body = {"id": "c-1", "created": 1, "model": "m", "choices": [choice], **fields}
    return json.dumps(body, ensure_ascii=False).encode()


def event(text: str | None, **fields: Any) -> bytes:
    return b"data: " + payload(text, **fields) + b"\n\n"


A, B, C = event("a"), event("b"), event("c")


class Outcome(NamedTuple):
    """What a decoder tells about a stream."""

    texts: list[str | None]
    done: bool = False
    error: object = None
    failure: type[Exception] | None = None
    comments: int = 0
    queued: int = 0


def text_of(chunk: ChatCompletionChunk) -> str | None:
    return chunk.choices[0].delta.content if chunk.choices else None


def outcome(blocks: Iterable[bytes], limit: int = 1 << 20, *, finish: bool = True) -> Outcome:
    decoder = ChunkDecoder(ChatCompletionChunk, limit)
    chunks: list[ChatCompletionChunk] = []
    for block in blocks:
        chunks += decoder.feed(block)
    if finish:
        decoder.finish()
    assert decoder.events == len(chunks)
    assert decoder.ended == (
        decoder.done or decoder.error is not None or decoder.failure is not None
    )
    return Outcome(
        [text_of(chunk) for chunk in chunks],
        decoder.done,
        decoder.error,
        None if decoder.failure is None else type(decoder.failure),
        decoder.comments,
        decoder.queued_comments,
    )


def cut(stream: bytes, ends: Iterable[int]) -> list[bytes]:
    return [stream[start:end] for start, end in pairwise([0, *ends, len(stream)])]


STREAMS: dict[str, tuple[bytes, Outcome]] = {
    "no bytes": (b"", Outcome([])),
    "three chunks and done": (A + B + C + DONE, Outcome(["a", "b", "c"], True)),
    "a clean end without done": (A + B, Outcome(["a", "b"])),
    "only done": (DONE, Outcome([], True)),
    # Framing.
    "CRLF": ((A + B + DONE).replace(b"\n", b"\r\n"), Outcome(["a", "b"], True)),
    "CR": ((A + B + DONE).replace(b"\n", b"\r"), Outcome(["a", "b"], True)),
    "LF, then CRLF, then CR": (
        A + B.replace(b"\n", b"\r\n") + DONE.replace(b"\n", b"\r"),
        Outcome(["a", "b"], True),
    ),
    "a byte order mark": (b"\xef\xbb\xbf" + A + DONE, Outcome(["a"], True)),
    "no space after the colon": (
        (A + B + DONE).replace(b"data: ", b"data:"),
        Outcome(["a", "b"], True),
    ),
    "some with a space, some without": (
        A + B.replace(b"data: ", b"data:") + C + DONE,
        Outcome(["a", "b", "c"], True),
    ),
    "two spaces after the colon": (A.replace(b": {", b":  {") + DONE, Outcome(["a"], True)),
    "white space after the JSON": (A.replace(b"\n\n", b" \t\n\n") + DONE, Outcome(["a"], True)),
    "extra blank lines": (b"\n\n" + A + b"\n\n\n" + B + b"\n" + DONE, Outcome(["a", "b"], True)),
    "a chunk over several data lines": (
        b'data: {"id": "x", "choices":\ndata: [{"delta":\ndata: {"content": "a"}}]}\n\n' + DONE,
        Outcome(["a"], True),
    ),
    "chunks over several data lines later on": (
        A + b'data: {"choices":\ndata: [{"delta": {"content": "b"}}]}\n\n' + C + DONE,
        Outcome(["a", "b", "c"], True),
    ),
    "event, id and retry lines": (
        b"event: message\nid: 1\nretry: 9\n" + A + b"id: 2\n" + B + DONE,
        Outcome(["a", "b"], True),
    ),
    "events without data": (
        b"event: ping\n\n" + A + b"event: ping\n\n" + B + b"id: 3\n\n" + DONE,
        Outcome(["a", "b"], True),
    ),
    "unknown fields": (
        A + b"foo: bar\n\n" + b"dataset: {}\n\n" + B + b"Data: x\n\n" + DONE,
        Outcome(["a", "b"], True),
    ),
    "empty data": (
        b"data:\n\n" + A + b"data: \n\n" + b"data\n\n" + B + b"data\ndata\n\n" + DONE,
        Outcome(["a", "b"], True),
    ),
    "an event without its blank line is dropped": (A + B[:-1], Outcome(["a"])),
    "an event without its line end is dropped": (A + B[:-2], Outcome(["a"])),
    # Keep-alives.
    "keep-alives first": (
        KEEP_ALIVE * 3 + A + DONE,
        Outcome(["a"], True, comments=3, queued=3),
    ),
    "keep-alives everywhere": (
        KEEP_ALIVE + A + KEEP_ALIVE * 2 + B + KEEP_ALIVE + DONE,
        Outcome(["a", "b"], True, comments=4, queued=1),
    ),
    "keep-alives without blank lines": (
        b": ka\n: ka\n" + A + b": ka\n" + B + DONE,
        Outcome(["a", "b"], True, comments=3, queued=2),
    ),
    "a keep-alive inside an event": (
        b": ka\n" + A[:-1] + b": ka\n\n" + B + DONE,
        Outcome(["a", "b"], True, comments=2, queued=2),
    ),
    "a keep-alive inside a later event": (
        A + B[:-1] + b": ka\n\n" + C + DONE,
        Outcome(["a", "b", "c"], True, comments=1),
    ),
    "a bare colon": (b":\n\n" + A + b":\n\n" + DONE, Outcome(["a"], True, comments=2, queued=1)),
    "keep-alives and nothing else": (KEEP_ALIVE * 2, Outcome([], comments=2, queued=2)),
    "keep-alives and done": (KEEP_ALIVE + DONE, Outcome([], True, comments=1, queued=1)),
    "a keep-alive beside empty data": (
        A + KEEP_ALIVE + b"data:\n\n" + B + KEEP_ALIVE + DONE,
        Outcome(["a", "b"], True, comments=2),
    ),
    "OpenRouter's comments": (
        b": OPENROUTER PROCESSING\n\n" * 2 + A + DONE,
        Outcome(["a"], True, comments=2, queued=2),
    ),
    # Done.
    "done without a space": (A + b"data:[DONE]\n\n", Outcome(["a"], True)),
    "done with spaces around": (A + b"data:  [DONE] \n\n", Outcome(["a"], True)),
    "done by CRLF": (A + b"data: [DONE]\r\n\r\n", Outcome(["a"], True)),
    "done without a blank line": (A + b"data: [DONE]\n", Outcome(["a"], True)),
    "done without a line end": (A + b"data: [DONE]", Outcome(["a"], True)),
    "done without a line end or space": (A + b"data:[DONE]", Outcome(["a"], True)),
    "done without a line end after CRLF": (
        A.replace(b"\n", b"\r\n") + b"data: [DONE]",
        Outcome(["a"], True),
    ),
    "half of done": (A + b"data: [DON", Outcome(["a"])),
    "nothing behind done counts": (
        A + DONE + B + KEEP_ALIVE + b"data: {\n\n",
        Outcome(["a"], True),
    ),
    "a comment right behind done does not count": (A + DONE + b": x\n", Outcome(["a"], True)),
    "done twice": (A + DONE + DONE, Outcome(["a"], True)),
    "an error behind done is too late": (
        A + DONE + b'data: {"error": 1}\n\n',
        Outcome(["a"], True),
    ),
    "a comment beside done": (A + b"data: [DONE]\n: x\n\n", Outcome(["a"], True, comments=1)),
    "done with an event type": (A + b"event: done\ndata: [DONE]\n\n", Outcome(["a"], True)),
    "done in small letters is garbage": (
        A + b"data: [done]\n\n",
        Outcome(["a"], failure=NotAnObjectError),
    ),
    "done inside the text": (
        event("data: [DONE]") + B + DONE,
        Outcome(["data: [DONE]", "b"], True),
    ),
    "done on the second line of an event is garbage": (
        b"data: {}\ndata: [DONE]\n\n",
        Outcome([], failure=NotAnObjectError),
    ),
    # Errors in the stream.
    "an error object": (
        A + b'data: {"error": {"message": "no", "code": 500}}\n\n' + B,
        Outcome(["a"], error={"message": "no", "code": 500}),
    ),
    "an error object first": (
        b'data: {"error": {"message": "no"}}\n\n',
        Outcome([], error={"message": "no"}),
    ),
    "an error text": (A + b'data: {"error": "no"}\n\n' + B, Outcome(["a"], error="no")),
    "an error with choices": (
        b'data: {"id": "x", "error": {"code": 502}, "choices": [{"finish_reason": "error"}]}\n\n',
        Outcome([], error={"code": 502}),
    ),
    "an error with an event type": (
        A + b'event: error\ndata: {"error": {"message": "no"}}\n\n',
        Outcome(["a"], error={"message": "no"}),
    ),
    "an error without a space": (A + b'data:{"error":{"a":1}}\n\n', Outcome(["a"], error={"a": 1})),
    "done behind an error is too late": (
        A + b'data: {"error": "no"}\n\n' + DONE,
        Outcome(["a"], error="no"),
    ),
    "a null error is none": (event("a", error=None) + B + DONE, Outcome(["a", "b"], True)),
    "an error without its blank line is dropped": (A + b'data: {"error": "no"}', Outcome(["a"])),
    # Garbage.
    "no JSON": (A + b"data: oops\n\n" + B, Outcome(["a"], failure=NotAnObjectError)),
    "half a JSON": (A + A[:-10] + b"\n\n" + B, Outcome(["a"], failure=NotAnObjectError)),
    "two objects in one event": (A + b"data: {}{}\n\n", Outcome(["a"], failure=NotAnObjectError)),
    "a list": (A + b"data: [1]\n\n", Outcome(["a"], failure=NotAnObjectError)),
    "a number": (A + b"data: 1\n\n", Outcome(["a"], failure=NotAnObjectError)),
    "null": (A + b"data: null\n\n", Outcome(["a"], failure=NotAnObjectError)),
    "a string": (A + b'data: "[DONE]"\n\n', Outcome(["a"], failure=NotAnObjectError)),
    "HTML": (A + b"data: <html>\n\n", Outcome(["a"], failure=NotAnObjectError)),
    "a body that is no event stream": (b'{"error": {"message": "no"}}', Outcome([])),
    "an object of nothing": (A + b"data: {}\n\n" + DONE, Outcome(["a", None], True)),
    # Text.
    "characters of every length": (event("é你😀") + DONE, Outcome(["é你😀"], True)),
    "U+2028 and U+0085": (event("a\u2028b\u0085c") + DONE, Outcome(["a\u2028b\u0085c"], True)),
    "escaped line ends": (event("a\r\nb") + DONE, Outcome(["a\r\nb"], True)),
    "bytes that are not UTF-8": (
        A.replace(b'"a"', b'"a\xffb"') + DONE,
        Outcome(["a\ufffdb"], True),
    ),
    "a cut character": (
        A.replace(b'"a"', b'"a\xe4\xbd"') + B + DONE,
        Outcome(["a\ufffd", "b"], True),
    ),
    "a lone surrogate": (A.replace(b'"a"', rb'"\ud83da"') + DONE, Outcome(["\ufffda"], True)),
    "an escaped pair of surrogates": (
        A.replace(b'"a"', rb'"\ud83d\ude00"') + DONE,
        Outcome(["😀"], True),
    ),
    "NaN": (event("a", x=float("nan")) + DONE, Outcome(["a"], True)),
    "a NUL": (A.replace(b'"a"', b'"a\0b"') + DONE, Outcome(["a\0b"], True)),
    # Shapes.
    "choices null": (
        b'data: {"id": "x", "choices": null}\n\n' + A + DONE,
        Outcome([None, "a"], True),
    ),
    "choices empty": (
        b'data: {"id": "x", "choices": []}\n\n' + A + DONE,
        Outcome([None, "a"], True),
    ),
    "choices missing": (b'data: {"id": "x"}\n\n' + A + DONE, Outcome([None, "a"], True)),
    "delta null": (
        b'data: {"choices": [{"delta": null}]}\n\n' + A + DONE,
        Outcome([None, "a"], True),
    ),
    "delta missing": (b'data: {"choices": [{}]}\n\n' + A + DONE, Outcome([None, "a"], True)),
    "delta empty": (
        b'data: {"choices": [{"delta": {}}]}\n\n' + A + DONE,
        Outcome([None, "a"], True),
    ),
}

all_streams = pytest.mark.parametrize(("stream", "expected"), STREAMS.values(), ids=STREAMS)


@all_streams
def test_a_stream_fed_whole_is_understood(stream: bytes, expected: Outcome) -> None:
    assert outcome([stream]) == expected


@all_streams
def test_a_stream_fed_byte_by_byte_is_understood(stream: bytes, expected: Outcome) -> None:
    assert outcome(bytes([byte]) for byte in stream) == expected


@all_streams
def test_a_stream_cut_in_two_anywhere_is_understood(stream: bytes, expected: Outcome) -> None:
    step = max(1, len(stream) // 400)
    for end in range(0, len(stream) + 1, step):
        assert outcome(cut(stream, [end])) == expected, end


@all_streams
def test_a_stream_fed_event_by_event_is_understood(stream: bytes, expected: Outcome) -> None:
    assert outcome(block + b"\n\n" for block in stream.split(b"\n\n")) == outcome(
        [stream + b"\n\n"]
    )


FRAGMENTS = [
    A, B, DONE, KEEP_ALIVE, b"data:\n\n", b"data\n\n", b"data: ", b"data", b":", b" ", b"\n", b"\r",
    b"\r\n", b"event: x\n", b"[DONE]", payload("z"), payload("y", extra=1), b"{", b"}", b"\xff",
    b'data: {"error": 1}\n\n', b": x\n", b"\n\n", b'{"id":"","choices":[]}', b"\xef\xbb\xbf",
]  # fmt: skip
streams = st.lists(st.sampled_from(FRAGMENTS), max_size=20).map(b"".join)


@several
@given(
    streams, st.lists(st.floats(0, 1), max_size=6), st.sampled_from([20, 110, 130, 250, 1 << 20])
)
def test_any_cutting_gives_the_same_outcome(stream: bytes, places: list[float], limit: int) -> None:
    blocks = cut(stream, sorted(round(place * len(stream)) for place in places))
    assert outcome(blocks, limit) == outcome([stream], limit)


@several
@given(st.lists(st.binary(max_size=60) | st.sampled_from(FRAGMENTS)), st.integers(0, 200))
def test_arbitrary_bytes_raise_nothing(blocks: list[bytes], limit: int) -> None:
    outcome(blocks, limit)


@several
@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from([
            "id", "object", "created", "model", "choices", "usage", "delta", "index", "role",
            "content", "reasoning", "tool_calls", "function", "arguments", "logprobs",
            "finish_reason", "token", "bytes", "x", "$model_extra",
        ]), inner, max_size=5),
    max_leaves=25,
))  # fmt: skip
def test_any_json_raises_nothing(value: object) -> None:
    data = json.dumps(value).encode()
    expected = None if isinstance(value, dict) else NotAnObjectError
    assert outcome([b"data: " + data + b"\n\n"]).failure is expected


SIZE = len(A) - 2

LIMITS: dict[str, tuple[bytes, int, Outcome]] = {
    "an event at the limit": (A + DONE, SIZE, Outcome(["a"], True)),
    "an event one byte above": (A + DONE, SIZE - 1, Outcome([], failure=EventTooLargeError)),
    "chunks before a large event come first": (
        A + B + event("cc") + DONE,
        SIZE,
        Outcome(["a", "b"], failure=EventTooLargeError),
    ),
    "a large event without its end": (
        A + b"x" * SIZE + b"x",
        SIZE,
        Outcome(["a"], failure=EventTooLargeError),
    ),
    "a large comment": (
        A + b":" + b"x" * SIZE + b"\n\n",
        SIZE,
        Outcome(["a"], failure=EventTooLargeError),
    ),
    "data lines at the limit": (b"data:   {\ndata:   }\n\n" + DONE, 12, Outcome([None], True)),
    "data lines that join to the limit": (
        b"data:     {\ndata:     }\n\n" + b"data:[DONE]\n\n",
        11,
        Outcome([None], True),
    ),
    "data lines that join to one byte above": (
        b"data:      {\ndata:     }\n\n" + b"data:[DONE]\n\n",
        11,
        Outcome([], failure=EventTooLargeError),
    ),
    "data lines without end": (
        A + b"data:\n" * (SIZE + 2),
        SIZE,
        Outcome(["a"], failure=EventTooLargeError),
    ),
    "data lines at the limit and no end": (A + b"data:\n" * (SIZE + 1), SIZE, Outcome(["a"])),
    "a large event behind done": (A + DONE + b"x" * 2 * SIZE, SIZE, Outcome(["a"], True)),
    "a large event behind an error": (
        A + b'data: {"error": 1}\n\n' + b"x" * 2 * SIZE,
        SIZE,
        Outcome(["a"], error=1),
    ),
}


@pytest.mark.parametrize(("stream", "limit", "expected"), LIMITS.values(), ids=LIMITS)
def test_the_size_limit_holds_however_the_bytes_are_cut(
    stream: bytes, limit: int, expected: Outcome
) -> None:
    assert outcome([stream], limit) == expected
    assert outcome((bytes([byte]) for byte in stream), limit) == expected
    for end in range(0, len(stream) + 1, 7):
        assert outcome(cut(stream, [end]), limit) == expected


def test_the_failure_names_the_limit() -> None:
    decoder = ChunkDecoder(ChatCompletionChunk, 3)
    decoder.feed(A)
    assert isinstance(decoder.failure, EventTooLargeError)
    assert decoder.failure.max_event_size == 3


def test_the_failure_quotes_what_is_not_json() -> None:
    decoder = ChunkDecoder(ChatCompletionChunk)
    decoder.feed(b"data: oops\n\n")
    assert str(decoder.failure) == "not JSON: 'oops'"


def test_an_unterminated_done_counts_only_at_the_end() -> None:
    assert not outcome([A + b"data: [DONE]"], finish=False).done


def test_the_end_of_bytes_changes_nothing_once_the_stream_has_ended() -> None:
    decoder = ChunkDecoder(ChatCompletionChunk)
    decoder.feed(b"data: oops\n\ndata: [DONE]")
    decoder.finish()
    assert not decoder.done


def test_a_decoder_that_has_ended_takes_no_more_bytes() -> None:
    decoder = ChunkDecoder(ChatCompletionChunk)
    decoder.feed(A + DONE)
    assert decoder.feed(B) == []
    assert decoder.events == 1


def test_a_chunk_comes_with_the_last_byte_of_its_blank_line() -> None:
    decoder = ChunkDecoder(ChatCompletionChunk)
    assert decoder.feed(A[:-1]) == []
    assert [text_of(chunk) for chunk in decoder.feed(b"\n")] == ["a"]


def test_done_is_known_without_waiting_for_the_end_of_bytes() -> None:
    decoder = ChunkDecoder(ChatCompletionChunk)
    decoder.feed(A + DONE)
    assert decoder.done


def test_fim_streams_are_decoded_by_the_same_decoder() -> None:
    decoder = ChunkDecoder(Completion)
    chunks = decoder.feed(
        b'data: {"id":"f","object":"text_completion","choices":[{"index":0,"text":"re"}]}\n\n'
        b'data: {"id":"f","choices":[{"text":"turn","finish_reason":"stop","logprobs":null}],'
        b'"usage":{"prompt_tokens":1}}\n\n'
        b'data: {"id":"f","choices":[],"usage":null}\n\n' + DONE
    )
    assert "".join(choice.text for chunk in chunks for choice in chunk.choices) == "return"
    assert decoder.done


LONG = [b"data: " + payload("x" * 8) + b"\n\n"] * 2000


@pytest.mark.parametrize("join", [1, 7, 100])
def test_blocks_of_many_events_give_every_chunk(join: int) -> None:
    stream = b"".join(LONG)
    size = len(LONG[0]) * join + 13
    blocks = [stream[i : i + size] for i in range(0, len(stream), size)]
    assert outcome(blocks).texts == ["x" * 8] * 2000


@pytest.mark.parametrize("key", ["x", "$model_extra"])
def test_nesting_without_end_is_no_json(key: str) -> None:
    # How deep Python can go depends on its version; not as deep as this.
    depth = 200_000
    nested = b"[" * depth + b"]" * depth
    decoder = ChunkDecoder(ChatCompletionChunk)
    head = b'data: {"id": "", "choices": [], "' + key.encode() + b'": {"x": '
    assert decoder.feed(head + nested + b"}}\n\n") == []
    assert isinstance(decoder.failure, NotAnObjectError)
