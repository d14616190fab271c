"""How many machine instructions does our own code take? Counted by valgrind; lower is better.

Unlike times, the numbers are the same on a busy machine: they repeat within a fraction of a
percent. A process that has run all programs of ``instruction_scenarios`` once is copied: one copy
does nothing, the others run a program a number of times. The difference is what counts, so that the
start of the interpreter, the imports and what is done once only cancel out. Sockets and HTTP are in
none of them; ``create`` and ``.stream()`` have a session that answers from memory.

``--check`` compares with ``instructions.json`` next to this file. Other interpreters and other
versions of msgspec have numbers of their own there; those that have none are not compared.

Run: python -m benchmarks.instructions [--check] [--accept]
Needs valgrind.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from shutil import which
from typing import Any

from benchmarks.instruction_scenarios import SCENARIOS

BASELINE = Path(__file__).with_name("instructions.json")
#: A program that takes more than this many times its baseline has become slower.
MOST = 1.1

_ROOT = Path(__file__).resolve().parents[1]
_COUNTER = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
_COLLECTED = re.compile(r"Collected : (\d+)")


def build() -> str:
    """Return what has to be equal for numbers to be comparable."""
    options = str(sysconfig.get_config_var("CONFIG_ARGS"))
    optimized = " optimized" if "--enable-optimizations" in options else ""
    return (
        f"{platform.python_implementation()} {platform.python_version()}{optimized}, "
        f"{platform.python_compiler()}, {platform.machine()}, msgspec {version('msgspec')}"
    )


def measure(names: Sequence[str]) -> dict[str, float]:
    """Return the instructions for each unit of work, such as a chunk."""
    command = [sys.executable, "-m", "benchmarks.instruction_scenarios", *names]
    with tempfile.TemporaryDirectory() as folder:
        # What a run takes must not hang on what ran before it, or on who runs it.
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "PYTHONHASHSEED": "0",
            "PYTHONPYCACHEPREFIX": folder,
            "LC_ALL": "C.UTF-8",
        }
        # Once without being counted, which writes the bytecode.
        subprocess.run(command, cwd=_ROOT, env=environment, check=True)
        result = subprocess.run(
            [*_COUNTER, *command],
            cwd=_ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    nothing, *counts = map(int, _COLLECTED.findall(result.stderr))
    if result.returncode or len(counts) != len(names) + 1:
        raise RuntimeError(f"the programs failed:\n{result.stdout}{result.stderr}")
    found: dict[str, float] = {}
    # The last count is that of the process itself.
    for name, count in zip(names, counts[:-1], strict=True):
        scenario = SCENARIOS[name]
        found[name] = round((count - nothing) / (scenario.times * scenario.units), 1)
    return found


def _baselines() -> dict[str, Any]:
    return json.loads(BASELINE.read_text(encoding="utf-8")) if BASELINE.exists() else {}


def accept(found: Mapping[str, float]) -> None:
    """Make these the numbers to compare with from now on."""
    baselines = _baselines()
    known = baselines.get(build(), {}).get("instructions", {})
    baselines[build()] = {
        "accepted": time.strftime("%Y-%m-%d"),
        "instructions": {**known, **found},
    }
    BASELINE.write_text(json.dumps(baselines, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def table(found: Mapping[str, float], baseline: Mapping[str, float]) -> str:
    """Return the numbers, beside those of the baseline if there is one."""
    lines = [f"{'instructions':<28}{'':<14}{'now':>10}{'baseline':>10}{'x':>7}"]
    for name, count in found.items():
        line = f"{name:<28}{'each ' + SCENARIOS[name].unit:<14}{count:10.0f}"
        if name in baseline:
            ratio = count / baseline[name]
            line += f"{baseline[name]:10.0f}{ratio:7.3f}{'  SLOWER' if ratio > MOST else ''}"
        lines.append(line)
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="fail if it became 10 %% slower")
    parser.add_argument("--accept", action="store_true", help="compare with these from now on")
    parser.add_argument("--only", choices=SCENARIOS, action="append", help="one of the programs")
    options = parser.parse_args()
    baseline = _baselines().get(build(), {}).get("instructions", {})
    if which("valgrind") is None:
        sys.exit("valgrind is not installed: apt-get install valgrind")
    if options.check and not baseline:
        print(
            f"Skipped: {BASELINE.name} has no numbers for {build()}.\n"
            "To add them: python -m benchmarks.instructions --accept"
        )
        return
    names = options.only or list(SCENARIOS)
    found = measure(names)
    print(build())
    print(table(found, baseline))
    if options.accept:
        accept(found)
        print(f"\nAccepted: {BASELINE}")
        return
    slower = [name for name in found if name in baseline and found[name] > MOST * baseline[name]]
    faster = [name for name in found if name in baseline and found[name] * MOST < baseline[name]]
    how = "python -m benchmarks.instructions --accept, and commit instructions.json"
    if faster:
        print(f"\nMuch faster than the baseline: {', '.join(faster)}. To keep it so: {how}")
    if slower and options.check:
        print(
            f"\nMore than {MOST - 1:.0%} slower than the baseline: {', '.join(slower)}.\n"
            f"If that is meant: {how}"
        )
        sys.exit(1)


if __name__ == "__main__":
    main()
