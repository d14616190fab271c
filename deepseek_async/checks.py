"""What a client and its calls are asked to do: checked, before anything is sent."""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal, TypeVar, cast

from deepseek_async.errors import PreflightError
from deepseek_async.types.options import Timeouts
from deepseek_async.types.params import RequestOptions

S = TypeVar("S", bound=str)

ApiKey = str | Callable[[], str | Awaitable[str]]

PREFLIGHT_CHOICES: tuple[Literal["on", "off"], ...] = ("on", "off")
REPLAY_CHOICES: tuple[Literal["keep", "drop", "backfill"], ...] = ("keep", "drop", "backfill")

# What a header may be called (RFC 9110, section 5.6.2), but for those that frame the body.
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FRAMING = frozenset({"content-length", "transfer-encoding", "connection"})

_FORBIDDEN_IN_HEADERS = frozenset(map(chr, range(32))) - {"\t"} | {"\x7f"}


class Secret(str):
    """A text that debuggers and tracebacks with local variables don't show."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'****'"


def check_api_key(key: object) -> str:
    """Return the key; it is never quoted in an error.

    Raises:
        PreflightError: If it can't be sent.
    """
    if not isinstance(key, str) or not key.strip():
        raise PreflightError("the API key must be a non-empty string")
    for position, character in enumerate(key):
        if character in _FORBIDDEN_IN_HEADERS or character == "\t" or not character.isascii():
            raise PreflightError(
                f"the API key has a character that can't be sent (U+{ord(character):04X} at "
                f"position {position}); was it read from a file with its line end? Strip it"
            )
    return Secret(key)


def check_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers as a dict of its own.

    Raises:
        PreflightError: If one can't be sent; its value is not quoted, it may be a secret.
    """
    for name, value in _pairs("headers", headers):
        if not _FORBIDDEN_IN_HEADERS.isdisjoint(name + value):
            raise PreflightError(f"the header {name!r} has a control character in name or value")
        if not _TOKEN.fullmatch(name) or name.lower() in _FRAMING:
            raise PreflightError(f"{name!r} can't be set as a header")
    return dict(headers)


def check_query(query: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return query parameters as pairs.

    Raises:
        PreflightError: If one can't be sent.
    """
    return tuple(_pairs("extra_query", query))


def _pairs(what: str, mapping: object) -> list[tuple[str, str]]:
    if not isinstance(mapping, Mapping):
        raise PreflightError(f"{what} must be a mapping of names to texts")
    items = list(cast("Mapping[object, object]", mapping).items())
    for name, value in items:
        if not isinstance(name, str) or not isinstance(value, str):
            raise PreflightError(f"{what}: {name!r} and its value must be texts")
    return cast("list[tuple[str, str]]", items)


def as_timeouts(value: object) -> Timeouts:
    """Return the timeouts that an option stands for: a number is ``total``, None is none.

    Raises:
        PreflightError: If it is neither, or not above 0.
    """
    if isinstance(value, Timeouts):
        return value
    if value is None:
        return Timeouts(connect=None, idle=None, first_event=None, progress=None)
    if not isinstance(value, int | float) or isinstance(value, bool) or not value > 0:
        raise PreflightError(
            f"timeout must be Timeouts(...), a number of seconds above 0, or None, got {value!r}"
        )
    return Timeouts(total=value)


def check_choice(name: str, value: S, choices: tuple[S, ...]) -> S:
    """Return one of a few texts that an option can be.

    Raises:
        PreflightError: If it is none of them.
    """
    if value not in choices:
        raise PreflightError(
            f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}"
        )
    return value


def check_retries(value: object) -> int:
    """Return a number of retries.

    Raises:
        PreflightError: If it is none.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise PreflightError(f"max_retries must be a whole number from 0 up, got {value!r}")
    return value


def take_options(params: dict[str, Any], known: type[RequestOptions]) -> RequestOptions:
    """Remove the options of a call from its keyword arguments.

    Args:
        params: The keyword arguments, which are changed.
        known: The options that the call takes.
    """
    options = {name: params.pop(name) for name in known.__annotations__ if name in params}
    return cast("RequestOptions", options)
