"""The part of the built-in simulator: which question gets which answer, and how fast."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from deepseek_async import simulator
from deepseek_async.ui import texts
from deepseek_async.ui.grid import QUESTION

#: About the pace of the real thing. Keep-alives come often, so that the queue can be seen.
PACE: Mapping[str, float] = {
    "tokens_per_second": 62.0,
    "first_token_seconds": 0.35,
    "keep_alive_seconds": 0.5,
}
_GRID_PACE = 50.0
# More streams get the same ones again.
_POSTCARDS = 25
_NUMBER = re.compile(rf"{QUESTION} (\d+)")

Body = dict[str, Any]


def prepare(sim: "simulator.Simulator") -> None:
    """Teach the simulator its answers; what they can't be found for gets one about itself."""

    def always(text: str | None = None, **fields: Any) -> None:
        sim.script(simulator.Reply(text, times="forever", **fields))

    always(texts.SKY, reasoning=texts.SKY_REASONING, match=_asks("sky dark"))
    always(texts.CODE, reasoning=texts.CODE_REASONING, match=_asks("token bucket"))
    _prepare_tools(always)
    always(texts.CHINESE, reasoning=texts.CHINESE_REASONING, match=_asks("缓存"))
    always(texts.long_story(), tokens_per_second=240.0, match=_asks("lighthouse"))
    always(texts.QUEUE, queue_seconds=6.0, match=_asks("queue"))
    cut = simulator.Fault("cut", after_events=70)
    always(texts.BREAKS, fault=cut, match=_asks("break off"))
    for number in range(_POSTCARDS):
        always(texts.postcard(number), tokens_per_second=_GRID_PACE, match=_stream(number))
    for number, text in enumerate(texts.ABOUT):
        always(text, match=_length(number))


def _prepare_tools(always: Callable[..., None]) -> None:
    # Slower than text, so that it can be watched.
    pace = 26.0
    cities = ("Reykjavík", "Lisbon")
    always(
        reasoning=texts.WEATHER_REASONING,
        tool_calls=[("get_weather", {"city": city, "unit": "celsius"}) for city in cities],
        tokens_per_second=pace,
        match=_calls(0, "weather"),
    )
    always(
        reasoning=texts.MEAN_REASONING,
        tool_calls=[("calculate", {"expression": "(-3 + 19) / 2"})],
        tokens_per_second=pace,
        match=_calls(2, "weather"),
    )
    always(texts.WEATHER, match=_calls(3, "weather"))


def _asked(body: Body) -> tuple[str, int]:
    """Return the last question, and how many results of tools have come since."""
    results = 0
    for message in reversed(body.get("messages") or []):
        if message.get("role") == "user":
            return str(message.get("content")), results
        results += message.get("role") == "tool"
    return "", results


def _asks(part: str) -> Callable[[Body], bool]:
    return lambda body: part in _asked(body)[0].lower()


def _calls(results: int, part: str) -> Callable[[Body], bool]:
    def match(body: Body) -> bool:
        question, had = _asked(body)
        return part in question.lower() and bool(body.get("tools")) and had == results

    return match


def _stream(number: int) -> Callable[[Body], bool]:
    def match(body: Body) -> bool:
        found = _NUMBER.match(_asked(body)[0])
        return found is not None and (int(found.group(1)) - 1) % _POSTCARDS == number

    return match


def _length(number: int) -> Callable[[Body], bool]:
    """By the length of the question, so that the same one is answered the same way."""
    return lambda body: len(_asked(body)[0]) % len(texts.ABOUT) == number
