"""Those who are measured, one module for each library, all with the same methods."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, cast


class Sink(Protocol):
    """Where a client puts what it reads: a list, or something that looks at the time as well."""

    def append(self, piece: str, /) -> object:
        """Take one piece of text."""
        ...


class Client(Protocol):
    """A client of one address. A question asks for those methods only that its clients have.

    Clients are used as the documentation of their library says, and retry nothing.
    """

    async def aclose(self) -> None:
        """Close all connections."""
        ...

    async def ask(self) -> str:
        """Send a plain request and return the text of the answer."""
        ...

    async def read(self, content: Sink, reasoning: Sink) -> None:
        """Read a streamed answer to its end, piece by piece."""
        ...

    async def accumulate(self) -> str:
        """Read a streamed answer to its end and return its text as one."""
        ...

    async def call_tools(self) -> list[tuple[str, str]]:
        """Read a streamed answer; return names and arguments of the tool calls in it."""
        ...

    async def leave(self) -> None:
        """Leave a stream after its first text, as the library wants it done."""
        ...

    async def drop(self) -> None:
        """Leave a stream after its first text, and close nothing."""
        ...

    def build(self, messages: Sequence[dict[str, Any]]) -> object:
        """Build a request, and don't send it."""
        ...


class Make(Protocol):
    """What makes a client."""

    def __call__(self, base_url: str, limit: int, /) -> Client:
        """Make one that may have ``limit`` connections."""
        ...


class Contender(NamedTuple):
    """Who is measured."""

    module: str
    cls: str
    label: str

    def load(self) -> Make:
        """Import it, which may fail: peers are in other environments."""
        module = importlib.import_module(f"benchmarks.contenders.{self.module}")
        return cast("Make", getattr(module, self.cls))


#: What all others are compared with.
FLOOR = "floor"

CONTENDERS = {
    FLOOR: Contender("floor", "Floor", "aiohttp and msgspec by hand"),
    "tuned": Contender("floor", "Tuned", "the floor with a smaller read buffer"),
    "socket": Contender("raw_socket", "RawSocket", "a socket and a search for bytes"),
    "create": Contender("ours", "Chunks", "create(), chunks"),
    "stream": Contender("ours", "Events", ".stream(), events"),
    "text": Contender("ours", "Texts", "text_stream"),
    "openai": Contender("openai_sdk", "OpenAI", "AsyncOpenAI"),
}
#: Those that the interpreter given by --peer-python runs.
PEERS = ("openai",)
