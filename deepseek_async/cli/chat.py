"""``chat``: one question, or a conversation."""

import asyncio
import contextlib
import importlib
import sys
from collections.abc import Callable
from typing import Any, Literal

from anyio.from_thread import BlockingPortal, start_blocking_portal

from deepseek_async import MessageParam
from deepseek_async.cli.answer import Answer, AnswerView, Follower
from deepseek_async.cli.asking import ChatOptions
from deepseek_async.cli.connection import Connection, Target, connect
from deepseek_async.cli.failures import FAILED, FINE, AnswerProblem, UsageProblem, describe
from deepseek_async.cli.interrupts import Interrupts
from deepseek_async.cli.json_mode import deliver_json
from deepseek_async.cli.meter import dollars, meter_line
from deepseek_async.cli.screen import Screen
from deepseek_async.errors import AuthenticationError, DeepSeekError

_HELP = "/reset forgets the conversation, /exit or Ctrl-D leaves, Ctrl-C stops an answer"


def piped_prompt() -> str | None:
    """Read the prompt from standard input; None if that is a terminal.

    Raises:
        UsageProblem: If there is nothing to read.
    """
    # None if the process was started with its standard input closed.
    stdin: Any = sys.stdin
    if stdin is not None and stdin.isatty():
        return None
    prompt = "" if stdin is None else stdin.buffer.read().decode(errors="replace").strip()
    if not prompt:
        raise UsageProblem('no prompt: pass one, as in chat "Hello", or pipe one in')
    return prompt


async def ask_once(
    prompt: str,
    target: Target,
    options: ChatOptions,
    screen: Screen,
) -> int:
    """Ask one question and show the answer."""
    async with connect(target) as connection:
        messages = [*options.beginning(prompt), {"role": "user", "content": prompt}]
        answer = await _follower(screen, options).follow(
            connection, options.tool_use, **options.params(messages)
        )
    _conclude(answer, options, screen)
    return FINE


def _follower(screen: Screen, options: ChatOptions) -> Follower:
    view = AnswerView(screen, reasoning=options.show_reasoning, json=options.json)
    return Follower(screen, view)


def _conclude(answer: Answer, options: ChatOptions, screen: Screen) -> None:
    """Hand out the answer's JSON, and tell what the answer took.

    Raises:
        AnswerProblem: If it should be JSON and isn't.
    """
    try:
        if options.json:
            deliver_json(answer, screen)
    finally:
        screen.note(meter_line(answer.reading, answer.shortened))


def read_line(screen: Screen) -> Callable[[], str]:
    """Return what prompts for a line and reads it, with the history of this session.

    The history is not written to disk.
    """
    stdout = screen.console.file
    if screen.console.is_terminal and stdout.isatty():
        # Its import alone gives input() line editing and a history; not every Python has it.
        with contextlib.suppress(ImportError):
            importlib.import_module("readline")

        def prompt() -> str:
            # Only there it edits lines, and what is printed may go elsewhere.
            with contextlib.redirect_stdout(stdout):
                return input("> ")

        return prompt

    def read() -> str:
        # input() would prompt on stdout, into the file that takes the answers.
        screen.notes.print("> ", end="")
        line = sys.stdin.readline()
        if not line:
            raise EOFError
        return line

    return read


def converse(
    read: Callable[[], str],
    target: Target,
    options: ChatOptions,
    screen: Screen,
) -> int:
    """Hold a conversation until the user leaves.

    The event loop runs in a thread of its own, so that the connection lives on while this one
    waits for the user. Ctrl-C stops the answer that is coming, or leaves the line.

    Args:
        read: Reads a line; raises EOFError when the user leaves.
        target: The server.
        options: How to ask and show.
        screen: Where to show.
    """
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(connect(target)) as connection,
    ):
        name = "the built-in simulator" if target.simulate else options.model
        screen.note(f"{name} · {_HELP}")
        conversation = _Conversation(portal, connection, options, screen)
        status = conversation.hold(read)
        conversation.tell_total()
        return status


class _Conversation:
    def __init__(
        self,
        portal: BlockingPortal,
        connection: Connection,
        options: ChatOptions,
        screen: Screen,
    ) -> None:
        self._portal = portal
        self._connection = connection
        self._options = options
        self._screen = screen
        self._messages = options.beginning()
        self._interrupts = Interrupts()
        self._answers = 0

    def hold(self, read: Callable[[], str]) -> int:
        """Read lines and do what they say to the end; return the exit status."""
        with self._interrupts:
            while True:
                try:
                    with self._interrupts.reading():
                        line = read()
                except EOFError:
                    self._screen.notes.print()
                    return FINE
                except KeyboardInterrupt:
                    self._screen.notes.print()
                    self._screen.note("/exit or Ctrl-D leaves")
                    continue
                # Pasted bytes that are not UTF-8 come as surrogates.
                prompt = line.strip().encode(errors="surrogateescape").decode(errors="replace")
                if (status := self._obey(prompt)) is not None:
                    return status

    def _obey(self, prompt: str) -> int | None:
        """Do what a line says; an exit status ends the conversation."""
        match prompt:
            case "":
                return None
            case "/exit" | "/quit":
                return FINE
            case "/reset":
                self._messages = self._options.beginning()
                self._screen.note("forgotten")
                return None
            case "/help":
                self._screen.note(_HELP)
                return None
            case _:
                return self._ask(prompt)

    def tell_total(self) -> None:
        """Tell what all answers cost, if there were several and it is known."""
        cost = self._connection.client.usage.cost()
        if self._answers > 1 and self._connection.priced and cost is not None:
            self._screen.note(f"{self._answers} answers · {dollars(cost)}")

    def _ask(self, prompt: str) -> int | None:
        messages = self._messages
        messages.append({"role": "user", "content": prompt})
        turn = _Turn(self._connection, self._options, self._screen, list(messages))
        loop = self._portal.call(_running_loop)
        with self._interrupts.answering(lambda: loop.call_soon_threadsafe(turn.stop)):
            outcome = self._portal.call(turn.run)
        if outcome == "stopped":
            self._screen.note("stopped")
        if outcome in ("done", "stopped") and turn.messages:
            # A stopped one, too: the user has seen it and may refer to it.
            self._answers += outcome == "done"
            messages.extend(turn.messages)
            return None
        messages.pop()
        # No other question will be answered either.
        return FAILED if outcome == "refused" else None


class _Turn:
    """One answer of a conversation, run in the event loop."""

    def __init__(
        self,
        connection: Connection,
        options: ChatOptions,
        screen: Screen,
        messages: list[MessageParam],
    ) -> None:
        self._connection = connection
        self._options = options
        self._screen = screen
        self._messages = messages
        self._follower = _follower(screen, options)
        self._task: asyncio.Task[Answer] | None = None
        self._answer: Answer | None = None
        self._is_stopped = False

    @property
    def messages(self) -> list[MessageParam]:
        """What the turn adds to the conversation."""
        return self._follower.messages if self._answer is None else self._answer.messages

    async def run(self) -> Literal["done", "stopped", "failed", "refused"]:
        """Show the answer; failures are shown too."""
        params = self._options.params(self._messages)
        # A task of its own, so that this one outlives it when it is stopped.
        self._task = asyncio.create_task(
            self._follower.follow(self._connection, self._options.tool_use, **params)
        )
        if self._is_stopped:
            self._task.cancel()
        await asyncio.wait({self._task})
        if self._task.cancelled():
            return "stopped"
        try:
            answer = self._task.result()
        except DeepSeekError as exc:
            self._screen.note(f"error: {describe(exc)}", "red")
            return "refused" if isinstance(exc, AuthenticationError) else "failed"
        self._answer = answer
        try:
            _conclude(answer, self._options, self._screen)
        except AnswerProblem as exc:
            # The model may be asked to mend it.
            self._screen.note(f"error: {describe(exc)}", "red")
        return "done"

    def stop(self) -> None:
        """Stop the answer; :meth:`run` returns when nothing more is shown."""
        self._is_stopped = True
        if self._task is not None:
            self._task.cancel()


async def _running_loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()
