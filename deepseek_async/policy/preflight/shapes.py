"""What values will be in JSON, told before they are encoded."""

from collections.abc import Mapping

from deepseek_async.errors import PreflightError

TEXT = "text"
NUMBER = "a number"
FLAG = "true or false"
LIST = "a list"
OBJECT = "an object"

# How much of a value an error quotes, in characters.
_QUOTED = 60


# The usual types; asking for subclasses takes several times as long.
_SHAPES: Mapping[type, str] = {
    str: TEXT,
    int: NUMBER,
    float: NUMBER,
    bool: FLAG,
    list: LIST,
    dict: OBJECT,
}


def shape_of(value: object) -> str | None:
    """Return what a value is in JSON; None if only the encoder knows, or if it is null."""
    found = _SHAPES.get(type(value))
    if found is not None:
        return found
    match value:
        case str():
            return TEXT
        case int() | float():
            return NUMBER
        case list() | tuple() | set() | frozenset():
            return LIST
        case Mapping():
            return OBJECT
        case _:
            return None


def require(where: str, value: object, *shapes: str, hint: str = "") -> None:
    """Refuse a value that is certainly none of ``shapes``; it may be private, so it isn't told."""
    found = shape_of(value)
    if found is not None and found not in shapes:
        raise PreflightError(f"{where} must be {' or '.join(shapes)}, got {found}{hint}")


def quoted(value: object) -> str:
    """Return the beginning of a value for an error message."""
    text = repr(value)
    return text if len(text) <= _QUOTED else f"{text[:_QUOTED]}..."
