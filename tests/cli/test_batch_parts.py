"""Parts of ``batch`` that need no server."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest

from deepseek_async.batch import BatchItem, BatchProgress
from deepseek_async.cli.batch.failures import Failures
from deepseek_async.cli.batch.options import BatchOptions, read_deadline
from deepseek_async.cli.batch.progress import LinesView, LiveView, open_view, span
from deepseek_async.cli.failures import UsageProblem
from deepseek_async.cli.screen import new_console
from deepseek_async.errors import APIConnectionError, PreflightError, RateLimitError

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def progress(**changed: Any) -> BatchProgress:
    values: Mapping[str, Any] = {
        "total": 200,
        "read": 200,
        "succeeded": 90,
        "failed": 2,
        "skipped": 8,
        "duplicates": 0,
        "in_flight": 16,
        "retrying": 3,
        "limit": 40,
        "rejected": 0,
        "retries": 0,
        "tokens": 12_345,
        "cost": Decimal("0.0123"),
        "cache_hit_share": 0.62,
        "items_per_second": 8.25,
        "tokens_per_second": 1234.5,
        "seconds": 5.0,
        "seconds_left": 75.0,
        "paused": None,
    }
    return BatchProgress(**{**values, **changed})


SPANS = {
    "seconds": ("90s", timedelta(seconds=90)),
    "half an hour": ("0.5h", timedelta(minutes=30)),
    "minutes": ("15 m", timedelta(minutes=15)),
    "days": ("2d", timedelta(days=2)),
}


@pytest.mark.parametrize(("text", "expected"), SPANS.values(), ids=SPANS)
def test_a_deadline_may_be_a_time_span(text: str, expected: timedelta) -> None:
    assert read_deadline(text, NOW) == NOW + expected


def test_a_deadline_may_be_a_moment() -> None:
    zoned = "2026-12-01T18:00+08:00"
    assert read_deadline(zoned, NOW) == datetime(2026, 12, 1, 10, tzinfo=UTC)
    local = read_deadline("2026-12-01T18:00", NOW)
    assert local == datetime(2026, 12, 1, 18).astimezone()


@pytest.mark.parametrize("hour", range(0, 24, 5))
def test_a_time_of_day_is_the_next_one(hour: int) -> None:
    at = read_deadline(f"{hour}:30", NOW)
    assert NOW < at <= NOW + timedelta(days=1, hours=1)
    assert (at.hour, at.minute) == (hour, 30)


@pytest.mark.parametrize("text", ["", "soon", "25:00", "7:99", "5w", "2020-01-01", "-1h"])
def test_what_is_no_deadline_is_refused(text: str) -> None:
    with pytest.raises(UsageProblem, match="--deadline"):
        read_deadline(text, NOW)


def test_options_that_are_not_given_stay_as_they_were() -> None:
    options = BatchOptions(model="m", max_concurrency=3)
    changed = options.changed({"max_concurrency": None, "strict": True})
    assert changed == BatchOptions(model="m", max_concurrency=3, strict=True)


TIMES = {
    0.04: "0.0 s",
    9.94: "9.9 s",
    10.2: "10 s",
    200: "3 min",
    7300: "2 h 2 min",
    1e6: "11 d 13 h",
}


@pytest.mark.parametrize(("seconds", "text"), TIMES.items())
def test_times_are_short(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_lines_come_every_few_seconds_and_then_less_often() -> None:
    out = StringIO()
    with open_view(new_console(file=out), "answers.jsonl") as view:
        assert isinstance(view, LinesView)
        for second in range(3600):
            view.show(progress(seconds=float(second)))
    lines = out.getvalue().splitlines()
    assert lines[0] == (
        "100/200 50%, 90 answered, 2 failed, 8 done before, 16 in flight of 40, 3 to be sent "
        "again, 8.2 items/s, 1,234 tokens/s, $0.012, 62% cached, 75 s left"
    )
    assert 60 < len(lines) < 120


def test_lines_tell_of_a_pause_once() -> None:
    out = StringIO()
    with open_view(new_console(file=out), "answers.jsonl") as view:
        for second, paused in enumerate([None, *["peak prices"] * 60, None], 10):
            view.show(progress(seconds=float(second), paused=paused, seconds_left=None))
    _, pause, goes_on = out.getvalue().splitlines()[:3]
    assert (pause, goes_on) == ("paused: peak prices", "goes on")


def test_a_quiet_view_shows_what_goes_wrong_only() -> None:
    out = StringIO()
    with open_view(new_console(file=out), "answers.jsonl", quiet=True) as view:
        view.show(progress(seconds=100.0, paused="peak prices"))
        view.tell("failed: x")
    assert out.getvalue() == "failed: x\n"


def test_a_terminal_shows_pauses_and_unknown_totals() -> None:
    out = StringIO()
    console = new_console(file=out, force_terminal=True, width=60)
    with open_view(console, "answers.jsonl") as view:
        assert isinstance(view, LiveView)
        view.wait_for("not yet")
        view.show(progress(total=None, paused="peak prices", cost=None))
        view.tell("failed: x")
        view.wait_for("stopping")
    text = out.getvalue()
    assert "100 done" in text
    assert "not yet" in text
    assert "failed: x" in text
    assert "stopping" in text


def test_a_total_that_is_a_guess_is_told_as_one() -> None:
    out = StringIO()
    with open_view(new_console(file=out), "answers.jsonl") as view:
        view.show(progress(read=150))
    assert out.getvalue().startswith("100/~200 50%")


@pytest.mark.parametrize("terminal", [True, False])
def test_requests_that_wait_for_the_cache_are_told_of(terminal: bool) -> None:
    out = StringIO()
    console = new_console(file=out, force_terminal=terminal, width=100)
    with open_view(console, "answers.jsonl", for_cache=True) as view:
        view.show(progress(in_flight=20, retrying=0))
        view.show(progress(in_flight=2, retrying=3))
        assert "waiting until" not in out.getvalue()
        view.show(progress(in_flight=2, retrying=0, seconds=20.0))
    assert "waiting until the server's cache has" in out.getvalue()


def test_no_share_of_nothing() -> None:
    out = StringIO()
    with open_view(new_console(file=out), "answers.jsonl") as view:
        view.show(progress(total=0, read=0, succeeded=0, failed=0, skipped=0, seconds=10.0))
    assert out.getvalue().startswith("0/0 100%")


class Broken(StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


@pytest.mark.parametrize("terminal", [True, False])
def test_a_display_that_breaks_does_not_end_the_run(terminal: bool) -> None:
    console = new_console(file=Broken(), force_terminal=terminal)
    with open_view(console, "answers.jsonl") as view:
        view.show(progress())
        view.tell("failed: x")


def test_kinds_of_failures_are_counted_within_bounds() -> None:
    told: list[str] = []
    failures = Failures(told.append, "answers.errors.jsonl")
    for number in range(100):
        error = APIConnectionError(f"host {number} is gone")
        failures.add(BatchItem(custom_id="x" * 100, index=number, error=error, attempts=5))
    failures.add(BatchItem(custom_id="y", index=100, error=PreflightError("no"), attempts=1))
    assert len(told) == 5
    assert told[0] == f"failed: {'x' * 23}…: host 0 is gone"
    assert failures.kinds["other failures"] == 51
    assert failures.count == 101
    assert not failures.is_the_model


def test_each_trouble_is_told_once_and_refusals_never() -> None:
    told: list[str] = []
    failures = Failures(told.append, "answers.errors.jsonl")
    for _ in range(3):
        for number in range(8):
            failures.add_trouble(APIConnectionError(f"host {number} is gone"))
        failures.add_trouble(RateLimitError("too many", status_code=429))
    assert told[0] == "will be sent again: host 0 is gone"
    assert len(told) == 5
