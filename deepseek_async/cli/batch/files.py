"""The files of a batch: what can be found wrong with them before anything is sent."""

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from deepseek_async.batch import BatchRequest, BatchResult, read_results
from deepseek_async.batch.paths import BatchPaths
from deepseek_async.cli.clean import one_line
from deepseek_async.cli.failures import UsageProblem

#: The code of what was never sent since it is no request.
BAD_LINE = "invalid_input"


def check_input(path: Path) -> None:
    """Make sure that a file may be one of requests.

    Raises:
        UsageProblem: If it can't; the message says why.
    """
    try:
        if path.is_dir():
            raise UsageProblem(f"{path} is a directory: name a file of requests")
        if not path.exists():
            raise UsageProblem(f"there is no file {path}")
        if not path.is_file():
            raise UsageProblem(
                f"{path} is not a regular file: save the requests first, so that a later run can "
                "read them again"
            )
        with path.open("rb") as file:
            beginning = file.read(4096)
    except OSError as exc:
        raise UsageProblem(f"{path} can't be read: {exc.strerror or exc}") from exc
    if not beginning:
        raise UsageProblem(f"{path} is empty: put one request on each line, as JSON")
    if beginning.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UsageProblem(f"{path} is UTF-16, as Windows PowerShell writes it: save it as UTF-8")
    if beginning.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"["):
        raise UsageProblem(
            f"{path} begins with a JSON array: put one request on each line, without brackets and "
            "commas around them"
        )


def check_output(source: Path, paths: BatchPaths) -> None:
    """Make sure that results have a file of their own.

    Raises:
        UsageProblem: If they would overwrite the requests, or a directory.
    """
    if paths.results.is_dir():
        raise UsageProblem(f"{paths.results} is a directory: name a file for the results")
    place = os.path.realpath(source)
    if place == os.fspath(paths.results) or _is_same(source, paths.results):
        raise UsageProblem(f"IN and OUT are both {source}: name another file for the results")
    if place == os.fspath(paths.errors):
        raise UsageProblem(
            f"{source} holds the failed requests of {paths.results.name}: send them again with "
            "batch retry, or name another file for the results"
        )
    if place in map(os.fspath, paths):
        raise UsageProblem(f"{source} belongs to the results: name another file for them")


def _is_same(one: Path, other: Path) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False


def check_results(path: Path) -> None:
    """Make sure that there is a results file.

    Raises:
        UsageProblem: If there is none.
    """
    if path.is_dir():
        raise UsageProblem(f"{path} is a directory: name a results file")
    if not path.exists():
        raise UsageProblem(f"there is no results file {path}: begin with batch run IN {path}")


def check_chart(path: Path | None) -> None:
    """Make sure that a picture can be drawn at the end.

    Raises:
        UsageProblem: If it can't.
    """
    if path is None:
        return
    suffix = path.suffix.lower()
    if suffix not in (".svg", ".png"):
        raise UsageProblem(f"--chart {path}: the name must end in .svg or .png")
    if suffix == ".png" and importlib.util.find_spec("cairosvg") is None:
        raise UsageProblem(
            f"--chart {path}: PNG takes the library cairosvg (pip install cairosvg); or draw an "
            ".svg, which every browser shows"
        )
    if not path.parent.is_dir():
        raise UsageProblem(f"--chart {path}: there is no directory {path.parent}")


def count_lines(path: Path) -> int:
    """Return how many lines of a file say something; 0 if there is no such file."""
    try:
        with path.open("rb") as file:
            return sum(not line.isspace() for line in file)
    except FileNotFoundError:
        return 0


def letters_of(out: Path, paths: BatchPaths) -> Path:
    """Return the file of failed requests, written like the one of the results."""
    beside = out.with_name(paths.errors.name)
    # OUT may be a symbolic link.
    return beside if os.path.realpath(beside) == os.fspath(paths.errors) else paths.errors


class LetterCount(NamedTuple):
    """How many failed requests a batch has."""

    total: int
    bad_lines: int
    """Those of them that are no requests."""


def count_letters(path: Path) -> LetterCount:
    """Count the failed requests in a file; none if there is no such file."""
    total = bad_lines = 0
    if path.exists():
        for result in read_results(path):
            total += 1
            bad_lines += code_of(result) == BAD_LINE
    return LetterCount(total, bad_lines)


def code_of(result: BatchResult) -> str:
    """Return the code of a failure."""
    return one_line(str((result.error or {}).get("code")), 40)


class DeadLetters:
    """The failed requests of a batch, as an input; those that were never readable are left out.

    Args:
        path: The file of failed requests.
        models: Of requests to the first of these, the model becomes the second.
    """

    def __init__(self, path: Path, models: tuple[str, str] | None = None) -> None:
        self._path = path
        self._models = models
        self.unreadable = 0
        """How many are left out."""
        names: set[str] = set()
        if path.exists():
            for result in read_results(path):
                if result.request is None:
                    self.unreadable += 1
                else:
                    names.add(result.custom_id)
        self._count = len(names)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[BatchRequest]:
        if not self._count:
            return
        # One that fails again is added to the file while it is read.
        names: set[str] = set()
        for result in read_results(self._path):
            request = result.request
            if request is None or result.custom_id in names:
                continue
            names.add(result.custom_id)
            if self._models is not None and request.body.get("model") == self._models[0]:
                request.body["model"] = self._models[1]
            yield request
            if len(names) == self._count:
                return
