"""Errors over HTTP: statuses, content types and bodies as DeepSeek sends them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from deepseek_async.simulator import Reply
from deepseek_async.simulator.refusals import JSON, OCTETS, REFUSALS, TEXT

from .conftest import Start
from .loopback import Client, chat


def text_of(data: bytes) -> str:
    try:
        error = json.loads(data)["error"]
    except ValueError:
        return data.decode()
    assert list(error) == ["message", "type", "param", "code"]
    assert error["param"] is None
    return str(error["message"])


@pytest.mark.parametrize(
    ("body", "status", "content_type", "text"),
    [
        (
            b"",
            400,
            OCTETS,
            "Failed to parse the request body as JSON: EOF while parsing a value at "
            "line 1 column 0",
        ),
        (
            b'{"model":',
            400,
            OCTETS,
            "Failed to parse the request body as JSON: model: EOF while "
            "parsing a value at line 1 column 9",
        ),
        (
            b'{"model" 1}',
            400,
            OCTETS,
            "Failed to parse the request body as JSON: expected value at line 1 column 10",
        ),
        (
            b"{}",
            400,
            JSON,
            "Failed to deserialize the JSON body into the target type: "
            "missing field `messages` at line 1 column 2",
        ),
        (
            b'{"messages":[]}',
            400,
            JSON,
            "Failed to deserialize the JSON body into the target "
            "type: missing field `model` at line 1 column 15",
        ),
        ({"messages": {}}, 400, JSON, "messages: invalid type: map, expected a sequence at line 1"),
        (chat(max_tokens="9"), 400, JSON, "max_tokens: invalid type: string, expected a "),
        (
            chat(messages=[{"role": "developer", "content": "x"}]),
            400,
            JSON,
            "messages[0].role: unknown variant `developer`, expected one of `system`, `user`, "
            "`assistant`, `tool`, `latest_reminder` at line 1 column ",
        ),
        (b"[]", 400, JSON, "invalid type: sequence"),
        (
            chat(model="gpt"),
            400,
            OCTETS,
            "The supported API model names are deepseek-v4-pro or "
            "deepseek-v4-flash, but you passed gpt.",
        ),
        (
            chat(temperature=2.1),
            400,
            OCTETS,
            "Invalid temperature value, the valid range of temperature is [0, 2]",
        ),
        (
            chat(max_tokens=0),
            400,
            OCTETS,
            "Invalid max_tokens value, the valid range of max_tokens is [1, 393216]",
        ),
        (
            chat(user_id="u" * 513),
            400,
            OCTETS,
            "Invalid 'user_id': string too long. Expected a "
            "string with maximum length 512, but got a string with length 513 instead",
        ),
        (
            chat(response_format={"type": "json_schema"}),
            400,
            OCTETS,
            "This response_format type is unavailable now",
        ),
        (
            chat(thinking=None, tool_choice="required"),
            400,
            OCTETS,
            "Thinking mode does not support this tool_choice",
        ),
        (chat(reasoning_effort="huge"), 422, JSON, "reasoning_effort: unknown variant `huge`"),
        (
            chat("x" * 3_600_000),
            400,
            OCTETS,
            "This model's maximum context length is 1048565 "
            "tokens. However, you requested 1080002 tokens (1080002 in the messages, 0 in the "
            "completion). Please reduce the length of the messages or completion.",
        ),
    ],
)
async def test_bad_requests_are_refused(
    client: Client, body: dict[str, Any] | bytes, status: int, content_type: str, text: str
) -> None:
    found, headers, data = await client.post(body)
    assert (found, headers["content-type"]) == (status, content_type)
    assert text in text_of(data)
    assert len(headers["x-ds-trace-id"]) == 32


async def test_a_missing_key_is_plain_text_without_a_type(client: Client) -> None:
    status, headers, data = await client.post(Authorization="")
    assert (status, data) == (401, b"Authentication Fails (governor)")
    assert "content-type" not in headers


async def test_a_bad_key_is_masked(client: Client) -> None:
    status, headers, data = await client.post(Authorization="Bearer sk-bad-abcd1234")
    assert (status, headers["content-type"]) == (401, "application/json")
    error = json.loads(data)["error"]
    assert error["message"] == "Authentication Fails, Your api key: ****1234 is invalid"
    assert (error["type"], error["code"]) == ("authentication_error", "invalid_request_error")


async def test_only_given_keys_are_known(start: Start) -> None:
    client = await start(keys=["sk-mine"])
    assert (await client.post())[0] == 401
    assert (await client.post(Authorization="Bearer sk-mine"))[0] == 200


async def test_the_wrong_media_type_is_a_415(client: Client) -> None:
    status, headers, data = await client.post(Content_Type="text/plain")
    assert (status, headers["content-type"]) == (415, "text/plain; charset=utf-8")
    assert len(data) == 54


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/chat/completion", 404),
        ("POST", "/completions", 404),
        ("GET", "/", 404),
        ("GET", "/chat/completions", 405),
        ("POST", "/models", 405),
        ("GET", "/beta/completions", 405),
    ],
)
async def test_wrong_paths_and_methods_have_empty_bodies(
    client: Client, method: str, path: str, status: int
) -> None:
    found, headers, data = await client.request(method, path)
    assert (found, data) == (status, b"")
    assert "content-type" not in headers
    assert "x-ds-trace-id" in headers


async def test_a_body_past_the_limit_is_a_413(client: Client) -> None:
    status, _, _ = await client.post(b" " * (48 * 1024 * 1024 + 1))
    assert status == 413
    assert client.sim.requests[-1].body is None


@pytest.mark.parametrize("name", list(REFUSALS))
async def test_every_error_can_be_scripted(client: Client, name: str) -> None:
    client.sim.script(Reply.error(name, retry_after=2.5))
    status, headers, data = await client.post(chat(stream=True))
    expected = REFUSALS[name]
    assert (status, headers.get("content-type"), data) == expected
    assert headers["retry-after"] == "2.5"
    assert int(headers["content-length"]) == len(data)


async def test_unprocessable_comes_in_both_shapes() -> None:
    assert REFUSALS["invalid_parameters"].content_type == JSON
    assert REFUSALS["invalid_parameters_text"].content_type == TEXT
