"""The tool calls of one turn, run side by side."""

import asyncio
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import anyio

from deepseek_async.tools.context import ToolContext
from deepseek_async.tools.errors import ToolError
from deepseek_async.tools.events import ToolDoneEvent, ToolEvent, ToolStartedEvent
from deepseek_async.tools.function import Tool
from deepseek_async.tools.results import clean_text
from deepseek_async.types.chat import ToolCall
from deepseek_async.types.params import MessageParam
from deepseek_async.types.requests import ToolMessage

logger = logging.getLogger("deepseek_async")


class ToolCalls:
    """Runs the calls of one turn: an async context manager, and an iterator of their events.

    Entering starts them. Leaving cancels those that still run, and waits until they have ended.

    Args:
        turn: Which turn of the run it is, from 1.
        calls: What the model asks for; the ids differ.
        tools: The functions, by name.
        messages: The conversation that the model has seen.
        timeout: Seconds for each call, None for no limit.
        max_parallel: How many run at once; the others wait.
        on_answered: Gets the answers, in the order of the calls, as soon as there are all.
    """

    def __init__(
        self,
        turn: int,
        calls: Sequence[ToolCall],
        tools: Mapping[str, Tool[..., Any]],
        *,
        messages: Sequence[MessageParam],
        timeout: float | None,
        max_parallel: int,
        on_answered: Callable[[list[ToolMessage]], None],
    ) -> None:
        self._turn = turn
        self._calls = calls
        self._tools = tools
        self._messages = messages
        self._timeout = math.inf if timeout is None else timeout
        self._slots = asyncio.Semaphore(max_parallel)
        self._on_answered = on_answered
        self._answers: dict[int, ToolMessage] = {}
        # Two events of each call and its task: bounded by the number of calls.
        self._news: asyncio.Queue[ToolEvent | asyncio.Task[None]] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []
        self._open = len(calls)

    async def __aenter__(self) -> Self:
        for index, call in enumerate(self._calls):
            task = asyncio.create_task(self._run(index, call), name=f"tool {call.function.name}")
            task.add_done_callback(self._news.put_nowait)
            self._tasks.append(task)
        return self

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ToolEvent:
        while self._open:
            news = await self._news.get()
            if not isinstance(news, asyncio.Task):
                return news
            self._open -= 1
            # Errors of a tool are its answer. What isn't, such as the cancellation of its task by
            # somebody else, ends the run.
            news.result()
        raise StopAsyncIteration

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        running = [task for task in self._tasks if not task.done()]
        for task in running:
            task.cancel()
        if running:
            # Cancel scopes of anyio would cancel this waiting, too, again and again, and leave
            # tools behind. They have been told; a tool that goes on in spite of it is waited for.
            with anyio.CancelScope(shield=True):
                await asyncio.wait(running)
        for task in self._tasks:
            if task.done() and not task.cancelled():
                # Asked for, so that asyncio doesn't report an exception nobody retrieved.
                task.exception()

    async def _run(self, index: int, call: ToolCall) -> None:
        name, arguments = call.function.name, call.function.arguments
        async with self._slots:
            self._news.put_nowait(ToolStartedEvent(self._turn, index, call.id, name, arguments))
            loop = asyncio.get_running_loop()
            began = loop.time()
            content, is_error = await self._answer(call)
            seconds = loop.time() - began
        content = clean_text(content)
        self._answers[index] = ToolMessage(content=content, tool_call_id=call.id)
        if len(self._answers) == len(self._calls):
            self._on_answered([answer for _, answer in sorted(self._answers.items())])
        self._news.put_nowait(
            ToolDoneEvent(self._turn, index, call.id, name, content, is_error, seconds)
        )

    async def _answer(self, call: ToolCall) -> tuple[str, bool]:
        """Return what the model is told, and whether that is an error."""
        name = call.function.name
        tool = self._tools.get(name)
        if tool is None:
            known = ", ".join(self._tools)
            return f'There is no tool named "{name}". These are the tools: {known}.', True
        context = ToolContext(self._turn, call.id, self._messages)
        try:
            with anyio.move_on_after(self._timeout):
                return await tool.run(call.function.arguments, context), False
        except ToolError as exc:
            return exc.message, True
        except asyncio.CancelledError as exc:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # Not this call has been cancelled, but something that the tool waited for.
            return _error_text(exc), True
        except Exception as exc:
            logger.debug("tool %r raised %s", name, type(exc).__name__, exc_info=True)
            return _error_text(exc), True
        return f"Error: {name} did not finish within {self._timeout:g} seconds.", True


def _error_text(exc: BaseException) -> str:
    try:
        message = str(exc)
    except Exception:
        # Its own code is as broken as the tool.
        message = ""
    return f"Error: {type(exc).__name__}: {message}" if message else f"Error: {type(exc).__name__}"
