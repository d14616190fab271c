"""Secrets are found in whatever form they are, and headers are stored by an allow list."""

from __future__ import annotations

import base64
import json
import urllib.parse
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from deepseek_async.simulator.recording.exchange import Answer, Block, Exchange
from deepseek_async.simulator.recording.headers import (
    credentials,
    passed_on,
    stored,
    without_secret_parameters,
)
from deepseek_async.simulator.recording.redaction import Redactor

KEY = "sk-3f9c0aKq7Zx/2+b1"
SECRETS = st.text(st.characters(codec="utf-8"), min_size=6, max_size=20)


def forms(secret: str) -> list[bytes]:
    """A secret as it may stand in a text, but for base64."""
    raw = secret.encode()
    every_byte = "".join(f"%{byte:02X}" for byte in raw)
    in_json = json.dumps(secret)[1:-1]
    every_character = "".join(
        f"\\u{unit:04X}"
        for unit in (
            int.from_bytes(secret.encode("utf-16-be")[at : at + 2])
            for at in range(0, len(secret.encode("utf-16-be")), 2)
        )
    )
    texts = [
        urllib.parse.quote(secret),
        urllib.parse.quote(secret, safe=""),
        urllib.parse.quote_plus(secret),
        urllib.parse.quote(urllib.parse.quote(secret, safe=""), safe=""),
        every_byte,
        every_byte.lower(),
        in_json,
        json.dumps(secret, ensure_ascii=False)[1:-1],
        # As in the arguments of a tool call.
        json.dumps(in_json)[1:-1],
        every_character,
        raw.hex(),
        raw.hex().upper(),
    ]
    return [raw, *(text.encode() for text in texts)]


@given(SECRETS)
@example(KEY)
@example('quote" \\back\\\\slash/\n\t"')
@example("schlüssel-🔑-key")
def test_a_secret_is_found_in_each_form(secret: str) -> None:
    redactor = Redactor([secret])
    for form in forms(secret):
        assert redactor.data(b"<" + form + b">") == b"<[redacted]>", form


@given(SECRETS, st.binary(max_size=5), st.binary(max_size=5))
@example(KEY, b"user:", b"")
def test_a_secret_is_found_in_base64_at_any_place(
    secret: str, before: bytes, behind: bytes
) -> None:
    redactor = Redactor([secret])
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        encoded = encode(before + secret.encode() + behind)
        for form in (encoded, urllib.parse.quote(encoded, safe="").encode()):
            redacted = redactor.data(b'"' + form + b'"')
            assert b"[redacted]" in redacted
            # What is left is of the neighbours.
            left = urllib.parse.unquote_to_bytes(redacted.replace(b"[redacted]", b""))
            assert len(left) <= 2 + (len(before) + len(behind)) * 4 // 3 + 8


@given(SECRETS, st.lists(st.integers(0, 60), max_size=6))
@example(KEY, [3, 4, 5, 6, 7, 8])
def test_a_secret_is_found_over_several_blocks(secret: str, cuts: list[int]) -> None:
    data = b"before " + secret.encode() + b" behind"
    bounds = [0, *sorted({cut for cut in cuts if cut < len(data)}), len(data)]
    blocks = [Block(float(at), data[start:end]) for at, (start, end) in enumerate(pairwise(bounds))]
    redacted = Redactor([secret]).exchange(exchange(blocks=blocks))
    assert redacted.body == b"before [redacted] behind"
    assert redacted.answer is not None
    assert redacted.answer.content_length == len(redacted.body)
    assert all(block.data for block in redacted.blocks)


def exchange(*, blocks: list[Block]) -> Exchange:
    length = sum(len(block.data) for block in blocks)
    answer = Answer(status=200, headers={}, content_length=length, ms=0)
    return Exchange(
        host="http://x",
        recorded_at="",
        method="POST",
        target="/chat/completions",
        answer=answer,
        blocks=blocks,
    )


def test_several_secrets_side_by_side_are_one() -> None:
    redactor = Redactor(["first-one", "second-one", "one-and"])
    assert redactor.data(b"first-one-andsecond-one!") == b"[redacted]!"


@given(st.binary(max_size=200))
def test_what_holds_no_secret_is_as_it_was(data: bytes) -> None:
    assert Redactor([KEY]).data(data) == data


@given(st.text(max_size=20), st.text(max_size=20))
def test_json_is_json_afterwards(before: str, behind: str) -> None:
    texts = [before + KEY + behind, before + base64.b64encode(KEY.encode()).decode() + behind]
    for value in ({"text": text, KEY: [text]} for text in texts):
        for is_ascii in (False, True):
            encoded = json.dumps(value, ensure_ascii=is_ascii).encode("utf-8", "surrogatepass")
            redacted = Redactor([KEY]).data(encoded)
            assert KEY.encode() not in redacted
            json.loads(redacted)


def test_a_short_secret_is_refused_unquoted() -> None:
    with pytest.raises(ValueError, match="at least 6 characters") as caught:
        Redactor(["abc12"])
    assert "abc12" not in str(caught.value)


def test_a_long_body_is_searched_in_no_time() -> None:
    # Quadratic or exponential patterns would take minutes.
    redactor = Redactor([KEY, "\\" * 20 + "x", "a" * 40])
    lines = b"a" * 76 + b"\n"
    for unit in (b"a", b"\\", b"%25", b"\\n", b"%0A", b"%2B", b"\\/", b"\\u002B", b"\r\n", lines):
        redactor.data(unit * (30_000 // len(unit)))


def test_headers_are_stored_by_a_list_of_what_may_be() -> None:
    headers = [
        ("Content-Type", "application/json"),
        ("Retry-After", "3"),
        ("X-DS-Trace-ID", "1f"),
        ("X-RateLimit-Remaining-Requests", "9"),
        ("Set-Cookie", "session=1234567890"),
        ("openai-organization", "org-12345678"),
        ("openai-project", "proj_12345678"),
        ("Authorization", f"Bearer {KEY}"),
        ("X-Api-Key", KEY),
        ("Server", "openresty"),
        ("X-Unheard-Of", KEY),
    ]
    assert stored(headers, is_request=False) == {
        "content-type": "application/json",
        "retry-after": "3",
        "x-ds-trace-id": "1f",
        "x-ratelimit-remaining-requests": "9",
    }
    assert stored(headers, is_request=True) == {"content-type": "application/json"}


def test_keys_and_cookies_of_headers_are_secrets() -> None:
    pair = base64.b64encode(b"user:pass-word-1").decode()
    headers = [
        ("Authorization", f"Bearer {KEY}"),
        ("Proxy-Authorization", f"Basic {pair}"),
        ("X-API-Key", "another-key-1"),
        ("Cookie", 'a=cookie-value-1; b="cookie-value-2"; c=1'),
        ("Set-Cookie", "d=cookie-value-3; Path=/somewhere"),
        ("OpenAI-Organization", "org-12345678"),
        ("OpenAI-Project", "personal"),
        ("Idempotency-Key", "stainless-python-1"),
        ("WWW-Authenticate", 'Bearer realm="api.deepseek.com"'),
        ("x-ratelimit-limit-tokens", "150000000"),
        ("X-Goog-Api-Key", "EMPTY"),
        ("User-Agent", "client/1.0 something"),
    ]
    assert list(credentials(headers)) == [
        KEY,
        pair,
        "user:pass-word-1",
        "pass-word-1",
        "another-key-1",
        "cookie-value-1",
        "cookie-value-2",
        "cookie-value-3",
        "org-12345678",
    ]


def test_broken_basic_credentials_are_secrets_as_they_are() -> None:
    assert list(credentials([("Authorization", "Basic not-base64!")])) == ["not-base64!"]


def test_keys_of_queries_are_taken_out() -> None:
    target = "/v1/chat?key=AIza12345678&max_tokens=10&alt=sse&access_token=abc"
    assert without_secret_parameters(target) == (
        "/v1/chat?key=[redacted]&max_tokens=10&alt=sse&access_token=[redacted]",
        ["AIza12345678"],
    )


def test_what_belongs_to_a_connection_is_not_passed_on() -> None:
    headers = [
        ("Host", "x"),
        ("Connection", "close, X-Hop"),
        ("X-Hop", "1"),
        ("Transfer-Encoding", "chunked"),
        ("Accept-Encoding", "gzip"),
        ("Content-Encoding", "gzip"),
        ("Authorization", "Bearer x"),
        ("X-Custom", "1"),
        ("X-Custom", "2"),
    ]
    custom = [("X-Custom", "1"), ("X-Custom", "2")]
    assert passed_on(headers, is_request=True) == [("Authorization", "Bearer x"), *custom]
    assert ("Content-Encoding", "gzip") in passed_on(headers, is_request=False)
