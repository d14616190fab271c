"""One request and what came back for it, with its timing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

End = Literal["complete", "left", "cut", "reset", "refused"]
"""How an exchange ended.

``complete``: the body's end came. ``left``: the client, or the proxy, went away before. ``cut``:
the host closed the connection too early. ``reset``: it did so with a reset. ``refused``: there was
no connection to the host at all.
"""


class Block(NamedTuple):
    """Bytes of an answer's body that came together."""

    ms: float
    """Since the request was there."""
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The head of an answer."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    content_length: int | None
    """None: the body was sent without a length."""
    ms: float
    """Since the request was there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A request and what came back for it."""

    host: str
    """Base URL of the host."""
    recorded_at: str
    method: str
    target: str
    """Path and query, as the client sent them."""
    request_headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """Names in lower case."""
    request_body: bytes = b""
    answer: Answer | None = None
    """None: the host didn't answer."""
    blocks: Sequence[Block] = ()
    end: End = "complete"
    end_ms: float = 0.0
    reason: str = ""
    """Why it isn't complete."""

    @property
    def body(self) -> bytes:
        """The whole body of the answer."""
        return b"".join(block.data for block in self.blocks)

    @property
    def is_whole(self) -> bool:
        """Whether the client had all that there was to have.

        Clients of streams go away after their last event, before the HTTP body ends.
        """
        if self.answer is None or self.end != "left":
            return self.end == "complete"
        body = self.body
        return body.rstrip().endswith(b"data: [DONE]") or len(body) == self.answer.content_length
