"""`policy.cache_order`: which request next, state by state."""

import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepseek_async.policy.cache_gate import PATIENCE, SETTLE, Lessons
from deepseek_async.policy.cache_order import CacheOrder
from deepseek_async.policy.cache_tree import Item, PrefixTree, common_length

#: Tokens of the prompts here, for bytes of their texts.
TOKENS = 0.25


def text(*parts: tuple[str, int]) -> bytes:
    """Return a text of parts, each with a name that it repeats up to a length."""
    return b"".join((name.encode() + b" ").ljust(32, b".") * (size // 32) for name, size in parts)


def member(document: str, question: int) -> bytes:
    """Return a prompt of 8 KiB in common with those about the same document."""
    return text((document, 8192), (f"question {question}", 256))


class Run:
    """An order, and the answers of a server."""

    def __init__(self, *texts: bytes) -> None:
        self.order: CacheOrder[int] = CacheOrder()
        self.texts: list[bytes] = []
        self.now = 100.0
        self.out: list[int] = []
        self.add(*texts)

    def add(self, *texts: bytes) -> None:
        for each in texts:
            self.order.add(len(self.texts), each, self.now)
            self.texts.append(each)

    def send(self, places: int = 1000) -> list[int]:
        """Return what goes now."""
        sent: list[int] = []
        while len(sent) < places and (item := self.order.next(self.now)) is not None:
            sent.append(item)
        self.out += sent
        return sent

    def after(self, seconds: float) -> list[int]:
        """Return what goes within some seconds, if there are places."""
        until = self.now + seconds
        sent = self.send()
        while (wake := self.order.wake_at(self.now)) is not None and wake <= until:
            self.now = wake
            sent += self.send()
        self.now = until
        return sent

    def done(self, item: int, *, hit: float = 0.0, ok: bool = True) -> list[int]:
        """End a request and return what goes then.

        Args:
            item: Which.
            hit: Share of its prompt that was in the cache.
            ok: Whether it was answered.
        """
        self.out.remove(item)
        tokens = round(len(self.texts[item]) * TOKENS) if ok else 0
        self.order.done(item, self.now, ok=ok, prompt_tokens=tokens, hit_tokens=round(tokens * hit))
        return self.send()

    def wake_in(self) -> float | None:
        at = self.order.wake_at(self.now)
        return None if at is None else at - self.now


def group(size: int = 8, document: str = "document") -> Run:
    return Run(*(member(document, number) for number in range(size)))


# -- What is not held back


def test_nothing_comes_of_nothing() -> None:
    run = Run()
    assert run.send() == []
    assert run.wake_in() is None


def test_short_requests_go_in_their_order() -> None:
    run = Run(*(b"the same" for _ in range(20)))
    assert run.send() == list(range(20))


def test_requests_that_share_nothing_go_in_their_order() -> None:
    run = Run(*(text((f"document {i}", 4096)) for i in range(20)))
    assert run.send() == list(range(20))
    assert run.wake_in() is None


def test_three_are_no_group() -> None:
    assert group(3).send() == [0, 1, 2]


def test_a_beginning_of_less_than_1024_bytes_is_not_waited_for() -> None:
    run = Run(*(text(("system", 992), (f"question {i}", 256)) for i in range(8)))
    assert run.send() == list(range(8))


def test_a_small_part_of_the_prompt_is_not_waited_for() -> None:
    run = Run(*(text(("system", 2048), (f"document {i}", 20_000)) for i in range(8)))
    assert run.send() == list(range(8))


def test_a_small_part_is_not_waited_for_by_those_that_come_later() -> None:
    run = Run(*(text(("system", 2048), (f"question {i}", 256)) for i in range(4)))
    run.add(text(("system", 2048), ("document", 20_000)))
    assert run.send() == [0, 4]


def test_what_comes_before_the_fourth_is_not_taken_back() -> None:
    run = group(3)
    assert run.send() == [0, 1, 2]
    run.add(member("document", 3), member("document", 4))
    # What was sent may be in the cache soon, whoever sent it.
    assert run.send() == [3, 4] or run.wake_in() is not None


# -- The gate


def test_of_a_group_one_goes() -> None:
    run = group()
    assert run.send() == [0]
    assert run.send() == []
    assert run.wake_in() == PATIENCE


def test_a_second_goes_when_the_first_has_settled() -> None:
    run = group()
    run.send()
    run.now += 2
    assert run.done(0) == []
    assert run.wake_in() == SETTLE
    assert run.after(SETTLE - 0.1) == []
    assert run.after(0.1) == [1]


def test_a_hit_opens_the_group() -> None:
    run = group()
    run.send()
    assert run.done(0, hit=0.95) == [1, 2, 3, 4, 5, 6, 7]


def test_a_hit_of_a_part_opens_nothing() -> None:
    run = group()
    run.send()
    assert run.done(0, hit=0.5) == []


def test_a_hit_of_the_second_opens_the_group() -> None:
    run = group()
    run.send()
    run.done(0)
    assert run.after(SETTLE) == [1]
    assert run.done(1, hit=0.95) == [2, 3, 4, 5, 6, 7]


def to_two_leaders(run: Run) -> None:
    """Send a first and a second request, which find nothing, and let both settle."""
    leaders = run.send()
    for item in leaders:
        run.done(item)
    if len(leaders) == 1:
        (second,) = run.after(SETTLE)
        run.done(second)


def test_while_nothing_is_known_a_third_tells_whether_two_were_enough() -> None:
    run = group()
    to_two_leaders(run)
    assert run.after(SETTLE) == [2]
    assert run.done(2, hit=0.95) == [3, 4, 5, 6, 7]


def test_a_third_that_misses_doubles_the_wait() -> None:
    run = group()
    to_two_leaders(run)
    assert run.after(SETTLE) == [2]
    run.now += 1
    assert run.done(2) == []
    assert run.wake_in() == pytest.approx(SETTLE - 1)
    assert run.after(SETTLE - 1) == [3]
    assert run.done(3, hit=0.95) == [4, 5, 6, 7]


def test_when_two_have_been_enough_they_are_for_other_groups() -> None:
    run = group()
    to_two_leaders(run)
    run.after(SETTLE)
    run.done(2, hit=0.95)
    run.add(*(member("other", number) for number in range(6)))
    to_two_leaders(run)
    assert run.after(SETTLE - 0.1) == []
    assert run.after(0.1) == [10, 11, 12, 13]


def test_what_one_group_finds_out_opens_others_that_wait_for_it() -> None:
    run = Run(*(member(f"document {i % 12}", i) for i in range(96)))
    first = run.send()
    # A quarter may send their second beside the first: there is nothing else to send.
    assert first == [*range(12), 15, 19, 23]
    for item in first:
        run.done(item)
    second = run.after(SETTLE)
    # For those this is a third already, which tells whether two were enough.
    assert second == [12, 13, 14, 16, 17, 18, 20, 21, 22, 27, 31, 35]
    for item in second[:-3]:
        run.done(item)
    # More groups try, no more than eight at once; the others wait.
    assert run.after(SETTLE) == [24, 25, 26, 28, 29]
    assert len(run.done(25, hit=0.95)) == 96 - 32


def test_a_probe_of_a_group_with_nothing_left_leaves_it_to_others() -> None:
    run = Run(
        *(member("small 1", i) for i in range(4)),
        *(member(f"document {i % 5}", i) for i in range(60)),
    )
    for _ in range(40):
        for item in run.out.copy():
            run.done(item)
        run.after(run.wake_in() or 0.0)
    assert len(run.order) < 40


def test_after_a_minute_a_group_goes_in_any_case() -> None:
    run = group()
    run.send()
    assert run.after(PATIENCE - 0.1) == []
    assert run.after(0.1) == [1, 2, 3, 4, 5, 6, 7]
    assert run.wake_in() is None


def test_waiting_for_a_place_does_not_count() -> None:
    run = group()
    run.send()
    run.done(0)
    # All places are taken for long.
    run.now += SETTLE
    assert run.order.next(run.now) == 1
    run.out.append(1)
    run.done(1)
    run.now += PATIENCE * 2
    assert run.send(1) == [2]
    assert run.send() == []


def test_two_leaders_that_fail_open_the_group() -> None:
    run = group()
    run.send()
    assert run.done(0, ok=False) == [1]
    assert run.done(1, ok=False) == [2, 3, 4, 5, 6, 7]


def test_the_failure_of_one_leader_lets_another_go_at_once() -> None:
    run = group()
    run.send()
    run.done(0)
    run.after(SETTLE)
    assert run.done(1, ok=False) == [2]


def test_a_leader_whose_answer_tells_nothing_is_one_that_ended() -> None:
    run = group()
    run.send()
    run.order.done(0, run.now, ok=True)
    assert run.send() == []
    assert run.after(SETTLE) == [1]


def test_a_large_group_sends_two_leaders_when_there_is_nothing_else() -> None:
    run = group(64)
    assert run.send() == [0, 1]
    assert run.wake_in() == PATIENCE


def test_other_requests_go_before_a_second_leader() -> None:
    run = group(64)
    run.add(*(text((f"other {i}", 2048)) for i in range(3)))
    assert run.send() == [0, 64, 65, 66, 1]


def test_leaders_go_before_what_waits_for_none() -> None:
    run = Run(*(text((f"other {i}", 2048)) for i in range(3)))
    run.add(*(member("document", i) for i in range(4)))
    assert run.send(2) == [3, 0]


def test_identical_prompts_are_a_group() -> None:
    run = Run(*(text(("document", 4096)) for _ in range(6)))
    assert run.send() == [0]
    run.done(0)
    assert run.after(SETTLE) == [1]
    assert run.done(1, hit=1.0) == [2, 3, 4, 5]


def test_a_group_within_a_group_has_a_gate_of_its_own() -> None:
    system = ("system", 4096)
    run = Run(*(text(system, ("document", 4096), (f"q {i}", 256)) for i in range(8)))
    run.add(*(text(system, (f"question {i}", 256)) for i in range(8)))
    assert run.send() == [0, 8]
    # What it shares with all was in the cache, the document wasn't.
    assert run.done(0, hit=0.48) == list(range(9, 16))
    assert run.after(SETTLE) == [1]


def test_a_leader_that_turns_out_to_belong_to_a_longer_group_leads_that() -> None:
    system = ("system", 4096)
    run = Run(text(system, ("document", 4096), ("q 0", 256)))
    run.add(*(text(system, (f"question {i}", 256)) for i in range(8)))
    run.add(*(text(system, ("document", 4096), (f"q {i}", 256)) for i in range(1, 8)))
    assert run.send() == [0, 1]


def question(document: str, number: int) -> bytes:
    """Return a prompt with a system prompt that all have, and a document that some have."""
    return text(("system", 4096), (document, 4096), (f"q {number}", 256))


def test_items_that_move_to_a_longer_group_leave_the_shorter_one() -> None:
    # None of the documents has four questions at first.
    run = Run(*(question(f"document {i % 3}", i) for i in range(9)))
    assert run.send() == [0]
    run.add(question("document 1", 9), question("document 1", 10))
    assert run.send() == [1]
    # The system prompt was in the cache: others go, those of the document wait for their own.
    assert run.done(0, hit=0.47) == [2, 3, 5, 6, 8]
    assert run.done(1, hit=0.95) == [4, 7, 9, 10]


def test_items_that_moved_from_the_front_of_a_group_do_not_lead_it() -> None:
    run = Run(question("document 0", 0), *(question("document 1", i) for i in range(3)))
    run.add(*(question("document 2", i) for i in range(2)))
    assert run.send() == [0]
    run.add(question("document 1", 3))
    assert run.send() == [1]
    assert run.done(0) == []
    assert run.done(1, hit=0.47) == [4, 5]


def test_a_probe_that_moves_to_a_longer_group_is_none_any_more() -> None:
    run = Run(*(member("other", i) for i in range(6)))
    run.add(*(question(f"document {i}", i) for i in range(6)))
    to_two_leaders_of_each(run)
    run.now += SETTLE
    # Both groups may send a third, but there is one place.
    assert run.send(1) == [2]
    run.add(*(question("document 2", i) for i in range(10, 13)))
    assert run.send(1) == [8]
    assert run.send() == [9]


def to_two_leaders_of_each(run: Run) -> None:
    """Let two requests of each group miss, at the same time."""
    for item in run.send():
        run.done(item)
    for item in run.after(SETTLE):
        run.done(item)


def test_a_timer_that_nobody_asked_about_does_not_count() -> None:
    run = group()
    run.send()
    run.done(0)
    # No place for two minutes.
    run.now += 2 * PATIENCE
    run.add(member("document", 8))
    assert run.send() == [1]
    assert run.wake_in() == PATIENCE - SETTLE


def test_an_open_group_lets_later_ones_pass() -> None:
    run = group()
    run.send()
    run.done(0, hit=0.95)
    run.add(member("document", 100))
    assert run.send() == [8]


def test_a_group_is_remembered_when_nothing_of_it_waits() -> None:
    run = group(4)
    run.send()
    run.done(0, hit=0.95)
    for item in (1, 2, 3):
        run.done(item, hit=0.95)
    run.add(*(text((f"other {i}", 2048)) for i in range(100)))
    run.send()
    run.add(*(member("document", i) for i in range(50, 55)))
    assert run.send() == [104, 105, 106, 107, 108]


def test_a_part_of_a_warm_prefix_is_not_warm_itself() -> None:
    run = Run(*(text(("a", 4096), ("b", 4096), (f"q {i}", 256)) for i in range(6)))
    run.send()
    run.done(0, hit=0.95)
    run.add(*(text(("a", 4096), (f"c {i}", 256)) for i in range(6)))
    assert run.send() == [6]
    for item in (1, 2, 3, 4, 5):
        # They were sent before anybody knew of the shorter prefix.
        run.done(item)
    assert run.wake_in() == PATIENCE


# -- What a run learns


def warm_by_one(run: Run, documents: int) -> None:
    """Let groups end whose second request hits."""
    for number in range(documents):
        start = len(run.texts)
        run.add(*(member(f"learn {number}", i) for i in range(4)))
        first = run.send()
        assert start in first
        for item in first:
            run.done(item)
        for item in run.after(SETTLE):
            run.done(item, hit=0.95)
        for item in run.out.copy():
            run.done(item, hit=0.95)


def test_when_second_requests_hit_one_leader_is_enough() -> None:
    run = Run()
    warm_by_one(run, 5)
    assert run.order.report().leaders == 1
    run.add(*(member("next", i) for i in range(5)))
    (first,) = run.send()
    run.done(first)
    assert run.after(SETTLE) == [first + 1, first + 2, first + 3, first + 4]


def test_when_they_miss_again_two_are_needed_again() -> None:
    run = Run()
    warm_by_one(run, 5)
    for number in range(4):
        run.add(*(member(f"miss {number}", i) for i in range(5)))
        for item in run.send():
            run.done(item)
        run.after(SETTLE)
        while run.out:
            run.done(run.out[0])
    assert run.order.report().leaders == 2


def test_when_second_requests_miss_two_go_at_once() -> None:
    run = Run()
    for number in range(5):
        run.add(*(member(f"learn {number}", i) for i in range(6)))
        to_two_leaders(run)
        run.after(SETTLE)
        while run.out:
            run.done(run.out[0], hit=0.95)
    run.add(*(member("next", i) for i in range(5)))
    assert run.send() == [30, 31]
    assert run.send() == []


def test_of_identical_prompts_nothing_is_learnt_for_others() -> None:
    run = Run()
    for number in range(8):
        run.add(*(text((f"same {number}", 4096)) for _ in range(4)))
        for item in run.send():
            run.done(item)
        for item in run.after(SETTLE):
            run.done(item, hit=1.0)
        for item in run.out.copy():
            run.done(item, hit=1.0)
    assert run.order.report().leaders == 2


def test_a_wait_that_was_long_enough_may_become_too_short() -> None:
    run = group()
    to_two_leaders(run)
    run.after(SETTLE)
    run.done(2, hit=0.95)
    for number in range(7):
        run.add(*(member(f"slow {number}", i) for i in range(6)))
        to_two_leaders(run)
        run.after(SETTLE)
        for item in run.out.copy():
            run.done(item)
    run.add(*(member("next", i) for i in range(6)))
    to_two_leaders(run)
    assert run.after(SETTLE) == []
    assert len(run.after(SETTLE)) == 4


def test_of_a_wait_that_was_too_short_nothing_is_learnt() -> None:
    lessons = Lessons()
    lessons.third(hit=True, waited=10.0)
    for _ in range(20):
        lessons.third(hit=False, waited=9.0)
    assert lessons.settle == 10.0


def test_where_there_is_no_cache_groups_stop_waiting() -> None:
    run = Run()
    for number in range(8):
        run.add(*(member(f"document {number}", i) for i in range(12)))
        while len(run.order):
            run.send()
            for item in run.out.copy():
                run.done(item)
            run.after(run.wake_in() or 0.0)
    for item in run.out.copy():
        run.done(item)
    run.add(*(member("next", i) for i in range(12)))
    assert len(run.send()) == 12


# -- The window


def test_the_window_is_full_by_number() -> None:
    order: CacheOrder[int] = CacheOrder(window_items=2)
    full: list[bool] = []
    for number in range(2):
        order.add(number, b"short", 0.0)
        full.append(order.full)
    assert order.next(0.0) == 0
    assert [*full, order.full] == [False, True, False]
    assert len(order) == 1


def test_the_window_is_full_by_bytes() -> None:
    order: CacheOrder[int] = CacheOrder(window_bytes=5000)
    order.add(0, text(("document", 5024)), 0.0)
    full = [order.full]
    order.next(0.0)
    assert [*full, order.full] == [True, False]


def test_nothing_is_added_after_the_end() -> None:
    order: CacheOrder[int] = CacheOrder()
    order.close()
    with pytest.raises(RuntimeError, match=r"after close\(\)"):
        order.add(0, b"", 0.0)


def test_what_waits_at_the_end_goes_on() -> None:
    run = group()
    run.add(text(("single", 4096)))
    run.order.close()
    assert run.send() == [0, 8]
    assert run.done(0, hit=0.95) == [1, 2, 3, 4, 5, 6, 7]
    for item in run.out.copy():
        run.done(item)
    assert run.send() == []


# -- The report


def test_the_report_counts() -> None:
    run = group()
    run.add(text(("single", 4096)))
    run.send()
    run.done(8)
    run.done(0)
    for item in run.after(SETTLE):
        run.done(item, hit=0.95)
    report = run.order.report()
    assert (report.items, report.groups, report.grouped, report.held) == (9, 1, 8, 6)
    run.done(7, hit=0.5)
    report = run.order.report()
    assert report.prompt_tokens == 1024 + 3 * 2112
    assert report.hit_tokens == round(0.95 * 2112) + 1056
    assert report.gained_tokens == 1056
    assert report.prefix_tokens == pytest.approx(3 * 2048, abs=10)
    assert report.leaders == 2
    assert report.early_difference is None


# -- The tree


def test_memory_for_prefixes_is_bounded() -> None:
    tree: PrefixTree[int] = PrefixTree(group=4, memory=20_000)
    number = 0
    for document in range(20):
        items: list[Item[int]] = []
        for question in range(4):
            each = text((f"document {document}", 4096), (f"q {question}", 256))
            item = Item(number, number, len(each))
            tree.add(item, each, 0)
            items.append(item)
            number += 1
        for item in items:
            tree.handed_out(item)
        for item in items:
            tree.ended(item)
    # A shared part is 5 kB with what it needs besides.
    assert len(tree) == 3


def test_texts_that_each_are_a_line_longer_make_no_deep_tree() -> None:
    tree: PrefixTree[int] = PrefixTree(group=4, memory=1 << 20)
    lines = b"".join(b"line %06d\n" % number for number in range(3000))
    for number in range(1000):
        each = lines[: 14_000 - number * 12]
        item = Item(number, number, len(each))
        tree.add(item, each, 0)
    item = Item(1000, 1000, 14_000)
    tree.add(item, lines[:14_000], 0)
    assert 5 < len(list(tree.path(item))) < 30


def test_a_text_that_parts_within_a_remembered_prefix() -> None:
    tree: PrefixTree[int] = PrefixTree(group=4, memory=1 << 20)
    items: list[Item[int]] = []

    def add(number: int, *parts: tuple[str, int]) -> Item[int]:
        each = text(*parts)
        item = Item(number, number, len(each))
        tree.add(item, each, 0)
        items.append(item)
        return item

    add(0, ("a", 4096), ("b", 4096), ("c", 256))
    add(1, ("a", 4096), ("b", 4096), ("d", 256))
    for item in items:
        tree.handed_out(item)
        tree.ended(item)
    assert len(tree) == 1
    late = add(2, ("a", 4096), ("e", 4096))
    assert [prefix.length for prefix in tree.path(late)] == [4096]
    again = add(3, ("a", 4096), ("b", 4096), ("f", 256))
    assert [prefix.length for prefix in tree.path(again)] == [8192, 4096]
    assert len(tree) == 0


def check_common(edge: bytes, other: bytes, start: int) -> None:
    found = common_length(edge, other, start)
    assert other[start : start + found] == edge[:found]
    assert found in (len(edge), len(other) - start) or edge[found] != other[start + found]


@given(st.integers(0, 3000), st.integers(0, 500), st.integers(0, 500), st.integers(0, 50))
def test_the_common_length_is_exact(same: int, one: int, other: int, start: int) -> None:
    chance = random.Random(same)
    beginning = chance.randbytes(same)
    check_common(beginning + b"a" * one, b"-" * start + beginning + b"b" * other, start)


# -- Whatever happens

PARTS = st.sampled_from(
    [
        text(("a", 1024)),
        text(("b", 2048)),
        text(("c", 300)),
        text(("d", 8192)),
        b"x" * 40,
        b"y" * 2000,
    ]
)
TEXTS = st.lists(st.lists(PARTS, max_size=4).map(b"".join), min_size=1, max_size=60)


def events(chance: random.Random, run: Run, texts: list[bytes]) -> Iterator[float]:
    """Add, send and end requests at random; yield the seconds that pass."""
    left = list(reversed(texts))
    while left or run.out or len(run.order):
        if left and chance.random() < 0.6:
            run.add(left.pop())
        elif run.out and chance.random() < 0.6:
            item = chance.choice(run.out)
            run.done(item, hit=chance.choice([0.0, 0.95]), ok=chance.random() < 0.8)
        yield chance.choice([0.0, 0.5, 3.0])
        if not left and not run.out:
            # Then time alone must bring the next one.
            wake = run.wake_in()
            assert wake is not None or not len(run.order)
            yield wake or 0.0


@settings(max_examples=150)
@given(TEXTS, st.integers(0, 1 << 32), st.booleans())
def test_each_is_handed_out_once_and_none_waits_for_ever(
    texts: list[bytes], seed: int, close: bool
) -> None:
    run = Run()
    chance = random.Random(seed)
    sent: list[int] = []
    original = run.send

    def send(places: int = 1000) -> list[int]:
        now = original(chance.choice([1, 2, 1000]))
        sent.extend(now)
        return now

    run.send = send  # type: ignore[method-assign]  # To note all that goes.
    for seconds in events(chance, run, texts):
        run.after(seconds)
        if close and len(run.texts) == len(texts):
            run.order.close()
    assert sorted(sent) == list(range(len(texts)))
    report = run.order.report()
    assert report.items == len(texts)
    assert report.held <= report.grouped <= len(texts)


@settings(max_examples=100)
@given(TEXTS, st.integers(0, 1 << 32))
def test_a_minute_after_its_first_a_group_waits_no_more(texts: list[bytes], seed: int) -> None:
    run = Run(*texts)
    chance = random.Random(seed)
    run.send()
    for _ in range(10):
        run.after(chance.choice([0.0, 1.0, 7.0]))
        if run.out and chance.random() < 0.5:
            run.done(chance.choice(run.out), ok=chance.random() < 0.8)
    # The first of a group within a group may have gone last.
    run.after(PATIENCE)
    run.after(PATIENCE)
    assert len(run.order) == 0


@settings(max_examples=100)
@given(TEXTS)
def test_the_order_within_a_group_and_without_one_is_that_of_the_input(
    texts: list[bytes],
) -> None:
    run = Run(*(each[:1000] + bytes([number]) for number, each in enumerate(texts)))
    assert run.send() == list(range(len(texts)))
    run = Run(
        *(text(("all", 65_536)) + bytes([number]) + each for number, each in enumerate(texts))
    )
    sent = run.send()
    while run.out:
        sent += run.done(run.out[0], hit=0.99)
    assert sent == sorted(sent)
