"""Everything that batches have to keep, one question after another.

Run: python -m benchmarks.batch [--reduced]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

# Question -> its arguments, in full and reduced.
QUESTIONS: dict[str, tuple[list[str], list[str]]] = {
    "benchmarks.batch.limit": ([], []),
    "benchmarks.batch.crash": ([], ["--runs", "20"]),
    "benchmarks.batch.scale": ([], ["--items", "100000", "--show-cpu"]),
    "benchmarks.batch.cache": ([], []),
    "benchmarks.batch.budget": ([], ["--at-once", "500"]),
    "benchmarks.batch.journal": ([], ["--records", "100000"]),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reduced", action="store_true", help="in a few minutes")
    parser.add_argument("--attempts", type=int, default=3, help="for each; machines are shared")
    options = parser.parse_args()
    failed: list[str] = []
    for module, (full, reduced) in QUESTIONS.items():
        arguments = reduced if options.reduced else full
        begun = time.perf_counter()
        for _ in range(options.attempts):
            command = [sys.executable, "-m", module, *arguments]
            if subprocess.run(command, check=False).returncode == 0:
                break
        else:
            failed.append(module)
        print(f"({time.perf_counter() - begun:.0f} s)\n", flush=True)
    if failed:
        sys.exit("goals missed: " + ", ".join(failed))


if __name__ == "__main__":
    main()
