"""``litellm``: its ``deepseek/`` models."""

from __future__ import annotations

import json
from typing import Any

import litellm  # type: ignore[import-not-found]  # installed only in the environment of this program

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
async def ask(url: str, text: str | list[Any], key: str = KEY, **options: Any) -> Any:
    messages = [{"role": "user", "content": text}] if isinstance(text, str) else text
    return await litellm.acompletion(
        model=f"deepseek/{MODEL}",
        messages=messages,
        api_base=url,
        api_key=key,
        max_retries=0,
        **options,
    )


async def whole(url: str, text: str, **options: Any) -> Any:
    chunks = [chunk async for chunk in await ask(url, text, stream=True, **options)]
    return litellm.stream_chunk_builder(chunks).choices[0]


async def chat(url: str) -> None:
    found = await ask(url, HELLO)
    same(found.choices[0].message.content, HELLO_TEXT)
    holds(found.usage.total_tokens > 0, "no usage")


async def stream(url: str) -> None:
    same((await whole(url, HELLO)).message.content, HELLO_TEXT)


async def streamed_tools(url: str) -> None:
    calls = (await whole(url, LOOK_UP, tools=TOOLS)).message.tool_calls
    same([call.function.name for call in calls], NAMES)
    same([json.loads(call.function.arguments) for call in calls], [ARGUMENTS] * 2)


async def round_trip(url: str) -> None:
    first = (await ask(url, LOOK_UP, tools=TOOLS)).choices[0].message
    messages = [{"role": "user", "content": LOOK_UP}, first.model_dump()]
    for call in first.tool_calls:
        messages.append({"role": "tool", "tool_call_id": call.id, "content": f"{call.id} is fine"})
    second = (await ask(url, messages, tools=TOOLS)).choices[0].message
    holds(f"{first.tool_calls[0].id} is fine" in second.content, "no result in it")


async def reasoning(url: str) -> None:
    message = (await whole(url, THINK)).message
    same((message.reasoning_content, message.content), (THOUGHT, THOUGHT_TEXT))


async def json_mode(url: str) -> None:
    found = await ask(url, AS_JSON, response_format={"type": "json_object"})
    same(json.loads(found.choices[0].message.content), {"answer": 42})


async def bad_key(url: str) -> None:
    try:
        await ask(url, HELLO, BAD_KEY)
    # litellm 1.106 takes DeepSeek's 401 for a bad request: the body's code is
    # "invalid_request_error".
    except (litellm.AuthenticationError, litellm.BadRequestError) as exc:
        holds("Authentication Fails" in str(exc), str(exc))
        return
    raise AssertionError("no error")


async def refused(url: str) -> None:
    try:
        await ask(url, REFUSED)
    except litellm.RateLimitError:
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
