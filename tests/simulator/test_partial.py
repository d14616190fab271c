"""``stream.partial(T)``: a JSON answer as a value of its type, while it grows."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from deepseek_async import AsyncDeepSeek
from deepseek_async.simulator import Fault, Reply, Simulator


class Moon(msgspec.Struct):
    name: str
    radius: float | None = None


class Moons(msgspec.Struct):
    planet: str
    moons: list[Moon]


TEXT = '{"planet": "Jupiter", "moons": [{"name": "Io", "radius": 1821.6}, {"name": "Europa"}]}'
WHOLE = Moons("Jupiter", [Moon("Io", 1821.6), Moon("Europa")])
PARAMS: dict[str, Any] = {
    "model": "deepseek-flash",
    "messages": [{"role": "user", "content": "Moons of Jupiter, as JSON."}],
}
JSON: dict[str, Any] = {**PARAMS, "response_format": {"type": "json_object"}}
TOOLS: dict[str, Any] = {
    **PARAMS,
    "tools": [{"type": "function", "function": {"name": "f"}}],
}


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator() as simulator:
        yield simulator


@pytest.fixture
async def api(sim: Simulator) -> AsyncIterator[AsyncDeepSeek]:
    async with sim.client() as client:
        yield client


async def test_the_text_grows_into_the_value(sim: Simulator, api: AsyncDeepSeek) -> None:
    sim.script(Reply(TEXT, reasoning="hm"))
    seen: list[Moons | None] = []
    async with api.chat.completions.stream(**JSON) as stream:
        async for event in stream:
            if event.type in ("reasoning.delta", "content.delta"):
                seen.append(stream.partial(Moons))
        assert stream.partial(Moons) == WHOLE
    assert seen[0] is None, "nothing of it has come while the model reasons"
    assert seen[-1] == WHOLE
    shown = [value for value in seen if value is not None]
    assert len(shown) > 5
    assert shown[0] == Moons(None, None), "built without validation"  # type: ignore[arg-type]
    assert any(value.moons == [Moon("Io")] for value in shown)


async def test_two_types_may_be_looked_at_and_the_looks_be_rare(
    sim: Simulator, api: AsyncDeepSeek
) -> None:
    sim.script(Reply(TEXT))
    async with api.chat.completions.stream(**JSON) as stream:
        assert stream.partial(Moons) is None
        await stream.until_done()
        assert stream.partial(Moons) == WHOLE
        assert stream.partial(dict[str, Any]) == msgspec.json.decode(TEXT)


async def test_the_arguments_of_tool_calls(sim: Simulator, api: AsyncDeepSeek) -> None:
    sim.script(Reply(tool_calls=[("f", TEXT), ("f", '{"name": "Io"}')]))
    async with api.chat.completions.stream(**TOOLS) as stream:
        assert stream.partial(Moon, tool_call=1) is None
        async for _ in stream:
            stream.partial(Moons)
        assert stream.partial(Moons) == stream.partial(Moons, tool_call=0) == WHOLE
        assert stream.partial(Moon, tool_call=1) == Moon("Io")
        assert stream.partial(Moon, tool_call=2) is None


async def test_text_next_to_tool_calls_comes_first(sim: Simulator, api: AsyncDeepSeek) -> None:
    sim.script(Reply('{"name": "Io"}', tool_calls=[("f", TEXT)]))
    async with api.chat.completions.stream(**TOOLS) as stream:
        await stream.until_done()
        assert stream.partial(Moon) == Moon("Io")
        assert stream.partial(Moons, tool_call=0) == WHOLE


async def test_an_answer_begun_anew_is_looked_at_anew(sim: Simulator, api: AsyncDeepSeek) -> None:
    sim.script(Reply(TEXT, times="forever"))
    sim.faults(Fault("cut", after_events=1))
    async with api.chat.completions.stream(**JSON) as stream:
        async for _ in stream:
            stream.partial(Moons)
        assert stream.attempts == 2
        assert stream.partial(Moons) == WHOLE


async def test_without_text_there_is_nothing_to_look_at(api: AsyncDeepSeek) -> None:
    async with api.chat.completions.stream(**JSON, accumulate=False) as stream:
        with pytest.raises(RuntimeError, match="accumulate=False"):
            stream.partial(Moons)
