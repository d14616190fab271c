"""Server-sent events: bytes in, events out.

Follows "Interpreting an event stream" of the WHATWG HTML standard to the letter, however the
bytes are cut: https://html.spec.whatwg.org/multipage/server-sent-events.html, read 2026-11-21.
Nothing here reads a socket, a clock or JSON.

Cost: every byte is searched once for line ends and copied at most twice, whatever the size of
the pieces that are fed.
"""

import re

import msgspec

from deepseek_async.errors import EventTooLargeError

#: DeepSeek's largest known event is below 1 MiB; a whole answer of 384K tokens in one event
#: would be about 2 MiB.
MAX_EVENT_SIZE = 16 * 1024 * 1024

_BOM = b"\xef\xbb\xbf"
_LINE_END = re.compile(rb"\r\n|\n|\r")
_DIGITS = re.compile(rb"[0-9]+\Z")


class ServerSentEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event of a stream."""

    event: str = "message"
    """The event's type; ``"message"`` where the stream names none."""

    data: str
    """The ``data`` lines, joined by LF."""

    id: str = ""
    """The last event id in force: what to send as ``Last-Event-ID`` to resume after it."""

    retry: int | None = None
    """Reconnection time in milliseconds, if the event's own lines set one."""


class LineSplitter:
    """Cut a byte stream into lines at CR, LF and CRLF, dropping one leading BOM.

    Args:
        max_line_size: Most bytes of one line.
    """

    __slots__ = ("_at_start", "_max_line_size", "_skip_lf", "_tail", "too_large")

    def __init__(self, max_line_size: int) -> None:
        self._max_line_size = max_line_size
        # A bytearray grows in place: a line that drips in costs its length, not its square.
        self._tail = bytearray()
        self._at_start = True
        # A CR ended the last line; an LF right after it belongs to the same line end.
        self._skip_lf = False
        self.too_large = False
        """A line has passed the limit; whatever follows it is lost."""

    @property
    def tail(self) -> bytes:
        """The bytes of the line that has not ended yet."""
        return bytes(self._tail)

    def feed(self, block: bytes) -> list[bytes]:
        """Add received bytes and return the lines they complete, without their ends."""
        if self._at_start:
            block = self._drop_bom(block)
            if self._at_start:
                # Still undecided: a BOM, even half of one, is no part of any line.
                return []
        # Nothing can pass the limit unless this does; one comparison for most blocks.
        held = len(self._tail) + len(block)
        if self._skip_lf and block:
            self._skip_lf = False
            if block.startswith(b"\n"):
                block = block[1:]
        if b"\r" in block:
            # A trailing CR ends its line at once: the stream may never send another byte.
            self._skip_lf = block.endswith(b"\r")
            lines = _LINE_END.split(block)
        else:
            # memchr in C; three times faster than the regular expression.
            lines = block.split(b"\n")
        rest = lines.pop()
        tail = self._tail
        if lines and tail:
            tail += lines[0]
            lines[0] = bytes(tail)
            tail.clear()
        tail += rest
        if held > self._max_line_size:
            return self._cut_at_limit(lines)
        return lines

    def _drop_bom(self, block: bytes) -> bytes:
        block = bytes(self._tail) + block
        self._tail.clear()
        if len(block) < len(_BOM) and _BOM.startswith(block):
            self._tail += block
            return b""
        self._at_start = False
        return block.removeprefix(_BOM)

    def _cut_at_limit(self, lines: list[bytes]) -> list[bytes]:
        """Keep the lines before the first one that is too long."""
        limit = self._max_line_size
        for i, line in enumerate(lines):
            if len(line) > limit:
                self.too_large = True
                return lines[:i]
        if len(self._tail) > limit:
            self.too_large = True
        return lines


class SSEDecoder:
    """Incremental decoder of one event stream.

    Args:
        max_event_size: Most bytes of one line and of one event's data; a broken server can't
            fill the memory.

    Attributes:
        last_event_id: The id in force after the last event.
        retry: Reconnection time in milliseconds, None until the stream sets one.
        comments: How many comment lines have come, keep-alives included.
    """

    def __init__(self, max_event_size: int = MAX_EVENT_SIZE) -> None:
        self._max_event_size = max_event_size
        self._lines = LineSplitter(max_event_size)
        self._data: list[bytes] = []
        self._data_size = 0
        self._event = ""
        self._id = ""
        self._event_retry: int | None = None
        self._failed = False
        self.last_event_id = ""
        self.retry: int | None = None
        self.comments = 0

    @property
    def residue(self) -> bytes:
        """The bytes of the line that has not ended yet."""
        return self._lines.tail

    def feed(self, block: bytes) -> list[ServerSentEvent]:
        """Add received bytes and return the events they complete.

        Raises:
            EventTooLargeError: If an event passes the limit. Events completed before it by
                the same bytes are returned first; the next call raises.
        """
        if self._failed:
            raise self._too_large()
        events: list[ServerSentEvent] = []
        for line in self._lines.feed(block):
            if line:
                self._field(line)
                if self._data_size > self._max_event_size:
                    self._failed = True
                    break
            elif (event := self._dispatch()) is not None:
                events.append(event)
        if self._lines.too_large:
            self._failed = True
        if self._failed and not events:
            raise self._too_large()
        return events

    def _too_large(self) -> EventTooLargeError:
        return event_too_large(self._max_event_size)

    def _field(self, line: bytes) -> None:
        name, colon, value = line.partition(b":")
        if colon and not name:
            self.comments += 1
            return
        value = value.removeprefix(b" ")
        if name == b"data":
            # The LF that joins the lines counts: empty data lines have a size, too.
            self._data_size += len(value) + (1 if self._data else 0)
            self._data.append(value)
        elif name == b"event":
            self._event = value.decode("utf-8", "replace")
        elif name == b"id":
            if b"\0" not in value:
                self._id = value.decode("utf-8", "replace")
        elif name == b"retry" and _DIGITS.match(value):
            # int() refuses text of more than 4300 digits.
            self.retry = self._event_retry = int(value[:4000])

    def _dispatch(self) -> ServerSentEvent | None:
        self.last_event_id = self._id
        data, event, retry = self._data, self._event, self._event_retry
        if data or event or retry is not None:
            self._data, self._event, self._event_retry = [], "", None
            self._data_size = 0
        # "If the data buffer is an empty string, set the data buffer and the event type
        # buffer to the empty string and return." One empty data line leaves an LF in it.
        if not data:
            return None
        return ServerSentEvent(
            event=event or "message",
            data=b"\n".join(data).decode("utf-8", "replace"),
            id=self._id,
            retry=retry,
        )


def event_too_large(max_event_size: int) -> EventTooLargeError:
    """Build the error for an event above the limit."""
    return EventTooLargeError(
        f"an event of the stream is larger than max_event_size = {max_event_size} bytes",
        max_event_size=max_event_size,
    )
