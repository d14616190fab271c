"""Token counts and token-like pieces, without a tokenizer.

Source of the rates: https://api-docs.deepseek.com/quick_start/token_usage
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_PIECE = re.compile(r"\s?[^\W\d_]{1,10}|\s?\d{1,3}|\s?[^\w\s]{1,3}|\s+|_+")
# One ideograph is about 0.6 token: each is a piece of its own, or two common ones together.
_WIDE = re.compile(r"[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef]")


def split(text: str) -> list[str]:
    """Cut `text` into pieces of about a token each; joined they are `text` again."""
    pieces: list[str] = []
    end = 0
    for found in _PIECE.finditer(text):
        start, end = found.span()
        piece = text[start:end]
        if len(piece) > 2 and _WIDE.search(piece):
            pieces += [text[i : min(i + 2, end)] for i in range(start, end, 2)]
        else:
            pieces.append(piece)
    return pieces


def estimate(text: str) -> int:
    """Count the tokens of `text`, roughly: 0.3 of an ASCII character, 0.6 of any other."""
    narrow = len(text.encode("ascii", "ignore"))
    return round(narrow * 0.3 + (len(text) - narrow) * 0.6)


def block_ends(text: str, tokens: int, start: int = 0) -> Iterator[int]:
    """Yield the offsets where blocks of at least so many tokens end, by the same rates.

    Args:
        text: What to divide.
        tokens: The size of each block; at most half a token more.
        start: Where the first one begins.
    """
    # In tenths of a token, to stay with whole numbers.
    size = tokens * 10
    while True:
        # As short as it could be, then longer by what is missing at least.
        end = start
        missing = size
        while missing > 0 and end < len(text):
            part = text[end : end + -(-missing // 6)]
            narrow = len(part) if part.isascii() else len(part.encode("ascii", "ignore"))
            missing -= narrow * 3 + (len(part) - narrow) * 6
            end += len(part)
        if missing > 0:
            return
        yield end
        start = end
