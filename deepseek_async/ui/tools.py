"""Two harmless tools for the model to call: made-up weather, and arithmetic."""

import ast
import asyncio
import hashlib
import operator
from collections.abc import Callable
from typing import Literal

from deepseek_async import ToolError, tool

# What the scripted answers of the simulator speak of.
_KNOWN = {"reykjavík": (-3, "snow showers", 41), "lisbon": (19, "clear", 12)}
_SKIES = ("clear", "a few clouds", "overcast", "light rain", "fog", "thunderstorms")
# For the eye: answers that are there at once can't be seen to run.
_SECONDS = 0.6

_MAX_EXPRESSION = 200
_BINARY: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: lambda left, right: left / right,
    ast.FloorDiv: lambda left, right: left // right,
    ast.Mod: operator.mod,
}
_UNARY: dict[type[ast.unaryop], Callable[[float], float]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
}


@tool
async def get_weather(
    city: str, unit: Literal["celsius", "fahrenheit"] = "celsius"
) -> dict[str, str | float]:
    """Get the weather of a city. The data are made up.

    Args:
        city: Name of the city, such as "Lisbon".
        unit: Of the temperature.
    """
    await asyncio.sleep(_SECONDS)
    celsius, sky, wind = _KNOWN.get(city.strip().lower()) or _made_up(city)
    temperature = celsius if unit == "celsius" else round(celsius * 1.8 + 32)
    return {"city": city, "temperature": temperature, "unit": unit, "sky": sky, "wind_kmh": wind}


@tool
async def calculate(expression: str) -> float:
    """Work out an arithmetic expression.

    Args:
        expression: Numbers, + - * / // % and brackets, such as "(19 - 3) / 2".
    """
    await asyncio.sleep(_SECONDS / 2)
    if len(expression) > _MAX_EXPRESSION:
        raise ToolError(f"the expression has more than {_MAX_EXPRESSION} characters")
    try:
        return _value(ast.parse(expression.strip(), mode="eval").body)
    except (SyntaxError, ArithmeticError, RecursionError, MemoryError) as exc:
        raise ToolError(f"can't work out {expression!r}: {exc}") from exc


TOOLS = (get_weather, calculate)


def _made_up(city: str) -> tuple[int, str, int]:
    """Return weather that is the same each time."""
    digest = hashlib.sha256(city.strip().lower().encode()).digest()
    return digest[0] % 40 - 8, _SKIES[digest[1] % len(_SKIES)], digest[2] % 60


def _value(node: ast.expr) -> float:
    match node:
        case ast.Constant(value=int() | float() as value):
            return float(value)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            return _BINARY[type(op)](_value(left), _value(right))
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _UNARY:
            return _UNARY[type(op)](_value(operand))
        case _:
            raise ToolError("only numbers, + - * / // % and brackets can be worked out")
