"""``langchain-deepseek``: ChatDeepSeek."""

from __future__ import annotations

import json
from typing import Any

# Installed only in the environment of this program.
import openai
from langchain_core.messages import HumanMessage, ToolMessage  # type: ignore[import-not-found]
from langchain_deepseek import ChatDeepSeek  # type: ignore[import-not-found]

from tests.foreign.checks import (
    ARGUMENTS,
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
    TOOLS,
    holds,
    run,
    same,
)


# Any: types of a library that isn't installed where types are checked.
def model(url: str, key: str = KEY, **options: Any) -> Any:
    return ChatDeepSeek(model=MODEL, api_key=key, api_base=url, max_retries=0, **options)


async def chat(url: str) -> None:
    found = await model(url).ainvoke(HELLO)
    same(found.content, HELLO_TEXT)
    holds(found.usage_metadata["total_tokens"] > 0, "no usage")


async def merged(url: str, text: str, **options: Any) -> Any:
    api = model(url)
    api = api.bind_tools(**options) if options else api
    whole = None
    async for chunk in api.astream(text):
        whole = chunk if whole is None else whole + chunk
    return whole


async def stream(url: str) -> None:
    found = await merged(url, HELLO)
    same(found.content, HELLO_TEXT)
    holds(found.usage_metadata["total_tokens"] > 0, "no usage")


async def streamed_tools(url: str) -> None:
    found = await merged(url, LOOK_UP, tools=TOOLS)
    same([call["name"] for call in found.tool_calls], NAMES)
    same([call["args"] for call in found.tool_calls], [ARGUMENTS] * 2)


async def round_trip(url: str) -> None:
    # It doesn't pass reasoning back (langchain-ai/langchain#39370), which the API refuses.
    api = model(url, extra_body={"thinking": {"type": "disabled"}}).bind_tools(TOOLS)
    first = await api.ainvoke(LOOK_UP)
    results = [
        ToolMessage(f"{call['id']} is fine", tool_call_id=call["id"]) for call in first.tool_calls
    ]
    second = await api.ainvoke([HumanMessage(LOOK_UP), first, *results])
    holds(f"{first.tool_calls[0]['id']} is fine" in second.content, "no result in it")


async def reasoning(url: str) -> None:
    found = await merged(url, THINK)
    same(found.additional_kwargs["reasoning_content"], THOUGHT)
    same(found.content, THOUGHT_TEXT)


async def json_mode(url: str) -> None:
    found = await model(url).bind(response_format={"type": "json_object"}).ainvoke(AS_JSON)
    same(json.loads(found.content), {"answer": 42})


async def bad_key(url: str) -> None:
    try:
        await model(url, BAD_KEY).ainvoke(HELLO)
    except openai.AuthenticationError:
        return
    raise AssertionError("no error")


async def refused(url: str) -> None:
    try:
        await merged(url, REFUSED)
    except openai.RateLimitError:
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
