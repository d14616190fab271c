"""Failures as one line and an exit status.

Exit statuses: 0 fine, 1 failed, 2 wrong usage, 130 interrupted (Ctrl-C).
"""

import os

from deepseek_async import ChatCompletion, MaxTurnsError
from deepseek_async.cli.clean import one_line
from deepseek_async.errors import (
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    ConcurrencyLimitError,
    DeepSeekError,
    InsufficientBalanceError,
    NotFoundError,
    PreflightError,
    RateLimitError,
    StreamError,
)

FINE = 0
FAILED = 1
WRONG_USAGE = 2
INTERRUPTED = 130


class UsageProblem(Exception):
    """The command was given what it can't work with."""


class AnswerProblem(Exception):
    """The answer is not what was asked for."""


def exit_status(exc: Exception) -> int:
    """Return the exit status for a failure."""
    return WRONG_USAGE if isinstance(exc, UsageProblem | PreflightError) else FAILED


def describe(exc: Exception) -> str:
    """Return what went wrong and what to do about it, in one line without the API key."""
    text = str(exc) or type(exc).__name__
    if isinstance(exc, OSError) and exc.strerror:
        text = exc.strerror if exc.filename is None else f"{exc.filename}: {exc.strerror}"
    if isinstance(exc, MaxTurnsError):
        text = (
            "the model calls tools again and again and gives no answer; ask for less at once, or "
            "allow more with --max-turns"
        )
    elif isinstance(exc, DeepSeekError):
        text = f"{text}{_received(exc)}{_advice(exc)}"
    line = one_line(in_options(text))
    key = os.environ.get("DEEPSEEK_API_KEY", "").strip()
    # A server, or a proxy before it, may quote the request.
    return line.replace(key, "[API key]") if len(key) >= 8 else line


def in_options(text: str) -> str:
    """Return what the library says to programs as it is said to users of the command line."""
    return text.replace("thinking=False", "--no-thinking")


def _advice(exc: DeepSeekError) -> str:
    if isinstance(exc, AuthenticationError):
        return " - check DEEPSEEK_API_KEY"
    if isinstance(exc, InsufficientBalanceError):
        return " - top up at https://platform.deepseek.com/top_up"
    if isinstance(exc, ConcurrencyLimitError):
        return " - let other requests of this account end first"
    if isinstance(exc, RateLimitError):
        return " - try again later"
    if isinstance(exc, NotFoundError):
        return " - check --base-url and --model"
    if isinstance(exc, APIStatusError) and exc.retryable:
        return " - try again later"
    return ""


def _received(exc: DeepSeekError) -> str:
    """Say what had come before a stream broke."""
    if not isinstance(exc, StreamError | APITimeoutError):
        return ""
    partial = exc.partial
    if not isinstance(partial, ChatCompletion) or not partial.choices:
        return "; nothing of the answer was received" if isinstance(exc, StreamError) else ""
    message = partial.choices[0].message
    answer, reasoning = len(message.content or ""), len(message.reasoning_content or "")
    return f"; received {answer:,} characters of the answer and {reasoning:,} of its reasoning"
