"""The processes of a run: the server, and one for each contender."""

from __future__ import annotations

import json
import select
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from benchmarks.contenders import PEERS
from benchmarks.questions import Case, Question

_ROOT = Path(__file__).resolve().parents[1]
_START_SECONDS = 60.0


class UnavailableError(Exception):
    """A contender that this machine doesn't have."""


class Process:
    """A Python process that answers in lines."""

    def __init__(self, python: str, module: str, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [python, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=_ROOT,
        )

    def line(self, seconds: float) -> str:
        """Return the next line; "" if none comes."""
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], seconds)
        return self._process.stdout.readline() if ready else ""

    def write(self, line: str) -> None:
        """Send a line."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def stop(self) -> None:
        """End it."""
        self._process.kill()
        with self._process:
            self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


class Server(Process):
    """The fake server.

    Attributes:
        address: Its URL.
    """

    def __init__(self) -> None:
        super().__init__(sys.executable, "benchmarks.server")
        port = self.line(_START_SECONDS).strip()
        if not port:
            self.stop()
            raise RuntimeError("the benchmarks' server did not start")
        self.address = f"http://127.0.0.1:{port}"


class Worker(Process):
    """The process of a contender.

    Attributes:
        versions: What it runs.
        descriptors: How many files it may open.

    Raises:
        UnavailableError: If the interpreter doesn't have it.
    """

    def __init__(self, contender: str, server: Server, peer_python: str | None) -> None:
        python = sys.executable
        if contender in PEERS and peer_python is not None:
            python = peer_python
        super().__init__(python, "benchmarks.worker", contender, server.address)
        said = self._answer(_START_SECONDS)
        if "versions" not in said:
            self.stop()
            raise UnavailableError(said.get("missing") or said["error"])
        self.versions = cast("dict[str, str]", said["versions"])
        self.descriptors = cast("int", said["descriptors"])
        self.works = True

    def measure(self, question: Question, case: Case, *, quick: bool) -> dict[str, Any]:
        """Take a measurement; a process that doesn't answer is ended."""
        command = {"question": question.module, "case": case.name, "quick": quick}
        self.write(json.dumps(command))
        return self._answer(case.seconds)

    def _answer(self, seconds: float) -> dict[str, Any]:
        line = self.line(seconds)
        if not line:
            self.works = False
            self.stop()
            return {"error": f"no answer within {seconds:g} s"}
        return cast("dict[str, Any]", json.loads(line))
