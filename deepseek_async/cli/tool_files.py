"""Python functions named on the command line, as tools for the model."""

import importlib
import importlib.util
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from deepseek_async import Tool, tool
from deepseek_async.cli.clean import one_line
from deepseek_async.cli.failures import UsageProblem

_FORM = "--tool takes FILE.py:function or module:function"


def load_tools(names: Iterable[str]) -> list[Tool[..., Any]]:
    """Run the files and modules, once each, and return the functions as tools.

    Args:
        names: Each ``FILE.py:function`` or ``module:function``.

    Raises:
        UsageProblem: If there is no such file, module or function, it can't be run, or the
            function can't be a tool; the message says which and why.
    """
    modules: dict[str, ModuleType] = {}
    tools: list[Tool[..., Any]] = []
    for name in names:
        source, _, function = name.rpartition(":")
        if not source or not function.isidentifier():
            raise UsageProblem(f"{_FORM}, got {one_line(name, 80)!r}")
        if source not in modules:
            modules[source] = _module(source)
        tools.append(_tool(modules[source], function, source))
    return tools


def check_tool_options(
    names: Sequence[str], max_turns: int | None, tool_timeout: float | None
) -> None:
    """Find limits that can't be meant, before anything is run.

    Raises:
        UsageProblem: If there are limits without tools, or a time that is none.
    """
    if not names and (max_turns is not None or tool_timeout is not None):
        raise UsageProblem("--max-turns and --tool-timeout are about tools: name one with --tool")
    if tool_timeout is not None and not tool_timeout > 0:
        raise UsageProblem(f"--tool-timeout is a number of seconds above 0, got {tool_timeout:g}")


def _module(source: str) -> ModuleType:
    is_file = source.endswith(".py")
    if is_file and not Path(source).is_file():
        raise UsageProblem(f"--tool: there is no file {source}")
    # It may import its neighbours, as it may when Python runs it; last, so that none of them
    # stands in for a module of the library's.
    sys.path.append(str(Path(source).resolve().parent if is_file else Path.cwd()))
    try:
        return _run_file(Path(source)) if is_file else importlib.import_module(source)
    except SyntaxError as exc:
        where = f"{exc.filename or source}, line {exc.lineno}"
        raise UsageProblem(f"--tool: {where}: {exc.msg}") from exc
    except (Exception, SystemExit) as exc:
        if isinstance(exc, ModuleNotFoundError) and not is_file and _is_part(exc.name, source):
            raise UsageProblem(
                f"--tool: there is no module {source}; a file is named with its ending: {source}.py"
            ) from exc
        told = f"{type(exc).__name__}: {exc}" if str(exc) else type(exc).__name__
        raise UsageProblem(f"--tool: {source} can't be run: {told}") from exc


def _is_part(missing: str | None, source: str) -> bool:
    """Tell whether a module that is missing is the one asked for, or a package it is in."""
    return missing is not None and f"{source}.".startswith(f"{missing}.")


def _run_file(path: Path) -> ModuleType:
    resolved = path.resolve()
    # Not the bare name: a file called json.py or calendar.py must not stand in for the library's.
    name = f"_tools_{resolved.stem}_{abs(hash(resolved)):x}"
    spec = importlib.util.spec_from_file_location(name, resolved)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Types in annotations are looked up there.
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _tool(module: ModuleType, function: str, source: str) -> Tool[..., Any]:
    found: Any = getattr(module, function, None)
    if found is None:
        listed = ", ".join(_functions_of(module)) or "none"
        raise UsageProblem(
            f"--tool: {source} has no function {function!r}; its functions: {listed}"
        )
    if not callable(found):
        raise UsageProblem(
            f"--tool: {function} of {source} is no function but of type {type(found).__name__}"
        )
    try:
        made = cast("Tool[..., Any]", found) if isinstance(found, Tool) else tool(found)
        # Types that can't be described show themselves here.
        _ = made.definition
    except TypeError as exc:
        raise UsageProblem(f"--tool: {source}: {exc}") from exc
    return made


def _functions_of(module: ModuleType) -> list[str]:
    """Return the names of the functions that were written there."""
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and callable(value)
        and not isinstance(value, type)
        and getattr(value, "__module__", None) == module.__name__
    ]
