"""Prompts that are alike, but differ near their beginning: nothing behind that is ever cached."""

from __future__ import annotations

import re

import msgspec

from deepseek_async.policy.cache_text import FIELD, SEGMENT
from deepseek_async.policy.cache_tree import common_length

# Texts that are compared, each with the one before it, and how much of them.
_TEXTS = 9
_LONGEST = 16 * 1024
# Pieces of a text that are looked for in another.
_PIECES, _PIECE = 32, 32
# Share of the pieces, and bytes that must follow the difference, for texts to be alike.
_ALIKE = 0.5
_LEAST = 1024
# Characters shown of what differs.
_SHOWN = 60

_KINDS = (
    (re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d.*)?|\d\d:\d\d(:\d\d.*)?"), "a time"),
    (re.compile(r"[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}"), "an id"),
    (re.compile(r"[-+]?\d+([.,]\d+)*"), "a number"),
    (re.compile(r"(?=\S*\d)[\w-]{6,}"), "an id"),
)
_WORD = re.compile(r"[^\s\"'<>(){}\[\],;=|\x1e\x1f]*")
_JSON_KEY = re.compile(r'["{,\s]*(\w+)"\s*:')
_ROLES = ("system", "user", "assistant", "tool", "developer", "latest_reminder")


class EarlyDifference(msgspec.Struct, frozen=True, kw_only=True):
    """Where prompts part that are alike behind it; ``str()`` says it with advice."""

    place: str
    """The message, or the part of the request: ``message 1 (system)``, ``tools``, ``user_id``."""

    position: int
    """Characters of it that are equal."""

    one: str
    """What one request has there."""

    other: str
    """What another one has."""

    kind: str
    """``a time``, ``an id``, ``a number``, ``keys in another order``, or ``text``."""

    alike: float
    """Share of what follows that both have."""

    def __str__(self) -> str:
        kind = "" if self.kind == "text" else f" ({self.kind})"
        return (
            f"prompts differ from character {self.position} of {self.place} on: "
            f"{self.one!r} and {self.other!r}{kind}, though {self.alike:.0%} of what follows is "
            "alike; the cache takes only what is equal from the start, so move what differs to "
            "the end, or make it equal"
        )


class Samples:
    """The first texts of a run, compared with one another."""

    def __init__(self) -> None:
        self._texts: list[bytes] = []
        self._found: EarlyDifference | None = None
        self._compared = 0

    def add(self, text: bytes) -> None:
        """Look at a text; after the first ones this does nothing."""
        if len(self._texts) < _TEXTS:
            self._texts.append(text[:_LONGEST])

    def early_difference(self) -> EarlyDifference | None:
        """Return where most of the texts part too early; None: they don't."""
        if self._compared != len(self._texts):
            self._compared = len(self._texts)
            pairs = zip(self._texts, self._texts[1:], strict=False)
            found = [compare(one, other) for one, other in pairs]
            early = [difference for difference in found if difference is not None]
            self._found = early[0] if 2 * len(early) > len(found) else None
        return self._found


def compare(one: bytes, other: bytes) -> EarlyDifference | None:
    """Return where two texts part, if they are alike behind it and share less than that.

    Args:
        one: As `cache_text` makes them, or its beginning.
        other: The same.
    """
    start = common_length(one, other, 0)
    rest, others = one[start:], other[start:]
    if min(len(rest), len(others)) < max(_LEAST, start):
        return None
    step = max(_PIECE, len(rest) // _PIECES)
    pieces = [rest[at : at + _PIECE] for at in range(0, len(rest) - _PIECE, step)]
    alike = sum(piece in others for piece in pieces) / len(pieces)
    if alike < _ALIKE:
        return None
    return _describe(one, other, start, alike)


def _describe(one: bytes, other: bytes, start: int, alike: float) -> EarlyDifference:
    segment = one.count(SEGMENT, 0, start)
    begin = one.rfind(SEGMENT, 0, start) + 1
    # What stands before the difference is the same in both.
    before = one[begin:start].decode("utf-8", "ignore")
    words = [_word(before, text[start : start + 4 * _SHOWN]) for text in (one, other)]
    fields = before.split(FIELD.decode())
    if segment == 0:
        place = fields[-1].partition("=")[0] if "=" in fields[-1] else "the settings"
    elif segment == 1:
        place = "tools"
    else:
        role = fields[0] if len(fields) > 1 and fields[0] in _ROLES else ""
        place = f"message {segment - 1}" + (f" ({role})" if role else "")
    position = len(fields[-1].partition("=")[2] if segment == 0 else fields[-1])
    kind = _kind(*words)
    if _reordered(one, other, start):
        kind = "keys in another order"
    return EarlyDifference(
        place=place, position=position, one=words[0], other=words[1], kind=kind, alike=alike
    )


def _word(before: str, after: bytes) -> str:
    """Return the word around a place."""
    found = _WORD.match(before[::-1][:_SHOWN])
    head = found.group()[::-1] if found is not None else ""
    found = _WORD.match(after.decode("utf-8", "ignore"))
    return (head + (found.group() if found is not None else ""))[:_SHOWN].rstrip(".:")


def _kind(one: str, other: str) -> str:
    for pattern, kind in _KINDS:
        if pattern.fullmatch(one) and pattern.fullmatch(other):
            return kind
    return "text"


def _reordered(one: bytes, other: bytes, start: int) -> bool:
    """Whether both go on with a JSON key, each of which the other has somewhere."""
    quote = max(one.rfind(b'"', 0, start), start - _SHOWN, 0)
    keys: list[bytes] = []
    for text in (one, other):
        found = _JSON_KEY.match(text[quote : start + 4 * _SHOWN].decode("utf-8", "ignore"))
        if found is None:
            return False
        keys.append(f'"{found[1]}"'.encode())
    return keys[0] != keys[1] and keys[0] in other and keys[1] in one
