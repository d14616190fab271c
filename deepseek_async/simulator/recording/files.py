"""Exchanges as files: JSON for people and their diffs, one file an exchange, one block a line.

Bodies are text where they are UTF-8, and base64 elsewhere; those of requests are JSON where they
are JSON.
"""

from __future__ import annotations

import codecs
import re
from pathlib import Path
from typing import Annotated, Any

import msgspec

from deepseek_async.simulator.positions import start_of
from deepseek_async.simulator.recording.exchange import Answer, Block, End, Exchange

FORMAT = "deepseek_async.exchange"
VERSION = 1

_Milliseconds = Annotated[float, msgspec.Meta(ge=0)]
_REPAIR = "restore the file, or record again with `deepseek-async simulate --record`"


class RecordingFileError(ValueError):
    """A recording can't be used; the message names the file, the line and what to do."""


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    pass


class _Request(_Part, frozen=True):
    method: str
    path: str
    headers: dict[str, str] = {}
    # Raw: numbers and repeated keys as they were sent.
    json: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    text: str | None = None
    base64: bytes | None = None


class _Response(_Part, frozen=True):
    status: Annotated[int, msgspec.Meta(ge=200, le=999)]
    ms: _Milliseconds
    headers: dict[str, str] = {}
    content_length: Annotated[int, msgspec.Meta(ge=0)] | None = None


class _Ending(_Part, frozen=True):
    how: End
    ms: _Milliseconds
    reason: str = ""


class _Block(_Part, frozen=True):
    ms: _Milliseconds
    text: str | None = None
    base64: bytes | None = None


class _Kind(msgspec.Struct, frozen=True):
    """What all versions have."""

    format: str = ""
    version: int = 0


class _File(_Part, frozen=True, kw_only=True):
    format: str
    version: int
    recorded_at: str
    host: str
    request: _Request
    response: _Response | None = None
    end: _Ending
    body: list[_Block]


def render(exchange: Exchange) -> bytes:
    """Return an exchange as the content of its file."""
    answer = exchange.answer
    written = _File(
        format=FORMAT,
        version=VERSION,
        recorded_at=exchange.recorded_at,
        host=exchange.host,
        request=_request(exchange),
        response=None if answer is None else _response(answer),
        end=_Ending(how=exchange.end, ms=exchange.end_ms, reason=exchange.reason),
        body=[],
    )
    text = msgspec.json.format(msgspec.json.encode(written), indent=2)
    if not exchange.blocks:
        return text + b"\n"
    lines = b",\n".join(b"    " + _line(block) for block in exchange.blocks)
    return text.removesuffix(b"[]\n}") + b"[\n" + lines + b"\n  ]\n}\n"


def _response(answer: Answer) -> _Response:
    return _Response(
        status=answer.status,
        ms=answer.ms,
        headers=dict(answer.headers),
        content_length=answer.content_length,
    )


def _request(exchange: Exchange) -> _Request:
    fields: dict[str, Any] = {}
    body = exchange.request_body
    try:
        # Formatted to see whether it can be: the decoder alone takes a little more.
        msgspec.json.decode(msgspec.json.format(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        if body:
            fields = _text_or_base64(body)
    else:
        fields["json"] = msgspec.Raw(body)
    return _Request(
        method=exchange.method,
        path=exchange.target,
        headers=dict(exchange.request_headers),
        **fields,
    )


def _line(block: Block) -> bytes:
    return msgspec.json.encode(_Block(ms=block.ms, **_text_or_base64(block.data)))


def _text_or_base64(data: bytes) -> dict[str, Any]:
    try:
        return {"text": data.decode()}
    except UnicodeDecodeError:
        return {"base64": data}


def read(path: Path) -> Exchange:
    """Read the file of an exchange.

    Raises:
        OSError: It can't be read.
        RecordingFileError: It isn't a recording, or a damaged one.
    """
    # Editors on Windows write the mark.
    data = path.read_bytes().removeprefix(codecs.BOM_UTF8)
    try:
        data.decode()
        kind = msgspec.json.decode(data, type=_Kind)
        _check_kind(path, kind)
        said = msgspec.json.decode(data, type=_File)
        return _exchange(said, data, path)
    except msgspec.ValidationError as exc:
        problem, _, place = str(exc).partition(" - at `$")
        raise _damaged(path, data, place.rstrip("`"), problem) from None
    except UnicodeDecodeError as exc:
        line = data.count(b"\n", 0, exc.start) + 1
        raise RecordingFileError(f"{path}: line {line}: this isn't UTF-8; {_REPAIR}") from None
    except (msgspec.DecodeError, RecursionError) as exc:
        found = re.search(r" \(byte (\d+)\)", str(exc))
        offset = len(data) if found is None else int(found[1])
        problem = str(exc).replace(found[0], "") if found else str(exc)
        line = data.count(b"\n", 0, offset) + 1
        raise RecordingFileError(f"{path}: line {line}: {problem}; {_REPAIR}") from None


def _check_kind(path: Path, kind: _Kind) -> None:
    if kind.format != FORMAT:
        raise RecordingFileError(
            f'{path}: line 1: this isn\'t a recording: "format" isn\'t "{FORMAT}"; move it out of '
            "the folder"
        )
    if kind.version != VERSION:
        raise RecordingFileError(
            f'{path}: line 1: "version" is {kind.version}, and this deepseek_async reads '
            f"{VERSION}; update deepseek_async, or record again"
        )


def _damaged(path: Path, data: bytes, place: str, problem: str) -> RecordingFileError:
    # Keys of mappings aren't told: up to there it is.
    place = place.partition("[...]")[0].lstrip(".")
    where = start_of(data, place) if place else "line 1"
    told = f"{place}: {problem[:1].lower()}{problem[1:]}" if place else problem
    return RecordingFileError(f"{path}: {where}: {told}; {_REPAIR}")


def _exchange(said: _File, data: bytes, path: Path) -> Exchange:
    request, response = said.request, said.response
    given = [
        request.text is not None,
        request.base64 is not None,
        request.json is not msgspec.UNSET,
    ]
    if sum(given) > 1:
        raise _damaged(path, data, "request", "has more than one of json, text and base64")
    blocks: list[Block] = []
    for number, block in enumerate(said.body):
        if (block.text is None) == (block.base64 is None):
            raise _damaged(path, data, f"body[{number}]", "has to have one of text and base64")
        content = block.text.encode() if block.text is not None else block.base64
        blocks.append(Block(block.ms, content or b""))
    if response is None and (blocks or said.end.how == "complete"):
        raise _damaged(path, data, "end", "without a response, there can be no body and no end")
    return Exchange(
        host=said.host,
        recorded_at=said.recorded_at,
        method=request.method,
        target=request.path,
        request_headers=request.headers,
        request_body=_body(request),
        answer=None if response is None else _answer(response),
        blocks=blocks,
        end=said.end.how,
        end_ms=said.end.ms,
        reason=said.end.reason,
    )


def _answer(response: _Response) -> Answer:
    return Answer(
        status=response.status,
        headers=response.headers,
        content_length=response.content_length,
        ms=response.ms,
    )


def _body(request: _Request) -> bytes:
    if isinstance(request.json, msgspec.Raw):
        return bytes(request.json)
    return request.text.encode() if request.text is not None else request.base64 or b""
