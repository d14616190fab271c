"""`errors`: the tree, what each class says, and that nothing is lost on the way elsewhere."""

import copy
import inspect
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from deepseek_async import errors
from deepseek_async.errors import (
    APIConnectionError,
    APIError,
    APIStatusError,
    ConcurrencyLimitError,
    DeepSeekError,
    EventTooLargeError,
    LengthFinishReasonError,
    PreflightError,
    RateLimitError,
    StreamInterruptedError,
    TotalTimeoutError,
)
from deepseek_async.types import ChatCompletion, Choice, Headers, ResponseInfo, Usage

# Section 2.4 of the design.
TREE = """
DeepSeekError
  PreflightError
  LengthFinishReasonError
  ContentFilterFinishReasonError
  InterruptedFinishReasonError
  APIError
    APIConnectionError
      APITimeoutError
        ConnectTimeoutError
        IdleTimeoutError
        FirstEventTimeoutError
        ProgressTimeoutError
        TotalTimeoutError
    APIStatusError
      BadRequestError
        ContextLengthExceededError
        ContentRiskError
      AuthenticationError
      InsufficientBalanceError
      PermissionDeniedError
      NotFoundError
      ConflictError
      UnprocessableEntityError
      RateLimitError
        ConcurrencyLimitError
      InternalServerError
        ServerOverloadedError
    APIResponseValidationError
    EmptyResponseError
    StreamError
      StreamInterruptedError
      StreamServerError
      EventTooLargeError
  BatchError
    BatchSettingsError
    BatchFileError
      BatchLockedError
"""

CLASSES: list[type[DeepSeekError]] = [
    cls
    for name, cls in vars(errors).items()
    if inspect.isclass(cls) and issubclass(cls, DeepSeekError) and not name.startswith("_")
]
BY_NAME = {cls.__name__: cls for cls in CLASSES}

INFO = ResponseInfo(429, Headers([("X-DS-Trace-ID", "trace-1"), ("Retry-After", "2")]))
PARTIAL = ChatCompletion(
    id="c1",
    model="deepseek-flash",
    choices=[Choice(finish_reason="length", model_extra={"native": {"a": [1]}})],
    usage=Usage(prompt_tokens=3),
)


def parents(tree: str) -> dict[str, str | None]:
    """Return each name of an indented tree with the name above it."""
    above: dict[int, str] = {}
    result: dict[str, str | None] = {}
    for line in tree.strip().splitlines():
        name = line.strip()
        depth = line.index(name) // 2
        above[depth] = name
        result[name] = above.get(depth - 1)
    return result


def public_parent(cls: type) -> str | None:
    """Return the nearest base that is public and ours."""
    for base in cls.__mro__[1:]:
        if base.__name__ in BY_NAME:
            return base.__name__
    return None


def test_the_tree_is_that_of_the_design() -> None:
    assert {cls.__name__: public_parent(cls) for cls in CLASSES} == parents(TREE)


def test_a_preflight_error_is_a_value_error_too() -> None:
    assert issubclass(PreflightError, ValueError)


def test_the_module_docstring_names_every_class() -> None:
    assert errors.__doc__ is not None
    assert [name for name in BY_NAME if name not in errors.__doc__] == []


def full(cls: type[DeepSeekError]) -> DeepSeekError:
    """Make an error with every attribute that its class has, none at its default."""
    values: dict[str, Any] = {
        "attempts": 3,
        "body": {"message": "no", "type": "t", "code": "c", "param": "p"},
        "request_id": "trace-1",
        "partial": PARTIAL,
        "completion": PARTIAL,
        "status_code": 429,
        "response": INFO,
        "retryable": not cls.retryable,
        "max_event_size": 5,
    }
    names = inspect.signature(cls).parameters
    error = cls("it failed", **{name: values[name] for name in names if name in values})
    if isinstance(error, ConcurrencyLimitError):
        error.limit, error.current = 39, 40
    return error


def state(error: DeepSeekError) -> dict[str, Any]:
    """Return all attributes in a form that can be compared."""
    fields = dict(vars(error))
    response = fields.pop("response", None)
    if response is not None:
        fields["response"] = (response.status, dict(response.headers))
    fields |= {"str": str(error), "args": error.args, "retryable": error.retryable}
    return fields


def through_pickle(protocol: int) -> Callable[[DeepSeekError], DeepSeekError]:
    def copied(error: DeepSeekError) -> DeepSeekError:
        loaded: DeepSeekError = pickle.loads(pickle.dumps(error, protocol))
        return loaded

    return copied


WAYS: dict[str, Callable[[DeepSeekError], DeepSeekError]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{f"pickle {number}": through_pickle(number) for number in range(2, 6)},
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("cls", CLASSES)
def test_a_copy_has_the_same_class_and_attributes(
    cls: type[DeepSeekError], way: Callable[[DeepSeekError], DeepSeekError]
) -> None:
    error = full(cls)
    copied = way(error)
    assert type(copied) is cls
    assert state(copied) == state(error)


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_what_was_set_later_is_copied_too(
    way: Callable[[DeepSeekError], DeepSeekError],
) -> None:
    error = StreamInterruptedError("cut")
    error.attempts = 2
    error.partial = PARTIAL
    error.retryable = False
    error.add_note("seen in the batch")
    assert state(way(error)) == state(error)


@pytest.mark.parametrize("cls", CLASSES)
def test_each_class_can_be_made_of_nothing(cls: type[DeepSeekError]) -> None:
    error = cls()
    assert error.message == ""
    assert state(pickle.loads(pickle.dumps(error))) == state(error)


RETRYABLE = {
    "APIConnectionError",
    "APITimeoutError",
    "ConnectTimeoutError",
    "IdleTimeoutError",
    "FirstEventTimeoutError",
    "ProgressTimeoutError",
    "ConflictError",
    "RateLimitError",
    "ConcurrencyLimitError",
    "InternalServerError",
    "ServerOverloadedError",
    "EmptyResponseError",
    "StreamInterruptedError",
    "StreamServerError",
    "InterruptedFinishReasonError",
}


def test_the_retryable_classes_are_these() -> None:
    assert {name for name, cls in BY_NAME.items() if cls.retryable} == RETRYABLE


SENTENCES = {
    "a message": (PreflightError("stop has 17 texts"), "stop has 17 texts"),
    "the first attempt": (APIConnectionError("cut", attempts=1), "cut"),
    "attempts": (APIConnectionError("cut", attempts=3), "cut (3 attempts)"),
    "a request id": (APIError("cut", request_id="r1"), "cut (request id r1)"),
    "both": (
        APIError("cut", attempts=2, request_id="r1"),
        "cut (2 attempts, request id r1)",
    ),
    "a status": (APIStatusError("teapot", status_code=418), "418: teapot"),
    "a status and its response": (
        RateLimitError("slow down", status_code=429, response=INFO, attempts=3),
        "429: slow down (3 attempts, request id trace-1)",
    ),
    "a timeout": (TotalTimeoutError("late", attempts=2), "late (2 attempts)"),
}


@pytest.mark.parametrize(("error", "text"), SENTENCES.values(), ids=SENTENCES)
def test_an_error_reads_as_a_sentence(error: DeepSeekError, text: str) -> None:
    assert str(error) == text


def test_a_status_error_takes_the_request_id_of_its_response() -> None:
    assert APIStatusError("no", response=INFO).request_id == "trace-1"


def test_type_code_and_param_are_those_of_the_body() -> None:
    error = APIError("no", body={"type": "t", "code": "c", "param": "p"})
    assert (error.type, error.code, error.param) == ("t", "c", "p")


@pytest.mark.parametrize("body", [None, "<html>", ["a"], {}])
def test_type_code_and_param_are_none_without_an_error_object(body: object) -> None:
    error = APIError("no", body=body)
    assert (error.type, error.code, error.param) == (None, None, None)


def test_a_finish_reason_error_carries_the_completion() -> None:
    assert LengthFinishReasonError("cut short", completion=PARTIAL).completion is PARTIAL


def test_an_event_too_large_carries_the_limit() -> None:
    assert EventTooLargeError("too large", max_event_size=10).max_event_size == 10


def test_a_warning_is_a_user_warning() -> None:
    assert issubclass(errors.DeepSeekWarning, UserWarning)
