"""Simulators in a thread, the command in this process, in another one, and on a terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal

from deepseek_async.cli.screen import Screen, new_console
from deepseek_async.simulator import Simulator

# Only reached when something hangs.
GUARD_SECONDS = 30.0

StartSimulator = Callable[..., Simulator]


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("DEEPSEEK_") or name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES"):
            monkeypatch.delenv(name)


@pytest.fixture
def start_simulator() -> Iterator[StartSimulator]:
    with ExitStack() as stack:
        portal = stack.enter_context(start_blocking_portal())

        def start(**options: Any) -> Simulator:
            return stack.enter_context(portal.wrap_async_context_manager(Simulator(**options)))

        yield start


@pytest.fixture
def server(start_simulator: StartSimulator, monkeypatch: pytest.MonkeyPatch) -> Simulator:
    """A simulator that the environment names as the server."""
    sim = start_simulator()
    monkeypatch.setenv("DEEPSEEK_API_KEY", "sk-of-the-tests")
    monkeypatch.setenv("DEEPSEEK_BASE_URL", sim.base_url)
    return sim


class Terminal:
    """A screen of which the test sees all that was written."""

    def __init__(self, *, live: bool, width: int = 60) -> None:
        self.out = StringIO()
        self.err = StringIO()
        options: dict[str, Any] = {"width": width}
        if live:
            options |= {"force_terminal": True, "color_system": "standard"}
        self.screen = Screen(
            new_console(file=self.out, **options), new_console(file=self.err, **options), live
        )

    @property
    def text(self) -> str:
        return self.out.getvalue()

    @property
    def notes(self) -> str:
        return self.err.getvalue()


@pytest.fixture
def live() -> Terminal:
    return Terminal(live=True)


@pytest.fixture
def piped() -> Terminal:
    return Terminal(live=False)


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "deepseek_async", *arguments]


def environment(**variables: str) -> dict[str, str]:
    return {**os.environ, "PYTHONUNBUFFERED": "", "TERM": "xterm-256color", **variables}


def _heed_ctrl_c() -> None:
    # Background jobs of a shell ignore it, and so do their children; CI may be such a job.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start the command, and kill it if the test fails before it ends."""
    with subprocess.Popen(
        command(*arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
        preexec_fn=_heed_ctrl_c,
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def run_command(
    *arguments: str, given: bytes = b"", **variables: str
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command(*arguments),
        input=given,
        capture_output=True,
        env=environment(**variables),
        timeout=GUARD_SECONDS,
        check=False,
    )
    return subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
    )


class Pty:
    """The command on a terminal of its own."""

    def __init__(
        self, *arguments: str, rows: int = 24, columns: int = 80, **variables: str
    ) -> None:
        pid, self._fd = pty.fork()
        if pid == 0:
            _set_size(0, rows, columns)
            _heed_ctrl_c()
            os.execve(sys.executable, command(*arguments), environment(**variables))
        self._pid = pid
        self.shown = ""
        self._searched = 0

    def expect(self, text: str) -> None:
        """Wait until ``text`` has been shown after what was expected before."""
        deadline = time.monotonic() + GUARD_SECONDS
        while (found := self.shown.find(text, self._searched)) < 0:
            if not self._read(deadline):
                raise AssertionError(f"{text!r} did not come; there was {self.shown!r}")
        self._searched = found + len(text)

    def interrupt(self, until: str) -> None:
        """Press Ctrl-C until ``until`` is shown.

        One that comes between readline's showing the prompt and its waiting for a key takes
        effect with the next key only (CPython). On a busy machine that moment is long.
        """
        for _ in range(int(GUARD_SECONDS)):
            self.type("\x03")
            patience = time.monotonic() + 1.0
            while time.monotonic() < patience:
                if self.shown.find(until, self._searched) >= 0:
                    self.expect(until)
                    return
                if select.select([self._fd], [], [], 0.05)[0]:
                    self._read(patience)
        raise AssertionError(f"{until!r} did not come; there was {self.shown!r}")

    def resize(self, rows: int, columns: int) -> None:
        _set_size(self._fd, rows, columns)

    def echoes(self) -> bool:
        """Tell whether the terminal shows the keys that are pressed."""
        return bool(termios.tcgetattr(self._fd)[3] & termios.ECHO)

    def type(self, keys: str) -> None:
        os.write(self._fd, keys.encode())

    def status(self) -> int:
        """Read what is left and return the exit status."""
        deadline = time.monotonic() + GUARD_SECONDS
        while self._read(deadline):
            pass
        _, status = os.waitpid(self._pid, 0)
        self._pid = 0
        return os.waitstatus_to_exitcode(status)

    def close(self) -> None:
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
        os.close(self._fd)

    def _read(self, deadline: float) -> bool:
        ready, _, _ = select.select([self._fd], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            raise AssertionError(f"nothing more came; there was {self.shown!r}")
        try:
            data = os.read(self._fd, 65536)
        except OSError:
            # How Linux says that the other side is closed.
            return False
        self.take(data)
        return bool(data)

    def take(self, data: bytes) -> None:
        """Take what the command has written."""
        self.shown += data.decode(errors="replace")


def _set_size(fd: int, rows: int, columns: int) -> None:
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


@pytest.fixture
def open_pty() -> Iterator[Callable[..., Pty]]:
    with ExitStack() as stack:

        def start(*arguments: str, **variables: Any) -> Pty:
            terminal = Pty(*arguments, **variables)
            stack.callback(terminal.close)
            return terminal

        yield start


@pytest.fixture
def blocked_modules(tmp_path: Path) -> Callable[[str], str]:
    """What makes a ``PYTHONPATH`` on which a module can't be found."""

    def block(name: str) -> str:
        source = (
            "import sys\n"
            "class Finder:\n"
            "    def find_spec(self, name, path=None, target=None):\n"
            f"        if name == {name!r}:\n"
            "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
            "sys.meta_path.insert(0, Finder())\n"
        )
        (tmp_path / "sitecustomize.py").write_text(source)
        return str(tmp_path)

    return block
