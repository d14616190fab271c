"""Rows that are redrawn, and what Ctrl-C does, each by itself."""

import os
import signal

import pytest

from deepseek_async.cli import interrupts
from deepseek_async.cli.interrupts import Interrupts
from deepseek_async.cli.markdown import Row
from deepseek_async.cli.tail import Tail

from .conftest import Terminal


def rows(*texts: str) -> list[Row]:
    return [Row(text, len(text)) for text in texts]


@pytest.mark.parametrize(
    ("variables", "up"),
    [
        ({"TERM": "xterm-256color"}, 4),
        ({"TERM": "screen", "TMUX": "x"}, 4),
        ({"TERM": "screen"}, 3),
        ({"TERM": "linux"}, 3),
        ({"TERM": "xterm", "XTERM_VERSION": "390"}, 3),
    ],
)
def test_a_narrower_terminal_has_wrapped_the_rows_if_it_does_so(
    variables: dict[str, str], up: int, live: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TERM", "TMUX", "XTERM_VERSION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    tail = Tail(live.screen)
    tail.show([], rows("x" * 50, "", "y"))
    live.screen.console.width = 40
    tail.show([], rows("x" * 40))
    assert f"\r\x1b[{up}A" in live.text


def test_only_rows_that_differ_are_written(live: Terminal) -> None:
    tail = Tail(live.screen)
    tail.show([], rows("one", "tw"))
    tail.show(rows("one", "two"), rows("", "three"))
    tail.show(rows("", "three"), [])
    assert [live.text.count(text) for text in ("one", "two", "three")] == [1, 1, 1]


def test_a_row_that_may_have_been_cut_off_is_written_again(live: Terminal) -> None:
    tail = Tail(live.screen)
    row = Row("👩", 60, certain=False)
    tail.show([], [row])
    tail.show([row], [])
    assert live.text.count("👩") == 2


def test_ctrl_c_ends_the_program_when_an_answer_cannot_be_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    stops: list[bool] = []
    try:
        with Interrupts() as ctrl_c:
            signal.raise_signal(signal.SIGINT)
            with ctrl_c.answering(lambda: stops.append(True)):
                signal.raise_signal(signal.SIGINT)
                signal.raise_signal(signal.SIGINT)
                monkeypatch.setattr(interrupts, "_PATIENCE_SECONDS", -1.0)
                with pytest.raises(KeyboardInterrupt):
                    signal.raise_signal(signal.SIGINT)
            with pytest.raises(KeyboardInterrupt), ctrl_c.reading():
                os.kill(os.getpid(), signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert stops == [True]
