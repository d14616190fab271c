"""How the upstream answers a request: said by the browser, passed on by the relay as the prompt."""

from __future__ import annotations

from urllib.parse import quote, unquote

import msgspec

# What a token looks like: when it was written, in microseconds of the machine's monotonic clock,
# which is the same for all processes. Nothing else on the wire has this mark before 16 digits.
TOKEN_MARK = "~"
TOKEN_DIGITS = 16


class Manner(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """How one answer goes."""

    stream: int
    """Names it, for what is asked about it later."""

    tokens: int = 0
    """That it has."""

    period: int = 20
    """Milliseconds from one token to the next; 0 for as fast as the socket takes them."""

    head_after: int | None = 0
    """Milliseconds to the status line; None for never."""

    first_after: int = 0
    """Milliseconds from the status line to the first token."""

    silent_from: int | None = None
    """After so many tokens it falls silent and stays open."""

    pause_at: int | None = None
    """After so many tokens it pauses."""

    pause: int = 0
    """For so many milliseconds."""

    def query(self) -> str:
        """Return it as a part of a URL."""
        return quote(msgspec.json.encode(self).decode())


def prompt_of(query: bytes) -> str:
    """Return the prompt that a relay passes on, of the query string ``m=...``."""
    _, _, value = query.partition(b"m=")
    return unquote(value.decode())
