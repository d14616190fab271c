"""`Fault`: what goes wrong, and which requests it meets."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass
from typing import Literal, get_args

from deepseek_async.simulator.refusals import REFUSALS, Refusal

FaultKind = Literal[
    "close",
    "delay",
    "rate_limit",
    "overloaded",
    "bad_gateway",
    "cut",
    "reset",
    "stall",
    "trickle",
    "whitespace",
    "truncated",
    "garbage",
    "error",
    "openrouter_error",
    "omit_done",
    "omit_finish",
    "empty_choices",
    "null_deltas",
    "usage_chunk",
    "host_comments",
    "duplicate_ids",
    "blank_ids",
    "missing_index",
    "repeated_names",
]
FAULT_KINDS: tuple[FaultKind, ...] = get_args(FaultKind)

# Kinds that answer instead of an answer, and the error they answer with.
_REFUSALS: dict[str, Refusal] = {
    name: REFUSALS[name] for name in ("rate_limit", "overloaded", "bad_gateway")
}


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong with the answer to a request.

    Raises:
        ValueError: There is no such kind, or a number makes no sense.
    """

    kind: FaultKind
    """What happens.

    Before the answer, which scripted replies then wait for: ``close``: the connection ends before
    the headers; ``rate_limit``: a 429, to as many requests as `times` says or for `seconds`;
    ``overloaded``: a 503; ``bad_gateway``: a 502 with a page of HTML.

    To the connection: ``delay``: the headers come `seconds` late; ``cut``/``reset``: it ends
    (FIN/RST) after `after_events` or `after_bytes`, else right after the headers; ``stall``:
    nothing more comes, for `seconds` or for ever; ``trickle``: one byte a write, `seconds` between
    them.

    To the body: ``whitespace``: only line feeds; ``truncated``: a plain body ends in the middle, a
    stream within an event, and HTTP says that this was all; ``garbage``: an event that isn't JSON,
    then the stream goes on; ``error``: an ``error`` object ends the stream, or is the plain body;
    ``openrouter_error``: the same as OpenRouter sends it; ``omit_done``, ``omit_finish``: the
    stream ends without its ``[DONE]``, without the chunk that has the finish reason.

    Habits of other hosts: ``empty_choices``: a chunk with ``choices: []`` and one with ``choices:
    null``, or no choice in a plain body; ``null_deltas``: keys that aren't used are null, and so is
    a whole delta; ``usage_chunk``: usage comes in a chunk of its own; ``host_comments``: other
    comments than ``: keep-alive``, before and between events; ``duplicate_ids``: all tool calls
    have the same id; ``blank_ids``: ids are ``""``, and so are the names in later deltas;
    ``missing_index``: tool calls have no index; ``repeated_names``: every delta of a tool call has
    its id and name.
    """
    _: KW_ONLY
    after_events: int | None = None
    """Data events that come before it; in a plain reply the body counts as one."""
    after_bytes: int | None = None
    """Body bytes that come before it (cut, reset and truncated only)."""
    seconds: float | None = None
    """Length of a stall (None: until the client leaves), of a delay, of a storm of errors, or of
    the pause after each byte of a trickle."""
    keep_alive: bool = False
    """Keep-alives come during a stall."""
    retry_after: float | None = None
    """Seconds for the ``Retry-After`` header of a 429, 502 or 503; DeepSeek never sent one."""
    rate: float | None = None
    """Chance for each request to be met, from 0 to 1; None: the next one is met for certain."""
    times: int | Literal["forever"] | None = None
    """How many requests it meets; None: one, with `rate` any number, and a 429 storm of `seconds`
    as many as come while it lasts."""

    def __post_init__(self) -> None:
        if self.kind not in FAULT_KINDS:
            raise ValueError(f"no fault {self.kind!r}; there are {', '.join(FAULT_KINDS)}")
        if self.rate is not None and not 0 <= self.rate <= 1:
            raise ValueError(f"a rate is from 0 to 1, not {self.rate}")
        if isinstance(self.times, str) and self.times != "forever":
            raise ValueError(f"times is a number or 'forever', not {self.times!r}")
        if isinstance(self.times, int) and self.times < 1:
            raise ValueError(f"a fault comes at least once, not {self.times} times")
        for name in ("after_events", "after_bytes", "seconds", "retry_after"):
            value: float | None = getattr(self, name)
            # Written so that not-a-number is refused, too.
            if value is not None and not value >= 0:
                raise ValueError(f"{name} can't be negative ({value})")
            if value is not None and name.startswith("after_") and not isinstance(value, int):
                raise ValueError(f"{name} is a whole number, not {value}")

    @property
    def refusal(self) -> Refusal | None:
        """The error reply that comes instead of an answer."""
        return _REFUSALS.get(self.kind)

    @property
    def is_storm(self) -> bool:
        """Whether it meets all requests for a time."""
        return self.refusal is not None and self.seconds is not None

    @property
    def most(self) -> float:
        """How many requests it meets at most."""
        if self.times is None:
            return float("inf") if self.rate is not None or self.is_storm else 1
        return float("inf") if self.times == "forever" else self.times


class _Waiting:
    """A fault that has requests left to meet."""

    def __init__(self, fault: Fault | None) -> None:
        self.fault = fault
        self._left = 1 if fault is None else fault.most
        self._until: float | None = None

    def is_over(self, now: float) -> bool:
        return self._left <= 0 or (self._until is not None and now >= self._until)

    def meet(self, now: float) -> Fault | None:
        fault = self.fault
        self._left -= 1
        if fault is not None and fault.is_storm and self._until is None:
            self._until = now + (fault.seconds or 0.0)
        return fault


class FaultQueue:
    """Faults that wait for requests: some in order, some by chance.

    Args:
        seed: Of the chances.
    """

    def __init__(self, seed: int = 0) -> None:
        self._rng = random.Random(f"{seed}:faults")
        self._in_order: deque[_Waiting] = deque()
        self._by_rate: list[_Waiting] = []

    def extend(self, faults: Iterable[Fault | None]) -> None:
        """Add faults; None lets one request pass."""
        for fault in faults:
            if fault is not None and fault.rate is not None:
                self._by_rate.append(_Waiting(fault))
            else:
                self._in_order.append(_Waiting(fault))

    def clear(self) -> None:
        """Let nothing go wrong any more."""
        self._in_order.clear()
        self._by_rate.clear()

    def take(self, now: float) -> Fault | None:
        """The fault that the next request meets.

        Args:
            now: Monotonic seconds.
        """
        while self._in_order:
            waiting = self._in_order[0]
            if waiting.is_over(now):
                self._in_order.popleft()
            else:
                return waiting.meet(now)
        for waiting in self._by_rate:
            fault = waiting.fault
            if waiting.is_over(now) or fault is None or fault.rate is None:
                continue
            if self._rng.random() < fault.rate:
                return waiting.meet(now)
        return None
