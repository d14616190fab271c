"""The entry of ``python -m deepseek_async`` and of the script ``deepseek-async``."""

import contextlib
import os
import sys
import threading
import time
from typing import NoReturn

# What the command line needs and the library doesn't; typer brings click up to 0.28.
_EXTRA = frozenset({"click", "markdown_it", "rich", "typer"})
# How long threads that are about to end may take, in seconds.
_ENDING = 0.5


def main() -> int:
    """Run the command line on ``sys.argv``.

    Returns:
        The exit status: 0 fine, 1 failed, 2 wrong usage, 130 interrupted.
    """
    try:
        try:
            from deepseek_async.cli.app import run
        except ModuleNotFoundError as exc:
            if (exc.name or "").partition(".")[0] not in _EXTRA:
                raise
            sys.stderr.write(
                f'error: the command line needs {exc.name}: pip install "deepseek-async[cli]"\n'
            )
            return 2
        return run(sys.argv[1:])
    except KeyboardInterrupt:
        # While modules are imported, or again while the first Ctrl-C was being honoured.
        return 130


def script() -> NoReturn:
    """Run the command line and leave the process."""
    status = main()
    if status == 130 or _is_held_up():
        # At once: the interpreter would wait for the thread of a tool that was interrupted or took
        # too long, which nothing in Python can end.
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(status)
    sys.exit(status)


def _is_held_up() -> bool:
    """Return whether a thread is still at work that the interpreter would wait for."""
    deadline = time.monotonic() + _ENDING
    for thread in threading.enumerate():
        if thread is not threading.main_thread() and not thread.daemon:
            thread.join(max(deadline - time.monotonic(), 0))
            if thread.is_alive():
                return True
    return False


if __name__ == "__main__":
    script()
