"""Which headers are passed on, which are stored, and which hold secrets."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator

# Of one connection, and not of what is sent over it (RFC 9110, 7.6.1).
_HOP_BY_HOP = frozenset(
    {
        *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization"),
        *("proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"),
    }
)
# What the next request gets anew. Its body is there already when it is sent, and decoded.
_OF_THE_REQUEST = frozenset(
    {"accept-encoding", "content-encoding", "content-length", "expect", "host"}
)

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
_SECRET_PARAMETER = re.compile(
    r"([?&](?:(?:api|access|auth)[-_]?)?(?:auth|authorization|key|password|secret|sig|signature|token)=)"
    r"([^&#]*)",
    re.IGNORECASE,
)

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
    return [(name, value) for name, value in pairs if name.lower() not in left]


def stored(headers: Iterable[tuple[str, str]], *, is_request: bool) -> dict[str, str]:
    """What of the headers may be stored, names in lower case; repeated ones are joined."""
    known = _STORED_OF_REQUESTS if is_request else _STORED_OF_ANSWERS
    found: dict[str, str] = {}
    for raw, value in headers:
        name = raw.lower()
        if name in known or (not is_request and name.startswith(_RATE_LIMITS)):
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
    if "cookie" in name:
        yield from _cookies(name, value)
    elif _CREDENTIAL.search(name):
        yield from _tokens(value)
    # "personal" may be an organisation, too, but is a word as well.
    elif _IDENTITY.search(name) and re.search(r"\d", value):
        yield value


def _tokens(value: str) -> Iterator[str]:
    scheme, _, rest = value.strip().partition(" ")
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
        yield pair.partition("=")[2].strip().strip('"')


def without_secret_parameters(target: str) -> tuple[str, list[str]]:
    """Take keys out of a query, as of ``?key=...``.

    Returns:
        The path and query, and what was taken out.
    """
    secrets = [match[2] for match in _SECRET_PARAMETER.finditer(target)]
    return _SECRET_PARAMETER.sub(r"\1[redacted]", target), [
        secret for secret in secrets if len(secret) >= MIN_SECRET
    ]
