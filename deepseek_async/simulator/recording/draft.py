"""An exchange while it goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

from deepseek_async.simulator.recording.exchange import Answer, Block, End, Exchange
from deepseek_async.simulator.recording.headers import credentials, encoding_of, stored

MAX_STORED = 64 * 1024 * 1024
"""Bytes of an answer that are stored at most; what is longer is passed on, but not stored."""

# What a block takes in memory besides its bytes; hosts may send them one by one.
_BLOCK = 128


class Draft:
    """What of an exchange has come by now.

    Args:
        number: Its place in the recording.
        host: Base URL of the host.
        method: In upper case.
        target: Path and query.
        headers: Of the request.
        body: Of the request.
    """

    def __init__(
        self,
        number: int,
        host: str,
        method: str,
        target: str,
        headers: Sequence[tuple[str, str]],
        body: bytes,
    ) -> None:
        self.number = number
        self.method = method
        self.target = target
        self.secrets: list[str] = list(credentials(headers))
        self.refusal = ""
        """Why it is not to be stored; empty if it is."""
        self._host = host
        self._headers = headers
        self._body = body
        self._recorded_at = datetime.now(UTC).isoformat(timespec="seconds")
        self._loop = asyncio.get_running_loop()
        self._started = self._loop.time()
        self._answer: Answer | None = None
        self._blocks: list[Block] = []
        self._size = 0
        self._end: tuple[End, float, str] | None = None
        self._refuse_encoded("request", headers)

    def head(
        self, status: int, headers: Sequence[tuple[str, str]], content_length: int | None
    ) -> None:
        """Take note of the head of the answer."""
        self.secrets.extend(credentials(headers))
        self._refuse_encoded("answer", headers)
        self._answer = Answer(
            status=status,
            headers=stored(headers, is_request=False),
            content_length=content_length,
            ms=self._now(),
        )

    def block(self, data: bytes) -> None:
        """Take note of a part of the body."""
        self._size += len(data) + _BLOCK
        if self._size > MAX_STORED:
            self.refusal = f"its answer is longer than {MAX_STORED >> 20} MiB"
        if self.refusal:
            self._blocks.clear()
        else:
            self._blocks.append(Block(self._now(), data))

    def ends(self, end: End, reason: str = "") -> None:
        """Take note of the end; what comes after the first one doesn't count."""
        if self._end is None:
            self._end = (end, self._now(), reason)

    def exchange(self) -> Exchange:
        """Return what there is, with its secrets."""
        end, end_ms, reason = self._end or ("left", self._now(), "")
        return Exchange(
            host=self._host,
            recorded_at=self._recorded_at,
            method=self.method,
            target=self.target,
            request_headers=stored(self._headers, is_request=True),
            request_body=self._body,
            answer=self._answer,
            blocks=tuple(self._blocks),
            end=end,
            end_ms=end_ms,
            reason=reason,
        )

    def _refuse_encoded(self, what: str, headers: Sequence[tuple[str, str]]) -> None:
        encoding = encoding_of(headers)
        if encoding is not None:
            self.refusal = f"its {what} is in {encoding:.40}, where secrets can't be searched for"

    def _now(self) -> float:
        return round((self._loop.time() - self._started) * 1000, 1)
