"""Cut a byte stream after each of its events, leaving the bytes as they are."""

import re

# Two line ends in a row. A CR at the very end may be half of a CRLF: it waits for the next byte.
_EVENT_END = re.compile(rb"(?:\r\n|\n|\r(?!\n))(?:\r\n|\n|\r(?=[^\n]))")


class EventSplitter:
    """Bytes to events, byte-true: for passing a stream on without decoding it."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0

    def feed(self, block: bytes) -> list[bytes]:
        """Add received bytes and return the events they complete, blank lines included."""
        buffer = self._buffer
        buffer += block
        events: list[bytes] = []
        start = 0
        position = self._searched
        while (end := _EVENT_END.search(buffer, position)) is not None:
            position = end.end()
            events.append(bytes(buffer[start:position]))
            start = position
        del buffer[:start]
        # The end of an event may lie across the next cut.
        self._searched = max(0, len(buffer) - 3)
        return events

    def flush(self) -> bytes:
        """Return the rest: an event that did not end."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        self._searched = 0
        return rest
