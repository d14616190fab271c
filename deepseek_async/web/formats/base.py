"""What all formats of an answer on the wire have in common."""

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

from deepseek_async.live import Batch, LiveEvent, Run


class Format(Protocol):
    """Makes bytes of batches. Pure: what it needs to remember is in a state that it hands back.

    Made with ``show_errors``: whether readers may see the text of exceptions, or what is fit for
    everybody.

    A state depends on nothing but what was told before, whatever batches it came in: so readers
    that are equally far share the bytes, and one that comes back goes on as if it had stayed.
    """

    name: ClassVar[str]

    headers: ClassVar[Mapping[str, str]]
    """What the response carries beside what all of them do."""

    raw: ClassVar[bool]
    """Whether it wants the upstream's own events."""

    def begin(self, run: Run, told: list[LiveEvent]) -> Any:
        """Return the state of a reader that has been told these events; immutable."""
        ...

    def encode(self, run: Run, state: Any, batch: Batch) -> tuple[bytes, Any]:
        """Return a batch with events as whole server-sent events, and the state after it.

        b"" if it has nothing to tell. Empty lines stand behind events with data alone: OpenAI's own
        client, once it has seen an ``id``, takes others for events without data.
        """
        ...
