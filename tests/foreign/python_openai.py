"""``openai``: AsyncOpenAI, plain, streamed, and with its ``.stream()`` helper."""

from __future__ import annotations

import json
from typing import Any

import openai

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
def client(url: str, key: str = KEY) -> Any:
    return openai.AsyncOpenAI(base_url=url, api_key=key, max_retries=0)


def ask(text: str, **options: Any) -> dict[str, Any]:
    return {"model": MODEL, "messages": [{"role": "user", "content": text}], **options}


async def chat(url: str) -> None:
    async with client(url) as api:
        found = await api.chat.completions.create(**ask(HELLO))
        same(found.choices[0].message.content, HELLO_TEXT)
        holds(found.usage.total_tokens > 0, "no usage")


async def stream(url: str) -> None:
    async with client(url) as api:
        options = {"stream_options": {"include_usage": True}}
        text, usage = "", None
        async for chunk in await api.chat.completions.create(**ask(HELLO, stream=True, **options)):
            text += chunk.choices[0].delta.content or ""
            usage = chunk.usage or usage
        same(text, HELLO_TEXT)
        holds(usage is not None, "no usage")
        async with api.chat.completions.stream(**ask(HELLO)) as events:
            seen = [event async for event in events]
            final = await events.get_final_completion()
        same("".join(e.delta for e in seen if e.type == "content.delta"), HELLO_TEXT)
        same(final.choices[0].message.content, HELLO_TEXT)


async def streamed_tools(url: str) -> None:
    async with (
        client(url) as api,
        api.chat.completions.stream(**ask(LOOK_UP, tools=TOOLS)) as events,
    ):
        done = [
            (event.name, json.loads(event.arguments))
            async for event in events
            if event.type == "tool_calls.function.arguments.done"
        ]
        final = await events.get_final_completion()
    same(done, [(name, ARGUMENTS) for name in NAMES])
    same([call.function.name for call in final.choices[0].message.tool_calls], NAMES)


async def round_trip(url: str) -> None:
    async with client(url) as api:
        request = ask(LOOK_UP, tools=TOOLS)
        first = (await api.chat.completions.create(**request)).choices[0].message
        request["messages"].append(first)
        for call in first.tool_calls:
            result = {"role": "tool", "tool_call_id": call.id, "content": f"{call.id} is fine"}
            request["messages"].append(result)
        second = (await api.chat.completions.create(**request)).choices[0]
        same(second.finish_reason, "stop")
        holds(f"{first.tool_calls[0].id} is fine" in second.message.content, "no result in it")


async def reasoning(url: str) -> None:
    async with client(url) as api:
        thought = text = ""
        async for chunk in await api.chat.completions.create(**ask(THINK, stream=True)):
            delta = chunk.choices[0].delta
            thought += getattr(delta, "reasoning_content", None) or ""
            text += delta.content or ""
        same((thought, text), (THOUGHT, THOUGHT_TEXT))


async def json_mode(url: str) -> None:
    async with client(url) as api:
        options = {"response_format": {"type": "json_object"}}
        found = await api.chat.completions.create(**ask(AS_JSON, **options))
        same(json.loads(found.choices[0].message.content), {"answer": 42})


async def models(url: str) -> None:
    async with client(url) as api:
        holds(MODEL in [model.id async for model in api.models.list()], "no such model")


async def bad_key(url: str) -> None:
    async with client(url, BAD_KEY) as api:
        try:
            await api.chat.completions.create(**ask(HELLO))
        except openai.AuthenticationError as exc:
            holds("****" in str(exc), str(exc))
        else:
            raise AssertionError("no error")


async def refused(url: str) -> None:
    async with client(url) as api:
        try:
            await api.chat.completions.create(**ask(REFUSED, stream=True))
        except openai.RateLimitError as exc:
            same(exc.status_code, 429)
        else:
            raise AssertionError("no error")


run(
    {
        "chat": chat,
        "stream": stream,
        "streamed parallel tools": streamed_tools,
        "tool round trip": round_trip,
        "streamed reasoning": reasoning,
        "JSON mode": json_mode,
        "models": models,
        "401": bad_key,
        "429": refused,
    }
)
