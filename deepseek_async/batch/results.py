"""Reading the files of a batch back, one line at a time."""

import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import msgspec
from msgspec import UNSET, Raw, UnsetType

from deepseek_async.batch.files import file_error
from deepseek_async.batch.records import CHAT_URL, BatchRequest
from deepseek_async.errors import DeepSeekWarning
from deepseek_async.types.chat import ChatCompletion
from deepseek_async.types.fim import Completion
from deepseek_async.wire.codec import NotAnObjectError, decode, decode_object
from deepseek_async.wire.repair import UNREADABLE

_NULL = Raw(b"null")


class _Response(msgspec.Struct):
    status_code: int | None = None
    request_id: str | None = None
    body: Raw = _NULL


class _Line(msgspec.Struct):
    custom_id: str
    id: str | None = None
    response: _Response | None = None
    error: Any = None
    # Those of a failed request.
    url: str | UnsetType = UNSET
    method: str | UnsetType = UNSET
    body: dict[str, Any] | UnsetType | None = UNSET


_decode_line = msgspec.json.Decoder(_Line).decode


class BatchResult:
    """One line of a results file, or of the file of failed requests.

    Attributes:
        custom_id: The name of the request.
        status_code: HTTP status of the answer; None if there was none.
        request_id: The server's id of the request.
        error: Why there is no answer, as ``{"code", "message"}``; None if there is one.
        request: What was sent, if the line has it: that of a failed request does.
    """

    __slots__ = ("_body", "custom_id", "error", "request", "request_id", "status_code")

    def __init__(self, line: _Line) -> None:
        response = line.response or _Response()
        self.custom_id = line.custom_id
        self.status_code = response.status_code
        self.request_id = response.request_id
        self.error: dict[str, Any] | None = line.error
        self.request: BatchRequest | None = None
        if isinstance(line.body, dict):
            url = CHAT_URL if line.url is UNSET else line.url
            self.request = BatchRequest(line.custom_id, line.body, url)
        self._body = bytes(response.body)

    @property
    def body(self) -> Any:
        """The body of the answer, decoded anew each time; None if there is no answer."""
        return msgspec.json.decode(self._body)

    @property
    def completion(self) -> ChatCompletion | Completion | None:
        """The answer, decoded anew each time; None if there is none.

        A FIM request has a :class:`Completion`, all others a :class:`ChatCompletion`.
        """
        if self.error is not None or self.status_code != 200:
            return None
        try:
            body = decode_object(self._body)
        except NotAnObjectError:
            return None
        result: ChatCompletion | Completion
        if body.get("object") == "text_completion":
            result = decode(self._body, Completion)
        else:
            result = decode(self._body, ChatCompletion)
        result.request_id = self.request_id
        return result

    def __repr__(self) -> str:
        outcome = f"status_code={self.status_code}" if self.error is None else "failed"
        return f"BatchResult(custom_id={self.custom_id!r}, {outcome})"


def read_results(path: str | os.PathLike[str]) -> Iterator[BatchResult]:
    """Read a results file, or one of failed requests, in the order of its lines.

    Reads OpenAI's files too. The file may be one that a batch is writing to: the line that isn't
    whole yet is left out. So are lines that can't be read, which a :class:`DeepSeekWarning` tells
    at the end.

    Raises:
        BatchFileError: If the file can't be read.
    """
    path = Path(path)
    unreadable: list[int] = []
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                result = _read(line)
                if result is not None:
                    yield result
                elif line.endswith(b"\n") and not line.isspace():
                    unreadable.append(number)
    except OSError as exc:
        raise file_error(path, exc, "read") from exc
    if unreadable:
        warnings.warn(
            f"{len(unreadable)} lines of {path} are no results of a batch and were left out, the "
            f"first is line {unreadable[0]}",
            DeepSeekWarning,
            stacklevel=2,
        )


def _read(line: bytes) -> BatchResult | None:
    try:
        return BatchResult(_decode_line(line))
    except UNREADABLE:
        return _read_leniently(line)


def _read_leniently(line: bytes) -> BatchResult | None:
    """Read what isn't JSON by the book: a lone surrogate, NaN, a byte order mark."""
    try:
        value = cast("object", decode_object(line))
        return BatchResult(_decode_line(msgspec.json.encode(value)))
    except (NotAnObjectError, msgspec.MsgspecError):
        return None
