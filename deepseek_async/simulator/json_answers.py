"""Answers of JSON mode: as an example or a schema in the prompt wants them, else made up."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any, cast

from deepseek_async.simulator.requests import ChatBody
from deepseek_async.simulator.schemas import example

_decoder = json.JSONDecoder()
# What people write where a value is to stand.
_PLACEHOLDERS = {
    "": "string",
    "string": "string",
    "str": "string",
    "text": "string",
    "...": "string",
    "…": "string",
    "number": "number",
    "float": "number",
    "integer": "integer",
    "int": "integer",
    "boolean": "boolean",
    "bool": "boolean",
    "true/false": "boolean",
    "true|false": "boolean",
    "null": "null",
}
_ENDINGS = ("}", '"}', '": ""}', ': ""}', '"answer": ""}', ' ""}', "]", '"]', "]}", '"]}', "}}")
_ASKED = ("question", "query", "prompt", "input", "request")


def json_answer(request: ChatBody, rng: random.Random, topic: str, text: str) -> str:
    """The JSON text of an answer.

    Args:
        request: Whose messages may show what is wanted.
        rng: Chooses among what fits.
        topic: For strings about which nothing is said.
        text: The answer in words.
    """
    wanted = _wanted(request)
    if wanted is None:
        value: Any = {"topic": topic, "answer": text}
    elif _is_schema(wanted):
        value = example(wanted, rng, topic=topic)
    else:
        value = _filled(wanted, "", rng, topic, request.last_user_text())
    return json.dumps(value, ensure_ascii=False)


def completed(beginning: str) -> str:
    """What makes JSON of its beginning; nothing if a few ways to end it all fail."""
    for ending in _ENDINGS:
        try:
            json.loads(beginning + ending)
        except ValueError:
            continue
        return ending
    return ""


def _wanted(request: ChatBody) -> dict[str, Any] | None:
    """The last object in the first message that has one: instructions come before data."""
    for message in request.messages:
        if message.role in ("system", "user"):
            found = list(_objects(message.text()))
            if found:
                return found[-1]
    return None


def _objects(text: str) -> Iterator[dict[str, Any]]:
    at = text.find("{")
    while at >= 0:
        try:
            value, end = _decoder.raw_decode(text, at)
        except RecursionError:
            # Nobody means that as an example, and each brace of it would cost as much again.
            return
        except ValueError:
            end = at + 1
        else:
            if isinstance(value, dict) and value:
                yield cast("dict[str, Any]", value)
        at = text.find("{", end)


def _is_schema(value: dict[str, Any]) -> bool:
    return "$schema" in value or (
        value.get("type") == "object" and isinstance(value.get("properties"), dict)
    )


def _filled(value: Any, name: str, rng: random.Random, topic: str, asked: str) -> Any:
    if isinstance(value, dict):
        parts = cast("dict[str, Any]", value)
        return {key: _filled(part, key, rng, topic, asked) for key, part in parts.items()}
    if isinstance(value, list):
        return [_filled(item, name, rng, topic, asked) for item in value]  # pyright: ignore[reportUnknownVariableType]  # any JSON
    if not isinstance(value, str):
        return value
    if name.lower() in _ASKED:
        return asked
    kind = _PLACEHOLDERS.get(value.strip("<> ").lower())
    if kind is None and value.startswith("<"):
        kind = "string"
    if kind is None:
        return value
    wrapped = {"type": "object", "properties": {name: {"type": kind}}}
    return example(wrapped, rng, topic=topic)[name]
