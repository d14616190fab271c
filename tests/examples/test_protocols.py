"""What the example apps speak beside the native format: to `useChat`, to clients of OpenAI."""

import asyncio
from typing import Any

import openai
import pytest

from deepseek_async.simulator import Reply
from tests.examples.servers import App, Apps, browser, events_of, until

ANSWER = "".join(f"Word {number}. " for number in range(40))
# As `useChat` sends it, with a part and a field that nobody asked for.
UI_CHAT: dict[str, Any] = {
    "id": "chat-1",
    "trigger": "submit-message",
    "messages": [
        {"id": "1", "role": "user", "parts": [{"type": "text", "text": "Why?"}]},
        {
            "id": "2",
            "role": "assistant",
            "parts": [{"type": "step-start"}, {"type": "text", "text": "So."}],
        },
        {"id": "3", "role": "user", "parts": [{"type": "text", "text": "Why so?"}]},
    ],
}
HELLO: Any = [{"role": "user", "content": "Hello"}]


@pytest.fixture
def fastapi(apps: Apps) -> App:
    return apps.app("fastapi")


@pytest.fixture
def starlette(apps: Apps) -> App:
    return apps.app("starlette")


def text_of(parts: list[Any]) -> str:
    return "".join(part["delta"] for part in parts if part["type"] == "text-delta")


async def test_usechat_reads_an_answer(fastapi: App) -> None:
    fastapi.sim.script(Reply(ANSWER, reasoning="Hm."))
    async with browser() as session:
        async with session.post(f"{fastapi.url}/api/chat", json=UI_CHAT) as response:
            assert response.headers["x-vercel-ai-ui-message-stream"] == "v1"
            *parts, done = [data async for _, data in events_of(response)]
        # Nothing is under way any more.
        async with session.get(f"{fastapi.url}/api/chat/chat-1/stream") as response:
            assert response.status == 204
    assert done == "[DONE]"
    kinds = [part["type"] for part in parts]
    assert kinds[0] == "start"
    assert kinds[-1] == "finish"
    assert kinds.index("reasoning-end") < kinds.index("text-start") < kinds.index("text-end")
    assert text_of(parts) == ANSWER
    body: Any = fastapi.sim.requests[-1].body
    assert [message["content"] for message in body["messages"]] == ["Why?", "So.", "Why so?"]


async def test_usechat_resumes_and_stops(fastapi: App) -> None:
    fastapi.sim.script(Reply(ANSWER, tokens_per_second=20))
    stream = f"{fastapi.url}/api/chat/chat-1/stream"
    async with browser() as session, browser() as stranger:
        async with session.post(f"{fastapi.url}/api/chat", json=UI_CHAT) as response:
            async for _, part in events_of(response):
                if part["type"] == "text-delta":
                    break
        async with stranger.get(stream) as response:
            assert response.status == 204
        async with session.get(stream) as response:
            reading = asyncio.ensure_future(_parts(response))
            async with session.post(f"{fastapi.url}/api/chat/chat-1/stop") as stopped:
                assert stopped.status == 204
            parts = await reading
    await until(lambda: not fastapi.sim.metrics.in_flight)
    assert parts[0]["type"] == "start"
    assert "abort" in [part["type"] for part in parts if part != "[DONE]"]
    assert ANSWER.startswith(text_of(parts[:-1]))


async def _parts(response: Any) -> list[Any]:
    return [data async for _, data in events_of(response)]


def client_of(app: App) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(api_key="sk-own", base_url=f"{app.url}/v1", max_retries=0)


async def test_openais_client_reads_a_stream(starlette: App) -> None:
    starlette.sim.script(Reply(ANSWER, reasoning="Hm."))
    async with client_of(starlette) as client:
        stream = await client.chat.completions.create(
            model="gpt-any", messages=HELLO, stream=True, max_tokens=500
        )
        chunks = [chunk async for chunk in stream]
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    assert "".join(delta.content or "" for delta in deltas) == ANSWER
    # What OpenAI does not know passes, too.
    assert "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas) == "Hm."
    assert chunks[-1].usage is not None
    sent: Any = starlette.sim.requests[-1].body
    assert (sent["model"], sent["max_tokens"]) == ("deepseek-flash", 500)


async def test_openais_client_reads_a_plain_answer(starlette: App) -> None:
    starlette.sim.script(Reply(ANSWER))
    async with client_of(starlette) as client:
        completion = await client.chat.completions.create(model="gpt-any", messages=HELLO)
    assert completion.choices[0].message.content == ANSWER


async def test_openais_client_is_told_of_a_failure_by_the_status(starlette: App) -> None:
    starlette.sim.script(Reply.error("overloaded", retry_after=0, times="forever"))
    async with client_of(starlette) as client:
        with pytest.raises(openai.InternalServerError) as caught:
            await client.chat.completions.create(model="gpt-any", messages=HELLO, stream=True)
    assert caught.value.status_code == 503


async def test_openais_client_leaves(starlette: App) -> None:
    starlette.sim.script(Reply(ANSWER, tokens_per_second=20))
    async with client_of(starlette) as client:
        stream = await client.chat.completions.create(model="gpt-any", messages=HELLO, stream=True)
        await anext(aiter(stream))
        await stream.close()
        await until(lambda: not starlette.sim.metrics.in_flight)
