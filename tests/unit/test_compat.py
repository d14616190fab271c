"""Names of the OpenAI SDK are this library's own classes."""

import collections.abc
import subprocess
import sys
from typing import Any, get_args, get_type_hints

import msgspec
import pytest

import deepseek_async
from deepseek_async import compat, errors, types

SAME: dict[str, Any] = {
    "AsyncOpenAI": deepseek_async.AsyncDeepSeek,
    "OpenAIError": errors.DeepSeekError,
    "ChatCompletionMessageParam": types.MessageParam,
    "ChatCompletionMessageToolCall": types.ToolCall,
    "ChatCompletionMessageFunctionToolCall": types.ToolCall,
    "ChatCompletionTokenLogprob": types.TokenLogprob,
    "CompletionUsage": types.Usage,
    "ParsedChatCompletion": deepseek_async.ParsedChatCompletion,
    "NOT_GIVEN": msgspec.UNSET,
    "omit": msgspec.UNSET,
    "NotGiven": msgspec.UnsetType,
    "Omit": msgspec.UnsetType,
    **{
        name: getattr(types, name)
        for name in (
            "ChatCompletion",
            "ChatCompletionChunk",
            "ChatCompletionMessage",
            "Completion",
            "CompletionChoice",
            "Model",
        )
    },
}
ERRORS = [name for name in compat.__all__ if name.endswith("Error") and name not in SAME]
DICTS = [name for name in compat.__all__ if name.endswith("Param") and name not in SAME]


def test_every_name_is_one_of_these() -> None:
    assert {*SAME, *ERRORS, *DICTS, "AsyncStream"} == set(compat.__all__)


@pytest.mark.parametrize("name", SAME)
def test_a_name_is_that_of_our_own(name: str) -> None:
    assert getattr(compat, name) is SAME[name]


@pytest.mark.parametrize("name", ERRORS)
def test_an_exception_is_the_same_class(name: str) -> None:
    assert getattr(compat, name) is getattr(errors, name)


# Of the SDK's exceptions those that a chat can raise, by the classes `except` clauses count on.
TREE = {
    "OpenAIError": "Exception",
    "APIError": "OpenAIError",
    "APIConnectionError": "APIError",
    "APITimeoutError": "APIConnectionError",
    "APIResponseValidationError": "APIError",
    "APIStatusError": "APIError",
    "BadRequestError": "APIStatusError",
    "AuthenticationError": "APIStatusError",
    "PermissionDeniedError": "APIStatusError",
    "NotFoundError": "APIStatusError",
    "ConflictError": "APIStatusError",
    "UnprocessableEntityError": "APIStatusError",
    "RateLimitError": "APIStatusError",
    "InternalServerError": "APIStatusError",
    "LengthFinishReasonError": "OpenAIError",
    "ContentFilterFinishReasonError": "OpenAIError",
}


@pytest.mark.parametrize(("name", "base"), TREE.items(), ids=TREE)
def test_an_except_clause_catches_what_it_caught(name: str, base: str) -> None:
    expected = Exception if base == "Exception" else getattr(compat, base)
    assert issubclass(getattr(compat, name), expected)


def test_all_of_those_exceptions_are_there() -> None:
    assert {*ERRORS, "OpenAIError"} == set(TREE)


# Annotations that run when a module is imported.


def test_annotations_of_that_sdk_can_be_evaluated() -> None:
    def handle(
        stream: compat.AsyncStream[compat.ChatCompletionChunk],
        messages: list[compat.ChatCompletionMessageParam],
        tools: collections.abc.Iterable[compat.ChatCompletionToolParam] | compat.NotGiven,
        temperature: float | compat.NotGiven | None = compat.NOT_GIVEN,
    ) -> compat.CompletionUsage | None: ...

    hints = get_type_hints(handle)
    assert get_args(hints["stream"]) == (types.ChatCompletionChunk,)
    assert msgspec.UnsetType in get_args(hints["temperature"])


@pytest.mark.parametrize("name", DICTS)
def test_a_message_type_makes_a_dict(name: str) -> None:
    cls = getattr(compat, name)
    fields = dict.fromkeys(cls.__required_keys__, "x")
    assert cls(**fields) == fields


def test_not_given_is_false_as_in_that_sdk() -> None:
    assert not compat.NOT_GIVEN
    assert not compat.omit
    assert isinstance(compat.NOT_GIVEN, compat.NotGiven)


# Names that can't be there.


@pytest.mark.parametrize("name", sorted(compat._INSTEAD))
def test_a_name_that_can_not_be_says_what_to_use(name: str) -> None:
    with pytest.raises(ImportError) as caught:
        exec(f"from deepseek_async.compat import {name}")
    message = str(caught.value)
    assert message.startswith(f"deepseek_async.compat has no {name!r}: ")
    assert name not in compat.__all__
    assert caught.value.name == "deepseek_async.compat"


def test_what_is_recommended_instead_exists() -> None:
    for advice in compat._INSTEAD.values():
        words = {word.strip(",;") for word in advice.split()}
        for word in words & {"AsyncOpenAI", "AsyncStream"} | {
            word for word in words if word.startswith("ChatCompletion")
        }:
            assert word in compat.__all__
    assert "deepseek_async.Timeouts" in compat._INSTEAD["Timeout"]
    assert "Timeouts" in deepseek_async.__all__


def test_another_name_is_unknown_as_anywhere() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        _ = compat.Nothing
    with pytest.raises(ImportError, match="cannot import name 'Nothing'"):
        exec("from deepseek_async.compat import Nothing")


def test_importing_it_loads_neither_aiohttp_nor_the_other_sdk() -> None:
    program = "import deepseek_async.compat, sys; print(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    loaded = set(result.stdout.split())
    assert not loaded & {"aiohttp", "anyio", "openai", "httpx", "pydantic"}
    assert "deepseek_async.structured" not in loaded
