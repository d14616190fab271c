"""What a batch was started with on the command line, kept beside its results for later commands."""

import os
from pathlib import Path

import msgspec

from deepseek_async.batch.paths import BatchPaths
from deepseek_async.cli.batch.options import BatchOptions
from deepseek_async.cli.failures import UsageProblem


class Memory(msgspec.Struct, kw_only=True):
    """The content of the file. The API key is never in it."""

    input: str | None = None
    """Absolute path of the requests; None if nobody has said."""

    options: BatchOptions = BatchOptions()
    base_url: str | None = None
    simulate: bool = False

    priced: bool = True
    """Whether DeepSeek's prices hold."""

    duplicates: int = 0
    """Lines of the input that say nothing new, as of the last run that read all of it."""


class _Settings(msgspec.Struct):
    model: str | None = None


class _Meta(msgspec.Struct):
    settings: _Settings


_decode = msgspec.json.Decoder(Memory).decode
_decode_meta = msgspec.json.Decoder(_Meta).decode


def memory_path(paths: BatchPaths) -> Path:
    """Return where it is kept: ``answers.cli.json`` beside ``answers.jsonl``."""
    stem = paths.meta.name.removesuffix(".meta.json")
    return paths.results.with_name(f"{stem}.cli.json")


def recall(paths: BatchPaths) -> Memory | None:
    """Return what is kept; None if nothing is.

    Raises:
        UsageProblem: If the file says something else.
    """
    path = memory_path(paths)
    try:
        return _decode(path.read_bytes())
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as exc:
        raise UsageProblem(
            f"{path} is damaged: {exc}; remove it and name the input with --input"
        ) from exc


def guess(paths: BatchPaths) -> Memory:
    """Return what is known of a batch that was not started on the command line."""
    try:
        model = _decode_meta(paths.meta.read_bytes()).settings.model
    except (OSError, msgspec.MsgspecError):
        return Memory()
    return Memory(options=BatchOptions(model=model) if model else BatchOptions())


def remember(paths: BatchPaths, memory: Memory) -> None:
    """Keep it."""
    path = memory_path(paths)
    temporary = path.with_name(f"{path.name}.tmp")
    temporary.write_bytes(msgspec.json.format(msgspec.json.encode(memory)) + b"\n")
    os.replace(temporary, path)
