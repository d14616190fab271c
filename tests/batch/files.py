"""Journals and their lines, for the tests of them."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from deepseek_async.batch.journal import Journal
from deepseek_async.batch.records import (
    CHAT_URL,
    LineError,
    encode_dead_letter,
    encode_result,
    response_of,
)
from deepseek_async.errors import BatchFileError

SETTINGS = {"model": "deepseek-flash", "response_model": None}


def result(name: str, text: str = "Hi") -> bytes:
    """Return the line of an answered request."""
    return encode_result(name, response_of(200, None, msgspec.json.encode({"text": text})))


def failure(name: str, code: str = "400") -> bytes:
    """Return the line of a failed request."""
    error = LineError(code, "it failed")
    return encode_dead_letter(name, url=CHAT_URL, body={"messages": []}, error=error)


class Recorded:
    """What a journal told.

    Attributes:
        tokens: What became durable.
        errors: What it could not do.
    """

    def __init__(self) -> None:
        self.tokens: list[str] = []
        self.errors: list[BatchFileError] = []

    def journal(self, out: Path, **options: Any) -> Journal[str]:
        """Return a journal that tells this."""
        options.setdefault("settings", SETTINGS)
        options.setdefault("on_durable", self.tokens.extend)
        return Journal(out, on_error=self.errors.append, **options)


def names_in(path: Path) -> list[str]:
    """Return the names in a file; each line must be whole."""
    content = path.read_bytes() if path.exists() else b""
    assert content == b"" or content.endswith(b"\n")
    names: list[str] = [json.loads(line)["custom_id"] for line in content.splitlines()]
    return names


def files_in(folder: Path) -> set[str]:
    """Return the names of the files in a folder."""
    return {path.name for path in folder.iterdir()}


def add(journal: Journal[str], *names: str) -> None:
    """Add the results of requests."""
    for name in names:
        journal.add(result(name), name)


def add_failures(journal: Journal[str], *names: str, code: str = "400") -> None:
    """Add failed requests."""
    for name in names:
        journal.add_dead_letter(failure(name, code), name)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what a thread brings about."""
    async with asyncio.timeout(30):
        while not condition():  # nothing signals what is in a file
            await asyncio.sleep(0.005)
