"""Is the journal fast enough, and does a finished one open soon?

The figures of `bench_journal`, in groups, with the goals that they have to reach.

Run: python -m benchmarks.batch.journal [--records N]
"""

from __future__ import annotations

import argparse
import tempfile

from benchmarks.batch.figures import Figures
from benchmarks.bench_journal import RECORDS, measure


def ask(folder: str, records: int) -> Figures:
    """Take the figures."""
    figures = Figures(f"A journal of {records} records of 1.9 kB")
    written = measure("write", folder, "group", records)
    figures.add("durable per second", written["records_per_second"], "records", least=100_000)
    figures.add("CPU per record", written["cpu_us"], "µs")
    opened = measure("resume", folder, "group", records)
    # Of few records the interpreter's own steps take the most.
    seconds = 2.0 * max(records / RECORDS, 0.25)
    figures.add("until a finished one is open", opened["seconds"], "s", most=seconds)
    figures.add("memory then", opened["megabytes"], "MB", most=150)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=RECORDS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        ask(folder, options.records).finish()


if __name__ == "__main__":
    main()
