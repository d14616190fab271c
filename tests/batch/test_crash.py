"""Processes that are killed while they write: nothing acknowledged is lost, nothing is there twice.

Two hundred of them: python -m tests.batch.crash
"""

import sys
from pathlib import Path

import pytest

from tests.batch import crash


@pytest.mark.skipif(sys.platform == "win32", reason="files of a killed process stay open there")
@pytest.mark.parametrize("seed", [1, 2])
def test_killed_processes_lose_nothing(seed: int, tmp_path: Path) -> None:
    assert "none lost" in crash.check(5, seed, tmp_path)
