"""The public names: they exist, say what they are, and cost nothing until they are used."""

import ast
import importlib
import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import deepseek_async

SOURCE = ast.parse(Path(deepseek_async.__file__).read_text(encoding="utf-8"))
NAMES = [name for name in deepseek_async.__all__ if name != "__version__"]

# Values and aliases of types: they have no docstring of their own.
NOT_CLASSES = {"PRICES", "ChatEvent", "MessageParam", "ToolRunnerEvent"}


def in_type_checking_block() -> dict[str, set[str]]:
    """Return what the package imports for type checkers, by module."""
    (block,) = [
        node
        for node in SOURCE.body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    ]
    return {
        node.module or "": {alias.name for alias in node.names}
        for node in block.body
        if isinstance(node, ast.ImportFrom)
    }


def test_type_checkers_see_the_names_that_programs_see() -> None:
    lazy = {module: set(names) for module, names in deepseek_async._MODULES.items()}
    assert lazy == in_type_checking_block()


def test_all_lists_every_name() -> None:
    lazy = {name for names in deepseek_async._MODULES.values() for name in names}
    assert set(deepseek_async.__all__) == lazy | {"__version__"}


def test_no_name_is_listed_twice() -> None:
    assert len(deepseek_async.__all__) == len(set(deepseek_async.__all__))


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_is_that_of_its_module(name: str) -> None:
    module = importlib.import_module(deepseek_async._HOME[name])
    assert getattr(deepseek_async, name) is getattr(module, name)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in NOT_CLASSES])
def test_a_public_name_says_what_it_is(name: str) -> None:
    value = getattr(deepseek_async, name)
    assert inspect.isclass(value) or inspect.isfunction(value)
    # Its own, not that of a base.
    assert vars(value).get("__doc__") if inspect.isclass(value) else value.__doc__


@pytest.mark.parametrize("name", NAMES)
def test_the_methods_of_a_public_class_say_what_they_do(name: str) -> None:
    value = getattr(deepseek_async, name)
    members: dict[str, Any] = dict(vars(value)) if inspect.isclass(value) else {}
    silent = [
        member
        for member, function in members.items()
        if not member.startswith("_")
        and (inspect.isfunction(function) or isinstance(function, property))
        and not function.__doc__
    ]
    assert silent == []


def test_dir_lists_every_name() -> None:
    assert set(deepseek_async.__all__) <= set(dir(deepseek_async))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'deepseek_async' has no attribute 'DeepSeek'"):
        _ = deepseek_async.DeepSeek


def test_an_unknown_name_can_not_be_imported() -> None:
    with pytest.raises(ImportError):
        exec("from deepseek_async import DeepSeek")


def test_the_version_is_that_of_the_distribution() -> None:
    from importlib.metadata import version

    assert deepseek_async.__version__ == version("deepseek-async")


def loaded_by(statement: str) -> set[str]:
    """Return the modules that a fresh interpreter has loaded after a statement."""
    program = f"{statement}\nimport sys, json\nprint(json.dumps(sorted(sys.modules)))"
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120
    )
    return set(json.loads(result.stdout))


def test_the_package_alone_loads_no_dependency() -> None:
    loaded = loaded_by("import deepseek_async")
    assert loaded & {"aiohttp", "msgspec", "anyio", "asyncio"} == set()


def test_the_client_does_not_load_aiohttp() -> None:
    loaded = loaded_by("from deepseek_async import AsyncDeepSeek; AsyncDeepSeek('sk-1')")
    assert loaded & {"aiohttp", "anyio", "yarl", "multidict"} == set()


def test_the_exceptions_load_neither_the_client_nor_asyncio() -> None:
    loaded = loaded_by("from deepseek_async import APIError")
    assert loaded & {"aiohttp", "asyncio", "deepseek_async.client"} == set()
