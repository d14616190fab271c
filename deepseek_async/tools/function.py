"""Functions as tools: what ``@tool`` makes of them."""

import functools
import inspect
import re
import types
from collections.abc import Callable
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, cast, overload

import anyio.to_thread

from deepseek_async.tools.context import ToolContext
from deepseek_async.tools.docstrings import description_of
from deepseek_async.tools.errors import ToolError
from deepseek_async.tools.results import clean_text, result_text
from deepseek_async.tools.signature import ArgumentsError, Signature, implementation
from deepseek_async.wire.json_schema import strict_schema

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")

# Source: https://api-docs.deepseek.com/api/create-chat-completion, read 2026-11-21.
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


class Tool(Generic[P, R]):
    """A function that the model can call; called in Python, it is the function itself.

    Args:
        function: The function: async or not, a bound method, a ``functools.partial``, or an
            object with ``__call__``. Its parameters have annotations and can be passed by name.
        name: What the model calls it; the function's own name by default.
        description: What it does; by default the first paragraph of the docstring.
        strict: Let the server hold the model to the schema (beta). All tools of a request must
            then be strict. The model can't leave arguments out: null stands for the default.

    Attributes:
        name: What the model calls it.
        description: What the model is told that it does; may be empty.
        strict: Whether the server holds the model to the schema.

    Raises:
        TypeError: If the function can't be a tool; the message says why.
    """

    def __init__(
        self,
        function: Callable[P, R],
        *,
        name: str | None = None,
        description: str | None = None,
        strict: bool = False,
    ) -> None:
        if inspect.isclass(function):
            raise TypeError(f"{function.__name__} is a class; only what does something is a tool")
        if isinstance(cast("object", function), classmethod):
            name = function.__name__
            raise TypeError(f"{name} is a class method: pass it as tool(Class.{name})")
        inner = implementation(function)
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(f"{inner.__name__}() yields; a tool returns its answer, such as a list")
        if name is None:
            name = str(getattr(inner, "__name__", type(inner).__name__))
        if not _NAME.fullmatch(name):
            raise TypeError(
                f"{name!r} can't be the name of a tool, which has 1 to 64 letters, digits, - and "
                "_; pass another one: tool(function, name=...)"
            )
        self.name = name
        self.description = description_of(inner) if description is None else description
        self.strict = strict
        self._function = function
        self._is_method = _is_method(function)
        self._signature = Signature(function, is_method=self._is_method)
        functools.update_wrapper(self, function, updated=())

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function itself."""
        return self._function(*args, **kwargs)

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...

    @overload
    def __get__(
        self: "Tool[Concatenate[Any, Q], R]", instance: object, owner: type
    ) -> "Tool[Q, R]": ...

    def __get__(self, instance: object, owner: type) -> "Tool[..., R]":
        """Bind a tool that was defined in a class to an object of it."""
        if instance is None or not self._is_method:
            return self
        method = cast("Callable[..., R]", types.MethodType(self._function, instance))
        return Tool(method, name=self.name, description=self.description, strict=self.strict)

    def __repr__(self) -> str:
        return f"<Tool {self.name}>"

    @functools.cached_property
    def parameters(self) -> dict[str, Any]:
        """The JSON schema of the arguments.

        Raises:
            TypeError: If there is none for the function's parameters; the message names the one.
        """
        schema = self._signature.schema()
        if not self.strict:
            return schema
        try:
            return strict_schema(schema)
        except ValueError as exc:
            raise TypeError(f"{self.name} can't be a strict tool: {exc}") from exc

    @property
    def definition(self) -> dict[str, Any]:
        """The tool as a request names it, in ``tools``.

        Raises:
            TypeError: If the function can't be called as it is; the message says why.
        """
        if self._is_method:
            raise TypeError(f"{self.name} is a method: pass it as object.{self.name}")
        function: dict[str, Any] = {"name": self.name}
        if self.description:
            function["description"] = self.description
        function["parameters"] = self.parameters
        if self.strict:
            function["strict"] = True
        return {"type": "function", "function": function}

    async def run(self, arguments: str, context: ToolContext | None = None) -> str:
        """Call the function with the arguments as the model wrote them.

        A function that isn't async runs in a thread; when this is cancelled, the thread is left
        to itself.

        Args:
            arguments: JSON text; empty text stands for no arguments.
            context: Where the call comes from, for functions that have a parameter for it.

        Returns:
            What it returned, as text for the model: a str as it is, anything else as JSON.

        Raises:
            ToolError: If the arguments don't fit; the message tells the model what to change.
            Exception: Whatever the function raises.
        """
        try:
            decoded = self._signature.decode(arguments, strict=self.strict)
        except ArgumentsError as exc:
            raise ToolError(
                f"Invalid arguments for {self.name}: {exc}. Call it again with arguments that fit "
                "its parameters."
            ) from exc
        for name in self._signature.context_parameters:
            decoded[name] = context or ToolContext()
        call = functools.partial(cast("Callable[..., Any]", self._function), **decoded)
        if _is_async(self._function):
            result = await call()
        else:
            result = await anyio.to_thread.run_sync(call, abandon_on_cancel=True)
            if inspect.isawaitable(result):
                result = await result
        return clean_text(result_text(result))


def _is_method(function: Callable[..., Any]) -> bool:
    """Tell whether a function is being defined in a class: its ``self`` comes later."""
    scope = getattr(function, "__qualname__", "").rpartition(".")[0]
    if not inspect.isfunction(function) or not scope or scope.endswith("<locals>"):
        return False
    return next(iter(inspect.signature(function).parameters), "") == "self"


def _is_async(function: Callable[..., Any]) -> bool:
    while isinstance(function, functools.partial):
        function = function.func
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        type(function).__call__
    )


@overload
def tool(
    function: Callable[P, R],
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    strict: bool = False,
) -> Tool[P, R]: ...


@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    strict: bool = False,
) -> Callable[[Callable[P, R]], Tool[P, R]]: ...


def tool(
    function: Callable[P, R] | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    strict: bool = False,
) -> Tool[P, R] | Callable[[Callable[P, R]], Tool[P, R]]:
    """Make a tool of a typed function, as ``@tool``, ``@tool(...)`` or ``tool(function, ...)``.

    The name, the docstring and the annotations become what the model is told. Parameters are
    described in the docstring's ``Args:`` section, by ``Annotated[T, "text"]``, or by
    ``Annotated[T, msgspec.Meta(description=...)]``; those with defaults may be left out.

    Args:
        function: The function; see :class:`Tool`.
        name: What the model calls it; the function's own name by default.
        description: What it does; by default the first paragraph of the docstring.
        strict: Let the server hold the model to the schema; see :class:`Tool`.

    Raises:
        TypeError: If the function can't be a tool; the message says why.
    """

    def made(function: Callable[P, R]) -> Tool[P, R]:
        return Tool(function, name=name, description=description, strict=strict)

    return made if function is None else made(function)
