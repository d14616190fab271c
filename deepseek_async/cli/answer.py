"""One streamed answer on the screen."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Unpack, cast

from rich.text import Text

from deepseek_async import (
    ArgumentsDeltaEvent,
    ChatCompletion,
    ChatCompletionMessage,
    ChatParams,
    ContentDeltaEvent,
    MessageParam,
    QueuedEvent,
    ReasoningDeltaEvent,
    ResumedEvent,
    ToolDoneEvent,
    ToolRunner,
    ToolRunnerEvent,
    ToolStartedEvent,
    TurnDoneEvent,
)
from deepseek_async.cli.asking import ToolUse
from deepseek_async.cli.clean import one_line
from deepseek_async.cli.connection import Connection
from deepseek_async.cli.meter import Meter, Reading
from deepseek_async.cli.prints import Prints
from deepseek_async.cli.prose import Prose, RawText
from deepseek_async.cli.screen import Screen, StatusLine
from deepseek_async.cli.tool_calls import WAITING, ToolRunView
from deepseek_async.errors import (
    ContentFilterFinishReasonError,
    InterruptedFinishReasonError,
    LengthFinishReasonError,
)

if TYPE_CHECKING:
    from deepseek_async.cli.markdown_text import MarkdownText
    from deepseek_async.types.params import ToolRunParams

_SHORTENED = (
    LengthFinishReasonError,
    ContentFilterFinishReasonError,
    InterruptedFinishReasonError,
)
_COMPLETE = frozenset({"stop", "tool_calls", None})
# Lines that functions print while an answer comes; the last ones are kept.
_MAX_HELD = 200


class AnswerView:
    """Shows the reasoning, then the answer, as they come.

    On a terminal the reasoning is dimmed, and the answer's Markdown is drawn. Elsewhere the
    reasoning goes to stderr, so that a file or pipe gets the answer alone, unless ``together`` is
    set.

    Args:
        screen: Where to.
        reasoning: Whether to show the reasoning.
        together: Whether both go to stdout even if that is no terminal.
        json: Whether the answer is JSON, which has no Markdown, and of which a file or pipe gets
            nothing here: whoever reads it wants all or none.
    """

    def __init__(
        self,
        screen: Screen,
        *,
        reasoning: bool = True,
        together: bool = False,
        json: bool = False,
    ) -> None:
        self._screen = screen
        self._is_prose = screen.live and not json
        self._holds_answer = json and not screen.live
        self._shows_reasoning = reasoning
        self._together = together or screen.live
        self._part: MarkdownText | Prose | RawText | None = None
        self._new_answer = self._answer_maker()
        self._in_answer = False
        self._is_writing = False

    def reasoning(self, delta: str) -> None:
        """Show more of the reasoning."""
        if not self._shows_reasoning or self._in_answer or not delta:
            return
        if self._part is None:
            if self._screen.live:
                self._part = Prose(self._screen, "dim")
            else:
                self._label("Reasoning:")
                self._part = RawText(self._screen, aside=not self._together)
        self._is_writing = True
        self._part.feed(delta)

    def content(self, delta: str) -> None:
        """Show more of the answer."""
        if not delta:
            return
        if not self._in_answer:
            self._in_answer = True
            if self._part is not None:
                self._part.finish()
                console = self._screen.console if self._together else self._screen.notes
                console.print()
                if not self._screen.live and self._together:
                    self._label("Answer:")
            self._part = self._new_answer()
        if self._part is not None:
            self._is_writing = True
            self._part.feed(delta)

    def finish(self) -> None:
        """End what is being written, and its line."""
        self._is_writing = False
        if self._part is not None:
            self._part.finish()

    def next_turn(self) -> None:
        """End what is being written; what comes is another answer with its own reasoning."""
        self.finish()
        self._part = None
        self._in_answer = False

    @property
    def is_writing(self) -> bool:
        """Whether a part has begun and not ended, so that nobody else may write."""
        return self._is_writing

    def _answer_maker(self) -> "Callable[[], MarkdownText | RawText | None]":
        if self._holds_answer:
            return lambda: None
        if not self._is_prose:
            return lambda: RawText(self._screen)
        # Here: it takes as long to import as all the rest of rich, which other commands and pipes
        # can do without.
        from deepseek_async.cli.markdown_text import MarkdownText

        return lambda: MarkdownText(self._screen)

    def _label(self, text: str) -> None:
        console = self._screen.console if self._together else self._screen.notes
        console.print(Text(text))


def early_end(finish_reason: str | None) -> str | None:
    """Return why an answer is not all the model had to say; None if it is."""
    return None if finish_reason in _COMPLETE else one_line(str(finish_reason), 60)


@dataclass(frozen=True)
class Answer:
    """A whole answer and what it took."""

    completion: ChatCompletion
    reading: Reading

    messages: list[MessageParam] = field(default_factory=list[MessageParam])
    """What it adds to the conversation: itself, and before it the calls of tools."""

    @property
    def shortened(self) -> str | None:
        """Why the answer is not all the model had to say; None if it is."""
        choices = self.completion.choices
        return early_end(choices[0].finish_reason) if choices else None


class Follower:
    """Asks for an answer and shows it."""

    def __init__(self, screen: Screen, view: AnswerView) -> None:
        self._view = view
        self._status = StatusLine(screen.notes, live=screen.live)
        self._calls = ToolRunView(screen, self._status)
        self._pieces: list[str] = []
        self._held: deque[str] = deque(maxlen=_MAX_HELD)
        self._runner: ToolRunner | None = None
        self._given = 0

    @property
    def messages(self) -> list[MessageParam]:
        """What has been added to the conversation so far, also after a failure."""
        added = [] if self._runner is None else self._runner.messages[self._given :]
        if self._pieces:
            added.append({"role": "assistant", "content": "".join(self._pieces)})
        return added

    async def follow(
        self,
        connection: Connection,
        tool_use: ToolUse | None = None,
        /,
        **params: Unpack[ChatParams],
    ) -> Answer:
        """Send the request and show what comes.

        Args:
            connection: Where to ask.
            tool_use: What the model may call; it is run here.
            **params: Of the request.

        Raises:
            DeepSeekError: If the answer does not come to its end; what came has been shown.
        """
        meter = Meter(asyncio.get_running_loop().time)
        self._status.show(WAITING)
        try:
            if tool_use is not None:
                return await self._run_tools(
                    connection, tool_use, meter, cast("ToolRunParams", params)
                )
            async with connection.client.chat.completions.stream(**params) as stream:
                async for event in stream:
                    self._show(event, meter)
                completion = stream.completion()
        finally:
            self._status.clear()
            self._finish_part()
        reading = meter.read(completion.usage, completion, priced=connection.priced)
        return Answer(completion, reading, [*_messages_of(completion)])

    async def _run_tools(
        self,
        connection: Connection,
        tool_use: ToolUse,
        meter: Meter,
        params: "ToolRunParams",
    ) -> Answer:
        self._given = len(list(params["messages"]))
        shortened: list[ChatCompletionMessage] = []
        run_tools = connection.client.chat.completions.run_tools
        runner = run_tools(tools=tool_use.functions, **tool_use.limits, **params)
        with self._receiving(tool_use.prints):
            async with runner:
                self._runner = runner
                try:
                    async for event in runner:
                        self._show(event, meter)
                except _SHORTENED as exc:
                    # As it is without tools: what came is the answer, and the meter tells why.
                    shortened = _messages_of(exc.completion)
                    if not shortened or shortened[0].tool_calls:
                        raise
        completion = runner.completions[-1]
        reading = meter.read(runner.usage, *runner.completions, priced=connection.priced)
        return Answer(completion, reading, [*runner.messages[self._given :], *shortened])

    def _receiving(self, prints: Prints | None) -> AbstractContextManager[None]:
        if prints is None:
            return nullcontext()
        loop = asyncio.get_running_loop()

        def receive(line: str) -> None:
            if threading.get_ident() == thread:
                # An async function: what it prints comes before it returns.
                self._printed(line)
            else:
                loop.call_soon_threadsafe(self._printed, line)

        thread = threading.get_ident()
        return prints.received_by(receive)

    def _printed(self, line: str) -> None:
        # An async function may print before its start is told of; one that was given up, while the
        # answer is being written.
        self._held.append(line)
        if self._calls.are_running and not self._view.is_writing:
            self._tell_printed()

    def _finish_part(self) -> None:
        """End what is being written, and tell what had to wait for that."""
        self._view.finish()
        self._tell_printed()

    def _tell_printed(self) -> None:
        while self._held:
            self._calls.printed(self._held.popleft())

    def _show(self, event: ToolRunnerEvent, meter: Meter) -> None:
        match event:
            case QueuedEvent():
                self._status.show("waiting in the server's queue", elapsed=event.elapsed)
            case ReasoningDeltaEvent():
                self._status.clear()
                meter.tick()
                self._view.reasoning(event.delta)
            case ContentDeltaEvent():
                self._status.clear()
                meter.tick()
                self._pieces.append(event.delta)
                self._view.content(event.delta)
            case ArgumentsDeltaEvent():
                meter.tick()
                # It ends the line, without which nothing can be told.
                self._finish_part()
                self._calls.written(event)
            case ResumedEvent():
                meter.pause()
            case TurnDoneEvent():
                meter.pause()
                self._pieces.clear()
                self._finish_part()
                self._view.next_turn()
            case ToolStartedEvent():
                self._calls.started(event)
                self._tell_printed()
            case ToolDoneEvent():
                self._calls.done(event)
            case _:
                pass


def _messages_of(completion: ChatCompletion | None) -> list[ChatCompletionMessage]:
    """Return the message of an answer, in a list of its own; none if there is none."""
    return [] if completion is None else [choice.message for choice in completion.choices[:1]]
