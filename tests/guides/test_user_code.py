"""The programs that the type checkers look at do what they say, and hide nothing from them."""

import re
from pathlib import Path

import pytest

from deepseek_async.compat import AsyncOpenAI
from deepseek_async.simulator import Fault, Reply, Simulator
from tests.typing import openai_user_code, user_code

FOLDER = Path(user_code.__file__).parent
# An earlier answer and what it was asked: enough for the cache to have something to find.
LONG = "Tell me about fog. " * 200


@pytest.mark.parametrize("name", ["user_code.py", "openai_user_code.py"])
def test_there_is_no_cast_and_no_ignored_finding(name: str) -> None:
    text = (FOLDER / name).read_text(encoding="utf-8")
    assert not re.search(r"#\s*(type|pyright|mypy|noqa)|\bcast\(|TYPE_CHECKING|reveal_type", text)


async def test_plain_and_streamed_answers() -> None:
    async with Simulator() as sim, sim.client() as client:
        sim.script(Reply("Yes.", reasoning="Hm.", times=2), Reply("Fog.\nMist.", reasoning="Hm."))
        assert await user_code.ask(client, "Fog?") == ("Hm.", "Yes.")
        assert sim.requests[0].body is not None
        assert sim.requests[0].body["seed"] == 1
        reasoning, content, usage = await user_code.ask_streamed(client, "Fog?")
        assert (reasoning, content) == ("Hm.", "Yes.")
        assert usage is not None
        assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
        shown = await user_code.follow(client, "Fog?")
        assert "".join(shown) == "Hm.Fog.\nMist.stopdeepseek-flash"


async def test_a_stream_that_is_cut_off() -> None:
    async with Simulator() as sim, sim.client() as client:
        sim.script(Reply("Fog and mist", fault=Fault("cut", after_events=4)))
        stream = await client.chat.completions.create(
            model="deepseek-flash", messages=[{"role": "user", "content": "?"}], stream=True
        )
        shown = [line async for line in user_code.lines(stream)]
        assert shown[-1] == "event: cut\ndata: 1\n\n"
        assert len(shown) > 1


async def test_tools_and_what_they_took() -> None:
    ulm = {"location": "Ulm", "days": 2}
    bill = user_code.Bill()
    async with Simulator() as sim, sim.client() as client:
        sim.script(
            Reply(reasoning="Look it up.", tool_calls=[("weather", ulm)]),
            Reply("Fog."),
            Reply(tool_calls=[("forecast", ulm)]),
            Reply("Fog."),
        )
        messages = await user_code.agent(client, LONG, bill)
        assert len(messages) == 4
        assert bill.cached > 0
        assert bill.fresh > 0
        assert bill.reasoning > 0
        assert bill.usd > 0
        assert await user_code.agent_of_the_library(client, "Weather?") == (
            ["forecast: Fog in Ulm in 2 days"],
            "Fog.",
        )


async def test_a_value_of_a_type() -> None:
    async with Simulator() as sim, sim.client() as client:
        sim.script(Reply.json({"question": "Who wrote Faust?", "answer": "Goethe"}))
        assert await user_code.extract(client, "...") == "GOETHE (Who wrote Faust?)"


async def test_the_rest() -> None:
    async with Simulator() as sim, sim.client() as client:
        sim.script(
            Reply("a + b"), Reply.error("concurrency_limit"), Reply.error("rate_limit"), Reply("Hi")
        )
        assert await user_code.fill(client, "def add(a, b):\n    return ", "") == "a + b"
        assert re.fullmatch(r"at most \d+ at once", await user_code.patiently(client, "?"))
        assert await user_code.patiently(client, "?") == "429: True, ?"
        assert await user_code.patiently(client, "?") == "Hi"
        models, balance = await user_code.account(client)
        assert "deepseek-flash" in models
        assert balance > 0


async def test_the_program_of_the_other_sdk() -> None:
    async with Simulator() as sim, sim.client(max_retries=0) as client:
        base_url = sim.base_url
        sim.script(
            Reply(tool_calls=[("weather", {"city": "Ulm"})]),
            Reply("Fog."),
            Reply("Mist.", reasoning="Hm."),
        )
        assistant = openai_user_code.Assistant(client, model="deepseek-flash")
        assert await openai_user_code.outcome(assistant, LONG) == "Fog."
        assert openai_user_code.cached(assistant.usage) > 0
        bodies = [request.body or {} for request in sim.requests]
        assert all("temperature" not in body for body in bodies)
        assert bodies[1]["messages"][-1]["content"] == "weather of Ulm: fog"
        stream = await assistant.tell("And tomorrow?")
        assert await openai_user_code.read(stream) == ("Hm.", "Mist.")
        sim.faults(Fault("rate_limit"))
        failed = await openai_user_code.outcome(assistant, "And then?")
        assert failed.startswith("status 429: ")
    async with AsyncOpenAI(api_key="sk-1", base_url=base_url, max_retries=0) as client:
        assistant = openai_user_code.Assistant(client, model="deepseek-flash")
        assert (await openai_user_code.outcome(assistant, "?")).startswith("no connection: ")
