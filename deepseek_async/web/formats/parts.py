"""An answer as parts that are opened, grow and are closed, as the formats of others want it.

Events say what came, and a change of kind is all that ends a text. Here they are turned into parts:
texts, reasonings and tool calls, in steps. A step is one answer of the model and the results of
its tool calls.
"""

from typing import Literal, NamedTuple

import msgspec

from deepseek_async import (
    ArgumentsDeltaEvent,
    ArgumentsDoneEvent,
    ContentDeltaEvent,
    DoneEvent,
    ReasoningDeltaEvent,
    ToolDoneEvent,
    TurnDoneEvent,
)
from deepseek_async.live import LiveEvent

Kind = Literal["text", "reasoning"]


class Call(NamedTuple):
    """A tool call of the step."""

    place: int
    """Its index among the calls of the answer."""

    id: str
    """Its own among all calls of the run, whatever ids the host gives."""

    name: str
    is_open: bool = True


class Outline(NamedTuple):
    """What is open, and what was there before. Depends on the events alone, not on their cuts."""

    steps: int = 0
    """How many have begun."""

    in_step: bool = False
    answered: bool = False
    """The answer of the step is complete: whatever the model says next begins another."""

    open: Kind | None = None
    parts: int = 0
    """How many texts and reasonings have begun; names the one that is open."""

    calls: tuple[Call, ...] = ()
    """Those of the step, in order."""

    ids: frozenset[str] = frozenset()
    """Of all calls so far."""


class Part(NamedTuple):
    """Something that happens to a part."""

    what: Literal[
        "step.start", "step.end", "start", "delta", "end", "call.start", "call.delta", "call.end",
        "call.result",
    ]  # fmt: skip
    outline: Outline
    """As it is then; an ``end`` still has in ``open`` what is ended."""

    call: Call | None = None
    text: str = ""
    """Of a delta or a result; the whole arguments at the end of a call. Of a call that was cut
    off, nothing."""

    is_error: bool = False
    """The result tells of a failure; or the call was cut off."""


def after(outline: Outline, event: LiveEvent) -> tuple[Outline, list[Part]]:
    """Return the outline after an event, and what happens to the parts."""
    if isinstance(event, ContentDeltaEvent):
        return _grown(outline, "text", event.delta)
    if isinstance(event, ReasoningDeltaEvent):
        return _grown(outline, "reasoning", event.delta)
    parts: list[Part] = []
    if isinstance(event, ArgumentsDeltaEvent):
        outline, call = _called(outline, event.index, event.id, event.name, parts)
        if event.arguments_delta and call.is_open:
            parts.append(Part("call.delta", outline, call, event.arguments_delta))
    elif isinstance(event, ArgumentsDoneEvent):
        known = any(call.place == event.index for call in outline.calls) and not outline.answered
        outline, call = _called(outline, event.index, event.id, event.name, parts)
        if not known and event.arguments:
            parts.append(Part("call.delta", outline, call, event.arguments))
        outline = _call_ended(outline, call, event.arguments, parts)
    elif isinstance(event, TurnDoneEvent):
        outline = _turn_done(outline, event, parts)
    elif isinstance(event, ToolDoneEvent):
        if event.index < len(outline.calls):
            call = outline.calls[event.index]
            parts.append(Part("call.result", outline, call, event.content, event.is_error))
    elif isinstance(event, DoneEvent):
        # The results of its tool calls may follow, and more answers.
        outline = _answered(outline, parts)
    return outline, parts


def ended(outline: Outline) -> list[Part]:
    """Return what happens to the parts when nothing follows any more."""
    parts: list[Part] = []
    _ended(outline, parts)
    return parts


def _grown(outline: Outline, kind: Kind, text: str) -> tuple[Outline, list[Part]]:
    """Add text to the open part, or to a new one."""
    parts: list[Part] = []
    if outline.open is not kind:
        outline = _in_step(_closed(outline, parts), parts)
        outline = outline._replace(open=kind, parts=outline.parts + 1)
        parts.append(Part("start", outline))
    parts.append(Part("delta", outline, text=text))
    return outline, parts


def _closed(outline: Outline, parts: list[Part]) -> Outline:
    """End the text or reasoning that is open."""
    if outline.open is None:
        return outline
    parts.append(Part("end", outline))
    return outline._replace(open=None)


def _in_step(outline: Outline, parts: list[Part]) -> Outline:
    """Begin a step, unless one is going on."""
    if outline.answered:
        outline = _ended(outline, parts)
    if not outline.in_step:
        outline = outline._replace(steps=outline.steps + 1, in_step=True, calls=())
        parts.append(Part("step.start", outline))
    return outline


def _called(
    outline: Outline, index: int, call_id: str, name: str, parts: list[Part]
) -> tuple[Outline, Call]:
    """Return the call with this index, begun if it is new."""
    outline = _in_step(_closed(outline, parts), parts)
    for call in outline.calls:
        if call.place == index:
            return outline, call
    if not call_id or call_id in outline.ids:
        # Some hosts send empty ids, or the same ones in every turn.
        call_id = f"{call_id or 'call'}-{outline.steps}-{index}"
    call = Call(index, call_id, name)
    outline = outline._replace(calls=(*outline.calls, call), ids=outline.ids | {call_id})
    parts.append(Part("call.start", outline, call))
    return outline, call


def _call_ended(outline: Outline, call: Call, arguments: str, parts: list[Part]) -> Outline:
    if call.is_open:
        parts.append(Part("call.end", outline, call, arguments))
        ended = call._replace(is_open=False)
        calls = tuple(ended if other is call else other for other in outline.calls)
        outline = outline._replace(calls=calls)
    return outline


def _turn_done(outline: Outline, event: TurnDoneEvent, parts: list[Part]) -> Outline:
    """End the answer of a step; one that was not streamed is told now."""
    choices = event.completion.choices
    if choices and (outline.answered or not outline.in_step):
        message = choices[0].message
        for kind, text in (("reasoning", message.reasoning_content), ("text", message.content)):
            if text:
                outline, more = _grown(outline, kind, text)  # type: ignore[arg-type]  # of the loop
                parts += more
        for index, told in enumerate(message.tool_calls or ()):
            arguments = told.function.arguments
            outline, call = _called(outline, index, told.id, told.function.name, parts)
            if arguments:
                parts.append(Part("call.delta", outline, call, arguments))
            outline = _call_ended(outline, call, arguments, parts)
    return _answered(outline, parts)


def _answered(outline: Outline, parts: list[Part]) -> Outline:
    """End the answer of the step; the results of its calls still belong to it."""
    outline = _closed(outline, parts)
    return outline._replace(answered=outline.in_step)


def _ended(outline: Outline, parts: list[Part]) -> Outline:
    """End all that is open."""
    outline = _closed(outline, parts)
    parts.extend(
        Part("call.end", outline, call, is_error=True) for call in outline.calls if call.is_open
    )
    if outline.in_step:
        parts.append(Part("step.end", outline))
    return outline._replace(in_step=False, answered=False)


def json_of(text: str) -> msgspec.Raw | None:
    """Return JSON text that somebody else wrote, to be put into ours; None if it is no JSON."""
    try:
        data = text.encode()
        msgspec.json.decode(data)
    except (ValueError, RecursionError):
        return None
    # Between values only, where they mean nothing; in ours they would end the line.
    return msgspec.Raw(data.replace(b"\n", b" ").replace(b"\r", b" "))


#: Return a value as JSON on one line.
json_bytes = msgspec.json.Encoder(decimal_format="number").encode
