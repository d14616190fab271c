"""The parameters of a function, as the model sees them and as the function takes them."""

import contextlib
import functools
import inspect
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, NamedTuple, cast, get_args, get_origin

import msgspec

from deepseek_async.tools.context import ToolContext
from deepseek_async.tools.docstrings import parameters_of
from deepseek_async.wire.json_schema import schema_of
from deepseek_async.wire.typed import MismatchError, convert_as, decode_as

_UNUSABLE: Mapping[Any, str] = {
    inspect.Parameter.POSITIONAL_ONLY: "is positional-only",
    inspect.Parameter.VAR_POSITIONAL: "takes any number of values",
    inspect.Parameter.VAR_KEYWORD: "takes arguments of any name",
}


class ArgumentsError(ValueError):
    """Arguments that don't fit; the message tells the model what to change."""


class _Parameter(NamedTuple):
    name: str
    type: Any
    default: Any
    schema: dict[str, Any]

    @property
    def required(self) -> bool:
        return self.default is inspect.Parameter.empty


def implementation(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function itself, which has the name, the docstring and the annotations."""
    while isinstance(function, functools.partial):
        function = cast("Callable[..., Any]", function.func)
    return cast("Callable[..., Any]", inspect.unwrap(function))


class Signature:
    """The parameters that a function is called with by the model.

    Args:
        function: A function, bound method, partial, or object with ``__call__``.
        is_method: Whether the function is one of a class, whose ``self`` comes later.

    Raises:
        TypeError: If a parameter can't be passed by name, or has no annotation.
    """

    def __init__(self, function: Callable[..., Any], *, is_method: bool = False) -> None:
        self._function = function
        # Set by partial(): no longer for the model to choose.
        bound: Mapping[str, Any] = getattr(function, "keywords", {})
        try:
            parameters = list(inspect.signature(function).parameters.values())
        except ValueError as exc:
            raise TypeError(f"{_name(function)}() can't be a tool: {exc}") from exc
        self._declared = [
            parameter for parameter in parameters[is_method:] if parameter.name not in bound
        ]
        for parameter in self._declared:
            problem = _UNUSABLE.get(parameter.kind)
            if problem is None and parameter.annotation is inspect.Parameter.empty:
                problem = "has no type annotation"
            if problem is not None:
                raise TypeError(
                    f"{_name(function)}() can't be a tool: its parameter {parameter.name!r} "
                    f"{problem}; the model passes arguments by name, as JSON of a known type"
                )

    @functools.cached_property
    def _hints(self) -> dict[str, Any]:
        """The types of the parameters; resolved late, since they may be defined later."""
        function = implementation(self._function)
        if not inspect.isroutine(function):
            function = inspect.unwrap(type(function).__call__)
        # Without the return type: nobody needs it, and it may exist for type checkers only.
        holder = types.SimpleNamespace(
            __annotations__={each.name: each.annotation for each in self._declared}
        )
        scope = getattr(function, "__globals__", {})
        try:
            return typing.get_type_hints(holder, globalns=scope, include_extras=True)
        except NameError as exc:
            raise TypeError(
                f"{_name(function)}() can't be a tool: {exc}, in the annotations of its "
                "parameters; types must be defined or imported at the top of the module, and not "
                "only for type checkers"
            ) from exc

    @functools.cached_property
    def _parameters(self) -> dict[str, _Parameter]:
        documented = parameters_of(implementation(self._function))
        return {
            each.name: self._parameter(each, documented.get(each.name))
            for each in self._declared
            if each.name not in self.context_parameters
        }

    def _parameter(self, declared: inspect.Parameter, documented: str | None) -> _Parameter:
        hint = self._hints[declared.name]
        try:
            schema = schema_of(hint)
        except TypeError as exc:
            raise TypeError(
                f"{_name(self._function)}() can't be a tool, because of its parameter "
                f"{declared.name!r}: {exc}"
            ) from exc
        description = _description(hint) or documented
        if description:
            schema = {"description": description, **_without(schema, "description")}
        if declared.default is not inspect.Parameter.empty and declared.default is not None:
            # If it isn't JSON, the model needn't know more than that it may leave it out.
            with contextlib.suppress(TypeError):
                # Sets in one order: another one, in another process, would miss the cache.
                schema["default"] = msgspec.to_builtins(declared.default, order="deterministic")
        return _Parameter(declared.name, hint, declared.default, schema)

    @functools.cached_property
    def context_parameters(self) -> list[str]:
        """The parameters that want a :class:`ToolContext`."""
        return [
            name
            for name, hint in self._hints.items()
            if hint is ToolContext or ToolContext in get_args(hint)
        ]

    def schema(self) -> dict[str, Any]:
        """Return the JSON schema of the arguments.

        Raises:
            TypeError: If a parameter's type has none; the message names it.
        """
        properties: dict[str, Any] = {}
        definitions: dict[str, Any] = {}
        for parameter in self._parameters.values():
            properties[parameter.name] = _without(parameter.schema, "$defs")
            for name, part in parameter.schema.get("$defs", {}).items():
                if definitions.setdefault(name, part) != part:
                    raise TypeError(
                        f"{_name(self._function)}() can't be a tool: its parameters use two "
                        f"types named {name}; rename one of them"
                    )
        schema: dict[str, Any] = {"type": "object", "properties": properties}
        required = [each.name for each in self._parameters.values() if each.required]
        if required:
            schema["required"] = required
        if definitions:
            schema["$defs"] = definitions
        return schema

    def decode(self, text: str, *, strict: bool) -> dict[str, Any]:
        """Return the arguments that JSON text stands for; those left out are missing.

        Args:
            text: An object; empty text stands for an empty one.
            strict: Whether null stands for the default, as it must where nothing can be left out.

        Raises:
            ArgumentsError: If they don't fit; the message names all that is wrong.
        """
        try:
            given: dict[str, Any] = decode_as(dict[str, Any], text.strip() or "{}")
        except MismatchError as exc:
            raise ArgumentsError(f"{exc}; the arguments must be one JSON object") from exc
        problems: list[str] = []
        arguments: dict[str, Any] = {}
        for parameter in self._parameters.values():
            try:
                arguments.update(_convert(parameter, given, strict=strict))
            except MismatchError as exc:
                problems.append(_told(str(exc), parameter))
        problems += self._unknown(given)
        if problems:
            raise ArgumentsError("; ".join(problems))
        return arguments

    def _unknown(self, given: dict[str, Any]) -> Iterator[str]:
        names = ", ".join(f"`{name}`" for name in self._parameters) or "none"
        for name in given:
            if name not in self._parameters:
                yield f"There is no parameter `{name}` (the parameters are: {names})"


def _convert(parameter: _Parameter, given: dict[str, Any], *, strict: bool) -> dict[str, Any]:
    name = parameter.name
    if name not in given:
        if parameter.required:
            kind = parameter.schema.get("type")
            raise MismatchError(f"Missing, expected `{kind}`" if kind else "Missing")
        return {}
    value = given[name]
    if value is None and not parameter.required and strict:
        return {}
    try:
        return {name: convert_as(parameter.type, value)}
    except MismatchError:
        if value is None and not parameter.required:
            # Models write null for what they might have left out.
            return {}
        raise


def _told(problem: str, parameter: _Parameter) -> str:
    """Say where in the arguments a problem is, and which values there are."""
    if "at `$" in problem:
        problem = problem.replace("at `$", f"at `$.{parameter.name}")
    else:
        problem = f"{problem} - at `$.{parameter.name}`"
    values = parameter.schema.get("enum")
    return (
        f"{problem}, expected one of {msgspec.json.encode(values).decode()}" if values else problem
    )


def _description(hint: Any) -> str | None:
    """Return what ``Annotated`` says of a type: bare text, msgspec's Meta or pydantic's Field."""
    for each in hint.__metadata__ if get_origin(hint) is Annotated else ():
        text = each if isinstance(each, str) else getattr(each, "description", None)
        if isinstance(text, str):
            return text
    return None


def _without(schema: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: part for name, part in schema.items() if name != key}


def _name(function: Callable[..., Any]) -> str:
    function = implementation(function)
    return cast("str", getattr(function, "__name__", type(function).__name__))
