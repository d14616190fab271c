"""What is sent: addresses, headers, bodies. And what comes of plain answers."""

import json
import sys
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest
from yarl import URL

import deepseek_async
from deepseek_async import (
    AssistantMessage,
    AsyncDeepSeek,
    ChatCompletion,
    PreflightError,
    SystemMessage,
    ToolMessage,
    UserMessage,
)

from .fake_api import BASE, COMPLETION, HELLO, KEY, FakeAPI


async def sent(api: FakeAPI, client: AsyncDeepSeek, **params: Any) -> Any:
    """Return the body that a chat call sends."""
    api.post()
    await client.chat.completions.create(**({"model": "m", "messages": HELLO} | params))
    return api.sent[-1].json


async def test_a_plain_call_sends_these_headers(api: FakeAPI, client: AsyncDeepSeek) -> None:
    await sent(api, client)
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert dict(api.sent[0].headers) == {
        "Authorization": f"Bearer {KEY}",
        "Accept": "application/json",
        "Content-Type": "application/json",
        "User-Agent": f"deepseek-async/{deepseek_async.__version__} Python/{version}",
    }


async def test_a_call_without_body_has_no_content_type(api: FakeAPI, client: AsyncDeepSeek) -> None:
    api.get("/models", payload={"data": []})
    await client.models.list()
    assert "Content-Type" not in api.sent[0].headers
    assert api.sent[0].data is None


@pytest.mark.parametrize("name", ["Authorization", "Accept", "Content-Type", "User-Agent", "X-Own"])
@pytest.mark.parametrize("spell", [str, str.lower])
async def test_extra_headers_win(
    api: FakeAPI, client: AsyncDeepSeek, name: str, spell: Any
) -> None:
    await sent(api, client, extra_headers={spell(name): "mine"})
    # The last of equal names is what aiohttp sends.
    assert api.sent[0].headers.getall(name)[-1] == "mine"


async def test_default_headers_are_sent_with_every_call(api: FakeAPI) -> None:
    async with AsyncDeepSeek(KEY, default_headers={"X-Team": "a", "X-Own": "b"}) as client:
        await sent(api, client, extra_headers={"X-Own": "c"})
    assert (api.sent[0].headers["X-Team"], api.sent[0].headers["X-Own"]) == ("a", "c")


@pytest.mark.parametrize("headers", [{"X-Own": "a\r\nb"}, {"X\nOwn": "a"}, {"X-Own": "\x00"}])
async def test_headers_with_control_characters_are_refused_without_their_value(
    api: FakeAPI, client: AsyncDeepSeek, headers: dict[str, str]
) -> None:
    with pytest.raises(PreflightError, match="control character") as excinfo:
        await client.chat.completions.create(model="m", messages=HELLO, extra_headers=headers)
    assert all(value not in str(excinfo.value) for value in headers.values() if len(value) > 1)
    assert api.sent == []


async def test_extra_query_is_added_to_the_address(api: FakeAPI, client: AsyncDeepSeek) -> None:
    api.get("/models?after=a%20b&limit=2", payload={"data": []})
    await client.models.list(extra_query={"after": "a b", "limit": "2"})
    assert api.sent[0].url.query == {"after": "a b", "limit": "2"}


async def test_extra_body_wins_over_known_parameters(api: FakeAPI, client: AsyncDeepSeek) -> None:
    body = await sent(
        api,
        client,
        temperature=1.0,
        extra_body={"temperature": 0.5, "thinking": {"type": "disabled"}, "seed": 7},
    )
    assert body == {
        "model": "m",
        "messages": HELLO,
        "temperature": 0.5,
        "thinking": {"type": "disabled"},
        "seed": 7,
    }


async def test_what_is_left_out_is_not_sent(api: FakeAPI, client: AsyncDeepSeek) -> None:
    assert await sent(api, client) == {"model": "m", "messages": HELLO}


async def test_none_is_sent_as_null(api: FakeAPI, client: AsyncDeepSeek) -> None:
    assert (await sent(api, client, max_tokens=None))["max_tokens"] is None


async def test_the_order_of_arguments_does_not_change_the_bytes(
    api: FakeAPI, client: AsyncDeepSeek
) -> None:
    await sent(api, client, temperature=1.0, max_tokens=5)
    await sent(api, client, max_tokens=5, temperature=1.0)
    assert api.sent[0].data == api.sent[1].data


ADDRESSES = {
    "https://api.deepseek.com": "https://api.deepseek.com/chat/completions",
    "https://api.deepseek.com/": "https://api.deepseek.com/chat/completions",
    "https://api.deepseek.com/v1": "https://api.deepseek.com/v1/chat/completions",
    "https://api.deepseek.com/beta": "https://api.deepseek.com/beta/chat/completions",
    "http://localhost:8000/v1/": "http://localhost:8000/v1/chat/completions",
    "https://api.deepseek.com/v3.2_expires_on_20251215": (
        "https://api.deepseek.com/v3.2_expires_on_20251215/chat/completions"
    ),
}


@pytest.mark.parametrize(("base_url", "address"), ADDRESSES.items(), ids=ADDRESSES)
async def test_the_path_of_the_base_url_is_kept(api: FakeAPI, base_url: str, address: str) -> None:
    api.post(address)
    async with AsyncDeepSeek(KEY, base_url=base_url) as client:
        await client.chat.completions.create(model="m", messages=HELLO)
    assert api.sent[0].url == URL(address)


PREFIX = [*HELLO, {"role": "assistant", "content": "He", "prefix": True}]
STRICT = [{"type": "function", "function": {"name": "f", "strict": True}}]
BETA: Mapping[str, tuple[str, dict[str, Any], str]] = {
    "prefix": (BASE, {"messages": PREFIX}, f"{BASE}/beta"),
    "prefix, v1": (f"{BASE}/v1", {"messages": PREFIX}, f"{BASE}/beta"),
    "prefix, other host": ("http://vllm/v1", {"messages": PREFIX}, "http://vllm/v1"),
    "strict tools": (BASE, {"tools": STRICT}, f"{BASE}/beta"),
    "neither": (BASE, {}, BASE),
}


@pytest.mark.parametrize(("base_url", "params", "goes_to"), BETA.values(), ids=BETA)
async def test_beta_features_go_to_the_beta_address(
    api: FakeAPI, base_url: str, params: dict[str, Any], goes_to: str
) -> None:
    api.post(f"{goes_to}/chat/completions")
    async with AsyncDeepSeek(KEY, base_url=base_url) as client:
        await client.chat.completions.create(**{"model": "m", "messages": HELLO, **params})
    assert str(api.sent[0].url) == f"{goes_to}/chat/completions"


THINKING: Mapping[str, tuple[Any, Any]] = {
    "True": (True, {"type": "enabled"}),
    "False": (False, {"type": "disabled"}),
    "a word": ("disabled", {"type": "disabled"}),
    "the wire object": ({"type": "enabled", "x": 1}, {"type": "enabled", "x": 1}),
    "None": (None, None),
}


@pytest.mark.parametrize(("given", "wire"), THINKING.values(), ids=THINKING)
async def test_thinking_is_a_switch(
    api: FakeAPI, client: AsyncDeepSeek, given: Any, wire: Any
) -> None:
    assert (await sent(api, client, thinking=given))["thinking"] == wire


async def test_thinking_of_another_word_is_refused(api: FakeAPI, client: AsyncDeepSeek) -> None:
    with pytest.raises(PreflightError, match="thinking must be"):
        await sent(api, client, thinking="on")


@pytest.mark.parametrize(
    ("theirs", "ours", "value"),
    [("max_completion_tokens", "max_tokens", 5), ("user", "user_id", "u-1")],
)
class TestNamesOfOpenAI:
    async def test_they_are_translated_for_deepseek(
        self, api: FakeAPI, client: AsyncDeepSeek, theirs: str, ours: str, value: Any
    ) -> None:
        body = await sent(api, client, **{theirs: value})
        assert (body.get(theirs), body[ours]) == (None, value)

    async def test_they_are_left_alone_for_other_hosts(
        self, api: FakeAPI, theirs: str, ours: str, value: Any
    ) -> None:
        async with AsyncDeepSeek(KEY, dialect="generic") as client:
            body = await sent(api, client, **{theirs: value})
        assert (body[theirs], body.get(ours)) == (value, None)

    async def test_they_can_not_stand_beside_deepseeks_own(
        self, client: AsyncDeepSeek, theirs: str, ours: str, value: Any
    ) -> None:
        params: Any = {"model": "m", "messages": HELLO, theirs: value, ours: value}
        with pytest.raises(PreflightError, match="mean the same"):
            await client.chat.completions.create(**params)


HINTS = {
    "temprature": "did you mean 'temperature'",
    "max_token": "did you mean 'max_tokens'",
    "frobnicate": "to send it all the same, use extra_body",
}


@pytest.mark.parametrize(("name", "hint"), HINTS.items(), ids=HINTS)
async def test_an_unknown_parameter_is_a_type_error_with_a_hint(
    api: FakeAPI, client: AsyncDeepSeek, name: str, hint: str
) -> None:
    params: Any = {"model": "m", "messages": HELLO, name: 1}
    with pytest.raises(TypeError, match=rf"create\(\) got .*'{name}'; {hint}"):
        await client.chat.completions.create(**params)
    assert api.sent == []


@pytest.mark.parametrize("name", ["model", "messages"])
async def test_a_missing_parameter_is_a_type_error(client: AsyncDeepSeek, name: str) -> None:
    params: Any = {"model": "m", "messages": HELLO}
    del params[name]
    with pytest.raises(TypeError, match=f"missing the keyword argument '{name}'"):
        await client.chat.completions.create(**params)


async def test_messages_may_be_any_iterable(api: FakeAPI, client: AsyncDeepSeek) -> None:
    assert (await sent(api, client, messages=iter(HELLO)))["messages"] == HELLO


async def test_messages_may_be_structs(api: FakeAPI, client: AsyncDeepSeek) -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = (
        SystemMessage(content="Be brief"),
        UserMessage(content=[{"type": "text", "text": "Hi"}], name="Ada"),
        AssistantMessage(content=None, tool_calls=[call], reasoning_content=""),
        ToolMessage(content="5", tool_call_id="1"),
    )
    assert (await sent(api, client, messages=messages))["messages"] == [
        {"role": "system", "content": "Be brief"},
        {"role": "user", "content": [{"type": "text", "text": "Hi"}], "name": "Ada"},
        {"role": "assistant", "content": None, "reasoning_content": "", "tool_calls": [call]},
        {"role": "tool", "content": "5", "tool_call_id": "1"},
    ]


async def test_the_message_of_an_answer_can_be_sent_back(
    api: FakeAPI, client: AsyncDeepSeek
) -> None:
    message = {
        "role": "assistant",
        "content": None,
        "reasoning_content": "",
        "annotations": [1],
        "tool_calls": [
            {
                "index": 0,
                "id": "1",
                "type": "function",
                "function": {"name": "f", "arguments": '{ "a":1 }'},
            }
        ],
    }
    api.post(payload={**COMPLETION, "choices": [{"index": 0, "message": message}]})
    completion = await client.chat.completions.create(model="m", messages=HELLO)
    answer = {"role": "tool", "tool_call_id": "1", "content": ""}
    body = await sent(api, client, messages=[*HELLO, completion.choices[0].message, answer])
    assert body["messages"][1] == {
        "role": "assistant",
        "content": "",
        "reasoning_content": "",
        "tool_calls": [
            {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{ "a":1 }'}}
        ],
        "annotations": [1],
    }


NO_MESSAGES: Mapping[str, Any] = {
    "a string": "Hello",
    "one message": HELLO[0],
    "None": None,
    "strings": ["Hello"],
    "None in a list": [None],
    "a list in a list": [HELLO],
}


@pytest.mark.parametrize("messages", NO_MESSAGES.values(), ids=NO_MESSAGES)
async def test_what_is_no_list_of_messages_is_refused(
    api: FakeAPI, client: AsyncDeepSeek, messages: Any
) -> None:
    with pytest.raises(PreflightError, match="messages"):
        await client.chat.completions.create(model="m", messages=messages)
    assert api.sent == []


async def test_a_lone_surrogate_is_refused(api: FakeAPI, client: AsyncDeepSeek) -> None:
    with pytest.raises(PreflightError, match="lone surrogate"):
        await client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "a\ud800"}]
        )
    assert api.sent == []


async def test_the_answer_carries_request_id_and_attempts(
    api: FakeAPI, client: AsyncDeepSeek
) -> None:
    api.post()
    completion = await client.chat.completions.create(model="m", messages=HELLO)
    assert isinstance(completion, ChatCompletion)
    assert (completion.request_id, completion.attempts) == ("trace-1", 1)


@pytest.mark.parametrize("content_type", ["application/octet-stream", "text/plain", "text/html"])
async def test_an_answer_is_read_as_json_whatever_its_content_type(
    api: FakeAPI, client: AsyncDeepSeek, content_type: str
) -> None:
    api.post(body=json.dumps(COMPLETION), content_type=content_type)
    completion = await client.chat.completions.create(model="m", messages=HELLO)
    assert completion.id == "c1"


async def test_models_are_listed(api: FakeAPI, client: AsyncDeepSeek) -> None:
    names = ["deepseek-flash", "deepseek-v4-pro"]
    data = [{"id": name, "object": "model", "owned_by": "deepseek"} for name in names]
    api.get("/models", payload={"object": "list", "data": data})
    models = await client.models.list()
    assert [model.id for model in models] == names
    assert models.data[0].owned_by == "deepseek"
    assert models.request_id == "trace-1"


async def test_the_balance_is_told(api: FakeAPI, client: AsyncDeepSeek) -> None:
    info = {
        "currency": "CNY",
        "total_balance": "110.00",
        "granted_balance": "10.00",
        "topped_up_balance": "100.00",
    }
    api.get("/user/balance", payload={"is_available": True, "balance_infos": [info]})
    balance = await client.user.balance()
    assert balance.is_available
    assert balance.total("CNY") == Decimal("110.00")


async def test_a_raw_response_has_what_http_said(api: FakeAPI, client: AsyncDeepSeek) -> None:
    text = json.dumps(COMPLETION, indent=1)
    api.post(status=500)
    api.post(body=text, headers={"x-ds-trace-id": "trace-2", "Server": "elb"})
    raw = await client.chat.completions.with_raw_response.create(model="m", messages=HELLO)
    assert (raw.status, raw.request_id, raw.headers["server"]) == (200, "trace-2", "elb")
    assert raw.body == text.encode()
    assert (raw.parse().id, raw.parse().attempts) == ("c1", 2)


async def test_a_raw_response_to_a_stream_has_no_body(api: FakeAPI, client: AsyncDeepSeek) -> None:
    api.post(body="data: [DONE]\n\n", content_type="text/event-stream")
    raw = await client.chat.completions.with_raw_response.create(
        model="m", messages=HELLO, stream=True
    )
    assert (raw.status, raw.body) == (200, None)
    async with raw.parse() as stream:
        assert [chunk async for chunk in stream] == []
    assert stream.saw_done


async def test_a_stream_is_asked_for_without_compression(
    api: FakeAPI, client: AsyncDeepSeek
) -> None:
    api.post(body="data: [DONE]\n\n", content_type="text/event-stream")
    async with await client.chat.completions.create(model="m", messages=HELLO, stream=True):
        pass
    assert api.sent[0].json["stream"] is True
    assert api.sent[0].headers["Accept"] == "text/event-stream"
    assert api.sent[0].headers["Accept-Encoding"] == "identity"


async def test_a_large_body_is_sent_in_pieces(api: FakeAPI, client: AsyncDeepSeek) -> None:
    # aiohttp warns about large bodies given as bytes, and warnings are errors here.
    api.post()
    text = "x" * (1 << 20)
    await client.chat.completions.create(model="m", messages=[{"role": "user", "content": text}])
    data: Any = api.sent[0].data
    assert json.loads(data.read())["messages"][0]["content"] == text
