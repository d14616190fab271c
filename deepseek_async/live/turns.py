"""Answers that came whole, told as if they had been streamed."""

from collections.abc import Iterator

from deepseek_async import (
    ArgumentsDeltaEvent,
    ArgumentsDoneEvent,
    ChatCompletion,
    ContentDeltaEvent,
    ContentDoneEvent,
    ReasoningDeltaEvent,
    ReasoningDoneEvent,
)
from deepseek_async.live.events import LiveEvent


def events_of(completion: ChatCompletion) -> Iterator[LiveEvent]:
    """Yield the events that a stream would have told of an answer."""
    if reasoning := completion.reasoning:
        yield ReasoningDeltaEvent(reasoning)
        yield ReasoningDoneEvent(reasoning)
    if text := completion.text:
        yield ContentDeltaEvent(text)
    calls = completion.choices[0].message.tool_calls if completion.choices else None
    for index, call in enumerate(calls or ()):
        arguments = call.function.arguments
        yield ArgumentsDeltaEvent(index, call.id, call.function.name, "")
        yield ArgumentsDeltaEvent(index, call.id, call.function.name, arguments)
    if text:
        yield ContentDoneEvent(text)
    for index, call in enumerate(calls or ()):
        yield ArgumentsDoneEvent(index, call.id, call.function.name, call.function.arguments)
