"""What the demo asks, and what the built-in simulator answers to it."""

import json
import random
from collections.abc import Sequence
from typing import Any

from deepseek_async import MessageParam, simulator

QUESTION = "Why is the sky dark at night?"
_REASONING = (
    "The short answer, that the sun is on the other side, is not enough. In an endless, "
    "unchanging universe full of stars every line of sight would end on one, and the whole sky "
    "would be as bright as the sun: that is Olbers' paradox. What breaks its assumptions? The "
    "universe has an age, and it expands. Dust doesn't help, since it would heat up and glow. I "
    "should name both reasons and say which one weighs more."
)
_ANSWER = """\
Because the universe is **young and expanding**. If it were endless, eternal and still, every \
line of sight would end on a star and the night would be as bright as day. This is \
**Olbers' paradox**, and two facts resolve it:

1. **A finite age.** Light has had 13.8 billion years to reach us. From most stars it is still \
on its way.
2. **Expansion.** Light from far away is stretched. The glow of the early universe fills the \
whole sky, but as microwaves at `2.7 K`, which no eye can see.

The first reason weighs more: there are simply too few stars within reach of our eyes.
"""

TOOLS_QUESTION = "What is the weather in Reykjavík and in Lisbon?"
TOOLS: Sequence[dict[str, Any]] = (
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Get the weather of a city as of now.",
            "parameters": {
                "type": "object",
                "properties": {
                    "city": {"type": "string"},
                    "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
                },
                "required": ["city", "unit"],
            },
        },
    },
)
_CALLS = (
    {"city": "Reykjavík", "unit": "celsius"},
    {"city": "Lisbon", "unit": "celsius"},
)

# Long enough to be cached: DeepSeek's cache works in blocks of 128 tokens or so.
_GUIDE = """\
You write captions for a travel magazine. A caption names one thing worth seeing in the city that \
the reader asks for, in one or two plain sentences of at most forty words.

Rules of the house:
- Name the thing first, then say why it is worth the way. Prefer places that are open all year.
- Give no prices, opening hours or phone numbers: they change faster than we print.
- Use no superlatives and no exclamation marks. "The largest" is allowed if it is a fact.
- Use the name that people of the city use, and the English name in brackets if it differs.
- Write for readers who have been to other cities: explain what is different here.
- If you don't know the city, say so in one sentence and stop.

An example, for Trieste: "Molo Audace, a stone pier that runs two hundred metres straight into the \
gulf: there is nothing at its end but the view back to the palaces of the Piazza Unità."
"""
# The whole blocks of the guide.
_GUIDE_CACHED_TOKENS = 256

_CITIES = """
Accra Amman Athens Bangkok Beirut Belgrade Bergen Bilbao Bogotá Bologna Busan Cairo Cork Cusco Dakar
Delhi Dublin Fez Ghent Granada Hanoi Havana Helsinki Hobart Istanbul Jaipur Kraków Kyoto Leipzig
Lima Luanda Lyon Manila Medellín Mumbai Nairobi Naples Oaxaca Osaka Oslo Porto Quito Riga Salvador
Seoul Tartu Tbilisi Tunis Valencia Vilnius
"""


def fan_out_messages(number: int) -> list[MessageParam]:
    """Return the messages of one of the many requests, counted from 0."""
    cities = _CITIES.split()
    city = cities[number % len(cities)]
    return [{"role": "system", "content": _GUIDE}, {"role": "user", "content": city}]


def prepare(sim: "simulator.Simulator", requests: int, pace: float) -> None:
    """Teach the simulator its part.

    Args:
        sim: The simulator.
        requests: How many requests are sent at once.
        pace: How many times faster than in real life; 0: as fast as possible.
    """

    def waiting(seconds: float) -> float:
        return seconds / pace if pace else 0.0

    def rate(tokens: float) -> float | None:
        return tokens * pace if pace else None

    sim.script(
        simulator.Reply(
            _ANSWER,
            reasoning=_REASONING,
            match=QUESTION,
            first_token_seconds=waiting(0.6),
            tokens_per_second=rate(72),
        ),
        simulator.Reply(
            tool_calls=[("get_weather", json.dumps(call, ensure_ascii=False)) for call in _CALLS],
            match=TOOLS_QUESTION,
            first_token_seconds=waiting(0.5),
            # Slower than text, so that it can be watched.
            tokens_per_second=rate(16),
        ),
    )
    # The same waits in each run.
    rng = random.Random(1823)
    replies = (
        simulator.Reply(
            first_token_seconds=waiting(rng.uniform(0.3, 1.2)),
            tokens_per_second=rate(rng.uniform(16, 40)),
            # The first one brings the guide into the cache, and the others find it there.
            usage={"prompt_cache_hit_tokens": _GUIDE_CACHED_TOKENS if number else 0},
        )
        for number in range(requests)
    )
    sim.script(*replies)
