"""The commands of ``batch``, run in this process against the simulator over real sockets."""

import csv
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from deepseek_async.batch.lock import FileLock
from deepseek_async.batch.paths import BatchPaths
from deepseek_async.cli.app import run
from deepseek_async.simulator import Reply, Simulator

Captured = pytest.CaptureFixture[str]

# At once, where the order for the server's cache would wait for the first answers.
QUICK = ("--cache", "off")


def line(name: str, prompt: str = "Hello", **body: Any) -> str:
    body = {"messages": [{"role": "user", "content": prompt}], "max_tokens": 20, **body}
    return json.dumps({"custom_id": name, "method": "POST", "body": body})


def names_in(path: Path) -> list[str]:
    return [json.loads(text)["custom_id"] for text in path.read_text().splitlines()]


class Batch:
    """A scratch directory, and the commands in it."""

    def __init__(self, directory: Path, captured: Captured) -> None:
        self.source = directory / "requests.jsonl"
        self.out = directory / "answers.jsonl"
        self.errors = directory / "answers.errors.jsonl"
        self.write([line(f"item-{number}", f"Number {number}") for number in range(12)])
        self._captured = captured

    def write(self, lines: Sequence[str]) -> None:
        self.source.write_text("".join(f"{text}\n" for text in lines))

    def __call__(self, *arguments: str | Path) -> tuple[int, str, str]:
        status = run(["batch", *map(str, arguments)])
        out, err = self._captured.readouterr()
        return status, out, err

    def run(self, *options: str | Path) -> tuple[int, str, str]:
        return self("run", self.source, self.out, *QUICK, *options)


@pytest.fixture
def batch(
    tmp_path: Path, capsys: Captured, server: Simulator, monkeypatch: pytest.MonkeyPatch
) -> Batch:
    monkeypatch.setenv("DEEPSEEK_DIALECT", "deepseek")
    return Batch(tmp_path, capsys)


def test_run_answers_every_request_and_reports(batch: Batch) -> None:
    status, out, err = batch.run()
    assert status == 0
    assert sorted(names_in(batch.out)) == sorted(f"item-{number}" for number in range(12))
    assert re.match(r"answers\.jsonl: completed after [\d.]+ s\n", out)
    assert "  items     12 read, 12 answered, 0 failed\n" in out
    assert re.search(r"  cost      \$0\.\d+\n", out)
    assert err == ""
    assert not batch.errors.exists()


def test_the_same_command_again_sends_nothing(batch: Batch, server: Simulator) -> None:
    assert batch.run()[0] == 0
    sent = len(server.requests)
    status, out, _ = batch.run()
    assert status == 0
    assert "0 answered, 0 failed, 12 finished before" in out
    assert len(server.requests) == sent


def test_what_is_kept_for_later_commands_has_no_key(batch: Batch) -> None:
    assert batch.run("--max-concurrency", "3")[0] == 0
    kept = batch.out.with_name("answers.cli.json").read_text()
    assert json.loads(kept)["input"] == str(batch.source)
    assert json.loads(kept)["options"]["max_concurrency"] == 3
    assert "sk-" not in kept


def test_the_report_can_be_json(batch: Batch) -> None:
    status, out, err = batch.run("--json")
    report = json.loads(out)
    assert (status, err) == (0, "")
    assert report["outcome"] == "completed"
    assert report["succeeded"] == report["requests"] == 12
    assert report["cost_usd"] > 0
    assert report["exit_status"] == 0
    assert report["dead_letters"] is None


def test_a_quiet_run_prints_failures_only(batch: Batch, server: Simulator) -> None:
    server.script(Reply.error("content_risk", match="Number 3"))
    status, out, err = batch.run("--quiet")
    assert (status, out) == (1, "")
    assert err.startswith("failed: item-3: 400: Content Exists Risk")
    assert batch.run("--quiet")[1] == ""


def test_bad_lines_are_told_and_can_be_corrected(batch: Batch) -> None:
    good = [line(f"item-{number}", f"Number {number}") for number in range(4)]
    bad = ["no JSON", '{"custom_id": 5}', line("item-0", "other"), '{"body": []}', "[]"]
    batch.write([*good, *bad, good[0]])
    status, out, err = batch.run()
    assert status == 1
    assert "10 read, 4 answered, 5 failed, 1 repeated" in out
    assert "  failed    5 x bad line\n" in out
    assert err.count("bad line: requests.jsonl line ") == 3
    assert "bad line: requests.jsonl line 5 is not JSON" in err
    assert f"more bad lines: see {batch.errors}" in err
    assert f"error: 5 lines of {batch.source} can't be sent" in err
    assert len(names_in(batch.errors)) == 5
    # What the advice says.
    assert f"resume {batch.out} --force\n" in err
    batch.write([*good, *(line(f"new-{number}") for number in range(5))])
    assert batch("resume", batch.out)[0] == 2
    status, out, err = batch("resume", batch.out, "--force")
    assert (status, err) == (0, "")
    assert "5 answered, 0 failed, 4 finished before" in out
    assert names_in(batch.errors) == []


def test_a_wrong_model_is_told_while_it_runs_and_can_be_replaced(batch: Batch) -> None:
    status, out, err = batch.run("--model", "gpt-5")
    assert status == 1
    assert err.startswith("failed: item-")
    assert "400: The supported API model names" in err.splitlines()[0]
    assert err.count("failed: item-") == 1
    assert "  failed    12 x 400: The supported" in out
    assert "or to another model with: deepseek-async batch retry" in err
    status, out, err = batch("retry", batch.out, "--model", "deepseek-flash")
    assert (status, err) == (0, "")
    assert "12 read, 12 answered, 0 failed\n" in out
    assert len(set(names_in(batch.out))) == len(names_in(batch.out)) == 12
    assert batch.errors.read_text() == ""


def test_a_wrong_key_stops_the_run(batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPSEEK_API_KEY", "sk-bad-secret-1234")
    status, out, err = batch.run("--max-concurrency", "1")
    assert status == 1
    assert "stopped: the server refuses all requests" in out
    assert err.count("401: ") == 1
    assert "check DEEPSEEK_API_KEY" in err
    assert "secret" not in out + err
    monkeypatch.setenv("DEEPSEEK_API_KEY", "sk-right")
    # Nothing was answered: even the settings may be others.
    assert batch.run("--model", "deepseek-v4-pro")[0] == 0


def test_an_empty_account_has_a_status_of_its_own(batch: Batch, server: Simulator) -> None:
    server.script(Reply.error("insufficient_balance", match="Number 2", times="forever"))
    status, out, err = batch.run("--max-concurrency", "1")
    assert status == 3
    assert "stopped: the account's balance is used up" in out
    assert "stopped: 402: Insufficient Balance" in err
    assert f"go on with: deepseek-async batch resume {batch.out}\n" in err


def test_the_budget_stops_a_run_and_another_one_finishes(batch: Batch) -> None:
    status, out, err = batch.run("--budget-tokens", "150", "--strict")
    assert status == 3
    assert "stopped: the budget doesn't suffice" in out
    assert "not sent" in out
    assert err.startswith("stopped: the budget")
    status, out, _ = batch("resume", batch.out, "--budget-tokens", "100000")
    assert status == 0
    assert len(names_in(batch.out)) == 12


def test_a_budget_without_a_price_is_wrong_usage(batch: Batch) -> None:
    status, _, err = batch.run("--model", "unknown", "--budget-usd", "1")
    assert status == 2
    assert "--budget-usd can't be kept: no price of model 'unknown'" in err
    assert "PRICES" not in err


def test_a_deadline_that_has_passed_must_be_given_anew(batch: Batch) -> None:
    assert batch.run("--deadline", "2d")[0] == 0
    kept = batch.out.with_name("answers.cli.json")
    kept.write_text(re.sub(r'"deadline": "\d+', '"deadline": "2020', kept.read_text()))
    status, _, err = batch("resume", batch.out)
    assert status == 2
    assert "has passed: name another one with --deadline" in err
    assert batch("resume", batch.out, "--deadline", "1h")[0] == 0


def test_retry_sends_what_failed_and_nothing_else(batch: Batch, server: Simulator) -> None:
    server.script(*[Reply.error("content_risk", match=f"Number {n}") for n in (3, 5)])
    assert batch.run()[0] == 1
    assert sorted(names_in(batch.errors)) == ["item-3", "item-5"]
    batch.source.unlink()
    sent = len(server.requests)
    server.script(Reply.error("content_risk", match="Number 5"))
    status, out, err = batch("retry", batch.out)
    assert status == 1
    assert "2 read, 1 answered, 1 failed" in out
    assert "error: 1 request failed" in err
    assert len(server.requests) == sent + 2
    assert names_in(batch.errors) == ["item-5"]
    assert batch("retry", batch.out)[0] == 0
    assert batch.errors.read_text() == ""
    status, _, err = batch("retry", batch.out)
    assert (status, err) == (0, f"nothing failed in {batch.out}: nothing is sent\n")


def test_a_retry_that_is_stopped_goes_on_as_one(batch: Batch, server: Simulator) -> None:
    server.script(Reply.error("content_risk", times=12))
    assert batch.run("--quiet")[0] == 1
    server.script(Reply.error("insufficient_balance", times="forever"))
    status, _, err = batch("retry", batch.out)
    assert status == 3
    assert err.endswith(f"go on with: deepseek-async batch retry {batch.out}\n")
    assert len(set(names_in(batch.errors))) == 12


def test_retry_leaves_bad_lines_alone(batch: Batch, server: Simulator) -> None:
    batch.write([line("good", "Number 1"), "bad"])
    server.script(Reply.error("content_risk", match="Number 1"))
    assert batch.run()[0] == 1
    status, out, err = batch("retry", batch.out)
    assert status == 1
    assert "1 read, 1 answered, 0 failed" in out
    assert "error: 1 line of" in err
    status, _, err = batch("retry", batch.out)
    assert status == 2
    assert "bad lines only, 1 of them" in err


def test_the_results_may_be_a_symbolic_link(batch: Batch, tmp_path: Path) -> None:
    batch.write([line("good"), "bad"])
    (tmp_path / "elsewhere").mkdir()
    batch.out.symlink_to("elsewhere/real.jsonl")
    status, out, _ = batch.run()
    assert status == 1
    letters = tmp_path / "elsewhere" / "real.errors.jsonl"
    assert f"  failures  1 request in {letters}\n" in out
    assert f"see {letters}\n" in batch("status", batch.out)[1]
    assert batch.out.is_symlink()


def test_failures_of_earlier_runs_count(batch: Batch, server: Simulator) -> None:
    server.script(Reply.error("content_risk", match="Number 3"))
    assert batch.run()[0] == 1
    status, out, err = batch("resume", batch.out)
    assert status == 1
    assert f"  failures  1 request in {batch.errors}\n" in out
    assert "send again what failed with: deepseek-async batch retry" in err


def test_resume_finds_the_input_by_itself(batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    assert batch.run()[0] == 0
    batch.write([line(f"item-{number}", f"Number {number}") for number in range(15)])
    monkeypatch.chdir("/")
    status, out, _ = batch("resume", batch.out)
    assert status == 0
    assert "15 read, 3 answered, 0 failed, 12 finished before" in out
    moved = batch.source.rename(batch.source.with_name("moved.jsonl"))
    status, _, err = batch("resume", batch.out)
    assert status == 2
    assert "which is gone: name them with --input" in err
    assert batch("resume", batch.out, "--input", moved)[0] == 0
    assert batch("resume", batch.out)[0] == 0


def test_a_batch_that_was_not_started_here_can_be_resumed(batch: Batch) -> None:
    assert batch.run("--model", "deepseek-v4-pro")[0] == 0
    batch.out.with_name("answers.cli.json").unlink()
    status, _, err = batch("resume", batch.out)
    assert status == 2
    assert "name them with --input" in err
    assert batch("resume", batch.out, "--input", batch.source)[0] == 0


def test_the_picture_of_a_run(batch: Batch, tmp_path: Path) -> None:
    assert batch.run("--chart", tmp_path / "run.svg")[0] == 0
    assert (tmp_path / "run.svg").read_text().startswith("<svg")
    (tmp_path / "busy.svg").mkdir()
    status, out, err = batch.run("--chart", tmp_path / "busy.svg")
    assert status == 1
    assert "finished before" in out
    assert err.startswith("error: the picture")


def test_simulated_answers_are_not_mixed_with_real_ones(batch: Batch) -> None:
    batch.write([line("only")])
    status, _, err = batch.run("--simulate", "--pace", "0")
    assert (status, err) == (0, "Simulated answers: nothing was billed.\n")
    status, _, err = batch.run()
    assert status == 2
    assert "simulated ones, and real ones would be added" in err
    # As it was begun.
    assert "Simulated" in batch("resume", batch.out)[2]
    assert batch.run("--force")[0] == 0


def test_a_slow_simulator_is_slow(batch: Batch) -> None:
    batch.write([line("only", max_tokens=5)])
    status, out, _ = batch.run("--simulate", "--pace", "20")
    assert status == 0
    assert "1 answered" in out


def test_equal_requests_are_sent_once_if_asked_for(batch: Batch, server: Simulator) -> None:
    batch.write([line(f"item-{number}") for number in range(5)])
    status, out, _ = batch.run("--dedupe")
    assert status == 0
    assert "4 with the answer of an equal one" in out
    assert len(server.requests) == 1


def test_what_is_sent_again_says_why(batch: Batch, server: Simulator) -> None:
    server.script(Reply.error("overloaded", match="Number 3", retry_after=0))
    status, out, err = batch.run()
    assert status == 0
    assert err.startswith("will be sent again: 503: ")
    assert err.count("\n") == 1
    assert "12 answered, 0 failed\n  requests  13 sent, 1 sent again" in out


def test_locked_files_are_refused_and_their_status_shown(batch: Batch) -> None:
    assert batch.run()[0] == 0
    paths = BatchPaths.of(batch.out)
    lock = FileLock(paths.lock)
    lock.acquire(paths.results)
    try:
        status, _, err = batch.run()
        assert status == 2
        assert "another batch job writes to" in err
        status, out, err = batch("status", batch.out)
        assert status == 0
        assert "answers.jsonl: running (process " in out
        assert err == ""
    finally:
        lock.release()
    assert "answers.jsonl: not running" in batch("status", batch.out)[1]


def test_the_lock_of_a_killed_run_is_nobodys(batch: Batch) -> None:
    assert batch.run()[0] == 0
    BatchPaths.of(batch.out).lock.write_text("process 1 on elsewhere\n")
    assert "answers.jsonl: not running" in batch("status", batch.out)[1]


def test_status_counts_what_is_there(batch: Batch, server: Simulator) -> None:
    server.script(Reply.error("content_risk", match="Number 3"))
    assert batch.run()[0] == 1
    batch.write([*batch.source.read_text().splitlines(), line("new"), "", "bad"])
    with batch.out.open("a") as file:
        file.write('{"custom_id": "torn", "resp')
    status, out, _ = batch("status", batch.out)
    assert status == 0
    assert "  answered  11 of 14 (78%)\n" in out
    assert f"  failed    1 (1 x 400): see {batch.errors}\n" in out
    assert f"  remaining 2 of {batch.source}\n" in out
    assert re.search(r"  cost      \$0\.\d+\n", out)
    assert "go on with: deepseek-async batch resume" in out
    assert "batch retry" in out
    status, out, _ = batch("status", batch.out, "--json")
    found = json.loads(out)
    assert (found["answered"], found["failed"], found["remaining"]) == (11, 1, 2)
    assert found["running"] is None
    assert found["completion_tokens"] > 0


def test_status_knows_repeated_lines_and_damage(batch: Batch) -> None:
    batch.write([line("one"), line("one"), "bad"])
    assert batch.run()[0] == 1
    with batch.out.open("a") as file:
        file.write("damaged\n")
    out = batch("status", batch.out)[1]
    assert "  remaining 0 of" in out
    assert "  failed    1 (1 x bad line)" in out
    assert "  damaged   1 x line" in out
    assert "correct them, then go on with" in out


def test_status_without_an_input(batch: Batch) -> None:
    assert batch.run()[0] == 0
    batch.source.unlink()
    assert "  remaining unknown" in batch("status", batch.out)[1]
    batch.out.with_name("answers.cli.json").unlink()
    out = batch("status", batch.out)[1]
    assert "  answered  12\n" in out
    assert "  remaining unknown" in out


def test_status_of_answers_without_a_price(batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEEPSEEK_DIALECT")
    assert "  cost      unknown" in batch.run()[1]
    assert "  cost      unknown" in batch("status", batch.out)[1]


def test_estimate_needs_no_key(batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEEPSEEK_API_KEY")
    status, out, err = batch("estimate", batch.source)
    assert (status, err) == (0, "")
    assert out.startswith("requests: 12 to deepseek-flash\n")
    assert "cost: $" in out
    status, out, _ = batch("estimate", batch.source, "--model", "deepseek-v4-pro", "--json")
    found = json.loads(out)
    assert found["models"] == {"deepseek-v4-pro": 12}
    assert found["peak"]["high"] > 0


def test_estimate_counts_what_can_not_be_sent(batch: Batch) -> None:
    batch.write([line("one"), line("one"), *["bad"] * 5])
    status, out, err = batch("estimate", batch.source)
    assert status == 1
    assert out.startswith("requests: 1 to deepseek-flash; 5 more can't be sent\n")
    assert err.startswith("1 x a line that only repeats another one\n")
    assert err.count("bad line: requests.jsonl line ") == 3
    assert err.endswith(f"error: 5 lines of {batch.source} can't be sent\n")


def test_export_makes_a_table(batch: Batch, server: Simulator, tmp_path: Path) -> None:
    server.script(Reply.error("content_risk", match="Number 3"))
    assert batch.run()[0] == 1
    table = tmp_path / "answers.csv"
    status, _, err = batch("export", batch.out, table)
    assert (status, err) == (0, f"12 rows in {table}\n")
    with table.open(encoding="utf-8-sig", newline="") as file:
        rows = {row["custom_id"]: row for row in csv.DictReader(file)}
    assert rows["item-3"]["error"]
    assert float(rows["item-4"]["cost_usd"]) > 0
    assert (
        batch("export", batch.out, table, "--answers-only", "--raw")[2] == f"11 rows in {table}\n"
    )
    assert batch("export", batch.out, tmp_path / "answers.txt")[0] == 2


def test_parquet_needs_a_library(batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    assert batch.run()[0] == 0
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    status, _, err = batch("export", batch.out, batch.out.with_suffix(".parquet"))
    assert status == 2
    assert "pip install" in err


WRONG = {
    "no file": (["run", "nope.jsonl", "o.jsonl"], "there is no file nope.jsonl"),
    "a directory": (["run", "folder", "o.jsonl"], "folder is a directory"),
    "an empty file": (["run", "empty.jsonl", "o.jsonl"], "empty.jsonl is empty"),
    "an array": (["run", "array.jsonl", "o.jsonl"], "begins with a JSON array"),
    "not a file": (["run", "/dev/null", "o.jsonl"], "not a regular file"),
    "to a directory": (["run", "requests.jsonl", "folder"], "is a directory"),
    "into nowhere": (["run", "requests.jsonl", "no/o.jsonl"], "create the directory first"),
    "to itself": (["run", "requests.jsonl", "requests.jsonl"], "IN and OUT are both"),
    "through a link": (["run", "requests.jsonl", "link.jsonl"], "IN and OUT are both"),
    "to another name of itself": (["run", "requests.jsonl", "hard.jsonl"], "IN and OUT are both"),
    "dead letters": (["run", "a.errors.jsonl", "a.jsonl"], "batch retry"),
    "a file of the results": (["run", "a.meta.json", "a.jsonl"], "belongs to the results"),
    "to another file": (["run", "requests.jsonl", "other.jsonl"], "pass --force if it holds"),
    "resume nothing": (["resume", "o.jsonl"], "there is no results file o.jsonl"),
    "resume a directory": (["resume", "folder"], "folder is a directory"),
    "retry nothing": (["retry", "o.jsonl"], "there is no results file"),
    "status of nothing": (["status", "o.jsonl"], "there is no results file"),
    "export nothing": (["export", "o.jsonl", "o.csv"], "there is no results file"),
    "estimate nothing": (["estimate", "nope.jsonl"], "there is no file"),
    "no time": (["run", "requests.jsonl", "o.jsonl", "--deadline", "soon"], "is no time"),
    "the past": (["run", "requests.jsonl", "o.jsonl", "--deadline", "2020-01-01"], "has passed"),
    "strict alone": (["run", "requests.jsonl", "o.jsonl", "--strict"], "needs a budget"),
    "no money": (
        ["run", "requests.jsonl", "o.jsonl", "--budget-usd", "0"],
        "--budget-usd must be a number of dollars above 0",
    ),
    "no choice": (["run", "requests.jsonl", "o.jsonl", "--cache", "no"], "'--cache'"),
    "no picture": (["run", "requests.jsonl", "o.jsonl", "--chart", "x.gif"], ".svg or .png"),
    "picture nowhere": (
        ["run", "requests.jsonl", "o.jsonl", "--chart", "no/x.svg"],
        "there is no directory no",
    ),
    "two servers": (
        ["run", "requests.jsonl", "o.jsonl", "--simulate", "--base-url", "http://x"],
        "exclude each other",
    ),
    "UTF-16": (["run", "utf16.jsonl", "o.jsonl"], "is UTF-16"),
}


@pytest.mark.parametrize(("arguments", "told"), WRONG.values(), ids=WRONG)
def test_wrong_usage_is_told_in_one_line(
    arguments: list[str],
    told: str,
    batch: Batch,
    server: Simulator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("empty.jsonl").touch()
    Path("array.jsonl").write_text(f"[\n{line('one')}\n]\n")
    Path("utf16.jsonl").write_text(line("one"), encoding="utf-16")
    Path("link.jsonl").symlink_to("requests.jsonl")
    Path("hard.jsonl").hardlink_to("requests.jsonl")
    for name in ("a.errors.jsonl", "a.meta.json", "other.jsonl"):
        Path(name).write_text(line("one"))
    status, out, err = batch(*arguments)
    assert (status, out) == (2, "")
    assert err.startswith("error: ")
    assert told in err
    assert err.count("\n") == 1
    assert not server.requests
    assert Path("other.jsonl").read_text() == line("one")


def test_a_missing_key_is_told_before_anything_else_happens(
    batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DEEPSEEK_API_KEY")
    status, _, err = batch.run()
    assert status == 2
    assert "set DEEPSEEK_API_KEY, or try deepseek-async batch run" in err
    assert not batch.out.exists()


def test_other_settings_are_refused(batch: Batch) -> None:
    assert batch.run()[0] == 0
    status, _, err = batch.run("--model", "deepseek-v4-pro")
    assert status == 2
    assert "model was 'deepseek-flash' and is 'deepseek-v4-pro'" in err
    assert "pass --force" in err
    batch.write([line("other")])
    status, _, err = batch.run()
    assert status == 2
    assert "is another file or has changed" in err
    assert batch.run("--force")[0] == 0


def test_damaged_notes_are_told(batch: Batch) -> None:
    assert batch.run()[0] == 0
    batch.out.with_name("answers.cli.json").write_text("{")
    status, _, err = batch("resume", batch.out)
    assert status == 2
    assert "answers.cli.json is damaged" in err


@pytest.mark.parametrize("command", ["run", "resume", "retry", "status", "estimate", "export"])
def test_every_command_has_help(command: str, capsys: Captured) -> None:
    assert run(["batch", command, "--help"]) == 0
    assert "Example: deepseek-async batch" in capsys.readouterr().out


def test_the_help_lists_the_exit_statuses(capsys: Captured) -> None:
    assert run(["batch", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "3 stopped by the budget" in text


def test_what_a_terminal_would_obey_is_taken_out(batch: Batch, server: Simulator) -> None:
    batch.write([line("\x1b[31mred", "Number 0")])
    server.script(Reply.error("content_risk", match="Number 0"))
    _, out, err = batch.run()
    assert "\x1b" not in out + err
