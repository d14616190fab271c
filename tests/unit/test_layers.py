"""Imports point down, in no circle, and two modules alone talk to aiohttp's client.

Imports under ``if TYPE_CHECKING:`` don't count: they are gone when the program runs. Imports
inside functions do.
"""

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import deepseek_async

ROOT = "deepseek_async"
PACKAGE = Path(deepseek_async.__file__).parent

LAYERS = [
    {"errors", "lazy", "types", "pricing", "_version"},
    {"observers", "sse", "tokens", "wire", "policy"},
    {
        "advice",
        "connections",
        "environment",
        "gate",
        "lanes",
        "observing",
        "response",
        "session",
        "totals",
    },
    {"caller", "checks", "combinators", "event_streams", "events", "reader", "streams"},
    {"batch", "structured", "tools"},
    {"resources"},
    {"client"},
    {"__main__", "cli", "compat", "integrations", "live", "simulator", "ui", "web"},
]
LAYER_OF = {name: depth for depth, names in enumerate(LAYERS) for name in names}
TOP = len(LAYERS) - 1

# Modules that stand above the rest of their unit: a shard opens a client of its own, and the front
# of the batches names it.
RAISED = dict.fromkeys([f"{ROOT}.batch", f"{ROOT}.batch.shard"], LAYER_OF["client"])

# Submodules that users are told of; all else is public as a name of the package.
DOCUMENTED = {
    "batch",
    "errors",
    "events",
    "observers",
    "pricing",
    "sse",
    "tokens",
    "tools",
    "types",
}

# What has no place in code without I/O. Time and randomness come in as arguments.
IO = {"aiohttp", "anyio", "asyncio", "logging", "os", "random", "socket", "threading", "time"}


def name_of(path: Path) -> str:
    """Return the name of the module in a file."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def unit_of(module: str) -> str:
    """Return the part of the package that a module belongs to; "" is the package itself."""
    return module.partition(".")[2].partition(".")[0]


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def running(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes that run, at whatever depth."""
    for child in ast.iter_child_nodes(node):
        if is_type_checking(child):
            assert isinstance(child, ast.If)
            for otherwise in child.orelse:
                yield otherwise
                yield from running(otherwise)
        else:
            yield child
            yield from running(child)


@cache
def imports(module: str) -> frozenset[tuple[str, str]]:
    """Return the imports of a module, as pairs of a module and a name in it ("" for itself)."""
    path = MODULES[module]
    found: set[tuple[str, str]] = set()
    for node in running(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = node.module or ""
            if node.level:
                package = (
                    module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
                )
                above = package[: len(package) - node.level + 1]
                source = ".".join([*above, source] if source else above)
            found.update((source, alias.name) for alias in node.names)
    return frozenset(found)


def targets(module: str) -> set[str]:
    """Return the modules of this package that a module imports."""
    found = {f"{source}.{name}" if name else source for source, name in imports(module)}
    known = {target if target in MODULES else target.rpartition(".")[0] for target in found}
    return {target for target in known if target in MODULES} - {module}


def layer_of(module: str) -> int:
    return RAISED.get(module, LAYER_OF.get(unit_of(module), -1))


def inner(*layers: int) -> list[str]:
    return [name for name in MODULES if layer_of(name) in layers]


def test_every_module_has_a_layer() -> None:
    assert {unit_of(module) for module in MODULES} - {""} - set(LAYER_OF) == set()


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_down(module: str) -> None:
    if module == ROOT:
        assert targets(module) == {f"{ROOT}._version", f"{ROOT}.lazy"}
        return
    layer = layer_of(module)
    above = [target for target in targets(module) - {ROOT} if layer_of(target) > layer]
    assert above == []


@pytest.mark.parametrize("module", inner(0, 1, 2, 3, 4, 5))
def test_what_the_package_is_made_of_does_not_import_the_package(module: str) -> None:
    # Names of the package are looked up in modules of any layer.
    assert ROOT not in targets(module)


def test_imports_form_no_circle() -> None:
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join([*path[path.index(module) :], module])
        if module not in done:
            for target in targets(module):
                visit(target, (*path, module))
            done.add(module)

    for module in MODULES:
        visit(module, ())


def of_aiohttp(module: str) -> set[str]:
    """Return what a module imports of aiohttp."""
    return {
        f"{source}.{name}".rstrip(".")
        for source, name in imports(module)
        if source.partition(".")[0] == "aiohttp"
    }


# A recorder passes on any path, header and body, unchecked and unretried: what the client of the
# package is there to prevent. Its own module for that is the second one.
KNOW_THE_CLIENT = {f"{ROOT}.connections", f"{ROOT}.simulator.recording.upstream"}


def test_two_modules_alone_import_the_client_of_aiohttp() -> None:
    importers = {
        module
        for module in MODULES
        for name in of_aiohttp(module)
        if not (
            name.startswith(("aiohttp.web", "aiohttp.http_exceptions"))
            and unit_of(module) in ("simulator", "ui", "web")
        )
    }
    assert importers == KNOW_THE_CLIENT


def test_one_module_alone_imports_a_web_framework() -> None:
    frameworks = {"django", "fastapi", "litestar", "quart", "sanic", "starlette"}
    importers = {
        module
        for module in MODULES
        for source, _ in imports(module)
        if source.partition(".")[0] in frameworks
    }
    assert importers == {f"{ROOT}.web.starlette"}


@pytest.mark.parametrize("module", inner(0, 1))
def test_the_lower_layers_know_no_input_and_output(module: str) -> None:
    assert {source.partition(".")[0] for source, _ in imports(module)} & IO == set()


@pytest.mark.parametrize("module", inner(0, 1))
def test_the_lower_layers_never_wait(module: str) -> None:
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    waits = (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)
    assert [node.lineno for node in ast.walk(tree) if isinstance(node, waits)] == []


@pytest.mark.parametrize("module", inner(TOP))
def test_the_top_layer_uses_public_names_only(module: str) -> None:
    unit = unit_of(module)
    foreign = {
        f"{source}.{name}".rstrip(".")
        for source, name in imports(module)
        if source.partition(".")[0] == ROOT and unit_of(f"{source}.{name}") != unit
    }
    public = {f"{ROOT}.{name}" for name in deepseek_async.__all__}
    # The modules of this layer are public themselves.
    allowed = DOCUMENTED | LAYERS[TOP] | {"lazy"}
    hidden = {name for name in foreign - public - {ROOT} if unit_of(name) not in allowed}
    assert hidden == set()


@pytest.mark.parametrize("module", inner(0, 1, 2, 3, 4, 5))
def test_only_the_standard_library_and_the_core_dependencies_are_imported(module: str) -> None:
    names = {source.partition(".")[0] for source, _ in imports(module)}
    # yarl comes with aiohttp: its URLs are what aiohttp takes.
    ours = {ROOT, "aiohttp", "anyio", "msgspec", "yarl"}
    assert names - ours - sys.stdlib_module_names == set()
