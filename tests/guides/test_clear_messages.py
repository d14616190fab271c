"""Idioms of the OpenAI SDK that work by another name, or say what to do instead."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from deepseek_async.compat import NOT_GIVEN, AsyncOpenAI, AsyncStream
from deepseek_async.simulator import Reply, Simulator

MODEL = "deepseek-flash"
HELLO: list[dict[str, Any]] = [{"role": "user", "content": "Hello"}]
OPTIONS = {
    "organization": "leave it out",
    "project": "leave it out",
    "http_client": "aiohttp.ClientSession",
    "default_query": "extra_query",
    "websocket_base_url": "leave it out",
}
ATTRIBUTES = {
    "beta": r"client\.chat\.completions: parse\(\)",
    "responses": "chat.completions",
    "embeddings": "DeepSeek has no such API",
    "copy": "with_options",
    "with_streaming_response": "stream=True",
}
PARAMETERS = {
    "n": "DeepSeek has nothing like it; leave it out",
    "seed": "DeepSeek has nothing like it; leave it out",
    "store": "DeepSeek has nothing like it; leave it out",
    "functions": "use 'tools'",
    "function_call": "use 'tool_choice'",
    "temprature": "did you mean 'temperature'?",
    "guided_json": "to send it all the same, use extra_body",
}


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator() as sim:
        yield sim


@pytest.fixture
async def client(sim: Simulator) -> AsyncIterator[AsyncOpenAI]:
    async with sim.client() as client:
        yield client


@pytest.mark.parametrize(("name", "hint"), OPTIONS.items(), ids=OPTIONS)
async def test_an_option_that_can_not_be(client: AsyncOpenAI, name: str, hint: str) -> None:
    options: dict[str, Any] = {name: "x"}
    with pytest.raises(TypeError, match=f"'{name}'.*{hint}"):
        AsyncOpenAI(api_key="sk-1", **options)
    with pytest.raises(TypeError, match=f"'{name}'.*{hint}"):
        client.with_options(**options)


def test_an_option_that_nobody_knows() -> None:
    options: dict[str, Any] = {"retries": 3}
    with pytest.raises(TypeError, match=r"^AsyncDeepSeek\(\) got .* argument 'retries'$"):
        AsyncOpenAI(api_key="sk-1", **options)


@pytest.mark.parametrize(("name", "hint"), ATTRIBUTES.items(), ids=ATTRIBUTES)
async def test_an_attribute_that_can_not_be(client: AsyncOpenAI, name: str, hint: str) -> None:
    with pytest.raises(AttributeError, match=f"'{name}': .*{hint}"):
        getattr(client, name)
    assert not hasattr(client, name)


async def test_an_attribute_that_nobody_knows(client: AsyncOpenAI) -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'chats'$"):
        _ = getattr(client, "chats")  # noqa: B009  # type checkers know that it isn't there


@pytest.mark.parametrize(("name", "hint"), PARAMETERS.items(), ids=PARAMETERS)
async def test_a_parameter_that_can_not_be(client: AsyncOpenAI, name: str, hint: str) -> None:
    params: dict[str, Any] = {name: 1}
    with pytest.raises(TypeError, match=f"argument '{name}'; {hint}"):
        await client.chat.completions.create(model=MODEL, messages=HELLO, **params)


GIVEN: dict[str, dict[str, Any]] = {
    "tools": {"tools": NOT_GIVEN},
    "timeout": {"timeout": NOT_GIVEN, "max_retries": NOT_GIVEN},
    "both names": {"user": NOT_GIVEN, "max_completion_tokens": NOT_GIVEN},
    "unknown": {"seed": NOT_GIVEN, "n": NOT_GIVEN},
    "stream": {"stream": NOT_GIVEN, "stream_options": NOT_GIVEN},
}


@pytest.mark.parametrize("params", GIVEN.values(), ids=GIVEN)
async def test_what_is_not_given_is_not_there(
    sim: Simulator, client: AsyncOpenAI, params: dict[str, Any]
) -> None:
    await client.chat.completions.create(
        model=MODEL, messages=HELLO, user_id="u", max_tokens=9, **params
    )
    expected = {"model": MODEL, "messages": HELLO, "max_tokens": 9, "user_id": "u"}
    assert sim.requests[-1].body == expected


async def test_not_given_in_fim(sim: Simulator, client: AsyncOpenAI) -> None:
    await client.completions.create(model=MODEL, prompt="a", suffix=NOT_GIVEN, timeout=NOT_GIVEN)
    assert sim.requests[-1].body == {"model": MODEL, "prompt": "a"}


async def test_a_required_parameter_that_is_not_given(client: AsyncOpenAI) -> None:
    with pytest.raises(TypeError, match="missing the keyword argument 'messages'"):
        await client.chat.completions.create(model=MODEL, messages=NOT_GIVEN)


async def test_a_stream_is_closed_under_that_name(sim: Simulator, client: AsyncOpenAI) -> None:
    sim.script(Reply("One two three four five", tokens_per_second=1))
    stream = await client.chat.completions.create(model=MODEL, messages=HELLO, stream=True)
    assert isinstance(stream, AsyncStream)
    await stream.__anext__()
    await stream.close()
    assert stream.finish_reason is None


async def test_a_raw_answer_has_a_status_code(client: AsyncOpenAI) -> None:
    raw = await client.chat.completions.with_raw_response.create(model=MODEL, messages=HELLO)
    assert raw.status_code == raw.status == 200


async def test_json_with_indentation(client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(model=MODEL, messages=HELLO)
    text = answer.model_dump_json(indent=2)
    assert text.startswith('{\n  "id": "')
    assert json.loads(text) == answer.model_dump()
    assert json.loads(answer.to_json(indent=4)) == answer.to_dict()
    assert "\n" not in answer.to_json()
