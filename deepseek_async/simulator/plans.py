"""What the core hands to whoever sends it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from deepseek_async.simulator.faults import Fault
from deepseek_async.simulator.frames import Frame
from deepseek_async.simulator.queueing import Turn
from deepseek_async.simulator.scripted import Body


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """A request as the simulator got it."""

    method: str
    path: str
    headers: Mapping[str, str]
    """Names in lower case; values that are keys, such as that of ``authorization``, are
    redacted."""
    body: Body | None
    """The JSON object of the body, if it was one."""
    at: float
    """When it came: seconds since the epoch, by the simulator's clock."""


class Lease(NamedTuple):
    """What an answer takes up until `Core.finish`."""

    account: str
    model: str
    turn: Turn | None
    """Its time in a slot of `Options.capacity`; None: it has none."""


@dataclass(slots=True)
class Plan:
    """A reply before it is sent."""

    status: int
    headers: dict[str, str]
    body: bytes | None = None
    """The whole body, to be sent at once; None: `frames`."""
    frames: Iterator[Frame] = field(default_factory=lambda: iter(()))
    is_chunked: bool = False
    """Sent without a ``Content-Length``."""
    delay: float = 0.0
    """Seconds before the headers."""
    drop: Literal["cut", "reset"] | None = None
    """The connection ends instead of the headers."""
    counts_as_running: bool = False
    """Takes one of `Options.max_concurrency`."""
    closes: bool = False
    """The connection ends after the body."""
    fault: Fault | None = None
    """What the script says should go wrong with it."""
    lease: Lease | None = None
