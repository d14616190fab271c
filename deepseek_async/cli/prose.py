"""Streamed text on a terminal: wrapped at words, with the little Markdown that models write.

Words are printed when they are complete and never again: nothing is redrawn, so nothing flickers
and what has scrolled away stays right. Marks are taken word by word: headings, list items, bold,
code and fenced code; other Markdown is shown as it came.
"""

import re

from rich.cells import cell_len
from rich.text import Text

from deepseek_async.cli.clean import printable
from deepseek_async.cli.screen import Screen, write

_BULLETS = frozenset({"-", "*", "+"})
_NUMBER = re.compile(r"\d{1,3}[.)]")
_HEADING = re.compile(r"#{1,6}")
_INLINE = re.compile(r"\*\*|`")
_CODE = "cyan"
# What has no space for so long is no word: base64, a URL.
_MAX_WORD = 200


class Prose:
    """Prints text that comes in pieces.

    Args:
        screen: Where to.
        style: Of all of it.
    """

    def __init__(self, screen: Screen, style: str = "") -> None:
        self._screen = screen
        self._style = style
        self._out = Text()
        self._word = ""
        self._spaces = 0
        self._column = 0
        # Where the text of a list item begins, and its further lines with it.
        self._hang = 0
        self._at_line_start = True
        self._heading = False
        self._bold = False
        self._code = False
        # Inside fenced code, which is printed line by line.
        self._fenced = False

    def feed(self, text: str) -> None:
        """Print the words that ``text`` completes."""
        for character in printable(text):
            if character == "\n":
                self._end_line()
            elif self._fenced:
                self._word += character
            elif character in " \t" and not self._opens_fence():
                self._end_word(spaces=4 if character == "\t" else 1)
            elif character > "\u1100" and cell_len(character) > 1:
                # Ideographs: a line may break between any two.
                self._end_word()
                self._word = character
                self._end_word()
            else:
                self._word += character
                if len(self._word) > _MAX_WORD:
                    self._end_word()
        self._flush()

    def finish(self) -> None:
        """Print what is left, and end the line if one has begun."""
        if self._word or self._column:
            self._end_line()
        self._flush()

    def _opens_fence(self) -> bool:
        return self._at_line_start and self._word.startswith("```")

    def _flush(self) -> None:
        if self._out:
            self._screen.console.print(self._out, end="", soft_wrap=True)
            self._out = Text(style=self._style)

    def _put(self, text: str, style: str = "") -> None:
        if not self._out:
            self._out = Text(style=self._style)
        self._out.append(text, style or None)
        self._column += cell_len(text)

    def _new_line(self) -> None:
        self._put("\n")
        self._column = 0
        self._spaces = 0

    def _end_line(self) -> None:
        if self._fenced:
            if self._word.lstrip().startswith("```"):
                self._fenced = False
            else:
                self._put(self._word, _CODE)
                self._new_line()
            self._word = ""
        else:
            opens = self._opens_fence()
            if opens:
                self._fenced = True
                self._word = ""
            self._end_word()
            if not opens:
                self._new_line()
        self._hang = 0
        self._spaces = 0
        self._at_line_start = True
        self._heading = self._bold = self._code = False

    def _end_word(self, spaces: int = 0) -> None:
        word, self._word = self._word, ""
        if word:
            if not self._at_line_start or not self._take_mark(word, followed=spaces > 0):
                self._put_word(word)
            self._at_line_start = False
        self._spaces += spaces

    def _take_mark(self, word: str, *, followed: bool) -> bool:
        """Print ``word`` as the mark of a line, if it is one."""
        if not followed:
            return False
        if word in _BULLETS:
            word = "•"
        elif _HEADING.fullmatch(word):
            self._heading = True
            # The space after the marks goes with them.
            self._spaces = -1
            return True
        elif not _NUMBER.fullmatch(word):
            return False
        self._put(" " * self._spaces)
        self._spaces = 0
        self._put(word, "bold")
        self._hang = self._column + 1
        return True

    def _put_word(self, word: str) -> None:
        pieces = self._styled(word)
        size = sum(cell_len(piece) for piece, _ in pieces)
        if self._column + self._spaces + size > self._screen.width and self._column > self._hang:
            self._new_line()
            self._spaces = self._hang
        self._put(" " * self._spaces)
        self._spaces = 0
        for piece, style in pieces:
            self._put(piece, style)

    def _styled(self, word: str) -> list[tuple[str, str]]:
        """Take the marks out of a word, and return its pieces with their styles."""
        pieces: list[tuple[str, str]] = []
        start = 0
        for found in _INLINE.finditer(word):
            mark = found.group()
            if not self._is_mark(mark, word[: found.start()]):
                continue
            pieces.append((word[start : found.start()], self._now()))
            start = found.end()
            if mark == "`":
                self._code = not self._code
            else:
                self._bold = not self._bold
        pieces.append((word[start:], self._now()))
        return [piece for piece in pieces if piece[0]]

    def _is_mark(self, mark: str, before: str) -> bool:
        if mark == "`":
            return True
        # Not 2**3, nor anything in code.
        return not self._code and (self._bold or not before[-1:].isalnum())

    def _now(self) -> str:
        if self._code:
            return _CODE
        return "bold" if self._bold or self._heading else ""


class RawText:
    """Prints text that comes in pieces as it is, but for what a terminal would obey."""

    def __init__(self, screen: Screen, *, aside: bool = False) -> None:
        self._console = screen.notes if aside else screen.console
        self._line_open = False

    def feed(self, text: str) -> None:
        """Print ``text``."""
        if text := printable(text):
            self._line_open = not text.endswith("\n")
            write(self._console, text)

    def finish(self) -> None:
        """End the line, if one has begun."""
        if self._line_open:
            self._line_open = False
            self._console.print()
