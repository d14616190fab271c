"""The file of failed requests, kept free of those that were answered after all.

Of an item that failed more than once the last line counts. What was never sent because its input
couldn't be read is looked at anew by each run over the input, so its line makes room for that.
"""

from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast

import msgspec

from deepseek_async.batch.files import file_error, replace_file
from deepseek_async.batch.records import INVALID_INPUT
from deepseek_async.batch.recovery import name_of
from deepseek_async.batch.seen import KeySet, Seen, key_of
from deepseek_async.wire.repair import UNREADABLE


class _Line(msgspec.Struct):
    error: Any = None


_decode_line = msgspec.json.Decoder(_Line).decode


class DeadLetters(NamedTuple):
    """What the file holds.

    Attributes:
        keys: Keys of the names of those that were sent and failed.
        lines: How many lines there are, with those that were never sent.
    """

    keys: KeySet
    lines: int


def tidy(path: Path, is_answered: Callable[[int], bool], *, drop_invalid: bool) -> DeadLetters:
    """Read the file, and write it anew if there is something to leave out; blocks.

    Args:
        path: The file, whole; one that doesn't exist is an empty one.
        is_answered: Tells of the key of a name whether it has a result.
        drop_invalid: Leave out what was never sent because its input couldn't be read.

    Raises:
        BatchFileError: If it can't be read or written; then it is as it was.
    """
    try:
        keys, invalid = _read(path)
        kept = _choose(keys, invalid, is_answered, drop_invalid=drop_invalid)
        if sum(kept) < len(kept):
            replace_file(path, _lines(path, kept))
    except FileNotFoundError:
        return DeadLetters(KeySet(), 0)
    except OSError as exc:
        raise file_error(path, exc) from exc
    sent = [key for place, key in enumerate(keys) if kept[place] and not invalid[place]]
    return DeadLetters(KeySet([sent]), sum(kept))


def _read(path: Path) -> tuple["array[int]", bytearray]:
    keys = array("q")
    invalid = bytearray()
    with path.open("rb") as file:
        for line in file:
            keys.append(key_of(name_of(line) or b""))
            invalid.append(_code(line) == INVALID_INPUT)
    return keys, invalid


def _code(line: bytes) -> object:
    try:
        error = _decode_line(line).error
    except UNREADABLE:
        return None
    return cast("dict[str, Any]", error).get("code") if isinstance(error, dict) else None


def _choose(
    keys: "array[int]",
    invalid: bytearray,
    is_answered: Callable[[int], bool],
    *,
    drop_invalid: bool,
) -> bytearray:
    later = Seen()
    kept = bytearray(len(keys))
    for place in reversed(range(len(keys))):
        key = keys[place]
        is_last = later.add(key, 0) is None
        kept[place] = is_last and not is_answered(key) and not (drop_invalid and invalid[place])
    return kept


def _lines(path: Path, kept: bytearray) -> Iterator[bytes]:
    with path.open("rb") as file:
        for line, is_kept in zip(file, kept, strict=True):
            if is_kept:
                yield line
