"""Whether an answer that broke off goes on, and what its chunks look like then."""

from typing import Any

import pytest

from deepseek_async.errors import (
    APIConnectionError,
    DeepSeekError,
    EventTooLargeError,
    FirstEventTimeoutError,
    IdleTimeoutError,
    ProgressTimeoutError,
    StreamInterruptedError,
    StreamServerError,
    TotalTimeoutError,
)
from deepseek_async.policy.continuation import Continuation
from deepseek_async.types.chat import (
    ChatCompletionChunk,
    ChoiceDelta,
    ChunkChoice,
    Segment,
    ToolCallDelta,
)
from deepseek_async.types.usage import Usage


def continuation(*, on_length: int = 1, on_failure: int = 1) -> Continuation:
    return Continuation(
        lambda _content, _reasoning: b"", "url", on_length=on_length, on_failure=on_failure
    )


def chunk(
    finish_reason: str | None = None, *, index: int = 0, usage: Usage | None = None, **delta: Any
) -> ChatCompletionChunk:
    choice = ChunkChoice(index=index, delta=ChoiceDelta(**delta), finish_reason=finish_reason)
    return ChatCompletionChunk(id="1", choices=[choice], usage=usage)


def after(reason: str, *earlier: ChatCompletionChunk, has_data: bool = True) -> str | None:
    """Return the finish reason that the reader of the chunks sees."""
    plan = continuation()
    finish = chunk(reason)
    plan.pass_on([*earlier, finish], has_data=has_data)
    assert (plan.reason is None) == (finish.choices[0].finish_reason is not None)
    return finish.choices[0].finish_reason


@pytest.mark.parametrize("reason", ["length", "insufficient_system_resource", "aborted"])
def test_these_ends_are_none(reason: str) -> None:
    assert after(reason) is None


@pytest.mark.parametrize("reason", ["stop", "tool_calls", "content_filter", "whatever"])
def test_these_ends_are_ends(reason: str) -> None:
    assert after(reason) == reason


def test_nothing_before_the_limit_is_an_end() -> None:
    assert after("length", has_data=False) == "length"
    assert after("aborted", has_data=False) is None


def test_tool_calls_and_several_answers_are_not_continued() -> None:
    assert after("length", chunk(tool_calls=[ToolCallDelta(index=0)])) == "length"
    assert after("length", chunk(index=1)) == "length"
    plan = continuation()
    plan.pass_on([chunk(tool_calls=[ToolCallDelta(index=0)])], has_data=True)
    assert not plan.survives(StreamInterruptedError())


def test_it_goes_on_as_often_as_it_may() -> None:
    plan = continuation(on_length=2, on_failure=0)
    seen: list[str | None] = []
    for _ in range(3):
        finish = chunk("length")
        plan.pass_on([finish], has_data=True)
        seen.append(finish.choices[0].finish_reason)
        if plan.reason:
            plan.end_segment("id", 1)
    assert seen == [None, None, "length"]
    assert not plan.survives(StreamInterruptedError())


def test_one_answer_has_one_id_and_the_usage_of_all() -> None:
    plan = continuation()
    first = chunk("length", usage=Usage(prompt_tokens=1, total_tokens=1))
    plan.pass_on([first], has_data=True)
    assert first.usage == Usage(prompt_tokens=1, total_tokens=1)
    segment = plan.end_segment("r1", 2)
    assert segment == Segment(
        usage=first.usage,
        finish_reason="length",
        request_id="r1",
        continued_after="length",
        attempts=2,
    )
    assert plan.segments == [segment]
    assert plan.usage is None
    second = ChatCompletionChunk(id="2", choices=[], usage=Usage(prompt_tokens=5, total_tokens=5))
    plan.pass_on([second], has_data=False)
    assert second.id == "1"
    assert second.usage == Usage(prompt_tokens=6, total_tokens=6)
    assert plan.usage == Usage(prompt_tokens=5, total_tokens=5)


def server_error(*, retryable: bool) -> StreamServerError:
    error = StreamServerError("x")
    error.retryable = retryable
    return error


FAILURES: dict[str, tuple[DeepSeekError, str | None]] = {
    "cut": (StreamInterruptedError(), "cut"),
    "idle": (IdleTimeoutError(), "stall"),
    "progress": (ProgressTimeoutError(), "stall"),
    "server": (server_error(retryable=True), "server_error"),
    "refusal": (server_error(retryable=False), None),
    "first event": (FirstEventTimeoutError(), None),
    "total": (TotalTimeoutError(), None),
    "too large": (EventTooLargeError(), None),
    "connection": (APIConnectionError(), None),
}


@pytest.mark.parametrize(("error", "reason"), FAILURES.values(), ids=FAILURES)
def test_failures_that_are_survived(error: DeepSeekError, reason: str | None) -> None:
    plan = continuation(on_length=0)
    assert plan.survives(error) is (reason is not None)
    assert plan.reason == reason
    if reason is not None:
        plan.end_segment(None, 1)
        assert not plan.survives(error), "once was all"


def test_a_cut_behind_the_limit_changes_nothing() -> None:
    plan = continuation(on_failure=0)
    plan.pass_on([chunk("length")], has_data=True)
    assert plan.survives(StreamInterruptedError())
    assert plan.survives(ProgressTimeoutError())
    assert not plan.survives(TotalTimeoutError())
    assert not plan.survives(server_error(retryable=True))
    assert plan.end_segment(None, 1).continued_after == "length"


def test_an_error_behind_the_limit_takes_a_resumption() -> None:
    plan = continuation()
    plan.pass_on([chunk("length")], has_data=True)
    assert not plan.survives(server_error(retryable=False))
    assert plan.survives(server_error(retryable=True))
    assert plan.failures == 0
    assert plan.end_segment(None, 1).continued_after == "server_error"
    assert plan.failures == 1


@pytest.mark.parametrize("reason", ["stop", "tool_calls", "content_filter"])
def test_a_cut_behind_the_end_completes(reason: str) -> None:
    plan = continuation()
    assert not plan.completes(StreamInterruptedError())
    plan.pass_on([chunk(reason, tool_calls=[ToolCallDelta(index=0)])], has_data=True)
    assert plan.completes(StreamInterruptedError())
    assert plan.completes(IdleTimeoutError())
    assert not plan.completes(TotalTimeoutError())
    assert not plan.completes(server_error(retryable=True))
    assert not plan.survives(server_error(retryable=True))
    plan.pass_on([chunk(index=1)], has_data=True)
    assert not plan.completes(StreamInterruptedError())


def test_without_resumptions_a_cut_behind_the_end_is_a_failure() -> None:
    plan = continuation(on_failure=0)
    plan.pass_on([chunk("stop")], has_data=True)
    assert not plan.completes(StreamInterruptedError())


def test_what_is_asked_for_again_begins_anew() -> None:
    plan = continuation()
    void = chunk("stop", index=0, usage=Usage(total_tokens=9), tool_calls=[ToolCallDelta()])
    plan.pass_on([void, chunk(index=1)], has_data=False)
    plan.begin_anew()
    assert plan.usage is None
    first = chunk("length")
    first.id = "2"
    plan.pass_on([first], has_data=True)
    assert (first.id, plan.reason) == ("2", "length")
    plan.end_segment(None, 1)
    plan.begin_anew()
    second = chunk("stop")
    plan.pass_on([second], has_data=True)
    assert second.id == "2", "segments before stay"
