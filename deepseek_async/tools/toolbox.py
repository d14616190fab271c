"""The tools of a run: what the model is told of them, and what can be run here."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from deepseek_async.errors import PreflightError
from deepseek_async.tools.function import Tool, tool
from deepseek_async.types.chat import ToolCall

#: A tool; a typed function, which is made one; or the definition of a function that the caller
#: runs, in the API's own form.
ToolParam = Tool[..., Any] | Callable[..., Any] | Mapping[str, Any]


class Toolbox:
    """Tools by name.

    Attributes:
        definitions: What the request tells of them, in the order given.
        tools: Those that can be run, by name.

    Raises:
        PreflightError: If two have the same name, or some are strict and some are not.
        TypeError: If something is no tool, or a function can't be one; the message says why.
    """

    def __init__(self, tools: Iterable[ToolParam]) -> None:
        self.definitions: list[Mapping[str, Any]] = []
        self.tools: dict[str, Tool[..., Any]] = {}
        self._external: set[str] = set()
        for item in _listed(tools):
            if isinstance(item, Mapping):
                self._add(cast("Mapping[str, Any]", item), None)
            elif callable(item):
                made = cast("Tool[..., Any]", item) if isinstance(item, Tool) else tool(item)
                self._add(made.definition, made)
            else:
                kind = type(item).__name__
                raise TypeError(
                    f"a tool is a function, a Tool, or a definition as a mapping, not {kind}"
                )
        self._check_strict()

    def leaves_to_caller(self, calls: Iterable[ToolCall]) -> bool:
        """Tell whether the model calls a function of which only the definition is known."""
        return any(call.function.name in self._external for call in calls)

    def _add(self, definition: Mapping[str, Any], implementation: Tool[..., Any] | None) -> None:
        self.definitions.append(definition)
        # Tools that the server runs itself, such as a web search, have no function.
        name = _function_of(definition).get("name")
        if not isinstance(name, str):
            return
        if name in self.tools or name in self._external:
            raise PreflightError(
                f'two tools are named "{name}"; give one of them another name: '
                "@tool(name=...), or tool(function, name=...)"
            )
        if implementation is None:
            self._external.add(name)
        else:
            self.tools[name] = implementation

    def _check_strict(self) -> None:
        by_strictness: dict[bool, list[str]] = {True: [], False: []}
        for definition in self.definitions:
            function = _function_of(definition)
            if "name" in function:
                by_strictness[function.get("strict") is True].append(function["name"])
        if by_strictness[True] and by_strictness[False]:
            raise PreflightError(
                f"some tools are strict ({', '.join(by_strictness[True])}) and some are not "
                f"({', '.join(by_strictness[False])}); DeepSeek takes all or none"
            )


def _function_of(definition: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a definition says of its function; nothing, if it is of something else."""
    function = definition.get("function")
    return cast("Mapping[str, Any]", function) if isinstance(function, Mapping) else {}


def _listed(tools: object) -> Iterable[object]:
    if isinstance(tools, str | bytes | Mapping) or not isinstance(tools, Iterable):
        raise TypeError(f"tools must be a list of tools, got {type(cast('Any', tools)).__name__}")
    return cast("Iterable[object]", tools)
