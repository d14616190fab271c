"""Run programs of foreign clients against one simulator, and print what each gets right.

Run: python -m tests.foreign.run NAME COMMAND [NAME COMMAND ...]

A command gets the simulator's URL as its last argument.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys

from tests.foreign.checks import CHECKS

_MARKS = {"passed": "ok", "missing": "-"}
# A client that hangs; each check has a limit of its own.
_LIMIT_SECONDS = 300


def outcomes(command: str, url: str) -> dict[str, str]:
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
    found = dict.fromkeys(CHECKS, "failed: no word of it")
    for line in out.splitlines():
        name, _, outcome = line.partition("\t")
        if name in found:
            found[name] = outcome
    if any(outcome.startswith("failed") for outcome in found.values()):
        sys.stderr.write(errors[-6000:])
    return found


def main(arguments: list[str]) -> int:
    """Run all programs; the status is 1 if a check failed."""
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.foreign.serve"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdin is not None
    assert server.stdout is not None
    try:
        url = server.stdout.readline().strip()
        clients = dict(zip(arguments[::2], arguments[1::2], strict=True))
        found = {name: outcomes(command, url) for name, command in clients.items()}
    finally:
        server.stdin.close()
        server.wait(timeout=10)
    width = max(map(len, CHECKS))
    lines = [" " * width + "".join(f"  {name}" for name in found)]
    for check in CHECKS:
        cells = [f"  {_MARKS.get(found[name][check], 'FAILED'):<{len(name)}}" for name in found]
        lines.append(f"{check:<{width}}" + "".join(cells))
    failures = [
        f"{name}: {check}: {outcome}"
        for name, checks in found.items()
        for check, outcome in checks.items()
        if outcome.startswith("failed")
    ]
    passed = sum(outcome == "passed" for checks in found.values() for outcome in checks.values())
    lines += ["", *failures, f"{passed} passed, {len(failures)} failed"]
    sys.stdout.write("\n".join(line.rstrip() for line in lines) + "\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
