"""Markdown as models write it: its blocks, and the rows of a terminal that show one.

CommonMark with tables and strikethrough, but for what would make a block depend on another one, be
shown as something else than it says, or vanish. These are text here: references to links and their
definitions, underlined headings (their dashes are a rule), HTML, autolinks, images. So each block
can be shown by itself, and nothing of an answer is lost. A line break in the text is one on the
screen.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import ClassVar, NamedTuple

from markdown_it import MarkdownIt
from markdown_it.token import Token
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.markdown import CodeBlock, Heading, HorizontalRule, Markdown
from rich.rule import Rule
from rich.segment import Segment, Segments
from rich.syntax import Syntax
from rich.text import Text

from deepseek_async.cli.clean import printable

# Colours of the terminal's own palette: they suit a dark and a light one.
_CODE_THEME = "ansi_dark"
# Long lines of code and wide tables are easier to read than wrapped ones; those of text aren't.
_WIDE = frozenset({"fence", "code_block", "table_open"})
# Each level takes two to four columns.
_COLUMNS_PER_LEVEL = 4
# Beyond it the parser drops text. It is more than is shown as Markdown.
_MAX_LEVEL = 60
# What is longer is no prose. The parser takes a time that grows with the square of some texts.
_MAX_BLOCK = 20_000


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "maxNesting": _MAX_LEVEL})
    parser.enable(["table", "strikethrough"])
    return parser.disable(["reference", "lheading", "html_block", "html_inline"]).disable(
        ["autolink", "image"]
    )


_PARSER = _parser()
_BLOCKS_ONLY = _parser()
_BLOCKS_ONLY.core.ruler.enableOnly(["normalize", "block"])


class Blocks:
    """Cuts Markdown that comes in pieces into its blocks.

    A block is finished when a later one has begun, in a line that is complete: what is still being
    written may turn out to go on with the block before it. The blocks don't depend on the pieces.
    """

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._searched = 0

    @property
    def rest(self) -> str:
        """The text that is in no finished block."""
        text = "".join(self._pieces)
        self._pieces = [text]
        return text

    def feed(self, text: str) -> None:
        """Take more text. It costs next to nothing; the search is left to :meth:`take`."""
        self._pieces.append(text)

    def take(self) -> list[str]:
        """Return the blocks that have been finished since the last call."""
        text = self.rest
        end = text.rfind("\n") + 1
        if end <= self._searched:
            return []
        starts = _starts(text[:end])
        blocks = [text[start:stop] for start, stop in pairwise(starts)]
        rest = text[starts[-1] :] if len(starts) > 1 else text
        self._pieces = [rest]
        self._searched = end - (len(text) - len(rest))
        return blocks

    def finish(self) -> list[str]:
        """Return all that is left: the text has ended."""
        text = self.rest
        self._pieces = []
        self._searched = 0
        return [text[start:stop] for start, stop in pairwise([*_starts(text), len(text)])]


def _starts(text: str) -> list[int]:
    """Return where the blocks of the outermost level begin."""
    lines = [token.map[0] for token in _BLOCKS_ONLY.parse(text) if token.map and not token.level]
    starts: list[int] = []
    line = position = 0
    for wanted in lines:
        while line < wanted:
            position = text.index("\n", position) + 1
            line += 1
        starts.append(position)
    return starts


class Row(NamedTuple):
    """One row of the screen."""

    text: str
    """With the escape sequences of its colours."""

    cells: int
    """Columns that it takes."""

    certain: bool = True
    """Whether it takes one row for certain: terminals disagree on the width of some characters."""


def rows_of(block: str, console: Console, width: int) -> list[Row]:
    """Return the rows that show one block.

    Args:
        block: Its Markdown, already without what a terminal would obey.
        console: Whose colours and columns count.
        width: Columns for text; code and tables may take all that there are.
    """
    tokens = _parsed(block)
    if tokens and tokens[0].type in _WIDE:
        width = console.width
    shown: RenderableType = Text(block.rstrip(), overflow="fold")
    if max((token.level for token in tokens), default=0) * _COLUMNS_PER_LEVEL <= width:
        shown = _Block(tokens) if tokens else shown
    options = console.options.update(width=width, height=None)
    return draw_rows(console.render_lines(shown, options, pad=False), console)


def draw_rows(lines: Iterable[Sequence[Segment]], console: Console) -> list[Row]:
    """Return rendered lines as rows, without the blank ones around them."""
    trimmed = [_trimmed(line) for line in lines]
    while trimmed and not trimmed[-1]:
        trimmed.pop()
    while trimmed and not trimmed[0]:
        trimmed.pop(0)
    segments: list[Segment] = []
    for line in trimmed:
        segments += line
        segments.append(Segment.line())
    with console.capture() as captured:
        console.print(Segments(segments), soft_wrap=True, end="")
    texts = captured.get().split("\n")
    return [
        _row(text, "".join(segment.text for segment in line), console.width)
        for text, line in zip(texts, trimmed, strict=False)
    ]


def _row(text: str, plain: str, columns: int) -> Row:
    cells = cell_len(plain)
    odd = sum(not character.isascii() for character in plain)
    return Row(text, cells, cells + odd <= columns)


def _trimmed(line: Sequence[Segment]) -> list[Segment]:
    """Return a line without the spaces that fill it up: they'd wrap when a terminal narrows."""
    kept = list(line)
    while kept:
        last = kept.pop()
        colour = last.style.bgcolor if last.style else None
        background = colour is not None and not colour.is_default
        text = last.text if background else last.text.rstrip(" ")
        if text:
            kept.append(Segment(text, last.style))
            break
    return kept


def _parsed(block: str) -> list[Token]:
    """Return the tokens of a block that is short enough to be taken for Markdown; else none."""
    fenced = block.lstrip().startswith(("```", "~~~"))
    if len(block) > _MAX_BLOCK and not fenced:
        return []
    tokens = _PARSER.parse(block)
    for token in tokens:
        _tidy(token)
        for child in token.children or ():
            _tidy(child)
    return tokens


def _tidy(token: Token) -> None:
    # Entities such as &#x202e; are marks for the terminal again.
    token.content = printable(token.content)
    if token.type == "softbreak":
        token.type = "hardbreak"


class _Heading(Heading):
    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        # Neither centred nor in a box, as releases of rich have it.
        self.text.justify = "left"
        yield self.text


class _Line(HorizontalRule):
    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Rule(style=console.get_style("markdown.hr"))


class _Code(CodeBlock):
    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        code = self.text.plain.rstrip()
        syntax = Syntax(
            code, self.lexer_name, theme=self.theme, word_wrap=True, background_color="default"
        )
        if syntax.lexer is None:
            yield Text(code, style=console.get_style("markdown.code"), overflow="fold")
        else:
            yield syntax


class _Block(Markdown):
    """Rich's Markdown with the tokens of another parser."""

    elements: ClassVar = {
        **Markdown.elements,
        "heading_open": _Heading,
        "fence": _Code,
        "code_block": _Code,
        "hr": _Line,
    }

    def __init__(self, tokens: list[Token]) -> None:
        # Without hyperlinks the address stands behind the text, which may say another one.
        super().__init__("", code_theme=_CODE_THEME, hyperlinks=False)
        self.parsed = tokens
