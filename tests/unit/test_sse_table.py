"""The event stream interpretation of the WHATWG HTML standard as a table.

Each case holds however its bytes are cut: whole, byte by byte, at each place, at random places.
"""

import random
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

import pytest

from deepseek_async.errors import EventTooLargeError
from deepseek_async.sse import ServerSentEvent, SSEDecoder

BOM = b"\xef\xbb\xbf"


class Case(NamedTuple):
    stream: bytes
    events: list[ServerSentEvent]
    last_event_id: str = ""
    retry: int | None = None
    comments: int = 0


def e(
    data: str,
    event: str = "message",
    id: str = "",  # noqa: A002 -- the name of the field
    retry: int | None = None,
) -> ServerSentEvent:
    return ServerSentEvent(event=event, data=data, id=id, retry=retry)


A, B, C = e("a"), e("b"), e("c")

CASES: dict[str, Case] = {
    # Nothing to dispatch.
    "no bytes": Case(b"", []),
    "one LF": Case(b"\n", []),
    "one CR": Case(b"\r", []),
    "one CRLF": Case(b"\r\n", []),
    "only blank lines": Case(b"\n\n\r\r\r\n\r\n", []),
    "only a byte order mark": Case(BOM, []),
    "only the first byte of a byte order mark": Case(b"\xef", []),
    "only a NUL": Case(b"\0", []),
    # One data line.
    "data with a space after the colon": Case(b"data: a\n\n", [A]),
    "data without a space after the colon": Case(b"data:a\n\n", [A]),
    "only one leading space is dropped": Case(b"data:  a\n\n", [e(" a")]),
    "three leading spaces leave two": Case(b"data:   a\n\n", [e("  a")]),
    "a leading tab stays": Case(b"data:\ta\n\n", [e("\ta")]),
    "a tab after the dropped space stays": Case(b"data: \ta\n\n", [e("\ta")]),
    "a space after a tab stays": Case(b"data:\t a\n\n", [e("\t a")]),
    "a leading no-break space stays": Case("data:\u00a0a\n\n".encode(), [e("\u00a0a")]),
    "trailing spaces stay": Case(b"data: a  \n\n", [e("a  ")]),
    "a trailing tab stays": Case(b"data: a\t\n\n", [e("a\t")]),
    "a value that is one space is empty": Case(b"data: \n\n", [e("")]),
    "a value of two spaces is one": Case(b"data:  \n\n", [e(" ")]),
    "a colon in the value stays": Case(b"data: a:b\n\n", [e("a:b")]),
    "a value that begins with a colon keeps it": Case(b"data::a\n\n", [e(":a")]),
    "a space between two colons": Case(b"data: :a\n\n", [e(":a")]),
    "JSON without a space": Case(b'data:{"a":1}\n\n', [e('{"a":1}')]),
    "quotes are part of the value": Case(b'data: "a"\n\n', [e('"a"')]),
    "backslashes mean nothing": Case(b"data: a\\nb\n\n", [e("a\\nb")]),
    "percent signs mean nothing": Case(b"data: %0A\n\n", [e("%0A")]),
    # Empty data.
    "data with colon but no value": Case(b"data:\n\n", [e("")]),
    "data without a colon": Case(b"data\n\n", [e("")]),
    "two empty data lines are one LF": Case(b"data\ndata\n\n", [e("\n")]),
    "three empty data lines are two LF": Case(b"data:\ndata\ndata: \n\n", [e("\n\n")]),
    "a last empty data line": Case(b"data: a\ndata:\n\n", [e("a\n")]),
    "a first empty data line": Case(b"data:\ndata: a\n\n", [e("\na")]),
    "the empty events of the standard's example": Case(
        b"data\n\ndata\ndata\n\ndata:", [e(""), e("\n")]
    ),
    # Several data lines.
    "two data lines": Case(b"data: a\ndata: b\n\n", [e("a\nb")]),
    "the stock ticker of the standard": Case(
        b"data: YHOO\ndata: +2\ndata: 10\n\n", [e("YHOO\n+2\n10")]
    ),
    "the data lines of the standard's spaces example": Case(
        b"data:test\n\ndata: test\n\n", [e("test"), e("test")]
    ),
    "one hundred data lines": Case(b"data: x\n" * 100 + b"\n", [e("\n".join("x" * 100))]),
    "JSON over several lines": Case(b'data: {\ndata: "a": 1\ndata: }\n\n', [e('{\n"a": 1\n}')]),
    "data lines with and without a space": Case(b"data:a\ndata: b\n\n", [e("a\nb")]),
    "other fields between data lines": Case(
        b"data: a\nevent: x\nid: 1\ndata: b\n\n", [e("a\nb", "x", "1")], "1"
    ),
    "a comment between data lines": Case(b"data: a\n: c\ndata: b\n\n", [e("a\nb")], comments=1),
    "an unknown field between data lines": Case(b"data: a\nfoo: c\ndata: b\n\n", [e("a\nb")]),
    # Several events.
    "two events": Case(b"data: a\n\ndata: b\n\n", [A, B]),
    "extra blank lines between events": Case(b"data: a\n\n\n\ndata: b\n\n", [A, B]),
    "blank lines before the first event": Case(b"\n\ndata: a\n\n", [A]),
    "three events": Case(b"data: a\n\ndata: b\n\ndata: c\n\n", [A, B, C]),
    "equal events are not merged": Case(b"data: a\n\ndata: a\n\n", [A, A]),
    # Line ends.
    "CRLF": Case(b"data: a\r\n\r\ndata: b\r\n\r\n", [A, B]),
    "CR": Case(b"data: a\r\rdata: b\r\r", [A, B]),
    "CR at the very end ends the event": Case(b"data: a\r\r", [A]),
    "CRLF line, LF blank line": Case(b"data: a\r\n\ndata: b\n\n", [A, B]),
    "LF line, CRLF blank line": Case(b"data: a\n\r\ndata: b\n\n", [A, B]),
    "CR line, LF blank line is one CRLF": Case(b"data: a\r\ndata: b\n\n", [e("a\nb")]),
    "LF line, CR blank line": Case(b"data: a\n\rdata: b\n\n", [A, B]),
    "CR line, CRLF blank line": Case(b"data: a\r\r\ndata: b\n\n", [A, B]),
    "CRLF line, CR blank line": Case(b"data: a\r\n\rdata: b\n\n", [A, B]),
    "LF CR LF are two line ends": Case(b"data: a\n\r\ndata: b\r\r", [A, B]),
    "CR CR LF LF: a blank line and one more": Case(b"data: a\r\r\n\ndata: b\n\n", [A, B]),
    "two data lines by CRLF": Case(b"data: a\r\ndata: b\r\n\r\n", [e("a\nb")]),
    "two data lines by CR": Case(b"data: a\rdata: b\r\r", [e("a\nb")]),
    "each line another end": Case(b"data: a\rdata: b\ndata: c\r\n\r\n", [e("a\nb\nc")]),
    "CRLF after an empty data line": Case(b"data:\r\n\r\n", [e("")]),
    "a first LF after nothing": Case(b"\ndata: a\n\n", [A]),
    "a first CRLF": Case(b"\r\ndata: a\n\n", [A]),
    "many CRLF": Case(b"data: a\r\n\r\n\r\n\r\ndata: b\r\n\r\n", [A, B]),
    "CR events then LF events": Case(b"data: a\r\rdata: b\n\n", [A, B]),
    # What ends no line.
    "U+2028": Case("data: a\u2028b\n\n".encode(), [e("a\u2028b")]),
    "U+2029": Case("data: a\u2029b\n\n".encode(), [e("a\u2029b")]),
    "U+0085": Case("data: a\u0085b\n\n".encode(), [e("a\u0085b")]),
    "vertical tab": Case(b"data: a\x0bb\n\n", [e("a\x0bb")]),
    "form feed": Case(b"data: a\x0cb\n\n", [e("a\x0cb")]),
    "file, group and record separators": Case(
        b"data: a\x1cb\x1dc\x1ed\n\n", [e("a\x1cb\x1dc\x1ed")]
    ),
    "NUL in data": Case(b"data: a\0b\n\n", [e("a\0b")]),
    "escape and delete in data": Case(b"data: \x1b[0m\x7f\n\n", [e("\x1b[0m\x7f")]),
    # Unterminated.
    "an event without its blank line is dropped": Case(b"data: a\n\ndata: b\n", [A]),
    "an event without its line end is dropped": Case(b"data: a\n\ndata: b", [A]),
    "half a field name at the end": Case(b"data: a\n\nda", [A]),
    "an id without its blank line is not in force": Case(
        b"id: 1\ndata: a\n\nid: 2\ndata: b\n", [e("a", id="1")], "1"
    ),
    "a retry takes effect without a blank line": Case(b"retry: 5\n", [], retry=5),
    "a retry without its line end does not": Case(b"retry: 5", []),
    "a comment without its line end is none yet": Case(b": a", []),
    # Comments.
    "a keep-alive comment": Case(b": keep-alive\n\ndata: a\n\n", [A], comments=1),
    "a bare colon": Case(b":\n\ndata: a\n\n", [A], comments=1),
    "a comment without a space": Case(b":hi\ndata: a\n\n", [A], comments=1),
    "a comment that looks like data": Case(b":data: b\ndata: a\n\n", [A], comments=1),
    "a comment of colons": Case(b":::\n\n", [], comments=1),
    "comments and nothing else": Case(b": a\n: b\n\n: c\n\n", [], comments=3),
    "a comment after the data": Case(b"data: a\n: c\n\n", [A], comments=1),
    "a comment between events": Case(b"data: a\n\n: c\n\ndata: b\n\n", [A, B], comments=1),
    "a comment by CR": Case(b": c\r\rdata: a\r\r", [A], comments=1),
    "a comment by CRLF": Case(b": c\r\n\r\ndata: a\r\n\r\n", [A], comments=1),
    "a comment that is not UTF-8": Case(b": \xff\xfe\n\ndata: a\n\n", [A], comments=1),
    "OpenRouter's comment": Case(b": OPENROUTER PROCESSING\n\ndata: a\n\n", [A], comments=1),
    "a space before the colon makes no comment": Case(b" : c\ndata: a\n\n", [A]),
    # Event types.
    "an event type": Case(b"event: add\ndata: a\n\n", [e("a", "add")]),
    "the type after the data": Case(b"data: a\nevent: add\n\n", [e("a", "add")]),
    "the last of two types counts": Case(b"event: x\nevent: y\ndata: a\n\n", [e("a", "y")]),
    "the type is for one event only": Case(b"event: x\ndata: a\n\ndata: b\n\n", [e("a", "x"), B]),
    "a type without data is no event": Case(b"event: ping\n\ndata: a\n\n", [A]),
    "an empty type is message": Case(b"event:\ndata: a\n\n", [A]),
    "a type without colon is message": Case(b"event\ndata: a\n\n", [A]),
    "an empty type takes back the one before": Case(b"event: x\nevent\ndata: a\n\n", [A]),
    "message said in so many words": Case(b"event: message\ndata: a\n\n", [A]),
    "only one space of the type is dropped": Case(b"event:  x \ndata: a\n\n", [e("a", " x ")]),
    "a type beyond ASCII": Case("event: größe\ndata: a\n\n".encode(), [e("a", "größe")]),
    "a type that is not UTF-8": Case(b"event: \xff\ndata: a\n\n", [e("a", "\ufffd")]),
    "a type with a NUL": Case(b"event: x\0y\ndata: a\n\n", [e("a", "x\0y")]),
    "the types of the standard's example": Case(
        b"event: add\ndata: 1\n\nevent: remove\ndata: 2\n\nevent: add\ndata: 3\n\n",
        [e("1", "add"), e("2", "remove"), e("3", "add")],
    ),
    # Ids.
    "an id": Case(b"id: 1\ndata: a\n\n", [e("a", id="1")], "1"),
    "an id stays in force": Case(
        b"id: 1\ndata: a\n\ndata: b\n\n", [e("a", id="1"), e("b", id="1")], "1"
    ),
    "a later id replaces it": Case(
        b"id: 1\ndata: a\n\nid: 2\ndata: b\n\n", [e("a", id="1"), e("b", id="2")], "2"
    ),
    "the last of two ids counts": Case(b"id: 1\nid: 2\ndata: a\n\n", [e("a", id="2")], "2"),
    "an id after the data": Case(b"data: a\nid: 1\n\n", [e("a", id="1")], "1"),
    "an id without data is in force": Case(b"id: 1\n\ndata: a\n\n", [e("a", id="1")], "1"),
    "an id without data and nothing else": Case(b"id: 1\n\n", [], "1"),
    "an empty id resets it": Case(b"id: 1\ndata: a\n\nid:\ndata: b\n\n", [e("a", id="1"), B]),
    "an id without colon resets it": Case(
        b"id: 1\ndata: a\n\nid\ndata: b\n\n", [e("a", id="1"), B]
    ),
    "an id that is one space resets it": Case(
        b"id: 1\ndata: a\n\nid: \ndata: b\n\n", [e("a", id="1"), B]
    ),
    "a reset without data": Case(b"id: 1\n\nid\n\n", []),
    "an id with a NUL is ignored": Case(
        b"id: 1\ndata: a\n\nid: 2\x003\ndata: b\n\n", [e("a", id="1"), e("b", id="1")], "1"
    ),
    "an id that is a NUL is ignored": Case(b"id: 1\nid: \0\ndata: a\n\n", [e("a", id="1")], "1"),
    "an id with spaces": Case(b"id:  1 2 \ndata: a\n\n", [e("a", id=" 1 2 ")], " 1 2 "),
    "an id that is no number": Case(b"id: run/7:9\ndata: a\n\n", [e("a", id="run/7:9")], "run/7:9"),
    "an id beyond ASCII": Case("id: ü😀\ndata: a\n\n".encode(), [e("a", id="ü😀")], "ü😀"),
    "an id that is not UTF-8": Case(b"id: \xff\ndata: a\n\n", [e("a", id="\ufffd")], "\ufffd"),
    "the ids of the standard's example": Case(
        b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third\n\n",
        [e("first event", id="1"), e("second event"), e(" third")],
        comments=1,
    ),
    # Retry.
    "a retry": Case(b"retry: 3000\n\n", [], retry=3000),
    "a retry on an event": Case(b"retry: 3000\ndata: a\n\n", [e("a", retry=3000)], retry=3000),
    "a retry is for its event only": Case(
        b"retry: 1\ndata: a\n\ndata: b\n\n", [e("a", retry=1), B], retry=1
    ),
    "a retry without data is not the next event's": Case(b"retry: 1\n\ndata: a\n\n", [A], retry=1),
    "a later retry replaces it": Case(
        b"retry: 1\ndata: a\n\nretry: 2\n\n", [e("a", retry=1)], retry=2
    ),
    "the last of two retries counts": Case(
        b"retry: 1\nretry: 2\ndata: a\n\n", [e("a", retry=2)], retry=2
    ),
    "a retry of zero": Case(b"retry: 0\ndata: a\n\n", [e("a", retry=0)], retry=0),
    "a retry of zero without data": Case(b"retry: 0\n\ndata: a\n\n", [A], retry=0),
    "a retry with leading zeros": Case(b"retry: 0010\n\n", [], retry=10),
    "a retry without a space": Case(b"retry:7\n\n", [], retry=7),
    "a negative retry": Case(b"retry: -1\n\n", []),
    "a retry with a plus sign": Case(b"retry: +1\n\n", []),
    "an empty retry": Case(b"retry:\n\n", []),
    "a retry without colon": Case(b"retry\n\n", []),
    "a retry with a letter": Case(b"retry: 10s\n\n", []),
    "a retry with a point": Case(b"retry: 1.5\n\n", []),
    "a retry with an underscore": Case(b"retry: 1_000\n\n", []),
    "a retry in hexadecimal": Case(b"retry: 0x10\n\n", []),
    "a retry with two leading spaces": Case(b"retry:  1\n\n", []),
    "a retry with a trailing space": Case(b"retry: 1 \n\n", []),
    "a retry with a space inside": Case(b"retry: 1 0\n\n", []),
    "a retry of other digits than ASCII": Case("retry: \u0661\n\n".encode(), []),
    "a retry of superscript digits": Case("retry: \u00b2\n\n".encode(), []),
    "a retry with a NUL": Case(b"retry: 1\0\n\n", []),
    "a wrong retry leaves the one before": Case(b"retry: 1\nretry: x\n\n", [], retry=1),
    "a huge retry": Case(
        b"retry: 123456789012345678901234567890\n\n", [], retry=int("1234567890" * 3)
    ),
    # Field names.
    "an unknown field": Case(b"foo: bar\ndata: a\n\n", [A]),
    "an unknown field without colon": Case(b"foo\ndata: a\n\n", [A]),
    "an unknown field alone is no event": Case(b"foo: bar\n\n", []),
    "Data in capitals is unknown": Case(b"Data: b\nDATA: c\ndata: a\n\n", [A]),
    "Event, ID and Retry in capitals are unknown": Case(
        b"Event: x\nID: 1\nRetry: 1\ndata: a\n\n", [A]
    ),
    "a space before the name": Case(b" data: b\ndata: a\n\n", [A]),
    "a space before the colon": Case(b"data : b\ndata: a\n\n", [A]),
    "a tab before the colon": Case(b"data\t: b\ndata: a\n\n", [A]),
    "a longer name": Case(b"dataset: b\ndata: a\n\n", [A]),
    "a shorter name": Case(b"dat: b\ndata: a\n\n", [A]),
    "a line that is one space": Case(b"data: a\n \n\n", [A]),
    "a line that is one space ends no event": Case(b"data: a\n \ndata: b\n\n", [e("a\nb")]),
    "a name with a NUL": Case(b"data\0: b\ndata: a\n\n", [A]),
    "JSON without a field name": Case(b'{"data": 1}\n\ndata: a\n\n', [A]),
    "a name that is not UTF-8": Case(b"\xff: b\ndata: a\n\n", [A]),
    # The byte order mark.
    "a byte order mark": Case(BOM + b"data: a\n\n", [A]),
    "a byte order mark before a blank line": Case(BOM + b"\ndata: a\n\n", [A]),
    "a byte order mark before a comment": Case(BOM + b": c\ndata: a\n\n", [A], comments=1),
    "two byte order marks: the second belongs to the name": Case(
        BOM + BOM + b"data: b\ndata: a\n\n", [A]
    ),
    "a byte order mark after a blank line": Case(b"\n" + BOM + b"data: b\ndata: a\n\n", [A]),
    "a byte order mark in the middle of data": Case(b"data: a" + BOM + b"b\n\n", [e("a\ufeffb")]),
    "a byte order mark as the value": Case(b"data:" + BOM + b"\n\n", [e("\ufeff")]),
    "a byte order mark at the second event": Case(b"data: a\n\n" + BOM + b"data: b\n\n", [A]),
    "two thirds of a byte order mark": Case(b"\xef\xbbdata: b\ndata: a\n\n", [A]),
    "a third of a byte order mark": Case(b"\xefdata: b\ndata: a\n\n", [A]),
    "a third of a byte order mark, then a line end": Case(b"\xef\ndata: a\n\n", [A]),
    "a UTF-16 byte order mark": Case(b"\xff\xfedata: b\ndata: a\n\n", [A]),
    # UTF-8, good and bad.
    "two-byte characters": Case("data: éß\n\n".encode(), [e("éß")]),
    "three-byte characters": Case("data: 你好\n\n".encode(), [e("你好")]),
    "four-byte characters": Case("data: 😀🫠\n\n".encode(), [e("😀🫠")]),
    "an emoji of several code points": Case("data: 👩\u200d💻\n\n".encode(), [e("👩\u200d💻")]),
    "the last code point": Case("data: \U0010ffff\n\n".encode(), [e("\U0010ffff")]),
    "a continuation byte alone": Case(b"data: a\x80b\n\n", [e("a\ufffdb")]),
    "a byte that is never valid": Case(b"data: a\xffb\n\n", [e("a\ufffdb")]),
    "a character cut by the line end": Case(b"data: a\xe4\xbd\n\n", [e("a\ufffd")]),
    "a character cut by CR": Case(b"data: a\xf0\x9f\x98\r\r", [e("a\ufffd")]),
    "a character cut by a letter": Case(b"data: \xe4\xbdx\n\n", [e("\ufffdx")]),
    "an overlong form": Case(b"data: \xc0\xaf\n\n", [e("\ufffd\ufffd")]),
    "an overlong form of three bytes": Case(b"data: \xe0\x80\x8a\n\n", [e("\ufffd" * 3)]),
    "an overlong LF is no line end": Case(b"data: a\xc0\x8ab\n\n", [e("a\ufffd\ufffdb")]),
    "a surrogate in UTF-8": Case(b"data: \xed\xa0\x80\n\n", [e("\ufffd" * 3)]),
    "beyond the last code point": Case(b"data: \xf4\x90\x80\x80\n\n", [e("\ufffd" * 4)]),
    "a cut character does not reach into the next data line": Case(
        b"data: \xe4\xbd\ndata: \xa0\n\n", [e("\ufffd\n\ufffd")]
    ),
    "Latin-1": Case(b"data: caf\xe9\n\n", [e("caf\ufffd")]),
    # What chat streams look like.
    "DeepSeek's end": Case(b'data: {"id":"1"}\n\ndata: [DONE]\n\n', [e('{"id":"1"}'), e("[DONE]")]),
    "[DONE] without a space": Case(b"data:[DONE]\n\n", [e("[DONE]")]),
    "[DONE] by CRLF": Case(b"data: [DONE]\r\n\r\n", [e("[DONE]")]),
    "[DONE] with trailing space": Case(b"data: [DONE] \n\n", [e("[DONE] ")]),
    "[DONE] without any line end is dropped": Case(b"data: a\n\ndata: [DONE]", [A]),
    "events after [DONE] are events": Case(b"data: [DONE]\n\ndata: a\n\n", [e("[DONE]"), A]),
    "keep-alives around each event": Case(
        b": ka\n\ndata: a\n\n: ka\n\n: ka\n\ndata: b\n\n: ka\n\n", [A, B], comments=4
    ),
    "Anthropic's events": Case(
        b"event: ping\ndata: {}\n\nevent: stop\ndata: {}\n\n", [e("{}", "ping"), e("{}", "stop")]
    ),
    "all fields at once": Case(
        b": c\nevent: x\nid: 1\nretry: 2\ndata: a\n\n", [e("a", "x", "1", 2)], "1", 2, 1
    ),
}


def pieces(stream: bytes, cuts: Iterable[int]) -> Iterator[bytes]:
    for start, end in pairwise([0, *cuts, len(stream)]):
        yield stream[start:end]


def check(case: Case, blocks: Iterable[bytes]) -> None:
    decoder = SSEDecoder()
    events: list[ServerSentEvent] = []
    for block in blocks:
        events += decoder.feed(block)
    got = Case(case.stream, events, decoder.last_event_id, decoder.retry, decoder.comments)
    assert got == case


all_cases = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def test_the_table_is_large() -> None:
    assert len(CASES) >= 130


@all_cases
def test_a_stream_fed_whole_gives_its_events(case: Case) -> None:
    check(case, [case.stream])


@all_cases
def test_a_stream_fed_byte_by_byte_gives_its_events(case: Case) -> None:
    check(case, pieces(case.stream, range(1, len(case.stream))))


@all_cases
def test_a_stream_cut_in_two_anywhere_gives_its_events(case: Case) -> None:
    for cut in range(len(case.stream) + 1):
        check(case, pieces(case.stream, [cut]))


@all_cases
def test_a_stream_cut_at_random_gives_its_events(case: Case) -> None:
    cutter = random.Random(case.stream)
    for _ in range(10):
        count = cutter.randint(1, 6)
        check(
            case, pieces(case.stream, sorted(cutter.choices(range(len(case.stream) + 1), k=count)))
        )


@all_cases
def test_empty_blocks_between_the_bytes_change_nothing(case: Case) -> None:
    check(case, [block for i in case.stream for block in (b"", bytes([i]), b"")])


RESIDUES = {
    "nothing": (b"", b""),
    "after an event": (b"data: a\n\n", b""),
    "half a line": (b"data: a\n\ndata: b", b"data: b"),
    "a line whose event goes on": (b"data: a\n", b""),
    "half a byte order mark": (BOM[:2], BOM[:2]),
    "after a byte order mark": (BOM, b""),
    "after a CR": (b"data: a\r", b""),
    "a cut character": (b"data: \xe4\xbd", b"data: \xe4\xbd"),
}


@pytest.mark.parametrize(("stream", "residue"), RESIDUES.values(), ids=RESIDUES)
def test_residue_is_the_line_that_has_not_ended(stream: bytes, residue: bytes) -> None:
    decoder = SSEDecoder()
    for byte in stream:
        decoder.feed(bytes([byte]))
    assert decoder.residue == residue


def test_a_trailing_cr_dispatches_without_waiting_for_another_byte() -> None:
    assert SSEDecoder().feed(b"data: a\r\r") == [A]


class Limit(NamedTuple):
    stream: bytes
    limit: int
    events: list[ServerSentEvent]
    fails: bool


LINE = b"data: 0123456789"  # 16 bytes, 10 of them data

LIMITS: dict[str, Limit] = {
    "a line at the limit": Limit(LINE + b"\n\n", 16, [e("0123456789")], False),
    "a line one byte above": Limit(LINE + b"\n\n", 15, [], True),
    "a line at the limit without its end": Limit(LINE, 16, [], False),
    "a line above the limit without its end": Limit(LINE, 15, [], True),
    "line ends do not count": Limit(LINE + b"\r\n\r\n", 16, [e("0123456789")], False),
    "a byte order mark does not count": Limit(BOM + LINE + b"\n\n", 16, [e("0123456789")], False),
    "a byte order mark does not help": Limit(BOM + LINE + b"\n\n", 15, [], True),
    "a comment at the limit": Limit(b":" + b"x" * 15 + b"\n\ndata: a\n\n", 16, [A], False),
    "a comment above the limit": Limit(b":" + b"x" * 16 + b"\n\ndata: a\n\n", 16, [], True),
    "an unknown field above the limit": Limit(b"x" * 17 + b"\ndata: a\n\n", 16, [], True),
    "an event type above the limit": Limit(b"event: " + b"x" * 10 + b"\n", 16, [], True),
    "events before a long line come first": Limit(
        b"data: a\n\ndata: b\n\n" + LINE + b"\n\ndata: c\n\n", 15, [A, B], True
    ),
    "events before a long line without its end come first": Limit(
        b"data: a\n\n" + LINE, 15, [A], True
    ),
    "two data lines at the limit": Limit(
        b"data: 01234567\ndata: 9abcdef\n\n", 16, [e("01234567\n9abcdef")], False
    ),
    "two data lines one byte above": Limit(b"data: 01234567\ndata: 9abcdefg\n\n", 16, [], True),
    "empty data lines at the limit": Limit(b"data\n" * 17 + b"\n", 16, [e("\n" * 16)], False),
    "empty data lines above the limit": Limit(b"data\n" * 18, 16, [], True),
    "events before too much data come first": Limit(
        b"data: a\n\n" + b"data: 01234567\n" * 2 + b"\ndata: c\n\n", 16, [A], True
    ),
    "each event has the limit for itself": Limit(
        b"data: 012345678\n\n" * 4, 15, [e("012345678")] * 4, False
    ),
    "an event after one of many lines has the limit for itself": Limit(
        b"data\n" * 17 + b"\n" + b"data\n" * 17 + b"\n", 16, [e("\n" * 16)] * 2, False
    ),
    "other fields leave the data its limit": Limit(
        b"event: abcdefghi\nid: abcdefghijkl\ndata: 012345678\n\n",
        16,
        [e("012345678", "abcdefghi", "abcdefghijkl")],
        False,
    ),
    "a limit of nothing allows blank lines": Limit(b"\n\r\n\r", 0, [], False),
    "a limit of nothing allows no byte": Limit(b"x", 0, [], True),
}


def feed_until_error(decoder: SSEDecoder, blocks: Iterable[bytes]) -> list[ServerSentEvent]:
    events: list[ServerSentEvent] = []
    for block in blocks:
        try:
            events += decoder.feed(block)
        except EventTooLargeError:
            break
    return events


def fails(decoder: SSEDecoder) -> bool:
    try:
        decoder.feed(b"")
    except EventTooLargeError:
        return True
    return False


@pytest.mark.parametrize("case", LIMITS.values(), ids=LIMITS)
def test_the_size_limit_is_exact_however_the_bytes_are_cut(case: Limit) -> None:
    size = len(case.stream)
    for cuts in ([], range(1, size), *([cut] for cut in range(size + 1))):
        decoder = SSEDecoder(case.limit)
        events = feed_until_error(decoder, pieces(case.stream, cuts))
        assert (events, fails(decoder)) == (case.events, case.fails), list(cuts)


def test_the_call_after_the_events_before_a_large_one_raises() -> None:
    decoder = SSEDecoder(max_event_size=15)
    assert decoder.feed(b"data: a\n\n" + LINE + b"\n\n") == [A]
    with pytest.raises(EventTooLargeError):
        decoder.feed(b"data: c\n\n")


def test_a_large_event_alone_raises_at_once() -> None:
    with pytest.raises(EventTooLargeError):
        SSEDecoder(max_event_size=15).feed(LINE)


def test_a_failed_decoder_raises_each_time() -> None:
    decoder = SSEDecoder(max_event_size=3)
    for _ in range(3):
        with pytest.raises(EventTooLargeError):
            decoder.feed(b"data: c\n\n")


def test_the_error_names_the_limit() -> None:
    with pytest.raises(EventTooLargeError, match="max_event_size = 3 bytes") as caught:
        SSEDecoder(max_event_size=3).feed(b"data: c\n\n")
    assert caught.value.max_event_size == 3


def test_the_default_limit_is_16_mib() -> None:
    decoder = SSEDecoder()
    decoder.feed(b"x" * (16 << 20))
    with pytest.raises(EventTooLargeError, match=str(16 << 20)):
        decoder.feed(b"x")


def test_a_retry_of_more_digits_than_int_takes_does_not_raise() -> None:
    decoder = SSEDecoder()
    decoder.feed(b"retry: " + b"9" * 5000 + b"\n\n")
    assert decoder.retry is not None
    assert decoder.retry > 10**3000


def test_the_last_event_id_is_in_force_from_the_blank_line_on() -> None:
    decoder = SSEDecoder()
    decoder.feed(b"id: 1\n")
    assert decoder.last_event_id == ""
    decoder.feed(b"\n")
    assert decoder.last_event_id == "1"


def test_events_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        A.data = "b"  # type: ignore[misc]
