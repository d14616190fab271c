"""The command line that all questions share: take turns, then show one table."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.contenders import CONTENDERS
from benchmarks.machine import raise_descriptor_limit
from benchmarks.processes import Server, UnavailableError, Worker
from benchmarks.questions import Case, Question
from benchmarks.report import Report

_JSON = Path(tempfile.gettempdir()) / "deepseek-async-benchmarks.json"


class Run:
    """One run: every round asks all contenders each question, in an order of chance."""

    def __init__(self, options: argparse.Namespace, server: Server) -> None:
        self._options = options
        self._server = server
        self._workers: dict[str, Worker] = {}
        self._missing: set[str] = set()
        self.report = Report(quick=options.quick, rounds=options.rounds)

    def measure(self, question: Question, case: Case, round_: int) -> None:
        """Let the contenders take turns."""
        asked: Sequence[str] = self._options.contenders
        names = [name for name in case.contenders if name in asked and name not in self._missing]
        for name in random.sample(names, len(names)):
            worker = self._worker(name, fresh=case.fresh)
            if worker is None:
                continue
            answer = self._ask(worker, question, case)
            self.report.add(question, case, name, round_, answer)
            _progress(f"{round_ + 1} {question.module} {case.name} {name}", answer)
            if case.fresh or not worker.works:
                self._workers.pop(name).stop()

    def _ask(self, worker: Worker, question: Question, case: Case) -> dict[str, Any]:
        if worker.descriptors < case.descriptors:
            return {
                "error": f"needs {case.descriptors} open files; `ulimit -n` allows "
                f"{worker.descriptors}"
            }
        return worker.measure(question, case, quick=self._options.quick)

    def _worker(self, name: str, *, fresh: bool) -> Worker | None:
        if fresh and name in self._workers:
            self._workers.pop(name).stop()
        if name not in self._workers:
            try:
                worker = Worker(name, self._server, self._options.peer_python)
            except UnavailableError as exc:
                self._missing.add(name)
                self.report.skipped.append(f"{name}: {exc}")
                return None
            self._workers[name] = worker
            self.report.versions[name] = worker.versions
        return self._workers[name]

    def stop(self) -> None:
        """End all processes."""
        for worker in self._workers.values():
            worker.stop()


def _progress(what: str, answer: dict[str, Any]) -> None:
    figures = answer.get("figures") or answer
    told = "  ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in figures.items()
    )
    print(f"{what}: {told}", file=sys.stderr, flush=True)


def _chosen(questions: Sequence[Question], cases: str) -> Iterator[tuple[Question, Case]]:
    wanted = set(cases.split(",")) if cases else None
    for question in questions:
        for case in question.cases:
            if wanted is None or case.name in wanted:
                yield question, case


def main(*questions: Question, arguments: Sequence[str] | None = None) -> None:
    """Ask questions, as the command line says."""
    parser = argparse.ArgumentParser(
        description=" ".join(question.title for question in questions),
        epilog="Needs the project installed; peers are measured where they are installed.",
    )
    parser.add_argument("--quick", action="store_true", help="one short round: does it work?")
    parser.add_argument("--rounds", type=int, help="how often to ask all; 3, or 1 with --quick")
    parser.add_argument("--cases", default="", help="only these, with commas in between")
    parser.add_argument(
        "--contenders",
        type=lambda text: text.split(","),
        default=list(CONTENDERS),
        help="only these, with commas in between: " + ", ".join(CONTENDERS),
    )
    parser.add_argument("--peer-python", help="an interpreter that has the peers (openai)")
    parser.add_argument("--json", type=Path, default=_JSON, help=f"default: {_JSON}")
    options = parser.parse_args(arguments)
    options.rounds = options.rounds or (1 if options.quick else 3)
    if unknown := set(options.contenders) - set(CONTENDERS):
        parser.error(f"no such contender: {', '.join(sorted(unknown))}")
    cases = list(_chosen(questions, options.cases))
    if not cases:
        parser.error("no such case: " + options.cases)
    raise_descriptor_limit()
    with Server() as server:
        run = Run(options, server)
        try:
            for round_ in range(options.rounds):
                for question, case in cases:
                    run.measure(question, case, round_)
        finally:
            run.stop()
    print(run.report.table())
    options.json.write_text(run.report.json(), encoding="utf-8")
    print(f"\nAll figures: {options.json}")
    if run.report.errors:
        sys.exit(1)
