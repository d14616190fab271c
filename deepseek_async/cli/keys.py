"""Keys that are pressed while an answer comes."""

import os
import sys
from typing import IO, Any

if sys.platform != "win32":
    import termios

# Of what tcgetattr returns.
_LOCAL_FLAGS = 3


class KeyEcho:
    """Keeps keys from being shown where rows are redrawn.

    A terminal shows each key where the cursor stands, and a line feed moves that away from the rows
    that are to be redrawn. What is typed is kept, and shown by the next prompt.

    Args:
        file: Of the terminal. Without a terminal nothing is done.
    """

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._before: list[Any] | None = None

    def off(self) -> None:
        """Show no keys until :meth:`on`."""
        if sys.platform != "win32" and self._before is None and self._is_ours():
            attributes = termios.tcgetattr(self._file)
            if attributes[_LOCAL_FLAGS] & termios.ECHO:
                self._before = list(attributes)
                attributes[_LOCAL_FLAGS] &= ~termios.ECHO
                termios.tcsetattr(self._file, termios.TCSANOW, attributes)

    def on(self) -> None:
        """Show keys again."""
        before, self._before = self._before, None
        if sys.platform != "win32" and before is not None and self._is_ours():
            termios.tcsetattr(self._file, termios.TCSANOW, before)

    def _is_ours(self) -> bool:
        """Tell whether this process may set the terminal; in the background, it'd be stopped."""
        if not self._file.isatty():
            return False
        try:
            return os.tcgetpgrp(self._file.fileno()) == os.getpgrp()
        except OSError:
            # It isn't the terminal that controls this process: nobody types there.
            return False
