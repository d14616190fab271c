"""What a result line tells of the cost of its answer, read without the answer itself."""

from datetime import datetime

import msgspec
from msgspec import Raw

from deepseek_async.batch.recovery import name_of
from deepseek_async.batch.report import moment
from deepseek_async.types.chat import ChatCompletion
from deepseek_async.types.usage import Usage
from deepseek_async.wire.codec import NotAnObjectError, decode
from deepseek_async.wire.repair import UNREADABLE


class Answered(msgspec.Struct):
    """An answer without its text. A FIM answer has the same fields."""

    id: str = ""
    model: str = ""
    created: float = 0
    usage: Usage | None = None

    @property
    def moment(self) -> datetime:
        """When it was made, which decides about its price; now, if it doesn't say."""
        return moment(self.created)


class _Response(msgspec.Struct):
    body: Answered


class _Line(msgspec.Struct):
    custom_id: str
    response: _Response


class _RawResponse(msgspec.Struct):
    body: Raw


class _RawLine(msgspec.Struct):
    response: _RawResponse


_decode = msgspec.json.Decoder(_Line).decode
_decode_raw = msgspec.json.Decoder(_RawLine).decode


def read_answered(line: bytes) -> tuple[bytes, Answered] | None:
    """Return the name in a result line and its answer; None if the line is not whole."""
    try:
        read = _decode(line)
        return read.custom_id.encode(), read.response.body
    except UNREADABLE:
        name = name_of(line)
        return None if name is None else (name, _read_leniently(line))


def _read_leniently(line: bytes) -> Answered:
    """Read an answer that has fields the library doesn't know, or lacks some."""
    try:
        body = bytes(_decode_raw(line).response.body)
        answer = decode(body, ChatCompletion)
    except (NotAnObjectError, msgspec.MsgspecError):
        return Answered()
    return Answered(answer.id, answer.model, answer.created, answer.usage)
