"""A string that matches a regular expression, for the simple ones that JSON schemas have."""

from __future__ import annotations

import re
from collections.abc import Iterator

_CLASSES = {"d": "4", "w": "a", "s": " ", "D": "a", "S": "a", "W": "-"}
_FROM_EXCLUDED = "a0A-_ ."
# Longer texts are none that a model would write.
_MAX_LENGTH = 1000
_COUNT = re.compile(r"\{(\d+)(?:,\d*)?\}")


def matching(pattern: str) -> str | None:
    """Make a short string that matches, None if that is too hard.

    Knows literals, classes, groups, alternatives (takes the first) and repetition (as often as
    must be, but at least once for ``*`` and ``+``).
    """
    try:
        text, end = _alternatives(pattern, 0)
        is_found = end == len(pattern) and re.search(pattern, text) is not None
    except (ValueError, IndexError, RecursionError, re.error):
        return None
    return text if is_found else None


def _alternatives(pattern: str, at: int) -> tuple[str, int]:
    first: str | None = None
    text = ""
    while at < len(pattern) and pattern[at] != ")":
        if pattern[at] == "|":
            first = text if first is None else first
            text = ""
            at += 1
            continue
        piece, at = _atom(pattern, at)
        count, at = _repeated(pattern, at)
        if len(text) + len(piece) * count > _MAX_LENGTH:
            raise ValueError(pattern)
        text += piece * count
    return (text if first is None else first), at


def _atom(pattern: str, at: int) -> tuple[str, int]:
    character = pattern[at]
    if character in "^$":
        return "", at + 1
    if character == ".":
        return "a", at + 1
    if character == "\\":
        return _CLASSES.get(pattern[at + 1], _escaped(pattern[at + 1])), at + 2
    if character == "[":
        end = pattern.index("]", at + 2)
        return _of_class(pattern[at + 1 : end]), end + 1
    if character == "(":
        inner = at + 1
        if pattern.startswith("?", inner):
            if not pattern.startswith("?:", inner):
                raise ValueError(pattern)
            inner += 2
        text, end = _alternatives(pattern, inner)
        if pattern[end] != ")":
            raise ValueError(pattern)
        return text, end + 1
    return character, at + 1


def _escaped(character: str) -> str:
    return "" if character in "bB" else {"n": "\n", "t": "\t"}.get(character, character)


def _of_class(body: str) -> str:
    matches = re.compile(f"[{body}]").fullmatch
    candidates: Iterator[str] = iter((*_FROM_EXCLUDED, *body.lstrip("^")))
    return next(each for each in candidates if matches(each))


def _repeated(pattern: str, at: int) -> tuple[int, int]:
    if at == len(pattern):
        return 1, at
    found = _COUNT.match(pattern, at)
    count, end = (int(found[1]), found.end()) if found is not None else (1, at)
    if found is None and pattern[at] in "*+?":
        end = at + 1
    # Lazy ones match the same.
    is_lazy = end > at and pattern.startswith("?", end)
    return count, end + is_lazy
