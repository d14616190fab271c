"""Which headers are passed on, which are stored, and which hold secrets."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator
from urllib.parse import unquote

# Of one connection, and not of what is sent over it (RFC 9110, 7.6.1).
_HOP_BY_HOP = frozenset(
    {
        *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization"),
        *("proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"),
    }
)
# What the next request gets anew. Its body is there already when it is sent.
_OF_THE_REQUEST = frozenset({"accept-encoding", "content-length", "expect", "host"})
_DECODED = frozenset({"gzip", "deflate", "br", "zstd"})

# A list of what may be stored, and not of what may not: nobody knows all headers with secrets.
_STORED_OF_REQUESTS = frozenset({"accept", "content-type"})
_STORED_OF_ANSWERS = frozenset(
    {
        *("cache-control", "content-encoding", "content-type", "location"),
        # What a client that retries looks at.
        *("retry-after", "retry-after-ms", "x-should-retry"),
        # What one quotes to the host's support.
        *("request-id", "x-ds-trace-id", "x-request-id"),
    }
)
_RATE_LIMITS = ("ratelimit", "x-ratelimit")

_CREDENTIAL = re.compile(r"auth|cookie|credential|key|password|secret|session|signature|token")
_IDENTITY = re.compile(r"organi[sz]ation|project")
# They have such names, but hold what is no secret.
_HARMLESS = re.compile(r"idempotency-key|sec-websocket-.*|.*-authenticate|(x-)?ratelimit.*")
# A part of a name that ends so, or an old name without parts. Not the places in long lists that
# hosts name by tokens as well.
_SECRET_PARAMETER = re.compile(
    r"([?&](?!(?:next|page|continuation)[-_]?token=)(?:[\w.-]*[-_.]|api|access|auth)?"
    r"(?:auth|authorization|credential|key|password|secret|session|sig|signature|token)=)([^&#]*)",
    re.IGNORECASE,
)
# Of headers that hold addresses.
_ADDRESSES = frozenset({"location", "content-location", "referer"})

MIN_SECRET = 8
"""Characters that a value of a header has at least to be searched for: what stands in for a key
where none is needed, such as ``EMPTY``, is a word of answers as well."""


def passed_on(headers: Iterable[tuple[str, str]], *, is_request: bool) -> list[tuple[str, str]]:
    """What of the headers goes on to the other side."""
    pairs = list(headers)
    left = set(_HOP_BY_HOP)
    if is_request:
        left |= _OF_THE_REQUEST
    for name, value in pairs:
        if name.lower() == "connection":
            left.update(part.strip().lower() for part in value.split(","))
    if is_request and encoding_of(pairs) is None:
        left.add("content-encoding")
    return [(name, _sendable(value)) for name, value in pairs if name.lower() not in left]


def is_decoded(encoding: str) -> bool:
    """Tell whether aiohttp undoes a content encoding by itself."""
    return encoding.lower() in _DECODED


def encoding_of(headers: Iterable[tuple[str, str]]) -> str | None:
    """Return what a body is still encoded with, in which no secret can be searched for."""
    for name, value in headers:
        if name.lower() == "content-encoding":
            encoding = value.strip()
            if encoding.lower() not in ("", "identity") and not is_decoded(encoding):
                return encoding
    return None


def _sendable(value: str) -> str:
    # Bytes that aren't UTF-8 come as halves of characters, which can't be sent again. What sends
    # them means Latin-1, most often.
    if value.isascii():
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-8", "surrogateescape").decode("latin-1")
    return value


def stored(headers: Iterable[tuple[str, str]], *, is_request: bool) -> dict[str, str]:
    """What of the headers may be stored, names in lower case; repeated ones are joined."""
    known = _STORED_OF_REQUESTS if is_request else _STORED_OF_ANSWERS
    found: dict[str, str] = {}
    for raw, value in headers:
        name = raw.lower()
        if name in known or (not is_request and name.startswith(_RATE_LIMITS)):
            value = _sendable(value)
            if name in _ADDRESSES:
                value, _ = without_secret_parameters(value)
            found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def credentials(headers: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Yield the keys, cookies and the like that are in headers."""
    for raw, value in headers:
        name = raw.lower()
        if _HARMLESS.fullmatch(name):
            continue
        yield from (secret for secret in _held(name, value) if len(secret) >= MIN_SECRET)


def _held(name: str, value: str) -> Iterator[str]:
    if name in _ADDRESSES:
        yield from without_secret_parameters(value)[1]
    elif "cookie" in name:
        yield from _cookies(name, value)
    elif _CREDENTIAL.search(name):
        yield from _tokens(value)
    # "personal" may be an organisation, too, but is a word as well.
    elif _IDENTITY.search(name) and re.search(r"\d", value):
        yield value


def _tokens(value: str) -> Iterator[str]:
    scheme, rest = (*value.split(None, 1), "", "")[:2]
    token = rest.strip() or scheme
    yield token
    if scheme.lower() == "basic":
        try:
            pair = base64.b64decode(token, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return
        yield pair
        yield pair.partition(":")[2]


def _cookies(name: str, value: str) -> Iterator[str]:
    pairs = value.split(";")
    # What follows in Set-Cookie are its properties.
    for pair in pairs[:1] if name.startswith("set-") else pairs:
        yield from _with_unescaped(pair.partition("=")[2].strip().strip('"'))


def _with_unescaped(secret: str) -> Iterator[str]:
    yield secret
    # Bodies quote it as it was before it was escaped for its place.
    if (unescaped := unquote(secret)) != secret:
        yield unescaped


def without_secret_parameters(target: str) -> tuple[str, list[str]]:
    """Take keys out of a query, as of ``?key=...``.

    Returns:
        The path and query, and what was taken out.
    """
    found = (match[2] for match in _SECRET_PARAMETER.finditer(target))
    secrets = [secret for value in found for secret in _with_unescaped(value)]
    return _SECRET_PARAMETER.sub(r"\1[redacted]", target), [
        secret for secret in secrets if len(secret) >= MIN_SECRET
    ]
