"""Markdown in blocks and rows, without a terminal."""

import re
from io import StringIO
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from deepseek_async.cli.clean import printable
from deepseek_async.cli.markdown import Blocks, rows_of
from deepseek_async.cli.screen import new_console

from .screens import blocks_of, expected

SGR = re.compile(r"\x1b\[[\d;]*m")

LINES = [
    "", "", "word", "two **words** `x`", "# Title", "Title", "===", "---", "***", "- a", "* b",
    "+ c", "1. one", "2) two", "-", "  - nested", "    - deeper", "   continued", "    code",
    "\tcode", "```python", "```", "~~~", "  ```", "x = 1", "> quote", "> - in", ">", "| a | b |",
    "|---|:-:|", "| 1 | 2 |", "a | b", "--|--", "[x]: http://y", "[x]", "<div>", "</div>", "日本語",
    "<!--", "-->", "![i](u)", "&amp;",
]  # fmt: skip
DOCUMENTS = st.lists(st.sampled_from(LINES), max_size=14).map("\n".join)


def taken(text: str, cuts: list[int]) -> list[str]:
    """Return the blocks of a text that comes in pieces, looked for after each one."""
    blocks = Blocks()
    found: list[str] = []
    borders = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    for start, end in pairwise(borders):
        blocks.feed(text[start:end])
        found += blocks.take()
    return found + blocks.finish()


@settings(max_examples=400, deadline=None)
@given(DOCUMENTS, st.lists(st.integers(0, 200), max_size=6))
@example("- a\n**b**\n\nc", [5])
@example("a | b\n--|--\n1 | 2", [8, 9])
@example("1. a\n\n   b\n\n\nc", [])
def test_the_blocks_do_not_depend_on_the_pieces(text: str, cuts: list[int]) -> None:
    whole = blocks_of(text)
    assert taken(text, cuts) == whole
    assert taken(text, list(range(len(text)))) == whole


@settings(max_examples=400, deadline=None)
@given(DOCUMENTS)
def test_nothing_but_blank_lines_lies_between_blocks(text: str) -> None:
    assert "".join(blocks_of(text)).split() == text.split()


@settings(max_examples=300, deadline=None)
@given(DOCUMENTS)
@example("- a\n* b\n1. c")
def test_blocks_show_the_same_as_the_whole_text(text: str) -> None:
    whole = [line for line in expected([text]) if line]
    assert [line for line in expected(blocks_of(text)) if line] == whole


@settings(max_examples=300, deadline=None)
@given(st.one_of(DOCUMENTS, st.text()), st.integers(1, 50))
def test_rows_are_no_wider_than_the_terminal_and_hold_no_controls(text: str, width: int) -> None:
    console = new_console(
        file=StringIO(), force_terminal=True, color_system="standard", width=width
    )
    for block in blocks_of(printable(text)):
        for row in rows_of(block, console, width):
            plain = SGR.sub("", row.text)
            assert plain == printable(plain).replace("\n", "")
            assert row.cells <= max(width, 2)


CASES = {
    "paragraphs": ("one\ntwo\n\nthree", ["one", "two", "", "three"]),
    "heading": ("## Title\ntext", ["Title", "", "text"]),
    "big heading": ("# Title", ["Title"]),
    "list": ("- a\n  - b\n- c", [" • a", "    • b", " • c"]),
    "numbers": ("1. a\n2. b", [" 1 a", " 2 b"]),
    "fence in a list": ("- a\n  ```\n  x  y\n  ```", [" • a", "   x  y"]),
    "open fence": ("```py\nx = [1,\n", ["x = [1,"]),
    "unknown language": ("```nope\nx **y**\n```", ["x **y**"]),
    "indented code": ("    x = 1\n\n    y", ["x = 1", "", "y"]),
    "quote": ("> a\n> b", ["▌ a", "▌ b"]),
    "rule": ("a\n---\nb", ["a", "", "─" * 30, "", "b"]),
    "underline": ("a\n===", ["a", "==="]),
    "inline": ("**a** *b* `c` ~~d~~", ["a b c d"]),
    "link": ("[bank](http://evil.example)", ["bank (http://evil.example)"]),
    "a link that lies": (
        "[http://a.example](http://b.example)",
        ["http://a.example", "(http://b.example)"],
    ),
    "script link": ("[x](javascript:alert(1))", ["[x](javascript:alert(1))"]),
    "autolink": ("<http://a.b>", ["<http://a.b>"]),
    "reference": ("[x][1]\n\n[1]: http://y", ["[x][1]", "", "[1]: http://y"]),
    "image": ("![cat](http://a/b.png)", ["!cat (http://a/b.png)"]),
    "html": ("<b>x</b> <!-- y -->", ["<b>x</b> <!-- y -->"]),
    "html block": ("<div>\n\n*x*\n\n</div>", ["<div>", "", "x", "", "</div>"]),
    "entities": ("&lt;&#27;[31m&#x202e;&#13;x", ["<\ufffd[31mx"]),
    "wide": ("日" * 20, ["日" * 15, "日" * 5]),
    "empty": ("\n \n", []),
    "empty fence": ("```\n```\na", ["a"]),
}


@pytest.mark.parametrize(("text", "lines"), CASES.values(), ids=CASES)
def test_rows(text: str, lines: list[str]) -> None:
    assert expected(blocks_of(text), 30) == lines


def test_tables_are_drawn() -> None:
    # With lines that differ between releases of rich.
    head, _, body = expected(blocks_of("| city | n |\n|---|--:|\n| Ulm | 2 |"))
    assert (head.split(), body.split()) == (["city", "n"], ["Ulm", "2"])
    assert head.index("city") == body.index("Ulm")


def test_code_and_links_have_colours_and_no_hyperlinks() -> None:
    console = new_console(file=StringIO(), force_terminal=True, color_system="truecolor", width=60)
    text = "```python\nreturn 1\n```\n\n[a](http://b) **c** `d`"
    code, line = (row.text for block in blocks_of(text) for row in rows_of(block, console, 60))
    assert code.count("\x1b[") > 1
    assert "\x1b[1mc" in line
    assert "\x1b[36md" in line
    assert "\x1b]" not in line


@pytest.mark.parametrize(
    "text", [">" * 50 + " x", "".join("  " * depth + "- x\n" for depth in range(40))]
)
def test_what_is_nested_too_deeply_is_shown_as_it_came(text: str) -> None:
    assert "".join("".join(expected(blocks_of(text), 40)).split()) == "".join(text.split())


def test_what_is_too_long_for_prose_is_shown_as_it_came() -> None:
    text = "[" * 30_000
    assert "".join(expected(blocks_of(text))) == text


def test_long_code_is_still_code() -> None:
    code = "".join(f"x = {number}\n" for number in range(4000))
    assert expected(blocks_of(f"```python\n{code}```"))[-1] == "x = 3999"
    assert len(code) > 30_000
