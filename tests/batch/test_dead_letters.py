"""The file of failed requests: what it lists has failed, and is listed once."""

from pathlib import Path

import pytest

from deepseek_async.batch.dead_letters import tidy
from deepseek_async.batch.records import INVALID_INPUT
from deepseek_async.batch.seen import key_of
from deepseek_async.errors import BatchFileError
from tests.batch.files import failure, names_in


def is_answered(key: int) -> bool:
    return key == key_of(b"answered")


def tidied(folder: Path, *lines: bytes, drop_invalid: bool = False) -> tuple[list[str], set[str]]:
    """Return what is listed then, and which of it is said to have been sent."""
    path = folder / "errors.jsonl"
    path.write_bytes(b"".join(lines))
    letters = tidy(path, is_answered, drop_invalid=drop_invalid)
    names = names_in(path)
    assert letters.lines == len(names)
    return names, {name for name in names if key_of(name.encode()) in letters.keys}


def test_what_was_answered_is_left_out(tmp_path: Path) -> None:
    names, sent = tidied(tmp_path, failure("a"), failure("answered"), failure("b"))
    assert names == ["a", "b"]
    assert sent == {"a", "b"}


def test_the_last_failure_of_a_request_counts(tmp_path: Path) -> None:
    names, _ = tidied(tmp_path, failure("a", "429"), failure("b"), failure("a", "500"))
    assert names == ["b", "a"]
    assert b"429" not in (tmp_path / "errors.jsonl").read_bytes()


@pytest.mark.parametrize("drop_invalid", [False, True])
def test_what_was_never_sent_is_no_failure(drop_invalid: bool, tmp_path: Path) -> None:
    lines = failure("a"), failure("unreadable", INVALID_INPUT)
    names, sent = tidied(tmp_path, *lines, drop_invalid=drop_invalid)
    assert names == (["a"] if drop_invalid else ["a", "unreadable"])
    assert sent == {"a"}


ODD_LINES = {
    "error is text": b'{"custom_id":"a","error":"failed"}\n',
    "no error": b'{"custom_id":"a"}\n',
    "lone surrogate": b'{"custom_id":"a","error":{"code":"\\ud83d"}}\n',
}


@pytest.mark.parametrize("line", ODD_LINES.values(), ids=ODD_LINES)
def test_lines_of_other_programs_are_kept(line: bytes, tmp_path: Path) -> None:
    assert tidied(tmp_path, line) == (["a"], {"a"})
    assert (tmp_path / "errors.jsonl").read_bytes() == line


def test_a_file_without_anything_to_leave_out_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "errors.jsonl"
    path.write_bytes(failure("a"))
    before = path.stat().st_ino
    tidy(path, is_answered, drop_invalid=True)
    assert path.stat().st_ino == before


def test_no_file_is_no_failure(tmp_path: Path) -> None:
    letters = tidy(tmp_path / "errors.jsonl", is_answered, drop_invalid=True)
    assert (letters.lines, len(letters.keys)) == (0, 0)


def test_a_file_that_can_not_be_read_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(BatchFileError, match="Is a directory"):
        tidy(tmp_path, is_answered, drop_invalid=True)
