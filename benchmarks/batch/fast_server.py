"""The fast server in its process, and a client of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import msgspec

from benchmarks import payloads
from benchmarks.batch.server import DIGITS, MARK, Manner, State
from benchmarks.processes import Process
from deepseek_async import AsyncDeepSeek

_START_SECONDS = 60.0


class FastServer(Process):
    """The fast server.

    Args:
        manner: How it behaves.

    Attributes:
        address: Its URL.
    """

    def __init__(self, manner: Manner) -> None:
        options = msgspec.json.encode(manner).decode()
        super().__init__(sys.executable, "benchmarks.batch.server", options)
        port = self.line(_START_SECONDS).strip()
        if not port:
            self.stop()
            raise RuntimeError("the fast server did not start")
        self.address = f"http://127.0.0.1:{port}"

    def state(self) -> State:
        """Return what has been by now."""
        return msgspec.json.decode(self._get("state"), type=State)

    def asked(self) -> bytes:
        """Return how many times each item was asked for, a byte each."""
        return self._get("asked")

    def answered(self) -> bytes:
        """Return how many whole answers were sent for each item, a byte each."""
        return self._get("answered")

    def _get(self, path: str) -> bytes:
        with urlopen(f"{self.address}/{path}", timeout=60) as response:
            content: bytes = response.read()
        return content


def client_of(address: str) -> AsyncDeepSeek:
    """Return a client that takes the server for DeepSeek."""
    return AsyncDeepSeek(api_key="sk-fast", base_url=address, dialect="deepseek", trust_env=False)


def name_of(number: int) -> str:
    """Return the `custom_id` of an item."""
    return f"{MARK}{number:0{DIGITS}}"


def number_of(text: str) -> int:
    """Return the number of an item, of its name or of the answer to it."""
    return int(text[len(MARK) : len(MARK) + DIGITS])


def body_of(number: int, *, size: int = 0, **more: Any) -> dict[str, Any]:
    """Return the request of an item, its prompt of about so many bytes."""
    return {
        "model": payloads.MODEL,
        "messages": [{"role": "user", "content": f"{name_of(number)} " + "x" * size}],
        "thinking": {"type": "disabled"},
        **more,
    }


def requests(numbers: range, *, size: int = 0, **more: Any) -> Iterator[dict[str, Any]]:
    """Yield the requests of items."""
    for number in numbers:
        yield {"custom_id": name_of(number), "body": body_of(number, size=size, **more)}


def write_requests(path: Path, items: int, *, size: int = 0) -> None:
    """Write the requests of items to a file."""
    encode = msgspec.json.Encoder().encode
    with path.open("wb") as file:
        file.writelines(encode(each) + b"\n" for each in requests(range(items), size=size))
