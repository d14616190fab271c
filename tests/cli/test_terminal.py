"""``chat`` on a terminal that can be looked at: what stands there in the end, and how it came."""

import asyncio
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from deepseek_async.simulator import Fault, Reply, Simulator

from .conftest import GUARD_SECONDS, StartSimulator, run_command
from .screens import ScreenPty, blocks_of, expected

Open = Callable[..., ScreenPty]

ANSWER = """# Night

Some *text* with `code`, a [link](http://a.example/b), and a line that is long enough to be
wrapped on any terminal of eighty columns, or of forty. 日本語の文字も二列を取ります。😀

1. one
   - nested, and long enough to be wrapped on a terminal that has no more than forty columns

   ```python
   def f(x: int) -> int:
       return x + 1
   ```
2. two

| city | people |
|------|-------:|
| 東京 | 14,000,000 |
| Ulm | 126,000 |

```python
for name in ("a", "b"):
    print(name)  # a comment
```

> quoted **words**
> in two lines

---

The end: unique-marker."""


@pytest.fixture
def open_screen() -> Iterator[Open]:
    with ExitStack() as stack:

        def start(*arguments: str, **options: object) -> ScreenPty:
            terminal = ScreenPty(*arguments, **options)  # type: ignore[arg-type]  # as they are given
            stack.callback(terminal.close)
            return terminal

        yield start


@pytest.fixture
def paced(start_simulator: StartSimulator, monkeypatch: pytest.MonkeyPatch) -> Simulator:
    """A server that takes about as long for an answer as the real one."""
    sim = start_simulator(tokens_per_second=300)
    monkeypatch.setenv("DEEPSEEK_API_KEY", "sk-of-the-tests")
    monkeypatch.setenv("DEEPSEEK_BASE_URL", sim.base_url)
    return sim


def answer_lines(terminal: ScreenPty) -> list[str]:
    """Return the lines above those of the meter, which is long."""
    lines = terminal.lines
    meter = next(i for i, line in enumerate(lines) if " in · " in line)
    return lines[:meter]


@pytest.mark.parametrize("columns", [80, 40, 130])
@pytest.mark.parametrize("rows", [24, 8])
def test_an_answer_is_shown_as_if_it_had_come_at_once(
    rows: int, columns: int, paced: Simulator, open_screen: Open
) -> None:
    paced.script(Reply(ANSWER))
    terminal = open_screen("chat", "Hi", "--no-thinking", rows=rows, columns=columns)
    assert terminal.status() == 0
    assert answer_lines(terminal) == expected(blocks_of(ANSWER), columns)


def test_finished_blocks_are_written_once(paced: Simulator, open_screen: Open) -> None:
    text = "".join(f"Paragraph first{number} and\nits second line.\n\n" for number in range(40))
    paced.script(Reply(text))
    terminal = open_screen("chat", "Hi", "--no-thinking")
    assert terminal.status() == 0
    assert answer_lines(terminal) == expected(blocks_of(text))
    # A line is written again only while its last word grows.
    assert all(1 <= terminal.shown.count(f"first{number} and") <= 2 for number in range(40))
    assert "first0" not in terminal.shown[terminal.shown.index("first3 and") :]


def test_few_bytes_are_written(paced: Simulator, open_screen: Open) -> None:
    paced.script(Reply(ANSWER * 5))
    terminal = open_screen("chat", "Hi", "--no-thinking")
    assert terminal.status() == 0
    assert len(terminal.shown) < 12 * len(ANSWER * 5)


def test_exported_sizes_do_not_matter(paced: Simulator, open_screen: Open) -> None:
    text = "".join(f"- item {number}\n" for number in range(40))
    paced.script(Reply(text))
    terminal = open_screen("chat", "Hi", "--no-thinking", rows=10, LINES="40", COLUMNS="90")
    assert terminal.status() == 0
    assert answer_lines(terminal) == expected(blocks_of(text))


def test_a_block_taller_than_the_screen_leaves_no_ghosts(
    paced: Simulator, open_screen: Open
) -> None:
    code = "".join(f"line_{number} = {number}\n" for number in range(60))
    text = f"Code:\n\n```python\n{code}```\n\n" + "".join(f"- item {n}\n" for n in range(40))
    paced.script(Reply(text))
    terminal = open_screen("chat", "Hi", "--no-thinking", rows=12)
    assert terminal.status() == 0
    assert answer_lines(terminal) == expected(blocks_of(text))


def test_reasoning_and_answer_stand_below_each_other(paced: Simulator, open_screen: Open) -> None:
    paced.script(Reply("It is **blue**.\n\nYes.", reasoning="I think of colours."))
    terminal = open_screen("chat", "Colour?")
    assert terminal.status() == 0
    assert answer_lines(terminal) == ["I think of colours.", "", "It is blue.", "", "Yes."]
    assert "\x1b[2mI" in terminal.shown


@pytest.mark.parametrize("columns", [60, 100])
def test_a_resize_in_the_middle_leaves_nothing_behind(
    columns: int, server: Simulator, open_screen: Open
) -> None:
    first = "Before the change, and in one row.\n\nGrowing"
    rest = " longer" * 30 + ".\n\nAfterwards."
    server.script(Reply(first + rest))
    server.faults(Fault("stall", after_events=20, seconds=1.5))
    terminal = open_screen("chat", "Hi", "--no-thinking")
    terminal.expect("Growing longer longer longer")
    terminal.resize(24, columns)
    assert terminal.status() == 0
    assert answer_lines(terminal) == expected(blocks_of(first + rest), columns)


HOSTILE = (
    "a\x1b[2Jb \x1b]8;;http://evil\x1b\\click\x1b]8;;\x1b\\ c\rfake\x08\x08 \x9b31m "
    "\x1b]0;title\x07 &#27;[2J &#x9b;1m \u202etxt\n\n```\n\x1b[5Acode\x07\n```\n\n"
    "[\x1b[8mx](http://e.example/\x1b[2J)\n"
)


def test_what_a_model_says_does_nothing_to_the_terminal(
    paced: Simulator, open_screen: Open
) -> None:
    paced.script(Reply(HOSTILE, reasoning=HOSTILE))
    terminal = open_screen("chat", "Hi")
    assert terminal.status() == 0
    lines = answer_lines(terminal)
    assert "a[2Jb ]8;;http://evil\\click]8;;\\ cfake 31m ]0;title" in lines[0]
    assert "[5Acode" in lines
    for sequence in ("\x1b]", "\x07", "\x08", "\x1b[2J", "\x1b[5A", "\x1b[8m", "\x9b", "\u202e"):
        assert sequence not in terminal.shown.replace("\x1b[2K", "")


def test_keys_that_are_pressed_meanwhile_wait_for_the_prompt(
    server: Simulator, open_screen: Open
) -> None:
    server.script(Reply("one two three four"), Reply("Done."))
    server.faults(Fault("stall", after_events=3))
    terminal = open_screen("chat", "--no-thinking")
    terminal.expect("> ")
    terminal.type("Hi\r")
    terminal.expect("two")
    assert not terminal.echoes()
    terminal.type("\r\rnext")
    terminal.interrupt(until="stopped")
    terminal.expect("> ")
    terminal.type("Go on\r")
    terminal.expect("Done.")
    terminal.expect("> ")
    terminal.type("\x04")
    assert terminal.status() == 0
    assert any(line.startswith("one two") and "^C" not in line for line in terminal.lines)


async def disconnected(server: Simulator, times: int) -> None:
    async with asyncio.timeout(GUARD_SECONDS):
        while server.metrics.disconnects < times:
            await asyncio.sleep(0.01)


async def test_ctrl_c_closes_the_connection_at_once(server: Simulator, open_screen: Open) -> None:
    server.script(Reply("one two three"), Reply("Never.", queue_seconds=60), Reply("Here."))
    server.faults(Fault("stall", after_events=3))
    terminal = open_screen("chat", "--no-thinking")
    terminal.expect("> ")
    terminal.type("Count.\r")
    terminal.expect("one")
    terminal.type("\x03")
    terminal.expect("stopped")
    await disconnected(server, 1)
    terminal.expect("> ")
    terminal.type("Wait.\r")
    terminal.expect("waiting in the server's queue")
    terminal.type("\x03")
    terminal.expect("stopped")
    await disconnected(server, 2)
    terminal.expect("> ")
    terminal.type("Still there?\r")
    terminal.expect("Here.")
    terminal.expect("> ")
    terminal.type("/exit\r")
    assert terminal.status() == 0
    body = server.requests[-1].body
    assert body is not None
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "user"]


def test_ctrl_c_pressed_twice_stops_the_answer_and_not_the_program(
    server: Simulator, open_screen: Open
) -> None:
    server.script(*[Reply("one two three")] * 5, Reply("Here."))
    server.faults(*[Fault("stall", after_events=3)] * 5)
    terminal = open_screen("chat", "--no-thinking")
    for _ in range(5):
        terminal.expect("> ")
        terminal.type("Count.\r")
        terminal.expect("one")
        terminal.type("\x03\x03\x03")
        terminal.expect("stopped")
    terminal.expect("> ")
    # One of them may have come at the prompt, and been told of.
    terminal.type("Still there?\r")
    terminal.expect("Here.")
    terminal.expect("> ")
    terminal.type("\x04")
    assert terminal.status() == 0


TALKATIVE = """
import asyncio, os, subprocess, sys, time

print("while it is loaded")

def tell(city: str) -> str:
    print("looking at", city, end="")
    print()
    sys.stdout.buffer.write(b"as bytes\\n")
    subprocess.run(["echo", "by a child"], stdout=sys.stdout, check=True)
    print("without an end", end="")
    return "fine"

async def atell(city: str) -> str:
    print("looking at", city)
    return "fine"

def slow(city: str) -> str:
    time.sleep(1)
"""


@pytest.fixture
def talkative(tmp_path: Path) -> Path:
    path = tmp_path / "talkative.py"
    path.write_text(TALKATIVE)
    return path


def test_what_tools_print_stands_beside_the_answer(
    server: Simulator, talkative: Path, open_screen: Open
) -> None:
    server.script(Reply("Let me see.", tool_calls=[("atell", {"city": "Oslo"})]), Reply("Sunny."))
    terminal = open_screen("chat", "Now?", "--no-thinking", "--tool", f"{talkative}:atell")
    assert terminal.status() == 0
    assert answer_lines(terminal) == [
        "while it is loaded",
        "Let me see.",
        "→ atell(city='Oslo')",
        "looking at Oslo",
        "← atell: fine",
        "Sunny.",
    ]


def test_what_tools_print_is_no_part_of_a_piped_answer(server: Simulator, talkative: Path) -> None:
    server.script(Reply(tool_calls=[("tell", {"city": "Oslo"})]), Reply("Sunny."))
    done = run_command("chat", "Now?", "--no-thinking", "--tool", f"{talkative}:tell")
    assert done.returncode == 0
    assert done.stdout == "Sunny.\n"
    lines = done.stderr.splitlines()
    printed = ["while it is loaded", "looking at Oslo", "as bytes", "by a child", "without an end"]
    assert sorted(line for line in lines if line in printed) == sorted(printed)


def test_a_call_that_takes_too_long_is_given_up(server: Simulator, talkative: Path) -> None:
    server.script(Reply(tool_calls=[("slow", {"city": "Oslo"})]), Reply("Sorry."))
    tools = ["--tool", f"{talkative}:slow", "--tool-timeout", "0.1"]
    terminal = run_command("chat", "Now?", "--no-thinking", *tools)
    assert "did not finish within 0.1 seconds" in terminal.stderr


def test_a_run_has_as_many_turns_as_are_allowed(server: Simulator, talkative: Path) -> None:
    server.script(*[Reply(tool_calls=[("tell", {"city": "Oslo"})])] * 3)
    done = run_command("chat", "Now?", "--tool", f"{talkative}:tell", "--max-turns", "2")
    assert done.returncode == 1
    assert "allow more with --max-turns" in done.stderr
    assert len(server.requests) == 2


def test_limits_of_tools_want_tools() -> None:
    for arguments in (["--max-turns", "2"], ["--tool-timeout", "1"]):
        done = run_command("chat", "Hi", "--simulate", *arguments)
        assert done.returncode == 2
        assert "name one with --tool" in done.stderr
    done = run_command("chat", "Hi", "--simulate", "--tool", "json:dumps", "--tool-timeout", "0")
    assert "--tool-timeout is a number of seconds above 0, got 0" in done.stderr


def test_without_colours_the_answer_is_still_drawn(paced: Simulator, open_screen: Open) -> None:
    paced.script(Reply(ANSWER))
    terminal = open_screen("chat", "Hi", "--no-thinking", NO_COLOR="1")
    assert terminal.status() == 0
    assert answer_lines(terminal) == expected(blocks_of(ANSWER))
    assert not re.search(r"\x1b\[[\d;]*[349]\d[\d;]*m", terminal.shown)
