"""What does it cost a request of a batch to be ordered for the prompt cache?

Unit: microseconds of CPU time for a request. ``text`` makes the text that decides about the cache,
``order`` takes, hands out and ends it with 500 at once. The least of 5 runs; lower is better, the
goal for ``order`` is 20. ``memory`` is what the order allocates at most, over the size of all texts
in its window.

Run: python -m benchmarks.bench_cache_order
"""

import platform
import random
import time
import tracemalloc
from collections import deque
from collections.abc import Iterator
from typing import Any

from deepseek_async.policy.cache_order import CacheOrder
from deepseek_async.policy.cache_text import cache_text

RUNS = 5
AT_ONCE = 500


def inputs() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield batches, each with its name."""
    chance = random.Random(0)

    def words(size: int) -> str:
        return chance.randbytes(size // 2).hex()

    def body(system: str, user: str) -> dict[str, Any]:
        return {
            "model": "deepseek-flash",
            "messages": [
                {"role": "system", "content": system},
                {"role": "user", "content": user},
            ],
        }

    short, system = "You are a helpful assistant.", words(1200)
    yield "short, nothing shared", [body(short, words(200)) for _ in range(10_000)]
    yield "2 kB, nothing shared", [body(words(100), words(2000)) for _ in range(10_000)]
    yield "16 kB, nothing shared", [body(words(100), words(16_000)) for _ in range(3000)]
    yield "one system prompt of 1 kB", [body(system, words(240)) for _ in range(10_000)]
    documents = [words(16_000) for _ in range(150)]
    yield "150 documents x 20", [body(system + d, words(240)) for d in documents for _ in range(20)]
    documents = [words(4000) for _ in range(2000)]
    yield "2000 documents x 5", [body(system + d, words(240)) for d in documents for _ in range(5)]
    yield "all the same", [body(system, short) for _ in range(10_000)]


def order_all(texts: list[bytes]) -> None:
    """Send all, as fast as they come; every answer comes wholly from the cache."""
    order: CacheOrder[int] = CacheOrder()
    under_way: deque[int] = deque()
    now = 0.0
    read = 0
    while read < len(texts) or under_way or len(order):
        while read < len(texts) and not order.full:
            order.add(read, texts[read], now)
            read += 1
        while len(under_way) < AT_ONCE and (item := order.next(now)) is not None:
            under_way.append(item)
        now += 0.01
        if under_way:
            item = under_way.popleft()
            tokens = len(texts[item]) // 4
            order.done(item, now, ok=True, prompt_tokens=tokens, hit_tokens=tokens)


def least(measured: list[float], count: int) -> float:
    """Return microseconds for each of so many."""
    return min(measured) / count * 1e6


def main() -> None:
    """Measure and print."""
    print(f"Python {platform.python_version()}, {platform.machine()}")
    print(f"{'':28}{'text':>8}{'order':>8}{'memory':>8}")
    for name, bodies in inputs():
        making: list[float] = []
        ordering: list[float] = []
        texts: list[bytes] = []
        for _ in range(RUNS):
            began = time.process_time()
            texts = [cache_text(body) for body in bodies]
            making.append(time.process_time() - began)
            began = time.process_time()
            order_all(texts)
            ordering.append(time.process_time() - began)
        tracemalloc.start()
        order_all(texts)
        peak = tracemalloc.get_traced_memory()[1] / sum(map(len, texts))
        tracemalloc.stop()
        text, order = least(making, len(texts)), least(ordering, len(texts))
        print(f"{name:28}{text:8.1f}{order:8.1f}{peak:8.2f}")


if __name__ == "__main__":
    main()
