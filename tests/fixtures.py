"""Recorded traffic beside the checkout: where it is, and what it should give."""

import json
from pathlib import Path
from typing import Any

import pytest

RECORDINGS = Path(__file__).resolve().parents[2] / "shared" / "fixtures"

needs_recordings = pytest.mark.skipif(
    not RECORDINGS.is_dir(), reason="recorded traffic (../shared/fixtures) is not there"
)


def expected_streams() -> list[dict[str, Any]]:
    """Return what each recorded stream should give; nothing where there are no recordings."""
    path = RECORDINGS / "expected.jsonl"
    if not path.is_file():
        return []
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def chat_streams() -> list[dict[str, Any]]:
    """Return the chat streams among them."""
    return [each for each in expected_streams() if "text" not in each]


def body_of(case: dict[str, Any]) -> bytes:
    """Return the bytes of a recorded stream."""
    return (RECORDINGS / str(case["file"])).read_bytes()
