"""Run programs of foreign clients against one server, and print what each gets right.

Run: python -m tests.foreign.run [--web] NAME COMMAND [NAME COMMAND ...]

The server is the simulator or, with --web, a relay that tells its answers to browsers. A command
gets its URL as its last argument.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterable

from tests.foreign import web_answers
from tests.foreign.checks import CHECKS

_MARKS = {"passed": "ok", "missing": "-"}
# A client that hangs; each check has a limit of its own.
_LIMIT_SECONDS = 300


def outcomes(command: str, url: str, checks: Iterable[str]) -> dict[str, str]:
    """Run one program; checks that it doesn't report have failed."""
    # Proxies of the environment aren't for 127.0.0.1.
    environment = {**os.environ, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    try:
        done = subprocess.run(
            [*shlex.split(command), url],
            env=environment,
            capture_output=True,
            text=True,
            timeout=_LIMIT_SECONDS,
            check=False,
        )
        out, errors = done.stdout, done.stderr
    except subprocess.TimeoutExpired:
        out, errors = "", f"no end within {_LIMIT_SECONDS} s"
    found = dict.fromkeys(checks, "failed: no word of it")
    for line in out.splitlines():
        name, _, outcome = line.partition("\t")
        if name in found:
            found[name] = outcome
    if any(outcome.startswith("failed") for outcome in found.values()):
        sys.stderr.write(errors[-6000:])
    return found


def main(arguments: list[str]) -> int:
    """Run all programs; the status is 1 if a check failed."""
    server_name = "serve"
    checks: tuple[str, ...] = CHECKS
    if arguments[0] == "--web":
        server_name, checks = "web_serve", web_answers.CHECKS
        arguments = arguments[1:]
    server = subprocess.Popen(
        [sys.executable, "-m", f"tests.foreign.{server_name}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdin is not None
    assert server.stdout is not None
    try:
        url = server.stdout.readline().strip()
        clients = dict(zip(arguments[::2], arguments[1::2], strict=True))
        found = {name: outcomes(command, url, checks) for name, command in clients.items()}
    finally:
        server.stdin.close()
        server.wait(timeout=10)
    width = max(map(len, checks))
    lines = [" " * width + "".join(f"  {name}" for name in found)]
    for check in checks:
        cells = [f"  {_MARKS.get(found[name][check], 'FAILED'):<{len(name)}}" for name in found]
        lines.append(f"{check:<{width}}" + "".join(cells))
    failures = [
        f"{name}: {check}: {outcome}"
        for name, results in found.items()
        for check, outcome in results.items()
        if outcome.startswith("failed")
    ]
    passed = sum(outcome == "passed" for each in found.values() for outcome in each.values())
    lines += ["", *failures, f"{passed} passed, {len(failures)} failed"]
    sys.stdout.write("\n".join(line.rstrip() for line in lines) + "\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
