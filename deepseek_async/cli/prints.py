"""What functions that the model calls print, kept apart from the answer."""

import io
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING

from rich.console import Console

from deepseek_async.cli.clean import printable
from deepseek_async.cli.screen import write

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

# A line is shown in pieces of this size; nothing in it ends it.
_MAX_LINE = 8192


class Prints:
    """Standard output for everybody but the answer.

    ``sys.stdout`` is one for the whole process, while functions run in threads, several at once,
    and go on after they were given up. So it is not switched for each call: as long as functions
    can be called, whatever is printed goes line by line to standard error, and only the answer's
    console holds the real standard output. What another process prints that a function starts is
    not caught.

    Args:
        notes: Where lines go while nobody receives them.
    """

    def __init__(self, notes: Console) -> None:
        self._notes = notes
        self._receive: Callable[[str], object] | None = None

    @contextmanager
    def caught(self) -> Generator[None]:
        """Take what is printed."""
        lines = _Lines(self._tell, self._notes)
        stream = io.TextIOWrapper(lines, "utf-8", "replace", line_buffering=True)
        with redirect_stdout(stream):
            try:
                yield
            finally:
                stream.flush()
                lines.end()

    @contextmanager
    def received_by(self, receive: Callable[[str], object]) -> Generator[None]:
        """Hand lines to ``receive``, which is called in any thread."""
        self._receive = receive
        try:
            yield
        finally:
            self._receive = None

    def _tell(self, line: str) -> None:
        receive = self._receive
        if receive is None:
            write(self._notes, f"{line}\n")
        else:
            receive(line)


class _Lines(io.RawIOBase):
    """Bytes in, lines out."""

    name = "<printed by functions>"

    def __init__(self, tell: Callable[[str], None], notes: Console) -> None:
        self._tell_line = tell
        self._notes = notes
        self._begun = b""
        self._lock = threading.Lock()

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        # For processes that are given it as their output.
        return self._notes.file.fileno()

    def write(self, data: "ReadableBuffer", /) -> int:
        printed = bytes(data)
        with self._lock:
            *lines, rest = (self._begun + printed).split(b"\n")
            while len(rest) > _MAX_LINE:
                lines.append(rest[:_MAX_LINE])
                rest = rest[_MAX_LINE:]
            self._begun = rest
            for line in lines:
                self._tell_line(printable(line.decode(errors="replace")))
        return len(printed)

    def end(self) -> None:
        """Hand out a line that was not ended."""
        if self._begun:
            self.write(b"\n")
