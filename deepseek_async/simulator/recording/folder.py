"""The folder of a recording: names in the order of requests, and nothing overwritten unasked."""

from __future__ import annotations

import contextlib
import errno
import re
from os import PathLike
from pathlib import Path
from typing import Literal

from deepseek_async.simulator.recording.exchange import Exchange
from deepseek_async.simulator.recording.files import RecordingFileError, read, render

Existing = Literal["refuse", "replace", "add"]

_NAME = re.compile(r"(\d{6,})\.[a-z]+\.[a-z0-9-]+\.json")
_MAX_SLUG = 60


class RecordingFolder:
    """Where exchanges are stored.

    Args:
        path: The folder.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = Path(path)
        self._last = 0

    def begin(self, existing: Existing) -> None:
        """Make the folder ready for new exchanges.

        Args:
            existing: What to do with recordings that are there. Other files stay in any case.

        Raises:
            FileExistsError: There are some, and they aren't to be replaced or added to.
            OSError: The folder can't be made or changed.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        recorded = _recorded(self.path)
        if recorded and existing == "refuse":
            count = f"{len(recorded)} recording{'s' if len(recorded) > 1 else ''}"
            raise FileExistsError(errno.EEXIST, f"there are {count} already", str(self.path))
        if existing == "replace":
            for path in recorded:
                path.unlink()
            recorded = []
        self._last = max((_number(path) for path in recorded), default=0)

    def take_number(self) -> int:
        """Return the number of the next exchange."""
        self._last += 1
        return self._last

    def store(self, number: int, exchange: Exchange) -> Path:
        """Write an exchange into a file of its own.

        Raises:
            OSError: It can't be written; nothing is left of it.
        """
        data = render(exchange)
        path = self.path / _name(number, exchange)
        # Exclusively: another recorder may use the folder.
        file = path.open("xb")
        try:
            with file:
                file.write(data)
        except BaseException:
            with contextlib.suppress(OSError):
                path.unlink()
            raise
        return path


def has_recordings(folder: str | PathLike[str]) -> bool:
    """Tell whether there are recordings in a folder, which need not exist."""
    path = Path(folder)
    return path.is_dir() and bool(_recorded(path))


def load(folder: str | PathLike[str]) -> list[tuple[str, Exchange]]:
    """Read all exchanges of a folder, oldest first, with the names of their files.

    Raises:
        OSError: The folder or a file can't be read.
        RecordingFileError: A file isn't a recording, or there is none.
    """
    path = Path(folder)
    files = [file for file in path.iterdir() if file.suffix == ".json" and file.name[0] != "."]
    if not files:
        raise RecordingFileError(
            f"{path}: there is no recording; make one with "
            f"`deepseek-async simulate --record BASE_URL --out {path}`"
        )
    files.sort(key=lambda file: (_number(file), file.name))
    return [(file.name, read(file)) for file in files]


def _recorded(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if _NAME.fullmatch(path.name)]


def _number(path: Path) -> int:
    found = re.match(r"\d+", path.name)
    return int(found[0]) if found else 0


def _name(number: int, exchange: Exchange) -> str:
    method = re.sub(r"[^a-z]+", "", exchange.method.lower()) or "x"
    path = exchange.target.partition("?")[0].lower()
    slug = re.sub(r"[^a-z0-9]+", "-", path).strip("-")[:_MAX_SLUG].strip("-")
    return f"{number:06}.{method}.{slug or 'root'}.json"
