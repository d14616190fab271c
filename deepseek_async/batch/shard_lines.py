"""A line of an input file as the parts of the file see it: what it says, and what goes with it."""

import contextlib
from typing import NamedTuple

import msgspec

from deepseek_async.batch.entries import Fields, decode_line, read_fields
from deepseek_async.policy.cache_text import cache_text

# What is raised for a body that JSON has nothing like, or a name that is no text.
_UNWRITABLE = (TypeError, ValueError, OverflowError, RecursionError)

_encode_canonical = msgspec.json.Encoder(order="deterministic", decimal_format="number").encode


class Looks(NamedTuple):
    """What decides where a line belongs.

    Attributes:
        name: The same for lines that have one name in the files, or are one request.
        text: What decides about the cache: requests that begin alike have texts that do.
    """

    name: bytes
    text: bytes


def look_at(line: bytes) -> Looks:
    """Return what decides where a line belongs."""
    try:
        fields = read_fields(decode_line(line))
    except ValueError:
        fields = Fields(bad="not JSON")
    return Looks(_name_of(fields, line), _text_of(fields, line))


def _name_of(fields: Fields, line: bytes) -> bytes:
    with contextlib.suppress(*_UNWRITABLE):
        if fields.custom_id is not None:
            # Also of what can't be sent: another line may have the same one.
            return b"name " + fields.custom_id.encode()
        if fields.bad is None:
            return b"body " + _encode_canonical((fields.url, dict(fields.body)))
    # It may become a request by the function that makes them: its whole text stands for it.
    return b"line " + line.strip()


def _text_of(fields: Fields, line: bytes) -> bytes:
    if fields.bad is not None:
        return line
    try:
        return cache_text(fields.body)
    except _UNWRITABLE:
        return line
