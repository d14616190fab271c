"""`policy.preflight`: what is refused before it is sent, what is warned of, and what is neither."""

from decimal import Decimal
from enum import Enum, StrEnum
from types import MappingProxyType, SimpleNamespace
from typing import Any

import pytest

from deepseek_async.errors import PreflightError
from deepseek_async.policy.preflight import check_chat, check_fim
from deepseek_async.types import (
    ChatRequest,
    Function,
    ToolCall,
)
from deepseek_async.types.requests import CompletionRequest, ThinkingParam

OFF = ThinkingParam("disabled")
ON = ThinkingParam("enabled")
USER = {"role": "user", "content": "Weather?"}
SYSTEM = {"role": "system", "content": "Be brief."}
ANSWER = {"role": "assistant", "content": "31"}
THOUGHT = {**ANSWER, "reasoning_content": "Hm"}
PREFIX = {"role": "assistant", "content": "It", "prefix": True}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
OTHER_CALL = {**CALL, "id": "c2"}
SEARCH = {"id": "s1", "type": "deepseek_web_search", "deepseek_web_search": {"query": "q"}}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "31"}
OTHER_RESULT = {**RESULT, "tool_call_id": "c2"}
IMAGE = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
TEXT_PART = {"type": "text", "text": "Weather?"}
NAMED = {"type": "function", "function": {"name": "f"}}
FITTING = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
UNFIT: dict[str, Any] = {**FITTING, "required": []}
JSON_MODE = {"type": "json_object"}


def chat(*messages: Any, model: str = "deepseek-flash", **fields: Any) -> ChatRequest:
    return ChatRequest(model=model, messages=list(messages or (USER,)), **fields)


def called(*calls: Any, **fields: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": "", "tool_calls": list(calls), **fields}


def tool(name: Any = "f", **fields: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, **fields}}


def strict(**parameters: Any) -> dict[str, Any]:
    return tool(strict=True, parameters={**FITTING, **parameters})


def fim(**fields: Any) -> CompletionRequest:
    return CompletionRequest(**{"model": "deepseek-v4-pro", "prompt": "def f():", **fields})


def changed(call: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return called({**call, "function": {**call["function"], **fields}})


def endless() -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object"}
    schema["properties"] = {"a": schema}
    schema["required"] = ["a"]
    return schema


class Role(Enum):
    USER = "user"
    POET = "poet"


class Effort(StrEnum):
    MAX = "max"


class Amount(int):
    """A number of somebody's own."""


class Record:
    """A type that `parse` would take."""


# Request, the parameter that the message begins with, and what it tells.
REFUSED: dict[str, tuple[ChatRequest, str, str]] = {
    "no messages": (ChatRequest(model="deepseek-flash", messages=[]), "messages is", "empty"),
    # Roles.
    "developer": (chat({**USER, "role": "developer"}), "messages[0].role", "'system'"),
    "function": (chat(USER, {**USER, "role": "function"}), "messages[1].role", "'tool'"),
    "unknown role": (chat(USER, {**USER, "role": "poet"}), "messages[1].role", "'poet'"),
    "no role": (chat({"content": "Hi"}), "messages[0].role", "missing"),
    "null role": (chat({**USER, "role": None}), "messages[0].role", "missing"),
    "role of another type": (chat({**USER, "role": [1]}), "messages[0].role", "[1]"),
    "unknown role as an enumeration": (
        *(chat({**USER, "role": Role.POET}), "messages[0].role"),
        "'poet'",
    ),
    "user without content": (chat({"role": "user"}), "messages[0].content", "missing"),
    "user with null content": (chat({**USER, "content": None}), "messages[0].content", "missing"),
    "tool without content": (
        chat(USER, called(CALL), {**RESULT, "content": None}),
        "messages[2].content",
        'an empty result is sent as ""',
    ),
    "tool with an object": (
        chat(USER, called(CALL), {**RESULT, "content": {"degrees": 31}}),
        "messages[2].content",
        "json.dumps",
    ),
    "user with a number": (chat({**USER, "content": 5}), "messages[0].content", "text or a list"),
    "part that is a string": (
        *(chat({**USER, "content": ["Hi"]}), "messages[0].content[0]"),
        "an object, got text;",
    ),
    "unknown part": (
        chat({**USER, "content": [TEXT_PART, {"type": "input_audio"}]}),
        "messages[0].content[1].type",
        "text or image_url or file",
    ),
    "image from the system": (
        chat({**SYSTEM, "content": [IMAGE]}, USER),
        "messages[0].content[0].type",
        "must be text in a message of role 'system'",
    ),
    # The assistant's messages.
    "answer without anything": (
        chat(USER, {"role": "assistant"}, USER),
        "messages[1].content",
        "text or tool_calls",
    ),
    "null answer": (
        chat(USER, {**ANSWER, "content": None, "tool_calls": []}),
        "messages[1].content",
        "text or tool_calls",
    ),
    "answer in parts": (
        chat(USER, {**ANSWER, "content": [TEXT_PART]}),
        "messages[1].content",
        "must be text, got a list",
    ),
    # Tool calls.
    "calls that are no list": (
        chat(USER, {**ANSWER, "tool_calls": {"id": "c1"}}),
        "messages[1].tool_calls",
        "must be a list",
    ),
    "call without an id": (
        chat(USER, called({**CALL, "id": None}), RESULT),
        "messages[1].tool_calls[0].id",
        "must be text, got None",
    ),
    "call without a type": (
        chat(USER, called(CALL, {**OTHER_CALL, "type": None}), RESULT),
        "messages[1].tool_calls[1].type",
        "must be text",
    ),
    "call without a function": (
        chat(USER, called({"id": "c1", "type": "function", "name": "f"}), RESULT),
        "messages[1].tool_calls[0].function.name",
        "must be text",
    ),
    "answer to a call that is none of the server's": (
        chat(USER, called(SEARCH), RESULT),
        "messages[2].tool_call_id",
        "is not an open call",
    ),
    "arguments that are an object": (
        chat(USER, changed(CALL, arguments={"city": "Ulm"}), RESULT),
        "messages[1].tool_calls[0].function.arguments",
        "json.dumps",
    ),
    "unanswered call at the end": (
        chat(USER, called(CALL)),
        "messages[1].tool_calls",
        "no answer to 'c1'",
    ),
    "one of two calls unanswered": (
        chat(USER, called(CALL, OTHER_CALL), RESULT, USER),
        "messages[1].tool_calls",
        "no answer to 'c2'",
    ),
    "answer after another message": (
        chat(USER, called(CALL), USER, RESULT),
        "messages[1].tool_calls",
        "before any other message",
    ),
    "same id twice, answered once": (
        chat(USER, called(CALL, CALL), RESULT),
        "messages[1].tool_calls",
        "no answer to 'c1'",
    ),
    "tool message from nowhere": (
        *(chat(USER, RESULT), "messages[1].tool_call_id"),
        "'c1' is not an open call: a tool message",
    ),
    "answer to another call": (
        chat(USER, called(CALL), OTHER_RESULT),
        "messages[2].tool_call_id",
        "waiting for 'c1'",
    ),
    "answered twice": (
        chat(USER, called(CALL), RESULT, RESULT),
        "messages[3].tool_call_id",
        "once for each call",
    ),
    "tool message without an id": (
        chat(USER, called(CALL), {"role": "tool", "content": "31"}),
        "messages[2].tool_call_id",
        "got None",
    ),
    # Prefixes.
    "prefix in the middle": (chat(USER, PREFIX, USER), "messages[1].prefix", "1 more follow"),
    "prefix of the user": (chat({**USER, "prefix": True}), "messages[0].prefix", "role 'user'"),
    # Reasoning.
    "reasoning is missing": (
        chat(USER, ANSWER, USER, tools=[tool()]),
        "messages[1].reasoning_content",
        'reasoning_replay="backfill"',
    ),
    "reasoning beside a call is missing": (
        chat(USER, called(CALL), RESULT, tools=[tool()], thinking=ON),
        "messages[1].reasoning_content",
        "thinking=False",
    ),
    "null reasoning": (
        chat(USER, {**ANSWER, "reasoning_content": None}, USER, tools=[tool()]),
        "messages[1].reasoning_content",
        "missing",
    ),
    "thinking of an unknown type": (
        *(chat(thinking={"type": "adaptive"}), "thinking.type"),
        '"enabled" or "disabled", got \'adaptive\'',
    ),
    "thinking without a type": (chat(thinking={"budget_tokens": 5}), "thinking.type", "got None"),
    "thinking is a number": (chat(thinking=1), "thinking must be an object", "got a number"),
    "unknown effort": (chat(reasoning_effort="huge"), "reasoning_effort", "none, low, high, max"),
    "effort is a number": (
        chat(reasoning_effort=3),
        "reasoning_effort must be text",
        "got a number",
    ),
    "required tool while thinking": (
        *(chat(tools=[tool()], tool_choice="required"), "tool_choice 'required'"),
        "thinking=False",
    ),
    "named tool while thinking": (
        chat(tools=[tool()], tool_choice=NAMED, thinking={"type": "enabled"}),
        "tool_choice {'type': 'function'",
        'tool_choice="auto"',
    ),
    "required tool from a model that thinks by default": (
        chat(tools=[tool()], tool_choice="required", model="deepseek-v4-pro"),
        "tool_choice",
        "while thinking",
    ),
    "required tool from an unknown model that was told to think": (
        chat(tools=[tool()], tool_choice="required", model="deepseek-v9", thinking=ON),
        "tool_choice",
        "while thinking",
    ),
    "a long value is cut": (chat(reasoning_effort="x" * 99), "reasoning_effort", "x" * 59 + "..."),
    # Response formats.
    "json_schema": (chat(response_format={"type": "json_schema"}), "response_format", "parse()"),
    "unknown format": (
        *(chat(response_format={"type": "yaml"}), "response_format.type"),
        '"text" or "json_object", got \'yaml\'',
    ),
    "format without a type": (chat(response_format={}), "response_format.type", "got None"),
    "format is a string": (
        chat(response_format="json_object"),
        "response_format must be an object",
        '{"type": "json_object"}',
    ),
    "format is a class": (
        *(chat(response_format=Record), "response_format must be an object"),
        "the type Record; pass types to parse()",
    ),
    "JSON without the word": (chat(response_format=JSON_MODE), "response_format", '"json"'),
    "JSON without the word in parts": (
        *(chat({**USER, "content": [TEXT_PART]}, response_format=JSON_MODE), "response_format"),
        '"json"',
    ),
    "the word in the reasoning alone": (
        chat(USER, {**ANSWER, "reasoning_content": "JSON"}, USER, response_format=JSON_MODE),
        "response_format",
        '"json"',
    ),
    # Other parameters.
    "17 stops": (chat(stop=["a"] * 17), "stop may hold at most 16", "got 17"),
    "stop of a number": (chat(stop=["a", 5]), "stop[1] must be text", "got a number"),
    "stop is a number": (chat(stop=5), "stop must be text or a list", "got a number"),
    "stream options without a stream": (
        *(chat(stream_options={"include_usage": True}), "stream_options"),
        "stream=True",
    ),
    "top_logprobs alone": (chat(top_logprobs=2), "top_logprobs", "logprobs=True"),
    "top_logprobs without logprobs": (
        *(chat(top_logprobs=2, logprobs=False), "top_logprobs"),
        "logprobs=True",
    ),
    "logprobs is a number": (chat(logprobs=5), "logprobs must be true or false", "top_logprobs"),
    "temperature is a string": (
        chat(temperature="0.5"),
        "temperature must be a number",
        "got text",
    ),
    "temperature is a flag": (
        chat(temperature=True),
        "temperature must be a number",
        "got true or false",
    ),
    "max_tokens is a string": (chat(max_tokens="9"), "max_tokens must be a number", "got text"),
    "top_p is a list": (chat(top_p=[1]), "top_p must be a number", "got a list"),
    "empty user": (chat(user_id=""), "user_id is empty", "leave it out"),
    "user with a space": (chat(user_id="a b"), "user_id may hold", "' ' at position 1"),
    "user beyond ASCII": (chat(user_id="b\u00e4r"), "user_id may hold", "at position 1"),
    "user with a line end": (chat(user_id="a\n"), "user_id may hold", "'\\n' at position 1"),
    "long user": (chat(user_id="u" * 513), "user_id may have at most 512", "got 513"),
    "user is a number": (chat(user_id=42), "user_id must be text", "got a number"),
    # Tools.
    "empty tools": (chat(tools=[]), "tools is empty", "leave it out"),
    "129 tools": (chat(tools=[tool()] * 129), "tools may hold at most 128", "got 129"),
    "tools are an object": (chat(tools=tool()), "tools must be a list", "an object"),
    "tool is a string": (chat(tools=["f"]), "tools[0] must be an object", "got text"),
    "tool without a type": (chat(tools=[{"function": {"name": "f"}}]), "tools[0].type", "missing"),
    "tool without a function": (
        *(chat(tools=[tool(), {"type": "function"}]), "tools[1].function"),
        "is missing",
    ),
    "flat tool": (
        chat(tools=[{"type": "function", "name": "f", "parameters": FITTING}]),
        "tools[0].function",
        "belong into it",
    ),
    "function is a string": (
        *(chat(tools=[{"type": "function", "function": "f"}]), "tools[0].function"),
        "must be an object",
    ),
    "function without a name": (
        *(chat(tools=[{"type": "function", "function": {}}]), "tools[0].function.name"),
        "must be text, got None",
    ),
    "name with a dot": (chat(tools=[tool(), tool("a.b")]), "tools[1].function.name", "'a.b'"),
    "name with a line end": (chat(tools=[tool("a\n")]), "tools[0].function.name", "'a\\n'"),
    "empty name": (chat(tools=[tool("")]), "tools[0].function.name", "letters"),
    "long name": (chat(tools=[tool("f" * 65)]), "tools[0].function.name", "at most 64"),
    "parameters of no type": (
        *(chat(tools=[tool(parameters={})]), "tools[0].function.parameters.type"),
        'must be "object", got None; leave parameters out',
    ),
    "parameters of another type": (
        *(chat(tools=[tool(parameters={"type": "array"})]), "tools[0].function.parameters.type"),
        "'array'",
    ),
    "parameters are a list": (
        *(chat(tools=[tool(parameters=["city"])]), "tools[0].function.parameters"),
        "must be an object",
    ),
    # Strict tools.
    "strict beside others": (
        *(chat(tools=[strict(), tool("g")]), "tools[1].function.strict"),
        "either all are strict or none",
    ),
    "property not required": (
        *(chat(tools=[strict(required=[])]), "tools[0].function.parameters.required"),
        "'a' is missing",
    ),
    "nothing required": (
        *(chat(tools=[strict(required=None)]), "tools[0].function.parameters.required"),
        "'a' is missing",
    ),
    "inner property not required": (
        chat(tools=[strict(), strict(properties={"a": UNFIT})]),
        "tools[1].function.parameters.properties.a.required",
        "'a' is missing",
    ),
    "property of an item not required": (
        chat(tools=[strict(properties={"a": {"type": "array", "items": UNFIT}})]),
        "tools[0].function.parameters.properties.a.items.required",
        "'a' is missing",
    ),
    "property of a definition not required": (
        chat(tools=[tool(strict=True, parameters={**FITTING, "$def": {"n": UNFIT}})]),
        "tools[0].function.parameters.$def.n.required",
        "'a' is missing",
    ),
    "property of an option not required": (
        chat(tools=[strict(properties={"a": {"anyOf": [{"type": "null"}, UNFIT]}})]),
        "tools[0].function.parameters.properties.a.anyOf[1].required",
        "'a' is missing",
    ),
    "type that JSON doesn't have": (
        chat(tools=[strict(properties={"a": {"type": "date"}})]),
        "tools[0].function.parameters.properties.a.type",
        "'date'",
    ),
}


@pytest.mark.parametrize(("request_", "start", "part"), REFUSED.values(), ids=REFUSED)
def test_what_deepseek_would_refuse_is_refused(
    request_: ChatRequest, start: str, part: str
) -> None:
    with pytest.raises(PreflightError) as excinfo:
        check_chat(request_)
    message = str(excinfo.value)
    assert message.startswith(start)
    assert part in message


# Near each rule, on the other side.
ACCEPTED: dict[str, ChatRequest] = {
    "plain": chat(),
    "all roles": chat(SYSTEM, {**USER, "role": "latest_reminder"}, USER, ANSWER, USER),
    "role as an enumeration": chat({**USER, "role": Role.USER}),
    "another mapping": chat(MappingProxyType(USER), MappingProxyType(PREFIX)),
    "calls as structs": chat(
        USER, called(ToolCall(id="c1", function=Function(name="f", arguments="{"))), RESULT
    ),
    "content that only the encoder knows": chat({**USER, "content": b"Hi"}),
    "empty content": chat({**USER, "content": ""}, {**ANSWER, "content": ""}, USER),
    "empty result": chat(USER, called(CALL), {**RESULT, "content": ""}),
    "result in parts": chat(USER, called(CALL), {**RESULT, "content": [TEXT_PART, IMAGE]}),
    "system in parts": chat({**SYSTEM, "content": [TEXT_PART]}, USER),
    "file": chat({**USER, "content": [{"type": "file", "file_id": "file-api-1"}]}),
    "call without content": chat(USER, {"role": "assistant", "tool_calls": [CALL]}, RESULT),
    "call with index": chat(USER, called({**CALL, "index": 0}), RESULT),
    "call without arguments": chat(
        USER, called({**CALL, "function": {"name": "f", "arguments": None}}), RESULT
    ),
    "no calls after all": chat(USER, {**ANSWER, "tool_calls": []}, USER),
    "null calls": chat(USER, {**ANSWER, "tool_calls": None}, USER),
    "answers in another order": chat(USER, called(CALL, OTHER_CALL), OTHER_RESULT, RESULT, USER),
    "same id twice, answered twice": chat(USER, called(CALL, CALL), RESULT, RESULT),
    "calls after calls": chat(USER, called(CALL), RESULT, called(CALL), RESULT),
    "two users in a row": chat(USER, USER),
    "an answer comes last": chat(USER, ANSWER),
    "prefix": chat(USER, PREFIX),
    "prefix switched off": chat(USER, {**PREFIX, "prefix": False}, {**USER, "prefix": None}),
    "reasoning is there": chat(
        USER, called(CALL, reasoning_content=""), RESULT, THOUGHT, USER, tools=[tool()]
    ),
    "no reasoning without tools": chat(USER, called(CALL), RESULT, ANSWER, USER, tools=None),
    "no reasoning with thinking off": chat(USER, ANSWER, USER, tools=[tool()], thinking=OFF),
    "no reasoning with effort none": chat(
        USER, ANSWER, USER, tools=[tool()], reasoning_effort="none"
    ),
    "no reasoning of a prefix": chat(USER, PREFIX, tools=[tool()]),
    "no reasoning for an unknown model": chat(USER, ANSWER, tools=[tool()], model="deepseek-v9"),
    "thinking on": chat(thinking=ON),
    "thinking as an object": chat(thinking={"type": "disabled"}),
    "thinking as another mapping": chat(
        thinking=MappingProxyType({"type": "disabled"}), tools=[tool()], tool_choice="required"
    ),
    "null thinking": chat(thinking=None, reasoning_effort=None),
    "mapped effort": chat(reasoning_effort="ultra"),
    "effort none": chat(reasoning_effort="none"),
    "default effort with thinking off": chat(thinking=OFF, reasoning_effort="high"),
    "effort none with thinking off": chat(thinking=OFF, reasoning_effort="none"),
    "tool may be called while thinking": chat(tools=[tool()], tool_choice="auto"),
    "no tool while thinking": chat(tools=[tool()], tool_choice="none"),
    "auto as an object": chat(tools=[tool()], tool_choice={"type": "auto"}),
    "required tool with thinking off": chat(tools=[tool()], tool_choice="required", thinking=OFF),
    "named tool with effort none": chat(
        tools=[tool()], tool_choice=NAMED, reasoning_effort="none", thinking=ON
    ),
    "required tool from an unknown model": chat(
        tools=[tool()], tool_choice="required", model="deepseek-v9"
    ),
    "text format": chat(response_format={"type": "text"}),
    "null format": chat(response_format=None),
    "JSON with the word": chat(SYSTEM, {**USER, "content": "some JSON"}, response_format=JSON_MODE),
    "JSON with the word in a part": chat(
        SYSTEM,
        {**USER, "content": [IMAGE, {**TEXT_PART, "text": "Json"}]},
        response_format=JSON_MODE,
    ),
    "16 stops": chat(stop=["a"] * 16),
    "one stop": chat(stop="a"),
    "empty stop": chat(stop=""),
    "stream options of a stream": chat(stream=True, stream_options={"include_usage": True}),
    "null stream options": chat(stream_options=None),
    "top_logprobs with logprobs": chat(logprobs=True, top_logprobs=0),
    "null top_logprobs": chat(logprobs=False, top_logprobs=None),
    "numeric limits are the server's": chat(
        max_tokens=0, logprobs=True, top_logprobs=99, thinking=OFF, temperature=9, top_p=5
    ),
    "types derived from JSON's": chat(
        MappingProxyType({"role": "user", "content": (MappingProxyType(TEXT_PART),)}),
        reasoning_effort=Effort.MAX,
        max_tokens=Amount(9),
    ),
    "numbers of other types": chat(max_tokens=9.0, temperature=Decimal("0.5"), thinking=OFF),
    "longest user": chat(user_id="u" * 512),
    "user of all characters": chat(user_id="aZ_-9"),
    "call to a tool of the server's": chat(USER, called(SEARCH), USER),
    "calls to tools of both": chat(USER, called(SEARCH, CALL), RESULT, ANSWER),
    "call to a tool of the server's, answered": chat(
        USER, called(SEARCH, CALL), RESULT, {**RESULT, "tool_call_id": "s1"}, ANSWER
    ),
    "null user": chat(user_id=None),
    "128 tools": chat(tools=[tool()] * 128),
    "longest name": chat(tools=[tool("f" * 64)]),
    "no parameters": chat(tools=[tool(parameters=None), tool("g")]),
    "empty parameters": chat(tools=[tool(parameters={"type": "object"})]),
    "the server's tools": chat(tools=[{"type": "deepseek_web_search"}, tool()]),
    "tool as an object": chat(
        tools=[SimpleNamespace(type="function", function=SimpleNamespace(name="f"))]
    ),
    "not strict": chat(tools=[tool(strict=False, parameters={**FITTING, "required": []}), tool()]),
    "strict": chat(tools=[strict(), {"type": "deepseek_web_search"}]),
    "strict without parameters": chat(tools=[tool(strict=True)]),
    "strict with what the guide doesn't know": chat(
        tools=[
            strict(
                properties={"a": {"type": ["string", "null"], "minLength": 2}, "b": True},
                required=["b", "a"],
                **{"$defs": {"n": FITTING}},
            )
        ]
    ),
    "strict with options": chat(
        tools=[strict(properties={"a": {"anyOf": [{"type": "null"}, FITTING]}})]
    ),
    "strict schema that holds itself": chat(tools=[tool(strict=True, parameters=endless())]),
    "image for a model that sees": chat({**USER, "content": [IMAGE]}),
    "text in parts for a model that doesn't": chat(
        SYSTEM, {**USER, "content": [TEXT_PART]}, model="deepseek-v4-pro"
    ),
    "defaults while thinking": chat(
        temperature=1, top_p=1.0, frequency_penalty=0, presence_penalty=0.0
    ),
    "nulls while thinking": chat(
        temperature=None, top_p=None, frequency_penalty=None, presence_penalty=None
    ),
    "sampling with thinking off": chat(thinking=OFF, temperature=0.2, top_p=0.5),
    "sampling with effort none": chat(reasoning_effort="none", temperature=0.2),
    "top_p that flash takes": chat(top_p=0.95),
    "sampling of an unknown model": chat(
        model="deepseek-v9", temperature=0.2, top_p=0.1, frequency_penalty=1
    ),
    "older name that is still served": chat(model="deepseek-v4-flash"),
}


@pytest.mark.parametrize("request_", ACCEPTED.values(), ids=ACCEPTED)
def test_what_deepseek_takes_is_neither_refused_nor_warned_of(request_: ChatRequest) -> None:
    assert check_chat(request_) == []


WARNED: dict[str, tuple[ChatRequest, list[str]]] = {
    "temperature": (chat(temperature=0.2), ["temperature=0.2 has no effect while thinking"]),
    "temperature 0": (chat(temperature=0, thinking=ON), ["temperature=0 has no effect"]),
    "top_p below the floor": (chat(top_p=0.5), ["top_p=0.5 has no effect while thinking"]),
    "any top_p of pro": (chat(model="deepseek-v4-pro", top_p=0.99), ["top_p=0.99 has no effect"]),
    "penalties": (
        chat(frequency_penalty=0.5, presence_penalty=-1),
        ["frequency_penalty=0.5 has no effect", "presence_penalty=-1 has no effect"],
    ),
    "penalty with thinking off": (
        chat(frequency_penalty=2, thinking=OFF),
        ["frequency_penalty=2 has no effect: today's models"],
    ),
    "effort with thinking off": (
        chat(thinking=OFF, reasoning_effort="max"),
        ["reasoning_effort='max' has no effect with thinking off"],
    ),
    "chat": (
        chat(model="deepseek-chat"),
        ["model 'deepseek-chat' was retired on 2026-07-24; use 'deepseek-flash' with thinking"],
    ),
    "chat with temperature": (
        chat(model="deepseek-chat", temperature=0.2, top_p=0.1),
        ["model 'deepseek-chat' was retired"],
    ),
    "chat and a required tool": (
        chat(model="deepseek-chat", tools=[tool()], tool_choice="required"),
        ["model 'deepseek-chat' was retired"],
    ),
    "reasoner with temperature": (
        chat(model="deepseek-reasoner", temperature=0.2),
        ["model 'deepseek-reasoner' was retired", "temperature=0.2"],
    ),
    "coder": (chat(model="deepseek-coder"), ["model 'deepseek-coder' was retired in 2024"]),
    "image for a model that doesn't see": (
        chat(SYSTEM, {**USER, "content": [TEXT_PART, IMAGE]}, model="deepseek-v4-pro"),
        ["messages[1].content holds an image, which 'deepseek-v4-pro' can't see"],
    ),
    "file for a model that doesn't see": (
        chat({**USER, "content": [{"type": "file", "file_id": "x"}]}, model="deepseek-v4-pro"),
        ["messages[0].content holds an image"],
    ),
}


@pytest.mark.parametrize(("request_", "starts"), WARNED.values(), ids=WARNED)
def test_what_deepseek_would_ignore_is_warned_of(request_: ChatRequest, starts: list[str]) -> None:
    found = check_chat(request_)
    assert len(found) == len(starts)
    for text, start in zip(found, starts, strict=True):
        assert text.startswith(start)


def test_what_users_write_is_not_told() -> None:
    for content in ({"secret": "x"}, ["secret"], 1234):
        with pytest.raises(PreflightError) as excinfo:
            check_chat(chat(USER, called(CALL), {**RESULT, "content": content}))
        assert not {"secret", "1234"} & set(str(excinfo.value).replace("'", " ").split())


def test_the_samples_of_the_api_pages_pass() -> None:
    request = ChatRequest(
        model="deepseek-chat",
        messages=[
            {"content": "You are a helpful assistant", "role": "system"},
            {"content": "Hi", "role": "user"},
        ],
        frequency_penalty=0,
        max_tokens=4096,
        presence_penalty=0,
        response_format={"type": "text"},
        stop=None,
        stream=False,
        stream_options=None,
        temperature=1,
        top_p=1,
        tools=None,
        tool_choice="none",
        logprobs=False,
        top_logprobs=None,
    )
    assert len(check_chat(request)) == 1
    request.model = "deepseek-v4-pro"
    assert check_chat(request) == []
    request.thinking, request.reasoning_effort = {"type": "enabled"}, "high"
    assert check_chat(request) == []


FIM_REFUSED: dict[str, tuple[CompletionRequest, str, str]] = {
    "suffix is a number": (fim(suffix=5), "suffix must be text", "got a number"),
    "logprobs is a flag": (fim(logprobs=True), "logprobs must be a number", "alternatives"),
    "echo is a string": (fim(echo="yes"), "echo must be true or false", "got text"),
    "temperature is a string": (fim(temperature="hot"), "temperature must be a number", "got text"),
    "17 stops": (fim(stop=["a"] * 17), "stop may hold at most 16", "got 17"),
    "stream options without a stream": (
        *(fim(stream_options={"include_usage": True}), "stream_options"),
        "stream=True",
    ),
}


@pytest.mark.parametrize(("request_", "start", "part"), FIM_REFUSED.values(), ids=FIM_REFUSED)
def test_gaps_that_deepseek_would_not_fill_are_refused(
    request_: CompletionRequest, start: str, part: str
) -> None:
    with pytest.raises(PreflightError) as excinfo:
        check_fim(request_)
    assert str(excinfo.value).startswith(start)
    assert part in str(excinfo.value)


FIM_ACCEPTED: dict[str, tuple[CompletionRequest, list[str]]] = {
    "plain": (fim(), []),
    "all": (
        fim(
            suffix="return a",
            max_tokens=99_999,
            echo=True,
            logprobs=20,
            stop=["a"],
            stream=True,
            stream_options={"include_usage": True},
            temperature=0.2,
            top_p=0.1,
            frequency_penalty=0,
            presence_penalty=0,
        ),
        [],
    ),
    "nulls": (fim(suffix=None, logprobs=None, stop=None, stream_options=None, echo=None), []),
    "one stop": (fim(stop="a"), []),
    "unknown model": (fim(model="deepseek-v9", presence_penalty=1), []),
    "penalty": (fim(presence_penalty=1), ["presence_penalty=1 has no effect"]),
    "retired": (
        fim(model="deepseek-chat"),
        ["model 'deepseek-chat' was retired on 2026-07-24; use 'deepseek-v4-pro'"],
    ),
}


@pytest.mark.parametrize(("request_", "starts"), FIM_ACCEPTED.values(), ids=FIM_ACCEPTED)
def test_other_gaps_pass(request_: CompletionRequest, starts: list[str]) -> None:
    found = check_fim(request_)
    assert len(found) == len(starts)
    for text, start in zip(found, starts, strict=True):
        assert text.startswith(start)
