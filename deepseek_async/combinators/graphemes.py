"""What must not be torn apart in a text: the characters that a reader takes for one.

After "Grapheme Cluster Boundaries" of https://www.unicode.org/reports/tr29/ (Unicode 17), read
2026-11-21, with the properties that ``unicodedata`` has. It lacks some of those the rules ask
for, so the rules here join more than the standard's: anything after a joiner, any letter after a
virama. A cluster may be larger than the standard's, which only makes for a larger step on the
screen; never smaller, but for marks that are newer than the ``unicodedata`` of this Python.
"""

import re
import unicodedata
from functools import lru_cache

# Each character counts as one of a few kinds, which letters stand for: R is CR, N is LF, C other
# controls; E extends what is before it, J is the joiner, K a virama, P extends what follows it; F
# is half of a flag; L, V and T are leading consonants, vowels and finals of Hangul, and W and X
# its syllables without and with a final; A is a letter of a script without case, O all else.
# The first and last code points of the kinds that categories don't tell:
_RANGES: dict[str, tuple[tuple[int, int], ...]] = {
    "R": ((0x0D, 0x0D),),
    "N": ((0x0A, 0x0A),),
    "J": ((0x200D, 0x200D),),
    "E": (
        (0x200C, 0x200C),  # zero width non-joiner
        (0x0E33, 0x0E33),  # Thai and Lao vowels that are written after their letter
        (0x0EB3, 0x0EB3),
        (0xFF9E, 0xFF9F),  # voiced marks of halfwidth Katakana
        (0x1F3FB, 0x1F3FF),  # skin tones
        (0xE0020, 0xE007F),  # tags, as in the flag of Scotland
    ),
    "P": (
        *((0x0600, 0x0605), (0x06DD, 0x06DD), (0x070F, 0x070F), (0x0890, 0x0891)),
        *((0x08E2, 0x08E2), (0x0D4E, 0x0D4E), (0x110BD, 0x110BD), (0x110CD, 0x110CD)),
        *((0x111C2, 0x111C3), (0x113D1, 0x113D1), (0x1193F, 0x1193F), (0x11941, 0x11941)),
        *((0x11A84, 0x11A89), (0x11D46, 0x11D46), (0x11F02, 0x11F02)),
    ),
    "F": ((0x1F1E6, 0x1F1FF),),
    "L": ((0x1100, 0x115F), (0xA960, 0xA97C)),
    "V": ((0x1160, 0x11A7), (0xD7B0, 0xD7C6)),
    "T": ((0x11A8, 0x11FF), (0xD7CB, 0xD7FB)),
}

# All Hangul syllables; each 28th has no final consonant.
_SYLLABLES = range(0xAC00, 0xD7A4)
_FINALS = 28

_OF_CATEGORY = {
    **dict.fromkeys(["Mn", "Me", "Mc"], "E"),
    **dict.fromkeys(["Cc", "Cf", "Cs", "Zl", "Zp"], "C"),
    "Lo": "A",
}

#: The canonical combining class of viramas, which tie letters together.
_VIRAMA_CLASS = 9

_HANGUL = "L*+ (?: V++ T*+ | W V*+ T*+ | X T*+ ) | L++ | T++"
_BASE = f"(?: P*+ (?: {_HANGUL} | FF | [^RNCPEJK] ) | P++ )"
_AFTER_VIRAMA = f"K [EJK]*+ (?: A | (?<=J) {_BASE} )?+"
_TAIL = f"(?: [EJ]++ (?: {_AFTER_VIRAMA} | (?<=J) {_BASE} )?+ | {_AFTER_VIRAMA} )"
# Nothing here goes back over what it has matched: the time is linear, whatever a model writes.
_CLUSTER = re.compile(f"RN | [RNC] | {_BASE} {_TAIL}*+ | {_TAIL}++", re.VERBOSE)

# How far beyond a character the end of its cluster is looked for at first.
_REACH = 16


def cluster_at(text: str, position: int) -> tuple[int, int]:
    """Return where the cluster begins and ends that a character of the text is in.

    The text begins with a cluster of its own. The last cluster of a text may still grow.

    Args:
        text: Any text, unpaired surrogates included.
        position: Of the character, from 0 to below ``len(text)``.
    """
    if text[: position + 2].isascii():
        # Nothing of ASCII belongs together but the two characters of a line end.
        if text[position : position + 2] == "\r\n":
            return position, position + 2
        if position and text[position - 1 : position + 1] == "\r\n":
            return position - 1, position + 1
        return position, position + 1
    reach = position + _REACH
    while True:
        kinds = "".join(map(_kind, text[:reach]))
        clusters = (found.span() for found in _CLUSTER.finditer(kinds))
        start, end = next(span for span in clusters if span[1] > position)
        if end < reach or reach >= len(text):
            return start, end
        reach *= 2


@lru_cache(maxsize=4096)
def _kind(character: str) -> str:
    code = ord(character)
    for kind, ranges in _RANGES.items():
        if any(first <= code <= last for first, last in ranges):
            return kind
    if code in _SYLLABLES:
        return "X" if (code - _SYLLABLES.start) % _FINALS else "W"
    if unicodedata.combining(character) == _VIRAMA_CLASS:
        return "K"
    return _OF_CATEGORY.get(unicodedata.category(character), "O")
