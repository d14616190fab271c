"""The schemas of strict functions, as ``/beta`` checks them.

The guide asks for more than the server was seen to enforce: on 2026-07-27 it refused a property
that wasn't required, and accepted ``minLength`` and objects that didn't forbid other properties.

Source: https://api-docs.deepseek.com/guides/function_calling, "Strict Mode", read 2026-11-21.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from deepseek_async.simulator.refusals import Refusal, invalid_value
from deepseek_async.simulator.requests import Function

_TYPES = frozenset({"object", "string", "number", "integer", "boolean", "array", "null"})


def strict_refusal(functions: Sequence[Function]) -> Refusal | None:
    """The error for functions of which some are strict, None if there is none.

    The texts are guesses after other texts about schemas.
    """
    if not any(function.strict for function in functions):
        return None
    for function in functions:
        if not function.strict:
            return invalid_value(
                f"Invalid function '{function.name}': all functions must set 'strict' to true in "
                "strict mode."
            )
        problem = next(_problems(function.parameters or {}, ()), None)
        if problem is not None:
            return invalid_value(f"Invalid schema for function '{function.name}': {problem}")
    return None


def _problems(schema: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    kind = schema.get("type")
    if isinstance(kind, str) and kind not in _TYPES:
        yield f"In context={path}, type '{kind}' is not supported."
    properties = _mapping(schema.get("properties"))
    required = schema.get("required")
    named = cast("Sequence[str]", required) if isinstance(required, list) else ()
    for name in properties:
        if name not in named:
            yield (
                f"In context={path}, 'required' is required to be supplied and to be an array "
                f"including every key in properties. Missing '{name}'."
            )
    for name, part in properties.items():
        yield from _problems(_mapping(part), (*path, "properties", name))
    if "items" in schema:
        yield from _problems(_mapping(schema["items"]), (*path, "items"))
    for key in ("$defs", "$def"):
        for name, part in _mapping(schema.get(key)).items():
            yield from _problems(_mapping(part), (*path, key, name))
    options = schema.get("anyOf")
    if isinstance(options, list):
        for index, option in enumerate(cast("Sequence[Any]", options)):
            yield from _problems(_mapping(option), (*path, "anyOf", str(index)))


def _mapping(value: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}
