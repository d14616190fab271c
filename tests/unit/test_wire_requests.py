"""Keyword arguments to request bodies."""

import json
from collections.abc import Iterator
from types import MappingProxyType
from typing import Any

import pytest
from msgspec.json import encode

from deepseek_async.errors import PreflightError
from deepseek_async.policy.dialect import Dialect
from deepseek_async.types.chat import ChatCompletionMessage, Function, ToolCall
from deepseek_async.types.requests import ChatRequest, CompletionRequest, UserMessage
from deepseek_async.wire.codec import encode_request
from deepseek_async.wire.requests import (
    COMPLETION_PARAMETERS,
    ReasoningReplay,
    chat_request,
    check_parameters,
    completion_request,
    continued,
    merge_extra_body,
)

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
        "safety_check": {"level": "low"},
        "title": {"enabled": True},
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


@pytest.mark.parametrize("name", ["temperature", "prompt", "echo", "suffix"])
def test_the_parameters_of_fim_are_others(name: str) -> None:
    check_parameters({"model": "m", "prompt": "", name: 1}, "create", COMPLETION_PARAMETERS)
    with pytest.raises(TypeError, match="unexpected keyword argument 'messages'"):
        check_parameters({"model": "m", "prompt": "", "messages": []}, "x", COMPLETION_PARAMETERS)


# FIM.


def fim(*, stream: bool = False, **params: Any) -> dict[str, Any]:
    request = completion_request({"model": "m", "prompt": "p", **params}, stream=stream)
    fields: dict[str, Any] = json.loads(encode_request(request, None))
    return fields


def test_a_fim_request_holds_what_was_given_in_a_fixed_order() -> None:
    assert fim() == {"model": "m", "prompt": "p"}
    given = {"stop": ("a", "b"), "logprobs": 3, "echo": True, "suffix": None}
    assert list(fim(stream=True, **given).items()) == [
        ("model", "m"),
        ("prompt", "p"),
        ("suffix", None),
        ("echo", True),
        ("logprobs", 3),
        ("stop", ["a", "b"]),
        ("stream", True),
    ]


@pytest.mark.parametrize("prompt", [None, ["p"], 5, b"p"])
def test_a_prompt_is_a_text(prompt: Any) -> None:
    with pytest.raises(PreflightError, match=f"prompt must be a text, got {type(prompt).__name__}"):
        fim(prompt=prompt)


def test_a_fim_model_is_a_name() -> None:
    with pytest.raises(PreflightError, match="model must be a name"):
        fim(model="")


# extra_body.


def test_extra_body_wins_over_what_is_known() -> None:
    fields: dict[str, Any] = {"model": "m", "temperature": 1}
    extra = {"temperature": 0.5, "stop": None, "seed": 7}
    assert merge_extra_body(fields, extra, ChatRequest) == {"seed": 7}
    assert fields == {"model": "m", "temperature": 0.5, "stop": None}
    assert extra == {"temperature": 0.5, "stop": None, "seed": 7}, "the caller's stays as it is"


def test_what_is_known_depends_on_the_request() -> None:
    extra = {"suffix": "s", "thinking": {"type": "disabled"}}
    fields: dict[str, Any] = {}
    assert merge_extra_body(fields, extra, CompletionRequest) == {"thinking": extra["thinking"]}
    assert fields == {"suffix": "s"}
    assert merge_extra_body(fields, None, ChatRequest) == {}


# Messages of other kinds.


class Dumped:
    """As pydantic's models are."""

    def __init__(self, fields: Any) -> None:
        self.fields = fields

    def model_dump(self, *, exclude_none: bool) -> Any:
        assert exclude_none
        return self.fields


def test_messages_of_pydantic_models_are_taken() -> None:
    assert body(messages=[Dumped(HELLO)]) == {}


def test_messages_may_be_mappings_of_any_kind() -> None:
    assert body(messages=[MappingProxyType(HELLO)]) == {}


def test_messages_that_nobody_can_read_are_refused() -> None:
    with pytest.raises(PreflightError, match=r"messages\[0\] must be a mapping .* got object"):
        body(messages=[object()])


def test_messages_that_dump_to_something_else_are_refused() -> None:
    with pytest.raises(PreflightError, match=r"messages\[0\] must be a mapping .* got Dumped"):
        body(messages=[Dumped("Hello")])


# Reasoning in the history.

HISTORY: list[dict[str, Any]] = [
    HELLO,
    {"role": "assistant", "content": "a", "reasoning_content": "r", "x": 1},
    {"role": "assistant", "content": "b"},
    {"role": "assistant", "content": "c", "reasoning": "of another host"},
]
TOOL = {"type": "function", "function": {"name": "f"}}


def replayed(how: ReasoningReplay, **params: Any) -> list[Any]:
    fields = {"model": "m", "messages": HISTORY, **params}
    request = chat_request(fields, stream=False, dialect="deepseek", reasoning_replay=how)
    sent: list[Any] = json.loads(encode_request(request, None))["messages"]
    return sent


def test_reasoning_is_sent_back_as_it_was() -> None:
    assert replayed("keep", tools=[TOOL]) == HISTORY


def test_reasoning_can_be_dropped_under_all_its_names() -> None:
    before = json.dumps(HISTORY)
    assert replayed("drop")[1:] == [
        {"role": "assistant", "content": "a", "x": 1},
        {"role": "assistant", "content": "b"},
        {"role": "assistant", "content": "c"},
    ]
    assert json.dumps(HISTORY) == before


def test_missing_reasoning_can_be_filled_in() -> None:
    filled = [*HISTORY[:2], {**HISTORY[2], "reasoning_content": ""}, HISTORY[3]]
    assert replayed("backfill", tools=[TOOL]) == filled
    assert replayed("backfill", tools=[TOOL], thinking=True) == filled


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"tools": []},
        {"tools": [TOOL], "thinking": False},
        {"tools": [TOOL], "reasoning_effort": "none"},
    ],
)
def test_it_is_filled_in_only_where_it_is_required(params: dict[str, Any]) -> None:
    assert replayed("backfill", **params) == HISTORY


# The request that goes on with an answer.


def gone_on(messages: list[Any], content: str, reasoning: str = "") -> list[Any]:
    params = {"model": "m", "messages": messages, "temperature": 1.0}
    body = encode_request(chat_request(params, stream=True, dialect="deepseek"), {"x": {"b": 1}})
    further = continued(body, content, reasoning)
    # Up to the last message at least, not a byte is different.
    unchanged = body[: body.index(encode(messages[-1]))]
    assert further.startswith(unchanged)
    assert further.endswith(b'"stream":true,"temperature":1.0,"x":{"b":1}}')
    sent: list[Any] = json.loads(further)["messages"]
    return sent


def test_text_so_far_is_sent_back_as_a_prefix() -> None:
    prefix = {"role": "assistant", "content": "a", "prefix": True}
    assert gone_on([HELLO], "a") == [HELLO, prefix]
    assert gone_on([HELLO], "", "r") == [
        HELLO,
        {"role": "assistant", "content": "", "reasoning_content": "r", "prefix": True},
    ]


def test_without_text_the_request_is_the_same() -> None:
    assert gone_on([HELLO], "") == [HELLO]


def test_a_prefix_that_was_there_stays_at_the_beginning() -> None:
    begun = {"role": "assistant", "content": "a", "prefix": True, "name": "x"}
    assert gone_on([HELLO, begun], "b") == [HELLO, {**begun, "content": "ab"}]
    assert gone_on([HELLO, {**begun, "content": None}], "b", "r") == [
        HELLO,
        {**begun, "content": "b", "reasoning_content": "r"},
    ]
    thought = {**begun, "reasoning_content": "q"}
    assert gone_on([thought], "b", "r") == [{**thought, "content": "ab", "reasoning_content": "qr"}]
    assert gone_on([thought], "b") == [{**thought, "content": "ab"}]


def test_a_prefix_in_parts_gets_another_part() -> None:
    part = {"type": "text", "text": "a"}
    begun = {"role": "assistant", "content": [part], "prefix": True}
    more = {"type": "text", "text": "b"}
    assert gone_on([begun], "b") == [{**begun, "content": [part, more]}]


def test_extra_body_must_be_a_mapping() -> None:
    wrong: Any = "n=1"
    with pytest.raises(PreflightError, match="extra_body must be a mapping, got str"):
        merge_extra_body({}, wrong, ChatRequest)
