"""`policy.adaptive`: how many requests at once, step by step."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepseek_async.policy.adaptive import AdaptiveLimit, Outcome

TICK = 0.25
CEILING = 2500


class Driven:
    """A limit, a clock, and requests that a test ends one by one."""

    def __init__(self, *, ceiling: int = CEILING, start: float = 16.0) -> None:
        self.control = AdaptiveLimit(ceiling=ceiling, start=start)
        self.now = 1000.0
        self.sent: list[float] = []

    @property
    def limit(self) -> float:
        return self.control.limit

    def send(self, count: int = 1) -> list[float]:
        """Send so many, each at a moment of its own."""
        sent: list[float] = []
        for _ in range(count):
            self.now += 1e-6
            self.control.on_send(self.now)
            sent.append(self.now)
        self.sent += sent
        return sent

    def fill(self) -> list[float]:
        """Send as many as may be sent."""
        sent: list[float] = []
        while self.control.may_send(self.now):
            sent += self.send()
        return sent

    def end(self, sent_at: float, kind: str = "ok", **fields: object) -> None:
        """End a request now."""
        self.sent.remove(sent_at)
        outcome = {"kind": kind, "sent_at": sent_at, **fields}
        self.control.on_result(self.now, Outcome(**outcome))  # type: ignore[arg-type]  # a table

    def wait(self, seconds: float, *, full: bool = True) -> None:
        """Let time pass, all places being taken or not."""
        for _ in range(round(seconds / TICK)):
            self.now += TICK
            self.control.tick(self.now)
            if full:
                self.fill()

    def answer(self, count: int, *, after: float) -> None:
        """Answer so many, the oldest first, after some seconds each; others take their places."""
        for _ in range(count):
            self.now = max(self.now, self.sent[0] + after)
            self.end(self.sent[0])
            self.fill()

    def kept(self, room: int = 20, *, more: int = 4) -> None:
        """Bring it to keep a limit that the server named."""
        sent = self.fill()
        while len(self.sent) < room + more:
            sent += self.send()
        self.now += 0.1
        self.end(sent[-1], "rejected", stated_limit=room)


# The beginning.


@pytest.mark.parametrize(
    ("start", "ceiling", "limit"), [(16.0, 2500, 16), (16.0, 5, 5), (0.0, 5, 1), (16.0, 0, 1)]
)
def test_it_begins_at_the_start_within_its_bounds(start: float, ceiling: int, limit: int) -> None:
    assert AdaptiveLimit(ceiling=ceiling, start=start).limit == limit


@pytest.mark.parametrize(("asked", "limit"), [(100, 100), (9999, CEILING), (0, 16)])
def test_a_job_may_begin_with_a_higher_limit(asked: float, limit: int) -> None:
    control = AdaptiveLimit(ceiling=CEILING)
    control.start_with(asked)
    assert control.limit == limit


def test_a_job_does_not_change_what_has_been_learned() -> None:
    driven = Driven()
    driven.fill()
    driven.answer(1, after=2.0)
    # That one was answered says nothing of the limit.
    driven.control.start_with(100)
    assert driven.limit == 100
    driven.end(driven.sent[-1], "rejected")
    driven.control.start_with(100)
    assert driven.limit < 100


def test_requests_are_sent_up_to_the_limit() -> None:
    driven = Driven()
    assert len(driven.fill()) == 16
    assert driven.control.in_flight == 16
    driven.end(driven.sent[0], "neutral")
    assert driven.control.in_flight == 15
    assert driven.control.may_send(driven.now)


def test_without_answers_it_rises_only_a_little() -> None:
    driven = Driven()
    driven.wait(60.0)
    assert driven.limit == 32


def test_it_doubles_as_answers_come() -> None:
    driven = Driven()
    limits = [driven.limit]
    for _ in range(8):
        driven.fill()
        driven.answer(len(driven.sent), after=2.0)
        driven.wait(2.0)
        limits.append(driven.limit)
    assert all(later > earlier for earlier, later in pairwise(limits))
    assert limits[-1] > 8 * limits[0]


def test_it_never_passes_the_ceiling() -> None:
    driven = Driven(ceiling=40)
    for _ in range(10):
        driven.fill()
        driven.answer(20, after=1.0)
        driven.wait(2.0)
    assert driven.limit == 40


def test_it_at_most_doubles_in_a_quarter_of_a_second() -> None:
    driven = Driven()
    for _ in range(4):
        driven.fill()
        driven.answer(400, after=0.01)
        before = driven.limit
        driven.wait(0.25)
        assert driven.limit <= before * 2


def test_it_does_not_rise_while_places_are_free() -> None:
    driven = Driven()
    driven.send(8)
    driven.wait(60.0, full=False)
    assert driven.limit == 16


def test_a_long_silence_does_not_make_it_leap() -> None:
    driven = Driven()
    driven.fill()
    driven.wait(0.25)
    driven.now += 3600.0
    before = driven.limit
    driven.control.tick(driven.now)
    assert driven.limit <= before * 1.5


# Refusals.


def test_the_first_of_a_burst_cuts_and_the_others_lower_it_one_by_one() -> None:
    driven = Driven(start=100.0)
    sent = driven.fill()
    driven.now += 0.1
    limits: list[float] = []
    for sent_at in sent[-20:]:
        driven.end(sent_at, "rejected")
        limits.append(driven.limit)
    # 99 are left when the first comes back, 80 when the last does.
    assert limits[0] == pytest.approx(0.9 * 99)
    assert limits[10] == 89
    assert limits[-1] == 80


def test_a_refusal_of_a_later_request_cuts_again() -> None:
    driven = Driven(start=100.0)
    sent = driven.fill()
    driven.now += 0.1
    for sent_at in sent[-12:]:
        driven.end(sent_at, "rejected")
    assert driven.limit == 88
    driven.end(sent[0])
    (later,) = driven.fill()
    driven.now += 0.1
    driven.end(later, "rejected")
    assert driven.limit == pytest.approx(0.9 * 87)


def test_refusals_that_do_not_tell_their_time_cut_once_a_second() -> None:
    driven = Driven(start=100.0)
    driven.fill()
    for _ in range(5):
        driven.control.on_result(driven.now, Outcome("rejected"))
    assert driven.limit == pytest.approx(0.9 * 99)
    driven.now += 1.1
    driven.control.on_result(driven.now, Outcome("rejected"))
    assert driven.limit == pytest.approx(0.81 * 99)


def test_the_limit_is_never_below_1() -> None:
    driven = Driven(start=2.0)
    for _ in range(20):
        sent = driven.send()
        driven.now += 0.1
        driven.end(sent[0], "rejected", stated_limit=0)
        assert driven.limit >= 1


def test_after_a_cut_it_rises_to_the_level_before_and_then_faster() -> None:
    driven = Driven(start=100.0)
    sent = driven.fill()
    driven.end(sent[-1], "rejected")
    driven.answer(100, after=1.0)
    limits: list[float] = []
    for _ in range(40):
        driven.answer(20, after=1.0)
        driven.now += TICK
        driven.control.tick(driven.now)
        driven.wait(1.0)
        limits.append(driven.limit)
    assert limits[3] < 99 < limits[-1]
    assert limits[-1] - limits[-2] > limits[12] - limits[11]


def test_who_finds_less_room_than_before_aims_lower() -> None:
    """Fast convergence: newcomers get their share."""

    def risen(refusals: int) -> float:
        driven = Driven(start=100.0)
        for _ in range(refusals):
            sent = driven.fill()
            driven.now += 0.1
            driven.end(sent[-1] if sent else driven.sent[-1], "rejected")
        # The same level, whatever happened before.
        while driven.limit > 50:
            driven.now += 1.0
            driven.end(driven.sent[0])
            driven.end(driven.send()[0], "rejected")
        driven.answer(100, after=1.0)
        driven.wait(4.0)
        return driven.limit

    assert risen(1) < 60


# A limit that the server names.


def test_a_stated_limit_is_kept_exactly_by_who_is_alone() -> None:
    driven = Driven(start=30.0)
    driven.kept(20)
    assert driven.limit == 20


def test_it_is_not_above_the_ceiling() -> None:
    driven = Driven(ceiling=10)
    driven.send(30)
    driven.end(driven.sent[-1], "rejected", stated_limit=25)
    assert driven.limit == 10


def test_others_of_the_burst_do_not_lower_a_kept_limit_further() -> None:
    driven = Driven(start=30.0)
    sent = driven.fill()
    driven.now += 0.1
    for sent_at in sent[-10:]:
        driven.end(sent_at, "rejected", stated_limit=20)
    assert driven.limit == 20
    driven.end(sent[0])
    driven.end(sent[1], "rejected")
    assert driven.limit == 18


def test_after_a_while_it_is_tried_whether_there_is_more_room() -> None:
    driven = Driven(start=30.0)
    driven.kept(20)
    driven.answer(50, after=0.05)
    driven.wait(5.0)
    assert driven.limit == 20
    driven.wait(1.25)
    assert driven.limit == 21
    driven.wait(3.0)
    assert driven.limit > 30


def test_not_before_some_answers_or_half_a_minute() -> None:
    driven = Driven(start=30.0)
    driven.kept(20)
    driven.wait(29.5)
    assert driven.limit == 20
    driven.wait(1.0)
    assert driven.limit > 20


def _tried_after(driven: Driven, room: int) -> float:
    """Return the seconds until it tries for more, from a refusal that names so much room."""
    driven.answer(50, after=0.05)
    driven.wait(0.25)
    begin = driven.now
    while driven.limit <= room:
        driven.wait(TICK)
        assert driven.now < begin + 60.0
    return driven.now - begin


def test_a_limit_that_stays_is_tried_less_and_less() -> None:
    driven = Driven(start=30.0)
    driven.kept(20)
    waits: list[float] = []
    for _ in range(4):
        waits.append(_tried_after(driven, 20))
        driven.now += 0.1
        driven.end(driven.sent[-1], "rejected", stated_limit=20)
        assert driven.limit == 20
    assert waits == pytest.approx([5.75, 11.75, 23.75, 29.75], abs=0.3)


@pytest.mark.parametrize(("room", "seconds"), [(15, 8.0), (23, 6.0)])
def test_a_limit_that_moves_is_tried_soon(room: int, seconds: float) -> None:
    driven = Driven(start=30.0)
    driven.kept(20)
    _tried_after(driven, 20)
    driven.wait(2.0)
    driven.now += 0.1
    driven.end(driven.sent[-1], "rejected", stated_limit=room)
    assert driven.limit == room
    while len(driven.sent) > room:
        driven.end(driven.sent[0])
    assert _tried_after(driven, room) == pytest.approx(seconds - 0.25, abs=0.3)


def test_who_is_refused_below_the_stated_limit_is_not_alone() -> None:
    driven = Driven(start=30.0)
    sent = driven.fill()
    driven.now += 0.1
    driven.end(sent[-1], "rejected", stated_limit=500)
    assert driven.limit == pytest.approx(0.9 * 29)


def test_who_counts_less_than_the_server_is_not_alone() -> None:
    driven = Driven(start=50.0)
    sent = driven.fill()
    driven.now += 0.1
    # The limit fell below what it has itself, but others are there as well.
    driven.end(sent[-1], "rejected", stated_limit=40, stated_current=80)
    assert driven.limit == pytest.approx(0.9 * 49)


def test_a_stated_limit_is_not_passed_for_half_a_minute() -> None:
    driven = Driven(start=30.0)
    sent = driven.fill()
    driven.now += 0.1
    driven.end(sent[-1], "rejected", stated_limit=30)
    for _ in range(28):
        driven.answer(20, after=0.01)
        driven.wait(1.0)
        assert driven.limit <= 30
    assert driven.limit == 30
    driven.answer(20, after=0.01)
    driven.wait(2.0)
    # Nor does it leap after that.
    assert 30 < driven.limit < 33


# The breaker.


def _broken(start: float = 100.0) -> Driven:
    driven = Driven(start=start)
    sent = driven.fill()
    driven.now += 0.1
    for sent_at in sent[:5]:
        assert not driven.control.breaker_open
        driven.end(sent_at, "failed")
    assert driven.control.breaker_open
    return driven


def test_a_few_failures_among_many_answers_change_nothing() -> None:
    driven = Driven(start=100.0)
    sent = driven.fill()
    driven.now += 0.1
    for sent_at in sent[:20]:
        driven.end(sent_at)
    for sent_at in sent[20:28]:
        driven.end(sent_at, "failed")
    assert not driven.control.breaker_open
    assert driven.limit == 100
    # The answers are forgotten after 10 seconds.
    driven.now += 11.0
    for sent_at in sent[28:33]:
        driven.end(sent_at, "failed")
    assert driven.control.breaker_open


def test_while_it_is_open_only_two_requests_a_second_are_sent() -> None:
    driven = _broken()
    # What is under way is the limit, or it would be filled up again.
    assert driven.limit == driven.control.in_flight
    assert not driven.control.may_send(driven.now)
    count = 0
    for _ in range(100):
        driven.now += 0.1
        driven.control.tick(driven.now)
        if driven.control.may_send(driven.now):
            assert driven.limit == driven.control.in_flight + 1
            count += 1
            sent = driven.send()
            assert not driven.control.may_send(driven.now)
            driven.end(sent[0], "failed")
    assert 18 <= count <= 21


def test_while_it_is_open_the_limit_is_1_at_least() -> None:
    driven = _broken(start=6.0)
    driven.end(driven.sent[0], "neutral")
    assert driven.control.in_flight == 0
    assert driven.limit == 1
    assert not driven.control.may_send(driven.now)


def _probe(driven: Driven) -> float:
    while not driven.control.may_send(driven.now):
        driven.now += 0.05
    return driven.send()[0]


def test_five_answered_probes_close_it() -> None:
    driven = _broken()
    for _ in range(5):
        assert driven.control.breaker_open
        sent_at = _probe(driven)
        driven.now += 0.1
        driven.end(sent_at)
        driven.control.tick(driven.now)
    assert not driven.control.breaker_open
    # And on the way back to what it was.
    assert 70 <= driven.limit < 90


def test_answers_to_older_requests_do_not_close_it() -> None:
    driven = _broken()
    for sent_at in list(driven.sent[:50]):
        driven.end(sent_at)
    # Nor do failures of theirs keep it open.
    driven.end(driven.sent[0], "failed")
    driven.control.tick(driven.now)
    assert driven.control.breaker_open


def test_probes_that_have_not_failed_for_a_while_close_it() -> None:
    """Answers take a minute perhaps; a failing server fails at once."""
    driven = _broken()
    for _ in range(5):
        _probe(driven)
    assert driven.control.breaker_open
    driven.now += 2.5
    driven.control.tick(driven.now)
    assert not driven.control.breaker_open


def test_a_probe_that_fails_starts_the_count_again() -> None:
    driven = _broken()
    for kind in ("ok", "ok", "ok", "ok", "failed", "ok", "ok", "ok", "ok"):
        sent_at = _probe(driven)
        driven.now += 0.1
        driven.end(sent_at, kind)
        driven.control.tick(driven.now)
        assert driven.control.breaker_open
    driven.end(_probe(driven))
    driven.control.tick(driven.now)
    assert not driven.control.breaker_open


def test_where_failing_takes_long_so_does_a_probe() -> None:
    driven = Driven(start=100.0)
    sent = driven.fill()
    driven.now += 30.0
    for sent_at in sent[:5]:
        driven.end(sent_at, "failed")
    for _ in range(5):
        _probe(driven)
    driven.now += 50.0
    driven.control.tick(driven.now)
    assert driven.control.breaker_open
    driven.now += 15.0
    driven.control.tick(driven.now)
    assert not driven.control.breaker_open


def test_outcomes_that_do_not_tell_their_time_count_as_probes() -> None:
    control = AdaptiveLimit(ceiling=100, start=20)
    for _ in range(20):
        control.on_send(0.0)
    for _ in range(5):
        control.on_result(0.1, Outcome("failed"))
    assert control.breaker_open
    control.on_result(0.2, Outcome("ok"))
    for number in range(1, 6):
        control.on_send(float(number))
        control.on_result(number + 0.1, Outcome("ok"))
        assert control.breaker_open
    control.tick(6.0)
    assert not control.breaker_open


# Waiting at the server.


def _sampled(driven: Driven) -> float:
    """Send until one of them is to be streamed."""
    while True:
        (sent_at,) = driven.send()
        if driven.control.sampled(sent_at):
            return sent_at


def _measured(*, start: float = 16.0) -> Driven:
    """A limit that has seen that nothing waits."""
    driven = Driven(start=start)
    sent_at = _sampled(driven)
    driven.now += 0.2
    driven.control.on_first_token(sent_at, driven.now)
    driven.end(sent_at)
    return driven


def test_one_of_twenty_is_streamed() -> None:
    control = AdaptiveLimit(ceiling=100)
    assert [control.sampled(float(number)) for number in range(40)].count(True) == 2


def test_with_samples_it_rises_faster() -> None:
    driven = _measured()
    driven.wait(30.0)
    assert driven.limit == pytest.approx(64.0, abs=2.0)


def test_a_wait_of_5_seconds_ends_the_doubling_and_15_hold_the_limit() -> None:
    driven = _measured(start=100.0)
    waiting = _sampled(driven)
    driven.sent.remove(waiting)
    limits: dict[int, float] = {}
    while driven.now < waiting + 20.0:
        driven.answer(20, after=0.2)
        limits[int(driven.now - waiting)] = driven.limit
        driven.wait(TICK)
    assert limits[4] > 2 * limits[0]
    assert limits[6] < limits[9] < limits[6] + 10
    assert limits[16] == limits[19]


def test_a_wait_of_a_minute_lowers_it_every_half_minute() -> None:
    driven = _measured(start=100.0)
    _sampled(driven)
    driven.wait(60.0)
    held = driven.limit
    driven.wait(1.0)
    assert driven.limit == pytest.approx(held * 0.5, rel=0.02)
    driven.wait(28.0)
    assert driven.limit == pytest.approx(held * 0.5, rel=0.02)
    driven.wait(3.0)
    assert driven.limit == pytest.approx(held * 0.25, rel=0.02)


def test_long_prompts_take_their_time_though_nothing_waits() -> None:
    driven = Driven()
    for _ in range(3):
        sent_at = _sampled(driven)
        driven.now += 30.0
        driven.control.on_first_token(sent_at)
        driven.end(sent_at)
    _sampled(driven)
    limit = driven.limit
    driven.wait(29.0)
    assert driven.limit > limit


def test_first_tokens_of_others_say_nothing() -> None:
    driven = Driven()
    driven.control.on_first_token(5.0)
    driven.wait(60.0)
    assert driven.limit == 32


def test_samples_that_are_never_streamed_are_given_up() -> None:
    """The engine can't stream all kinds of requests."""
    driven = Driven(start=200.0)
    for _ in range(5):
        sent_at = _sampled(driven)
        driven.now += 1.0
        driven.end(sent_at)
    assert not any(driven.control.sampled(driven.now + number) for number in range(40))


def test_samples_that_failed_before_they_began_are_forgotten() -> None:
    driven = _measured()
    sent_at = _sampled(driven)
    driven.end(sent_at, "failed")
    driven.wait(30.0)
    assert driven.limit > 32


def test_a_sample_whose_end_was_missed_is_forgotten() -> None:
    driven = _measured(start=100.0)
    driven.sent.remove(_sampled(driven))
    driven.wait(650.0)
    assert driven.limit == 1
    driven.answer(len(driven.sent), after=1.0)
    driven.wait(5.0)
    assert driven.limit == 1
    driven.wait(15.0)
    assert driven.limit > 1


def _answers_all_take(driven: Driven, seconds: float, count: int = 12) -> None:
    driven.fill()
    for _ in range(count):
        sent_at = driven.sent[0]
        driven.now = max(driven.now, sent_at + seconds)
        driven.control.tick(driven.now)
        driven.end(sent_at)


def test_without_samples_answers_that_are_all_late_hold_the_limit() -> None:
    driven = Driven(start=60.0)
    _answers_all_take(driven, 1.0)
    _answers_all_take(driven, 40.0, 24)
    held = driven.limit
    driven.wait(10.0)
    assert driven.limit == held


def test_without_samples_it_is_halved_and_then_seen_whether_that_helped() -> None:
    driven = Driven(start=60.0)
    _answers_all_take(driven, 1.0)
    _answers_all_take(driven, 150.0)
    before = driven.limit
    driven.wait(0.25, full=False)
    halved = driven.limit
    assert halved == before / 2
    # Until it is known, it doesn't rise.
    driven.wait(10.0)
    assert driven.limit == halved
    # Of requests sent since, answers take as long as before: they are simply long.
    while driven.sent:
        driven.end(driven.sent[0])
    _answers_all_take(driven, 150.0, 24)
    driven.answer(12, after=150.0)
    driven.wait(20.0)
    assert driven.limit > halved


def test_a_cut_that_helped_is_not_taken_back() -> None:
    driven = Driven(start=60.0)
    _answers_all_take(driven, 1.0)
    _answers_all_take(driven, 150.0)
    driven.wait(0.25, full=False)
    halved = driven.limit
    while driven.sent:
        driven.end(driven.sent[0])
    _answers_all_take(driven, 60.0, 24)
    driven.wait(20.0)
    assert driven.limit == halved


def test_a_kept_limit_is_tried_although_answers_are_long() -> None:
    driven = Driven(start=30.0)
    _answers_all_take(driven, 1.0)
    driven.kept(20)
    _answers_all_take(driven, 60.0, 24)
    driven.wait(40.0)
    assert driven.limit > 20


@pytest.mark.parametrize("is_told", [True, False])
def test_requests_closed_in_the_queue_lower_it_once_in_half_a_minute(is_told: bool) -> None:
    driven = Driven(start=100.0)
    sent = driven.fill()
    driven.now += 20.0 if is_told else 600.0
    for sent_at in sent[:20]:
        driven.end(sent_at, "failed", closed_in_queue=is_told)
    assert driven.limit == pytest.approx(70.0)
    assert not driven.control.breaker_open
    driven.now += 31.0
    driven.end(sent[20], "failed", closed_in_queue=True)
    assert driven.limit == pytest.approx(49.0)


# Whatever comes.


def test_a_clock_that_goes_backwards_is_harmless() -> None:
    driven = Driven()
    driven.wait(10.0)
    limit = driven.limit
    driven.control.tick(0.0)
    driven.control.on_send(-5.0)
    driven.control.on_result(-1.0, Outcome("ok", 2000.0))
    driven.control.tick(driven.now)
    assert driven.limit == limit


def test_results_without_requests_do_not_make_the_count_negative() -> None:
    control = AdaptiveLimit(ceiling=10)
    control.on_result(1.0, Outcome())
    assert control.in_flight == 0
    control.on_send(2.0)
    assert control.in_flight == 1


_KINDS = st.sampled_from(["ok", "rejected", "failed", "neutral", "send", "tick", "sample"])
_EVENTS = st.lists(
    st.tuples(
        _KINDS,
        st.floats(-1.0, 700.0),
        st.none() | st.integers(-5, 3000),
        st.none() | st.floats(-10.0, 1e5),
    ),
    max_size=80,
)


@settings(max_examples=60, deadline=None)
@given(_EVENTS)
def test_whatever_comes_the_limit_stays_within_its_bounds(
    events: list[tuple[str, float, int | None, float | None]],
) -> None:
    control = AdaptiveLimit(ceiling=100)
    now, in_flight = 0.0, 0
    for kind, seconds, stated, sent_at in events:
        now += seconds
        if kind == "send":
            control.on_send(now)
            in_flight += 1
        elif kind == "tick":
            control.tick(now)
        elif kind == "sample":
            if control.sampled(now):
                control.on_first_token(now)
        else:
            outcome = Outcome(kind, sent_at, stated, stated)  # type: ignore[arg-type]  # a table
            control.on_result(now, outcome)
            in_flight = max(0, in_flight - 1)
        assert control.in_flight == in_flight
        assert 1 <= control.limit <= max(100, in_flight + 1)
        assert math.isfinite(control.limit)
