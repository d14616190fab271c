"""Properties of the event stream decoder: any cutting, any bytes, linear work."""

import re
import tracemalloc
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepseek_async import sse
from deepseek_async.errors import EventTooLargeError
from deepseek_async.sse import ServerSentEvent, SSEDecoder

FRAGMENTS = [
    b"data", b"event", b"id", b"retry", b"Data", b":", b": ", b" ", b"\t", b"\n", b"\r", b"\r\n",
    b"\n\n", b"\r\r", b"\r\n\r\n", b"\0", b"\xef\xbb\xbf", b"\xef", b"\xbb\xbf", b"\xff",
    b"\xe4\xbd\xa0", b"\xe4\xbd", b"\x80", b"\xf0\x9f\x98\x80", b"\xf0\x9f", "\u2028".encode(),
    "\u0085".encode(), b"a", b"0", b"42", b"-1", b"[DONE]", b'{"a":1}', b"data: a\n", b"id: 1\n",
    b"event: x\n", b"retry: 5\n", b": keep-alive\n", b"data: b\n\n",
]  # fmt: skip

streams = st.lists(st.sampled_from(FRAGMENTS) | st.binary(max_size=4), max_size=40).map(b"".join)
cuts = st.lists(st.floats(0, 1), max_size=8)

several = settings(max_examples=300, deadline=None, database=None)


class Outcome(tuple[Any, ...]):
    """Events, id, retry, comments, and whether the decoder refuses to go on."""


def cut(stream: bytes, places: Iterable[float]) -> list[bytes]:
    ends = sorted(round(place * len(stream)) for place in places)
    return [stream[start:end] for start, end in pairwise([0, *ends, len(stream)])]


def decode(blocks: Iterable[bytes], limit: int = 1 << 20) -> Outcome:
    decoder = SSEDecoder(limit)
    events: list[ServerSentEvent] = []
    failed = False
    for block in [*blocks, b""]:
        try:
            events += decoder.feed(block)
        except EventTooLargeError:
            failed = True
    return Outcome((events, decoder.last_event_id, decoder.retry, decoder.comments, failed))


def reference(stream: bytes) -> Outcome:
    """Interpret a stream as the standard tells it: decode all, split all, line by line."""
    text = stream.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")
    lines = re.split("\r\n|\n|\r", text)[:-1]
    events: list[ServerSentEvent] = []
    data = event = last_id = id_buffer = ""
    retry: int | None = None
    own_retry: int | None = None
    comments = 0
    for line in lines:
        if line == "":
            last_id = id_buffer
            if data != "":
                events.append(
                    ServerSentEvent(
                        event=event or "message", data=data[:-1], id=last_id, retry=own_retry
                    )
                )
            data, event, own_retry = "", "", None
            continue
        name, colon, value = line.partition(":")
        if name == "" and colon:
            comments += 1
            continue
        if value.startswith(" "):
            value = value[1:]
        match name:
            case "event":
                event = value
            case "data":
                data += value + "\n"
            case "id" if "\0" not in value:
                id_buffer = value
            case "retry" if value != "" and all(c in "0123456789" for c in value):
                retry = own_retry = int(value)
            case _:
                pass
    return Outcome((events, last_id, retry, comments, False))


@several
@given(streams)
def test_the_decoder_agrees_with_a_plain_reading_of_the_standard(stream: bytes) -> None:
    assert decode([stream]) == reference(stream)


@several
@given(streams, cuts)
def test_any_cutting_gives_the_same_events(stream: bytes, places: list[float]) -> None:
    assert decode(cut(stream, places)) == reference(stream)


@several
@given(streams)
def test_single_bytes_give_the_same_events(stream: bytes) -> None:
    assert decode(bytes([byte]) for byte in stream) == reference(stream)


@several
@given(streams, cuts, st.integers(0, 30))
def test_any_cutting_meets_the_same_limit(stream: bytes, places: list[float], limit: int) -> None:
    assert decode(cut(stream, places), limit) == decode([stream], limit)


@several
@given(streams, st.integers(0, 60))
def test_no_event_is_larger_than_the_limit(stream: bytes, limit: int) -> None:
    events = decode([stream], limit)[0]
    unlimited = reference(stream)[0]
    assert events == unlimited[: len(events)]
    # Bad bytes grow by replacement; everything else keeps its size.
    assert all(len(event.data.replace("\ufffd", "").encode()) <= limit for event in events)


@several
@given(st.lists(st.binary(max_size=50)), st.integers(0, 40))
def test_arbitrary_bytes_raise_nothing_but_too_large(blocks: list[bytes], limit: int) -> None:
    decode(blocks, limit)


@several
@given(streams, cuts)
def test_the_residue_is_what_follows_the_last_line_end(stream: bytes, places: list[float]) -> None:
    decoder = SSEDecoder()
    for block in cut(stream, places):
        decoder.feed(block)
    tail = re.split(rb"\r\n|\n|\r", stream)[-1]
    # A whole byte order mark is dropped; the beginning of one may still become another.
    assert decoder.residue == (tail.removeprefix(b"\xef\xbb\xbf") if tail == stream else tail)


# Work is counted, not timed.


def allocated(blocks: Iterable[bytes]) -> int:
    """Feed the blocks to one decoder and return how many bytes were allocated on the way.

    For each call that is how far its peak lies above what was there before.
    """
    decoder = SSEDecoder()
    total = 0
    tracemalloc.start()
    try:
        for block in blocks:
            before, _ = tracemalloc.get_traced_memory()
            tracemalloc.reset_peak()
            decoder.feed(block)
            total += tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    return total


def drip(stream: bytes, step: int) -> list[bytes]:
    return [stream[i : i + step] for i in range(0, len(stream), step)]


GROWING = {
    "one line in single bytes": (64 << 10, 1, lambda size: b"data: " + b"x" * size + b"\n\n"),
    "one line of 1 MiB in 16 bytes": (1 << 20, 16, lambda size: b"data: " + b"x" * size + b"\n\n"),
    "one CR line in 16 bytes": (256 << 10, 16, lambda size: b"data: " + b"x" * size + b"\r\r"),
    "one event of many lines in 16 bytes": (
        256 << 10,
        16,
        lambda size: b"data: 0123456789abcd\n" * (size // 20) + b"\n",
    ),
    "one event of many lines at once": (256 << 10, 1 << 20, lambda size: b"data\n" * (size // 5)),
    "many events in 16 bytes": (128 << 10, 16, lambda size: b"data: abc\n\n" * (size // 11)),
    "a comment in 16 bytes": (256 << 10, 16, lambda size: b":" * size + b"\n"),
}


@pytest.mark.parametrize(("size", "step", "stream"), GROWING.values(), ids=GROWING)
def test_twice_the_bytes_allocate_twice_as_much(size: int, step: int, stream: Any) -> None:
    once, twice = (allocated(drip(stream(n), step)) for n in (size, 2 * size))
    assert 1.6 < twice / once < 2.5


class CountingPattern:
    """A compiled pattern that counts the bytes it is given to search."""

    def __init__(self, pattern: re.Pattern[bytes]) -> None:
        self.pattern = pattern
        self.searched = 0

    def split(self, data: bytes) -> list[Any]:
        self.searched += len(data)
        return self.pattern.split(data)


@pytest.mark.parametrize("step", [1, 16, 1000])
def test_each_byte_is_searched_for_line_ends_once(
    step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting = CountingPattern(sse._LINE_END)
    monkeypatch.setattr(sse, "_LINE_END", counting)
    stream = b"data: \r" * 3000 + b"x" * 20_000 + b"\r\r"
    decode(drip(stream, step))
    assert counting.searched <= len(stream)
