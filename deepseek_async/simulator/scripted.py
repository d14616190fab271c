"""What a test tells the simulator to do: `Reply`, `Replay`, `Fault`."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from itertools import pairwise
from os import PathLike
from pathlib import Path
from typing import Any, Literal

from deepseek_async.simulator.refusals import REFUSALS

# What a request's JSON body is: any object; callers read it as they know it.
Body = dict[str, Any]
Match = str | Callable[[Body], bool]

EVENT_STREAM = "text/event-stream; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Reply:
    """A scripted answer to one chat or FIM request.

    Without `text`, `tool_calls`, `body` and an error `status`, the simulator's own answer is
    given: ``Reply(queue_seconds=30)`` changes only the timing.
    """

    text: str | None = None
    """The answer; None: the simulator's own, or nothing next to `tool_calls`."""
    _: KW_ONLY
    reasoning: str | None = None
    """Reasoning content, sent only if the request leaves thinking on; None is empty reasoning
    next to `text` or `tool_calls`."""
    tool_calls: Sequence[tuple[str, str]] = ()
    """Pairs of function name and raw arguments, in index order."""
    finish_reason: str | None = None
    """None: what follows from the answer (stop, tool_calls, length)."""
    usage: Mapping[str, Any] | None = None
    """Counts of tokens that replace computed ones: prompt_tokens, completion_tokens,
    reasoning_tokens, prompt_cache_hit_tokens. Other keys are added to the usage object as given."""
    status: int = 200
    """HTTP status; anything but 200 answers with `body` at once."""
    body: bytes | str | Mapping[str, Any] | None = None
    """The whole HTTP body instead of an answer; a mapping is sent as JSON."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """Headers to add or replace; an empty value removes one."""
    retry_after: float | None = None
    """Seconds for a ``Retry-After`` header; DeepSeek itself never sent one."""
    queue_seconds: float = 0.0
    """Seconds of keep-alives (the first one at once) before the answer begins."""
    first_token_seconds: float | None = None
    """Seconds from the end of the queue to the first token; None: the simulator's option."""
    tokens_per_second: float | None = None
    """Pace of the answer; None: the simulator's option."""
    match: Match | None = None
    """Only for requests whose last user message contains this text, or whose body it accepts."""

    @classmethod
    def error(
        cls, name: str, *, retry_after: float | None = None, match: Match | None = None
    ) -> Reply:
        """An error that DeepSeek sends, byte for byte.

        Args:
            name: A key of `deepseek_async.simulator.refusals.REFUSALS`, such as
                ``insufficient_balance`` or ``overloaded``.
            retry_after: Seconds for a ``Retry-After`` header.
            match: See the field.

        Raises:
            ValueError: There is no error of this name; the message lists them.
        """
        refusal = REFUSALS.get(name)
        if refusal is None:
            raise ValueError(f"no error {name!r}; there are {', '.join(REFUSALS)}")
        return cls(
            status=refusal.status,
            body=refusal.body,
            headers={"Content-Type": refusal.content_type or ""},
            retry_after=retry_after,
            match=match,
        )


@dataclass(frozen=True, slots=True)
class Replay:
    """Recorded bytes as the HTTP body of one chat or FIM request, cut where you say.

    Each piece is its own HTTP chunk and its own write, at least one turn of the event loop after
    the one before.
    """

    source: str | PathLike[str] | bytes
    """The bytes, or the file that has them; read when scripted."""
    cuts: Sequence[int] | int | None = None
    """Offsets to cut at; an int is the seed of random ones; None: one piece."""
    pause: float = 0.0
    """Seconds between pieces."""
    _: KW_ONLY
    step: int | None = None
    """Bytes of each piece, instead of `cuts`."""
    status: int = 200
    content_type: str | None = None
    """None: an event stream if a line starts with ``data:`` or ``:``, else JSON."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """Headers to add or replace; an empty value removes one."""
    match: Match | None = None
    """As in `Reply`."""

    def data(self) -> bytes:
        """The body; reads the file."""
        return self.source if isinstance(self.source, bytes) else Path(self.source).read_bytes()

    def pieces(self) -> list[bytes]:
        """The body as it will be written, without empty pieces."""
        data = self.data()
        if self.step is not None:
            if self.step < 1:
                raise ValueError(f"a piece has at least one byte, not {self.step}")
            offsets = list(range(self.step, len(data), self.step))
        elif self.cuts is None:
            offsets = []
        elif isinstance(self.cuts, int):
            # About one cut in 50 bytes: several in a typical event of 300.
            count = min(len(data) - 1, 1 + len(data) // 50)
            offsets = random.Random(self.cuts).sample(range(1, len(data)), max(count, 0))
        else:
            offsets = [offset for offset in self.cuts if 0 < offset < len(data)]
        bounds = [0, *sorted(set(offsets)), len(data)]
        return [data[a:b] for a, b in pairwise(bounds) if a < b]

    def media_type(self) -> str:
        """The ``Content-Type`` to send."""
        if self.content_type is not None:
            return self.content_type
        start = self.data()[:4096].lstrip()
        return EVENT_STREAM if start.startswith((b"data:", b":")) else "application/json"


FaultKind = Literal[
    "cut",
    "reset",
    "stall",
    "delay",
    "close",
    "error",
    "omit_done",
    "omit_finish",
    "whitespace",
    "garbage",
]


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong with the answer to one request."""

    kind: FaultKind
    """What happens:

    ``cut``/``reset``: the connection ends (FIN/RST) after `after_events` or `after_bytes`, else
    right after the headers; ``stall``: nothing more comes, for `seconds` or for ever; ``delay``:
    the headers come `seconds` late; ``close``: the connection ends before the headers;
    ``error``: an ``error`` object ends the stream; ``omit_done``, ``omit_finish``: the stream
    ends without its ``[DONE]``, without the chunk that has the finish reason; ``whitespace``: a 200
    whose body is only line feeds; ``garbage``: an event that isn't JSON, then the stream goes on.
    """
    _: KW_ONLY
    after_events: int | None = None
    """Data events that come before it; in a plain reply the body counts as one."""
    after_bytes: int | None = None
    """Body bytes that come before it (cut and reset only)."""
    seconds: float | None = None
    """Length of a stall (None: until the client leaves) or a delay."""
    keep_alive: bool = False
    """Keep-alives come during a stall."""
