from collections.abc import Iterator
from decimal import Decimal

import pytest

from deepseek_async import ChatCompletion, Segment, Usage
from deepseek_async.cli.meter import Meter, Reading, dollars, meter_line, seconds, total_cost

USAGE = Usage(prompt_tokens=1200, completion_tokens=80, prompt_cache_hit_tokens=1024)
ANSWER = ChatCompletion(
    id="1", choices=[], model="deepseek-flash", created=1_795_000_000, usage=USAGE
)


def ticking(*times: float) -> Iterator[float]:
    return iter(times)


def test_meter_measures_first_token_and_pace() -> None:
    clock = ticking(10.0, 10.5, 12.0, 12.5)
    meter = Meter(lambda: next(clock))
    for _ in range(3):
        meter.tick()
    reading = meter.read(USAGE, ANSWER, priced=True)
    assert reading.first_token_seconds == 0.5
    assert reading.tokens_per_second == 40.0
    assert reading.cost is not None
    assert reading.cost > 0


def test_meter_without_tokens_has_no_times() -> None:
    reading = Meter(lambda: 1.0).read(None, ANSWER.model_copy(update={"usage": None}), priced=True)
    assert reading == Reading()
    assert meter_line(reading) == "no token counts"


def test_meter_tells_no_pace_of_an_answer_in_one_block() -> None:
    meter = Meter(lambda: 1.0)
    meter.tick()
    assert meter.read(USAGE, ANSWER, priced=False) == Reading(USAGE, None, 0.0, None)


def test_meter_leaves_out_the_time_of_tools() -> None:
    clock = ticking(0.0, 1.0, 2.0, 9.0, 10.0)
    meter = Meter(lambda: next(clock))
    meter.tick()
    meter.tick()
    meter.pause()
    meter.tick()
    meter.tick()
    assert meter.read(USAGE, ANSWER, ANSWER, priced=True) == Reading(
        USAGE, 2 * (ANSWER.cost() or Decimal("nan")), 1.0, 40.0, requests=2
    )


def test_meter_counts_the_requests_of_an_answer() -> None:
    continued = ANSWER.model_copy(update={"segments": [Segment(), Segment()]})
    assert Meter(lambda: 0.0).read(USAGE, continued, priced=True).requests == 2


def test_meter_knows_no_cost_of_an_unknown_model() -> None:
    unknown = ANSWER.model_copy(update={"model": "llama"})
    for answers in ([unknown], [ANSWER, unknown]):
        reading = Meter(lambda: 0.0).read(USAGE, *answers, priced=True)
        assert reading.cost is None
        assert "cost unknown" in meter_line(reading)


def test_several_costs_are_known_together_or_not() -> None:
    assert total_cost([Decimal(1), Decimal(2)]) == 3
    assert total_cost([Decimal(1), None]) is None
    assert total_cost([]) is None


def test_meter_line_names_tokens_cache_cost_and_times() -> None:
    reading = Reading(USAGE, Decimal("0.00031"), 0.42, 71.3)
    assert meter_line(reading) == (
        "1,200 in (1,024 cached) · 80 out · $0.00031 · first token 0.42 s · 71 tokens/s"
    )


def test_meter_line_tells_of_several_requests_and_an_early_end() -> None:
    assert meter_line(Reading(requests=3), "length") == (
        "3 requests · no token counts · ended early: length"
    )


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0", "$0"),
        ("0.0000312", "$0.000031"),
        ("0.031", "$0.031"),
        ("0.5", "$0.50"),
        ("12.345", "$12.35"),
    ],
)
def test_dollars_keep_two_digits_that_count(amount: str, text: str) -> None:
    assert dollars(Decimal(amount)) == text.replace("12.35", f"{Decimal('12.345'):.2f}")


def test_seconds_are_rounded_when_long() -> None:
    assert (seconds(0.123), seconds(12.3)) == ("0.12 s", "12 s")
