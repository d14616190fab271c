"""A file cut into parts: nothing lost, names and beginnings together, the same way each time."""

import asyncio
import json
import os
import pickle
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepseek_async import BatchFileError, PreflightError
from deepseek_async.batch.merging import merge_shards
from deepseek_async.batch.shard import run_shard
from deepseek_async.batch.shard_parts import ShardPart, split_requests
from deepseek_async.simulator import Simulator

from .shard_items import asked, item, settings_for


def write(path: Path, lines: Sequence[object]) -> Path:
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("".join(f"{text}\n" for text in texts))
    return path


def read(part: ShardPart) -> list[Any]:
    async def collect() -> list[Any]:
        return [each async for each in part]

    return asyncio.run(collect())


def names(parts: Sequence[ShardPart]) -> list[list[str]]:
    return [[each["custom_id"] for each in read(part)] for part in parts]


def long(name: str, *texts: str) -> dict[str, Any]:
    """An item whose messages are long enough to be kept together with others."""
    messages = [{"role": "user", "content": text * 400} for text in texts]
    return {"custom_id": name, "body": {"messages": messages}}


def test_short_requests_stay_in_their_order(tmp_path: Path) -> None:
    path = write(tmp_path / "in.jsonl", [item(f"{number}") for number in range(7)])
    parts = split_requests(path, size=3)
    assert [len(part) for part in parts] == [3, 3, 1]
    assert names(parts) == [["0", "1", "2"], ["3", "4", "5"], ["6"]]
    assert pickle.loads(pickle.dumps(parts)) == parts == split_requests(path, size=3)


def test_what_begins_alike_is_kept_together(tmp_path: Path) -> None:
    lines = [
        long(f"{kind}{number}", kind * 10, f"{number}") for number in range(3) for kind in "ab"
    ]
    parts = split_requests(write(tmp_path / "in.jsonl", lines), size=3)
    assert names(parts) == [["a0", "a1", "a2"], ["b0", "b1", "b2"]]


def test_a_group_is_not_torn_apart_for_the_sake_of_a_few(tmp_path: Path) -> None:
    lines = [
        *(item(f"{number}") for number in range(6)),
        *(long(f"a{n}", "aaaa") for n in range(6)),
    ]
    parts = split_requests(write(tmp_path / "in.jsonl", lines), size=10)
    assert [len(part) for part in parts] == [6, 6]


def test_within_a_group_longer_beginnings_are_kept_together(tmp_path: Path) -> None:
    system, documents = "s" * 10, {kind: kind * 40 for kind in "ab"}
    lines = [
        long(f"{kind}{number}", system, documents[kind], f"{number}")
        for number in range(4)
        for kind in "ab"
    ]
    parts = split_requests(write(tmp_path / "in.jsonl", lines), size=4)
    assert names(parts) == [["a0", "a1", "a2", "a3"], ["b0", "b1", "b2", "b3"]]


def test_one_name_is_in_one_part(tmp_path: Path) -> None:
    bare = item("")["body"]
    lines = [item("same", "1"), bare, *(item(f"{n}") for n in range(4)), item("same", "2"), bare]
    parts = split_requests(write(tmp_path / "in.jsonl", lines), size=2)
    found = [read(part) for part in parts]
    assert [sum(each.get("custom_id") == "same" for each in part) for part in found] == [2, 0, 0, 0]
    assert [sum("custom_id" not in each for each in part) for part in found] == [0, 2, 0, 0]


def test_a_part_has_no_more_bytes_than_it_may(tmp_path: Path) -> None:
    path = write(tmp_path / "in.jsonl", [long(f"{number}", f"{number}") for number in range(6)])
    longest = max(map(len, path.read_bytes().splitlines(keepends=True)))
    parts = split_requests(path, max_bytes=2 * longest)
    assert [len(part) for part in parts] == [2, 2, 2]
    assert [len(part) for part in split_requests(path, max_bytes=1)] == [1] * 6


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=40), st.integers(1, 9))
def test_each_line_is_in_one_part(
    tmp_path_factory: pytest.TempPathFactory, kinds: list[tuple[int, int]], size: int
) -> None:
    lines: list[object] = [
        ("" if name == 0 else "{broken" if name == 1 else long(f"{name}", f"{begins}" * 3))
        for name, begins in kinds
    ]
    path = write(tmp_path_factory.mktemp("parts") / "in.jsonl", lines)
    parts = split_requests(path, size=size)
    found = Counter(
        json.dumps(each) if isinstance(each, dict) else "" for part in parts for each in read(part)
    )
    wanted = Counter(
        line if isinstance(line, str) else json.dumps(line) for line in lines if line != ""
    )
    wanted[""] = wanted.pop("{broken", 0)
    assert found == +wanted
    owners: dict[str, set[int]] = {}
    for number, part in enumerate(parts):
        for each in read(part):
            if isinstance(each, dict):
                owners.setdefault(each["custom_id"], set()).add(number)
    assert all(len(where) == 1 for where in owners.values())


async def test_shards_find_what_a_single_job_would(tmp_path: Path) -> None:
    bare = item("")["body"]
    lines = [
        *(item(f"{number}") for number in range(6)),
        item("0"),  # the same request twice
        item("1", "another text"),  # two requests with one name
        bare,
        bare,
        "{broken",
        {"custom_id": "2", "body": []},  # a name that another line has, which can be sent
        {"custom_id": "3", "body": item("")["body"], "method": "GET"},
    ]
    source = write(tmp_path / "in.jsonl", lines)
    async with Simulator() as sim:
        settings = settings_for(sim)
        async with sim.client(trust_env=False) as client:
            out = tmp_path / "single.jsonl"
            single = await client.batch(source, model="deepseek-flash", out=out).run()
        sim.reset()
        reports = [
            await run_shard(part, tmp_path / "shards", number, settings=settings)
            for number, part in enumerate(split_requests(source, size=3))
        ]
        sent = asked(sim)
    counts = ("total", "succeeded", "failed", "duplicates", "requests")
    assert {name: sum(getattr(each, name) for each in reports) for name in counts} == {
        name: getattr(single, name) for name in counts
    }
    assert set((sent - Counter({"": 1})).values()) == {1}
    merged = merge_shards(tmp_path / "shards", shards=range(len(reports)))
    assert (merged.answered, merged.failed) == (single.succeeded, single.failed)
    broken = [path.read_text() for path in (tmp_path / "shards").glob("*.errors.jsonl")]
    assert any("line 11 of in.jsonl (" in text for text in broken)


async def test_bad_lines_are_told_apart_however_long_the_name_of_the_file(tmp_path: Path) -> None:
    source = write(tmp_path / f"{'a' * 200}.jsonl", [item("0"), "{one", item("1"), "{two"])
    async with Simulator() as sim:
        settings = settings_for(sim)
        for number, part in enumerate(split_requests(source, size=2)):
            await run_shard(part, tmp_path / "shards", number, settings=settings)
    assert merge_shards(tmp_path / "shards", shards=range(2)).failed == 2


def test_a_file_that_has_changed_is_not_read(tmp_path: Path) -> None:
    path = write(tmp_path / "in.jsonl", [item("0"), item("1")])
    (part,) = split_requests(path)
    path.write_text(json.dumps(item("2")) + "\n")
    with pytest.raises(BatchFileError, match="has changed since it was cut"):
        read(part)
    path.unlink()
    with pytest.raises(BatchFileError, match=r"in\.jsonl can't be read"):
        read(part)
    with pytest.raises(BatchFileError, match=r"in\.jsonl can't be read"):
        split_requests(path)


def test_another_content_is_another_cut(tmp_path: Path) -> None:
    one, other = (write(tmp_path / name, [item(name)]) for name in ("a", "b"))
    assert split_requests(one)[0].cut != split_requests(other)[0].cut
    assert split_requests(one)[0].cut != split_requests(one, size=7)[0].cut
    moved = tmp_path / "moved"
    os.rename(one, moved)
    assert split_requests(moved)[0].cut == split_requests(write(one, [item("a")]))[0].cut


def test_what_can_not_be_cut(tmp_path: Path) -> None:
    path = write(tmp_path / "in.jsonl", [])
    assert split_requests(path) == []
    with pytest.raises(PreflightError, match="must be above 0"):
        split_requests(path, size=0)
    # Its length says nothing: it would be cut into no parts at all.
    with pytest.raises(PreflightError, match="is not a regular file"):
        split_requests(os.devnull)
    path.write_text("a", "utf-16")
    with pytest.raises(BatchFileError, match="UTF-16"):
        split_requests(path)


def test_python_s_own_json_is_read(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    lone = json.dumps(item("lone", "\ud800"))
    path.write_bytes(b"\xef\xbb\xbf" + lone.encode() + b"\n\n" + json.dumps(item("last")).encode())
    (part,) = split_requests(path)
    assert [each["custom_id"] for each in read(part)] == ["lone", "last"]
