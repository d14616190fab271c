"""Formats of an answer on the wire, by name; each is loaded when it is first asked for."""

from functools import cache
from importlib import import_module
from typing import Literal

from deepseek_async.web.formats.base import Format

FormatName = Literal["native", "openai", "ai-sdk", "ag-ui"]

# Name -> module and class.
_FORMATS = {
    "native": ("native", "NativeFormat"),
    "openai": ("openai", "OpenAIFormat"),
    "ai-sdk": ("ai_sdk", "AISDKFormat"),
    "ag-ui": ("ag_ui", "AGUIFormat"),
}


def format_of(name: str, *, show_errors: bool = False) -> Format:
    """Return a format.

    Args:
        name: One of the four.
        show_errors: Whether readers may see the texts of exceptions.

    Raises:
        ValueError: If there is none of this name.
    """
    if name not in _FORMATS:
        names = ", ".join(f'"{known}"' for known in _FORMATS)
        # Names may come from a browser, as long as it likes.
        raise ValueError(f"format is one of {names}; got {name!r:.40}")
    return _made(name, show_errors)


@cache
def _made(name: str, show_errors: bool) -> Format:
    module, cls = _FORMATS[name]
    made: Format = getattr(import_module(f"{__name__}.{module}"), cls)(show_errors=show_errors)
    return made
