"""The benchmarks run, read what their server sent, and tell what they measured."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import instructions
from benchmarks.instruction_scenarios import SCENARIOS
from benchmarks.questions import Case, Goal, Question, Row
from benchmarks.report import Report

ROOT = Path(__file__).parents[2]


def run(module: str, path: Path, *options: str) -> tuple[str, dict[str, Any]]:
    """Run a benchmark in its shortest form."""
    command = [sys.executable, "-m", f"benchmarks.{module}", "--quick", "--json", str(path)]
    result = subprocess.run(
        [*command, "--contenders", "floor,create", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout, json.loads(path.read_text(encoding="utf-8"))


# Every text is compared with what was sent: a wrong one is an error of the run.
@pytest.mark.parametrize(
    ("module", "case", "label"),
    [("bench_stream", "kept", "keep-alives in between"), ("bench_requests", "32", "32 at a time")],
)
def test_a_benchmark_runs_from_server_to_table(
    module: str, case: str, label: str, tmp_path: Path
) -> None:
    table, document = run(module, tmp_path / "figures.json", "--cases", case)
    assert label in table
    assert document["errors"] == []
    assert set(document["versions"]) == {"floor", "create"}
    assert {(each["contender"], each["round"]) for each in document["results"]} == {
        ("floor", 0),
        ("create", 0),
    }
    (row,) = document["rows"]
    assert (row["question"], row["case"], row["figure"]) == (module, case, "cpu_us")
    assert row["medians"]["create"] > 0
    assert row["ratios"]["create"] > 0
    assert {"date", "machine", "quick", "rounds", "waited", "skipped"} <= set(document)


def test_a_wrong_text_is_an_error_and_no_figure() -> None:
    report, case = _report({"floor": 2.0})
    report.add(Question("bench", "", (case,)), case, "create", 0, {"error": "wrong text"})
    assert report.errors == ["bench case create: wrong text"]
    assert "create" not in report.lines()[0].medians


def test_a_table_has_medians_ratios_and_missed_goals() -> None:
    report, _ = _report({"floor": 2.0, "create": 3.0})
    (line,) = report.lines()
    assert line.ratio("create") == 1.5
    assert line.missed("create") == "1.50 x floor, goal 1.25"
    assert "3 (1.50)!" in report.table()


def _report(figures: dict[str, float]) -> tuple[Report, Case]:
    async def never(_: object) -> dict[str, float]:
        raise AssertionError

    row = Row("cpu_us", "label", "µs", {"create": Goal(times=1.25)})
    case = Case("case", never, (row,), ("floor", "create"))
    report = Report(quick=True, rounds=1)
    for contender, value in figures.items():
        report.versions[contender] = {"python": "3"}
        for round_, measured in enumerate((value * 5, value, value / 5)):
            answer = {"figures": {"cpu_us": measured}, "waited": 0.0}
            report.add(Question("bench", "", (case,)), case, contender, round_, answer)
    return report, case


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_program_whose_instructions_are_counted_does_its_work(name: str) -> None:
    SCENARIOS[name].run(1)


def test_more_instructions_than_a_tenth_above_the_baseline_stand_out() -> None:
    now = {"build requests": 1110.0, "create()": 1090.0}
    text = instructions.table(now, {"build requests": 1000.0, "create()": 1000.0})
    assert [line.split()[0] for line in text.splitlines() if line.endswith("SLOWER")] == ["build"]
