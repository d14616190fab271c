import sys
import tracemalloc

import pytest

from deepseek_async.wire.text import TextBuilder


def built(pieces: list[str]) -> TextBuilder:
    text = TextBuilder()
    for piece in pieces:
        text.append(piece)
        text.compact()
    return text


@pytest.mark.parametrize("count", [0, 1, 255, 256, 257, 512, 1000])
def test_any_number_of_pieces_is_joined_in_order(count: int) -> None:
    pieces = [f"{i} " for i in range(count)]
    assert built(pieces).text == "".join(pieces)


def test_pieces_added_without_compacting_count() -> None:
    text = TextBuilder()
    for i in range(300):
        text.append(str(i))
    assert text.text == "".join(map(str, range(300)))


@pytest.mark.parametrize("count", [1, 256, 300])
def test_text_can_be_read_and_go_on(count: int) -> None:
    text = built(["a"] * count)
    assert text.text == "a" * count
    text.append("b")
    assert text.text == text.text == "a" * count + "b"


def test_a_text_that_is_read_after_each_piece_is_not_copied_each_time() -> None:
    if sys.gettrace() is not None:
        pytest.skip("while it is traced, Python copies")
    tracemalloc.start()
    try:
        text = built(["a" * 4_000_000])
        for _ in range(100):
            text.append("b")
            assert text.text.endswith("b")
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        text.append("c")
        assert text.text.endswith("c")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - before < 100_000


def test_text_is_none_until_a_piece_comes() -> None:
    assert TextBuilder().text_or_none is None


def test_text_is_empty_once_an_empty_piece_was_seen() -> None:
    text = TextBuilder()
    text.append("")
    text.seen = True
    assert text.text_or_none == ""


def test_text_that_was_not_marked_as_seen_is_there() -> None:
    text = TextBuilder()
    text.append("a")
    assert text.text_or_none == "a"
