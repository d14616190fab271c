"""Streams cut after each event, byte for byte."""

import re
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepseek_async.wire import raw
from deepseek_async.wire.raw import EventSplitter

# The stream, its events, and what is left at the end.
STREAMS: dict[str, tuple[bytes, list[bytes], bytes]] = {
    "no bytes": (b"", [], b""),
    "LF": (b"data: a\n\ndata: b\n\n", [b"data: a\n\n", b"data: b\n\n"], b""),
    "CRLF": (b"data: a\r\n\r\ndata: b\r\n\r\n", [b"data: a\r\n\r\n", b"data: b\r\n\r\n"], b""),
    "CR": (b"data: a\r\rdata: b\r\r", [b"data: a\r\r"], b"data: b\r\r"),
    "CR and LF are one line end": (b"data: a\r\ndata: b\n\n", [b"data: a\r\ndata: b\n\n"], b""),
    "LF, then CRLF": (b"a\n\r\nb", [b"a\n\r\n"], b"b"),
    "CRLF, then LF": (b"a\r\n\nb", [b"a\r\n\n"], b"b"),
    "LF, then CR": (b"a\n\rb", [b"a\n\r"], b"b"),
    "CR, then CRLF": (b"a\r\r\nb", [b"a\r\r\n"], b"b"),
    "CRLF, then CR": (b"a\r\n\rb", [b"a\r\n\r"], b"b"),
    "three line ends": (b"a\n\n\nb\n\n", [b"a\n\n", b"\nb\n\n"], b""),
    "four line ends": (b"a\n\n\n\nb\n\n", [b"a\n\n", b"\n\n", b"b\n\n"], b""),
    "several lines": (b"event: x\ndata: a\n\n", [b"event: x\ndata: a\n\n"], b""),
    "comments": (b": ka\n\ndata: a\n\n", [b": ka\n\n", b"data: a\n\n"], b""),
    "an event without its blank line": (b"a\n\nb\n", [b"a\n\n"], b"b\n"),
    "done without a line end": (b"a\n\ndata: [DONE]", [b"a\n\n"], b"data: [DONE]"),
    "bytes that are not UTF-8": (b"\xff\x00\n\n\xfe", [b"\xff\x00\n\n"], b"\xfe"),
    "a byte order mark": (b"\xef\xbb\xbfa\n\n", [b"\xef\xbb\xbfa\n\n"], b""),
    "U+2028 ends no line": ("a\u2028\u2028b".encode(), [], "a\u2028\u2028b".encode()),
}


def cut(stream: bytes, ends: Iterable[int]) -> list[bytes]:
    return [stream[start:end] for start, end in pairwise([0, *ends, len(stream)])]


def split(blocks: Iterable[bytes]) -> tuple[list[bytes], bytes]:
    splitter = EventSplitter()
    events = [event for block in blocks for event in splitter.feed(block)]
    return events, splitter.flush()


@pytest.mark.parametrize(("stream", "events", "rest"), STREAMS.values(), ids=STREAMS)
def test_events_are_cut_after_their_blank_line(
    stream: bytes, events: list[bytes], rest: bytes
) -> None:
    assert split([stream]) == (events, rest)
    assert split(bytes([byte]) for byte in stream) == (events, rest)
    for end in range(len(stream) + 1):
        assert split(cut(stream, [end])) == (events, rest)


pieces = st.lists(st.sampled_from([b"\n", b"\r", b"\r\n", b"a", b"data: b", b"\n\n"])).map(b"".join)


@settings(max_examples=300, deadline=None, database=None)
@given(pieces, st.lists(st.floats(0, 1), max_size=6))
def test_any_cutting_gives_the_same_events_and_all_bytes(
    stream: bytes, places: list[float]
) -> None:
    events, rest = split(cut(stream, sorted(round(place * len(stream)) for place in places)))
    assert (events, rest) == split([stream])
    assert b"".join([*events, rest]) == stream


def test_flush_empties_the_splitter() -> None:
    splitter = EventSplitter()
    splitter.feed(b"data: a\n")
    assert splitter.flush() == b"data: a\n"
    assert splitter.flush() == b""


def test_a_flushed_splitter_starts_anew() -> None:
    splitter = EventSplitter()
    splitter.feed(b"data: a long one")
    splitter.flush()
    assert splitter.feed(b"b\n\n") == [b"b\n\n"]


class CountingPattern:
    """A compiled pattern that counts the bytes it is given to search."""

    def __init__(self, pattern: re.Pattern[bytes]) -> None:
        self.pattern = pattern
        self.searched = 0

    def search(self, data: bytearray, position: int) -> re.Match[bytes] | None:
        match = self.pattern.search(data, position)
        self.searched += (len(data) if match is None else match.end()) - position
        return match


@pytest.mark.parametrize("step", [1, 16, 4096])
def test_each_byte_is_searched_a_few_times_only(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    counting = CountingPattern(raw._EVENT_END)
    monkeypatch.setattr(raw, "_EVENT_END", counting)
    stream = b"data: " + b"x" * 50_000 + b"\n\n" + b"data: a\n\n" * 2000
    split(stream[i : i + step] for i in range(0, len(stream), step))
    # The last three bytes are looked at again with each block.
    assert counting.searched <= len(stream) + 3 * (len(stream) // step + 1)
