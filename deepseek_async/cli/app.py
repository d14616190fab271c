"""The commands and their options, as typer sees them."""

import asyncio
import contextlib
import io
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from deepseek_async import __version__
from deepseek_async.cli.account import show_balance, show_models
from deepseek_async.cli.chat import ChatOptions, ask_once, converse, piped_prompt, read_line
from deepseek_async.cli.clean import one_line
from deepseek_async.cli.connection import Target, has_key
from deepseek_async.cli.demo import DemoOptions, run_demo
from deepseek_async.cli.failures import (
    FAILED,
    FINE,
    INTERRUPTED,
    WRONG_USAGE,
    UsageProblem,
    describe,
    exit_status,
)
from deepseek_async.cli.screen import new_console, open_screen
from deepseek_async.cli.simulate import serve
from deepseek_async.errors import DeepSeekError

NAME = "deepseek-async"
_MODEL = "deepseek-flash"

app = typer.Typer(
    name=NAME,
    help="Talk to DeepSeek from the command line. Try it without a key: deepseek-async demo",
    epilog="Exit status: 0 fine, 1 failed, 2 wrong usage, 130 interrupted.",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)

_BaseUrl = Annotated[
    str | None,
    typer.Option("--base-url", metavar="URL", help="Another host, such as http://localhost:8000."),
]
_Simulate = Annotated[
    bool, typer.Option("--simulate", help="Use the built-in simulator: no key, no cost.")
]
_Model = Annotated[str, typer.Option("--model", help="The model to ask.")]


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"{NAME} {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    pass


@app.command(epilog="Example: deepseek-async demo --requests 200")
def demo(
    model: _Model = _MODEL,
    base_url: _BaseUrl = None,
    simulate: _Simulate = False,
    requests: Annotated[
        int, typer.Option("--requests", min=1, max=5000, help="How many to send at once.")
    ] = 50,
    pace: Annotated[
        float,
        typer.Option("--pace", min=0, hidden=True, help="Speed of the simulator; 0: no pauses."),
    ] = 1.0,
) -> None:
    """See what it does, in about 15 seconds.

    Streams an answer, assembles tool calls, sends many requests at once. Without
    DEEPSEEK_API_KEY it runs on the built-in simulator; with a key it costs less than a cent.
    """
    keyless = not simulate and base_url is None and not has_key()
    target = Target(base_url, simulate or keyless)
    target.check("deepseek-async demo")
    options = DemoOptions(model, requests, pace)
    _finish(asyncio.run(run_demo(target, options, open_screen(), keyless=keyless)))


@app.command(epilog='Example: deepseek-async chat "Why is the sky dark at night?"')
def chat(
    prompt: Annotated[
        str | None,
        typer.Argument(help="What to ask. Without it: a conversation, or what is piped in."),
    ] = None,
    model: _Model = _MODEL,
    system: Annotated[
        str | None, typer.Option("--system", help="Instructions to the model.")
    ] = None,
    no_thinking: Annotated[
        bool, typer.Option("--no-thinking", help="Answer at once, without reasoning.")
    ] = False,
    hide_reasoning: Annotated[
        bool, typer.Option("--hide-reasoning", help="Show the answer only.")
    ] = False,
    plain: Annotated[
        bool, typer.Option("--plain", help="No colours, nothing redrawn, Markdown as it comes.")
    ] = False,
    base_url: _BaseUrl = None,
    simulate: _Simulate = False,
) -> None:
    """Ask one question, or hold a conversation.

    The answer goes to standard output; if that is a file or a pipe, reasoning and token counts go
    to standard error. In a conversation, /reset forgets it, /exit or Ctrl-D leaves, and Ctrl-C
    stops an answer.
    """
    target = Target(base_url, simulate)
    target.check("deepseek-async chat")
    if prompt is not None and not prompt.strip():
        raise UsageProblem('the prompt is empty: pass one, as in chat "Hello"')
    options = ChatOptions(
        model, system, thinking=not no_thinking, show_reasoning=not hide_reasoning
    )
    screen = open_screen(plain=plain)
    question = piped_prompt() if prompt is None else prompt
    if question is None:
        _finish(converse(read_line(screen), target, options, screen))
    else:
        _finish(asyncio.run(ask_once(question, target, options, screen)))


@app.command(epilog="Example: deepseek-async simulate --port 8765 --tokens-per-second 60")
def simulate(
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Where to listen; 0: any free port.")
    ] = 8765,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    script: Annotated[
        Path | None,
        typer.Option("--script", metavar="FILE", help="JSON: what to answer and to do wrong."),
    ] = None,
    tokens_per_second: Annotated[
        float | None,
        typer.Option("--tokens-per-second", min=0, help="Pace of an answer; 0: no pauses."),
    ] = None,
    first_token_seconds: Annotated[
        float | None,
        typer.Option("--first-token-seconds", min=0, help="Wait before an answer."),
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Of ids and made-up answers.")] = None,
    max_concurrency: Annotated[
        int | None,
        typer.Option("--max-concurrency", min=1, help="Requests at once; more are refused (429)."),
    ] = None,
) -> None:
    """Run a DeepSeek server on this machine: no key, no cost, no model.

    Any API key is accepted, except those that begin with sk-bad. Runs until Ctrl-C. Options given
    here win over those of a script.
    """
    options: dict[str, Any] = {
        "tokens_per_second": tokens_per_second,
        "first_token_seconds": first_token_seconds,
        "seed": seed,
        "max_concurrency": max_concurrency,
    }
    try:
        asyncio.run(serve(open_screen(), host, port, options, script))
    except KeyboardInterrupt:
        # The way to end it.
        _finish(FINE)


@app.command(epilog="Example: deepseek-async models")
def models(base_url: _BaseUrl = None, simulate: _Simulate = False) -> None:
    """List the models that your key may use."""
    target = Target(base_url, simulate)
    target.check("deepseek-async models")
    _finish(asyncio.run(show_models(target, open_screen())))


@app.command(epilog="Example: deepseek-async balance")
def balance(base_url: _BaseUrl = None, simulate: _Simulate = False) -> None:
    """Show what your account has left. Fails if that doesn't suffice for requests."""
    target = Target(base_url, simulate)
    target.check("deepseek-async balance")
    _finish(asyncio.run(show_balance(target, open_screen())))


def _finish(status: int) -> None:
    raise typer.Exit(status)


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
    except (UsageProblem, DeepSeekError, OSError) as exc:
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
    _tell(f"warning: {one_line(str(message))}")
