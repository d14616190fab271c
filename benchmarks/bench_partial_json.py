"""What does it cost to look at tool arguments while they grow?

Unit: milliseconds of CPU time for a whole text of 64 KB that comes in deltas of 20 characters and
is looked at 1300 times, evenly spread: 20 times a second for a bit more than a minute. The least
of 5 runs; lower is better. ``untyped`` is ``PartialJSON``, ``typed`` is ``TypedPartial`` with
structs.

Run: python -m benchmarks.bench_partial_json
"""

import json
import platform
import time
from collections.abc import Callable
from typing import Any

import msgspec

from deepseek_async.wire.partial_json import PartialJSON
from deepseek_async.wire.typed_partial import TypedPartial

SIZE = 64 * 1024
DELTA = 20
VIEWS = 1300
RUNS = 5


class Text(msgspec.Struct):
    """One big string."""

    text: str


class Point(msgspec.Struct):
    """A small object."""

    a: int
    b: int


class Points(msgspec.Struct):
    """Many small objects."""

    items: list[Point]


class Node(msgspec.Struct):
    """An object within objects."""

    name: str
    size: int
    kids: "list[Node]" = []


def tree(depth: int) -> dict[str, Any]:
    """Return an object with six objects in it, and so on."""
    kids = [tree(depth - 1) for _ in range(6)] if depth else []
    return {"name": f"node {depth}", "size": depth, "kids": kids}


def shapes() -> dict[str, tuple[str, Any]]:
    """Return texts of the same size, each with its type."""
    prose = 'It was a bright cold day in April,\n\tand the "clocks" were striking. '
    points = {"items": [{"a": i % 10, "b": 2} for i in range(5000)]}
    chain: dict[str, Any] = {"name": "leaf", "size": 0}
    for depth in range(40):
        chain = {"name": "link " * 300, "size": depth, "kids": [chain]}
    texts = {
        "one big string": (json.dumps({"text": prose * (SIZE // 70)}), Text),
        "5000 small objects": (json.dumps(points, separators=(",", ":")), Points),
        "nested objects": (json.dumps({"name": "root", "size": 1, "kids": [tree(4)]}), Node),
        "40 levels": (json.dumps(chain), Node),
    }
    return {name: (text[:SIZE], cls) for name, (text, cls) in texts.items()}


def watch(text: str, feed: Callable[[str], None], view: Callable[[], Any]) -> float:
    """Feed and look; return the CPU time in milliseconds."""
    deltas = [text[at : at + DELTA] for at in range(0, len(text), DELTA)]
    each = len(deltas) / VIEWS
    due = each
    begun = time.process_time()
    seen: Any = None
    for number, delta in enumerate(deltas, 1):
        feed(delta)
        if number >= due:
            seen = view()
            due += each
    elapsed = time.process_time() - begun
    assert seen is not None
    return elapsed * 1e3


def untyped(text: str, cls: Any) -> float:
    parser = PartialJSON()
    return watch(text, parser.feed, lambda: parser.value)


def typed(text: str, cls: Any) -> float:
    parser: TypedPartial[Any] = TypedPartial(cls)
    return watch(text, parser.feed, parser.view)


def main() -> None:
    print(f"Python {platform.python_version()}, {platform.machine()}, least of {RUNS}, in ms")
    print(f"{'':<22}{'KB':>6}{'untyped':>10}{'typed':>10}")
    for name, (text, cls) in shapes().items():
        times = [min(measure(text, cls) for _ in range(RUNS)) for measure in (untyped, typed)]
        print(f"{name:<22}{len(text) / 1024:6.0f}{times[0]:10.1f}{times[1]:10.1f}")


if __name__ == "__main__":
    main()
