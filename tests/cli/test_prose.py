import re

import pytest

from deepseek_async.cli.prose import Prose, RawText

from .conftest import Terminal

SGR = re.compile(r"\x1b\[[\d;]*m")
BOLD = "\x1b[1m"
CODE = "\x1b[36m"


def shown(text: str, width: int = 20, step: int = 1000) -> str:
    terminal = Terminal(live=True, width=width)
    prose = Prose(terminal.screen)
    for i in range(0, len(text), step):
        prose.feed(text[i : i + step])
    prose.finish()
    return terminal.text


CASES = {
    "wrapped at words": ("one two three four five", "one two three four\nfive\n"),
    "lines kept": ("a\n\nb", "a\n\nb\n"),
    "list item hangs": (
        "- one two three four five\nx",
        "• one two three four\n  five\nx\n",
    ),
    "numbered, nested": ("1. a\n   * b c", "1. a\n   • b c\n"),
    "a dash alone": ("a - b\n-\n", "a - b\n-\n"),
    "heading": ("## Title here\ntext", "Title here\ntext\n"),
    "bold": ("a **b c** d", "a b c d\n"),
    "powers": ("2**3 and `a**b`", "2**3 and a**b\n"),
    "fence": ("```python title\nx  =  **1**\n```\nend", "x  =  **1**\nend\n"),
    "unclosed fence": ("```\na b", "a b\n"),
    "tabs": ("a\tb", "a    b\n"),
    "ideographs": ("一二三四五六七八九十甲乙", "一二三四五六七八九十\n甲乙\n"),
    "escape": ("a\x1b[2Jb", "a[2Jb\n"),
    "markup": ("[red]a[/red]", "[red]a[/red]\n"),
    "nothing": ("", ""),
}


@pytest.mark.parametrize("step", [1, 3, 1000])
@pytest.mark.parametrize(("text", "expected"), CASES.values(), ids=CASES)
def test_prose_shows_the_same_for_any_pieces(text: str, expected: str, step: int) -> None:
    plain = SGR.sub("", shown(text, step=step))
    assert [line.rstrip() for line in plain.split("\n")] == expected.split("\n")


def test_prose_styles_what_is_marked() -> None:
    assert f"{BOLD}b" in shown("a **b** c")
    assert f"{CODE}x" in shown("a `x` c")
    assert f"{BOLD}Title" in shown("# Title")


def test_prose_shows_words_without_an_end() -> None:
    terminal = Terminal(live=True)
    Prose(terminal.screen).feed("x" * 500)
    assert len(SGR.sub("", terminal.text)) > 200


def test_prose_dims_all_of_a_reasoning() -> None:
    terminal = Terminal(live=True)
    prose = Prose(terminal.screen, "dim")
    prose.feed("one ")
    prose.feed("two\n")
    assert terminal.text.count("\x1b[2m") == 2


def test_raw_text_is_left_alone_but_for_controls() -> None:
    terminal = Terminal(live=False, width=10)
    raw = RawText(terminal.screen)
    raw.feed("**a** long line that is not wrapped\x1b[1m")
    raw.feed("\x1b")
    raw.finish()
    raw.finish()
    assert terminal.text == "**a** long line that is not wrapped[1m\n"


def test_raw_text_keeps_its_tabs(piped: Terminal) -> None:
    part = RawText(piped.screen)
    part.feed("all:\n\tmake ")
    part.feed("\x1b[1mit")
    part.finish()
    assert piped.text == "all:\n\tmake [1mit\n"
