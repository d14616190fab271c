"""``pydantic-ai``: an agent with the DeepSeekProvider."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

# Installed only in the environment of this program.
import openai
from pydantic_ai import Agent, PromptedOutput  # type: ignore[import-not-found]
from pydantic_ai.exceptions import ModelHTTPError  # type: ignore[import-not-found]
from pydantic_ai.messages import ThinkingPart  # type: ignore[import-not-found]
from pydantic_ai.models.openai import OpenAIChatModel  # type: ignore[import-not-found]
from pydantic_ai.providers.deepseek import DeepSeekProvider  # type: ignore[import-not-found]

from tests.foreign.checks import (
    AS_JSON,
    BAD_KEY,
    HELLO,
    HELLO_TEXT,
    KEY,
    LOOK_UP,
    MODEL,
    NAMES,
    REFUSED,
    THINK,
    THOUGHT,
    THOUGHT_TEXT,
    holds,
    run,
    same,
)


@dataclass
class Answer:
    """What is asked for in JSON mode."""

    answer: int


# Any: types of a library that isn't installed where types are checked.
def agent(url: str, key: str = KEY, **options: Any) -> Any:
    api = openai.AsyncOpenAI(base_url=url, api_key=key, max_retries=0)
    model = OpenAIChatModel(MODEL, provider=DeepSeekProvider(openai_client=api))
    return Agent(model, **options)


def with_tools(url: str, called: list[str]) -> Any:
    made = agent(url)

    @made.tool_plain  # type: ignore[untyped-decorator]  # as above
    def weather(city: str) -> str:
        called.append("weather")
        return f"{city} is fine"

    @made.tool_plain  # type: ignore[untyped-decorator]  # as above
    def clock(city: str) -> str:
        called.append("clock")
        return f"{city} is late"

    return made


async def chat(url: str) -> None:
    found = await agent(url).run(HELLO)
    same(found.output, HELLO_TEXT)


async def stream(url: str) -> None:
    async with agent(url).run_stream(HELLO) as streamed:
        text = "".join([delta async for delta in streamed.stream_text(delta=True)])
    same(text, HELLO_TEXT)


async def streamed_tools(url: str) -> None:
    called: list[str] = []
    async with with_tools(url, called).run_stream(LOOK_UP) as streamed:
        text = await streamed.get_output()
    same(sorted(called), sorted(NAMES))
    holds("Hangzhou is fine" in text, text)


async def round_trip(url: str) -> None:
    called: list[str] = []
    found = await with_tools(url, called).run(LOOK_UP)
    same(sorted(called), sorted(NAMES))
    holds("Hangzhou is late" in found.output, found.output)


async def reasoning(url: str) -> None:
    async with agent(url).run_stream(THINK) as streamed:
        text = await streamed.get_output()
        parts = [part for message in streamed.all_messages() for part in message.parts]
    same([part.content for part in parts if isinstance(part, ThinkingPart)], [THOUGHT])
    same(text, THOUGHT_TEXT)


async def json_mode(url: str) -> None:
    found = await agent(url, output_type=PromptedOutput(Answer)).run(AS_JSON)
    same(found.output, Answer(42))


async def bad_key(url: str) -> None:
    await _fails(agent(url, BAD_KEY).run(HELLO), 401)


async def refused(url: str) -> None:
    await _fails(agent(url).run(REFUSED), 429)


async def _fails(running: Any, status: int) -> None:
    try:
        await running
    except ModelHTTPError as exc:
        same(exc.status_code, status)
        return
    raise AssertionError("no error")


run(
    {
        "chat": chat,
        "stream": stream,
        "streamed parallel tools": streamed_tools,
        "tool round trip": round_trip,
        "streamed reasoning": reasoning,
        "JSON mode": json_mode,
        "401": bad_key,
        "429": refused,
    }
)
