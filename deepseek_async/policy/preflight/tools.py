"""Tools that DeepSeek refuses.

Source: https://api-docs.deepseek.com/guides/function_calling, read 2026-11-21, and replies of the
server. The guide asks more of strict schemas than the server was seen to enforce; only what it
enforces is refused here.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from deepseek_async.errors import PreflightError
from deepseek_async.policy.preflight.shapes import OBJECT, quoted, require
from deepseek_async.types.requests import get_field

_MAX_TOOLS = 128
_MAX_NAME = 64
_is_name = re.compile("[a-zA-Z0-9_-]+").fullmatch

_TYPES = ("object", "string", "number", "integer", "boolean", "array", "null")


def check_tools(tools: Sequence[Any]) -> None:
    """Refuse tools that the server would refuse.

    Raises:
        PreflightError: The message says which and why.
    """
    if not tools:
        raise PreflightError("tools is empty, which is refused; leave it out")
    if len(tools) > _MAX_TOOLS:
        raise PreflightError(f"tools may hold at most {_MAX_TOOLS}, got {len(tools)}")
    functions: list[tuple[str, object]] = []
    for index, tool in enumerate(tools):
        where = f"tools[{index}]"
        require(where, tool, OBJECT)
        kind, function = get_field(tool, "type"), get_field(tool, "function")
        if kind is None:
            raise PreflightError(f'{where}.type is missing; it is "function" for functions')
        if function is not None:
            functions.append((f"{where}.function", function))
        elif kind == "function":
            hint = (
                "; name and parameters belong into it"
                if get_field(tool, "name") is not None
                else ""
            )
            raise PreflightError(f"{where}.function is missing{hint}")
    for where, function in functions:
        _check_function(where, function)
    if any(get_field(function, "strict") is True for _, function in functions):
        _check_strict(functions)


def _check_function(where: str, function: object) -> None:
    require(where, function, OBJECT)
    name = get_field(function, "name")
    if not isinstance(name, str):
        raise PreflightError(f"{where}.name must be text, got {quoted(name)}")
    if len(name) > _MAX_NAME:
        raise PreflightError(
            f"{where}.name may have at most {_MAX_NAME} characters, got {len(name)}"
        )
    if not _is_name(name):
        raise PreflightError(
            f'{where}.name must be letters, digits, "_" and "-", got {quoted(name)}'
        )
    parameters = get_field(function, "parameters")
    if parameters is None:
        return
    require(f"{where}.parameters", parameters, OBJECT)
    if (kind := get_field(parameters, "type")) != "object":
        raise PreflightError(
            f'{where}.parameters.type must be "object", got {quoted(kind)}; leave parameters out '
            "if there are none"
        )


def _check_strict(functions: Sequence[tuple[str, object]]) -> None:
    for where, function in functions:
        if get_field(function, "strict") is not True:
            raise PreflightError(
                f"{where}.strict must be true: the request has another strict function, and "
                "either all are strict or none"
            )
        try:
            _check_schema(f"{where}.parameters", get_field(function, "parameters"))
        except RecursionError:
            # A schema that holds itself: the encoder refuses that, in better words.
            return


def _check_schema(where: str, schema: object) -> None:
    if not isinstance(schema, Mapping):
        return
    fields = cast("Mapping[str, Any]", schema)
    kind = fields.get("type")
    if isinstance(kind, str) and kind not in _TYPES:
        raise PreflightError(f"{where}.type must be one of {', '.join(_TYPES)}, got {quoted(kind)}")
    required = fields.get("required")
    properties = _mapping(fields.get("properties"))
    for name in properties:
        if not isinstance(required, list | tuple) or name not in required:
            raise PreflightError(
                f"{where}.required must name every property of a strict function, but "
                f"{quoted(name)} is missing; allow null in its type if it may be left out"
            )
    for name, part in properties.items():
        _check_schema(f"{where}.properties.{name}", part)
    _check_schema(f"{where}.items", fields.get("items"))
    for key in ("$defs", "$def"):
        for name, part in _mapping(fields.get(key)).items():
            _check_schema(f"{where}.{key}.{name}", part)
    options = fields.get("anyOf")
    if isinstance(options, list | tuple):
        for index, option in enumerate(cast("Sequence[object]", options)):
            _check_schema(f"{where}.anyOf[{index}]", option)


def _mapping(value: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}
