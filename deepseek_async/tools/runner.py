"""Let the model call tools until it has an answer: ``run_tools`` returns this."""

import asyncio
import copy
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from deepseek_async.errors import DeepSeekError, PreflightError
from deepseek_async.tools.events import ToolRunnerEvent
from deepseek_async.tools.toolbox import Toolbox, ToolParam
from deepseek_async.tools.turns import Create, Limits, Stream, Turns
from deepseek_async.types.chat import ChatCompletion
from deepseek_async.types.params import ChatParams, MessageParam
from deepseek_async.types.usage import Usage


class ToolRunner:
    """A conversation in which the model calls tools, told in events.

    An async iterator of events, and an async context manager: leaving it early cancels the tools
    that run and closes the connection. ``await runner.until_done()`` does all without events.
    Nothing is sent before either.

    Each turn is one request. The calls it brings run side by side, and only once the answer is
    complete: never after ``length``, a filter, or a cut. ``stop`` next to tool calls, as some
    hosts say, counts as ``tool_calls``. A mistake by the model (an unknown tool, wrong arguments)
    and what a tool raises go back to the model as the answer to the call. If it calls a function
    of which only the definition was given, the run ends with that completion, and none of its
    calls is run; the message of the completion and the answers to its calls are then the
    caller's to add.

    A ``tool_choice`` that forces a call does so in the first turn only.

    Functions that aren't async run in a thread. Cancelling them leaves them alone: nothing in
    Python can end a thread, which goes on by itself.

    Args:
        stream: Sends a request and returns its events: ``client.chat.completions.stream``.
        create: Sends a request and returns its answer: ``client.chat.completions.create``.
        tools: Tools, typed functions, or definitions in the API's own form.
        params: Of the first request; ``messages`` is copied.
        streamed: Whether the answers are streamed; if not, there are no events of their parts.
        max_turns: Most requests of the run.
        tool_timeout: Seconds for each call of a tool, None for no limit.
        max_parallel: Most tools that run at once.

    Raises:
        PreflightError: If the tools or limits can't be meant.
        TypeError: If a function can't be a tool; the message says why.
    """

    def __init__(
        self,
        *,
        stream: Stream,
        create: Create,
        tools: Iterable[ToolParam],
        params: ChatParams,
        streamed: bool = True,
        max_turns: int = 10,
        tool_timeout: float | None = None,
        max_parallel: int = 8,
    ) -> None:
        if max_turns < 1:
            raise PreflightError(f"max_turns is at least 1, got {max_turns}")
        if max_parallel < 1:
            raise PreflightError(f"max_parallel is at least 1, got {max_parallel}")
        if tool_timeout is not None and not tool_timeout > 0:
            raise PreflightError(
                f"tool_timeout is a number of seconds above 0, or None, got {tool_timeout}"
            )
        limits = Limits(max_turns, tool_timeout, max_parallel)
        self._turns = Turns(stream if streamed else None, create, Toolbox(tools), params, limits)
        # It must not refer to the runner: dropping the runner then closes it, and what it runs.
        self._events = self._turns.events()
        self._reader: asyncio.Task[object] | None = None
        self._read_done = asyncio.Event()
        self._closing = asyncio.Lock()
        self._closed = False
        self._consumed = False
        self._error: DeepSeekError | None = None

    @property
    def messages(self) -> list[MessageParam]:
        """The conversation: the caller's messages, and the turns that are complete.

        An answer with tool calls is part of it once all calls are answered, so that it can be
        sent as it is at any time.
        """
        return list(self._turns.messages)

    @property
    def completions(self) -> list[ChatCompletion]:
        """The answer of each turn."""
        return list(self._turns.completions)

    @property
    def completion(self) -> ChatCompletion | None:
        """The last answer; None before the first."""
        return self._turns.completions[-1] if self._turns.completions else None

    @property
    def turns(self) -> int:
        """How many answers there are."""
        return len(self._turns.completions)

    @property
    def usage(self) -> Usage | None:
        """The token counts of all turns together; None before the first answer."""
        return self._turns.usage

    async def until_done(self) -> ChatCompletion:
        """Run what is left and return the last answer.

        Raises:
            MaxTurnsError: If the model asks for tools in the last of ``max_turns`` turns.
            LengthFinishReasonError: If an answer was cut off.
            ContentFilterFinishReasonError: If one was filtered.
            InterruptedFinishReasonError: If the server gave up.
            APIError: If a request failed.
            RuntimeError: If the run was closed or cancelled before.
        """
        while not self._consumed:
            try:
                await self.__anext__()
            except StopAsyncIteration:
                break
        return self._turns.completions[-1]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        if self._consumed:
            raise RuntimeError("this run is over; what it brought is in .completion and .messages")
        return self

    async def __anext__(self) -> ToolRunnerEvent:
        task = self._start_reading()
        cancelling = task.cancelling()
        try:
            return await anext(self._events)
        except StopAsyncIteration:
            self._consumed = True
            raise
        except asyncio.CancelledError:
            if self._closed and task.uncancel() <= cancelling:
                # Another task has closed the run: this one isn't meant to end for it.
                raise self._closed_error() from None
            self._closed = True
            raise
        except BaseException as exc:
            self._closed = True
            # A copy: the original's traceback would keep alive all that it refers to.
            self._error = copy.copy(exc) if isinstance(exc, DeepSeekError) else None
            raise
        finally:
            self._reader = None
            self._read_done.set()

    async def aclose(self) -> None:
        """Cancel the tools that run, wait until they have ended, and close the connection."""
        self._closed = True
        # Closed by two tasks at once, it is closed for both when it is closed.
        async with self._closing:
            if self._reader is not None:
                # Another task waits for an event: it ends what it waits for, and gets an error.
                self._reader.cancel()
                await self._read_done.wait()
            await self._events.aclose()

    def _start_reading(self) -> "asyncio.Task[object]":
        if self._reader is not None:
            raise RuntimeError(
                "another task is reading this run at the moment; let one task read it and hand "
                "the events on"
            )
        if self._consumed:
            raise StopAsyncIteration
        if self._error is not None:
            raise copy.copy(self._error)
        if self._closed:
            raise self._closed_error()
        task = asyncio.current_task()
        assert task is not None
        self._reader = task
        self._read_done.clear()
        return task

    def _closed_error(self) -> RuntimeError:
        return RuntimeError("this run was closed or cancelled before its end")
