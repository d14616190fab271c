"""Recorded traffic, decoded: what the fixtures beside the repository say must come out.

The recordings are not part of the project; without them these tests are skipped.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deepseek_async.errors import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    ContextLengthExceededError,
    InsufficientBalanceError,
    NotFoundError,
    UnprocessableEntityError,
)
from deepseek_async.types.account import Balance, ModelList
from deepseek_async.types.chat import ChatCompletion, ChatCompletionChunk
from deepseek_async.types.fim import Completion
from deepseek_async.types.http import Headers, ResponseInfo
from deepseek_async.types.model import Model, Result
from deepseek_async.types.usage import Usage
from deepseek_async.wire.accumulate import ChatAccumulator
from deepseek_async.wire.chunks import ChunkDecoder
from deepseek_async.wire.codec import decode_result, error_for
from deepseek_async.wire.raw import EventSplitter

FIXTURES = Path(__file__).resolve().parents[3] / "shared" / "fixtures"
EXPECTED = FIXTURES / "expected.jsonl"

pytestmark = pytest.mark.skipif(
    not EXPECTED.is_file(), reason=f"the recorded traffic is not there: {FIXTURES}"
)


def expectations() -> Iterator[dict[str, Any]]:
    if EXPECTED.is_file():
        with EXPECTED.open(encoding="utf-8") as lines:
            yield from map(json.loads, lines)


CHAT = {line["file"]: line for line in expectations() if "text" not in line}
FIM = {line["file"]: line for line in expectations() if "text" in line}

chat_streams = pytest.mark.parametrize("file", CHAT)


def usage_subset(usage: Usage | None, expected: dict[str, Any] | None) -> object:
    """Return of ``usage`` the keys that are expected, nested ones too."""
    if usage is None or expected is None:
        return usage
    dump = usage.model_dump()
    return {key: _pick(dump.get(key), value) for key, value in expected.items()}


def _pick(value: Any, expected: Any) -> Any:
    if isinstance(value, dict) and isinstance(expected, dict):
        return {key: value.get(key) for key in expected}
    return value


def understood(blocks: Iterable[bytes]) -> dict[str, Any]:
    decoder = ChunkDecoder(ChatCompletionChunk)
    accumulator = ChatAccumulator()
    for block in blocks:
        accumulator.add(decoder.feed(block))
    decoder.finish()
    assert (decoder.failure, decoder.error) == (None, None)
    assert accumulator.chunks == decoder.events
    completion = accumulator.build()
    message = completion.choices[0].message
    return {
        "n_chunks": decoder.events,
        "content": message.content,
        "reasoning_content": message.reasoning_content,
        "tool_calls": [
            {"id": call.id, "name": call.function.name, "arguments": call.function.arguments}
            for call in message.tool_calls or []
        ],
        "finish_reason": completion.choices[0].finish_reason,
        "usage": completion.usage,
        "done_seen": decoder.done,
        "n_comments": decoder.comments,
    }


def check(file: str, blocks: Iterable[bytes]) -> None:
    expected = {key: value for key, value in CHAT[file].items() if key != "file"}
    got = understood(blocks)
    got["usage"] = usage_subset(got["usage"], expected["usage"])
    assert got == expected


@chat_streams
def test_a_recorded_stream_fed_whole_gives_the_expected_answer(file: str) -> None:
    check(file, [(FIXTURES / file).read_bytes()])


@chat_streams
def test_a_recorded_stream_fed_byte_by_byte_gives_the_expected_answer(file: str) -> None:
    stream = (FIXTURES / file).read_bytes()
    check(file, (stream[i : i + 1] for i in range(len(stream))))


@chat_streams
def test_a_recorded_stream_in_small_blocks_gives_the_expected_answer(file: str) -> None:
    stream = (FIXTURES / file).read_bytes()
    check(file, (stream[i : i + 1000] for i in range(0, len(stream), 1000)))


@chat_streams
def test_a_recorded_stream_by_crlf_gives_the_expected_answer(file: str) -> None:
    stream = (FIXTURES / file).read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    check(file, [stream])


@pytest.mark.parametrize("file", CHAT | FIM)
def test_a_recorded_stream_is_passed_on_byte_for_byte(file: str) -> None:
    stream = (FIXTURES / file).read_bytes()
    splitter = EventSplitter()
    events = [
        event for i in range(0, len(stream), 700) for event in splitter.feed(stream[i : i + 700])
    ]
    assert b"".join([*events, splitter.flush()]) == stream
    assert len(events) >= (CHAT | FIM)[file]["n_chunks"]


@pytest.mark.parametrize("step", [1, 1 << 20])
@pytest.mark.parametrize("file", FIM)
def test_a_recorded_text_completion_stream_gives_the_expected_text(file: str, step: int) -> None:
    stream = (FIXTURES / file).read_bytes()
    expected = FIM[file]
    decoder = ChunkDecoder(Completion)
    chunks = [
        chunk for i in range(0, len(stream), step) for chunk in decoder.feed(stream[i : i + step])
    ]
    decoder.finish()
    choices = [choice for chunk in chunks for choice in chunk.choices]
    usage = [chunk.usage for chunk in chunks if chunk.usage is not None]
    assert len(chunks) == expected["n_chunks"]
    assert "".join(choice.text for choice in choices) == expected["text"]
    assert [c.finish_reason for c in choices if c.finish_reason][-1:] == [expected["finish_reason"]]
    assert usage_subset(usage[-1], expected["usage"]) == expected["usage"]
    assert (decoder.done, decoder.comments) == (expected["done_seen"], expected["n_comments"])


def bodies() -> Iterator[str]:
    skipped = (".request.json", ".headers.json", ".chunks.json")
    for path in sorted(FIXTURES.glob("*/*.*")):
        if path.suffix in (".json", ".txt") and not path.name.endswith(skipped):
            yield str(path.relative_to(FIXTURES))


def response_of(file: str) -> ResponseInfo:
    path = (FIXTURES / file).with_suffix(".headers.json")
    if not path.is_file():
        return ResponseInfo(200, Headers())
    stored = json.loads(path.read_bytes())
    return ResponseInfo(stored["status"], Headers(stored["headers"].items()))


OF_OBJECT: dict[str, type[Result]] = {
    "chat.completion": ChatCompletion,
    "text_completion": Completion,
    "list": ModelList,
}


def type_of(body: Any) -> type[Result] | None:
    if "balance_infos" in body:
        return Balance
    return OF_OBJECT.get(body.get("object", "chat.completion" if "choices" in body else ""))


GOOD: dict[str, type[Result]] = {
    file: cls
    for file in bodies()
    if response_of(file).status == 200
    and (cls := type_of(json.loads((FIXTURES / file).read_bytes()))) is not None
}
BAD = [file for file in bodies() if response_of(file).status != 200]


def test_most_recordings_are_looked_at() -> None:
    assert len(CHAT) >= 79
    assert len(FIM) >= 1
    assert len(GOOD) >= 70
    assert len(BAD) >= 20


@pytest.mark.parametrize(("file", "cls"), GOOD.items(), ids=GOOD)
def test_a_recorded_body_decodes_without_losing_anything(file: str, cls: type[Result]) -> None:
    body = (FIXTURES / file).read_bytes()
    result = decode_result(body, cls, response_of(file))
    assert missing(json.loads(body), result.model_dump()) == []


def missing(sent: Any, got: Any, path: str = "") -> list[str]:
    """Return where ``got`` lacks or changes something of ``sent``; null counts as absent."""
    if isinstance(sent, dict) and isinstance(got, dict):
        return [
            hole
            for key, value in sent.items()
            if value is not None
            for hole in missing(value, got.get(key), f"{path}.{key}")
        ]
    if isinstance(sent, list) and isinstance(got, list) and len(sent) == len(got):
        return [
            hole
            for i, (value, other) in enumerate(zip(sent, got, strict=True))
            for hole in missing(value, other, f"{path}[{i}]")
        ]
    return [] if sent == got or sent == str(got) else [path]


@pytest.mark.parametrize(("file", "cls"), GOOD.items(), ids=GOOD)
def test_a_recorded_body_fits_the_types(file: str, cls: type[Result]) -> None:
    result = decode_result((FIXTURES / file).read_bytes(), cls, response_of(file))
    fields = set(cls.__struct_encode_fields__)
    assert not fields & set(result.model_extra or {})
    assert type(result) is cls
    assert isinstance(result, Model)


ERRORS: dict[int, type[APIStatusError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    402: InsufficientBalanceError,
    404: NotFoundError,
    405: APIStatusError,
    415: APIStatusError,
    422: UnprocessableEntityError,
}


@pytest.mark.parametrize("file", BAD)
def test_a_recorded_error_becomes_its_exception(file: str) -> None:
    body, response = (FIXTURES / file).read_bytes(), response_of(file)
    error = error_for(response, body)
    context = b"maximum context length" in body
    assert type(error) is (ContextLengthExceededError if context else ERRORS[response.status])
    assert error.status_code == response.status
    assert error.request_id == response.headers.get("x-ds-trace-id")
    assert not error.retryable


@pytest.mark.parametrize("file", [file for file in BAD if file.endswith(".json")])
def test_a_recorded_error_keeps_its_message_and_body(file: str) -> None:
    body = (FIXTURES / file).read_bytes()
    error = error_for(response_of(file), body)
    assert error.body == json.loads(body)["error"]
    assert error.message == json.loads(body)["error"]["message"]


@pytest.mark.parametrize("file", [file for file in BAD if file.endswith(".txt")])
def test_a_recorded_error_text_is_the_message(file: str) -> None:
    body = (FIXTURES / file).read_bytes()
    error = error_for(response_of(file), body)
    assert error.body == (body.decode().strip() or None)
    assert error.message.startswith(body.decode().strip() or "check base_url and path")
