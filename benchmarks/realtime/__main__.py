"""Everything that relays have to keep, one question after another.

Run: python -m benchmarks.realtime [relay|knee|fanout|leaving|slow|heartbeat ...] [--reduced]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

# Question -> its module and arguments, and those of a reduced run; None leaves it out of that.
QUESTIONS: dict[str, tuple[str, list[str], list[str] | None]] = {
    "relay": (
        "relay",
        [],
        ["--rounds", "1", "--window", "2", "--contenders", "ours-asgi,floor"],
    ),
    "knee": ("relay", ["--knee"], None),
    "fanout": ("fanout", [], ["--rounds", "1", "--window", "2", "--readers", "1000"]),
    "leaving": ("leaving", [], ["--tries", "4"]),
    "slow": (
        "slow",
        [],
        ["--rounds", "1", "--window", "2", "--stalled", "15", "--paths", "/shared"],
    ),
    "heartbeat": ("heartbeat", [], ["--wait", "2", "--servers", "uvicorn"]),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("questions", nargs="*", metavar="QUESTION", help=", ".join(QUESTIONS))
    parser.add_argument("--reduced", action="store_true", help="in about a minute")
    parser.add_argument("--json", type=Path, help="file for all figures")
    options = parser.parse_args()
    if unknown := set(options.questions) - set(QUESTIONS):
        parser.error(f"no such question: {', '.join(sorted(unknown))}")
    failed: list[str] = []
    figures: dict[str, Any] = {}
    for name in options.questions or QUESTIONS:
        module, full, reduced = QUESTIONS[name]
        if options.reduced and reduced is None:
            continue
        arguments = full if not options.reduced or reduced is None else reduced
        begun = time.perf_counter()
        with tempfile.NamedTemporaryFile(suffix=".json") as kept:
            command = [sys.executable, "-m", f"benchmarks.realtime.{module}", *arguments]
            if subprocess.run([*command, "--json", kept.name], check=False).returncode != 0:
                failed.append(name)
            figures[name] = json.loads(Path(kept.name).read_bytes() or b"null")
        print(f"({time.perf_counter() - begun:.0f} s)\n", flush=True)
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n")
    if failed:
        sys.exit("failed: " + ", ".join(failed))


if __name__ == "__main__":
    main()
