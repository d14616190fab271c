"""What a docstring in Google's style says of a function and its parameters."""

import inspect
import itertools
import re
from collections.abc import Callable
from typing import Any

_PARAMETERS = re.compile(r"(Args|Arguments|Parameters):\s*")
_SECTION = re.compile(r"(Args|Arguments|Parameters|Returns|Yields|Raises|Examples?|Notes?):\s*")
_ENTRY = re.compile(r"(\s+)\*{0,2}(\w+)\s*(?:\(.*?\))?:(?:\s+(.*))?")


def description_of(function: Callable[..., Any]) -> str:
    """Return the first paragraph of a function's docstring as one line, "" without one."""
    lines = (inspect.getdoc(function) or "").splitlines()
    paragraph = itertools.takewhile(lambda line: line and not _SECTION.fullmatch(line), lines)
    return " ".join(" ".join(paragraph).split())


def parameters_of(function: Callable[..., Any]) -> dict[str, str]:
    """Return the descriptions in the ``Args:`` section of a function's docstring."""
    found: dict[str, list[str]] = {}
    current: list[str] | None = None
    indent = ""
    lines = (inspect.getdoc(function) or "").splitlines()
    start = next((i for i, line in enumerate(lines) if _PARAMETERS.fullmatch(line)), len(lines))
    for line in lines[start + 1 :]:
        if line.strip() and not line[0].isspace():
            break
        entry = _ENTRY.fullmatch(line)
        if entry is not None and (not indent or entry[1] == indent):
            indent = entry[1]
            current = found.setdefault(entry[2], [])
            current.append(entry[3] or "")
        elif current is not None:
            current.append(line)
    return {name: " ".join(" ".join(parts).split()) for name, parts in found.items()}
