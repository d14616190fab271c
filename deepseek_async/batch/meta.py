"""What a job was started with, beside its results: a run with other settings is no continuation."""

import os
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec

from deepseek_async.batch.files import file_error, replace_file
from deepseek_async.batch.paths import BatchPaths
from deepseek_async.errors import BatchFileError, BatchSettingsError
from deepseek_async.wire.repair import UNREADABLE

FORMAT = 1

# How much of the beginning of an input file tells it from others, in bytes.
_BEGINNING = 64 << 10

# Longer settings are stored as their digest, in characters of JSON.
_LONGEST = 200
_DIGEST = "blake2b:"

_encode = msgspec.json.Encoder(order="deterministic", decimal_format="number").encode


class InputFile(msgspec.Struct):
    """What an input file is known by: not its name, so that it can be moved; it may have grown."""

    name: str
    size: int
    beginning: str
    """Digest of the first 64 KiB, or of all there is."""

    @classmethod
    def of(cls, path: str | os.PathLike[str]) -> "InputFile":
        """Look at a file.

        Raises:
            BatchFileError: If it can't be read.
        """
        path = Path(path)
        try:
            return cls(path.name, path.stat().st_size, _beginning(path, _BEGINNING))
        except OSError as exc:
            raise file_error(path, exc, "read") from exc

    def continues_in(self, path: str | os.PathLike[str]) -> bool:
        """Tell whether a file is this one, perhaps with more lines at its end."""
        path = Path(path)
        try:
            return (
                path.stat().st_size >= self.size
                and _beginning(path, min(self.size, _BEGINNING)) == self.beginning
            )
        except OSError as exc:
            raise file_error(path, exc, "read") from exc


def _beginning(path: Path, size: int) -> str:
    with path.open("rb") as file:
        return blake2b(file.read(size), digest_size=16).hexdigest()


class Finished(msgspec.Struct, frozen=True):
    """An input file of which every item has an answer, and by which it is known again."""

    items: int
    duplicates: int
    """Of these, items that only repeat another one."""

    size: int
    """Of the file, in bytes."""

    modified: int
    """When it was last changed, in nanoseconds since the epoch."""

    def is_of(self, stat: os.stat_result) -> bool:
        """Tell whether a file is still the same."""
        return (self.size, self.modified) == (stat.st_size, stat.st_mtime_ns)


class Meta(msgspec.Struct, omit_defaults=True):
    """The content of the file."""

    format: int = FORMAT
    settings: dict[str, Any] = {}
    """What decides about the answers; a value that is long is replaced by its digest."""

    input: InputFile | None = None
    """The input, if it was a file."""

    results: int = 0
    """How many lines of results there were when the last run ended."""

    errors: int = 0
    """How many dead letters there were then."""

    finished: Finished | None = None
    """Set once all of an input file is answered: it need not be read to know that."""


_decode = msgspec.json.Decoder(Meta).decode


def settings_of(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings in the form they are stored in."""
    stored: dict[str, Any] = {}
    for name, value in settings.items():
        text = _encode(value)
        if len(text) > _LONGEST:
            stored[name] = _DIGEST + blake2b(text, digest_size=16).hexdigest()
        else:
            stored[name] = msgspec.json.decode(text)
    return stored


def read_meta(path: Path, *, force: bool) -> Meta | None:
    """Read the file; None if there is none.

    Args:
        path: The file.
        force: Take one that says nothing for none.

    Raises:
        BatchFileError: If it can't be read.
    """
    try:
        return _decode(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise file_error(path, exc, "read") from exc
    except UNREADABLE as exc:
        if force:
            return None
        raise BatchFileError(
            f"{path}, which tells what the job was started with, is damaged: {exc}; "
            "pass force=True to go on without it",
            path=str(path),
        ) from exc


def write_meta(path: Path, meta: Meta) -> None:
    """Write the file.

    Raises:
        BatchFileError: If that fails.
    """
    try:
        replace_file(path, [msgspec.json.format(_encode(meta), indent=2), b"\n"])
    except OSError as exc:
        raise file_error(path, exc) from exc


def check_meta(
    paths: BatchPaths,
    old: Meta | None,
    settings: Mapping[str, Any],
    source: str | os.PathLike[str] | None,
    *,
    force: bool,
) -> None:
    """Make sure that a job goes on as it was started.

    Args:
        paths: Its files.
        old: What is stored; None if nothing is.
        settings: Its settings now.
        source: The path of its input, if that is a file that must be the same.
        force: Let it go on with other settings or another input.

    Raises:
        BatchSettingsError: If anything differs, or the results are not those of a batch.
    """
    results = paths.results
    if old is not None and old.format > FORMAT:
        raise BatchSettingsError(
            f"{results} was written by a newer version of deepseek_async (format {old.format}); "
            "update it to go on"
        )
    if force:
        return
    if old is None:
        if results.exists() and results.stat().st_size > 0:
            raise BatchSettingsError(
                f"{results} exists, and nothing beside it says that a batch wrote it "
                f"({paths.meta.name} is missing); choose another file, or pass force=True if "
                "it holds results to be continued"
            )
        return
    differences = _differences(old.settings, settings_of(settings))
    if source is not None and old.input is not None and not old.input.continues_in(source):
        differences.append(f"the input was {old.input.name} and is another file or has changed")
    if differences:
        raise BatchSettingsError(
            f"{results} was begun with other settings: {'; '.join(differences)}. "
            "Use the former ones or another file, or pass force=True to go on with the new ones "
            "for what is not answered yet"
        )


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    return [
        _difference(name, old.get(name), new.get(name))
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    ]


def _difference(name: str, old: object, new: object) -> str:
    if any(isinstance(value, str) and value.startswith(_DIGEST) for value in (old, new)):
        return f"{name} has changed"
    return f"{name} was {old!r} and is {new!r}"
