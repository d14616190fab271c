"""Runs of tools that an observer is told of."""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Generic, TypeVar, cast

from deepseek_async.event_streams import ChatEventStream
from deepseek_async.observers import Outcome, RunObserver
from deepseek_async.observing import outcome_of, report_failure, safely, tell_later
from deepseek_async.tools import Tool, ToolContext, ToolParam, ToolRunner, ToolRunnerEvent, tool
from deepseek_async.types.chat import ChatCompletion

T = TypeVar("T")


class _Harmless(Generic[T]):
    """A context of an observer's: what it raises is logged, and the block runs all the same.

    Args:
        begin: Makes the context.
    """

    def __init__(self, begin: Callable[[], AbstractContextManager[T]]) -> None:
        self._begin = begin
        self._entered: AbstractContextManager[T] | None = None

    def __enter__(self) -> T | None:
        try:
            context = self._begin()
            value = context.__enter__()
        except Exception:
            report_failure()
            return None
        self._entered = context
        return value

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._entered is not None:
            safely(functools.partial(self._entered.__exit__, exc_type, exc, traceback))


class ObservedTool(Tool[..., Any]):
    """A tool whose calls are told of; all else is as the tool itself has it."""

    def __init__(self, inner: Tool[..., Any], observer: RunObserver) -> None:
        self.name = inner.name
        self.description = inner.description
        self.strict = inner.strict
        self._inner = inner
        self._observer = observer

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function itself."""
        return self._inner(*args, **kwargs)

    @property
    def definition(self) -> dict[str, Any]:
        """The tool as a request names it, in ``tools``."""
        return self._inner.definition

    async def run(self, arguments: str, context: ToolContext | None = None) -> str:
        """Call the function with the arguments as the model wrote them; see :class:`Tool`."""
        call_id = "" if context is None else context.call_id
        begin = functools.partial(
            self._observer.tool, self.name, self.description, call_id, arguments
        )
        with _Harmless(begin) as answered:
            answer = await self._inner.run(arguments, context)
            if answered is not None:
                safely(functools.partial(answered, answer))
            return answer


class ObservedToolRunner(ToolRunner):
    """A run of tools that an observer is told of.

    Args:
        observer: Is told.
        stream: As for :class:`ToolRunner`.
        create: As for :class:`ToolRunner`.
        tools: As for :class:`ToolRunner`.
        **options: The others.
    """

    def __init__(
        self,
        observer: RunObserver,
        *,
        stream: Callable[..., ChatEventStream],
        create: Callable[..., Awaitable[ChatCompletion]],
        tools: Iterable[ToolParam],
        **options: Any,
    ) -> None:
        self._observer = observer
        self._loop: asyncio.AbstractEventLoop | None = None
        self._told = False
        self._is_left = False

        def observed_stream(**params: Any) -> ChatEventStream:
            with _Harmless(observer.within):
                return stream(**params)

        async def observed_create(**params: Any) -> ChatCompletion:
            with _Harmless(observer.within):
                return await create(**params)

        super().__init__(
            stream=observed_stream,
            create=observed_create,
            tools=_observed(tools, observer),
            **options,
        )

    def __del__(self) -> None:
        if self._loop is not None and not self._told:
            observer = self._observer
            tell_later(self._loop, lambda: safely(lambda: observer.ended("left", None)))

    async def __anext__(self) -> ToolRunnerEvent:
        if self._loop is None and not self._closed:
            self._loop = asyncio.get_running_loop()
            safely(self._observer.began)
        try:
            return await super().__anext__()
        except StopAsyncIteration:
            self._tell("answered", None)
            raise
        except BaseException as exc:
            if self._closed:
                # Else another task reads it, and this one is told so.
                outcome = outcome_of(exc)
                # Closed by another task, it fails in the one that reads it.
                is_left = self._is_left and outcome == "failed"
                self._tell("left" if is_left else outcome, None if is_left else exc)
            raise

    async def aclose(self) -> None:
        """Cancel the tools that run, wait until they have ended, and close the connection."""
        self._is_left = True
        try:
            await super().aclose()
        finally:
            self._tell("left", None)

    def _tell(self, outcome: Outcome, error: BaseException | None) -> None:
        if self._loop is not None and not self._told:
            self._told = True
            safely(functools.partial(self._observer.ended, outcome, error))


def _observed(tools: object, observer: RunObserver) -> Iterable[ToolParam]:
    """Return the tools with those observed that run here; what can't be meant is refused later."""
    if isinstance(tools, str | bytes | Mapping) or not isinstance(tools, Iterable):
        return cast("Iterable[ToolParam]", tools)
    return _each(cast("Iterable[ToolParam]", tools), observer)


def _each(tools: Iterable[ToolParam], observer: RunObserver) -> Iterator[ToolParam]:
    for each in tools:
        if callable(each) and not isinstance(each, Mapping):
            made = cast("Tool[..., Any]", each) if isinstance(each, Tool) else tool(each)
            yield ObservedTool(made, observer)
        else:
            yield each
