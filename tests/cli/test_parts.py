"""Status line, tool calls, answers and failures, each by itself."""

import asyncio
from decimal import Decimal

import pytest

from deepseek_async import (
    ArgumentsDeltaEvent,
    ArgumentsDoneEvent,
    ChatCompletion,
    ChatCompletionMessage,
    Choice,
    Usage,
)
from deepseek_async.cli.answer import Answer, AnswerView
from deepseek_async.cli.failures import UsageProblem, describe, exit_status
from deepseek_async.cli.fan_out import Tally
from deepseek_async.cli.meter import Reading
from deepseek_async.cli.screen import StatusLine
from deepseek_async.cli.tool_calls import ToolCallView
from deepseek_async.errors import (
    AuthenticationError,
    ConcurrencyLimitError,
    DeepSeekError,
    InsufficientBalanceError,
    InternalServerError,
    NotFoundError,
    PreflightError,
    ProgressTimeoutError,
    RateLimitError,
    StreamInterruptedError,
)

from .conftest import Terminal
from .screens import shown


def completion(
    content: str = "", reasoning: str | None = None, reason: str | None = "stop"
) -> ChatCompletion:
    message = ChatCompletionMessage(content=content, reasoning_content=reasoning)
    return ChatCompletion(id="1", choices=[Choice(message=message, finish_reason=reason)])


async def test_status_line_is_redrawn_and_taken_away(live: Terminal) -> None:
    status = StatusLine(live.screen.notes, live=True)
    status.show("waiting")
    assert live.notes == ""
    status.show("waiting in the server's queue", elapsed=2.99)
    assert "waiting in the server's queue, 3 s" in live.notes
    async with asyncio.timeout(10):
        while ", 4 s" not in live.notes:
            await asyncio.sleep(0.01)
    status.clear()
    assert live.notes.endswith("\r\x1b[2K")
    before = live.notes
    status.clear()
    assert live.notes == before


async def test_status_line_is_printed_once_without_a_terminal(piped: Terminal) -> None:
    status = StatusLine(piped.screen.notes, live=False)
    status.show("waiting for the first token")
    status.show("waiting in the server's queue", elapsed=3.2)
    status.show("waiting in the server's queue", elapsed=13.2)
    status.clear()
    assert piped.notes == "waiting in the server's queue, 3 s\n"


def test_tool_calls_grow_and_switch(piped: Terminal) -> None:
    view = ToolCallView(piped.screen)
    view.grow(ArgumentsDeltaEvent(0, "a", "f", ""))
    view.grow(ArgumentsDeltaEvent(0, "a", "f", '{"x":'))
    view.grow(ArgumentsDeltaEvent(1, "b", "g\x1b", "[\n"))
    view.grow(ArgumentsDeltaEvent(0, "a", "f", " 1}"))
    view.done(ArgumentsDoneEvent(0, "a", "f", '{"x": 1}'))
    view.done(ArgumentsDoneEvent(1, "b", "g", "[\n"))
    view.done(ArgumentsDoneEvent(2, "c", "h", "[1]"))
    assert piped.text.split("\n") == [
        '  1  f {"x":',
        "  2  g [ ",
        "  1  f  1}",
        "  ✓ f(x=1)",
        "  ✗ call 2: the arguments are not valid JSON",
        "  ✓ h()",
        "",
    ]


def test_answer_view_separates_reasoning_from_a_piped_answer(piped: Terminal) -> None:
    view = AnswerView(piped.screen)
    for delta in ("", "why", "?"):
        view.reasoning(delta)
    for delta in ("", "because", "."):
        view.content(delta)
    view.reasoning("too late")
    view.finish()
    assert piped.text == "because.\n"
    assert piped.notes == "Reasoning:\nwhy?\n\n"


async def test_answer_view_dims_reasoning_on_a_terminal(live: Terminal) -> None:
    view = AnswerView(live.screen)
    view.reasoning("why ")
    view.content("because")
    view.finish()
    assert live.text.startswith("\x1b[2mwhy\x1b[0m\n\n")
    assert shown(live.text) == ["why", "", "because"]
    assert live.notes == ""


async def test_answer_view_hides_reasoning(live: Terminal) -> None:
    view = AnswerView(live.screen, reasoning=False)
    view.reasoning("why ")
    view.finish()
    view.content("because")
    view.finish()
    assert shown(live.text) == ["because"]


def test_answer_tells_why_it_ended_early() -> None:
    assert Answer(completion(reason="length"), Reading()).shortened == "length"
    assert Answer(completion(), Reading()).shortened is None
    assert Answer(ChatCompletion(id="1", choices=[]), Reading()).shortened is None


def test_tally_sums_up() -> None:
    usage = Usage(prompt_tokens=10, completion_tokens=20, prompt_cache_hit_tokens=5)
    tally = Tally(3, [Reading(usage, Decimal(1), 0.1), Reading()], [DeepSeekError("x")])
    tally.seconds = 2.0
    summary = tally.summary()
    assert tally.ended == 3
    assert tally.requests_per_second == 1.0
    assert summary.usage is not None
    assert summary.usage.cached_tokens == 5
    assert (summary.cost, summary.first_token_seconds) == (Decimal(1), 0.1)
    assert summary.tokens_per_second == 10.0
    assert Tally(1).summary() == Reading()
    assert Tally(1).requests_per_second is None


FAILURES = {
    "key": (AuthenticationError("no", status_code=401), "401: no - check DEEPSEEK_API_KEY"),
    "balance": (
        InsufficientBalanceError("empty", status_code=402),
        "402: empty - top up at https://platform.deepseek.com/top_up",
    ),
    "path": (NotFoundError("?", status_code=404), "404: ? - check --base-url and --model"),
    "rate": (RateLimitError("slow", status_code=429), "429: slow - try again later"),
    "concurrency": (
        ConcurrencyLimitError("many", status_code=429),
        "429: many - let other requests of this account end first",
    ),
    "server": (InternalServerError("oops", status_code=500), "500: oops - try again later"),
    "cut": (
        StreamInterruptedError("cut", partial=completion("abc", "de")),
        "cut; received 3 characters of the answer and 2 of its reasoning",
    ),
    "cut at once": (StreamInterruptedError("cut"), "cut; nothing of the answer was received"),
    "timeout": (ProgressTimeoutError("late"), "late"),
    "other": (DeepSeekError("odd"), "odd"),
    "nameless": (OSError(), "OSError"),
    "full disk": (OSError(28, "No space left"), "No space left"),
    "file": (OSError(2, "No such file", "x"), "x: No such file"),
    "controls": (DeepSeekError("a\x1b[1m\nb"), "a[1m b"),
}


@pytest.mark.parametrize(("failure", "line"), FAILURES.values(), ids=FAILURES)
def test_describe_says_it_in_one_line(failure: Exception, line: str) -> None:
    assert describe(failure) == line


def test_describe_never_shows_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPSEEK_API_KEY", "sk-secret-0123")
    assert describe(DeepSeekError("quoted sk-secret-0123")) == "quoted [API key]"


def test_exit_status_tells_wrong_usage_from_failure() -> None:
    assert exit_status(UsageProblem("x")) == exit_status(PreflightError("x")) == 2
    assert exit_status(DeepSeekError("x")) == exit_status(OSError("x")) == 1
