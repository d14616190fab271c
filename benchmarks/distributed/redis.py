"""What several processes share through Redis: one limit, and the runs of web processes.

The limit: four processes, two of them making calls and two running shards, keep 100 requests under
way at the simulator, which counts; one is killed; Redis is killed and started again, empty. The
runs: two web processes, browsers whose connections break and that come back to either; with Redis
killed in the middle; a run stopped from the other process; the process of a run killed.

Run: python -m benchmarks.distributed.redis [limiter|log] [--reduced]
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks.batch.figures import Figures
from benchmarks.distributed import redis_limit, redis_log

QUESTIONS = ("limiter", "log")

_MOST = redis_limit.LIMIT * 1.02


def limiter(directory: Path, figures: Figures, *, reduced: bool) -> None:
    """Measure the limit."""
    seconds = 2.0 if reduced else 15.0
    killed = redis_limit.killed(directory, seconds=seconds)
    figures.add("limit in use by four processes", killed.used, "%", least=0.9)
    figures.add("requests at once, at most", killed.peak, most=_MOST)
    figures.add("share of a killed process back after", killed.back_after, "s", most=5.0)
    figures.add("requests at once after that, at most", killed.peak_after, most=_MOST)
    figures.add("requests that failed", killed.failed, most=0, binding=True)
    away = redis_limit.away(directory, seconds=seconds)
    figures.add("limit in use while Redis is away", away.used, "%", least=0.9)
    figures.add("requests at once while it is, at most", away.peak, most=_MOST)
    figures.add("limit holds again after", away.back_after, "s", most=5.0)
    figures.add("limit in use from then on", away.used_after, "%", least=0.9)
    figures.add("requests at once from then on, at most", away.peak_after, most=_MOST)
    figures.add("requests that failed", away.failed, most=0, binding=True)


async def log(directory: Path, figures: Figures, *, reduced: bool) -> None:
    """Measure the runs."""
    cuts, away_cuts, stops = (200, 50, 5) if reduced else (2000, 500, 50)
    async with redis_log.service(directory) as serving:
        cut = await redis_log.cut(serving, cuts=cuts)
        figures.add("cuts", cut.cuts, least=cuts)
        figures.add(
            "readers that lost something, or had it twice", cut.broken, most=0, binding=True
        )
        figures.add("of so many readers", cut.readers)
        away = await redis_log.cut(serving, cuts=away_cuts, away=0.5)
        figures.add("cuts, Redis killed and back, empty, in each run", away.cuts, least=away_cuts)
        figures.add(
            "readers that lost something, or had it twice", away.broken, most=0, binding=True
        )
        times = [await redis_log.stopped(serving) for _ in range(stops)]
        figures.add("stopped from the other process, median", statistics.median(times), "s")
        figures.add("stopped from the other process, slowest", max(times), "s", most=0.1)
        seconds = await redis_log.writer_killed(serving)
        figures.add("writer killed: all readers told after", seconds, "s", most=5.0)


def ask(question: str, *, reduced: bool) -> bool:
    """Ask one question; tell whether all goals were reached.

    Exits if something was lost, or failed.
    """
    figures = Figures(f"What processes share through Redis: {question}")
    with tempfile.TemporaryDirectory() as directory:
        if question == "limiter":
            limiter(Path(directory), figures, reduced=reduced)
        else:
            asyncio.run(log(Path(directory), figures, reduced=reduced))
    reached = figures.show()
    if figures.failed:
        sys.exit("FAILED: " + "; ".join(figures.failed))
    return reached


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("questions", nargs="*", metavar="|".join(QUESTIONS))
    parser.add_argument("--reduced", action="store_true")
    parser.add_argument("--attempts", type=int, default=3, help="for each; machines are shared")
    options = parser.parse_args()
    if unknown := set(options.questions) - set(QUESTIONS):
        parser.error(f"no such question: {', '.join(sorted(unknown))}")
    missed = [
        question
        for question in options.questions or QUESTIONS
        if not any(ask(question, reduced=options.reduced) for _ in range(options.attempts))
    ]
    if missed:
        sys.exit(f"goals missed: {', '.join(missed)}")


if __name__ == "__main__":
    main()
