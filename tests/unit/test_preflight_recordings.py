"""Recorded requests to DeepSeek, checked before they are sent: none that was answered is refused.

The recordings are not part of the project; without them these tests are skipped.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deepseek_async.policy.preflight import check_chat
from deepseek_async.wire.requests import CHAT_PARAMETERS, chat_request

FIXTURES = Path(__file__).resolve().parents[3] / "shared" / "fixtures"


def answered() -> Iterator[Path]:
    for path in sorted(FIXTURES.rglob("*.headers.json")):
        head = json.loads(path.read_text(encoding="utf-8"))
        if "deepseek.com" in (head.get("url") or "") and head.get("status") == 200:
            request = path.with_name(path.name.replace(".headers.", ".request."))
            if request.is_file():
                yield request


@pytest.mark.skipif(not FIXTURES.is_dir(), reason=f"the recordings are not there: {FIXTURES}")
def test_what_was_answered_is_not_refused() -> None:
    checked = 0
    for path in answered():
        fields: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if "messages" not in fields:
            continue
        params = {name: value for name, value in fields.items() if name in CHAT_PARAMETERS.every}
        request = chat_request(params, stream=bool(fields.get("stream")), dialect="deepseek")
        # They are of times when these were no old names.
        assert all("was retired" in warning for warning in check_chat(request)), path.name
        checked += 1
    assert checked > 50
