"""JSON of unexpected shape to structs that lose nothing of it."""

import json
import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepseek_async.types.account import Balance, BalanceInfo, ModelList
from deepseek_async.types.chat import (
    ChatCompletion,
    ChatCompletionChunk,
    ChatCompletionMessage,
    Choice,
    ChoiceDelta,
    ChunkChoice,
    Function,
    FunctionDelta,
    Logprobs,
    TokenLogprob,
    ToolCall,
    ToolCallDelta,
)
from deepseek_async.types.fim import Completion, CompletionChoice
from deepseek_async.types.model import Model
from deepseek_async.types.usage import PromptTokensDetails, Usage
from deepseek_async.wire.repair import parse_json, repair

CASES: dict[str, tuple[type[Model], dict[str, Any], Model]] = {
    # What may be missing.
    "an empty chunk": (ChatCompletionChunk, {}, ChatCompletionChunk(id="", choices=[])),
    "an empty completion": (ChatCompletion, {}, ChatCompletion(id="", choices=[])),
    "an empty FIM completion": (Completion, {}, Completion(id="", choices=[])),
    "an empty list of models": (ModelList, {}, ModelList(data=[])),
    "an empty balance": (Balance, {}, Balance(is_available=False, balance_infos=[])),
    "an empty balance info": (BalanceInfo, {}, BalanceInfo(currency="")),
    "an empty message": (ChatCompletionMessage, {}, ChatCompletionMessage()),
    # null means missing.
    "null where a list is required": (
        ChatCompletionChunk,
        {"choices": None},
        ChatCompletionChunk(id="", choices=[]),
    ),
    "null where text is required": (
        ChatCompletionChunk,
        {"id": None, "choices": []},
        ChatCompletionChunk(id="", choices=[]),
    ),
    "null for a field with a default": (Function, {"name": None, "arguments": None}, Function()),
    "null for a number": (Usage, {"prompt_tokens": None, "total_tokens": 3}, Usage(total_tokens=3)),
    "null for an object": (ChunkChoice, {"delta": None}, ChunkChoice()),
    "null for an object that may be null": (ChunkChoice, {"logprobs": None}, ChunkChoice()),
    "null for a text of FIM": (CompletionChoice, {"text": None}, CompletionChoice()),
    # Unknown fields.
    "an unknown field": (Usage, {"x": 1}, Usage(model_extra={"x": 1})),
    "an unknown null": (Usage, {"x": None}, Usage(model_extra={"x": None})),
    "unknown fields keep their order": (
        Usage,
        {"b": 1, "a": 2},
        Usage(model_extra={"b": 1, "a": 2}),
    ),
    "an unknown field below": (
        Usage,
        {"prompt_tokens_details": {"cached_tokens": 1, "x": 2}},
        Usage(prompt_tokens_details=PromptTokensDetails(cached_tokens=1, model_extra={"x": 2})),
    ),
    "a field named like one of ours": (
        ChatCompletion,
        {"$request_id": "x", "$attempts": 9, "$model_extra": {}, "request_id": "y"},
        ChatCompletion(
            id="",
            choices=[],
            model_extra={"$request_id": "x", "$attempts": 9, "$model_extra": {}, "request_id": "y"},
        ),
    ),
    "model_extra as a field of the server": (
        Usage,
        {"model_extra": 1},
        Usage(model_extra={"model_extra": 1}),
    ),
    # Wrong types: the default, and the original among the unknown.
    "a number for text": (Function, {"name": 5}, Function(model_extra={"name": 5})),
    "text for a number": (Usage, {"prompt_tokens": "5"}, Usage(model_extra={"prompt_tokens": "5"})),
    "a fraction for a number": (
        Usage,
        {"total_tokens": 1.5},
        Usage(model_extra={"total_tokens": 1.5}),
    ),
    "true for a number": (Usage, {"total_tokens": True}, Usage(model_extra={"total_tokens": True})),
    "a list for text": (
        ChoiceDelta,
        {"content": ["a"]},
        ChoiceDelta(model_extra={"content": ["a"]}),
    ),
    "an object for text": (ChoiceDelta, {"role": {}}, ChoiceDelta(model_extra={"role": {}})),
    "text for an object": (ChunkChoice, {"delta": "a"}, ChunkChoice(model_extra={"delta": "a"})),
    "a list for an object": (
        ChunkChoice,
        {"logprobs": []},
        ChunkChoice(model_extra={"logprobs": []}),
    ),
    "an object for a list": (
        ChatCompletionChunk,
        {"id": "a", "choices": {"0": 1}},
        ChatCompletionChunk(id="a", choices=[], model_extra={"choices": {"0": 1}}),
    ),
    "text for a list": (
        ChoiceDelta,
        {"tool_calls": "[]"},
        ChoiceDelta(model_extra={"tool_calls": "[]"}),
    ),
    "a list of what is no object": (
        ChoiceDelta,
        {"tool_calls": [1]},
        ChoiceDelta(model_extra={"tool_calls": [1]}),
    ),
    "a list with a null in it": (
        ChatCompletionChunk,
        {"choices": [None]},
        ChatCompletionChunk(id="", choices=[], model_extra={"choices": [None]}),
    ),
    "a number for the finish reason": (
        ChunkChoice,
        {"finish_reason": 1},
        ChunkChoice(model_extra={"finish_reason": 1}),
    ),
    "text for an index": (ToolCallDelta, {"index": "0"}, ToolCallDelta(model_extra={"index": "0"})),
    "an object for arguments": (
        FunctionDelta,
        {"name": "f", "arguments": {"a": 1}},
        FunctionDelta(name="f", model_extra={"arguments": {"a": 1}}),
    ),
    "text for a function": (ToolCall, {"function": "f"}, ToolCall(model_extra={"function": "f"})),
    "text for usage": (
        ChatCompletionChunk,
        {"usage": "1"},
        ChatCompletionChunk(id="", choices=[], model_extra={"usage": "1"}),
    ),
    "text for a logprob": (
        TokenLogprob,
        {"token": "a", "logprob": "-1"},
        TokenLogprob(token="a", model_extra={"logprob": "-1"}),
    ),
    "a list of text for bytes": (
        TokenLogprob,
        {"bytes": ["a"]},
        TokenLogprob(model_extra={"bytes": ["a"]}),
    ),
    "an amount that is no number": (
        BalanceInfo,
        {"currency": "USD", "total_balance": "much"},
        BalanceInfo(currency="USD", model_extra={"total_balance": "much"}),
    ),
    "a number for a truth": (
        Balance,
        {"is_available": 1},
        Balance(is_available=False, balance_infos=[], model_extra={"is_available": 1}),
    ),
    # What fits.
    "an amount as a number": (
        BalanceInfo,
        {"currency": "USD", "total_balance": 2},
        BalanceInfo(currency="USD", total_balance=Decimal(2)),
    ),
    "a whole number as a logprob": (
        TokenLogprob,
        {"logprob": -9999},
        TokenLogprob(logprob=-9999.0),
    ),
    "a huge number": (Usage, {"total_tokens": 10**30}, Usage(total_tokens=10**30)),
    "a huge number as a logprob": (
        TokenLogprob,
        {"logprob": 10**400},
        TokenLogprob(model_extra={"logprob": 10**400}),
    ),
    "a negative index": (ChunkChoice, {"index": -1}, ChunkChoice(index=-1)),
    "all levels": (
        ChatCompletionChunk,
        {
            "id": "a",
            "choices": [
                {
                    "delta": {"tool_calls": [{"index": 0, "function": {"name": "f"}}]},
                    "logprobs": {"content": [{"token": "t"}]},
                }
            ],
        },
        ChatCompletionChunk(
            id="a",
            choices=[
                ChunkChoice(
                    delta=ChoiceDelta(
                        tool_calls=[ToolCallDelta(index=0, function=FunctionDelta(name="f"))]
                    ),
                    logprobs=Logprobs(content=[TokenLogprob(token="t")]),
                )
            ],
        ),
    ),
    "a good choice stays beside a bad field": (
        ChatCompletion,
        {"id": 1, "choices": [{"message": {"content": "a", "refusal": None}}]},
        ChatCompletion(
            id="",
            choices=[
                Choice(message=ChatCompletionMessage(content="a", model_extra={"refusal": None}))
            ],
            model_extra={"id": 1},
        ),
    ),
    # Names of the reasoning.
    "reasoning": (
        ChoiceDelta,
        {"reasoning": "a"},
        ChoiceDelta(reasoning_content="a", model_extra={"reasoning": "a"}),
    ),
    "reasoning_text": (
        ChoiceDelta,
        {"reasoning_text": "a"},
        ChoiceDelta(reasoning_content="a", model_extra={"reasoning_text": "a"}),
    ),
    "reasoning of a message": (
        ChatCompletionMessage,
        {"reasoning": "a"},
        ChatCompletionMessage(reasoning_content="a", model_extra={"reasoning": "a"}),
    ),
    "reasoning before reasoning_text": (
        ChoiceDelta,
        {"reasoning_text": "b", "reasoning": "a"},
        ChoiceDelta(reasoning_content="a", model_extra={"reasoning_text": "b", "reasoning": "a"}),
    ),
    "reasoning_content before reasoning": (
        ChoiceDelta,
        {"reasoning": "b", "reasoning_content": "a"},
        ChoiceDelta(reasoning_content="a", model_extra={"reasoning": "b"}),
    ),
    "an empty reasoning_content before reasoning": (
        ChoiceDelta,
        {"reasoning": "b", "reasoning_content": ""},
        ChoiceDelta(reasoning_content="", model_extra={"reasoning": "b"}),
    ),
    "a null reasoning_content": (
        ChoiceDelta,
        {"reasoning": "b", "reasoning_content": None},
        ChoiceDelta(reasoning_content="b", model_extra={"reasoning": "b"}),
    ),
    "a null reasoning": (
        ChoiceDelta,
        {"reasoning": None, "reasoning_text": "b"},
        ChoiceDelta(reasoning_content="b", model_extra={"reasoning": None, "reasoning_text": "b"}),
    ),
    "a reasoning that is no text": (
        ChoiceDelta,
        {"reasoning": ["a"]},
        ChoiceDelta(model_extra={"reasoning": ["a"]}),
    ),
    "reasoning elsewhere is an unknown field": (
        Usage,
        {"reasoning": "a"},
        Usage(model_extra={"reasoning": "a"}),
    ),
}


@pytest.mark.parametrize(("cls", "value", "expected"), CASES.values(), ids=CASES)
def test_any_object_becomes_a_struct(
    cls: type[Model], value: dict[str, Any], expected: Model
) -> None:
    assert repair(value, cls) == expected


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None, database=None)
@given(st.sampled_from([ChatCompletion, Completion, ModelList, Balance, Usage]), st.data())
def test_any_value_in_any_field_is_kept_somewhere(cls: type[Model], data: st.DataObject) -> None:
    names = [name for name in cls.__struct_encode_fields__ if not name.startswith("$")]
    name = data.draw(st.sampled_from(names))
    value = data.draw(anything)
    struct = repair({name: value}, cls)
    if name in (struct.model_extra or {}):
        assert struct.model_extra == {name: value}
    else:
        assert isinstance(getattr(struct, name), Model | list | str | int | float | None)


# JSON that is none by the book.

TEXTS: dict[str, tuple[bytes, Any]] = {
    "an object": (b'{"a": 1}', {"a": 1}),
    "white space around": (b' \r\n\t{"a": 1}\n ', {"a": 1}),
    "infinities": (b'{"a": [Infinity, -Infinity]}', {"a": [math.inf, -math.inf]}),
    "a lone high surrogate": (rb'{"a": "x\ud83d"}', {"a": "x\ufffd"}),
    "a lone high surrogate before a letter": (rb'{"a": "\ud83dx"}', {"a": "\ufffdx"}),
    "a lone low surrogate": (rb'{"a": "\ude00x"}', {"a": "\ufffdx"}),
    "surrogates the wrong way round": (rb'{"a": "\ude00\ud83d"}', {"a": "\ufffd\ufffd"}),
    "a pair beside a lone one": (rb'{"a": "\ud83d\ude00\ud83d"}', {"a": "😀\ufffd"}),
    "a lone surrogate in a key": (rb'{"\ud83d": 1}', {"\ufffd": 1}),
    "a lone surrogate in a list of lists": (rb'{"a": [[["\ud83d"]]]}', {"a": [[["\ufffd"]]]}),
    "a lone surrogate deep in objects": (rb'{"a": {"b": ["\ud83d"]}}', {"a": {"b": ["\ufffd"]}}),
    "text that begins with U+FEFF": (
        b'{"a": "\\ufeffx", "b": Infinity}',
        {"a": "\ufeffx", "b": math.inf},
    ),
    "bytes that are not UTF-8": (b'{"a": "\xffx"}', {"a": "\ufffdx"}),
    "a cut character": (b'{"a": "\xe4\xbd"}', {"a": "\ufffd"}),
    "a key that is not UTF-8": (b'{"\xff": 1}', {"\ufffd": 1}),
    "raw control characters": (b'{"a": "x\ny\tz\x00"}', {"a": "x\ny\tz\0"}),
    "a byte order mark": (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
    "a key twice": (b'{"a": 1, "a": 2}', {"a": 2}),
    "a huge number": (b'{"a": 123456789012345678901234567890}', {"a": int("1234567890" * 3)}),
    "no object": (b"[1]", [1]),
}


@pytest.mark.parametrize(("data", "expected"), TEXTS.values(), ids=TEXTS)
def test_json_is_read_leniently(data: bytes, expected: Any) -> None:
    assert parse_json(data) == expected


def test_nan_is_read() -> None:
    assert math.isnan(parse_json(b'{"a": NaN}')["a"])


def test_what_is_read_can_be_sent_again() -> None:
    json.dumps(parse_json(rb'{"\ud83d": ["\ude00", {"a": "\ud83d"}]}'), ensure_ascii=False).encode()


@pytest.mark.parametrize(
    "data", [b"", b" ", b"{", b'{"a"}', b"{'a': 1}", b"oops", b"{}{}", b"[1,]", b"\xff", b"\0"]
)
def test_what_is_no_json_is_refused(data: bytes) -> None:
    with pytest.raises(json.JSONDecodeError):
        parse_json(data)


class Either(Model, kw_only=True):
    """A type with a field of several kinds, as none of ours has so far."""

    value: int | str | None = None


@pytest.mark.parametrize("value", [1, "a", None])
def test_a_field_of_several_kinds_takes_each(value: int | str | None) -> None:
    assert repair({"value": value}, Either) == Either(value=value)


def test_a_field_of_several_kinds_takes_no_other() -> None:
    assert repair({"value": [1]}, Either) == Either(model_extra={"value": [1]})
