"""The journal: what it acknowledges is in its files, in all of their states."""

import asyncio
import os
import stat
import sys
from pathlib import Path

import pytest

from deepseek_async.batch import files as files_module
from deepseek_async.batch import journal as journal_module
from deepseek_async.batch.journal_files import Durability
from deepseek_async.batch.records import INVALID_INPUT
from deepseek_async.errors import BatchFileError, BatchLockedError, BatchSettingsError
from tests.batch.files import (
    Recorded,
    add,
    add_failures,
    failure,
    files_in,
    names_in,
    result,
    until,
)


@pytest.fixture
def told() -> Recorded:
    return Recorded()


@pytest.mark.parametrize("durability", ["group", "each", "none"])
async def test_what_is_acknowledged_is_in_the_files(
    durability: Durability, told: Recorded, tmp_path: Path
) -> None:
    out = tmp_path / "answers.jsonl"
    in_files: list[bool] = []

    def on_durable(tokens: list[str]) -> None:
        there = {*names_in(out), *names_in(tmp_path / "answers.errors.jsonl")}
        in_files.append(set(tokens) <= there)
        told.tokens.extend(tokens)

    async with told.journal(out, durability=durability, on_durable=on_durable) as journal:
        for number in range(50):
            add(journal, f"a{number}")
            add_failures(journal, f"b{number}")
            await asyncio.sleep(0)
        assert (journal.results, journal.failures) == (50, 50)
    assert all(in_files)
    assert sorted(told.tokens) == sorted(f"{kind}{n}" for kind in "ab" for n in range(50))
    assert names_in(out) == [f"a{number}" for number in range(50)]
    assert names_in(tmp_path / "answers.errors.jsonl") == [f"b{number}" for number in range(50)]


async def test_nothing_is_acknowledged_at_once(told: Recorded, tmp_path: Path) -> None:
    async with told.journal(tmp_path / "out", durability="each") as journal:
        add(journal, "a")
        assert told.tokens == []
        await journal.flush()
        assert told.tokens == ["a"]


async def test_a_group_is_written_when_its_time_has_come(told: Recorded, tmp_path: Path) -> None:
    acknowledged = asyncio.Event()

    def on_durable(tokens: list[str]) -> None:
        told.tokens.extend(tokens)
        acknowledged.set()

    async with told.journal(tmp_path / "out", on_durable=on_durable) as journal:
        add(journal, "a", "b")
        await acknowledged.wait()
        assert told.tokens == ["a", "b"]
        acknowledged.clear()
        add(journal, "c")
        await acknowledged.wait()
    assert told.tokens == ["a", "b", "c"]


async def test_what_is_not_committed_yet_survives_the_process(
    told: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "_GROUP_SECONDS", 3600)
    out = tmp_path / "out"
    async with told.journal(out) as journal:
        add(journal, "a")
        await until(lambda: names_in(out) == ["a"])
        add(journal, "b")
        await until(lambda: names_in(out) == ["a", "b"])
        add_failures(journal, "c")
        await until(lambda: names_in(tmp_path / "out.errors.jsonl") == ["c"])
        assert told.tokens == []
    assert sorted(told.tokens) == ["a", "b", "c"]
    assert names_in(out) == ["a", "b"]


async def test_what_was_written_is_committed_although_nothing_more_comes(
    told: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "_GROUP_SECONDS", 0.1)
    monkeypatch.setattr(journal_module, "_WRITE_SECONDS", 0.001)
    async with told.journal(tmp_path / "out") as journal:
        add(journal, "a")
        await until(lambda: told.tokens == ["a"])
        add(journal, "b")
        await until(lambda: told.tokens == ["a", "b"])


@pytest.mark.parametrize(("count", "size"), [(1_000, 1), (2, 1 << 20)])
async def test_a_full_group_does_not_wait(
    count: int, size: int, told: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "_GROUP_SECONDS", 3600)
    acknowledged = asyncio.Event()

    def on_durable(tokens: list[str]) -> None:
        told.tokens.extend(tokens)
        if len(told.tokens) == count:
            acknowledged.set()

    async with told.journal(tmp_path / "out", on_durable=on_durable) as journal:
        for number in range(count):
            journal.add(result(f"{number}", "x" * size), f"{number}")
        # What gathered during the first write may wait for the next group.
        await asyncio.wait([asyncio.ensure_future(journal.flush())])
        await acknowledged.wait()


async def test_room_waits_for_the_disk(
    told: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "_ROOM", 1000)
    async with told.journal(tmp_path / "out") as journal:
        await journal.room()
        journal.add(result("a", "x" * 1000), "a")
        await journal.room()
        assert told.tokens == ["a"]


async def test_a_job_goes_on_where_it_stopped(told: Recorded, tmp_path: Path) -> None:
    out = tmp_path / "answers.jsonl"
    async with told.journal(out) as journal:
        add(journal, "a", "ä")
        add_failures(journal, "c")
    async with told.journal(out) as journal:
        assert (journal.results, journal.failures, journal.damaged) == (2, 1, 0)
        assert [journal.is_done(name) for name in ("a", "ä", "c", "d")] == [
            True,
            True,
            False,
            False,
        ]
        assert [journal.is_failed(name) for name in ("a", "c", "d")] == [False, True, False]
        add(journal, "d")
    assert names_in(out) == ["a", "ä", "d"]
    assert files_in(tmp_path) == {"answers.jsonl", "answers.errors.jsonl", "answers.meta.json"}


async def test_the_other_files_are_named_after_the_results(told: Recorded, tmp_path: Path) -> None:
    out = tmp_path / "answers.txt"
    async with told.journal(out) as journal:
        add_failures(journal, "a")
        await journal.flush()
        assert files_in(tmp_path) == {
            "answers.txt",
            "answers.txt.errors.jsonl",
            "answers.txt.meta.json",
            "answers.txt.lock",
        }


async def test_results_behind_a_symbolic_link_stay_there(told: Recorded, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    link = tmp_path / "answers.jsonl"
    link.symlink_to(tmp_path / "disk" / "real.jsonl")
    async with told.journal(link) as journal:
        add(journal, "a")
    assert link.is_symlink()
    assert names_in(tmp_path / "disk" / "real.jsonl") == ["a"]


async def test_a_damaged_file_is_made_whole(told: Recorded, tmp_path: Path) -> None:
    out = tmp_path / "answers.jsonl"
    async with told.journal(out) as journal:
        add(journal, "a", "b")
        add_failures(journal, "c")
    out.write_bytes(b"garbage\n" + out.read_bytes() + b'{"custom_id":"d","id"')
    (tmp_path / "answers.errors.jsonl").write_bytes(b"more\n" + failure("c") + b"\0\0")
    async with told.journal(out) as journal:
        assert journal.is_done("b")
        assert journal.is_failed("c")
        assert not journal.is_done("d")
        assert journal.damaged > 0
        add(journal, "d")
    assert names_in(out) == ["a", "b", "d"]
    assert names_in(tmp_path / "answers.errors.jsonl") == ["c"]
    assert (tmp_path / "answers.damaged").read_bytes() == b"garbage\n\nmore\n\n"


async def test_what_a_killed_process_began_to_write_anew_is_removed(
    told: Recorded, tmp_path: Path
) -> None:
    out = tmp_path / "answers.jsonl"
    (tmp_path / "answers.jsonl.tmp").write_bytes(b"half")
    (tmp_path / "answers.errors.jsonl.tmp").write_bytes(b"half")
    async with told.journal(out):
        pass
    assert files_in(tmp_path) == {"answers.jsonl", "answers.meta.json"}


# Retries.


async def test_a_retried_request_is_no_failure_any_more(told: Recorded, tmp_path: Path) -> None:
    out = tmp_path / "answers.jsonl"
    errors = tmp_path / "answers.errors.jsonl"
    async with told.journal(out) as journal:
        add_failures(journal, "a", "b", "c")
    async with told.journal(out, retry=True) as journal:
        assert not journal.is_failed("a")
        add(journal, "a")
        add_failures(journal, "b", code="500")
        await journal.flush()
        # Whatever happens now, each of them is still in one of the files.
        assert set(names_in(out) + names_in(errors)) == {"a", "b", "c"}
    assert names_in(out) == ["a"]
    assert names_in(errors) == ["c", "b"]
    assert b'"500"' in errors.read_bytes()
    async with told.journal(out) as journal:
        assert (journal.results, journal.failures) == (1, 2)
        assert [journal.is_failed(name) for name in "abc"] == [False, True, True]


async def test_a_killed_retry_leaves_no_failure_of_what_it_answered(
    told: Recorded, tmp_path: Path
) -> None:
    out = tmp_path / "answers.jsonl"
    async with told.journal(out):
        pass
    out.write_bytes(result("a"))
    (tmp_path / "answers.errors.jsonl").write_bytes(failure("a") + failure("b") + failure("b"))
    async with told.journal(out) as journal:
        assert names_in(tmp_path / "answers.errors.jsonl") == ["b"]
        assert journal.failures == 1


async def test_input_that_could_not_be_read_is_looked_at_anew(
    told: Recorded, tmp_path: Path
) -> None:
    out = tmp_path / "answers.jsonl"
    errors = tmp_path / "answers.errors.jsonl"
    async with told.journal(out) as journal:
        add_failures(journal, "bad", code=INVALID_INPUT)
        add_failures(journal, "sent")
    async with told.journal(out, retry=True) as journal:
        assert names_in(errors) == ["bad", "sent"]
        assert journal.failures == 2
    async with told.journal(out) as journal:
        assert not journal.is_failed("bad")
        assert names_in(errors) == ["sent"]


# Who may write.


async def test_a_second_job_is_refused(told: Recorded, tmp_path: Path) -> None:
    out = tmp_path / "answers.jsonl"
    async with told.journal(out) as journal:
        with pytest.raises(BatchLockedError, match=rf"process {os.getpid()} on ") as excinfo:
            async with told.journal(out):
                pass
        assert excinfo.value.path == str(out)
        add(journal, "a")
    async with told.journal(out) as journal:
        assert journal.is_done("a")


async def test_the_lock_of_a_killed_job_is_free(told: Recorded, tmp_path: Path) -> None:
    (tmp_path / "answers.lock").write_text("process 1 on nowhere\n")
    async with told.journal(tmp_path / "answers.jsonl"):
        assert str(os.getpid()) in (tmp_path / "answers.lock").read_text()


async def test_other_settings_are_refused_by_name(told: Recorded, tmp_path: Path) -> None:
    out = tmp_path / "answers.jsonl"
    async with told.journal(out) as journal:
        add(journal, "a")
    other = {"model": "deepseek-v4-pro", "response_model": None}
    with pytest.raises(BatchSettingsError) as excinfo:
        async with told.journal(out, settings=other):
            pass
    assert "model was 'deepseek-flash' and is 'deepseek-v4-pro'" in str(excinfo.value)
    assert "force=True" in str(excinfo.value)
    async with told.journal(out, settings=other, force=True) as journal:
        assert journal.is_done("a")
    async with told.journal(out, settings=other) as journal:
        assert journal.is_done("a")


async def test_a_file_of_something_else_is_left_alone(told: Recorded, tmp_path: Path) -> None:
    out = tmp_path / "thesis.txt"
    out.write_text("Chapter 1\n")
    with pytest.raises(BatchSettingsError, match="nothing beside it says that a batch wrote it"):
        async with told.journal(out):
            pass
    assert out.read_text() == "Chapter 1\n"
    assert files_in(tmp_path) == {"thesis.txt"}


async def test_results_of_others_can_be_continued(told: Recorded, tmp_path: Path) -> None:
    out = tmp_path / "answers.jsonl"
    out.write_bytes(b'{"id": "1", "custom_id": "a", "response": {}, "error": null}\n')
    async with told.journal(out, force=True) as journal:
        assert journal.is_done("a")


# What can't be written.


async def test_a_directory_that_is_not_there_is_a_clear_error(
    told: Recorded, tmp_path: Path
) -> None:
    out = tmp_path / "nowhere" / "answers.jsonl"
    with pytest.raises(BatchFileError, match="No such file or directory; create the directory"):
        async with told.journal(out):
            pass


async def test_a_directory_in_place_of_the_file_is_a_clear_error(
    told: Recorded, tmp_path: Path
) -> None:
    with pytest.raises(BatchFileError, match="is not a regular file"):
        async with told.journal(tmp_path):
            pass


@pytest.fixture
def forbidden(tmp_path: Path) -> Path:
    """A directory that this user may not write to."""
    if os.geteuid() == 0:
        # There is none but this for root.
        return Path("/sys")
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    return tmp_path


@pytest.mark.skipif(sys.platform != "linux", reason="needs a directory that root can't write to")
async def test_a_directory_without_permission_is_a_clear_error(
    told: Recorded, forbidden: Path
) -> None:
    with pytest.raises(BatchFileError, match="denied; choose a directory that you may write to"):
        async with told.journal(forbidden / "answers.jsonl"):
            pass


@pytest.mark.parametrize("name", ["errors.jsonl", "jsonl.tmp", "meta.json", "lock"])
async def test_a_directory_in_place_of_another_file_is_a_clear_error(
    name: str, told: Recorded, tmp_path: Path
) -> None:
    (tmp_path / f"answers.{name}").mkdir()
    for _ in range(2):
        # The first failure has released the lock.
        with pytest.raises(BatchFileError, match=r"[Dd]irectory"):
            async with told.journal(tmp_path / "answers.jsonl"):
                pass


async def test_a_damaged_meta_file_is_a_clear_error(told: Recorded, tmp_path: Path) -> None:
    out = tmp_path / "answers.jsonl"
    async with told.journal(out) as journal:
        add(journal, "a")
    (tmp_path / "answers.meta.json").write_bytes(b"\0\0")
    with pytest.raises(BatchFileError, match=r"answers\.meta\.json.* is damaged.*force=True"):
        async with told.journal(out):
            pass
    async with told.journal(out, force=True) as journal:
        assert journal.is_done("a")


# Cancellation and use out of turn.


async def test_a_journal_that_is_not_open_takes_nothing(told: Recorded, tmp_path: Path) -> None:
    journal = told.journal(tmp_path / "out")
    with pytest.raises(RuntimeError, match="not open"):
        add(journal, "a")
    await journal.aclose()
    async with journal:
        pass
    with pytest.raises(RuntimeError, match="not open"):
        add(journal, "a")
    await journal.aclose()
    assert told.tokens == []


@pytest.mark.parametrize("turns", range(4))
async def test_a_cancelled_opening_leaves_no_lock(
    turns: int, told: Recorded, tmp_path: Path
) -> None:
    journal = told.journal(tmp_path / "out")
    task = asyncio.create_task(journal.open())
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        # It was open before the cancellation came.
        await journal.aclose()
    async with told.journal(tmp_path / "out"):
        pass


@pytest.mark.parametrize("turns", range(5))
async def test_a_cancelled_close_loses_nothing(turns: int, told: Recorded, tmp_path: Path) -> None:
    journal = told.journal(tmp_path / "out")
    await journal.open()
    names = [f"{number}" for number in range(2000)]
    add(journal, *names)
    add_failures(journal, "failed")
    task = asyncio.create_task(journal.aclose())
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    # A close that was cancelled before it began is asked for again, as `async with` does.
    await journal.aclose()
    assert names_in(tmp_path / "out") == names
    assert sorted(told.tokens) == sorted([*names, "failed"])
    assert not (tmp_path / "out.lock").exists()


@pytest.mark.parametrize("method", ["room", "flush"])
async def test_a_cancelled_wait_loses_nothing(
    method: str, told: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "_ROOM", 0)
    async with told.journal(tmp_path / "out") as journal:
        for number in range(20):
            add(journal, f"{number}")
            task = asyncio.create_task(getattr(journal, method)())
            for _ in range(number % 4):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
    assert names_in(tmp_path / "out") == [f"{number}" for number in range(20)]
    assert told.tokens == [f"{number}" for number in range(20)]


async def test_a_journal_is_opened_once(told: Recorded, tmp_path: Path) -> None:
    async with told.journal(tmp_path / "out") as journal:
        with pytest.raises(RuntimeError, match="opened once"):
            await journal.open()
    with pytest.raises(RuntimeError, match="opened once"):
        await journal.open()


async def test_who_waits_while_it_is_closed_sees_the_end(told: Recorded, tmp_path: Path) -> None:
    journal = told.journal(tmp_path / "out")
    await journal.open()
    add(journal, "a")
    waiting = [asyncio.create_task(journal.flush()) for _ in range(3)]
    await asyncio.sleep(0)
    add(journal, "b")
    waiting.append(asyncio.create_task(journal.flush()))
    await asyncio.gather(journal.aclose(), *waiting)
    assert told.tokens == ["a", "b"]


@pytest.mark.parametrize("name", ["write_all", "_sync"])
async def test_a_failure_of_another_kind_leaves_nobody_waiting(
    name: str, told: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> int:
        raise MemoryError("too large")

    journal = told.journal(tmp_path / "out")
    await journal.open()
    with monkeypatch.context() as patch:
        patch.setattr(files_module, name, fail)
        add(journal, "a")
        with pytest.raises(BatchFileError, match="failed with MemoryError: too large") as excinfo:
            await journal.flush()
        assert isinstance(excinfo.value.__cause__, MemoryError)
    await journal.aclose()
    assert names_in(tmp_path / "out") == told.tokens == ["a"]


def test_a_loop_that_ends_without_closing_writes_what_it_had_begun(
    told: Recorded, tmp_path: Path
) -> None:
    async def run() -> None:
        journal = told.journal(tmp_path / "out", durability="each")
        await journal.open()
        add(journal, "a")
        close = asyncio.create_task(journal.aclose())
        await asyncio.sleep(0)
        close.cancel()

    asyncio.run(run())

    async def look() -> None:
        while True:
            try:
                async with told.journal(tmp_path / "out", durability="each") as journal:
                    assert journal.is_done("a")
                    return
            except BatchLockedError:
                await asyncio.sleep(0.001)

    asyncio.run(look())
