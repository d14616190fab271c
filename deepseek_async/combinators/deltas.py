"""Which events are a piece of a text, and of which."""

from typing import Any, TypeVar, cast

import msgspec

from deepseek_async.events import ArgumentsDeltaEvent, ContentDeltaEvent, ReasoningDeltaEvent

E = TypeVar("E")


def read_delta(item: object) -> tuple[object, str] | None:
    """Return which text an event is a piece of, and the piece; None for other events.

    Pieces of one text compare equal in what they belong to. The event that opens a tool call has
    no arguments yet and counts as no piece: what it brings is the id and the name.
    """
    if isinstance(item, ContentDeltaEvent | ReasoningDeltaEvent):
        return type(item), item.delta
    if isinstance(item, str):
        return str, item
    if isinstance(item, ArgumentsDeltaEvent) and item.arguments_delta:
        return (item.index, item.id, item.name), item.arguments_delta
    return None


def with_text(delta: E, text: str) -> E:
    """Return a delta like this one, with another text."""
    if isinstance(delta, str):
        return cast("E", text)
    field = "arguments_delta" if isinstance(delta, ArgumentsDeltaEvent) else "delta"
    changed: Any = msgspec.structs.replace(cast("Any", delta), **{field: text})
    return cast("E", changed)
