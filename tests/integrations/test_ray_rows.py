"""Rows of datasets as requests, without Ray."""

import json
import math
from typing import Any

import pytest

from deepseek_async.batch import ShardSettings
from deepseek_async.errors import PreflightError
from deepseek_async.integrations.ray_rows import request_lines

MESSAGES = [{"role": "user", "content": "Hello"}]


def bodies(*rows: dict[str, Any], **settings: Any) -> list[dict[str, Any]]:
    lines = request_lines(rows, ShardSettings(**settings), "name")
    return [json.loads(line)["body"] for line in lines]


def test_what_pandas_leaves_empty_is_left_out() -> None:
    row = {"name": 1, "messages": MESSAGES, "temperature": math.nan, "max_tokens": None}
    assert bodies(row) == [{"messages": MESSAGES}]
    with pytest.raises(PreflightError, match="row 1 of the dataset has no name"):
        bodies({**row, "name": math.nan})


def test_a_row_that_is_no_json_is_named() -> None:
    good = {"name": "good", "messages": MESSAGES}
    bad = {**good, "name": "bad", "at": 1j}
    with pytest.raises(PreflightError, match=r"row 2 .* 'bad': a complex can't be written as JSON"):
        bodies(good, bad)
    with pytest.raises(PreflightError, match=r"row 1 .* a complex can't be written as JSON"):
        bodies(bad, map=dict)
