"""Parquet files as the input of a batch."""

import asyncio
import json
import sys
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from deepseek_async import BatchFileError, PreflightError
from deepseek_async.batch import read_results, split_requests
from deepseek_async.batch.entries import Entry
from deepseek_async.batch.parquet_source import ParquetRows
from deepseek_async.batch.source import open_source
from deepseek_async.simulator import Simulator

pyarrow: Any = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
parquet: Any = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")

ASKED = [{"role": "user", "content": "Why?"}]


def written(folder: Path, rows: list[Any]) -> Path:
    path = folder / "in.parquet"
    parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return path


async def entries(path: Path, transform: Any = None) -> list[Entry]:
    return [entry async for entry in open_source(path, transform)]


FORMS: dict[str, dict[str, Any]] = {
    "messages": {"custom_id": "a", "messages": ASKED, "max_tokens": 5},
    "messages as text": {"custom_id": "a", "messages": json.dumps(ASKED), "max_tokens": 5},
    "a request": {"custom_id": "a", "body": {"messages": ASKED, "max_tokens": 5}},
    "a request as text": {
        "custom_id": "a",
        "body": json.dumps({"messages": ASKED, "max_tokens": 5}),
        "url": "/v1/chat/completions",
    },
}


@pytest.mark.parametrize("row", FORMS.values(), ids=FORMS)
async def test_a_row_is_a_request_or_a_body(row: dict[str, Any], tmp_path: Path) -> None:
    (entry,) = await entries(written(tmp_path, [row]))
    assert (entry.custom_id, entry.bad, entry.where) == ("a", None, "in.parquet row 1")
    assert entry.body == {"messages": ASKED, "max_tokens": 5}


async def test_what_is_null_is_not_there(tmp_path: Path) -> None:
    rows = [
        {"messages": ASKED, "temperature": None},
        {"messages": [{"role": "user", "content": "Who?", "name": "Ann"}], "temperature": 0.5},
    ]
    first, second = await entries(written(tmp_path, rows))
    assert first.body == {"messages": ASKED}
    assert second.body["temperature"] == 0.5
    assert second.body["messages"][0]["name"] == "Ann"


async def test_a_row_that_is_no_request_says_so(tmp_path: Path) -> None:
    bad, broken = await entries(
        written(tmp_path, [{"text": "a", "body": None}, {"text": None, "body": "{"}])
    )
    assert bad.bad is not None
    assert bad.bad.startswith("in.parquet row 1: neither a request with a body")
    assert broken.bad == "in.parquet row 2: body must be an object, not '{'"


async def test_rows_can_be_made_into_requests(tmp_path: Path) -> None:
    def ask(row: dict[str, Any]) -> dict[str, Any]:
        return {"messages": [{"role": "user", "content": row["city"]}]}

    (entry,) = await entries(written(tmp_path, [{"city": "Oslo"}]), ask)
    assert entry.body["messages"][0]["content"] == "Oslo"


async def test_rows_are_counted_and_read_in_pieces(tmp_path: Path) -> None:
    rows = [{"custom_id": str(n), "messages": ASKED} for n in range(2_500)]
    source = open_source(written(tmp_path, rows))
    totals = [source.total]
    found = [(await anext(source)).custom_id]
    totals.append(source.total)
    assert totals == [None, 2_500]
    assert source.share == 1 / 2_500
    found += [entry.custom_id async for entry in source]
    assert found == [str(n) for n in range(2_500)]
    await source.aclose()
    with pytest.raises(StopAsyncIteration):
        await anext(source)


async def test_a_cancelled_read_skips_nothing(tmp_path: Path) -> None:
    path = written(tmp_path, [{"n": n} for n in range(3_000)])
    rows = ParquetRows(path)
    found: list[int] = []
    while True:
        reading = asyncio.ensure_future(anext(rows, None))
        await asyncio.sleep(0)
        reading.cancel()
        try:
            row = await reading
        except asyncio.CancelledError:
            row = await anext(rows, None)
        if row is None:
            break
        found.append(row["n"])
    assert found == list(range(3_000))
    await rows.aclose()


async def test_text_that_was_written_as_bytes_is_text(tmp_path: Path) -> None:
    row = {
        "custom_id": b"a",
        "messages": json.dumps(ASKED).encode(),
        "model": b"deepseek-flash",
        "user_id": b"\xff",
    }
    (entry,) = await entries(written(tmp_path, [row]))
    assert (entry.custom_id, entry.bad) == ("a", None)
    assert entry.body["messages"] == ASKED
    assert entry.body["model"] == "deepseek-flash"


@pytest.mark.parametrize("in_body", [False, True])
async def test_whole_numbers_are_whole_where_pandas_made_fractions_of_them(
    in_body: bool, tmp_path: Path
) -> None:
    fields = {"messages": json.dumps(ASKED), "temperature": 1.0}
    rows: list[dict[str, Any]] = [{**fields, "max_tokens": 5.0}, {**fields, "max_tokens": None}]
    found = await entries(written(tmp_path, [{"body": row} for row in rows] if in_body else rows))
    first, second = (entry.body for entry in found)
    assert json.dumps(first["max_tokens"]) == "5"
    assert json.dumps(first["temperature"]) == "1.0"
    assert first["messages"] == ASKED
    assert "max_tokens" not in second


async def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    path, size = tmp_path / "in.parquet", 16_000_000
    table = pyarrow.table({"text": ["x" * 1_000] * (size // 1_000)})
    parquet.write_table(table, path, row_group_size=1_000, compression="none", use_dictionary=False)
    del table
    before = most = pyarrow.total_allocated_bytes()
    rows = ParquetRows(path)
    async for _ in rows:
        most = max(most, pyarrow.total_allocated_bytes())
    await rows.aclose()
    assert rows.total == size // 1_000
    assert most - before < size // 2


async def test_bytes_are_bytes_for_those_who_map_them(tmp_path: Path) -> None:
    kinds: list[type] = []

    def ask(row: dict[str, Any]) -> dict[str, Any]:
        kinds.append(type(row["image"]))
        return {"messages": ASKED}

    await entries(written(tmp_path, [{"image": b"text"}, {"image": b"\xff"}]), ask)
    assert kinds == [bytes, bytes]


async def test_maps_decimals_and_uuids_are_what_they_mean(tmp_path: Path) -> None:
    name = UUID(int=7)
    columns = {
        "custom_id": pyarrow.array([name.bytes], pyarrow.uuid()),
        "messages": pyarrow.array([ASKED]),
        "response_format": pyarrow.array(
            [[("type", "text")]], pyarrow.map_(pyarrow.string(), pyarrow.string())
        ),
        "thinking": pyarrow.array(['{"type": "disabled"}']),
        "temperature": pyarrow.array([Decimal("0.7")]),
    }
    path, out = tmp_path / "in.parquet", tmp_path / "out.jsonl"
    parquet.write_table(pyarrow.table(columns), path)
    async with Simulator() as sim, sim.client() as client:
        async with client.batch(path, out=out, model="deepseek-flash") as job:
            await job.run()
        (request,) = sim.requests
    assert request.body is not None
    assert request.body["response_format"] == {"type": "text"}
    assert request.body["temperature"] == 0.7
    assert [result.custom_id for result in read_results(out)] == [str(name)]


async def test_a_file_is_not_closed_while_a_thread_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, go_on = threading.Event(), threading.Event()
    told: list[str] = []

    class Slow(parquet.ParquetFile):  # type: ignore[misc]  # pyarrow has no types
        def iter_batches(self, *args: Any, **options: Any) -> Any:
            reading.set()
            go_on.wait(10)
            yield from super().iter_batches(*args, **options)
            told.append("read")

        def close(self, force: bool = False) -> None:
            told.append("closed")
            super().close(force)

    monkeypatch.setattr(parquet, "ParquetFile", Slow)
    rows = ParquetRows(written(tmp_path, [{"n": 1}]))
    task = asyncio.ensure_future(anext(rows, None))
    while not reading.is_set():
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await rows.aclose()
    assert told == []
    go_on.set()
    while not told:
        await asyncio.sleep(0.01)
    assert told == ["closed"]
    assert await anext(rows, None) is None


async def test_a_file_closed_before_its_thread_began_stays_closed(tmp_path: Path) -> None:
    rows = ParquetRows(tmp_path / "missing.parquet")
    await rows.aclose()
    rows._fill()
    assert rows.total is None


async def test_what_is_no_parquet_file_is_a_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "in.parquet"
    with pytest.raises(BatchFileError, match=r"in\.parquet can't be read: No such file"):
        await entries(path)
    path.write_text("{}")
    with pytest.raises(BatchFileError, match=r"in\.parquet can't be read: "):
        await entries(path)


async def test_without_the_library_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, [{"messages": ASKED}])
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(BatchFileError, match=r"deepseek-async\[parquet\]"):
        await entries(path)


def test_it_can_not_be_cut_into_ranges_of_lines(tmp_path: Path) -> None:
    with pytest.raises(PreflightError, match="Parquet"):
        split_requests(tmp_path / "in.parquet")


async def test_a_batch_reads_it_and_goes_on_with_it(tmp_path: Path) -> None:
    rows = [{"custom_id": str(n), "messages": ASKED} for n in range(20)]
    path, out = written(tmp_path, rows), tmp_path / "out.jsonl"
    async with Simulator() as sim, sim.client() as client:
        for _ in range(2):
            async with client.batch(path, out=out, model="deepseek-flash") as job:
                await job.run()
        assert len(sim.requests) == 20
    assert {result.custom_id for result in read_results(out)} == {str(n) for n in range(20)}
