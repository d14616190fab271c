"""Keyword arguments to request bodies."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from deepseek_async.errors import PreflightError
from deepseek_async.policy.dialect import Dialect
from deepseek_async.types.chat import ChatCompletionMessage, Function, ToolCall
from deepseek_async.types.requests import UserMessage
from deepseek_async.wire.codec import encode_request
from deepseek_async.wire.requests import chat_request, check_parameters

HELLO = {"role": "user", "content": "Hello"}


def body(*, stream: bool = False, dialect: Dialect = "deepseek", **params: Any) -> dict[str, Any]:
    """Return the body that is sent for some parameters, without model and messages."""
    params = {"model": "m", "messages": [HELLO], **params}
    request = chat_request(params, stream=stream, dialect=dialect)
    fields: dict[str, Any] = json.loads(encode_request(request, None))
    if fields["model"] == "m":
        del fields["model"]
    if fields["messages"] == [HELLO]:
        del fields["messages"]
    return fields


def test_what_is_not_given_is_not_sent() -> None:
    assert body() == {}


def test_a_stream_is_asked_for() -> None:
    assert body(stream=True) == {"stream": True}


def test_none_is_sent_as_null() -> None:
    assert body(max_tokens=None, tools=None, stop=None, thinking=None) == {
        "max_tokens": None,
        "tools": None,
        "stop": None,
        "thinking": None,
    }


def test_every_parameter_is_sent_under_its_name() -> None:
    params: dict[str, Any] = {
        "thinking": {"type": "enabled", "budget": 1},
        "reasoning_effort": "high",
        "max_tokens": 1,
        "response_format": {"type": "json_object"},
        "stop": ["x"],
        "stream_options": {"include_usage": True},
        "temperature": 0.5,
        "top_p": 1,
        "tools": [{"type": "function"}],
        "tool_choice": "auto",
        "logprobs": True,
        "top_logprobs": 2,
        "user_id": "u",
        "frequency_penalty": 0,
        "presence_penalty": 0,
    }
    assert body(**params) == params
    assert list(body(**params)) == list(params)


def test_the_given_parameters_are_not_changed() -> None:
    messages = [ChatCompletionMessage(content="a"), HELLO]
    params = {"model": "m", "messages": messages, "user": "u", "thinking": True}
    before = dict(params)
    chat_request(params, stream=True, dialect="deepseek")
    assert params == before
    assert isinstance(messages[0], ChatCompletionMessage)


# Names of the OpenAI SDK.


@pytest.mark.parametrize(
    ("theirs", "ours", "value"),
    [("max_completion_tokens", "max_tokens", 9), ("user", "user_id", "u")],
)
def test_names_of_openai_are_translated_for_deepseek(theirs: str, ours: str, value: Any) -> None:
    assert body(**{theirs: value}) == {ours: value}
    assert body(dialect="generic", **{theirs: value}) == {theirs: value}


@pytest.mark.parametrize(
    ("theirs", "ours"), [("max_completion_tokens", "max_tokens"), ("user", "user_id")]
)
def test_both_names_of_one_thing_are_refused(theirs: str, ours: str) -> None:
    with pytest.raises(PreflightError, match=f"{theirs} and {ours} mean the same"):
        body(**dict[str, Any]({theirs: 1, ours: 1}))


def test_a_generic_host_may_be_sent_both_names() -> None:
    params: dict[str, Any] = {"max_tokens": 1, "max_completion_tokens": 2}
    assert body(dialect="generic", **params) == params


def test_translated_names_do_not_change_the_bytes() -> None:
    one = chat_request({"model": "m", "messages": [], "user": "u"}, stream=True, dialect="deepseek")
    two = chat_request(
        {"user_id": "u", "messages": [], "model": "m"}, stream=True, dialect="deepseek"
    )
    assert encode_request(one, None) == encode_request(two, None)


# Thinking.

THINKING: dict[str, tuple[Any, Any]] = {
    "True": (True, {"type": "enabled"}),
    "False": (False, {"type": "disabled"}),
    "enabled": ("enabled", {"type": "enabled"}),
    "disabled": ("disabled", {"type": "disabled"}),
    "the object": ({"type": "enabled"}, {"type": "enabled"}),
    "None": (None, None),
}


@pytest.mark.parametrize(("value", "sent"), THINKING.values(), ids=THINKING)
def test_thinking_becomes_the_object_of_the_api(value: Any, sent: Any) -> None:
    assert body(thinking=value) == {"thinking": sent}


@pytest.mark.parametrize("value", ["on", "", "Enabled", "true"])
def test_another_word_for_thinking_is_refused(value: str) -> None:
    with pytest.raises(PreflightError, match="thinking must be True, False or an object"):
        body(thinking=value)


# Model and messages.


@pytest.mark.parametrize("model", ["", None, 5, ["m"]])
def test_a_model_that_is_no_name_is_refused(model: Any) -> None:
    with pytest.raises(PreflightError, match="model must be a name"):
        body(model=model)


def generated() -> Iterator[dict[str, str]]:
    yield HELLO
    yield {"role": "assistant", "content": "Hi"}


MESSAGES: dict[str, tuple[Any, list[Any]]] = {
    "a list": ([HELLO, HELLO], [HELLO, HELLO]),
    "a tuple": ((HELLO, HELLO), [HELLO, HELLO]),
    "a generator": (generated(), [HELLO, {"role": "assistant", "content": "Hi"}]),
    "none": ([], []),
    "a struct": ([UserMessage(content="a")], [{"role": "user", "content": "a"}]),
    "an earlier answer": (
        [
            HELLO,
            ChatCompletionMessage(
                reasoning_content="Hm",
                tool_calls=[
                    ToolCall(index=0, id="A", function=Function(name="f", arguments="{ }"))
                ],
            ),
            {"role": "tool", "tool_call_id": "A", "content": "1"},
        ],
        [
            HELLO,
            {
                "role": "assistant",
                "content": "",
                "reasoning_content": "Hm",
                "tool_calls": [
                    {
                        "id": "A",
                        "type": "function",
                        "function": {"name": "f", "arguments": "{ }"},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "A", "content": "1"},
        ],
    ),
}


@pytest.mark.parametrize(("messages", "sent"), MESSAGES.values(), ids=MESSAGES)
def test_messages_of_every_kind_are_sent(messages: Any, sent: list[Any]) -> None:
    request = chat_request({"model": "x", "messages": messages}, stream=False, dialect="generic")
    assert json.loads(encode_request(request, None))["messages"] == sent


@pytest.mark.parametrize("messages", ["Hello", b"Hello", HELLO, None, 5, UserMessage(content="a")])
def test_messages_that_are_no_list_are_refused(messages: Any) -> None:
    with pytest.raises(
        PreflightError, match=f"messages must be a list, got {type(messages).__name__}"
    ):
        body(messages=messages)


@pytest.mark.parametrize("message", ["Hello", b"Hello", None, 5, 1.5, [HELLO], (HELLO,)])
def test_a_message_that_is_none_is_refused_by_its_place(message: Any) -> None:
    with pytest.raises(PreflightError, match=r"messages\[1\] must be a mapping") as caught:
        body(messages=[HELLO, message])
    assert str(caught.value).endswith(f"got {type(message).__name__}")


# Lists.


def test_tools_may_come_from_any_iterable() -> None:
    assert body(tools=iter([{"a": 1}, {"b": 2}])) == {"tools": [{"a": 1}, {"b": 2}]}


@pytest.mark.parametrize("tools", ["f", {"type": "function"}, 5])
def test_tools_that_are_no_list_are_refused(tools: Any) -> None:
    with pytest.raises(PreflightError, match="tools must be a list"):
        body(tools=tools)


@pytest.mark.parametrize(
    ("stop", "sent"), [("x", "x"), (["x"], ["x"]), (("x", "y"), ["x", "y"]), (iter(["x"]), ["x"])]
)
def test_stop_is_a_text_or_a_list(stop: Any, sent: Any) -> None:
    assert body(stop=stop) == {"stop": sent}


# Names of keyword arguments.


def test_known_parameters_pass() -> None:
    check_parameters({"model": "m", "messages": [], "temperature": 1, "user": "u"}, "create")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("temprature", "did you mean 'temperature'?"),
        ("max_token", "did you mean 'max_tokens'?"),
        ("xyzzy", "to send it all the same, use extra_body"),
    ],
)
def test_an_unknown_parameter_is_refused_with_a_hint(name: str, hint: str) -> None:
    with pytest.raises(TypeError) as caught:
        check_parameters({"model": "m", "messages": [], name: 1}, "create")
    assert str(caught.value) == f"create() got an unexpected keyword argument {name!r}; {hint}"


@pytest.mark.parametrize("name", ["messages", "model"])
def test_a_missing_parameter_is_named(name: str) -> None:
    params: dict[str, object] = {"model": "m", "messages": []}
    del params[name]
    with pytest.raises(TypeError) as caught:
        check_parameters(params, "stream")
    assert str(caught.value) == f"stream() missing the keyword argument {name!r}"
