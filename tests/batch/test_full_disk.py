"""A disk that is full: a clear error, nothing acknowledged lost, and going on later.

A limit to the size of files stands for it: the system then fails in the middle of a write, too.
"""

import errno
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deepseek_async.batch import files as files_module
from deepseek_async.batch import journal as journal_module
from deepseek_async.batch.damage import Span, repair_file
from deepseek_async.batch.files import AppendFile, replace_file
from deepseek_async.batch.journal_files import Durability
from deepseek_async.batch.recovery import recover
from deepseek_async.errors import BatchFileError
from tests.batch.files import Recorded, add, add_failures, files_in, names_in, result, until

resource = pytest.importorskip("resource")

LIMIT = 1 << 20

BIG = "x" * 10_000


@contextmanager
def full_disk() -> Generator[None]:
    """Let no file grow beyond the limit. Python ignores the signal that comes with it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def told() -> Recorded:
    return Recorded()


async def fill(told: Recorded, out: Path, durability: Durability, *, freed: bool) -> list[str]:
    """Add more than there is room for; return the names."""
    names = [f"{number}" for number in range(200)]
    journal = told.journal(out, durability=durability)
    await journal.open()
    with full_disk():
        for name in names:
            if name == "50":
                await journal.flush()
            journal.add(result(name, BIG), name)
        with pytest.raises(BatchFileError, match=r"File too large; .*ulimit") as excinfo:
            await journal.flush()
        assert excinfo.value.path == str(out)
        assert told.errors == [excinfo.value]
        # Until there is room again it takes what is finished, and writes nothing.
        add(journal, "later")
        with pytest.raises(BatchFileError):
            await journal.flush()
        assert names_in(out) == told.tokens == names[: len(told.tokens)]
        assert 0 < len(told.tokens) < len(names)
        if not freed:
            with pytest.raises(BatchFileError, match=r"\d+ finished requests could not be saved"):
                await journal.aclose()
            return names
    await journal.aclose()
    return [*names, "later"]


@pytest.mark.parametrize("durability", ["group", "each", "none"])
async def test_what_was_acknowledged_stays_and_a_new_run_goes_on(
    durability: Durability, told: Recorded, tmp_path: Path
) -> None:
    out = tmp_path / "answers.jsonl"
    names = await fill(told, out, durability, freed=False)
    assert names_in(out) == told.tokens
    assert files_in(tmp_path) == {"answers.jsonl", "answers.meta.json"}
    async with told.journal(out, durability=durability) as journal:
        assert journal.damaged == 0
        missing = [name for name in names if not journal.is_done(name)]
        assert missing == names[len(told.tokens) :]
        add(journal, *missing)
    assert names_in(out) == names == told.tokens


async def test_room_that_is_free_at_the_end_is_used(told: Recorded, tmp_path: Path) -> None:
    out = tmp_path / "answers.jsonl"
    names = await fill(told, out, "group", freed=True)
    assert names_in(out) == names
    assert told.tokens == names


async def test_dead_letters_are_saved_though_results_are_not(
    told: Recorded, tmp_path: Path
) -> None:
    out = tmp_path / "answers.jsonl"
    async with told.journal(out):
        pass
    with full_disk():
        journal = told.journal(out)
        await journal.open()
        journal.add(result("a", "x" * LIMIT), "a")
        add_failures(journal, "b")
        with pytest.raises(BatchFileError, match="1 finished requests could not be saved"):
            await journal.aclose()
    assert told.tokens == ["b"]
    assert names_in(out) == []
    assert names_in(tmp_path / "answers.errors.jsonl") == ["b"]


def test_a_file_can_not_be_replaced_by_half_of_one(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"before")
    with full_disk(), pytest.raises(OSError, match="File too large"):
        replace_file(path, [b"x" * LIMIT, b"x"])
    assert path.read_bytes() == b"before"
    assert files_in(tmp_path) == {"file"}


def test_a_file_that_can_not_be_repaired_is_as_it_was(tmp_path: Path) -> None:
    path, damaged = tmp_path / "out", tmp_path / "damaged"
    content = b"garbage\n" + result("a", "x" * LIMIT)
    path.write_bytes(content)
    with full_disk(), pytest.raises(BatchFileError, match="can't be recovered: File too large"):
        recover(path, damaged)
    assert path.read_bytes() == content
    assert recover(path, damaged).lines == 1


def put(file: AppendFile, lines: list[bytes]) -> None:
    file.write(lines)
    file.commit(sync=True)


def test_after_a_failed_sync_the_same_bytes_are_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The system forgets pages that it failed to write: a second sync would succeed for nothing.
    file = AppendFile(tmp_path / "out")
    put(file, [b"a\n"])
    sizes: list[int] = []

    def fail(descriptor: int) -> None:
        sizes.append(os.fstat(descriptor).st_size)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(files_module, "_sync", fail)
        with pytest.raises(BatchFileError, match="Input/output error"):
            put(file, [b"b\n"])
    assert sizes == [4]
    assert (tmp_path / "out").read_bytes() == b"a\n"
    put(file, [b"b\n"])
    file.close()
    assert (tmp_path / "out").read_bytes() == b"a\nb\n"


async def test_a_failed_sync_takes_back_what_was_written_before_it(
    told: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(journal_module, "_GROUP_SECONDS", 3600)
    out = tmp_path / "out"
    journal = told.journal(out)
    await journal.open()
    add(journal, "a")
    await until(lambda: names_in(out) == ["a"])
    add(journal, "b")
    await until(lambda: names_in(out) == ["a", "b"])
    add(journal, "c")
    with monkeypatch.context() as patch:
        patch.setattr(files_module, "_sync", fail)
        with pytest.raises(BatchFileError, match="Input/output error"):
            await journal.flush()
    assert names_in(out) == told.tokens == []
    await journal.aclose()
    assert names_in(out) == told.tokens == ["a", "b", "c"]


def test_a_rest_that_can_not_be_cut_at_once_is_cut_before_the_next_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = AppendFile(tmp_path / "out")
    put(file, [b"a\n"])

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(os, "ftruncate", fail)
        patch.setattr(files_module, "_sync", fail)
        for _ in range(2):
            with pytest.raises(BatchFileError, match="Input/output error"):
                put(file, [b"b\n"])
    put(file, [b"c\n"])
    file.close()
    assert (tmp_path / "out").read_bytes() == b"a\nc\n"


def test_a_file_that_can_not_be_opened_is_a_clear_error(tmp_path: Path) -> None:
    file = AppendFile(tmp_path)
    with pytest.raises(BatchFileError, match="Is a directory; name a file, not a directory"):
        file.open()
    with pytest.raises(BatchFileError, match="Is a directory"):
        put(file, [b"a\n"])
    file.close()


def test_a_file_whose_name_can_not_be_made_durable_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    file = AppendFile(tmp_path / "out")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(BatchFileError, match="Input/output error"):
            put(file, [b"a\n"])
    put(file, [b"b\n"])
    file.close()
    assert (tmp_path / "out").read_bytes() == b"b\n"


def test_a_file_that_shrinks_while_it_is_read_ends_the_repair(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"garbage\n" * 10)

    with path.open("rb") as file, pytest.raises(OSError, match="became shorter"):
        repair_file(path, tmp_path / "damaged", file, [Span(0, 500)], [])
    assert path.read_bytes() == b"garbage\n" * 10
