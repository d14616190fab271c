"""The command line: runs a command, and makes one line and an exit status of what goes wrong."""

import contextlib
import io
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any

import typer
from rich.text import Text

from deepseek_async.cli.clean import one_line
from deepseek_async.cli.commands import NAME, app
from deepseek_async.cli.failures import (
    FAILED,
    FINE,
    INTERRUPTED,
    WRONG_USAGE,
    AnswerProblem,
    UsageProblem,
    describe,
    exit_status,
    in_options,
)
from deepseek_async.cli.screen import new_console
from deepseek_async.errors import DeepSeekError

# What a wrong option or argument raises. Up to typer 0.25 it is click's, later typer's own.
_WrongUsage: type[Exception] = typer.BadParameter.__mro__[1]


def run(arguments: Sequence[str]) -> int:
    """Run a command.

    Args:
        arguments: The command and what follows it.

    Returns:
        The exit status. Failures have been told in one line on standard error.
    """
    for name in ("stdout", "stderr"):
        # None if the process was started with it closed, as by 2>&- in a shell.
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        # What the terminal's encoding can't say must not end the command.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            status = _invoke(arguments)
        except KeyboardInterrupt:
            status = INTERRUPTED
        except SystemExit as exc:
            # How typer answers to a broken pipe.
            status = exc.code if isinstance(exc.code, int) else FAILED
    if status == INTERRUPTED:
        _tell("interrupted")
    return status


def _invoke(arguments: Sequence[str]) -> int:
    try:
        status = typer.main.get_command(app).main(
            args=list(arguments), prog_name=NAME, standalone_mode=False
        )
    except _WrongUsage as exc:
        return _refuse(exc)
    except BrokenPipeError:
        # As with head: the reader has seen enough. What is still buffered goes nowhere.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (UsageProblem, AnswerProblem, DeepSeekError, OSError) as exc:
        _tell(f"error: {describe(exc)}")
        return exit_status(exc)
    return status if isinstance(status, int) else FINE


def _refuse(exc: Any) -> int:
    """Tell what is wrong with the command line itself."""
    context = exc.ctx
    command = NAME if context is None else context.command_path
    message = one_line(exc.format_message()).rstrip(".")
    if not message or message.startswith("Usage:"):
        # No command at all.
        return WRONG_USAGE
    _tell(f"error: {message} - see {command} --help")
    return WRONG_USAGE


def _tell(line: str) -> None:
    with contextlib.suppress(OSError):
        new_console(stderr=True).print(Text(line), soft_wrap=True)


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: object = None,
    line: str | None = None,
) -> None:
    _tell(f"warning: {one_line(in_options(str(message)))}")
