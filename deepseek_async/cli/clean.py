"""Text from outside, made safe for a terminal.

What a model or a server says may hold escape sequences that move the cursor, retitle the window
or fake a prompt, and marks that reverse the order of what is read.
"""

import re

# C0 but tab and line feed, DEL, C1; then the marks that embed, override or isolate a direction.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_SURROGATES = re.compile("[\ud800-\udfff]")


def printable(text: str) -> str:
    """Return ``text`` without what a terminal would obey.

    It may be a piece of a longer text: each character is judged by itself.
    """
    # Lone surrogates can't be encoded.
    return _SURROGATES.sub("\ufffd", _CONTROLS.sub("", text))


def one_line(text: str, limit: int = 400) -> str:
    """Return ``text`` as one printable line of at most ``limit`` characters."""
    line = " ".join(printable(text).split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"
