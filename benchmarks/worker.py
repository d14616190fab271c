"""The process of one contender: takes commands as JSON lines, and answers in JSON lines.

Run by the other modules: python -m benchmarks.worker CONTENDER SERVER
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.metadata
import json
import os
import platform
import sys
import time
from typing import Any, TextIO, cast

from benchmarks.contenders import CONTENDERS, Make
from benchmarks.machine import CLIENT, pin, raise_descriptor_limit, waited_seconds
from benchmarks.questions import Bench, Question

_TOLD = ("deepseek-async", "aiohttp", "msgspec", "openai", "httpx2", "httpx")


def versions() -> dict[str, str]:
    """Return the versions of the interpreter and of what is measured with it."""
    found = {"python": platform.python_version()}
    for name in _TOLD:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def measure(contender: str, make: Make, server: str, command: dict[str, Any]) -> dict[str, Any]:
    """Take one measurement; what goes wrong with it is part of the answer."""
    module = importlib.import_module(f"benchmarks.{command['question']}")
    question = cast("Question", module.QUESTION)
    case = next(each for each in question.cases if each.name == command["case"])
    bench = Bench(contender, make, server, quick=command["quick"])
    began, waited = time.perf_counter(), waited_seconds()

    async def run() -> dict[str, float]:
        return await case.measure(bench)

    try:
        figures = asyncio.run(run())
    except Exception as exc:
        return {"error": f"{type(exc).__name__}: {exc}"[:300]}
    share = (waited_seconds() - waited) / (time.perf_counter() - began)
    return {"figures": figures, "waited": share}


def _say(out: TextIO, message: dict[str, Any]) -> None:
    print(json.dumps(message), file=out, flush=True)


def main() -> None:
    contender, server = sys.argv[1:]
    # Libraries may print: their lines must not come between the answers.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    pin(CLIENT)
    limit = raise_descriptor_limit()
    try:
        make = CONTENDERS[contender].load()
        if contender == "openai":
            importlib.import_module("openai")
    except ImportError as exc:
        _say(out, {"missing": str(exc)})
        return
    _say(out, {"versions": versions(), "descriptors": limit})
    for line in sys.stdin:
        _say(out, measure(contender, make, server, json.loads(line)))


if __name__ == "__main__":
    main()
