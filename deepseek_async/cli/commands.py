"""The commands and their options, as typer sees them."""

import asyncio
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from deepseek_async import __version__
from deepseek_async.cli.account import show_balance, show_models
from deepseek_async.cli.asking import ChatOptions
from deepseek_async.cli.batch.commands import batch
from deepseek_async.cli.chat import ask_once, converse, piped_prompt, read_line
from deepseek_async.cli.connection import Target, has_key
from deepseek_async.cli.demo import DemoOptions, run_demo
from deepseek_async.cli.failures import FINE, UsageProblem
from deepseek_async.cli.fim import FimOptions, fill, piped_text, split_gap
from deepseek_async.cli.options import (
    AsJson,
    BaseUrl,
    MaxTokens,
    Model,
    Simulate,
    Stop,
    Temperature,
)
from deepseek_async.cli.prints import Prints
from deepseek_async.cli.screen import open_screen
from deepseek_async.cli.simulate import Recorded, record_or_replay, serve
from deepseek_async.cli.tool_files import check_tool_options, load_tools

NAME = "deepseek-async"
_MODEL = "deepseek-flash"
# Filling in is not documented for deepseek-flash.
_FIM_MODEL = "deepseek-v4-pro"

app = typer.Typer(
    name=NAME,
    help="Talk to DeepSeek from the command line. Try it without a key: deepseek-async demo",
    epilog="Exit status: 0 fine, 1 failed, 2 wrong usage, 130 interrupted.",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
app.add_typer(batch)


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
    model: Model = _MODEL,
    base_url: BaseUrl = None,
    simulate: Simulate = False,
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
    model: Model = _MODEL,
    system: Annotated[
        str | None, typer.Option("--system", help="Instructions to the model.")
    ] = None,
    thinking: Annotated[
        bool | None,
        typer.Option(
            "--thinking/--no-thinking",
            help="Reason before answering, or answer at once.",
            show_default=False,
        ),
    ] = None,
    effort: Annotated[
        str | None, typer.Option("--effort", help="Of the reasoning: none, low, high or max.")
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Ask for JSON; fail if the answer is none.")
    ] = False,
    tool: Annotated[
        list[str] | None,
        typer.Option(
            "--tool",
            metavar="FILE.py:FUNCTION",
            help="A typed Python function that the model may call, or MODULE:FUNCTION; may be "
            "given several times. The code runs on this machine, with your rights.",
        ),
    ] = None,
    max_turns: Annotated[
        int | None,
        typer.Option(
            "--max-turns",
            metavar="N",
            min=1,
            help="Ask the model at most N times for an answer, if it calls tools; 10 by default.",
        ),
    ] = None,
    tool_timeout: Annotated[
        float | None,
        typer.Option(
            "--tool-timeout",
            metavar="SECONDS",
            help="Give up a call of a tool that takes longer, and tell the model so.",
        ),
    ] = None,
    max_tokens: MaxTokens = None,
    temperature: Temperature = None,
    stop: Stop = None,
    auto_continue: Annotated[
        int,
        typer.Option(
            "--auto-continue",
            metavar="N",
            min=0,
            show_default=False,
            help="Go on up to N times with an answer that --max-tokens cut off.",
        ),
    ] = 0,
    resume: Annotated[
        int,
        typer.Option(
            "--resume",
            metavar="N",
            min=0,
            show_default=False,
            help="Go on up to N times with an answer after the connection broke.",
        ),
    ] = 0,
    hide_reasoning: Annotated[
        bool, typer.Option("--hide-reasoning", help="Show the answer only.")
    ] = False,
    plain: Annotated[
        bool, typer.Option("--plain", help="No colours, nothing redrawn, Markdown as it comes.")
    ] = False,
    base_url: BaseUrl = None,
    simulate: Simulate = False,
) -> None:
    """Ask one question, or hold a conversation.

    The answer goes to standard output; if that is a file or a pipe, reasoning, calls of tools, what
    these print and token counts go to standard error. In a conversation, /reset forgets it, /exit
    or Ctrl-D leaves, and Ctrl-C stops an answer.
    """
    target = Target(base_url, simulate)
    target.check("deepseek-async chat")
    if prompt is not None and not prompt.strip():
        raise UsageProblem('the prompt is empty: pass one, as in chat "Hello"')
    check_tool_options(tool or (), max_turns, tool_timeout)
    screen = open_screen(plain=plain)
    prints = Prints(screen.notes)
    with prints.caught() if tool else nullcontext():
        options = ChatOptions(
            model,
            system,
            thinking=thinking,
            effort=effort,
            max_tokens=max_tokens,
            temperature=temperature,
            stop=stop or (),
            auto_continue=auto_continue,
            resume=resume,
            json=json,
            tools=load_tools(tool or ()),
            max_turns=max_turns,
            tool_timeout=tool_timeout,
            prints=prints,
            show_reasoning=not hide_reasoning,
        )
        question = piped_prompt() if prompt is None else prompt
        if question is None:
            status = converse(read_line(screen), target, options, screen)
        else:
            status = asyncio.run(ask_once(question, target, options, screen))
    _finish(status)


@app.command(epilog="Example: cat shapes.py | deepseek-async fim --max-tokens 200")
def fim(
    prompt: Annotated[
        str | None,
        typer.Argument(
            help="What stands before the gap, or the whole text with `<fill>` for the gap. Without "
            "it: what is piped in.",
            show_default=False,
        ),
    ] = None,
    suffix: Annotated[
        str | None, typer.Option("--suffix", metavar="TEXT", help="What stands behind the gap.")
    ] = None,
    model: Model = _FIM_MODEL,
    max_tokens: Annotated[
        int | None, typer.Option("--max-tokens", min=1, help="Most tokens to fill in.")
    ] = None,
    temperature: Annotated[float | None, typer.Option("--temperature", help="0 to 2.")] = None,
    stop: Stop = None,
    echo: Annotated[
        bool, typer.Option("--echo", help="Repeat the prompt before what is filled in.")
    ] = False,
    base_url: BaseUrl = None,
    simulate: Simulate = False,
) -> None:
    """Fill the gap between a prompt and a suffix, such as a hole in a program.

    What is filled in goes to standard output, and nothing else; token counts go to standard error
    if that is a file or a pipe.
    """
    target = Target(base_url, simulate)
    target.check("deepseek-async fim")
    before, behind = split_gap(piped_text() if prompt is None else prompt, suffix)
    options = FimOptions(
        model,
        before,
        behind,
        max_tokens=max_tokens,
        temperature=temperature,
        stop=stop or (),
        echo=echo,
    )
    _finish(asyncio.run(fill(target, options, open_screen())))


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
    record: Annotated[
        str | None,
        typer.Option(
            "--record", metavar="URL", help="Pass requests on to this host, and store its answers."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FOLDER", help="Where --record stores them.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace the recordings that are in the folder.")
    ] = False,
    replay: Annotated[
        Path | None,
        typer.Option("--replay", metavar="FOLDER", help="Answer what was recorded, byte for byte."),
    ] = None,
    pace: Annotated[
        float | None,
        typer.Option(
            "--pace",
            min=0,
            help="Of a replay: 0.5 is twice as fast as recorded, 0 without a pause.",
        ),
    ] = None,
    redact_env: Annotated[
        list[str] | None,
        typer.Option(
            "--redact-env",
            metavar="NAME",
            help="A variable whose value is a secret, to be left out of recordings; may be given "
            "several times. Keys and cookies always are.",
        ),
    ] = None,
) -> None:
    """Run a DeepSeek server on this machine: no key, no cost, no model.

    Any API key is accepted, except those that begin with sk-bad. Runs until Ctrl-C. Options given
    here win over those of a script.

    With --record it is a proxy in front of a real host, with --replay it plays that back.
    """
    options: dict[str, Any] = {
        "tokens_per_second": tokens_per_second,
        "first_token_seconds": first_token_seconds,
        "seed": seed,
        "max_concurrency": max_concurrency,
    }
    recorded = Recorded(record, out, replay, pace, tuple(redact_env or ()), force)
    recorded.check(script, options)
    try:
        if recorded.is_wanted:
            asyncio.run(record_or_replay(open_screen(), host, port, recorded))
        else:
            asyncio.run(serve(open_screen(), host, port, options, script))
    except KeyboardInterrupt:
        # The way to end it.
        _finish(FINE)


@app.command(epilog="Example: deepseek-async ui --open")
def ui(
    model: Model = _MODEL,
    port: Annotated[
        int | None,
        typer.Option(
            "--port",
            min=0,
            max=65535,
            help="Where to listen; 0: any free port. By default 8765, or another if that is taken.",
            show_default=False,
        ),
    ] = None,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    open_browser: Annotated[bool, typer.Option("--open", help="Open it in a browser.")] = False,
    base_url: BaseUrl = None,
    simulate: Simulate = False,
) -> None:
    """Serve a page to chat on, and to see how answers come.

    Meters, tool calls, many streams at once, what goes over the wire. Without DEEPSEEK_API_KEY it
    runs on the built-in simulator. Only who has the address that is printed can use it. Runs until
    Ctrl-C.
    """
    # Here: it imports a web server, which all else can do without.
    from deepseek_async.cli.page import PageOptions, serve_page

    keyless = not simulate and base_url is None and not has_key()
    target = Target(base_url, simulate or keyless)
    target.check("deepseek-async ui")
    options = PageOptions(model, host, port, open=open_browser)
    try:
        asyncio.run(serve_page(target, options, open_screen(), keyless=keyless))
    except KeyboardInterrupt:
        # The way to end it.
        _finish(FINE)


@app.command(epilog="Example: deepseek-async models")
def models(json: AsJson = False, base_url: BaseUrl = None, simulate: Simulate = False) -> None:
    """List the models that your key may use."""
    target = Target(base_url, simulate)
    target.check("deepseek-async models")
    _finish(asyncio.run(show_models(target, open_screen(), json=json)))


@app.command(epilog="Example: deepseek-async balance")
def balance(json: AsJson = False, base_url: BaseUrl = None, simulate: Simulate = False) -> None:
    """Show what your account has left. Fails if that doesn't suffice for requests."""
    target = Target(base_url, simulate)
    target.check("deepseek-async balance")
    _finish(asyncio.run(show_balance(target, open_screen(), json=json)))


def _finish(status: int) -> None:
    raise typer.Exit(status)
