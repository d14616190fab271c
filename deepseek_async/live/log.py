"""The log of a run: what was told, addressed so that neighbours can be joined.

A position counts characters, not events: a delta takes as many places as it has characters, any
other event one. So old deltas can be joined, and a reader that comes late, or falls behind, gets
few large ones, and still goes on exactly behind the last character it has: whatever position it
names, nothing is lost and nothing comes twice. Nothing has to be trimmed.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

import msgspec

from deepseek_async import (
    ArgumentsDeltaEvent,
    ContentDeltaEvent,
    ContentDoneEvent,
    ReasoningDeltaEvent,
    ReasoningDoneEvent,
)
from deepseek_async.live.events import LiveEvent

# How many events are kept as they came before the oldest half of them is joined. Readers that
# keep up read the newest, which are then at hand without joining anything.
_LOOSE = 512
# Bytes that an event takes beside its text.
_EVENT = 64

# They hold a text that was told before.
_DONE = (ContentDoneEvent, ReasoningDoneEvent)

Delta = ContentDeltaEvent | ReasoningDeltaEvent | ArgumentsDeltaEvent


class _Packed(msgspec.Struct, frozen=True, gc=False):
    """A delta whose text is kept as UTF-8.

    One character beyond ASCII makes a Python string two to four times as large as its text.
    """

    like: Delta
    data: bytes


class Log:
    """The events of one run, in order.

    Args:
        max_raw: Most bytes of the upstream's own events to keep; the oldest are let go of.

    Attributes:
        end: The position behind the last event.
        size: Bytes of what is kept, without those of the upstream's own events.
        raw_size: Bytes of the upstream's own events that are kept.
    """

    __slots__ = (
        "_events",
        "_last",
        "_max_raw",
        "_raw",
        "_raw_from",
        "_raw_starts",
        "_settled",
        "_starts",
        "end",
        "raw_size",
        "size",
    )

    def __init__(self, max_raw: int = 0) -> None:
        self.end = 0
        self.size = 0
        self._events: list[LiveEvent | _Packed] = []
        # What the last event can be joined with.
        self._last: object = None
        self._starts = array("Q")
        # How many of the first events have been joined already.
        self._settled = 0
        self._max_raw = max_raw
        self._raw: list[bytes] = []
        self._raw_starts = array("Q")
        self.raw_size = 0
        # From which position on all of them are kept; None: there are none at all.
        self._raw_from: int | None = None

    def append(self, event: LiveEvent) -> None:
        """Add an event.

        Half a surrogate pair, which no encoding can tell, becomes U+FFFD.

        Raises:
            TypeError: If the event can't be put on any wire.
        """
        kind = type(event)
        if kind is ContentDeltaEvent or kind is ReasoningDeltaEvent or kind is ArgumentsDeltaEvent:
            text = text_of(event)  # type: ignore[arg-type]  # see kind
            size = len(text)
            if not text.isascii():
                try:
                    size = len(text.encode())
                except UnicodeEncodeError:
                    self.append(_encodable(event))
                    return
            # The first one of a call may be empty, and tells its name.
            places = len(text) or (1 if kind is ArgumentsDeltaEvent else 0)
            if not places:
                return
            of = _kind_of(event)  # type: ignore[arg-type]  # see kind
            if of is None or of != self._last:
                # It is joined with nothing: many of these are more than their texts.
                size += _EVENT
            self._last = of
        else:
            self._last = None
            places = 1
            try:
                size = len(msgspec.json.encode(event))
            except UnicodeEncodeError:
                self.append(_encodable(event))
                return
            # Done events hold a text that is kept anyway; what is left is small, or rare.
            size = _EVENT if isinstance(event, _DONE) else _EVENT + size
        self._events.append(event)
        self._starts.append(self.end)
        self.end += places
        self.size += size
        if len(self._events) - self._settled > _LOOSE:
            self._settle(_LOOSE // 2)

    def append_raw(self, data: bytes) -> None:
        """Add an event of the upstream as the bytes it came in, before what is made of it.

        It takes no place: it belongs to whatever comes next.
        """
        if self._raw_from is None:
            self._raw_from = self.end
        self._raw.append(data)
        self._raw_starts.append(self.end)
        self.raw_size += len(data)
        if self.raw_size > self._max_raw:
            self._trim_raw()

    def between(self, start: int, end: int) -> list[LiveEvent]:
        """Return what is told from one position to another, neighbouring deltas joined.

        Args:
            start: Where to begin; within the log.
            end: Where to stop; within the log. Either may lie within a delta.
        """
        if start >= end:
            return []
        events, starts = self._events, self._starts
        if start == starts[-1] and end == self.end:
            return [_unpacked(events[-1])]
        first = bisect_right(starts, start) - 1
        last = bisect_left(starts, end)
        chosen = [_unpacked(event) for event in events[first:last]]
        behind = starts[last] if last < len(starts) else self.end
        if behind > end:
            chosen[-1] = _cut(chosen[-1], 0, end - starts[last - 1])
        if start > starts[first]:
            chosen[0] = _cut(chosen[0], start - starts[first], end - starts[first])
        return joined(chosen)

    def raw_between(self, start: int, end: int) -> bytes | None:
        """Return what the upstream sent for what :meth:`between` returns; None if it is gone."""
        if self._raw_from is None or start < self._raw_from:
            return None
        starts = self._raw_starts
        return b"".join(self._raw[bisect_left(starts, start) : bisect_left(starts, end)])

    def settle(self) -> None:
        """Join what can be joined: the run is over."""
        self._settled = 0
        self._settle(len(self._events))

    def _settle(self, count: int) -> None:
        """Join the first of the events that have not been joined yet."""
        settled = self._settled
        old = joined([_unpacked(event) for event in self._events[settled : settled + count]])
        start = self._starts[settled] if count else 0
        starts = array("Q")
        for event in old:
            starts.append(start)
            start += places_of(event)
        self._events[settled : settled + count] = [_packed(event) for event in old]
        self._starts[settled : settled + count] = starts
        self._settled += len(old)

    def _trim_raw(self) -> None:
        """Let go of the older half."""
        starts = self._raw_starts
        gone = 0
        while gone < len(starts) and (
            self.raw_size > self._max_raw // 2
            # All of a position, or nothing.
            or (gone > 0 and starts[gone] == starts[gone - 1])
        ):
            self.raw_size -= len(self._raw[gone])
            gone += 1
        self._raw_from = starts[gone] if gone < len(starts) else self.end + 1
        del self._raw[:gone], starts[:gone]


def places_of(event: LiveEvent) -> int:
    """Return how many positions an event takes."""
    if isinstance(event, ContentDeltaEvent | ReasoningDeltaEvent):
        return len(event.delta)
    if isinstance(event, ArgumentsDeltaEvent):
        return len(event.arguments_delta) or 1
    return 1


def joined(events: Iterable[LiveEvent]) -> list[LiveEvent]:
    """Join neighbouring deltas of the same kind."""
    result: list[LiveEvent] = []
    kind: object = None
    group: list[Delta] = []
    for event in events:
        if isinstance(event, ContentDeltaEvent | ReasoningDeltaEvent | ArgumentsDeltaEvent):
            its_kind = _kind_of(event)
            if its_kind is None or its_kind != kind:
                result.extend(_one(group))
                group = []
            group.append(event)
            kind = its_kind
        else:
            result.extend(_one(group))
            group = []
            result.append(event)
            kind = None
    result.extend(_one(group))
    return result


def text_of(event: Delta) -> str:
    """Return what a delta adds."""
    return event.arguments_delta if isinstance(event, ArgumentsDeltaEvent) else event.delta


def _kind_of(event: Delta) -> object:
    """Return what an event can be joined with; None: with nothing."""
    if not isinstance(event, ArgumentsDeltaEvent):
        return type(event)
    # An empty one takes a place without having a character: joined, it would move the others.
    return (event.index, event.id, event.name) if event.arguments_delta else None


def _one(group: list[Delta]) -> Iterator[LiveEvent]:
    if len(group) > 1:
        yield _with_text(group[0], "".join(map(text_of, group)))
    else:
        yield from group


def _with_text(event: Delta, text: str) -> Delta:
    if isinstance(event, ArgumentsDeltaEvent):
        return ArgumentsDeltaEvent(event.index, event.id, event.name, text)
    return type(event)(text)


def _cut(event: LiveEvent, start: int, end: int) -> LiveEvent:
    """Return a delta without what lies outside of two positions of its own."""
    assert isinstance(event, ContentDeltaEvent | ReasoningDeltaEvent | ArgumentsDeltaEvent)
    return _with_text(event, text_of(event)[start:end])


def _packed(event: LiveEvent) -> LiveEvent | _Packed:
    if isinstance(event, ContentDeltaEvent | ReasoningDeltaEvent | ArgumentsDeltaEvent):
        text = text_of(event)
        if not text.isascii():
            return _Packed(_with_text(event, ""), text.encode())
    return event


def _unpacked(event: LiveEvent | _Packed) -> LiveEvent:
    if isinstance(event, _Packed):
        return _with_text(event.like, event.data.decode())
    return event


def _encodable(event: LiveEvent) -> LiveEvent:
    """Return an event whose text is Unicode."""
    if not hasattr(event, "__struct_fields__"):
        # One of the application's own.
        raise TypeError(f"{type(event).__name__} has text that is no Unicode")
    changes = {
        field: value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        for field in event.__struct_fields__
        if isinstance(value := getattr(event, field), str)
    }
    if all(getattr(event, field) == value for field, value in changes.items()):
        raise TypeError(f"{type(event).__name__} has text that is no Unicode")
    return msgspec.structs.replace(event, **changes)
