import pytest

from deepseek_async.cli.clean import one_line, printable

UNSAFE = {
    "escape sequence": ("a\x1b[31mb", "a[31mb"),
    "window title": ("\x1b]0;owned\x07x", "]0;ownedx"),
    "one-character CSI": ("\x9b2J", "2J"),
    "carriage return": ("safe\rfake\r\n", "safefake\n"),
    "backspace and delete": ("a\x08\x7fb", "ab"),
    "null": ("a\x00b", "ab"),
    "bidi override": ("\u202etxt.exe\u202c", "txt.exe"),
    "bidi isolate": ("\u2066a\u2069", "a"),
    "lone surrogate": ("\ud83d!", "\ufffd!"),
}


@pytest.mark.parametrize(("text", "expected"), UNSAFE.values(), ids=UNSAFE)
def test_printable_takes_out_what_a_terminal_obeys(text: str, expected: str) -> None:
    assert printable(text) == expected


@pytest.mark.parametrize("text", ["a\n\tb", "日本語", "שלום", "👩‍🚀", "é", "[bold]x[/]"])
def test_printable_keeps_text(text: str) -> None:
    assert printable(text) == text


def test_one_line_joins_lines_and_shortens() -> None:
    assert one_line(" a\n\n b\tc\x1b ") == "a b c"
    assert one_line("x" * 20, 10) == "x" * 9 + "…"
