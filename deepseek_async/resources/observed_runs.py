"""Runs of tools that an observer is told of."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Any, cast

from deepseek_async.event_streams import ChatEventStream
from deepseek_async.observing import Outcome, RunObserver, outcome_of, tell_later
from deepseek_async.tools import Tool, ToolContext, ToolParam, ToolRunner, ToolRunnerEvent, tool
from deepseek_async.types.chat import ChatCompletion


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
        with self._observer.tool(self.name, self.description, call_id, arguments) as answered:
            answer = await self._inner.run(arguments, context)
            answered(answer)
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

        def observed_stream(**params: Any) -> ChatEventStream:
            with observer.within():
                return stream(**params)

        async def observed_create(**params: Any) -> ChatCompletion:
            with observer.within():
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
            tell_later(self._loop, lambda: observer.ended("left", None))

    async def __anext__(self) -> ToolRunnerEvent:
        if self._loop is None and not self._closed:
            self._loop = asyncio.get_running_loop()
            self._observer.began()
        try:
            return await super().__anext__()
        except StopAsyncIteration:
            self._tell("answered", None)
            raise
        except BaseException as exc:
            if self._closed:
                # Else another task reads it, and this one is told so.
                self._tell(outcome_of(exc), exc)
            raise

    async def aclose(self) -> None:
        """Cancel the tools that run, wait until they have ended, and close the connection."""
        try:
            await super().aclose()
        finally:
            self._tell("left", None)

    def _tell(self, outcome: Outcome, error: BaseException | None) -> None:
        if self._loop is not None and not self._told:
            self._told = True
            self._observer.ended(outcome, error)


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
