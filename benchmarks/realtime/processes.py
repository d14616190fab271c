"""The processes of a run, which core each of them is on, and what they cost."""

from __future__ import annotations

import http.client
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.processes import Process

if TYPE_CHECKING:
    from benchmarks.realtime.upstream import State

_START_SECONDS = 60.0


def keep_to(core: int) -> None:
    """Keep this process, and those that it starts, on one core, where the system lets us."""
    if sys.platform == "linux":
        os.sched_setaffinity(0, {core})


def cores() -> tuple[int, int]:
    """Return the core of the relay, and that of all others."""
    if sys.platform != "linux":
        return 0, 0
    usable = sorted(os.sched_getaffinity(0))
    return usable[0], usable[-1]


def start_line(port: int) -> None:
    """Tell the parent that this process serves."""
    print(json.dumps({"port": port, "pid": os.getpid()}), flush=True)


class Used(NamedTuple):
    """What a process has used so far."""

    cpu: float
    """Seconds, in all threads, that of the system for it included."""

    waited: float
    """Seconds in which it could have run but others had its core."""

    resident: int
    """Bytes in memory."""


class Served(Process):
    """A process that serves on a port.

    Attributes:
        port: Where.
        pid: Of the process that does the work.
    """

    def __init__(self, module: str, *arguments: str) -> None:
        super().__init__(sys.executable, module, *arguments)
        line = self.line(_START_SECONDS)
        if not line:
            self.stop()
            raise RuntimeError(f"{module} {' '.join(arguments)} did not start")
        said = json.loads(line)
        self.port: int = said["port"]
        self.pid: int = said["pid"]

    def used(self) -> Used:
        """Return what it has used so far."""
        cpu = waited = 0
        # To the nanosecond; utime and stime are its parts, to the hundredth of a second.
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            running, waiting, _ = (task / "schedstat").read_text().split()
            cpu += int(running)
            waited += int(waiting)
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return Used(cpu / 1e9, waited / 1e9, pages * os.sysconf("SC_PAGESIZE"))


class Upstream(Served):
    """The fake DeepSeek, and what it tells of its streams."""

    def __init__(self, core: int) -> None:
        super().__init__("benchmarks.realtime.upstream", str(core))
        self.address = f"http://127.0.0.1:{self.port}"
        self._streams = 0

    def name_stream(self) -> int:
        """Return the name of a stream that there wasn't yet."""
        self._streams += 1
        return self._streams

    def state(self) -> State:
        """Return what has been since the last time."""
        # Late, for the upstream's own module imports this one.
        import msgspec

        from benchmarks.realtime.upstream import State

        return msgspec.json.decode(self._get("/state", 60.0), type=State)

    def begin(self) -> None:
        """Forget what has been; streams go on as long as they should."""
        self._get("/begin", _START_SECONDS)
        self.state()

    def finish(self) -> None:
        """End all paced streams with their next token."""
        self._get("/finish", _START_SECONDS)

    def when(self, what: str, stream: int, seconds: float) -> int | None:
        """Wait for ``asked`` or ``left``; return when it was, None if it wasn't in time."""
        try:
            return int(self._get(f"/{what}/{stream}", seconds))
        except TimeoutError:
            return None

    def _get(self, path: str, seconds: float) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=seconds)
        try:
            connection.request("GET", path)
            return connection.getresponse().read()
        finally:
            connection.close()


class Relay(Served):
    """A web application in a server.

    Args:
        app: One of `serve.APPS`.
        server: One of `serve.SERVERS`.
        upstream: What it asks.
        core: The one that it has.
        heartbeat: Seconds.
    """

    def __init__(
        self, app: str, server: str, upstream: Upstream, core: int, heartbeat: float = 15.0
    ) -> None:
        super().__init__(
            "benchmarks.realtime.serve",
            *(app, server, upstream.address, str(core), str(heartbeat)),
        )
