from collections.abc import Iterator
from decimal import Decimal

import pytest

from deepseek_async import Usage
from deepseek_async.cli.meter import Meter, Reading, dollars, meter_line, seconds

USAGE = Usage(prompt_tokens=1200, completion_tokens=80, prompt_cache_hit_tokens=1024)


def ticking(*times: float) -> Iterator[float]:
    return iter(times)


def test_meter_measures_first_token_and_pace() -> None:
    clock = ticking(10.0, 10.5, 12.0, 12.5)
    meter = Meter(lambda: next(clock))
    for _ in range(3):
        meter.tick()
    reading = meter.read(USAGE, "deepseek-flash", priced=True)
    assert reading.first_token_seconds == 0.5
    assert reading.tokens_per_second == 40.0
    assert reading.cost is not None
    assert reading.cost > 0


def test_meter_without_tokens_has_no_times() -> None:
    reading = Meter(lambda: 1.0).read(None, "deepseek-flash", priced=True)
    assert reading == Reading()
    assert meter_line(reading) == "no token counts"


def test_meter_tells_no_pace_of_an_answer_in_one_block() -> None:
    meter = Meter(lambda: 1.0)
    meter.tick()
    assert meter.read(USAGE, "m", priced=False) == Reading(USAGE, None, 0.0, None)


def test_meter_line_names_tokens_cache_cost_and_times() -> None:
    reading = Reading(USAGE, Decimal("0.00031"), 0.42, 71.3)
    assert meter_line(reading) == (
        "1,200 in (1,024 cached) · 80 out · $0.00031 · first token 0.42 s · 71 tokens/s"
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
