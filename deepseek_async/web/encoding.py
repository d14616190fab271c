"""Batches of a run as bytes, made once for all readers that are equally far."""

from collections.abc import Mapping
from typing import Any

from deepseek_async.live import Batch, Run
from deepseek_async.web.formats.base import Format

#: The first bytes, before anything has come from upstream: they make proxies and browsers take the
#: response for one that has begun.
BEGUN = b": ok\n\n"
#: Nothing new. A line without the empty one behind it: after an ``id``, OpenAI's own client takes
#: an empty line for an event without data, and breaks.
HEARTBEAT = b":\n"

#: What is said of every stream: that nobody may keep, change or hold it back.
HEADERS: Mapping[str, str] = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    # nginx buffers otherwise, and others that took it over from there.
    "X-Accel-Buffering": "no",
    # Compression of a stream holds back what does not fill a block.
    "Content-Encoding": "identity",
}


class Encoding:
    """How one reader is told of a run.

    Args:
        run: What is read.
        wire_format: How it is written.
    """

    __slots__ = ("_begun", "_format", "_run", "_state")

    def __init__(self, run: Run, wire_format: Format) -> None:
        self._run = run
        self._format = wire_format
        self._begun = False
        self._state: Any = None

    def encode(self, batch: Batch) -> bytes:
        """Return the bytes of the next batch; b"" if there is nothing to say."""
        if not batch.events:
            return HEARTBEAT
        if not self._begun:
            self._begun = True
            # What was told before, wherever that was.
            self._state = self._format.begin(self._run, self._run.events_before(batch.start))
        # There is one object of each format, and of each manner of telling of errors.
        key = (self._format, self._state)
        kept = batch.encoded.get(key)
        if kept is None:
            kept = self._format.encode(self._run, self._state, batch)
            batch.encoded[key] = kept
        data, self._state = kept
        return data
