"""The lines of a batch's files: their form, whatever the answers look like."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepseek_async.batch.entries import read_fields
from deepseek_async.batch.records import (
    CHAT_URL,
    INVALID_INPUT,
    BatchRequest,
    LineError,
    encode_dead_letter,
    encode_result,
    on_one_line,
    response_of,
)
from deepseek_async.batch.results import BatchResult, read_results
from deepseek_async.errors import BatchFileError, DeepSeekWarning
from deepseek_async.types import ChatCompletion
from deepseek_async.types.fim import Completion

COMPLETION = (
    b'{"id":"c1","object":"chat.completion","created":1,"model":"deepseek-flash","choices":'
    b'[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}]}'
)


def test_a_result_line_begins_with_its_name_and_ends_with_no_error() -> None:
    line = encode_result("a", response_of(200, "trace-1", COMPLETION))
    assert line == (
        b'{"custom_id":"a","id":"batch_req_a","response":{"status_code":200,'
        b'"request_id":"trace-1","body":' + COMPLETION + b'},"error":null}\n'
    )


BODIES = {
    "as it came, numbers and all": (b'{"a" : 1.000, "b":1e999}', b'{"a" : 1.000, "b":1e999}'),
    "blank lines of a queued answer": (b'\n\n \r\n{"a":1}', b'{"a":1}'),
    "white space at the end": (b'{"a":1}\n', b'{"a":1}'),
    "pretty-printed": (b'{\n  "a": [\r\n    1\n  ]\n}', b'{"a":[1]}'),
    "line separators in text": ('{"a":"\u2028"}'.encode(), '{"a":"\u2028"}'.encode()),
    "escaped line end in text": (b'{"a":"x\\ny"}', b'{"a":"x\\ny"}'),
    "raw line end in text": (b'{"a":"x\ny"}', b'{"a":"x\\ny"}'),
    "lone surrogate": (b'{"a":"\\ud83d"}', '{"a":"\ufffd"}'.encode()),
    "not UTF-8": (b'{"a":"\xff"}', '{"a":"\ufffd"}'.encode()),
    "NaN": (b'{"a":NaN}', b'{"a":null}'),
    "HTML of a gateway": (b"<html>\n<p>", b'"<html>\\n<p>"'),
    "two values": (b'{"a":1} {"b":1}', b'"{\\"a\\":1} {\\"b\\":1}"'),
    "cut off": (b'{"a":[1', b'"{\\"a\\":[1"'),
    "nothing": (b"", b'""'),
}


@pytest.mark.parametrize(("body", "expected"), BODIES.values(), ids=BODIES)
def test_a_body_is_written_on_one_line(body: bytes, expected: bytes) -> None:
    assert bytes(on_one_line(body)) == expected


@given(st.binary() | st.text().map(lambda text: json.dumps(text, indent=1).encode()))
def test_any_body_gives_one_line_of_json(body: bytes) -> None:
    line = encode_result("a", response_of(500, None, body))
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    json.loads(line)
    msgspec.json.decode(line)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(json_values, st.sampled_from([None, 0, 3]))
def test_the_value_of_a_body_is_kept(value: object, indent: int | None) -> None:
    body = json.dumps(value, indent=indent, ensure_ascii=False).encode("utf-8", "replace")
    expected = json.loads(body)
    assert json.loads(bytes(on_one_line(body))) == expected


def dead_letter(**changes: Any) -> bytes:
    arguments: dict[str, Any] = {
        "url": CHAT_URL,
        "body": {"model": "m", "messages": []},
        "error": LineError("400", "no messages"),
        "response": response_of(400, None, b'{"error":{}}'),
    }
    return encode_dead_letter("a", **{**arguments, **changes})


def test_a_dead_letter_is_an_input_line_with_the_failure_behind() -> None:
    assert dead_letter() == (
        b'{"custom_id":"a","method":"POST","url":"/v1/chat/completions",'
        b'"body":{"model":"m","messages":[]},"response":{"status_code":400,"request_id":null,'
        b'"body":{"error":{}}},"error":{"code":"400","message":"no messages"}}\n'
    )
    fields = read_fields(json.loads(dead_letter()))
    assert fields == ("a", {"model": "m", "messages": []}, CHAT_URL, None)


def test_a_dead_letter_keeps_input_that_could_not_be_read() -> None:
    line = dead_letter(
        body=None, response=None, error=LineError(INVALID_INPUT, "not JSON"), text="{oops"
    )
    value = json.loads(line)
    assert value["input"] == "{oops"
    assert value["body"] is None
    assert "response" in value
    assert read_fields(value).bad == "body must be an object, not None"


def write(path: Path, *lines: bytes) -> Path:
    path.write_bytes(b"".join(lines))
    return path


def read(path: Path) -> list[BatchResult]:
    return list(read_results(path))


def test_results_are_read_back(tmp_path: Path) -> None:
    path = write(tmp_path / "out.jsonl", encode_result("a", response_of(200, "t", COMPLETION)))
    (result,) = read(path)
    assert (result.custom_id, result.status_code, result.request_id) == ("a", 200, "t")
    assert result.error is None
    assert result.request is None
    assert result.body == json.loads(COMPLETION)
    completion = result.completion
    assert isinstance(completion, ChatCompletion)
    assert completion.choices[0].message.content == "Hi"
    assert completion.request_id == "t"
    assert repr(result) == "BatchResult(custom_id='a', status_code=200)"


def test_a_fim_answer_is_a_completion(tmp_path: Path) -> None:
    body = b'{"id":"c","object":"text_completion","choices":[{"index":0,"text":"x"}]}'
    path = write(tmp_path / "out.jsonl", encode_result("a", response_of(200, None, body)))
    (result,) = read(path)
    assert isinstance(result.completion, Completion)


def test_dead_letters_are_read_back(tmp_path: Path) -> None:
    (result,) = read(write(tmp_path / "out.errors.jsonl", dead_letter()))
    assert result.error == {"code": "400", "message": "no messages"}
    assert result.request == BatchRequest("a", {"model": "m", "messages": []})
    assert result.completion is None
    assert repr(result) == "BatchResult(custom_id='a', failed)"


# From the documentation of OpenAI's Batch API.
OPENAI = (
    b'{"id": "batch_req_123", "custom_id": "request-2", "response": {"status_code": 200, '
    b'"request_id": "req_123", "body": {"id": "chatcmpl-123", "object": "chat.completion", '
    b'"created": 1711652795, "model": "gpt-3.5-turbo-0125", "choices": [{"index": 0, "message": '
    b'{"role": "assistant", "content": "Hello."}, "logprobs": null, "finish_reason": "stop"}], '
    b'"usage": {"prompt_tokens": 22, "completion_tokens": 2, "total_tokens": 24}, '
    b'"system_fingerprint": "fp_123"}}, "error": null}\n'
)
OPENAI_EXPIRED = (
    b'{"id": "batch_req_123", "custom_id": "request-3", "response": null, "error": '
    b'{"code": "batch_expired", "message": "This request could not be executed."}}\n'
)


def test_files_of_openai_are_read(tmp_path: Path) -> None:
    answered, expired = read(write(tmp_path / "openai.jsonl", OPENAI, OPENAI_EXPIRED))
    assert answered.custom_id == "request-2"
    assert isinstance(answered.completion, ChatCompletion)
    assert expired.error is not None
    assert expired.error["code"] == "batch_expired"
    assert expired.status_code is None
    assert expired.body is None


def test_an_answer_that_is_no_object_is_no_completion(tmp_path: Path) -> None:
    (result,) = read(write(tmp_path / "out", encode_result("a", response_of(200, None, b"[1]"))))
    assert result.body == [1]
    assert result.completion is None


def test_a_line_that_is_being_written_is_left_out(tmp_path: Path) -> None:
    line = encode_result("a", response_of(200, None, COMPLETION))
    path = write(tmp_path / "out.jsonl", line, b"\n", line[:-9])
    assert [result.custom_id for result in read(path)] == ["a"]


def test_lines_that_are_no_results_are_told_of_once(tmp_path: Path) -> None:
    line = encode_result("a", response_of(200, None, COMPLETION))
    surrogate = b'{"custom_id":"\\ud83d","response":null}\n'
    path = write(tmp_path / "out.jsonl", line, b"garbage\n", surrogate, b"[]\n")
    with pytest.warns(DeepSeekWarning, match=r"2 lines of .*out\.jsonl .* the first is line 2"):
        results = read(path)
    assert [result.custom_id for result in results] == ["a", "\ufffd"]


def test_a_file_that_is_not_there_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(BatchFileError, match="nowhere can't be read: No such file") as excinfo:
        read(tmp_path / "nowhere")
    assert excinfo.value.path == str(tmp_path / "nowhere")
