"""The compact tables of ids: they hold what a set or a dict would."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepseek_async.batch import seen
from deepseek_async.batch.seen import KeySet, Seen, key_of

LOWEST, HIGHEST = -(2**63), 2**63 - 1

keys = st.integers(LOWEST, HIGHEST) | st.sampled_from([LOWEST, -1, 0, 1, HIGHEST])


@given(st.lists(st.lists(keys)), st.lists(keys))
def test_a_key_set_has_what_it_was_made_of(batches: list[list[int]], others: list[int]) -> None:
    expected = {key for batch in batches for key in batch}
    made = KeySet(batches)
    assert all(key in made for key in expected)
    assert [key in made for key in others] == [key in expected for key in others]


def test_a_key_set_counts_its_keys() -> None:
    assert len(KeySet([[3, 1], [2]])) == 3
    assert not KeySet()


@given(st.lists(st.tuples(keys, keys)))
def test_the_first_value_of_a_key_stays(pairs: list[tuple[int, int]]) -> None:
    expected: dict[int, int] = {}
    table = Seen()
    for key, value in pairs:
        assert table.add(key, value) == expected.get(key)
        expected.setdefault(key, value)
    assert len(table) == len(expected)


@given(st.lists(keys))
def test_keys_are_counted(given_keys: list[int]) -> None:
    table = Seen()
    counts: dict[int, int] = {}
    for key in given_keys:
        counts[key] = counts.get(key, 0) + 1
        assert table.count(key) == counts[key]


@pytest.mark.parametrize("make_key", [key_of, seen._digest_key])
def test_keys_of_bytes_have_64_bits(make_key: "type[int]") -> None:
    made = {make_key(b"request-%d" % number) for number in range(1000)}
    assert len(made) == 1000
    assert LOWEST <= min(made) < -(2**60)
    assert 2**60 < max(made) <= HIGHEST


def test_an_item_takes_about_16_bytes() -> None:
    count = 100_000
    tracemalloc.start()
    try:
        table = Seen()
        for number in range(count):
            table.add(key_of(b"%d" % number), number)
        size, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size < 21 * count
    # No growth ever needs the whole table twice.
    assert peak < 22 * count
