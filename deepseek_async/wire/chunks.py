"""Bytes of an answer's event stream to its chunks."""

from typing import Generic, TypeVar

from deepseek_async.errors import EventTooLargeError
from deepseek_async.sse import MAX_EVENT_SIZE, LineSplitter, event_too_large
from deepseek_async.types.model import Model
from deepseek_async.wire.codec import NotAnObjectError, decode, decoder_for
from deepseek_async.wire.repair import UNREADABLE

C = TypeVar("C", bound=Model)

_DONE = b"[DONE]"
_LF = 0x0A


class ChunkDecoder(Generic[C]):
    """Incremental decoder of a stream of JSON chunks that ends with ``data: [DONE]``.

    Blocks may be cut anywhere. Events without data, comments and the fields ``event``, ``id``
    and ``retry`` carry nothing in these streams and are passed over.

    Args:
        cls: The type of a chunk.
        max_event_size: Most bytes of one event.

    Attributes:
        ended: Nothing more will come of this stream, for one of the next three reasons.
        done: ``[DONE]`` has come; whatever follows it is ignored.
        error: The ``error`` object that ended the stream, None if none came.
        failure: Why the stream can't be read on: an event that is too large or not JSON.
        comments: How many comment lines have come, keep-alives included.
        queued_comments: How many of them came before the first chunk.
        events: How many chunks have come.
    """

    def __init__(self, cls: type[C], max_event_size: int = MAX_EVENT_SIZE) -> None:
        self._cls = cls
        self._decode = decoder_for(cls)
        self._max_event_size = max_event_size
        self._lines = LineSplitter(max_event_size)
        self._data: list[bytes] = []
        self._data_size = 0
        # Whether the next byte begins a line, and an event.
        self._between = False
        self.ended = False
        self.done = False
        self.error: object = None
        self.failure: EventTooLargeError | NotAnObjectError | None = None
        self.comments = 0
        self.queued_comments = 0
        self.events = 0

    def feed(self, block: bytes) -> list[C]:
        """Add received bytes and return the chunks they complete.

        Never raises: look at ``done``, ``error`` and ``failure`` once the chunks are used.
        """
        if self.ended:
            return []
        if (
            self._between
            and block.find(b"\n") == len(block) - 2
            and block[-1] == _LF
            and block.startswith(b"data: {")
            and b"\r" not in block
            and len(block) <= self._max_event_size
        ):
            # One event and no more, as each block of a live stream is.
            try:
                chunks = [self._decode(block[6:-2])]
            except UNREADABLE:
                chunks = []
            if chunks:
                self.events += 1
                return chunks
        lines = self._lines.feed(block)
        chunks = self._events(lines) if self._data else self._single_line_events(lines)
        if self._lines.too_large and not self.ended:
            self._fail(event_too_large(self._max_event_size))
        if not self.events and not chunks:
            self.queued_comments = self.comments
        self.events += len(chunks)
        # A CR may be half of a line end.
        self._between = block[-2:] == b"\n\n" and self.events > 0
        return chunks

    def finish(self) -> None:
        """Take note that no more bytes will come.

        An event that isn't followed by a blank line is dropped, as the standard wants it. The
        one exception is ``data: [DONE]``: DeepSeek's own examples end with it and no line end.
        """
        if not self.ended:
            self._field(self._lines.tail)
            if b"\n".join(self._data).strip() == _DONE:
                self.done = self.ended = True

    def _single_line_events(self, lines: list[bytes]) -> list[C]:
        """Decode lines that most likely are data and blank lines in turn.

        That holds for nearly every block of every host. Whatever does not fit goes the general
        way, from the start of the block: nothing has been taken from it before.
        """
        last = None
        pairs = lines
        if len(lines) & 1:
            last = lines[-1]
            pairs = lines[:-1]
        if any(pairs[1::2]):
            return self._events(lines)
        starts = pairs[::2]
        done = bool(starts) and starts[-1] == b"data: [DONE]"
        if done:
            starts.pop()
        decode_line = self._decode
        try:
            chunks = [decode_line(line[6:]) for line in starts if line[:7] == b"data: {"]
        except UNREADABLE:
            return self._events(lines)
        if len(chunks) != len(starts):
            if not self.events:
                # What comes before the first chunk is counted apart.
                return self._events(lines)
            comments = 0
            for line in starts:
                if line[:1] == b":":
                    comments += 1
                elif line[:7] != b"data: {" and line.startswith(b"data"):
                    return self._events(lines)
            self.comments += comments
        self.done = self.ended = done
        if last is not None and not done:
            self._field(last)
        return chunks

    def _events(self, lines: list[bytes]) -> list[C]:
        """Decode lines of any kind."""
        chunks: list[C] = []
        for line in lines:
            if line:
                self._field(line)
            elif self._data:
                data = b"\n".join(self._data)
                self._data.clear()
                self._data_size = 0
                self._event(data, chunks)
            if self.ended:
                break
        return chunks

    def _field(self, line: bytes) -> None:
        if line[:5] == b"data:":
            value = line[6:] if line[5:6] == b" " else line[5:]
        elif line == b"data":
            value = b""
        else:
            if line[:1] == b":":
                self.comments += 1
            return
        # The LF that joins the lines counts: empty data lines have a size, too.
        self._data_size += len(value) + (1 if self._data else 0)
        self._data.append(value)
        if self._data_size > self._max_event_size:
            self._fail(event_too_large(self._max_event_size))

    def _event(self, data: bytes, chunks: list[C]) -> None:
        text = data.strip()
        if text == _DONE:
            self.done = self.ended = True
            return
        if not text:
            return
        try:
            chunk = decode(data, self._cls)
        except NotAnObjectError as exc:
            self._fail(exc)
            return
        if chunk.model_extra is not None and (error := chunk.model_extra.get("error")) is not None:
            self.error = error
            self.ended = True
            return
        if not self.events and not chunks:
            self.queued_comments = self.comments
        chunks.append(chunk)

    def _fail(self, failure: EventTooLargeError | NotAnObjectError) -> None:
        self.failure = failure
        self.ended = True
