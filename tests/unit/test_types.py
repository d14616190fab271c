"""`types`: reading, dumping and copying what a server sent."""

import copy
import json
import pickle
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from deepseek_async.types import (
    Balance,
    BalanceInfo,
    ChatCompletion,
    ChatCompletionChunk,
    ChatCompletionMessage,
    Choice,
    CompletionTokensDetails,
    Function,
    Headers,
    Model,
    ModelList,
    PromptTokensDetails,
    ResponseInfo,
    ToolCall,
    Usage,
)
from deepseek_async.types.model import Model as Base
from deepseek_async.wire.codec import decode

ANSWER = {
    "id": "c1",
    "object": "chat.completion",
    "created": 1795262400,
    "model": "deepseek-flash",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "Hi",
                "reasoning_content": None,
                "tool_calls": [
                    {
                        "index": 0,
                        "id": "call_1",
                        "type": "function",
                        "function": {"name": "f", "arguments": '{"a": 1}'},
                    }
                ],
                "annotations": [{"kind": "web"}],
            },
            "logprobs": None,
            "finish_reason": "tool_calls",
            "matched_stop": None,
        }
    ],
    "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
    "title": "Greeting",
}


@pytest.fixture
def completion() -> ChatCompletion:
    answer = decode(json.dumps(ANSWER).encode(), ChatCompletion)
    answer.request_id = "trace-1"
    answer.attempts = 2
    return answer


def without_none(value: object) -> object:
    if isinstance(value, dict):
        return {key: without_none(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_none(item) for item in value]
    return value


def test_to_dict_gives_what_was_sent_but_for_nulls(completion: ChatCompletion) -> None:
    expected = without_none(ANSWER)
    assert isinstance(expected, dict)
    # Unknown fields are kept as they came, nulls included.
    expected["choices"][0]["matched_stop"] = None
    assert completion.to_dict() == expected


def test_to_json_is_to_dict_as_text(completion: ChatCompletion) -> None:
    assert json.loads(completion.to_json()) == completion.to_dict()


def test_model_dump_has_every_field(completion: ChatCompletion) -> None:
    dumped = completion.model_dump()
    assert dumped["system_fingerprint"] is None
    assert dumped["usage"]["prompt_cache_hit_tokens"] is None
    assert dumped["choices"][0]["message"]["reasoning_content"] is None


def test_model_dump_json_has_every_field(completion: ChatCompletion) -> None:
    assert json.loads(completion.model_dump_json()) == completion.model_dump()


def test_fields_are_dumped_in_the_order_of_the_api_and_unknown_ones_last(
    completion: ChatCompletion,
) -> None:
    known = ["id", "object", "created", "model", "choices", "usage"]
    assert list(completion.to_dict()) == [*known, "title"]
    message = completion.to_dict()["choices"][0]["message"]
    assert list(message) == ["role", "content", "tool_calls", "annotations"]


def test_what_is_ours_is_not_dumped(completion: ChatCompletion) -> None:
    text = completion.model_dump_json()
    assert not any(name in text for name in ("request_id", "attempts", "parsed", "model_extra"))


def test_extras_stay_with_the_object_they_sat_in(completion: ChatCompletion) -> None:
    assert completion.model_extra == {"title": "Greeting"}
    assert completion.choices[0].message.model_extra == {"annotations": [{"kind": "web"}]}


def test_missing_and_null_are_both_none() -> None:
    missing = decode(b'{"id":"c1","choices":[{"message":{}}]}', ChatCompletion)
    null = decode(
        b'{"id":"c1","choices":[{"message":{"content":null,"tool_calls":null},"logprobs":null,'
        b'"finish_reason":null}],"usage":null}',
        ChatCompletion,
    )
    assert missing == null
    assert missing.choices[0].message.content is None
    assert missing.usage is None


WAYS: dict[str, Callable[[ChatCompletion], Any]] = {
    "pickle": lambda value: pickle.loads(pickle.dumps(value)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "model_copy": lambda value: value.model_copy(),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_copy_is_equal(completion: ChatCompletion, way: str) -> None:
    copied = WAYS[way](completion)
    assert copied == completion
    assert copied is not completion
    assert (copied.request_id, copied.attempts) == ("trace-1", 2)
    assert copied.model_extra == {"title": "Greeting"}


def test_model_copy_replaces_fields(completion: ChatCompletion) -> None:
    changed = completion.model_copy(update={"model": "deepseek-v4-pro"})
    assert (changed.model, completion.model) == ("deepseek-v4-pro", "deepseek-flash")


def test_model_copy_is_shallow(completion: ChatCompletion) -> None:
    assert completion.model_copy().choices is completion.choices


def test_the_repr_leaves_out_what_is_not_there() -> None:
    assert repr(Function(name="f")) == "Function(name='f')"


def test_a_balance_is_exact() -> None:
    balance = decode(
        b'{"is_available":true,"balance_infos":[{"currency":"CNY","total_balance":"110.10",'
        b'"granted_balance":"10.00","topped_up_balance":"100.10"}]}',
        Balance,
    )
    info = balance.balance_infos[0]
    assert info.total_balance == Decimal("110.10")
    assert info.granted_balance + info.topped_up_balance == info.total_balance
    assert str(info.total_balance) == "110.10"


def test_a_balance_is_dumped_as_decimals_and_as_strings_in_json() -> None:
    info = BalanceInfo(currency="USD", total_balance=Decimal("1.50"))
    assert info.to_dict()["total_balance"] == Decimal("1.50")
    assert json.loads(info.to_json())["total_balance"] == "1.50"


def test_a_balance_is_summed_by_currency() -> None:
    balance = Balance(
        is_available=True,
        balance_infos=[
            BalanceInfo(currency="USD", total_balance=Decimal("1.5")),
            BalanceInfo(currency="CNY", total_balance=Decimal(9)),
            BalanceInfo(currency="USD", total_balance=Decimal("0.5")),
        ],
    )
    assert balance.total("USD") == Decimal(2)
    assert balance.total("EUR") == Decimal(0)


def test_a_list_of_models_iterates_over_them() -> None:
    models = [Model(id="deepseek-flash"), Model(id="deepseek-v4-pro")]
    assert list(ModelList(data=models)) == models


CACHED = {
    "by DeepSeek's own field": (Usage(prompt_cache_hit_tokens=64), 64),
    "by OpenAI's field": (
        Usage(prompt_tokens_details=PromptTokensDetails(cached_tokens=32)),
        32,
    ),
    "DeepSeek's own wins, be it 0": (
        Usage(
            prompt_cache_hit_tokens=0, prompt_tokens_details=PromptTokensDetails(cached_tokens=32)
        ),
        0,
    ),
    "by nobody": (Usage(prompt_tokens=9), 0),
    "details without it": (Usage(prompt_tokens_details=PromptTokensDetails()), 0),
}


@pytest.mark.parametrize(("usage", "tokens"), CACHED.values(), ids=CACHED)
def test_cached_tokens_are_reported(usage: Usage, tokens: int) -> None:
    assert usage.cached_tokens == tokens


REASONING = {
    "reported": (
        Usage(completion_tokens_details=CompletionTokensDetails(reasoning_tokens=7)),
        7,
    ),
    "details without it": (Usage(completion_tokens_details=CompletionTokensDetails()), 0),
    "no details": (Usage(completion_tokens=9), 0),
}


@pytest.mark.parametrize(("usage", "tokens"), REASONING.values(), ids=REASONING)
def test_reasoning_tokens_are_zero_where_the_host_says_nothing(usage: Usage, tokens: int) -> None:
    assert usage.reasoning_tokens == tokens


STRUCTS = [
    ChatCompletion(id="c", choices=[Choice(message=ChatCompletionMessage(parsed={"a": 1}))]),
    ChatCompletionChunk(id="c", choices=[]),
    ToolCall(id="1", function=Function(name="f", arguments="{")),
    ModelList(data=[Model(id="m", model_extra={"price": 1})]),
    Balance(is_available=False, balance_infos=[BalanceInfo(currency="CNY")]),
]


@pytest.mark.parametrize("value", STRUCTS, ids=lambda value: type(value).__name__)
def test_every_result_can_be_pickled(value: Base) -> None:
    assert pickle.loads(pickle.dumps(value)) == value


@pytest.mark.parametrize("value", STRUCTS, ids=lambda value: type(value).__name__)
def test_a_dump_decodes_to_the_same(value: Base) -> None:
    first = decode(value.to_json().encode(), type(value)) if type(value) in DECODED else value
    assert first.to_dict() == value.to_dict()


DECODED = {ChatCompletion, ChatCompletionChunk, ModelList, Balance}


def test_headers_ignore_case() -> None:
    headers = Headers([("X-DS-Trace-ID", "t")])
    assert headers["x-ds-trace-id"] == headers["X-Ds-Trace-Id"] == "t"
    assert "X-DS-TRACE-ID" in headers


def test_of_a_repeated_header_the_first_counts() -> None:
    headers = Headers([("Via", "a"), ("via", "b")])
    assert headers["via"] == "a"
    assert (len(headers), list(headers)) == (1, ["via"])


def test_a_missing_header_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        Headers()["via"]


def test_headers_show_what_they_hold() -> None:
    assert repr(Headers([("Via", "a")])) == "Headers({'via': 'a'})"


REQUEST_IDS: dict[str, tuple[list[tuple[str, str]], str | None]] = {
    "DeepSeek's": ([("x-ds-trace-id", "d"), ("x-request-id", "r")], "d"),
    "of other hosts": ([("x-request-id", "r")], "r"),
    "none": ([], None),
}


@pytest.mark.parametrize(("items", "request_id"), REQUEST_IDS.values(), ids=REQUEST_IDS)
def test_the_request_id_is_that_of_the_server(
    items: list[tuple[str, str]], request_id: str | None
) -> None:
    assert ResponseInfo(200, Headers(items)).request_id == request_id


def test_a_response_has_its_status_under_two_names() -> None:
    info = ResponseInfo(404, Headers())
    assert (info.status, info.status_code) == (404, 404)
    assert repr(info) == "ResponseInfo(status=404, request_id=None)"


def test_structs_are_msgspec_structs() -> None:
    assert issubclass(Base, msgspec.Struct)
