"""What every client has to get right, and how the programs of the Python clients report it.

One line a check: its name, a tab, and ``passed``, ``failed: why`` or ``missing`` if the client has
no such call.
"""

from __future__ import annotations

import asyncio
import sys
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

CHECKS = (
    "chat",
    "stream",
    "streamed parallel tools",
    "tool round trip",
    "streamed reasoning",
    "JSON mode",
    "models",
    "401",
    "429",
)
MODEL = "deepseek-flash"
HELLO = "Say hello"
HELLO_TEXT = "Hello from the simulator!"
THINK = "Think first"
THOUGHT = "Two and two are four."
THOUGHT_TEXT = "Four."
AS_JSON = "The answer as JSON, please"
REFUSED = "Refuse me"
LOOK_UP = "What is the weather, and what time is it?"
KEY = "sk-foreign"
BAD_KEY = "sk-bad-foreign"

Check = Callable[[str], Awaitable[None]]
# Any: schemas, in the clients' own notations.
PARAMETERS: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
}
TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "function": {"name": name, "description": f"Tells the {name}", "parameters": PARAMETERS},
    }
    for name in ("weather", "clock")
]
NAMES = ["weather", "clock"]
ARGUMENTS = {"city": "Hangzhou"}


def same(found: object, expected: object) -> None:
    """Fail unless both are the same.

    Raises:
        AssertionError: They aren't.
    """
    if found != expected:
        raise AssertionError(f"{found!r} is not {expected!r}")


def holds(condition: object, what: str) -> None:
    """Fail unless the condition holds.

    Raises:
        AssertionError: It doesn't.
    """
    if not condition:
        raise AssertionError(what)


def run(checks: dict[str, Check]) -> None:
    """Run the checks that a client has, against the URL on the command line."""
    asyncio.run(_run(checks, sys.argv[1]))


async def _run(checks: dict[str, Check], url: str) -> None:
    for name in CHECKS:
        check = checks.get(name)
        if check is None:
            outcome = "missing"
        else:
            try:
                async with asyncio.timeout(60):
                    await check(url)
                outcome = "passed"
            # Whatever a client raises is a failed check, and the next one is to run.
            except Exception as exc:
                traceback.print_exc()
                outcome = f"failed: {type(exc).__name__}: {exc}".replace("\n", " ")[:300]
        sys.stdout.write(f"{name}\t{outcome}\n")
        sys.stdout.flush()
