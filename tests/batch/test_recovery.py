"""A results file after a crash: every whole line survives, whatever stands around it."""

import json
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from deepseek_async.batch import recovery
from deepseek_async.batch.records import encode_result, response_of
from deepseek_async.batch.recovery import Recovery, name_of, recover
from deepseek_async.batch.seen import key_of
from deepseek_async.errors import BatchFileError


def line_of(name: str, text: str = "Hi") -> bytes:
    body = json.dumps({"choices": [{"message": {"content": text}}]}, ensure_ascii=False)
    return encode_result(name, response_of(200, None, body.encode()))


A, B, C = line_of("a"), line_of("b"), line_of("c")

CLOSELY = recovery._CLOSELY


@contextmanager
def looking(*, closely: int = CLOSELY, block: int = 1 << 20) -> Generator[None]:
    """Look closely at only so much of the end, and read blocks of another size."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recovery, "_CLOSELY", closely)
        patch.setattr(recovery, "_BLOCK", block)
        yield


def recovered(content: bytes, folder: Path) -> tuple[Recovery, bytes, bytes | None]:
    """Recover a file; return what it held, what it is now, and what was cut out."""
    path, damaged = folder / "out.jsonl", folder / "out.damaged"
    path.write_bytes(content)
    found = recover(path, damaged)
    again = recover(path, damaged)
    assert again.damaged == 0
    assert again.lines == found.lines
    return found, path.read_bytes(), damaged.read_bytes() if damaged.exists() else None


TORN = A[:30]

# What the file was, what it is then, and what is kept of the rest.
FILES: dict[str, tuple[bytes, bytes, bytes | None]] = {
    "empty": (b"", b"", None),
    "whole": (A + B, A + B, None),
    "torn": (A + TORN, A, None),
    "torn in the first key": (A + b'{"cus', A, None),
    "torn line alone": (TORN, b"", None),
    "last line end missing": (A + B[:-1], A + B, None),
    "zeros at the end": (A + b"\0" * 5000, A, None),
    "torn, then zeros": (A + TORN + b"\0" * 5000, A, None),
    "zeros, then a line end": (A + b"\0\0\n", A, b"\0\0\n\n"),
    "garbage at the end": (A + b"\xff\x01garbage", A, b"\xff\x01garbage\n"),
    "garbage lines at the end": (A + b"x\ny\n", A, b"x\ny\n\n"),
    "garbage in between": (A + b"garbage\n" + B, A + B, b"garbage\n\n"),
    "garbage at the beginning": (b"garbage\n" + B, B, b"garbage\n\n"),
    "garbage at three places": (b"x\n" + A + b"y\n" + B + b"z", A + B, b"x\n\ny\n\nz\n"),
    "neighbours are kept together": (A + b"x\ny\n" + B, A + B, b"x\ny\n\n"),
    "zeros before a line": (A + b"\0\0" + B + C, A + B + C, b"\0\0\n"),
    "zeros over a line end": (A[:-1] + b"\0\0" + C, A + C, b"\0\0\n"),
    "line end lost": (A[:-1] + B, A + B, None),
    "half a line before a line": (TORN + B, B, TORN + b"\n"),
    "a line and a half": (A[:-1] + TORN + b"\n" + B, A + B, TORN + b"\n\n"),
    "empty lines": (A + b"\n \r\n" + B, A + b"\n \r\n" + B, None),
    "CRLF": (A[:-1] + b"\r\n" + B, A[:-1] + b"\r\n" + B, None),
    "not an object": (A + b"[]\n" + B, A + B, b"[]\n\n"),
    "no name": (A + b'{"id":"x"}\n' + B, A + B, b'{"id":"x"}\n\n'),
    "name is a number": (A + b'{"custom_id":1}\n', A, b'{"custom_id":1}\n\n'),
    "two values on a line": (A[:-1] + b" 1\n" + B, A + B, b" 1\n\n"),
    "zeros inside of a text": (
        A + B.replace(b"Hi", b"\0\0") + C,
        A + C,
        B.replace(b"Hi", b"\0\0") + b"\n",
    ),
    "text that is not UTF-8": (
        A + B.replace(b"Hi", b"\xff") + C,
        A + C,
        B.replace(b"Hi", b"\xff") + b"\n",
    ),
}


@pytest.mark.parametrize("block", [1 << 20, 64, 1])
@pytest.mark.parametrize(("before", "after", "kept"), FILES.values(), ids=FILES)
def test_what_cannot_be_read_is_cut_out(
    before: bytes, after: bytes, kept: bytes | None, block: int, tmp_path: Path
) -> None:
    with looking(block=block):
        found, content, damaged = recovered(before, tmp_path)
    assert content == after
    assert damaged == kept
    names = [name for line in after.splitlines() if (name := name_of(line))]
    assert found.lines == len(names)
    assert all(key_of(name) in found.keys for name in names)


# Far from the end what begins and ends as a line does is taken for one.
ONLY_SEEN_CLOSELY = {"line end lost", "half a line before a line", "text that is not UTF-8"}
FAR_FILES = {name: case for name, case in FILES.items() if name not in ONLY_SEEN_CLOSELY}


@pytest.mark.parametrize(("before", "after", "kept"), FAR_FILES.values(), ids=FAR_FILES)
def test_far_from_the_end_too(
    before: bytes, after: bytes, kept: bytes | None, tmp_path: Path
) -> None:
    # As if the file was longer by what is looked at closely.
    with looking(closely=-1):
        _, content, damaged = recovered(before, tmp_path)
    assert content == after
    assert damaged == kept


NAMES = {
    "ours": (A, b"a"),
    "spaces and another order": (b'{"id": 1, "custom_id": "a"}\r\n', b"a"),
    "escaped": (b'{"custom_id":"\\u00e4\\"\\\\","error":null}', 'ä"\\'.encode()),
    "other letters": ('{"custom_id":"ä"}'.encode(), "ä".encode()),
    "lone surrogate in an answer": (b'{"custom_id":"a","x":"\\ud83d"}', b"a"),
    "NaN": (b'{"custom_id":"a","x":NaN}', b"a"),
    "lone surrogate in the name": (b'{"custom_id":"\\ud83d"}', None),
    "too deep": (b'{"custom_id":"a","x":' + b"[" * 100_000, None),
    "nothing": (b"", None),
}


@pytest.mark.parametrize(("line", "name"), NAMES.values(), ids=NAMES)
def test_names_are_found_in_lines_of_any_form(line: bytes, name: bytes | None) -> None:
    assert name_of(line) == name


@pytest.mark.parametrize("closely", [-1, CLOSELY])
def test_names_are_the_same_however_closely_a_line_is_looked_at(
    closely: int, tmp_path: Path
) -> None:
    names = ["a", 'quote "', "back\\slash", "ä", "\u2028", "tab\t", "{}", " "]
    (tmp_path / "out").write_bytes(b"".join(map(line_of, names)))
    with looking(closely=closely):
        found = recover(tmp_path / "out", tmp_path / "damaged")
    assert [key_of(name.encode()) in found.keys for name in names] == [True] * len(names)
    assert found.lines == len(names)


def test_a_file_that_is_not_there_is_empty(tmp_path: Path) -> None:
    found = recover(tmp_path / "nowhere", tmp_path / "damaged")
    assert (found.lines, found.damaged, len(found.keys)) == (0, 0, 0)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_read_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(BatchFileError, match="can't be recovered: Is a directory"):
        recover(tmp_path, tmp_path / "damaged")


texts = st.text(max_size=20) | st.sampled_from(
    ['{"custom_id":"x"', '"error":null}', "\0", '\n{"custom_id":"y","error":null}\n', "\\"]
)

files = st.lists(texts, max_size=8).map(
    lambda texts: [line_of(f"name-{number}", text) for number, text in enumerate(texts)]
)

garbage = st.binary(max_size=30) | st.sampled_from([b"\n", b"\0" * 40, b'"error":null}\n'])


def apply(content: bytes, damage: tuple[str, int, int, bytes]) -> tuple[bytes, int, int]:
    """Return the damaged file and which part of the former one is not in it as it was."""
    kind, start, length, data = damage
    start = min(start, len(content))
    end = min(start + length, len(content))
    if kind == "truncated":
        return content[:start], start, len(content)
    if kind == "zeroed":
        return content[:start] + b"\0" * (end - start) + content[end:], start, end
    return content[:start] + data + content[end:], start, end


damages = st.tuples(
    st.sampled_from(["truncated", "zeroed", "replaced"]),
    st.integers(0, 600),
    st.integers(0, 300),
    garbage,
)


@settings(max_examples=300)
@given(files, damages, st.sampled_from([-1, 100, CLOSELY]), st.sampled_from([50, 1 << 20]))
@example([A, B], ("truncated", len(A + B) - 1, 0, b""), CLOSELY, 50)
@example([A, B], ("replaced", len(A) - 1, 1, b""), CLOSELY, 50)
def test_whole_lines_survive_any_damage(
    lines: list[bytes], damage: tuple[str, int, int, bytes], closely: int, block: int
) -> None:
    content, start, end = apply(b"".join(lines), damage)
    survivors: list[bytes] = []
    position = 0
    for line in lines:
        if position + len(line) <= start or position >= end:
            survivors.append(line)
        position += len(line)
    with tempfile.TemporaryDirectory() as folder, looking(closely=closely, block=block):
        found, after, _ = recovered(content, Path(folder))
    if closely == -1 and b"\n" in b"".join(lines)[start:end]:
        # Two lines that became one are seen only in the part that a crash can have damaged.
        return
    for line in survivors:
        assert key_of(json.loads(line)["custom_id"].encode()) in found.keys
    if closely == CLOSELY:
        check_lines(after)


def check_lines(content: bytes) -> None:
    """Make sure that a file has whole lines alone, and each name once."""
    assert content == b"" or content.endswith(b"\n")
    values: list[Any] = [json.loads(line) for line in content.split(b"\n") if line.strip()]
    names = [value["custom_id"] for value in values]
    assert len(names) == len(set(names))
