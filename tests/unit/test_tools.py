"""What `@tool` makes of a function: its definition, its arguments, its answer."""

import contextlib
import copy
import dataclasses
import enum
import functools
import inspect
import pickle
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from types import GenericAlias, MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypedDict, assert_type

import msgspec
import pytest

from deepseek_async import DeepSeekError, PreflightError, ToolCall
from deepseek_async.tools import MaxTurnsError, Tool, ToolContext, ToolError, tool
from deepseek_async.tools.docstrings import description_of, parameters_of
from deepseek_async.tools.results import clean_text, result_text
from deepseek_async.tools.toolbox import Toolbox, ToolParam
from deepseek_async.types.chat import ChatCompletionMessage, Function

if TYPE_CHECKING:
    from decimal import Decimal


class Unit(enum.Enum):
    CELSIUS = "c"
    KELVIN = "k"


class Place(msgspec.Struct):
    """A place."""

    city: str
    country: str = "DE"


@dataclasses.dataclass
class Branch:
    left: "Branch | None" = None


class Options(TypedDict, total=False):
    days: int


@tool
async def weather(city: str, unit: Unit = Unit.CELSIUS) -> str:
    """Tell the weather of a city.

    It may be wrong.

    Args:
        city: Where, in
            any language.
        unit (Unit, optional): Of the temperature.

    Returns:
        city: Not a parameter here.
    """
    return f"{city}: 21 {unit.value}"


@tool(name="add-up", description="Add.", strict=True)
def add(a: int, b: int = 1) -> int:
    return a + b


def test_the_definition_of_a_function() -> None:
    assert weather.definition == {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "Tell the weather of a city.",
            "parameters": {
                "type": "object",
                "properties": {
                    "city": {"description": "Where, in any language.", "type": "string"},
                    "unit": {
                        "description": "Of the temperature.",
                        "title": "Unit",
                        "enum": ["c", "k"],
                        "default": "c",
                    },
                },
                "required": ["city"],
            },
        },
    }
    assert list(weather.definition["function"]) == ["name", "description", "parameters"]


def test_the_definition_of_a_strict_tool() -> None:
    assert add.definition == {
        "type": "function",
        "function": {
            "name": "add-up",
            "description": "Add.",
            "parameters": {
                "type": "object",
                "properties": {
                    "a": {"type": "integer"},
                    "b": {"anyOf": [{"type": "integer", "default": 1}, {"type": "null"}]},
                },
                "required": ["a", "b"],
                "additionalProperties": False,
            },
            "strict": True,
        },
    }


def test_a_function_that_says_nothing() -> None:
    def quiet() -> None: ...

    assert tool(quiet).definition["function"] == {
        "name": "quiet",
        "parameters": {"type": "object", "properties": {}},
    }


PARAMETERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "bare text": (Annotated[int, "How many"], {"description": "How many", "type": "integer"}),
    "Meta": (
        Annotated[int, msgspec.Meta(description="How many", ge=1)],
        {"description": "How many", "type": "integer", "minimum": 1},
    ),
    "text and Meta": (
        Annotated[int, msgspec.Meta(ge=1), "How many"],
        {"description": "How many", "type": "integer", "minimum": 1},
    ),
    "Meta without a description": (
        Annotated[int, msgspec.Meta(ge=1)],
        {"description": "Of the docstring.", "type": "integer", "minimum": 1},
    ),
    "docstring": (list[str], {"type": "array", "items": {"type": "string"}}),
    "literal": (Literal["a", "b"], {"enum": ["a", "b"]}),
    "anything": (Any, {}),
    "optional": (int | None, {"anyOf": [{"type": "integer"}, {"type": "null"}]}),
    "TypedDict": (
        Options,
        {
            "title": "Options",
            "type": "object",
            "properties": {"days": {"type": "integer"}},
            "required": [],
        },
    ),
    "struct, whose docstring is of the type": (
        Place,
        {
            "title": "Place",
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "country": {"type": "string", "default": "DE"},
            },
            "required": ["city"],
        },
    ),
}


@pytest.mark.parametrize(("hint", "schema"), PARAMETERS.values(), ids=PARAMETERS)
def test_the_schema_of_a_parameter(hint: Any, schema: dict[str, Any]) -> None:
    def function(value: Any) -> None:
        """Do.

        Args:
            value: Of the docstring.
        """

    function.__annotations__["value"] = hint
    parameters = tool(function).parameters
    described = {"description": "Of the docstring.", **schema}
    assert parameters["properties"] == {"value": described}
    assert parameters["required"] == ["value"]


def test_types_that_contain_themselves_are_defined_once() -> None:
    def function(one: Branch, two: Branch | None = None) -> None: ...

    assert list(tool(function).parameters["$defs"]) == ["Branch"]
    assert list(tool(function, strict=True).parameters["$def"]) == ["Branch"]


def test_two_types_of_one_name_are_refused() -> None:
    class Other(msgspec.Struct):
        number: int

    Other.__name__ = "Place"

    def function(one: list[Place], two: Any) -> None: ...

    function.__annotations__["two"] = list[Other]
    with pytest.raises(TypeError, match="two types named Place"):
        tool(function).definition  # noqa: B018  # the property raises


DEFAULTS: dict[str, tuple[Any, dict[str, Any]]] = {
    "number": (3, {"default": 3}),
    "struct": (Place("Ulm"), {"default": {"city": "Ulm", "country": "DE"}}),
    "none": (None, {}),
    "no JSON": (object(), {}),
    "set": (frozenset("cab"), {"default": ["a", "b", "c"]}),
}


@pytest.mark.parametrize(("default", "expected"), DEFAULTS.values(), ids=DEFAULTS)
def test_the_model_is_told_the_default(default: Any, expected: dict[str, Any]) -> None:
    def function(value: Any = default) -> None: ...

    parameters = tool(function).parameters
    assert parameters["properties"]["value"] == expected
    assert "required" not in parameters


def test_types_may_be_defined_later() -> None:
    def function(value: "Later") -> None: ...  # type: ignore[name-defined]  # noqa: F821  # what is defined later

    made = tool(function)
    with pytest.raises(TypeError, match="'Later' is not defined"):
        made.definition  # noqa: B018  # the property raises
    globals()["Later"] = int
    try:
        assert made.parameters["properties"] == {"value": {"type": "integer"}}
    finally:
        del globals()["Later"]


def test_the_return_type_does_not_matter() -> None:
    def function(value: int) -> "Decimal":
        raise NotImplementedError

    assert tool(function).parameters["required"] == ["value"]


def test_a_pydantic_model_is_a_parameter() -> None:
    pydantic = pytest.importorskip("pydantic")
    item = pydantic.create_model(
        "Item", number=(int, pydantic.Field(description="Of the item.")), name=(str, "x")
    )

    def function(items: Any, note: Any = "") -> list[str]:
        return [f"{each.name}{each.number}" for each in items]

    function.__annotations__["items"] = GenericAlias(list, item)
    function.__annotations__["note"] = Annotated[str, pydantic.Field(description="A note.")]
    parameters = tool(function).parameters
    assert parameters["properties"]["items"]["items"] == {"$ref": "#/$defs/Item"}
    assert parameters["properties"]["note"]["description"] == "A note."
    assert parameters["$defs"]["Item"]["properties"]["number"]["description"] == "Of the item."


class Agent:
    """An agent."""

    def __init__(self, name: str) -> None:
        self._name = name

    @tool
    async def greet(self, whom: str) -> str:
        """Greet."""
        return f"{self._name} greets {whom}"

    def plain(self, whom: str) -> str:
        """Greet plainly."""
        return f"{self._name}: {whom}"

    @staticmethod
    @tool
    def shout(word: str) -> str:
        """Shout."""
        return word.upper()

    def __call__(self, word: str) -> str:
        """Say something."""
        return f"{self._name} says {word}"


def fixed(a: int, b: int, c: int) -> int:
    """Take three."""
    return a * 100 + b * 10 + c


def traced(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


async def late(word: str) -> str:
    """Say it later."""
    return word


@contextlib.contextmanager
def span() -> Iterator[None]:
    yield


class Traced:
    """Traced."""

    @span()
    def __call__(self, place: "Place") -> str:
        return place.city


def restricted(function: Callable[..., Any]) -> Callable[..., Any]:
    def restricted_(**kwargs: Any) -> Any:
        return function(kwargs["number"], 2, 3)

    number = inspect.Parameter("number", inspect.Parameter.KEYWORD_ONLY, annotation=int)
    vars(restricted_)["__signature__"] = inspect.Signature([number])
    return restricted_


def listed(function: Callable[[], Iterator[int]]) -> Callable[[], list[int]]:
    @functools.wraps(function)
    def wrapper() -> list[int]:
        return list(function())

    return wrapper


@listed
def some() -> Iterator[int]:
    yield 1


CALLABLES: dict[str, tuple[Any, str, str, str, str]] = {
    "async function": (late, "late", "Say it later.", '{"word": "x"}', "x"),
    "method": (Agent("Ann").plain, "plain", "Greet plainly.", '{"whom": "Bob"}', "Ann: Bob"),
    "method that is a tool": (
        *(Agent("Ann").greet, "greet", "Greet.", '{"whom": "Bob"}', "Ann greets Bob"),
    ),
    "static method": (Agent.shout, "shout", "Shout.", '{"word": "a"}', "A"),
    "static method of an object": (Agent("Ann").shout, "shout", "Shout.", '{"word": "a"}', "A"),
    "object": (Agent("Ann"), "Agent", "An agent.", '{"word": "a"}', "Ann says a"),
    "partial": (functools.partial(fixed, 1), "fixed", "Take three.", '{"b": 2, "c": 3}', "123"),
    "partial by name": (
        *(functools.partial(fixed, b=2), "fixed", "Take three.", '{"a": 1, "c": 3}', "123"),
    ),
    "async partial": (functools.partial(late, "x"), "late", "Say it later.", "{}", "x"),
    "wrapped": (traced(fixed), "fixed", "Take three.", '{"a": 1, "b": 2, "c": 3}', "123"),
    "wrapped async": (traced(late), "late", "Say it later.", '{"word": "x"}', "x"),
    "object whose call is wrapped": (
        *(Traced(), "Traced", "Traced.", '{"place": {"city": "Ulm"}}', "Ulm"),
    ),
    "signature of its own": (restricted(fixed), "restricted_", "", '{"number": 1}', "123"),
    "wrapped generator": (some, "some", "", "", "[1]"),
    "lambda that returns something to await": (
        *(tool(lambda: late("x"), name="l", description="?"), "l", "?", "", "x"),
    ),
    "tool": (
        tool(weather, name="w"),
        "w",
        "Tell the weather of a city.",
        '{"city":"U"}',
        "U: 21 c",
    ),
}


@pytest.mark.parametrize(
    ("function", "name", "description", "arguments", "answer"), CALLABLES.values(), ids=CALLABLES
)
async def test_what_can_be_called_can_be_a_tool(
    function: Any, name: str, description: str, arguments: str, answer: str
) -> None:
    made: Tool[..., Any] = function if isinstance(function, Tool) else tool(function)
    assert (made.name, made.description) == (name, description)
    given = msgspec.json.decode(arguments or "{}")
    assert set(made.parameters["properties"]) >= set(given)
    assert set(made.parameters.get("required", ())) <= set(given)
    assert await made.run(arguments) == answer


def positional(a: int, /) -> None: ...
def many(*values: int) -> None: ...
def named(**values: int) -> None: ...
def bare(value) -> None: ...  # type: ignore[no-untyped-def]  # what is to be refused
def socket(value: threading.Lock) -> None: ...


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "positional-only": (lambda: tool(positional), "'a' is positional-only"),
    "any number": (lambda: tool(many), "'values' takes any number"),
    "any name": (lambda: tool(named), "'values' takes arguments of any name"),
    "no annotation": (lambda: tool(bare), "'value' has no type annotation"),
    "class": (lambda: tool(Place), "Place is a class"),
    "lambda": (lambda: tool(lambda: 1), "'<lambda>' can't be the name"),
    "empty name": (lambda: tool(late, name=""), "'' can't be the name"),
    "name with a space": (lambda: tool(late, name="a b"), "'a b' can't be the name"),
    "name with a line end": (lambda: tool(late, name="a\n"), "can't be the name"),
    "long name": (lambda: tool(late, name="x" * 65), "1 to 64"),
    "builtin without a signature": (lambda: tool(max), r"max\(\) can't be a tool: no signature"),
    "method without its object": (lambda: Agent.greet.definition, "pass it as object.greet"),
    "class method": (lambda: tool(vars(Made)["made"]), r"pass it as tool\(Class.made\)"),
    "generator": (lambda: tool(counted), r"counted\(\) yields"),
    "async generator": (lambda: tool(counted_later), r"counted_later\(\) yields"),
    "type without a schema": (lambda: tool(socket).definition, "its parameter 'value'"),
    "strict without a type": (
        *(lambda: tool(strict_any, strict=True).definition, "strict_any can't be a strict tool"),
    ),
}


class Made:
    @classmethod
    def made(cls, number: int) -> None: ...


def counted() -> Iterator[int]:
    yield 1


async def counted_later() -> AsyncIterator[int]:
    yield 1


def strict_any(value: Any) -> None: ...


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_a_tool_is_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        make()


def test_a_tool_is_still_the_function() -> None:
    assert add(2, b=3) == 5
    assert inspect.signature(add) == inspect.Signature(
        [
            inspect.Parameter("a", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=int),
            inspect.Parameter(
                "b", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=int, default=1
            ),
        ],
        return_annotation=int,
    )
    assert weather.__doc__ is not None
    assert weather.__doc__.startswith("Tell the weather")
    assert repr(add) == "<Tool add-up>"
    assert Agent("Ann").plain("Bob") == "Ann: Bob"


async def test_types_survive() -> None:
    assert_type(add(1, 2), int)
    assert_type(weather("Ulm"), Coroutine[Any, Any, str]).close()
    assert_type(Agent("Ann").greet("Bob"), Coroutine[Any, Any, str]).close()
    with pytest.raises(TypeError):
        add("a", c=1)  # type: ignore[call-arg, arg-type]  # what type checkers are to refuse


def taken(
    city: str,
    days: int = 1,
    unit: Unit = Unit.CELSIUS,
    place: Place | None = None,
    note: str | None = "none",
) -> str:
    return repr((city, days, unit.value, place, note))


ARGUMENTS: dict[str, tuple[str, str]] = {
    "only what is required": ('{"city": "Ulm"}', "('Ulm', 1, 'c', None, 'none')"),
    "all": (
        '{"city": "Ulm", "days": 2, "unit": "k", "place": {"city": "A"}, "note": "b"}',
        "('Ulm', 2, 'k', Place(city='A', country='DE'), 'b')",
    ),
    "null for the default": ('{"city": "Ulm", "days": null}', "('Ulm', 1, 'c', None, 'none')"),
    "null for null": ('{"city": "Ulm", "note": null}', "('Ulm', 1, 'c', None, None)"),
    "white space": (' \n{"city":"Ulm"}\n ', "('Ulm', 1, 'c', None, 'none')"),
}


@pytest.mark.parametrize(("arguments", "expected"), ARGUMENTS.values(), ids=ARGUMENTS)
async def test_arguments_are_decoded_by_type(arguments: str, expected: str) -> None:
    assert await tool(taken).run(arguments) == expected


async def test_null_stands_for_the_default_in_strict_mode() -> None:
    arguments = '{"city": "Ulm", "days": null, "unit": null, "place": null, "note": null}'
    assert await tool(taken, strict=True).run(arguments) == "('Ulm', 1, 'c', None, 'none')"


WRONG: dict[str, tuple[str, list[str]]] = {
    "nothing": ("", ["Missing, expected `string` - at `$.city`"]),
    "no JSON": ('{"city": ', ["Invalid JSON", "one JSON object"]),
    "no object": ('["Ulm"]', ["Expected `object`, got `array`", "one JSON object"]),
    "wrong type": ('{"city": 1}', ["Expected `str`, got `int` - at `$.city`"]),
    "null without a default": ('{"city": null}', ["Expected `str`, got `null` - at `$.city`"]),
    "wrong type inside": (
        '{"city": "Ulm", "place": {"city": 1}}',
        ["Expected `str`, got `int` - at `$.place.city`"],
    ),
    "wrong value": (
        '{"city": "Ulm", "unit": "f"}',
        ["Invalid enum value 'f' - at `$.unit`", 'expected one of ["c","k"]'],
    ),
    "unknown name": (
        '{"city": "Ulm", "town": "Ulm"}',
        ["There is no parameter `town`", "`city`, `days`, `unit`, `place`, `note`"],
    ),
    "several": (
        '{"days": "two", "town": "Ulm"}',
        ["at `$.city`", "at `$.days`", "no parameter `town`"],
    ),
}


@pytest.mark.parametrize(("arguments", "texts"), WRONG.values(), ids=WRONG)
async def test_the_model_is_told_all_that_is_wrong(arguments: str, texts: list[str]) -> None:
    with pytest.raises(ToolError) as caught:
        await tool(taken).run(arguments)
    message = str(caught.value)
    assert message.startswith("Invalid arguments for taken: ")
    assert message.endswith("Call it again with arguments that fit its parameters.")
    for text in texts:
        assert text in message


async def test_a_function_without_parameters_tells_so() -> None:
    def nothing() -> None: ...

    with pytest.raises(ToolError, match=r"no parameter `a` \(the parameters are: none\)"):
        await tool(nothing).run('{"a": 1}')


async def test_pydantic_models_are_decoded() -> None:
    pydantic = pytest.importorskip("pydantic")
    item = pydantic.create_model("Item", number=(int, ...))

    def function(item: Any) -> int:
        return int(item.number)

    function.__annotations__["item"] = item
    made = tool(function)
    assert await made.run('{"item": {"number": 3}}') == "3"
    with pytest.raises(ToolError, match=r"valid integer.* - at `\$\.item\.number`"):
        await made.run('{"item": {"number": "three"}}')


async def test_the_context_is_no_argument() -> None:
    def look(context: ToolContext, word: str, other: ToolContext | None = None) -> str:
        assert other is context
        return f"{word} {context.turn} {context.call_id}"

    made = tool(look)
    assert list(made.parameters["properties"]) == ["word"]
    assert await made.run('{"word": "a"}', ToolContext(2, "call_1", ())) == "a 2 call_1"
    with pytest.raises(ToolError, match="no parameter `context`"):
        await made.run('{"word": "a", "context": {}}')

    def only(context: ToolContext) -> str:
        return repr(context)

    assert await tool(only).run("") == "ToolContext(turn=0, call_id='', messages=())"


async def test_what_a_function_raises_is_raised() -> None:
    def broken() -> str:
        raise KeyError("x")

    with pytest.raises(KeyError):
        await tool(broken).run("{}")


async def test_functions_that_are_not_async_run_in_a_thread() -> None:
    def where() -> str:
        return threading.current_thread().name

    async def here() -> str:
        return threading.current_thread().name

    assert await tool(here).run("") == threading.current_thread().name
    assert await tool(where).run("") != threading.current_thread().name


class Pair(msgspec.Struct):
    a: int
    b: tuple[int, ...]


class Markup(str):
    """Text of a kind, as template libraries have it."""

    __slots__ = ()

    def __str__(self) -> str:
        return f"<{self}>"


class Colour(str, enum.Enum):  # noqa: UP042  # other than StrEnum, it prints as Colour.RED
    RED = "red"


RESULTS: dict[str, tuple[Any, str]] = {
    "text": ('a "b"\n', 'a "b"\n'),
    "nothing": (None, "(no output)"),
    "number": (1.5, "1.5"),
    "truth": (True, "true"),
    "list": ([1, "a", None], '[1,"a",null]'),
    "struct": (Pair(1, (2, 3)), '{"a":1,"b":[2,3]}'),
    "dataclass": (Branch(Branch()), '{"left":{"left":null}}'),
    "enum": ({"unit": Unit.KELVIN}, '{"unit":"k"}'),
    "an answer of the API": (
        ChatCompletionMessage(content="x", model_extra={"more": 1}),
        '{"role":"assistant","content":"x","more":1}',
    ),
    "mapping": (MappingProxyType({"a": 1}), '{"a":1}'),
    "other text": (Markup("a"), "a"),
    "enum of text": (Colour.RED, "red"),
    "list of other text": ([Markup("a"), Colour.RED], '["a","red"]'),
    "half characters": (
        {"names": ["caf\udce9"], 1: Unit.KELVIN},
        '{"names":["caf\udce9"],"1":"k"}',
    ),
}


@pytest.mark.parametrize(("value", "text"), RESULTS.values(), ids=RESULTS)
def test_results_are_text_or_json(value: Any, text: str) -> None:
    assert result_text(value) == text
    assert type(result_text(value)) is str


def test_pydantic_models_are_json() -> None:
    pydantic = pytest.importorskip("pydantic")
    item = pydantic.create_model("Item", number=(int, ...))
    assert result_text([item(number=3)]) == '[{"number":3}]'


@pytest.mark.parametrize("value", [object(), iter([]), [object()]])
def test_other_results_are_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="can't be written as JSON"):
        result_text(value)


@pytest.mark.parametrize(
    ("text", "clean"),
    [("a", "a"), ("", "(no output)"), ("\ud83d", "?"), ("\U0001f600", "\U0001f600")],
)
def test_text_is_made_fit_to_send(text: str, clean: str) -> None:
    assert clean_text(text) == clean


DOCSTRINGS: dict[str, tuple[str | None, str, dict[str, str]]] = {
    "none": (None, "", {}),
    "one line": ("Do.", "Do.", {}),
    "only parameters": ("\nArgs:\n    a: An a.", "", {"a": "An a."}),
    "no blank line": ("Do.\nArgs:\n    a: An a.\n", "Do.", {"a": "An a."}),
    "no parameters": ("Do.\nReturns:\n    a: No parameter.", "Do.", {}),
    "two paragraphs": ("Do it\n    all.\n\n    More.", "Do it all.", {}),
    "types, stars, several lines": (
        """Do.

        Arguments:
            a (dict[str, int], optional): An a:
                with more.

                And more.
            *rest: The rest.
            b:
                Below.

        Raises:
            c: No parameter.
        """,
        "Do.",
        {"a": "An a: with more. And more.", "rest": "The rest.", "b": "Below."},
    ),
    "text that looks like a parameter": (
        "Do.\n\nArgs:\n    a: First\n        note: not a parameter.\n",
        "Do.",
        {"a": "First note: not a parameter."},
    ),
    "text that is none": ("Do.\n\nArgs:\n    nothing to say\n", "Do.", {}),
}


@pytest.mark.parametrize(
    ("docstring", "description", "parameters"), DOCSTRINGS.values(), ids=DOCSTRINGS
)
def test_docstrings(docstring: str | None, description: str, parameters: dict[str, str]) -> None:
    def function() -> None: ...

    function.__doc__ = docstring
    assert description_of(function) == description
    assert parameters_of(function) == parameters


def definition(name: str, **fields: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, **fields}}


def call(name: str) -> ToolCall:
    return ToolCall(id="1", function=Function(name=name, arguments="{}"))


def test_a_toolbox_keeps_the_order() -> None:
    search: dict[str, Any] = {"type": "deepseek_web_search"}
    box = Toolbox([weather, search, late, definition("shell")])
    assert box.definitions == [
        weather.definition,
        search,
        tool(late).definition,
        definition("shell"),
    ]
    assert list(box.tools) == ["weather", "late"]
    assert box.leaves_to_caller([call("late"), call("shell")])
    assert not box.leaves_to_caller([call("late"), call("unknown")])


BOXES: dict[str, tuple[list[ToolParam], str]] = {
    "two functions": ([late, tool(late)], 'two tools are named "late"'),
    "two definitions": ([definition("a"), definition("a")], 'two tools are named "a"'),
    "some strict": ([late, add], r"strict \(add-up\) and some are not \(late\)"),
    "definitions, some strict": (
        [definition("a", strict=True), definition("b", strict=False)],
        r"strict \(a\) and some are not \(b\)",
    ),
}


@pytest.mark.parametrize(("tools", "message"), BOXES.values(), ids=BOXES)
def test_tools_that_do_not_go_together(tools: list[ToolParam], message: str) -> None:
    with pytest.raises(PreflightError, match=message):
        Toolbox(tools)


NO_TOOLS: dict[str, tuple[Any, str]] = {
    "none": (None, "tools must be a list of tools, got NoneType"),
    "a tool": (weather, "tools must be a list of tools, got Tool"),
    "a definition": (definition("a"), "tools must be a list of tools, got dict"),
    "a name": ("weather", "tools must be a list of tools, got str"),
    "none in a list": ([None], "not NoneType"),
    "a name in a list": (["weather"], "not str"),
}


@pytest.mark.parametrize(("tools", "message"), NO_TOOLS.values(), ids=NO_TOOLS)
def test_what_is_no_tool_is_refused(tools: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        Toolbox(tools)


def test_a_definition_of_odd_shape_is_left_to_the_server() -> None:
    odd = {"type": "function", "function": "weather"}
    assert Toolbox([odd]).definitions == [odd]


@pytest.mark.parametrize(
    "error",
    [ToolError("no"), MaxTurnsError("no"), MaxTurnsError("no", messages=[{"role": "user"}])],
)
def test_errors_can_be_pickled_and_copied(error: DeepSeekError) -> None:
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(again) is type(error)
        assert str(again) == "no"
        assert again.__dict__ == error.__dict__


def test_generators_have_no_json() -> None:
    def numbers() -> Iterator[int]:
        yield 1

    async def later() -> AsyncIterator[int]:
        yield 1

    for made in (numbers(), later()):
        with pytest.raises(TypeError, match="can't be written as JSON"):
            result_text(made)
