"""Answers over HTTP: shapes, field order and nulls of DeepSeek's chat, FIM and account routes."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from deepseek_async.simulator import Reply

from .conftest import Start
from .loopback import Client, chat

WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 2}},
            "required": ["city", "days"],
        },
    },
}
CLOCK: dict[str, Any] = {"type": "function", "function": {"name": "clock"}}
USAGE = [
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "prompt_tokens_details",
    "prompt_cache_hit_tokens",
    "prompt_cache_miss_tokens",
]


def delta(chunk: Any) -> Any:
    return chunk["choices"][0]["delta"]


@pytest.mark.parametrize("prefix", ["", "/v1", "/beta"])
async def test_a_plain_answer_has_the_usual_fields(client: Client, prefix: str) -> None:
    status, headers, data = await client.post(path=f"{prefix}/chat/completions")
    reply = json.loads(data)
    assert (status, headers["content-type"]) == (200, "application/json")
    assert re.fullmatch("[0-9a-f]{32}", headers["x-ds-trace-id"])
    assert list(reply) == [
        *("id", "object", "created", "model", "choices", "usage", "system_fingerprint")
    ]
    assert re.fullmatch("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", reply["id"])
    assert re.fullmatch("[0-9a-f]{32}", reply["system_fingerprint"])
    choice = reply["choices"][0]
    assert list(choice) == ["index", "message", "logprobs", "finish_reason"]
    assert list(choice["message"]) == ["role", "content"]
    assert choice["finish_reason"] == "stop"
    assert list(reply["usage"]) == USAGE


async def test_a_thinking_answer_tells_its_reasoning(client: Client) -> None:
    reply = await client.json(chat(thinking=None))
    assert list(reply["choices"][0]["message"]) == ["role", "content", "reasoning_content"]
    assert list(reply["usage"]) == [*USAGE[:4], "completion_tokens_details", *USAGE[4:]]
    assert reply["usage"]["completion_tokens_details"]["reasoning_tokens"] > 0


async def test_a_stream_has_first_middle_and_finish_chunks(client: Client) -> None:
    client.sim.script(Reply("Hi there"))
    chunks = await client.chunks(chat())
    assert [delta(chunk) for chunk in chunks] == [
        {"role": "assistant", "content": ""},
        {"content": "Hi"},
        {"content": " there"},
        {"content": ""},
    ]
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None, None, None, "stop"]
    assert list(chunks[0]) == [
        *("id", "object", "created", "model", "system_fingerprint", "choices")
    ]
    assert list(chunks[0]["choices"][0]) == ["index", "delta", "logprobs", "finish_reason"]
    assert list(chunks[-1]["usage"]) == USAGE
    assert len({chunk["id"] for chunk in chunks}) == 1


async def test_usage_is_null_on_other_chunks_only_when_asked_for(client: Client) -> None:
    chunks = await client.chunks(chat(stream_options={"include_usage": True}))
    assert {chunk["usage"] is None for chunk in chunks[:-1]} == {True}
    assert chunks[-1]["usage"]["total_tokens"] > 0


async def test_a_thinking_stream_alternates_nulls(client: Client) -> None:
    client.sim.script(Reply("Yes", reasoning="Hm so"))
    chunks = await client.chunks(chat(thinking=None))
    assert [delta(chunk) for chunk in chunks] == [
        {"role": "assistant", "content": None, "reasoning_content": ""},
        {"content": None, "reasoning_content": "Hm"},
        {"content": None, "reasoning_content": " so"},
        {"content": "Yes", "reasoning_content": None},
        {"content": "", "reasoning_content": None},
    ]


async def test_stream_headers_are_deepseeks(client: Client) -> None:
    _, headers, data = await client.post(chat(stream=True))
    assert headers["content-type"] == "text/event-stream; charset=utf-8"
    assert headers["cache-control"] == "no-cache"
    assert headers["transfer-encoding"] == "chunked"
    assert data.endswith(b"\n\ndata: [DONE]\n\n")
    assert b"\r" not in data


async def test_streamed_tool_calls_come_one_after_another(client: Client) -> None:
    client.sim.script(Reply(tool_calls=[("weather", '{"city": "Ulm"}'), ("clock", "{}")]))
    chunks = await client.chunks(chat(tools=[WEATHER, CLOCK]))
    calls = [delta(chunk)["tool_calls"][0] for chunk in chunks[1:-1]]
    assert [list(call) for call in calls[:2]] == [
        ["index", "id", "type", "function"],
        ["index", "function"],
    ]
    assert calls[0]["function"] == {"name": "weather", "arguments": ""}
    assert re.fullmatch("call_00_[A-Za-z0-9]{24}", calls[0]["id"])
    assert [call["id"][:8] for call in calls if "id" in call] == ["call_00_", "call_01_"]
    assert [call["index"] for call in calls] == [0] * (len(calls) - 2) + [1] * 2
    arguments = "".join(call["function"]["arguments"] for call in calls if call["index"] == 0)
    assert arguments == '{"city": "Ulm"}'
    assert delta(chunks[-1]) == {"content": ""}
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


async def test_offered_tools_are_called_with_fitting_arguments(client: Client) -> None:
    reply = await client.json(chat(tools=[WEATHER, CLOCK, CLOCK]))
    message = reply["choices"][0]["message"]
    assert list(message) == ["role", "content", "tool_calls"]
    assert message["content"] == ""
    first, second = message["tool_calls"]
    assert list(first) == ["index", "id", "type", "function"]
    assert json.loads(first["function"]["arguments"]) == {"city": "Hangzhou", "days": 2}
    assert second["function"] == {"name": "clock", "arguments": "{}"}
    assert reply["choices"][0]["finish_reason"] == "tool_calls"


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ("auto", ["weather", "clock"]),
        ("required", ["weather", "clock"]),
        ("none", []),
        ({"type": "function", "function": {"name": "clock"}}, ["clock"]),
    ],
)
async def test_tool_choice_is_followed(client: Client, choice: object, names: list[str]) -> None:
    reply = await client.json(chat(tools=[WEATHER, CLOCK], tool_choice=choice))
    calls = reply["choices"][0]["message"].get("tool_calls", [])
    assert [call["function"]["name"] for call in calls] == names


async def test_tool_results_are_mentioned(client: Client) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "31 degrees"},
    ]
    reply = await client.json(chat(messages=messages, tools=[WEATHER]))
    assert "weather answered 31 degrees" in reply["choices"][0]["message"]["content"]
    assert reply["choices"][0]["finish_reason"] == "stop"


async def test_json_mode_answers_json(client: Client) -> None:
    reply = await client.json(chat('say "x" as json', response_format={"type": "json_object"}))
    assert isinstance(json.loads(reply["choices"][0]["message"]["content"]), dict)


async def test_max_tokens_covers_reasoning(client: Client) -> None:
    client.sim.script(Reply("one two", reasoning="a b c d"))
    reply = await client.json(chat(thinking=None, max_tokens=3))
    choice = reply["choices"][0]
    assert (choice["finish_reason"], choice["message"]["content"]) == ("length", "")
    assert choice["message"]["reasoning_content"] == "a b c"
    assert reply["usage"]["completion_tokens"] == 3


@pytest.mark.parametrize("stop", ["two", ["four", "two", ""]])
async def test_stop_sequences_are_not_in_the_text(client: Client, stop: object) -> None:
    client.sim.script(Reply("one two three four"))
    reply = await client.json(chat(stop=stop))
    assert reply["choices"][0]["message"]["content"] == "one "
    assert reply["choices"][0]["finish_reason"] == "stop"


async def test_logprobs_have_only_the_key_that_applies(client: Client) -> None:
    client.sim.script(Reply("Hi", reasoning="Hm"), Reply("Hi"))
    chunks = await client.chunks(chat(thinking=None, logprobs=True, top_logprobs=2))
    found = [chunk["choices"][0]["logprobs"] for chunk in chunks]
    assert found[0] is found[-1] is None
    assert [list(entry) for entry in found[1:-1]] == [["reasoning_content"], ["content"]]
    item = found[2]["content"][0]
    assert (item["token"], item["bytes"], len(item["top_logprobs"])) == ("Hi", [72, 105], 2)
    reply = await client.json(chat(logprobs=True))
    assert reply["choices"][0]["logprobs"]["content"][0]["top_logprobs"] == []


async def test_scripted_usage_replaces_counts(client: Client) -> None:
    counts = {"prompt_tokens": 1000, "prompt_cache_hit_tokens": 896, "completion_tokens": 7}
    client.sim.script(Reply("Hi", usage={**counts, "extra": {"a": 1}}))
    usage = (await client.json(chat()))["usage"]
    assert usage == {
        **counts,
        "total_tokens": 1007,
        "prompt_tokens_details": {"cached_tokens": 896},
        "prompt_cache_miss_tokens": 104,
        "extra": {"a": 1},
    }


async def test_a_repeated_prefix_hits_the_cache_of_its_user(client: Client) -> None:
    document = "".join(f"Paragraph {n} of the document. " for n in range(300))
    hits = [
        (await client.json(chat(document + question, user_id=user)))["usage"]
        for question, user in (("Why?", "ann"), ("How?", "ann"), ("How?", "bob"))
    ]
    assert [usage["prompt_cache_hit_tokens"] > 0 for usage in hits] == [False, True, False]
    second = hits[1]
    assert second["prompt_cache_hit_tokens"] % 128 == 0
    total = second["prompt_cache_hit_tokens"] + second["prompt_cache_miss_tokens"]
    assert total == second["prompt_tokens"]


async def test_a_scripted_finish_reason_is_sent(client: Client) -> None:
    client.sim.script(Reply("Hal", finish_reason="insufficient_system_resource"))
    chunks = await client.chunks(chat())
    assert chunks[-1]["choices"][0]["finish_reason"] == "insufficient_system_resource"


async def test_a_scripted_body_is_sent_as_it_is(client: Client) -> None:
    client.sim.script(Reply(body={"hello": 1}, headers={"X-Extra": "1", "x-ds-trace-id": ""}))
    status, headers, data = await client.post()
    assert (status, data, headers["x-extra"]) == (200, b'{"hello":1}', "1")
    assert "x-ds-trace-id" not in headers


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("deepseek-flash", "deepseek-flash"),
        ("deepseek-v4-pro", "deepseek-v4-pro"),
        ("deepseek-v4-flash", "deepseek-flash"),
        ("deepseek-chat", "deepseek-flash"),
        ("deepseek-reasoner", "deepseek-flash"),
    ],
)
async def test_aliases_are_answered_by_another_name(
    client: Client, asked: str, answered: str
) -> None:
    assert (await client.json(chat(model=asked)))["model"] == answered


async def test_unscripted_answers_depend_on_request_and_seed(start: Start) -> None:
    texts: list[str] = []
    for seed in (1, 1, 2):
        client = await start(seed=seed)
        reply = await client.json(chat("Why is the sky blue?"))
        texts.append(reply["choices"][0]["message"]["content"])
    assert texts[0] == texts[1] != texts[2]
    assert "Why is the sky blue?" in texts[0]


async def test_fim_answers_plain_and_streamed(client: Client) -> None:
    body = {"model": "deepseek-v4-pro", "prompt": "def f():", "suffix": "return"}
    client.sim.script(Reply("\n  pass"), Reply("\n  pass"))
    reply = await client.json(body, "/beta/completions")
    assert reply["object"] == "text_completion"
    assert reply["choices"][0] == {
        "index": 0,
        "text": "\n  pass",
        "logprobs": None,
        "finish_reason": "stop",
    }
    chunks = await client.chunks(body, "/beta/completions")
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == "\n  pass"
    assert chunks[-1]["usage"]["total_tokens"] > 0
    assert {"usage" in chunk for chunk in chunks[:-1]} == {False}


async def test_fim_echoes_when_asked_to(client: Client) -> None:
    body = {"model": "deepseek-v4-pro", "prompt": "Once", "echo": True}
    reply = await client.json(body, "/beta/completions")
    assert reply["choices"][0]["text"].startswith("Once ")


async def test_models_and_balance_are_listed(client: Client) -> None:
    _, _, data = await client.request("GET", "/models")
    models = json.loads(data)
    assert models["object"] == "list"
    assert [model["id"] for model in models["data"]] == ["deepseek-flash", "deepseek-v4-pro"]
    _, _, data = await client.request("GET", "/user/balance")
    balance = json.loads(data)
    assert [info["currency"] for info in balance["balance_infos"]] == ["CNY", "USD"]
    assert balance["balance_infos"][0]["total_balance"] == "110.00"
