"""Request bodies as bytes: the same each time, without invented nulls, answers byte for byte.

The prompt cache compares what was sent before with what is sent now, from the first byte on.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepseek_async.errors import DeepSeekError
from deepseek_async.types.chat import ChatCompletion, ChatCompletionChunk, ChatCompletionMessage
from deepseek_async.types.http import Headers, ResponseInfo
from deepseek_async.types.requests import ToolMessage, UserMessage
from deepseek_async.wire.accumulate import ChatAccumulator
from deepseek_async.wire.chunks import ChunkDecoder
from deepseek_async.wire.codec import decode_result, encode_request
from deepseek_async.wire.requests import chat_request
from tests.fixtures import RECORDINGS, needs_recordings

USER = {"role": "user", "content": "Weather in Ulm?"}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}


def body(extra: dict[str, Any] | None = None, **params: Any) -> bytes:
    """Return the body that is sent for some parameters."""
    params = {"model": "deepseek-flash", "messages": [USER], **params}
    stream = bool(params.pop("stream", False))
    return encode_request(chat_request(params, stream=stream, dialect="deepseek"), extra)


def compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def message_of(**fields: Any) -> ChatCompletionMessage:
    """Decode a message as it comes from a server."""
    choice = {"index": 0, "message": {"role": "assistant", **fields}, "finish_reason": "stop"}
    return answer(compact({"id": "1", "object": "chat.completion", "choices": [choice]}))


def answer(data: bytes) -> ChatCompletionMessage:
    """Return the message of a recorded body, plain or streamed."""
    if data.lstrip().startswith(b"{"):
        completion = decode_result(data, ChatCompletion, ResponseInfo(200, Headers()))
    else:
        decoder, accumulator = ChunkDecoder(ChatCompletionChunk), ChatAccumulator()
        accumulator.add(decoder.feed(data))
        decoder.finish()
        completion = accumulator.build()
    return completion.choices[0].message


# The same each time.

PROGRAM = """
import sys
from deepseek_async.types.chat import ChatCompletionMessage, Function, ToolCall
from deepseek_async.wire.codec import encode_request
from deepseek_async.wire.requests import chat_request

call = ToolCall(id="c1", function=Function(name="weather", arguments='{"city":  "Ulm"}'))
request = chat_request(
    {
        "top_p": 1, "user_id": "u", "stop": {"a": 1}.keys(), "thinking": True, "max_tokens": 9,
        "messages": [
            {"role": "user", "content": "Weather in Ulm?"},
            ChatCompletionMessage(
                tool_calls=[call], model_extra={"b": [{}], "a": {"z": 1, "y": 2}}
            ),
            {"role": "tool", "tool_call_id": "c1", "content": "21 °C"},
        ],
        "tools": [{"type": "function", "function": {"name": "weather"}}],
        "model": "deepseek-flash",
    },
    stream=True,
    dialect="deepseek",
)
sys.stdout.buffer.write(encode_request(request, {"seed": 5, "metadata": {"b": 1, "a": 2}}))
"""


def test_the_bytes_are_the_same_in_another_process() -> None:
    bodies = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            timeout=60,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert bodies == {
        b'{"model":"deepseek-flash","messages":[{"role":"user","content":"Weather in Ulm?"},'
        b'{"role":"assistant","content":"","tool_calls":[{"id":"c1","type":"function",'
        b'"function":{"name":"weather","arguments":"{\\"city\\":  \\"Ulm\\"}"}}],'
        b'"b":[{}],"a":{"z":1,"y":2}},'
        b'{"role":"tool","tool_call_id":"c1","content":"21 \xc2\xb0C"}],'
        b'"thinking":{"type":"enabled"},"max_tokens":9,"stop":["a"],"stream":true,"top_p":1,'
        b'"tools":[{"type":"function","function":{"name":"weather"}}],"user_id":"u",'
        b'"seed":5,"metadata":{"b":1,"a":2}}'
    }


PARAMETERS: dict[str, Any] = {
    "thinking": {"type": "disabled"},
    "reasoning_effort": "high",
    "max_tokens": 9,
    "response_format": {"type": "text"},
    "stop": ["x"],
    "stream": True,
    "stream_options": {"include_usage": True},
    "temperature": 0.5,
    "top_p": 1,
    "tools": [TOOL],
    "tool_choice": "auto",
    "logprobs": True,
    "top_logprobs": 2,
    "user_id": "u",
    "frequency_penalty": 0,
    "presence_penalty": 0,
}


@given(names=st.permutations(sorted(PARAMETERS)), count=st.integers(0, len(PARAMETERS)))
def test_the_order_of_keywords_does_not_matter(names: list[str], count: int) -> None:
    chosen = names[:count]
    one = body(**{name: PARAMETERS[name] for name in chosen})
    assert one == body(**{name: PARAMETERS[name] for name in sorted(chosen)})
    assert set(json.loads(one)) == {"model", "messages", *chosen}


def test_a_growing_conversation_repeats_its_beginning_byte_for_byte() -> None:
    messages: list[Any] = [{"role": "system", "content": "Be brief."}, UserMessage(content="Hi")]
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{ }"}}
    turns: list[Any] = [
        message_of(content=None, reasoning_content="Hm.\n", tool_calls=[{"index": 0, **call}]),
        ToolMessage(content="21 °C", tool_call_id="c1"),
        message_of(content="21 degrees \u2028\U0001f321", reasoning_content=""),
        {"role": "user", "content": "And tomorrow?"},
    ]
    sent = [body(messages=messages, tools=[TOOL])]
    for turn in turns:
        messages.append(turn)
        sent.append(body(messages=messages, tools=[TOOL]))
    tail = b'],"tools":['
    for earlier, later in pairwise(sent):
        assert later.startswith(earlier[: earlier.index(tail)])


# No nulls that nobody passed.


def nulls(value: Any, path: str = "") -> Iterator[str]:
    """Yield the places of nulls."""
    if value is None:
        yield path
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from nulls(item, f"{path}.{name}")
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from nulls(item, f"{path}[{i}]")


@given(st.sets(st.sampled_from(sorted(set(PARAMETERS) - {"stream"}))))
def test_only_the_nulls_that_were_passed_are_sent(none: set[str]) -> None:
    params = {name: None if name in none else value for name, value in PARAMETERS.items()}
    assert set(nulls(json.loads(body(**params)))) == {f".{name}" for name in none}


MOSTLY_NULL: dict[str, dict[str, Any]] = {
    "text": {"content": "Hi", "reasoning_content": None, "tool_calls": None},
    "other hosts' fields": {"content": "Hi", "refusal": None, "audio": None, "annotations": None},
    "nothing": {"content": None},
    "a call": {
        "content": None,
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f"}}],
    },
}


@pytest.mark.parametrize("fields", MOSTLY_NULL.values(), ids=MOSTLY_NULL)
def test_an_answer_with_nulls_is_sent_back_without_them(fields: dict[str, Any]) -> None:
    sent = body(messages=[USER, message_of(**fields)])
    assert list(nulls(json.loads(sent))) == []
    assert json.loads(sent)["messages"][1]["content"] == (fields["content"] or "")


# Answers come back as they were.

UNKNOWN: dict[str, dict[str, Any]] = {
    "of the message": {"content": "Hi", "title": "A greeting", "blocks": [{"b": 1, "a": None}]},
    "of a call": {
        "content": "",
        "tool_calls": [
            {
                "id": "c1",
                "type": "function",
                "function": {"name": "f", "arguments": "{}"},
                "signature": "s",
            }
        ],
    },
    "of a function": {
        "content": "",
        "tool_calls": [
            {
                "id": "c1",
                "type": "function",
                "function": {"name": "f", "arguments": "{}", "thought": {"a": [1.5, None]}},
            }
        ],
    },
    "another kind of call": {
        "content": "",
        "tool_calls": [
            {
                "id": "c1",
                "type": "deepseek_web_search",
                "function": {"name": "", "arguments": ""},
                "deepseek_web_search": {"query": "Ulm"},
            }
        ],
    },
}


@pytest.mark.parametrize("fields", UNKNOWN.values(), ids=UNKNOWN)
def test_unknown_fields_come_back_unchanged(fields: dict[str, Any]) -> None:
    sent = body(messages=[USER, message_of(**fields)])
    assert json.loads(sent)["messages"][1] == {"role": "assistant", **fields}


RAW = [
    "",
    "{}",
    "{ }",
    '{"a":1,\n  "b" : 2}',
    '{"a": 1e400, "a": 1.0}',
    '{"city": "M\\u00fcnchen"}',
    '{"city": "München", "unterminated": "',
    'no JSON \\" at all \u2028 \x00 \x7f 🌡',
]


@pytest.mark.parametrize("arguments", RAW)
def test_arguments_come_back_character_by_character(arguments: str) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}
    fields = {"content": "", "reasoning_content": "", "tool_calls": [call]}
    sent = body(messages=[USER, message_of(**fields)])
    assert json.loads(sent)["messages"][1] == {"role": "assistant", **fields}


@given(content=st.text(), reasoning=st.text() | st.none(), arguments=st.text())
def test_any_text_comes_back_character_by_character(
    content: str, reasoning: str | None, arguments: str
) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}
    fields: dict[str, Any] = {"content": content}
    if reasoning is not None:
        fields["reasoning_content"] = reasoning
    fields["tool_calls"] = [call]
    sent = body(messages=[USER, message_of(**fields)])
    assert sent.endswith(compact([{"role": "assistant", **fields}])[1:] + b"}")


# As recorded.


def recorded_requests() -> dict[str, dict[str, Any]]:
    paths = sorted(RECORDINGS.glob("*/*.request.json"))
    bodies = {str(path.relative_to(RECORDINGS)): json.loads(path.read_bytes()) for path in paths}
    return {name: each for name, each in bodies.items() if isinstance(each.get("messages"), list)}


RECORDED = recorded_requests()
KNOWN = set(PARAMETERS) | {"model", "messages"}
NO_ANSWERS = (".request.json", ".headers.json", ".chunks.json")


@needs_recordings
def test_most_recorded_requests_are_looked_at() -> None:
    assert len(RECORDED) >= 100
    assert len(REPLAYED) >= 20


@needs_recordings
@pytest.mark.parametrize("name", RECORDED)
def test_a_recorded_request_is_sent_as_it_was(name: str) -> None:
    request = RECORDED[name]
    extra = {key: value for key, value in request.items() if key not in KNOWN}
    params = {key: value for key, value in request.items() if key in KNOWN}
    sent = body(extra, **params)
    # `false` is what the server takes a missing `stream` for; nulls were passed.
    expected = {key: value for key, value in request.items() if (key, value) != ("stream", False)}
    assert json.loads(sent) == expected
    assert compact(request["messages"]) in sent


def key_of(message: dict[str, Any], case: str) -> tuple[Any, ...]:
    """Return what tells an answer of a case from others: its calls, or else its text."""
    ids = [call.get("id") for call in message.get("tool_calls") or []]
    return (case, *ids) if ids else (case, message.get("content"))


def case_of(path: Path) -> str:
    return f"{path.parent.name}/{path.name.split('.')[0]}"


def recorded_answers() -> dict[tuple[Any, ...], Path]:
    found: dict[tuple[Any, ...], Path] = {}
    for path in sorted(RECORDINGS.glob("*/*.*")):
        if path.suffix not in (".sse", ".json") or path.name.endswith(NO_ANSWERS):
            continue
        try:
            message = answer(path.read_bytes())
        except (DeepSeekError, LookupError):
            continue
        found[key_of(message.to_dict(), case_of(path))] = path
    return found


def replayed() -> Iterator[tuple[str, Path, int]]:
    """Yield each recorded request whose message ``i`` is an answer that was recorded, too."""
    answers = recorded_answers()
    for name, request in RECORDED.items():
        for i, message in enumerate(request["messages"]):
            if message.get("role") != "assistant":
                continue
            source = answers.get(key_of(message, case_of(RECORDINGS / name)))
            if source is not None:
                yield name, source, i


REPLAYED = {f"{name}, message {i}": (name, source, i) for name, source, i in replayed()}


@needs_recordings
@pytest.mark.parametrize(("name", "source", "i"), REPLAYED.values(), ids=REPLAYED)
def test_a_recorded_answer_comes_back_as_it_was_recorded(name: str, source: Path, i: int) -> None:
    messages = list(RECORDED[name]["messages"])
    theirs = messages[i]
    messages[i] = answer(source.read_bytes())
    ours = json.loads(body(messages=messages))["messages"]
    assert ours[:i] + ours[i + 1 :] == messages[:i] + messages[i + 1 :]
    # Those clients leave an empty text out or put something else there, and some drop the
    # reasoning.
    said = theirs.get("content") or ""
    assert ours[i]["content"] == ("" if said == "[empty string]" else said)
    assert [
        (call["id"], call["type"], call["function"]) for call in ours[i].get("tool_calls", [])
    ] == [(call["id"], call["type"], call["function"]) for call in theirs.get("tool_calls") or []]
    if "reasoning_content" in theirs:
        assert ours[i]["reasoning_content"] == theirs["reasoning_content"]
