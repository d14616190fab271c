"""The conversations of the page: what was asked, and how it can be read."""

import asyncio
import secrets
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, Literal

from deepseek_async import MessageParam
from deepseek_async.live import Run
from deepseek_async.ui.timing import Timed

_MAX_CONVERSATIONS = 50
_MAX_TURNS = 100
_MAX_BYTES = 64 << 20
# Of one conversation: beyond it no further question is taken.
_MAX_TURN_BYTES = 16 << 20
_TITLE = 60

OnDisconnect = Literal["cancel", "continue"]


@dataclass(frozen=True)
class Question:
    """What was asked, and how."""

    text: str
    model: str

    effort: str
    """``"off"``: no reasoning; else as the API names it."""

    system: str = ""
    tools: bool = False

    on_leave: OnDisconnect = "cancel"
    """What becomes of the answer when the last tab is closed: ``"cancel"`` or ``"continue"``."""


@dataclass
class Turn:
    """A question and its answer."""

    question: Question
    run: Run

    before: list[MessageParam]
    """The conversation up to the question."""

    source: Timed | None = None
    """What tells the answer; None before the run has begun."""

    told: dict[str, Any] | None = None
    """The whole answer as one message of our own format, once it has ended: runs are forgotten
    after a while."""

    size: int = 0
    keeping: "asyncio.Task[None] | None" = None

    def describe(self) -> dict[str, Any]:
        """Return what the page needs to know."""
        source = self.source
        return {
            "question": self.question,
            "run": self.run.id,
            "status": self.run.status,
            "first_seconds": source and source.first_seconds,
            "writing_seconds": source and source.writing_seconds,
            "told": self.told,
        }


@dataclass
class Conversation:
    """Questions and answers, one after the other."""

    id: str = field(default_factory=lambda: secrets.token_urlsafe(9))
    turns: list[Turn] = field(default_factory=list[Turn])
    messages: list[MessageParam] = field(default_factory=list[MessageParam])

    @property
    def title(self) -> str:
        """The first question, in one short line."""
        text = " ".join(self.turns[0].question.text.split()) if self.turns else ""
        return text if len(text) <= _TITLE else f"{text[: _TITLE - 1]}…"

    @property
    def running(self) -> bool:
        """Whether an answer is being written."""
        return any(turn.run.status == "running" for turn in self.turns[-1:])

    @property
    def size(self) -> int:
        """Bytes of its answers, about."""
        return sum(turn.size for turn in self.turns)

    @property
    def is_full(self) -> bool:
        """Whether no further question can be asked."""
        return len(self.turns) >= _MAX_TURNS or self.size > _MAX_TURN_BYTES

    def summary(self) -> dict[str, Any]:
        """Return what a list of conversations shows."""
        return {"id": self.id, "title": self.title, "running": self.running}

    def describe(self) -> dict[str, Any]:
        """Return all of it."""
        return {**self.summary(), "turns": [turn.describe() for turn in self.turns]}


class Conversations:
    """Those that were used last; the others are forgotten."""

    def __init__(self) -> None:
        self._held: OrderedDict[str, Conversation] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    def get(self, conversation_id: str) -> Conversation | None:
        """Return a conversation; None if there is none, or not any more."""
        return self._held.get(conversation_id)

    def latest_first(self) -> list[Conversation]:
        """Return all of them."""
        return list(reversed(self._held.values()))

    def touch(self, conversation: Conversation) -> None:
        """Hold a conversation as the one that was used last."""
        self._held[conversation.id] = conversation
        self._held.move_to_end(conversation.id)
        self.trim()

    def trim(self) -> None:
        """Forget the oldest, as far as they are too many or too large; never the latest."""
        sizes = {key: each.size for key, each in self._held.items()}
        total = sum(sizes.values())
        for key in list(self._held)[:-1]:
            if len(self._held) <= _MAX_CONVERSATIONS and total <= _MAX_BYTES:
                return
            if not self._held[key].running:
                total -= sizes[key]
                del self._held[key]

    def forget(self, conversation: Conversation) -> None:
        """Hold it no more."""
        self._held.pop(conversation.id, None)
