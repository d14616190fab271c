"""`batch.export`: results as a table."""

import csv
import io
import sys
import tracemalloc
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from deepseek_async.batch.export import COLUMNS, export_results
from deepseek_async.batch.records import LineError, encode_dead_letter, encode_result, response_of
from deepseek_async.errors import BatchFileError, PreflightError
from deepseek_async.pricing import PriceTable

# 2026-11-20T12:00Z, off-peak.
CREATED = 1_795_176_000


def completion(content: str | None = "Hi", **message: Any) -> dict[str, Any]:
    return {
        "id": "c1",
        "object": "chat.completion",
        "created": CREATED,
        "model": "deepseek-flash",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": content, **message},
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 1000,
            "completion_tokens": 100,
            "total_tokens": 1100,
            "prompt_cache_hit_tokens": 600,
            "prompt_cache_miss_tokens": 400,
        },
    }


def answered(custom_id: str, body: object) -> bytes:
    return encode_result(custom_id, response_of(200, "trace-1", msgspec.json.encode(body)))


def write(path: Path, *lines: bytes) -> Path:
    path.write_bytes(b"".join(lines))
    return path


def rows_of(file: Path, encoding: str = "utf-8-sig") -> list[dict[str, str]]:
    text = file.read_bytes().decode(encoding)
    return list(csv.DictReader(io.StringIO(text, newline="")))


CALL = {"id": "t1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
FIM = {
    "id": "f1",
    "object": "text_completion",
    "created": CREATED,
    "model": "deepseek-flash",
    "choices": [{"text": "return 1", "index": 0, "finish_reason": "length"}],
}


@pytest.fixture
def results(tmp_path: Path) -> Path:
    write(
        tmp_path / "out.errors.jsonl",
        encode_dead_letter(
            "bad",
            url="/v1/chat/completions",
            body={"messages": []},
            error=LineError("400", "Empty input messages"),
            response=response_of(400, "trace-2", b"{}"),
        ),
    )
    return write(
        tmp_path / "out.jsonl",
        answered("a", completion('Hello,\n"你好"', reasoning_content="Hm")),
        answered("b", completion(None, tool_calls=[CALL])),
        answered("c", FIM),
        answered("d", {**completion(), "choices": [], "usage": None, "model": "qwen"}),
    )


def test_a_row_says_what_became_of_a_request(results: Path) -> None:
    target = results.with_suffix(".csv")
    assert export_results(results, target) == 5
    one, two, three, four, five = rows_of(target)
    assert one == {
        "custom_id": "a",
        "status": "200",
        "content": 'Hello,\n"你好"',
        "reasoning_content": "Hm",
        "finish_reason": "stop",
        "model": "deepseek-flash",
        "prompt_tokens": "1000",
        "completion_tokens": "100",
        "cached_tokens": "600",
        "cost_usd": "0.0001218",
        "error": "",
        "tool_calls": "",
        "request_id": "trace-1",
    }
    assert tuple(one) == COLUMNS
    assert msgspec.json.decode(two["tool_calls"]) == [CALL]
    assert (three["content"], three["finish_reason"]) == ("return 1", "length")
    assert (four["model"], four["content"], four["cost_usd"]) == ("qwen", "", "")
    assert five["error"] == "400: Empty input messages"
    assert (five["custom_id"], five["status"], five["request_id"]) == ("bad", "400", "trace-2")


def test_failed_requests_can_be_left_out(results: Path) -> None:
    target = results.with_suffix(".csv")
    assert export_results(results, target, errors=False) == 4
    assert "bad" not in target.read_text(encoding="utf-8")


def test_a_batch_without_any_answer_has_failed_requests(results: Path) -> None:
    results.unlink()
    assert export_results(results, results.with_suffix(".csv")) == 1
    with pytest.raises(BatchFileError, match="can't be read"):
        export_results(results, results.with_suffix(".csv"), errors=False)


def test_flat_lines_of_json(results: Path) -> None:
    target = results.with_suffix(".NDJSON")
    assert export_results(results, target, prices=PriceTable({})) == 5
    lines = [msgspec.json.decode(line) for line in target.read_bytes().splitlines()]
    assert tuple(lines[0]) == COLUMNS
    assert (lines[0]["prompt_tokens"], lines[0]["cost_usd"]) == (1000, None)
    export_results(results, target)
    first = target.read_bytes().splitlines()[0]
    assert msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode(first)[
        "cost_usd"
    ] == Decimal("0.0001218")


REASONS: dict[str, tuple[object, object, str]] = {
    "a message": ({"code": None, "message": "gone"}, None, "gone"),
    "neither code nor message": ({"why": 1}, None, '{"why":1}'),
    "a text": ("gone", None, "gone"),
    "what the server said": (None, {"error": {"code": "x", "message": "no"}}, "x: no"),
    "what a gateway said": (None, "<html>", "<html>"),
    "something else": (None, {"detail": [1]}, '{"detail":[1]}'),
    "nothing": (None, None, "null"),
}


@pytest.mark.parametrize(("error", "body", "text"), REASONS.values(), ids=REASONS)
def test_the_reason_of_a_failure(tmp_path: Path, error: object, body: object, text: str) -> None:
    line = {
        "custom_id": "x",
        "response": {"status_code": 500, "request_id": None, "body": body},
        "error": error,
    }
    results = write(tmp_path / "out.jsonl", msgspec.json.encode(line) + b"\n")
    export_results(results, tmp_path / "out.csv")
    assert rows_of(tmp_path / "out.csv")[0]["error"] == text


FORMULAS = {
    "formula": ('=HYPERLINK("http://x")', True),
    "plus": ("+1+cmd|' /C calc'!A0", True),
    "minus": ("-1+2", True),
    "list": ("- first\n- second", True),
    "at": ("@SUM(1)", True),
    "tab": ("\t=1", True),
    "line end": ("\n=1", True),
    "negative number": ("-12.50", False),
    "positive number": ("+5", False),
    "text": ("1 = 1", False),
    "empty": ("", False),
}


@pytest.mark.parametrize(("content", "is_formula"), FORMULAS.values(), ids=FORMULAS)
def test_no_answer_is_run_by_a_spreadsheet(tmp_path: Path, content: str, is_formula: bool) -> None:
    results = write(tmp_path / "out.jsonl", answered("a", completion(content)))
    target = tmp_path / "out.csv"
    export_results(results, target)
    assert rows_of(target)[0]["content"] == ("'" + content if is_formula else content)
    assert target.read_bytes().startswith(b"\xef\xbb\xbfcustom_id,")
    export_results(results, target, raw=True)
    assert rows_of(target, "utf-8")[0]["content"] == content


def test_names_are_no_formulas_either(tmp_path: Path) -> None:
    results = write(tmp_path / "out.jsonl", answered("=1+1", completion()))
    export_results(results, tmp_path / "out.csv")
    assert rows_of(tmp_path / "out.csv")[0]["custom_id"] == "'=1+1"


def test_half_characters_are_replaced(tmp_path: Path) -> None:
    line = answered("a", completion("half: @")).replace(b"half: @", b"half: \\ud83d")
    results = write(tmp_path / "out.jsonl", line)
    for name in ("out.csv", "flat.jsonl"):
        export_results(results, tmp_path / name)
        assert "half: " in (tmp_path / name).read_text(encoding="utf-8")


def test_what_was_there_stays_if_writing_fails(results: Path, tmp_path: Path) -> None:
    target = write(tmp_path / "table.csv", b"old")
    results.unlink()
    with pytest.raises(BatchFileError):
        export_results(results, target, errors=False)
    assert target.read_bytes() == b"old"
    assert {path.name for path in tmp_path.iterdir()} == {"table.csv", "out.errors.jsonl"}


def test_wrong_targets_are_refused(results: Path, tmp_path: Path) -> None:
    with pytest.raises(PreflightError, match=r"ends in \.csv, \.jsonl or \.parquet, not 'x\.xls'"):
        export_results(results, "x.xls")
    before = results.read_bytes()
    for target in (results, results.parent / "." / "out.errors.jsonl"):
        with pytest.raises(PreflightError, match="is a file of the batch itself"):
            export_results(results, target)
    assert results.read_bytes() == before
    with pytest.raises(BatchFileError, match=r"table\.csv can't be written: No such file.*create"):
        export_results(results, tmp_path / "none" / "table.csv")


def test_without_pyarrow_it_says_what_to_do(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r'pip install "deepseek-async\[parquet\]"'):
        export_results(results, tmp_path / "out.parquet")
    assert {path.name for path in tmp_path.iterdir()} == {"out.jsonl", "out.errors.jsonl"}


def test_parquet(results: Path, tmp_path: Path) -> None:
    parquet: Any = pytest.importorskip("pyarrow.parquet")
    assert export_results(results, tmp_path / "out.parquet") == 5
    table = parquet.read_table(tmp_path / "out.parquet").to_pylist()
    export_results(results, tmp_path / "flat.jsonl")
    lines = (tmp_path / "flat.jsonl").read_bytes().splitlines()
    assert table == [msgspec.json.decode(line) for line in lines]


def test_parquet_in_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parquet: Any = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr("deepseek_async.batch.export._GROUP_ROWS", 2)
    names = ["a", "b", "c", "d", "e"]
    results = write(tmp_path / "out.jsonl", *(answered(name, completion()) for name in names))
    for count, groups in ((5, 3), (4, 2), (0, 0)):
        write(results, *(answered(name, completion()) for name in names[:count]))
        assert export_results(results, tmp_path / "out.parquet") == count
        file = parquet.ParquetFile(tmp_path / "out.parquet")
        assert file.num_row_groups == groups
        assert file.read().column("custom_id").to_pylist() == names[:count]


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    line = answered("a", completion("x" * 10_000))
    results = write(tmp_path / "out.jsonl", line * 2000)
    export_results(write(tmp_path / "warm.jsonl", line), tmp_path / "warm.csv")
    tracemalloc.start()
    try:
        assert export_results(results, tmp_path / "out.csv") == 2000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (tmp_path / "out.csv").stat().st_size > 20_000_000
    assert peak < 4_000_000
