"""What a job was started with: the same goes on, anything else is named."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from deepseek_async.batch.lock import FileLock
from deepseek_async.batch.meta import (
    InputFile,
    Meta,
    check_meta,
    read_meta,
    settings_of,
    write_meta,
)
from deepseek_async.batch.paths import BatchPaths
from deepseek_async.errors import BatchError, BatchFileError, BatchLockedError, BatchSettingsError


@pytest.fixture
def paths(tmp_path: Path) -> BatchPaths:
    found = BatchPaths.of(tmp_path / "answers.jsonl")
    found.results.write_bytes(b"{}\n")
    return found


def difference(paths: BatchPaths, old: dict[str, Any], new: dict[str, Any]) -> str:
    with pytest.raises(BatchSettingsError) as excinfo:
        check_meta(paths, Meta(settings=settings_of(old)), new, None, force=False)
    return str(excinfo.value)


def test_the_same_settings_go_on(paths: BatchPaths) -> None:
    settings = {"model": "m", "n": 1, "tools": [{"type": "function"}], "long": "x" * 1000}
    write_meta(paths.meta, Meta(settings=settings_of(settings)))
    old = read_meta(paths.meta, force=False)
    check_meta(paths, old, dict(reversed(settings.items())), None, force=False)


DIFFERENCES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "another value": ({"model": "a"}, {"model": "b"}, "model was 'a' and is 'b'"),
    "new": ({}, {"model": "b"}, "model was None and is 'b'"),
    "gone": ({"model": "a"}, {}, "model was 'a' and is None"),
    "two": ({"a": 1, "b": 2}, {"a": 2, "b": 3}, "a was 1 and is 2; b was 2 and is 3"),
    "long": ({"schema": "x" * 1000}, {"schema": "y" * 1000}, "schema has changed"),
}


@pytest.mark.parametrize(("old", "new", "told"), DIFFERENCES.values(), ids=DIFFERENCES)
def test_what_differs_is_named(
    old: dict[str, Any], new: dict[str, Any], told: str, paths: BatchPaths
) -> None:
    message = difference(paths, old, new)
    assert f"{paths.results} was begun with other settings: {told}. " in message
    assert "force=True" in message
    check_meta(paths, Meta(settings=settings_of(old)), new, None, force=True)


def test_long_settings_are_not_stored() -> None:
    assert len(json.dumps(settings_of({"schema": "x" * 1000}))) < 100


INPUTS = {
    "the same": (b"a\nb\n", b"a\nb\n", True),
    "grown": (b"a\nb\n", b"a\nb\nc\n", True),
    "shorter": (b"a\nb\n", b"a\n", False),
    "other": (b"a\nb\n", b"a\nc\n", False),
    "empty before": (b"", b"a\n", True),
    "grown beyond the beginning": (b"x" * 70_000, b"x" * 80_000, True),
    "other beginning of a large one": (b"x" * 70_000, b"y" + b"x" * 80_000, False),
}


@pytest.mark.parametrize(("before", "after", "goes_on"), INPUTS.values(), ids=INPUTS)
def test_an_input_file_may_have_moved_and_grown(
    before: bytes, after: bytes, goes_on: bool, paths: BatchPaths, tmp_path: Path
) -> None:
    (tmp_path / "in.jsonl").write_bytes(before)
    meta = Meta(input=InputFile.of(tmp_path / "in.jsonl"))
    (tmp_path / "moved.jsonl").write_bytes(after)
    if goes_on:
        check_meta(paths, meta, {}, tmp_path / "moved.jsonl", force=False)
        return
    with pytest.raises(BatchSettingsError, match=r"the input was in\.jsonl and is another file"):
        check_meta(paths, meta, {}, tmp_path / "moved.jsonl", force=False)


def test_an_input_that_is_gone_is_a_clear_error(paths: BatchPaths, tmp_path: Path) -> None:
    with pytest.raises(BatchFileError, match=r"in\.jsonl can't be read: No such file"):
        InputFile.of(tmp_path / "in.jsonl")
    meta = Meta(input=InputFile.of(paths.results))
    with pytest.raises(BatchFileError, match=r"in\.jsonl can't be read: No such file"):
        check_meta(paths, meta, {}, tmp_path / "in.jsonl", force=False)


@pytest.mark.parametrize("force", [False, True])
def test_files_of_a_newer_version_are_left_alone(force: bool, paths: BatchPaths) -> None:
    with pytest.raises(BatchSettingsError, match=r"newer version of deepseek_async \(format 2\)"):
        check_meta(paths, Meta(format=2), {}, None, force=force)


def test_fields_of_a_later_version_are_skipped(paths: BatchPaths) -> None:
    paths.meta.write_bytes(b'{"format":1,"later":[1],"settings":{"model":"m"}}')
    meta = read_meta(paths.meta, force=False)
    assert meta is not None
    assert meta.settings == {"model": "m"}


def test_a_meta_file_that_can_not_be_read_or_written_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "meta").mkdir()
    with pytest.raises(BatchFileError, match="meta can't be read: Is a directory"):
        read_meta(tmp_path / "meta", force=True)
    with pytest.raises(BatchFileError, match="meta can't be written"):
        write_meta(tmp_path / "meta", Meta())


# The lock.


def test_a_lock_can_be_taken_again_once_it_is_released(paths: BatchPaths) -> None:
    first, second = FileLock(paths.lock), FileLock(paths.lock)
    first.acquire(paths.results)
    with pytest.raises(BatchLockedError, match="wait for its end or choose another file"):
        second.acquire(paths.results)
    first.release()
    first.release()
    assert not paths.lock.exists()
    second.acquire(paths.results)
    second.release()


def test_a_lock_whose_file_was_removed_is_taken_anew(paths: BatchPaths) -> None:
    lock = FileLock(paths.lock)
    lock.acquire(paths.results)
    paths.lock.unlink()
    # Somebody removed the file of a lock that is held: nothing stops the next one.
    other = FileLock(paths.lock)
    other.acquire(paths.results)
    assert paths.lock.exists()
    other.release()
    lock.release()


def test_the_errors_of_a_batch_have_one_base() -> None:
    assert issubclass(BatchLockedError, BatchFileError)
    for error in (BatchFileError, BatchSettingsError):
        assert issubclass(error, BatchError)
        assert not error().retryable


def test_a_lock_that_the_system_does_not_give_is_a_clear_error(
    paths: BatchPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    fcntl = pytest.importorskip("fcntl")

    def refuse(*_: object) -> None:
        # Some network file systems.
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(BatchFileError, match=r"answers\.lock can't be locked: No locks available"):
        FileLock(paths.lock).acquire(paths.results)


def test_a_full_disk_leaves_a_lock_without_a_signature(
    paths: BatchPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    lock, other = FileLock(paths.lock), FileLock(paths.lock)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", refuse)
        lock.acquire(paths.results)
    with pytest.raises(BatchLockedError, match=r"writes to .*answers\.jsonl; wait"):
        other.acquire(paths.results)
    lock.release()
