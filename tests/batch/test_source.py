"""The input of a batch: files and iterables, with names that stay the same."""

import asyncio
import json
import os
import random
from collections.abc import AsyncIterator, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepseek_async.batch.entries import Entry
from deepseek_async.batch.records import CHAT_URL, BatchRequest, LineError, encode_dead_letter
from deepseek_async.batch.source import FileSource, IterableSource, Requests, Source, open_source
from deepseek_async.errors import BatchFileError
from deepseek_async.types import ChatCompletionMessage

BODY = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}


def envelope(custom_id: object = "a", body: object = BODY, **more: object) -> dict[str, Any]:
    return {"custom_id": custom_id, "method": "POST", "url": CHAT_URL, "body": body, **more}


async def entries(requests: Requests, **options: Any) -> list[Entry]:
    source = open_source(requests, **options)
    try:
        return [entry async for entry in source]
    finally:
        await source.aclose()


async def lines(folder: Path, content: bytes, **options: Any) -> list[Entry]:
    path = folder / "in.jsonl"
    path.write_bytes(content)
    return await entries(path, **options)


def to_line(value: object) -> bytes:
    return json.dumps(value).encode() + b"\n"


ITEMS: dict[str, tuple[Any, str | None, Any, str]] = {
    "request": (BatchRequest("a", BODY), "a", BODY, CHAT_URL),
    "request without a name": (BatchRequest(body=BODY), None, BODY, CHAT_URL),
    "dict of a request": (envelope(), "a", BODY, CHAT_URL),
    "body alone": (BODY, None, BODY, CHAT_URL),
    "body with a name": ({**BODY, "custom_id": "a"}, "a", BODY, CHAT_URL),
    "FIM body alone": ({"prompt": "x"}, None, {"prompt": "x"}, "/v1/completions"),
    "FIM": (envelope(url="/v1/completions"), "a", BODY, "/v1/completions"),
    "no method or address": ({"body": BODY}, None, BODY, CHAT_URL),
    "number as a name": (envelope(7), "7", BODY, CHAT_URL),
    "empty name": (envelope(""), None, BODY, CHAT_URL),
    "more fields": (envelope(response=None, error={}), "a", BODY, CHAT_URL),
}


@pytest.mark.parametrize(("item", "custom_id", "body", "url"), ITEMS.values(), ids=ITEMS)
async def test_an_item_is_a_request_or_a_body(
    item: Any, custom_id: str | None, body: Any, url: str
) -> None:
    (entry,) = await entries([item])
    assert entry.bad is None
    assert entry.body == body
    assert entry.url == url
    if custom_id is None:
        assert len(entry.custom_id) == 32
    else:
        assert entry.custom_id == custom_id


BAD_ITEMS: dict[str, tuple[Any, str]] = {
    "number": (3, "expected a request or its body as a dict, got 3"),
    "text": ("Hi", "expected a request or its body as a dict, got 'Hi'"),
    "other dict": ({"text": "Hi"}, "neither a request with a body nor a body with messages"),
    "body is text": (envelope(body="Hi"), "body must be an object, not 'Hi'"),
    "body is missing": (envelope(body=None), "body must be an object, not None"),
    "name is a list": (envelope([1]), r"custom_id must be text, not \[1\]"),
    "other method": (envelope(method="GET"), "method must be POST, not 'GET'"),
    "whole address": (envelope(url="https://x"), "url must be a path like /v1/chat/completions"),
    "not JSON": (envelope(body={"messages": [object()]}), "can't be written as JSON"),
    "name that is no text": (envelope("\ud83d"), "is not valid text"),
}


@pytest.mark.parametrize(("item", "reason"), BAD_ITEMS.values(), ids=BAD_ITEMS)
async def test_an_item_that_is_neither_is_an_entry_that_says_so(item: Any, reason: str) -> None:
    bad, good = await entries([item, envelope("b")])
    assert bad.bad is not None
    with pytest.raises(ValueError, match=reason):
        raise ValueError(bad.bad)
    assert bad.body == {}
    assert bad.custom_id
    assert bad.where == "item 1"
    assert (good.custom_id, good.bad, good.index) == ("b", None, 1)


async def test_items_that_only_begin_alike_have_names_of_their_own() -> None:
    # In other shards of the same input they would be taken for each other.
    items = [{"instruction": "x" * 100, "input": number} for number in range(3)]
    names: set[str] = set()
    for item in items:
        (entry,) = await entries([item])
        names.add(entry.custom_id)
        assert entry.text is not None
        assert json.loads(entry.text) == item
    assert len(names) == 3


async def test_a_long_item_is_quoted_in_part() -> None:
    (entry,) = await entries(["x" * 1000])
    assert entry.bad is not None
    assert len(entry.bad) < 200


# Names.


async def test_an_unnamed_request_is_named_after_what_it_says() -> None:
    turned = {"messages": BODY["messages"], "model": "m"}
    first, second, other, third = await entries([BODY, turned, {**BODY, "n": 1}, envelope(None)])
    canonical = json.dumps([CHAT_URL, BODY], separators=(",", ":"), sort_keys=True)
    assert first.custom_id == blake2b(canonical.encode(), digest_size=16).hexdigest()
    assert second.custom_id == f"{first.custom_id}-2"
    assert third.custom_id == f"{first.custom_id}-3"
    assert first.digest == second.digest == third.digest != other.digest
    assert other.custom_id != first.custom_id
    assert not any(entry.duplicate for entry in (first, second, third))


bodies = st.lists(st.sampled_from("abc"), max_size=12)


@given(bodies, st.randoms(use_true_random=False))
def test_names_do_not_depend_on_the_order(texts: list[str], rng: random.Random) -> None:
    async def names(order: list[str]) -> set[str]:
        return {entry.custom_id for entry in await entries([{"messages": t} for t in order])}

    shuffled = rng.sample(texts, len(texts))
    assert asyncio.run(names(texts)) == asyncio.run(names(shuffled))
    assert len(asyncio.run(names(texts))) == len(texts)


async def test_a_name_that_an_unnamed_request_has_already_is_not_given_twice() -> None:
    (unnamed,) = await entries([BODY])
    first, second, third = await entries([envelope(f"{unnamed.custom_id}-2"), BODY, BODY])
    assert second.custom_id == unnamed.custom_id
    assert third.custom_id == f"{unnamed.custom_id}-3"
    assert first.bad is None


async def test_a_repeated_request_is_a_duplicate() -> None:
    first, second = await entries([envelope(), {**envelope(), "body": dict(BODY)}])
    assert not first.duplicate
    assert second.duplicate
    assert second.bad is None
    assert (second.custom_id, second.digest) == (first.custom_id, first.digest)


async def test_two_requests_with_one_name_are_refused() -> None:
    first, second, third = await entries([envelope(), envelope(body={**BODY, "n": 2}), envelope()])
    assert first.bad is None
    assert second.bad == (
        "custom_id 'a' stands before another request already; give each request its own"
    )
    # The name of the first one stays its own in the files.
    assert second.custom_id.startswith("a~")
    assert third.duplicate
    (_, again) = await entries([envelope(), envelope(body={**BODY, "n": 2})])
    assert again.custom_id == second.custom_id


async def test_structs_may_stand_in_a_body() -> None:
    body = {"messages": [ChatCompletionMessage(content="Hi")]}
    (entry,) = await entries([body])
    assert entry.bad is None
    assert entry.body == body


# Iterables.


async def test_async_iterables_are_read_as_they_go() -> None:
    produced: list[int] = []
    closed: list[bool] = []

    async def produce() -> AsyncIterator[dict[str, Any]]:
        try:
            for number in range(100):
                produced.append(number)
                yield envelope(number)
        finally:
            closed.append(True)

    source = open_source(produce())
    assert source.total is None
    assert source.share is None
    assert (await anext(source)).custom_id == "0"
    assert produced == [0]
    await source.aclose()
    assert closed == [True]


async def test_a_generator_is_closed_and_a_file_is_not(tmp_path: Path) -> None:
    closed: list[bool] = []

    def produce() -> Iterator[dict[str, Any]]:
        try:
            yield envelope("a")
            yield envelope("b")
        finally:
            closed.append(True)

    source = open_source(produce())
    await anext(source)
    await source.aclose()
    assert closed == [True]

    def as_body(row: str) -> dict[str, str]:
        return {"messages": row.strip()}

    (tmp_path / "rows").write_text("x\n")
    with (tmp_path / "rows").open() as rows:
        (entry,) = await entries(rows, transform=as_body)
        assert entry.body == {"messages": "x"}
        assert not rows.closed
    unread = open_source([envelope()])
    await unread.aclose()


async def test_a_list_tells_how_far_it_is_read() -> None:
    source = open_source([envelope("a"), envelope("b")])
    assert source.total == 2
    assert source.share == 0
    await anext(source)
    assert source.share == 0.5
    assert open_source([]).share is None


async def test_an_error_of_the_input_is_passed_on() -> None:
    def produce() -> Iterator[dict[str, Any]]:
        yield envelope()
        raise LookupError("database gone")

    source = open_source(produce())
    await anext(source)
    with pytest.raises(LookupError, match="database gone"):
        await anext(source)


@pytest.mark.parametrize("requests", [3, None, b"in.jsonl", {"a": 1}])
def test_what_is_no_input_is_refused(requests: Any) -> None:
    with pytest.raises(TypeError, match="must be a path, an iterable or an async iterable"):
        open_source(requests)


async def test_items_can_be_made_into_requests() -> None:
    def make(text: str) -> dict[str, Any]:
        return {"messages": [{"role": "user", "content": text.lower()}]}

    first, bad = await entries(["A", 3], transform=make)
    assert first.body == {"messages": [{"role": "user", "content": "a"}]}
    assert bad.bad == "map failed with AttributeError: 'int' object has no attribute 'lower'"


# Files.


async def test_lines_of_a_file_are_entries(tmp_path: Path) -> None:
    first, second = to_line(envelope("a")), to_line(BODY)
    one, two = await lines(tmp_path, b"\xef\xbb\xbf" + first + b"\r\n \n" + second.rstrip())
    assert (one.custom_id, one.where, one.index) == ("a", "in.jsonl line 1", 0)
    assert (two.body, two.where, two.index) == (BODY, "in.jsonl line 4", 1)
    assert one.text is None


async def test_files_that_were_put_together_may_have_marks_inside(tmp_path: Path) -> None:
    mark = b"\xef\xbb\xbf"
    one, two = await lines(tmp_path, mark + to_line(envelope("a")) + mark + to_line(envelope("b")))
    assert (one.custom_id, two.custom_id, two.bad) == ("a", "b", None)


BAD_LINES = {
    "not JSON": (b'{"a":\n', "in.jsonl line 1 is not JSON: Input data was truncated"),
    "CSV": (b"id,text\n", "in.jsonl line 1 is not JSON"),
    "not UTF-8": (b'{"messages":"\xff"}\n', "in.jsonl line 1 is not JSON"),
    "NaN": (b'{"messages":[],"temperature":NaN}\n', "in.jsonl line 1 is not JSON"),
    "array": (b"[1]\n", r"in.jsonl line 1: expected a request .* got \[1\]"),
    "other object": (b'{"text":"a"}\n', "in.jsonl line 1: neither a request"),
    "zeros": (b"\0\0\n", "in.jsonl line 1 is not JSON"),
}


@pytest.mark.parametrize(("line", "reason"), BAD_LINES.values(), ids=BAD_LINES)
async def test_a_line_that_can_not_be_read_is_an_entry_that_says_so(
    line: bytes, reason: str, tmp_path: Path
) -> None:
    bad, again, good = await lines(tmp_path, line + line + to_line(envelope()))
    with pytest.raises(ValueError, match=reason):
        raise ValueError(bad.bad)
    assert bad.text == line.rstrip().decode("utf-8", "replace")
    assert bad.custom_id == blake2b(line.rstrip(), digest_size=16).hexdigest()
    assert again.custom_id == f"{bad.custom_id}-2"
    assert good.bad is None


async def test_lone_surrogates_are_read(tmp_path: Path) -> None:
    # Python's json writes them for half an emoji.
    (entry,) = await lines(tmp_path, b'{"messages":"\\ud83d"}\n')
    assert entry.body == {"messages": "\ufffd"}


async def test_dead_letters_can_be_fed_back_in(tmp_path: Path) -> None:
    error = LineError("500", "it failed")
    sent = encode_dead_letter("a", url=CHAT_URL, body=BODY, error=error)
    unread = encode_dead_letter("b", url=CHAT_URL, body=None, error=error, text="{")
    one, two = await lines(tmp_path, sent + unread)
    assert (one.custom_id, one.body, one.bad) == ("a", BODY, None)
    assert two.custom_id == "b"
    assert two.bad is not None


async def test_a_large_file_is_read_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    body = {"messages": "x" * 10_000}
    path.write_bytes(b"".join(to_line(envelope(number, body)) for number in range(500)))
    source = FileSource(path)
    assert source.total is None
    names: list[str] = []
    shares = [source.share]
    async for entry in source:
        names.append(entry.custom_id)
        shares.append(source.share)
    assert names == [str(number) for number in range(500)]
    assert shares[0] is None
    assert shares[250] == pytest.approx(0.5, abs=0.01)
    assert shares[-1] == 1
    await source.aclose()


async def test_a_cancelled_read_skips_nothing(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    body = {"messages": "x" * 100_000}
    path.write_bytes(b"".join(to_line(envelope(number, body)) for number in range(50)))
    source = FileSource(path)
    names: list[str] = []
    turns = 0
    while True:
        task = asyncio.ensure_future(anext(source))
        await asyncio.wait([task], timeout=turns / 10_000)
        task.cancel()
        await asyncio.wait([task])
        turns += 1
        if not task.cancelled():
            break
    names.append(task.result().custom_id)
    names += [entry.custom_id async for entry in source]
    assert names == [str(number) for number in range(50)]
    await source.aclose()


async def test_what_is_appended_meanwhile_is_for_the_next_run(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(to_line(envelope("a")))
    source = FileSource(path)
    assert (await anext(source)).custom_id == "a"
    with path.open("ab") as file:
        file.write(to_line(envelope("b")))
    assert [entry async for entry in source] == []
    await source.aclose()


async def test_a_pipe_is_a_clear_error(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    try:
        source = FileSource(Path(f"/dev/fd/{reading}"))
        with pytest.raises(BatchFileError, match=r"no regular file, and .* save it to one first"):
            await anext(source)
        await source.aclose()
    finally:
        os.close(reading)
        os.close(writing)


async def test_a_file_that_is_not_there_is_a_clear_error(tmp_path: Path) -> None:
    source: Source = open_source(str(tmp_path / "nowhere.jsonl"))
    with pytest.raises(BatchFileError, match=r"nowhere\.jsonl can't be read: No such file"):
        await anext(source)
    await source.aclose()


async def test_a_file_in_utf_16_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(BatchFileError, match="it is UTF-16, not UTF-8"):
        await lines(tmp_path, json.dumps(BODY).encode("utf-16"))


def test_paths_and_iterables_are_told_apart(tmp_path: Path) -> None:
    assert isinstance(open_source(tmp_path), FileSource)
    assert isinstance(open_source("in.jsonl"), FileSource)
    assert isinstance(open_source([]), IterableSource)
