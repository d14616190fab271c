"""Taking secrets out of what is stored, in whatever form they are there."""

from __future__ import annotations

import base64
import re
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import chain, islice, pairwise
from typing import NamedTuple

from deepseek_async.simulator.recording.exchange import Block, Exchange
from deepseek_async.simulator.recording.spelling import Edit, respelled

REDACTED = b"[redacted]"

MIN_LENGTH = 6
"""Characters that a secret has at least: what is shorter is a part of harmless texts."""

# How escapes begin; escaped again and again, each backslash becomes two, each % becomes %25.
# Bounded: long runs of them aren't to be searched from each of their places to the end.
_MOST_BACKSLASHES = 16
_BACKSLASHES = rb"\\{1,%d}" % _MOST_BACKSLASHES
_PERCENT = rb"%(?:25){0,8}"

_BASE64 = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_")
# Mail has base64 in lines. They may be very long: each is searched from its beginning alone.
_END = rb"(?:[\r\n]|%b[rn]|%b0[aAdD])" % (_BACKSLASHES, _PERCENT)
_BREAK = re.compile(_END + b"++")
_DIGIT = rb"(?:[A-Za-z0-9+/_-]|%b2[bBfF]|%b(?:/|u002[bBfF]))" % (_PERCENT, _BACKSLASHES)
_LINES = re.compile(
    rb"(?:%b|(?<![A-Za-z0-9+/_\\%%-]))(%b{16,}+(?:%b%b++)+)"
    % (_END, _DIGIT, _BREAK.pattern, _DIGIT)
)
_SHORT_ESCAPES = {"\n": "n", "\r": "r", "\t": "t", "\b": "b", "\f": "f", '"': '"', "/": "/"}


class _Form(NamedTuple):
    """A form in which a secret may be there."""

    pattern: re.Pattern[bytes]
    before: bool = False
    """Whether the character before holds a part of it, too."""
    behind: bool = False


class Redactor:
    """Replaces secrets by ``[redacted]``.

    They are found as they are, escaped as in JSON or URLs (once or several times, wholly or in
    part), in hexadecimal, and in base64 at whatever place of what was encoded.

    Args:
        secrets: What to look for.

    Raises:
        ValueError: One of them is too short to be told from other text; it isn't quoted.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        self._forms: list[_Form] = []
        for secret in dict.fromkeys(secrets):
            if len(secret) < MIN_LENGTH:
                raise ValueError(
                    f"a secret to redact has at least {MIN_LENGTH} characters, not {len(secret)}"
                )
            self._forms.extend(_forms(secret))

    def data(self, data: bytes) -> bytes:
        """Return bytes without the secrets."""
        return b"".join(self._blocks([data]))

    def text(self, text: str) -> str:
        """Return text without the secrets, and without bytes that aren't UTF-8."""
        data = text.encode("utf-8", "surrogateescape")
        return self.data(data).decode("utf-8", "replace")

    def exchange(self, exchange: Exchange) -> Exchange:
        """Return an exchange without the secrets, also those over several blocks or events."""
        before = sum(len(block.data) for block in exchange.blocks)
        redacted = self._blocks([block.data for block in exchange.blocks])
        redacted = _edited(redacted, list(respelled(b"".join(redacted), self._blocks)))
        blocks = [
            Block(block.ms, data)
            for block, data in zip(exchange.blocks, redacted, strict=True)
            if data
        ]
        answer = exchange.answer
        if answer is not None:
            length = answer.content_length
            longer = sum(len(block.data) for block in blocks) - before
            answer = replace(
                answer,
                headers={name: self.text(value) for name, value in answer.headers.items()},
                content_length=None if length is None else max(length + longer, 0),
            )
        headers = {name: self.text(value) for name, value in exchange.request_headers.items()}
        return replace(
            exchange,
            host=self.text(exchange.host),
            target=self.text(exchange.target),
            request_headers=headers,
            request_body=self.data(exchange.request_body),
            answer=answer,
            blocks=blocks,
            reason=self.text(exchange.reason),
        )

    def _blocks(self, blocks: Sequence[bytes]) -> list[bytes]:
        spans = self._spans(b"".join(blocks))
        return _edited(blocks, [Edit(start, end, REDACTED) for start, end in spans])

    def _spans(self, data: bytes) -> list[tuple[int, int]]:
        """Where the secrets are, in order; those that touch are one."""
        found = [
            _widened(data, *match.span(), form)
            for form in self._forms
            for match in form.pattern.finditer(data)
        ]
        for lines in _LINES.finditer(data):
            found.extend(self._spans_over_lines(data, *lines.span(1)))
        found.sort()
        return _merged(found)

    def _spans_over_lines(self, data: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
        joined = _Joined(data, start, end)
        for form in self._forms:
            for match in form.pattern.finditer(joined.data):
                first, behind = _widened(joined.data, *match.span(), form)
                yield joined.place(first), joined.place(behind - 1) + 1


def _merged(found: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return spans that are in order, those that touch as one."""
    spans: list[tuple[int, int]] = []
    for start, end in found:
        if spans and start <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
        else:
            spans.append((start, end))
    return spans


class _Joined:
    """A part of some data without its line breaks.

    Args:
        data: The data.
        start: Where the part begins.
        end: Where it ends.
    """

    def __init__(self, data: bytes, start: int, end: int) -> None:
        breaks = [found.span() for found in _BREAK.finditer(data, start, end)]
        lines = pairwise([start, *chain.from_iterable(breaks), end])
        self._starts: list[int] = []
        self._offsets: list[int] = []
        parts: list[bytes] = []
        offset = 0
        for first, behind in islice(lines, None, None, 2):
            self._starts.append(first)
            self._offsets.append(offset)
            parts.append(data[first:behind])
            offset += behind - first
        self.data = b"".join(parts)

    def place(self, offset: int) -> int:
        """Return where a byte of it is in the data."""
        line = bisect_right(self._offsets, offset) - 1
        return self._starts[line] + offset - self._offsets[line]


def _edited(blocks: Sequence[bytes], edits: Sequence[Edit]) -> list[bytes]:
    """Return blocks with other data, which is in the block where the old one began.

    Args:
        blocks: Of one text.
        edits: In order; they don't touch one another.
    """
    if not edits:
        return list(blocks)
    edited: list[bytes] = []
    waiting = deque(edits)
    start = 0
    for block in blocks:
        end = start + len(block)
        parts: list[bytes] = []
        at = start
        while waiting and waiting[0].start < end:
            edit = waiting[0]
            parts.append(block[at - start : max(edit.start - start, 0)])
            if edit.start >= start:
                parts.append(edit.data)
            at = min(edit.end, end)
            if edit.end > end:
                break
            waiting.popleft()
        edited.append(b"".join([*parts, block[at - start :]]))
        start = end
    return edited


def _widened(data: bytes, start: int, end: int, form: _Form) -> tuple[int, int]:
    # Not the second half of an escape: what is left of it wouldn't be JSON.
    if (
        form.before
        and start
        and data[start - 1] in _BASE64
        and data[start - 2 : start - 1] != b"\\"
    ):
        start -= 1
    if form.behind and data[end : end + 1] and data[end] in _BASE64:
        end += 1
    return start, end


@lru_cache(maxsize=256)
def _forms(secret: str) -> tuple[_Form, ...]:
    raw = secret.encode("utf-8", "surrogateescape")
    in_hex = re.compile(re.escape(raw.hex().encode()), re.IGNORECASE)
    return (_Form(re.compile(_escaped(secret))), _Form(in_hex), *map(_base64, (raw,) * 3, range(3)))


def _escaped(secret: str) -> bytes:
    """A pattern for text, each character as it is or escaped somehow."""
    # A run of backslashes may be of any length: each level of JSON doubles it.
    pieces = chain.from_iterable(
        [piece] if piece.startswith("\\") else piece for piece in re.split(r"(\\+)", secret)
    )
    return b"".join(map(_character, pieces))


def _character(piece: str) -> bytes:
    if piece.startswith("\\"):
        most = len(piece) * _MOST_BACKSLASHES
        return rb"(?:\\(?:u005[cC])?|%b5[cC]){1,%d}" % (_PERCENT, most)
    raw = piece.encode("utf-8", "surrogateescape")
    units = piece.encode("utf-16-be", "surrogatepass")
    # Each alternative begins with a character of its own, by which the pattern is searched fast.
    in_url = b"".join(rb"%b(?i:%02x)" % (_PERCENT, byte) for byte in raw)
    in_json = b"".join(
        rb"%bu(?i:%02x%02x)" % (_BACKSLASHES, units[at], units[at + 1])
        for at in range(0, len(units), 2)
    )
    forms = [in_url, in_json]
    if len(raw) == 1:
        forms.append(rb"%bx(?i:%02x)" % (_BACKSLASHES, raw[0]))
    if piece in _SHORT_ESCAPES:
        forms.append(_BACKSLASHES + re.escape(_SHORT_ESCAPES[piece].encode()))
    if piece == " ":
        forms.append(rb"\+")
    # Last: a % is the beginning of its own escape.
    return b"(?:" + b"|".join([*forms, re.escape(raw)]) + b")"


def _base64(raw: bytes, offset: int) -> _Form:
    """A pattern for what is the same in base64 whatever stands before and behind.

    Args:
        raw: The secret.
        offset: Bytes before it in its group of three.
    """
    end = offset + len(raw)
    whole = base64.b64encode(bytes(offset) + raw)[-(-offset * 8 // 6) : end * 8 // 6].decode()
    pattern = b"".join(_base64_character(character) for character in whole)
    return _Form(re.compile(pattern), before=offset > 0, behind=end % 3 > 0)


def _base64_character(character: str) -> bytes:
    if character == "+":
        return rb"(?:[+-]|%b2[bB]|%bu002[bB])" % (_PERCENT, _BACKSLASHES)
    if character == "/":
        return rb"(?:[/_]|%b2[fF]|%b(?:/|u002[fF]))" % (_PERCENT, _BACKSLASHES)
    return character.encode()
