"""What the simulator answers when nothing is scripted: plausible, short, a function of the request.

The same request and seed give the same text, whatever else was asked before.
"""

from __future__ import annotations

import json
import random
import zlib
from copy import copy
from dataclasses import dataclass, replace

from deepseek_async.simulator.continuing import continuation, filling
from deepseek_async.simulator.json_answers import completed, json_answer
from deepseek_async.simulator.requests import ChatBody, FimBody, Function
from deepseek_async.simulator.schemas import example
from deepseek_async.simulator.scripted import Reply

_OPENINGS = (
    "Here is a short answer about {topic}.",
    "Let us look at {topic} step by step.",
    "There are a few things worth knowing about {topic}.",
    "The essential point about {topic} fits in a few lines.",
)
_SENTENCES = (
    "Start from what you already know and change one thing at a time.",
    "The simplest case is usually the most instructive one.",
    "A small example shows more than a long definition.",
    "Measure first, because intuition about cost is often wrong.",
    "Two of the three common difficulties come from unclear names.",
    "Most of the detail matters only when something fails.",
    "It helps to write the expected result down before trying.",
    "What looks like an exception is often the general rule.",
)
_CLOSINGS = (
    "This text comes from the simulator; no model was asked.",
    "A real model would say more; this is the simulator's answer.",
)
_THOUGHTS = (
    "The question is about {topic}.",
    "A short, direct answer should do here.",
    "I should name the main point first and then one example.",
    "Nothing in the conversation contradicts that.",
    "I will keep the tone neutral.",
)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer before it is cut to tokens."""

    text: str = ""
    reasoning: str | None = None
    """None: thinking is off."""
    tool_calls: tuple[tuple[str, str], ...] = ()
    """Pairs of function name and raw arguments."""
    finish_reason: str | None = None
    """None: what follows from the rest."""
    echo: str = ""
    """What a fill-in-the-middle answer repeats before it begins."""


def chat_answer(request: ChatBody, reply: Reply | None, seed: int) -> Answer:
    """The answer to a chat request: the scripted one, or one made up from the request.

    Of an answer that begins as the request's prefix message does, only the rest is left: what
    was cut can be continued, as with DeepSeek.
    """
    answer = _whole_answer(request, reply, seed)
    prefix = request.prefix()
    if prefix is None:
        return answer
    reasoning = answer.reasoning
    if reasoning is not None:
        reasoning = reasoning.removeprefix(prefix.reasoning_content or "")
    return replace(answer, text=answer.text.removeprefix(prefix.text()), reasoning=reasoning)


def _whole_answer(request: ChatBody, reply: Reply | None, seed: int) -> Answer:
    if reply is not None and (reply.text is not None or reply.tool_calls):
        return Answer(
            text=reply.text or "",
            reasoning=(reply.reasoning or "") if request.is_thinking else None,
            tool_calls=reply.raw_tool_calls,
            finish_reason=reply.finish_reason,
        )
    asked = request.last_user_text()
    rng = random.Random(seed ^ zlib.crc32(asked.encode("utf-8", "replace")))
    topic = _topic(asked)
    reasoning = None
    if request.is_thinking:
        thoughts = (_THOUGHTS[0], *rng.sample(_THOUGHTS[1:], 2))
        reasoning = " ".join(thoughts).format(topic=topic)
        if reply is not None and reply.reasoning is not None:
            reasoning = reply.reasoning
    calls = _tool_calls(request, rng, topic)
    text = "" if calls else _said(request, rng, topic)
    return Answer(
        text=text,
        reasoning=reasoning,
        tool_calls=calls,
        finish_reason=None if reply is None else reply.finish_reason,
    )


def _said(request: ChatBody, rng: random.Random, topic: str) -> str:
    before = copy(rng)
    text = _with_results(request) or _text(topic, rng)
    prefix = request.prefix()
    if prefix is not None and not text.startswith(prefix.text()):
        beginning = prefix.text()
        if request.wants_json or beginning.lstrip()[:1] in ("{", "["):
            return completed(beginning) or continuation(beginning, before.choice(_SENTENCES))
        return continuation(beginning, before.choice(_SENTENCES))
    return json_answer(request, rng, topic.strip("“”"), text) if request.wants_json else text


def fim_answer(request: FimBody, reply: Reply | None, seed: int) -> Answer:
    """What stands between the prompt and the suffix; thinking and tools don't exist here."""
    if reply is not None and reply.text is not None:
        text = reply.text
    else:
        rng = random.Random(seed ^ zlib.crc32(request.prompt.encode("utf-8", "replace")))
        text = filling(request.prompt, request.suffix or "", rng.choice(_SENTENCES))
    return Answer(
        text=text,
        finish_reason=None if reply is None else reply.finish_reason,
        echo=request.prompt if request.echo else "",
    )


def _topic(text: str) -> str:
    words = " ".join(text.replace("{", "(").replace("}", ")").split())
    return f"“{words[:60]}”" if words else "your message"


def _text(topic: str, rng: random.Random) -> str:
    sentences = rng.sample(_SENTENCES, 3)
    return " ".join((rng.choice(_OPENINGS).format(topic=topic), *sentences, rng.choice(_CLOSINGS)))


def _with_results(request: ChatBody) -> str:
    """An answer to what tools just brought; nothing if they brought nothing."""
    names: dict[str, str] = {}
    for message in request.messages:
        for call in message.tool_calls or ():
            names[call.id] = call.function.name
    found: list[str] = []
    for message in reversed([message for message in request.messages if not message.prefix]):
        if message.role != "tool":
            break
        name = names.get(message.tool_call_id or "", "the tool")
        found.append(f"{name} answered {message.text()[:500]}")
    return f"I looked it up: {'; '.join(reversed(found))}." if found else ""


def _tool_calls(request: ChatBody, rng: random.Random, topic: str) -> tuple[tuple[str, str], ...]:
    functions = request.functions()
    if not functions or request.tool_choice == "none":
        return ()
    if request.messages[-1].role not in ("user", "latest_reminder"):
        return ()
    chosen: list[Function] = functions[:2]
    if isinstance(request.tool_choice, dict):
        wanted = request.tool_choice.get("function")
        name = wanted.get("name") if isinstance(wanted, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]  # any JSON
        chosen = [function for function in functions if function.name == name]
    return tuple(
        (function.name, json.dumps(_arguments(function, rng, topic), ensure_ascii=False))
        for function in chosen
    )


def _arguments(function: Function, rng: random.Random, topic: str) -> object:
    return example({"type": "object", **(function.parameters or {})}, rng, topic=topic.strip("“”"))
