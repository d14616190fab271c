"""What programs do with the OpenAI SDK besides what the guides show, and what they get here."""

import copy
import json
import pickle
from collections.abc import AsyncIterator
from typing import Any

import pytest

from deepseek_async import compat
from deepseek_async.compat import (
    NOT_GIVEN,
    APIConnectionError,
    APIError,
    APIStatusError,
    AsyncOpenAI,
    AsyncStream,
    OpenAIError,
    RateLimitError,
    omit,
)
from deepseek_async.simulator import Fault, Reply, Simulator

MODEL = "deepseek-flash"
HELLO: list[dict[str, Any]] = [{"role": "user", "content": "Hello"}]


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator() as sim:
        yield sim


@pytest.fixture
async def client(sim: Simulator) -> AsyncIterator[AsyncOpenAI]:
    client = AsyncOpenAI(base_url=sim.base_url, api_key="sk-1", dialect="deepseek", max_retries=0)
    yield client
    await client.close()


def last_body(sim: Simulator) -> dict[str, Any]:
    body = sim.requests[-1].body
    assert body is not None
    return body


# Errors.


async def test_an_error_tells_what_it_did(sim: Simulator, client: AsyncOpenAI) -> None:
    sim.faults(Fault("rate_limit", retry_after=7))
    with pytest.raises(RateLimitError) as caught:
        await client.chat.completions.create(model=MODEL, messages=HELLO)
    error = caught.value
    assert isinstance(error, APIStatusError)
    assert isinstance(error, APIError)
    assert isinstance(error, OpenAIError)
    assert error.response is not None
    assert (error.status_code, error.response.status_code) == (429, 429)
    assert error.response.headers["Retry-After"] == "7"
    assert error.request_id == error.response.headers["x-ds-trace-id"]
    assert error.message in str(error)
    assert isinstance(error.body, dict)
    assert error.body["message"] == error.message
    assert (error.type, error.param) == ("rate_limit_error", None)


async def test_an_error_in_a_stream_is_caught_by_the_same_clause(
    sim: Simulator, client: AsyncOpenAI
) -> None:
    sim.script(Reply("Hello there", fault=Fault("cut", after_events=4)))
    stream = await client.chat.completions.create(model=MODEL, messages=HELLO, stream=True)
    with pytest.raises(APIError):
        async for _ in stream:
            continue


async def test_no_connection_is_caught_by_the_same_clause() -> None:
    # Nothing listens on the port of this address.
    async with AsyncOpenAI(base_url="http://127.0.0.1:9", api_key="sk-1", max_retries=0) as client:
        with pytest.raises(APIConnectionError):
            await client.chat.completions.create(model=MODEL, messages=HELLO)


# Options.


async def test_options_of_a_copy(sim: Simulator, client: AsyncOpenAI) -> None:
    sim.faults(Fault("rate_limit"))
    patient = client.with_options(timeout=20.0, max_retries=1)
    answer = await patient.chat.completions.create(model=MODEL, messages=HELLO)
    assert answer.attempts == 2


async def test_headers_and_query_of_a_call(sim: Simulator, client: AsyncOpenAI) -> None:
    await client.chat.completions.create(
        model=MODEL, messages=HELLO, extra_headers={"X-Team": "a"}, timeout=20
    )
    assert sim.requests[-1].headers["x-team"] == "a"


async def test_parameters_that_deepseek_does_not_know_go_by_extra_body(
    sim: Simulator, client: AsyncOpenAI
) -> None:
    await client.chat.completions.create(
        model=MODEL, messages=HELLO, extra_body={"seed": 5, "n": 1, "top_p": 1}
    )
    assert last_body(sim) == {"model": MODEL, "messages": HELLO, "top_p": 1, "seed": 5, "n": 1}


async def test_names_for_the_same_thing_are_translated(sim: Simulator, client: AsyncOpenAI) -> None:
    await client.chat.completions.create(
        model=MODEL, messages=HELLO, user="u-1", max_completion_tokens=50
    )
    assert last_body(sim) == {"model": MODEL, "messages": HELLO, "max_tokens": 50, "user_id": "u-1"}


@pytest.mark.parametrize("value", [NOT_GIVEN, omit], ids=["NOT_GIVEN", "omit"])
@pytest.mark.parametrize(
    "name",
    [
        "temperature", "max_tokens", "stop", "tool_choice", "response_format", "logprobs",
        "stream", "stream_options", "user", "extra_headers", "extra_body", "reasoning_effort",
    ],
)  # fmt: skip
async def test_not_given_is_not_sent(
    sim: Simulator, client: AsyncOpenAI, name: str, value: Any
) -> None:
    params: dict[str, Any] = {name: value}
    await client.chat.completions.create(model=MODEL, messages=HELLO, **params)
    assert last_body(sim) == {"model": MODEL, "messages": HELLO}


# Answers.


async def test_an_answer_can_be_dumped_copied_and_pickled(
    sim: Simulator, client: AsyncOpenAI
) -> None:
    sim.script(Reply("Hi", reasoning="Hm."))
    answer = await client.chat.completions.create(model=MODEL, messages=HELLO)
    dump = answer.model_dump()
    assert dump["choices"][0]["message"]["content"] == "Hi"
    assert json.loads(answer.model_dump_json()) == dump
    assert json.loads(answer.to_json()) == answer.to_dict()
    assert copy.deepcopy(answer).model_dump() == dump
    assert pickle.loads(pickle.dumps(answer)).model_dump() == dump
    assert answer.usage is not None
    assert answer.usage.prompt_tokens_details is not None
    assert answer.usage.prompt_tokens_details.cached_tokens == answer.usage.cached_tokens


@pytest.mark.parametrize("way", ["itself", "model_dump", "to_dict", "by hand"])
async def test_an_answer_goes_back_whichever_way(
    sim: Simulator, client: AsyncOpenAI, way: str
) -> None:
    sim.script(Reply(reasoning="Hm.", tool_calls=[("f", '{"a":  1}')]), Reply("Done."))
    tools = [{"type": "function", "function": {"name": "f"}}]
    first = await client.chat.completions.create(model=MODEL, messages=HELLO, tools=tools)
    message = first.choices[0].message
    assert message.tool_calls is not None
    ways: dict[str, Any] = {
        "itself": message,
        "model_dump": message.model_dump(),
        "to_dict": message.to_dict(),
        "by hand": {
            "role": "assistant",
            "content": message.content,
            "reasoning_content": message.reasoning_content,
            "tool_calls": message.tool_calls,
        },
    }
    result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "1"}
    second = await client.chat.completions.create(
        model=MODEL, messages=[*HELLO, ways[way], result], tools=tools
    )
    assert second.choices[0].message.content == "Done."
    sent = last_body(sim)["messages"][1]
    assert sent["reasoning_content"] == "Hm."
    assert sent["tool_calls"][0]["function"] == {"name": "f", "arguments": '{"a":  1}'}


async def test_reasoning_can_be_taken_out_of_an_answer(sim: Simulator, client: AsyncOpenAI) -> None:
    sim.script(Reply("Hi", reasoning="Hm."))
    answer = await client.chat.completions.create(model=MODEL, messages=HELLO)
    message = answer.choices[0].message
    message.reasoning_content = None
    await client.chat.completions.create(model=MODEL, messages=[*HELLO, message, *HELLO])
    assert last_body(sim)["messages"][1] == {"role": "assistant", "content": "Hi"}


async def test_a_raw_answer(client: AsyncOpenAI) -> None:
    raw = await client.chat.completions.with_raw_response.create(model=MODEL, messages=HELLO)
    assert raw.headers["x-ds-trace-id"] == raw.request_id
    assert raw.parse().choices


async def test_models_are_in_data(client: AsyncOpenAI) -> None:
    assert MODEL in [model.id for model in (await client.models.list()).data]


# Streams.


async def test_a_stream_is_told_from_an_answer(client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(model=MODEL, messages=HELLO)
    async with await client.chat.completions.create(
        model=MODEL, messages=HELLO, stream=True
    ) as stream:
        assert isinstance(stream, AsyncStream)
        assert not isinstance(answer, AsyncStream)
        assert stream.response is not None
        assert stream.response.headers["x-ds-trace-id"] == stream.request_id


async def test_the_usage_is_on_the_last_chunk(sim: Simulator, client: AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(
        model=MODEL, messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    assert [chunk for chunk in chunks[:-1] if chunk.usage is not None] == []
    assert chunks[-1].usage is not None
    # Not an empty list, as from OpenAI.
    assert chunks[-1].choices[0].finish_reason == "stop"


async def test_a_streams_delta_has_all_its_attributes(sim: Simulator, client: AsyncOpenAI) -> None:
    sim.script(Reply("Hi"))
    stream = await client.chat.completions.create(
        model=MODEL, messages=HELLO, stream=True, thinking=False
    )
    async for chunk in stream:
        # In that SDK the attribute isn't there where the server left it out.
        assert chunk.choices[0].delta.reasoning_content is None


async def test_events_of_a_stream_under_their_names(sim: Simulator, client: AsyncOpenAI) -> None:
    sim.script(Reply("Hi", tool_calls=[("f", {"a": 1})]))
    text, calls = "", []
    async with client.chat.completions.stream(
        model=MODEL, messages=HELLO, tools=[{"type": "function", "function": {"name": "f"}}]
    ) as stream:
        async for event in stream:
            if event.type == "content.delta":
                text += event.delta
            elif event.type == "tool_calls.function.arguments.done":
                calls.append((event.name, json.loads(event.arguments)))
        final = await stream.get_final_completion()
    assert (text, calls) == ("Hi", [("f", {"a": 1})])
    assert final.choices[0].message.content == "Hi"


# What can't be, and says so.


@pytest.mark.parametrize("name", ["seed", "n", "parallel_tool_calls", "logit_bias"])
async def test_an_unknown_parameter_says_where_it_can_go(client: AsyncOpenAI, name: str) -> None:
    params: dict[str, Any] = {name: 1}
    with pytest.raises(TypeError, match=f"keyword argument {name!r}; .*extra_body"):
        await client.chat.completions.create(model=MODEL, messages=HELLO, **params)


async def test_the_environment_of_that_sdk_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai")
    monkeypatch.delenv("DEEPSEEK_API_KEY", raising=False)
    with pytest.raises(OpenAIError, match="environment variable DEEPSEEK_API_KEY"):
        compat.AsyncOpenAI()


async def test_a_timeout_of_httpx_says_what_to_pass(client: AsyncOpenAI) -> None:
    timeout: Any = object()
    with pytest.raises(OpenAIError, match=r"timeout must be Timeouts\(...\), a number of seconds"):
        client.with_options(timeout=timeout)


async def test_json_schema_says_what_to_use(client: AsyncOpenAI) -> None:
    with pytest.raises(OpenAIError, match=r"use parse\(\)"):
        await client.chat.completions.create(
            model=MODEL,
            messages=HELLO,
            response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": {}}},
        )


async def test_a_developer_message_says_what_to_use(client: AsyncOpenAI) -> None:
    with pytest.raises(OpenAIError, match="DeepSeek calls it 'system'"):
        await client.chat.completions.create(
            model=MODEL, messages=[{"role": "developer", "content": "Be brief."}, *HELLO]
        )
