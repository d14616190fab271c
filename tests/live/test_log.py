"""The log alone: whatever is told, and wherever it is cut, it adds up to the same."""

import copy
import random
import sys
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepseek_async import (
    ArgumentsDeltaEvent,
    ContentDeltaEvent,
    ContentDoneEvent,
    DoneEvent,
    ReasoningDeltaEvent,
    ToolDoneEvent,
)
from deepseek_async.live import LiveEvent
from deepseek_async.live.log import Log, joined, places_of

# Ordinary text, the widths that Python keeps strings in, and what is no Unicode.
texts = st.text(st.sampled_from("ab é中😀\ud83d\n"), max_size=12)
calls = st.builds(ArgumentsDeltaEvent, st.integers(0, 1), st.just("id"), st.just("f"), texts)
deltas = st.builds(ContentDeltaEvent, texts) | st.builds(ReasoningDeltaEvent, texts)
others = st.builds(ContentDoneEvent, texts) | st.builds(DoneEvent, st.just("stop"), st.none())
events = st.lists(deltas | calls | others, max_size=30)


def log_of(told: list[LiveEvent], *, settled: bool = False) -> Log:
    log = Log()
    for event in told:
        log.append(event)
    if settled:
        log.settle()
    return log


def whole(told: list[LiveEvent]) -> list[LiveEvent]:
    """What a reader of everything gets."""
    log = log_of(told)
    return log.between(0, log.end)


@given(events, st.lists(st.floats(0, 1)), st.booleans())
def test_any_cuts_add_up_to_the_events(
    told: list[LiveEvent], cuts: list[float], settled: bool
) -> None:
    log = log_of(told, settled=settled)
    positions = sorted({0, log.end, *(int(cut * log.end) for cut in cuts)})
    parts: list[LiveEvent] = []
    for start, end in pairwise(positions):
        part = log.between(start, end)
        assert sum(map(places_of, part)) == end - start
        parts += part
    assert joined(parts) == whole(told)


@given(events)
def test_nothing_is_lost_but_empty_text(told: list[LiveEvent]) -> None:
    def text(kind: Any, field: str, given: list[LiveEvent]) -> str:
        return "".join(getattr(event, field) for event in given if isinstance(event, kind))

    for kind, field in (
        (ContentDeltaEvent, "delta"),
        (ReasoningDeltaEvent, "delta"),
        (ArgumentsDeltaEvent, "arguments_delta"),
        (ContentDoneEvent, "text"),
    ):
        before = "".join(
            # By itself each half of a pair is no character.
            getattr(event, field).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
            for event in told
            if isinstance(event, kind)
        )
        assert text(kind, field, whole(told)) == before
    assert sum(isinstance(event, DoneEvent) for event in told) == sum(
        isinstance(event, DoneEvent) for event in whole(told)
    )


@given(events)
def test_whatever_is_in_the_log_can_be_put_on_a_wire(told: list[LiveEvent]) -> None:
    for event in whole(told):
        assert msgspec.json.encode(event)


def test_a_cut_within_what_was_joined_does_not_give_the_whole_delta() -> None:
    log = log_of([ContentDeltaEvent("ab"), ContentDeltaEvent("cd")], settled=True)
    assert log.between(0, 2) == [ContentDeltaEvent("ab")]
    assert log.between(1, 3) == [ContentDeltaEvent("bc")]


def test_old_deltas_are_joined_beyond_what_readers_were_told() -> None:
    # Readers with a low frame rate are told to 100 while thousands have come.
    log = log_of([ContentDeltaEvent("x")] * 3000)
    assert log.between(0, 100) == [ContentDeltaEvent("x" * 100)]
    assert log.between(100, 3000) == [ContentDeltaEvent("x" * 2900)]


def test_text_of_tools_that_is_no_unicode_is_mended() -> None:
    log = log_of([ToolDoneEvent(1, 0, "id", "ls", "file\udcff", is_error=False, seconds=0.1)])
    assert msgspec.json.encode(log.between(0, 1)[0])


def test_events_that_no_wire_can_carry_are_refused() -> None:
    class Odd:
        type = "odd"

    with pytest.raises(TypeError, match="Odd"):
        Log().append(Odd())  # type: ignore[arg-type]  # on purpose


@given(
    st.lists(
        st.tuples(st.lists(st.binary(min_size=1, max_size=8), max_size=3), deltas), max_size=30
    ),
    st.integers(1, 100),
)
def test_raw_bytes_are_whole_or_gone(told: list[tuple[list[bytes], LiveEvent]], limit: int) -> None:
    log = Log(limit)
    # What belongs to which position.
    expected: list[tuple[int, bytes]] = []
    cuts = [0]
    for raws, event in told:
        for raw in raws:
            expected.append((log.end, raw))
            log.append_raw(raw)
        log.append(event)
        cuts.append(log.end)
        assert log.raw_size <= max(limit, max((len(raw) for raw in raws), default=0))
    rng = random.Random(len(told))
    for _ in range(20):
        start, end = sorted(rng.choices(cuts, k=2))
        kept = log.raw_between(start, end)
        whole_part = b"".join(data for position, data in expected if start <= position < end)
        assert kept in (None, whole_part)
    if sum(len(data) for _, data in expected) <= limit and expected:
        first = expected[0][0]
        assert log.raw_between(first, log.end + 1) == b"".join(data for _, data in expected)


PIECES = {
    "ASCII": ["word "],
    "Chinese": ["中文"],
    "an emoji here and there": ["some text "] * 50 + ["😀"],
    "accents": ["caf", "é "],
}


@pytest.mark.parametrize("settled", [False, True])
@pytest.mark.parametrize("pieces", PIECES.values(), ids=PIECES)
def test_memory_is_twice_the_answer_and_100_bytes_an_event(
    pieces: list[str], settled: bool
) -> None:
    log = Log()
    size = 0
    for i in range(20_000):
        text = pieces[i % len(pieces)]
        # A string of its own, as one that came over the network.
        log.append(ContentDeltaEvent("".join(list(text))))
        size += len(text.encode())
    if settled:
        log.settle()
    assert size <= log.size <= size + 100
    kept, held = memory_of(log)
    assert held <= 2 * size + 150 * kept
    assert kept < 1000


def memory_of(log: Log) -> tuple[int, int]:
    """Return how many events a log keeps, and the bytes that it holds."""
    # Private, since it is about what is behind the public face.
    stored: Any = log._events
    held = sys.getsizeof(stored) + sys.getsizeof(log._starts)
    for event in stored:
        held += sys.getsizeof(event)
        text = event.data if hasattr(event, "data") else event.delta
        held += sys.getsizeof(text)
    return len(stored), held


@dataclass
class Found:
    """An event of an application."""

    text: str
    type: str = "found"


NEVER_JOINED: dict[str, list[Any]] = {
    "by turns": [ContentDeltaEvent("a"), ReasoningDeltaEvent("b")],
    "calls by turns": [
        ArgumentsDeltaEvent(0, "a", "f", "1"),
        ArgumentsDeltaEvent(1, "b", "f", "2"),
    ],
    "empty": [ArgumentsDeltaEvent(0, "a", "f", "")],
    "an application's": [Found("a" * 1000)],
}


@pytest.mark.parametrize("events", NEVER_JOINED.values(), ids=NEVER_JOINED)
def test_what_is_never_joined_counts_too(events: list[Any]) -> None:
    log = Log()
    for i in range(20_000):
        event = events[i % len(events)]
        # Objects of their own, as those that came over the network.
        log.append(copy.copy(event))
    assert log.size >= 60 * 20_000
    if isinstance(events[0], Found):
        assert log.size >= 1000 * 20_000
