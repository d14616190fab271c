"""The files of a recording: what is written is what is read, and damage is told with its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepseek_async.simulator import RecordingFileError
from deepseek_async.simulator.recording import folder as folder_module
from deepseek_async.simulator.recording.exchange import Answer, Block, End, Exchange
from deepseek_async.simulator.recording.files import read, render
from deepseek_async.simulator.recording.folder import RecordingFolder, load

HEADERS = st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=2)
TIMES = st.floats(0, 1e6)
BODIES = st.one_of(
    st.binary(max_size=30),
    st.text(max_size=30).map(lambda text: text.encode("utf-8", "replace")),
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
        max_leaves=5,
    ).map(lambda value: json.dumps(value).encode()),
    st.just(b'{"a": 1, "a": 2, "n": 123456789012345678901234567890}'),
)


@st.composite
def exchanges(draw: st.DrawFn) -> Exchange:
    answer = draw(
        st.none()
        | st.builds(
            Answer,
            status=st.integers(200, 599),
            headers=HEADERS,
            content_length=st.none() | st.integers(0, 2**40),
            ms=TIMES,
        )
    )
    ends: list[End] = ["left", "cut", "reset", "refused"]
    end = draw(st.sampled_from(ends if answer is None else ["complete", *ends]))
    blocks = st.builds(Block, TIMES, st.binary(min_size=1, max_size=9) | st.just("Grüße".encode()))
    return Exchange(
        host=draw(st.text(max_size=5)),
        recorded_at="2026-11-21T12:00:00+00:00",
        method=draw(st.sampled_from(["GET", "POST"])),
        target=draw(st.text(max_size=9)),
        request_headers=draw(HEADERS),
        request_body=draw(BODIES),
        answer=answer,
        blocks=[] if answer is None else draw(st.lists(blocks, max_size=4)),
        end=end,
        end_ms=draw(TIMES),
        reason=draw(st.text(max_size=5)),
    )


@given(exchange=exchanges())
def test_what_is_written_is_what_is_read(
    tmp_path_factory: pytest.TempPathFactory, exchange: Exchange
) -> None:
    file = tmp_path_factory.getbasetemp() / "exchange.json"
    file.write_bytes(render(exchange))
    found = read(file)
    if found.request_body != exchange.request_body:
        # White space alone may differ, in JSON.
        assert repr(json.loads(found.request_body)) == repr(json.loads(exchange.request_body))
        found = Exchange(
            **{name: getattr(found, name) for name in Exchange.__slots__ if name != "request_body"},
            request_body=exchange.request_body,
        )
    assert found == exchange


def sample(**fields: Any) -> Exchange:
    values: dict[str, Any] = {
        "host": "https://api.deepseek.com",
        "recorded_at": "2026-11-21T12:00:00+00:00",
        "method": "POST",
        "target": "/chat/completions",
        "request_headers": {"content-type": "application/json"},
        "request_body": b'{"model":"deepseek-flash","stream":true}',
        "answer": Answer(
            status=200, headers={"content-type": "text/event-stream"}, content_length=None, ms=1.5
        ),
        "blocks": [Block(2.0, b": keep-alive\n\n"), Block(3.5, b"data: \xc3"), Block(4.0, b"\xa4")],
        "end_ms": 5.0,
        **fields,
    }
    return Exchange(**values)


def test_a_file_is_made_for_people() -> None:
    assert render(sample()).decode().splitlines() == [
        "{",
        '  "format": "deepseek_async.exchange",',
        '  "version": 1,',
        '  "recorded_at": "2026-11-21T12:00:00+00:00",',
        '  "host": "https://api.deepseek.com",',
        '  "request": {',
        '    "method": "POST",',
        '    "path": "/chat/completions",',
        '    "headers": {',
        '      "content-type": "application/json"',
        "    },",
        '    "json": {',
        '      "model": "deepseek-flash",',
        '      "stream": true',
        "    }",
        "  },",
        '  "response": {',
        '    "status": 200,',
        '    "ms": 1.5,',
        '    "headers": {',
        '      "content-type": "text/event-stream"',
        "    }",
        "  },",
        '  "end": {',
        '    "how": "complete",',
        '    "ms": 5.0',
        "  },",
        '  "body": [',
        '    {"ms":2.0,"text":": keep-alive\\n\\n"},',
        '    {"ms":3.5,"base64":"ZGF0YTogww=="},',
        '    {"ms":4.0,"base64":"pA=="}',
        "  ]",
        "}",
    ]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('"ms":3.5', '"ms":"3.5"', "line 30 column 10: body[1].ms: expected `float`, got `str`"),
        ('"ms":3.5', '"ms":-1', "line 30 column 10: body[1].ms: expected `float` >= 0"),
        ('"ZGF0YTogww=="', '"ZGF0YT"', "line 30 column 23: body[1].base64: invalid base64"),
        ('"base64":"pA=="', '"text":"a","base64":"pA=="', "line 31 column 4: body[2]: has to have"),
        (',"base64":"pA=="', "", "line 31 column 4: body[2]: has to have one of text and base64"),
        ('"how": "complete"', '"how": "well"', "line 25 column 11: end.how: invalid enum value"),
        ('"status": 200', '"status": 20', "line 18 column 14: response.status: expected `int`"),
        ('"status"', '"state"', "line 17 column 14: response: object contains unknown field"),
        ('"text/event-stream"', "7", "line 20 column 15: response.headers: expected `str`"),
        ('"json": {', '"text": "", "json": {', "line 6 column 13: request: has more than one"),
        ('"version": 1', '"version": 2', 'line 1: "version" is 2, and this deepseek_async reads 1'),
        ("deepseek_async.exchange", "x", "line 1: this isn't a recording"),
        ('"end": {', '"end": {,', "line 24: "),
        ('"host": "', '"host": "\x00', "line 5: "),
        ("\n  ]\n}\n", "", "line 31: "),
        ("{\n", "[", "line 1: "),
    ],
)
def test_damage_is_told_with_its_place(tmp_path: Path, old: str, new: str, told: str) -> None:
    file = tmp_path / "000001.post.x.json"
    text = render(sample()).decode()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    with pytest.raises(RecordingFileError) as caught:
        load(tmp_path)
    assert str(caught.value).startswith(f"{file}: {told}")
    assert "record again" in str(caught.value) or "move it out" in str(caught.value)


def test_an_exchange_without_an_answer_has_no_body(tmp_path: Path) -> None:
    said = json.loads(render(sample()))
    del said["response"]
    (tmp_path / "1.json").write_text(json.dumps(said))
    with pytest.raises(RecordingFileError, match="without a response"):
        load(tmp_path)


def test_what_is_not_utf8_is_told(tmp_path: Path) -> None:
    (tmp_path / "1.json").write_bytes(b'{\n"format": "\xff"}')
    with pytest.raises(RecordingFileError, match="line 2: this isn't UTF-8"):
        load(tmp_path)


def test_what_editors_on_windows_write_is_read(tmp_path: Path) -> None:
    (tmp_path / "1.json").write_bytes(b"\xef\xbb\xbf" + render(sample()).replace(b"\n", b"\r\n"))
    assert [exchange.body for _, exchange in load(tmp_path)] == [sample().body]


def test_names_sort_in_order(tmp_path: Path) -> None:
    folder = RecordingFolder(tmp_path / "new" / "folder")
    folder.begin("refuse")
    targets = ["/chat/completions", "/models?x=1", "/", "/" + "ä/" * 99]
    for target in targets:
        folder.store(folder.take_number(), sample(target=target))
    folder.store(10_000_000, sample(method="GET", target="/late"))
    found = load(folder.path)
    assert [exchange.target for _, exchange in found] == [*targets, "/late"]
    assert [name for name, _ in found] == [
        "000001.post.chat-completions.json",
        "000002.post.models.json",
        "000003.post.root.json",
        "000004.post.root.json",
        "10000000.get.late.json",
    ]


def test_nothing_is_overwritten_unasked(tmp_path: Path) -> None:
    first = RecordingFolder(tmp_path)
    first.begin("refuse")
    stored = first.store(first.take_number(), sample())
    for name in ("README.md", "note.json"):
        (tmp_path / name).write_text("mine")
    with pytest.raises(FileExistsError, match="there are 1 recording already"):
        RecordingFolder(tmp_path).begin("refuse")
    with pytest.raises(FileExistsError):
        first.store(1, sample())
    more = RecordingFolder(tmp_path)
    more.begin("add")
    assert more.take_number() == 2
    assert stored.exists()
    RecordingFolder(tmp_path).begin("replace")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["README.md", "note.json"]


def test_a_write_that_fails_leaves_no_part_of_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RecordingFolder(tmp_path)
    folder.begin("refuse")
    # Fails when it is written, as it does on a full disk.
    monkeypatch.setattr(folder_module, "render", lambda _: "no bytes")
    with pytest.raises(TypeError):
        folder.store(1, sample())
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_recordings_is_told(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("nothing here")
    with pytest.raises(RecordingFileError, match="there is no recording; make one with"):
        load(tmp_path)
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none")
