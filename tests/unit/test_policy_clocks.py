"""`policy.clocks`: a made-up time runs, and the right clock strikes."""

from collections.abc import Mapping

import pytest

from deepseek_async.errors import (
    APITimeoutError,
    FirstEventTimeoutError,
    IdleTimeoutError,
    ProgressTimeoutError,
    TotalTimeoutError,
)
from deepseek_async.policy.clocks import Clocks
from deepseek_async.types.options import Timeouts

NONE = Timeouts(connect=None, idle=None, first_event=None, progress=None)


def only(**limits: float) -> Timeouts:
    """Return timeouts with just these limits."""
    off: dict[str, float | None] = {"connect": None, "idle": None, "progress": None}
    return Timeouts(**(off | limits))


def waiting(timeouts: Timeouts, *, streamed: bool = True, since: float = 100.0) -> Clocks:
    """Return the clocks of a call that waits for bytes."""
    clocks = Clocks(timeouts, streamed=streamed)
    clocks.start(since)
    clocks.wait(since)
    return clocks


ALONE: Mapping[str, tuple[Timeouts, type[APITimeoutError], str]] = {
    "idle": (only(idle=30), IdleTimeoutError, "the server sent nothing for 30 s"),
    "first event": (
        only(first_event=30),
        FirstEventTimeoutError,
        "the stream did not begin within 30 s (keep-alives don't count)",
    ),
    "total": (
        only(total=30),
        TotalTimeoutError,
        "the call took longer than the total timeout of 30 s",
    ),
}


@pytest.mark.parametrize(("timeouts", "cls", "message"), ALONE.values(), ids=ALONE)
def test_a_clock_strikes_at_its_deadline(
    timeouts: Timeouts, cls: type[APITimeoutError], message: str
) -> None:
    clocks = waiting(timeouts)
    error = clocks.expired(130.0)
    assert type(error) is cls
    assert str(error) == message


@pytest.mark.parametrize("timeouts", [case[0] for case in ALONE.values()], ids=ALONE)
def test_no_clock_strikes_before_its_deadline(timeouts: Timeouts) -> None:
    clocks = waiting(timeouts)
    assert clocks.deadline(100.0) == 130.0
    assert clocks.expired(129.9) is None


def test_without_limits_there_is_no_deadline() -> None:
    clocks = waiting(NONE)
    assert clocks.deadline(100.0) is None
    assert clocks.expired(1e9) is None


def test_progress_runs_from_the_last_event() -> None:
    clocks = waiting(only(progress=30))
    clocks.stop(110.0)
    clocks.event_came()
    clocks.wait(110.0)
    assert clocks.deadline(110.0) == 140.0
    error = clocks.expired(140.0)
    assert type(error) is ProgressTimeoutError
    assert str(error) == "the stream made no progress for 30 s (keep-alives don't count)"


def test_progress_does_not_run_before_the_first_event() -> None:
    assert waiting(only(progress=30)).deadline(100.0) is None


def test_first_event_does_not_run_after_the_first_event() -> None:
    clocks = waiting(only(first_event=30))
    clocks.stop(110.0)
    clocks.event_came()
    clocks.wait(110.0)
    assert clocks.deadline(110.0) is None


def test_a_keep_alive_restarts_idle_alone() -> None:
    clocks = waiting(only(idle=30, first_event=70))
    for moment in (120.0, 140.0, 160.0):
        clocks.stop(moment)
        clocks.wait(moment)
    # Idle would strike at 190, but the first event is due at 170.
    assert clocks.deadline(160.0) == 170.0
    assert type(clocks.expired(170.0)) is FirstEventTimeoutError


def test_keep_alives_do_not_count_as_progress() -> None:
    clocks = waiting(only(idle=30, progress=50))
    clocks.event_came()
    for moment in (120.0, 140.0):
        clocks.stop(moment)
        clocks.wait(moment)
    assert type(clocks.expired(150.0)) is ProgressTimeoutError


def test_the_pauses_of_the_reader_do_not_count() -> None:
    clocks = waiting(only(idle=30, progress=30))
    clocks.event_came()
    clocks.stop(110.0)
    assert clocks.waiting_since is None
    assert clocks.expired(5000.0) is None
    clocks.wait(5000.0)
    # 10 of the 30 seconds without an event had been waited; idle starts anew.
    assert clocks.deadline(5000.0) == 5020.0


def test_the_pauses_of_the_reader_count_for_the_whole_call() -> None:
    clocks = waiting(only(total=30))
    clocks.stop(101.0)
    assert type(clocks.expired(130.0)) is TotalTimeoutError


def test_a_deadline_asked_for_while_nobody_waits_counts_from_now() -> None:
    clocks = Clocks(only(idle=30), streamed=True)
    assert clocks.deadline(200.0) == 230.0


def test_the_nearest_deadline_is_the_next() -> None:
    assert waiting(only(idle=30, first_event=20, total=40)).deadline(100.0) == 120.0


def test_the_whole_call_goes_before_the_other_clocks() -> None:
    clocks = waiting(only(idle=30, first_event=30, total=30))
    assert type(clocks.expired(130.0)) is TotalTimeoutError


def test_the_missing_event_goes_before_the_missing_byte() -> None:
    clocks = waiting(only(idle=30, first_event=30))
    assert type(clocks.expired(130.0)) is FirstEventTimeoutError


def test_a_plain_answer_may_begin_as_late_as_it_likes() -> None:
    clocks = waiting(only(idle=30, first_event=30, progress=30), streamed=False)
    assert clocks.deadline(100.0) is None
    assert clocks.expired(1e6) is None


def test_idle_of_a_plain_answer_runs_from_its_first_byte() -> None:
    clocks = waiting(only(idle=30), streamed=False)
    clocks.stop(500.0)
    clocks.bytes_came()
    clocks.wait(500.0)
    assert clocks.deadline(500.0) == 530.0
    assert type(clocks.expired(530.0)) is IdleTimeoutError


@pytest.mark.parametrize("streamed", [False, True])
def test_only_the_first_sign_of_life_starts_a_clock(streamed: bool) -> None:
    clocks = waiting(Timeouts(), streamed=streamed)
    came = clocks.event_came if streamed else clocks.bytes_came
    assert [came(), came(), came()] == [True, False, False]


def test_the_whole_call_begins_once() -> None:
    clocks = Clocks(only(total=30), streamed=True)
    assert clocks.total_deadline is None
    clocks.start(100.0)
    clocks.start(120.0)
    assert clocks.total_deadline == 130.0


def test_a_new_attempt_restarts_all_but_the_whole_call() -> None:
    clocks = waiting(only(first_event=30, progress=10, total=200))
    clocks.event_came()
    clocks.stop(125.0)
    clocks.restart()
    assert clocks.waiting_since is None
    clocks.wait(125.0)
    assert clocks.deadline(125.0) == 155.0
    assert type(clocks.expired(155.0)) is FirstEventTimeoutError
    assert clocks.total_deadline == 300.0


def test_a_new_attempt_of_a_plain_call_waits_for_its_first_byte_again() -> None:
    clocks = waiting(only(idle=30), streamed=False)
    clocks.bytes_came()
    clocks.restart()
    clocks.wait(100.0)
    assert clocks.deadline(100.0) is None


def test_to_stop_without_waiting_does_nothing() -> None:
    clocks = Clocks(only(first_event=30), streamed=True)
    clocks.stop(500.0)
    clocks.wait(1000.0)
    assert clocks.deadline(1000.0) == 1030.0


@pytest.mark.parametrize("name", ["connect", "idle", "first_event", "progress", "total"])
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_a_timeout_that_is_not_above_zero_is_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"Timeouts\.{name} must be above 0 seconds or None"):
        Timeouts(**{name: value})


def test_the_default_timeouts_are_as_documented() -> None:
    assert Timeouts() == Timeouts(
        connect=15.0, idle=300.0, first_event=None, progress=300.0, total=None
    )
