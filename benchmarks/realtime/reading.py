"""What browsers kept, as events and tokens with the time of each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from benchmarks.realtime.browsers import Browser
from benchmarks.realtime.manner import TOKEN_DIGITS, TOKEN_MARK

_TOKEN = re.compile(b"%b(\\d{%d})" % (TOKEN_MARK.encode(), TOKEN_DIGITS))


class Frame(NamedTuple):
    """An event with tokens."""

    arrived: int
    """When its last byte had come, in nanoseconds."""

    tokens: list[int]
    """When they were written, in microseconds."""


class Reading:
    """What one browser read.

    Attributes:
        status: Of the response; 0 if there was none.
        ended: It came to its proper end, as HTTP says it.
        frames: Those with tokens.
    """

    def __init__(self, browser: Browser) -> None:
        self._times = [time for time, _ in browser.parts]
        raw = b"".join(data for _, data in browser.parts)
        self._ends: list[int] = []
        at = 0
        for _, data in browser.parts:
            at += len(data)
            self._ends.append(at)
        self.ended = False
        head, _, _ = raw.partition(b"\r\n\r\n")
        self.status = int(head.split(b" ", 2)[1]) if head.startswith(b"HTTP/") else 0
        self.frames = list(self._frames(raw, len(head) + 4, b"chunked" in head.lower()))
        if not self.ended and b"chunked" not in head.lower():
            self.ended = browser.ended

    def _frames(self, raw: bytes, at: int, chunked: bool) -> Iterator[Frame]:
        part = 0
        pending = b""
        for data, end in self._body(raw, at, chunked):
            while self._ends[part] < end:
                part += 1
            pending += data
            # Servers write whole events, so that what is cut is rare.
            whole, found, rest = pending.rpartition(b"\n\n")
            if not found:
                continue
            pending = rest
            for event in whole.split(b"\n\n"):
                if tokens := _TOKEN.findall(event):
                    yield Frame(self._times[part], [int(token) for token in tokens])

    def _body(self, raw: bytes, at: int, chunked: bool) -> Iterator[tuple[bytes, int]]:
        """Yield the pieces of the body, and where each ends in what came."""
        if not chunked:
            if at < len(raw):
                yield raw[at:], len(raw)
            return
        while (end := raw.find(b"\r\n", at)) >= 0:
            size = int(raw[at:end], 16)
            at = end + 2 + size + 2
            if not size:
                self.ended = True
            if not size or at > len(raw):
                return
            # Whatever comes after the data of the chunk is not waited for.
            yield raw[end + 2 : at - 2], at - 2

    def tokens(self) -> list[int]:
        """Return all tokens in the order in which they came."""
        return [token for frame in self.frames for token in frame.tokens]

    def is_complete(self, sent: list[int]) -> bool:
        """Say whether exactly what was sent was read, in order and to the end."""
        return self.ended and self.tokens() == sent


class Window(NamedTuple):
    """The part of a run that counts; all in nanoseconds."""

    since: int
    until: int
    given_up: int
    """When reading ended."""

    def lags(self, reading: Reading, sent: list[int], *, frames: bool = False) -> Iterator[float]:
        """Yield how long the tokens took that were written in the window, in milliseconds.

        What did not come in time counts as if it had come when reading ended.

        Args:
            reading: Of a browser.
            sent: When each token of its stream was written, in microseconds.
            frames: Counts only the first token of each frame, the one that waited longest.
        """
        first, last = self.since // 1000, self.until // 1000
        read = 0
        for arrived, tokens in reading.frames:
            read += len(tokens)
            for token in tokens[:1] if frames else tokens:
                if first <= token < last:
                    yield (arrived / 1000 - token) / 1000
        for token in sent[read:]:
            if first <= token < last:
                yield (self.given_up / 1000 - token) / 1000


def quantile(values: list[float], share: float) -> float:
    """Return a quantile; NaN of nothing."""
    if not values:
        return float("nan")
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]
