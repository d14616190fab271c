"""Preflight against a server: what it refuses is refused, what it warns of is ignored."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepseek_async import (
    AssistantMessage,
    AsyncDeepSeek,
    BadRequestError,
    ChatCompletion,
    DeepSeekWarning,
    PreflightError,
    ToolMessage,
    UnprocessableEntityError,
    UserMessage,
)
from deepseek_async.policy.dialect import needs_beta
from deepseek_async.policy.preflight import check_chat
from deepseek_async.simulator import Simulator
from deepseek_async.types import ChatRequest
from deepseek_async.wire.codec import encode_request

from .sans_io import Asked

USER = {"role": "user", "content": "Weather?"}
ANSWER = {"role": "assistant", "content": "31"}
PREFIX = {"role": "assistant", "content": "It", "prefix": True}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
OTHER_CALL = {**CALL, "id": "c2"}
CALLED = {"role": "assistant", "content": "", "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "31"}
TEXT = {"type": "text", "text": "Weather?"}
IMAGE = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
NAMED = {"type": "function", "function": {"name": "f"}}
FITTING = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
OFF = {"type": "disabled"}


def tool(name: str = "f", **fields: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, **fields}}


def said(*messages: Any, **params: Any) -> dict[str, Any]:
    return {"messages": list(messages), **params}


REFUSED: dict[str, dict[str, Any]] = {
    "no messages": said(),
    "developer": said({"role": "developer", "content": "Be brief."}, USER),
    "no role": said({"content": "Hi"}),
    "no content": said({"role": "user"}),
    "content is a number": said({"role": "user", "content": 5}),
    "unknown part": said({"role": "user", "content": [{"type": "input_audio"}]}),
    "part is a string": said({"role": "user", "content": ["Hi"]}),
    "image from the system": said({"role": "system", "content": [IMAGE]}, USER),
    "answer in parts": said(USER, {"role": "assistant", "content": [TEXT]}),
    "empty answer": said(USER, {"role": "assistant", "content": None}),
    "result is an object": said(USER, CALLED, {**RESULT, "content": {"degrees": 31}}),
    "result is null": said(USER, CALLED, {**RESULT, "content": None}),
    "calls are no list": said(USER, {**CALLED, "tool_calls": CALL}, RESULT),
    "call without id": said(USER, {**CALLED, "tool_calls": [{**CALL, "id": None}]}, RESULT),
    "call without type": said(
        USER, {**CALLED, "tool_calls": [{"id": "c1", "function": CALL["function"]}]}, RESULT
    ),
    "call without function": said(
        USER, {**CALLED, "tool_calls": [{"id": "c1", "type": "function"}]}, RESULT
    ),
    "arguments are an object": said(
        USER,
        {**CALLED, "tool_calls": [{**CALL, "function": {"name": "f", "arguments": {}}}]},
        RESULT,
    ),
    "unanswered call": said(USER, CALLED),
    "half the calls answered": said(
        USER, {**CALLED, "tool_calls": [CALL, OTHER_CALL]}, RESULT, USER
    ),
    "answer too late": said(USER, CALLED, USER, RESULT),
    "orphaned tool message": said(USER, RESULT),
    "answered twice": said(USER, CALLED, RESULT, RESULT),
    "tool message without id": said(USER, CALLED, {"role": "tool", "content": "31"}),
    "prefix in the middle": said(USER, PREFIX, USER, ANSWER),
    "prefix of the user": said({**USER, "prefix": True}),
    "reasoning is missing": said(USER, ANSWER, USER, tools=[tool()]),
    "reasoning of a call is missing": said(USER, CALLED, RESULT, tools=[tool()]),
    "thinking of another type": {"thinking": {"type": "adaptive"}},
    "thinking without type": {"thinking": {}},
    "unknown effort": {"reasoning_effort": "huge"},
    "effort is a number": {"reasoning_effort": 3},
    "required tool while thinking": {"tools": [tool()], "tool_choice": "required"},
    "named tool while thinking": {"tools": [tool()], "tool_choice": NAMED, "thinking": True},
    "json_schema": {"response_format": {"type": "json_schema"}},
    "unknown format": {"response_format": {"type": "yaml"}},
    "format is a string": {"response_format": "text"},
    "JSON without the word": {"response_format": {"type": "json_object"}},
    "17 stops": {"stop": ["a"] * 17},
    "stop is a number": {"stop": [5]},
    "stream options alone": {"stream_options": {"include_usage": True}},
    "top_logprobs alone": {"top_logprobs": 2},
    "logprobs is a number": {"logprobs": 2},
    "temperature is a string": {"temperature": "0.5"},
    "max_tokens is a string": {"max_tokens": "9"},
    "top_p is a flag": {"top_p": True},
    "user with a space": {"user_id": "a b"},
    "empty user": {"user_id": ""},
    "long user": {"user_id": "u" * 513},
    "user is a number": {"user_id": 42},
    "empty tools": {"tools": []},
    "129 tools": {"tools": [tool(f"f{number}") for number in range(129)]},
    "tool without type": {"tools": [{"function": {"name": "f"}}]},
    "tool without function": {"tools": [{"type": "function", "name": "f"}]},
    "function without name": {"tools": [{"type": "function", "function": {}}]},
    "bad name": {"tools": [tool("a.b")]},
    "long name": {"tools": [tool("f" * 65)]},
    "parameters of no type": {"tools": [tool(parameters={})]},
    "parameters are a list": {"tools": [tool(parameters=[])]},
    "strict and not": {"tools": [tool(strict=True, parameters=FITTING), tool("g")]},
    "property not required": {"tools": [tool(strict=True, parameters={**FITTING, "required": []})]},
    "unknown type in a strict schema": {
        "tools": [tool(strict=True, parameters={**FITTING, "items": {"type": "date"}})]
    },
}


async def ask(client: AsyncDeepSeek, **params: Any) -> ChatCompletion:
    fields: dict[str, Any] = {"model": "deepseek-flash", "messages": [USER], **params}
    completion: ChatCompletion = await client.chat.completions.create(**fields)
    return completion


@pytest.mark.parametrize("params", REFUSED.values(), ids=REFUSED)
async def test_what_the_server_refuses_is_not_sent(params: dict[str, Any]) -> None:
    async with Simulator() as sim, sim.client() as client:
        with pytest.raises(PreflightError):
            await ask(client, **params)
        if "stream_options" not in params:
            with pytest.raises(PreflightError):
                await ask(client, stream=True, **params)
            with pytest.raises(PreflightError):
                client.chat.completions.stream(
                    **{"model": "deepseek-flash", "messages": [USER], **params}
                )
        assert not sim.requests
        with pytest.raises((BadRequestError, UnprocessableEntityError)):
            await ask(client, preflight="off", **params)
        assert len(sim.requests) == 1


async def test_a_lone_surrogate_is_not_sent() -> None:
    async with Simulator() as sim, sim.client() as client:
        for preflight in ("on", "off"):
            with pytest.raises(PreflightError, match="lone surrogate"):
                await ask(
                    client, messages=[{"role": "user", "content": "\ud83d"}], preflight=preflight
                )
        assert not sim.requests


IGNORED: dict[str, tuple[dict[str, Any], str]] = {
    "temperature": ({"temperature": 0.2}, "temperature=0.2"),
    "top_p": ({"top_p": 0.5}, "top_p=0.5"),
    "top_p of pro": ({"top_p": 0.96, "model": "deepseek-v4-pro"}, "top_p=0.96"),
    "frequency_penalty": ({"frequency_penalty": 1.5}, "frequency_penalty=1.5"),
    "presence_penalty": ({"presence_penalty": -1, "thinking": False}, "presence_penalty=-1"),
    "effort": ({"reasoning_effort": "max", "thinking": False}, "reasoning_effort='max'"),
}


@pytest.mark.parametrize(("params", "start"), IGNORED.values(), ids=IGNORED)
async def test_what_the_server_ignores_is_warned_of(params: dict[str, Any], start: str) -> None:
    meant = {name: params[name] for name in ("model", "thinking") if name in params}
    async with Simulator() as sim, sim.client() as client:
        with pytest.warns(DeepSeekWarning, match=f"^{start}") as caught:
            first = await ask(client, **params)
        assert [warning.filename for warning in caught] == [__file__]
        without = await ask(client, **meant)
        unheard = await ask(client, preflight="off", **params)
    texts = {
        (choice.message.content, choice.message.reasoning_content)
        for choice in (first.choices[0], without.choices[0], unheard.choices[0])
    }
    assert len(texts) == 1


@pytest.mark.parametrize("model", ["deepseek-chat", "deepseek-reasoner"])
async def test_a_retired_model_is_warned_of_and_asked(model: str) -> None:
    async with Simulator() as sim, sim.client() as client:
        with pytest.warns(DeepSeekWarning, match="was retired"):
            completion = await ask(client, model=model)
    assert completion.model == "deepseek-flash"


async def test_an_image_that_nobody_sees_is_warned_of() -> None:
    messages = [{"role": "user", "content": [TEXT, IMAGE]}]
    async with Simulator() as sim, sim.client() as client:
        with pytest.warns(DeepSeekWarning, match=r"^messages\[0\].content holds an image"):
            await ask(client, messages=messages, model="deepseek-v4-pro")
        await ask(client, messages=messages)


TAKEN: dict[str, dict[str, Any]] = {
    "structs": said(
        UserMessage(content="Weather?"),
        AssistantMessage(content=None, tool_calls=[CALL], reasoning_content=""),
        ToolMessage(content="31", tool_call_id="c1"),
        tools=[tool()],
    ),
    "prefix": said(USER, PREFIX),
    "thinking switched off in extra_body": {
        "tools": [tool()],
        "tool_choice": "required",
        "extra_body": {"thinking": OFF},
    },
    "reasoning filled in": said(USER, ANSWER, USER, tools=[tool()], reasoning_replay="backfill"),
    "strict": {"tools": [tool(strict=True, parameters=FITTING)]},
    "sample of the API page": {
        "model": "deepseek-v4-pro",
        "frequency_penalty": 0,
        "max_tokens": 4096,
        "presence_penalty": 0,
        "response_format": {"type": "text"},
        "stop": None,
        "stream_options": None,
        "temperature": 1,
        "top_p": 1,
        "tools": None,
        "tool_choice": "none",
        "logprobs": False,
        "top_logprobs": None,
    },
}


@pytest.mark.parametrize("params", TAKEN.values(), ids=TAKEN)
async def test_what_the_server_takes_is_sent_without_a_word(params: dict[str, Any]) -> None:
    async with Simulator() as sim, sim.client() as client:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            await ask(client, **params)
        assert len(sim.requests) == 1


async def test_an_answer_with_calls_can_be_sent_back() -> None:
    tools = [tool(parameters=FITTING)]
    async with Simulator() as sim, sim.client() as client:
        messages: list[Any] = [USER]
        for _ in range(2):
            message = (await ask(client, messages=messages, tools=tools)).choices[0].message
            messages.append(message)
            messages += [
                ToolMessage(content="31", tool_call_id=call.id) for call in message.tool_calls or ()
            ]
        assert len(sim.requests) == 2


async def test_it_can_be_switched_off_for_a_client() -> None:
    async with Simulator() as sim, sim.client(preflight="off") as client:
        with pytest.raises(BadRequestError):
            await ask(client, tools=[])
        with pytest.raises(PreflightError):
            await ask(client, tools=[], preflight="on")
        await ask(client, temperature=0.2)


async def test_other_hosts_have_other_rules() -> None:
    async with Simulator() as sim, sim.client(dialect="generic") as client:
        await ask(client, temperature=0.2)
        with pytest.raises(BadRequestError):
            await ask(client, tools=[])


FIM_REFUSED: dict[str, dict[str, Any]] = {
    "suffix is a number": {"suffix": 5},
    "logprobs is a flag": {"logprobs": True},
    "echo is a string": {"echo": "yes"},
    "17 stops": {"stop": ["a"] * 17},
    "stream options alone": {"stream_options": {"include_usage": True}},
}


@pytest.mark.parametrize("params", FIM_REFUSED.values(), ids=FIM_REFUSED)
async def test_gaps_that_the_server_refuses_are_not_sent(params: dict[str, Any]) -> None:
    fields = {"model": "deepseek-v4-pro", "prompt": "def f():", **params}
    async with Simulator() as sim, sim.client() as client:
        with pytest.raises(PreflightError):
            await client.completions.create(**fields)
        assert not sim.requests
        with pytest.raises((BadRequestError, UnprocessableEntityError)):
            await client.completions.create(**fields, preflight="off")


async def test_penalties_of_gaps_are_warned_of() -> None:
    fields: dict[str, Any] = {"model": "deepseek-v4-pro", "prompt": "def f():"}
    async with Simulator() as sim, sim.client() as client:
        with pytest.warns(DeepSeekWarning, match="^presence_penalty=1 has no effect"):
            first = await client.completions.create(**fields, presence_penalty=1)
        second = await client.completions.create(**fields)
    assert first.choices[0].text == second.choices[0].text


# What rules are about, in and out of bounds. Numeric limits aren't among it: they are left to the
# server. Nor are the names of models.
MESSAGES: list[dict[str, Any]] = [
    USER,
    ANSWER,
    PREFIX,
    CALLED,
    RESULT,
    {**ANSWER, "reasoning_content": "Hm"},
    {**ANSWER, "reasoning_content": "", "content": None},
    {**ANSWER, "content": [TEXT]},
    {**CALLED, "reasoning_content": "Hm", "content": None},
    {**CALLED, "tool_calls": [CALL, OTHER_CALL], "reasoning_content": ""},
    {**CALLED, "tool_calls": [CALL, CALL]},
    {**CALLED, "tool_calls": [{**CALL, "index": 0}], "prefix": False},
    {**CALLED, "tool_calls": [{**CALL, "type": 5}]},
    {**ANSWER, "tool_calls": []},
    {**RESULT, "tool_call_id": "c2"},
    {**RESULT, "tool_call_id": None},
    {**RESULT, "content": [TEXT, IMAGE]},
    {"role": "system", "content": "Answer in JSON."},
    {"role": "system", "content": [TEXT]},
    {"role": "system", "content": [IMAGE]},
    {"role": "user", "content": [IMAGE, {"type": "file", "file_id": "x"}]},
    {"role": "user", "content": [{"type": "video"}]},
    {"role": "user", "content": []},
    {"role": "user", "content": None},
    {"role": "user", "content": "", "name": "Ann", "prefix": True},
    {"role": "latest_reminder", "content": "Hi"},
    {"role": "developer", "content": "Hi"},
    {"content": "Hi"},
]
TOOLS: list[dict[str, Any]] = [
    tool(),
    tool("g", parameters=FITTING),
    tool("h", strict=True, parameters=FITTING),
    tool("i", strict=True, parameters={**FITTING, "required": []}),
    tool("j", strict=True),
    tool("k", strict=False, parameters={"type": "object"}),
    tool("l", strict=True, parameters={**FITTING, "$defs": {"a": {"type": "any"}}}),
    tool("m.n"),
    tool("o", parameters={"type": "string"}),
    {"type": "deepseek_web_search"},
    {"type": "function"},
]
PARAMETERS: dict[str, list[Any]] = {
    "model": ["deepseek-chat", "deepseek-reasoner", "deepseek-v4-pro", "deepseek-flash"],
    "thinking": [None, OFF, {"type": "enabled"}, {"type": "auto"}, {}],
    "reasoning_effort": [None, "none", "low", "ultra", "huge"],
    "response_format": [None, {"type": "text"}, {"type": "json_object"}, {"type": "grammar"}, {}],
    "stop": [None, "a", ["a"] * 16, ["a"] * 17, [1], 1],
    "stream": [True, False],
    "stream_options": [None, {"include_usage": True}, {}, 5],
    "temperature": [None, 0.5, "0.5", False, []],
    "top_p": [None, 0.5, 1, {}],
    "tools": [None, []],
    "tool_choice": [None, "auto", "none", "required", NAMED],
    "logprobs": [None, True, False, 1],
    "top_logprobs": [None, 0, 5, "5"],
    "user_id": [None, "u-1", "u" * 512, "u" * 513, "a.b", "", "\u00e4", 7],
    "presence_penalty": [None, 0.5, "0.5"],
    "max_tokens": [None, 100, "100"],
}


@st.composite
def requests(draw: st.DrawFn) -> ChatRequest:
    # Mostly plain: a request with many faults says little about each.
    fields: dict[str, Any] = {"model": "deepseek-flash"}
    for name in draw(st.lists(st.sampled_from(sorted(PARAMETERS)), max_size=3, unique=True)):
        fields[name] = draw(st.sampled_from(PARAMETERS[name]))
    if draw(st.booleans()):
        fields["tools"] = draw(st.lists(st.sampled_from(TOOLS), max_size=3))
    messages = draw(st.lists(st.sampled_from(MESSAGES), max_size=5))
    return ChatRequest(**fields, messages=messages)


@settings(max_examples=300, deadline=None)
@given(requests())
def test_preflight_and_server_agree(request: ChatRequest) -> None:
    beta = "/beta" if needs_beta(request.messages, request.tools or []) else ""
    plan = Asked().plan(encode_request(request, None), f"{beta}/chat/completions")
    try:
        check_chat(request)
    except PreflightError:
        assert plan.status in (400, 422)
    else:
        assert plan.status == 200, plan.body
